//! `demo`: a capture that needs no file.

use dpiscope::capture::{Options, Run};
use dpiscope::pipeline::Settings;

use super::analyze::{Shape, quietly};
use super::args::DemoArgs;
use super::output::Output;
use super::services::catalogue;
use super::{Exit, Failure};

/// The capture, made by the project itself; its expectation file says what is in it.
const CAPTURE: &[u8] = include_bytes!("../../fixtures/demo.pcap");

/// Analyzes it as `analyze` would.
pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    let catalogue = catalogue(None)?;
    let shape = Shape::new(&args.report, &catalogue)?;
    let output = Output::open(args.report.output.as_deref(), &[])?;
    let run = Run::read(
        "demo.pcap (built in)",
        Box::new(CAPTURE),
        &Options::default(),
    )
    .map_err(|error| Failure::refused(error.to_string()))?;
    let settings = Settings {
        flow_table: args.report.flows,
        ..Settings::default()
    };
    let analysis = quietly(run, &settings, &catalogue);
    shape.write(&analysis, &output)?;
    Ok(shape.exit(&analysis))
}
