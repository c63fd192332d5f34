//! `rst.burst`: several equal resets at once that nothing asked for.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets with one sequence number within 20 ms that answer no segment",
    why: "a socket resets once; forgers repeat lest one be lost",
    innocent: &[
        "stacks that repeat a reset",
        "a closed socket answers each of several segments",
    ],
    blind_to: "a single reset",
};

/// Bursts of the known boxes last less than this, and a sender's retransmission timer is longer (RFC 6298: 200 ms and more in practice).
const BURST_NS: i64 = 20_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    let unasked: Vec<_> = case
        .suspects
        .iter()
        .filter(|suspect| suspect.is_ack() || !case.may_answer(suspect))
        .collect();
    if unasked.is_empty() {
        return Reading::Blind("every reset may be a closed socket's answer");
    }
    // The provoking segments of the other side within the burst: each excuses one reset.
    let best = unasked
        .iter()
        .map(|start| {
            let equal: Vec<_> = unasked
                .iter()
                .filter(|suspect| {
                    suspect.seq == start.seq
                        && (0..=BURST_NS).contains(&suspect.time.since(start.time))
                })
                .collect();
            let excused = case
                .other()
                .filter(|packet| {
                    packet.frame > start.frame
                        && equal.last().is_some_and(|last| packet.frame < last.frame)
                })
                .count();
            let frames: Vec<_> = equal.iter().map(|suspect| suspect.frame).collect();
            (equal.len().saturating_sub(excused), frames)
        })
        .max_by_key(|(count, _)| *count)
        .unwrap_or_default();
    Reading::measured(
        best.0 as f64,
        best.1,
        format!("{} equal resets within 20 ms", best.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn three_equal_resets_at_once_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .forge_with(|_| {})
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(3.0));
    }

    #[test]
    fn one_reset_is_no_burst() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_repeated_by_a_timer_is_no_burst() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .wait(300)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_answer_of_a_closed_socket_is_not_judged() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .ack_up()
            .closed_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
