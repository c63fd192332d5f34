//! `silence.same_service`: do other flows to the same service meet the same silence?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "other flows of the client to the same service, name or server that fell silent at the same stage",
    why: "a box keeps to its list; chance does not",
    innocent: &["one server that died"],
    blind_to: "a single try",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it with [`among`](super::groups) once all are weighed.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no other flow that fell silent")
}
