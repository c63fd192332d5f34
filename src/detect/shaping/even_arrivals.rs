//! `shaping.even_arrivals`: did the packets leave a queue one by one?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the arrivals that followed the one before them by just the time that their bytes take at the limit's rate",
    why: "a queue lets packets out at its rate whatever the sender does; without time stamps this is all that a receiver sees of it",
    innocent: &["a sender that paces itself and loses packets elsewhere"],
    blind_to: "captures at the sender; where time stamps tell the wait itself",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    if case.ledger.before.len() >= 16 || !case.ledger.sent.iter().any(|sent| sent.unseen) {
        return Reading::Blind(
            "the wait itself is measured, or nothing was lost before the capture point",
        );
    }
    let Some(queue) = &case.queue else {
        return Reading::Blind("no queue");
    };
    let Some(evenness) = case.ledger.evenness(queue.rate, queue.onset) else {
        return Reading::Blind("too few arrivals");
    };
    Reading::measured(
        evenness,
        [],
        format!(
            "{:.0} % of the arrivals are evenly spaced",
            evenness * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_queue_lets_packets_out_one_by_one() {
        let mut flow = download(At::Client, Middlebox::Shape(37_500.0, 30_000.0), 400);
        for event in &mut flow.detail.transfer.as_mut().expect("a transfer").events {
            event.tsval = 0;
        }
        assert!(value(&read(&alone(&flow))).expect("arrivals") > 0.7);
    }
    #[test]
    fn a_policer_passes_what_is_sent_together() {
        let mut flow = download(At::Client, Middlebox::Police(200_000.0, 24_000.0), 600);
        for event in &mut flow.detail.transfer.as_mut().expect("a transfer").events {
            event.tsval = 0;
        }
        assert!(value(&read(&alone(&flow))).is_none_or(|share| share < 0.7));
    }
    #[test]
    fn time_stamps_tell_more() {
        let flow = download(At::Client, Middlebox::Shape(37_500.0, 30_000.0), 250);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
