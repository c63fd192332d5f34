//! `innocent.lossy_radio`: do the controls share the loss?

use super::case::Case;
use super::loss;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "the controls' loss ratio over the service's, over all flows of the client",
    why: "radio and bad cables lose whatever they carry",
    innocent: &[],
    blind_to: "captures without other traffic of the client",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.control_sent < loss::FEWEST_CONTROL_PACKETS {
        return Reading::Blind("too few packets of other services to compare with");
    }
    if pool.lost == 0 {
        return Reading::Blind("nothing was lost");
    }
    Reading::measured(
        pool.control_ratio() / pool.ratio(),
        [],
        format!(
            "{:.1} % lost here, {:.1} % in the controls",
            pool.ratio() * 100.0,
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
    fn controls_without_loss_rule_it_out() {
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
        assert!(value(&read(&case)).expect("controls") < 0.25);
    }
    #[test]
    fn controls_that_lose_alike_do_not() {
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
        assert!(value(&read(&case)).expect("controls") > 0.25);
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
