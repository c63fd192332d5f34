//! STUN and TURN messages.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::stun::assert_bounds(bytes));
