use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;

use super::{Part, ServiceId};
use crate::types::{Address, Endpoint, Protocol};

/// Ports of one transport protocol, both ends included; written `tcp/5222` or `udp/3478-3497`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortSpan {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

impl PortSpan {
    const fn contains(self, protocol: Protocol, port: u16) -> bool {
        matches!(
            (self.protocol, protocol),
            (Protocol::Tcp, Protocol::Tcp) | (Protocol::Udp, Protocol::Udp)
        ) && self.first <= port
            && port <= self.last
    }

    fn overlaps(self, other: Self) -> bool {
        self.protocol == other.protocol && self.first <= other.last && other.first <= self.last
    }
}

impl FromStr for PortSpan {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "ports are written tcp/5222 or udp/3478-3497";
        let (protocol, span) = text.split_once('/').ok_or(SHAPE)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(SHAPE),
        };
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        let first = first.parse().map_err(|_| SHAPE)?;
        let last = last.parse().map_err(|_| SHAPE)?;
        if first == 0 || last < first {
            return Err("a span of ports goes from the lower to the higher, from 1");
        }
        Ok(Self {
            protocol,
            first,
            last,
        })
    }
}

impl fmt::Display for PortSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        if self.first == self.last {
            write!(f, "{protocol}/{}", self.first)
        } else {
            write!(f, "{protocol}/{}-{}", self.first, self.last)
        }
    }
}

impl Serialize for PortSpan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A block of addresses, as the numbers of its first and last one; IPv4 lies at `::ffff:0:0/96`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl FromStr for Block {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "a range is written 192.0.2.0/24 or 2001:db8::/32";
        let (address, prefix) = text.split_once('/').ok_or(SHAPE)?;
        let address: IpAddr = address.parse().map_err(|_| SHAPE)?;
        let prefix: u32 = prefix.parse().map_err(|_| SHAPE)?;
        let (longest, shortest) = match address {
            IpAddr::V4(_) => (32, 8),
            IpAddr::V6(_) => (128, 16),
        };
        if prefix > longest {
            return Err("a prefix longer than the address");
        }
        if prefix < shortest {
            return Err("a prefix this short is nobody's network");
        }
        let free = longest - prefix;
        // `free` may be no more than 112, so the shift is defined.
        let host_bits = (1_u128 << free) - 1;
        let first = number(Address::from(address));
        if first & host_bits != 0 {
            return Err("the address has bits beyond its prefix");
        }
        Ok(Self {
            first,
            last: first | host_bits,
        })
    }
}

/// One range of a service with its limits.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) block: Block,
    /// Spans of ports; empty means every port.
    pub(super) ports: Vec<PortSpan>,
    /// Span of last octets; the whole of 0 to 255 means every host.
    pub(super) hosts: (u8, u8),
    /// Whether it counts only where neither side said anything.
    pub(super) silent: bool,
    pub(super) service: ServiceId,
    pub(super) part: Option<Part>,
    /// Place of the range in its service's list.
    pub(super) index: u16,
}

impl Rule {
    /// Whether some server could match both rules.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let blocks = self.block.first <= other.block.last && other.block.first <= self.block.last;
        let hosts = self.hosts.0 <= other.hosts.1 && other.hosts.0 <= self.hosts.1;
        let ports = self.ports.is_empty()
            || other.ports.is_empty()
            || (self.ports.iter()).any(|a| other.ports.iter().any(|b| a.overlaps(*b)));
        // one that counts for silence only gives way to any other
        blocks && hosts && ports && self.silent == other.silent
    }

    fn matches(&self, server: Endpoint, protocol: Protocol, silent: bool) -> bool {
        let [.., last_octet] = server.address.0;
        (silent || !self.silent)
            && (self.hosts.0..=self.hosts.1).contains(&last_octet)
            && (self.ports.is_empty()
                || (self.ports.iter()).any(|span| span.contains(protocol, server.port)))
    }
}

/// Ranges cut into pieces that do not overlap, each with the rules that hold in it: one binary search finds them all.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    /// First address of each piece, ascending. A piece ends where the next one starts.
    starts: Vec<u128>,
    /// Places in `rules` for each piece, narrowest block first.
    pieces: Vec<Vec<u16>>,
    rules: Vec<Rule>,
    /// Which leading 16 bits of addresses some rule touches: nearly every address of a capture is answered by one bit.
    touched: Leading,
}

/// A set of leading 16 bits, apart for IPv4 and IPv6.
#[derive(Clone, Debug)]
struct Leading {
    v4: Box<[u64; Self::WORDS]>,
    v6: Box<[u64; Self::WORDS]>,
}

impl Default for Leading {
    fn default() -> Self {
        let none = || Box::new([0; Self::WORDS]);
        Self {
            v4: none(),
            v6: none(),
        }
    }
}

impl Leading {
    const WORDS: usize = 1 << 16 >> 6;

    /// Where an address's leading bits stand: whether it is IPv4, and the bits.
    const fn place(address: u128) -> (bool, usize) {
        if address >> 32 == 0xffff {
            (true, (address >> 16) as usize & 0xffff)
        } else {
            (false, (address >> 112) as usize)
        }
    }

    /// Adds a block; prefixes of 8 bits and more (IPv4: of 16, IPv6) keep this short.
    fn add(&mut self, block: Block) {
        let ((v4, first), (_, last)) = (Self::place(block.first), Self::place(block.last));
        let words = if v4 { &mut self.v4 } else { &mut self.v6 };
        for bits in first..=last {
            if let Some(word) = words.get_mut(bits >> 6) {
                *word |= 1 << (bits & 63);
            }
        }
    }

    fn holds(&self, address: u128) -> bool {
        let (v4, bits) = Self::place(address);
        let words = if v4 { &self.v4 } else { &self.v6 };
        words
            .get(bits >> 6)
            .is_some_and(|word| word >> (bits & 63) & 1 != 0)
    }
}

impl Ranges {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut starts: Vec<u128> = (rules.iter())
            .flat_map(|rule| [Some(rule.block.first), rule.block.last.checked_add(1)])
            .flatten()
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let pieces = (starts.iter())
            .map(|start| {
                let mut here: Vec<u16> = (0_u16..)
                    .zip(&rules)
                    .filter(|(_, rule)| (rule.block.first..=rule.block.last).contains(start))
                    .map(|(index, _)| index)
                    .collect();
                here.sort_by_key(|index| {
                    (rules.get(usize::from(*index)))
                        .map(|rule| (rule.silent, rule.block.last - rule.block.first))
                });
                here
            })
            .collect();
        let mut touched = Leading::default();
        for rule in &rules {
            touched.add(rule.block);
        }
        Self {
            starts,
            pieces,
            rules,
            touched,
        }
    }

    /// The narrowest range that `server` lies in; `silent` where neither side said anything.
    pub(super) fn find(&self, server: Endpoint, protocol: Protocol, silent: bool) -> Option<&Rule> {
        let address = number(server.address);
        if !self.touched.holds(address) {
            return None;
        }
        let after = self.starts.partition_point(|start| *start <= address);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        (piece.iter())
            .filter_map(|index| self.rules.get(usize::from(*index)))
            .find(|rule| rule.matches(server, protocol, silent))
    }
}

const fn number(address: Address) -> u128 {
    u128::from_be_bytes(address.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(cidr: &str, ports: &[&str], service: u16) -> Rule {
        Rule {
            block: cidr.parse().unwrap(),
            ports: ports.iter().map(|span| span.parse().unwrap()).collect(),
            hosts: (0, 255),
            silent: false,
            service: ServiceId(service),
            part: None,
            index: 0,
        }
    }

    fn server(address: &str, port: u16) -> Endpoint {
        Endpoint {
            address: address.parse::<IpAddr>().unwrap().into(),
            port,
        }
    }

    #[test]
    fn both_ends_of_a_range_belong_and_their_neighbours_do_not() {
        let ranges = Ranges::new(vec![
            rule("91.108.56.0/22", &[], 1),
            rule("2001:b28:f23c::/47", &[], 1),
        ]);
        let hit = |address| {
            ranges
                .find(server(address, 443), Protocol::Tcp, false)
                .is_some()
        };
        assert!(hit("91.108.56.0") && hit("91.108.59.255"));
        assert!(!hit("91.108.55.255") && !hit("91.108.60.0"));
        assert!(hit("2001:b28:f23c::") && hit("2001:b28:f23d:ffff::1"));
        assert!(!hit("2001:b28:f23b::1") && !hit("2001:b28:f23e::"));
        assert!(!hit("0.0.0.0") && !hit("255.255.255.255") && !hit("::"));
    }

    #[test]
    fn the_narrower_range_wins_and_the_wider_one_resumes_after_it() {
        let ranges = Ranges::new(vec![
            rule("10.0.0.0/8", &[], 1),
            rule("10.1.0.0/16", &[], 2),
        ]);
        let owner = |address| {
            ranges
                .find(server(address, 1), Protocol::Udp, false)
                .map(|rule| rule.service.0)
        };
        assert_eq!(owner("10.0.255.255"), Some(1));
        assert_eq!(owner("10.1.2.3"), Some(2));
        assert_eq!(owner("10.2.0.0"), Some(1));
    }

    #[test]
    fn a_range_with_ports_says_nothing_of_other_ports() {
        let ranges = Ranges::new(vec![rule("17.0.0.0/8", &["udp/3478-3497"], 1)]);
        assert!(
            ranges
                .find(server("17.1.2.3", 3480), Protocol::Udp, false)
                .is_some()
        );
        assert!(
            ranges
                .find(server("17.1.2.3", 3480), Protocol::Tcp, false)
                .is_none()
        );
        assert!(
            ranges
                .find(server("17.1.2.3", 443), Protocol::Udp, false)
                .is_none()
        );
    }

    #[test]
    fn bad_ranges_and_ports_are_refused() {
        for bad in [
            "",
            "1.2.3.4",
            "1.2.3.4/33",
            "1.2.3.4/24",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::1/64",
            "x/8",
        ] {
            assert!(bad.parse::<Block>().is_err(), "{bad}");
        }
        for bad in ["", "443", "tcp/", "tcp/0", "tcp/9-3", "sctp/1", "udp/70000"] {
            assert!(bad.parse::<PortSpan>().is_err(), "{bad}");
        }
    }
}
