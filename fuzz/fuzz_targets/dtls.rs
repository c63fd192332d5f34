//! DTLS records and the hellos in them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::dtls::assert_bounds(bytes));
