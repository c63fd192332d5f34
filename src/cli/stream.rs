//! Where the events of a live run go: stdout, or a file that grows, is begun anew by size and age, and is opened again when asked.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use dpiscope::types::Timestamp;

use super::Failure;
use super::output::cannot_write;

/// When a file is begun anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rotation {
    /// Past this many bytes.
    bytes: Option<u64>,
    /// After this many seconds.
    seconds: Option<u32>,
    /// How many files there are, the present one among them.
    files: u32,
}

/// Files that are kept where nobody says how many.
const FILES: u32 = 10;

impl Rotation {
    /// Reads the words of `-b`.
    pub(crate) fn new(words: &[String]) -> Result<Self, Failure> {
        let mut rotation = Self {
            bytes: None,
            seconds: None,
            files: FILES,
        };
        for word in words {
            let refused = || {
                Failure::refused(format!(
                    "-b {word}: expected duration:SECONDS, filesize:KB or files:N"
                ))
            };
            let (name, number) = word.split_once(':').ok_or_else(refused)?;
            let number: u32 = number.parse().map_err(|_| refused())?;
            match name {
                _ if number == 0 => return Err(refused()),
                "duration" => rotation.seconds = Some(number),
                // tshark counts kilobytes of 1000 bytes
                "filesize" => rotation.bytes = Some(u64::from(number) * 1_000),
                "files" => rotation.files = number,
                _ => return Err(refused()),
            }
        }
        Ok(rotation)
    }
}

/// Where events go.
pub(crate) struct Stream {
    target: Target,
    rotation: Rotation,
}

enum Target {
    Stdout,
    File {
        path: PathBuf,
        file: File,
        bytes: u64,
        since: Timestamp,
    },
}

impl Stream {
    /// Opens the file at `path`, else stdout. A file of events is added to: a run that is started again takes nothing away. One of a whole `document` is
    /// emptied.
    pub(crate) fn open(
        path: Option<&Path>,
        rotation: Rotation,
        document: bool,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let target = match path.filter(|path| *path != Path::new("-")) {
            None => Target::Stdout,
            Some(path) => open(path, document, now).map_err(|error| cannot_write(path, &error))?,
        };
        Ok(Self { target, rotation })
    }

    /// Whether colours and the like would be seen by somebody.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.target, Target::Stdout) && io::stdout().is_terminal()
    }

    /// Writes some whole events, which are then out of our hands.
    pub(crate) fn write(&mut self, events: &[u8], now: Timestamp) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        self.rotate(events.len() as u64, now)?;
        match &mut self.target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                match out.write_all(events).and_then(|()| out.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::PipeClosed),
                    Err(error) => Err(Failure::refused(format!("cannot write to stdout: {error}"))),
                    Ok(()) => Ok(()),
                }
            }
            Target::File {
                path, file, bytes, ..
            } => {
                *bytes += events.len() as u64;
                file.write_all(events)
                    .map_err(|error| cannot_write(path, &error))
            }
        }
    }

    /// Opens the file again under its name: somebody moved the old one away.
    pub(crate) fn reopen(&mut self, now: Timestamp) -> Result<(), Failure> {
        if let Target::File { path, .. } = &self.target {
            let again = open(path, false, now).map_err(|error| cannot_write(path, &error))?;
            self.target = again;
        }
        Ok(())
    }

    /// Begins the file anew where `more` bytes would be too many for it, or its time is over.
    fn rotate(&mut self, more: u64, now: Timestamp) -> Result<(), Failure> {
        let Target::File {
            path, bytes, since, ..
        } = &self.target
        else {
            return Ok(());
        };
        let full = (self.rotation.bytes).is_some_and(|most| *bytes > 0 && bytes + more > most);
        let old = (self.rotation.seconds)
            .is_some_and(|most| now.since(*since) >= i64::from(most) * 1_000_000_000);
        if !full && !old {
            return Ok(());
        }
        let path = path.clone();
        for number in (0..self.rotation.files.saturating_sub(1)).rev() {
            let (from, to) = (numbered(&path, number), numbered(&path, number + 1));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(cannot_write(&to, &error));
                }
                _ => {}
            }
        }
        if self.rotation.files == 1 {
            fs::remove_file(&path).map_err(|error| cannot_write(&path, &error))?;
        }
        self.reopen(now)
    }
}

/// The file's name, or that of the `number`th older one.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

fn open(path: &Path, empty: bool, now: Timestamp) -> io::Result<Target> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    if empty {
        file.set_len(0)?;
    }
    let bytes = file.metadata()?.len();
    Ok(Target::File {
        path: path.to_owned(),
        file,
        bytes,
        since: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<Rotation, Failure> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Rotation::new(&words)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    #[test]
    fn rotation_is_told_in_tsharks_words() {
        let rotation = words(&["duration:60", "filesize:10", "files:3"]).expect("good words");
        assert_eq!(
            (rotation.seconds, rotation.bytes, rotation.files),
            (Some(60), Some(10_000), 3)
        );
        for bad in ["interval:60", "duration", "filesize:0", "files:many"] {
            assert!(words(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_full_file_is_begun_anew_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events");
        let rotation = words(&["filesize:1", "files:3"]).expect("good words");
        let mut stream = Stream::open(Some(&path), rotation, false, at(0)).expect("opened");
        for letter in [b'a', b'b', b'c', b'd'] {
            stream.write(&[letter; 900], at(1)).expect("written");
        }
        let first = |number| fs::read(numbered(&path, number)).map(|bytes| bytes[0]);
        assert_eq!(
            [0, 1, 2].map(|number| first(number).expect("a file")),
            *b"dcb"
        );
        assert!(first(3).is_err());
    }

    #[test]
    fn an_old_file_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events");
        let rotation = words(&["duration:60"]).expect("good words");
        let mut stream = Stream::open(Some(&path), rotation, false, at(0)).expect("opened");
        stream.write(b"one\n", at(59)).expect("written");
        stream.write(b"two\n", at(60)).expect("written");
        assert_eq!(fs::read(&path).expect("the file"), b"two\n");
        assert_eq!(fs::read(numbered(&path, 1)).expect("the older"), b"one\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events");
        let rotation = words(&[]).expect("good words");
        let mut stream = Stream::open(Some(&path), rotation, false, at(0)).expect("opened");
        stream.write(b"one\n", at(1)).expect("written");
        fs::rename(&path, folder.path().join("moved")).expect("moved");
        stream.reopen(at(2)).expect("opened again");
        stream.write(b"two\n", at(3)).expect("written");
        assert_eq!(fs::read(&path).expect("the file"), b"two\n");
    }
}
