//! `shaping.steady_service`: was the queue served at one rate?

use super::case::Case;
use super::words::bits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "half the distance of the quartiles of the service rate, over its median, in stretches of 0.4 s while packets waited",
    why: "a shaper serves at its rate and no other; a shared bottleneck serves a flow with what the others leave",
    innocent: &["a dedicated link of that rate"],
    blind_to: "fewer than 4 stretches with a standing queue",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(queue) = &case.queue else {
        return Reading::Blind("no packet waited");
    };
    let Some(unsteadiness) = queue.unsteadiness else {
        return Reading::Blind("fewer than 4 stretches with a standing queue");
    };
    Reading::measured(
        unsteadiness,
        [],
        format!(
            "served at {} (quartiles {} and {})",
            bits(queue.rate),
            bits(queue.rate_low),
            bits(queue.rate_high)
        ),
    )
}
