//! `policing.faster_start`: was it faster before?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "fastest 100 ms before the stretch at one rate, over that rate",
    why: "a bucket lets its first burst through at the speed of the line; a sender that paces itself starts as it goes on",
    innocent: &["a server that sends the first seconds of a video at once"],
    blind_to: "flows whose beginning is not in the capture",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(plateau) = &case.plateau else {
        return Reading::Blind("no QUIC transfer with a stretch at one rate");
    };
    Reading::measured(
        plateau.fall,
        [],
        format!("{:.1} times as fast at first", plateau.fall),
    )
}
