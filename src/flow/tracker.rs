use std::collections::VecDeque;

use crate::types::{BySide, Direction, Protocol, Side, Timestamp};

use super::half::Half;
use super::outline::{Outline, Recent};
use super::packet::{PacketFact, PacketKind, Role};
use super::record::Record;
use super::side::{Rtt, SideFacts};
use super::transfer::{Event, EventKind, Transfer};

/// Packets kept from the start of a flow.
pub const HEAD: usize = 64;

/// Packets kept from its end.
pub const TAIL: usize = 64;

/// Most events of a transfer. The published policer detector works on segments of 2 MB, 1,400 packets and their acknowledgements; flows of 10 MB fit.
const MAX_EVENTS: usize = 16_384;

/// Most resets and ICMP errors that are kept one by one.
const MAX_RESETS: usize = 32;
const MAX_ICMP: usize = 16;

/// A hole that stays open at least this long was a loss where no round trip is known to compare with: reordering on real paths is over within a few
/// milliseconds (RFC 4737, section 1.1 and RFC 8985, section 3.3 use a quarter of the round trip).
const LATE_WITHOUT_RTT: i64 = 10_000_000;

/// Below this a hole's filling is never a retransmission, however short the round trip. A proposal: parallel links and queues put neighbours out of order by a
/// millisecond or so, and the lab's shortest round trip, which a fast retransmission takes at least, is 5 ms.
const REORDERING: i64 = 2_000_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Follows a conversation packet by packet, from its log or as packets come, and measures it.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    protocol: Protocol,
    first: Timestamp,
    last: Timestamp,
    halves: BySide<Half>,
    outline: Outline,
    rtt: BySide<RoundTrips>,
    head: Vec<PacketFact>,
    tail: VecDeque<PacketFact>,
    packets: u64,
    resets: Vec<PacketFact>,
    icmp: Vec<PacketFact>,
    recent: BySide<Recent>,
    snapped: u32,
    offloaded: u32,
    syn_sent: BySide<Option<Timestamp>>,
    syn_ack_sent: BySide<Option<Timestamp>>,
    from_start: bool,
    rtp: BySide<RtpGaps>,
    transfer: Option<Box<Transfer>>,
    /// Whether any packet but a reset acknowledged something.
    acknowledges: bool,
}

/// Round trips between the capture point and one side.
#[derive(Clone, Debug, Default)]
struct RoundTrips {
    handshake: Option<i64>,
    min: Option<i64>,
    smoothed: Option<i64>,
    samples: u32,
}

/// Sequence gaps of RTP, for the first synchronisation source of a side.
#[derive(Clone, Debug, Default)]
struct RtpGaps {
    source: Option<u32>,
    extended: i64,
}

/// What was measured of a flow beyond its outline; client and server take the places of sides A and B.
#[derive(Debug, Default)]
pub struct Details {
    /// The sides.
    pub sides: BySide<SideFacts>,
    /// Round trips.
    pub rtt: Rtt,
    /// The packets, the first [`HEAD`] and the last [`TAIL`] of them.
    pub packets: Vec<PacketFact>,
    /// How many lie between.
    pub omitted: u32,
    /// Packets with RST.
    pub resets: Vec<PacketFact>,
    /// ICMP errors.
    pub icmp: Vec<PacketFact>,
    /// Packets that the snap length cut.
    pub snapped: u32,
    /// Segments larger than the MSS allows.
    pub offloaded: u32,
    /// Whether the beginning is in the capture.
    pub from_start: bool,
    /// Whether one side was never captured although it spoke.
    pub one_way: bool,
    /// The course of the transfer.
    pub transfer: Option<Box<Transfer>>,
}

impl Tracker {
    /// `course` says whether the transfer's events are wanted: for flows that outgrew their log.
    pub(super) fn new(protocol: Protocol, first: Timestamp, course: bool) -> Self {
        Self {
            protocol,
            first,
            last: first,
            halves: BySide::default(),
            outline: Outline::default(),
            rtt: BySide::default(),
            head: Vec::new(),
            tail: VecDeque::new(),
            packets: 0,
            resets: Vec::new(),
            icmp: Vec::new(),
            recent: BySide::default(),
            snapped: 0,
            offloaded: 0,
            syn_sent: BySide::default(),
            syn_ack_sent: BySide::default(),
            from_start: protocol == Protocol::Udp,
            rtp: BySide::default(),
            transfer: course.then(Box::default),
            acknowledges: false,
        }
    }

    /// Takes the next packet.
    pub(super) fn absorb(&mut self, record: &Record) {
        let side = record.side();
        if self.recent[side].holds(record) {
            self.outline.duplicates += 1;
            return;
        }
        self.last = self.last.max(record.time);
        let mut fact = fact(record, side);
        if record.kind() == PacketKind::Icmp {
            fact.number = record.seq.0;
            if self.icmp.len() < MAX_ICMP {
                self.icmp.push(fact.clone());
            }
            self.keep(fact);
            return;
        }
        self.snapped += u32::from(record.snapped());
        match self.protocol {
            Protocol::Tcp => self.segment(record, side, &mut fact),
            Protocol::Udp => self.datagram(record, side, &mut fact),
        }
        let again = matches!(fact.role, Role::Retransmission | Role::Fill);
        let since_first = record.time.since(self.first);
        self.outline.count(record, side, again, since_first);
        self.course(record, &fact, side);
        self.keep(fact);
    }

    fn segment(&mut self, record: &Record, side: Side, fact: &mut PacketFact) {
        self.handshake(record, side);
        // what reaches a hole's place later than half a round trip to its sender was sent again
        let trips = &self.rtt[side];
        let late = trips
            .min
            .or(trips.handshake)
            .map_or(LATE_WITHOUT_RTT, |rtt| (rtt / 2).max(REORDERING));
        let (own, other) = self.halves.both_mut(side);
        (fact.role, fact.seq) = own.place(record, other.window_closed, late);
        if let Some(mss) = other.facts.mss {
            self.offloaded += u32::from(record.payload() > u32::from(mss));
        }
        let mut advanced = matches!(
            fact.role,
            Role::New | Role::Ahead | Role::Fill | Role::Reordered
        );
        if record.flags & ACK != 0 {
            self.acknowledges |= !record.is_reset();
            advanced |= self.acknowledgement(record, side, fact);
        }
        let (own, other) = self.halves.both_mut(side);
        own.count_role(fact.role, record);
        if record.is_reset() {
            if self.resets.len() < MAX_RESETS {
                self.resets.push(fact.clone());
            }
            return;
        }
        own.facts.timestamps |= record.timestamps().is_some();
        own.window(record);
        own.stack(record);
        if record.flags & FIN != 0 {
            own.facts
                .fin
                .get_or_insert((record.time, record.frame(), fact.seq));
        }
        if advanced {
            other.answered();
        }
        other.heard(record.time);
        let probe = matches!(fact.role, Role::KeepAlive | Role::WindowProbe);
        if record.payload() > 0 || record.flags & (SYN | FIN) != 0 || probe {
            let again = probe || matches!(fact.role, Role::Retransmission | Role::Fill);
            let unacked = (own.facts.sent_end - own.facts.acked.max(1)).max(0) as u64;
            own.demand(record, again, unacked);
        }
    }

    /// Notes SYN and SYN/ACK: who opened, with which options, and how long the answer took.
    fn handshake(&mut self, record: &Record, side: Side) {
        if record.flags & SYN == 0 {
            return;
        }
        let (own, other) = self.halves.both_mut(side);
        self.from_start |= self.packets == 0;
        own.facts.syns += 1;
        if record.flags & ACK == 0 {
            self.syn_sent[side].get_or_insert(record.time);
        } else if self.syn_ack_sent[side].is_none() {
            self.syn_ack_sent[side] = Some(record.time);
            // a repeated SYN leaves open which copy was answered (RFC 6298, section 3)
            if let Some(sent) = self.syn_sent[side.other()].filter(|_| other.facts.syns == 1) {
                self.rtt[side].handshake = Some(record.time.since(sent)).filter(|rtt| *rtt >= 0);
            }
        }
        let options = record.syn_options();
        own.facts.mss = own.facts.mss.or(options.mss);
        own.facts.window_scale = own.facts.window_scale.or(options.window_scale);
        own.facts.sack_permitted |= options.sack_permitted;
        if own.facts.syns > 1 && other.facts.last_packet.is_none() && own.relative(record.seq) != 0
        {
            own.restart();
        }
    }

    /// Notes what a segment acknowledges; says whether anything is newly acknowledged.
    fn acknowledgement(&mut self, record: &Record, side: Side, fact: &mut PacketFact) -> bool {
        let (own, other) = self.halves.both_mut(side);
        if !other.is_anchored() {
            other.anchor(record.ack);
        }
        fact.ack = other.relative(record.ack);
        fact.sack_high = record.sack_high().map(|high| other.relative(high));
        if record.is_reset() {
            return false;
        }
        let (sample, newly) = other.acknowledged(fact.ack, record.time);
        if let Some(sample) = sample {
            let opening = self.syn_ack_sent[side.other()].is_some();
            self.rtt[side].note(sample, opening);
        }
        let bare = record.payload() == 0
            && record.flags & (FIN | SYN | RST) == 0
            && fact.role == Role::Plain;
        if own.repeats_ack(fact.ack, record.window, bare)
            && other.facts.acked < other.facts.sent_end
        {
            fact.role = Role::DuplicateAck;
        }
        newly
    }

    fn datagram(&mut self, record: &Record, side: Side, fact: &mut PacketFact) {
        let (own, other) = self.halves.both_mut(side);
        own.stack(record);
        fact.number = record.seq.0;
        fact.stream = record.ack.0;
        let facts = &mut own.facts;
        facts
            .first_data
            .get_or_insert((record.time, record.frame()));
        facts.last_new_data = Some((record.time, record.frame()));
        facts.new_bytes += u64::from(record.payload());
        let answers = matches!(
            record.kind(),
            PacketKind::StunSuccess | PacketKind::StunError
        );
        match record.kind() {
            PacketKind::StunRequest => facts.stun_requests += 1,
            PacketKind::StunSuccess | PacketKind::StunError => facts.stun_responses += 1,
            PacketKind::QuicInitial => facts.quic_initials += 1,
            PacketKind::Rtp => {
                facts.rtp += 1;
                let gaps = &mut self.rtp[side];
                facts.rtp_missing = gaps.note(record.ack.0, record.seq.0 as u16, facts.rtp_missing);
                fact.seq = gaps.extended;
            }
            _ => {}
        }
        own.media(record, fact, &mut other.facts.media);
        other.answered();
        other.heard(record.time);
        if !answers {
            let again = own.facts.unanswered.tries > 0;
            own.demand(record, again, 0);
        }
    }

    /// Adds to the transfer's events and timelines, if they are wanted.
    fn course(&mut self, record: &Record, fact: &PacketFact, side: Side) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        let kind = match (self.protocol, fact.role) {
            (Protocol::Udp, _) => EventKind::Datagram,
            (_, Role::New) if record.payload() > 0 => EventKind::New,
            (_, Role::Ahead) if record.payload() > 0 => EventKind::Ahead,
            (_, Role::Reordered) => EventKind::Reordered,
            (_, Role::Fill) => EventKind::Fill,
            (_, Role::Retransmission) if record.payload() > 0 => EventKind::Retransmission,
            _ => EventKind::Ack,
        };
        if transfer.events.len() < MAX_EVENTS {
            let (tsval, tsecr) = record.timestamps().unwrap_or_default();
            transfer.events.push(Event {
                time: record.time,
                frame: record.frame(),
                offset: fact.seq as u32,
                ack: fact.ack as u32,
                payload: record.payload(),
                ip_length: record.ip_length(),
                tsval,
                tsecr,
                window: record.window,
                up: side == Side::A,
                dsack: record.dsack(),
                kind,
            });
        } else {
            transfer.events_truncated = true;
        }
        if let Some(bin) = transfer.timelines[usize::from(side == Side::B)].bin(record.time) {
            bin.ip_bytes += u64::from(record.ip_length());
            if record.payload() > 0 {
                bin.packets = bin.packets.saturating_add(1);
                bin.lost = bin.lost.saturating_add(u32::from(matches!(
                    kind,
                    EventKind::Fill | EventKind::Retransmission
                )));
                if !matches!(kind, EventKind::Retransmission) {
                    bin.new_bytes += u64::from(record.payload());
                }
            }
        }
    }

    fn keep(&mut self, fact: PacketFact) {
        self.packets += 1;
        if self.head.len() < HEAD {
            self.head.push(fact);
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(fact);
    }

    /// The measurements.
    pub(super) fn finish(self) -> (Outline, Details) {
        let BySide { a: to_a, b: to_b } = self.rtt;
        let kept = (self.head.len() + self.tail.len()) as u64;
        let mut packets = self.head;
        packets.extend(self.tail);
        let tallies = self.outline.tallies;
        let one_way = (tallies.a.packets == 0 || tallies.b.packets == 0) && self.acknowledges;
        let hop_limits = BySide {
            a: self.halves.a.usual_hop_limit(),
            b: self.halves.b.usual_hop_limit(),
        };
        let sides = self.halves.map(|half| half.finish(self.last));
        let fin_acked = |own: &SideFacts| own.fin.is_some_and(|(_, _, seq)| own.acked > seq);
        let outline = Outline {
            rtt: BySide {
                a: to_a.handshake.into_iter().chain(to_a.min).min(),
                b: to_b.handshake.into_iter().chain(to_b.min).min(),
            },
            hop_limits,
            both_fins: sides.a.fin.is_some() && sides.b.fin.is_some()
                || fin_acked(&sides.a)
                || fin_acked(&sides.b),
            syn: self.syn_sent.map(|sent| sent.is_some()),
            syn_ack: self.syn_ack_sent.map(|sent| sent.is_some()),
            ..self.outline
        };
        let details = Details {
            sides,
            rtt: Rtt {
                handshake_server: to_b.handshake,
                handshake_client: to_a.handshake,
                min_server: to_b.min,
                min_client: to_a.min,
                smoothed_server: to_b.smoothed,
                smoothed_client: to_a.smoothed,
                samples_server: to_b.samples,
                samples_client: to_a.samples,
            },
            packets,
            omitted: u32::try_from(self.packets.saturating_sub(kept)).unwrap_or(u32::MAX),
            resets: self.resets,
            icmp: self.icmp,
            snapped: self.snapped,
            offloaded: self.offloaded,
            from_start: self.from_start,
            one_way,
            transfer: self.transfer,
        };
        (outline, details)
    }
}

impl Details {
    /// Turns everything so that side `client` is the client: directions, sides, round trips.
    pub(super) fn orient(&mut self, client: Side) {
        if client == Side::A {
            return;
        }
        self.sides.swap();
        let rtt = self.rtt;
        self.rtt = Rtt {
            handshake_server: rtt.handshake_client,
            handshake_client: rtt.handshake_server,
            min_server: rtt.min_client,
            min_client: rtt.min_server,
            smoothed_server: rtt.smoothed_client,
            smoothed_client: rtt.smoothed_server,
            samples_server: rtt.samples_client,
            samples_client: rtt.samples_server,
        };
        for packet in self
            .packets
            .iter_mut()
            .chain(&mut self.resets)
            .chain(&mut self.icmp)
            .chain(&mut self.sides.a.media.samples)
            .chain(&mut self.sides.b.media.samples)
        {
            packet.direction = packet.direction.map(Direction::reverse);
        }
        if let Some(transfer) = &mut self.transfer {
            transfer.timelines.reverse();
            for event in &mut transfer.events {
                event.up = !event.up;
            }
        }
    }
}

impl RoundTrips {
    /// Takes a sample; `opening` where this side may still be acknowledging the other's SYN/ACK, which times the handshake's second half.
    fn note(&mut self, sample: i64, opening: bool) {
        if opening && self.samples == 0 && self.handshake.is_none() {
            self.handshake = Some(sample);
        } else {
            self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
        }
        self.samples += 1;
        // RFC 6298, section 2.3: alpha is 1/8
        self.smoothed = Some(
            self.smoothed
                .map_or(sample, |smoothed| smoothed + (sample - smoothed) / 8),
        );
    }
}

impl RtpGaps {
    /// Takes the next packet of a side; gives the new count of missing ones.
    fn note(&mut self, source: u32, sequence: u16, missing: u32) -> u32 {
        /// A jump further than this is a restart, not a loss (RFC 3550, appendix A.1: MAX_DROPOUT).
        const MAX_DROPOUT: i64 = 3000;
        if self.source != Some(source) {
            self.source = Some(source);
            self.extended = i64::from(sequence);
            return missing;
        }
        let step = i64::from(sequence.wrapping_sub(self.extended as u16).cast_signed());
        if step > 0 {
            self.extended += step;
            if step < MAX_DROPOUT {
                missing.saturating_add(step as u32 - 1)
            } else {
                missing
            }
        } else {
            // one that was counted as missing came late
            missing.saturating_sub(u32::from(step < 0))
        }
    }
}

fn fact(record: &Record, side: Side) -> PacketFact {
    PacketFact {
        time: record.time,
        frame: record.frame(),
        direction: Some(Outline::direction(side)),
        kind: record.kind(),
        flags: record.flags,
        raw_seq: record.seq.0,
        raw_ack: record.ack.0,
        payload: record.payload(),
        ip_length: record.ip_length(),
        window: record.window,
        hop_limit: record.hop_limit,
        traffic_class: record.traffic_class,
        ip_id: record.ip_id(),
        flow_label: record.flow_label(),
        dont_fragment: record.dont_fragment(),
        timestamps: record.timestamps(),
        option_layout: u16::from(record.layout),
        dsack: record.dsack(),
        ..PacketFact::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoded, Transport};
    use crate::flow::record::Datagram;
    use crate::types::{Address, Endpoint, FlowKey, Frame};

    /// A datagram of `payload` bytes of `side` at `millis`.
    fn datagram(side: Side, millis: i64, kind: PacketKind, payload: u32) -> Record {
        let end = |last, port| Endpoint {
            address: Address::v4([192, 0, 2, last]),
            port,
        };
        let packet = Decoded {
            key: FlowKey {
                a: end(1, 40_000),
                b: end(2, 3478),
                protocol: Protocol::Udp,
            },
            hop_limit: 64,
            traffic_class: 0,
            ip_id: Some(millis as u16),
            dont_fragment: true,
            flow_label: 0,
            ip_length: 28 + payload,
            payload_length: payload,
            payload: &[],
            transport: Transport::Udp,
        };
        let said = Datagram {
            kind,
            number: millis as u32,
            stream: 1,
        };
        let frame = Frame::new(0, millis as u64 + 1);
        Record::new(Timestamp(millis * 1_000_000), frame, side, &packet, said)
    }

    /// A call whose far party falls silent after two seconds and answers STUN until the tenth; what else it sends at the sixth.
    fn call(at_six: Option<(PacketKind, u32)>) -> BySide<SideFacts> {
        let mut tracker = Tracker::new(Protocol::Udp, Timestamp(0), false);
        for millis in (0..10_000).step_by(20) {
            if millis == 6_000
                && let Some((kind, payload)) = at_six
            {
                tracker.absorb(&datagram(Side::B, millis + 5, kind, payload));
            }
            tracker.absorb(&datagram(Side::A, millis, PacketKind::Rtp, 120));
            if millis < 2_000 {
                tracker.absorb(&datagram(Side::B, millis + 7, PacketKind::Rtp, 120));
            }
            if millis % 500 == 0 {
                tracker.absorb(&datagram(Side::B, millis + 9, PacketKind::StunSuccess, 32));
            }
        }
        tracker.finish().1.sides
    }

    #[test]
    fn media_that_goes_on_alone_is_counted_from_the_far_partys_last() {
        let sides = call(None);
        let (own, peer) = (&sides.a.media, &sides.b.media);
        assert_eq!((own.packets, own.alone), (500, 400));
        assert_eq!(own.alone_since, Some(Timestamp(2_000_000_000)));
        let seconds: Vec<i64> = own
            .samples
            .iter()
            .map(|packet| packet.time.0 / 1_000_000_000)
            .collect();
        assert_eq!(seconds, [3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((peer.packets, peer.stun_since), (100, 8));
        // STUN is asked for by the other side, too: it says nothing of media
        assert_eq!(peer.alone, 0);
    }

    #[test]
    fn a_report_or_an_indication_with_data_shows_that_the_far_party_lives_and_a_bare_one_does_not()
    {
        for (kind, payload, alone) in [
            (PacketKind::Rtcp, 60, 200),
            (PacketKind::StunIndication, 140, 200),
            (PacketKind::StunIndication, 20, 400),
            (PacketKind::StunRequest, 100, 400),
        ] {
            let sides = call(Some((kind, payload)));
            assert_eq!(sides.a.media.alone, alone, "{kind:?} {payload}");
        }
        assert_eq!(call(Some((PacketKind::Rtcp, 60))).b.media.reports, 1);
    }
}
