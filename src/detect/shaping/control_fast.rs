//! `shaping.control_fast`: was the line faster for others in the same minute?

use super::case::Case;
use super::words::bits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "the fastest other flow of the client within a minute, over the limited flow's rate",
    why: "a slow line is slow for everybody; a slowed service is slow alone",
    innocent: &[
        "a server that is slow by itself",
        "a slow path to one network",
        "the other flow ran while the line was idle",
    ],
    blind_to: "captures without a control that moved enough: then no more than suspected",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(rate) = case.rate() else {
        return Reading::Blind("no limit whose rate could be compared");
    };
    // What fits into the bucket's burst says nothing: the control must have moved more. A bucket that was full of hundreds of kilobytes is
    // rather a limit that began late.
    let enough = (case.burst() * 3 / 2).min(160_000);
    let Some(control) = case.controls.fastest(enough) else {
        return Reading::Blind(
            "no other flow of this client moved enough in the same minute to compare with",
        );
    };
    Reading::measured(
        control.peak / rate,
        [],
        format!(
            "limited to {}, while flow {} to another service reached {} in the same minute",
            bits(rate),
            control.index + 1,
            bits(control.peak)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{
        At, Middlebox, alone, as_control, beside, control, download, paced, value,
    };
    use super::*;

    #[test]
    fn a_fast_control_counts() {
        let flows = [
            download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150),
            control(At::Server, 250),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") > 2.0);
    }
    #[test]
    fn a_control_as_slow_counts_against() {
        let flows = [
            download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150),
            as_control(paced(At::Server, 200, 40)),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") < 2.0);
    }
    #[test]
    fn without_a_control_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
