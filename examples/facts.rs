//! Prints the measured facts of captures, one flow a line, as JSON: what the detectors are given, before anything is judged.
//!
//! `cargo run --example facts -- FILE...`

use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use dpiscope::capture::{Options, Run};
use dpiscope::pipeline::{self, Settings};
use dpiscope::service::Catalogue;

fn main() -> std::io::Result<()> {
    let paths: Vec<_> = std::env::args_os().skip(1).map(Into::into).collect();
    let (run, errors) = Run::open(&paths, &Options::default());
    for error in errors {
        eprintln!("{error}");
    }
    let settings = Settings {
        flow_table: true,
        ..Settings::default()
    };
    let stop = AtomicBool::new(false);
    let analysis = pipeline::analyze(
        run,
        &settings,
        Catalogue::builtin(),
        &stop,
        &mut |_, _, _| {},
    );
    let mut out = std::io::stdout().lock();
    for flow in &analysis.flows {
        serde_json::to_writer(&mut out, flow)?;
        writeln!(out)?;
    }
    Ok(())
}
