use serde::Serialize;

use crate::types::{Direction, Frame, Timestamp};

/// What a packet is, at the transport.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketKind {
    /// A TCP segment.
    #[default]
    Tcp,
    /// A QUIC long-header packet of type Initial (any version).
    QuicInitial,
    /// Another QUIC long-header packet: 0-RTT, Handshake, Retry, version negotiation.
    QuicLong,
    /// What may be a QUIC short-header packet; only said of flows that had a long header.
    QuicShort,
    /// A STUN request.
    StunRequest,
    /// A STUN success response.
    StunSuccess,
    /// A STUN error response.
    StunError,
    /// A STUN indication.
    StunIndication,
    /// TURN channel data.
    ChannelData,
    /// A DTLS ClientHello.
    DtlsHello,
    /// Another DTLS record.
    DtlsOther,
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
    /// DNS.
    Dns,
    /// A UDP datagram that is nothing of these.
    Datagram,
    /// An ICMP or ICMPv6 error about this flow; `number` is type * 256 + code, `direction` that of the error itself (against the quoted packet).
    Icmp,
}

/// What a packet did to its side's stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing special: a pure acknowledgement, a datagram.
    #[default]
    Plain,
    /// Payload (or SYN, FIN) that continues the stream.
    New,
    /// Payload beyond the next expected byte: something before it is missing so far.
    Ahead,
    /// Payload that fills a hole sooner than a retransmission could: reordered on the way.
    Reordered,
    /// Payload that fills a hole late: the first copy was lost before this capture point.
    Fill,
    /// Payload (or SYN, FIN) that was seen before: the sender sent it again.
    Retransmission,
    /// A keep-alive: no or one byte, one before the next expected (RFC 9293, section 3.8.4).
    KeepAlive,
    /// A probe into a closed window.
    WindowProbe,
    /// An acknowledgement that repeats the one before it, without payload.
    DuplicateAck,
}

/// One packet of a flow.
///
/// `seq` and `ack` count from each sender's initial sequence number (0 is the SYN, 1 the first byte), or from the first byte seen where the
/// capture began later. Both are 0 for UDP.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PacketFact {
    /// When it was captured.
    pub time: Timestamp,
    /// Its frame.
    pub frame: Frame,
    /// Which way it went.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// What it is.
    pub kind: PacketKind,
    /// What it did to its side's stream.
    pub role: Role,
    /// TCP flags: FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20, ECE 0x40, CWR 0x80; 0 for UDP.
    pub flags: u8,
    /// Sequence number, relative.
    pub seq: i64,
    /// Acknowledgement number, relative to the other side's first; meaningless without ACK.
    pub ack: i64,
    /// The acknowledgement number as sent; ICMP: 1 where the quoted packet was for the sender of the error, see [`PacketFact::is_from_peer`].
    pub raw_ack: u32,
    /// The sequence number as sent.
    pub raw_seq: u32,
    /// Transport payload in bytes.
    pub payload: u32,
    /// Bytes of the IP packet, headers included.
    pub ip_length: u32,
    /// Window as sent, not scaled.
    pub window: u16,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Traffic class or type of service.
    pub traffic_class: u8,
    /// IPv4 identification; none in IPv6.
    pub ip_id: Option<u16>,
    /// IPv6 flow label, folded to 16 bits: equal labels are equal, and only 0 is 0; none in IPv4.
    pub flow_label: Option<u16>,
    /// IPv4 don't-fragment; true in IPv6.
    pub dont_fragment: bool,
    /// TCP time stamps: TSval, TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// The TCP options' kinds in order, folded: equal for equal layouts; 0 without options.
    pub option_layout: u16,
    /// Highest edge that SACK blocks report, relative like `ack`.
    pub sack_high: Option<i64>,
    /// Whether the first SACK block reports a duplicate (RFC 2883).
    pub dsack: bool,
    /// UDP: RTP sequence number or STUN transaction fold; ICMP: type * 256 + code.
    pub number: u32,
    /// UDP: RTP synchronisation source.
    pub stream: u32,
}

impl PacketFact {
    /// FIN is set.
    #[must_use]
    pub const fn is_fin(&self) -> bool {
        self.flags & 0x01 != 0
    }
    /// SYN is set and ACK is not.
    #[must_use]
    pub const fn is_syn(&self) -> bool {
        self.flags & 0x12 == 0x02
    }
    /// SYN and ACK are set.
    #[must_use]
    pub const fn is_syn_ack(&self) -> bool {
        self.flags & 0x12 == 0x12
    }
    /// RST is set.
    #[must_use]
    pub const fn is_rst(&self) -> bool {
        self.flags & 0x04 != 0
    }
    /// ACK is set.
    #[must_use]
    pub const fn is_ack(&self) -> bool {
        self.flags & 0x10 != 0
    }
    /// An ICMP error that came from the very address for which the quoted packet was.
    #[must_use]
    pub fn is_from_peer(&self) -> bool {
        self.kind == PacketKind::Icmp && self.raw_ack != 0
    }
    /// Sent by the client.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.direction == Some(Direction::Up)
    }
    /// Sent by the server.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.direction == Some(Direction::Down)
    }
    /// One past the last sequence number that it takes, SYN and FIN counted.
    #[must_use]
    pub fn seq_end(&self) -> i64 {
        self.seq
            + i64::from(self.payload)
            + i64::from(self.flags & 0x02 != 0)
            + i64::from(self.is_fin())
    }
}
