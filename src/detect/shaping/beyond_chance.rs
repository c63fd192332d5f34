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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn many_losses_that_agree_are_no_luck() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert!(value(&read(&alone(&flow))).expect("a fit") > 10.0);
    }
    #[test]
    fn losses_that_do_not_agree_prove_nothing() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        assert!(value(&read(&alone(&flow))).expect("a fit") < 10.0);
    }
    #[test]
    fn no_losses_prove_nothing() {
        let flow = download(At::Server, Middlebox::Open, 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
