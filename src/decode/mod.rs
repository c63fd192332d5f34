//! Takes one packet's bytes apart.
//!
//! **Takes** a [`Packet`](crate::capture::Packet): bytes, link type, both lengths, time. **Gives** first, to the dispatcher, a [`Peeled`]: where the
//! innermost IP packet lies and whose flow it is; then, to the worker, a [`Segment`], a [`Datagram`] or an [`IcmpError`]; or an
//! [`Undecoded`] reason that is counted. **Keeps** IP fragments, within stated limits. **Knows nothing of** flows.

#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

/// From link layer to the innermost IP packet, for the dispatcher.
mod peel;

mod link;

mod tunnel;

/// IPv4 and IPv6 headers.
mod ip;

mod fragment;

mod tcp;

mod icmp;

mod hash;

pub use fragment::{Fragments, Whole};

pub use hash::flow_hash;

pub use peel::{Peel, peel};

use crate::types::{Endpoint, FlowKey, Protocol, Seq};

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
    /// The captured transport payload; empty for an ICMP error.
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

/// Takes an IP packet apart.
///
/// `bytes` are what was captured from the innermost IP header on ([`Peeled::ip`]); `wire` is how many bytes the record had on the wire from
/// there on, trailers included. `None` is an IP packet of which nothing is tracked: ICMP echo, SCTP, ESP, IGMP and the like.
///
/// # Errors
/// The reason why the packet cannot be read.
#[inline]
pub fn decode(bytes: &[u8], wire: u32) -> Result<Option<Decoded<'_>>, Undecoded> {
    let ip = ip::parse(bytes, wire)?;
    if ip.piece.is_some() {
        return Err(Undecoded::Fragment);
    }
    match ip.protocol {
        ip::TCP => {
            let (ports, segment, header) = tcp::segment(&ip)?;
            Ok(Some(decoded(
                &ip,
                Protocol::Tcp,
                ports,
                header,
                Transport::Tcp(segment),
            )))
        }
        ip::UDP => {
            let (ports, length) = udp(&ip)?;
            let mut decoded = decoded(&ip, Protocol::Udp, ports, UDP_HEADER, Transport::Udp);
            decoded.payload_length = length;
            decoded.payload = ip::up_to(decoded.payload, length);
            Ok(Some(decoded))
        }
        ip::ICMP | ip::ICMP_V6 => Ok(icmp::error(&ip).map(|(key, error)| Decoded {
            key,
            payload_length: 0,
            payload: &[],
            ..decoded(&ip, Protocol::Tcp, [0; 2], 0, Transport::Icmp(error))
        })),
        _ => Ok(None),
    }
}

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: u32 = 8;

/// The ports of a datagram and the bytes of its payload on the wire.
///
/// A length of 0 means "to the end of the IP packet" (RFC 2675, section 4, and what segmentation offload leaves behind). A length beyond the
/// IP packet is refused, as receivers do.
fn udp(ip: &ip::Ip<'_>) -> Result<([u16; 2], u32), Undecoded> {
    let Some(&[a, b, c, d, e, f, _, _]) = ip.payload.first_chunk::<8>() else {
        return Err(if ip.payload_length < UDP_HEADER {
            Undecoded::BadTransport
        } else {
            Undecoded::Truncated
        });
    };
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let length = match u32::from(u16::from_be_bytes([e, f])) {
        0 => ip.payload_length,
        length if length < UDP_HEADER || length > ip.payload_length => {
            return Err(Undecoded::BadTransport);
        }
        length => length,
    };
    Ok((ports, length - UDP_HEADER))
}

/// What is the same for all transports; `header` is the length of the transport header.
#[inline]
fn decoded<'a>(
    ip: &ip::Ip<'a>,
    protocol: Protocol,
    [from, to]: [u16; 2],
    header: u32,
    transport: Transport,
) -> Decoded<'a> {
    Decoded {
        key: FlowKey {
            a: Endpoint {
                address: ip.source,
                port: from,
            },
            b: Endpoint {
                address: ip.destination,
                port: to,
            },
            protocol,
        },
        hop_limit: ip.hop_limit,
        traffic_class: ip.traffic_class,
        ip_id: ip.ip_id,
        dont_fragment: ip.dont_fragment,
        flow_label: ip.flow_label,
        ip_length: ip.length,
        payload_length: ip.payload_length - header,
        payload: ip.payload.get(header as usize..).unwrap_or_default(),
        transport,
    }
}
