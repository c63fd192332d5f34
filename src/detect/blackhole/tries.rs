//! `silence.tries`: how often was an answer asked for in vain?

use super::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "independent tries without an answer: packets that demand one, at least 150 ms apart, each with a second left for the answer",
    why: "one packet may be lost; the kernel repeats, and each repeat is another chance",
    innocent: &["a long loss burst: tries of one outage are not independent"],
    blind_to: "a download that stops: who waits has nothing to repeat",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let own = flow.detail.side(case.tries_from);
    let outstanding = own.acked < own.sent_end && case.stage != Stage::Stalled;
    if case.tries.is_empty() && !outstanding {
        return Reading::Blind("the one who waits has nothing to repeat");
    }
    if case.stage == Stage::Stalled
        && case.tries.len() < 3
        && flow.detail.recognised.record_missing_down > 0
    {
        return Reading::Blind("the client waits for the rest of a record and closes in the end");
    }
    let count = case.tries.len();
    Reading::measured(
        count as u32,
        case.frames(),
        format!("{count} tries without an answer"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_hello_that_is_repeated_six_times_is_seven_tries() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(7.0));
    }

    #[test]
    fn a_try_at_the_end_of_the_capture_does_not_count() {
        let flow = Tale::new().handshake(40).hello().build(0);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn an_answered_hello_leaves_it_blind() {
        let flow = Tale::new().handshake(40).hello().answer(1200).build(1);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
