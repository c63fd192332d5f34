//! The packets that findings rest on, as a capture for other tools: `-w`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{self, Write};

use crate::capture::{Batch, CaptureInterface, LinkType, Packet, PcapngWriter};
use crate::decode::{Fragments, Peel, Transport, decode, flow_hash, peel};
use crate::facts::{DnsAnswer, Flows, Summary};
use crate::types::{Address, FlowKey, Frame, Timestamp};

use super::model::{Evidence, Finding, Input, Report};
use super::text::{level_word, with_unit};

mod growing;

pub use growing::GrowingEvidence;

/// Bytes of packets that may wait for a fragmented datagram to become whole: what defragmentation itself may hold.
const MOST_HELD: usize = 16 << 20;

/// How long a piece may wait, in nanoseconds: as long as a datagram may take to become whole, and a second.
const LONGEST_WAIT: i64 = 61_000_000_000;

/// Comments on one packet; a packet that thousands of findings cite would be nothing but comments.
const MOST_COMMENTS: usize = 16;

/// Flows without a finding that are kept for one end of those with one. What a finding is held against is what else its client and its server did,
/// and that must be there for whoever judges the file again.
const MOST_BESIDE: usize = 32;

/// The longest flow that is kept for that, in bytes of its payload: enough for any rate to show.
const LONGEST_BESIDE: u64 = 16 << 20;

/// What an evidence file holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Packets that evidence cites: those with a comment.
    pub cited: u64,
    /// Packets that evidence cites and that were not met again.
    pub missing: u64,
    /// Flows with findings.
    pub flows: u64,
    /// Flows of the same ends without a finding.
    pub beside: u64,
    /// Packets of flows with findings that were not held any more when they were wanted. Only where a file grows while a run goes on.
    pub gone: u64,
}

/// Writes the packets of flows with findings, from a second reading of the captures.
///
/// Each packet that evidence cites has comments: the finding, the rule, its value and limit, and where the packet stood. Beside the flows there are
/// some that their ends had without a finding, which is what findings are held against; the other packets that evidence cites; and the DNS
/// messages that named the servers. Interfaces keep their descriptions, packets their order, time and both lengths.
///
/// ```no_run
/// # use dpiscope::capture::{Batch, Options, Run};
/// # use dpiscope::report::{EvidenceFile, Input, Report};
/// # fn f(report: &Report, input: &Input<'_>) -> std::io::Result<()> {
/// let mut file = EvidenceFile::new(report, input, std::fs::File::create("evidence.pcapng")?)?;
/// let (mut run, _) = Run::open(&["phone.pcapng".into()], &Options::default());
/// let mut batch = Batch::default();
/// while run.next(&mut batch) {
///     file.batch(&batch, &|packet| run.interface(packet))?;
/// }
/// file.finish()?;
/// # Ok(())
/// # }
/// ```
pub struct EvidenceFile<W> {
    wanted: Wanted,
    /// Paths as given, and packets that the capture says were lost.
    captures: Vec<(String, Option<u64>)>,
    interfaces: BTreeMap<(u16, u16, LinkType), u32>,
    last: Timestamp,
    fragments: Fragments,
    held: VecDeque<Held>,
    held_bytes: usize,
    writer: PcapngWriter<W>,
    written: Written,
    /// Packets that belong to each of the flows, by its number; those of errors about it are not its own.
    met: HashMap<u64, u64, foldhash::fast::RandomState>,
    /// What is to be said on the next packet that is written.
    aside: Vec<String>,
}

/// A packet that waits, or waits behind one that does.
struct Held {
    fate: Fate,
    packet: Packet,
    interface: u32,
    bytes: Vec<u8>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Write,
    /// It is part of a datagram of which more is to come; under this frame the datagram will be known.
    Wait(Frame),
    Leave,
}

impl<W: Write> EvidenceFile<W> {
    /// Begins the file for the findings that `report` shows, which was made from `input`.
    pub fn new(report: &Report, input: &Input<'_>, out: W) -> io::Result<Self> {
        let wanted = Wanted::new(report, input, &Neighbours::default());
        let written = Written {
            flows: wanted.count,
            beside: wanted.beside,
            ..Written::default()
        };
        let tool = &report.tool;
        let application = format!("{} {}", tool.name, tool.version);
        let paths: Vec<&str> = (report.captures.iter())
            .map(|capture| capture.path.as_str())
            .collect();
        let comment = format!(
            "{application}, catalogue {}: packets of {} flows with {} findings and of {} flows beside them, out of {} packets of {}",
            tool.catalogue,
            written.flows,
            report.findings.len(),
            written.beside,
            report.totals.packets,
            paths.join(", ")
        );
        let mut writer = PcapngWriter::new(out, &application, &comment)?;
        let names = (input.captures.iter())
            .flat_map(|capture| &capture.file.host_names)
            .filter(|(address, _)| wanted.addresses.contains(address))
            .map(|(address, name)| (address.ip(), name.as_str()));
        writer.names(names)?;
        Ok(Self {
            wanted,
            captures: (report.captures.iter())
                .map(|capture| (capture.path.clone(), capture.dropped))
                .collect(),
            interfaces: BTreeMap::new(),
            last: report_end(report),
            fragments: Fragments::default(),
            held: VecDeque::new(),
            held_bytes: 0,
            writer,
            written,
            met: HashMap::default(),
            aside: Vec::new(),
        })
    }

    /// Takes the next packets of the captures; `interface` tells what their file says of a packet's interface.
    pub fn batch(
        &mut self,
        batch: &Batch,
        interface: &dyn Fn(&Packet) -> Option<CaptureInterface>,
    ) -> io::Result<()> {
        for packet in &batch.packets {
            let bytes = batch.bytes_of(packet);
            let fate = self.fate(packet, bytes);
            if fate != Fate::Leave {
                let interface = self.interface(packet, interface)?;
                if self.held.is_empty() && fate == Fate::Write {
                    self.write(packet, interface, bytes)?;
                } else {
                    self.held_bytes += bytes.len();
                    self.held.push_back(Held {
                        fate,
                        packet: *packet,
                        interface,
                        bytes: bytes.to_vec(),
                    });
                }
            }
            if !self.held.is_empty() {
                self.fragments.expire(packet.time);
                self.forsake(packet.time);
                self.release()?;
            }
        }
        Ok(())
    }

    /// Writes what still waits and is wanted, and says what the file holds.
    pub fn finish(mut self) -> io::Result<Written> {
        self.fragments.finish();
        while !self.held.is_empty() {
            self.forsake(Timestamp(i64::MAX));
            self.release()?;
        }
        self.written.missing = self.wanted.cited.len() as u64;
        let mut told = BTreeSet::new();
        for ((capture, ..), interface) in &self.interfaces {
            let dropped = self.captures.get(usize::from(*capture));
            // the count is the file's, so one interface states it
            if let Some((_, Some(dropped))) = dropped
                && told.insert(*capture)
            {
                self.writer
                    .statistics(*interface, self.last, *dropped, None)?;
            }
        }
        self.writer.finish()?;
        Ok(self.written)
    }

    fn fate(&mut self, packet: &Packet, bytes: &[u8]) -> Fate {
        let asked_for = self.wanted.cited.contains_key(&packet.frame)
            || self.wanted.others.contains(&packet.frame);
        match peel(packet.link, bytes, packet.wire) {
            Peel::Flow(peeled) => {
                let ip = bytes.get(peeled.ip as usize..).unwrap_or_default();
                let wire = packet.wire.saturating_sub(peeled.ip);
                let fate = self.judge(peeled.hash, ip, wire, packet.time);
                if asked_for { Fate::Write } else { fate }
            }
            _ if asked_for => Fate::Write,
            Peel::Fragment { ip, .. } => {
                let piece = bytes.get(ip as usize..).unwrap_or_default();
                self.fragment(packet, piece, packet.wire.saturating_sub(ip))
            }
            Peel::NoFlow | Peel::Undecoded(_) => Fate::Leave,
        }
    }

    /// Takes a fragment. What it makes whole decides on all pieces; that may be a fragment itself, of a packet in a tunnel.
    fn fragment(&mut self, packet: &Packet, piece: &[u8], wire: u32) -> Fate {
        /// As deep as the analysis follows.
        const DEPTH: usize = 4;
        let (time, frame) = (packet.time, packet.frame);
        let mut whole = self.fragments.feed(time, frame, piece, wire);
        for _ in 0..DEPTH {
            let Some(packet) = whole else {
                return Fate::Wait(frame);
            };
            match peel(LinkType::RAW, &packet.bytes, packet.wire) {
                Peel::Flow(peeled) => {
                    let ip = packet.bytes.get(peeled.ip as usize..).unwrap_or_default();
                    let wire = packet.wire.saturating_sub(peeled.ip);
                    let fate = self.judge(peeled.hash, ip, wire, time);
                    return self.decide(&packet.frames, fate);
                }
                Peel::Fragment { ip, .. } => {
                    self.decide(&packet.frames, Fate::Wait(frame));
                    let inner = packet.bytes.get(ip as usize..).unwrap_or_default();
                    let wire = packet.wire.saturating_sub(ip);
                    whole = self.fragments.feed(time, frame, inner, wire);
                }
                Peel::NoFlow | Peel::Undecoded(_) => {
                    return self.decide(&packet.frames, Fate::Leave);
                }
            }
        }
        self.decide(&[frame], Fate::Leave)
    }

    /// Whether a packet belongs to one of the flows, which is counted.
    fn judge(&mut self, hash: u64, ip: &[u8], wire: u32, time: Timestamp) -> Fate {
        match self.wanted.whose(hash, ip, wire, time) {
            Some((flow, own)) => {
                *self.met.entry(flow).or_default() += u64::from(own);
                Fate::Write
            }
            None => Fate::Leave,
        }
    }

    /// Settles the fate of pieces that wait under `frames`.
    fn decide(&mut self, frames: &[Frame], fate: Fate) -> Fate {
        for held in &mut self.held {
            if let Fate::Wait(under) = held.fate
                && frames.contains(&under)
            {
                held.fate = fate;
            }
        }
        fate
    }

    /// Leaves out pieces of datagrams that will never be whole, and where too much waits, those that have waited longest.
    fn forsake(&mut self, now: Timestamp) {
        let abandoned: BTreeSet<Frame> = self.fragments.abandoned().collect();
        if !abandoned.is_empty() {
            for held in &mut self.held {
                if let Fate::Wait(under) = held.fate
                    && abandoned.contains(&under)
                {
                    held.fate = Fate::Leave;
                }
            }
        }
        // a piece that came twice is of no datagram and is never heard of again
        if let Some(front) = self.held.front_mut()
            && (self.held_bytes > MOST_HELD || now.since(front.packet.time) > LONGEST_WAIT)
        {
            front.fate = Fate::Leave;
        }
    }

    /// Writes from the front what waits no more.
    fn release(&mut self) -> io::Result<()> {
        while let Some(held) = self.held.pop_front() {
            if let Fate::Wait(_) = held.fate {
                self.held.push_front(held);
                break;
            }
            self.held_bytes -= held.bytes.len();
            if held.fate == Fate::Write {
                self.write(&held.packet, held.interface, &held.bytes)?;
            }
        }
        Ok(())
    }

    /// The number of a packet's interface in the file, which is described if it is new.
    fn interface(
        &mut self,
        packet: &Packet,
        describe: &dyn Fn(&Packet) -> Option<CaptureInterface>,
    ) -> io::Result<u32> {
        let place = (packet.frame.capture(), packet.interface, packet.link);
        if let Some(known) = self.interfaces.get(&place) {
            return Ok(*known);
        }
        let interface = describe(packet).unwrap_or(CaptureInterface {
            link: packet.link,
            ..CaptureInterface::default()
        });
        let comment = format!("from {}", self.path(packet.frame));
        let number = self.writer.interface(&interface, &comment)?;
        self.interfaces.insert(place, number);
        Ok(number)
    }

    fn write(&mut self, packet: &Packet, interface: u32, bytes: &[u8]) -> io::Result<()> {
        let notes = self.wanted.cited.remove(&packet.frame).unwrap_or_default();
        let mut comments: Vec<String> = (notes.iter().take(MOST_COMMENTS))
            .filter_map(|note| self.wanted.notes.get(*note).cloned())
            .collect();
        if notes.len() > MOST_COMMENTS {
            comments.push(format!("and {} more", notes.len() - MOST_COMMENTS));
        }
        if !comments.is_empty() {
            self.written.cited += 1;
            let frame = packet.frame;
            comments.push(format!("frame {} of {}", frame.number(), self.path(frame)));
        }
        comments.append(&mut self.aside);
        self.written.packets += 1;
        self.writer
            .packet(interface, packet.time, packet.wire, bytes, comments)
    }

    fn path(&self, frame: Frame) -> &str {
        let capture = self.captures.get(usize::from(frame.capture()));
        capture.map_or("", |(path, _)| path)
    }
}

/// The last packet time of a run.
fn report_end(report: &Report) -> Timestamp {
    let ends = report.captures.iter().filter_map(|capture| capture.last);
    ends.max().unwrap_or_default()
}

/// Which packets are wanted, and what is to be said of them.
#[derive(Default)]
struct Wanted {
    /// By the hash of their flow: the flows whose packets are wanted, both ends in order.
    flows: HashMap<u64, Vec<Span>, foldhash::fast::RandomState>,
    /// How many flows with findings, and how many beside them.
    count: u64,
    beside: u64,
    /// The ends of these flows.
    addresses: BTreeSet<Address>,
    /// Packets that evidence cites, and which notes; those that were met are taken out.
    cited: BTreeMap<Frame, Vec<usize>>,
    notes: Vec<String>,
    /// Packets that are wanted beside these.
    others: BTreeSet<Frame>,
    /// The numbers of the flows beside.
    neighbours: BTreeSet<u64>,
}

/// Which flows may be kept beside those with findings.
#[derive(Clone, Copy, Debug, Default)]
struct Neighbours<'a> {
    /// Those that were kept before go first, by number.
    kept: Option<&'a BTreeSet<u64>>,
    /// Others that began no earlier than this.
    since: Option<Timestamp>,
}

/// A flow, or several with the same ends.
struct Span {
    /// The flow's number.
    id: u64,
    key: FlowKey,
    first: Timestamp,
    last: Timestamp,
}

impl Wanted {
    fn new(report: &Report, input: &Input<'_>, neighbours: &Neighbours<'_>) -> Self {
        let flows = &input.around.flows;
        let ids: BTreeSet<u64> = (report.findings.iter())
            .flat_map(|finding| &finding.flow_ids)
            .copied()
            .collect();
        let id_of = |index: usize| match input.ids {
            Some(given) => given.flows.get(index).copied().unwrap_or_default(),
            None => index as u64 + 1,
        };
        let mut indexes: BTreeSet<usize> = (0..flows.len())
            .filter(|index| ids.contains(&id_of(*index)))
            .collect();
        let mut wanted = Self {
            count: indexes.len() as u64,
            ..Self::default()
        };
        let kept = |index| {
            neighbours
                .kept
                .is_some_and(|kept| kept.contains(&id_of(index)))
        };
        let young = |flow: &Summary| neighbours.since.is_none_or(|since| flow.first >= since);
        let mut near = beside(flows, &indexes, &kept, &young);
        wanted.neighbours = near.iter().map(|index| id_of(*index)).collect();
        indexes.append(&mut near);
        wanted.beside = indexes.len() as u64 - wanted.count;
        let mut servers = BTreeSet::new();
        for (index, summary) in
            (indexes.iter()).filter_map(|index| Some((*index, flows.get(*index)?)))
        {
            servers.insert(summary.key.b.address);
            wanted.addresses.insert(summary.key.a.address);
            wanted.addresses.insert(summary.key.b.address);
            let span = Span {
                id: id_of(index),
                key: ordered(summary.key),
                first: summary.first,
                last: summary.last,
            };
            let hash = flow_hash(&summary.key);
            wanted.flows.entry(hash).or_default().push(span);
        }
        wanted.widen(input, &indexes);
        for lookup in &input.around.lookups {
            if let DnsAnswer::Addresses(addresses) = &lookup.answer
                && addresses.iter().any(|address| servers.contains(address))
            {
                wanted.others.insert(lookup.frame);
                wanted.others.extend(lookup.answer_frame);
            }
        }
        for finding in &report.findings {
            wanted.cite(headline(finding), [finding.first_frame]);
            for fact in &finding.evidence {
                let frames = fact.packets.iter();
                let frames = frames.map(|number| Frame::new(fact.capture, *number));
                wanted.cite(note(finding, fact), frames);
            }
        }
        wanted
    }

    /// Lets times go where no other flow has the same ends: a clock that was set back cuts no flow short then.
    fn widen(&mut self, input: &Input<'_>, indexes: &BTreeSet<usize>) {
        let mut reused = BTreeSet::new();
        for (index, summary) in input.around.flows.iter().enumerate() {
            let hash = flow_hash(&summary.key);
            if self.flows.contains_key(&hash) && !indexes.contains(&index) {
                reused.insert(hash);
            }
        }
        for (_, span) in self
            .flows
            .iter_mut()
            .filter(|(hash, _)| !reused.contains(hash))
            .flat_map(|(hash, spans)| spans.iter_mut().map(move |span| (hash, span)))
        {
            (span.first, span.last) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        }
    }

    fn cite(&mut self, note: String, frames: impl IntoIterator<Item = Frame>) {
        let place = self.notes.len();
        for frame in frames {
            self.cited.entry(frame).or_default().push(place);
        }
        self.notes.push(note);
    }

    /// The number of the flow that a packet belongs to, if it is one of these, and whether it is the flow's own: an ICMP error belongs to the flow of
    /// the packet that it quotes.
    fn whose(&self, hash: u64, ip: &[u8], wire: u32, time: Timestamp) -> Option<(u64, bool)> {
        let spans = self.flows.get(&hash)?;
        let decoded = decode(ip, wire).ok()??;
        let key = ordered(decoded.key);
        let ours = |span: &&Span| span.key == key && (span.first..=span.last).contains(&time);
        let span = spans.iter().find(ours)?;
        Some((span.id, !matches!(decoded.transport, Transport::Icmp(_))))
    }
}

/// The flows nearest in time, and of these the longest, that share an end with the `chosen`; those that are `kept` go first, others must be `young`.
fn beside(
    flows: &Flows,
    chosen: &BTreeSet<usize>,
    kept: &dyn Fn(usize) -> bool,
    young: &dyn Fn(&Summary) -> bool,
) -> BTreeSet<usize> {
    let mut times: HashMap<Address, (Timestamp, Timestamp), foldhash::fast::RandomState> =
        HashMap::default();
    for flow in chosen.iter().filter_map(|index| flows.get(*index)) {
        for end in [flow.key.a, flow.key.b] {
            let time = times.entry(end.address).or_insert((flow.first, flow.last));
            *time = (time.0.min(flow.first), time.1.max(flow.last));
        }
    }
    let mut near: BTreeMap<Address, Vec<_>> = BTreeMap::new();
    for (index, flow) in flows.iter().enumerate() {
        let bytes = flow.up.bytes + flow.down.bytes;
        if chosen.contains(&index) {
            continue;
        }
        let kept = kept(index);
        if !kept && (bytes > LONGEST_BESIDE || !young(flow)) {
            continue;
        }
        for end in [flow.key.a, flow.key.b] {
            if let Some((first, last)) = times.get(&end.address) {
                let apart = flow.first.since(*last).max(first.since(flow.last)).max(0);
                let apart = if kept { -1 } else { apart };
                let candidates = near.entry(end.address).or_default();
                candidates.push((apart, Reverse(bytes), index));
                if candidates.len() >= 2 * MOST_BESIDE {
                    candidates.sort_unstable();
                    candidates.truncate(MOST_BESIDE);
                }
            }
        }
    }
    near.into_values()
        .flat_map(|mut candidates| {
            candidates.sort_unstable();
            candidates.truncate(MOST_BESIDE);
            candidates
        })
        .map(|(.., index)| index)
        .collect()
}

/// The key with its ends in order, whoever is the client.
fn ordered(key: FlowKey) -> FlowKey {
    FlowKey {
        a: key.a.min(key.b),
        b: key.a.max(key.b),
        ..key
    }
}

/// What is said on the packet that shows a finding first.
fn headline(finding: &Finding) -> String {
    format!("{}: {}", title(finding), finding.summary)
}

/// What is said on a packet that evidence cites: rule, value and limit, and the fact in words.
fn note(finding: &Finding, fact: &Evidence) -> String {
    format!(
        "{}: {} {}, limit {}{}: {}",
        title(finding),
        fact.rule,
        with_unit(fact.value, fact.unit),
        with_unit(fact.limit, fact.unit),
        if fact.supports { "" } else { " (against)" },
        fact.text
    )
}

fn title(finding: &Finding) -> String {
    format!(
        "finding {}, {} {} {}",
        finding.id,
        level_word(finding.level),
        finding.service,
        finding.mechanism.name()
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use super::*;
    use crate::capture::{Options, Run};
    use crate::types::{Endpoint, Protocol};

    const SECOND: i64 = 1_000_000_000;

    const OURS: [u8; 4] = [10, 0, 0, 1];
    const THEIRS: [u8; 4] = [198, 51, 100, 7];

    /// The flow that is wanted: UDP from port 1000 of ours to port 443 of theirs.
    fn wanted(times: (i64, i64), cited: &[u64]) -> EvidenceFile<Vec<u8>> {
        let end = |address, port| Endpoint {
            address: Address::v4(address),
            port,
        };
        let key = FlowKey {
            a: end(OURS, 1000),
            b: end(THEIRS, 443),
            protocol: Protocol::Udp,
        };
        let mut wanted = Wanted {
            count: 1,
            ..Wanted::default()
        };
        let span = Span {
            id: 1,
            key: ordered(key),
            first: Timestamp(times.0 * SECOND),
            last: Timestamp(times.1 * SECOND),
        };
        wanted.flows.insert(flow_hash(&key), vec![span]);
        wanted.cite(
            "a rule: 3, limit 2".to_owned(),
            cited.iter().map(|number| Frame::new(0, *number)),
        );
        EvidenceFile {
            wanted,
            captures: vec![("a.pcap".to_owned(), None)],
            interfaces: BTreeMap::new(),
            last: Timestamp::default(),
            fragments: Fragments::default(),
            held: VecDeque::new(),
            held_bytes: 0,
            writer: PcapngWriter::new(Vec::new(), "test", "").unwrap(),
            written: Written::default(),
            met: HashMap::default(),
            aside: Vec::new(),
        }
    }

    fn ip(from: [u8; 4], to: [u8; 4], protocol: u8, place: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend((20 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 9]);
        packet.extend(place.to_be_bytes());
        packet.extend([64, protocol, 0, 0]);
        packet.extend(from);
        packet.extend(to);
        packet.extend(payload);
        packet
    }

    fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        for word in [from, to, 8 + payload.len() as u16, 0] {
            datagram.extend(word.to_be_bytes());
        }
        datagram.extend(payload);
        datagram
    }

    /// One raw IP packet, whole.
    fn batch_of(time: Timestamp, number: u64, bytes: &[u8]) -> Batch {
        let packet = Packet {
            time,
            frame: Frame::new(0, number),
            captured: bytes.len() as u32,
            wire: bytes.len() as u32,
            link: LinkType::RAW,
            ..Packet::default()
        };
        Batch {
            bytes: Arc::new(bytes.to_vec()),
            packets: vec![packet],
        }
    }

    /// Frame numbers that are written, from packets a second apart; a packet's first byte behind its IP header tells nothing, so times do.
    fn saved(mut file: EvidenceFile<Vec<u8>>, packets: &[Vec<u8>]) -> (Vec<i64>, Written, Vec<u8>) {
        for (number, bytes) in (1_u64..).zip(packets) {
            let time = Timestamp(number as i64 * SECOND);
            file.batch(&batch_of(time, number, bytes), &|_| None)
                .unwrap();
        }
        // the end of the file, without taking the writer away
        file.fragments.finish();
        while !file.held.is_empty() {
            file.forsake(Timestamp(i64::MAX));
            file.release().unwrap();
        }
        let (written, bytes) = (file.written, file.writer.finish().unwrap());
        let reader = Box::new(Cursor::new(bytes.clone()));
        let mut times = Vec::new();
        if let Ok(mut run) = Run::read("evidence", reader, &Options::default()) {
            let mut batch = Batch::default();
            while run.next(&mut batch) {
                times.extend(batch.packets.iter().map(|packet| packet.time.0 / SECOND));
            }
        }
        (times, written, bytes)
    }

    #[test]
    fn both_directions_and_icmp_errors_belong_to_a_flow_and_its_neighbours_do_not() {
        let sent = ip(OURS, THEIRS, 17, 0, &udp(1000, 443, b"x"));
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend(&sent);
        let packets = [
            sent.clone(),
            ip(THEIRS, OURS, 17, 0, &udp(443, 1000, b"y")),
            ip([192, 0, 2, 1], OURS, 1, 0, &error),
            ip(OURS, THEIRS, 17, 0, &udp(1001, 443, b"z")),
            ip(OURS, THEIRS, 1, 0, &[8, 0, 0, 0, 0, 0, 0, 0]),
            sent,
        ];
        let (times, written, _) = saved(wanted((0, 5), &[]), &packets);
        assert_eq!(times, [1, 2, 3], "the last is past the flow's end");
        assert_eq!((written.packets, written.cited), (3, 0));
    }

    #[test]
    fn all_pieces_of_a_fragmented_datagram_are_saved_in_their_places() {
        let whole = udp(1000, 443, &[7; 32]);
        let other = udp(1001, 443, &[7; 32]);
        let piece = |datagram: &[u8], from: usize, to: usize, id: u8| {
            let more = if to < datagram.len() { 0x2000 } else { 0 };
            let mut packet = ip(
                OURS,
                THEIRS,
                17,
                more | (from / 8) as u16,
                &datagram[from..to],
            );
            packet[5] = id;
            packet
        };
        let plain = ip(OURS, THEIRS, 17, 0, &udp(1000, 443, b"x"));
        let packets = [
            // ours, the last piece first, with another packet of the flow between, and a piece that comes twice
            piece(&whole, 16, 40, 1),
            plain.clone(),
            piece(&other, 0, 16, 2),
            piece(&whole, 16, 40, 1),
            piece(&whole, 0, 16, 1),
            piece(&other, 16, 40, 2),
            // one that never becomes whole
            piece(&whole, 0, 16, 3),
            plain,
        ];
        let (times, written, _) = saved(wanted((0, 9), &[]), &packets);
        assert_eq!(times, [1, 2, 5, 8]);
        assert_eq!(written.packets, 4);
    }

    #[test]
    fn what_waits_for_a_piece_that_never_comes_is_bounded() {
        let mut piece = ip(OURS, THEIRS, 17, 0x2000, &[0; 64]);
        let plain = ip(OURS, THEIRS, 17, 0, &udp(1000, 443, &vec![0; 40_000]));
        let mut file = wanted((0, 10_000), &[]);
        let mut most = 0;
        let mut feed = |number: u64, bytes: &[u8]| {
            let time = Timestamp(SECOND + number as i64);
            file.batch(&batch_of(time, number, bytes), &|_| None)
                .unwrap();
            most = most.max(file.held_bytes);
        };
        feed(1, &piece);
        for number in 2..1_000 {
            // duplicates of the first piece are of no datagram
            piece[4] = 0;
            feed(number, if number % 100 == 0 { &piece } else { &plain });
        }
        assert!(most <= MOST_HELD + 2 * plain.len(), "{most}");
        assert_eq!(file.finish().unwrap().packets, 989);
    }

    #[test]
    fn a_cited_packet_is_saved_whatever_it_is_and_one_that_is_not_met_is_told() {
        let packets = [vec![0; 4], ip(OURS, THEIRS, 17, 0, &udp(1000, 443, b"x"))];
        let (times, written, bytes) = saved(wanted((0, 9), &[1, 2, 77]), &packets);
        assert_eq!(times, [1, 2]);
        assert_eq!(written.cited, 2);
        let text = String::from_utf8_lossy(&bytes);
        for words in [
            "a rule: 3, limit 2",
            "frame 1 of a.pcap",
            "frame 2 of a.pcap",
        ] {
            assert!(text.contains(words), "{words}");
        }
        let mut file = wanted((0, 9), &[1, 2, 77]);
        file.wanted.cited.remove(&Frame::new(0, 1));
        assert_eq!(file.finish().unwrap().missing, 2);
    }
}
