//! `random_drop.heavy_loss`: is the loss beyond that of ordinary paths?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the packets of the service that were lost",
    why: "wired and mobile paths lose up to a few per cent; operators see an effect for users from several per cent on",
    innocent: &["radio at the edge of its range: see innocent.lossy_radio"],
    blind_to: "small shares, which look like an ordinary path",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.sent < 24 {
        return Reading::Blind("fewer than 24 packets that could be lost");
    }
    Reading::measured(
        pool.ratio(),
        [],
        format!("{:.1} % of {} packets", pool.ratio() * 100.0, pool.sent),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::super::loss::Pool;
    use super::*;

    #[test]
    fn a_tenth_is_heavy() {
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
        assert!(value(&read(&case)).expect("packets") > 0.025);
    }
    #[test]
    fn one_in_a_hundred_is_not() {
        let flow = download(At::Server, Middlebox::Open, 150);
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 300,
            lost: 3,
            control_sent: 400,
            control_lost: 0,
            flows: 1,
            hit: 1,
            ..Pool::default()
        };
        assert!(value(&read(&case)).expect("packets") < 0.025);
    }
    #[test]
    fn a_few_packets_say_nothing() {
        let flow = download(At::Server, Middlebox::Open, 150);
        let mut case = alone(&flow);
        case.pool = Pool {
            sent: 10,
            lost: 2,
            control_sent: 400,
            control_lost: 0,
            flows: 1,
            hit: 1,
            ..Pool::default()
        };
        assert_eq!(value(&read(&case)), None);
    }
}
