//! `loss_burst`: the path loses much of everything.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Role};

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the packets with payload of this flow, before the silence, that had to be sent again",
    why: "on a path that drops a fifth of all packets long silences come by chance",
    innocent: &[],
    blind_to: "loss that begins with the silence",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let before = flow
        .detail
        .packets
        .iter()
        .filter(|packet| packet.payload > 0 && packet.time < case.since);
    let (mut again, mut sent) = (0_u32, 0_u32);
    for packet in before {
        sent += 1;
        again += u32::from(matches!(packet.role, Role::Retransmission | Role::Fill));
    }
    if sent < 10 {
        return Reading::Blind("too few packets before the silence");
    }
    let share = f64::from(again) / f64::from(sent);
    Reading::measured(
        share,
        [],
        format!("{again} of {sent} packets had been sent again before"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_path_that_loses_half_explains_much() {
        let mut tale = Tale::new().handshake(40).hello().answer(900);
        for _ in 0..8 {
            tale = tale.ask(100).again(1).answer(100);
        }
        let flow = tale.ask(100).again(2).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|share| share > 0.2));
    }

    #[test]
    fn a_clean_path_does_not() {
        let mut tale = Tale::new().handshake(40).hello().answer(900);
        for _ in 0..8 {
            tale = tale.ask(100).answer(100);
        }
        let flow = tale.ask(100).again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
