//! Capture files of every format, compressed or not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dpiscope::capture::assert_reads(bytes));
