//! `handover_gap`: the radio changed cells for a moment.

use crate::detect::blackhole::alive::moments;
use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Summary};

pub(in crate::detect) const ABOUT: About = About {
    measures: "other flows of the client that tried in vain when the silence began and were heard later, where fewer than two tries came after that",
    why: "a handover silences everything for a second or three, then all go on",
    innocent: &[],
    blind_to: "flows that had nothing to say",
};

/// What was tried and heard within this time was answered at once.
const AT_ONCE_NS: i64 = 600_000_000;

/// A server's timer starts below this.
const STALLED_NS: i64 = 3_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let others = case.others(around);
    let during = |other: &Summary, side| {
        moments(other, side)
            .filter(|moment| *moment >= case.since && *moment < case.until)
            .min()
    };
    let Some(back) = others
        .iter()
        .filter_map(|other| during(other, case.silent()))
        .min()
    else {
        return Reading::Blind("no other flow was heard during the silence");
    };
    // flows that tried in vain at first and were heard later: the whole link was gone
    let struck = others
        .iter()
        .filter(|other| {
            during(other, case.tries_from).is_some_and(|tried| back.since(tried) >= AT_ONCE_NS)
                && other.side_heard_between(case.silent(), back, case.until)
                && moments(other, case.silent()).any(|moment| moment < case.since)
        })
        .count();
    let gap = back.since(case.since);
    let since_then = case
        .tries
        .iter()
        .filter(|packet| packet.time.since(back) >= -AT_ONCE_NS)
        .count();
    let tested = if case.stage == Stage::Stalled {
        // the server's timer has doubled through the gap
        case.until.since(back) >= 2 * gap + STALLED_NS
    } else {
        since_then >= 2
    };
    Reading::measured(
        if tested { 0 } else { struck as u32 },
        case.frames(),
        format!(
            "{struck} other flows were struck for {:.1} s too, {since_then} tries came after that",
            gap as f64 / 1e9
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, around, value};

    #[test]
    fn a_gap_of_everything_in_which_all_tries_were_made_fits() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .answer(900)
            .wait(1000)
            .ask(100)
            .again(3)
            .build(1);
        let mut around = among(&flow, 0..80);
        // heard before, and again when the last try has been made
        around.flows[1].activity = crate::facts::Activity::default();
        around.flows[1].activity.note(100_000_000);
        for tenth in 33..60 {
            around.flows[1].activity.note(tenth * 100_000_000);
        }
        assert_eq!(value(&measure(&flow, &around)), Some(1.0));
    }

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
