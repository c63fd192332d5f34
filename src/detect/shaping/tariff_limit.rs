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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{
        At, Middlebox, alone, as_control, beside, control, download, paced, value,
    };
    use super::*;

    #[test]
    fn a_faster_control_rules_it_out() {
        let flows = [
            download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150),
            control(At::Server, 250),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") > 1.5);
    }
    #[test]
    fn a_control_as_slow_does_not() {
        let flows = [
            download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150),
            as_control(paced(At::Server, 200, 40)),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") < 1.5);
    }
    #[test]
    fn without_a_control_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
