//! JA4, the fingerprint of a hello (FoxIO, "JA4: TLS Client Fingerprinting", technical details in the ja4 repository; BSD 3-clause).

use std::fmt::Write;

use super::client_hello::{Over, is_grease};

/// The parts of a hello that the fingerprint is made of.
pub(super) struct Input<'a> {
    /// What carried it.
    pub(super) over: Over,
    /// The highest version offered, GREASE left out.
    pub(super) version: u16,
    /// Whether `server_name` is there, with a name or without.
    pub(super) has_name: bool,
    /// Cipher suites in their order, GREASE included.
    pub(super) ciphers: &'a [u16],
    /// Extension numbers in their order, GREASE included.
    pub(super) extensions: &'a [u16],
    /// The first protocol of ALPN.
    pub(super) first_protocol: Option<&'a [u8]>,
    /// Signature algorithms in their order.
    pub(super) signatures: &'a [u16],
}

/// The fingerprint, 36 characters.
pub(super) fn fingerprint(input: &Input<'_>) -> String {
    let mut ciphers: Vec<u16> = without_grease(input.ciphers);
    let mut extensions: Vec<u16> = without_grease(input.extensions);
    let mut text = String::with_capacity(36);
    text.push(match input.over {
        Over::Tcp => 't',
        Over::Quic => 'q',
        Over::Datagrams => 'd',
    });
    text.push_str(version(input.version));
    text.push(if input.has_name { 'd' } else { 'i' });
    push(
        &mut text,
        format_args!(
            "{:02}{:02}",
            ciphers.len().min(99),
            extensions.len().min(99)
        ),
    );
    let [first, last] = ends(input.first_protocol.unwrap_or(&[]));
    text.push(first);
    text.push(last);

    ciphers.sort_unstable();
    extensions.retain(|kind| !matches!(kind, 0 | 16));
    extensions.sort_unstable();
    let mut list = hex_list(&extensions);
    let signatures = without_grease(input.signatures);
    if !list.is_empty() && !signatures.is_empty() {
        list.push('_');
        list.push_str(&hex_list(&signatures));
    }
    push(
        &mut text,
        format_args!("_{}_{}", digest(&hex_list(&ciphers)), digest(&list)),
    );
    text
}

/// The version in two characters.
fn version(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first protocol; where either is not alphanumeric, of its hexadecimal form; `00` without any.
fn ends(protocol: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (protocol.first(), protocol.last()) else {
        return ['0', '0'];
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        [char::from(first), char::from(last)]
    } else {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        [digit(first >> 4), digit(last & 0x0f)]
    }
}

/// The values that mean something, in their order.
fn without_grease(values: &[u16]) -> Vec<u16> {
    values
        .iter()
        .copied()
        .filter(|value| !is_grease(*value))
        .collect()
}

/// Four lower-case digits each, commas between.
fn hex_list(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len() * 5);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        for byte in value.to_be_bytes() {
            push_byte(&mut text, byte);
        }
    }
    text
}

/// Appends two lower-case digits. The formatter takes ten times as long, and a hello has some fifty numbers.
fn push_byte(text: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 0x0f] {
        text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
    }
}

/// The first twelve digits of the SHA-256, or twelve zeros for an empty list.
fn digest(list: &str) -> String {
    if list.is_empty() {
        return "000000000000".to_owned();
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, list.as_bytes());
    let mut text = String::with_capacity(12);
    for byte in hash.as_ref().iter().take(6) {
        push_byte(&mut text, *byte);
    }
    text
}

/// Appends; writing to a `String` cannot fail.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_comes_out() {
        let input = Input {
            over: Over::Tcp,
            version: 0x0304,
            has_name: true,
            ciphers: &[
                0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: &[
                0x8a8a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005,
                0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0xbaba,
            ],
            first_protocol: Some(b"h2"),
            signatures: &[
                0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
            ],
        };
        assert_eq!(fingerprint(&input), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        let quic = Input {
            over: Over::Quic,
            first_protocol: Some(b"h3"),
            ..input
        };
        assert!(fingerprint(&quic).starts_with("q13d1516h3_"));
    }

    #[test]
    fn a_hello_with_nothing_in_it_has_zeros() {
        let input = Input {
            over: Over::Tcp,
            version: 0x0301,
            has_name: false,
            ciphers: &[],
            extensions: &[],
            first_protocol: None,
            signatures: &[],
        };
        assert_eq!(fingerprint(&input), "t10i000000_000000000000_000000000000");
    }

    #[test]
    fn a_protocol_that_is_no_word_shows_its_digits() {
        assert_eq!(ends(&[0xab, 0xcd]), ['a', 'd']);
        assert_eq!(ends(b"h"), ['h', 'h']);
        assert_eq!(ends(b"http/1.1"), ['h', '1']);
        assert_eq!(ends(&[0x30, 0xab]), ['3', 'b']);
    }
}
