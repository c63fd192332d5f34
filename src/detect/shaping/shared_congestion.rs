//! `innocent.shared_congestion`: did the controls lose as much?

use crate::detect::rule::{About, Reading};

use super::bucket::Fit;
use super::case::{Case, WELL};

pub(in crate::detect) const ABOUT: About = About {
    measures: "the controls' loss ratio over this flow's",
    why: "congestion on the access line hits whatever passes it",
    innocent: &[],
    blind_to: "controls that sent too little to lose anything",
};

/// The controls' loss ratio over this flow's up to which they did not meet the same.
pub(in crate::detect) const ALIKE: f64 = 0.2;

/// Seconds of a full queue at the bucket's rate whose absence is plain to see.
const LONG_QUEUE: f64 = 0.04;

/// How many times as fast as this flow's bucket a control must have been: a tariff polices every flow, and its first burst is fast too.
const FASTER: f64 = 8.0;

fn fit_rate(case: &Case<'_>) -> f64 {
    case.fit.as_ref().map_or(f64::MAX, |fit| fit.rate)
}

/// Share of its delay below which it was absent: a policed sender's own burst waits a little on its line.
const NO_QUEUE: f64 = 0.1;

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let (packets, lost) = case.controls.losses();
    if packets < 100 {
        return Reading::Blind("fewer than 100 packets of controls in the same minute");
    }
    let own = case.ledger.loss_ratio();
    if own <= 0.0 {
        return Reading::Blind("nothing was lost");
    }
    let other = lost as f64 / packets as f64;
    // What the line drops has stood in its queue; a fast control that overruns a short one of its own says nothing of packets that never waited.
    let unqueued = |fit: &Fit| fit.queued().is_some_and(|share| share <= NO_QUEUE);
    if other / own > ALIKE
        && case.agreement() >= WELL
        && (case.controls.fastest(case.burst()))
            .is_some_and(|control| control.peak >= FASTER * fit_rate(case))
        && (case.fit.as_ref()).is_some_and(|fit| unqueued(fit) && fit.queue_s >= LONG_QUEUE)
    {
        return Reading::Blind("the packets met no queue before they were lost");
    }
    Reading::measured(
        other / own,
        [],
        format!(
            "{:.1} % lost here, {:.1} % of {packets} packets in the controls",
            own * 100.0,
            other * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{
        At, Middlebox, alone, as_control, beside, control, download, value,
    };
    use super::*;

    #[test]
    fn a_control_without_loss_rules_it_out() {
        let flows = [
            download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150),
            control(At::Server, 250),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") < 0.2);
    }
    #[test]
    fn a_control_that_lost_as_much_does_not() {
        let flows = [
            download(At::Server, Middlebox::Lose(0.3), 300),
            as_control(download(At::Server, Middlebox::Lose(0.3), 300)),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") > 0.2);
    }
    #[test]
    fn without_a_control_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
