//! `random_drop.indifferent_loss`: is the loss independent of rate and burst?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "how much better than chance a token bucket tells lost packets from passed ones",
    why: "random loss does not care how full any bucket or queue is",
    innocent: &[],
    blind_to: "fewer than 4 separate losses in any one flow",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses in one flow");
    };
    Reading::measured(
        if fit.beyond_chance() < super::bucket::LUCK || fit.grip() < super::bucket::GRIP {
            0.0
        } else {
            fit.agreement()
        },
        [],
        format!(
            "the best bucket meets {:.0} % of the losses and {:.0} % of the passes empty",
            fit.explained * 100.0,
            fit.contradicted * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn random_loss_is_indifferent() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        assert!(value(&read(&alone(&flow))).expect("a fit") < 0.6);
    }
    #[test]
    fn a_policer_is_not() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert!(value(&read(&alone(&flow))).expect("a fit") > 0.6);
    }
    #[test]
    fn without_losses_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Open, 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
