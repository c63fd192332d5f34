use etherparse::SingleVlanHeaderSlice;

use super::Undecoded;
use super::peel::{Peel, Walk};
use crate::capture::LinkType;

/// `LINKTYPE_ETHERNET`.
pub(super) const ETHERNET: LinkType = LinkType::ETHERNET;

impl Walk<'_> {
    /// A record of link type `link` (tcpdump.org, "Link-layer header types"; the DLT numbers that differ are read too).
    #[cold]
    pub(super) fn link(mut self, link: LinkType) -> Peel {
        if self.bytes.is_empty() {
            return Peel::Undecoded(Undecoded::Empty);
        }
        self.link_at(link, 0).unwrap_or_else(|stop| stop)
    }

    fn link_at(&mut self, link: LinkType, at: usize) -> Result<Peel, Peel> {
        match link.0 {
            // NULL, LOOP: the host's or the network's byte order
            0 | 108 => self.address_family(at),
            1 => self.ethernet(at),
            // PPP, PPP_HDLC
            9 | 50 => self.ppp(at),
            // PPP_ETHER
            51 => self.pppoe(at),
            // RAW under its three numbers, IPV4, IPV6
            12 | 14 | 101 | 228 | 229 => self.ip(at),
            104 => self.cisco_hdlc(at),
            105 => self.wlan(at, false),
            107 => self.frame_relay(at),
            113 => self.sll(at),
            // IEEE802_11_PRISM: a header of 144 bytes, or an AVS header that carries its own length
            119 | 163 => {
                let [magic @ .., a, b, c, d] = self.take::<8>(at)?;
                let length = match magic {
                    [0x80, 0x21, 0x10, _] => u32::from_be_bytes([a, b, c, d]) as usize,
                    _ => 144,
                };
                self.wlan(at + length.min(self.bytes.len()), false)
            }
            127 => self.radiotap(at),
            // PPI: version, flags, length, and the link type of what follows, all little-endian
            192 => {
                let [_, _, a, b, c, d, _, _] = self.take::<8>(at)?;
                self.inside(
                    LinkType(u16::from_le_bytes([c, d])),
                    at + usize::from(u16::from_le_bytes([a, b])),
                )
            }
            // PPP_WITH_DIR: a byte that tells the direction
            204 => self.ppp(at + 1),
            239 => self.nflog(at),
            // PKTAP: header length, next type, link type, all little-endian
            258 => {
                let [a, b, _, _, _, _, _, _, c, d, _, _] = self.take::<12>(at)?;
                self.inside(
                    LinkType(u16::from_le_bytes([c, d])),
                    at + usize::from(u16::from_le_bytes([a, b])),
                )
            }
            // IPOIB: two addresses of 20 bytes, EtherType, two reserved bytes (RFC 4391, section 6)
            242 => {
                let [a, b] = self.take::<2>(at + 40)?;
                self.ether_type(u16::from_be_bytes([a, b]), at + 44)
            }
            276 => {
                let [a, b, _, _, _, _, _, _, c, d] = self.take::<10>(at)?;
                self.sll_protocol(
                    u16::from_be_bytes([a, b]),
                    u16::from_be_bytes([c, d]),
                    at + 20,
                )
            }
            _ => Err(Peel::Undecoded(Undecoded::LinkType)),
        }
    }

    /// A record in a record, as capture headers announce it.
    fn inside(&mut self, link: LinkType, at: usize) -> Result<Peel, Peel> {
        self.deeper()?;
        self.link_at(link, at)
    }

    /// An Ethernet frame: DIX or 802.3.
    pub(super) fn ethernet(&mut self, at: usize) -> Result<Peel, Peel> {
        self.deeper()?;
        let [a, b] = self.take::<2>(at + 12)?;
        match u16::from_be_bytes([a, b]) {
            // IEEE 802.3, clause 3.2.6: up to 1500 is a length, from 1536 on a type
            0..1536 => self.llc(at + 14),
            kind => self.ether_type(kind, at + 14),
        }
    }

    /// What an EtherType announces (IEEE RA, "EtherType" list).
    pub(super) fn ether_type(&mut self, mut kind: u16, mut at: usize) -> Result<Peel, Peel> {
        loop {
            self.deeper()?;
            match kind {
                0x0800 | 0x86dd => return self.ip(at),
                // 802.1Q, 802.1ad, and the tags from before the standard
                0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                    let tag = SingleVlanHeaderSlice::from_slice(self.from(at))
                        .map_err(|_| Peel::Undecoded(Undecoded::Truncated))?;
                    self.tag(tag.vlan_identifier().value());
                    kind = tag.ether_type().0;
                    at += tag.slice().len();
                    if kind < 1536 {
                        return self.llc(at);
                    }
                }
                // Cisco VN-Tag
                0x8926 => {
                    let [_, _, _, _, a, b] = self.take::<6>(at)?;
                    kind = u16::from_be_bytes([a, b]);
                    at += 6;
                }
                0x8847 | 0x8848 => return self.mpls(at),
                0x8864 => return self.pppoe(at),
                0x880b => return self.ppp(at),
                0x6558 => return self.ethernet(at),
                // network service header (RFC 8300): length in words, then what follows: 1 IPv4, 2 IPv6, 3 Ethernet, 5 MPLS
                0x894f => {
                    let [_, length, _, next] = self.take::<4>(at)?;
                    let inner = at + usize::from(length & 0x3f) * 4;
                    return match next {
                        1 | 2 => self.ip(inner),
                        3 => self.ethernet(inner),
                        5 => self.mpls(inner),
                        _ => Ok(Peel::NoFlow),
                    };
                }
                // 802.1ah: service tag of 4 bytes, then the customer's frame
                0x88e7 => return self.ethernet(at + 4),
                _ => return Ok(Peel::NoFlow),
            }
        }
    }

    /// 802.2 LLC with or without SNAP; IP also under its own SAP (RFC 948).
    fn llc(&mut self, at: usize) -> Result<Peel, Peel> {
        match *self.from(at) {
            [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, a, b, ..] => {
                self.ether_type(u16::from_be_bytes([a, b]), at + 8)
            }
            [0x06, 0x06, 0x03, ..] => self.ip(at + 3),
            [] => Err(Peel::Undecoded(Undecoded::Truncated)),
            _ => Ok(Peel::NoFlow),
        }
    }

    /// A socket family in four bytes of either order (tcpdump.org, `LINKTYPE_NULL` and `LINKTYPE_LOOP`).
    fn address_family(&mut self, at: usize) -> Result<Peel, Peel> {
        let [a, b, c, d] = self.take::<4>(at)?;
        let family = match (a, d) {
            (0, _) => u32::from_be_bytes([a, b, c, d]),
            _ => u32::from_le_bytes([a, b, c, d]),
        };
        match family {
            // AF_INET everywhere; AF_INET6 on Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS
            2 | 10 | 23 | 24 | 28 | 30 => self.ip(at + 4),
            // point-to-point links of BSD put their own framing here: PPP's or Cisco's
            _ if matches!((a, b), (0xff, 0x03) | (0x0f | 0x8f, 0x00)) => self.ppp(at),
            _ => Ok(Peel::NoFlow),
        }
    }

    /// Linux cooked capture, version 1.
    fn sll(&mut self, at: usize) -> Result<Peel, Peel> {
        let [_, _, a, b, _, _, _, _, _, _, _, _, _, _, c, d] = self.take::<16>(at)?;
        self.sll_protocol(
            u16::from_be_bytes([c, d]),
            u16::from_be_bytes([a, b]),
            at + 16,
        )
    }

    /// What both cooked headers announce; `hardware` is the ARPHRD number.
    fn sll_protocol(&mut self, protocol: u16, hardware: u16, at: usize) -> Result<Peel, Peel> {
        match (hardware, protocol) {
            // netlink; there the protocol is a netlink family
            (824, _) => Ok(Peel::NoFlow),
            // ETH_P_802_2
            (_, 4) => self.llc(at),
            (_, 0..1536) => Ok(Peel::NoFlow),
            _ => self.ether_type(protocol, at),
        }
    }

    /// PPP, with or without HDLC address and control (RFC 1662), or Cisco's framing in its place; protocol of one or two bytes (RFC 1661).
    pub(super) fn ppp(&mut self, at: usize) -> Result<Peel, Peel> {
        self.deeper()?;
        match *self.from(at) {
            [0xff, 0x03, ..] => self.ppp_protocol(at + 2),
            [0x0f | 0x8f, 0x00, ..] => self.cisco_hdlc(at),
            _ => self.ppp_protocol(at),
        }
    }

    fn ppp_protocol(&mut self, at: usize) -> Result<Peel, Peel> {
        let (protocol, at) = match *self.from(at) {
            [short, ..] if short & 1 == 1 => (u16::from(short), at + 1),
            [a, b, ..] => (u16::from_be_bytes([a, b]), at + 2),
            _ => return Err(Peel::Undecoded(Undecoded::Truncated)),
        };
        match protocol {
            0x0021 | 0x0057 => self.ip(at),
            0x0281 | 0x0283 => self.mpls(at),
            // multilink (RFC 1990): an unfragmented packet has both the beginning and the ending bit
            0x003d => match *self.from(at) {
                [flags, ..] if flags & 0xc0 == 0xc0 => {
                    self.deeper()?;
                    self.ppp_protocol(at + 4)
                }
                _ => Ok(Peel::NoFlow),
            },
            _ => Ok(Peel::NoFlow),
        }
    }

    /// PPPoE session stage (RFC 2516): six bytes, then PPP without framing. Code 0 is a session's data.
    fn pppoe(&mut self, at: usize) -> Result<Peel, Peel> {
        let [_, code, _, _, _, _] = self.take::<6>(at)?;
        if code != 0 {
            return Ok(Peel::NoFlow);
        }
        self.deeper()?;
        self.ppp_protocol(at + 6)
    }

    /// Cisco HDLC: address, control, EtherType.
    fn cisco_hdlc(&mut self, at: usize) -> Result<Peel, Peel> {
        let [_, _, a, b] = self.take::<4>(at)?;
        self.ether_type(u16::from_be_bytes([a, b]), at + 4)
    }

    /// Frame relay with a Q.922 address of two to four bytes, then NLPID (RFC 2427) or Cisco's EtherType.
    fn frame_relay(&mut self, at: usize) -> Result<Peel, Peel> {
        // the lowest bit marks the address's last byte
        let Some(last) = self.from(at).iter().take(4).position(|byte| byte & 1 == 1) else {
            return Err(Peel::Undecoded(Undecoded::Truncated));
        };
        let at = at + last + 1;
        match *self.from(at) {
            [0x03, 0xcc | 0x8e, ..] => self.ip(at + 2),
            [0x03, 0x00, 0xcc | 0x8e, ..] => self.ip(at + 3),
            [0x03, 0x00, 0x80, 0, 0, 0, a, b, ..] => {
                self.ether_type(u16::from_be_bytes([a, b]), at + 8)
            }
            [0x03, 0x80, 0, 0, 0, a, b, ..] => self.ether_type(u16::from_be_bytes([a, b]), at + 7),
            [0x03, ..] => Ok(Peel::NoFlow),
            [a, b, ..] => self.ether_type(u16::from_be_bytes([a, b]), at + 2),
            _ => Err(Peel::Undecoded(Undecoded::Truncated)),
        }
    }

    /// MPLS labels (RFC 3032). The stack does not say what is below it: a first nibble of 4 or 6 is IP; 0 a control word (RFC 4385) before
    /// an Ethernet frame; anything else an Ethernet frame without one.
    pub(super) fn mpls(&mut self, mut at: usize) -> Result<Peel, Peel> {
        loop {
            self.deeper()?;
            let [_, _, flags, _] = self.take::<4>(at)?;
            at += 4;
            if flags & 1 == 1 {
                break;
            }
        }
        match self.from(at).first().map(|first| first >> 4) {
            Some(4 | 6) => self.ip(at),
            Some(0) => self.ethernet(at + 4),
            // an associated channel (RFC 5586): management
            Some(1) => Ok(Peel::NoFlow),
            Some(_) => self.ethernet(at),
            None => Err(Peel::Undecoded(Undecoded::Truncated)),
        }
    }

    /// Radiotap (radiotap.org): its length, and among its first fields the flag that the frame's header is padded.
    fn radiotap(&mut self, at: usize) -> Result<Peel, Peel> {
        let [_, _, a, b, present, _, _, _] = self.take::<8>(at)?;
        let length = usize::from(u16::from_le_bytes([a, b]));
        // more presence words follow while the highest bit of one is set
        let mut fields = at + 8;
        let mut word = at + 4;
        while fields < at + length && self.take::<4>(word)?[3] & 0x80 != 0 {
            word = fields;
            fields += 4;
        }
        // TSFT comes first, in eight bytes at a multiple of eight from the header's start; then the flags
        let place = match present & 3 {
            0b10 => Some(fields),
            0b11 => Some(at + (fields - at).next_multiple_of(8) + 8),
            _ => None,
        };
        let padded = place
            .and_then(|place| self.from(place).first())
            .is_some_and(|flags| flags & 0x20 != 0);
        self.wlan(at + length, padded)
    }

    /// An IEEE 802.11 data frame that is not encrypted; all else is of no flow.
    fn wlan(&mut self, at: usize, padded: bool) -> Result<Peel, Peel> {
        let [control, flags] = self.take::<2>(at)?;
        // version 0, type 2 (data), not one of the subtypes without data, not protected
        if control & 0x0f != 0x08 || control & 0x40 != 0 || flags & 0x40 != 0 {
            return Ok(Peel::NoFlow);
        }
        let fourth_address = if flags & 3 == 3 { 6 } else { 0 };
        let quality = match (control & 0x80 != 0, flags & 0x80 != 0) {
            (true, true) => 6,
            (true, false) => 2,
            _ => 0,
        };
        let mut header: usize = 24 + fourth_address + quality;
        if padded {
            header = header.next_multiple_of(4);
        }
        self.llc(at + header)
    }

    /// NFLOG: four bytes, then attributes of length and type in the host's byte order, one of which is the packet.
    fn nflog(&mut self, at: usize) -> Result<Peel, Peel> {
        /// `NFULA_PAYLOAD`.
        const PAYLOAD: u16 = 9;
        let mut at = at + 4;
        loop {
            let [a, b, c, d] = self.take::<4>(at)?;
            let (mut length, mut kind) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            // types are small, so a big one was read in the wrong order
            if kind > 0xff {
                (length, kind) = (length.swap_bytes(), kind.swap_bytes());
            }
            if kind == PAYLOAD {
                return self.ip(at + 4);
            }
            if length < 4 {
                return Err(Peel::Undecoded(Undecoded::Truncated));
            }
            at += usize::from(length).next_multiple_of(4);
        }
    }
}
