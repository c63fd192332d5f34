use std::collections::VecDeque;

use crate::types::{Frame, Seq, Timestamp};

use super::packet::{PacketFact, PacketKind, Role};
use super::record::Record;
use super::side::{IpIdLaw, MediaFacts, SideFacts, Suffix};

/// Most holes of a stream that are followed at once; a real path has a handful, so past it the oldest counts as lost for good.
const MAX_HOLES: usize = 64;

/// Segments timed for a round trip at once: enough that one is always under way, few enough to lie in place.
const MAX_TIMED: usize = 8;

/// Frames of an unanswered suffix that are kept from its start, and from its end.
const SUFFIX_FRAMES: usize = 8;

/// A gap in what arrived of a stream.
#[derive(Clone, Copy, Debug)]
struct Hole {
    from: i64,
    to: i64,
    opened: Timestamp,
    /// Time stamps of the segment behind it, which opened it.
    stamps: Option<(u32, u32)>,
}

impl Hole {
    /// Whether a segment that fills it was sent before the one that opened it: then it was overtaken, however late it came, and nothing was lost. Who
    /// sends again does so after a round trip and stamps anew (RFC 7323, section 3.1; RFC 3522 tells needless repeats likewise).
    ///
    /// With equal stamps it was sent within one tick of the opener, before any other acknowledgement came. That proves something only where the hole stood for longer
    /// than clocks take to tick.
    fn is_overtaken(&self, record: &Record) -> bool {
        /// Ten milliseconds, the longest tick in use (Linux, Windows, Apple: 1 to 10 ms).
        const TICK: i64 = 10_000_000;
        let (Some(opener), Some(own)) = (self.stamps, record.timestamps()) else {
            return false;
        };
        Seq(opener.0).after(Seq(own.0)) || own == opener && record.time.since(self.opened) > TICK
    }
}

/// What is followed of the packets that one side sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Half {
    /// The number that counts as 0, and how far the circle has been gone round: `high` is relative, `high_seq` as sent.
    base: Option<Seq>,
    high: i64,
    high_seq: Seq,
    holes: VecDeque<Hole>,
    /// Ends of segments whose acknowledgement will give a round trip.
    timed: Timed,
    /// Whether a packet is the same as the one before it, but for its time.
    last_ack: Option<(i64, u16)>,
    window_closed_since: Option<Timestamp>,
    ids: Ids,
    suffix_head: [Frame; SUFFIX_FRAMES],
    suffix_tail: [Frame; SUFFIX_FRAMES],
    syn_hop_limits: HopLimits,
    ack_hop_limits: HopLimits,
    data_hop_limits: HopLimits,
    pub(super) window_closed: bool,
    pub(super) facts: SideFacts,
}

/// Segments under way, oldest first.
#[derive(Clone, Debug, Default)]
struct Timed {
    segments: [(i64, Timestamp); MAX_TIMED],
    used: usize,
}

/// Hop limits with counts, at most four values.
#[derive(Clone, Copy, Debug, Default)]
struct HopLimits([(u8, u32); 4]);

/// Counts that tell a law of IPv4 identifications.
#[derive(Clone, Debug, Default)]
struct Ids {
    seen: u32,
    zero: u32,
    same: u32,
    small: u32,
}

impl Half {
    /// The stream's start, from a SYN, or from a bare first sight where there is none.
    pub(super) fn anchor(&mut self, first: Seq) {
        if self.base.is_none() {
            self.base = Some(first);
            self.high_seq = first;
        }
    }

    /// A retry of the attempt chose another initial number: the stream begins anew, what was counted stays.
    pub(super) fn restart(&mut self) {
        *self = Self {
            facts: std::mem::take(&mut self.facts),
            ids: std::mem::take(&mut self.ids),
            ..Self::default()
        };
    }

    /// Counts what a placed segment did.
    pub(super) fn count_role(&mut self, role: Role, record: &Record) {
        let facts = &mut self.facts;
        match role {
            Role::New | Role::Ahead if record.payload() > 0 => {
                facts
                    .first_data
                    .get_or_insert((record.time, record.frame()));
                facts.last_new_data = Some((record.time, record.frame()));
            }
            Role::Fill => {
                facts.fills += 1;
                facts.last_new_data = Some((record.time, record.frame()));
            }
            Role::Reordered => facts.reordered += 1,
            Role::Retransmission => facts.retransmissions += 1,
            Role::KeepAlive => facts.keep_alives += 1,
            Role::DuplicateAck => facts.duplicate_acks += 1,
            Role::New | Role::Ahead | Role::Plain | Role::WindowProbe => {}
        }
    }

    pub(super) const fn is_anchored(&self) -> bool {
        self.base.is_some()
    }

    /// A number as a distance from the start; counts on from the highest number known, so that it survives the wrap.
    pub(super) fn relative(&self, seq: Seq) -> i64 {
        if self.base.is_none() {
            0
        } else {
            self.high + i64::from(seq.since(self.high_seq))
        }
    }

    fn raise(&mut self, to: i64) {
        if to > self.high {
            self.high_seq = Seq(self.high_seq.0.wrapping_add((to - self.high) as u32));
            self.high = to;
        }
        self.facts.sent_end = self.high;
    }

    /// First byte that is missing, or one past the last.
    fn in_order_end(&self) -> i64 {
        self.holes.front().map_or(self.high, |hole| hole.from)
    }

    /// Takes a segment's place in the stream and says what it did. `late` is how long a hole must stand open before what fills it was lost
    /// rather than reordered, in nanoseconds.
    pub(super) fn place(
        &mut self,
        record: &Record,
        peer_window_closed: bool,
        late: i64,
    ) -> (Role, i64) {
        let syn = record.flags & 0x02 != 0;
        let length =
            i64::from(record.payload()) + i64::from(syn) + i64::from(record.flags & 0x01 != 0);
        if record.flags & 0x04 != 0 {
            let seq = self.relative(record.seq);
            return (Role::Plain, seq);
        }
        let fresh = !self.is_anchored();
        self.anchor(record.seq);
        let seq = self.relative(record.seq);
        let end = seq + length;
        if record.payload() <= 1
            && !syn
            && record.flags & 0x01 == 0
            && seq == self.high - 1
            && !fresh
        {
            return (
                if peer_window_closed {
                    Role::WindowProbe
                } else {
                    Role::KeepAlive
                },
                seq,
            );
        }
        if length == 0 {
            return (Role::Plain, seq);
        }
        if peer_window_closed && record.payload() == 1 && end <= self.high {
            return (Role::WindowProbe, seq);
        }
        let role = if seq > self.high {
            self.open_hole(self.high, seq, record);
            Role::Ahead
        } else if end > self.high || fresh {
            Role::New
        } else {
            self.fill(seq, end, record, late)
        };
        if matches!(role, Role::New | Role::Ahead) {
            self.facts.new_bytes += (end - seq.max(self.high)).max(0) as u64;
            self.raise(end);
            self.timed.add(end, record.time);
        } else if role == Role::Retransmission {
            // Karn: a segment that was sent twice times nothing (RFC 6298, section 3)
            self.timed.forget_after(seq);
        }
        self.facts.in_order_end = self.in_order_end();
        (role, seq)
    }

    fn open_hole(&mut self, from: i64, to: i64, opener: &Record) {
        if self.holes.len() == MAX_HOLES {
            self.holes.pop_front();
        }
        self.holes.push_back(Hole {
            from,
            to,
            opened: opener.time,
            stamps: opener.timestamps(),
        });
    }

    /// A segment below the highest number: does it fill a hole?
    fn fill(&mut self, seq: i64, end: i64, record: &Record, late: i64) -> Role {
        let Some(position) = self
            .holes
            .iter()
            .position(|hole| seq < hole.to && end > hole.from)
        else {
            return Role::Retransmission;
        };
        let Some(hole) = self.holes.remove(position) else {
            return Role::Retransmission;
        };
        let before = Hole { to: seq, ..hole };
        let after = Hole { from: end, ..hole };
        for rest in [after, before] {
            if rest.from < rest.to && self.holes.len() < MAX_HOLES {
                self.holes.insert(position, rest);
            }
        }
        self.facts.new_bytes += (end.min(hole.to) - seq.max(hole.from)).max(0) as u64;
        if record.time.since(hole.opened) >= late && !hole.is_overtaken(record) {
            Role::Fill
        } else {
            Role::Reordered
        }
    }

    /// The other side acknowledges everything below `ack`. Gives a round trip sample, in nanoseconds, if there is one, and whether anything is
    /// newly acknowledged.
    pub(super) fn acknowledged(&mut self, ack: i64, time: Timestamp) -> (Option<i64>, bool) {
        /// No receiver acknowledges further beyond what was seen than the largest window (RFC 7323, section 2.3): else it is a stray number.
        const MAX_AHEAD: i64 = 1 << 30;
        if ack <= self.facts.acked || ack > self.high + MAX_AHEAD {
            return (None, false);
        }
        let sample = self.timed.take(ack).map(|sent| time.since(sent));
        // acknowledged, but never seen here: the capture lost it, not the path
        while let Some(hole) = self.holes.front().copied() {
            if hole.from >= ack {
                break;
            }
            self.facts.acked_unseen += (hole.to.min(ack) - hole.from).max(0) as u64;
            self.holes.pop_front();
            if hole.to > ack {
                self.holes.push_front(Hole { from: ack, ..hole });
                break;
            }
        }
        if ack > self.high {
            self.facts.acked_unseen += (ack - self.high) as u64;
            self.raise(ack);
        }
        self.facts.acked = ack;
        self.facts.in_order_end = self.in_order_end();
        (sample.filter(|sample| *sample >= 0), true)
    }

    /// Whether an acknowledgement without payload repeats the one before it.
    pub(super) fn repeats_ack(&mut self, ack: i64, window: u16, bare: bool) -> bool {
        let same = bare && self.last_ack == Some((ack, window));
        self.last_ack = Some((ack, window));
        same
    }

    /// Notes the window that this side announces.
    pub(super) fn window(&mut self, record: &Record) {
        if record.window == 0 && record.flags & 0x02 == 0 {
            self.window_closed_since.get_or_insert(record.time);
        } else if let Some(since) = self.window_closed_since.take() {
            self.facts.zero_window_ns += record.time.since(since).max(0);
        }
        self.window_closed = self.window_closed_since.is_some();
        self.facts.zero_window_at_end = self.window_closed;
    }

    /// Notes what every packet shows of its sender's stack.
    pub(super) fn stack(&mut self, record: &Record) {
        let limits = if record.flags & 0x02 != 0 {
            &mut self.syn_hop_limits
        } else if record.payload() > 0 || !record.is_tcp() {
            &mut self.data_hop_limits
        } else {
            &mut self.ack_hop_limits
        };
        limits.count(record.hop_limit);
        if let Some(id) = record.ip_id() {
            self.ids.seen += 1;
            self.ids.zero += u32::from(id == 0);
            if let Some(last) = self.facts.last_ip_id {
                /// A counter that is shared with the host's other flows still moves by less than this between two packets of one flow. A proposal: a
                /// random number does so by chance in one step of 64, and the law asks for four of five.
                const SMALL_STEP: u16 = 1024;
                match id.wrapping_sub(last) {
                    0 => self.ids.same += 1,
                    1..SMALL_STEP => self.ids.small += 1,
                    _ => {}
                }
            }
            self.facts.last_ip_id = Some(id);
        }
        self.facts.last_packet = Some((record.time, record.frame()));
    }

    /// Notes a datagram of a call: media, reports and STUN. `theirs` is what the other side sent.
    pub(super) fn media(&mut self, record: &Record, fact: &PacketFact, theirs: &mut MediaFacts) {
        /// A STUN indication without data has a header and a few attributes (RFC 8489, section 14: FINGERPRINT, SOFTWARE); with an address and data it is
        /// longer (RFC 8656, section 11).
        const BARE: u32 = 72;
        /// Between two that are kept.
        const SECOND: i64 = 1_000_000_000;
        let own = &mut self.facts.media;
        let carries = match record.kind() {
            PacketKind::Rtp | PacketKind::ChannelData | PacketKind::Datagram => true,
            PacketKind::Rtcp => false,
            PacketKind::StunIndication if record.payload() > BARE => false,
            PacketKind::StunRequest
            | PacketKind::StunSuccess
            | PacketKind::StunError
            | PacketKind::StunIndication => {
                if own
                    .stun_last
                    .is_none_or(|last| record.time.since(last) >= SECOND)
                {
                    own.stun_since += 1;
                    own.stun_last = Some(record.time);
                }
                return;
            }
            _ => return,
        };
        own.last = Some((record.time, record.frame()));
        (own.stun_since, own.stun_last) = (0, None);
        theirs.alone = 0;
        theirs.alone_since = None;
        theirs.samples.clear();
        own.reports = own.reports.saturating_add(u32::from(!carries));
        if carries {
            own.packets = own.packets.saturating_add(1);
            own.alone = own.alone.saturating_add(1);
            let since = *own.alone_since.get_or_insert(record.time);
            let kept = own.samples.last().map_or(since, |last| last.time);
            if record.time.since(kept) >= SECOND && own.samples.len() < MediaFacts::SAMPLES {
                own.samples.push(fact.clone());
            }
        }
    }

    /// Adds a packet that demands an answer.
    pub(super) fn demand(&mut self, record: &Record, again: bool, unacked: u64) {
        let suffix = &mut self.facts.unanswered;
        suffix.since.get_or_insert(record.time);
        suffix.until = Some(record.time);
        suffix.tries += 1;
        suffix.retries += u32::from(again);
        suffix.bytes = unacked;
        suffix.largest = suffix.largest.max(record.ip_length());
        let place = suffix.tries as usize - 1;
        let frames = if place < SUFFIX_FRAMES {
            &mut self.suffix_head
        } else {
            &mut self.suffix_tail
        };
        if let Some(frame) = frames.get_mut(place % SUFFIX_FRAMES) {
            *frame = record.frame();
        }
    }

    /// The other side answered: nothing is open.
    pub(super) fn answered(&mut self) {
        self.facts.unanswered = Suffix::default();
    }

    /// The other side sent something that advances nothing.
    pub(super) fn heard(&mut self, time: Timestamp) {
        if self.facts.unanswered.tries > 0 {
            self.facts.unanswered.peer_packets += 1;
        }
        self.facts.unanswered.peer_last = Some(time);
    }

    /// The hop limit that most of its packets have, payload first.
    pub(super) fn usual_hop_limit(&self) -> u8 {
        [
            self.data_hop_limits,
            self.ack_hop_limits,
            self.syn_hop_limits,
        ]
        .iter()
        .find_map(|limits| {
            limits
                .0
                .iter()
                .filter(|(_, seen)| *seen > 0)
                .max_by_key(|(limit, seen)| (*seen, std::cmp::Reverse(*limit)))
        })
        .map_or(0, |(limit, _)| *limit)
    }

    /// The measurements, complete.
    pub(super) fn finish(mut self, end: Timestamp) -> SideFacts {
        if let Some(since) = self.window_closed_since {
            self.facts.zero_window_ns += end.since(since).max(0);
        }
        let tries = self.facts.unanswered.tries as usize;
        let (head, tail) = (
            tries.min(SUFFIX_FRAMES),
            tries.saturating_sub(SUFFIX_FRAMES),
        );
        let oldest = tail % SUFFIX_FRAMES;
        let frames = &mut self.facts.unanswered.frames;
        frames.extend(self.suffix_head.iter().take(head));
        if tail < SUFFIX_FRAMES {
            frames.extend(self.suffix_tail.iter().take(tail));
        } else {
            frames.extend(
                self.suffix_tail
                    .iter()
                    .cycle()
                    .skip(oldest)
                    .take(SUFFIX_FRAMES),
            );
        }
        self.facts.syn_hop_limits = self.syn_hop_limits.sorted();
        self.facts.ack_hop_limits = self.ack_hop_limits.sorted();
        self.facts.data_hop_limits = self.data_hop_limits.sorted();
        self.facts.ip_id_law = self.ids.law();
        self.facts
    }
}

impl Ids {
    /// The law, from at least four identifications: with fewer, chance explains any pattern.
    const fn law(&self) -> IpIdLaw {
        let steps = self.seen.saturating_sub(1);
        match self.seen {
            0..4 => IpIdLaw::Unknown,
            seen if self.zero == seen => IpIdLaw::Zero,
            _ if self.same == steps => IpIdLaw::Constant,
            // four of five: a reordered pair makes one step look large
            _ if (self.small + self.same) * 5 >= steps * 4 => IpIdLaw::Counter,
            _ => IpIdLaw::Random,
        }
    }
}

impl Timed {
    fn add(&mut self, end: i64, sent: Timestamp) {
        if let Some(place) = self.segments.get_mut(self.used) {
            *place = (end, sent);
            self.used += 1;
        }
    }

    /// The sending time of the youngest segment that `ack` covers; it and those before it are done.
    fn take(&mut self, ack: i64) -> Option<Timestamp> {
        let covered = self
            .segments
            .iter()
            .take(self.used)
            .take_while(|(end, _)| *end <= ack)
            .count();
        let sent = self
            .segments
            .get(covered.checked_sub(1)?)
            .map(|(_, sent)| *sent);
        self.segments.copy_within(covered..self.used, 0);
        self.used -= covered;
        sent
    }

    /// What was sent again times nothing any more.
    fn forget_after(&mut self, seq: i64) {
        self.used = self
            .segments
            .iter()
            .take(self.used)
            .take_while(|(end, _)| *end <= seq)
            .count();
    }
}

impl HopLimits {
    /// Counts a value; a fifth one takes the place of the rarest.
    fn count(&mut self, value: u8) {
        let known = self
            .0
            .iter_mut()
            .find(|(known, seen)| *seen > 0 && *known == value);
        if let Some((_, seen)) = known {
            *seen += 1;
        } else if let Some(rarest) = self.0.iter_mut().min_by_key(|(_, seen)| *seen) {
            *rarest = (value, 1);
        }
    }

    /// The values seen, most frequent first.
    fn sorted(self) -> Vec<(u8, u32)> {
        let mut limits: Vec<(u8, u32)> = self.0.into_iter().filter(|(_, seen)| *seen > 0).collect();
        limits.sort_by_key(|(limit, seen)| (std::cmp::Reverse(*seen), *limit));
        limits
    }
}
