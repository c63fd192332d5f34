//! Packets of any link type, whole or cut, and fragments of them: what is found lies within what was captured.
#![no_main]

use dpiscope::capture::LinkType;
use dpiscope::decode::{Fragments, Peel, decode, peel};
use dpiscope::types::{Frame, Timestamp};
use libfuzzer_sys::fuzz_target;

/// Raw IP: what comes out of defragmentation.
const RAW: LinkType = LinkType(101);

/// Takes an IP packet apart; its payload can be no longer than what was captured.
fn take_apart(bytes: &[u8], ip: u32, wire: u32) {
    let inner = bytes
        .get(ip as usize..)
        .expect("the header lies within the packet");
    if let Ok(Some(decoded)) = decode(inner, wire.saturating_sub(ip)) {
        assert!(decoded.payload.len() <= inner.len());
    }
}

// Two bytes of link type, then packets: two bytes of length, one of how much longer it was on the wire, its bytes.
fuzz_target!(|bytes: &[u8]| {
    let Some((link, mut rest)) = bytes.split_first_chunk() else {
        return;
    };
    let link = LinkType(u16::from_be_bytes(*link));
    let mut fragments = Fragments::default();
    let mut number = 0;
    while let Some((&[high, low, more], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (packet, after) = after.split_at(length);
        rest = after;
        number += 1;
        let wire = packet.len() as u32 + u32::from(more);
        match peel(link, packet, wire) {
            Peel::Flow(peeled) => take_apart(packet, peeled.ip, wire),
            Peel::Fragment { ip, .. } => {
                let piece = packet
                    .get(ip as usize..)
                    .expect("the header lies within the packet");
                let time = Timestamp(i64::from(more) * 1_000_000_000);
                let whole = fragments.feed(time, Frame::new(0, number), piece, wire - ip);
                if let Some(whole) = whole
                    && let Peel::Flow(peeled) = peel(RAW, &whole.bytes, whole.wire)
                {
                    take_apart(&whole.bytes, peeled.ip, whole.wire);
                }
            }
            Peel::NoFlow | Peel::Undecoded(_) => {}
        }
    }
    fragments.finish();
    assert!(fragments.abandoned().count() <= number as usize);
});
