//! Shows what was found: the contract's JSON, one event a line, or text for people.
//!
//! **Takes** an [`Input`]: captures, facts and the detectors' assessment. **Gives** a [`Report`] and bytes to a writer. **Keeps** nothing.
//! **Knows nothing of** threads and exit codes.

mod evidence;

mod filter;

mod json;

mod model;

mod ndjson;

mod recent;

mod summary;

mod text;

mod wrap;

pub use evidence::{EvidenceFile, GrowingEvidence, Written};
pub use filter::display_filter;
pub use json::json;
pub use model::{
    Capture, CaptureInput, Dns, DnsOutcome, Ends, Evidence, Finding, Flow, Ids, Input, Limits,
    Note, Report, Service, Shown, Tool, Totals, Vantage, Verdict,
};
pub use ndjson::{event, ndjson, stats};
pub use recent::recent_flows;
pub use text::{
    Line, Look, Paint, context_lines, end_words, endpoint, finding_lines, flow_lines, grouped,
    judgement_words, kinds, level_word, mechanism_words, result_lines, service_name, text,
    text_finding, text_services, verdict_words,
};
pub use wrap::{WIDTH, clean, wrapped};
