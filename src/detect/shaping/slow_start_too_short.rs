//! `innocent.slow_start_too_short`: was the transfer long enough to judge?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "data packets in the direction",
    why: "a sender that never left slow start shows no rate of the path",
    innocent: &[],
    blind_to: "nothing",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let packets = case.ledger.sent.len() as u32;
    Reading::measured(packets, [], format!("{packets} data packets"))
}
