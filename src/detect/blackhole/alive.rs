//! `silence.alive`: did anything else of the client work meanwhile?

use super::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "thirds of the silence (of its first 6 s, or 15 s) in which another flow of the client was heard from the side that is silent here",
    why: "a radio gap, a sleeping host or a broken uplink silences everything; a box picks",
    innocent: &["the server or the way to it broke"],
    blind_to: "captures of one flow",
};

/// So much of the silence is looked at, whichever shows more: later the one who tried has mostly gone, and controls end.
const SPANS_NS: [i64; 2] = [6_000_000_000, 15_000_000_000];

/// A flow that spoke so shortly before is one that could have gone on.
const GOING_NS: i64 = 5_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let whole = case.until.since(case.since);
    if whole <= 0 {
        return Reading::Blind("no time to hear others in");
    }
    let others = case.others(around);
    let server = flow.summary.key.b;
    let known = others.iter().any(|other| {
        other.answered() && other.first <= case.until && other.last.plus(GOING_NS) >= case.since
    });
    if !known {
        return Reading::Blind("no other flow was going on");
    }
    let heard_in = |span: i64| {
        let moment = |part: i64| case.since.plus(span / 3 * part);
        (0..3)
            .filter(|part| {
                others.iter().any(|other| {
                    (other.key.b != server || other.down.data_packets > 0)
                        && other.side_heard_between(case.silent(), moment(*part), moment(*part + 1))
                })
            })
            .count()
    };
    let heard = SPANS_NS
        .iter()
        .map(|span| heard_in(whole.min(*span)))
        .max()
        .unwrap_or(0);
    Reading::measured(
        heard as u32,
        case.frames(),
        format!("other flows of the client were heard in {heard} of 3 parts of the silence"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, around, value};

    #[test]
    fn controls_that_answer_all_the_while_count() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(3.0));
    }

    #[test]
    fn controls_that_fall_silent_too_do_not() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..1))), Some(0.0));
    }

    #[test]
    fn alone_it_is_blind() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
