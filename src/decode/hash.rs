use crate::types::{Endpoint, FlowKey};

/// Odd constants without structure: the first digits of pi's fraction, as in Blowfish (Schneier 1994).
///
/// They are fixed so that a replay takes the same way through the tables. Whoever floods us can therefore aim at one slot or one worker;
/// the flow table bounds what that costs.
const SEEDS: [u64; 4] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
];

/// The symmetric hash of a flow: the same for both directions.
///
/// All 64 bits are good: workers are chosen by the high ones, table slots by the low ones.
#[must_use]
pub fn flow_hash(key: &FlowKey) -> u64 {
    pair(end(&key.a), end(&key.b), key.protocol.number())
}

/// The hash of one end.
fn end(end: &Endpoint) -> u64 {
    end_v6(&end.address.0, end.port)
}

/// The hash of an IPv4 end, without the detour over sixteen bytes.
#[inline]
pub(super) fn end_v4(address: [u8; 4], port: u16) -> u64 {
    end_of_words(
        0,
        u64::from(u32::from_le_bytes(address)) << 32 | 0xffff_0000,
        port,
    )
}

/// The hash of an end in the sixteen bytes of an [`Address`](crate::types::Address).
#[inline]
pub(super) fn end_v6(address: &[u8; 16], port: u16) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    end_of_words(
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        u64::from_le_bytes([i, j, k, l, m, n, o, p]),
        port,
    )
}

#[inline]
fn end_of_words(high: u64, low: u64, port: u16) -> u64 {
    let [one, two, ..] = SEEDS;
    fold(
        low ^ one,
        (high ^ two).wrapping_add(u64::from(port) << 32 | u64::from(port)),
    )
}

/// The hash of two ends, whichever comes first.
#[inline]
pub(super) fn pair(a: u64, b: u64, protocol: u8) -> u64 {
    let [.., three, four] = SEEDS;
    // sum and difference together lose no information about the unordered pair
    fold(
        a.wrapping_add(b) ^ three,
        (a ^ b).wrapping_add(four ^ u64::from(protocol) << 56),
    )
}

/// Multiplies to 128 bits and folds the halves (Yi 2019, wyhash; also foldhash).
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, Protocol};
    use proptest::prelude::*;

    fn key(a: ([u8; 16], u16), b: ([u8; 16], u16)) -> FlowKey {
        let end = |(address, port)| Endpoint {
            address: Address(address),
            port,
        };
        FlowKey {
            a: end(a),
            b: end(b),
            protocol: Protocol::Tcp,
        }
    }

    proptest! {
        #[test]
        fn both_directions_hash_alike(a: ([u8; 16], u16), b: ([u8; 16], u16)) {
            prop_assert_eq!(flow_hash(&key(a, b)), flow_hash(&key(b, a)));
        }

        #[test]
        fn the_short_ways_agree_with_the_long_one(a: [u8; 4], b: [u8; 16], port: u16) {
            prop_assert_eq!(end_v4(a, port), end(&Endpoint { address: Address::v4(a), port }));
            prop_assert_eq!(end_v6(&b, port), end(&Endpoint { address: Address(b), port }));
        }
    }

    #[test]
    fn neighbouring_flows_spread_over_workers_and_slots() {
        // 256 ports times 256 neighbouring addresses to one server: 65,536 flows over 256 buckets of the high and of the low bits
        let mut high = [0_u32; 256];
        let mut low = [0_u32; 256];
        for i in 0..=255 {
            for port in 40_000..40_256 {
                let hash = pair(end_v4([10, 0, 0, i], port), end_v4([1, 1, 1, 1], 443), 6);
                high[(hash >> 56) as usize] += 1;
                low[(hash & 255) as usize] += 1;
            }
        }
        // 256 expected, standard deviation 16; six of them leave 3 in 10^7 for chance
        for count in high.iter().chain(&low) {
            assert!((160..352).contains(count), "{count}");
        }
    }
}
