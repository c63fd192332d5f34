use crate::decode::Decoded;
use crate::types::{BySide, FlowKey, Frame, Protocol, Seq, Side, Timestamp};

use super::journal::{Journal, NONE};
use super::lifetime;
use super::outline::{Outline, Sketch};
use super::record::{Datagram, Record};
use super::slab::Slab;
use super::tracker::{Details, Tracker};

/// Where a flow lies in its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowRef(u32);

impl Default for FlowRef {
    /// No flow of any table.
    fn default() -> Self {
        Self(NONE)
    }
}

/// Packets that a flow logs before it is followed packet by packet. Most flows of real captures end below it, and are then measured in one go,
/// with their log in cache.
const LOG: u32 = 41;

/// Flows that are measured together at the end, so that the waits for their records overlap: what they hold fits the first-level cache.
const TOGETHER: usize = 32;

/// How often flows that are over are looked for where changes are watched, in nanoseconds. A walk over a million flows costs tens of milliseconds.
const SWEEP: i64 = 10_000_000_000;

/// A flow with a long course is shown again once it has been silent for so long, in nanoseconds: below half a second, so that what is due then is told
/// within a second.
const SILENT: i64 = 300_000_000;

/// At the latest it is shown again after so long, in nanoseconds.
const STALE: i64 = 5_000_000_000;

/// One flow: what every packet touches in the first cache line, the rest in the second.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Flow<Rider> {
    key: FlowKey,
    bits: u16,
    /// Its last record in the journal; the first is here.
    log: u32,
    count: u32,
    last: Timestamp,
    extra: Option<Box<Extra<Rider>>>,
    // from here on the second line
    vlan: [u16; 2],
    start: BySide<Seq>,
    first: Record,
}

const _: () = assert!(
    size_of::<Flow<u8>>() == 128,
    "a flow is two cache lines, whatever its rider"
);

/// What only some flows have.
#[derive(Debug)]
struct Extra<Rider> {
    rider: Option<Rider>,
    follower: Option<Follower>,
    /// Packets that its last glance rests on, and when that was.
    glanced: (u32, Timestamp),
}

impl<Rider> Default for Extra<Rider> {
    fn default() -> Self {
        Self {
            rider: None,
            follower: None,
            glanced: (0, Timestamp(i64::MIN)),
        }
    }
}

/// Who follows a flow that outgrew its log.
#[derive(Clone, Debug)]
enum Follower {
    Full(Box<Tracker>),
    Brief(Box<Sketch>),
}

impl Follower {
    fn absorb(&mut self, record: &Record) {
        match self {
            Self::Full(tracker) => tracker.absorb(record),
            Self::Brief(sketch) => sketch.absorb(record),
        }
    }

    fn finish(self) -> (Outline, Option<Box<Details>>) {
        match self {
            Self::Full(tracker) => {
                let (outline, details) = tracker.finish();
                (outline, Some(Box::new(details)))
            }
            Self::Brief(sketch) => (sketch.finish(), None),
        }
    }
}

const SYN_A: u16 = 1;
const SYN_B: u16 = 1 << 1;
const HEARD_B: u16 = 1 << 2;
const FIN_A: u16 = 1 << 3;
const FIN_B: u16 = 1 << 4;
const RESET: u16 = 1 << 5;
const NEXT_A: u16 = 1 << 6;
const NEXT_B: u16 = 1 << 7;
const SETTLED_A: u16 = 1 << 8;
const SETTLED_B: u16 = 1 << 9;
const DATA: u16 = 1 << 10;
const IN_USE: u16 = 1 << 11;
/// Packets came since the flow was last glanced at; set only where changes are watched.
const CHANGED: u16 = 1 << 12;

/// A flow that is final: its measurements and what rode with it.
#[derive(Debug)]
pub struct Finished<Rider> {
    /// Both ends, in the order of the first packet.
    pub key: FlowKey,
    /// VLAN identifiers of the first packet.
    pub vlan: [u16; 2],
    /// First packet.
    pub first: Timestamp,
    /// Its frame.
    pub first_frame: Frame,
    /// Last packet.
    pub last: Timestamp,
    /// How long flows of its kind live after their last packet, in nanoseconds.
    pub life: i64,
    /// What is measured of every flow.
    pub(super) outline: Outline,
    /// The rest, where it was wanted.
    pub(super) details: Option<Box<Details>>,
    /// What the rider gathered.
    pub rider: Option<Rider>,
}

/// Where final flows go.
pub trait Sink<Rider> {
    /// Whether a flow's packets may be asked for one by one. Where not, its measurement costs little and holds only counts.
    fn wants_packets(&self, key: &FlowKey, rider: Option<&Rider>) -> bool;
    /// Whether the course of a flow that outgrew its log may be asked for. Asked while the run goes on, so nothing but the flow itself may decide.
    fn wants_course(&self, key: &FlowKey, rider: Option<&Rider>) -> bool;
    /// Takes a final flow.
    fn take(&mut self, flow: Finished<Rider>);
    /// Takes what is known so far of a flow that goes on.
    fn glance(&mut self, flow: Finished<Rider>) {
        drop(flow);
    }
    /// What a rider gathered so far, as a rider of its own; the flow keeps its own.
    fn so_far(&self, _rider: &Rider) -> Option<Rider> {
        None
    }
}

impl<Rider> Finished<Rider> {
    /// Whether its packets were measured one by one.
    #[must_use]
    pub const fn has_packets(&self) -> bool {
        self.details.is_some()
    }

    /// Whether it outgrew its log, and its course was followed.
    #[must_use]
    pub fn has_course(&self) -> bool {
        self.details
            .as_ref()
            .is_some_and(|details| details.transfer.is_some())
    }
}

/// The flows of one shard.
///
/// Open addressing over 64-bit slots (hash, index), so that a look-up touches one line of slots and one flow; flows live in a slab, their packets in
/// one journal. A shard's answers depend on its packets alone, never on threads.
#[derive(Debug)]
pub struct FlowTable<Rider> {
    slots: Vec<u64>,
    flows: Slab<Flow<Rider>>,
    free: Vec<u32>,
    journal: Journal,
    live: usize,
    limit: usize,
    /// Half-open flows, oldest first, with the time of their first packet to tell a reused place.
    half_open: std::collections::VecDeque<(u32, Timestamp)>,
    /// Where the search for the oldest flow goes on when no half-open flow is left.
    hand: u32,
    since_sweep: usize,
    swept_at: Timestamp,
    evicted: u64,
    evicted_tcp: u64,
    opened: u64,
    opened_tcp: u64,
    watch: Option<Watch>,
    /// Flows that outgrew their log and whose course is followed now.
    courses: usize,
}

/// What happened since the last look, for whoever judges while the run goes on.
#[derive(Debug, Default)]
struct Watch {
    /// Flows to which packets came, oldest change first; places that were given to another flow since are told by its bits.
    changed: std::collections::VecDeque<u32>,
    /// First packets of flows that were dropped for want of room.
    dropped: Vec<(Timestamp, Frame)>,
    /// Most flows whose course is followed at once.
    most_courses: usize,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed {
    /// Its flow.
    pub flow: FlowRef,
    /// Which side sent it.
    pub side: Side,
    /// Whether nobody wants more of what that side says: see [`FlowTable::settle`].
    pub settled: bool,
}

/// The bit that says that nobody wants more of what `side` says.
const fn settled(side: Side) -> u16 {
    match side {
        Side::A => SETTLED_A,
        Side::B => SETTLED_B,
    }
}

impl<Rider> FlowTable<Rider> {
    /// A table for at most `limit` flows at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            slots: vec![0; 1024],
            flows: Slab::new(),
            free: Vec::new(),
            journal: Journal::default(),
            live: 0,
            limit: limit.clamp(1, NONE as usize - 1),
            half_open: std::collections::VecDeque::new(),
            hand: 0,
            since_sweep: 0,
            swept_at: Timestamp(i64::MIN),
            evicted: 0,
            evicted_tcp: 0,
            opened: 0,
            opened_tcp: 0,
            watch: None,
            courses: 0,
        }
    }

    /// A table whose changes are watched, and which follows the course of `most_courses` flows at most: for a run that may last for days.
    #[must_use]
    pub fn watched(limit: usize, most_courses: usize) -> Self {
        Self {
            watch: Some(Watch {
                most_courses,
                ..Watch::default()
            }),
            ..Self::new(limit)
        }
    }

    /// Flows held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether no flow is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Flows dropped for want of room, and how many of them were TCP.
    #[must_use]
    pub const fn evicted(&self) -> (u64, u64) {
        (self.evicted, self.evicted_tcp)
    }

    /// Flows that were ever held, and how many of them were TCP.
    #[must_use]
    pub const fn opened(&self) -> (u64, u64) {
        (self.opened, self.opened_tcp)
    }

    /// Something of the place where the search for `hash` begins: asked for a whole batch ahead, so that the waits for memory overlap.
    #[inline]
    #[must_use]
    pub fn touch_slot(&self, hash: u64) -> u64 {
        let home = hash as u32 as usize & (self.slots.len() - 1);
        self.slots.get(home).copied().unwrap_or_default()
    }

    /// The flow that `hash` seems to be of.
    #[inline]
    #[must_use]
    pub fn guess(&self, hash: u64) -> FlowRef {
        /// Slots of one cache line; beyond them the search is the look-up's.
        const LINE: usize = 8;
        let (tag, mask) = (hash as u32, self.slots.len() - 1);
        for step in 0..LINE {
            let slot = self.slots.get((tag as usize + step) & mask);
            let slot = slot.copied().unwrap_or_default();
            if (slot >> 32) as u32 == tag {
                // slot 0 is empty: then this is no flow's number
                return FlowRef((slot as u32).wrapping_sub(1));
            }
            if slot == 0 {
                break;
            }
        }
        FlowRef::default()
    }

    /// Something of a flow, for the same purpose as [`touch_slot`](Self::touch_slot).
    #[inline]
    #[must_use]
    pub fn touch_flow(&self, flow: FlowRef) -> u32 {
        self.flows.get(flow.0).map_or(NONE, |flow| {
            let follower = (flow.extra.as_ref()).and_then(|extra| extra.follower.as_ref());
            match follower {
                Some(Follower::Brief(sketch)) => sketch.touch(),
                _ => flow.log,
            }
        })
    }

    /// Puts a packet into its flow, which is made if need be; `guess` is what [`guess`](Self::guess) said, or any flow. Flows that end by
    /// this are given to `finished`.
    #[expect(
        clippy::too_many_arguments,
        reason = "one packet's context, taken apart by the caller; a struct for one call would hide it"
    )]
    pub fn packet(
        &mut self,
        hash: u64,
        guess: FlowRef,
        time: Timestamp,
        frame: Frame,
        vlan: [u16; 2],
        packet: &Decoded<'_>,
        datagram: Datagram,
        finished: &mut impl Sink<Rider>,
    ) -> Option<Placed> {
        self.since_sweep += 1;
        let icmp = matches!(packet.transport, crate::decode::Transport::Icmp(_));
        let tag = hash as u32;
        let mut found = self
            .side_in(guess.0, &packet.key)
            .map(|side| (guess.0, side))
            .or_else(|| self.find(tag, &packet.key));
        if let Some((index, side)) = found
            && let Some(flow) = self.flows.get(index)
            && flow.is_over(side, time, packet)
        {
            self.retire(index, finished);
            found = None;
        }
        let (index, side) = match found {
            Some(place) => place,
            // an error about a flow that was never seen is nobody's
            None if icmp => return None,
            None => (self.insert(tag, time, &packet.key, finished), Side::A),
        };
        // an ICMP error quotes a packet of one side; it is sent to that side, by the other or by somebody between
        let side = if icmp { side.other() } else { side };
        let record = Record::new(time, frame, side, packet, datagram);
        let flow = self.flows.get_mut(index)?;
        if let Some(watch) = &mut self.watch
            && flow.bits & CHANGED == 0
        {
            flow.bits |= CHANGED;
            watch.changed.push_back(index);
        }
        flow.note(&record, vlan);
        let position = flow.count;
        flow.count = flow.count.saturating_add(1);
        if position == 0 {
            flow.first = record;
        } else if position < LOG {
            flow.log = self.journal.push(record, flow.log);
        } else {
            let room = (self.watch.as_ref()).is_none_or(|watch| self.courses < watch.most_courses);
            let followed = flow.is_followed_in_full();
            flow.follow(&record, &mut self.journal, room, finished);
            self.courses += usize::from(!followed && flow.is_followed_in_full());
        }
        Some(Placed {
            flow: FlowRef(index),
            side,
            settled: flow.bits & settled(side) != 0,
        })
    }

    /// The flow's rider, if it has one.
    pub fn rider(&mut self, flow: FlowRef) -> Option<&mut Rider> {
        self.flows.get_mut(flow.0)?.extra.as_mut()?.rider.as_mut()
    }

    /// Gives the flow a rider.
    pub fn mount(&mut self, flow: FlowRef, rider: Rider) -> Option<&mut Rider> {
        let flow = self.flows.get_mut(flow.0)?;
        let extra = flow.extra.get_or_insert_with(|| Box::new(Extra::default()));
        Some(extra.rider.insert(rider))
    }

    /// The flow's key, in the order of its first packet.
    #[must_use]
    pub fn key(&self, flow: FlowRef) -> Option<FlowKey> {
        self.flows.get(flow.0).map(|flow| flow.key)
    }

    /// Nobody wants more of what `side` says.
    pub fn settle(&mut self, flow: FlowRef, side: Side) {
        if let Some(flow) = self.flows.get_mut(flow.0) {
            flow.bits |= settled(side);
        }
    }

    /// The number of the first payload byte of `side`: after its SYN, else where it was first heard (`seq`).
    pub fn stream_start(&mut self, placed: Placed, seq: Seq) -> Seq {
        let Some(flow) = self.flows.get_mut(placed.flow.0) else {
            return seq;
        };
        let bit = if placed.side == Side::A {
            NEXT_A
        } else {
            NEXT_B
        };
        if flow.bits & bit == 0 {
            flow.bits |= bit;
            flow.start[placed.side] = seq;
        }
        flow.start[placed.side]
    }

    /// Gives every flow, live or not, to `finished`, in the order of the slab; the table is empty after.
    pub fn drain(&mut self, finished: &mut impl Sink<Rider>) {
        let flows = std::mem::replace(&mut self.flows, Slab::new());
        let mut flows = flows.into_values().filter(|flow| flow.bits & IN_USE != 0);
        let mut group = Vec::with_capacity(TOGETHER);
        let mut rooms = [[NONE; LOG as usize]; TOGETHER];
        loop {
            group.extend(flows.by_ref().take(TOGETHER));
            if group.is_empty() {
                break;
            }
            let mut logs = [NONE; TOGETHER];
            for (log, flow) in logs.iter_mut().zip(&group) {
                *log = flow.log;
            }
            let found = self.journal.places_of(logs, &mut rooms);
            let places = || {
                (rooms.iter().zip(found)).map(|(room, found)| room.get(..found).unwrap_or_default())
            };
            let touched =
                (places().flatten()).fold(0, |touched, place| touched ^ self.journal.touch(*place));
            std::hint::black_box(touched);
            for (flow, newest_first) in group.drain(..).zip(places()) {
                let flow = Self::measure(flow, &self.journal, newest_first, finished);
                finished.take(flow);
            }
        }
        *self = Self {
            evicted: self.evicted,
            evicted_tcp: self.evicted_tcp,
            ..Self::new(self.limit)
        };
    }

    /// Shows `sink` what is known so far of flows to which packets came since they were last shown, `most` of them at most, those that have waited
    /// longest first, and gives the first packets of flows that were dropped for want of room. Nothing, where changes are not watched.
    ///
    /// A flow that outgrew its log costs a copy of its course to show, so it is shown when it has grown by an eighth, has fallen silent, was closed, or
    /// was last shown a while ago: what a packet costs is then bounded, whatever the flow's length.
    pub fn changes(
        &mut self,
        now: Timestamp,
        most: usize,
        sink: &mut impl Sink<Rider>,
    ) -> Vec<(Timestamp, Frame)> {
        let Some(watch) = &mut self.watch else {
            return Vec::new();
        };
        let dropped = std::mem::take(&mut watch.dropped);
        let waiting = watch.changed.len();
        let mut changed = std::mem::take(&mut watch.changed);
        let mut shown = 0;
        for _ in 0..waiting {
            let Some(index) = changed.pop_front() else {
                break;
            };
            let Some(flow) = self.flows.get_mut(index) else {
                continue;
            };
            if flow.bits & CHANGED == 0 {
                continue;
            }
            if shown >= most || !flow.is_due(now) {
                changed.push_back(index);
                continue;
            }
            shown += 1;
            flow.bits &= !CHANGED;
            let count = flow.count;
            if let Some(extra) = &mut flow.extra {
                extra.glanced = (count, now);
            }
            let flow = flow.so_far(&self.journal, sink);
            sink.glance(flow);
        }
        if let Some(watch) = &mut self.watch {
            watch.changed = changed;
        }
        dropped
    }

    /// Ends flows whose time is over at `now`. Costs a walk over the slab, so it is done when as many packets have come as there are flows, and
    /// half a lifetime has passed; an answer never depends on it, since a look-up asks the same question.
    pub fn advance(&mut self, now: Timestamp, finished: &mut impl Sink<Rider>) {
        if self.journal.is_sparse(self.live) {
            self.rewrite_journal();
        }
        // a run that is watched goes by the clock as well: its packets may cease, its flows still end
        let often = match self.watch {
            Some(_) => now.since(self.swept_at) < SWEEP,
            None => {
                self.since_sweep < self.flows.len()
                    || now.since(self.swept_at) < lifetime::HALF_OPEN / 2
            }
        };
        if often {
            return;
        }
        self.since_sweep = 0;
        self.swept_at = now;
        for index in 0..self.flows.len() as u32 {
            let over = self
                .flows
                .get(index)
                .is_some_and(|flow| flow.bits & IN_USE != 0 && now.since(flow.last) > flow.life());
            if over {
                self.retire(index, finished);
            }
        }
    }

    /// Writes the living flows' records into a new journal, and so gives back the room of the dead.
    fn rewrite_journal(&mut self) {
        let mut journal = Journal::default();
        for index in 0..self.flows.len() as u32 {
            let Some(flow) = self.flows.get_mut(index) else {
                break;
            };
            let mut places = [NONE; LOG as usize];
            let newest_first = self.journal.places(flow.log, &mut places);
            let records = newest_first.iter().rev();
            flow.log = records
                .filter_map(|place| self.journal.get(*place))
                .fold(NONE, |before, record| journal.push(*record, before));
        }
        self.journal = journal;
    }

    /// The side that sent a packet under `key`, if the flow at `index` is its flow.
    #[inline]
    fn side_in(&self, index: u32, key: &FlowKey) -> Option<Side> {
        let flow = self.flows.get(index)?;
        if flow.key == *key && flow.bits & IN_USE != 0 {
            return Some(Side::A);
        }
        let turned = flow.key.a == key.b
            && flow.key.b == key.a
            && flow.key.protocol == key.protocol
            && flow.bits & IN_USE != 0;
        turned.then_some(Side::B)
    }

    fn find(&self, tag: u32, key: &FlowKey) -> Option<(u32, Side)> {
        let mask = self.slots.len() - 1;
        let mut position = tag as usize & mask;
        loop {
            let slot = self.slots.get(position).copied().unwrap_or_default();
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == tag {
                let index = slot as u32 - 1;
                if let Some(side) = self.side_in(index, key) {
                    return Some((index, side));
                }
            }
            position = (position + 1) & mask;
        }
    }

    fn insert(
        &mut self,
        tag: u32,
        time: Timestamp,
        key: &FlowKey,
        finished: &mut impl Sink<Rider>,
    ) -> u32 {
        if self.live >= self.limit {
            self.evict(time, finished);
        }
        let flow = Flow {
            first: Record::default(),
            last: time,
            extra: None,
            start: BySide::default(),
            log: NONE,
            count: 0,
            vlan: [0; 2],
            key: *key,
            bits: IN_USE,
        };
        let index = if let Some(index) = self.free.pop() {
            if let Some(place) = self.flows.get_mut(index) {
                *place = flow;
            }
            index
        } else {
            self.flows.push(flow)
        };
        self.live += 1;
        self.opened += 1;
        self.opened_tcp += u64::from(key.protocol == Protocol::Tcp);
        if self.live * 2 > self.slots.len() {
            self.grow();
        }
        self.place(tag, index);
        if key.protocol == Protocol::Tcp {
            self.half_open.push_back((index, time));
            if self.half_open.len() > 64 && self.half_open.len() > 2 * self.live {
                let flows = &self.flows;
                self.half_open.retain(|(index, first)| {
                    flows
                        .get(*index)
                        .is_some_and(|flow| flow.is_half_open() && flow.first.time == *first)
                });
            }
        }
        index
    }

    fn place(&mut self, tag: u32, index: u32) {
        let mask = self.slots.len() - 1;
        let mut position = tag as usize & mask;
        while let Some(slot) = self.slots.get_mut(position) {
            if *slot == 0 {
                *slot = u64::from(tag) << 32 | u64::from(index + 1);
                return;
            }
            position = (position + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        for slot in old {
            if slot != 0 {
                self.place((slot >> 32) as u32, slot as u32 - 1);
            }
        }
    }

    /// Takes a flow's slot away and closes the gap, so that no search ends too early.
    fn unplace(&mut self, tag: u32, index: u32) {
        let mask = self.slots.len() - 1;
        let mut position = tag as usize & mask;
        let wanted = u64::from(tag) << 32 | u64::from(index + 1);
        loop {
            match self.slots.get(position).copied() {
                Some(slot) if slot == wanted => break,
                Some(0) | None => return,
                _ => position = (position + 1) & mask,
            }
        }
        let mut gap = position;
        loop {
            position = (position + 1) & mask;
            let slot = self.slots.get(position).copied().unwrap_or_default();
            if slot == 0 {
                break;
            }
            let home = (slot >> 32) as usize & mask;
            // may the slot move back to the gap? only if its home does not lie between gap and here
            if (position.wrapping_sub(home) & mask) >= (position.wrapping_sub(gap) & mask) {
                if let Some(place) = self.slots.get_mut(gap) {
                    *place = slot;
                }
                gap = position;
            }
        }
        if let Some(place) = self.slots.get_mut(gap) {
            *place = 0;
        }
    }

    /// Makes room: the oldest half-open flow goes first, unjudged and counted; where there is none, the next one in the slab's order.
    fn evict(&mut self, now: Timestamp, finished: &mut impl Sink<Rider>) {
        while let Some((index, first)) = self.half_open.pop_front() {
            let Some(flow) = self.flows.get(index) else {
                continue;
            };
            if flow.bits & IN_USE == 0 || flow.first.time != first || !flow.is_half_open() {
                continue;
            }
            // its time was over anyway: that is an end, not an eviction
            if now.since(flow.last) > flow.life() {
                self.retire(index, finished);
            } else {
                self.drop_flow(index);
            }
            return;
        }
        for _ in 0..self.flows.len() {
            self.hand = if self.hand as usize + 1 >= self.flows.len() {
                0
            } else {
                self.hand + 1
            };
            if self
                .flows
                .get(self.hand)
                .is_some_and(|flow| flow.bits & IN_USE != 0)
            {
                self.drop_flow(self.hand);
                return;
            }
        }
    }

    fn drop_flow(&mut self, index: u32) {
        if let Some(flow) = self.take(index) {
            if let Some(watch) = &mut self.watch {
                watch.dropped.push((flow.first.time, flow.first.frame()));
            }
            self.evicted += 1;
            self.evicted_tcp += u64::from(flow.key.protocol == Protocol::Tcp);
        }
    }

    fn retire(&mut self, index: u32, finished: &mut impl Sink<Rider>) {
        if let Some(flow) = self.take_keeping_log(index) {
            let log = flow.log;
            let mut room = [NONE; LOG as usize];
            let newest_first = self.journal.places(log, &mut room);
            let flow = Self::measure(flow, &self.journal, newest_first, finished);
            finished.take(flow);
            self.journal.forget(log);
        }
    }

    fn take(&mut self, index: u32) -> Option<Flow<Rider>> {
        let flow = self.take_keeping_log(index)?;
        self.journal.forget(flow.log);
        Some(flow)
    }

    fn take_keeping_log(&mut self, index: u32) -> Option<Flow<Rider>> {
        let place = self.flows.get_mut(index)?;
        if place.bits & IN_USE == 0 {
            return None;
        }
        let gone = Flow {
            first: Record::default(),
            last: Timestamp::default(),
            extra: None,
            start: BySide::default(),
            log: NONE,
            count: 0,
            vlan: [0; 2],
            key: FlowKey::default(),
            bits: 0,
        };
        let flow = std::mem::replace(place, gone);
        self.courses -= usize::from(flow.is_followed_in_full());
        self.unplace(crate::decode::flow_hash(&flow.key) as u32, index);
        self.free.push(index);
        self.live -= 1;
        Some(flow)
    }

    /// Measures a flow whose logged records lie at `newest_first`.
    fn measure(
        mut flow: Flow<Rider>,
        journal: &Journal,
        newest_first: &[u32],
        sink: &impl Sink<Rider>,
    ) -> Finished<Rider> {
        let (followed, rider) = flow.extra.take().map_or((None, None), |extra| {
            let Extra {
                rider, follower, ..
            } = *extra;
            (follower, rider)
        });
        let (outline, details) = match followed {
            Some(follower) => follower.finish(),
            None => flow.measured(journal, newest_first, sink, rider.as_ref()),
        };
        flow.finished(outline, details, rider)
    }
}

impl<Rider> Flow<Rider> {
    /// Whether it outgrew its log and its course is followed.
    fn is_followed_in_full(&self) -> bool {
        (self.extra.as_ref()).is_some_and(|extra| matches!(extra.follower, Some(Follower::Full(_))))
    }

    /// Whether a changed flow should be shown at `now`.
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(extra) = self.extra.as_ref().filter(|_| self.is_followed_in_full()) else {
            return true;
        };
        let (count, at) = extra.glanced;
        self.count >= count.saturating_add(count / 8)
            || now.since(self.last) >= SILENT
            || now.since(at) >= STALE
            || self.bits & (RESET | FIN_A | FIN_B) != 0 && now.since(at) >= SILENT
    }

    /// What is known of it so far; it goes on.
    fn so_far(&self, journal: &Journal, sink: &impl Sink<Rider>) -> Finished<Rider> {
        let extra = self.extra.as_deref();
        let rider = extra
            .and_then(|extra| extra.rider.as_ref())
            .and_then(|rider| sink.so_far(rider));
        let (outline, details) =
            if let Some(follower) = extra.and_then(|extra| extra.follower.clone()) {
                follower.finish()
            } else {
                let mut room = [NONE; LOG as usize];
                let newest_first = journal.places(self.log, &mut room);
                self.measured(journal, newest_first, sink, rider.as_ref())
            };
        self.finished(outline, details, rider)
    }

    /// Measures it from its log, whose records lie at `newest_first`.
    fn measured(
        &self,
        journal: &Journal,
        newest_first: &[u32],
        sink: &impl Sink<Rider>,
        rider: Option<&Rider>,
    ) -> (Outline, Option<Box<Details>>) {
        if sink.wants_packets(&self.key, rider) {
            let mut tracker = Tracker::new(self.key.protocol, self.first.time, false);
            self.replay(journal, newest_first, |record| tracker.absorb(record));
            Follower::Full(Box::new(tracker)).finish()
        } else {
            let mut sketch = Sketch::new(self.key.protocol, self.first.time);
            self.replay(journal, newest_first, |record| sketch.absorb(record));
            (sketch.finish(), None)
        }
    }

    fn finished(
        &self,
        outline: Outline,
        details: Option<Box<Details>>,
        rider: Option<Rider>,
    ) -> Finished<Rider> {
        Finished {
            key: self.key,
            vlan: self.vlan,
            first: self.first.time,
            first_frame: self.first.frame(),
            last: self.last,
            life: self.life(),
            outline,
            details,
            rider,
        }
    }

    /// Whether the flow is over, so that a packet that `side` sends under its key opens a new one.
    fn is_over(&self, side: Side, time: Timestamp, packet: &Decoded<'_>) -> bool {
        if time.since(self.last) > self.life() {
            return true;
        }
        let crate::decode::Transport::Tcp(segment) = packet.transport else {
            return false;
        };
        if segment.flags & 0x16 != 0x02 {
            return false;
        }
        // a SYN: a retry while nobody answered; else a new conversation, unless it is the old SYN again
        let syn = if side == Side::A { SYN_A } else { SYN_B };
        let repeats = self.bits & syn != 0 && self.start[side] == segment.seq.plus(1);
        let closed = self.bits & RESET != 0 || self.bits & (FIN_A | FIN_B) == FIN_A | FIN_B;
        let answered = self.bits & HEARD_B != 0;
        (closed || answered) && !repeats
    }

    /// Notes what a packet does to the flow's stage.
    #[inline]
    fn note(&mut self, record: &Record, vlan: [u16; 2]) {
        if self.count == 0 {
            self.vlan = vlan;
        }
        self.last = self.last.max(record.time);
        if !record.is_tcp() && self.key.protocol == Protocol::Tcp {
            return;
        }
        let side = record.side();
        let (syn, next, fin) = if side == Side::A {
            (SYN_A, NEXT_A, FIN_A)
        } else {
            (SYN_B, NEXT_B, FIN_B)
        };
        if side == Side::B {
            self.bits |= HEARD_B;
        }
        if record.flags & 0x02 != 0 {
            self.bits |= syn | next;
            self.start[side] = record.seq.plus(1);
        }
        if record.payload() > 0 || record.flags & 0x12 == 0x10 {
            self.bits |= DATA;
        }
        if record.flags & 0x01 != 0 {
            self.bits |= fin;
        }
        if record.flags & 0x04 != 0 && record.is_tcp() {
            self.bits |= RESET;
        }
    }

    /// Follows a packet beyond the log at once; the first such packet ends the log. `room` where one more flow's course may be followed.
    #[inline(never)]
    fn follow(
        &mut self,
        record: &Record,
        journal: &mut Journal,
        room: bool,
        sink: &impl Sink<Rider>,
    ) {
        let (key, start) = (&self.key, self.first.time);
        let extra = self.extra.get_or_insert_with(|| Box::new(Extra::default()));
        if let Some(follower) = &mut extra.follower {
            follower.absorb(record);
            return;
        }
        let mut follower = if room && sink.wants_course(key, extra.rider.as_ref()) {
            Follower::Full(Box::new(Tracker::new(key.protocol, start, true)))
        } else {
            Follower::Brief(Box::new(Sketch::new(key.protocol, start)))
        };
        let log = std::mem::replace(&mut self.log, NONE);
        let mut room = [NONE; LOG as usize];
        let newest_first = journal.places(log, &mut room);
        self.replay(journal, newest_first, |earlier| follower.absorb(earlier));
        follower.absorb(record);
        if let Some(extra) = &mut self.extra {
            extra.follower = Some(follower);
        }
        journal.forget(log);
    }

    /// Whether nothing but one side's SYNs has come.
    const fn is_half_open(&self) -> bool {
        self.bits & (IN_USE | HEARD_B | DATA) == IN_USE
            && matches!(self.key.protocol, Protocol::Tcp)
    }

    /// How long a flow in this stage lives after its last packet, in nanoseconds.
    const fn life(&self) -> i64 {
        match self.key.protocol {
            Protocol::Udp => lifetime::UDP,
            Protocol::Tcp
                if self.bits & RESET != 0 || self.bits & (FIN_A | FIN_B) == FIN_A | FIN_B =>
            {
                lifetime::CLOSED
            }
            Protocol::Tcp if self.bits & (HEARD_B | DATA) == 0 => lifetime::HALF_OPEN,
            Protocol::Tcp => lifetime::OPEN,
        }
    }

    /// Gives the records of a flow whose log lies at `newest_first`, oldest first.
    fn replay(&self, journal: &Journal, newest_first: &[u32], mut each: impl FnMut(&Record)) {
        if self.count == 0 {
            return;
        }
        each(&self.first);
        let records = newest_first.iter().rev();
        for record in records.filter_map(|place| journal.get(*place)) {
            each(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Segment, Transport, flow_hash};
    use crate::flow::{End, Hints};
    use crate::types::{Address, Endpoint};

    /// Keeps what ends.
    #[derive(Default)]
    struct Ended(Vec<Finished<()>>);

    impl Sink<()> for Ended {
        fn wants_packets(&self, _: &FlowKey, _: Option<&()>) -> bool {
            true
        }

        fn wants_course(&self, _: &FlowKey, _: Option<&()>) -> bool {
            true
        }

        fn take(&mut self, flow: Finished<()>) {
            self.0.push(flow);
        }
    }

    /// A table, what ended in it, and the number of the last packet.
    struct Desk {
        table: FlowTable<()>,
        ended: Ended,
        frame: u64,
    }

    const SYN: u8 = 0x02;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;
    const RST: u8 = 0x04;
    const FIN_ACK: u8 = 0x11;

    impl Desk {
        fn new(limit: usize) -> Self {
            Self {
                table: FlowTable::new(limit),
                ended: Ended::default(),
                frame: 0,
            }
        }

        /// A segment of the client with port `port`, or the answer to it.
        fn segment(&mut self, seconds: i64, port: u16, up: bool, flags: u8, seq: u32) -> &mut Self {
            self.frame += 1;
            let client = Endpoint {
                address: Address::v4([192, 0, 2, 1]),
                port,
            };
            let server = Endpoint {
                address: Address::v4([198, 51, 100, 7]),
                port: 443,
            };
            let (a, b) = if up {
                (client, server)
            } else {
                (server, client)
            };
            let key = FlowKey {
                a,
                b,
                protocol: Protocol::Tcp,
            };
            let packet = Decoded {
                key,
                hop_limit: 64,
                traffic_class: 0,
                ip_id: Some(self.frame as u16),
                dont_fragment: true,
                flow_label: 0,
                ip_length: 40,
                payload_length: 0,
                payload: &[],
                transport: Transport::Tcp(Segment {
                    seq: Seq(seq),
                    flags,
                    window: 1_000,
                    ..Segment::default()
                }),
            };
            self.table.packet(
                flow_hash(&key),
                FlowRef::default(),
                Timestamp::new(seconds, 0),
                Frame::new(0, self.frame),
                [0; 2],
                &packet,
                Datagram::default(),
                &mut self.ended,
            );
            self
        }

        /// All flows: packets up and down, and how each ended when the run ended at `seconds`.
        fn flows(mut self, seconds: i64) -> Vec<(u32, u32, End)> {
            self.table.drain(&mut self.ended);
            let mut flows = self.ended.0;
            flows.sort_by_key(|flow| flow.first_frame);
            let last = Timestamp::new(seconds, 0);
            (flows.into_iter())
                .map(|flow| flow.measure(Hints::default(), last).0)
                .map(|flow| (flow.up.packets, flow.down.packets, flow.end))
                .collect()
        }
    }

    #[test]
    fn tries_without_a_reply_are_one_flow_even_with_another_initial_number() {
        let mut desk = Desk::new(100);
        desk.segment(0, 1, true, SYN, 5)
            .segment(1, 1, true, SYN, 5)
            .segment(3, 1, true, SYN, 900);
        assert_eq!(desk.flows(10), [(3, 0, End::Open)]);
    }

    #[test]
    fn a_port_used_again_after_a_close_is_a_new_flow_and_stragglers_are_the_old_ones() {
        let mut desk = Desk::new(100);
        desk.segment(0, 1, true, SYN, 5)
            .segment(0, 1, false, SYN_ACK, 9)
            .segment(0, 1, false, RST, 10)
            .segment(1, 1, false, ACK, 10)
            .segment(2, 1, true, SYN, 700);
        assert_eq!(
            desk.flows(10),
            [(1, 3, End::RstByServer), (1, 0, End::Open)]
        );
    }

    #[test]
    fn a_new_number_after_an_answer_is_a_new_flow_and_the_same_one_is_a_late_copy() {
        let mut desk = Desk::new(100);
        desk.segment(0, 1, true, SYN, 5)
            .segment(0, 1, false, SYN_ACK, 9)
            .segment(1, 1, true, SYN, 5)
            .segment(5, 1, true, SYN, 800);
        assert_eq!(desk.flows(10), [(2, 1, End::Open), (1, 0, End::Open)]);
    }

    #[test]
    fn a_half_open_flow_ends_150_seconds_after_its_last_syn() {
        let mut desk = Desk::new(100);
        desk.segment(0, 1, true, SYN, 5)
            .segment(149, 1, true, SYN, 5)
            .segment(300, 1, true, SYN, 5);
        assert_eq!(desk.flows(310), [(2, 0, End::Timeout), (1, 0, End::Open)]);
    }

    #[test]
    fn both_fins_close() {
        let mut desk = Desk::new(100);
        desk.segment(0, 1, true, SYN, 5)
            .segment(0, 1, false, SYN_ACK, 9)
            .segment(1, 1, true, FIN_ACK, 6)
            .segment(1, 1, false, FIN_ACK, 10);
        assert_eq!(desk.flows(10), [(2, 2, End::Fin)]);
    }

    #[test]
    fn past_the_limit_the_oldest_half_open_flow_goes_first_and_is_counted() {
        let mut desk = Desk::new(3);
        desk.segment(0, 1, true, SYN, 5)
            .segment(0, 1, false, SYN_ACK, 9);
        for port in 2..=5 {
            desk.segment(i64::from(port), port, true, SYN, 5);
        }
        assert_eq!(desk.table.evicted(), (2, 2));
        assert_eq!(
            desk.flows(10),
            [(1, 1, End::Open), (1, 0, End::Open), (1, 0, End::Open)]
        );
    }

    /// Keeps what is shown: packets of side A, of flows that go on.
    #[derive(Default)]
    struct Shown(Vec<u32>);

    impl Sink<()> for Shown {
        fn wants_packets(&self, _: &FlowKey, _: Option<&()>) -> bool {
            true
        }

        fn wants_course(&self, _: &FlowKey, _: Option<&()>) -> bool {
            true
        }

        fn take(&mut self, _: Finished<()>) {
            panic!("nothing ended");
        }

        fn glance(&mut self, flow: Finished<()>) {
            self.0.push(flow.outline.tallies.a.packets);
        }
    }

    impl Desk {
        fn watched(limit: usize) -> Self {
            Self {
                table: FlowTable::watched(limit, 10),
                ..Self::new(limit)
            }
        }

        /// What is shown at `seconds`, and how many flows were dropped for want of room.
        fn changes(&mut self, seconds: i64, most: usize) -> (Vec<u32>, usize) {
            let mut shown = Shown::default();
            let now = Timestamp::new(seconds, 0);
            let dropped = self.table.changes(now, most, &mut shown);
            (shown.0, dropped.len())
        }
    }

    #[test]
    fn a_flow_is_shown_when_packets_came_to_it_and_not_again_until_more_come() {
        let mut desk = Desk::watched(100);
        desk.segment(0, 1, true, SYN, 5)
            .segment(1, 1, true, SYN, 5)
            .segment(1, 2, true, SYN, 5);
        assert_eq!(desk.changes(2, 10).0, [2, 1]);
        assert_eq!(desk.changes(3, 10).0, [0; 0]);
        desk.segment(3, 2, true, SYN, 5);
        assert_eq!(desk.changes(4, 10).0, [2]);
        assert_eq!(desk.flows(5).len(), 2);
    }

    #[test]
    fn those_that_wait_longest_are_shown_first_and_none_is_forgotten() {
        let mut desk = Desk::watched(100);
        for port in 1..=5 {
            for _ in 0..port {
                desk.segment(0, port, true, SYN, 5);
            }
        }
        assert_eq!(desk.changes(1, 2).0, [1, 2]);
        assert_eq!(desk.changes(1, 2).0, [3, 4]);
        assert_eq!(desk.changes(1, 2).0, [5]);
    }

    #[test]
    fn a_long_flow_is_shown_when_it_has_grown_or_fallen_silent() {
        let mut desk = Desk::watched(100);
        for _ in 0..80 {
            desk.segment(10, 1, true, ACK, 5);
        }
        assert_eq!(desk.changes(10, 10).0.len(), 1);
        desk.segment(10, 1, true, ACK, 5);
        assert_eq!(desk.changes(10, 10).0, [0; 0], "one packet in eighty");
        assert_eq!(desk.changes(11, 10).0.len(), 1, "silent for a second");
        for _ in 0..11 {
            desk.segment(11, 1, true, ACK, 5);
        }
        assert_eq!(desk.changes(11, 10).0.len(), 1, "an eighth");
    }

    #[test]
    fn a_flow_that_is_dropped_for_want_of_room_is_told() {
        let mut desk = Desk::watched(2);
        for port in 1..=3 {
            desk.segment(0, port, true, SYN, 5);
        }
        let (shown, dropped) = desk.changes(1, 10);
        assert_eq!((shown.len(), dropped), (2, 1));
    }

    #[test]
    fn a_flood_of_flows_keeps_every_one_findable() {
        let mut desk = Desk::new(10_000);
        for round in 0..3 {
            for port in 1..5_000 {
                desk.segment(round, port, true, SYN, 5);
            }
        }
        let flows = desk.flows(10);
        assert_eq!(flows.len(), 4_999);
        assert!(flows.iter().all(|flow| *flow == (3, 0, End::Open)));
    }
}
