//! `silence.alive`: did anything else of the client work meanwhile?

use super::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Summary, Vantage};
use crate::types::{Direction, Timestamp};

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds of the silence in which another flow of the client was heard from the side that is silent here; one that was opened and answered a second or more into the silence counts as two",
    why: "a radio gap, a sleeping host or a broken uplink silences everything; a box picks",
    innocent: &["the server or the way to it broke"],
    blind_to: "captures of one flow",
};

/// So much of the silence is looked at, a bit a second.
const SECONDS: i64 = 64;

/// A connection that was opened so long after the silence began is no part of what began it.
const FRESH_NS: i64 = 1_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let (seconds, fresh) = heard(&case, around);
    if seconds == 0 && fresh == 0 {
        return Reading::Blind("no other flow of the client was heard during the silence");
    }
    if !tried_beside(&case, around) {
        return Reading::measured(
            0,
            case.frames(),
            "others were heard again only when hardly anything more was tried here",
        );
    }
    Reading::measured(
        seconds + 2 * fresh,
        case.frames(),
        format!(
            "other flows of the client were heard in {seconds} seconds of the silence, {fresh} of them opened meanwhile"
        ),
    )
}

/// Whether two tries at least were made while another flow was heard, or after that, where others had tried in vain, too: an outage of everything that has just ended leaves the next try of a doubling
/// timer still to come.
fn tried_beside(case: &Case<'_>, around: &CaptureFacts) -> bool {
    if case.stage == Stage::Stalled || case.tries.len() < 3 {
        return true;
    }
    let others = case.others(around);
    let first = others
        .iter()
        .flat_map(|other| moments(other, case.silent()))
        .filter(|moment| *moment >= case.since && *moment < case.until)
        .min();
    let Some(first) = first else {
        return true;
    };
    let in_vain = others.iter().any(|other| {
        moments(other, case.tries_from)
            .any(|moment| moment >= case.since && first.since(moment) >= FRESH_NS)
    });
    let beside = case
        .tries
        .iter()
        .filter(|packet| packet.time.plus(FRESH_NS) >= first)
        .count();
    !in_vain || beside >= 2
}

/// In how many seconds of the silence others were heard, and how many of them were opened during it.
pub(in crate::detect) fn heard(case: &Case<'_>, around: &CaptureFacts) -> (u32, u32) {
    let (mut seconds, mut fresh) = (0_u64, 0_u32);
    for other in case.others(around) {
        let mut any = false;
        for moment in moments(other, case.silent()) {
            // who only repeats itself gets no answer either; between the ends that has to be asked of both
            let vain = other.only_repeats(case.silent(), moment)
                || around.vantage.value == Vantage::Path
                    && other.only_repeats(case.tries_from, moment);
            if moment >= case.since && moment < case.until && !vain {
                let second = moment.since(case.since) / 1_000_000_000;
                seconds |= 1 << second.min(SECONDS - 1);
                any = true;
            }
        }
        let opened = other.first.since(case.since) >= FRESH_NS;
        fresh += u32::from(any && opened && other.answered());
    }
    (seconds.count_ones(), fresh)
}

/// When a side of a flow was heard: the beginnings of its slots, but never before the flow itself.
pub(in crate::detect) fn moments(
    flow: &Summary,
    side: Direction,
) -> impl Iterator<Item = Timestamp> {
    let activity = match side {
        Direction::Up => flow.client_activity,
        Direction::Down => flow.activity,
    };
    let first = flow.first;
    (0..64)
        .filter(move |slot| activity.heard >> slot & 1 != 0)
        .map(move |slot| first.plus(activity.slot() * slot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, around, value};

    #[test]
    fn controls_that_answer_all_the_while_count() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let seconds = value(&measure(&flow, &among(&flow, 0..80)));
        assert!(seconds.is_some_and(|seconds| seconds > 10.0));
    }

    #[test]
    fn one_that_was_opened_meanwhile_is_enough() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let mut around = among(&flow, 0..1);
        around.flows[1].first = flow.summary.first.plus(5_000_000_000);
        assert!(value(&measure(&flow, &around)).is_some_and(|seconds| seconds >= 2.0));
    }

    #[test]
    fn one_that_falls_silent_too_does_not() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let seconds = value(&measure(&flow, &among(&flow, 0..1)));
        assert!(seconds.is_none_or(|seconds| seconds < 2.0));
    }

    #[test]
    fn one_that_only_repeats_itself_does_not() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let mut around = among(&flow, 0..80);
        around.flows[1].repeating_ms = [0, 81_000];
        let seconds = value(&measure(&flow, &around));
        assert!(seconds.is_none_or(|seconds| seconds < 2.0), "{seconds:?}");
        // what the client repeats shows at the client that it hears nothing only by the server's silence
        around.flows[1].repeating_ms = [81_000, 0];
        assert!(value(&measure(&flow, &around)).is_some_and(|seconds| seconds > 10.0));
        around.vantage.value = Vantage::Path;
        let seconds = value(&measure(&flow, &around));
        assert!(seconds.is_none_or(|seconds| seconds < 2.0), "{seconds:?}");
    }

    #[test]
    fn an_outage_that_has_just_ended_for_others_leaves_the_next_try_to_come() {
        // tries at 0, 0.3, 0.9, 2.1, 4.5 s; all others were silent until the fifth second, though they tried
        let flow = Tale::new().handshake(40).hello().again(4).build(4);
        let mut around = among(&flow, 0..40);
        let other = &mut around.flows[1];
        other.activity = crate::facts::Activity::default();
        for tenth in 55..80 {
            other.activity.note(tenth * 100_000_000);
        }
        assert_eq!(value(&measure(&flow, &around)), Some(0.0));
        // who had said nothing until then was not silent
        let other = &mut around.flows[1];
        other.client_activity = other.activity;
        assert!(value(&measure(&flow, &around)).is_some_and(|seconds| seconds >= 2.0));
    }

    #[test]
    fn alone_it_is_blind() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
