//! `policing.beyond_chance`: is the bucket more than a lucky fit?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "logarithm of the likelihood ratio, bucket against chance, over all fresh losses",
    why: "the search tries some thousands of buckets, so a few losses can agree with one of them by luck; many cannot",
    innocent: &[],
    blind_to: "few losses",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses to fit a bucket to");
    };
    Reading::measured(
        fit.beyond_chance(),
        [],
        format!("{} separate losses agree with the bucket", fit.episodes),
    )
}
