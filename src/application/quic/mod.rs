//! QUIC: opens a client's Initials as anybody on the path can, and reads the hello inside.

mod crypto;
mod google;
mod header;
mod keys;

use super::tls::client_hello::{ClientHello, Over, host_name};
use super::{Application, Arrival, Recognised};
use crate::types::Side;
use header::{Kind, Long};
use keys::Keys;

/// Packets that are tried with keys: a hello takes one to five, loss and retries a few more.
const MAX_INITIALS: u8 = 32;

/// Keys that are derived for a flow at most: of the first id, after Retry, and for whoever reuses the ports.
const MAX_DERIVATIONS: u8 = 8;

/// A datagram that carries a client's Initial is at least this long (RFC 9000, section 14.1).
const MIN_INITIAL_DATAGRAM: usize = 1200;

/// Whether a datagram is QUIC: a long header of a known version, version negotiation, one of Google's, or an unknown version in a datagram as
/// long as clients must make them.
///
/// Short headers say nothing: a capture that began late shows no QUIC.
pub(super) fn is_quic(datagram: &[u8]) -> bool {
    match *datagram {
        // the invariants and a little more, before anything is parsed
        [first, a, b, c, d, destination, ..] if first & 0x80 != 0 && destination <= 20 => {
            let version = u32::from_be_bytes([a, b, c, d]);
            google::is_google(datagram)
                || header::long(datagram).is_some_and(|(long, _)| match long.kind {
                    // a list of versions, to an id that the client chose or left empty
                    Kind::VersionNegotiation => is_negotiation(datagram),
                    // versions that force a negotiation (RFC 9000, section 15), and what may be deployed one day
                    Kind::Unknown => {
                        first & 0x40 != 0
                            && datagram.len() >= MIN_INITIAL_DATAGRAM
                            && destination >= 8
                            && version & 0x0f0f_0f0f == 0x0a0a_0a0a
                    }
                    _ => true,
                })
        }
        _ => google::is_google(datagram),
    }
}

/// Whether this is a Version Negotiation packet that names at least one version anybody knows (RFC 9000, section 17.2.1).
fn is_negotiation(datagram: &[u8]) -> bool {
    let after_ids = || {
        let rest = datagram.get(5..)?;
        let (&length, rest) = rest.split_first()?;
        let rest = rest.get(usize::from(length)..)?;
        let (&length, rest) = rest.split_first()?;
        rest.get(usize::from(length)..)
    };
    after_ids().is_some_and(|versions| {
        versions.len() % 4 == 0
            && versions.chunks_exact(4).any(|version| {
                version.first_chunk().is_some_and(|version| {
                    keys::profile(u32::from_be_bytes(*version)).is_some()
                        || version.starts_with(b"Q0")
                })
            })
    })
}

/// One flow's QUIC.
#[derive(Default)]
pub(super) struct Connection {
    /// The keys that fit last.
    keys: Option<Keys>,
    stream: crypto::Stream,
    initials: u8,
    derivations: u8,
    /// Whether there is nothing more to learn of the client.
    hello_done: bool,
    datagrams: u16,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("initials", &self.initials)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Takes a datagram. True when nothing that comes can change the answer.
    pub(super) fn datagram(
        &mut self,
        datagram: &[u8],
        whole: bool,
        arrival: &Arrival,
        found: &mut Recognised,
    ) -> bool {
        found.application = Application::Quic;
        self.datagrams = self.datagrams.saturating_add(1);
        if found.client.is_some_and(|client| client != arrival.side) {
            // Any long header is an answer; so is a short one, or Google's without its version, once the client is known.
            if found.server_hello_frame.is_none() {
                found.server_hello_frame = Some(arrival.frame);
            }
        } else if !self.hello_done {
            self.client_datagram(datagram, whole, arrival, found);
        }
        let answered = found.server_hello_frame.is_some();
        // A flow of which the hello was missed: its client goes on without Initials.
        (self.hello_done && answered) || self.datagrams >= 4 * u16::from(MAX_INITIALS)
    }

    /// Takes a datagram that may be a client's.
    fn client_datagram(
        &mut self,
        datagram: &[u8],
        whole: bool,
        arrival: &Arrival,
        found: &mut Recognised,
    ) {
        if google::is_google(datagram)
            && let Some(hello) = google::hello(datagram)
        {
            self.google_hello(hello, arrival, found);
            return;
        }
        let mut rest = datagram;
        while let Some((long, after)) = header::long(rest) {
            rest = after;
            // A cut packet cannot be opened: its end, the tag, is missing.
            let cut = !whole && after.is_empty();
            if long.kind == Kind::Initial && !cut {
                self.initial(&long, arrival, found);
            }
            if self.hello_done {
                break;
            }
        }
    }

    /// Tries to open an Initial, first with the keys at hand.
    fn initial(&mut self, long: &Long<'_>, arrival: &Arrival, found: &mut Recognised) {
        let Some(profile) = long.profile else {
            return;
        };
        if self.initials >= MAX_INITIALS {
            self.hello_done = true;
            (self.keys, self.stream) = (None, crypto::Stream::default());
            return;
        }
        self.initials += 1;
        let mut scratch = Vec::new();
        let known = self.keys.as_ref();
        let mut opened =
            known.and_then(|keys| keys.open(long.packet, long.number_at, &mut scratch));
        // The first one, or another destination: after a Retry, after negotiation, or another connection on the same ports.
        if opened.is_none() && self.derivations < MAX_DERIVATIONS {
            self.derivations += 1;
            if let Some(keys) = Keys::client(profile, long.destination) {
                opened = keys.open(long.packet, long.number_at, &mut scratch);
                if opened.is_some() {
                    self.keys = Some(keys);
                    self.stream = crypto::Stream::default();
                }
            }
        }
        let Some(frames) = opened.and_then(|range| scratch.get(range)) else {
            return;
        };
        found.client.get_or_insert(arrival.side);
        let stream = &mut self.stream;
        let _ = crypto::frames(frames, profile.google_frames, |offset, piece| {
            stream.insert(offset, piece);
        });
        self.hello(arrival, found);
    }

    /// Reads the hello if it is complete.
    fn hello(&mut self, arrival: &Arrival, found: &mut Recognised) {
        let message = self.stream.prefix();
        if message.starts_with(b"CHLO") {
            let message = message.to_vec();
            self.google_hello(&message, arrival, found);
            return;
        }
        let &[kind, high, middle, low, ref body @ ..] = message else {
            return;
        };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if kind != 1 {
            self.hello_done = true;
            return;
        }
        let Some(body) = body.get(..length) else {
            return;
        };
        if let Some(hello) = ClientHello::read(body, Over::Quic) {
            note(found, arrival);
            found.tls_version =
                super::tls::client_hello::version_name(hello.version).map(str::to_owned);
            found.sni = hello.name;
            found.alpn = hello.alpn;
            found.ja4 = Some(hello.ja4);
            found.ech = hello.ech;
        }
        self.hello_done = true;
        (self.keys, self.stream) = (None, crypto::Stream::default());
    }

    /// Reads a hello in Google's own form.
    fn google_hello(&mut self, hello: &[u8], arrival: &Arrival, found: &mut Recognised) {
        note(found, arrival);
        found.sni = google::server_name(hello).and_then(host_name);
        self.hello_done = true;
        (self.keys, self.stream) = (None, crypto::Stream::default());
    }
}

/// Notes where and when the hello was complete.
fn note(found: &mut Recognised, arrival: &Arrival) {
    let client: Side = arrival.side;
    found.client.get_or_insert(client);
    found.hello_frame = Some(arrival.frame);
    found.hello_time = Some(arrival.time);
}

#[cfg(test)]
pub(super) mod tests {
    use super::keys::tests::seal;
    use super::*;
    use crate::application::tls::client_hello::tests::ordinary;
    use crate::application::{Appetite, DatagramRecogniser, datagram_may_start};
    use crate::types::{FlowKey, Frame, Timestamp};
    use proptest::prelude::*;

    /// Bytes from hexadecimal digits, white space ignored.
    pub(super) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
        digits
            .chunks(2)
            .map(|pair| value(pair[0]) << 4 | value(pair[1]))
            .collect()
    }

    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    /// The frames of the clients' example packets (RFC 9001 and RFC 9369, appendix A.2), padded.
    fn example_frames() -> Vec<u8> {
        let mut frames = hex(
            "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113
             02010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d00170018001000070005
             04616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce1
             5d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c0002400100
             3900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806
             048000ffff",
        );
        frames.resize(1162, 0);
        frames
    }

    /// A client's Initial: keys from `key_id`, sent to `destination`.
    fn initial(version: u32, key_id: &[u8], destination: &[u8], frames: &[u8]) -> Vec<u8> {
        let turned = if version == 0x6b33_43cf { 0x10 } else { 0 };
        let mut header = vec![0xc1 | turned];
        header.extend_from_slice(&version.to_be_bytes());
        header.push(destination.len() as u8);
        header.extend_from_slice(destination);
        header.extend_from_slice(&[0, 0]);
        header.extend_from_slice(&(0x4000 | (2 + frames.len() as u16 + 16)).to_be_bytes());
        header.extend_from_slice(&[0, 0]);
        seal(version, key_id, &header, frames)
    }

    fn crypto(offset: usize, piece: &[u8]) -> Vec<u8> {
        let mut frame = vec![6];
        for value in [offset, piece.len()] {
            frame.extend_from_slice(&(0x4000 | value as u16).to_be_bytes());
        }
        frame.extend_from_slice(piece);
        frame
    }

    fn message(name: &str) -> Vec<u8> {
        let body = ordinary(name);
        let mut message = vec![1, 0];
        message.extend_from_slice(&(body.len() as u16).to_be_bytes());
        message.extend_from_slice(&body);
        message
    }

    /// Feeds datagrams; frames count from 1.
    fn recognise(datagrams: &[(Side, &[u8])]) -> (Recognised, Appetite) {
        let mut recogniser = DatagramRecogniser::new(&FlowKey::default());
        let mut appetite = Appetite::Hungry;
        for (i, (side, datagram)) in datagrams.iter().enumerate() {
            let frame = Frame::new(0, i as u64 + 1);
            appetite = recogniser.datagram(*side, datagram, true, frame, Timestamp(i as i64));
        }
        (recogniser.finish(), appetite)
    }

    #[test]
    fn the_clients_example_packets_give_their_name() {
        for (version, head, tail) in [
            (
                1,
                "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c",
                "e221af44860018ab0856972e194cd934",
            ),
            (
                0x6b33_43cf_u32,
                "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c",
                "a18b2faa745b6fe189cf772a9f84cbfc",
            ),
        ] {
            let first = if version == 1 { 0xc3 } else { 0xd3 };
            let mut header = vec![first];
            header.extend_from_slice(&version.to_be_bytes());
            header.push(8);
            header.extend_from_slice(&ID);
            header.extend_from_slice(&[0, 0, 0x44, 0x9e, 0, 0, 0, 2]);
            let packet = seal4(version, &header);
            assert_eq!(packet[..48], hex(head));
            assert_eq!(packet[packet.len() - 16..], hex(tail));
            assert!(datagram_may_start(&packet, (50_000, 443)));
            let (found, _) = recognise(&[(Side::A, &packet)]);
            assert_eq!(found.application, Application::Quic);
            assert_eq!(found.sni.as_deref(), Some("example.com"));
            assert_eq!(found.alpn, ["alpn"]);
            assert_eq!(found.tls_version.as_deref(), Some("1.3"));
            assert!(found.ja4.is_some_and(|ja4| ja4.starts_with("q13d0211an_")));
            assert_eq!(found.hello_frame, Some(Frame::new(0, 1)));
        }
    }

    /// The examples have a packet number of four bytes.
    fn seal4(version: u32, header: &[u8]) -> Vec<u8> {
        super::keys::tests::seal_with(version, &ID, header, 4, &example_frames())
    }

    #[test]
    fn a_hello_in_pieces_over_datagrams_in_any_order_is_whole() {
        let hello = message("web.whatsapp.com");
        let (first, second) = hello.split_at(60);
        let late = initial(1, &ID, &ID, &[crypto(60, second), vec![0; 30]].concat());
        let early = initial(1, &ID, &ID, &[vec![1, 0, 0], crypto(0, first)].concat());
        let (found, _) = recognise(&[(Side::A, &late), (Side::A, &late), (Side::A, &early)]);
        assert_eq!(found.sni.as_deref(), Some("web.whatsapp.com"));
        assert_eq!(found.hello_frame, Some(Frame::new(0, 3)));
        let both = [early, late].concat();
        let (found, _) = recognise(&[(Side::A, &both)]);
        assert_eq!(found.sni.as_deref(), Some("web.whatsapp.com"));
    }

    #[test]
    fn the_servers_choice_of_id_keeps_the_keys_and_a_retry_makes_new_ones() {
        let hello = message("signal.org");
        let (first, second) = hello.split_at(60);
        let one = initial(1, &ID, &ID, &crypto(0, first));
        let chosen = [9; 5];
        let two = initial(1, &ID, &chosen, &crypto(60, second));
        let (found, _) = recognise(&[(Side::A, &one), (Side::A, &two)]);
        assert_eq!(found.sni.as_deref(), Some("signal.org"));
        let retried = initial(1, &chosen, &chosen, &crypto(0, &hello));
        let (found, appetite) = recognise(&[
            (Side::A, &one),
            (Side::B, &[0xf0, 0, 0, 0, 1, 0, 0]),
            (Side::A, &retried),
        ]);
        assert_eq!(found.sni.as_deref(), Some("signal.org"));
        assert_eq!(found.server_hello_frame, Some(Frame::new(0, 2)));
        assert_eq!(appetite, Appetite::Full);
    }

    #[test]
    fn another_connection_on_the_same_ports_starts_afresh() {
        let hello = message("signal.org");
        let other = message("telegram.org");
        let one = initial(1, &ID, &ID, &crypto(0, &hello[..60]));
        let id = [4; 8];
        let two = initial(1, &id, &id, &crypto(0, &other));
        let (found, _) = recognise(&[(Side::A, &one), (Side::A, &two)]);
        assert_eq!(found.sni.as_deref(), Some("telegram.org"));
    }

    #[test]
    fn a_cut_initial_is_quic_without_a_name() {
        let packet = initial(1, &ID, &ID, &crypto(0, &message("signal.org")));
        let mut recogniser = DatagramRecogniser::new(&FlowKey::default());
        recogniser.datagram(
            Side::A,
            &packet[..96],
            false,
            Frame::new(0, 1),
            Timestamp(0),
        );
        let found = recogniser.finish();
        assert_eq!((found.application, found.sni), (Application::Quic, None));
    }

    #[test]
    fn googles_old_form_gives_its_name() {
        let mut datagram = vec![0x09, 1, 2, 3, 4, 5, 6, 7, 8];
        datagram.extend_from_slice(b"Q043\x01");
        datagram.extend_from_slice(&[0; 16]);
        datagram.extend_from_slice(b"CHLO\x01\0\0\0SNI\0\x06\0\0\0max.ru");
        let (found, appetite) = recognise(&[(Side::B, &datagram), (Side::A, &[0; 40])]);
        assert_eq!(found.sni.as_deref(), Some("max.ru"));
        assert_eq!(found.client, Some(Side::B));
        assert_eq!(appetite, Appetite::Full);
    }

    #[test]
    fn other_datagrams_are_not_wanted() {
        for datagram in [
            &[][..],
            &[0; 1200],
            &[0x80; 20],
            &[0xff; 1300],
            b"\xc0\0\0\0\0\0\0",
        ] {
            assert!(!is_quic(datagram));
        }
        let negotiation = hex("8b 00000000 00 08 f067a5502a4262b5 00000001 1a2a3a4a");
        assert!(is_quic(&negotiation));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release quic_initial -- --ignored --nocapture"]
    fn measure_quic_initial() {
        const ROUNDS: u32 = 20_000;
        let mut frames = crypto(0, &message("web.whatsapp.com"));
        frames.resize(1162, 0);
        let packet = initial(1, &ID, &ID, &frames);
        #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let (found, _) = recognise(&[(Side::A, std::hint::black_box(&packet))]);
            assert!(found.sni.is_some());
        }
        eprintln!("{:?} a hello in one Initial", start.elapsed() / ROUNDS);
        #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let profile = keys::profile(1).unwrap();
            std::hint::black_box(Keys::client(profile, std::hint::black_box(&ID)));
        }
        eprintln!("{:?} of it for the keys", start.elapsed() / ROUNDS);
    }

    proptest! {
        #[test]
        fn any_datagrams_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            crate::application::fuzz_datagram(&bytes);
        }

        #[test]
        fn nearly_quic_ends_too(
            version in prop_oneof![Just(1_u32), Just(0x6b33_43cf), Just(0x5130_3530), Just(0)],
            frames in proptest::collection::vec(any::<u8>(), 20..200),
            flip in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let mut packet = if version == 0 {
                initial(1, &ID, &ID, &frames)
            } else {
                initial(version, &ID, &ID, &frames)
            };
            if version == 0 {
                let place = flip.index(packet.len());
                packet[place] = value;
            }
            let mut bytes = (packet.len() as u16).to_be_bytes().to_vec();
            bytes.extend_from_slice(&packet);
            crate::application::fuzz_datagram(&bytes);
        }
    }
}
