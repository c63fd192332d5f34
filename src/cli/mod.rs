//! The commands: what a user types, and what the shell gets back.
//!
//! **Takes** arguments, signals and streams. **Gives** reports on stdout, everything else on stderr, and an exit code. **Keeps** nothing.
//! **Knows nothing of** packets.

mod analyze;
mod args;
mod check;
mod demo;
mod evidence;
mod expect;
mod explain;
mod interfaces;
#[cfg(feature = "live")]
mod live;
#[cfg(feature = "live")]
mod metrics;
mod near;
mod output;
mod progress;
mod sandbox;
#[cfg(feature = "live")]
mod saver;
mod services;
mod shell;
mod signals;
#[cfg(feature = "live")]
mod stream;
mod tui;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use args::{Arguments, Command};

/// How a command ended, apart from failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// It ran to the end.
    Done,
    /// `--exit-code` was asked for and met, or `check` found a difference.
    Found,
    /// A partial result: damage, loss, a limit.
    Partial,
    /// A signal came; its number.
    Interrupted(u8),
}

impl Exit {
    /// The contract's exit code.
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
            Self::Partial => 3,
            // A shell's own convention: 128 and the signal's number.
            Self::Interrupted(signal) => 128 + signal,
        }
    }
}

/// Why a command could not do its work: one line that says what was met and what to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Said on stderr; exit 2.
    Refused(String),
    /// The reader of our output went away; ends quietly.
    PipeClosed,
}

impl Failure {
    /// Refuses with a line of words.
    pub(crate) fn refused(words: impl Into<String>) -> Self {
        Self::Refused(words.into())
    }
}

/// Runs the command that the arguments ask for.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_arguments(&error),
    };
    let outcome = match arguments.command {
        Command::Analyze(args) => analyze::run(&args),
        #[cfg(feature = "live")]
        Command::Live(args) => live::run(&args),
        #[cfg(not(feature = "live"))]
        Command::Live(_) => Err(Failure::refused(
            "this build has no libpcap and reads files only; build with the feature `live`",
        )),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Services(args) => services::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Interfaces => interfaces::run(),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man => shell::man(),
    };
    match outcome {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(Failure::Refused(words)) => {
            say(&format!("dpiscope: {words}"));
            ExitCode::from(2)
        }
    }
}

/// Help and version go where they were asked for; a usage error is one line.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // The reader may have closed the pipe, which is no error of ours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let mut words: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        words.extend(line.split_whitespace());
    }
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    say(&format!("dpiscope: {line}; see --help"));
    ExitCode::from(2)
}

/// One line on stderr. That nobody reads stderr any more is no reason to stop.
pub(crate) fn say(line: &str) {
    let mut clean: String = line
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    clean.push('\n');
    let _ = std::io::stderr().lock().write_all(clean.as_bytes());
}
