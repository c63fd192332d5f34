use super::IcmpError;
use super::ip::{self, Ip};
use crate::types::{Endpoint, FlowKey, Protocol, Seq};

/// Bytes of the quoted transport header that must be there: all that RFC 792 promises.
const QUOTED: usize = 8;

/// Reads an ICMP or ICMPv6 error that quotes a TCP or UDP packet, and the flow it quotes; none for all other messages.
pub(super) fn error(ip: &Ip<'_>) -> Option<(FlowKey, IcmpError)> {
    let (&[kind, code, _, _, a, b, c, d], quote) = ip.payload.split_first_chunk::<8>()?;
    let mtu = match (ip.protocol, kind, code) {
        // RFC 792: unreachable (RFC 1191: code 4 carries the MTU), time exceeded, parameter problem. A redirect (5) says nothing of a loss.
        (ip::ICMP, 3, 4) => u32::from(u16::from_be_bytes([c, d])),
        // RFC 4443: packet too big; unreachable, time exceeded, parameter problem
        (ip::ICMP_V6, 2, _) => u32::from_be_bytes([a, b, c, d]),
        (ip::ICMP, 3 | 11 | 12, _) | (ip::ICMP_V6, 1 | 3 | 4, _) => 0,
        _ => return None,
    };
    // a quote is cut by nature; its own length is the only one it has
    let quoted = ip::parse(quote, 0).ok()?;
    if quoted.piece.is_some_and(|piece| piece.offset > 0) || quoted.payload.len() < QUOTED {
        return None;
    }
    let protocol = match quoted.protocol {
        ip::TCP => Protocol::Tcp,
        ip::UDP => Protocol::Udp,
        _ => return None,
    };
    let &[e, f, g, h, i, j, k, l] = quoted.payload.first_chunk::<QUOTED>()?;
    let quoted_seq = match protocol {
        Protocol::Tcp => Seq(u32::from_be_bytes([i, j, k, l])),
        Protocol::Udp => Seq(0),
    };
    Some((
        FlowKey {
            a: Endpoint {
                address: quoted.source,
                port: u16::from_be_bytes([e, f]),
            },
            b: Endpoint {
                address: quoted.destination,
                port: u16::from_be_bytes([g, h]),
            },
            protocol,
        },
        IcmpError {
            kind,
            code,
            v6: ip.protocol == ip::ICMP_V6,
            from_peer: ip.source == quoted.destination,
            mtu,
            quoted_seq,
        },
    ))
}
