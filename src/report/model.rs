//! The report as the contract writes it (`dpiscope/1`): what is unknown is `null`, never absent.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::application::HostSource;
use crate::capture::CaptureFile;
use crate::detect::{Assessment, FlowVerdict, Judgement, Kind, Level, Mechanism, Parameter, Past};
use crate::facts::{self, CaptureFacts, FlowFacts, Orientation, Summary};
use crate::service::{Catalogue, Class, ServiceId};
use crate::types::{Address, Direction, Frame, Protocol, Timestamp};

use super::filter::display_filter;
use super::summary::service_rows;

/// One source and what its packets came to.
#[derive(Clone, Copy, Debug)]
pub struct CaptureInput<'a> {
    /// What the capture stage says of it.
    pub file: &'a CaptureFile,
    /// Duplicate frames that were counted and ignored.
    pub duplicates: u64,
    /// Packets that could not be decoded, by reason.
    pub undecoded: &'a BTreeMap<&'static str, u64>,
}

/// What a report is made from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The sources, in the order in which they were given.
    pub captures: Vec<CaptureInput<'a>>,
    /// The whole run.
    pub around: &'a CaptureFacts,
    /// The flows whose detail was kept, by index.
    pub flows: &'a [FlowFacts],
    /// What the detectors say.
    pub assessment: &'a Assessment,
    /// The catalogue that the run used.
    pub catalogue: &'a Catalogue,
    /// Flows that were dropped for want of room.
    pub evicted_flows: u64,
    /// Of these, those on TCP.
    pub evicted_tcp_flows: u64,
    /// Fragmented datagrams that were dropped for want of room.
    pub evicted_fragments: u64,
    /// The least level of findings that are shown. Verdicts do not depend on it.
    pub min_level: Level,
    /// Whether the flow table is wanted.
    pub flow_table: bool,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// The services to show, by catalogue word; empty means all.
    pub only: &'a [String],
    /// Numbers of flows by index, and of findings by place, where they are given out while the run goes on; else both count from 1.
    pub ids: Option<Ids<'a>>,
    /// Flows and findings that are not held any more.
    pub past: Option<&'a Past>,
}

/// Numbers that stay what they are while a run goes on.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    /// Of flows, by index.
    pub flows: &'a [u64],
    /// Of findings, in the assessment's order.
    pub findings: &'a [u64],
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// `dpiscope/1`.
    pub schema: &'static str,
    /// What made it.
    pub tool: Tool,
    /// The sources, in the order in which they were given.
    pub captures: Vec<Capture>,
    /// Where the capture was taken.
    pub vantage: Vantage,
    /// Sums over all sources.
    pub totals: Totals,
    /// What was dropped for want of room.
    pub limits: Limits,
    /// Facts about the whole capture, never findings.
    pub notes: Vec<Note>,
    /// One row a service, in catalogue order, controls last in one row.
    pub services: Vec<Service>,
    /// What was found, by time.
    pub findings: Vec<Finding>,
    /// The flow table, where it was asked for.
    pub flows: Vec<Flow>,
    /// Findings of the services shown that lie below the level shown. For the text report; json and ndjson show all unless told otherwise.
    #[serde(skip)]
    pub hidden_findings: u64,
    /// The services that were asked for; empty means all. For the text report.
    #[serde(skip)]
    pub only: Vec<String>,
    /// Whether the run was interrupted. For the text report; the exit code says it to scripts.
    #[serde(skip)]
    pub interrupted: bool,
}

/// What made the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tool {
    /// `dpiscope`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The date of the service catalogue.
    pub catalogue: String,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capture {
    /// As given.
    pub path: String,
    /// `pcap`, `pcapng`, ….
    pub format: String,
    /// LINKTYPE names.
    pub link_types: Vec<String>,
    /// Records.
    pub packets: u64,
    /// Sum of their wire lengths.
    pub bytes: u64,
    /// Earliest time stamp.
    pub first: Option<Timestamp>,
    /// Latest time stamp.
    pub last: Option<Timestamp>,
    /// Whether it ended inside a record or was damaged.
    pub truncated: bool,
    /// Packets that the source itself says were lost.
    pub dropped: Option<u64>,
    /// Duplicate frames, counted and ignored.
    pub duplicate_packets: u64,
    /// Packets that could not be decoded.
    pub undecoded_packets: u64,
    /// The same by reason.
    pub undecoded: BTreeMap<&'static str, u64>,
    /// SHA-256 of the file, where it was asked for.
    pub sha256: Option<String>,
    /// One sentence each.
    pub warnings: Vec<String>,
}

/// Where the capture was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vantage {
    /// Where.
    pub value: facts::Vantage,
    /// Whether that was inferred rather than given.
    pub inferred: bool,
    /// Why, for people.
    pub why: String,
}

/// Sums over all sources.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// Records.
    pub packets: u64,
    /// Sum of their wire lengths.
    pub bytes: u64,
    /// Flows, evicted ones included.
    pub flows: u64,
    /// Of these, on TCP.
    pub tcp_flows: u64,
    /// Of these, on UDP.
    pub udp_flows: u64,
}

/// What was dropped for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Flows, unjudged.
    pub evicted_flows: u64,
    /// Fragmented datagrams.
    pub evicted_fragments: u64,
}

/// A fact about the whole capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// Its name.
    pub note: &'static str,
    /// The fact in words.
    pub text: String,
    /// The file in which `packets` are counted; none where there are none.
    pub capture: Option<u16>,
    /// The packets that show it.
    pub packets: Vec<u64>,
}

/// How a service came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// At least half of the assessed flows were interfered with.
    Interfered,
    /// Some, fewer than half.
    Partial,
    /// None of those that could be assessed. Never "not blocked".
    Clear,
    /// Flows there were, and none long enough to judge.
    TooLittleData,
    /// The capture cannot show it.
    NotAssessable,
}

impl Verdict {
    /// The contract's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interfered => "interfered",
            Self::Partial => "partial",
            Self::Clear => "clear",
            Self::TooLittleData => "too_little_data",
            Self::NotAssessable => "not_assessable",
        }
    }
}

/// One service's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// The catalogue's word, or `control`.
    pub service: String,
    /// Its name for people.
    pub name: String,
    /// Messenger or control.
    pub class: Class,
    /// Its flows.
    pub flows: u64,
    /// Transport payload, client to server.
    pub bytes_up: u64,
    /// Transport payload, server to client.
    pub bytes_down: u64,
    /// Flows that could be judged: interfered and clear ones.
    pub assessed_flows: u64,
    /// Flows that a finding at `likely` or above covers.
    pub interfered_flows: u64,
    /// Findings at `likely` and above.
    pub findings: u64,
    /// How it came out.
    pub verdict: Verdict,
    /// The best level of these findings.
    pub level: Option<Level>,
    /// Their kinds.
    pub kinds: Vec<Kind>,
    /// How its names resolved in this capture.
    pub dns: Dns,
}

/// How a service's names resolved. Context, never a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dns {
    /// Lookups that gave addresses.
    pub answered: DnsOutcome,
    /// Lookups that were told the name does not exist.
    pub nxdomain: DnsOutcome,
    /// Lookups that nothing came back to.
    pub unanswered: DnsOutcome,
    /// Lookups that were told something else: another response code, or no address.
    pub other: DnsOutcome,
    /// Lookups, counted above as well, whose name also got an answer of another sense: addresses and "no such name", or public and
    /// unusable addresses.
    pub contradictory: DnsOutcome,
}

/// Lookups of one outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DnsOutcome {
    /// How many.
    pub lookups: u64,
    /// The names asked for, sorted; the first [`DnsOutcome::MOST`].
    pub names: Vec<String>,
    /// The packets of questions and answers, one entry a file; the first [`DnsOutcome::MOST`].
    pub shown: Vec<Shown>,
}

impl DnsOutcome {
    /// Most names, and most packets, that are listed for one outcome: a browser's hour holds thousands.
    pub const MOST: usize = 256;
}

/// Packets in one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The file's place in `captures`.
    pub capture: u16,
    /// Packet numbers in it.
    pub packets: Vec<u64>,
}

/// The two ends of a flow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ends {
    /// The flow's number in the flow table.
    pub id: u64,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who opened it.
    pub client: Address,
    /// Its port.
    pub client_port: u16,
    /// The other end.
    pub server: Address,
    /// Its port.
    pub server_port: u16,
    /// Community ID, version 1, seed 0.
    pub community_id: String,
}

/// One measured fact for or against a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The rule, as `explain` knows it.
    pub rule: &'static str,
    /// For, or against.
    pub supports: bool,
    /// What was measured.
    #[serde(serialize_with = "number")]
    pub value: f64,
    /// The limit it was held against.
    #[serde(serialize_with = "number")]
    pub limit: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// The file in which `packets` are counted.
    pub capture: u16,
    /// The packets that show it, ascending.
    pub packets: Vec<u64>,
    /// The fact in words.
    pub text: String,
}

/// One judged interference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its number, from 1, by time. Hidden findings keep theirs.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// More closely.
    pub mechanism: Mechanism,
    /// How sure.
    pub level: Level,
    /// Between 0 and 1.
    #[serde(serialize_with = "number")]
    pub score: f64,
    /// `uplink`, `downlink` or `both`.
    pub direction: &'static str,
    /// The service it hit.
    pub service: String,
    /// Messenger or control.
    pub class: Class,
    /// The name the flow was for.
    pub host: Option<String>,
    /// Where that name comes from.
    pub host_source: Option<HostSource>,
    /// The flow that shows it first.
    pub flow: Ends,
    /// All flows that it covers.
    pub flow_ids: Vec<u64>,
    /// When it happened.
    pub time: Timestamp,
    /// Figures by the contract's names.
    #[serde(serialize_with = "parameters")]
    pub parameters: Vec<(&'static str, Parameter)>,
    /// For and against, heaviest first.
    pub evidence: Vec<Evidence>,
    /// Innocent causes that were tested and failed.
    pub ruled_out: Vec<&'static str>,
    /// What shows the evidence in Wireshark.
    pub display_filter: String,
    /// The file that the filter is for. For the text report.
    #[serde(skip)]
    pub filter_capture: u16,
    /// The packet that shows it first. For the evidence file.
    #[serde(skip)]
    pub first_frame: Frame,
    /// One line for people.
    pub summary: String,
}

/// One flow of the flow table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// Its number, from 1, by time.
    pub id: u64,
    /// The file of its first packet.
    pub capture: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who opened it.
    pub client: Address,
    /// Its port.
    pub client_port: u16,
    /// The other end.
    pub server: Address,
    /// Its port.
    pub server_port: u16,
    /// Community ID, version 1, seed 0.
    pub community_id: String,
    /// VLAN identifiers, outermost first.
    pub vlan: Vec<u16>,
    /// Which rule said who the client is.
    pub orientation: Orientation,
    /// First packet.
    pub first: Timestamp,
    /// Last packet.
    pub last: Timestamp,
    /// Number of the first packet.
    pub first_packet: u64,
    /// Packets, client to server.
    pub packets_up: u64,
    /// Packets, server to client.
    pub packets_down: u64,
    /// Transport payload, client to server.
    pub bytes_up: u64,
    /// Transport payload, server to client.
    pub bytes_down: u64,
    /// What it speaks.
    pub application: crate::application::Application,
    /// The catalogue's word.
    pub service: String,
    /// Messenger or control.
    pub class: Class,
    /// The name it was for.
    pub host: Option<String>,
    /// Where that name comes from.
    pub host_source: Option<HostSource>,
    /// Server name of the hello.
    pub sni: Option<String>,
    /// The packet that completes the hello.
    pub sni_packet: Option<u64>,
    /// The file in which it is counted.
    pub sni_capture: Option<u16>,
    /// Protocols offered in ALPN.
    pub alpn: Vec<String>,
    /// TLS version.
    pub tls_version: Option<String>,
    /// JA4 of the hello.
    pub ja4: Option<String>,
    /// Whether the hello carries an encrypted inner hello.
    pub ech: bool,
    /// Smallest round trip, in milliseconds.
    pub rtt_ms: Option<f32>,
    /// Packets sent again or filled late, client to server.
    pub retransmitted_up: u64,
    /// The same, server to client.
    pub retransmitted_down: u64,
    /// How it ended.
    pub end: facts::End,
    /// What the end was judged to be; none after an ordinary one.
    pub end_cause: Option<&'static str>,
    /// Signature of the global passive study, where the server's inbound packets were seen.
    pub tampering_signature: Option<&'static str>,
    /// How it came out.
    pub assessment: Judgement,
    /// What was missing; empty where nothing was.
    pub why: String,
}

impl Report {
    /// Puts a report together.
    #[must_use]
    pub fn new(input: &Input<'_>) -> Self {
        let tcp = count(
            input
                .around
                .flows
                .in_any_order()
                .filter(|flow| flow.key.protocol == Protocol::Tcp),
        );
        let flows = input.around.flows.len() as u64;
        let (past_flows, past_tcp) =
            (input.past).map_or((0, 0), |past| (past.flows, past.tcp_flows));
        let (flows, tcp) = (flows + past_flows, tcp + past_tcp);
        let (findings, hidden): (Vec<_>, Vec<_>) = (0..)
            .zip(&input.assessment.findings)
            .filter_map(|(place, finding)| self::finding(input, place, finding))
            .filter(|finding| input.shows(&finding.service))
            .partition(|finding| finding.level >= input.min_level);
        Self {
            schema: "dpiscope/1",
            tool: Tool {
                name: "dpiscope",
                version: env!("CARGO_PKG_VERSION"),
                catalogue: input.catalogue.version().to_owned(),
            },
            captures: input.captures.iter().map(capture).collect(),
            vantage: Vantage {
                value: input.around.vantage.value,
                inferred: input.around.vantage.inferred,
                why: input.around.vantage.why.clone(),
            },
            totals: Totals {
                packets: input
                    .captures
                    .iter()
                    .map(|capture| capture.file.packets)
                    .sum(),
                bytes: input
                    .captures
                    .iter()
                    .map(|capture| capture.file.bytes)
                    .sum(),
                flows: flows + input.evicted_flows,
                tcp_flows: tcp + input.evicted_tcp_flows,
                udp_flows: flows - tcp
                    + input.evicted_flows.saturating_sub(input.evicted_tcp_flows),
            },
            limits: Limits {
                evicted_flows: input.evicted_flows,
                evicted_fragments: input.evicted_fragments,
            },
            notes: notes(input.assessment),
            services: service_rows(input)
                .into_iter()
                .filter(|row| input.shows(&row.service))
                .collect(),
            findings,
            flows: if input.flow_table {
                flow_table(input)
            } else {
                Vec::new()
            },
            hidden_findings: count(hidden.iter()),
            only: input.only.to_vec(),
            interrupted: input.interrupted,
        }
    }
}

impl Input<'_> {
    /// Whether the user wants to see `service`; a control of its own name is also shown by `control`.
    pub(super) fn shows(&self, service: &str) -> bool {
        let control = || {
            let id = self.catalogue.by_id(service).unwrap_or_default();
            !self.catalogue.is_messenger(id)
        };
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|wanted| wanted == service || (wanted == "control" && control()))
    }

    /// The detail of a flow, where it was kept.
    fn detail(&self, index: u32) -> Option<&facts::Detail> {
        let place = self
            .flows
            .binary_search_by_key(&index, |flow| flow.index)
            .ok()?;
        self.flows.get(place).map(|flow| &flow.detail)
    }

    /// The number of the flow with this index.
    fn flow_id(&self, index: u32) -> u64 {
        let given = self.ids.and_then(|ids| ids.flows.get(index as usize));
        given.copied().unwrap_or(u64::from(index) + 1)
    }

    /// The number of the finding at `place`.
    fn finding_id(&self, place: usize) -> u64 {
        let given = self.ids.and_then(|ids| ids.findings.get(place));
        given.copied().unwrap_or(place as u64 + 1)
    }

    /// The verdict on a flow.
    pub(super) fn verdict(&self, index: u32, summary: &Summary) -> Cow<'_, FlowVerdict> {
        self.assessment.verdict(index, summary)
    }
}

fn capture(input: &CaptureInput<'_>) -> Capture {
    Capture {
        path: input.file.path.clone(),
        format: input.file.format.clone(),
        link_types: input.file.link_types.clone(),
        packets: input.file.packets,
        bytes: input.file.bytes,
        first: input.file.first,
        last: input.file.last,
        truncated: input.file.truncated,
        dropped: input.file.dropped,
        duplicate_packets: input.duplicates,
        undecoded_packets: input.undecoded.values().sum(),
        undecoded: input.undecoded.clone(),
        sha256: input.file.sha256.clone(),
        warnings: input.file.warnings.clone(),
    }
}

/// Packet numbers by file, ascending: numbers mean nothing without their file, so what lies in two files becomes two entries.
pub(super) fn by_capture(frames: impl IntoIterator<Item = Frame>) -> BTreeMap<u16, Vec<u64>> {
    let mut files: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for frame in frames {
        files
            .entry(frame.capture())
            .or_default()
            .insert(frame.number());
    }
    files
        .into_iter()
        .map(|(file, numbers)| (file, numbers.into_iter().collect()))
        .collect()
}

fn notes(assessment: &Assessment) -> Vec<Note> {
    let mut notes = Vec::new();
    for note in &assessment.notes {
        let entry = |capture, packets| Note {
            note: note.note,
            text: note.text.clone(),
            capture,
            packets,
        };
        let files = by_capture(note.frames.iter().copied());
        if files.is_empty() {
            notes.push(entry(None, Vec::new()));
        }
        notes.extend(
            files
                .into_iter()
                .map(|(file, packets)| entry(Some(file), packets)),
        );
    }
    notes
}

fn ends(id: u64, summary: &Summary) -> Ends {
    Ends {
        id,
        protocol: summary.key.protocol,
        client: summary.key.a.address,
        client_port: summary.key.a.port,
        server: summary.key.b.address,
        server_port: summary.key.b.port,
        community_id: summary.key.community_id(),
    }
}

/// None where the finding names no flow of the run or does not reach `suspected`: such a finding can show nothing.
fn finding(input: &Input<'_>, place: usize, finding: &crate::detect::Finding) -> Option<Finding> {
    let level = Level::of(finding.score)?;
    let first = *finding.flows.first()?;
    let summary = input.around.flows.get(first as usize)?;
    let service = input.catalogue.service(ServiceId(summary.service));
    let detail = input.detail(first);
    let host = detail.and_then(|detail| detail.host.clone());
    let host_source = detail.and_then(|detail| detail.host_source);
    let mut evidence = Vec::new();
    for fact in &finding.evidence {
        let entry = |capture, packets| Evidence {
            rule: fact.rule,
            supports: fact.supports,
            value: fact.value,
            limit: fact.limit,
            unit: fact.unit,
            capture,
            packets,
            text: fact.text.clone(),
        };
        let files = by_capture(fact.frames.iter().copied());
        if files.is_empty() {
            evidence.push(entry(finding.frame.capture(), Vec::new()));
        }
        evidence.extend(
            files
                .into_iter()
                .map(|(file, packets)| entry(file, packets)),
        );
    }
    let shown = finding
        .evidence
        .iter()
        .flat_map(|fact| fact.frames.iter().copied());
    Some(Finding {
        id: input.finding_id(place),
        kind: finding.mechanism.kind(),
        mechanism: finding.mechanism,
        level,
        score: rounded_score(finding.score),
        direction: direction(finding.direction),
        service: service.id.clone(),
        class: service.class,
        host,
        host_source,
        flow: ends(input.flow_id(first), summary),
        flow_ids: finding
            .flows
            .iter()
            .map(|index| input.flow_id(*index))
            .collect(),
        time: finding.time,
        parameters: finding.parameters.clone(),
        evidence,
        ruled_out: finding.ruled_out.clone(),
        display_filter: display_filter(shown.chain([finding.frame]), finding.frame.capture()),
        filter_capture: finding.frame.capture(),
        first_frame: finding.frame,
        summary: finding.summary.clone(),
    })
}

/// The contract's words for a direction.
const fn direction(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Up) => "uplink",
        Some(Direction::Down) => "downlink",
        None => "both",
    }
}

fn flow_table(input: &Input<'_>) -> Vec<Flow> {
    (0..)
        .zip(input.around.flows.iter())
        .filter(|(_, summary)| {
            input.only.is_empty()
                || input.shows(&input.catalogue.service(ServiceId(summary.service)).id)
        })
        .map(|(index, summary)| flow(input, index, summary))
        .collect()
}

pub(super) fn flow(input: &Input<'_>, index: u32, summary: &Summary) -> Flow {
    let service = input.catalogue.service(ServiceId(summary.service));
    let detail = input.detail(index);
    let said = detail.map(|detail| &detail.recognised);
    let host = detail.and_then(|detail| detail.host.clone());
    let host_source = detail.and_then(|detail| detail.host_source);
    let verdict = input.verdict(index, summary);
    let hello = said.and_then(|said| said.hello_frame);
    Flow {
        id: input.flow_id(index),
        capture: summary.first_frame.capture(),
        protocol: summary.key.protocol,
        client: summary.key.a.address,
        client_port: summary.key.a.port,
        server: summary.key.b.address,
        server_port: summary.key.b.port,
        community_id: summary.key.community_id(),
        vlan: summary.vlan.into_iter().filter(|id| *id != 0).collect(),
        orientation: summary.orientation,
        first: summary.first,
        last: summary.last,
        first_packet: summary.first_frame.number(),
        packets_up: summary.up.packets.into(),
        packets_down: summary.down.packets.into(),
        bytes_up: summary.up.bytes,
        bytes_down: summary.down.bytes,
        application: said.map(|said| said.application).unwrap_or_default(),
        service: service.id.clone(),
        class: service.class,
        host,
        host_source,
        sni: said.and_then(|said| said.sni.clone()),
        sni_packet: hello.map(Frame::number),
        sni_capture: hello.map(Frame::capture),
        alpn: said.map(|said| said.alpn.clone()).unwrap_or_default(),
        tls_version: said.and_then(|said| said.tls_version.clone()),
        ja4: said.and_then(|said| said.ja4.clone()),
        ech: said.is_some_and(|said| said.ech),
        rtt_ms: summary.rtt_ms(),
        retransmitted_up: summary.up.retransmitted.into(),
        retransmitted_down: summary.down.retransmitted.into(),
        end: summary.end,
        end_cause: verdict.end_cause,
        tampering_signature: verdict.tampering_signature,
        assessment: verdict.judgement,
        why: verdict.why.to_string(),
    }
}

/// How many, in the width that the report counts in.
pub(super) fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    items.count() as u64
}

/// The highest score that is shown: no sum of evidence is certainty.
const HIGHEST: f64 = 0.9999;

/// Four digits, unless rounding would carry the score over the edge of its level.
fn rounded_score(score: f64) -> f64 {
    let rounded = ((score * 10_000.0).round() / 10_000.0).min(HIGHEST);
    if Level::of(rounded) == Level::of(score) {
        rounded
    } else {
        score
    }
}

/// Largest integer up to which an f64 holds every integer: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Nine significant digits: what sums of floating point leave behind them says nothing of the packets.
pub(super) fn nine_digits(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// Writes whole numbers as integers; what is no number at all as null.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references to `serialize_with`"
)]
fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !value.is_finite() {
        serializer.serialize_none()
    } else if value.fract() == 0.0 && value.abs() < EXACT {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(nine_digits(*value))
    }
}

/// A JSON number by the rule of [`number`].
struct Plain(f64);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(&self.0, serializer)
    }
}

/// Writes pairs as an object, in their order.
fn parameters<S: Serializer>(
    pairs: &[(&'static str, Parameter)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, value) in pairs {
        match value {
            Parameter::Number(value) => map.serialize_entry(name, &Plain(*value))?,
            other => map.serialize_entry(name, other)?,
        }
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_whole_and_sums_without_their_dust() {
        let written = |value| serde_json::to_string(&Plain(value)).expect("a number");
        assert_eq!(written(8.0), "8");
        assert_eq!(written(0.1 + 0.2), "0.3");
        assert_eq!(written(f64::NAN), "null");
        assert_eq!(written(-2.5), "-2.5");
    }

    #[test]
    fn rounding_never_lifts_a_score_to_another_level() {
        assert_eq!(Level::of(rounded_score(0.949_99)), Some(Level::Likely));
        assert!((rounded_score(0.930_04) - 0.93).abs() < 1e-12);
        assert!(rounded_score(1.0) < 1.0, "nothing is certain");
    }

    #[test]
    fn packets_of_two_files_become_two_entries() {
        let frames = [Frame::new(1, 3), Frame::new(0, 9), Frame::new(1, 2)];
        let files: Vec<_> = by_capture(frames).into_iter().collect();
        assert_eq!(files, [(0, vec![9]), (1, vec![2, 3])]);
    }
}
