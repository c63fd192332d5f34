//! `innocent.tariff_limit`: is this what every flow of the client gets?

use super::case::Case;
use super::words::bits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "the fastest other flow of the client within a minute, over the limited flow's rate",
    why: "a tariff or a slow line gives everybody the same rate",
    innocent: &[],
    blind_to: "captures without a control that moved enough",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(rate) = case.rate() else {
        return Reading::Blind("no limit whose rate could be compared");
    };
    let Some(control) = case.controls.fastest(96 * 1024) else {
        return Reading::Blind(
            "no other flow of this client moved enough in the same minute to compare with",
        );
    };
    Reading::measured(
        control.peak / rate,
        [],
        format!(
            "this flow had {}, the fastest control {}",
            bits(rate),
            bits(control.peak)
        ),
    )
}
