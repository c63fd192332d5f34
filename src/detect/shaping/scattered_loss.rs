//! `random_drop.scattered_loss`: did the losses come one by one?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the losses that followed a pass, over the share of passes: 1 where every packet takes its own chance",
    why: "random loss does not care about the packet before; a full queue or an empty bucket loses one packet after the other",
    innocent: &["radio that fades loses in clusters too, and is no box that drops"],
    blind_to: "fewer than 8 losses in any one flow",
};

/// Fewest losses that show whether they cluster.
const FEWEST: usize = 8;

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let losses = case.ledger.losses();
    if losses < FEWEST {
        return Reading::Blind("fewer than 8 losses in one flow");
    }
    let mut after_pass = 0_u32;
    let mut passed = true;
    for sent in &case.ledger.sent {
        after_pass += u32::from(sent.lost && passed);
        passed = !sent.lost;
    }
    let passes = 1.0 - case.ledger.loss_ratio();
    Reading::measured(
        f64::from(after_pass) / losses as f64 / passes.max(0.05),
        [],
        format!("{losses} losses in {after_pass} places"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    fn case_with(lost: impl Fn(usize) -> bool) -> Option<f64> {
        let flow = download(At::Server, Middlebox::Open, 200);
        let mut case = alone(&flow);
        for (place, sent) in case.ledger.sent.iter_mut().enumerate() {
            sent.lost = lost(place);
        }
        value(&read(&case))
    }

    #[test]
    fn every_tenth_packet_is_scattered() {
        assert!(case_with(|place| place % 10 == 3).expect("losses") > 0.9);
    }

    #[test]
    fn the_tail_of_a_window_is_not() {
        assert!(case_with(|place| (40..60).contains(&place)).expect("losses") < 0.2);
    }

    #[test]
    fn few_losses_do_not_tell() {
        assert_eq!(case_with(|place| place < 3), None);
    }
}
