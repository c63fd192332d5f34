//! Who was sent and who was lost: turns the course of one direction into transmissions with their fates and into delays.
//!
//! A sender's view and a receiver's view become the same record. Where the losses lie behind the capture point, a retransmission says that the copy before it
//! was lost. Where they lie before it, a hole that is filled late says so, and the lost packets are placed close behind the arrival before the hole,
//! as the rest of a window that was cut off, and may be as late as the arrival after it. (Spreading them evenly up to that, as docs/detection.md, C2.4 proposes, put the
//! tail of a window into the round trip after it and lost a third of the agreement on receiver-side captures.)

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::facts::{Event, EventKind, FlowFacts, Role};
use crate::types::{Direction, Frame, Protocol, Seq};

/// One transmission of one segment or datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::detect) struct Sent {
    /// Nanoseconds since the epoch at which it passed the capture point, or would have.
    pub(in crate::detect) time: i64,
    /// The latest moment at which it can have been, equal to `time` where it was seen.
    pub(in crate::detect) latest: i64,
    /// Bytes of its IP packet.
    pub(in crate::detect) bytes: u32,
    /// Payload bytes of it.
    pub(in crate::detect) payload: u32,
    /// Its frame; that of the retransmission or fill that proves it where it was never seen.
    pub(in crate::detect) frame: Frame,
    /// Whether it was lost.
    pub(in crate::detect) lost: bool,
    /// Whether it was lost before the capture point, so that time and size are guesses.
    pub(in crate::detect) unseen: bool,
    /// Whether it repeats payload that was sent before.
    pub(in crate::detect) repeat: bool,
}

/// A delay that a packet met.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::detect) struct Delay {
    /// Nanoseconds since the epoch: when the packet passed the capture point.
    pub(in crate::detect) time: i64,
    /// Nanoseconds; only differences mean something where the delay is one-way.
    pub(in crate::detect) delay: i64,
}

/// The record of one direction of a flow, or of several flows together.
#[derive(Clone, Debug, Default)]
pub(in crate::detect) struct Ledger {
    /// Transmissions by time.
    pub(in crate::detect) sent: Vec<Sent>,
    /// From the capture point to the receiver and back: grows with a queue behind the capture point.
    pub(in crate::detect) after: Vec<Delay>,
    /// From the sender to the capture point by the sender's time stamps: grows with a queue before the capture point.
    pub(in crate::detect) before: Vec<Delay>,
    /// Retransmissions that were needless, since what they repeat had only been late: the receiver said so (DSACK, RFC 2883), or acknowledged it before it can
    /// have had them (Eifel, RFC 3522).
    pub(in crate::detect) needless: u32,
    /// Of these, those whose first copy was late: its acknowledgement came before that of the repeat could. A repeat that is only reported as a duplicate may
    /// have been sent because an acknowledgement was lost.
    pub(in crate::detect) late: u32,
    /// Packets that came out of order.
    pub(in crate::detect) reordered: u32,
    /// Whether packets came after the last that is known.
    pub(in crate::detect) truncated: bool,
}

/// The course of a flow: its transfer, or its packets where it was too short for one. None where packets are missing between the kept ones.
fn course(flow: &FlowFacts) -> Option<(Cow<'_, [Event]>, bool)> {
    if let Some(transfer) = flow.detail.transfer.as_deref() {
        return Some((Cow::Borrowed(&transfer.events), transfer.events_truncated));
    }
    if flow.detail.omitted > 0 || flow.summary.key.protocol != Protocol::Tcp {
        return None;
    }
    let events = flow
        .detail
        .packets
        .iter()
        .filter(|packet| !packet.is_syn() && !packet.is_syn_ack() && !packet.is_rst())
        .filter_map(|packet| {
            let data = packet.payload > 0;
            let (tsval, tsecr) = packet.timestamps.unwrap_or_default();
            Some(Event {
                time: packet.time,
                frame: packet.frame,
                offset: packet.seq as u32,
                ack: packet.ack as u32,
                payload: packet.payload,
                ip_length: packet.ip_length,
                tsval,
                tsecr,
                window: packet.window,
                up: packet.direction? == Direction::Up,
                dsack: packet.dsack,
                kind: match packet.role {
                    Role::New if data => EventKind::New,
                    Role::Ahead if data => EventKind::Ahead,
                    Role::Reordered if data => EventKind::Reordered,
                    Role::Fill if data => EventKind::Fill,
                    Role::Retransmission if data => EventKind::Retransmission,
                    _ => EventKind::Ack,
                },
            })
        })
        .collect();
    Some((Cow::Owned(events), false))
}

/// Whether a direction of a flow is media: mostly RTP. A few packets of anything encrypted look like RTP by chance.
pub(in crate::detect) fn is_media(flow: &FlowFacts, direction: Direction) -> bool {
    2 * flow.detail.side(direction).rtp > flow.summary.tally(direction).data_packets
}

/// Nanoseconds within which a second copy of a segment is the capture's (a mirror port, two interfaces) and not the sender's: nobody can know of a loss before
/// half a round trip.
fn soonest_repeat(flow: &FlowFacts) -> i64 {
    const COPY: i64 = 2_000_000;
    flow.summary.rtt_ms().map_or(COPY, |rtt| {
        ((f64::from(rtt) * 0.4e6) as i64).clamp(COPY, 50_000_000)
    })
}

/// Time between packets of one window as they arrive: the lowest tenth of the gaps. A lost packet was at least so far behind the one before it.
fn spacing(events: &[Event], up: bool) -> i64 {
    let mut gaps: Vec<i64> = Vec::new();
    let mut last = None;
    for event in events
        .iter()
        .filter(|event| event.up == up && event.payload > 0)
    {
        if let Some(last) = last {
            gaps.push(event.time.since(last).max(0));
        }
        last = Some(event.time);
    }
    gaps.sort_unstable();
    gaps.get(gaps.len() / 10).copied().unwrap_or(0)
}

/// Payload of a full segment where nobody announced an MSS: Ethernet's 1500 bytes less 52 of headers with time stamps.
const USUAL_SEGMENT: u32 = 1448;

/// Most packets that one hole is taken for. A larger hole is rather a capture that missed packets.
const LARGEST_HOLE: u64 = 512;

impl Ledger {
    /// The record of one direction of `flow`; none where its packets are not known.
    pub(in crate::detect) fn of(flow: &FlowFacts, direction: Direction) -> Option<Self> {
        let (events, truncated) = course(flow)?;
        let events = &*events;
        let up = direction == Direction::Up;
        let segment = flow
            .detail
            .side(direction.reverse())
            .mss
            .map_or(USUAL_SEGMENT, |mss| {
                u32::from(mss)
                    .saturating_sub(if flow.detail.side(direction).timestamps {
                        12
                    } else {
                        0
                    })
                    .max(200)
            });
        let mut building = Building {
            segment,
            ledger: Self::default(),
            ends: Vec::new(),
            latest: BTreeMap::new(),
            outstanding: VecDeque::new(),
            highest: None,
            last_arrival: None,
            acked: i64::MIN,
            repeats: Vec::new(),
            numbered_repeats: 0,
            unanswered: BTreeSet::new(),
            smallest: match direction {
                Direction::Up => flow.detail.rtt.to_server(),
                Direction::Down => flow.detail.rtt.to_client(),
            }
            .unwrap_or(i64::MAX),
            soonest: soonest_repeat(flow),
            spacing: spacing(events, up),
            numbered: is_media(flow, direction),
        };
        let datagrams = events.iter().any(|event| event.kind == EventKind::Datagram);
        // What was sent into silence says nothing of rates: that is a blackhole's business.
        let silence = &flow.detail.side(direction).unanswered;
        let until = match silence.since {
            Some(since) if silence.retries > 0 => since.0,
            _ => i64::MAX,
        };
        for event in events {
            if event.up == up && event.payload > 0 && event.time.0 >= until {
                continue;
            }
            if datagrams {
                if event.up == up {
                    building.datagram(event);
                }
            } else if event.up == up {
                if event.payload > 0 {
                    building.data(event);
                }
            } else {
                building.acknowledgement(event);
            }
        }
        building.forget_unacknowledged();
        let mut ledger = building.ledger;
        // A hole that was never filled, or was filled by a reordered packet, is no transmission that we know of.
        ledger.sent.retain(|sent| !sent.unseen || sent.lost);
        ledger.sent.sort_by_key(|sent| sent.time);
        ledger.before = one_way(events, up);
        ledger.truncated = truncated;
        // Several media streams in one flow number their packets apart; then the gaps mean nothing.
        let missing = flow.detail.side(direction).rtp_missing as usize;
        if datagrams && ledger.losses() > missing + missing / 4 + 2 {
            ledger.sent.retain(|sent| !sent.unseen);
        }
        Some(ledger)
    }

    /// Several directions as one, as a shared limiter meets them.
    pub(in crate::detect) fn union<'a>(ledgers: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut union = Self::default();
        let mut known_until = i64::MAX;
        for ledger in ledgers {
            if ledger.truncated
                && let Some(last) = ledger.sent.last()
            {
                known_until = known_until.min(last.time);
                union.truncated = true;
            }
            union.sent.extend_from_slice(&ledger.sent);
            for (all, own) in [
                (&mut union.after, &ledger.after),
                (&mut union.before, &ledger.before),
            ] {
                let least = least(own);
                all.extend(own.iter().map(|delay| Delay {
                    delay: delay.delay - least,
                    ..*delay
                }));
            }
            union.needless += ledger.needless;
            union.late += ledger.late;
            union.reordered += ledger.reordered;
        }
        // A limiter that is only half seen cannot be fitted.
        union.sent.retain(|sent| sent.time <= known_until);
        union.sent.sort_by_key(|sent| sent.time);
        union.after.sort_by_key(|delay| delay.time);
        union.before.sort_by_key(|delay| delay.time);
        union
    }

    /// Share of the arrivals from `from` on that followed the one before them by just the time that their bytes take at `rate` (bytes per second), or of the time
    /// that such gaps fill, whichever is less. Near 1 behind a queue that is served at that rate; a window that arrives at the speed of the line fills no time.
    /// Only where the losses lie before the capture point: else it is the sender's spacing that is seen.
    pub(in crate::detect) fn evenness(&self, rate: f64, from: i64) -> Option<f64> {
        /// Jitter that still counts as even, in seconds, but at most a quarter of the time, and a share of the time that always does.
        const JITTER: (f64, f64) = (0.000_8, 0.04);
        if self.sent.iter().any(|sent| sent.lost && !sent.unseen) {
            return None;
        }
        let arrivals: Vec<&Sent> = self
            .sent
            .iter()
            .filter(|sent| !sent.unseen && sent.time >= from)
            .collect();
        let (mut even, mut all) = (0.0, 0.0);
        let (mut even_s, mut all_s) = (0.0, 0.0);
        for pair in arrivals.windows(2) {
            let [before, after] = pair else { continue };
            let gap = (after.time - before.time) as f64 / 1e9;
            let due = f64::from(after.bytes) / rate;
            all += 1.0;
            all_s += gap;
            if (gap - due).abs() <= JITTER.0.min(due / 4.0).max(JITTER.1 * due) {
                even += 1.0;
                even_s += gap;
            }
        }
        (all >= 20.0 && all_s > 0.0).then(|| f64::min(even / all, even_s / all_s))
    }

    /// How many were lost.
    pub(in crate::detect) fn losses(&self) -> usize {
        self.sent.iter().filter(|sent| sent.lost).count()
    }

    /// Share of the transmissions that were lost.
    pub(in crate::detect) fn loss_ratio(&self) -> f64 {
        self.losses() as f64 / self.sent.len().max(1) as f64
    }
}

/// The tenth percentile: the path without queues, robust against one odd sample.
fn least(delays: &[Delay]) -> i64 {
    let mut sorted: Vec<i64> = delays.iter().map(|delay| delay.delay).collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 10).copied().unwrap_or(0)
}

/// A retransmission.
struct Repeat {
    /// Counts on.
    number: usize,
    time: i64,
    tsval: u32,
    /// Whether nothing had been sent behind it, so that nothing makes its receiver answer at once.
    last: bool,
    /// Places of the transmissions that it declares lost; none once they were found to have arrived.
    lost: Vec<usize>,
}

/// What is known while the events are read.
struct Building {
    segment: u32,
    ledger: Ledger,
    /// Where each transmission ends in the stream.
    ends: Vec<i64>,
    /// Start of a piece of the stream to its end and the place of its latest transmission.
    latest: BTreeMap<i64, (i64, usize)>,
    /// Pieces that no acknowledgement has covered yet: end, place, and whether nothing was missing before them.
    outstanding: VecDeque<(i64, usize, bool)>,
    /// One past the highest byte that was seen.
    highest: Option<i64>,
    last_arrival: Option<i64>,
    acked: i64,
    /// Retransmissions that nobody called needless, by time.
    repeats: Vec<Repeat>,
    /// How many there were, with those that were called needless.
    numbered_repeats: usize,
    /// End and number of those that no acknowledgement covers yet.
    unanswered: BTreeSet<(i64, usize)>,
    /// Nanoseconds from the capture point to the receiver and back, at least.
    smallest: i64,
    /// Nanoseconds within which nothing is sent again.
    soonest: i64,
    /// Nanoseconds between packets that were sent together.
    spacing: i64,
    /// Whether datagrams are numbered, so that gaps show.
    numbered: bool,
}

impl Building {
    /// The offset on an axis without a wrap.
    fn unwrap(&self, offset: u32) -> i64 {
        match self.highest {
            None => i64::from(offset),
            Some(near) => near + i64::from(offset.wrapping_sub(near as u32).cast_signed()),
        }
    }

    fn data(&mut self, event: &Event) {
        let start = self.unwrap(event.offset);
        let end = start + i64::from(event.payload);
        let time = event.time.0;
        let highest = *self.highest.get_or_insert(start);
        match event.kind {
            EventKind::Ahead if start > highest => self.hole(highest, start, time, event),
            EventKind::Fill | EventKind::Reordered => {
                let lost = event.kind == EventKind::Fill;
                for place in self.overlapping(start, end) {
                    if let Some(sent) = self.ledger.sent.get_mut(place)
                        && sent.unseen
                    {
                        sent.lost = lost;
                        sent.frame = event.frame;
                    }
                }
                if !lost {
                    self.ledger.reordered += 1;
                }
            }
            EventKind::Retransmission if end > self.acked => {
                let places = self.overlapping(start, end);
                let is_copy = |place: &usize| {
                    (self.ledger.sent.get(*place))
                        .is_some_and(|sent| time - sent.time < self.soonest)
                };
                if !places.is_empty() && places.iter().all(is_copy) {
                    return;
                }
                for &place in &places {
                    if let Some(sent) = self.ledger.sent.get_mut(place) {
                        sent.lost = true;
                    }
                }
                let number = self.numbered_repeats;
                self.numbered_repeats += 1;
                self.unanswered.insert((end, number));
                self.repeats.push(Repeat {
                    number,
                    time,
                    tsval: event.tsval,
                    last: end >= highest,
                    lost: places,
                });
            }
            _ => {}
        }
        self.transmit(start, end, event);
        self.highest = Some(highest.max(end));
        if event.kind != EventKind::Fill && event.kind != EventKind::Retransmission {
            self.last_arrival = Some(time);
        }
    }

    /// Places of the latest transmissions of the bytes from `start` to `end`.
    fn overlapping(&self, start: i64, end: i64) -> Vec<usize> {
        let before = self
            .latest
            .range(..start)
            .next_back()
            .filter(|(_, (until, _))| *until > start)
            .map(|(_, (_, place))| *place);
        before
            .into_iter()
            .chain(self.latest.range(start..end).map(|(_, (_, place))| *place))
            .collect()
    }

    /// Enters packets that must have been sent between the last arrival and this one; whether they were lost shows later.
    fn hole(&mut self, from: i64, to: i64, time: i64, event: &Event) {
        let count = ((to - from) as u64).div_ceil(u64::from(self.segment));
        if count > LARGEST_HOLE {
            return;
        }
        let start = self.last_arrival.unwrap_or(time);
        let header = event.ip_length.saturating_sub(event.payload);
        // A bucket is emptiest right after the packet that emptied it, and what a window still held was sent at once.
        let spacing = self.spacing.min((time - start) / (count as i64 + 1));
        for i in 0..count as i64 {
            let left = from + i * i64::from(self.segment);
            let right = (left + i64::from(self.segment)).min(to);
            let place = self.ledger.sent.len();
            self.ledger.sent.push(Sent {
                time: start + spacing * (i + 1),
                latest: time,
                bytes: (right - left) as u32 + header,
                payload: (right - left) as u32,
                frame: event.frame,
                lost: false,
                unseen: true,
                repeat: false,
            });
            self.ends.push(right);
            self.latest.insert(left, (right, place));
        }
    }

    /// What was never acknowledged was sent into silence, if it was sent again: that is a blackhole's business and says nothing of rates.
    fn forget_unacknowledged(&mut self) {
        if self.acked == i64::MIN {
            return;
        }
        let acked = self.acked;
        let mut ends = self.ends.iter();
        let silence = |sent: &Sent, end: i64| end > acked && !sent.unseen;
        if (self.ledger.sent.iter().zip(&self.ends))
            .any(|(sent, end)| silence(sent, *end) && sent.lost)
        {
            self.ledger
                .sent
                .retain(|sent| ends.next().is_none_or(|end| !silence(sent, *end)));
        }
    }

    /// Enters what was seen, cut into segments as the path carries them.
    fn transmit(&mut self, start: i64, end: i64, event: &Event) {
        let header = event.ip_length.saturating_sub(event.payload);
        let repeat = matches!(event.kind, EventKind::Retransmission | EventKind::Fill);
        // Cover the old pieces: an older one that reaches in from the left keeps only what lies before.
        if let Some((&left, &(until, place))) = self.latest.range(..start).next_back()
            && until > start
        {
            self.latest.insert(left, (start, place));
            if until > end {
                self.latest.insert(end, (until, place));
            }
        }
        while let Some((&left, &(until, place))) = self.latest.range(start..end).next() {
            self.latest.remove(&left);
            if until > end {
                self.latest.insert(end, (until, place));
            }
        }
        let mut left = start;
        while left < end {
            let right = (left + i64::from(self.segment)).min(end);
            let place = self.ledger.sent.len();
            self.ledger.sent.push(Sent {
                time: event.time.0,
                latest: event.time.0,
                bytes: (right - left) as u32 + header,
                payload: (right - left) as u32,
                frame: event.frame,
                lost: false,
                unseen: false,
                repeat,
            });
            self.ends.push(right);
            self.latest.insert(left, (right, place));
            if !repeat {
                self.outstanding
                    .push_back((right, place, event.kind == EventKind::New));
            }
            left = right;
        }
    }

    fn acknowledgement(&mut self, event: &Event) {
        let Some(near) = self.highest else {
            return;
        };
        let ack = near + i64::from(event.ack.wrapping_sub(near as u32).cast_signed());
        let time = event.time.0;
        if ack > self.acked {
            self.acked = ack;
            self.acquit(event);
            let mut sample = None;
            let mut clean = true;
            while let Some(&(end, place, in_order)) = self.outstanding.front()
                && end <= ack
            {
                self.outstanding.pop_front();
                if let Some(sent) = self.ledger.sent.get(place) {
                    // Karn: an acknowledgement that waited for a retransmission measures the repair, not the path.
                    clean &= in_order && !sent.lost;
                    sample = Some(sent.time);
                }
            }
            if let Some(sent) = sample
                && clean
                && time >= sent
            {
                self.smallest = self.smallest.min(time - sent);
                self.ledger.after.push(Delay {
                    time: sent,
                    delay: time - sent,
                });
            }
            // What lies below the acknowledgement is settled.
            while let Some((&left, &(until, _))) = self.latest.first_key_value()
                && until <= ack
            {
                self.latest.remove(&left);
            }
        }
        if event.dsack {
            self.needless(time);
        }
    }

    /// Repeats that are acknowledged before the receiver can have had them: what is acknowledged is the transmission before them, which was late and not lost.
    ///
    /// Either the acknowledgement comes sooner than any round trip, or it echoes a time stamp older than those of all repeats that it covers (RFC 3522). A
    /// segment with nothing behind it may share its acknowledgement with one that waited for company (RFC 7323, section 4.3); then only the time tells.
    fn acquit(&mut self, event: &Event) {
        let mut covered = Vec::new();
        while let Some(&(end, number)) = self.unanswered.first()
            && end <= self.acked
        {
            self.unanswered.pop_first();
            if let Ok(place) = self
                .repeats
                .binary_search_by_key(&number, |repeat| repeat.number)
            {
                covered.push(place);
            }
        }
        let path = self.path();
        let is_older = |stamp: u32| Seq(stamp).after(Seq(event.tsecr));
        let stamped = event.tsecr != 0
            && covered.iter().all(|place| {
                (self.repeats.get(*place))
                    .is_some_and(|repeat| repeat.tsval != 0 && is_older(repeat.tsval))
            });
        for place in covered {
            if let Some(repeat) = self.repeats.get_mut(place)
                && (event.time.0 - repeat.time < path || stamped && !repeat.last)
            {
                self.ledger.needless += u32::from(!repeat.lost.is_empty());
                self.ledger.late += u32::from(!repeat.lost.is_empty());
                for place in repeat.lost.drain(..) {
                    if let Some(sent) = self.ledger.sent.get_mut(place) {
                        sent.lost = false;
                    }
                }
            }
        }
    }

    /// The shortest time in which anything is answered, with a tenth for clocks; 0 where none is known.
    const fn path(&self) -> i64 {
        if self.smallest == i64::MAX {
            0
        } else {
            self.smallest / 10 * 9
        }
    }

    /// The receiver had it already: the latest retransmission that can have caused this was needless, and nothing was lost before it.
    fn needless(&mut self, time: i64) {
        let path = self.path();
        let Some(which) = self
            .repeats
            .iter()
            .rposition(|repeat| repeat.time <= time - path)
        else {
            self.ledger.needless += 1;
            return;
        };
        let repeat = self.repeats.remove(which);
        // else it was counted when it was acknowledged too soon
        self.ledger.needless += u32::from(!repeat.lost.is_empty());
        for place in repeat.lost {
            if let Some(sent) = self.ledger.sent.get_mut(place) {
                sent.lost = false;
            }
        }
    }

    /// RTP numbers its packets, so that gaps show; other datagrams are only seen.
    fn datagram(&mut self, event: &Event) {
        let time = event.time.0;
        if self.numbered && event.offset != 0 {
            let number = self.unwrap(event.offset);
            let highest = *self.highest.get_or_insert(number);
            let missing = number - highest - 1;
            if missing > 0 && (missing as u64) < LARGEST_HOLE {
                let start = self.last_arrival.unwrap_or(time);
                let spacing = (time - start) / (missing + 1);
                for i in 1..=missing {
                    let place = self.ledger.sent.len();
                    self.latest.insert(highest + i, (highest + i + 1, place));
                    self.ledger.sent.push(Sent {
                        time: start + spacing * i,
                        latest: start + spacing * i,
                        bytes: event.ip_length,
                        payload: event.payload,
                        frame: event.frame,
                        lost: true,
                        unseen: true,
                        repeat: false,
                    });
                }
            } else if number < highest
                && let Some((_, place)) = self.latest.remove(&number)
                && let Some(sent) = self.ledger.sent.get_mut(place)
            {
                // It came after all.
                sent.lost = false;
                self.ledger.reordered += 1;
            }
            self.highest = Some(highest.max(number));
            self.last_arrival = Some(time);
        }
        self.ledger.sent.push(Sent {
            time,
            latest: time,
            bytes: event.ip_length,
            payload: event.payload,
            frame: event.frame,
            ..Sent::default()
        });
    }
}

/// Rates at which TCP time stamp clocks tick, per second (Linux and others: 1000, 250, 100; RFC 7323, section 5.4, allows 1 to 1000).
const TICKS: [f64; 6] = [1000.0, 500.0, 250.0, 200.0, 100.0, 10.0];

/// Arrival time against the sender's time stamps.
fn one_way(events: &[Event], up: bool) -> Vec<Delay> {
    let stamped = || {
        events
            .iter()
            .filter(move |event| event.up == up && event.payload > 0 && event.tsval != 0)
    };
    let (Some(first), Some(last)) = (stamped().next(), stamped().next_back()) else {
        return Vec::new();
    };
    let seconds = last.time.seconds_since(first.time);
    let ticks = f64::from(last.tsval.wrapping_sub(first.tsval).cast_signed());
    if seconds < 0.5 || ticks <= 0.0 {
        return Vec::new();
    }
    // A growing queue stretches the seconds, never the ticks, so the measured rate is at most the clock's.
    let rate = ticks / seconds;
    let Some(tick) = TICKS
        .into_iter()
        .filter(|tick| (rate * 0.97..rate * 1.5).contains(tick))
        .min_by(|a, b| (a - rate).abs().total_cmp(&(b - rate).abs()))
    else {
        return Vec::new();
    };
    stamped()
        .map(|event| {
            let sent = f64::from(event.tsval.wrapping_sub(first.tsval).cast_signed()) / tick * 1e9;
            Delay {
                time: event.time.0,
                delay: event.time.since(first.time) - sent as i64,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{SideFacts, Transfer};
    use crate::types::Timestamp;

    const MS: i64 = 1_000_000;

    /// A segment of 1,000 bytes that the server sends at `ms`, stamped with the time.
    fn data(ms: i64, number: u32, kind: EventKind) -> Event {
        Event {
            time: Timestamp(ms * MS),
            offset: 1 + number * 1000,
            payload: 1000,
            ip_length: 1052,
            tsval: ms as u32,
            kind,
            ..Event::default()
        }
    }

    /// The client has everything below segment `number` at `ms` and echoes `tsecr`.
    fn ack(ms: i64, number: u32, tsecr: u32) -> Event {
        Event {
            time: Timestamp(ms * MS),
            ack: 1 + number * 1000,
            up: true,
            tsecr,
            ..Event::default()
        }
    }

    /// What the server's side of a path of 100 ms makes of it.
    fn ledger(events: &[Event]) -> Ledger {
        let mut flow = FlowFacts::default();
        flow.summary.key.protocol = Protocol::Tcp;
        flow.summary.rtt_client_ms = Some(100.0);
        flow.detail.rtt.min_client = Some(100 * MS);
        flow.detail.client = SideFacts {
            mss: Some(1000),
            ..SideFacts::default()
        };
        flow.detail.transfer = Some(Box::new(Transfer {
            events: events.to_vec(),
            ..Transfer::default()
        }));
        Ledger::of(&flow, Direction::Down).expect("a course")
    }

    /// Five segments, of which the second is sent again at 110 ms; then what the client says.
    fn repeated(answers: &[Event]) -> (usize, u32, u32) {
        let mut events: Vec<Event> = (0..5)
            .map(|number| data(i64::from(number), number, EventKind::New))
            .collect();
        events.push(ack(100, 1, 0));
        events.push(data(110, 1, EventKind::Retransmission));
        events.extend(answers);
        let ledger = ledger(&events);
        (ledger.losses(), ledger.needless, ledger.late)
    }

    #[test]
    fn a_repeat_that_is_answered_after_a_round_trip_replaces_a_loss() {
        assert_eq!(repeated(&[ack(211, 5, 110)]), (1, 0, 0));
    }

    #[test]
    fn an_answer_sooner_than_any_round_trip_is_to_the_first_copy() {
        assert_eq!(repeated(&[ack(150, 5, 0)]), (0, 1, 1));
    }

    #[test]
    fn an_echo_of_the_first_copys_time_is_an_answer_to_it() {
        assert_eq!(repeated(&[ack(205, 5, 1)]), (0, 1, 1));
    }

    #[test]
    fn the_echo_proves_nothing_of_a_segment_with_nothing_behind_it() {
        let mut events = vec![data(0, 0, EventKind::New), data(1, 1, EventKind::New)];
        events.push(data(60, 1, EventKind::Retransmission));
        // acknowledged together with what had waited for company, and with the time of that (RFC 7323, section 4.3)
        events.push(ack(161, 2, 29));
        assert_eq!(ledger(&events).losses(), 1);
    }

    #[test]
    fn a_duplicate_report_acquits_once_and_says_nothing_of_the_first_copys_delay() {
        let report = Event {
            dsack: true,
            ..ack(211, 5, 110)
        };
        assert_eq!(repeated(&[report]), (0, 1, 0));
        let after = Event {
            dsack: true,
            ..ack(212, 5, 110)
        };
        assert_eq!(repeated(&[ack(150, 5, 0), after]), (0, 1, 1));
    }

    #[test]
    fn of_two_repeats_the_one_that_was_not_needed_is_acquitted() {
        // the first repeat arrives; the second was sent when its answer was nearly back
        let again = data(205, 1, EventKind::Retransmission);
        let (lost, needless, late) = repeated(&[again, ack(211, 5, 110)]);
        assert_eq!((lost, needless, late), (1, 1, 1));
    }
}
