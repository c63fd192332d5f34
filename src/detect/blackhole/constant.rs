//! `silence.constant`: did several transfers stop after the same amount?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "other flows that stopped within 15 % of the same number of bytes, or 3 packets of the same number",
    why: "a budget is a constant; nothing natural stops different transfers at one place",
    innocent: &["one file, fetched again from a server that breaks off"],
    blind_to: "a single transfer",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it with [`among`](super::groups) once all are weighed.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no other transfer that stopped")
}
