use proptest::prelude::*;

/// An Ethernet header for `kind`, and `rest` behind it.
pub(super) fn ethernet(kind: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// An IPv4 packet from 10.0.0.1 to 192.0.2.2.
pub(super) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_piece(protocol, 7, 0x4000, payload)
}

/// An IPv4 packet with an identification, and the word of flags and fragment offset.
pub(super) fn v4_piece(protocol: u8, id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0, 10, 0, 0, 1, 192, 0, 2, 2]);
    bytes.extend(payload);
    bytes
}

/// An IPv6 packet from `2001:db8::1` to `2001:db8::2`.
pub(super) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    for last in [1, 2] {
        bytes.extend([
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last,
        ]);
    }
    bytes.extend(payload);
    bytes
}

/// A TCP segment from port 50,000 to 443 without options.
pub(super) fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc3, 0x50, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2];
    bytes.extend([0x50, 0x18, 0x10, 0, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// A UDP datagram.
pub(super) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [from, to, 8 + payload.len() as u16, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// Any short byte string.
pub(super) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}
