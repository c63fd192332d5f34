use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An IP address in 16 bytes; IPv4 is kept as `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
#[derive(Clone, Copy, Eq, Hash, PartialEq, PartialOrd, Ord, Default)]
pub struct Address(pub [u8; 16]);

/// The first twelve bytes of an IPv4-mapped address.
const V4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Address {
    /// An IPv4 address from its four bytes.
    #[must_use]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        let [a, b, c, d] = bytes;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// Whether this is an IPv4 address.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.0.starts_with(&V4_PREFIX)
    }

    /// The same address in the standard library's type.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        let [.., a, b, c, d] = self.0;
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.0))
        }
    }

    /// Whether the address is private, shared (CGNAT), link-local, loopback, unique-local or documentation space:
    /// one that a client behind an access network may have, and no public server (RFC 6890).
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.ip() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                v4.is_private()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || (a == 100 && b & 0xc0 == 64)
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        }
    }

    /// Whether the address is multicast or broadcast: no conversation's peer.
    #[must_use]
    pub fn is_group(&self) -> bool {
        match self.ip() {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ip().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IpAddr::deserialize(deserializer).map(Self::from)
    }
}

/// An address and a port.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// The port.
    pub port: u16,
}

/// The transport protocol of a flow.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, protocol number 6.
    #[default]
    Tcp,
    /// UDP, protocol number 17.
    Udp,
}

impl Protocol {
    /// The protocol number (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// What makes packets one conversation: both ends and the protocol, in the order in which the first packet had them.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct FlowKey {
    /// The sender of the first packet.
    pub a: Endpoint,
    /// The other end.
    pub b: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl FlowKey {
    /// The Community ID, version 1, seed 0 (corelight community-id-spec): equal for both directions.
    #[must_use]
    pub fn community_id(&self) -> String {
        let (low, high) = if self.a <= self.b {
            (&self.a, &self.b)
        } else {
            (&self.b, &self.a)
        };
        let mut bytes = Vec::with_capacity(40);
        bytes.extend_from_slice(&[0, 0]);
        for end in [low, high] {
            match end.address.ip() {
                IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => bytes.extend_from_slice(&v6.octets()),
            }
        }
        bytes.extend_from_slice(&[self.protocol.number(), 0]);
        bytes.extend_from_slice(&low.port.to_be_bytes());
        bytes.extend_from_slice(&high.port.to_be_bytes());
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
        format!("1:{}", base64(digest.as_ref()))
    }
}

/// Base 64 with padding (RFC 4648, section 4); the one use is 20 bytes long, which does not pay for a crate.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (i, byte)| {
            word | u32::from(*byte) << (16 - 8 * i)
        });
        for i in 0..4 {
            let symbol = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() {
                char::from(symbol)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_community_id_is_the_specs_and_the_same_both_ways() {
        // baseline_deflt.json of the specification: 128.232.110.120:34855 -> 66.35.250.204:80
        let a = Endpoint {
            address: Address::v4([128, 232, 110, 120]),
            port: 34855,
        };
        let b = Endpoint {
            address: Address::v4([66, 35, 250, 204]),
            port: 80,
        };
        let there = FlowKey {
            a,
            b,
            protocol: Protocol::Tcp,
        };
        let back = FlowKey {
            a: b,
            b: a,
            protocol: Protocol::Tcp,
        };
        assert_eq!(there.community_id(), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(back.community_id(), there.community_id());
    }

    #[test]
    fn cgnat_space_is_local_and_public_space_is_not() {
        assert!(Address::v4([100, 64, 0, 1]).is_local());
        assert!(!Address::v4([100, 128, 0, 1]).is_local());
        assert!(!Address::v4([149, 154, 167, 51]).is_local());
    }
}
