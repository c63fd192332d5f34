use crate::application::dns::DnsFact;
use crate::application::{
    Appetite, HostSource, Recognised, classify_cut_datagram, classify_datagram, datagram_may_start,
    stream_may_start,
};
use crate::decode::{Decoded, Transport, decode};
use crate::facts::{Detail, DnsLookup, Summary};
use crate::flow::{
    Datagram, Details, Finished, FlowRef, FlowTable, Hints, Measurement, PacketKind, Placed, Sink,
    Slab,
};
use crate::service::{Belonging, Catalogue, Clue, Part};
use crate::types::{Endpoint, FlowKey, Frame, Protocol, Side, Timestamp};

use super::names::lookups;
use super::reader::{Item, Job, UndecodedCounts, shard_of};
use super::rider::Rider;
use super::{Names, Scope, Settings};

/// Packets that are looked up together, so that their cache misses overlap: enough to hide memory's latency, few enough that what was decoded stays
/// in the first-level cache.
const GROUP: usize = 128;

/// A flow that is final, with its service as far as its own bytes and addresses tell.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) summary: Summary,
    pub(super) detail: Option<Box<Detail>>,
    /// Whether detectors see the detail. The flow table may ask for more, but what is shown must not change what is found.
    pub(super) judged: bool,
    /// Whether a name or the protocol's own bytes decided: then DNS is not asked.
    pub(super) named: bool,
    /// Whether nothing that was captured of it could name it.
    pub(super) silent: bool,
}

impl Gathered {
    /// Its place among all flows: by first packet.
    pub(super) const fn rank(&self) -> (Timestamp, Frame) {
        self.summary.rank()
    }
}

/// What a watched worker tells at each tick.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The tick's time.
    pub(super) now: Timestamp,
    /// Flows that are final.
    pub(super) ended: Vec<Gathered>,
    /// Flows that changed and go on, as far as they have come.
    pub(super) open: Vec<Gathered>,
    /// First packets of flows that were dropped for want of room.
    pub(super) dropped: Vec<(Timestamp, Frame)>,
    /// DNS lookups of these flows.
    pub(super) lookups: Vec<DnsLookup>,
    /// Packets that could not be decoded since the last tick.
    pub(super) undecoded: UndecodedCounts,
    /// Flows held.
    pub(super) flows: usize,
    /// Flows seen since the start, and how many of them were TCP.
    pub(super) opened: (u64, u64),
    /// Flows dropped for want of room since the start, and how many of them were TCP.
    pub(super) evicted: (u64, u64),
    /// Ended flows that could not be told in time.
    pub(super) unjudged: u64,
}

impl Told {
    /// Adds what a later tick told; of ended flows, the last `most` are kept.
    pub(super) fn add(&mut self, later: Self, most: usize) {
        self.ended.extend(later.ended);
        let surplus = self.ended.len().saturating_sub(most);
        self.ended.drain(..surplus);
        self.open.extend(later.open);
        self.dropped.extend(later.dropped);
        self.lookups.extend(later.lookups);
        for (place, count) in later.undecoded {
            *self.undecoded.entry(place).or_default() += count;
        }
        (self.now, self.flows) = (later.now, later.flows);
        (self.opened, self.evicted) = (later.opened, later.evicted);
        self.unjudged += later.unjudged + surplus as u64;
    }
}

/// Most flows that a worker shows at one tick: some tens of milliseconds of work. The others wait for the next.
const MOST_GLANCES: usize = 16_384;

/// Flows whose course is followed at once in a watched worker's tables, all shards together. A course takes 0.8 MB at most.
const MOST_COURSES: usize = 512;

/// Owns the flows of some shards: decodes, follows, recognises and measures. Needs no thread, and asks no clock.
pub(super) struct Worker<'a> {
    /// One table a shard; those of other workers stay empty.
    shards: Vec<FlowTable<Rider>>,
    measurer: Measurer<'a>,
    gathered: Slab<Gathered>,
    /// DNS lookups since the last tick; none in a worker that is not watched, which notes them among the shared names.
    lookups: Option<Vec<DnsLookup>>,
    pub(super) undecoded: UndecodedCounts,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        shard_count: usize,
        settings: &Settings,
        catalogue: &'a Catalogue,
        names: &'a Names,
    ) -> Self {
        Self {
            shards: (0..shard_count)
                .map(|_| FlowTable::new(shard_limit(settings.max_flows, shard_count)))
                .collect(),
            measurer: Measurer {
                catalogue,
                names,
                scope: settings.scope,
                flow_table: settings.flow_table,
            },
            gathered: Slab::new(),
            lookups: None,
            undecoded: UndecodedCounts::new(),
        }
    }

    /// A worker that tells at each [`tick`](Self::tick) what changed.
    pub(super) fn watched(
        shard_count: usize,
        settings: &Settings,
        catalogue: &'a Catalogue,
        names: &'a Names,
    ) -> Self {
        let limit = shard_limit(settings.max_flows, shard_count);
        let courses = MOST_COURSES / shard_count.max(1);
        Self {
            shards: (0..shard_count)
                .map(|_| FlowTable::watched(limit, courses.max(1)))
                .collect(),
            lookups: Some(Vec::new()),
            ..Self::new(shard_count, settings, catalogue, names)
        }
    }

    /// Takes a job's packets, in order.
    pub(super) fn job(&mut self, job: &Job) {
        let shards = self.shards.len();
        for items in job.items.chunks(GROUP) {
            // passes of independent loads, so that a group's cache misses overlap: the packets and the table's slots, then the flows
            let table = |item: &Item| self.shards.get(shard_of(item.hash, shards));
            let mut touched = 0;
            for item in items {
                let byte = job.bytes.get(item.start as usize).copied();
                let slot = table(item).map_or(0, |table| table.touch_slot(item.hash));
                touched ^= slot as u32 ^ u32::from(byte.unwrap_or_default());
            }
            let mut guesses = [FlowRef::default(); GROUP];
            for (guess, item) in guesses.iter_mut().zip(items) {
                *guess = table(item).map_or_else(FlowRef::default, |table| table.guess(item.hash));
            }
            for (guess, item) in guesses.iter().zip(items) {
                touched ^= table(item).map_or(0, |table| table.touch_flow(*guess));
            }
            std::hint::black_box(touched);
            for (item, guess) in items.iter().zip(guesses) {
                let start = item.start as usize;
                let bytes = job
                    .bytes
                    .get(start..start + item.captured as usize)
                    .unwrap_or_default();
                match decode(bytes, item.wire) {
                    Ok(Some(decoded)) => self.packet(item, guess, &decoded),
                    Ok(None) => {}
                    Err(reason) => {
                        let count = self.undecoded.entry((item.frame.capture(), reason.name()));
                        *count.or_default() += 1;
                    }
                }
            }
        }
        if let Some(item) = job.items.last() {
            self.advance(item.time);
        }
    }

    /// Packet time has reached `now`: flows that have been silent for longer than they live are final.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let mut outbox =
            (self.measurer).outbox(now, true, &mut self.gathered, self.lookups.as_mut());
        for table in &mut self.shards {
            table.advance(now, &mut outbox);
        }
    }

    /// The clock has reached `now`: what became final since the last tick, and, if it is to `show` that, what changed. Only of a worker that was made to
    /// be watched.
    pub(super) fn tick(&mut self, now: Timestamp, show: bool) -> Told {
        self.advance(now);
        let mut told = Told {
            now,
            ..Told::default()
        };
        let most = if show {
            MOST_GLANCES / self.shards.len().max(1)
        } else {
            0
        };
        let mut open = Slab::new();
        let mut outbox = (self.measurer).outbox(now, true, &mut open, self.lookups.as_mut());
        for table in &mut self.shards {
            told.dropped.extend(table.changes(now, most, &mut outbox));
            told.flows += table.len();
            let (flows, tcp) = table.evicted();
            told.evicted = (told.evicted.0 + flows, told.evicted.1 + tcp);
            let (flows, tcp) = table.opened();
            told.opened = (told.opened.0 + flows, told.opened.1 + tcp);
        }
        told.open = open.into_values().collect();
        told.ended = std::mem::replace(&mut self.gathered, Slab::new())
            .into_values()
            .collect();
        told.lookups = self
            .lookups
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        told.undecoded = std::mem::take(&mut self.undecoded);
        told
    }

    /// The run is over, its last packet time was `last`: all flows are final. Gives them in parts, each from the oldest to the youngest.
    pub(super) fn finish(
        mut self,
        last: Timestamp,
    ) -> (Vec<Slab<Gathered>>, UndecodedCounts, (u64, u64)) {
        let mut evicted = (0, 0);
        let mut parts = vec![in_order(self.gathered)];
        for table in &mut self.shards {
            let (flows, tcp) = table.evicted();
            evicted = (evicted.0 + flows, evicted.1 + tcp);
            let mut part = Slab::new();
            table.drain(&mut self.measurer.outbox(last, false, &mut part, None));
            parts.push(in_order(part));
        }
        (parts, self.undecoded, evicted)
    }

    /// The run is over, the clock stands at `last`: all flows of a watched worker are final.
    pub(super) fn end(mut self, last: Timestamp) -> Told {
        let mut told = self.tick(last, false);
        let mut ended = Slab::new();
        let mut outbox = (self.measurer).outbox(last, true, &mut ended, Some(&mut told.lookups));
        for table in &mut self.shards {
            table.drain(&mut outbox);
        }
        told.ended.extend(ended.into_values());
        told
    }

    fn packet(&mut self, item: &Item, guess: FlowRef, packet: &Decoded<'_>) {
        let shard = shard_of(item.hash, self.shards.len());
        let Some(table) = self.shards.get_mut(shard) else {
            return;
        };
        let datagram = match packet.transport {
            Transport::Udp if (packet.payload.len() as u64) < u64::from(packet.payload_length) => {
                classify_cut_datagram(packet.payload, packet.payload_length)
            }
            Transport::Udp => classify_datagram(packet.payload),
            _ => Datagram::default(),
        };
        if datagram.kind == PacketKind::Dns && datagram.stream == 1 {
            self.measurer.names.expect();
        }
        let mut outbox =
            (self.measurer).outbox(item.time, true, &mut self.gathered, self.lookups.as_mut());
        let placed = table.packet(
            item.hash,
            guess,
            item.time,
            item.frame,
            item.vlan,
            packet,
            datagram,
            &mut outbox,
        );
        if let Some(placed) = placed
            && packet.payload_length > 0
            && !placed.settled
        {
            match packet.transport {
                Transport::Tcp(segment) => {
                    // payload of a SYN comes after it (RFC 7413)
                    let seq = segment.seq.plus(u32::from(segment.flags & 0x02 != 0));
                    feed_stream(table, self.measurer.names, placed, item, packet, seq);
                }
                Transport::Udp => feed_datagram(table, self.measurer.names, placed, item, packet),
                Transport::Icmp(_) => {}
            }
        }
    }
}

/// Puts flows into the order of their first packets. Most parts are in it, since a table keeps flows as they came.
fn in_order(part: Slab<Gathered>) -> Slab<Gathered> {
    if part.values().is_sorted_by_key(Gathered::rank) {
        return part;
    }
    let mut flows: Vec<_> = part.into_values().collect();
    flows.sort_by_key(Gathered::rank);
    flows.into_iter().collect()
}

/// Measures flows that are final and says whose they are.
#[derive(Clone, Copy)]
struct Measurer<'a> {
    catalogue: &'a Catalogue,
    names: &'a Names,
    scope: Scope,
    flow_table: bool,
}

/// Takes final flows out of a table.
struct Outbox<'a, 'g> {
    measurer: Measurer<'a>,
    now: Timestamp,
    /// Whether the run goes on, so that a name may still come from DNS.
    early: bool,
    gathered: &'g mut Slab<Gathered>,
    /// Where DNS lookups go; where nowhere, among the shared names.
    lookups: Option<&'g mut Vec<DnsLookup>>,
}

impl Sink<Rider> for Outbox<'_, '_> {
    fn wants_packets(&self, key: &FlowKey, rider: Option<&Rider>) -> bool {
        self.measurer.flow_table || self.measurer.judges_packets(self.early, key, rider)
    }

    fn wants_course(&self, key: &FlowKey, rider: Option<&Rider>) -> bool {
        self.measurer.flow_table || self.measurer.judges_course(key, rider)
    }

    fn take(&mut self, flow: Finished<Rider>) {
        let key = flow.key;
        let (flow, questions) = self.measurer.measure(flow, self.now, self.early);
        self.gathered.push(flow);
        for fact in questions {
            match &mut self.lookups {
                Some(list) => lookups(&key, fact, |lookup| list.push(lookup)),
                None => self.measurer.names.note_fact(&key, fact),
            }
        }
    }

    fn glance(&mut self, flow: Finished<Rider>) {
        self.take(flow);
    }

    fn so_far(&self, rider: &Rider) -> Option<Rider> {
        Some(rider.so_far())
    }
}

impl<'a> Measurer<'a> {
    const fn outbox<'g>(
        &self,
        now: Timestamp,
        early: bool,
        gathered: &'g mut Slab<Gathered>,
        lookups: Option<&'g mut Vec<DnsLookup>>,
    ) -> Outbox<'a, 'g> {
        Outbox {
            measurer: *self,
            now,
            early,
            gathered,
            lookups,
        }
    }

    /// Measures a flow and says whose it is; its DNS questions beside it.
    fn measure(
        &self,
        flow: Finished<Rider>,
        now: Timestamp,
        early: bool,
    ) -> (Gathered, Vec<DnsFact>) {
        let mut flow = flow;
        // what was measured for the flow table alone is not judged
        let rider = flow.rider.as_ref();
        let lean = match (flow.has_packets(), flow.has_course()) {
            (false, _) => false,
            (true, true) => self.judges_course(&flow.key, rider),
            (true, false) => self.judges_packets(early, &flow.key, rider),
        };
        let mut recognised = flow.rider.take().and_then(Rider::finish);
        let hints = Hints {
            request_from: recognised.as_ref().and_then(|recognised| recognised.client),
            service_at: self.service_at(&flow.key),
        };
        let (measured, _) = flow.measure(hints, now);
        let questions = (recognised.as_mut())
            .map(|recognised| std::mem::take(&mut recognised.dns))
            .unwrap_or_default();
        let (server, protocol) = (measured.key.b, measured.key.protocol);
        let silent = said_nothing(&measured, recognised.as_deref());
        let clue = Clue {
            silent,
            ..recognised
                .as_deref()
                .map_or(Clue::of_server(server, protocol), |recognised| {
                    clue(recognised, server, protocol, None)
                })
        };
        let belonging = self.catalogue.classify(&clue);
        let summary = summary(&measured, belonging.service.0);
        let named = belonging
            .host_source
            .is_some_and(|source| source < HostSource::Dns)
            || clue.signature.is_some();
        let messenger = self.catalogue.is_messenger(belonging.service);
        let judged = lean
            && (messenger
                || is_heavy(&summary)
                || is_troubled(&measured)
                    && (self.scope == Scope::All
                        || !named && (early || !self.names.is_empty() || self.names.has_speech())));
        let keep = judged || self.flow_table;
        let detail = measured.details.filter(|_| keep).map(|measured| {
            let recognised = recognised.map(|recognised| *recognised).unwrap_or_default();
            let mut detail = detail(*measured, recognised, now);
            belong(&mut detail, belonging);
            Box::new(detail)
        });
        let flow = Gathered {
            summary,
            detail,
            judged,
            named,
            silent,
        };
        (flow, questions)
    }

    /// Whether detectors may ask for the packets of a flow, once the run is over or its end is told early.
    fn judges_packets(&self, early: bool, key: &FlowKey, rider: Option<&Rider>) -> bool {
        early || !self.names.is_empty() || self.names.has_speech() || self.judges_course(key, rider)
    }

    /// Whether detectors may ask for the course of a flow: asked while the run goes on, so nothing but the flow itself decides.
    fn judges_course(&self, key: &FlowKey, rider: Option<&Rider>) -> bool {
        self.scope == Scope::All
            || rider.is_some_and(|rider| !matches!(rider, Rider::Unknown))
            || self.catalogue.knows(key.a, key.protocol)
            || self.catalogue.knows(key.b, key.protocol)
    }

    /// Which end's address the catalogue knows, where ports do not tell the server.
    fn service_at(&self, key: &FlowKey) -> Option<Side> {
        if key.a.port < 1024 || key.b.port < 1024 {
            return None;
        }
        match (
            self.catalogue.knows(key.a, key.protocol),
            self.catalogue.knows(key.b, key.protocol),
        ) {
            (true, false) => Some(Side::A),
            (false, true) => Some(Side::B),
            _ => None,
        }
    }
}

/// How many flows one shard may hold. A shard's share varies by chance (binomial), so four standard deviations are added: a run at the limit
/// is not cut because its flows fell unevenly.
fn shard_limit(max_flows: usize, shards: usize) -> usize {
    let share = max_flows / shards.max(1);
    if shards <= 1 {
        max_flows
    } else {
        share + 4 * share.isqrt()
    }
}

/// Enough bytes to serve as the baseline of rates: the contract's differential evidence asks for controls of this size.
fn is_heavy(summary: &Summary) -> bool {
    const HEAVY: u64 = 64 * 1024;
    summary.up.bytes.max(summary.down.bytes) >= HEAVY
}

/// Whether nothing that was captured of the flow could name it: neither side said anything, or the snap length cut what was said. A client that
/// closed by itself waited for nothing.
fn said_nothing(flow: &Measurement, recognised: Option<&Recognised>) -> bool {
    let cut = flow
        .details
        .as_ref()
        .is_some_and(|details| details.snapped > 0);
    let names = recognised.is_some_and(|recognised| {
        recognised.sni.is_some()
            || recognised.http_host.is_some()
            || !recognised.certificate_names.is_empty()
    });
    let closed = (flow.details.as_ref()).is_some_and(|details| details.sides.a.fin.is_some());
    flow.up.data_packets == 0 && flow.down.data_packets == 0 && !closed || cut && !names
}

/// Whether anything about the flow could become a finding, or explain one.
fn is_troubled(flow: &Measurement) -> bool {
    let Some(details) = &flow.details else {
        return false;
    };
    let (client, server) = (&details.sides.a, &details.sides.b);
    !details.resets.is_empty()
        || !details.icmp.is_empty()
        || client.unanswered.tries >= 2
        || server.unanswered.tries >= 2
        || client.fin.is_some() && flow.down.packets == 0
        || flow.up.retransmitted + flow.down.retransmitted >= 3
        || flow.down.data_packets == 0 && flow.up.data_packets > 0
}

pub(super) fn clue<'a>(
    recognised: &'a Recognised,
    server: Endpoint,
    protocol: Protocol,
    dns_name: Option<&'a str>,
) -> Clue<'a> {
    use crate::application::Application;
    let sni_source = match (recognised.ech, recognised.application) {
        (true, _) => HostSource::EchOuter,
        (false, Application::Quic) => HostSource::QuicSni,
        _ => HostSource::TlsSni,
    };
    Clue {
        sni: recognised.sni.as_deref(),
        sni_source,
        http_host: recognised.http_host.as_deref(),
        certificate_names: &recognised.certificate_names,
        certificate_issuer: recognised.certificate_issuer.as_deref(),
        signature: recognised.signature,
        dns_name,
        server,
        protocol,
        application: recognised.application,
        silent: false,
    }
}

/// Writes down whose a flow is, and why.
pub(super) fn belong(detail: &mut Detail, belonging: Belonging) {
    detail.host_source = belonging.host_source;
    detail.host = belonging.host;
    detail.part = belonging.part.map(Part::name);
    detail.service_why = belonging.why.to_string();
}

fn milliseconds(nanos: Option<i64>) -> Option<f32> {
    nanos.map(|nanos| nanos as f32 / 1e6)
}

fn summary(flow: &Measurement, service: u16) -> Summary {
    Summary {
        key: flow.key,
        orientation: flow.orientation,
        end: flow.end,
        vlan: flow.vlan,
        service,
        first: flow.first,
        last: flow.last,
        first_frame: flow.first_frame,
        up: flow.up,
        down: flow.down,
        activity: flow.activity,
        client_activity: flow.client_activity,
        repeating_ms: flow.repeating_ms,
        rtt_server_ms: milliseconds(flow.rtt.b),
        rtt_client_ms: milliseconds(flow.rtt.a),
        hop_limits: flow.hop_limits,
        duplicates: flow.duplicates,
    }
}

fn detail(measured: Details, recognised: Recognised, observed_until: Timestamp) -> Detail {
    Detail {
        packets: measured.packets,
        omitted: measured.omitted,
        resets: measured.resets,
        icmp: measured.icmp,
        client: measured.sides.a,
        server: measured.sides.b,
        rtt: measured.rtt,
        from_start: measured.from_start,
        one_way: measured.one_way,
        snapped: measured.snapped,
        offloaded: measured.offloaded,
        transfer: measured.transfer,
        recognised,
        observed_until,
        ..Detail::default()
    }
}

fn feed_stream(
    table: &mut FlowTable<Rider>,
    names: &Names,
    placed: Placed,
    item: &Item,
    packet: &Decoded<'_>,
    seq: crate::types::Seq,
) {
    let start = table.stream_start(placed, seq);
    if table.rider(placed.flow).is_none() {
        if seq == start && !stream_may_start(packet.payload) {
            table.settle(placed.flow, placed.side);
            return;
        }
        let Some(key) = table.key(placed.flow) else {
            return;
        };
        names.note_speech();
        table.mount(placed.flow, Rider::stream(&key));
    }
    let Some(rider) = table.rider(placed.flow) else {
        return;
    };
    let whole = packet.payload.len() as u64 >= u64::from(packet.payload_length);
    let appetite = match rider {
        Rider::Stream(stream) => stream.segment(
            placed.side,
            start,
            seq,
            packet.payload,
            whole,
            item.frame,
            item.time,
        ),
        _ => Appetite::Full,
    };
    if appetite == Appetite::Full {
        rider.digest();
        settle_both(table, placed.flow);
    }
}

fn feed_datagram(
    table: &mut FlowTable<Rider>,
    names: &Names,
    placed: Placed,
    item: &Item,
    packet: &Decoded<'_>,
) {
    if table.rider(placed.flow).is_none() {
        let Some(key) = table.key(placed.flow) else {
            return;
        };
        if !datagram_may_start(packet.payload, (key.a.port, key.b.port)) {
            return;
        }
        names.note_speech();
        table.mount(placed.flow, Rider::datagrams(&key));
    }
    let Some(rider) = table.rider(placed.flow) else {
        return;
    };
    let whole = packet.payload.len() as u64 >= u64::from(packet.payload_length);
    let appetite = match rider {
        Rider::Datagrams(recogniser) => {
            recogniser.datagram(placed.side, packet.payload, whole, item.frame, item.time)
        }
        _ => Appetite::Full,
    };
    if appetite == Appetite::Full {
        rider.digest();
        settle_both(table, placed.flow);
    }
}

fn settle_both(table: &mut FlowTable<Rider>, flow: FlowRef) {
    for side in [Side::A, Side::B] {
        table.settle(flow, side);
    }
}
