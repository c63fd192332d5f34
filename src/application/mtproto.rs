//! Telegram's MTProto: its four transports in clear, the obfuscated one that clients use, and the reflectors of its calls.
//!
//! The obfuscated form hides everything but is its own key: bytes 8 to 40 of the first 64 are an AES-256 key and bytes 40 to 56 the counter
//! with which these same 64 bytes decrypt, and then bytes 56 to 60 name the transport inside (core.telegram.org/mtproto/mtproto-transports,
//! "Transport obfuscation"). Random bytes pass that test three times in 2^32. The number of the data centre that follows is not tested: in
//! captures of direct connections it is random. With a proxy's secret the key is not in the bytes, and nothing is recognised.

use aes::cipher::{KeyIvInit, StreamCipher};

use super::{Application, Arrival, Progress, Recognised};

/// The longest frame that is waited for in order to be sure.
const MAX_WAIT: usize = 4_096;

/// Bytes of the obfuscated form's opening.
const OPENING: usize = 64;

/// How messages are framed (core.telegram.org/mtproto/mtproto-transports).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// One byte `ef`, then lengths in words of four bytes.
    Abridged,
    /// `ee` four times, then lengths in bytes.
    Intermediate,
    /// `dd` four times, then lengths in bytes, with padding.
    PaddedIntermediate,
    /// Length, number and checksum, without an opening.
    Full,
}

/// What opens an MTProto conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MtprotoHello {
    /// The framing inside.
    pub transport: Transport,
    /// Whether the stream is obfuscated.
    pub obfuscated: bool,
}

/// Claims a stream that begins like MTProto's, and notes it.
pub(super) fn claim(first: &[u8], arrival: &Arrival, found: &mut Recognised) -> Progress<()> {
    let (hello, used) = match client_hello(first) {
        Progress::Done { message, used } => (message, used),
        Progress::NeedMore => return Progress::NeedMore,
        Progress::NotThis => return Progress::NotThis,
    };
    found.application = Application::Mtproto;
    found.signature = Some(if hello.obfuscated {
        ("telegram", "MTProto, obfuscated, opened with its own key")
    } else {
        ("telegram", "MTProto in clear")
    });
    found.client = Some(arrival.side);
    found.hello_frame = Some(arrival.frame);
    found.hello_time = Some(arrival.time);
    found.hello_end = used as u32;
    Progress::Done { message: (), used }
}

/// The client's first bytes.
#[must_use]
pub fn client_hello(bytes: &[u8]) -> Progress<MtprotoHello> {
    match bytes {
        [] => Progress::NeedMore,
        [0xef, ..] => abridged(bytes),
        [magic @ (0xee | 0xdd), rest @ ..] => {
            let transport = if *magic == 0xee {
                Transport::Intermediate
            } else {
                Transport::PaddedIntermediate
            };
            match rest {
                [m1, m2, m3, l0, l1, l2, l3, ..] if [m1, m2, m3] == [magic; 3] => {
                    plausible_length([*l0, *l1, *l2, *l3], transport)
                }
                _ if rest.len() < 7 && rest.iter().take(3).all(|byte| byte == magic) => {
                    Progress::NeedMore
                }
                // The obfuscated opening may start with one such byte, not with four.
                _ => obfuscated(bytes),
            }
        }
        _ => match full(bytes) {
            Progress::NotThis => obfuscated(bytes),
            decided => decided,
        },
    }
}

/// A first length: a message has at least 20 bytes (unencrypted, without a body) and clients send far less than 2^24. The highest bit asks
/// for a quick acknowledgement.
fn plausible_length(length: [u8; 4], transport: Transport) -> Progress<MtprotoHello> {
    let length = u32::from_le_bytes(length) & 0x7fff_ffff;
    let aligned = transport == Transport::PaddedIntermediate || length.is_multiple_of(4);
    if aligned && (20..1 << 24).contains(&length) {
        clear(transport)
    } else {
        Progress::NotThis
    }
}

const fn clear(transport: Transport) -> Progress<MtprotoHello> {
    Progress::Done {
        message: MtprotoHello {
            transport,
            obfuscated: false,
        },
        used: 0,
    }
}

/// One byte is no proof: either the first message is an unencrypted one, or four frames follow one another with lengths that encrypted
/// messages can have (24 bytes and a multiple of 16).
fn abridged(bytes: &[u8]) -> Progress<MtprotoHello> {
    /// Frames in a row, a quarter of all lengths each: with the first byte, one random stream in 65,536.
    const FRAMES: usize = 4;
    let mut at = 1;
    for frame in 0..FRAMES {
        let (words, head) = match bytes.get(at..).unwrap_or_default() {
            [] | [0x7f | 0xff] | [0x7f | 0xff, _] | [0x7f | 0xff, _, _] => {
                return Progress::NeedMore;
            }
            [0x7f | 0xff, a, b, c, ..] => (u32::from_le_bytes([*a, *b, *c, 0]) as usize, 4),
            [words, ..] => (usize::from(words & 0x7f), 1),
        };
        let body = bytes.get(at + head..).unwrap_or_default();
        if frame == 0 {
            match unencrypted(body, words * 4) {
                Progress::NotThis => {}
                Progress::Done { .. } => return clear(Transport::Abridged),
                Progress::NeedMore => return Progress::NeedMore,
            }
        }
        at += head + words * 4;
        if words * 4 < 24 + 16 || words * 4 % 16 != 8 || at > MAX_WAIT {
            return Progress::NotThis;
        }
    }
    if bytes.len() < at {
        return Progress::NeedMore;
    }
    clear(Transport::Abridged)
}

/// Total length, number 0, message, CRC-32. The checksum proves it, so the whole frame is waited for.
fn full(bytes: &[u8]) -> Progress<MtprotoHello> {
    let head = bytes.get(..8.min(bytes.len())).unwrap_or_default();
    let length = match *head {
        [a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]) as usize,
        // The highest byte of a length that is waited for is zero.
        _ => return Progress::NeedMore,
    };
    let plausible = length.is_multiple_of(4) && (12 + 20..=MAX_WAIT).contains(&length);
    let first = (head.get(4..).unwrap_or_default())
        .iter()
        .all(|byte| *byte == 0);
    if !plausible || !first {
        return Progress::NotThis;
    }
    let Some(frame) = bytes.get(..length) else {
        return Progress::NeedMore;
    };
    let Some((body, [a, b, c, d])) = frame.split_last_chunk::<4>() else {
        return Progress::NotThis;
    };
    let mut sum = flate2::Crc::new();
    sum.update(body);
    if sum.sum() == u32::from_le_bytes([*a, *b, *c, *d]) {
        clear(Transport::Full)
    } else {
        Progress::NotThis
    }
}

/// An unencrypted message of `length` bytes: eight zero bytes for the key, an identifier divisible by four, the length of the body.
fn unencrypted(bytes: &[u8], length: usize) -> Progress<()> {
    let key = bytes.get(..8.min(bytes.len())).unwrap_or_default();
    if length < 20 || key.iter().any(|byte| *byte != 0) {
        return Progress::NotThis;
    }
    let Some([low, _, _, _, _, _, _, _, a, b, c, d]) = bytes.get(8..20) else {
        return Progress::NeedMore;
    };
    if low % 4 == 0 && u32::from_le_bytes([*a, *b, *c, *d]) as usize == length - 20 {
        Progress::Done {
            message: (),
            used: 20,
        }
    } else {
        Progress::NotThis
    }
}

fn obfuscated(bytes: &[u8]) -> Progress<MtprotoHello> {
    // Openings that clients never use, so that the conversation is not taken for another one.
    let reserved = matches!(
        bytes,
        [b'H', b'E', b'A', b'D', ..]
            | [b'P', b'O', b'S', b'T', ..]
            | [b'G', b'E', b'T', b' ', ..]
            | [b'O', b'P', b'T', b'I', ..]
            | [0x16, 0x03, ..]
            | [_, _, _, _, 0, 0, 0, 0, ..]
    );
    // Text of another protocol need not wait for 64 bytes: sixteen printable ones in a row are no random opening.
    let text = (bytes.first_chunk::<16>()).is_some_and(|head| {
        head.iter()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'))
    });
    if reserved || text {
        return Progress::NotThis;
    }
    let Some(opening) = bytes.first_chunk::<OPENING>() else {
        return Progress::NeedMore;
    };
    let mut plain = *opening;
    let key = (opening.get(8..40)).and_then(|key| <[u8; 32]>::try_from(key).ok());
    let counter = (opening.get(40..56)).and_then(|counter| <[u8; 16]>::try_from(counter).ok());
    let (Some(key), Some(counter)) = (key, counter) else {
        return Progress::NotThis;
    };
    ctr::Ctr128BE::<aes::Aes256>::new(&key.into(), &counter.into()).apply_keystream(&mut plain);
    let transport = match plain.get(56..60) {
        Some([0xef, 0xef, 0xef, 0xef]) => Transport::Abridged,
        Some([0xee, 0xee, 0xee, 0xee]) => Transport::Intermediate,
        Some([0xdd, 0xdd, 0xdd, 0xdd]) => Transport::PaddedIntermediate,
        _ => return Progress::NotThis,
    };
    Progress::Done {
        message: MtprotoHello {
            transport,
            obfuscated: true,
        },
        used: OPENING,
    }
}

/// What a datagram to or from a reflector of Telegram's calls is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reflector {
    /// The client asks whether the reflector is there (40 bytes).
    Ping,
    /// The reflector's answer, or another of its service messages.
    Reply,
}

/// Tells a reflector's service message: a 16-byte peer tag, twelve bytes `ff`, and for a ping `fe ff ff ff` and eight random bytes
/// (measured on public captures; libtgvoip, `EndpointType::UDP_RELAY`).
#[must_use]
pub fn reflector(payload: &[u8]) -> Option<Reflector> {
    /// The longest service message seen is 64 bytes; media that starts with the tag never has twelve `ff` there.
    const LENGTHS: std::ops::RangeInclusive<usize> = 32..=96;
    let tag = payload.get(..16)?;
    let rest = payload.get(16..)?.strip_prefix(&[0xff; 12])?;
    // Padding and wake-on-LAN packets are full of ff as well.
    let random_tag = tag
        .iter()
        .filter(|byte| **byte != 0xff && **byte != 0)
        .count()
        >= 8;
    if !LENGTHS.contains(&payload.len()) || !random_tag {
        return None;
    }
    match rest {
        [0xfe, 0xff, 0xff, 0xff, query @ ..] if query.len() == 8 => Some(Reflector::Ping),
        _ => Some(Reflector::Reply),
    }
}

/// Holds for all inputs: a decision stands whatever follows, except that four frames may still come. For tests and fuzzing.
///
/// # Panics
/// When the property is violated.
pub fn assert_decisions_stand(bytes: &[u8]) {
    let whole = client_hello(bytes);
    for cut in 0..bytes.len().min(96) {
        match client_hello(bytes.get(..cut).unwrap_or_default()) {
            Progress::NeedMore => {}
            decided => assert_eq!(decided, whole, "after {cut} bytes"),
        }
    }
    let _ = reflector(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::bytes;

    fn transport(bytes: &[u8]) -> Option<(Transport, bool)> {
        match client_hello(bytes) {
            Progress::Done { message, .. } => Some((message.transport, message.obfuscated)),
            _ => None,
        }
    }

    /// An unencrypted `req_pq_multi`: no key, an identifier, 20 bytes of body.
    fn request() -> Vec<u8> {
        bytes(
            "0000000000000000 04000000aabbccdd 14000000 f18e7ebe 00112233445566778899aabbccddeeff",
        )
    }

    /// An opening as a client makes it: random bytes, of which 56 to 60 are replaced so that they decrypt to `inside`.
    fn opening(seed: u8, inside: [u8; 4]) -> Vec<u8> {
        let mut opening: Vec<u8> = (0..64_u8)
            .map(|i| i.wrapping_mul(167).wrapping_add(seed) ^ 0x5c)
            .collect();
        let mut stream = [0_u8; 64];
        let key: [u8; 32] = opening[8..40].try_into().unwrap();
        let counter: [u8; 16] = opening[40..56].try_into().unwrap();
        ctr::Ctr128BE::<aes::Aes256>::new(&key.into(), &counter.into())
            .apply_keystream(&mut stream);
        for (at, byte) in inside.into_iter().enumerate() {
            opening[56 + at] = stream[56 + at] ^ byte;
        }
        opening
    }

    #[test]
    fn the_obfuscated_opening_is_its_own_key() {
        assert_eq!(
            transport(&opening(3, [0xef; 4])),
            Some((Transport::Abridged, true))
        );
        assert_eq!(
            transport(&opening(9, [0xee; 4])),
            Some((Transport::Intermediate, true))
        );
        assert_eq!(
            transport(&opening(77, [0xdd; 4])),
            Some((Transport::PaddedIntermediate, true))
        );
        assert_eq!(
            client_hello(&opening(3, [0xef, 0xef, 0xef, 0xee])),
            Progress::NotThis
        );
        assert_eq!(
            client_hello(&opening(3, [0xef; 4])[..63]),
            Progress::NeedMore
        );
    }

    #[test]
    fn random_bytes_are_not_telegram() {
        let mut state = 0x1234_5678_u32;
        for _ in 0..2_000 {
            let noise: Vec<u8> = (0..64)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            assert_eq!(transport(&noise), None);
        }
    }

    #[test]
    fn the_transports_in_clear_are_recognised() {
        let abridged = [&[0xef, 10][..], &request()].concat();
        assert_eq!(transport(&abridged), Some((Transport::Abridged, false)));
        let intermediate = [&[0xee, 0xee, 0xee, 0xee, 40, 0, 0, 0][..], &request()].concat();
        assert_eq!(
            transport(&intermediate),
            Some((Transport::Intermediate, false))
        );
        let padded = [&[0xdd, 0xdd, 0xdd, 0xdd, 43, 0, 0, 0][..], &request()].concat();
        assert_eq!(
            transport(&padded),
            Some((Transport::PaddedIntermediate, false))
        );
        let mut full = [&[52, 0, 0, 0, 0, 0, 0, 0][..], &request()].concat();
        let mut sum = flate2::Crc::new();
        sum.update(&full);
        full.extend(sum.sum().to_le_bytes());
        assert_eq!(transport(&full), Some((Transport::Full, false)));
        full[20] ^= 1;
        assert_eq!(transport(&full), None);
    }

    #[test]
    fn a_stream_that_merely_starts_with_ef_is_not_telegram() {
        assert_eq!(
            client_hello(&bytes("ef0a0102030405060708090a0b0c")),
            Progress::NeedMore
        );
        let two_frames = [&[0xef, 0x0a][..], &[7; 40], &[0x0b, 1, 2]].concat();
        assert_eq!(client_hello(&two_frames), Progress::NotThis);
        assert_eq!(
            client_hello(&bytes("ef0b0102030405060708090a0b0c")),
            Progress::NotThis
        );
        assert_eq!(client_hello(&bytes("ef01")), Progress::NotThis);
    }

    #[test]
    fn well_known_openings_are_refused_at_once() {
        for other in ["GET / HTTP/1.1", "POST /", "HEAD /x", "\u{16}\u{3}\u{1}  "] {
            assert_eq!(client_hello(other.as_bytes()), Progress::NotThis, "{other}");
        }
    }

    #[test]
    fn reflectors_are_told_by_tag_and_ff() {
        let ping = bytes(
            "dc4c00291565b7acbc236da9eda0d597fffffffffffffffffffffffffeffffffd5609cc22e447d5c",
        );
        assert_eq!(reflector(&ping), Some(Reflector::Ping));
        let reply = bytes(
            "dc4c00291565b7acbc236da9eda0d597ffffffffffffffffffffffffc77215c060dab25e078e25c2d9fc48a000000000000000000000ffff570bcdc35ddc0000",
        );
        assert_eq!(reflector(&reply), Some(Reflector::Reply));
        assert_eq!(reflector(&[0xff; 40]), None);
        let media = bytes(
            "dc4c00291565b7acbc236da9eda0d597317db64a86f15cbd99cfa1b6d4df04b514283de73c8a7247",
        );
        assert_eq!(reflector(&media), None);
    }

    proptest::proptest! {
        #[test]
        fn decisions_stand_for_any_bytes(head in proptest::sample::select(vec![0x00_u8, 0x34, 0xdd, 0xee, 0xef]), times in 0_usize..5, tail in proptest::collection::vec(0_u8.., 0..160)) {
            let mut input = vec![head; times];
            input.extend(tail);
            assert_decisions_stand(&input);
        }
    }
}
