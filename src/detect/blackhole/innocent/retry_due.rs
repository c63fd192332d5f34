//! `retry_due`: whoever tries has not given up, and the answer may yet come.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Protocol;

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds of silence of a connection that its client has not closed when the capture ends, or now",
    why: "a smaller segment is tried on a narrow path after some doublings of the timer, and an outage or a full queue of some seconds ends between two tries",
    innocent: &[],
    blind_to: "connections that were given up",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if flow.summary.key.protocol != Protocol::Tcp {
        return Reading::Blind("no connection");
    }
    let own = flow.detail.side(case.tries_from);
    let gave_up = case.until < flow.detail.observed_until
        || own.fin.is_some_and(|(time, _, _)| time >= case.since);
    if gave_up {
        return Reading::Blind("it was given up");
    }
    let seconds = case.silence_s();
    Reading::measured(
        seconds,
        case.frames(),
        format!("silent for {seconds:.1} s so far, and not given up"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_connection_that_is_still_tried_is_silent_so_far() {
        let flow = Tale::new().handshake(40).hello().again(3).build(2);
        let seconds = value(&measure(&flow, &around()));
        assert!(
            seconds.is_some_and(|seconds| (3.0..6.0).contains(&seconds)),
            "{seconds:?}"
        );
        let flow = Tale::new().handshake(40).hello().again(5).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|seconds| seconds > 8.0));
    }

    #[test]
    fn one_that_was_given_up_will_not_be_answered() {
        let flow = Tale::new().handshake(40).hello().again(3).abort().build(2);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
