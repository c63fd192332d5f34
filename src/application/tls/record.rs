//! The record layer's headers (RFC 8446, section 5.1; RFC 5246, section 6.2).

use crate::application::Progress;

/// Content types (IANA, TLS ContentType).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const HEARTBEAT: u8 = 24;

/// The longest record anybody may send: 2^14 bytes and 2048 of expansion (RFC 5246, section 6.2.3; TLS 1.3 allows less).
const MAX_RECORD: u16 = (1 << 14) + 2048;

/// Content type and length of a record, if its header can be one.
///
/// tls-parser takes any type, version and length; a stream that is no longer TLS would be walked on.
pub(super) fn header(bytes: [u8; 5]) -> Option<(u8, u16)> {
    let [content, major, minor, high, low] = bytes;
    let length = u16::from_be_bytes([high, low]);
    let plausible = matches!(content, CHANGE_CIPHER_SPEC..=HEARTBEAT)
        && major == 3
        && minor <= 4
        && length <= MAX_RECORD;
    plausible.then_some((content, length))
}

/// Whether a stream begins with a record of TLS: a hello, or whatever stands first in a capture that began late.
///
/// Settled by six bytes at most, by the first in nearly all other streams.
pub(in crate::application) fn opening(bytes: &[u8]) -> Progress<()> {
    let likely = match *bytes {
        [] => true,
        [content, ref rest @ ..] => {
            matches!(content, CHANGE_CIPHER_SPEC..=APPLICATION_DATA)
                && match *rest {
                    [] => true,
                    [major, ref rest @ ..] => {
                        major == 3 && rest.first().is_none_or(|minor| *minor <= 4)
                    }
                }
        }
    };
    if !likely {
        return Progress::NotThis;
    }
    let [content, major, minor, high, low, first, ..] = *bytes else {
        return Progress::NeedMore;
    };
    let Some((content, length)) = header([content, major, minor, high, low]) else {
        return Progress::NotThis;
    };
    let fits = match content {
        CHANGE_CIPHER_SPEC => length == 1 && first == 1,
        // in clear, level 1 or 2; sealed, at least a tag more
        ALERT => (length == 2 && matches!(first, 1 | 2)) || length >= 18,
        HANDSHAKE => length >= 4 && super::is_handshake(first),
        _ => length > 0,
    };
    if fits {
        Progress::Done {
            message: (),
            used: 0,
        }
    } else {
        Progress::NotThis
    }
}

/// Whether a stream begins with a hello in SSL 2.0's form that asks for something newer (RFC 5246, appendix E.2).
///
/// It carries no name, but it opens a TLS conversation. `used` is its whole length, which may not have come yet.
pub(in crate::application) fn ssl2_opening(bytes: &[u8]) -> Progress<u16> {
    let matches_so_far = match *bytes {
        [] => true,
        [first, ref rest @ ..] => {
            first & 0xc0 == 0x80
                && rest.get(1).is_none_or(|kind| *kind == 1)
                && rest.get(2).is_none_or(|major| *major == 3)
                && rest.get(3).is_none_or(|minor| *minor <= 4)
        }
    };
    if !matches_so_far {
        return Progress::NotThis;
    }
    let [a, b, _, major, minor, c, d, e, f, g, h, ..] = *bytes else {
        return Progress::NeedMore;
    };
    let length = usize::from(u16::from_be_bytes([a & 0x3f, b]));
    let [ciphers, session, challenge] =
        [[c, d], [e, f], [g, h]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    let adds_up = ciphers % 3 == 0
        && ciphers > 0
        && matches!(session, 0 | 16 | 32)
        && (16..=32).contains(&challenge)
        && length == 9 + ciphers + session + challenge;
    if adds_up {
        Progress::Done {
            message: u16::from_be_bytes([major, minor]),
            used: 2 + length,
        }
    } else {
        Progress::NotThis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Progress<()> = Progress::Done {
        message: (),
        used: 0,
    };

    #[test]
    fn a_hello_and_mid_stream_data_open_tls_and_zeros_do_not() {
        assert_eq!(opening(&[22, 3, 1, 2, 0, 1]), YES);
        assert_eq!(opening(&[23, 3, 3, 0x40, 0x11, 0xaa]), YES);
        assert_eq!(opening(&[0; 64]), Progress::NotThis);
        assert_eq!(opening(&[22, 3, 1]), Progress::NeedMore);
        assert_eq!(opening(&[22, 3, 1, 0xff, 0xff, 1]), Progress::NotThis);
        assert_eq!(opening(b"\x16\x03\x01\x02\x00\x63"), Progress::NotThis);
    }

    #[test]
    fn an_old_hello_that_asks_for_tls_is_taken() {
        let mut hello = vec![0x80, 9 + 6 + 16, 1, 3, 1, 0, 6, 0, 0, 0, 16];
        assert_eq!(ssl2_opening(&hello[..10]), Progress::NeedMore);
        let took = Progress::Done {
            message: 0x0301,
            used: 33,
        };
        assert_eq!(ssl2_opening(&hello), took);
        hello[6] = 7;
        assert_eq!(ssl2_opening(&hello), Progress::NotThis);
    }
}
