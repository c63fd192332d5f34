//! Where results go: stdout or a file, whole, and quietly gone where nobody reads.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use dpiscope::report::Look;

use super::Failure;

/// Where results go.
#[derive(Debug)]
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// A file, open since before the work began, so that nothing needs to be opened after it.
    File(PathBuf, File),
}

impl Output {
    /// Makes sure, before any work, that `path` can be written and is none of the `inputs`.
    pub(crate) fn open(path: Option<&Path>, inputs: &[PathBuf]) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout);
        };
        if is_one_of(path, inputs) {
            return Err(Failure::refused(format!(
                "-o {}: this is one of the captures to be read; name another file",
                path.display()
            )));
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| cannot_write(path, &error))?;
        Ok(Self::File(path.to_owned(), file))
    }

    /// Whether colours and the like would be seen by somebody.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout) && io::stdout().is_terminal()
    }

    /// Hands a buffered writer to `fill` and flushes it.
    pub(crate) fn write(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut out = BufWriter::new(io::stdout().lock());
                match fill(&mut out).and_then(|()| out.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::PipeClosed),
                    Err(error) => Err(Failure::refused(format!("cannot write to stdout: {error}"))),
                    Ok(()) => Ok(()),
                }
            }
            Self::File(path, file) => empty(file)
                .and_then(|()| {
                    let mut out = BufWriter::new(file);
                    fill(&mut out)?;
                    out.flush()
                })
                .map_err(|error| cannot_write(path, &error)),
        }
    }
}

pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::refused(format!("cannot write {}: {error}", path.display()))
}

/// Writes to stdout.
pub(crate) fn print(fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    Output::Stdout.write(fill)
}

/// Whether `path` is one of the `others`, by whatever name.
pub(crate) fn is_one_of(path: &Path, others: &[PathBuf]) -> bool {
    path.canonicalize().is_ok_and(|here| {
        others
            .iter()
            .any(|other| other.canonicalize().is_ok_and(|other| other == here))
    })
}

/// Takes away what is in a file; devices and pipes hold nothing.
pub(crate) fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(())
}

/// Whether the terminal cannot place its cursor.
#[expect(clippy::disallowed_methods, reason = "TERM is read beside NO_COLOR")]
pub(crate) fn terminal_is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|terminal| terminal == "dumb")
}

/// How a report is to look on standard output, which is a terminal or not.
pub(crate) fn look(is_terminal: bool) -> Look {
    if !is_terminal {
        return Look::default();
    }
    let size = ratatui::crossterm::terminal::size();
    Look {
        colour: colour_allowed(),
        columns: size.ok().map(|(columns, _)| usize::from(columns)),
    }
}

/// Whether the user allows colours (no-color.org: any value but an empty one forbids them).
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads NO_COLOR, and TERM beside it"
)]
pub(crate) fn colour_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var("TERM").is_ok_and(|terminal| terminal != "dumb")
}
