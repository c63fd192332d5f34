//! `silence.together`: did several living flows to one address and port fall silent in one moment?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows to the same address and port, each living for a second or more, whose last answer and first unanswered packet enclose a common moment",
    why: "an address list that arrives kills what runs; nothing was said that could have triggered it",
    innocent: &["the server died"],
    blind_to: "flows that were not speaking then",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it with [`among`](super::groups) once all are weighed.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no other flow to this address and port that fell silent")
}
