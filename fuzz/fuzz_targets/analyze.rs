//! The whole way, from a capture's bytes to the report: it ends, and threads do not show.
#![no_main]

use std::sync::atomic::AtomicBool;

use dpiscope::capture::{Options, Run};
use dpiscope::pipeline::{Scope, Settings, analyze};
use dpiscope::service::Catalogue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let run = |threads| {
        let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
        let run = Run::read("fuzz", reader, &Options::default()).ok()?;
        let settings = Settings {
            threads,
            max_flows: 1000,
            scope: Scope::All,
            vantage: None,
            flow_table: true,
        };
        let stop = AtomicBool::new(false);
        Some(analyze(
            run,
            &settings,
            Catalogue::builtin(),
            &stop,
            &mut |_, _, _| {},
        ))
    };
    assert!(run(1) == run(3), "threads show");
});
