//! Flows that read like the story they tell, for the tests of this folder and of the innocent causes.

use crate::detect::rule::Reading;
use crate::facts::{
    CaptureFacts, Detail, End, FlowFacts, PacketFact, Role, Summary, Tally, Vantage, VantageFacts,
};
use crate::types::{Address, Direction, Endpoint, FlowKey, Frame, Timestamp};

/// One side's habits and state.
#[derive(Clone, Copy)]
struct End1 {
    hop_limit: u8,
    next: i64,
    ip_id: u16,
    window: u16,
    clock: u32,
    stamped: u32,
}

/// A TCP flow in the making: Linux-like ends, the client next to the capture (hop limit 64), the server 12 hops away (52).
pub(in crate::detect) struct Story {
    time: i64,
    ends: [End1; 2],
    packets: Vec<PacketFact>,
    hello: Option<Frame>,
    flow: FlowFacts,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Story {
    pub(in crate::detect) fn new() -> Self {
        let client = End1 {
            hop_limit: 64,
            next: 0,
            ip_id: 1000,
            window: 63,
            clock: 1_000_000,
            stamped: 0,
        };
        let server = End1 {
            hop_limit: 52,
            next: 0,
            ip_id: 40_000,
            window: 64,
            clock: 500_000_000,
            stamped: 0,
        };
        Self {
            time: 1_000_000_000,
            ends: [client, server],
            packets: Vec::new(),
            hello: None,
            flow: FlowFacts::default(),
        }
    }

    fn send(mut self, from: usize, flags: u8, payload: u32) -> Self {
        self.time += 50_000;
        let ms = (self.time / 1_000_000) as u32;
        let other = self.ends[1 - from];
        let end = &mut self.ends[from];
        let opening = flags & 0x02 != 0;
        let server_opening = opening && from == SERVER;
        if !server_opening {
            end.ip_id = end.ip_id.wrapping_add(1);
        }
        let packet = PacketFact {
            time: Timestamp(self.time),
            frame: Frame::new(0, self.packets.len() as u64 + 1),
            direction: Some(if from == CLIENT {
                Direction::Up
            } else {
                Direction::Down
            }),
            role: if payload > 0 || flags & 0x03 != 0 {
                Role::New
            } else {
                Role::Plain
            },
            flags,
            seq: end.next,
            ack: if flags & 0x10 == 0 { 0 } else { other.next },
            raw_ack: if flags & 0x10 == 0 {
                0
            } else {
                90_000 + other.next as u32
            },
            raw_seq: 70_000 + end.next as u32,
            payload,
            ip_length: 52 + payload,
            window: if opening { 64_240 } else { end.window },
            hop_limit: end.hop_limit,
            ip_id: Some(if server_opening { 0 } else { end.ip_id }),
            dont_fragment: true,
            timestamps: Some((end.clock.wrapping_add(ms), other.stamped)),
            option_layout: 1,
            ..PacketFact::default()
        };
        end.stamped = end.clock.wrapping_add(ms);
        end.next += i64::from(payload) + i64::from(opening) + i64::from(flags & 0x01 != 0);
        self.packets.push(packet);
        self
    }

    /// SYN, SYN/ACK, ACK over a path of `rtt_ms`.
    pub(in crate::detect) fn handshake(mut self, rtt_ms: i64) -> Self {
        let rtt = rtt_ms * 1_000_000;
        self.flow.detail.rtt.handshake_server = Some(rtt);
        self.flow.detail.rtt.min_server = Some(rtt);
        self.flow.detail.rtt.handshake_client = Some(100_000);
        self.flow.detail.rtt.samples_server = 1;
        self.flow.detail.from_start = true;
        self = self.send(CLIENT, 0x02, 0);
        self.time += rtt;
        self.send(SERVER, 0x12, 0).send(CLIENT, 0x10, 0)
    }

    /// Only the SYN.
    pub(in crate::detect) fn syn(mut self) -> Self {
        self.flow.detail.from_start = true;
        self.send(CLIENT, 0x02, 0)
    }

    /// A SYN/ACK.
    pub(in crate::detect) fn syn_ack(self) -> Self {
        self.send(SERVER, 0x12, 0)
    }

    /// A ClientHello in one segment.
    pub(in crate::detect) fn hello(mut self) -> Self {
        self = self.send(CLIENT, 0x18, 517);
        self.hello = self.packets.last().map(|packet| packet.frame);
        self
    }

    pub(in crate::detect) fn wait(mut self, ms: i64) -> Self {
        self.time += ms * 1_000_000;
        self
    }

    pub(in crate::detect) fn data_up(self, bytes: u32) -> Self {
        self.send(CLIENT, 0x18, bytes)
    }

    pub(in crate::detect) fn data_down(self, bytes: u32) -> Self {
        self.send(SERVER, 0x18, bytes)
    }

    pub(in crate::detect) fn ack_up(self) -> Self {
        self.send(CLIENT, 0x10, 0)
    }

    pub(in crate::detect) fn ack_down(self) -> Self {
        self.send(SERVER, 0x10, 0)
    }

    pub(in crate::detect) fn fin_up(self) -> Self {
        self.send(CLIENT, 0x11, 0)
    }

    pub(in crate::detect) fn fin_down(self) -> Self {
        self.send(SERVER, 0x11, 0)
    }

    /// The server's own reset of a living connection.
    pub(in crate::detect) fn abort_down(self) -> Self {
        self.send(SERVER, 0x14, 0)
    }

    /// The client's own.
    pub(in crate::detect) fn abort_up(self) -> Self {
        self.send(CLIENT, 0x14, 0)
    }

    /// A segment of the server, turned into a reset on the way: its header, without its bytes.
    pub(in crate::detect) fn rewritten_down(mut self, bytes: u32) -> Self {
        self = self.send(SERVER, 0x14, 0);
        self.ends[SERVER].next += i64::from(bytes);
        self
    }

    fn closed(mut self, from: usize) -> Self {
        let direction = if from == CLIENT {
            Direction::Down
        } else {
            Direction::Up
        };
        let asked = self
            .packets
            .iter()
            .rfind(|packet| packet.direction == Some(direction))
            .map_or(0, |packet| packet.ack);
        let (ip_id, next) = (self.ends[from].ip_id, self.ends[from].next);
        self = self.send(from, 0x04, 0);
        self.ends[from].ip_id = ip_id;
        self.ends[from].next = next;
        if let Some(packet) = self.packets.last_mut() {
            packet.seq = asked;
            packet.ip_id = Some(0);
            packet.window = 0;
            packet.timestamps = None;
            packet.option_layout = 0;
        }
        self
    }

    /// The server's closed socket answers the client's last segment.
    pub(in crate::detect) fn closed_down(self) -> Self {
        self.closed(SERVER)
    }

    /// The client's closed socket answers the server's last segment.
    pub(in crate::detect) fn closed_up(self) -> Self {
        self.closed(CLIENT)
    }

    fn forge(mut self, from: usize, change: impl FnOnce(&mut PacketFact)) -> Self {
        let ends = self.ends;
        self = self.send(from, 0x14, 0);
        self.ends = ends;
        if let Some(packet) = self.packets.last_mut() {
            packet.hop_limit = 61;
            packet.ip_id = Some(0xd431);
            packet.window = 0;
            packet.timestamps = None;
            packet.option_layout = 0;
            change(packet);
        }
        self
    }

    /// Somebody resets the client in the server's name: RST/ACK at the right place, with another header, changed by `change`.
    pub(in crate::detect) fn forge_with(self, change: impl FnOnce(&mut PacketFact)) -> Self {
        self.forge(SERVER, change)
    }

    /// Somebody resets the server in the client's name.
    pub(in crate::detect) fn forge_up_with(self, change: impl FnOnce(&mut PacketFact)) -> Self {
        self.forge(CLIENT, change)
    }

    pub(in crate::detect) fn build(self) -> FlowFacts {
        let Self {
            packets,
            hello,
            mut flow,
            ..
        } = self;
        let resets: Vec<PacketFact> = packets
            .iter()
            .filter(|packet| packet.is_rst())
            .cloned()
            .collect();
        flow.summary = Summary {
            key: key(0),
            end: match resets.first().and_then(|reset| reset.direction) {
                Some(Direction::Up) => End::RstByClient,
                Some(Direction::Down) => End::RstByServer,
                None => End::Open,
            },
            first: packets.first().map_or(Timestamp(0), |packet| packet.time),
            last: packets.last().map_or(Timestamp(0), |packet| packet.time),
            first_frame: packets
                .first()
                .map_or(Frame::default(), |packet| packet.frame),
            up: tally(&packets, Direction::Up),
            down: tally(&packets, Direction::Down),
            ..flow.summary
        };
        flow.detail = Detail {
            observed_until: flow.summary.last.plus(10_000_000_000),
            resets,
            packets,
            ..flow.detail
        };
        flow.detail.recognised.hello_frame = hello;
        flow.detail.recognised.sni = hello.map(|_| "web.whatsapp.com".to_owned());
        flow
    }
}

fn tally(packets: &[PacketFact], direction: Direction) -> Tally {
    let of = || {
        packets
            .iter()
            .filter(move |packet| packet.direction == Some(direction))
    };
    Tally {
        packets: of().count() as u32,
        data_packets: of().filter(|packet| packet.payload > 0).count() as u32,
        retransmitted: 0,
        bytes: of().map(|packet| u64::from(packet.payload)).sum(),
    }
}

fn key(server: u8) -> FlowKey {
    FlowKey {
        a: Endpoint {
            address: Address::v4([192, 0, 2, 10]),
            port: 50_122,
        },
        b: Endpoint {
            address: Address::v4([198, 51, 100, 7 + server]),
            port: 443,
        },
        ..FlowKey::default()
    }
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

/// A capture at the client with `flow` and others of the same client: which server (0 is the flow's own) and how each ended.
pub(in crate::detect) fn among(flow: &FlowFacts, others: &[(u8, End)]) -> CaptureFacts {
    let mut around = around();
    around.flows.push(flow.summary.clone());
    for (server, end) in others {
        let mut summary = flow.summary.clone();
        summary.key = key(*server);
        summary.key.a.port += around.flows.len() as u16;
        summary.end = *end;
        summary.up.data_packets = 3;
        summary.down.data_packets = 3;
        around.flows.push(summary);
    }
    around.by_client = (0..around.flows.len() as u32).collect();
    around
}

/// The value that was measured, if any.
pub(in crate::detect) fn value(reading: &Reading) -> Option<f64> {
    match reading {
        Reading::Measured { value, .. } => Some(*value),
        Reading::Blind(_) => None,
    }
}
