//! `shaping.standing_queue`: did packets wait?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "how much longer than the quickest packet the packet at the upper quartile took",
    why: "a shaper holds back what exceeds its rate; the wait grows up to the length of its queue over its rate",
    innocent: &["the access line's own queue: see innocent.bufferbloat"],
    blind_to: "receiver-side captures of senders without TCP time stamps; QUIC",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    if case.queue.is_none() && case.ledger.after.len() < 16 && case.ledger.before.len() < 16 {
        return Reading::Blind("no delays measured: neither acknowledgements nor time stamps");
    }
    if case.ledger.before.is_empty() && case.queue.is_some_and(|queue| queue.wait == 0.0) {
        return Reading::Blind("no time stamps: see shaping.even_arrivals");
    }
    let wait = case.queue.map_or(0.0, |queue| queue.wait);
    Reading::measured(
        wait * 1e3,
        [],
        format!(
            "a quarter of the packets waited {:.0} ms or more",
            wait * 1e3
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn packets_wait_at_a_shaper_from_either_end() {
        for at in [At::Server, At::Client] {
            let flow = download(at, Middlebox::Shape(37_500.0, 30_000.0), 250);
            assert!(value(&read(&alone(&flow))).expect("delays") > 30.0);
        }
    }
    #[test]
    fn nothing_waits_at_a_policer() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert!(value(&read(&alone(&flow))).expect("delays") < 30.0);
    }
    #[test]
    fn a_flow_without_packets_is_not_judged() {
        let flow = crate::facts::FlowFacts::default();
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
