//! Openings of messengers that are known by a few bytes: calls of Discord and LINE, Viber, KakaoTalk, Threema.

use super::{Progress, Recognised};
use crate::types::Side;

/// Whether a datagram is Discord's address discovery: type 1 or 2, length 70, 74 bytes in all (Discord developer documentation, "IP
/// discovery").
#[must_use]
pub fn is_discord_discovery(payload: &[u8]) -> bool {
    payload.len() == 74 && matches!(payload, [0, 1 | 2, 0, 70, ..])
}

/// Whether a datagram is the keep-alive of Discord's voice: four fixed bytes and a counter (nDPI, `discord.c`; seen from both sides).
#[must_use]
pub fn is_discord_keepalive(payload: &[u8]) -> bool {
    payload.len() == 8 && payload.starts_with(&[0x13, 0x37, 0xca, 0xfe])
}

/// Whether a datagram opens one side of a LINE call: `d` and a flag, eleven bits of length (less these four bytes), a number, `06 02` (measured
/// on public captures of 2021 and 2022; nDPI, `line.c`, knows the last two bytes). Its media is ordinary RTP on the same ports.
#[must_use]
pub fn is_line_call(payload: &[u8]) -> bool {
    const FLAG: u16 = 0x0800;
    let [a, b, _, _, 6, 2, rest @ ..] = payload else {
        return false;
    };
    let head = u16::from_be_bytes([*a, *b]);
    head & 0xf000 == 0xd000 && head & FLAG != 0 && usize::from(head & (FLAG - 1)) == rest.len() + 2
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

/// Viber's packets where the capture begins in their midst: length and number, both little-endian, and two zero bytes; the next packet has the next
/// number (measured on public captures of 2018). That is 48 bits in two packets.
#[must_use]
pub fn viber_underway(bytes: &[u8]) -> Progress<()> {
    /// The longest packet that is waited for.
    const MAX_WAIT: usize = 1_024;
    let number = |[low, high]: [u8; 2]| u16::from_le_bytes([low, high]);
    let head = |bytes: &[u8]| bytes.first_chunk::<6>().copied();
    let Some([l0, l1, n0, n1, z0, z1]) = head(bytes) else {
        return Progress::NeedMore;
    };
    let length = usize::from(number([l0, l1]));
    // What has no number yet is an opening, and has its mark; it is also how MTProto's full transport begins.
    let count = number([n0, n1]);
    if !(12..=MAX_WAIT).contains(&length) || count == 0 || [z0, z1] != [0, 0] {
        return Progress::NotThis;
    }
    let Some([_, _, n0, n1, z0, z1]) = bytes.get(length..).and_then(head) else {
        return Progress::NeedMore;
    };
    if number([n0, n1]) == count.wrapping_add(1) && [z0, z1] == [0, 0] {
        Progress::Done {
            message: (),
            used: length,
        }
    } else {
        Progress::NotThis
    }
}

/// KakaoTalk's LOCO handshake: little-endian 256, the kind of the key's encryption, the kind of the session's, then the session's key under RSA-2048
/// (public descriptions of the protocol; measured on a public capture of 2015).
#[must_use]
pub fn loco(bytes: &[u8]) -> Progress<()> {
    const HEAD: usize = 12;
    const KEY: usize = 256;
    /// Zero bytes in a key: one is expected of random ones, and more than sixteen once in 10^15 keys.
    const MAX_ZEROS: usize = 16;
    let plausible = bytes
        .iter()
        .take(HEAD)
        .enumerate()
        .all(|(at, byte)| match at {
            1 => *byte == 1,
            4 => (1..=32).contains(byte),
            8 => (1..=8).contains(byte),
            _ => *byte == 0,
        });
    if !plausible {
        return Progress::NotThis;
    }
    let Some(key) = bytes.get(HEAD..HEAD + KEY) else {
        return Progress::NeedMore;
    };
    let zeros = key
        .iter()
        .map(|byte| usize::from(*byte == 0))
        .sum::<usize>();
    if zeros > MAX_ZEROS {
        return Progress::NotThis;
    }
    Progress::Done {
        message: (),
        used: HEAD + KEY,
    }
}

/// Whose a stream is that begins with a mark of its own, and why.
pub(super) fn opening(first: &[u8]) -> Progress<(&'static str, &'static str)> {
    match viber(first) {
        Progress::Done { used, .. } => {
            return Progress::Done {
                message: ("viber", "Viber's opening: its length and a mark"),
                used,
            };
        }
        Progress::NeedMore => return Progress::NeedMore,
        Progress::NotThis => {}
    }
    match (loco(first), viber_underway(first)) {
        (Progress::Done { used, .. }, _) => Progress::Done {
            message: ("kakaotalk", "LOCO handshake of KakaoTalk"),
            used,
        },
        (_, Progress::Done { used, .. }) => Progress::Done {
            message: ("viber", "Viber's packets: their length and a rising number"),
            used,
        },
        (Progress::NotThis, Progress::NotThis) => Progress::NotThis,
        _ => Progress::NeedMore,
    }
}

/// Claims a stream that begins with a mark of its own, and notes it.
pub(super) fn claim(first: &[u8], found: &mut Recognised) -> Progress<()> {
    match opening(first) {
        Progress::Done { message, used } => {
            found.signature = Some(message);
            Progress::Done { message: (), used }
        }
        Progress::NeedMore => Progress::NeedMore,
        Progress::NotThis => Progress::NotThis,
    }
}

/// Who spoke how long before the other did, in the first three turns of a conversation.
///
/// All that Threema shows of itself: the client's 48 random bytes (key and cookie), the server's 80, and a login of at least 144 (Threema,
/// Cryptography Whitepaper, "Client-server protocol"; the captures have 191, which nDPI's `threema.c` asks for). Nothing in them can be
/// checked, so they count on Threema's own port only.
#[derive(Debug, Default)]
pub(super) struct Turns {
    first: Option<Side>,
    last: Option<Side>,
    /// Bytes of each turn.
    bytes: [u32; 3],
    /// Turns that began.
    begun: usize,
}

impl Turns {
    const PORT: u16 = 5222;
    const LOGIN: u32 = 144;

    /// Takes what came next.
    pub(super) fn note(&mut self, side: Side, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.first = self.first.or(Some(side));
        if self.last != Some(side) {
            self.last = Some(side);
            self.begun += 1;
        }
        if let Some(turn) = self
            .begun
            .checked_sub(1)
            .and_then(|at| self.bytes.get_mut(at))
        {
            *turn = turn.saturating_add(bytes as u32);
        }
    }

    /// Whether the conversation is Threema's, and who is the client.
    pub(super) fn threema(&self, ports: [u16; 2]) -> Progress<Side> {
        let [hello, answer, login] = self.bytes;
        let client = match ports {
            [_, Self::PORT] => Side::A,
            [Self::PORT, _] => Side::B,
            _ => return Progress::NotThis,
        };
        let possible = match self.begun {
            0 => true,
            1 => hello <= 48,
            2 => hello == 48 && answer <= 80,
            _ => (hello, answer) == (48, 80),
        };
        match possible && self.first.is_none_or(|first| first == client) {
            false => Progress::NotThis,
            true if login >= Self::LOGIN => Progress::Done {
                message: client,
                used: 0,
            },
            true if self.begun > 3 => Progress::NotThis,
            true => Progress::NeedMore,
        }
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

    #[test]
    fn discords_keep_alive_is_told_by_its_mark_and_length() {
        assert!(is_discord_keepalive(&bytes("1337cafe a9010000")));
        assert!(!is_discord_keepalive(&bytes("1337cafe a901000000")));
        assert!(!is_discord_keepalive(&bytes("1337beef a9010000")));
    }

    #[test]
    fn a_call_of_line_opens_with_its_length_and_a_mark() {
        let opening = |head: &str, length: usize| {
            let mut datagram = bytes(head);
            datagram.resize(length, 7);
            datagram
        };
        assert!(is_line_call(&opening("db64 00b9 0602", 872)));
        assert!(is_line_call(&opening("d89c 0072 0602", 160)));
        assert!(!is_line_call(&opening("db64 00b9 0602", 871)));
        assert!(!is_line_call(&opening("d364 00b9 0602", 872)));
        assert!(!is_line_call(&opening("db64 00b9 0702", 872)));
        assert!(!is_line_call(&bytes("d802 0001 06")));
    }

    /// Packets of Viber with these numbers, 20 bytes each.
    fn viber_packets(numbers: &[u16]) -> Vec<u8> {
        let packet = |number: &u16| {
            let mut packet = vec![20, 0];
            packet.extend(number.to_le_bytes());
            packet.extend([0, 0]);
            packet.resize(20, 0xb5);
            packet
        };
        numbers.iter().flat_map(packet).collect()
    }

    #[test]
    fn viber_is_told_in_its_midst_by_two_numbers_that_follow() {
        let packets = viber_packets(&[0x2b, 0x2c]);
        for length in 0..26 {
            assert_eq!(viber_underway(&packets[..length]), Progress::NeedMore);
        }
        assert!(matches!(viber_underway(&packets), Progress::Done { .. }));
        let wraps = viber_packets(&[0xffff, 0]);
        assert!(matches!(viber_underway(&wraps), Progress::Done { .. }));
        for numbers in [[0x2b, 0x2b], [0x2b, 0x2d], [0, 1]] {
            assert_eq!(viber_underway(&viber_packets(&numbers)), Progress::NotThis);
        }
    }

    #[test]
    fn kakaotalks_handshake_is_its_kinds_and_a_key() {
        let mut opening = bytes("00010000 05000000 02000000");
        opening.resize(12 + 256, 0x9d);
        assert_eq!(loco(&opening[..267]), Progress::NeedMore);
        assert!(matches!(loco(&opening), Progress::Done { .. }));
        opening[12..60].fill(0);
        assert_eq!(
            loco(&opening),
            Progress::NotThis,
            "no key is so full of zeros"
        );
        assert_eq!(loco(&bytes("00010000 2112a442")), Progress::NotThis);
    }

    fn turns(spoken: &[(Side, usize)]) -> Turns {
        let mut turns = Turns::default();
        for (side, length) in spoken {
            turns.note(*side, *length);
        }
        turns
    }

    #[test]
    fn threema_is_told_by_the_lengths_of_three_turns() {
        use Side::{A, B};
        let ports = [50_298, 5222];
        let whole = turns(&[(A, 40), (A, 8), (B, 80), (A, 100), (A, 91)]);
        let Progress::Done { message, .. } = whole.threema(ports) else {
            panic!("not seen")
        };
        assert_eq!(message, A);
        assert_eq!(
            whole.threema([5222, 50_298]),
            Progress::NotThis,
            "the server begins"
        );
        assert_eq!(whole.threema([50_298, 443]), Progress::NotThis);
        for begun in [
            &[][..],
            &[(A, 48)],
            &[(A, 48), (B, 80)],
            &[(A, 48), (B, 80), (A, 99)],
        ] {
            assert_eq!(turns(begun).threema(ports), Progress::NeedMore);
        }
        for other in [
            &[(A, 49)][..],
            &[(A, 48), (B, 81)],
            &[(A, 48), (B, 79), (A, 191)],
            &[(A, 48), (B, 80), (A, 99), (B, 1)],
        ] {
            assert_eq!(turns(other).threema(ports), Progress::NotThis);
        }
    }
}
