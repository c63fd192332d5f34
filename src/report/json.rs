use std::io::{self, Write};

use super::model::Report;

/// Writes the report as one JSON document, indented, with a final newline.
pub fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}
