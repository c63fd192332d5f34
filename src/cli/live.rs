//! `live`: interfaces in, events out, and a report at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpiscope::capture::{
    Batch, CaptureError, CaptureFile, CaptureInterface, Listener, LiveOptions, Options, Packet, Run,
};
use dpiscope::detect::Level;
use dpiscope::pipeline::Settings;
use dpiscope::pipeline::live::{self, Change, Control, Ears, Sight, Status};
use dpiscope::report::{self, Finding, Ids, Input, Look, Report};
use dpiscope::service::{Catalogue, ServiceId};
use dpiscope::types::Timestamp;
use serde::Serialize;

use super::analyze::{input, is_partial};
use super::args::{Format, LiveArgs};
use super::evidence::Evidence;
use super::metrics::Metrics;
use super::output::look;
use super::sandbox::{self, Needs};
use super::saver::{Kept, Saver};
use super::services::{catalogue, known};
use super::signals::{Requests, Signals};
use super::stream::{Rotation, Stream};
use super::tui::{self, Left, Watch};
use super::{Exit, Failure, say};

/// Most flows held at once unless told otherwise (the contract).
const MAX_FLOWS: usize = 1_000_000;

/// Findings that are kept to be shown in the report at the end; the earliest go first, which every event stream has had.
const MOST_FINDINGS: usize = 10_000;

/// Listens until a signal comes, writes events as they become due, and the report at the end.
pub(crate) fn run(args: &LiveArgs) -> Result<Exit, Failure> {
    let catalogue = catalogue(args.engine.services.as_deref())?;
    let only = known(&catalogue, &args.report.service)?;
    let rotation = Rotation::new(&args.rotate)?;
    let document = args.report.format == Format::Json;
    let stream = Stream::open(args.report.output.as_deref(), rotation, document, clock())?;
    let cannot_listen =
        |error: io::Error| Failure::refused(format!("cannot listen for signals: {error}"));
    let signals = if args.tui {
        tui::prepare(&args.report)?;
        Signals::listen_gently()
    } else {
        Signals::listen()
    };
    let signals = signals.map_err(cannot_listen)?;
    let requests = Requests::listen().map_err(cannot_listen)?;
    let mut settings = args.engine.settings(args.report.flows);
    if args.engine.max_flows.is_none() {
        settings.max_flows = MAX_FLOWS;
    }
    let mut metrics = (args.metrics.as_deref()).map(Metrics::bind).transpose()?;
    let evidence = (args.write.as_deref())
        .map(|path| Evidence::open_for_one_reading(path, &args.read, args.report.output.as_deref()))
        .transpose()?;
    let input = Packets::open(args, &signals.stop)?;
    let kept = Kept::new(args.evidence_buffer);
    let mut desk = Events::new(args, &catalogue, &only, stream, &signals.stop, &requests);
    // Whatever needs a privilege is open now, and no packet has been looked at.
    if !args.no_sandbox {
        sandbox::enter_and_tell(&needs(args), args.verbose);
    }
    if let Some(metrics) = &mut metrics {
        if let (Some(place), false) = (metrics.place(), args.report.quiet) {
            say(&format!("dpiscope: metrics at http://{place}/metrics"));
        }
        metrics.serve();
    }
    desk.metrics = metrics;
    if args.tui {
        desk.view = Some(Watch::start(source(args), &signals.stop, &signals.last)?);
    }
    desk.saver = (evidence.map(|evidence| Saver::begin(&kept, evidence))).transpose()?;
    let analysis = input.judge(&settings, &catalogue, &mut desk, &kept);
    if let Some(view) = desk.view.take()
        && view.end()? == Left::Interrupted
    {
        signals.interrupt();
    }
    if let Some(failure) = desk.failure {
        return Err(failure);
    }
    // what the view had the place of
    let held = std::mem::take(&mut desk.held);
    desk.stream.write(&held, clock())?;
    if let (Some(words), false) = (&desk.saved, args.report.quiet) {
        say(&format!("dpiscope: {words}"));
    }
    let found = args.report.exit_code.is_some_and(|wanted| {
        let wanted = Level::from(wanted);
        desk.standing
            .values()
            .any(|finding| finding.level >= wanted)
    });
    Ok(match signals.came() {
        Some(signal) => Exit::Interrupted(signal),
        None if is_partial(&analysis) || desk.unjudged > 0 => Exit::Partial,
        None if found => Exit::Found,
        None => Exit::Done,
    })
}

/// What will be opened from now on.
fn needs(args: &LiveArgs) -> Needs {
    // drop counts and flags of interfaces; the former leads to the latter
    let system = ["/sys/class/net", "/sys/devices"].map(PathBuf::from);
    let output = args.report.output.clone();
    Needs {
        read: args.read.iter().cloned().chain(system).collect(),
        output: output.filter(|path| path != Path::new("-")),
        leave_root: args.read.is_empty(),
        serve: args.metrics.is_some(),
    }
}

/// What is listened to or read, in words.
fn source(args: &LiveArgs) -> String {
    let paths = args.read.iter().map(|path| path.display().to_string());
    let names: Vec<String> = args.interfaces.iter().cloned().chain(paths).collect();
    names.join(", ")
}

/// Where packets come from.
enum Packets<'a> {
    Interfaces(&'a LiveArgs, Vec<Listener>),
    Captures(Run),
}

impl<'a> Packets<'a> {
    fn open(args: &'a LiveArgs, stop: &Arc<AtomicBool>) -> Result<Self, Failure> {
        if args.interfaces.is_empty() {
            return Self::rehearsal(args, stop);
        }
        let options = LiveOptions {
            filter: args.filter.clone(),
            snap_length: args.snap_length.filter(|most| *most > 0),
            buffer_kib: args.buffer_kib,
            promiscuous: args.promiscuous,
            immediate: args.immediate_mode,
        };
        let listeners = (0..)
            .zip(&args.interfaces)
            .map(|(place, name)| Listener::open(name, &options, place))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refused(&error))?;
        if !args.report.quiet {
            for listener in &listeners {
                let link_types = listener.facts().link_types.join(", ");
                say(&format!(
                    "dpiscope: listening on {} ({link_types})",
                    listener.name()
                ));
            }
        }
        Ok(Self::Interfaces(args, listeners))
    }

    fn rehearsal(args: &LiveArgs, stop: &Arc<AtomicBool>) -> Result<Self, Failure> {
        let options = Options {
            filter: args.filter.clone(),
            count: args.count,
            snap_length: args.snap_length.filter(|most| *most > 0),
            hash: false,
        };
        let (run, unreadable) = Run::open_until(&args.read, &options, stop);
        if let Some(error) = unreadable.first() {
            return Err(Failure::refused(error.to_string()));
        }
        Ok(Self::Captures(run))
    }

    fn judge(
        self,
        settings: &Settings,
        catalogue: &Catalogue,
        desk: &mut Events<'_>,
        kept: &Kept,
    ) -> dpiscope::pipeline::Analysis {
        let least = desk.least.min(Level::Likely);
        let stop = desk.stop;
        let keeps = desk.saver.is_some();
        let tap = &mut |batch: &Batch, describe: &dyn Fn(&Packet) -> Option<CaptureInterface>| {
            if keeps {
                kept.push(batch, describe);
            }
        };
        let see = &mut |sight: &Sight<'_>| desk.see(sight);
        match self {
            Self::Captures(run) => {
                live::rehearse_and_keep(run, settings, catalogue, least, tap, see)
            }
            Self::Interfaces(args, listeners) => {
                let ears = Ears::new(listeners, args.count, &clock);
                let mut ears = Tapped { source: ears, tap };
                let control = Control {
                    least,
                    stop,
                    clock: &clock,
                };
                live::run(&mut ears, settings, catalogue, control, see)
            }
        }
    }
}

/// Interfaces whose packets somebody else sees as well.
struct Tapped<'t, 'a> {
    source: Ears<'a>,
    tap: &'t mut live::Tap<'a>,
}

impl live::Source for Tapped<'_, '_> {
    fn next(&mut self, batch: &mut Batch) -> live::Next {
        let next = self.source.next(batch);
        if !batch.packets.is_empty() {
            let source = &self.source;
            (self.tap)(batch, &|packet| {
                let file = source.files();
                let name = &file.get(usize::from(packet.frame.capture()))?.path;
                Some(CaptureInterface {
                    link: packet.link,
                    snap_length: 0,
                    options: vec![(OPTION_NAME, name.clone().into_bytes())],
                })
            });
        }
        next
    }

    fn wait(&mut self) {
        self.source.wait();
    }

    fn files(&self) -> Vec<CaptureFile> {
        self.source.files()
    }

    fn interfaces(&mut self) -> Vec<live::InterfaceStatus> {
        self.source.interfaces()
    }

    fn losses(&mut self) -> Vec<dpiscope::facts::Loss> {
        self.source.losses()
    }

    fn news(&mut self) -> Vec<String> {
        self.source.news()
    }
}

/// An interface's name (draft-ietf-opsawg-pcapng, section 4.2, `if_name`).
const OPTION_NAME: u16 = 2;

/// The clock that the kernel stamps packets with.
#[expect(
    clippy::disallowed_methods,
    reason = "a live run is driven by the clock that stamps its packets; here it is read, and handed to the engine as one more input"
)]
fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.unwrap_or_default().as_nanos();
    Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Adds what to do.
fn refused(error: &CaptureError) -> Failure {
    let words = match error {
        CaptureError::NotPermitted { .. } => {
            let program = std::env::current_exe()
                .map_or_else(|_| "dpiscope".to_owned(), |path| path.display().to_string());
            format!("{error}; allow it with: sudo setcap cap_net_raw+ep {program}")
        }
        other => other.to_string(),
    };
    Failure::refused(words)
}

/// Writes events as they become due.
struct Events<'a> {
    args: &'a LiveArgs,
    catalogue: &'a Catalogue,
    only: &'a [String],
    stream: Stream,
    stop: &'a AtomicBool,
    requests: &'a Requests,
    least: Level,
    /// Findings that were told and stand, as they were last told.
    standing: BTreeMap<u64, Finding>,
    /// Flows that were told.
    flows: BTreeSet<u64>,
    due: Option<Timestamp>,
    memory: Memory,
    metrics: Option<Metrics>,
    view: Option<Watch>,
    saver: Option<Saver<'a>>,
    /// What the evidence file holds, at the end.
    saved: Option<String>,
    /// What is written once the view gives the terminal back.
    held: Vec<u8>,
    unjudged: u64,
    failure: Option<Failure>,
}

/// A finding that is no longer upheld.
#[derive(Serialize)]
struct Withdrawn<'a> {
    id: u64,
    time: Timestamp,
    why: &'a str,
}

/// What `stats` has beside what it has of files.
#[derive(Serialize)]
struct Stats {
    live: LiveStats,
}

/// What `stats` says of a live run beyond what a document says.
#[derive(Serialize)]
struct LiveStats {
    time: Timestamp,
    dropped_by_kernel: u64,
    dropped_by_interface: u64,
    dropped_by_us: u64,
    seen_share: f64,
    held_flows: u64,
    judged_flows: u64,
    unjudged_flows: u64,
    memory_bytes: Option<u64>,
    lag_s: f64,
    assessment_s: f64,
}

impl<'a> Events<'a> {
    fn new(
        args: &'a LiveArgs,
        catalogue: &'a Catalogue,
        only: &'a [String],
        stream: Stream,
        stop: &'a AtomicBool,
        requests: &'a Requests,
    ) -> Self {
        let least = match (args.report.min_level, args.report.format) {
            (Some(word), _) => word.into(),
            (None, Format::Text) => Level::Likely,
            (None, Format::Json | Format::Ndjson) => Level::Suspected,
        };
        Self {
            args,
            catalogue,
            only,
            stream,
            stop,
            requests,
            least,
            standing: BTreeMap::new(),
            flows: BTreeSet::new(),
            due: None,
            memory: Memory::open(),
            metrics: None,
            view: None,
            saver: None,
            saved: None,
            held: Vec::new(),
            unjudged: 0,
            failure: None,
        }
    }

    /// Looks at an assessment and writes what is due.
    fn see(&mut self, sight: &Sight<'_>) {
        if self.failure.is_some() {
            return;
        }
        self.unjudged = sight.status.unjudged_flows;
        if let Some(metrics) = &mut self.metrics {
            metrics.renew(sight.status, self.memory.bytes(), self.catalogue);
        }
        let outcome = (self.answer(sight))
            .and_then(|()| self.events(sight))
            .and_then(|()| self.save(sight));
        self.show(sight);
        if let Err(failure) = outcome {
            self.failure = Some(failure);
            self.stop.store(true, Ordering::SeqCst);
        }
    }

    /// Saves packets that are let go of and that findings rest on.
    fn save(&mut self, sight: &Sight<'_>) -> Result<(), Failure> {
        let Some(mut saver) = self.saver.take() else {
            return Ok(());
        };
        let now = sight.status.now;
        for change in sight.changes {
            if let Change::Withdrawn { id, why } = change
                && let Some(words) = saver.withdraw(*id, now, why)
                && !self.args.report.quiet
            {
                self.tell(&words);
            }
        }
        if sight.over || saver.is_due(now) {
            let input = self.input(sight);
            let report = Report::new(&input);
            saver.save((&report, &input), now, sight.over)?;
        }
        if sight.over {
            self.saved = Some(saver.finish()?);
        } else {
            self.saver = Some(saver);
        }
        Ok(())
    }

    /// Has the view show it, where there is one and it is time.
    fn show(&mut self, sight: &Sight<'_>) {
        let begun = clock();
        let Some(mut view) = self.view.take_if(|view| view.is_due(begun, sight.over)) else {
            return;
        };
        let memory = self.memory.bytes();
        let standing = self.standing.values();
        view.see(sight, &self.input(sight), self.catalogue, memory, standing);
        view.rest(begun, clock());
        self.view = Some(view);
    }

    /// Says a line on stderr; where a view has the terminal, in its place.
    fn tell(&self, line: &str) {
        if let Some(view) = &self.view {
            view.say(line);
        }
        if self.view.is_none() || !io::stderr().is_terminal() {
            say(&format!("dpiscope: {line}"));
        }
    }

    /// Does what signals asked for, and passes news on.
    fn answer(&mut self, sight: &Sight<'_>) -> Result<(), Failure> {
        if !self.args.report.quiet {
            for line in sight.news {
                self.tell(line);
            }
        }
        if self.requests.status() {
            self.tell_status(sight.status);
        }
        if self.requests.reopen() {
            self.stream.reopen(sight.status.now)?;
        }
        Ok(())
    }

    fn events(&mut self, sight: &Sight<'_>) -> Result<(), Failure> {
        let now = sight.status.now;
        let every = i64::from(self.args.every) * 1_000_000_000;
        let due = every > 0 && self.due.is_some_and(|due| now >= due);
        if due || self.due.is_none() {
            self.due = Some(now.plus(every.max(1)));
        }
        let flows = self.args.report.flows && self.args.report.format == Format::Ndjson;
        if sight.changes.is_empty() && !due && !sight.over && !flows {
            return Ok(());
        }
        let mut report = self.report(sight);
        let look = look(self.stream.is_terminal());
        let mut out = Vec::new();
        let written = match self.args.report.format {
            Format::Text => self.write_text(&mut report, sight, look, due, &mut out),
            Format::Ndjson => self.write_ndjson(&report, sight, due, &mut out),
            Format::Json => {
                self.settle(&report, sight);
                self.complete(&mut report);
                if sight.over {
                    report::json(&report, &mut out)
                } else {
                    Ok(())
                }
            }
        };
        // memory takes it all
        written.map_err(|error| Failure::refused(error.to_string()))?;
        if due && self.args.verbose {
            self.tell_status(sight.status);
        }
        if self.view.is_some() && !self.args.report.to_file() {
            // the view shows what happens; the report at the end must not be lost with it
            self.held = if sight.over { out } else { Vec::new() };
            return Ok(());
        }
        self.stream.write(&out, now)
    }

    fn report(&self, sight: &Sight<'_>) -> Report {
        Report::new(&self.input(sight))
    }

    fn input<'s>(&'s self, sight: &Sight<'s>) -> Input<'s> {
        Input {
            min_level: self.least,
            flow_table: self.args.report.flows,
            only: self.only,
            ids: Some(Ids {
                flows: sight.flow_ids,
                findings: sight.finding_ids,
            }),
            past: Some(sight.past),
            ..input(sight.analysis, self.catalogue)
        }
    }

    /// Brings what stands up to date; gives the numbers of findings that are to be told, and of those to be taken back with the reason.
    fn settle<'s>(
        &mut self,
        report: &Report,
        sight: &Sight<'s>,
    ) -> (Vec<u64>, Vec<(u64, &'s str)>) {
        let (mut tell, mut withdraw) = (Vec::new(), Vec::new());
        for change in sight.changes {
            match change {
                Change::New { id, .. } | Change::Renewed { id, .. } => {
                    if report.findings.iter().any(|finding| finding.id == *id) {
                        tell.push(*id);
                    }
                }
                Change::Withdrawn { id, why } => {
                    if self.standing.remove(id).is_some() {
                        if let Some(view) = &self.view {
                            let now = sight.status.now;
                            view.say(&format!("finding {id} withdrawn at {now}: {why}"));
                        }
                        withdraw.push((*id, why.as_str()));
                    }
                }
            }
        }
        // the last word on each, as long as its flows are held
        for finding in &report.findings {
            if tell.contains(&finding.id) || self.standing.contains_key(&finding.id) {
                self.standing.insert(finding.id, finding.clone());
            }
        }
        while self.standing.len() > MOST_FINDINGS {
            self.standing.pop_first();
        }
        (tell, withdraw)
    }

    /// Adds findings that were told and whose flows are not held any more.
    fn complete(&self, report: &mut Report) {
        let held: BTreeSet<u64> = report.findings.iter().map(|finding| finding.id).collect();
        let gone = (self.standing.values()).filter(|finding| !held.contains(&finding.id));
        report.findings.extend(gone.cloned());
        report
            .findings
            .sort_by_key(|finding| (finding.time, finding.id));
    }

    fn write_text(
        &mut self,
        report: &mut Report,
        sight: &Sight<'_>,
        look: Look,
        due: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let known: BTreeMap<u64, _> = (self.standing.iter())
            .map(|(id, finding)| (*id, finding.mechanism))
            .collect();
        let (tell, withdraw) = self.settle(report, sight);
        let tell_withdrawn = |out: &mut dyn Write| -> io::Result<()> {
            for (id, why) in &withdraw {
                writeln!(out, "\n{id:>2}. withdrawn at {}: {why}", sight.status.now)?;
            }
            Ok(())
        };
        if sight.over {
            tell_withdrawn(out)?;
            self.complete(report);
            writeln!(out)?;
            return report::text(report, look, out);
        }
        for finding in &report.findings {
            // a higher level alone is no news for people
            if tell.contains(&finding.id) && known.get(&finding.id) != Some(&finding.mechanism) {
                report::text_finding(report, finding, look, out)?;
            }
        }
        tell_withdrawn(out)?;
        if due && !report.services.is_empty() {
            writeln!(out, "\n{}", sight.status.now)?;
            report::text_services(report, look, out)?;
        }
        Ok(())
    }

    fn write_ndjson(
        &mut self,
        report: &Report,
        sight: &Sight<'_>,
        due: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (tell, withdraw) = self.settle(report, sight);
        for finding in &report.findings {
            if tell.contains(&finding.id) {
                report::event(out, "finding", finding)?;
            }
        }
        for (id, why) in withdraw {
            let time = sight.status.now;
            report::event(out, "finding_withdrawn", &Withdrawn { id, time, why })?;
        }
        if self.args.report.flows {
            self.write_flows(report, sight, out)?;
        }
        if due || sight.over {
            for service in &report.services {
                report::event(out, "service", service)?;
            }
            for note in &report.notes {
                report::event(out, "note", note)?;
            }
            if sight.over {
                for capture in &report.captures {
                    report::event(out, "capture", capture)?;
                }
            }
            let stats = Stats {
                live: self.stats(sight.status),
            };
            report::stats(report, Some(&stats), out)?;
        }
        Ok(())
    }

    /// Writes flows that ended, each once; at the end those that did not.
    fn write_flows(
        &mut self,
        report: &Report,
        sight: &Sight<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for flow in &report.flows {
            let ended = sight.ended.contains(&flow.id) || sight.over;
            if ended && self.flows.insert(flow.id) {
                report::event(out, "flow", flow)?;
            }
        }
        let held: BTreeSet<u64> = sight.flow_ids.iter().copied().collect();
        self.flows.retain(|id| held.contains(id));
        Ok(())
    }

    fn stats(&mut self, status: &Status) -> LiveStats {
        let sum = |of: fn(&live::InterfaceStatus) -> u64| status.interfaces.iter().map(of).sum();
        LiveStats {
            time: status.now,
            dropped_by_kernel: sum(|one| one.dropped_by_kernel),
            dropped_by_interface: sum(|one| one.dropped_by_interface),
            dropped_by_us: status.dropped_by_us,
            seen_share: (status.seen_share() * 1e6).round() / 1e6,
            held_flows: status.flows,
            judged_flows: status.judged_flows,
            unjudged_flows: status.unjudged_flows,
            memory_bytes: self.memory.bytes(),
            lag_s: (status.lag_ns as f64 / 1e6).round() / 1e3,
            assessment_s: (status.assessment_ns as f64 / 1e3).round() / 1e6,
        }
    }

    /// The status, in a few lines on stderr.
    fn tell_status(&mut self, status: &Status) {
        self.tell(&format!(
            "at {}: {} packets, {} bytes, {} dropped; verdicts rest on {:.2} % of the packets",
            status.now,
            status.packets(),
            status.bytes(),
            status.dropped(),
            100.0 * status.seen_share()
        ));
        for one in &status.interfaces {
            self.tell(&format!(
                "{}: {}, {} packets, dropped {} by the kernel, {} by the interface",
                one.name,
                if one.open { "listening" } else { "lost" },
                one.packets,
                one.dropped_by_kernel,
                one.dropped_by_interface
            ));
        }
        let memory = self.memory.bytes().map_or_else(
            || "unknown".to_owned(),
            |bytes| format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        );
        self.tell(&format!(
            "{} flows seen, {} in the table, {} held to be judged, {} evicted; memory {memory}; {:.3} s behind, the last assessment took {:.3} s",
            status.all_flows,
            status.flows,
            status.judged_flows,
            status.evicted_flows.0,
            status.lag_ns as f64 / 1e9,
            status.assessment_ns as f64 / 1e9
        ));
        for ((service, kind), count) in &status.findings {
            self.tell(&format!(
                "{}: {count} x {}",
                self.catalogue.service(ServiceId(*service)).name,
                word(*kind)
            ));
        }
    }
}

/// The contract's word for a kind.
pub(crate) const fn word(kind: dpiscope::detect::Kind) -> &'static str {
    match kind {
        dpiscope::detect::Kind::RstInjection => "rst_injection",
        dpiscope::detect::Kind::Blackholing => "blackholing",
        dpiscope::detect::Kind::BandwidthShaping => "bandwidth_shaping",
    }
}

/// How much memory this process holds, as Linux says; the file is opened once, while it may be.
struct Memory(Option<File>);

impl Memory {
    fn open() -> Self {
        Self(File::open("/proc/self/status").ok())
    }

    fn bytes(&mut self) -> Option<u64> {
        let file = self.0.as_mut()?;
        file.rewind().ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    }
}
