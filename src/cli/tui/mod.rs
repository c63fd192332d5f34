//! The terminal view (`--tui`): what a run has found, to walk through with keys while it goes on.
//!
//! **Takes** reports of a run, as they are written otherwise, and keys. **Gives** frames, and how the user left. **Keeps** the last report, with at
//! most [`MOST_FLOWS`] flows of a service, and where the user is. **Knows nothing of** stages: what it shows was said by a report.
//!
//! The state is a function of reports and keys ([`state`]), a frame is a function of the state ([`screens`]); only [`terminal`] touches the world. A run that goes on
//! leaves its last report in an [`Inbox`] and never waits for whoever looks at it.

mod canvas;
mod keys;
mod list;
#[cfg(feature = "live")]
mod meter;
mod screens;
mod state;
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use dpiscope::report::{Input, Report, recent_flows};
use dpiscope::service::{Catalogue, ServiceId};

use super::Failure;
use super::args::ReportArgs;
use state::{Outcome, Snapshot};
use traffic::Rows;

#[cfg(feature = "live")]
mod watch;
#[cfg(feature = "live")]
pub(crate) use watch::Watch;

/// Flows of a service that are listed.
const MOST_FLOWS: usize = 200;

/// Findings that are listed, the last ones.
const MOST_FINDINGS: usize = 1_000;

/// How the user left the view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Left {
    /// Having seen enough, or because the run was stopped.
    Quietly,
    /// With Ctrl-C.
    Interrupted,
}

impl From<Outcome> for Left {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Interrupt => Self::Interrupted,
            Outcome::Stay | Outcome::Redraw | Outcome::Quit => Self::Quietly,
        }
    }
}

/// Refuses where there is no terminal, or where it is to have something else as well; must be called before the sandbox is entered.
pub(crate) fn prepare(report: &ReportArgs) -> Result<(), Failure> {
    if let Some(words) = report.against_view() {
        return Err(Failure::refused(format!(
            "--tui and {words} both want the terminal; -o FILE writes the report to a file beside the view"
        )));
    }
    terminal::prepare()
}

/// Shows the analysis of files until the user has seen enough, or `stop` is set.
pub(crate) fn show(input: &Input<'_>, stop: &AtomicBool) -> Result<Left, Failure> {
    let mut shot = Some(of_file(input));
    terminal::attend(stop, &mut || shot.take())
        .map(Left::from)
        .map_err(|error| refused(&error))
}

fn refused(error: &std::io::Error) -> Failure {
    Failure::refused(format!("--tui: the terminal is gone: {error}"))
}

/// What is shown of files.
fn of_file(input: &Input<'_>) -> Snapshot {
    let catalogue = input.catalogue;
    let rows = traffic::of_file(input.around, input.flows, &|service| {
        row_of(catalogue, service)
    });
    let report = report(input);
    let paths: Vec<&str> = (report.captures.iter())
        .map(|capture| capture.path.as_str())
        .collect();
    let source = match paths[..] {
        [first, .., _] => format!("{first} and {} more", paths.len() - 1),
        [path] => path.to_owned(),
        [] => String::new(),
    };
    Snapshot {
        traffic: by_word(rows, catalogue),
        source,
        live: None,
        news: Vec::new(),
        report,
    }
}

/// A report with as much of the flow table as is listed.
fn report(input: &Input<'_>) -> Report {
    let mut report = Report::new(&Input {
        flow_table: false,
        ..input.clone()
    });
    report.flows = recent_flows(input, MOST_FLOWS);
    keep_last(&mut report);
    report
}

fn keep_last(report: &mut Report) {
    let surplus = report.findings.len().saturating_sub(MOST_FINDINGS);
    report.findings.drain(..surplus);
}

/// The row of the table of services that a service's flows are in: all controls make one.
fn row_of(catalogue: &Catalogue, service: u16) -> u16 {
    if catalogue.is_messenger(ServiceId(service)) {
        service
    } else {
        ServiceId::CONTROL.0
    }
}

fn by_word(rows: Rows, catalogue: &Catalogue) -> BTreeMap<String, traffic::Traffic> {
    (rows.into_iter())
        .map(|(service, traffic)| (catalogue.service(ServiceId(service)).id.clone(), traffic))
        .collect()
}
