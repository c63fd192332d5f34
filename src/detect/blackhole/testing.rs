//! Flows that fall silent, told as stories, for the tests of this folder.

use std::ops::Range;

use crate::detect::rule::Reading;
use crate::facts::{
    Activity, CaptureFacts, End, FlowFacts, Flows, MediaFacts, PacketFact, PacketKind, Role,
    Summary, Vantage, VantageFacts,
};
use crate::types::{Address, Direction, Endpoint, FlowKey, Frame, Protocol, Timestamp};

const START: i64 = 1_000_000_000;

/// A flow in the making, seen at the client.
pub(in crate::detect) struct Tale {
    time: i64,
    /// Next sequence number of client and server.
    next: [i64; 2],
    packets: Vec<PacketFact>,
    flow: FlowFacts,
    application: crate::application::Application,
}

impl Tale {
    pub(in crate::detect) fn new() -> Self {
        let mut flow = FlowFacts::default();
        flow.summary.key = FlowKey {
            a: Endpoint {
                address: Address::v4([192, 0, 2, 10]),
                port: 50_122,
            },
            b: Endpoint {
                address: Address::v4([198, 51, 100, 7]),
                port: 443,
            },
            ..FlowKey::default()
        };
        flow.detail.from_start = true;
        Self {
            time: START,
            next: [0, 0],
            packets: Vec::new(),
            flow,
            application: crate::application::Application::Unknown,
        }
    }

    fn packet(&mut self, up: bool, kind: PacketKind, flags: u8, role: Role, payload: u32) {
        self.time += 50_000;
        let (own, other) = if up { (0, 1) } else { (1, 0) };
        let fresh = role == Role::New;
        let taken = i64::from(payload) + i64::from(flags & 0x02 != 0) + i64::from(flags & 1 != 0);
        let seq = if fresh {
            self.next[own]
        } else {
            self.next[own] - taken
        };
        if fresh {
            self.next[own] += taken;
        }
        self.packets.push(PacketFact {
            time: Timestamp(self.time),
            frame: Frame::new(0, self.packets.len() as u64 + 1),
            direction: Some(if up { Direction::Up } else { Direction::Down }),
            kind,
            role,
            flags,
            seq,
            ack: self.next[other],
            payload,
            ip_length: 52 + payload,
            window: 500,
            ..PacketFact::default()
        });
        let side = if up {
            &mut self.flow.detail.client
        } else {
            &mut self.flow.detail.server
        };
        let (now, frame) = (
            Timestamp(self.time),
            Frame::new(0, self.packets.len() as u64),
        );
        if flags & 0x04 == 0 {
            side.last_packet = Some((now, frame));
        }
        side.syns += u32::from(flags & 0x02 != 0);
        if fresh {
            side.sent_end = self.next[own];
            side.in_order_end = self.next[own];
            side.new_bytes += u64::from(payload);
        }
        if payload > 0 || flags & 0x03 != 0 {
            let suffix = &mut side.unanswered;
            suffix.since.get_or_insert(now);
            suffix.until = Some(now);
            suffix.tries += 1;
            suffix.largest = suffix.largest.max(52 + payload);
        }
    }

    /// One side's new packet answers the other.
    fn answers(&mut self, up: bool) {
        let (answered, end) = if up {
            (&mut self.flow.detail.server, self.next[1])
        } else {
            (&mut self.flow.detail.client, self.next[0])
        };
        answered.acked = end;
        answered.unanswered = crate::facts::Suffix::default();
    }

    pub(in crate::detect) fn syn(mut self) -> Self {
        self.packet(true, PacketKind::Tcp, 0x02, Role::New, 0);
        self
    }

    /// SYN, SYN/ACK, ACK over a path of `rtt_ms`.
    pub(in crate::detect) fn handshake(self, rtt_ms: i64) -> Self {
        let mut tale = self.syn().wait(rtt_ms);
        tale.packet(false, PacketKind::Tcp, 0x12, Role::New, 0);
        tale.answers(false);
        tale.packet(true, PacketKind::Tcp, 0x10, Role::Plain, 0);
        tale.answers(true);
        tale
    }

    /// A ClientHello of 250 bytes.
    pub(in crate::detect) fn hello(mut self) -> Self {
        self.application = crate::application::Application::Tls;
        self.ask(250)
    }

    /// New payload of the client.
    pub(in crate::detect) fn ask(mut self, bytes: u32) -> Self {
        self.packet(true, PacketKind::Tcp, 0x18, Role::New, bytes);
        self
    }

    /// The client repeats its last packet so many times, each after twice the time.
    pub(in crate::detect) fn again(mut self, times: u32) -> Self {
        for turn in 0..times {
            self.time += 300_000_000 << turn;
            let Some(last) = self
                .packets
                .iter()
                .rev()
                .find(|packet| packet.is_up() && (packet.payload > 0 || packet.is_syn()))
                .cloned()
            else {
                continue;
            };
            self.packet(
                true,
                last.kind,
                last.flags,
                Role::Retransmission,
                last.payload,
            );
        }
        self
    }

    /// The server answers with payload, in full segments, and the client acknowledges.
    pub(in crate::detect) fn answer(mut self, bytes: u32) -> Self {
        self.time += 40_000_000;
        let mut left = bytes;
        while left > 0 {
            let segment = left.min(1448);
            left -= segment;
            self.packet(false, PacketKind::Tcp, 0x18, Role::New, segment);
        }
        self.answers(false);
        self.packet(true, PacketKind::Tcp, 0x10, Role::Plain, 0);
        self.answers(true);
        self
    }

    /// The server repeats its SYN/ACK.
    pub(in crate::detect) fn syn_ack(mut self) -> Self {
        self.packet(false, PacketKind::Tcp, 0x12, Role::Retransmission, 0);
        self
    }

    /// The server reports by SACK that bytes up to `high` came, though nothing before.
    pub(in crate::detect) fn sacked(mut self, high: i64) -> Self {
        self.time += 40_000_000;
        self.packet(false, PacketKind::Tcp, 0x10, Role::DuplicateAck, 0);
        if let Some(packet) = self.packets.last_mut() {
            packet.sack_high = Some(high);
        }
        self
    }

    /// New payload of the server, which nobody acknowledges.
    pub(in crate::detect) fn say(mut self, bytes: u32) -> Self {
        self.packet(false, PacketKind::Tcp, 0x18, Role::New, bytes);
        let end = self.next[0];
        self.flow.detail.client.acked = end;
        self.flow.detail.client.unanswered = crate::facts::Suffix::default();
        self.flow.detail.server.acked = 1;
        self
    }

    /// The client asks whether anybody is there.
    pub(in crate::detect) fn keep_alive(mut self) -> Self {
        self.packet(true, PacketKind::Tcp, 0x10, Role::KeepAlive, 0);
        let (now, suffix) = (
            Timestamp(self.time),
            &mut self.flow.detail.client.unanswered,
        );
        suffix.since.get_or_insert(now);
        suffix.tries += 1;
        self
    }

    /// The client closes.
    pub(in crate::detect) fn fin_up(mut self) -> Self {
        self.packet(true, PacketKind::Tcp, 0x11, Role::New, 0);
        self
    }

    /// The client closes once more.
    pub(in crate::detect) fn fin_up_again(mut self) -> Self {
        self.packet(true, PacketKind::Tcp, 0x11, Role::Retransmission, 0);
        self
    }

    /// The server acknowledges all that came.
    pub(in crate::detect) fn acknowledge_down(mut self) -> Self {
        self.packet(false, PacketKind::Tcp, 0x10, Role::Plain, 0);
        self
    }

    /// The server closes.
    pub(in crate::detect) fn fin_down(mut self) -> Self {
        self.packet(false, PacketKind::Tcp, 0x11, Role::New, 0);
        self
    }

    /// The server closes once more.
    pub(in crate::detect) fn fin_again(mut self) -> Self {
        self.packet(false, PacketKind::Tcp, 0x11, Role::Retransmission, 0);
        self
    }

    /// The client acknowledges all that came.
    pub(in crate::detect) fn acknowledge(mut self) -> Self {
        self.packet(true, PacketKind::Tcp, 0x10, Role::Plain, 0);
        self
    }

    pub(in crate::detect) fn wait(mut self, ms: i64) -> Self {
        self.time += ms * 1_000_000;
        self
    }

    /// The client resets.
    pub(in crate::detect) fn abort(mut self) -> Self {
        self.packet(true, PacketKind::Tcp, 0x14, Role::Plain, 0);
        self
    }

    fn datagrams(mut self, kind: PacketKind, times: u32) -> Self {
        self.flow.summary.key.protocol = Protocol::Udp;
        for turn in 0..times {
            self.packet(true, kind, 0, Role::New, 1200);
            self.time += 500_000_000 << turn;
        }
        self
    }

    /// QUIC Initials on the timer of RFC 9002.
    pub(in crate::detect) fn initials(mut self, times: u32) -> Self {
        self.flow.detail.client.quic_initials = times;
        self.datagrams(PacketKind::QuicInitial, times)
    }

    /// DTLS hellos on the timer of RFC 9147.
    pub(in crate::detect) fn dtls_hellos(mut self, times: u32) -> Self {
        self.packet(false, PacketKind::StunSuccess, 0, Role::New, 44);
        let mut tale = self.datagrams(PacketKind::DtlsHello, times);
        let last = tale.packets.last().map(|packet| packet.time);
        tale.flow.detail.client.last_packet = last.map(|time| (time, Frame::new(0, 9)));
        tale
    }

    /// STUN requests on the timer of RFC 8489.
    pub(in crate::detect) fn stun_requests(mut self, times: u32) -> Self {
        self.flow.detail.client.stun_requests = times;
        self.datagrams(PacketKind::StunRequest, times)
    }

    /// An ICMP error about the client's packets, from the server's own address or from one on the way.
    pub(in crate::detect) fn icmp(mut self, kind: u32, code: u32, from_peer: bool) -> Self {
        self.time += 20_000_000;
        self.flow.detail.icmp.push(PacketFact {
            time: Timestamp(self.time),
            frame: Frame::new(0, 1000 + self.flow.detail.icmp.len() as u64),
            direction: Some(Direction::Down),
            kind: PacketKind::Icmp,
            number: kind << 8 | code,
            raw_ack: u32::from(from_peer),
            ..PacketFact::default()
        });
        self
    }

    /// The flow, in a capture that went on for so many seconds.
    pub(in crate::detect) fn build(self, seconds: i64) -> FlowFacts {
        let Self {
            packets,
            mut flow,
            time,
            application,
            ..
        } = self;
        flow.detail.recognised.application = application;
        flow.detail.resets = packets
            .iter()
            .filter(|packet| packet.is_rst())
            .cloned()
            .collect();
        let count = |direction| {
            packets
                .iter()
                .filter(|packet| packet.direction == Some(direction))
                .count() as u32
        };
        let with_payload = |direction| {
            packets
                .iter()
                .filter(|packet| packet.direction == Some(direction) && packet.payload > 0)
                .count() as u32
        };
        flow.summary.up.packets = count(Direction::Up);
        flow.summary.down.packets = count(Direction::Down);
        flow.summary.up.data_packets = with_payload(Direction::Up);
        flow.summary.down.data_packets = with_payload(Direction::Down);
        flow.summary.first = Timestamp(START);
        flow.summary.last = Timestamp(time);
        flow.summary.end = End::Open;
        flow.detail.observed_until = Timestamp(time).plus(seconds * 1_000_000_000);
        if seconds == 0
            && let Some(last) = packets.last()
        {
            flow.detail.observed_until = last.time;
        }
        flow.detail.packets = packets;
        flow
    }
}

/// A call over a relay of a known service whose media ceased after ten seconds, while the client sent on for so many.
pub(in crate::detect) fn ceased(seconds: i64) -> FlowFacts {
    const SECOND: i64 = 1_000_000_000;
    let mut flow = Tale::new().stun_requests(1).build(2);
    flow.summary.service = 1;
    (flow.summary.up.packets, flow.summary.down.packets) = (900, 500);
    let at = |second: i64| Timestamp(START + second * SECOND);
    let end = 10 + seconds;
    flow.summary.last = at(end);
    flow.detail.observed_until = at(end + 4);
    flow.detail.server.stun_responses = 8;
    flow.detail.packets.push(PacketFact {
        time: at(0),
        frame: Frame::new(0, 2),
        direction: Some(Direction::Down),
        kind: PacketKind::StunSuccess,
        ..PacketFact::default()
    });
    flow.detail.server.last_packet = Some((at(end), Frame::new(0, 900)));
    flow.detail.client.media = MediaFacts {
        packets: 50 * end as u32,
        last: Some((at(end), Frame::new(0, 901))),
        alone: 50 * seconds as u32,
        alone_since: Some(at(10)),
        samples: (1..=seconds.min(8))
            .map(|second| PacketFact {
                time: at(10 + second),
                frame: Frame::new(0, 500 + second as u64),
                direction: Some(Direction::Up),
                kind: PacketKind::Rtp,
                ..PacketFact::default()
            })
            .collect(),
        ..MediaFacts::default()
    };
    flow.detail.server.media = MediaFacts {
        packets: 500,
        last: Some((at(10), Frame::new(0, 499))),
        stun_since: seconds as u32 / 3,
        ..MediaFacts::default()
    };
    flow
}

/// A capture at the client, in which nothing else happened.
pub(in crate::detect) fn around() -> CaptureFacts {
    CaptureFacts {
        vantage: VantageFacts {
            value: Vantage::Client,
            ..VantageFacts::default()
        },
        ..CaptureFacts::default()
    }
}

/// A capture at the client with `flow` and one flow to another server that was heard all through these seconds after the start.
pub(in crate::detect) fn among(flow: &FlowFacts, seconds: Range<i64>) -> CaptureFacts {
    let mut around = around();
    let mut other = Summary {
        key: flow.summary.key,
        first: flow.summary.first,
        last: flow.summary.first.plus(seconds.end * 1_000_000_000),
        ..Summary::default()
    };
    other.key.protocol = Protocol::Tcp;
    other.key.a.port += 1;
    other.key.b.address = Address::v4([203, 0, 113, 5]);
    (other.up.packets, other.up.data_packets) = (40, 20);
    (other.down.packets, other.down.data_packets) = (40, 20);
    other.activity = Activity::default();
    for tenth in seconds.start * 10..seconds.end * 10 {
        other.activity.note(tenth * 100_000_000);
        other.client_activity.note(tenth * 100_000_000);
    }
    around.flows = Flows::from_iter([flow.summary.clone(), other]);
    around.by_client = vec![0, 1];
    around.by_server = vec![0, 1];
    around
}

/// The value that was measured, if any.
pub(in crate::detect) fn value(reading: &Reading) -> Option<f64> {
    match reading {
        Reading::Measured { value, .. } => Some(*value),
        Reading::Blind(_) => None,
    }
}
