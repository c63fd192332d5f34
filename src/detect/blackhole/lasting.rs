//! `silence.lasting`: how long was the silence watched?

use super::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds from the first unanswered packet (or the last one heard) to the end of the capture, or until the one who tried gave up",
    why: "handovers and loss bursts pass within seconds",
    innocent: &["an outage of everything: see silence.alive"],
    blind_to: "captures that end early",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let seconds = case.silence_s();
    Reading::measured(seconds, case.frames(), format!("{seconds:.1} s of silence"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn silence_lasts_to_the_end_of_the_capture() {
        let flow = Tale::new().handshake(40).hello().again(3).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|seconds| seconds > 10.0));
    }

    #[test]
    fn a_capture_that_ends_with_the_hello_shows_no_silence() {
        let flow = Tale::new().handshake(40).hello().build(0);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
