//! Openings of the Noise pipe that WhatsApp speaks.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::noise::assert_decisions_stand(bytes));
