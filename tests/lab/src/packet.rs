//! IP packets as the path sees them: read where needed, changed in place, forged from nothing.
//!
//! Only what the lab's own kernels send is understood: IPv4 without options or IPv6 without extension headers, TCP, UDP and ICMP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// What a packet says, in the words the rules use.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub source: IpAddr,
    pub target: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub target_port: u16,
    pub hop_limit: u8,
    pub ip_id: Option<u16>,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    /// Where the transport payload begins.
    pub payload_at: usize,
    pub transport_at: usize,
    pub length: usize,
}

impl View {
    pub fn payload(&self) -> usize {
        self.length - self.payload_at
    }
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([b[at], b[at + 1]])
}
fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Reads an IP packet; `None` for anything the lab does not send on purpose.
pub fn view(b: &[u8]) -> Option<View> {
    let (source, target, protocol, hop_limit, ip_id, at, end) = match b.first()? >> 4 {
        4 if b.len() >= 20 => {
            let at = usize::from(b[0] & 15) * 4;
            let end = usize::from(u16_at(b, 2)).min(b.len());
            let four = |i: usize| IpAddr::V4(Ipv4Addr::new(b[i], b[i + 1], b[i + 2], b[i + 3]));
            (four(12), four(16), b[9], b[8], Some(u16_at(b, 4)), at, end)
        }
        6 if b.len() >= 40 => {
            let six = |i: usize| {
                let mut a = [0; 16];
                a.copy_from_slice(&b[i..i + 16]);
                IpAddr::V6(Ipv6Addr::from(a))
            };
            (
                six(8),
                six(24),
                b[6],
                b[7],
                None,
                40,
                (40 + usize::from(u16_at(b, 4))).min(b.len()),
            )
        }
        _ => return None,
    };
    let mut v = View {
        source,
        target,
        protocol,
        source_port: 0,
        target_port: 0,
        hop_limit,
        ip_id,
        seq: 0,
        ack: 0,
        flags: 0,
        window: 0,
        payload_at: at,
        transport_at: at,
        length: end,
    };
    match protocol {
        TCP if end >= at + 20 => {
            v.source_port = u16_at(b, at);
            v.target_port = u16_at(b, at + 2);
            v.seq = u32_at(b, at + 4);
            v.ack = u32_at(b, at + 8);
            v.payload_at = (at + usize::from(b[at + 12] >> 4) * 4).min(end);
            v.flags = b[at + 13];
            v.window = u16_at(b, at + 14);
        }
        UDP if end >= at + 8 => {
            v.source_port = u16_at(b, at);
            v.target_port = u16_at(b, at + 2);
            v.payload_at = at + 8;
        }
        _ => return None,
    }
    Some(v)
}

/// Source and target of any IP packet the lab carries.
pub fn addresses(b: &[u8]) -> (IpAddr, IpAddr) {
    let six = |i: usize| {
        <[u8; 16]>::try_from(&b[i..i + 16]).map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |a| {
            IpAddr::V6(Ipv6Addr::from(a))
        })
    };
    match b.first().map(|f| f >> 4) {
        Some(4) if b.len() >= 20 => (
            IpAddr::from([b[12], b[13], b[14], b[15]]),
            IpAddr::from([b[16], b[17], b[18], b[19]]),
        ),
        Some(6) if b.len() >= 40 => (six(8), six(24)),
        _ => (
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ),
    }
}

/// Whether this is an ICMP or ICMPv6 error (RFC 792, RFC 4443), which must pass as it would anywhere.
pub fn is_icmp_error(b: &[u8]) -> bool {
    match b {
        [first, ..] if first >> 4 == 4 && b.len() > 20 => b[9] == 1 && matches!(b[20], 3 | 11 | 12),
        [first, ..] if first >> 4 == 6 && b.len() > 40 => b[6] == 58 && matches!(b[40], 1..=4),
        _ => false,
    }
}

/// An ICMP error of a router about a packet: type and code of either IP version, and the MTU it tells where there is one (RFC 792, RFC 1191, RFC 4443).
pub fn icmp_error(about: &[u8], four: (u8, u8), six: (u8, u8), mtu: u32) -> Vec<u8> {
    let (to, _) = addresses(about);
    let quoted = &about[..about.len().min(if to.is_ipv4() { 68 } else { 576 })];
    let (kind, code) = if to.is_ipv4() { four } else { six };
    let mut body = vec![kind, code, 0, 0];
    body.extend_from_slice(&mtu.to_be_bytes());
    body.extend_from_slice(quoted);
    let mut b = Vec::new();
    match to {
        IpAddr::V4(to) => {
            b.extend_from_slice(&[0x45, 0xc0]);
            b.extend_from_slice(&((20 + body.len()) as u16).to_be_bytes());
            b.extend_from_slice(&[0, 0, 0, 0, 64, 1, 0, 0, 100, 64, 9, 1]);
            b.extend_from_slice(&to.octets());
            let header = fold(sum(&b, 0));
            b[10..12].copy_from_slice(&header.to_be_bytes());
            let check = fold(sum(&body, 0));
            body[2..4].copy_from_slice(&check.to_be_bytes());
        }
        IpAddr::V6(to) => {
            b.extend_from_slice(&[0x60, 0, 0, 0]);
            b.extend_from_slice(&(body.len() as u16).to_be_bytes());
            b.extend_from_slice(&[58, 64]);
            let router = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
            b.extend_from_slice(&router.octets());
            b.extend_from_slice(&to.octets());
            let pseudo = sum(&b[8..40], 58 + body.len() as u32);
            let check = fold(sum(&body, pseudo));
            body[2..4].copy_from_slice(&check.to_be_bytes());
        }
    }
    b.extend_from_slice(&body);
    b
}

fn sum(bytes: &[u8], mut total: u32) -> u32 {
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&x| u32::from(x));
    }
    total
}
fn fold(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// Writes both checksums afresh.
pub fn seal(b: &mut [u8]) {
    let Some(v) = view(b) else { return };
    let pseudo = if v.ip_id.is_some() {
        b[10..12].fill(0);
        let header = fold(sum(&b[..v.transport_at], 0));
        b[10..12].copy_from_slice(&header.to_be_bytes());
        sum(&b[12..20], 0)
    } else {
        sum(&b[8..40], 0)
    };
    let pseudo = pseudo + u32::from(v.protocol) + (v.length - v.transport_at) as u32;
    let at = v.transport_at + if v.protocol == TCP { 16 } else { 6 };
    b[at..at + 2].fill(0);
    let mut check = fold(sum(&b[v.transport_at..v.length], pseudo));
    if v.protocol == UDP && check == 0 {
        check = 0xffff;
    }
    b[at..at + 2].copy_from_slice(&check.to_be_bytes());
}

/// Takes `hops` off the hop limit; false when the packet does not live that long.
pub fn age(b: &mut [u8], hops: u8) -> bool {
    let at = if b[0] >> 4 == 4 { 8 } else { 7 };
    if b[at] <= hops {
        return false;
    }
    b[at] -= hops;
    if at == 8 {
        b[10..12].fill(0);
        let n = usize::from(b[0] & 15) * 4;
        let header = fold(sum(&b[..n], 0));
        b[10..12].copy_from_slice(&header.to_be_bytes());
    }
    true
}

/// Gives the packet another source or target port (what a NAT does).
pub fn set_port(b: &mut [u8], source: bool, port: u16) {
    let Some(v) = view(b) else { return };
    let at = v.transport_at + if source { 0 } else { 2 };
    b[at..at + 2].copy_from_slice(&port.to_be_bytes());
    seal(b);
}

/// Fields of a TCP segment to be made up.
pub struct Segment {
    pub source: (IpAddr, u16),
    pub target: (IpAddr, u16),
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub hop_limit: u8,
    pub ip_id: u16,
    pub dont_fragment: bool,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

pub fn forge(s: &Segment) -> Vec<u8> {
    let options = s.options.len().next_multiple_of(4);
    let tcp = 20 + options + s.payload.len();
    let mut b = Vec::with_capacity(60 + tcp);
    match (s.source.0, s.target.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            b.extend_from_slice(&[0x45, 0]);
            b.extend_from_slice(&((20 + tcp) as u16).to_be_bytes());
            b.extend_from_slice(&s.ip_id.to_be_bytes());
            b.extend_from_slice(&[
                if s.dont_fragment { 0x40 } else { 0 },
                0,
                s.hop_limit,
                TCP,
                0,
                0,
            ]);
            b.extend_from_slice(&from.octets());
            b.extend_from_slice(&to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            b.extend_from_slice(&[0x60, 0, 0, 0]);
            b.extend_from_slice(&(tcp as u16).to_be_bytes());
            b.extend_from_slice(&[TCP, s.hop_limit]);
            b.extend_from_slice(&from.octets());
            b.extend_from_slice(&to.octets());
        }
        _ => return b,
    }
    b.extend_from_slice(&s.source.1.to_be_bytes());
    b.extend_from_slice(&s.target.1.to_be_bytes());
    b.extend_from_slice(&s.seq.to_be_bytes());
    b.extend_from_slice(&s.ack.to_be_bytes());
    b.push((((20 + options) / 4) << 4) as u8);
    b.push(s.flags);
    b.extend_from_slice(&s.window.to_be_bytes());
    b.extend_from_slice(&[0, 0, 0, 0]);
    b.extend_from_slice(&s.options);
    b.resize(b.len() + options - s.options.len(), 1);
    b.extend_from_slice(&s.payload);
    seal(&mut b);
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        forge(&Segment {
            source: ("10.0.0.1".parse().unwrap(), 4000),
            target: ("31.13.84.5".parse().unwrap(), 443),
            seq: 7,
            ack: 9,
            flags: RST | ACK,
            window: 100,
            hop_limit: 64,
            ip_id: 3,
            dont_fragment: true,
            options: vec![],
            payload: vec![],
        })
    }

    #[test]
    fn a_forged_segment_reads_back() {
        let v = view(&sample()).unwrap();
        assert_eq!(
            (v.seq, v.ack, v.flags, v.hop_limit, v.ip_id, v.payload()),
            (7, 9, RST | ACK, 64, Some(3), 0)
        );
    }

    #[test]
    fn ageing_keeps_the_header_checksum_right_and_kills_what_is_too_old() {
        let mut b = sample();
        assert!(age(&mut b, 9));
        assert_eq!(view(&b).unwrap().hop_limit, 55);
        assert_eq!(fold(sum(&b[..20], 0)), 0);
        assert!(!age(&mut b, 55));
    }
}
