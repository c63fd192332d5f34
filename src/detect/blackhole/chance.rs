//! `silence.chance`: could ordinary loss have taken all the tries?

use super::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Role};

pub(in crate::detect) const ABOUT: About = About {
    measures: "logarithm to base 10 of the probability that independent loss takes every try, at the loss of this flow before the silence, that of others to the service, or 2 %, whichever is most",
    why: "a path that loses a third of everything leaves some hellos unanswered for long",
    innocent: &["loss in bursts"],
    blind_to: "loss that begins with the silence",
};

/// Loss that any path may have (mobile networks under load, public captures).
const LOSS: f64 = 0.02;

/// Of the packets with payload before the silence: sent again, and all.
fn loss_before(flow: &FlowFacts, case: &Case<'_>) -> (u32, u32) {
    let before = flow
        .detail
        .packets
        .iter()
        .filter(|packet| packet.payload > 0 && packet.time < case.since);
    before.fold((0, 0), |(lost, sent), packet| {
        let again = matches!(packet.role, Role::Retransmission | Role::Fill);
        (lost + u32::from(again), sent + 1)
    })
}

/// The same of the client's other flows to the service that carried something to the end.
fn loss_of_siblings(flow: &FlowFacts, case: &Case<'_>, around: &CaptureFacts) -> (u32, u32) {
    /// A flow with so many packets of the server was not silenced at its beginning, where repeats are all there is.
    const CARRIED: u32 = 20;
    let service = flow.summary.service;
    case.others(around)
        .iter()
        .filter(|other| other.down.data_packets >= CARRIED && other.service == service)
        .fold((0, 0), |(lost, sent), other| {
            (
                lost + other.up.retransmitted + other.down.retransmitted,
                sent + other.up.data_packets + other.down.data_packets,
            )
        })
}

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let share = [
        loss_before(flow, &case),
        loss_of_siblings(flow, &case, around),
    ]
    .into_iter()
    .filter(|(_, sent)| *sent >= 10)
    .map(|(lost, sent)| f64::from(lost) / f64::from(sent))
    .fold(LOSS, f64::max)
    .min(0.9);
    let count = case.tries.len();
    if count == 0 {
        return Reading::Blind("no try that could have been lost");
    }
    let chance = count as f64 * share.log10();
    Reading::measured(
        chance,
        [],
        format!(
            "{count} tries lost by chance at {:.0} % loss: 1 in 10^{:.1}",
            share * 100.0,
            -chance
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn seven_tries_are_not_lost_by_chance() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|chance| chance < -10.0));
    }

    #[test]
    fn on_a_path_that_loses_half_three_tries_are() {
        let mut tale = Tale::new().handshake(40).hello().answer(900);
        for _ in 0..8 {
            tale = tale.ask(100).again(1).answer(100);
        }
        let flow = tale.ask(100).again(2).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|chance| chance > -4.0));
    }
}
