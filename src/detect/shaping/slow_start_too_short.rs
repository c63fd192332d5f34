//! `innocent.slow_start_too_short`: was the transfer long enough to judge?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "data packets in the direction",
    why: "a sender that never left slow start shows no rate of the path",
    innocent: &[],
    blind_to: "nothing",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let packets = case.ledger.sent.len() as u32;
    Reading::measured(packets, [], format!("{packets} data packets"))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_long_transfer_is_long_enough() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert!(value(&read(&alone(&flow))).expect("packets") > 19.0);
    }
    #[test]
    fn a_short_one_is_not() {
        let flow = download(At::Server, Middlebox::Open, 8);
        assert!(value(&read(&alone(&flow))).expect("packets") < 20.0);
    }
    #[test]
    fn no_packets_are_too_few() {
        let flow = crate::facts::FlowFacts::default();
        assert_eq!(value(&read(&alone(&flow))), Some(0.0));
    }
}
