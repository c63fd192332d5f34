//! `innocent.shared_congestion`: did the controls lose as much?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "the controls' loss ratio over this flow's",
    why: "congestion on the access line hits whatever passes it",
    innocent: &[],
    blind_to: "controls that sent too little to lose anything",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let (packets, lost) = case.controls.losses();
    if packets < 100 {
        return Reading::Blind("fewer than 100 packets of controls in the same minute");
    }
    let own = case.ledger.loss_ratio();
    if own <= 0.0 {
        return Reading::Blind("nothing was lost");
    }
    let other = lost as f64 / packets as f64;
    Reading::measured(
        other / own,
        [],
        format!(
            "{:.1} % lost here, {:.1} % of {packets} packets in the controls",
            own * 100.0,
            other * 100.0
        ),
    )
}
