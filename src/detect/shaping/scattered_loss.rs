//! `random_drop.scattered_loss`: did the losses come one by one?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the losses that followed a pass, over the share of passes: 1 where every packet takes its own chance",
    why: "random loss does not care about the packet before; a full queue or an empty bucket loses one packet after the other",
    innocent: &["radio that fades loses in clusters too, and is no box that drops"],
    blind_to: "fewer than 5 losses in any one flow",
};

/// Fewest losses that show whether they cluster.
const FEWEST: u64 = 5;

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let (lost, places) = case.pool.placed;
    if lost < FEWEST {
        return Reading::Blind("fewer than 5 losses whose order is known");
    }
    let passes = 1.0 - case.pool.ratio();
    Reading::measured(
        places as f64 / lost as f64 / passes.max(0.05),
        [],
        format!("{lost} losses in {places} places"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{alone, value};
    use super::super::loss::Pool;
    use super::*;

    fn reading(placed: (u64, u64), sent: u64) -> Option<f64> {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.pool = Pool {
            sent,
            lost: placed.0,
            placed,
            ..Pool::default()
        };
        value(&read(&case))
    }

    #[test]
    fn every_tenth_packet_is_scattered() {
        assert!(reading((20, 19), 200).expect("losses") > 0.9);
    }

    #[test]
    fn one_outage_is_not() {
        assert!(reading((20, 2), 200).expect("losses") < 0.2);
    }

    #[test]
    fn few_losses_do_not_tell() {
        assert_eq!(reading((3, 3), 200), None);
    }
}
