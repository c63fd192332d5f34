//! `client_stopped`: nobody wanted anything more.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where nothing was unanswered and the last record was complete",
    why: "an app that has what it asked for says nothing more",
    innocent: &[],
    blind_to: "protocols without visible records",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let waits = flow.detail.recognised.record_missing_down > 0;
    let asked = !case.tries.is_empty();
    Reading::measured(
        u32::from(!waits && !asked),
        [],
        if waits || asked {
            "something was outstanding"
        } else {
            "nothing was outstanding"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_complete_answer_ends_a_conversation() {
        let flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_repeated_question_does_not() {
        let flow = Tale::new().handshake(40).hello().again(5).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
