use etherparse::{Icmpv4Slice, Icmpv6Slice};

use super::IcmpError;
use super::ip::{self, Ip};
use crate::types::{Endpoint, FlowKey, Protocol, Seq};

/// Bytes of the quoted transport header that must be there: all that RFC 792 promises.
const QUOTED: usize = 8;

/// Reads an ICMP or ICMPv6 error that quotes a TCP or UDP packet, and the flow it quotes; none for all other messages.
pub(super) fn error(ip: &Ip<'_>) -> Option<(FlowKey, IcmpError)> {
    let (kind, code, [a, b, c, d], quote) = if ip.protocol == ip::ICMP {
        let m = Icmpv4Slice::from_slice(ip.payload).ok()?;
        (m.type_u8(), m.code_u8(), m.bytes5to8(), m.payload())
    } else {
        let m = Icmpv6Slice::from_slice(ip.payload).ok()?;
        (m.type_u8(), m.code_u8(), m.bytes5to8(), m.payload())
    };
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

#[cfg(test)]
mod tests {
    use super::super::support::{ethernet, tcp, udp, v4, v6};
    use super::super::{Decoded, Peel, Transport, decode, flow_hash, peel};
    use super::*;
    use crate::capture::LinkType;
    use crate::types::Address;

    /// An ICMP error from `sender` to 10.0.0.1.
    fn message(sender: [u8; 4], start: [u8; 8], quote: &[u8]) -> Vec<u8> {
        let mut packet = v4(ip::ICMP, &[&start, quote].concat());
        packet[12..16].copy_from_slice(&sender);
        packet[16..20].copy_from_slice(&[10, 0, 0, 1]);
        packet
    }

    fn read(packet: &[u8]) -> (Decoded<'_>, IcmpError) {
        let decoded = decode(packet, packet.len() as u32).unwrap().unwrap();
        let Transport::Icmp(error) = decoded.transport else {
            panic!("no error");
        };
        (decoded, error)
    }

    #[test]
    fn an_error_belongs_to_the_flow_it_quotes_and_says_who_sent_it() {
        let quote = v4(ip::TCP, &tcp(&[]));
        let packet = message([203, 0, 113, 1], [11, 0, 0, 0, 0, 0, 0, 0], &quote[..28]);
        let (decoded, error) = read(&packet);
        assert_eq!(decoded.key, decode(&quote, 40).unwrap().unwrap().key);
        assert_eq!(
            (error.kind, error.from_peer, error.quoted_seq),
            (11, false, Seq(1))
        );
        assert_eq!((decoded.payload, decoded.payload_length), (&[][..], 0));
        let Peel::Flow(peeled) = peel(LinkType(1), &ethernet(0x0800, &packet), 70) else {
            panic!("no flow");
        };
        assert_eq!(peeled.hash, flow_hash(&decoded.key));
        let packet = message([192, 0, 2, 2], [3, 3, 0, 0, 0, 0, 0, 0], &quote[..28]);
        assert!(read(&packet).1.from_peer);
    }

    #[test]
    fn the_mtu_of_the_narrow_hop_is_told() {
        let quote = v4(ip::UDP, &udp(5, 6, &[0; 8]));
        let packet = message([203, 0, 113, 1], [3, 4, 0, 0, 0, 0, 5, 0x14], &quote);
        assert_eq!(read(&packet).1.mtu, 1300);
        let quote = v6(ip::UDP, &udp(5, 6, &[0; 8]));
        let packet = v6(
            ip::ICMP_V6,
            &[&[2, 0, 0, 0, 0, 0, 5, 0][..], &quote].concat(),
        );
        let (decoded, error) = read(&packet);
        assert_eq!((error.mtu, error.v6), (1280, true));
        assert_eq!(
            decoded.key.b.address,
            Address([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
        );
    }

    #[test]
    fn redirects_echoes_and_quotes_without_ports_are_of_no_flow() {
        let quote = v4(ip::TCP, &tcp(&[]));
        for (start, quote) in [
            ([5, 1, 0, 0, 10, 0, 0, 9], &quote[..28]),
            ([8, 0, 0, 0, 0, 1, 0, 1], &quote[..28]),
            ([3, 1, 0, 0, 0, 0, 0, 0], &quote[..27]),
            ([3, 1, 0, 0, 0, 0, 0, 0], &quote[..12]),
        ] {
            let packet = message([203, 0, 113, 1], start, quote);
            assert_eq!(decode(&packet, packet.len() as u32), Ok(None));
        }
    }
}
