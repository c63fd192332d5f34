//! DNS messages.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::dns::assert_bounds(bytes));
