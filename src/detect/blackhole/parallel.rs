//! `silence.parallel`: do the first connections work and the later ones stall?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows of the client to the same server that were opened before and worked, while two or more later ones stall in the handshake",
    why: "a limit on the number of connections lets the first ones pass",
    innocent: &["a server with a limit of its own"],
    blind_to: "single connections",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it with [`among`](super::groups) once all are weighed.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no set of parallel connections")
}
