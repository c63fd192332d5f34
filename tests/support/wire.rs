//! Bytes of packets: Ethernet, VLAN tags, IPv4 and IPv6, TCP, UDP, with the checksums that a card would have written.

use std::net::IpAddr;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// The layers around a transport segment.
#[derive(Clone, Copy)]
pub(crate) struct Envelope {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) ip_id: u16,
    pub(crate) vlan: Option<u16>,
    /// The frame leaves the client's card; else it comes from the router's.
    pub(crate) outward: bool,
}

/// A TCP header (RFC 9293, section 3.1); options come ready made and padded.
pub(crate) struct TcpHeader<'a> {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: &'a [u8],
}

/// One TCP segment in its frame.
pub(crate) fn tcp(envelope: &Envelope, header: &TcpHeader<'_>, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(header.from.to_be_bytes());
    segment.extend(header.to.to_be_bytes());
    segment.extend(header.seq.to_be_bytes());
    segment.extend(header.ack.to_be_bytes());
    let words = 5 + header.options.len() / 4;
    segment.extend([(words as u8) << 4, header.flags]);
    segment.extend(header.window.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(header.options);
    segment.extend(payload);
    finish(envelope, 6, segment, 16)
}

/// One UDP datagram in its frame.
pub(crate) fn udp(envelope: &Envelope, from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend(payload);
    finish(envelope, 17, datagram, 6)
}

/// Writes the transport's checksum at `place` (over the pseudo-header of RFC 9293 section 3.1, RFC 8200 section 8.1) and puts IP and Ethernet around.
fn finish(envelope: &Envelope, protocol: u8, mut transport: Vec<u8>, place: usize) -> Vec<u8> {
    let mut pseudo = Vec::new();
    for address in [envelope.from, envelope.to] {
        match address {
            IpAddr::V4(address) => pseudo.extend(address.octets()),
            IpAddr::V6(address) => pseudo.extend(address.octets()),
        }
    }
    pseudo.extend((transport.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    let sum = checksum(pseudo.iter().chain(&transport));
    transport[place..place + 2].copy_from_slice(&sum.to_be_bytes());

    let (client, router) = ([2, 0, 0, 0, 0, 0x0a], [2, 0, 0, 0, 0, 1]);
    let (to, from) = if envelope.outward {
        (router, client)
    } else {
        (client, router)
    };
    let mut frame = [to, from].concat();
    if let Some(vlan) = envelope.vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    match (envelope.from, envelope.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + transport.len() as u16).to_be_bytes());
            header.extend(envelope.ip_id.to_be_bytes());
            header.extend([0x40, 0, envelope.hop_limit, protocol, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(header.iter());
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend([0x08, 0x00]);
            frame.extend(header);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((transport.len() as u16).to_be_bytes());
            frame.extend([protocol, envelope.hop_limit]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        _ => panic!("both ends speak one version of IP"),
    }
    frame.extend(transport);
    frame
}

/// The Internet checksum (RFC 1071).
fn checksum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u16 {
    let mut sum = 0_u32;
    for (place, byte) in bytes.enumerate() {
        sum += u32::from(*byte) << (8 * (1 - place % 2));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
