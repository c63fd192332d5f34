//! `policing.growing_acknowledgements`: did the receiver miss packets?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "growth of the receiver's small packets, in bytes as a median",
    why: "every gap in what arrives adds a range to a QUIC acknowledgement, so they grow where packets are lost and stay small where none are",
    innocent: &[
        "reordering",
        "a receiver that reports something else in small packets",
    ],
    blind_to: "receivers that report few ranges",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(plateau) = &case.plateau else {
        return Reading::Blind("no QUIC transfer with a stretch at one rate");
    };
    Reading::measured(
        plateau.growth,
        [],
        format!("acknowledgements grew by {:.0} bytes", plateau.growth),
    )
}
