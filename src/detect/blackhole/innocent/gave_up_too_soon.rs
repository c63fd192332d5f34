//! `gave_up_too_soon`: the one who tried gave up at once.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds from the first unanswered packet to its reset, or to the end",
    why: "an app that aborts after a second never learns whether an answer would have come",
    innocent: &[],
    blind_to: "nothing",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let gave_up = case.until < flow.detail.observed_until;
    let seconds = case.silence_s();
    if !gave_up {
        return Reading::Blind("it did not give up");
    }
    Reading::measured(
        seconds,
        case.frames(),
        format!("gave up after {seconds:.1} s"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn an_abort_after_a_second_is_too_soon() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .wait(800)
            .abort()
            .build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|seconds| seconds < 3.0));
    }

    #[test]
    fn who_goes_on_did_not_give_up() {
        let flow = Tale::new().handshake(40).hello().again(5).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
