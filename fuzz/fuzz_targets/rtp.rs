//! RTP and RTCP headers and what is counted over a side's packets, each behind its length.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut payloads = Vec::new();
    let mut rest = bytes;
    while let Some((&length, after)) = rest.split_first() {
        let (payload, after) = after.split_at(after.len().min(length.into()));
        payloads.push(payload.to_vec());
        rest = after;
    }
    dpiscope::application::rtp::assert_counts(&payloads);
});
