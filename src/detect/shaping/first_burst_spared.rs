//! `policing.first_burst_spared`: did the beginning go through untouched?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "losses that the packets before the first loss would have had at the later loss ratio",
    why: "a full bucket lets its first burst pass; random loss hits from the first packet on",
    innocent: &["the transfer was slow at first"],
    blind_to: "flows whose beginning is not in the capture",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses to fit a bucket to");
    };
    if !case.flow.detail.from_start {
        return Reading::Blind("the beginning of the flow is not in the capture");
    }
    let later = f64::from(fit.losses) / f64::from(fit.tested.max(1));
    let expected = later * fit.first_loss as f64;
    Reading::measured(
        expected,
        [],
        format!(
            "{} packets passed before the first loss, then {:.1} % were lost",
            fit.first_loss,
            later * 100.0
        ),
    )
}
