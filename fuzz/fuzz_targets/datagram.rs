//! Datagrams of a UDP flow, each behind its length: all recognisers of datagrams, QUIC among them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::fuzz_datagram(bytes));
