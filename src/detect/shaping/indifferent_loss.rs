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
        if fit.beyond_chance() < super::bucket::LUCK {
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
