//! Segments of one stream in any order, cut, repeated, overlapping, around the wrap of sequence numbers: what is delivered is the stream's beginning.
#![no_main]

use dpiscope::flow::Reassembler;
use dpiscope::types::Seq;
use libfuzzer_sys::fuzz_target;

/// The stream's byte at `offset`: no short piece of it repeats soon.
const fn byte(offset: u32) -> u8 {
    (offset.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

// Four bytes of first sequence number, then segments: three of offset, two of length, one that says whether it was captured whole.
fuzz_target!(|bytes: &[u8]| {
    let Some((start, mut rest)) = bytes.split_first_chunk() else {
        return;
    };
    let start = Seq(u32::from_be_bytes(*start));
    let mut reassembler = Reassembler::new(start);
    let mut delivered = 0;
    while let Some((&[a, b, c, high, low, cut], after)) = rest.split_first_chunk() {
        rest = after;
        // also before the stream's first byte
        let offset = u32::from_be_bytes([0, a, b, c]).wrapping_sub(1 << 16);
        let length = u32::from(u16::from_be_bytes([high, low]) & 0x3fff);
        let payload: Vec<u8> = (0..length)
            .map(|at| byte(offset.wrapping_add(at)))
            .collect();
        reassembler.push(start.plus(offset), &payload, cut & 0xf != 0, |fresh| {
            for fresh in fresh {
                assert_eq!(*fresh, byte(delivered), "at {delivered}");
                delivered += 1;
            }
        });
        assert_eq!(delivered, reassembler.delivered());
        assert!(delivered <= Reassembler::LIMIT);
    }
});
