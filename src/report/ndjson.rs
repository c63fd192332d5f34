use std::io::{self, Write};

use serde::Serialize;

use super::model::{Limits, Report, Tool, Totals, Vantage};

/// One line: the document's object, and what it is.
#[derive(Serialize)]
struct Line<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    object: &'a T,
}

/// What the document says of the run as a whole.
#[derive(Serialize)]
struct Stats<'a, T> {
    schema: &'static str,
    tool: &'a Tool,
    vantage: &'a Vantage,
    totals: &'a Totals,
    limits: &'a Limits,
    #[serde(flatten)]
    more: Option<&'a T>,
}

/// Writes the report's objects one a line, each with its `event`, in the order of the document.
pub fn ndjson(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    all(out, "capture", &report.captures)?;
    stats(report, None::<&()>, out)?;
    all(out, "note", &report.notes)?;
    all(out, "service", &report.services)?;
    all(out, "finding", &report.findings)?;
    all(out, "flow", &report.flows)
}

/// Writes what the document says of the run as a whole, with more fields beside it where a live run has them.
pub fn stats<T: Serialize>(
    report: &Report,
    more: Option<&T>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let stats = Stats {
        schema: report.schema,
        tool: &report.tool,
        vantage: &report.vantage,
        totals: &report.totals,
        limits: &report.limits,
        more,
    };
    event(out, "stats", &stats)
}

fn all<T: Serialize>(out: &mut dyn Write, name: &'static str, objects: &[T]) -> io::Result<()> {
    objects
        .iter()
        .try_for_each(|object| event(out, name, object))
}

/// Writes an object on one line, with its `event`.
pub fn event<T: Serialize>(out: &mut dyn Write, event: &'static str, object: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { event, object })?;
    out.write_all(b"\n")
}
