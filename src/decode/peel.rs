use super::{Peeled, Undecoded, hash, icmp, ip, link, tunnel};
use crate::capture::LinkType;

/// What the dispatcher learns of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Peel {
    /// It belongs to a TCP or UDP flow, or is an ICMP error about one.
    Flow(Peeled),
    /// It was read, and is of no flow: ARP, spanning tree, ICMP echo, IGMP, SCTP, encrypted frames and the like.
    NoFlow,
    /// An IP fragment: give its bytes from `ip` on to [`Fragments`](super::Fragments), and peel what comes out as raw IP.
    Fragment {
        /// Where the IP header begins, counted from the packet's first byte.
        ip: u32,
        /// As in [`Peeled::vlan`].
        vlan: [u16; 2],
    },
    /// It could not be read.
    Undecoded(Undecoded),
}

/// Finds the innermost IP packet of TCP, UDP or an ICMP error, and the hash of its flow.
///
/// `wire` is the packet's length on the wire. Headers are read only as far as dispatching needs; [`decode`](super::decode) judges the rest.
/// An IP packet that comes out of defragmentation is peeled with [`LinkType`] 101 (raw IP).
#[inline]
#[must_use]
pub fn peel(link: LinkType, bytes: &[u8], wire: u32) -> Peel {
    if link == link::ETHERNET
        && let Some(peeled) = usual(bytes)
    {
        return Peel::Flow(peeled);
    }
    Walk::new(bytes, wire).link(link)
}

/// The short way for what nearly all packets are: Ethernet, up to two VLAN tags, IPv4 or IPv6 without options, TCP or UDP outside tunnels.
/// None for everything else and everything odd, which [`Walk`] then judges.
#[expect(
    clippy::inline_always,
    reason = "measured: a call and its result in memory cost half of the whole"
)]
#[inline(always)]
fn usual(bytes: &[u8]) -> Option<Peeled> {
    let ether = bytes.first_chunk::<14>()?;
    let mut kind = [ether[12], ether[13]];
    let mut at = 14;
    let mut vlan = [0; 2];
    for id in &mut vlan {
        if !matches!(kind, [0x81, 0x00] | [0x88, 0xa8]) {
            break;
        }
        let &[high, low, a, b] = bytes.get(at..)?.first_chunk::<4>()?;
        *id = u16::from_be_bytes([high & 0x0f, low]);
        // a priority tag names no VLAN
        if *id == 0 {
            return None;
        }
        kind = [a, b];
        at += 4;
    }
    let rest = bytes.get(at..)?;
    let hash = match kind {
        [0x08, 0x00] => {
            let h = rest.first_chunk::<24>()?;
            // version 4, five words; neither offset nor "more fragments"
            if h[0] != 0x45 || h[6] & 0x3f | h[7] != 0 {
                return None;
            }
            let ports = usual_ports(h[9], [h[20], h[21], h[22], h[23]])?;
            hash::pair(
                hash::end_v4([h[12], h[13], h[14], h[15]], ports[0]),
                hash::end_v4([h[16], h[17], h[18], h[19]], ports[1]),
                h[9],
            )
        }
        [0x86, 0xdd] => {
            let (fixed, rest) = rest.split_first_chunk::<8>()?;
            let (source, rest) = rest.split_first_chunk::<16>()?;
            let (destination, rest) = rest.split_first_chunk::<16>()?;
            if fixed[0] >> 4 != 6 {
                return None;
            }
            let ports = usual_ports(fixed[6], *rest.first_chunk::<4>()?)?;
            hash::pair(
                hash::end_v6(source, ports[0]),
                hash::end_v6(destination, ports[1]),
                fixed[6],
            )
        }
        _ => return None,
    };
    Some(Peeled {
        ip: at as u32,
        hash,
        vlan,
    })
}

/// The ports, where the protocol is TCP or UDP and the ports are no tunnel's.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn usual_ports(protocol: u8, [a, b, c, d]: [u8; 4]) -> Option<[u16; 2]> {
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    match protocol {
        ip::TCP => Some(ports),
        ip::UDP if !tunnel::may_be(ports) => Some(ports),
        _ => None,
    }
}

/// Layers one inside the other that are followed: more than any real stack, few enough to stay cheap.
const MAX_LAYERS: u8 = 16;

/// The way through a packet's layers, from the outside in. Each step takes the place where its layer begins.
pub(super) struct Walk<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) wire: u32,
    vlan: [u16; 2],
    layers: u8,
    /// IP packets among the layers.
    packets: u8,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(bytes: &'a [u8], wire: u32) -> Self {
        Self {
            bytes,
            wire,
            vlan: [0; 2],
            layers: 0,
            packets: 0,
        }
    }

    /// What was captured from `at` on; empty where that is nothing.
    pub(super) fn from(&self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// The `N` bytes at `at`, or the reason to stop.
    pub(super) fn take<const N: usize>(&self, at: usize) -> Result<[u8; N], Peel> {
        self.from(at)
            .first_chunk::<N>()
            .copied()
            .ok_or(Peel::Undecoded(Undecoded::Truncated))
    }

    /// Counts one more layer.
    pub(super) fn deeper(&mut self) -> Result<(), Peel> {
        self.layers += 1;
        if self.layers > MAX_LAYERS {
            return Err(Peel::Undecoded(Undecoded::TooDeep));
        }
        Ok(())
    }

    /// Notes a VLAN tag's control word; the two outermost are kept.
    pub(super) fn tag(&mut self, control: u16) {
        if let Some(free) = self.vlan.iter_mut().find(|id| **id == 0) {
            *free = control & 0x0fff;
        }
    }

    /// An IP packet at `at`.
    pub(super) fn ip(&mut self, at: usize) -> Result<Peel, Peel> {
        self.deeper()?;
        let wire = self.wire.saturating_sub(at as u32);
        let ip = ip::parse(self.from(at), wire).map_err(Peel::Undecoded)?;
        self.packets += 1;
        if ip.piece.is_some() {
            return Ok(Peel::Fragment {
                ip: at as u32,
                vlan: self.vlan,
            });
        }
        let inner = at + ip.header as usize;
        match ip.protocol {
            ip::TCP => self.flow(at, &ip),
            ip::UDP => {
                let outside = (self.vlan, self.layers, self.packets);
                match self.in_udp(&ip, inner) {
                    // a tunnel's frame without IP in it (ARP) leaves the datagram the innermost packet
                    Ok(Peel::NoFlow) if self.packets == outside.2 => {}
                    Ok(peel) => return Ok(peel),
                    Err(_) => {}
                }
                // no tunnel after all: then the datagram itself is the flow
                (self.vlan, self.layers, self.packets) = outside;
                self.flow(at, &ip)
            }
            ip::ICMP | ip::ICMP_V6 => Ok(icmp::error(&ip).map_or(Peel::NoFlow, |(key, _)| {
                Peel::Flow(self.peeled(at, hash::flow_hash(&key)))
            })),
            protocol => self.in_ip(protocol, inner),
        }
    }

    /// A TCP or UDP packet whose IP header is at `at`.
    fn flow(&self, at: usize, ip: &ip::Ip<'_>) -> Result<Peel, Peel> {
        let Some([from, to]) = ip::ports(ip.payload) else {
            return Err(Peel::Undecoded(if ip.payload_length < 4 {
                Undecoded::BadTransport
            } else {
                Undecoded::Truncated
            }));
        };
        let hash = hash::pair(
            hash::end_v6(&ip.source.0, from),
            hash::end_v6(&ip.destination.0, to),
            ip.protocol,
        );
        Ok(Peel::Flow(self.peeled(at, hash)))
    }

    const fn peeled(&self, at: usize, hash: u64) -> Peeled {
        Peeled {
            ip: at as u32,
            hash,
            vlan: self.vlan,
        }
    }
}
