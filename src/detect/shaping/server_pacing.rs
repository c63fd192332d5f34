//! `innocent.server_pacing`: was it slow without waiting or losing?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "packets that waited or were lost, as a share",
    why: "a server that paces its answer makes equal gaps; nothing waits and nothing is lost on the way",
    innocent: &[],
    blind_to: "receiver-side captures of senders without TCP time stamps",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    if case.ledger.after.len() < 16 && case.ledger.before.len() < 16 {
        return Reading::Blind("no delays measured: neither acknowledgements nor time stamps");
    }
    let waited = case.queue.map_or(0.0, |queue| queue.share);
    let share = waited.max(case.ledger.loss_ratio());
    Reading::measured(
        share,
        [],
        format!("{:.0} % waited or were lost", share * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, paced, value};
    use super::*;

    #[test]
    fn what_waits_was_not_paced() {
        let flow = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        assert!(value(&read(&alone(&flow))).expect("delays") > 0.2);
    }
    #[test]
    fn equal_gaps_without_wait_are_pacing() {
        let flow = paced(At::Client, 100, 40);
        assert!(value(&read(&alone(&flow))).expect("delays") < 0.2);
    }
    #[test]
    fn without_delays_nothing_is_said() {
        let flow = crate::facts::FlowFacts::default();
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
