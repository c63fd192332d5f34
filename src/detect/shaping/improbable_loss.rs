//! `random_drop.improbable_loss`: could chance have spared the controls?

use super::case::Case;
use super::loss;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "negated decimal logarithm of the chance of so uneven losses if both lost alike (Fisher's exact test)",
    why: "few packets make any ratio; the exact test says how much they prove",
    innocent: &["losses that come in bursts count as many and are one"],
    blind_to: "captures without other traffic of the client",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.control_sent < loss::FEWEST_CONTROL_PACKETS {
        return Reading::Blind("too few packets of other services to compare with");
    }
    let improbability = loss::improbability(pool);
    Reading::measured(
        improbability,
        [],
        format!("by chance once in 10^{improbability:.1}"),
    )
}
