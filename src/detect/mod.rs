//! Judges: from what was measured to findings with evidence.
//!
//! **Takes** [`FlowFacts`](crate::facts::FlowFacts) and [`CaptureFacts`](crate::facts::CaptureFacts). **Gives** an [`Assessment`]. **Keeps** nothing: pure functions.
//! **Knows nothing of** packets' bytes, formatting, clocks.

// Silence: made by somebody, or not.
pub mod blackhole;
// Resets and FINs: forged, or the named side's own.
pub mod injection;
// Innocent causes, each tested against facts.
pub mod innocent;
// Rates and losses that somebody imposed.
pub mod shaping;

mod allowlist;
mod finding;
mod icmp;
mod judged;
mod past;
mod rule;
mod verdict;

pub use finding::{
    Assessment, Evidence, Finding, FlowVerdict, Judgement, Kind, Level, Mechanism, Note, Parameter,
};
pub use judged::Judged;
pub use past::{Past, PastService};
pub use rule::{About, Counts, Reading, Rule, Weighed};
pub use verdict::{assess, assess_with};

/// All rules, by family, innocent causes after the evidence of each.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    injection::rules::RULES
        .iter()
        .chain(injection::rules::INNOCENT)
        .chain(blackhole::rules::RULES)
        .chain(blackhole::rules::INNOCENT)
        .chain(shaping::RULES)
}
