//! `innocent.full_line`: was the line itself dropping when the service lost?

use crate::detect::rule::{About, Reading};

use super::case::Case;
use super::loss;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the controls' packets that were lost near the service's losses in time",
    why: "a short queue that another flow keeps full takes whole windows of a short flow and little of the one that fills it, so that their ratios do not compare",
    innocent: &[],
    blind_to: "controls that sent little in those seconds",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.control_sent < loss::FEWEST_CONTROL_PACKETS {
        return Reading::Blind("too few packets of other services to compare with");
    }
    Reading::measured(
        pool.control_ratio(),
        [],
        format!(
            "{} of {} packets of other services lost meanwhile",
            pool.control_lost, pool.control_sent
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{alone, value};
    use super::super::loss::Pool;
    use super::*;

    fn reading(control_lost: u64, control_sent: u64) -> Option<f64> {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 44,
            lost: 14,
            control_sent,
            control_lost,
            ..Pool::default()
        };
        value(&read(&case))
    }

    #[test]
    fn a_line_that_drops_every_twentieth_packet_is_full() {
        assert!(reading(50, 1000).expect("controls") > 0.03);
    }

    #[test]
    fn a_line_that_drops_one_in_a_hundred_is_not() {
        assert!(reading(10, 1000).expect("controls") < 0.03);
    }

    #[test]
    fn few_controls_do_not_tell() {
        assert_eq!(reading(2, 10), None);
    }
}
