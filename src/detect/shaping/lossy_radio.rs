//! `innocent.lossy_radio`: do the controls share the loss?

use super::case::Case;
use super::loss;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "the controls' loss ratio over the service's, over all flows of the client",
    why: "radio and bad cables lose whatever they carry",
    innocent: &[],
    blind_to: "captures without other traffic of the client",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.control_sent < loss::FEWEST_CONTROL_PACKETS {
        return Reading::Blind("too few packets of other services to compare with");
    }
    if pool.lost == 0 {
        return Reading::Blind("nothing was lost");
    }
    Reading::measured(
        pool.control_ratio() / pool.ratio(),
        [],
        format!(
            "{:.1} % lost here, {:.1} % in the controls",
            pool.ratio() * 100.0,
            pool.control_ratio() * 100.0
        ),
    )
}
