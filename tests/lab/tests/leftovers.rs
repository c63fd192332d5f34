//! An interrupted run leaves no namespace, no process and no interface behind.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The network namespaces of a process's threads.
fn namespaces(process: &str) -> BTreeSet<PathBuf> {
    std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| std::fs::read_link(thread.path().join("ns/net")).ok())
        .collect()
}

/// The namespaces that any thread of the machine is in, or that are mounted somewhere (which is how named ones live on).
fn all_namespaces() -> (BTreeSet<PathBuf>, String) {
    let mut all = BTreeSet::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        all.extend(namespaces(&process.file_name().to_string_lossy()));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    (all, mounts)
}

/// Processes of the group, zombies left out: those wait for their parent, which is not us.
fn members(group: i32) -> Vec<String> {
    let mut all = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields.first() != Some(&"Z") && fields.get(2) == Some(&group.to_string().as_str()) {
            all.push(stat);
        }
    }
    all
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let folder = std::env::temp_dir().join(format!("dpiscope-lab-{}", std::process::id()));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_dpiscope-lab"))
            .args(["run", "--jobs", "2", "ng_clean_1", "rst_spoof_ttl64_1"])
            .arg("--out")
            .arg(&folder)
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab starts");
        let process = lab.id().to_string();
        let here = namespaces("self");
        let limit = Instant::now() + Duration::from_secs(20);
        let mut made = BTreeSet::new();
        // Two scenarios have two hosts each; wait until all four are there and traffic flows.
        while made.len() < 4 && Instant::now() < limit {
            if lab.try_wait().expect("its state").is_some() {
                let mut said = String::new();
                let output = lab.stdout.as_mut().expect("piped");
                output.read_to_string(&mut said).expect("text");
                assert!(said.starts_with("lab: not run: needs "), "{said}");
                eprint!("{said}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
            made = namespaces(&process).difference(&here).cloned().collect();
        }
        assert_eq!(made.len(), 4, "the hosts of two scenarios");
        std::thread::sleep(Duration::from_millis(1_500));

        let group = i32::try_from(lab.id()).expect("a process number");
        killpg(Pid::from_raw(group), signal).expect("sent");
        lab.wait().expect("ended");
        // The kernel takes namespaces back in its own time, and they are nobody's as soon as no thread is in them.
        let (all, mounts) = all_namespaces();
        for one in &made {
            assert!(!all.contains(one), "{signal}: {} lives on", one.display());
            let name = one.display().to_string();
            assert!(!mounts.contains(&name), "{signal}: {name} is mounted");
        }
        assert_eq!(members(group), Vec::<String>::new(), "{signal}");
        let devices = std::fs::read_to_string("/proc/net/dev").expect("devices");
        assert!(!devices.contains("lab0:"), "{signal}: {devices}");
    }
    std::fs::remove_dir_all(&folder).expect("the captures so far");
}
