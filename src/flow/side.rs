use serde::Serialize;

use super::PacketFact;
use crate::types::{Frame, Timestamp};

/// Which rule said who the client is, best first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// It sent the SYN.
    Syn,
    /// The other side sent the SYN/ACK.
    SynAck,
    /// It sent a ClientHello or another request.
    Request,
    /// The other side's port is a service port and its own is not.
    Port,
    /// The other side's address belongs to a service of the catalogue, or it is itself in local address space and the other is not.
    Address,
    /// It sent the first packet that was seen.
    #[default]
    FirstPacket,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The capture ended first.
    #[default]
    Open,
    /// Both sides sent FIN, or one did and the other acknowledged it to the end.
    Fin,
    /// The first reset came in the client's name.
    RstByClient,
    /// The first reset came in the server's name.
    RstByServer,
    /// It was silent for longer than a flow of its kind lives.
    Timeout,
}

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Packets, retransmitted and forged ones included.
    pub packets: u32,
    /// Packets with payload (or, on UDP, all).
    pub data_packets: u32,
    /// Of these, sent again or arrived late because the first copy was lost.
    pub retransmitted: u32,
    /// Transport payload in bytes, wire lengths, repeats included.
    pub bytes: u64,
}

/// When the server was heard: 64 slots over the life of the flow, whose width doubles when the flow outgrows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Activity {
    /// Bit `i` is set when a packet of the server came in slot `i` since the flow's first packet.
    pub heard: u64,
    /// A slot is 2^28 ns (268 ms) times 2 to this power.
    pub shift: u8,
}

impl Activity {
    /// Width of a slot at the start: 2 to this power in nanoseconds, so that a slot is found by shifting.
    const FIRST_SLOT: u32 = 28;

    /// Width of a slot in nanoseconds.
    #[must_use]
    pub const fn slot(&self) -> i64 {
        1 << (Self::FIRST_SLOT + self.shift as u32)
    }

    /// Notes a packet of the server, `since` nanoseconds after the flow's first packet.
    pub fn note(&mut self, since: i64) {
        let since = since.max(0);
        while since >> (Self::FIRST_SLOT + u32::from(self.shift)) >= 64 && self.shift < 34 {
            let mut folded = 0;
            for slot in 0..32 {
                folded |= u64::from(self.heard >> (2 * slot) & 3 != 0) << slot;
            }
            self.heard = folded;
            self.shift += 1;
        }
        self.heard |= 1 << (since >> (Self::FIRST_SLOT + u32::from(self.shift))).min(63);
    }

    /// Whether the server was heard between `from` and `to`, nanoseconds after the flow's first packet; slots that only touch the span do not count
    /// unless it is shorter than two slots.
    #[must_use]
    pub fn heard_between(&self, from: i64, to: i64) -> bool {
        if to < 0 || to < from {
            return false;
        }
        let slot = self.slot();
        let first = if to - from < 2 * slot {
            from.max(0) / slot
        } else {
            (from.max(0) + slot - 1) / slot
        };
        let last = if to - from < 2 * slot {
            to / slot
        } else {
            to / slot - 1
        };
        (first..=last.min(63)).any(|slot| self.heard >> slot & 1 != 0)
    }
}

/// How a side numbers its IPv4 packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IpIdLaw {
    /// IPv6, or too few packets to say.
    #[default]
    Unknown,
    /// Always 0.
    Zero,
    /// Always the same, not 0.
    Constant,
    /// Grows by small steps: a counter of the flow, the destination or the host.
    Counter,
    /// No order.
    Random,
}

/// What was measured of the packets that one side sent. Packets with RST and ICMP errors do not count, lest a forger spoil the baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SideFacts {
    /// SYNs (client) or SYN/ACKs (server) sent.
    pub syns: u32,
    /// MSS it announced.
    pub mss: Option<u16>,
    /// Window scale it announced.
    pub window_scale: Option<u8>,
    /// Whether it sends TCP time stamps.
    pub timestamps: bool,
    /// Whether it permits SACK.
    pub sack_permitted: bool,
    /// Hop limits of its SYNs, with counts, most frequent first, at most 4 values.
    pub syn_hop_limits: Vec<(u8, u32)>,
    /// Hop limits of its other packets without payload.
    pub ack_hop_limits: Vec<(u8, u32)>,
    /// Hop limits of its packets with payload (and, on UDP, of all).
    pub data_hop_limits: Vec<(u8, u32)>,
    /// How it numbers its packets.
    pub ip_id_law: IpIdLaw,
    /// Its last IPv4 identification.
    pub last_ip_id: Option<u16>,
    /// One past the highest sequence number it sent, relative.
    pub sent_end: i64,
    /// Highest sequence number of it that the other side acknowledged, relative.
    pub acked: i64,
    /// One past the last byte that arrived here in order, relative.
    pub in_order_end: i64,
    /// Payload bytes that were new: the stream without repeats.
    pub new_bytes: u64,
    /// Packets whose sender sent them again (the first copy was seen here).
    pub retransmissions: u32,
    /// Packets whose first copy was lost before the capture point.
    pub fills: u32,
    /// Packets that were reordered.
    pub reordered: u32,
    /// Keep-alives sent.
    pub keep_alives: u32,
    /// Duplicate acknowledgements sent.
    pub duplicate_acks: u32,
    /// Bytes that the other side acknowledged although the capture never saw them: lost by the capture, not the path.
    pub acked_unseen: u64,
    /// Nanoseconds during which it announced a window of 0.
    pub zero_window_ns: i64,
    /// Whether its last packet announced a window of 0.
    pub zero_window_at_end: bool,
    /// First packet with payload.
    pub first_data: Option<(Timestamp, Frame)>,
    /// Last packet with payload that was new.
    pub last_new_data: Option<(Timestamp, Frame)>,
    /// Last packet.
    pub last_packet: Option<(Timestamp, Frame)>,
    /// FIN, relative sequence number with it.
    pub fin: Option<(Timestamp, Frame, i64)>,
    /// What it sent last without an answer.
    pub unanswered: Suffix,
    /// UDP: datagrams by kind that detectors count: STUN requests, STUN responses, RTP, QUIC Initials, DTLS hellos.
    pub stun_requests: u32,
    /// STUN success and error responses.
    pub stun_responses: u32,
    /// RTP packets.
    pub rtp: u32,
    /// RTP packets missing by sequence number.
    pub rtp_missing: u32,
    /// QUIC Initial packets.
    pub quic_initials: u32,
    /// UDP: how the media of a call came.
    pub media: MediaFacts,
}

/// Media of one side of a call: RTP, channel data and datagrams of no known kind. Reports (RTCP) and TURN indications with data show that it is meant to go on, or
/// that its receiver still hears: to the other side they count as media, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MediaFacts {
    /// Packets of media.
    pub packets: u32,
    /// Reports.
    pub reports: u32,
    /// The last of them, or the last report.
    pub last: Option<(Timestamp, Frame)>,
    /// How many were sent since the other side's last media or report.
    pub alone: u32,
    /// When the first of these was sent.
    pub alone_since: Option<Timestamp>,
    /// One of these for every further second, at most [`MediaFacts::SAMPLES`].
    pub samples: Vec<PacketFact>,
    /// STUN messages of this side since its own last media or report, one a second at most.
    pub stun_since: u32,
    /// The last that counted.
    pub stun_last: Option<Timestamp>,
}

impl MediaFacts {
    /// Packets that are kept of media which nobody answers: more says nothing new.
    pub const SAMPLES: usize = 8;
}

/// The packets of one side, from the first on, after which nothing of the other side advanced anything: no new acknowledgement, no new payload.
///
/// Only packets that demand an answer count: SYN, payload, FIN, keep-alives and probes; on UDP every datagram that is no response.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Suffix {
    /// When the first of them was sent.
    pub since: Option<Timestamp>,
    /// When the last of them was sent.
    pub until: Option<Timestamp>,
    /// How many they are.
    pub tries: u32,
    /// How many of them repeat one that was sent before (SYN or payload from the same left edge, QUIC and STUN retries).
    pub retries: u32,
    /// Payload bytes in them that the other side never acknowledged.
    pub bytes: u64,
    /// Packets of the other side that came meanwhile without advancing anything (repeated SYN/ACKs, duplicate acknowledgements, keep-alives).
    pub peer_packets: u32,
    /// When the last packet of the other side came, advancing or not.
    pub peer_last: Option<Timestamp>,
    /// Frames of them, the first 8 and the last 8.
    pub frames: Vec<Frame>,
    /// Size of the largest IP packet among them, in bytes.
    pub largest: u32,
}

/// Round trips as seen from the capture point, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rtt {
    /// From SYN to SYN/ACK: to the server and back. None where the SYN was repeated.
    pub handshake_server: Option<i64>,
    /// From SYN/ACK to the client's next acknowledgement: to the client and back.
    pub handshake_client: Option<i64>,
    /// Smallest time from the client's payload to its acknowledgement (never from repeated payload).
    pub min_server: Option<i64>,
    /// Smallest time from the server's payload to its acknowledgement.
    pub min_client: Option<i64>,
    /// Median-like (smoothed, RFC 6298) of the server's samples.
    pub smoothed_server: Option<i64>,
    /// Smoothed of the client's samples.
    pub smoothed_client: Option<i64>,
    /// Samples behind the server's figures.
    pub samples_server: u32,
    /// Samples behind the client's figures.
    pub samples_client: u32,
}

impl Rtt {
    /// The smallest round trip to the server that was measured, in nanoseconds.
    #[must_use]
    pub fn to_server(&self) -> Option<i64> {
        [self.handshake_server, self.min_server]
            .into_iter()
            .flatten()
            .min()
    }

    /// The smallest round trip to the client that was measured, in nanoseconds.
    #[must_use]
    pub fn to_client(&self) -> Option<i64> {
        [self.handshake_client, self.min_client]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_folds_without_forgetting() {
        let mut activity = Activity::default();
        activity.note(0);
        activity.note(10_000_000_000);
        activity.note(40_000_000_000);
        assert!(activity.heard_between(0, 900_000_000));
        assert!(activity.heard_between(9_000_000_000, 12_000_000_000));
        assert!(!activity.heard_between(15_000_000_000, 30_000_000_000));
        activity.note(i64::MAX);
        assert!(activity.shift <= 34);
    }
}
