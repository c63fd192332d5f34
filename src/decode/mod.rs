//! Takes one packet's bytes apart.
//!
//! **Takes** a [`Packet`](crate::capture::Packet): bytes, link type, both lengths, time. **Gives** first, to the dispatcher, a [`Peeled`]: where the
//! innermost IP packet lies and whose flow it is; then, to the worker, a [`Segment`], a datagram or an [`IcmpError`]; or an
//! [`Undecoded`] reason that is counted. **Keeps** IP fragments, within stated limits. **Knows nothing of** flows.

#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
#![allow(
    clippy::many_single_char_names,
    reason = "the bytes of a field, in their order, have no better names than a, b, c, d"
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

/// Compares with what tshark sees in real captures.
#[cfg(test)]
mod corpus;

/// Packets for tests.
#[cfg(test)]
mod support;

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
    pub transport: Transport<'a>,
}

/// The transport part of a decoded packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp,
    /// An ICMP or ICMPv6 error about a TCP or UDP packet.
    Icmp(IcmpError),
}

/// The header of a TCP segment (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Segment<'a> {
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgement number, as sent, also where ACK is not set.
    pub ack: Seq,
    /// FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20, ECE 0x40, CWR 0x80.
    pub flags: u8,
    /// Window as sent, not scaled.
    pub window: u16,
    /// The bytes of its options, as far as they were captured.
    pub options: &'a [u8],
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
    let at_least = ip::at_least(bytes, wire);
    // the short way, for what nearly all packets are; each of its turnings ends in the long one
    match bytes.first().map(|first| first >> 4) {
        Some(4) => match ip::v4(bytes, at_least) {
            Ok(ip) => usual(&ip, bytes, wire),
            Err(reason) => Err(reason),
        },
        Some(6) => match ip::v6(bytes, at_least) {
            Ok(ip) => usual(&ip, bytes, wire),
            Err(reason) => Err(reason),
        },
        _ => thorough(bytes, wire),
    }
}

/// The short way: TCP with the usual options or none, or UDP, without extension headers.
#[expect(
    clippy::inline_always,
    reason = "measured: handing the header over in memory costs more than reading it"
)]
#[inline(always)]
fn usual<'a>(
    ip: &ip::Ip<'a>,
    bytes: &'a [u8],
    wire: u32,
) -> Result<Option<Decoded<'a>>, Undecoded> {
    match ip.protocol {
        ip::TCP if ip.piece.is_none() => {
            let (ports, segment, header) = tcp::segment(ip)?;
            Ok(Some(decoded(
                ip,
                Protocol::Tcp,
                ports,
                header,
                Transport::Tcp(segment),
            )))
        }
        ip::UDP if ip.piece.is_none() => datagram(ip).map(Some),
        _ => thorough(bytes, wire),
    }
}

/// The long way, for any packet.
#[cold]
#[inline(never)]
fn thorough(bytes: &[u8], wire: u32) -> Result<Option<Decoded<'_>>, Undecoded> {
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
        ip::UDP => datagram(&ip).map(Some),
        ip::ICMP | ip::ICMP_V6 => Ok(icmp::error(&ip).map(|(key, error)| Decoded {
            key,
            payload_length: 0,
            payload: &[],
            ..decoded(&ip, Protocol::Tcp, [0; 2], 0, Transport::Icmp(error))
        })),
        _ => Ok(None),
    }
}

/// A UDP datagram.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn datagram<'a>(ip: &ip::Ip<'a>) -> Result<Decoded<'a>, Undecoded> {
    let (ports, length) = udp(ip)?;
    let whole = decoded(ip, Protocol::Udp, ports, UDP_HEADER, Transport::Udp);
    Ok(Decoded {
        payload_length: length,
        payload: ip::up_to(whole.payload, length),
        ..whole
    })
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
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn decoded<'a>(
    ip: &ip::Ip<'a>,
    protocol: Protocol,
    [from, to]: [u16; 2],
    header: u32,
    transport: Transport<'a>,
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
        ip_id: ip.identification,
        dont_fragment: ip.dont_fragment,
        flow_label: ip.flow_label,
        ip_length: ip.length,
        payload_length: ip.payload_length - header,
        payload: ip.payload.get(header as usize..).unwrap_or_default(),
        transport,
    }
}

#[cfg(test)]
mod tests {
    use super::support::{bytes, ethernet, tcp, udp, v4, v4_piece, v6};
    use super::*;
    use crate::capture::LinkType;
    use crate::types::Address;
    use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
    use proptest::prelude::*;
    use std::hint::black_box;

    /// All link types that are read, and one that is not.
    const LINKS: [u16; 24] = [
        0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 107, 108, 113, 119, 127, 163, 192, 204, 228, 229,
        239, 242, 258, 276,
    ];

    fn flow(link: u16, bytes: &[u8]) -> Decoded<'_> {
        let wire = bytes.len() as u32;
        let Peel::Flow(peeled) = peel(LinkType(link), bytes, wire) else {
            panic!("{:?}", peel(LinkType(link), bytes, wire));
        };
        let decoded = decode(&bytes[peeled.ip as usize..], wire - peeled.ip)
            .unwrap()
            .unwrap();
        assert_eq!(flow_hash(&decoded.key), peeled.hash);
        decoded
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    /// A link's name and number, and what stands before the IP packet.
    const FRAMINGS: [(&str, u16, &[u8]); 30] = [
        ("raw", 101, &[]),
        ("raw, as BSD numbers it", 12, &[]),
        ("raw, as OpenBSD numbers it", 14, &[]),
        ("IPv4", 228, &[]),
        ("null, little-endian", 0, &[2, 0, 0, 0]),
        ("null, big-endian", 0, &[0, 0, 0, 2]),
        ("null with Cisco framing", 0, &[0x0f, 0, 8, 0]),
        ("loop", 108, &[0, 0, 0, 2]),
        ("PPP", 9, &[0, 0x21]),
        ("PPP with address and control", 9, &[0xff, 3, 0, 0x21]),
        ("PPP with a short protocol", 9, &[0x21]),
        ("PPP in HDLC", 50, &[0xff, 3, 0, 0x21]),
        ("PPP with a direction", 204, &[1, 0xff, 3, 0, 0x21]),
        ("multilink PPP", 9, &[0, 0x3d, 0xc0, 0, 0, 1, 0, 0x21]),
        ("PPPoE", 51, &[0x11, 0, 0, 1, 0, 42, 0, 0x21]),
        ("Cisco HDLC", 104, &[0x0f, 0, 8, 0]),
        ("frame relay", 107, &[0x18, 0x41, 3, 0xcc]),
        ("frame relay with padding", 107, &[0x18, 0x41, 3, 0, 0xcc]),
        (
            "frame relay with SNAP",
            107,
            &[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0],
        ),
        ("frame relay, Cisco's", 107, &[0x18, 0x41, 8, 0]),
        (
            "frame relay, four bytes",
            107,
            &[0x18, 0x40, 0x40, 0x41, 3, 0xcc],
        ),
        (
            "cooked",
            113,
            &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0],
        ),
        (
            "cooked, version 2",
            276,
            &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
        ),
        (
            "NFLOG",
            239,
            &[
                2, 0, 0, 0, 8, 0, 10, 0, 1, 2, 3, 4, 5, 0, 10, 0, 0, 0, 0, 0, 44, 0, 9, 0,
            ],
        ),
        ("NFLOG, big-endian", 239, &[2, 0, 0, 0, 0, 44, 0, 9]),
        ("PPI", 192, &[0, 0, 8, 0, 101, 0, 0, 0]),
        ("PKTAP", 258, &[12, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0]),
        (
            "802.11",
            105,
            &[
                8, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0, 0xaa, 0xaa,
                3, 0, 0, 0, 8, 0,
            ],
        ),
        (
            "802.11 with quality of service, padded, under radiotap",
            127,
            &[
                0, 0, 9, 0, 2, 0, 0, 0, 0x20, 0x88, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3,
                3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0,
            ],
        ),
        (
            "IP over InfiniBand",
            242,
            &[
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0,
            ],
        ),
    ];

    #[test]
    fn every_link_layer_gives_the_same_flow() {
        let packet = v4(ip::TCP, &tcp(b"hello"));
        let expected = decode(&packet, packet.len() as u32).unwrap().unwrap();
        for (name, link, before) in FRAMINGS {
            let bytes = joined(&[before, &packet]);
            let seen = flow(link, &bytes);
            assert_eq!(seen, expected, "{name}");
        }
    }

    #[test]
    fn every_ether_type_gives_the_same_flow() {
        let packet = v4(ip::TCP, &tcp(b"hello"));
        let expected = decode(&packet, packet.len() as u32).unwrap().unwrap();
        let inner = ethernet(0x0800, &packet);
        // whether a pseudowire has a control word is guessed from the first nibble of the frame, its destination
        let mut other = inner.clone();
        other[0] = 0x22;
        for (name, kind, before, inside) in [
            ("DIX", 0x0800_u16, &[][..], &packet),
            ("one tag", 0x8100, &[0x20, 7, 8, 0], &packet),
            ("two tags", 0x88a8, &[0, 7, 0x81, 0, 0, 8, 8, 0], &packet),
            (
                "three tags",
                0x9100,
                &[0, 7, 0x81, 0, 0, 8, 0x81, 0, 0, 9, 8, 0],
                &packet,
            ),
            ("priority tag", 0x8100, &[0x20, 0, 8, 0], &packet),
            (
                "802.3 with SNAP",
                53,
                &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0],
                &packet,
            ),
            ("802.3 with IP's SAP", 48, &[6, 6, 3], &packet),
            ("MPLS", 0x8847, &[0, 1, 0, 64, 0, 2, 1, 64], &packet),
            ("pseudowire", 0x8847, &[0, 2, 1, 64, 0, 0, 0, 0], &inner),
            (
                "pseudowire without control word",
                0x8848,
                &[0, 2, 1, 64],
                &other,
            ),
            ("PPPoE", 0x8864, &[0x11, 0, 0, 1, 0, 47, 0, 0x21], &packet),
            ("provider backbone", 0x88e7, &[0, 0, 0, 1], &inner),
            (
                "service header",
                0x894f,
                &[0, 2, 1, 1, 0, 0, 1, 255],
                &packet,
            ),
            ("VN-Tag", 0x8926, &[0, 0, 0, 0, 8, 0], &packet),
        ] {
            let bytes = ethernet(kind, &joined(&[before, inside]));
            assert_eq!(flow(1, &bytes), expected, "{name}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn every_tunnel_gives_the_innermost_flow() {
        let packet = v4(ip::TCP, &tcp(b"hello"));
        let six = v6(ip::TCP, &tcp(b"hello"));
        let frame = ethernet(0x0800, &packet);
        let expected = decode(&packet, packet.len() as u32).unwrap().unwrap();
        let gre = |before: &[u8], inside: &[u8]| v4(ip::GRE, &joined(&[before, inside]));
        let in_udp = |port, before: &[u8], inside: &[u8]| {
            v4(ip::UDP, &udp(40_000, port, &joined(&[before, inside])))
        };
        for (name, bytes) in [
            ("IP in IP", v4(ip::IP_IN_IP, &packet)),
            ("4in6", v6(ip::IP_IN_IP, &packet)),
            ("GRE", gre(&[0, 0, 8, 0], &packet)),
            (
                "GRE with all",
                gre(
                    &[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2],
                    &packet,
                ),
            ),
            ("GRE, Ethernet", gre(&[0, 0, 0x65, 0x58], &frame)),
            (
                "PPTP",
                gre(
                    &[
                        0x30, 1, 0x88, 0x0b, 0, 45, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21,
                    ],
                    &packet,
                ),
            ),
            (
                "PPTP with acknowledgement",
                gre(
                    &[
                        0x30, 0x81, 0x88, 0x0b, 0, 45, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x21,
                    ],
                    &packet,
                ),
            ),
            ("ERSPAN I", gre(&[0, 0, 0x88, 0xbe], &frame)),
            (
                "ERSPAN II",
                gre(
                    &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0],
                    &frame,
                ),
            ),
            (
                "ERSPAN III",
                gre(
                    &[
                        0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                    ],
                    &frame,
                ),
            ),
            ("EtherIP", v4(ip::ETHER_IP, &joined(&[&[0x30, 0], &frame]))),
            (
                "MPLS in IP",
                v4(ip::MPLS_IN_IP, &joined(&[&[0, 1, 1, 64], &packet])),
            ),
            ("VXLAN", in_udp(4789, &[8, 0, 0, 0, 0, 0, 1, 0], &frame)),
            (
                "VXLAN-GPE",
                in_udp(4790, &[0x0c, 0, 0, 1, 0, 0, 1, 0], &packet),
            ),
            (
                "Geneve",
                in_udp(6081, &[1, 0, 0x65, 0x58, 0, 0, 1, 0, 9, 9, 9, 9], &frame),
            ),
            (
                "GTP-U",
                in_udp(2152, &[0x30, 255, 0, 45, 0, 0, 0, 1], &packet),
            ),
            (
                "GTP-U with an extension",
                in_udp(
                    2152,
                    &[0x34, 255, 0, 53, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0],
                    &packet,
                ),
            ),
            (
                "L2TP",
                in_udp(
                    1701,
                    &[0x40, 2, 0, 55, 0, 1, 0, 1, 0xff, 3, 0, 0x21],
                    &packet,
                ),
            ),
            ("LISP", in_udp(4341, &[0; 8], &packet)),
            ("MPLS in UDP", in_udp(6635, &[0, 1, 1, 64], &packet)),
            ("GRE in UDP", in_udp(4754, &[0, 0, 8, 0], &packet)),
        ] {
            assert_eq!(flow(101, &bytes), expected, "{name}");
        }
        let expected = decode(&six, six.len() as u32).unwrap().unwrap();
        for (name, bytes) in [
            ("6in4", v4(ip::IPV6_IN_IP, &six)),
            ("Teredo", in_udp(3544, &[], &six)),
            (
                "Teredo with an origin",
                in_udp(3544, &[0, 0, 1, 2, 3, 4, 5, 6], &six),
            ),
            (
                "Teredo, all",
                in_udp(
                    3544,
                    &[
                        0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6,
                    ],
                    &six,
                ),
            ),
        ] {
            assert_eq!(flow(101, &bytes), expected, "{name}");
        }
    }

    #[test]
    fn a_datagram_on_a_tunnels_port_that_is_no_tunnel_is_a_flow_itself() {
        // a short-header QUIC packet to a client that happens to have VXLAN's port
        for port in [
            1701, 2152, 3544, 4341, 4754, 4789, 4790, 5072, 6081, 6635, 8472,
        ] {
            let datagram = udp(
                443,
                port,
                &[0x4c, 0x8e, 0x11, 0x70, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
            );
            let packet = v4(ip::UDP, &datagram);
            assert_eq!(flow(101, &packet).key.b.port, port);
        }
    }

    #[test]
    fn vlan_identifiers_are_told_outermost_first() {
        let packet = v4(ip::TCP, &tcp(&[]));
        let bytes = ethernet(
            0x88a8,
            &joined(&[&[0x20, 7, 0x81, 0, 0x30, 8, 8, 0], &packet]),
        );
        let Peel::Flow(peeled) = peel(LinkType(1), &bytes, bytes.len() as u32) else {
            panic!("no flow");
        };
        assert_eq!((peeled.vlan, peeled.ip), ([7, 8], 22));
    }

    #[test]
    fn what_is_not_of_a_flow_is_not_undecoded() {
        for bytes in [
            ethernet(0x0806, &[0; 28]),
            ethernet(0x88cc, &[0; 28]),
            ethernet(38, &[0x42, 0x42, 3, 0, 0, 0]),
            ethernet(0x0800, &v4(ip::ICMP, &[8, 0, 0, 0, 0, 1, 0, 1])),
            ethernet(0x0800, &v4(2, &[0x16, 0, 0, 0, 224, 0, 0, 1])),
            ethernet(0x0800, &v4(132, &[0; 12])),
            ethernet(0x86dd, &v6(59, &[])),
        ] {
            assert_eq!(peel(LinkType(1), &bytes, bytes.len() as u32), Peel::NoFlow);
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let why = |link, bytes: &[u8]| peel(LinkType(link), bytes, bytes.len() as u32);
        let packet = v4(ip::TCP, &tcp(&[]));
        let mut deep = packet.clone();
        for _ in 0..40 {
            deep = v4(ip::IP_IN_IP, &deep);
        }
        let mut short = packet.clone();
        short[0] = 0x44;
        for (link, bytes, reason) in [
            (147, packet.clone(), Undecoded::LinkType),
            (1, Vec::new(), Undecoded::Empty),
            (101, packet[..19].to_vec(), Undecoded::Truncated),
            (101, packet[..22].to_vec(), Undecoded::Truncated),
            (101, vec![0x70; 40], Undecoded::BadIp),
            (101, short, Undecoded::BadIp),
            (101, deep, Undecoded::TooDeep),
        ] {
            assert_eq!(why(link, &bytes), Peel::Undecoded(reason));
        }
    }

    #[test]
    fn lengths_are_the_wires_and_padding_is_not_payload() {
        let packet = v4(ip::TCP, &tcp(b"hello"));
        // link-layer padding
        let padded = joined(&[&packet, &[0; 6]]);
        let seen = decode(&padded, 51).unwrap().unwrap();
        assert_eq!(
            (seen.payload, seen.payload_length, seen.ip_length),
            (&b"hello"[..], 5, 45)
        );
        // cut in the payload
        let seen = decode(&packet[..42], 45).unwrap().unwrap();
        assert_eq!((seen.payload, seen.payload_length), (&b"he"[..], 5));
        // segmentation offload left the length at 0
        let mut offload = packet.clone();
        offload[2..4].fill(0);
        let seen = decode(&offload, 9045).unwrap().unwrap();
        assert_eq!((seen.payload_length, seen.ip_length), (9005, 9045));
        // cut by a program that did not say so
        let seen = decode(&packet[..42], 42).unwrap().unwrap();
        assert_eq!((seen.payload, seen.payload_length), (&b"he"[..], 5));
        // and in IPv6
        let mut offload = v6(ip::TCP, &tcp(b"hello"));
        offload[4..6].fill(0);
        let seen = decode(&offload, 70_060).unwrap().unwrap();
        assert_eq!((seen.payload_length, seen.ip_length), (70_000, 70_060));
    }

    #[test]
    fn transport_headers_that_are_cut_or_lie_are_told_apart() {
        let packet = v4(ip::TCP, &tcp(&[]));
        assert_eq!(decode(&packet[..39], 40), Err(Undecoded::Truncated));
        assert_eq!(
            decode(&v4(ip::TCP, &tcp(&[])[..19]), 39),
            Err(Undecoded::BadTransport)
        );
        let mut long = packet.clone();
        long[32] = 0x60;
        assert_eq!(decode(&long, 40), Err(Undecoded::BadTransport));
        let mut datagram = v4(ip::UDP, &udp(1, 2, b"abc"));
        assert_eq!(decode(&datagram[..27], 31), Err(Undecoded::Truncated));
        datagram[25] = 12;
        assert_eq!(decode(&datagram, 31), Err(Undecoded::BadTransport));
        datagram[25] = 9;
        let seen = decode(&datagram, 31).unwrap().unwrap();
        assert_eq!((seen.payload, seen.payload_length), (&b"a"[..], 1));
    }

    #[test]
    fn options_cut_by_the_capture_give_what_is_there() {
        let mut segment = tcp(&[]);
        segment[12] = 0x80;
        segment.extend([2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 1, 0, 0]);
        let packet = v4(ip::TCP, &segment);
        let seen = decode(&packet[..47], 52).unwrap().unwrap();
        let Transport::Tcp(segment) = seen.transport else {
            panic!("not TCP");
        };
        assert_eq!(
            (segment.options().mss, segment.options().timestamps),
            (Some(1460), None)
        );
        assert_eq!((seen.payload, seen.payload_length), (&[][..], 0));
    }

    #[test]
    fn extension_headers_and_authentication_are_passed() {
        let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
        let destination = [ip::TCP, 0, 1, 4, 0, 0, 0, 0];
        let packet = v6(0, &joined(&[&hop_by_hop, &destination, &tcp(b"hello")]));
        assert_eq!(flow(101, &packet).payload, b"hello");
        // an atomic fragment is whole
        let packet = v6(
            44,
            &joined(&[&[ip::TCP, 0, 0, 0, 0, 0, 0, 1], &tcp(b"hello")]),
        );
        assert_eq!(flow(101, &packet).payload, b"hello");
        let header = [
            ip::TCP,
            4,
            0,
            0,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            1,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            9,
            10,
            11,
            12,
        ];
        let packet = v4(51, &joined(&[&header, &tcp(b"hello")]));
        assert_eq!(flow(101, &packet).payload, b"hello");
    }

    #[test]
    fn fragments_are_left_to_the_reader() {
        let packet = ethernet(0x0800, &v4_piece(ip::UDP, 9, 0x2000, &udp(1, 2, &[0; 16])));
        let seen = peel(LinkType(1), &packet, packet.len() as u32);
        assert_eq!(
            seen,
            Peel::Fragment {
                ip: 14,
                vlan: [0; 2]
            }
        );
        assert_eq!(decode(&packet[14..], 44), Err(Undecoded::Fragment));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(link in proptest::sample::select(&LINKS[..]), start in bytes(40), tail in bytes(200), wire: u32) {
            let bytes = joined(&[&start, &tail]);
            if let Peel::Flow(peeled) = peel(LinkType(link), &bytes, wire)
                && let Ok(Some(decoded)) = decode(&bytes[peeled.ip as usize..], wire.saturating_sub(peeled.ip))
            {
                prop_assert_eq!(flow_hash(&decoded.key), peeled.hash);
            }
        }

        #[test]
        fn no_damage_to_a_real_packet_makes_it_panic(
            kind in 0_usize..6, places in proptest::collection::vec((0_usize..80, any::<u8>()), 0..6), cut in 0_usize..120,
        ) {
            let inner = v4(ip::TCP, &tcp(b"hello"));
            let mut packet = match kind {
                0 => v4(ip::GRE, &joined(&[&[0, 0, 8, 0], &inner])),
                1 => v4(ip::UDP, &udp(1, 4789, &joined(&[&[8, 0, 0, 0, 0, 0, 0, 0], &ethernet(0x0800, &inner)]))),
                2 => v4(ip::UDP, &udp(2152, 2152, &joined(&[&[0x34, 255, 0, 53, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0], &inner]))),
                3 => v6(0, &joined(&[&[44, 0, 1, 4, 0, 0, 0, 0, ip::TCP, 0, 0, 0, 0, 0, 0, 1], &tcp(b"hello")])),
                4 => v4(ip::ICMP, &joined(&[&[3, 1, 0, 0, 0, 0, 0, 0], &inner])),
                _ => inner,
            };
            for (place, value) in places {
                if let Some(byte) = packet.get_mut(place) {
                    *byte = value;
                }
            }
            packet.truncate(cut);
            let wire = packet.len() as u32;
            match peel(LinkType(101), &packet, wire) {
                Peel::Flow(peeled) => {
                    if let Ok(decoded) = decode(&packet[peeled.ip as usize..], wire - peeled.ip) {
                        prop_assert_eq!(flow_hash(&decoded.unwrap().key), peeled.hash);
                    }
                }
                Peel::Fragment { ip, .. } => {
                    Fragments::default().feed(crate::types::Timestamp(0), crate::types::Frame::new(0, 1), &packet[ip as usize..], wire - ip);
                }
                Peel::NoFlow | Peel::Undecoded(_) => {}
            }
        }

        #[test]
        fn the_short_way_and_the_walk_agree(tags in 0_usize..3, six: bool, protocol in proptest::sample::select(&[6_u8, 17][..]), transport in bytes(60)) {
            let packet = if six { v6(protocol, &transport) } else { v4(protocol, &transport) };
            let kind = if six { [0x86, 0xdd] } else { [8, 0] };
            let mut frame = vec![0; 12];
            for tag in 0..tags {
                frame.extend([0x81, 0, 0x20, 5 + tag as u8]);
            }
            let plain = joined(&[&frame, &kind, &packet]);
            let wire = plain.len() as u32;
            let quick = peel(LinkType(1), &plain, wire);
            // the same frame as a pseudowire's goes the long way
            let walked = peel(LinkType(104), &joined(&[&[0x0f, 0, 0x65, 0x58], &plain]), wire + 4);
            match (quick, walked) {
                (Peel::Flow(a), Peel::Flow(b)) => prop_assert_eq!((a.ip + 4, a.hash, a.vlan), (b.ip, b.hash, b.vlan)),
                (a, b) => prop_assert_eq!(a, b),
            }
        }

        #[test]
        fn the_short_way_and_the_long_way_decode_alike(
            six: bool, transport in prop_oneof![
                bytes(60),
                (bytes(20), any::<bool>()).prop_map(|(rest, stamps)| {
                    let mut segment = tcp(&[]);
                    if stamps {
                        segment[12] = 0x80;
                        segment.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
                    }
                    segment.extend(rest);
                    segment
                }),
                bytes(20).prop_map(|rest| udp(5, 6, &rest)),
            ], protocol in proptest::sample::select(&[6_u8, 17, 1][..]), length: Option<u8>, cut in 0_usize..120, wire in 0_u32..200,
        ) {
            let mut packet = if six { v6(protocol, &transport) } else { v4(protocol, &transport) };
            if let Some(length) = length {
                packet[if six { 5 } else { 3 }] = length;
            }
            packet.truncate(cut);
            prop_assert_eq!(decode(&packet, wire), thorough(&packet, wire));
        }

        #[test]
        fn decode_reads_what_etherparse_reads(
            six: bool, is_tcp: bool, addresses: ([u8; 16], [u8; 16]), ports: (u16, u16), numbers: (u32, u32), window: u16, bits: u8, hops: u8,
            options in proptest::sample::select(&[0_usize, 4, 16, 20][..]), payload in bytes(100),
        ) {
            let (from, to) = addresses;
            let v4_of = |a: [u8; 16]| [a[0], a[1], a[2], a[3]];
            let builder = if six { PacketBuilder::ipv6(from, to, hops) } else { PacketBuilder::ipv4(v4_of(from), v4_of(to), hops) };
            let mut packet = Vec::new();
            if is_tcp {
                let mut header = etherparse::TcpHeader::new(ports.0, ports.1, numbers.0, window);
                header.acknowledgment_number = numbers.1;
                header.fin = bits & 1 != 0;
                header.syn = bits & 2 != 0;
                header.rst = bits & 4 != 0;
                header.psh = bits & 8 != 0;
                header.ack = bits & 16 != 0;
                header.urg = bits & 32 != 0;
                header.ece = bits & 64 != 0;
                header.cwr = bits & 128 != 0;
                let list = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7];
                header.set_options_raw(&list[..options]).unwrap();
                builder.tcp_header(header).write(&mut packet, &payload).unwrap();
            } else {
                builder.udp(ports.0, ports.1).write(&mut packet, &payload).unwrap();
            }
            let mine = decode(&packet, packet.len() as u32).unwrap().unwrap();
            let theirs = SlicedPacket::from_ip(&packet).unwrap();
            match theirs.net.unwrap() {
                NetSlice::Ipv4(slice) => {
                    let header = slice.header();
                    prop_assert_eq!(mine.key.a.address, Address::v4(header.source()));
                    prop_assert_eq!(mine.key.b.address, Address::v4(header.destination()));
                    prop_assert_eq!(mine.hop_limit, header.ttl());
                    prop_assert_eq!(mine.ip_id, Some(header.identification()));
                    prop_assert_eq!(mine.dont_fragment, header.dont_fragment());
                    prop_assert_eq!(mine.ip_length, u32::from(header.total_len()));
                }
                NetSlice::Ipv6(slice) => {
                    let header = slice.header();
                    prop_assert_eq!(mine.key.a.address, Address(header.source()));
                    prop_assert_eq!(mine.key.b.address, Address(header.destination()));
                    prop_assert_eq!(mine.hop_limit, header.hop_limit());
                    prop_assert_eq!(mine.flow_label, header.flow_label().value());
                    prop_assert_eq!(mine.traffic_class, header.traffic_class());
                    prop_assert_eq!(mine.ip_length, 40 + u32::from(header.payload_length()));
                }
                NetSlice::Arp(_) => panic!("ARP"),
            }
            match (theirs.transport.unwrap(), mine.transport) {
                (TransportSlice::Tcp(slice), Transport::Tcp(segment)) => {
                    prop_assert_eq!((mine.key.a.port, mine.key.b.port), (slice.source_port(), slice.destination_port()));
                    prop_assert_eq!((segment.seq.0, segment.ack.0), (slice.sequence_number(), slice.acknowledgment_number()));
                    prop_assert_eq!((segment.window, segment.flags), (slice.window_size(), bits));
                    prop_assert_eq!(mine.payload, slice.payload());
                    let mut expected = TcpOptions::default();
                    for option in slice.options_iterator() {
                        match option.unwrap() {
                            etherparse::TcpOptionElement::MaximumSegmentSize(mss) => expected.mss = Some(mss),
                            etherparse::TcpOptionElement::WindowScale(shift) => expected.window_scale = Some(shift),
                            etherparse::TcpOptionElement::SelectiveAcknowledgementPermitted => expected.sack_permitted = true,
                            etherparse::TcpOptionElement::Timestamp(value, echo) => expected.timestamps = Some((value, echo)),
                            _ => {}
                        }
                    }
                    expected.layout = segment.options().layout;
                    prop_assert_eq!(segment.options(), expected);
                }
                (TransportSlice::Udp(slice), Transport::Udp) => {
                    prop_assert_eq!((mine.key.a.port, mine.key.b.port), (slice.source_port(), slice.destination_port()));
                    prop_assert_eq!(mine.payload, slice.payload());
                }
                (theirs, mine) => panic!("{theirs:?} {mine:?}"),
            }
            prop_assert_eq!(mine.payload_length as usize, mine.payload.len());
        }
    }

    #[test]
    #[ignore = "a measurement: run it alone, in release mode, with --nocapture"]
    fn how_long_a_packet_takes() {
        const ROUNDS: usize = 300;
        // few enough to stay in the first cache: what is measured is the work, not the memory
        let packets: Vec<Vec<u8>> = (0_u16..200)
            .map(|number| {
                let mut segment = tcp(&[]);
                segment[0..2].copy_from_slice(&number.to_be_bytes());
                segment[12] = 0x80;
                segment.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
                segment.extend([0; 8]);
                ethernet(0x0800, &v4(ip::TCP, &segment))
            })
            .collect();
        assert_eq!(packets[0].len(), 74);
        // the fastest round is the one in which nobody else had the processor
        let time = |name: &str, work: &dyn Fn(&[u8])| {
            let round = || {
                #[expect(clippy::disallowed_methods, reason = "this test measures")]
                let start = std::time::Instant::now();
                for packet in &packets {
                    work(packet);
                }
                start.elapsed().as_nanos()
            };
            let best = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
            eprintln!(
                "{name}: {:.1} ns a packet",
                best as f64 / packets.len() as f64
            );
        };
        time("nothing", &|packet| {
            black_box(packet.len());
        });
        time("peel", &|packet| {
            black_box(&peel(LinkType(1), black_box(packet), 74));
        });
        time("decode", &|packet| {
            // by reference: `black_box` would copy what the worker does not
            let _ = black_box(&decode(&black_box(packet)[14..], 60));
        });
        time("etherparse", &|packet| {
            let _ = black_box(etherparse::LaxSlicedPacket::from_ethernet(black_box(
                packet,
            )));
        });
    }
}
