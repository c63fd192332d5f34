//! `capture_end`: the capture ended too soon.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds from the beginning of the silence to the end of the capture",
    why: "what was not waited for did not fail to come",
    innocent: &[],
    blind_to: "nothing",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let seconds = flow.detail.observed_until.seconds_since(case.since);
    Reading::measured(
        seconds,
        case.frames(),
        format!("the capture went on for {seconds:.1} s"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_capture_that_ends_after_the_hello_ends_too_soon() {
        let flow = Tale::new().handshake(40).hello().build(1);
        assert!(value(&measure(&flow, &around())).is_some_and(|seconds| seconds < 3.0));
    }

    #[test]
    fn ten_seconds_more_are_enough() {
        let flow = Tale::new().handshake(40).hello().again(5).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|seconds| seconds > 3.0));
    }
}
