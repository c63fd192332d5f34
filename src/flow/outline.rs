use crate::types::{BySide, Direction, Protocol, Seq, Side, Timestamp};

use super::record::Record;
use super::side::{Activity, End, Tally};

/// What is measured of every flow, by side; whoever knows the client turns it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outline {
    pub(super) tallies: BySide<Tally>,
    /// When each side was heard: whoever is the server is known only at the end.
    pub(super) activity: BySide<Activity>,
    /// When each side last sent anything, and anything but payload that it had sent before, in nanoseconds since the flow's first packet.
    pub(super) last: BySide<i64>,
    pub(super) fresh: BySide<i64>,
    /// Smallest round trip between the capture point and each side, in nanoseconds.
    pub(super) rtt: BySide<Option<i64>>,
    pub(super) hop_limits: BySide<u8>,
    pub(super) duplicates: u32,
    pub(super) reset_by: Option<Side>,
    pub(super) both_fins: bool,
    pub(super) syn: BySide<bool>,
    pub(super) syn_ack: BySide<bool>,
}

/// The last two packets of a side, to tell copies of them: a mirror port's copy follows its packet before the same side sends two more.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    last: Record,
    before: Record,
    seen: u8,
}

/// Measures the outline of a flow of which nobody will ask for more, from its records alone: no allocation, about a hundred instructions a packet.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    protocol: Protocol,
    first: Timestamp,
    outline: Outline,
    sides: BySide<SketchSide>,
}

#[derive(Clone, Debug, Default)]
struct SketchSide {
    recent: Recent,
    /// One past the highest number sent.
    high: Option<Seq>,
    /// When a gap in the stream was last opened, and the time stamp of the segment that opened it.
    gap: Option<(Timestamp, Option<u32>)>,
    /// A segment on its way: its end, and when it passed.
    timed: Option<(Seq, Timestamp)>,
    fin: Option<Seq>,
    fin_acked: bool,
    /// The prevailing hop limit, by majority vote (Boyer and Moore 1981), and its lead.
    lead: u32,
}

impl Outline {
    /// Turns everything so that side `client` is side A.
    pub(super) fn orient(&mut self, client: Side) {
        if client == Side::A {
            return;
        }
        self.tallies.swap();
        self.activity.swap();
        self.last.swap();
        self.fresh.swap();
        self.rtt.swap();
        self.hop_limits.swap();
        self.syn.swap();
        self.syn_ack.swap();
        self.reset_by = self.reset_by.map(Side::other);
    }

    /// How the flow ended, once oriented; `timed_out` if it was silent for longer than flows of its kind live.
    pub(super) const fn end(&self, timed_out: bool) -> End {
        match (self.reset_by, self.both_fins, timed_out) {
            (Some(Side::A), ..) => End::RstByClient,
            (Some(Side::B), ..) => End::RstByServer,
            (None, true, _) => End::Fin,
            (None, false, true) => End::Timeout,
            (None, false, false) => End::Open,
        }
    }

    /// The direction of a side, if side A is the client.
    pub(super) const fn direction(side: Side) -> Direction {
        match side {
            Side::A => Direction::Up,
            Side::B => Direction::Down,
        }
    }

    /// Counts a packet; `again` where it brought payload that was sent before.
    pub(super) fn count(&mut self, record: &Record, side: Side, again: bool, since_first: i64) {
        let tally = &mut self.tallies[side];
        tally.packets += 1;
        tally.bytes += u64::from(record.payload());
        tally.data_packets += u32::from(record.payload() > 0 || !record.is_tcp());
        tally.retransmitted += u32::from(again && record.payload() > 0);
        if record.is_reset() {
            self.reset_by = self.reset_by.or(Some(side));
        } else {
            self.activity[side].note(since_first);
            self.last[side] = self.last[side].max(since_first);
            if !(again && record.payload() > 0) {
                self.fresh[side] = self.fresh[side].max(since_first);
            }
        }
    }
}

impl Recent {
    /// Whether the packet is a copy of one of the last; if not, it becomes the last.
    #[inline]
    pub(super) fn holds(&mut self, record: &Record) -> bool {
        if self.seen > 0 && record.duplicates(&self.last)
            || self.seen > 1 && record.duplicates(&self.before)
        {
            return true;
        }
        self.before = self.last;
        self.last = *record;
        self.seen = self.seen.saturating_add(1);
        false
    }
}

impl Sketch {
    pub(super) fn new(protocol: Protocol, first: Timestamp) -> Self {
        Self {
            protocol,
            first,
            outline: Outline::default(),
            sides: BySide::default(),
        }
    }

    /// Something of each of its cache lines, for whoever will need them soon.
    pub(super) fn touch(&self) -> u32 {
        let side = |side: &SketchSide| {
            side.recent.last.seq.0
                ^ side.recent.before.seq.0
                ^ side.lead
                ^ u32::from(side.fin_acked)
        };
        side(&self.sides.a)
            ^ side(&self.sides.b)
            ^ self.outline.tallies.a.packets
            ^ self.outline.activity.b.heard as u32
            ^ self.outline.duplicates
    }

    /// Takes the next packet.
    pub(super) fn absorb(&mut self, record: &Record) {
        let side = record.side();
        if self.sides[side].recent.holds(record) {
            self.outline.duplicates += 1;
            return;
        }
        if !record.is_tcp() && self.protocol == Protocol::Tcp {
            // an ICMP error is told of the flow, not by it
            return;
        }
        let again = self.protocol == Protocol::Tcp && self.segment(record, side);
        self.outline
            .count(record, side, again, record.time.since(self.first));
        if !record.is_reset() {
            let own = &mut self.sides[side];
            let limit = &mut self.outline.hop_limits[side];
            if own.lead == 0 {
                *limit = record.hop_limit;
            }
            own.lead = if *limit == record.hop_limit {
                own.lead + 1
            } else {
                own.lead - 1
            };
        }
    }

    /// Notes a segment's place in its stream and what it acknowledges; says whether its payload was sent before.
    fn segment(&mut self, record: &Record, side: Side) -> bool {
        /// As in the full measurement where no round trip is known: what fills a gap sooner was reordered.
        const LATE: i64 = 10_000_000;
        if record.is_reset() {
            return false;
        }
        let syn = record.flags & 0x02 != 0;
        self.outline.syn[side] |= record.flags & 0x12 == 0x02;
        self.outline.syn_ack[side] |= record.flags & 0x12 == 0x12;
        let (own, other) = self.sides.both_mut(side);
        if record.flags & 0x10 != 0 {
            if let Some((end, sent)) = other.timed
                && !end.after(record.ack)
            {
                let sample = record.time.since(sent).max(0);
                let rtt = &mut self.outline.rtt[side];
                *rtt = Some(rtt.map_or(sample, |rtt| rtt.min(sample)));
                other.timed = None;
            }
            other.fin_acked |= other.fin.is_some_and(|fin| record.ack.after(fin));
        }
        let fin = record.flags & 0x01 != 0;
        let end = record
            .seq
            .plus(record.payload() + u32::from(syn) + u32::from(fin));
        if fin {
            own.fin.get_or_insert(end.plus(u32::MAX));
            self.outline.both_fins |= own.fin.is_some() && other.fin.is_some();
        }
        self.outline.both_fins |= own.fin_acked || other.fin_acked;
        if end == record.seq {
            return false;
        }
        let Some(high) = own.high else {
            own.high = Some(end);
            own.timed = Some((end, record.time));
            return false;
        };
        if end.after(high) {
            if record.seq.after(high) {
                own.gap = Some((record.time, record.timestamps().map(|stamps| stamps.0)));
            }
            own.high = Some(end);
            own.timed = own.timed.or(Some((end, record.time)));
            return false;
        }
        // a keep-alive repeats one byte at most (RFC 9293, section 3.8.4)
        if record.payload() <= 1 && !syn && !fin {
            return false;
        }
        own.timed = None;
        own.gap.is_none_or(|(opened, stamp)| {
            // what was sent before the segment behind the gap was overtaken by it
            let overtaken = stamp
                .zip(record.timestamps())
                .is_some_and(|(opener, own)| Seq(opener).after(Seq(own.0)));
            record.time.since(opened) >= LATE && !overtaken
        })
    }

    pub(super) const fn finish(self) -> Outline {
        self.outline
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::{Decoded, Segment, Transport};
    use crate::flow::record::Datagram;
    use crate::flow::tracker::Tracker;
    use crate::types::{Address, Endpoint, FlowKey, Frame};

    /// A segment of `side` at `millis`.
    fn record(side: Side, millis: i64, flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Record {
        segment(side, millis, flags, (seq, ack), &[], payload)
    }

    /// A segment of side B at `millis`, with payload and time stamps.
    fn stamped(millis: i64, seq: u32, stamps: (u32, u32)) -> Record {
        let mut options = vec![1, 1, 8, 10];
        options.extend(stamps.0.to_be_bytes());
        options.extend(stamps.1.to_be_bytes());
        segment(Side::B, millis, 0x18, (seq, 101), &options, &[7; 100])
    }

    fn segment(
        side: Side,
        millis: i64,
        flags: u8,
        (seq, ack): (u32, u32),
        options: &[u8],
        payload: &[u8],
    ) -> Record {
        let end = |last, port| Endpoint {
            address: Address::v4([192, 0, 2, last]),
            port,
        };
        let packet = Decoded {
            key: FlowKey {
                a: end(1, 40_000),
                b: end(2, 443),
                protocol: Protocol::Tcp,
            },
            hop_limit: if side == Side::A { 64 } else { 52 },
            traffic_class: 0,
            // every packet has a number of its own, so that none is a copy of another
            ip_id: Some((millis as u16).wrapping_mul(2) | 1),
            dont_fragment: true,
            flow_label: 0,
            ip_length: 40 + payload.len() as u32,
            payload_length: payload.len() as u32,
            payload,
            transport: Transport::Tcp(Segment {
                seq: Seq(seq),
                ack: Seq(ack),
                flags,
                window: 1_000,
                options,
            }),
        };
        let time = Timestamp(millis * 1_000_000);
        Record::new(
            time,
            Frame::new(0, millis as u64 + 1),
            side,
            &packet,
            Datagram::default(),
        )
    }

    /// The outline of the same packets, briefly and at length.
    fn both(records: &[Record]) -> (Outline, Outline) {
        let mut sketch = Sketch::new(Protocol::Tcp, Timestamp(0));
        let mut tracker = Tracker::new(Protocol::Tcp, Timestamp(0), false);
        for record in records {
            sketch.absorb(record);
            tracker.absorb(record);
        }
        (sketch.finish(), tracker.finish().0)
    }

    /// Repeats, and packets out of order, that side B's stream shows when its second segment comes at `millis` with `stamps`.
    fn second(millis: i64, stamps: (u32, u32)) -> (u32, u32) {
        let mut packets = vec![
            record(Side::A, 0, 0x02, 100, 0, b""),
            record(Side::B, 40, 0x12, 900, 101, b""),
            record(Side::A, 41, 0x10, 101, 901, b""),
            stamped(80, 901, (1000, 50)),
            stamped(82, 1101, (1002, 50)),
            stamped(millis, 1001, stamps),
        ];
        packets.push(record(Side::A, millis + 1, 0x10, 101, 1201, b""));
        let (brief, full) = both(&packets);
        assert_eq!(brief.tallies, full.tallies);
        let mut tracker = Tracker::new(Protocol::Tcp, Timestamp(0), false);
        for record in &packets {
            tracker.absorb(record);
        }
        let reordered = tracker.finish().1.sides.b.reordered;
        (full.tallies.b.retransmitted, reordered)
    }

    #[test]
    fn what_was_sent_before_the_packet_that_overtook_it_was_never_lost() {
        // the hole stands for longer than a round trip, but its filling was stamped first
        assert_eq!(second(145, (1001, 50)), (0, 1));
    }

    #[test]
    fn what_is_stamped_anew_was_sent_again() {
        assert_eq!(second(145, (1063, 90)), (1, 0));
    }

    #[test]
    fn a_conversation_has_one_outline_however_it_is_measured() {
        let (brief, full) = both(&[
            record(Side::A, 0, 0x02, 100, 0, b""),
            record(Side::B, 40, 0x12, 900, 101, b""),
            record(Side::A, 41, 0x10, 101, 901, b""),
            record(Side::A, 42, 0x18, 101, 901, b"hello"),
            record(Side::B, 83, 0x18, 901, 106, b"answer"),
            record(Side::B, 383, 0x18, 901, 106, b"answer"),
            record(Side::A, 384, 0x11, 106, 907, b""),
            record(Side::B, 424, 0x11, 907, 107, b""),
        ]);
        assert_eq!(brief.tallies, full.tallies);
        assert_eq!(brief.tallies.b.retransmitted, 1);
        assert_eq!(brief.activity, full.activity);
        assert_eq!(brief.hop_limits, full.hop_limits);
        assert_eq!((brief.syn, brief.syn_ack), (full.syn, full.syn_ack));
        assert!(brief.both_fins && full.both_fins);
        assert_eq!(brief.rtt, full.rtt);
    }

    proptest! {
        #[test]
        fn counts_and_ends_do_not_depend_on_how_long_anybody_looks(
            packets in proptest::collection::vec((any::<bool>(), 0_u8..32, 0_u32..5_000, 0_u32..5_000, 0_usize..40), 1..60),
        ) {
            let payload = [7; 40];
            let records: Vec<Record> = (0_i64..)
                .zip(&packets)
                .map(|(place, (up, flags, seq, ack, length))| {
                    let side = if *up { Side::A } else { Side::B };
                    record(side, place * 20, *flags, *seq, *ack, &payload[..*length])
                })
                .collect();
            let (brief, full) = both(&records);
            for side in [Side::A, Side::B] {
                let (a, b) = (brief.tallies[side], full.tallies[side]);
                prop_assert_eq!((a.packets, a.data_packets, a.bytes), (b.packets, b.data_packets, b.bytes));
            }
            prop_assert_eq!(brief.reset_by, full.reset_by);
            prop_assert_eq!(brief.activity, full.activity);
            prop_assert_eq!(brief.duplicates, full.duplicates);
        }
    }
}
