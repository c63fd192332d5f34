//! What TLS endpoints say first, as bytes.

use super::chance::Chance;

/// A ClientHello record of TLS 1.3 for `name`, with the extensions of a usual client (RFC 8446, section 4.1.2).
pub(crate) fn client_hello(name: &str, chance: &mut Chance) -> Vec<u8> {
    let shares = prefixed(&chance.bytes(32), &[0x00, 0x1d]);
    let server_name = [&[0][..], &prefixed(name.as_bytes(), &[])].concat();
    let groups = [0, 0x1d, 0, 0x17, 0, 0x18];
    let extensions = [
        extension(0, &prefixed(&server_name, &[])),
        extension(23, &[]),
        extension(0xff01, &[0]),
        extension(10, &prefixed(&groups, &[])),
        extension(11, &[1, 0]),
        extension(35, &[]),
        extension(16, &prefixed(b"\x02h2\x08http/1.1", &[])),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(
            13,
            &prefixed(&[4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1], &[]),
        ),
        extension(51, &prefixed(&shares, &[])),
        extension(45, &[1, 1]),
        extension(43, &[4, 3, 4, 3, 3]),
    ]
    .concat();
    let suites = [
        0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9,
        0xcc, 0xa8,
    ];
    let body = [
        &[3, 3][..],
        &chance.bytes(32),
        &[32],
        &chance.bytes(32),
        &prefixed(&suites, &[]),
        &[1, 0],
        &prefixed(&extensions, &[]),
    ]
    .concat();
    record(22, 1, &handshake(1, &body))
}

/// A ServerHello of TLS 1.3, the compatibility record, and `secret` bytes of encrypted handshake.
pub(crate) fn server_flight(secret: usize, chance: &mut Chance) -> Vec<u8> {
    let share = [&[0, 0x1d][..], &prefixed(&chance.bytes(32), &[])].concat();
    let extensions = [extension(43, &[3, 4]), extension(51, &share)].concat();
    let body = [
        &[3, 3][..],
        &chance.bytes(32),
        &[32],
        &chance.bytes(32),
        &[0x13, 1, 0],
        &prefixed(&extensions, &[]),
    ]
    .concat();
    [
        record(22, 3, &handshake(2, &body)),
        record(20, 3, &[1]),
        encrypted(secret, chance),
    ]
    .concat()
}

/// `length` bytes of application data records, headers included.
pub(crate) fn encrypted(length: usize, chance: &mut Chance) -> Vec<u8> {
    let mut stream = Vec::new();
    while stream.len() < length {
        let body = (length - stream.len()).saturating_sub(5).clamp(17, 16_000);
        stream.extend(record(23, 3, &chance.bytes(body)));
    }
    stream
}

fn record(content: u8, minor: u8, body: &[u8]) -> Vec<u8> {
    prefixed(body, &[content, 3, minor])
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    prefixed(body, &[kind, 0])
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    prefixed(body, &kind.to_be_bytes())
}

/// `head`, the length of `body` in two bytes, and `body`.
fn prefixed(body: &[u8], head: &[u8]) -> Vec<u8> {
    [head, &(body.len() as u16).to_be_bytes(), body].concat()
}
