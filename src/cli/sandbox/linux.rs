//! What Linux grants.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Needs, calls};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The user that owns nothing, where the system does not say who that is (Linux's own overflow user).
const NOBODY: u32 = 65_534;

pub(super) fn enter(needs: &Needs) -> Vec<String> {
    // the rules name open paths, and opening those may take the privileges that go now
    let files = Files::prepare(needs);
    let mut granted = Vec::new();
    if needs.leave_root && geteuid().is_root() {
        granted.push(leave_root(needs));
    }
    granted.push(drop_capabilities(needs));
    granted.push(told(
        "no new privileges",
        set_no_new_privs(true).map_err(|error| error.to_string()),
    ));
    granted.push(files.map_or_else(
        |reason| format!("files and sockets not confined: {reason}"),
        Files::enforce,
    ));
    granted.push(told(
        "no system calls for sockets, programs, other processes and the like (seccomp)",
        calls::refuse(needs.serve),
    ));
    granted
}

fn told(what: &str, outcome: Result<(), String>) -> String {
    match outcome {
        Ok(()) => what.to_owned(),
        Err(reason) => format!("not granted: {what}: {reason}"),
    }
}

/// Becomes `nobody`; where files will be begun anew in a folder, the folder's owner, since nobody else may.
fn leave_root(needs: &Needs) -> String {
    let (uid, gid) = match folder(needs).map(|folder| (folder.metadata(), folder)) {
        None => nobody(),
        Some((Ok(facts), _)) if facts.uid() != 0 => (facts.uid(), facts.gid()),
        Some((_, folder)) => {
            return format!(
                "still root, since only root may begin files anew in {}",
                folder.display()
            );
        }
    };
    let gone = || -> io::Result<()> {
        if let Some(file) = needs.output.as_deref().filter(|file| file.is_file()) {
            std::os::unix::fs::chown(file, Some(uid), Some(gid))?;
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    };
    told(
        &format!("user {uid} instead of root"),
        gone().map_err(|error| error.to_string()),
    )
}

/// The folder in which files will be begun anew.
fn folder(needs: &Needs) -> Option<PathBuf> {
    let parent = needs.output.as_deref()?.parent()?;
    Some(if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

/// The numbers of the user `nobody` and its group, as the system's own list has them.
fn nobody() -> (u32, u32) {
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    list.lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let named = fields.next()? == "nobody";
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let gid: u32 = fields.next()?.parse().ok()?;
            (named && uid != 0).then_some((uid, gid))
        })
        .unwrap_or((NOBODY, NOBODY))
}

/// Empties the capability sets. One is kept where a file that is to be read cannot be read without it.
fn drop_capabilities(needs: &Needs) -> String {
    match keep_capabilities(needs) {
        Ok(kept) if kept.is_empty() => "no capabilities".to_owned(),
        Ok(_) => "no capabilities but the one to read a capture of another user".to_owned(),
        Err(error) => format!("not granted: no capabilities: {error}"),
    }
}

/// Gives up all capabilities but those that are needed, and says which these are.
fn keep_capabilities(needs: &Needs) -> rustix::io::Result<CapabilitySet> {
    let none = CapabilitySet::empty();
    let had = capabilities(None)?;
    // containers often have the second only
    let mut kept = [CapabilitySet::DAC_READ_SEARCH, CapabilitySet::DAC_OVERRIDE]
        .into_iter()
        .find(|one| had.effective.contains(*one))
        .unwrap_or(none);
    if !kept.is_empty() {
        // asked while whatever lies before them can still be passed
        let files: Vec<&PathBuf> = needs.read.iter().filter(|path| path.is_file()).collect();
        let effective = none;
        set_capabilities(None, CapabilitySets { effective, ..had })?;
        if files.iter().all(|path| File::open(path).is_ok()) {
            kept = none;
        }
    }
    // a kernel without ambient capabilities has none to clear
    let _ = clear_ambient_capability_set();
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: none,
    };
    set_capabilities(None, sets)?;
    Ok(kept)
}

/// The files that may be opened from now on, and nothing else of the kind.
struct Files(landlock::RulesetCreated);

impl Files {
    /// The newest interface that this was written for; older kernels do what they can.
    const KNOWN: ABI = ABI::V6;

    fn prepare(needs: &Needs) -> Result<Self, String> {
        let words = |error: landlock::RulesetError| error.to_string();
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(Self::KNOWN))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(Self::KNOWN)))
            .and_then(|rules| rules.scope(Scope::from_all(Self::KNOWN)))
            .and_then(Ruleset::create)
            .map_err(words)?;
        // a directory that was named by mistake is then refused in the words for it
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let renew = AccessFs::WriteFile
            | AccessFs::ReadFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::RemoveFile;
        let folder = folder(needs);
        let wanted = (needs.read.iter().map(|path| (path, read)))
            .chain(folder.iter().map(|path| (path, renew)));
        for (path, access) in wanted {
            if let Some((path, access)) = rule(path, access) {
                rules = rules
                    .add_rule(PathBeneath::new(path, access))
                    .map_err(words)?;
            }
        }
        Ok(Self(rules))
    }

    fn enforce(self) -> String {
        match self.0.restrict_self() {
            Ok(status) => match status.ruleset {
                RulesetStatus::FullyEnforced => {
                    "no files but those named, no TCP (Landlock)".to_owned()
                }
                RulesetStatus::PartiallyEnforced => {
                    "no files but those named (Landlock, as far as this kernel has it)".to_owned()
                }
                RulesetStatus::NotEnforced => {
                    "files and sockets not confined: this kernel has no Landlock".to_owned()
                }
            },
            Err(error) => format!("files and sockets not confined: {error}"),
        }
    }
}

/// A path as a rule takes it. What has no place in a file system (standard input, a pipe of the shell's) needs no rule, and what is not there
/// will be missed by whoever opens it.
fn rule(path: &Path, access: BitFlags<AccessFs>) -> Option<(PathFd, BitFlags<AccessFs>)> {
    let facts = path.canonicalize().ok()?.metadata().ok()?;
    let access = if facts.is_dir() {
        access
    } else {
        access & AccessFs::from_file(Files::KNOWN)
    };
    Some((PathFd::new(path).ok()?, access))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpStream, UdpSocket};

    use super::*;

    /// Runs `work` in a thread that has entered the sandbox; threads of other tests stay out of it.
    fn inside<T: Send + 'static>(needs: Needs, work: impl FnOnce(&str) -> T + Send + 'static) -> T {
        let confined = std::thread::spawn(move || work(&enter(&needs).join("; ")));
        confined.join().expect("nothing panics")
    }

    fn refused<T>(outcome: io::Result<T>) -> bool {
        outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn sockets_and_programs_are_refused_and_threads_are_not() {
        inside(Needs::default(), |granted| {
            if granted.contains("not granted: no system calls") {
                eprintln!("not run: needs seccomp ({granted})");
                return;
            }
            assert!(refused(TcpStream::connect("127.0.0.1:9")));
            assert!(refused(UdpSocket::bind("127.0.0.1:0")));
            assert!(refused(std::os::unix::net::UnixDatagram::unbound()));
            assert!(std::process::Command::new("/bin/true").status().is_err());
            let thread = std::thread::spawn(|| UdpSocket::bind("127.0.0.1:0"));
            assert!(refused(thread.join().expect("a thread")));
        });
        assert!(
            UdpSocket::bind("127.0.0.1:0").is_ok(),
            "other threads are free"
        );
    }

    #[test]
    fn a_file_that_was_named_is_read_and_all_others_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (named, other) = (folder.path().join("named"), folder.path().join("other"));
        for path in [&named, &other] {
            fs::write(path, "x").expect("written");
        }
        let needs = Needs {
            read: vec![named.clone(), "/nonexistent/a".into(), "-".into()],
            ..Needs::default()
        };
        inside(needs, move |granted| {
            if !granted.contains("(Landlock") {
                eprintln!("not run: needs Landlock ({granted})");
                return;
            }
            assert!(File::open(&named).is_ok());
            assert!(refused(File::options().write(true).open(&named)));
            assert!(refused(File::open(&other)));
            assert!(refused(File::create(named.with_file_name("new"))));
            assert!(refused(fs::remove_file(&named)));
            let missing = File::open("/nonexistent/a").map_err(|error| error.kind());
            assert_eq!(missing.err(), Some(ErrorKind::NotFound));
        });
    }

    #[test]
    fn files_are_begun_anew_in_the_folder_named_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events");
        fs::write(&path, "x").expect("written");
        let needs = Needs {
            output: Some(path.clone()),
            ..Needs::default()
        };
        inside(needs, move |_| {
            fs::rename(&path, path.with_extension("1")).expect("renamed");
            let mut options = File::options();
            options
                .append(true)
                .create(true)
                .open(&path)
                .expect("begun anew");
            fs::remove_file(path.with_extension("1")).expect("removed");
        });
    }

    #[test]
    fn no_capability_and_no_way_to_new_privileges_is_left() {
        let status = inside(Needs::default(), |_| {
            // a thread reads its own, whatever the files of others
            let sets = capabilities(None).expect("the sets");
            let privileges = rustix::thread::no_new_privs().expect("an answer");
            (
                sets.effective | sets.permitted | sets.inheritable,
                privileges,
            )
        });
        assert_eq!(status, (CapabilitySet::empty(), true));
    }

    #[test]
    fn root_still_reads_the_captures_of_others_in_folders_of_others() {
        if !capabilities(None).is_ok_and(|sets| {
            (sets.effective).contains(
                CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE | CapabilitySet::CHOWN,
            )
        }) {
            eprintln!("not run: needs root");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let theirs = folder.path().join("theirs");
        let capture = theirs.join("a.pcap");
        fs::create_dir(&theirs).expect("made");
        fs::write(&capture, "x").expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&theirs, private).expect("closed");
        std::os::unix::fs::chown(&theirs, Some(12_345), None).expect("given away");
        let needs = Needs {
            read: vec![capture.clone()],
            ..Needs::default()
        };
        inside(needs, move |granted| {
            assert!(File::open(&capture).is_ok(), "{granted}");
            let sets = capabilities(None).expect("the sets");
            assert_eq!(sets.effective, CapabilitySet::DAC_READ_SEARCH);
        });
    }

    #[test]
    fn root_becomes_nobody() {
        if !geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let needs = Needs {
            leave_root: true,
            ..Needs::default()
        };
        let uid = inside(needs, |granted| (granted.to_owned(), geteuid().as_raw()));
        assert_eq!(uid.1, nobody().0, "{}", uid.0);
        assert!(geteuid().is_root(), "other threads are as they were");
    }
}
