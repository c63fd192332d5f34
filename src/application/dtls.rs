//! DTLS records and handshake headers (RFC 6347, RFC 9147): enough to see a hello, its answer, and a hello that gets none.

use std::fmt;

use crate::types::Frame;

/// Records of one datagram that are looked at.
const MAX_RECORDS: usize = 16;

/// The longest hello that is put together.
const MAX_HELLO: usize = 1 << 14;

/// A version as on the wire: the ones' complement of its number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DtlsVersion(pub u16);

impl DtlsVersion {
    /// DTLS 1.0.
    pub const V1_0: Self = Self(0xfeff);
    /// DTLS 1.2.
    pub const V1_2: Self = Self(0xfefd);
    /// DTLS 1.3; stands in the supported_versions extension only.
    pub const V1_3: Self = Self(0xfefc);

    const fn is_known(self) -> bool {
        matches!(self, Self::V1_0 | Self::V1_2 | Self::V1_3)
    }
}

impl fmt::Display for DtlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V1_0 => f.write_str("1.0"),
            Self::V1_2 => f.write_str("1.2"),
            Self::V1_3 => f.write_str("1.3"),
            Self(other) => write!(f, "{other:04x}"),
        }
    }
}

/// One record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DtlsRecord<'a> {
    /// Content type: 20 change cipher, 21 alert, 22 handshake, 23 data, 25 connection identifier.
    pub content: u8,
    /// Version.
    pub version: DtlsVersion,
    /// Epoch: 0 until keys are agreed.
    pub epoch: u16,
    /// Number within the epoch, 48 bits.
    pub number: u64,
    /// What is inside.
    pub body: &'a [u8],
}

/// The header of a handshake message or of a fragment of one (RFC 6347, section 4.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DtlsHandshake<'a> {
    /// 1 ClientHello, 2 ServerHello, 3 HelloVerifyRequest, 11 Certificate.
    pub message: u8,
    /// Length of the whole message.
    pub length: usize,
    /// Number of the message.
    pub sequence: u16,
    /// Where the fragment begins in it.
    pub offset: usize,
    /// The fragment.
    pub fragment: &'a [u8],
}

/// The records of a datagram, until one is damaged.
pub fn records(payload: &[u8]) -> impl Iterator<Item = DtlsRecord<'_>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<13>()?;
        let [content, v0, v1, e0, e1, n0, n1, n2, n3, n4, n5, l0, l1] = *head;
        let version = DtlsVersion(u16::from_be_bytes([v0, v1]));
        if !(20..=26).contains(&content) || !version.is_known() {
            return None;
        }
        let (body, next) = tail.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = next;
        Some(DtlsRecord {
            content,
            version,
            epoch: u16::from_be_bytes([e0, e1]),
            number: u64::from_be_bytes([0, 0, n0, n1, n2, n3, n4, n5]),
            body,
        })
    })
    .take(MAX_RECORDS)
}

/// Whether a datagram begins with a whole record.
#[must_use]
pub fn is_record(payload: &[u8]) -> bool {
    records(payload).next().is_some()
}

/// The handshake messages in a record in clear.
pub fn handshakes<'a>(record: &DtlsRecord<'a>) -> impl Iterator<Item = DtlsHandshake<'a>> {
    let clear = record.content == 22 && record.epoch == 0;
    let mut rest = if clear { record.body } else { &[] };
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<12>()?;
        let [message, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let offset = u32::from_be_bytes([0, o0, o1, o2]) as usize;
        let (fragment, next) =
            tail.split_at_checked(u32::from_be_bytes([0, f0, f1, f2]) as usize)?;
        if offset + fragment.len() > length {
            return None;
        }
        rest = next;
        Some(DtlsHandshake {
            message,
            length,
            sequence: u16::from_be_bytes([s0, s1]),
            offset,
            fragment,
        })
    })
    .take(MAX_RECORDS)
}

/// A ClientHello as TLS writes it, without the cookie that only DTLS has: what a reader of TLS hellos takes.
///
/// `body` is a whole message: version, random, session, cookie, and the rest, which is as in TLS (RFC 6347, section 4.2.1).
#[must_use]
pub fn hello_without_cookie(body: &[u8]) -> Option<Vec<u8>> {
    let session = usize::from(*body.get(34)?);
    let before = body.get(..35 + session)?;
    let cookie = usize::from(*body.get(35 + session)?);
    let after = body.get(36 + session + cookie..)?;
    Some([before, after].concat())
}

/// What one side's datagrams say of a handshake.
#[derive(Clone, Debug, Default)]
pub struct DtlsSide {
    /// Version of its last record in clear.
    pub version: Option<DtlsVersion>,
    /// The frame that completed its first ClientHello.
    pub client_hello: Option<Frame>,
    /// The frame of its ServerHello.
    pub server_hello: Option<Frame>,
    /// ClientHellos begun: the first, its repetition with a cookie, retries.
    pub hellos: u32,
    /// The frame of its first encrypted record: the handshake worked.
    pub encrypted: Option<Frame>,
    /// Alerts in clear: description code and frame, at most 8.
    pub alerts: Vec<(u8, Frame)>,
    hello: Hello,
}

/// A ClientHello in the making.
#[derive(Clone, Debug, Default)]
struct Hello {
    sequence: u16,
    bytes: Vec<u8>,
    length: usize,
}

impl DtlsSide {
    /// Takes a datagram; gives the body of a ClientHello when it is complete. Fragments count in order, as they are sent.
    pub fn take(&mut self, payload: &[u8], frame: Frame) -> Option<Vec<u8>> {
        let mut complete = None;
        for record in records(payload) {
            if record.epoch > 0 {
                self.encrypted = self.encrypted.or(Some(frame));
                continue;
            }
            self.version = Some(record.version);
            if let (21, &[_, description]) = (record.content, record.body)
                && self.alerts.len() < 8
            {
                self.alerts.push((description, frame));
            }
            for message in handshakes(&record) {
                match message.message {
                    1 => {
                        if message.offset == 0 {
                            self.hellos = self.hellos.saturating_add(1);
                        }
                        if self.hello.take(&message) {
                            self.client_hello = self.client_hello.or(Some(frame));
                            complete = Some(std::mem::take(&mut self.hello.bytes));
                        }
                    }
                    2 => self.server_hello = self.server_hello.or(Some(frame)),
                    _ => {}
                }
            }
        }
        complete
    }
}

impl Hello {
    /// Takes a fragment; true when the message is whole.
    fn take(&mut self, message: &DtlsHandshake<'_>) -> bool {
        if message.offset == 0 {
            *self = Self {
                sequence: message.sequence,
                bytes: Vec::new(),
                length: message.length,
            };
        }
        let next = self.sequence == message.sequence
            && self.length == message.length
            && self.bytes.len() == message.offset;
        if !next || message.length == 0 || message.length > MAX_HELLO {
            return false;
        }
        self.bytes.extend_from_slice(message.fragment);
        self.bytes.len() == self.length
    }
}

/// Holds for all inputs: records and fragments lie within the datagram, and a hello within its bound. For tests and fuzzing.
///
/// # Panics
/// When the property is violated.
pub fn assert_bounds(bytes: &[u8]) {
    let total: usize = records(bytes).map(|record| 13 + record.body.len()).sum();
    assert!(total <= bytes.len());
    let mut side = DtlsSide::default();
    for piece in bytes.chunks(64).chain([bytes]) {
        if let Some(hello) = side.take(piece, Frame::default()) {
            assert!(hello.len() <= MAX_HELLO);
            let _ = hello_without_cookie(&hello);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::{bytes, capture};

    /// A handshake message in a record.
    fn record(message: u8, length: usize, offset: usize, fragment: &[u8]) -> Vec<u8> {
        let three = |number: usize| (number as u32).to_be_bytes()[1..].to_vec();
        let inside = [
            &[message][..],
            &three(length),
            &[0, 0],
            &three(offset),
            &three(fragment.len()),
            fragment,
        ]
        .concat();
        [
            &bytes("16 fefd 0000 000000000001")[..],
            &(inside.len() as u16).to_be_bytes(),
            &inside,
        ]
        .concat()
    }

    #[test]
    fn a_hello_in_fragments_is_put_together() {
        let mut side = DtlsSide::default();
        assert_eq!(side.take(&record(1, 6, 0, b"abc"), Frame::new(0, 1)), None);
        assert_eq!(
            side.take(&record(1, 6, 3, b"def"), Frame::new(0, 2)),
            Some(b"abcdef".to_vec())
        );
        assert_eq!(
            (side.hellos, side.client_hello),
            (1, Some(Frame::new(0, 2)))
        );
        assert_eq!(
            side.version.map(|version| version.to_string()).as_deref(),
            Some("1.2")
        );
    }

    #[test]
    fn a_fragment_beyond_its_message_is_refused() {
        let mut side = DtlsSide::default();
        assert_eq!(side.take(&record(1, 2, 0, b"abc"), Frame::new(0, 1)), None);
        assert_eq!(side.hellos, 0);
    }

    #[test]
    fn the_cookie_is_taken_out() {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([2, 0xaa, 0xbb]);
        body.extend([3, 1, 2, 3]);
        body.extend(b"rest");
        let plain = hello_without_cookie(&body).unwrap();
        assert_eq!(plain.len(), body.len() - 4);
        assert!(plain.ends_with(b"\x02\xaa\xbbrest"));
        assert_eq!(hello_without_cookie(&body[..36]), None);
    }

    #[test]
    fn encrypted_records_are_not_read_as_handshakes() {
        let mut finished = record(1, 3, 0, b"abc");
        finished[4] = 1;
        let mut side = DtlsSide::default();
        assert_eq!(side.take(&finished, Frame::new(0, 3)), None);
        assert_eq!((side.encrypted, side.hellos), (Some(Frame::new(0, 3)), 0));
    }

    #[test]
    fn real_handshakes_are_seen_from_both_sides() {
        for name in [
            "arkime__wireshark-dtls12.pcap",
            "ndpi__dtls_certificate.pcapng",
            "ndpi__stun_dtls_rtp.pcapng",
        ] {
            let Some(packets) = capture(name) else { return };
            let mut all = DtlsSide::default();
            let mut hellos = 0;
            for packet in &packets {
                hellos += u32::from(all.take(&packet.payload, Frame::new(0, 1)).is_some());
            }
            assert!(all.server_hello.is_some() || hellos > 0, "{name}: {all:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn bounds_hold_for_any_bytes(length in 0_u8..90, body in proptest::collection::vec(proptest::sample::select(vec![0_u8, 1, 2, 12, 16, 22, 0xfe, 0xfd]), 0..200)) {
            let mut input = bytes("16 fefd 0000 000000000001 00");
            input.push(length);
            input.extend(body);
            assert_bounds(&input);
        }
    }
}
