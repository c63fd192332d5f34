//! `innocent.slow_reader`: did the receiver close its window?

use super::case::Case;
use super::limits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the data packets that filled the advertised window, or of the time in which it was closed",
    why: "a receiver that does not read stops the sender by itself",
    innocent: &["a window that is simply small"],
    blind_to: "captures without the SYN, whose window scale is unknown",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(full) = limits::window_full_share(case.flow, case.direction) else {
        return Reading::Blind("no window to compare with");
    };
    Reading::measured(
        full,
        [],
        format!(
            "the advertised window was full or closed for {:.0} % of the packets",
            full * 100.0
        ),
    )
}
