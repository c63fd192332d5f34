//! QUIC's headers, as far as they are readable without keys (RFC 8999; RFC 9000, section 17.2; RFC 9369, section 3.2).

use super::keys::{Profile, profile};

/// The longest connection id of any known version (RFC 9000, section 17.2).
const MAX_ID: usize = 20;

/// What a long-header packet is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Carries the hello.
    Initial,
    /// Data of a resumed conversation.
    ZeroRtt,
    /// The rest of the handshake.
    Handshake,
    /// The server asks for the same with a token.
    Retry,
    /// The server speaks other versions.
    VersionNegotiation,
    /// A version of which only the invariants are known.
    Unknown,
}

/// A long-header packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long<'a> {
    pub(super) kind: Kind,
    pub(super) profile: Option<&'static Profile>,
    pub(super) destination: &'a [u8],
    /// The whole packet, up to its length field's end, or as far as it was captured.
    pub(super) packet: &'a [u8],
    /// Where the packet number begins (Initial, 0-RTT, Handshake).
    pub(super) number_at: usize,
}

/// Splits the first long-header packet off a datagram, or what is left of one.
pub(super) fn long(datagram: &[u8]) -> Option<(Long<'_>, &[u8])> {
    let (&first, rest) = datagram.split_first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let version = u32::from_be_bytes(*version);
    let (destination, rest) = connection_id(rest)?;
    let (_source, rest) = connection_id(rest)?;
    let profile = profile(version);
    let kind = match profile {
        _ if version == 0 => Kind::VersionNegotiation,
        None => Kind::Unknown,
        // the fixed bit
        Some(_) if first & 0x40 == 0 => return None,
        Some(profile) => match (first >> 4).wrapping_sub(profile.initial_type) & 3 {
            0 => Kind::Initial,
            1 => Kind::ZeroRtt,
            2 => Kind::Handshake,
            _ => Kind::Retry,
        },
    };
    let whole = |number_at| Long {
        kind,
        profile,
        destination,
        packet: datagram,
        number_at,
    };
    let rest = match kind {
        Kind::Initial => {
            let (token, rest) = varint(rest)?;
            rest.get(usize::try_from(token).ok()?..)?
        }
        Kind::ZeroRtt | Kind::Handshake => rest,
        Kind::Retry | Kind::VersionNegotiation | Kind::Unknown => {
            return Some((whole(datagram.len()), &[]));
        }
    };
    let (length, rest) = varint(rest)?;
    let number_at = datagram.len() - rest.len();
    let length = usize::try_from(length).ok()?;
    let end = number_at.saturating_add(length).min(datagram.len());
    let (packet, after) = datagram.split_at_checked(end)?;
    Some((
        Long {
            packet,
            ..whole(number_at)
        },
        after,
    ))
}

/// A connection id with its length in front.
fn connection_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let length = usize::from(length);
    if length > MAX_ID {
        None
    } else {
        rest.split_at_checked(length)
    }
}

/// A variable-length integer (RFC 9000, section 16), and what follows it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, _) = bytes.split_first()?;
    let (field, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let value = field
        .iter()
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    // the two length bits lie at the top of the field
    let bits = 8 * field.len() as u32 - 2;
    Some((value & ((1 << bits) - 1), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integers_of_the_specification_come_out() {
        // RFC 9000, appendix A.1
        let long = [0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c];
        assert_eq!(varint(&long), Some((151_288_809_941_952_652, &[][..])));
        assert_eq!(
            varint(&[0x9d, 0x7f, 0x3e, 0x7d, 1]),
            Some((494_878_333, &[1][..]))
        );
        assert_eq!(varint(&[0x7b, 0xbd]), Some((15293, &[][..])));
        assert_eq!(varint(&[0x25]), Some((37, &[][..])));
        assert_eq!(varint(&[0x40, 0x25]), Some((37, &[][..])));
        assert_eq!(varint(&[0x40]), None);
    }

    #[test]
    fn version_two_turns_the_types() {
        let mut packet = vec![0xd0, 0x6b, 0x33, 0x43, 0xcf, 0, 0, 0, 1, 7, 0x55];
        let (first, after) = long(&packet).unwrap();
        assert_eq!(
            (first.kind, first.number_at, after),
            (Kind::Initial, 9, &[0x55][..])
        );
        packet[0] = 0xc0;
        assert_eq!(long(&packet).unwrap().0.kind, Kind::Retry);
        packet[1..5].copy_from_slice(&[0, 0, 0, 1]);
        assert_eq!(long(&packet).unwrap().0.kind, Kind::Initial);
    }
}
