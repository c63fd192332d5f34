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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_full_bucket_spares_the_first_burst() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert!(value(&read(&alone(&flow))).expect("a fit") > 1.5);
    }
    #[test]
    fn a_loss_among_the_first_packets_is_not_spared() {
        let mut flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        flow.detail.from_start = true;
        let mut case = alone(&flow);
        if let Some(fit) = &mut case.fit {
            fit.first_loss = 1;
        }
        assert!(value(&read(&case)).expect("a fit") < 1.5);
    }
    #[test]
    fn a_flow_from_the_middle_does_not_tell() {
        let mut flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        flow.detail.from_start = false;
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
