//! `handover_gap`: the radio changed cells for a moment.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where no other flow of the client was heard in the first two seconds of the silence although some went on later",
    why: "a handover silences everything for a second or three, then all go on",
    innocent: &[],
    blind_to: "flows that had nothing to say",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let early = case.since.plus(2_000_000_000);
    let others = case.others(around);
    let going: Vec<_> = others
        .iter()
        .filter(|other| {
            other.side_heard_between(case.silent(), case.since.plus(-2_000_000_000), case.since)
        })
        .collect();
    if going.is_empty() {
        return Reading::Blind("no other flow was speaking when the silence began");
    }
    let through = going
        .iter()
        .any(|other| other.side_heard_between(case.silent(), case.since, early))
        || others
            .iter()
            .any(|other| other.side_heard_between(case.silent(), case.since, early));
    Reading::measured(
        u32::from(!through && case.silence_s() < 6.0),
        case.frames(),
        if through {
            "other flows were heard as the silence began"
        } else {
            "other flows paused as the silence began"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, around, value};

    #[test]
    fn others_that_go_on_rule_it_out() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }

    #[test]
    fn alone_it_is_blind() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
