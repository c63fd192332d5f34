//! WhatsApp's own transport: a Noise handshake behind a short prologue, on any port and never inside TLS.
//!
//! ```text
//! client: [ "ED" 00 01 | length:3 | routing ]  "WA" major minor | length:3 | 12 <len> 0a 20 <32-byte key> ...
//! server:                                                         length:3 | 1a <len> 0a 20 <32-byte key> ...
//! ```
//! The frames hold a protobuf `HandshakeMessage` (whatsmeow, `waWa6`): field 2 is the client's hello, field 3 the server's, and field 1 of
//! either is a 32-byte ephemeral key. Android clients send the first four bytes as a packet of their own, so only the stream tells.

use super::{Application, Arrival, Progress, Recognised};

/// The longest routing block that is believed; two and four bytes have been seen, and the length field would allow 2^24.
const MAX_ROUTING: usize = 1_024;

/// The longest handshake frame that is believed. Frames may have 2^24 bytes (whatsmeow, `socket/constants.go`); with post-quantum keys a
/// hello stays below 16 KiB.
const MAX_HELLO: usize = 1 << 14;

/// Protobuf tag of `HandshakeMessage.clientHello`: field 2, length-delimited.
const CLIENT_HELLO: u8 = 0x12;

/// Protobuf tag of `HandshakeMessage.serverHello`: field 3, length-delimited.
const SERVER_HELLO: u8 = 0x1a;

/// The start of a hello: field 1, 32 bytes.
const EPHEMERAL: [u8; 2] = [0x0a, 0x20];

/// What opens a WhatsApp conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoiseHello {
    /// Version after `WA`: (6, 3) is today's, (5, 2) that of 2019, (1, 5) the form before Noise.
    pub version: (u8, u8),
    /// Bytes of routing before it, if any.
    pub routing: Option<usize>,
    /// Length of the first frame.
    pub frame: usize,
}

/// Why a flow is WhatsApp's, for people.
const WHY: (&str, &str) = ("whatsapp", "WhatsApp's Noise handshake");

/// Claims a stream that begins with a hello of either side, and notes it.
pub(super) fn claim(first: &[u8], arrival: &Arrival, found: &mut Recognised) -> Progress<()> {
    let (client, used) = match (client_hello(first), server_hello(first)) {
        (Progress::Done { used, .. }, _) => (true, used),
        (_, Progress::Done { used, .. }) => (false, used),
        (Progress::NotThis, Progress::NotThis) => return Progress::NotThis,
        _ => return Progress::NeedMore,
    };
    found.application = Application::WhatsappNoise;
    found.signature = Some(WHY);
    if client {
        found.client = Some(arrival.side);
        found.hello_frame = Some(arrival.frame);
        found.hello_time = Some(arrival.time);
        found.hello_end = used as u32;
    } else {
        found.client = found.client.or(Some(arrival.side.other()));
        found.server_hello_frame = Some(arrival.frame);
    }
    Progress::Done { message: (), used }
}

/// The client's prologue and the head of its hello.
#[must_use]
pub fn client_hello(bytes: &[u8]) -> Progress<NoiseHello> {
    let (routing, rest) = match prologue(bytes) {
        Progress::Done { message, used } => (Some(message), bytes.get(used..).unwrap_or_default()),
        Progress::NeedMore => return Progress::NeedMore,
        Progress::NotThis => (None, bytes),
    };
    let skipped = bytes.len() - rest.len();
    match *rest {
        [b'W', b'A', major, minor, ref frame @ ..] => {
            let head = match major {
                1 => old_frame(frame),
                2..=32 => hello(frame, CLIENT_HELLO),
                _ => return Progress::NotThis,
            };
            match head {
                Progress::Done { message, used } => Progress::Done {
                    message: NoiseHello {
                        version: (major, minor),
                        routing,
                        frame: message,
                    },
                    used: skipped + 4 + used,
                },
                Progress::NeedMore => Progress::NeedMore,
                Progress::NotThis => Progress::NotThis,
            }
        }
        [b'W', b'A', 1..=32] | [b'W', b'A'] | [b'W'] | [] => Progress::NeedMore,
        _ => Progress::NotThis,
    }
}

/// The head of the server's hello; gives the length of its frame.
#[must_use]
pub fn server_hello(bytes: &[u8]) -> Progress<usize> {
    hello(bytes, SERVER_HELLO)
}

/// `ED 00 01`, a length, and that many bytes: how the client asks to be routed to the data centre that knows it.
fn prologue(bytes: &[u8]) -> Progress<usize> {
    match *bytes {
        [b'E', b'D', 0, 1, high, middle, low, ref rest @ ..] => {
            match u32::from_be_bytes([0, high, middle, low]) as usize {
                length if length > MAX_ROUTING => Progress::NotThis,
                length if rest.len() < length => Progress::NeedMore,
                length => Progress::Done {
                    message: length,
                    used: 7 + length,
                },
            }
        }
        [b'E', b'D', 0, 1, ..] | [b'E', b'D', 0] | [b'E', b'D'] | [b'E'] => Progress::NeedMore,
        _ => Progress::NotThis,
    }
}

/// Length and first fields of a frame that holds a hello with the protobuf tag `tag`.
fn hello(bytes: &[u8], tag: u8) -> Progress<usize> {
    let [high, middle, low, ref frame @ ..] = *bytes else {
        return match *bytes {
            [] | [0] | [0, _] => Progress::NeedMore,
            _ => Progress::NotThis,
        };
    };
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    if !(4 + 32..=MAX_HELLO).contains(&length) {
        return Progress::NotThis;
    }
    match frame {
        [] => return Progress::NeedMore,
        [first, ..] if *first != tag => return Progress::NotThis,
        _ => {}
    }
    // A protobuf varint; a hello of at most 2^14 bytes takes up to two bytes, a third is tolerated.
    let mut inner = 0_usize;
    let mut at = 1;
    loop {
        let Some(byte) = frame.get(at) else {
            return Progress::NeedMore;
        };
        inner |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at > 3 {
            return Progress::NotThis;
        }
    }
    // The hello may be followed by fields that are not known yet, but it cannot reach beyond its frame.
    if inner < 2 + 32 || at + inner > length {
        return Progress::NotThis;
    }
    match frame.get(at..) {
        Some([a, b, ..]) if [*a, *b] == EPHEMERAL => Progress::Done {
            message: length,
            used: 3 + at + 2,
        },
        Some([a]) if *a == 0x0a => Progress::NeedMore,
        Some([]) | None => Progress::NeedMore,
        Some(_) => Progress::NotThis,
    }
}

/// The first frame of the protocol before Noise (until about 2016): flags, a 16-bit length, and a list of `FunXMPP` tokens (`f8`).
fn old_frame(bytes: &[u8]) -> Progress<usize> {
    match *bytes {
        [0, high, low, 0xf8, ..] => Progress::Done {
            message: usize::from(u16::from_be_bytes([high, low])),
            used: 4,
        },
        [0, _, _] | [0, _] | [0] | [] => Progress::NeedMore,
        _ => Progress::NotThis,
    }
}

/// Holds for all inputs: a decision stands whatever follows, and `used` lies within the input. For tests and fuzzing.
///
/// # Panics
/// When the property is violated.
pub fn assert_decisions_stand(bytes: &[u8]) {
    let whole = client_hello(bytes);
    for cut in 0..bytes.len().min(64) {
        match client_hello(bytes.get(..cut).unwrap_or_default()) {
            Progress::NeedMore => {}
            decided => assert_eq!(decided, whole, "after {cut} bytes"),
        }
    }
    if let Progress::Done { used, .. } = whole {
        assert!(used <= bytes.len());
    }
    if let Progress::Done { used, .. } = server_hello(bytes) {
        assert!(used <= bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::{bytes, capture, streams};

    fn done(hex: &str) -> NoiseHello {
        match client_hello(&bytes(hex)) {
            Progress::Done { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_forms_seen_in_captures_are_recognised() {
        let ios = done("454400010000040805080257410201 0000ee12eb010a20aabb");
        assert_eq!(
            (ios.version, ios.routing, ios.frame),
            ((2, 1), Some(4), 0xee)
        );
        let android = done("45440001000004080908025741050200010e128b020a2038fb");
        assert_eq!(
            (android.version, android.routing, android.frame),
            ((5, 2), Some(4), 0x10e)
        );
        let web = done("57410603000027 1225 0a20ffee");
        assert_eq!((web.version, web.routing), ((6, 3), None));
        let old = done("5741010500001af80501a59189fc");
        assert_eq!(old.version, (1, 5));
    }

    #[test]
    fn the_server_answers_in_field_three() {
        let Progress::Done { message, used } = server_hello(&bytes("0000361a340a20ff")) else {
            panic!("not seen")
        };
        assert_eq!((message, used), (0x36, 7));
        assert_eq!(server_hello(&bytes("0000361234")), Progress::NotThis);
    }

    #[test]
    fn any_cut_waits_and_none_is_refused() {
        let whole = bytes("45440001000004080908025741050200010e128b020a2038fb");
        for cut in 0..whole.len() - 2 {
            assert_eq!(client_hello(&whole[..cut]), Progress::NeedMore, "{cut}");
        }
    }

    #[test]
    fn others_are_refused_at_the_first_byte_that_differs() {
        for other in [
            "16",
            "474554",
            "57414c4c",
            "454401",
            "4544000100ffff",
            "5741ff",
            "57410603000001",
            "574106030001001a",
            "57410603000100120300",
            "00",
        ] {
            assert_eq!(client_hello(&bytes(other)), Progress::NotThis, "{other}");
        }
    }

    #[test]
    fn every_chat_of_real_captures_is_recognised_from_its_stream() {
        // Conversations that are captured from their start, by capture: 86 of Android in 2019, 1 of iOS and 5 of Android in 2014.
        for (name, chats) in [
            ("ndpi__whatsapp.pcap", 86),
            ("ndpi__whatsapp_login_chat.pcap", 1),
            ("ndpi__whatsapp_voice_and_message.pcap", 5),
        ] {
            let Some(packets) = capture(name) else { return };
            let found = (streams(&packets, 2_000).iter())
                .filter(|stream| matches!(client_hello(&stream.bytes), Progress::Done { .. }))
                .count();
            assert_eq!(found, chats, "{name}");
        }
    }

    #[test]
    fn conversations_of_others_are_not_taken_for_whatsapp() {
        for name in [
            "ndpi__threema.pcap",
            "matousp__viber2.pcapng",
            "ndpi__telegram.pcap",
            "ndpi__snapchat.pcap",
            "ndpi__KakaoTalk_chat.pcap",
            "ndpi__line.pcap",
        ] {
            let Some(packets) = capture(name) else { return };
            for stream in streams(&packets, 2_000) {
                let decided = client_hello(&stream.bytes);
                assert!(
                    !matches!(decided, Progress::Done { .. }),
                    "{name} {:?}",
                    stream.from
                );
                assert!(
                    !matches!(server_hello(&stream.bytes), Progress::Done { .. }),
                    "{name} {:?}",
                    stream.from
                );
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn decisions_stand_for_any_bytes(head in 0_usize..8, tail in proptest::collection::vec(0_u8.., 0..64)) {
            let mut input = bytes("45440001000004080908025741050200010e128b020a20");
            input.truncate(head * 3);
            input.extend(tail);
            assert_decisions_stand(&input);
        }
    }
}
