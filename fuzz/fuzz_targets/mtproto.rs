//! Openings of MTProto in its transports.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::application::mtproto::assert_decisions_stand(bytes));
