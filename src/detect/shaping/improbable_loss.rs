//! `random_drop.improbable_loss`: could chance have spared the controls?

use super::case::Case;
use super::loss;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "negated decimal logarithm of the chance of so uneven losses if both lost alike (Fisher's exact test), with runs of losses that chance does not make counted once",
    why: "few packets make any ratio; the exact test says how much they prove",
    innocent: &["an outage of this path alone"],
    blind_to: "captures without other traffic of the client",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.control_sent < loss::FEWEST_CONTROL_PACKETS {
        return Reading::Blind("too few packets of other services to compare with");
    }
    let improbability = loss::improbability(&pool.independent());
    let together = if pool.is_clustered() {
        "; losses that followed each other count once"
    } else {
        ""
    };
    Reading::measured(
        improbability,
        [],
        format!("by chance once in 10^{improbability:.1}{together}"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::super::loss::Pool;
    use super::*;

    #[test]
    fn a_tenth_against_nothing_is_improbable() {
        let flow = download(At::Server, Middlebox::Open, 150);
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 200,
            lost: 20,
            control_sent: 400,
            control_lost: 0,
            flows: 1,
            hit: 1,
            ..Pool::default()
        };
        assert!(value(&read(&case)).expect("controls") > 3.5);
    }
    #[test]
    fn two_lost_packets_are_chance() {
        let flow = download(At::Server, Middlebox::Open, 150);
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 30,
            lost: 2,
            control_sent: 100,
            control_lost: 0,
            flows: 1,
            hit: 1,
            ..Pool::default()
        };
        assert!(value(&read(&case)).expect("controls") < 3.5);
    }
    #[test]
    fn without_controls_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Open, 150);
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 200,
            lost: 20,
            control_sent: 10,
            control_lost: 0,
            flows: 1,
            hit: 1,
            ..Pool::default()
        };
        assert_eq!(value(&read(&case)), None);
    }
}
