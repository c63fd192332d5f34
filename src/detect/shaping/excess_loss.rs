//! `random_drop.excess_loss`: does the service lose more than the client's other traffic?

use super::case::Case;
use super::loss;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "lower end of the 95 % interval of the service's loss ratio less the controls'",
    why: "a box that drops a share of one service leaves the others alone",
    innocent: &["a bad path to one network", "an overloaded server"],
    blind_to: "captures without other traffic of the client",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.control_sent < loss::FEWEST_CONTROL_PACKETS {
        return Reading::Blind("too few packets of other services to compare with");
    }
    Reading::measured(
        loss::least_excess(&pool.independent()),
        case.lost_frames(),
        format!(
            "{} of {} packets lost ({:.1} %), {} of {} in the controls ({:.1} %)",
            pool.lost,
            pool.sent,
            pool.ratio() * 100.0,
            pool.control_lost,
            pool.control_sent,
            pool.control_ratio() * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::super::loss::Pool;
    use super::*;

    #[test]
    fn a_tenth_against_nothing_counts() {
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
        assert!(value(&read(&case)).expect("controls") > 0.01);
    }
    #[test]
    fn equal_losses_do_not_count() {
        let flow = download(At::Server, Middlebox::Open, 150);
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 300,
            lost: 6,
            control_sent: 600,
            control_lost: 12,
            flows: 1,
            hit: 1,
            ..Pool::default()
        };
        assert!(value(&read(&case)).expect("controls") < 0.01);
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
