//! Capture files, written as the formats' own documents say.

/// One frame as the tap saw it.
#[derive(Clone)]
pub(crate) struct Stamped {
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    pub(crate) frame: Vec<u8>,
    /// How much of it the tap kept.
    pub(crate) captured: usize,
}

impl Stamped {
    /// The same frame behind one router more, so much later (IPv4 without a VLAN tag).
    pub(crate) fn again(&self, later: i64) -> Self {
        let mut again = self.clone();
        again.time += later;
        // hop limit down by one, the header's checksum up by as much in the same byte (RFC 1624)
        let sum = u16::from_be_bytes([again.frame[24], again.frame[25]]);
        let (sum, carry) = sum.overflowing_add(0x0100);
        again.frame[22] -= 1;
        again.frame[24..26].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
        again
    }
}

/// A pcap of Ethernet frames with microseconds (draft-ietf-opsawg-pcap).
pub(crate) fn pcap(frames: &[Stamped]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for stamped in frames {
        let micros = stamped.time / 1_000;
        for word in [
            (micros / 1_000_000) as u32,
            (micros % 1_000_000) as u32,
            stamped.captured as u32,
            stamped.frame.len() as u32,
        ] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&stamped.frame[..stamped.captured]);
    }
    file
}

/// A pcapng of one section and one Ethernet interface with nanoseconds (draft-ietf-opsawg-pcapng).
pub(crate) fn pcapng(frames: &[Stamped]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut header = Vec::new();
    header.extend(0x1a2b_3c4d_u32.to_le_bytes());
    header.extend([1, 0, 0, 0]);
    header.extend((-1_i64).to_le_bytes());
    block(&mut file, 0x0a0d_0d0a, &header);
    let mut interface = vec![1, 0, 0, 0];
    interface.extend(262_144_u32.to_le_bytes());
    // if_tsresol: 10^-9 s, then the end of the options
    interface.extend([9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    block(&mut file, 1, &interface);
    for stamped in frames {
        let mut packet = vec![0; 4];
        packet.extend(((stamped.time as u64 >> 32) as u32).to_le_bytes());
        packet.extend((stamped.time as u32).to_le_bytes());
        packet.extend((stamped.captured as u32).to_le_bytes());
        packet.extend((stamped.frame.len() as u32).to_le_bytes());
        packet.extend(&stamped.frame[..stamped.captured]);
        packet.resize(packet.len().next_multiple_of(4), 0);
        block(&mut file, 6, &packet);
    }
    file
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (12 + body.len() as u32).to_le_bytes();
    file.extend(kind.to_le_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}
