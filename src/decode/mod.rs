//! Takes one packet's bytes apart.
//!
//! **Takes** a [`Packet`](crate::capture::Packet): bytes, link type, both lengths, time. **Gives** first, to the dispatcher, a [`Peeled`]: where the
//! innermost IP packet lies and whose flow it is; then, to the worker, a [`Segment`], a [`Datagram`] or an [`IcmpError`]; or an
//! [`Undecoded`] reason that is counted. **Keeps** IP fragments, within stated limits. **Knows nothing of** flows.

use crate::types::{FlowKey, Seq};

/// Why a packet could not be decoded; each reason is counted under its name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord)]
pub enum Undecoded {
    /// A link type that is not read.
    LinkType,
    /// Cut before the innermost IP header ended, by the snap length or by the sender.
    Truncated,
    /// An IP version, header length or total length that contradicts itself.
    BadIp,
    /// A TCP or UDP header that contradicts itself.
    BadTransport,
    /// Tunnels nested deeper than is followed.
    TooDeep,
    /// A fragment whose datagram never became whole, or contradicts itself.
    Fragment,
    /// A record without bytes.
    Empty,
}

impl Undecoded {
    /// The name under which the report counts it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::Truncated => "truncated",
            Self::BadIp => "bad_ip",
            Self::BadTransport => "bad_transport",
            Self::TooDeep => "too_deep",
            Self::Fragment => "fragment",
            Self::Empty => "empty",
        }
    }
}

/// What the dispatcher learns of a packet: enough to send it to the worker that owns its flow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peeled {
    /// Where the innermost IP header begins, counted from the packet's first byte.
    pub ip: u32,
    /// Symmetric hash of the flow (equal for both directions, and for an ICMP error that quotes it).
    pub hash: u64,
    /// Up to two VLAN identifiers, outermost first; 0 where there is none.
    pub vlan: [u16; 2],
}

/// A decoded IP packet, as the worker sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// Sender, receiver and protocol; for an ICMP error, the flow it quotes, in the direction of the quoted packet.
    pub key: FlowKey,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Traffic class or type of service.
    pub traffic_class: u8,
    /// IPv4 identification; none in IPv6.
    pub ip_id: Option<u16>,
    /// IPv4 don't-fragment; true in IPv6.
    pub dont_fragment: bool,
    /// IPv6 flow label; 0 in IPv4.
    pub flow_label: u32,
    /// Bytes of the IP packet, headers included, as it was on the wire.
    pub ip_length: u32,
    /// Bytes of transport payload on the wire; more than `payload.len()` where the capture cut it.
    pub payload_length: u32,
    /// The captured transport payload.
    pub payload: &'a [u8],
    /// What kind of packet it is.
    pub transport: Transport,
}

/// The transport part of a decoded packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp,
    /// An ICMP or ICMPv6 error about a TCP or UDP packet.
    Icmp(IcmpError),
}

/// The header of a TCP segment (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Segment {
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgement number, as sent, also where ACK is not set.
    pub ack: Seq,
    /// FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20, ECE 0x40, CWR 0x80.
    pub flags: u8,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Options, as far as they were captured.
    pub options: TcpOptions,
}

/// TCP options (RFC 9293, 7323, 2018).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TcpOptions {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// Selective acknowledgement permitted.
    pub sack_permitted: bool,
    /// Time stamps: TSval, TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// The SACK blocks' first and last edges, as many as there are.
    pub sack: [(Seq, Seq); 4],
    /// How many of `sack` are meant.
    pub sack_blocks: u8,
    /// The kinds in their order, folded into one number: equal for equal layouts, 0 for none.
    pub layout: u16,
}

/// An ICMP or ICMPv6 error (RFC 792, 4443) about a TCP or UDP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IcmpError {
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// Whether it is ICMPv6.
    pub v6: bool,
    /// Whether its sender is the end that the quoted packet was for.
    pub from_peer: bool,
    /// Next-hop MTU of "fragmentation needed" and "packet too big", else 0.
    pub mtu: u32,
    /// Sequence number of the quoted TCP segment, else 0.
    pub quoted_seq: Seq,
}
