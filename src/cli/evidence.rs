//! `-w`: the packets of flows with findings, from a second reading of the captures.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use dpiscope::capture::{Batch, Options, Run};
use dpiscope::report::{EvidenceFile, Input, Report, Written};

use super::Failure;
use super::output::{cannot_write, empty, is_one_of};

/// Where evidence goes.
pub(crate) struct Evidence {
    path: PathBuf,
    file: File,
}

impl Evidence {
    /// Makes sure, before any work, that `path` can be written, that it is none of the `inputs` and not the report's file, and that the inputs can be
    /// read twice.
    pub(crate) fn open(
        path: &Path,
        inputs: &[PathBuf],
        report: Option<&Path>,
    ) -> Result<Self, Failure> {
        if let Some(once) = inputs.iter().find(|input| !can_be_read_twice(input)) {
            return Err(refused(
                path,
                &format!(
                    "the captures are read a second time for it, which {} cannot be; save it to a file first",
                    if once == Path::new("-") {
                        "standard input".into()
                    } else {
                        once.display().to_string()
                    }
                ),
            ));
        }
        Self::open_for_one_reading(path, inputs, report)
    }

    /// The same where the inputs are read once.
    pub(crate) fn open_for_one_reading(
        path: &Path,
        inputs: &[PathBuf],
        report: Option<&Path>,
    ) -> Result<Self, Failure> {
        let refused = |words: &str| Err(refused(path, words));
        if path == Path::new("-") {
            return refused("evidence goes to a file, stdout has the report; name a file");
        }
        if is_one_of(path, inputs) {
            return refused("this is one of the captures to be read; name another file");
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| cannot_write(path, &error))?;
        if report.is_some_and(|report| is_one_of(path, &[report.to_owned()])) {
            return refused("this is where the report goes (-o); name another file");
        }
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Reads the captures again and writes what the findings of `report` rest on; `stop` ends it early.
    pub(crate) fn write(
        &self,
        report: &Report,
        input: &Input<'_>,
        inputs: &[PathBuf],
        options: &Options,
        stop: &AtomicBool,
    ) -> Result<Written, Failure> {
        // the file numbers of the first reading hold where the same files can be read
        let (mut run, unreadable) = Run::open(inputs, options);
        if run.captures() != report.captures.len() {
            let lines: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
            return Err(Failure::refused(format!(
                "-w {}: a capture could not be read again: {}",
                self.path.display(),
                lines.join("; ")
            )));
        }
        self.fill(report, input, &mut run, stop)
            .map_err(|error| cannot_write(&self.path, &error))
    }

    fn fill(
        &self,
        report: &Report,
        input: &Input<'_>,
        run: &mut Run,
        stop: &AtomicBool,
    ) -> io::Result<Written> {
        empty(&self.file)?;
        // a run that was interrupted still shows what it found; a signal from now on ends this, too
        let stopped = stop.load(Ordering::Relaxed);
        let mut file = EvidenceFile::new(report, input, BufWriter::new(&self.file))?;
        let mut batch = Batch::default();
        while run.next(&mut batch) && (stopped || !stop.load(Ordering::Relaxed)) {
            file.batch(&batch, &|packet| run.interface(packet))?;
        }
        file.finish()
    }

    /// What was written, in one line.
    pub(crate) fn tell(&self, written: &Written) -> String {
        format!(
            "{}: {} packets, {} of them with comments, of {} flows with findings and {} beside them",
            self.path.display(),
            written.packets,
            written.cited,
            written.flows,
            written.beside
        )
    }

    /// Its path, and the file.
    #[cfg(feature = "live")]
    pub(crate) fn into_parts(self) -> (PathBuf, File) {
        (self.path, self.file)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn refused(path: &Path, words: &str) -> Failure {
    Failure::refused(format!("-w {}: {words}", path.display()))
}

/// Whether `path` is a regular file, or nothing at all, which is said later.
fn can_be_read_twice(path: &Path) -> bool {
    path != Path::new("-") && path.metadata().map_or(true, |facts| facts.is_file())
}
