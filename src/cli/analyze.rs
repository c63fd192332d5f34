//! `analyze`: captures in, a report out.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dpiscope::capture::{Options, Run};
use dpiscope::detect::Level;
use dpiscope::pipeline::{self, Analysis};
use dpiscope::report::{self, CaptureInput, Input, Report};
use dpiscope::service::Catalogue;

use super::args::{AnalyzeArgs, Format, ReportArgs};
use super::evidence::Evidence;
use super::output::{Output, look};
use super::progress::Progress;
use super::sandbox::{self, Needs};
use super::services::{catalogue, known};
use super::signals::Signals;
use super::tui::{self, Left};
use super::{Exit, Failure, say};

/// Reads the captures, writes the report, says how it went.
pub(crate) fn run(args: &AnalyzeArgs) -> Result<Exit, Failure> {
    let paths: Vec<PathBuf> = args.read.iter().chain(&args.files).cloned().collect();
    refuse_what_cannot_be(args, &paths)?;
    let catalogue = catalogue(args.engine.services.as_deref())?;
    let shape = Shape::new(&args.report, &catalogue)?;
    let output = Output::open(args.report.output.as_deref(), &paths)?;
    let evidence = (args.write.as_deref())
        .map(|path| Evidence::open(path, &paths, args.report.output.as_deref()))
        .transpose()?;
    if args.tui {
        tui::prepare(&args.report)?;
    }
    let options = Options {
        filter: args.filter.clone(),
        count: args.count,
        // as tcpdump and tshark have it, 0 is all
        snap_length: args.snap_length.filter(|most| *most > 0),
        hash: args.hash,
    };
    let signals = Signals::listen()
        .map_err(|error| Failure::refused(format!("cannot listen for signals: {error}")))?;
    let settings = args.engine.settings(args.report.flows);
    if !args.no_sandbox {
        let needs = Needs {
            read: readable(args, &paths),
            ..Needs::default()
        };
        sandbox::enter_and_tell(&needs, args.verbose);
    }
    let (run, unreadable) = Run::open_until(&paths, &options, &signals.stop);
    if run.captures() == 0 {
        let lines: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        return Err(Failure::refused(lines.join("; ")));
    }
    if !args.report.quiet {
        for error in &unreadable {
            say(&format!("dpiscope: not read: {error}"));
        }
    }
    let progress = Progress::start(!args.report.quiet && !args.no_progress);
    let analysis = pipeline::analyze(
        run,
        &settings,
        &catalogue,
        &signals.stop,
        &mut |bytes, total, packets| progress.tell(bytes, total, packets),
    );
    let took = progress.finish();
    if args.verbose {
        tell(&analysis, took);
    }
    if !args.report.quiet {
        warn(&analysis);
    }
    if !args.tui || args.report.to_file() {
        shape.write(&analysis, &output)?;
    }
    let mut missing = 0;
    if let Some(evidence) = &evidence {
        let again = Options {
            hash: false,
            ..options
        };
        let input = shape.input(&analysis);
        let written =
            evidence.write(&Report::new(&input), &input, &paths, &again, &signals.stop)?;
        missing = written.missing;
        if args.verbose {
            say(&format!("dpiscope: {}", evidence.tell(&written)));
        }
        if missing > 0 && !args.report.quiet && signals.came().is_none() {
            say(&format!(
                "dpiscope: {}: {missing} packets that findings cite were not met again; the captures changed while they were read",
                evidence.path().display()
            ));
        }
    }
    if args.tui && tui::show(&shape.input(&analysis), &signals.stop)? == Left::Interrupted {
        signals.interrupt();
    }
    Ok(match signals.came() {
        Some(signal) => Exit::Interrupted(signal),
        None if missing > 0 => Exit::Partial,
        None if is_partial(&analysis) || !unreadable.is_empty() => Exit::Partial,
        None => shape.exit(&analysis),
    })
}

/// What is opened to be read from now on: the captures, and where filters have their words from.
fn readable(args: &AnalyzeArgs, paths: &[PathBuf]) -> Vec<PathBuf> {
    let words = ["/etc/services", "/etc/protocols", "/etc/ethers"];
    let words = args.filter.iter().flat_map(|_| words.map(PathBuf::from));
    paths.iter().cloned().chain(words).collect()
}

fn refuse_what_cannot_be(args: &AnalyzeArgs, paths: &[PathBuf]) -> Result<(), Failure> {
    if paths.is_empty() {
        return Err(Failure::refused(
            "no capture named; give one or more files, or '-' for standard input",
        ));
    }
    let stdin = paths.iter().filter(|path| *path == Path::new("-")).count();
    if stdin > 1 {
        return Err(Failure::refused(
            "standard input ('-') can be read only once",
        ));
    }
    if stdin == 1 && io::stdin().is_terminal() {
        return Err(Failure::refused(
            "standard input is a terminal, not a capture; name a file or pipe a capture in",
        ));
    }
    if args.filter.is_some() && cfg!(not(feature = "live")) {
        return Err(Failure::refused(
            "-f needs libpcap, which this build has not; build with the feature `live`",
        ));
    }
    Ok(())
}

/// What the user wants to see of an analysis, and how.
pub(crate) struct Shape<'a> {
    args: &'a ReportArgs,
    catalogue: &'a Catalogue,
    only: Vec<String>,
}

impl<'a> Shape<'a> {
    /// Looks the service names up.
    pub(crate) fn new(args: &'a ReportArgs, catalogue: &'a Catalogue) -> Result<Self, Failure> {
        let only = known(catalogue, &args.service)?;
        Ok(Self {
            args,
            catalogue,
            only,
        })
    }

    /// What the report is made from.
    fn input<'b>(&'b self, analysis: &'b Analysis) -> Input<'b> {
        let min_level = match (self.args.min_level, self.args.format) {
            (Some(word), _) => word.into(),
            (None, Format::Text) => Level::Likely,
            (None, Format::Json | Format::Ndjson) => Level::Suspected,
        };
        Input {
            min_level,
            flow_table: self.args.flows,
            only: &self.only,
            ..input(analysis, self.catalogue)
        }
    }

    /// Writes the report.
    pub(crate) fn write(&self, analysis: &Analysis, output: &Output) -> Result<(), Failure> {
        let report = Report::new(&self.input(analysis));
        let look = look(output.is_terminal());
        output.write(|out| match self.args.format {
            Format::Text => report::text(&report, look, out),
            Format::Json => report::json(&report, out),
            Format::Ndjson => report::ndjson(&report, out),
        })
    }

    /// Whether `--exit-code` was asked for and met.
    pub(crate) fn exit(&self, analysis: &Analysis) -> Exit {
        let Some(wanted) = self.args.exit_code else {
            return Exit::Done;
        };
        let report = Report::new(&Input {
            min_level: wanted.into(),
            only: &self.only,
            ..input(analysis, self.catalogue)
        });
        if report.findings.is_empty() {
            Exit::Done
        } else {
            Exit::Found
        }
    }
}

/// All of an analysis, as the report takes it.
pub(crate) fn input<'a>(analysis: &'a Analysis, catalogue: &'a Catalogue) -> Input<'a> {
    Input {
        captures: analysis
            .captures
            .iter()
            .map(|capture| CaptureInput {
                file: &capture.file,
                duplicates: capture.duplicates,
                undecoded: &capture.undecoded,
            })
            .collect(),
        around: &analysis.around,
        flows: &analysis.flows,
        assessment: &analysis.assessment,
        catalogue,
        evicted_flows: analysis.evicted_flows,
        evicted_tcp_flows: analysis.evicted_tcp_flows,
        evicted_fragments: analysis.evicted_fragments,
        min_level: Level::Suspected,
        flow_table: false,
        interrupted: analysis.interrupted,
        only: &[],
        ids: None,
        past: None,
    }
}

/// The name under which packets of a link type that is not read are counted.
const LINK_TYPE: &str = dpiscope::decode::Undecoded::LinkType.name();

/// Whether something was lost on the way: damage, packets that the capture says are missing, a link type that is not read, a limit.
pub(crate) fn is_partial(analysis: &Analysis) -> bool {
    analysis.evicted_flows + analysis.evicted_fragments > 0
        || analysis.captures.iter().any(|capture| {
            capture.file.truncated
                || capture.file.dropped.is_some_and(|dropped| dropped > 0)
                || capture
                    .undecoded
                    .get(LINK_TYPE)
                    .is_some_and(|packets| *packets > 0)
        })
}

/// Warnings, one line each.
fn warn(analysis: &Analysis) {
    for capture in &analysis.captures {
        let path = &capture.file.path;
        for warning in &capture.file.warnings {
            say(&format!("dpiscope: {path}: {warning}"));
        }
        if capture.file.truncated && capture.file.warnings.is_empty() {
            say(&format!(
                "dpiscope: {path}: damaged or cut short; everything before that was read"
            ));
        }
        if let Some(dropped) = capture.file.dropped.filter(|dropped| *dropped > 0) {
            say(&format!(
                "dpiscope: {path}: states that {dropped} packets were lost while it was taken"
            ));
        }
        if let Some(packets) = capture
            .undecoded
            .get(LINK_TYPE)
            .filter(|packets| **packets > 0)
        {
            say(&format!(
                "dpiscope: {path}: {packets} packets of a link type that is not read (the file has {})",
                capture.file.link_types.join(", ")
            ));
        }
    }
    if analysis.evicted_flows > 0 {
        say(&format!(
            "dpiscope: {} flows were dropped for want of room; a larger --max-flows keeps them",
            analysis.evicted_flows
        ));
    }
    if analysis.evicted_fragments > 0 {
        say(&format!(
            "dpiscope: {} fragmented datagrams were dropped for want of room",
            analysis.evicted_fragments
        ));
    }
}

/// What was read and how fast.
fn tell(analysis: &Analysis, took: std::time::Duration) {
    let mut packets = 0;
    for capture in &analysis.captures {
        packets += capture.file.packets;
        say(&format!(
            "dpiscope: {}: {}, {} packets, {} bytes on the wire",
            capture.file.path, capture.file.format, capture.file.packets, capture.file.bytes
        ));
        for (reason, packets) in &capture.undecoded {
            say(&format!(
                "dpiscope: {}: {packets} packets not decoded: {reason}",
                capture.file.path
            ));
        }
    }
    let seconds = took.as_secs_f64();
    say(&format!(
        "dpiscope: {packets} packets and {} flows in {seconds:.3} s, {:.0} packets a second",
        analysis.around.flows.len(),
        packets as f64 / seconds.max(1e-9)
    ));
}

/// Analyses one capture that is already open, without signals and progress.
pub(crate) fn quietly(
    run: Run,
    settings: &pipeline::Settings,
    catalogue: &Arc<Catalogue>,
) -> Analysis {
    let never = std::sync::atomic::AtomicBool::new(false);
    pipeline::analyze(run, settings, catalogue, &never, &mut |_, _, _| {})
}
