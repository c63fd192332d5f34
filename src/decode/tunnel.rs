use super::Undecoded;
use super::ip::{self, Ip};
use super::peel::{Peel, Walk};

// UDP ports (IANA) under which tunnels run.
const L2TP: u16 = 1701;
const GTP_U: u16 = 2152;
const TEREDO: u16 = 3544;
const LISP: u16 = 4341;
const VXLAN: u16 = 4789;
const VXLAN_GPE: u16 = 4790;
/// RFC 8086.
const GRE_IN_UDP: u16 = 4754;
const AYIYA: u16 = 5072;
const GENEVE: u16 = 6081;
const MPLS_IN_UDP: u16 = 6635;
/// Linux's number for VXLAN from before the assignment.
const VXLAN_LINUX: u16 = 8472;

/// Whether a datagram between these ports may be a tunnel's.
#[inline]
pub(super) const fn may_be([from, to]: [u16; 2]) -> bool {
    is_tunnel(from) || is_tunnel(to)
}

#[inline]
const fn is_tunnel(port: u16) -> bool {
    // one comparison for most ports
    port <= VXLAN_LINUX
        && matches!(
            port,
            L2TP | GTP_U
                | TEREDO
                | LISP
                | GRE_IN_UDP
                | AYIYA
                | VXLAN
                | VXLAN_GPE
                | GENEVE
                | MPLS_IN_UDP
                | VXLAN_LINUX
        )
}

/// What a datagram that is no tunnel gives; the caller then takes the datagram for what it is.
const NO_TUNNEL: Peel = Peel::NoFlow;

impl Walk<'_> {
    /// The payload at `at` of an IP packet that is neither TCP, UDP nor ICMP.
    pub(super) fn in_ip(&mut self, protocol: u8, at: usize) -> Result<Peel, Peel> {
        match protocol {
            ip::IP_IN_IP | ip::IPV6_IN_IP => self.ip(at),
            ip::GRE => self.gre(at),
            // EtherIP (RFC 3378): version 3 in two bytes
            ip::ETHER_IP => self.ethernet(at + 2),
            ip::MPLS_IN_IP => self.mpls(at),
            _ => Ok(Peel::NoFlow),
        }
    }

    /// GRE (RFC 2784, 2890), PPTP's kind of it (RFC 2637), and what runs on it.
    fn gre(&mut self, at: usize) -> Result<Peel, Peel> {
        /// Where a flag adds four bytes.
        const CHECKSUM: u16 = 0x8000;
        const ROUTING: u16 = 0x4000;
        const KEY: u16 = 0x2000;
        const SEQUENCE: u16 = 0x1000;
        const ACKNOWLEDGEMENT: u16 = 0x0080;
        self.deeper()?;
        let [a, b, c, d] = self.take::<4>(at)?;
        let (flags, kind) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let mut words = 1;
        match flags & 7 {
            // source routes were taken out with RFC 2784; nobody sends them
            0 if flags & ROUTING != 0 => return Ok(Peel::NoFlow),
            0 => {
                for flag in [CHECKSUM, KEY, SEQUENCE] {
                    words += usize::from(flags & flag != 0);
                }
            }
            1 => {
                for flag in [KEY, SEQUENCE, ACKNOWLEDGEMENT] {
                    words += usize::from(flags & flag != 0);
                }
                // without a sequence number it carries nothing but an acknowledgement
                if flags & SEQUENCE == 0 {
                    return Ok(Peel::NoFlow);
                }
            }
            _ => return Ok(Peel::NoFlow),
        }
        let at = at + 4 * words;
        match kind {
            // ERSPAN: type I has no header of its own, type II eight bytes (draft-foschiano-erspan)
            0x88be if flags & SEQUENCE == 0 => self.ethernet(at),
            0x88be => self.ethernet(at + 8),
            // type III: twelve, and eight more where the last bit says so
            0x22eb => {
                let header = self.take::<12>(at)?;
                self.ethernet(at + if header[11] & 1 == 1 { 20 } else { 12 })
            }
            // WCCP: version 2 puts a redirect header of four bytes before the packet
            0x883e => match self.from(at).first().map(|first| first >> 4) {
                Some(4) => self.ip(at),
                _ => self.ip(at + 4),
            },
            kind => self.ether_type(kind, at),
        }
    }

    /// The payload at `at` of the datagram `ip`, where its ports are a tunnel's. A port is only a hint, so a tunnel must also look like one:
    /// every `Err` means that this one does not.
    pub(super) fn in_udp(&mut self, ip: &Ip<'_>, at: usize) -> Result<Peel, Peel> {
        let at = at + 8;
        match ip::ports(ip.payload) {
            Some(ports) if may_be(ports) => {
                let tunnel = |port| ports.contains(&port);
                let most = ip.payload_length.saturating_sub(8) as usize;
                if tunnel(VXLAN) || tunnel(VXLAN_GPE) || tunnel(VXLAN_LINUX) {
                    self.vxlan(at)
                } else if tunnel(GTP_U) {
                    self.gtp(at, most)
                } else if tunnel(GENEVE) {
                    self.geneve(at)
                } else if tunnel(L2TP) {
                    self.l2tp(at)
                } else if tunnel(TEREDO) {
                    self.teredo(at, most)
                } else if tunnel(LISP) {
                    self.fitting_ip(at + 8, most.saturating_sub(8))
                } else if tunnel(AYIYA) {
                    self.ayiya(at, most)
                } else if tunnel(GRE_IN_UDP) {
                    self.gre(at)
                } else {
                    self.mpls(at)
                }
            }
            _ => Err(NO_TUNNEL),
        }
    }

    /// An IP packet that fills at most the `most` bytes its carrier has for it.
    fn fitting_ip(&mut self, at: usize, most: usize) -> Result<Peel, Peel> {
        let ip = ip::parse(self.from(at), most as u32).map_err(Peel::Undecoded)?;
        if ip.length as usize > most {
            return Err(NO_TUNNEL);
        }
        self.ip(at)
    }

    /// VXLAN (RFC 7348, section 5), and VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe, section 3) that names what it carries. Of the other bits only
    /// the one that every QUIC packet has (RFC 9000, section 17) must not be set: senders put things there.
    fn vxlan(&mut self, at: usize) -> Result<Peel, Peel> {
        const NETWORK: u8 = 0x08;
        const NEXT_PROTOCOL: u8 = 0x04;
        const QUIC: u8 = 0x40;
        let [flags, _, _, next, _, _, _, _] = self.take::<8>(at)?;
        match (flags & (NETWORK | NEXT_PROTOCOL | QUIC), next) {
            (NETWORK, _) | (0x0c, 3) => self.ethernet(at + 8),
            (0x0c, 1 | 2) => self.ip(at + 8),
            _ => Err(NO_TUNNEL),
        }
    }

    /// Geneve (RFC 8926, section 3.4): version 0, option length in words, reserved bits, EtherType, network, reserved byte.
    fn geneve(&mut self, at: usize) -> Result<Peel, Peel> {
        let [first, second, a, b, _, _, _, last] = self.take::<8>(at)?;
        if first & 0xc0 != 0 || second & 0x3f != 0 || last != 0 {
            return Err(NO_TUNNEL);
        }
        let options = usize::from(first & 0x3f) * 4;
        self.ether_type(u16::from_be_bytes([a, b]), at + 8 + options)
    }

    /// GTP-U version 1 (3GPP TS 29.281, section 5): a G-PDU, with extension headers.
    fn gtp(&mut self, at: usize, most: usize) -> Result<Peel, Peel> {
        const G_PDU: u8 = 255;
        let [flags, kind, _, _, _, _, _, _] = self.take::<8>(at)?;
        // version 1, and GTP rather than GTP'
        if flags & 0xf0 != 0x30 || kind != G_PDU {
            return Err(NO_TUNNEL);
        }
        let mut header = 8;
        if flags & 0x07 != 0 {
            // sequence number, N-PDU number and the type of the first extension come together
            header += 4;
            let mut next = self.take::<4>(at + 8)?[3];
            while flags & 0x04 != 0 && next != 0 {
                self.deeper()?;
                let [words] = self.take::<1>(at + header)?;
                if words == 0 {
                    return Err(Peel::Undecoded(Undecoded::BadTransport));
                }
                header += usize::from(words) * 4;
                [next] = self.take::<1>(at + header - 1)?;
            }
        }
        self.fitting_ip(at + header, most.saturating_sub(header))
    }

    /// L2TP version 2 (RFC 2661, section 3.1): a data message.
    fn l2tp(&mut self, at: usize) -> Result<Peel, Peel> {
        const CONTROL: u16 = 0x8000;
        const LENGTH: u16 = 0x4000;
        const SEQUENCE: u16 = 0x0800;
        const OFFSET: u16 = 0x0200;
        const RESERVED: u16 = 0x34f0;
        let [a, b] = self.take::<2>(at)?;
        let flags = u16::from_be_bytes([a, b]);
        if flags & (CONTROL | RESERVED) != 0 || flags & 0x0f != 2 {
            return Err(NO_TUNNEL);
        }
        let mut at = at + 6;
        if flags & LENGTH != 0 {
            at += 2;
        }
        if flags & SEQUENCE != 0 {
            at += 4;
        }
        if flags & OFFSET != 0 {
            let [a, b] = self.take::<2>(at)?;
            at += 2 + usize::from(u16::from_be_bytes([a, b]));
        }
        self.ppp(at)
    }

    /// AYIYA (draft-massar-v6ops-ayiya, section 3): identity of 2^n bytes, signature in words, operation 1 "forward".
    fn ayiya(&mut self, at: usize, most: usize) -> Result<Peel, Peel> {
        let [identity, signature, operation, next, _, _, _, _] = self.take::<8>(at)?;
        let header = 8 + (1 << (identity >> 4)) + 4 * usize::from(signature >> 4);
        match (operation & 0x0f, next) {
            (1, ip::IP_IN_IP | ip::IPV6_IN_IP) => {
                self.fitting_ip(at + header, most.saturating_sub(header))
            }
            _ => Err(NO_TUNNEL),
        }
    }

    /// Teredo (RFC 4380, section 5.1.1): authentication and origin before the IPv6 packet, both optional.
    fn teredo(&mut self, mut at: usize, mut most: usize) -> Result<Peel, Peel> {
        if let [0, 1, client, value, ..] = *self.from(at) {
            let taken = 13 + usize::from(client) + usize::from(value);
            at += taken;
            most = most.saturating_sub(taken);
        }
        if let [0, 0, ..] = *self.from(at) {
            at += 8;
            most = most.saturating_sub(8);
        }
        match self.from(at).first().map(|first| first >> 4) {
            Some(6) => self.fitting_ip(at, most),
            _ => Err(NO_TUNNEL),
        }
    }
}
