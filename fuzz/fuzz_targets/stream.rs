//! One side of a TCP connection: all recognisers of streams, TLS among them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::fuzz_stream(bytes));
