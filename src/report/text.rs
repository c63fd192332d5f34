//! The report for people: findings first, to be pasted anywhere at 100 columns.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::application::{Application, HostSource};
use crate::detect::{Judgement, Kind, Level, Mechanism, Parameter};
use crate::facts::{End, Vantage};
use crate::service::Class;
use crate::types::{Address, Protocol, Timestamp};

use super::filter::{list, runs, short_filter};
use super::model::{
    Capture, DnsOutcome, Ends, Evidence, Finding, Flow, Report, Service, Verdict, nine_digits,
};
use super::wrap::{WIDTH, clean, wrapped_to};

/// How a text report looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Whether terminal colours are wanted.
    pub colour: bool,
    /// Columns of the terminal that it is for; where there is none, or it has room for more, [`WIDTH`].
    pub columns: Option<usize>,
}

impl Look {
    /// Columns to write in. A terminal too narrow for the table of services breaks its lines itself.
    fn width(self) -> usize {
        /// What the table takes.
        const LEAST: usize = 76;
        self.columns
            .map_or(WIDTH, |columns| columns.clamp(LEAST, WIDTH))
    }
}

/// Writes the report for people.
pub fn text(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(look.width());
    page.result(report);
    page.services(report);
    page.findings(report);
    page.context(report);
    page.flows(report);
    page.captures(report);
    page.write(look, out)
}

/// Writes one finding of a report for people.
pub fn text_finding(
    report: &Report,
    finding: &Finding,
    look: Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(look.width());
    page.end_line();
    page.finding(report, finding);
    page.write(look, out)
}

/// Writes the table of services for people.
pub fn text_services(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(look.width());
    page.services(report);
    page.write(look, out)
}

/// A line for people, cleaned of what a terminal obeys: its parts, and how they are to look.
pub type Line = Vec<(Paint, String)>;

/// What came out, in lines of at most `width` columns: the sentences above the report's tables.
#[must_use]
pub fn result_lines(report: &Report, width: usize) -> Vec<Line> {
    let mut page = Page::new(width);
    page.result(report);
    page.lines
}

/// One finding of a report with all that speaks for and against it, in lines of at most `width` columns.
#[must_use]
pub fn finding_lines(report: &Report, finding: &Finding, width: usize) -> Vec<Line> {
    let mut page = Page::new(width);
    page.finding(report, finding);
    page.lines
}

/// One flow, in lines of at most `width` columns.
#[must_use]
pub fn flow_lines(flow: &Flow, width: usize) -> Vec<Line> {
    let mut page = Page::new(width);
    page.flow_in_full(flow);
    page.lines
}

/// What is known of the whole capture beside the findings, in lines of at most `width` columns.
#[must_use]
pub fn context_lines(report: &Report, width: usize) -> Vec<Line> {
    let mut page = Page::new(width);
    page.context(report);
    page.captures(report);
    page.lines
}

/// How words are to look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Paint {
    /// As the terminal has it.
    #[default]
    Plain,
    /// Headings.
    Bold,
    /// Interference.
    Red,
    /// A caution.
    Yellow,
    /// No interference seen.
    Green,
    /// What explains the line above.
    Faint,
}

impl Paint {
    /// Terminal colours (ECMA-48, select graphic rendition).
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Red => "1;31",
            Self::Yellow => "33",
            Self::Green => "32",
            Self::Faint => "2",
        }
    }
}

/// The lines so far. Everything that enters them is cleaned: host names and paths come from outside, and a terminal obeys escape sequences.
struct Page {
    lines: Vec<Line>,
    /// The line that is being written.
    open: Line,
    width: usize,
}

impl Page {
    const fn new(width: usize) -> Self {
        Self {
            lines: Vec::new(),
            open: Vec::new(),
            width,
        }
    }

    fn paint(&mut self, paint: Paint, words: &str) {
        self.open.push((paint, clean(words)));
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.open);
        while let Some((_, words)) = line.last_mut() {
            words.truncate(words.trim_end_matches(' ').len());
            if !words.is_empty() {
                break;
            }
            line.pop();
        }
        self.lines.push(line);
    }

    /// Writes all lines, in colours if they are wanted.
    fn write(&self, look: Look, out: &mut dyn Write) -> io::Result<()> {
        let mut text = String::new();
        for line in &self.lines {
            for (paint, words) in line {
                if look.colour && *paint != Paint::Plain {
                    let _ = write!(text, "\x1b[{}m{words}\x1b[0m", paint.code());
                } else {
                    text.push_str(words);
                }
            }
            text.push('\n');
        }
        out.write_all(text.as_bytes())
    }

    fn heading(&mut self, words: &str) {
        self.end_line();
        self.paint(Paint::Bold, words);
        self.end_line();
    }

    fn wrapped(&mut self, first: &str, words: &str, paint: Paint) {
        for line in wrapped_to(self.width, first, words).lines() {
            self.paint(paint, line);
            self.end_line();
        }
    }

    fn result(&mut self, report: &Report) {
        let hit: Vec<&Service> = rows(report, |verdict| {
            matches!(verdict, Verdict::Interfered | Verdict::Partial)
        });
        let clear: Vec<&Service> = rows(report, |verdict| verdict == Verdict::Clear)
            .into_iter()
            .filter(|row| row.class == Class::Messenger)
            .collect();
        let messenger_flows: u64 = report
            .services
            .iter()
            .filter(|row| row.class == Class::Messenger)
            .map(|row| row.flows)
            .sum();
        if hit.is_empty() {
            let sentence = if !clear.is_empty() {
                "No interference seen in this capture. That does not mean \"not blocked\": only what was tried while the capture ran can show here."
            } else if messenger_flows > 0 {
                "No interference seen in this capture, and none could have been: its messenger traffic is too little, or too incomplete, to judge. That does not mean \"not blocked\"."
            } else if !report.only.is_empty() && report.services.iter().any(|row| row.flows > 0) {
                "No interference seen in this capture with the services asked for. That does not mean \"not blocked\"."
            } else if !report.only.is_empty() {
                "No interference seen in this capture with the services asked for: it holds no connection of theirs to judge. That does not mean \"not blocked\"."
            } else {
                "No interference seen in this capture: there is no messenger connection in it to judge. That does not mean \"not blocked\"."
            };
            self.wrapped("", sentence, Paint::Bold);
        } else {
            let named: Vec<String> = hit
                .iter()
                .map(|row| format!("{} ({})", row.name, kinds(&row.kinds)))
                .collect();
            let sentence = format!("Interference seen: {}.", named.join(", "));
            self.wrapped("", &sentence, Paint::Red);
            if !clear.is_empty() {
                let names: Vec<&str> = clear.iter().map(|row| row.name.as_str()).collect();
                let sentence = format!(
                    "Clear: {}. That means no interference seen in this capture; it does not mean \"not blocked\".",
                    names.join(", ")
                );
                self.wrapped("", &sentence, Paint::Plain);
            }
        }
        if !report.only.is_empty() {
            let sentence = format!("Shown: only {}, as asked for.", report.only.join(", "));
            self.wrapped("", &sentence, Paint::Plain);
        }
        if report.interrupted {
            self.wrapped(
                "",
                "The run was interrupted: this is what the packets read until then show.",
                Paint::Yellow,
            );
        }
        if report.hidden_findings > 0 {
            let sentence = format!(
                "{} below the level shown {}; --min-level suspected shows all.",
                plural(report.hidden_findings, "finding"),
                if report.hidden_findings == 1 {
                    "is hidden"
                } else {
                    "are hidden"
                },
            );
            self.wrapped("", &sentence, Paint::Plain);
        }
    }

    fn services(&mut self, report: &Report) {
        if report.services.is_empty() {
            return;
        }
        self.end_line();
        let head = format!(
            "{:<22}{:>9}{:>10}{:>12}  {:<25}{}",
            "Service", "Flows", "Assessed", "Interfered", "Verdict", "How"
        );
        self.paint(Paint::Bold, &head);
        self.end_line();
        for row in &report.services {
            let cells = format!(
                "{:<22}{:>9}{:>10}{:>12}  ",
                shortened(&clean(&row.name), 21),
                grouped(row.flows),
                grouped(row.assessed_flows),
                grouped(row.interfered_flows),
            );
            self.paint(Paint::Plain, &cells);
            let verdict = match (row.verdict, row.level) {
                (Verdict::Interfered | Verdict::Partial, Some(level)) => {
                    format!("{}, {}", verdict_words(row.verdict), level_word(level))
                }
                (verdict, _) => verdict_words(verdict).to_owned(),
            };
            let paint = match row.verdict {
                Verdict::Interfered | Verdict::Partial => Paint::Red,
                Verdict::Clear => Paint::Green,
                Verdict::TooLittleData | Verdict::NotAssessable => Paint::Plain,
            };
            self.paint(paint, &format!("{verdict:<25}"));
            self.paint(Paint::Plain, &kinds(&row.kinds));
            self.end_line();
        }
    }

    fn findings(&mut self, report: &Report) {
        if report.findings.is_empty() {
            return;
        }
        self.heading(if report.findings.len() == 1 {
            "Finding"
        } else {
            "Findings"
        });
        for finding in &report.findings {
            self.end_line();
            self.finding(report, finding);
        }
    }

    fn finding(&mut self, report: &Report, finding: &Finding) {
        let paint = match finding.level {
            Level::Confirmed | Level::Likely => Paint::Red,
            Level::Suspected => Paint::Yellow,
        };
        let number = format!("{:>2}. ", finding.id);
        let title = format!(
            "{}: {}",
            service_name(report, &finding.service),
            finding.summary
        );
        self.wrapped(&number, &title, paint);
        let what = format!(
            "{}: {} ({}/{})",
            kind_words(finding.kind),
            mechanism_words(finding.mechanism),
            kind_word(finding.kind),
            finding.mechanism.name()
        );
        self.entry("what", &what);
        let level = format!(
            "{} (score {}), {}",
            level_word(finding.level),
            finding.score,
            direction_words(finding.direction)
        );
        self.entry("level", &level);
        self.entry("when", &finding.time.to_string());
        let mut flow = ends_words(&finding.flow);
        if let Some(host) = &finding.host {
            let _ = write!(flow, ", host {host}");
            if let Some(source) = finding.host_source {
                let _ = write!(flow, " ({})", source_words(source));
            }
        }
        self.entry("flow", &flow);
        if finding.flow_ids.len() > 1 {
            let covers = format!(
                "{} flows: {}",
                finding.flow_ids.len(),
                numbers(&finding.flow_ids)
            );
            self.entry("covers", &covers);
        }
        if !finding.parameters.is_empty() {
            let figures: Vec<String> = finding
                .parameters
                .iter()
                .map(|(name, value)| figure(name, value))
                .collect();
            self.entry("figures", &figures.join(", "));
        }
        for supports in [true, false] {
            let facts: Vec<&Evidence> = finding
                .evidence
                .iter()
                .filter(|fact| fact.supports == supports)
                .collect();
            // A fact that two files show is one fact.
            for same in facts.chunk_by(|a, b| (a.rule, &a.text) == (b.rule, &b.text)) {
                self.fact(report, same);
            }
        }
        if !finding.ruled_out.is_empty() {
            let causes: Vec<String> = finding
                .ruled_out
                .iter()
                .map(|cause| cause.replace('_', " "))
                .collect();
            self.entry("it is not", &causes.join(", "));
        }
        let filter = short_filter(&finding.display_filter, self.width.saturating_sub(ENTRY));
        self.entry("wireshark", &filter);
        if let (Some(capture), true) = (
            report.captures.get(usize::from(finding.filter_capture)),
            report.captures.len() > 1,
        ) {
            self.entry("", &format!("in {}", capture.path));
        }
    }

    /// One fact: its words, and the rule, figures and frames below it.
    fn fact(&mut self, report: &Report, same: &[&Evidence]) {
        let Some(fact) = same.first() else {
            return;
        };
        let (mark, paint) = if fact.supports {
            ("    + ", Paint::Plain)
        } else {
            ("    - ", Paint::Faint)
        };
        self.wrapped(mark, &fact.text, paint);
        let mut basis = format!(
            "{}: {}, limit {}",
            fact.rule,
            with_unit(fact.value, fact.unit),
            with_unit(fact.limit, fact.unit)
        );
        for part in same.iter().filter(|part| !part.packets.is_empty()) {
            let _ = write!(basis, "; {}", frames(report, part.capture, &part.packets));
        }
        self.wrapped("        ", &basis, Paint::Faint);
    }

    /// A named line of a finding.
    fn entry(&mut self, name: &str, words: &str) {
        self.wrapped(
            &format!("    {name:<width$}", width = ENTRY - 4),
            words,
            Paint::Plain,
        );
    }

    fn context(&mut self, report: &Report) {
        let dns: Vec<String> = report
            .services
            .iter()
            .filter(|row| row.class == Class::Messenger)
            .flat_map(|row| dns_words(report, row))
            .collect();
        if dns.is_empty() && report.notes.is_empty() {
            return;
        }
        self.heading("Context (not findings)");
        for same in report
            .notes
            .chunk_by(|a, b| (a.note, &a.text) == (b.note, &b.text))
        {
            let shown: Vec<String> = same
                .iter()
                .filter(|note| !note.packets.is_empty())
                .filter_map(|note| Some(frames(report, note.capture?, &note.packets)))
                .collect();
            let mut words = same
                .first()
                .map_or_else(String::new, |note| note.text.clone());
            if !shown.is_empty() {
                let _ = write!(words, " ({})", shown.join("; "));
            }
            self.wrapped("  ", &words, Paint::Plain);
        }
        for words in &dns {
            self.wrapped("  ", words, Paint::Plain);
        }
        if !dns.is_empty() {
            let words = "A name that a resolver does not give leaves no connection to judge: it is stated here and never called blackholing.";
            self.wrapped("  ", words, Paint::Plain);
        }
    }

    fn flows(&mut self, report: &Report) {
        if report.flows.is_empty() {
            return;
        }
        self.heading("Flows");
        for flow in &report.flows {
            let ends = format!(
                "{} {} > {}  {}",
                protocol_word(flow.protocol),
                endpoint(flow.client, flow.client_port),
                endpoint(flow.server, flow.server_port),
                flow.host.as_deref().unwrap_or(""),
            );
            self.wrapped(&format!("{:>7}  ", flow.id), &ends, Paint::Plain);
            self.wrapped("         ", &flow_words(flow), Paint::Faint);
        }
    }

    /// A flow, a named line for each thing that is known of it.
    fn flow_in_full(&mut self, flow: &Flow) {
        let ends = format!(
            "{}, {} {} > {}",
            flow.id,
            protocol_word(flow.protocol),
            endpoint(flow.client, flow.client_port),
            endpoint(flow.server, flow.server_port)
        );
        self.entry("flow", &ends);
        if let Some(host) = &flow.host {
            let source = flow.host_source.map_or("", source_words);
            self.entry("host", &format!("{host} ({source})"));
        }
        let hello = [
            Some(application_words(flow.application).to_owned()),
            flow.tls_version
                .as_ref()
                .map(|version| format!("TLS {version}")),
            flow.ja4.as_ref().map(|ja4| format!("JA4 {ja4}")),
            (!flow.alpn.is_empty()).then(|| format!("ALPN {}", flow.alpn.join(" "))),
            flow.ech.then(|| "encrypted hello".to_owned()),
        ];
        let hello: Vec<String> = hello.into_iter().flatten().collect();
        self.entry("speaks", &hello.join(", "));
        let first = format!("{}, packet {}", flow.first, flow.first_packet);
        self.entry("first", &first);
        let last = format!("{} ({})", flow.last, span(flow.first, flow.last));
        self.entry("last", &last);
        for (name, packets, bytes, again) in [
            ("up", flow.packets_up, flow.bytes_up, flow.retransmitted_up),
            (
                "down",
                flow.packets_down,
                flow.bytes_down,
                flow.retransmitted_down,
            ),
        ] {
            let words = format!(
                "{}, {} of payload, {} sent again",
                plural(packets, "packet"),
                plural(bytes, "byte"),
                grouped(again)
            );
            self.entry(name, &words);
        }
        if let Some(rtt) = flow.rtt_ms {
            self.entry("round trip", &format!("{} ms", decimal(f64::from(rtt))));
        }
        self.entry("end", &end_words(flow));
        let mut judged = judgement_words(flow.assessment).to_owned();
        if !flow.why.is_empty() {
            let _ = write!(judged, ": {}", flow.why);
        }
        self.entry("judged", &judged);
        self.entry("community", &flow.community_id);
    }

    fn captures(&mut self, report: &Report) {
        self.heading(if report.captures.len() == 1 {
            "Capture"
        } else {
            "Captures"
        });
        for (number, capture) in (1..).zip(&report.captures) {
            let first = if report.captures.len() == 1 {
                "  ".to_owned()
            } else {
                format!("  {number}. ")
            };
            self.wrapped(&first, &capture_words(capture), Paint::Plain);
            if let Some(digest) = &capture.sha256 {
                self.wrapped("     ", &format!("SHA-256 {digest}"), Paint::Plain);
            }
            for words in capture_cautions(capture) {
                self.wrapped("  ! ", &words, Paint::Yellow);
            }
        }
        let vantage = format!(
            "Taken {}{}{}.",
            match report.vantage.value {
                Vantage::Client => "at the client",
                Vantage::Server => "at the server",
                Vantage::Path => "on the path between client and server",
            },
            if report.vantage.inferred {
                " (inferred)"
            } else {
                " (as given)"
            },
            if report.vantage.why.is_empty() {
                String::new()
            } else {
                format!(": {}", report.vantage.why.trim_end_matches('.'))
            },
        );
        self.wrapped("  ", &vantage, Paint::Plain);
        let totals = format!(
            "{}: {} TCP, {} UDP.",
            plural(report.totals.flows, "flow"),
            grouped(report.totals.tcp_flows),
            grouped(report.totals.udp_flows)
        );
        self.wrapped("  ", &totals, Paint::Plain);
        let limits = &report.limits;
        if limits.evicted_flows + limits.evicted_fragments > 0 {
            let words = format!(
                "{} and {} were dropped for want of room and not judged.",
                plural(limits.evicted_flows, "flow"),
                plural(limits.evicted_fragments, "fragmented datagram")
            );
            self.wrapped("  ! ", &words, Paint::Yellow);
        }
        let made = format!(
            "dpiscope {}, service catalogue of {}.",
            report.tool.version, report.tool.catalogue
        );
        self.wrapped("  ", &made, Paint::Plain);
    }
}

/// Column at which an entry's words begin.
const ENTRY: usize = 15;

fn rows(report: &Report, wanted: impl Fn(Verdict) -> bool) -> Vec<&Service> {
    report
        .services
        .iter()
        .filter(|row| wanted(row.verdict))
        .collect()
}

fn shortened(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    words.chars().take(most - 1).chain(['…']).collect()
}

/// A number in groups of three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn plural(number: u64, word: &str) -> String {
    format!(
        "{} {word}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

/// At most three decimals for figures of 1 and more, three significant digits below.
fn decimal(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(value.abs() as u64));
    }
    if value.abs() >= 1.0 {
        let text = format!("{value:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let three: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    nine_digits(three).to_string()
}

/// `1 hop`, `8 hops`, `12 %`: the unit follows the figure, without its plural where there is one.
pub(super) fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" => decimal(value),
        "ratio" => percent(value),
        "bps" | "bit/s" => rate(value),
        unit if (value - 1.0).abs() < f64::EPSILON && unit.len() > 2 => {
            format!("1 {}", unit.strip_suffix('s').unwrap_or(unit))
        }
        unit => format!("{} {unit}", decimal(value)),
    }
}

fn percent(share: f64) -> String {
    format!("{} %", decimal((share * 1_000.0).round() / 10.0))
}

/// A rate in the units that access lines are sold in.
fn rate(bits: f64) -> String {
    let (figure, unit) = match bits {
        b if b >= 1e9 => (b / 1e9, "Gbit/s"),
        b if b >= 1e6 => (b / 1e6, "Mbit/s"),
        b if b >= 1e3 => (b / 1e3, "kbit/s"),
        b => (b, "bit/s"),
    };
    let three: f64 = format!("{figure:.2e}").parse().unwrap_or(figure);
    format!("{} {unit}", decimal(three))
}

/// A parameter in words, its unit taken from its name.
fn figure(name: &str, value: &Parameter) -> String {
    let number = match value {
        Parameter::Text(word) => {
            return format!("{} {}", name.replace('_', " "), word.replace('_', " "));
        }
        Parameter::Integer(number) => *number as f64,
        Parameter::Number(number) => *number,
    };
    let (rest, shown) = if let Some(rest) = name.strip_suffix("_ratio") {
        (rest, percent(number))
    } else if let Some(rest) = name.strip_suffix("_bytes") {
        (rest, format!("{} bytes", decimal(number)))
    } else if let Some(rest) = name.strip_suffix("_ms") {
        (rest, format!("{} ms", decimal(number)))
    } else if let Some(rest) = name.strip_suffix("_s") {
        (rest, format!("{} s", decimal(number)))
    } else if name.ends_with("_bps") || name.contains("_bps_") {
        (name, rate(number))
    } else {
        (name, decimal(number))
    };
    format!("{} {shown}", rest.replace("_bps", "").replace('_', " "))
}

/// Kinds of interference, a word each.
#[must_use]
pub fn kinds(kinds: &[Kind]) -> String {
    let words: Vec<&str> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::RstInjection => "resets",
            Kind::Blackholing => "silence",
            Kind::BandwidthShaping => "slowing",
        })
        .collect();
    words.join(", ")
}

const fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::RstInjection => "injected reset",
        Kind::Blackholing => "blackholing",
        Kind::BandwidthShaping => "bandwidth limit",
    }
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::RstInjection => "rst_injection",
        Kind::Blackholing => "blackholing",
        Kind::BandwidthShaping => "bandwidth_shaping",
    }
}

/// What a mechanism is, in words for everybody.
#[must_use]
pub const fn mechanism_words(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::ForgedRst => "a reset that the named peer did not send",
        Mechanism::RewrittenReply => "the peer's own packet, turned into a bare reset on the path",
        Mechanism::ForgedFin => "a close that the named peer did not send",
        Mechanism::SynUnanswered => "connection attempts to this address get no answer at all",
        Mechanism::HelloUnanswered => {
            "the connection opens, and after the first message nothing comes through"
        }
        Mechanism::DelayedDrop => {
            "a few packets pass after the trigger, then nothing comes through"
        }
        Mechanism::StalledAfterBytes => "the transfer freezes after a nearly constant amount",
        Mechanism::EndpointKilled => {
            "all living connections to one server fall silent in the same moment"
        }
        Mechanism::ConnectionLimit => {
            "the first connections work, further parallel ones stall as they open"
        }
        Mechanism::QuicInitialUnanswered => {
            "QUIC connection attempts with a readable name get no answer"
        }
        Mechanism::MediaUnanswered => {
            "a call's packets go one way, or stop both ways while signalling lives"
        }
        Mechanism::Policing => "what exceeds a fixed rate is dropped",
        Mechanism::Shaping => "what exceeds a fixed rate is held back",
        Mechanism::RandomDrop => "a fixed share of the packets is dropped at any rate",
    }
}

/// The contract's word for a level.
#[must_use]
pub const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Suspected => "suspected",
        Level::Likely => "likely",
        Level::Confirmed => "confirmed",
    }
}

/// A verdict in words.
#[must_use]
pub const fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Interfered => "interfered",
        Verdict::Partial => "partial",
        Verdict::Clear => "clear",
        Verdict::TooLittleData => "too little data",
        Verdict::NotAssessable => "not assessable",
    }
}

fn direction_words(direction: &str) -> &'static str {
    match direction {
        "uplink" => "uplink (client to server)",
        "downlink" => "downlink (server to client)",
        _ => "both directions",
    }
}

const fn source_words(source: HostSource) -> &'static str {
    match source {
        HostSource::TlsSni => "TLS server name",
        HostSource::QuicSni => "QUIC server name",
        HostSource::EchOuter => "public name of an encrypted hello",
        HostSource::HttpHost => "HTTP host",
        HostSource::Certificate => "certificate",
        HostSource::Dns => "from DNS in this capture",
        HostSource::Address => "by its address",
        HostSource::Protocol => "by its protocol",
    }
}

const fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// An address with its port.
#[must_use]
pub fn endpoint(address: Address, port: u16) -> String {
    if address.is_v4() {
        format!("{address}:{port}")
    } else {
        format!("[{address}]:{port}")
    }
}

fn ends_words(ends: &Ends) -> String {
    format!(
        "{}, {} {} > {}",
        ends.id,
        protocol_word(ends.protocol),
        endpoint(ends.client, ends.client_port),
        endpoint(ends.server, ends.server_port)
    )
}

/// The name for people of the service with the catalogue's word `service`.
#[must_use]
pub fn service_name<'a>(report: &'a Report, service: &'a str) -> &'a str {
    report
        .services
        .iter()
        .find(|row| row.service == service)
        .map_or(service, |row| row.name.as_str())
}

/// Runs that a line of frames shows before it says how many more there are.
const SHOWN_RUNS: usize = 12;

/// Ascending numbers, runs folded, the rest counted.
fn numbers(ascending: &[u64]) -> String {
    let all = runs(ascending);
    let shown = all.get(..SHOWN_RUNS).unwrap_or(&all);
    let hidden: u64 = all
        .iter()
        .skip(shown.len())
        .map(|(first, last)| last - first + 1)
        .sum();
    let text = list(shown, "-");
    if hidden == 0 {
        text
    } else {
        format!("{text} and {} more", grouped(hidden))
    }
}

fn frames(report: &Report, capture: u16, packets: &[u64]) -> String {
    let word = if packets.len() == 1 {
        "frame"
    } else {
        "frames"
    };
    let text = format!("{word} {}", numbers(packets));
    if report.captures.len() > 1 {
        format!("{text} of capture {}", u32::from(capture) + 1)
    } else {
        text
    }
}

fn flow_words(flow: &Flow) -> String {
    let mut words = format!(
        "{}, {} up and {} down, {} up and {} down",
        flow.service,
        plural(flow.packets_up, "packet"),
        grouped(flow.packets_down),
        plural(flow.bytes_up, "byte"),
        grouped(flow.bytes_down),
    );
    let _ = write!(words, "; {}", end_words(flow));
    let _ = write!(words, "; {}", judgement_words(flow.assessment));
    if !flow.why.is_empty() {
        let _ = write!(words, ": {}", flow.why);
    }
    words
}

const fn application_words(application: Application) -> &'static str {
    match application {
        Application::Tls => "TLS",
        Application::Quic => "QUIC",
        Application::Dtls => "DTLS",
        Application::Stun => "STUN",
        Application::Rtp => "RTP",
        Application::Mtproto => "MTProto",
        Application::WhatsappNoise => "WhatsApp's Noise",
        Application::Dns => "DNS",
        Application::Http => "HTTP",
        Application::Unknown => "nothing that is known",
    }
}

/// How a flow ended, and what that was judged to be.
#[must_use]
pub fn end_words(flow: &Flow) -> String {
    let end = match flow.end {
        End::Open => "open",
        End::Fin => "closed",
        End::RstByClient => "reset by client",
        End::RstByServer => "reset by server",
        End::Timeout => "timeout",
    };
    match flow.end_cause {
        Some(cause) => format!("{end} ({})", cause.replace('_', " ")),
        None => end.to_owned(),
    }
}

/// How a flow came out, in words.
#[must_use]
pub const fn judgement_words(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Interfered => "interfered",
        Judgement::Clear => "clear",
        Judgement::TooLittleData => "too little data",
        Judgement::NotAssessable => "not assessable",
    }
}

/// Names that a line of DNS context lists before it counts the rest.
const SHOWN_NAMES: usize = 4;

fn dns_words(report: &Report, row: &Service) -> Vec<String> {
    let mut lines = Vec::new();
    if row.flows == 0 {
        lines.push(format!(
            "{}: seen only in DNS ({}), so there is no connection to judge.",
            row.name,
            named(report, &row.dns.answered)
                .unwrap_or_else(|| "no name was given an address".to_owned())
        ));
    }
    let outcomes = [
        (&row.dns.nxdomain, "told that the name does not exist"),
        (&row.dns.unanswered, "left without an answer"),
        (
            &row.dns.contradictory,
            "given answers that contradict each other",
        ),
    ];
    for (outcome, words) in outcomes {
        if let Some(named) = named(report, outcome) {
            lines.push(format!(
                "{}: {} {} {words} ({named}).",
                row.name,
                plural(outcome.lookups, "DNS lookup"),
                if outcome.lookups == 1 { "was" } else { "were" },
            ));
        }
    }
    lines
}

fn named(report: &Report, outcome: &DnsOutcome) -> Option<String> {
    if outcome.lookups == 0 {
        return None;
    }
    let names = outcome.names.get(..SHOWN_NAMES).unwrap_or(&outcome.names);
    let mut words = names.join(", ");
    if outcome.names.len() > names.len() {
        let _ = write!(words, " and {} more", outcome.names.len() - names.len());
    }
    for shown in &outcome.shown {
        let _ = write!(words, "; {}", frames(report, shown.capture, &shown.packets));
    }
    Some(words)
}

fn capture_words(capture: &Capture) -> String {
    let mut words = format!(
        "{}: {}, {}, {}, {} on the wire",
        capture.path,
        capture.format,
        if capture.link_types.is_empty() {
            "no link type".to_owned()
        } else {
            capture.link_types.join(" and ")
        },
        plural(capture.packets, "packet"),
        plural(capture.bytes, "byte"),
    );
    if let (Some(first), Some(last)) = (capture.first, capture.last) {
        let _ = write!(words, ", {first} to {last} ({})", span(first, last));
    }
    if capture.duplicate_packets > 0 {
        let _ = write!(
            words,
            ", {} ignored",
            plural(capture.duplicate_packets, "duplicate packet")
        );
    }
    words.push('.');
    words
}

/// What a reader must know before relying on the capture.
fn capture_cautions(capture: &Capture) -> Vec<String> {
    let mut cautions = capture.warnings.clone();
    if capture.truncated && cautions.is_empty() {
        cautions.push(
            "The file is damaged or ends inside a record; everything before that was read."
                .to_owned(),
        );
    }
    if let Some(dropped) = capture.dropped.filter(|dropped| *dropped > 0) {
        cautions.push(format!(
            "The capture itself states that {} were lost while it was taken.",
            plural(dropped, "packet")
        ));
    }
    if capture.undecoded_packets > 0 {
        let reasons: Vec<String> = capture
            .undecoded
            .iter()
            .filter(|(_, packets)| **packets > 0)
            .map(|(reason, packets)| format!("{} {}", reason.replace('_', " "), grouped(*packets)))
            .collect();
        cautions.push(format!(
            "{} could not be decoded: {}.",
            plural(capture.undecoded_packets, "packet"),
            reasons.join(", ")
        ));
    }
    cautions
}

/// How long, in two units at most.
fn span(first: Timestamp, last: Timestamp) -> String {
    let seconds = last.seconds_since(first);
    if seconds < 60.0 {
        return format!("{} s", decimal((seconds * 10.0).round() / 10.0));
    }
    let whole = seconds.round() as u64;
    match whole {
        s if s < 3_600 => format!("{} min {} s", s / 60, s % 60),
        s if s < 86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        s => format!("{} d {} h", grouped(s / 86_400), s / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(decimal(0.123_456), "0.123");
        assert_eq!(decimal(12.5), "12.5");
        assert_eq!(decimal(-3.0), "-3");
        assert_eq!(with_unit(1.0, "hops"), "1 hop");
        assert_eq!(with_unit(8.0, "hops"), "8 hops");
        assert_eq!(with_unit(0.125, "ratio"), "12.5 %");
        assert_eq!(
            figure("rate_bps", &Parameter::Integer(512_300)),
            "rate 512 kbit/s"
        );
        assert_eq!(
            figure("rate_bps_low", &Parameter::Integer(490_000)),
            "rate low 490 kbit/s"
        );
        assert_eq!(
            figure("burst_bytes", &Parameter::Integer(65_536)),
            "burst 65,536 bytes"
        );
        assert_eq!(
            figure("loss_ratio", &Parameter::Number(0.061)),
            "loss 6.1 %"
        );
        assert_eq!(
            figure("silence_s", &Parameter::Number(21.4)),
            "silence 21.4 s"
        );
        assert_eq!(
            figure("trigger", &Parameter::Text("client_hello".into())),
            "trigger client hello"
        );
    }
}
