//! What one datagram looks like, from its first bytes alone. Runs for every datagram, so it allocates nothing and reads a few words.
//!
//! Protocols of a call share one pair of ports and are told apart by the first byte (RFC 7983, updated by RFC 9443): 0 to 3 STUN, 20 to 63
//! DTLS, 64 to 79 TURN channels, 128 to 191 RTP and RTCP, 192 to 255 QUIC with a long header. Each is checked further where it can be, but
//! one datagram never proves RTP or a short QUIC header: that takes several of one flow.
//!
//! `number` is, of RTP the sequence number, of STUN the transaction identifier folded to 32 bits, of DTLS the record's number (low 32 bits),
//! of DNS the identifier, of a channel its number, of a long QUIC header the version. `stream` is, of RTP and RTCP the source (SSRC), of STUN
//! the message type, of DNS 1 in an answer.

use crate::flow::{Datagram, PacketKind};

/// The magic cookie (RFC 8489, section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const fn shape(kind: PacketKind, number: u32, stream: u32) -> Datagram {
    Datagram {
        kind,
        number,
        stream,
    }
}

/// Tells the shape of a datagram.
#[must_use]
pub fn classify_datagram(payload: &[u8]) -> Datagram {
    let class = match payload.first() {
        None => None,
        Some(0xc0..) => quic_long(payload),
        Some(0x80..) => dns(payload).or_else(|| rtp(payload)),
        Some(0x40..) => (dns(payload).or_else(|| channel_data(payload)))
            .or_else(|| Some(shape(PacketKind::QuicShort, 0, 0))),
        Some(_) => (stun(payload).or_else(|| dtls(payload))).or_else(|| dns(payload)),
    };
    match class {
        Some(class) => class,
        // An identifier of DNS may have any value, and QUIC's fixed bit may be greased (RFC 9287).
        None => dns(payload).unwrap_or(shape(PacketKind::Datagram, 0, 0)),
    }
}

/// The same for a datagram of `wire` bytes that the snap length cut: a STUN message is known by its header, as long as that is whole.
#[must_use]
pub fn classify_cut_datagram(payload: &[u8], wire: u32) -> Datagram {
    let class = classify_datagram(payload);
    if class.kind != PacketKind::Datagram {
        return class;
    }
    let cut = payload.first_chunk::<20>().and_then(|header| {
        let [_, _, l0, l1, c0, c1, c2, c3, ..] = *header;
        let length = u32::from(u16::from_be_bytes([l0, l1]));
        (header[0] < 0x40 && [c0, c1, c2, c3] == COOKIE && length + 20 == wire)
            .then(|| stun_message(header))
    });
    cut.unwrap_or(class)
}

/// RFC 8999, section 5.1; types: RFC 9000, section 17.2, and RFC 9369, section 3.2.
fn quic_long(payload: &[u8]) -> Option<Datagram> {
    let [first, a, b, c, d, destination, ..] = *payload.first_chunk::<7>()?;
    let version = u32::from_be_bytes([a, b, c, d]);
    let kind = match version {
        0x6b33_43cf | 0x709a_50c4 if first & 0x30 == 0x10 => PacketKind::QuicInitial,
        // 0 is version negotiation.
        0 | 0x6b33_43cf | 0x709a_50c4 => PacketKind::QuicLong,
        // Version 1, drafts, mvfst, reserved versions, Google's Q046 to Q050 and T050 on.
        _ if version == 1
            || version & 0xffff_ff00 == 0xff00_0000
            || version & 0xffff_fff0 == 0xface_b000
            || version & 0x0f0f_0f0f == 0x0a0a_0a0a
            || matches!([a, b], [b'Q' | b'T', b'0']) =>
        {
            if first & 0x30 == 0 {
                PacketKind::QuicInitial
            } else {
                PacketKind::QuicLong
            }
        }
        _ => return None,
    };
    // Connection identifiers have at most 20 bytes; Google's versions wrote both lengths into one byte.
    if destination > 20 && a != b'Q' && version != 0 {
        return None;
    }
    Some(shape(kind, version, 0))
}

/// RFC 8489, section 5. Without the cookie (RFC 3489) only binding and shared-secret messages count.
fn stun(payload: &[u8]) -> Option<Datagram> {
    let header = payload.first_chunk::<20>()?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, ..] = *header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // WhatsApp pads nothing, so beside the cookie a length need not be a multiple of four.
    let kind = u16::from_be_bytes([t0, t1]);
    let classic = matches!(kind, 0x0001 | 0x0101 | 0x0111 | 0x0002 | 0x0102 | 0x0112);
    let ours = [c0, c1, c2, c3] == COOKIE || classic && length.is_multiple_of(4);
    (length + 20 == payload.len() && ours).then(|| stun_message(header))
}

/// What the header of a STUN message says.
fn stun_message(header: &[u8; 20]) -> Datagram {
    let [t0, t1, _, _, _, _, _, _, rest @ ..] = *header;
    let [x0, x1, x2, x3, y0, y1, y2, y3, z0, z1, z2, z3] = rest;
    let kind = u16::from_be_bytes([t0, t1]);
    let fold = u32::from_be_bytes([x0, x1, x2, x3])
        ^ u32::from_be_bytes([y0, y1, y2, y3]).rotate_left(11)
        ^ u32::from_be_bytes([z0, z1, z2, z3]).rotate_left(22);
    let class = match kind & 0x0110 {
        0x0000 => PacketKind::StunRequest,
        0x0010 => PacketKind::StunIndication,
        0x0100 => PacketKind::StunSuccess,
        _ => PacketKind::StunError,
    };
    shape(class, fold, u32::from(kind))
}

/// RFC 6347, section 4.1. The unified header of DTLS 1.3 (RFC 9147) cannot be told from other bytes.
fn dtls(payload: &[u8]) -> Option<Datagram> {
    let [content, major, minor, _, _, _, _, s0, s1, s2, s3, l0, l1] =
        *payload.first_chunk::<13>()?;
    let known = matches!(content, 20..=26) && major == 0xfe && matches!(minor, 0xff | 0xfd | 0xfc);
    let fits = 13 + usize::from(u16::from_be_bytes([l0, l1])) <= payload.len();
    if !known || !fits {
        return None;
    }
    let kind = if content == 22 && payload.get(13) == Some(&1) {
        PacketKind::DtlsHello
    } else {
        PacketKind::DtlsOther
    };
    let number = u32::from_be_bytes([s0, s1, s2, s3]);
    Some(shape(kind, number, 0))
}

/// RFC 8656, section 12.4; over UDP the padding may be left out.
fn channel_data(payload: &[u8]) -> Option<Datagram> {
    let [c0, c1, l0, l1] = *payload.first_chunk::<4>()?;
    let length = 4 + usize::from(u16::from_be_bytes([l0, l1]));
    let fits = length == payload.len() || length.next_multiple_of(4) == payload.len();
    let channel = u16::from_be_bytes([c0, c1]);
    (fits && (0x4000..0x5000).contains(&channel))
        .then(|| shape(PacketKind::ChannelData, u32::from(channel), 0))
}

/// RFC 3550, sections 5.1 and 6.4; packet types 192 to 223 are RTCP's (RFC 5761, section 4).
fn rtp(payload: &[u8]) -> Option<Datagram> {
    let [first, kind, n0, n1, a, b, c, d] = *payload.first_chunk::<8>()?;
    let number = u16::from_be_bytes([n0, n1]);
    if (192..=223).contains(&kind) {
        let words = usize::from(number) + 1;
        return (words * 4 <= payload.len()).then(|| {
            let source = u32::from_be_bytes([a, b, c, d]);
            shape(PacketKind::Rtcp, 0, source)
        });
    }
    // Types 64 to 95 are kept free, so that a marker bit does not make them RTCP.
    if (64..=95).contains(&kind) {
        return None;
    }
    let [_, _, _, _, _, _, _, _, s0, s1, s2, s3] = *payload.first_chunk::<12>()?;
    let header = 12 + 4 * usize::from(first & 0x0f) + if first & 0x10 == 0 { 0 } else { 4 };
    (header <= payload.len()).then(|| {
        let source = u32::from_be_bytes([s0, s1, s2, s3]);
        shape(PacketKind::Rtp, u32::from(number), source)
    })
}

/// RFC 1035, section 4.1.1: a query or status, one question, and counts that fit the length.
fn dns(payload: &[u8]) -> Option<Datagram> {
    let [i0, i1, flags, more, q0, q1, a0, a1, n0, n1, r0, r1] = *payload.first_chunk::<12>()?;
    let counts = [[a0, a1], [n0, n1], [r0, r1]].map(|count| usize::from(u16::from_be_bytes(count)));
    // The shortest record is a root name and ten bytes; reserved bit and opcodes beyond status are not used.
    let records: usize = counts.iter().sum();
    let fits = 12 + 5 + records * 11 <= payload.len() || flags & 0x02 != 0;
    (fits && [q0, q1] == [0, 1] && flags & 0x70 == 0 && more & 0x40 == 0 && records < 256).then(
        || {
            shape(
                PacketKind::Dns,
                u32::from(u16::from_be_bytes([i0, i1])),
                u32::from(flags >> 7),
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::bytes;

    fn kind(hex: &str) -> PacketKind {
        classify_datagram(&bytes(hex)).kind
    }

    #[test]
    fn a_stun_message_is_known_by_its_header_where_the_capture_cut_the_rest() {
        let cut = bytes("000300642112a442 0102030405060708090a0b0c 00010203");
        assert_eq!(classify_datagram(&cut).kind, PacketKind::Datagram);
        let class = classify_cut_datagram(&cut, 0x64 + 20);
        assert_eq!(class.kind, PacketKind::StunRequest);
        let answer = bytes("010300642112a442 0102030405060708090a0b0c 00010203");
        let answer = classify_cut_datagram(&answer, 0x64 + 20);
        assert_eq!(
            (answer.kind, answer.number),
            (PacketKind::StunSuccess, class.number)
        );
        // another length than the header says is no STUN message, and a header that is cut says nothing
        assert_eq!(classify_cut_datagram(&cut, 100).kind, PacketKind::Datagram);
        assert_eq!(
            classify_cut_datagram(&cut[..19], 0x64 + 20).kind,
            PacketKind::Datagram
        );
    }

    #[test]
    fn stun_is_told_by_cookie_and_length() {
        let request = "000100002112a442 0102030405060708090a0b0c";
        assert_eq!(kind(request), PacketKind::StunRequest);
        assert_eq!(
            kind(&request.replacen("0001", "0101", 1)),
            PacketKind::StunSuccess
        );
        assert_eq!(
            kind(&request.replacen("0001", "0111", 1)),
            PacketKind::StunError
        );
        assert_eq!(
            kind(&request.replacen("0001", "0011", 1)),
            PacketKind::StunIndication
        );
        assert_eq!(
            kind(&request.replacen("0001", "0804", 1)),
            PacketKind::StunRequest
        );
        assert_eq!(kind(&format!("{request}00")), PacketKind::Datagram);
        let classic = "00010000 0102030405060708090a0b0c0d0e0f10";
        assert_eq!(kind(classic), PacketKind::StunRequest);
        let a = classify_datagram(&bytes(request));
        let b = classify_datagram(&bytes(&request.replace("0b0c", "0b0d")));
        assert_ne!(a.number, b.number, "transactions differ");
    }

    #[test]
    fn each_protocol_of_a_call_has_its_first_byte() {
        assert_eq!(
            kind("16feff0000000000000005 0002 0100"),
            PacketKind::DtlsHello
        );
        assert_eq!(
            kind("17fefd0001000000000005 0002 0100"),
            PacketKind::DtlsOther
        );
        assert_eq!(
            kind("16feff0000000000000005 0009 0100"),
            PacketKind::Datagram
        );
        assert_eq!(kind("40010004 01020304"), PacketKind::ChannelData);
        assert_eq!(kind("40010005 01020304"), PacketKind::QuicShort);
        let rtp = classify_datagram(&bytes("80781234 00000001 deadbeef 00"));
        assert_eq!(
            (rtp.kind, rtp.number, rtp.stream),
            (PacketKind::Rtp, 0x1234, 0xdead_beef)
        );
        let rtcp = classify_datagram(&bytes(
            "81c90007 00162ffd 537109592cf065d572db9ac11958463c6401471ff8b35bcb",
        ));
        assert_eq!((rtcp.kind, rtcp.stream), (PacketKind::Rtcp, 0x0016_2ffd));
        assert_eq!(kind("1337cafea9010000"), PacketKind::Datagram);
    }

    #[test]
    fn quic_initials_are_told_in_each_version() {
        assert_eq!(kind("c3000000010894"), PacketKind::QuicInitial);
        assert_eq!(kind("e3000000010894"), PacketKind::QuicLong);
        assert_eq!(kind("d36b3343cf0894"), PacketKind::QuicInitial);
        assert_eq!(kind("c36b3343cf0894"), PacketKind::QuicLong);
        assert_eq!(kind("c3faceb0020894"), PacketKind::QuicInitial);
        assert_eq!(kind("ff000000000894"), PacketKind::QuicLong);
        assert_eq!(kind("c312345678ff94"), PacketKind::Datagram);
        assert_eq!(kind("43000000010894"), PacketKind::QuicShort);
    }

    #[test]
    fn dns_is_told_whatever_its_identifier() {
        for id in ["0001", "1234", "4000", "80aa", "c0de", "ffff"] {
            let question = format!("{id}01000001000000000000 0161026f7267 00 0001 0001");
            assert_eq!(
                kind(&question.replace("026f7267", "036f7267")),
                PacketKind::Dns,
                "{id}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_one_shape(payload in proptest::collection::vec(0_u8.., 0..80)) {
            let class = classify_datagram(&payload);
            if matches!(class.kind, PacketKind::StunRequest | PacketKind::StunSuccess) {
                assert!(payload.len() >= 20);
            }
        }
    }

    #[test]
    #[ignore = "a measurement: cargo test --release classify -- --ignored --nocapture"]
    fn measure_classify_datagram() {
        const ROUNDS: u32 = 2_000_000;
        let samples: Vec<Vec<u8>> = [
            "000100002112a442 0102030405060708090a0b0c",
            "80781234 00000001 deadbeef 00000000",
            "40781234 00000001 deadbeef 00000000",
            "c300000001089400000000000000000000",
            "123401000001000000000000 0161036f7267 00 0001 0001",
        ]
        .iter()
        .map(|hex| bytes(hex))
        .collect();
        #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
        let start = std::time::Instant::now();
        let mut sum = 0_u32;
        for round in 0..ROUNDS {
            let payload = &samples[round as usize % samples.len()];
            sum = sum.wrapping_add(classify_datagram(std::hint::black_box(payload)).number);
        }
        eprintln!("{:?} a datagram ({sum})", start.elapsed() / ROUNDS);
    }
}
