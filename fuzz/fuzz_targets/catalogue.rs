//! Catalogue files of users: faults are named, and what has none can be laid over the built-in catalogue or is refused with a reason.
#![no_main]

use dpiscope::service::{Catalogue, lint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let faults = lint(text);
    let lines = text.lines().count().max(1);
    for fault in &faults {
        assert!(fault.line <= lines + 1, "line {} of {lines}", fault.line);
        assert!(!fault.reason.is_empty());
    }
    if let Ok(catalogue) = Catalogue::with_overlay(text) {
        assert!(catalogue.services().count() >= Catalogue::builtin().services().count());
    }
});
