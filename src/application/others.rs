//! Openings of messengers that are known by a few bytes: Discord's voice, Viber.

use super::{Arrival, Progress, Recognised};

/// Whether a datagram is Discord's address discovery: type 1 or 2, length 70, 74 bytes in all (Discord developer documentation, "IP
/// discovery").
#[must_use]
pub fn is_discord_discovery(payload: &[u8]) -> bool {
    payload.len() == 74 && matches!(payload, [0, 1 | 2, 0, 70, ..])
}

/// Viber's first packet of either side: its own length, little-endian, then one of two marks (nDPI, `viber.c`). Gives that length.
#[must_use]
pub fn viber(bytes: &[u8]) -> Progress<usize> {
    /// The longest first packet that is believed; those seen have some hundred bytes.
    const MAX_FIRST: usize = 2_048;
    if let [low, high, ..] = *bytes
        && !(11..=MAX_FIRST).contains(&usize::from(u16::from_le_bytes([low, high])))
    {
        return Progress::NotThis;
    }
    let Some([low, high, _, _, a, b, c, d, _, e, f]) = bytes.first_chunk::<11>() else {
        return Progress::NeedMore;
    };
    let marked = ([*c, *d], *e) == ([0xfc, 0xff], 0x80) || ([*a, *b], *f) == ([0x03, 0x80], 0x0a);
    if marked {
        Progress::Done {
            message: usize::from(u16::from_le_bytes([*low, *high])),
            used: 11,
        }
    } else {
        Progress::NotThis
    }
}

/// Claims a stream that begins like Viber's, and notes it.
pub(super) fn claim(first: &[u8], _: &Arrival, found: &mut Recognised) -> Progress<()> {
    match viber(first) {
        Progress::Done { used, .. } => {
            found.signature = Some(("viber", "Viber's opening: its length and a mark"));
            Progress::Done { message: (), used }
        }
        Progress::NeedMore => Progress::NeedMore,
        Progress::NotThis => Progress::NotThis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::bytes;

    #[test]
    fn discords_discovery_is_told_by_type_and_length() {
        let mut request = vec![0_u8; 74];
        request[1] = 1;
        request[3] = 70;
        assert!(is_discord_discovery(&request));
        assert!(!is_discord_discovery(&request[..73]));
        request[1] = 3;
        assert!(!is_discord_discovery(&request));
    }

    #[test]
    fn viber_is_told_by_its_marks() {
        let Progress::Done { message, .. } = viber(&bytes("4c0000000380 00000000 0a11")) else {
            panic!("not seen")
        };
        assert_eq!(message, 0x4c);
        assert!(matches!(
            viber(&bytes("4c00000000 00fcff00 8000")),
            Progress::Done { .. }
        ));
        assert_eq!(viber(&bytes("4c0000000380")), Progress::NeedMore);
        assert_eq!(viber(&bytes("160301020001000001fc03")), Progress::NotThis);
        assert_eq!(viber(b"GET / HTTP/1.1"), Progress::NotThis);
    }
}
