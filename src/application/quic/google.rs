//! Google's QUIC before it became the IETF's (versions Q009 to Q050): its hello is a list of tags, in clear up to Q046.
//!
//! Layout: "QUIC Wire Layout Specification" and "QUIC Crypto" (Chromium project, 2016), section "Handshake message format".

/// Tags walked at most; a full hello has about 25.
const MAX_TAGS: usize = 64;

/// How far into a datagram the hello may begin: header, packet number, hash and stream frame take fewer than 60 bytes.
const MAX_START: usize = 80;

/// Whether a datagram is one of Google's, with its version in clear: Q0xx behind flags and connection id, or in a long header.
pub(super) fn is_google(datagram: &[u8]) -> bool {
    let at = match datagram.first() {
        Some(first) if first & 0x80 != 0 => 1,
        // public flags: version present, no reset, connection id of 8 bytes
        Some(first) if first & 0x0b == 0x09 => 9,
        _ => return false,
    };
    matches!(datagram.get(at..at + 4), Some(&[b'Q', b'0', tens, ones]) if tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// The hello in a datagram, from its tag `CHLO` on.
pub(super) fn hello(datagram: &[u8]) -> Option<&[u8]> {
    let window = datagram.get(..MAX_START).unwrap_or(datagram);
    let start = window.windows(4).position(|tag| tag == b"CHLO")?;
    datagram.get(start..)
}

/// The server name of a hello.
pub(super) fn server_name(hello: &[u8]) -> Option<&[u8]> {
    let rest = hello.strip_prefix(b"CHLO")?;
    let (&[low, high, _, _], rest) = rest.split_first_chunk()?;
    let count = usize::from(u16::from_le_bytes([low, high]));
    let values = rest.get(count.checked_mul(8)?..)?;
    let mut start = 0;
    for entry in rest.chunks_exact(8).take(count.min(MAX_TAGS)) {
        let (tag, end) = entry.split_first_chunk::<4>()?;
        let end = u32::from_le_bytes(*end.first_chunk()?) as usize;
        if tag == b"SNI\0" {
            return values.get(start..end);
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_among_the_tags() {
        let mut datagram = vec![0x09, 1, 2, 3, 4, 5, 6, 7, 8];
        datagram.extend_from_slice(b"Q043\x01");
        datagram.extend_from_slice(&[0; 12]);
        datagram.extend_from_slice(&[0xa0, 1, 0, 4]);
        datagram.extend_from_slice(b"CHLO\x02\0\0\0PAD\0\x02\0\0\0SNI\0\x0a\0\0\0--max.ruxx");
        assert!(is_google(&datagram));
        assert_eq!(
            hello(&datagram).and_then(server_name),
            Some(&b"max.ruxx"[..])
        );
        assert!(!is_google(b"\x09\x01\x02\x03\x04\x05\x06\x07\x08Q0"));
    }

    #[test]
    fn tags_that_lie_give_nothing() {
        assert_eq!(server_name(b"CHLO\xff\xff\0\0SNI\0\xff\xff\xff\xff"), None);
        assert_eq!(server_name(b"CHLO\x01\0\0\0SNI\0\xff\xff\xff\xffx"), None);
    }
}
