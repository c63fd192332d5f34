//! `nat_timeout`: a NAT forgot the idle flow.

use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds for which nobody had sent anything before the first unanswered packet",
    why: "NATs forget UDP after 30 s (RFC 4787, REQ-5, in practice) and TCP after a minute and more on mobile networks; what comes then goes nowhere, in all flows that were idle, so that it is suspected at most, however many fall silent",
    innocent: &[],
    blind_to: "boxes that forget under pressure",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let seconds = case.idle_before_s();
    let weight = match flow.summary.key.protocol {
        crate::types::Protocol::Udp => seconds / 30.0,
        crate::types::Protocol::Tcp => seconds / 40.0,
    };
    if case.stage == Stage::Stalled && flow.detail.recognised.record_missing_down > 0 {
        return Reading::measured(0, [], "the server was in the middle of an answer");
    }
    if case.stage == Stage::Syn {
        return Reading::measured(0, [], "a new connection is in no NAT's table yet");
    }
    Reading::measured(
        weight,
        case.frames(),
        format!("nothing was sent for {seconds:.0} s before"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_flow_that_was_idle_for_a_minute_may_be_forgotten() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .answer(900)
            .wait(60_000)
            .ask(100)
            .again(5)
            .build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|ratio| ratio >= 1.0));
    }

    #[test]
    fn one_that_was_talking_is_not() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .answer(900)
            .wait(900)
            .ask(100)
            .again(5)
            .build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|ratio| ratio < 1.0));
    }
}
