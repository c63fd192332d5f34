use std::io::Cursor;

use super::{Batch, CaptureFile, Options, Packet, Run};

/// Reads `bytes` as a capture and asserts what holds for every input: it ends, descriptors lie within their buffer, frame numbers rise, the sums are
/// those of the packets, and what the same bytes give when they are cut is a prefix of what they give whole.
///
/// # Panics
///
/// Where that does not hold: this is what fuzz targets and property tests call.
pub fn assert_reads(bytes: &[u8]) {
    let Some((packets, _)) = read(bytes) else {
        return;
    };
    // The record layout is told from the first records, so a cut among them may change it; one behind them does not.
    let cut = bytes.len() - bytes.len() / 4;
    if let (true, Some((prefix, _))) = (packets.len() > 64, read(&bytes[..cut])) {
        assert!(
            packets.starts_with(&prefix),
            "a cut changed what came before it"
        );
    }
}

/// Packets with their bytes.
pub(super) type Packets = Vec<(Packet, Vec<u8>)>;

/// All packets with their bytes, and the facts; `None` where it is no capture.
pub(super) fn read(bytes: &[u8]) -> Option<(Packets, CaptureFile)> {
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let mut run = Run::read("fuzz", reader, &Options::default()).ok()?;
    let packets = all(&mut run);
    let file = run.finish().pop()?;
    assert_eq!(file.packets, packets.len() as u64);
    let wire: u64 = packets
        .iter()
        .map(|(packet, _)| u64::from(packet.wire))
        .sum();
    assert_eq!(file.bytes, wire);
    Some((packets, file))
}

/// Everything that a run gives; descriptors without their place in the buffer, which depends on how it was read.
pub(super) fn all(run: &mut Run) -> Packets {
    let mut batch = Batch::default();
    let mut packets = Packets::new();
    while run.next(&mut batch) {
        assert!(!batch.packets.is_empty());
        for packet in &batch.packets {
            let bytes = batch.bytes_of(packet);
            assert_eq!(bytes.len(), packet.captured as usize);
            packets.push((
                Packet {
                    start: 0,
                    ..*packet
                },
                bytes.to_vec(),
            ));
        }
    }
    let rises = |pair: &[(Packet, Vec<u8>)]| {
        pair[0].0.frame.capture() != pair[1].0.frame.capture() || pair[0].0.frame < pair[1].0.frame
    };
    assert!(packets.windows(2).all(rises));
    packets
}
