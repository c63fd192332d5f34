//! `rst.stepped`: several resets that walk through the sequence space.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "different sequence numbers among resets within one second that answer no segment",
    why: "a socket resets once, at its end; a forger that does not know how far the stream has come aims at several places",
    innocent: &[
        "a closed socket answers every segment with that segment's number, which is why such answers are not counted",
    ],
    blind_to: "a single reset",
};

/// The known boxes send theirs within a millisecond; a second also covers queues.
const AT_ONCE_NS: i64 = 1_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    // Without the other side's packets nobody can say which resets without ACK are answers.
    let two_way = case.two_way();
    let aimed: Vec<&PacketFact> = case
        .suspects
        .iter()
        .copied()
        .filter(|suspect| suspect.time.since(case.first.time) <= AT_ONCE_NS)
        .filter(|suspect| suspect.is_ack() || two_way && !case.may_answer(suspect))
        .collect();
    if aimed.is_empty() {
        return Reading::Blind("every reset may be a closed socket's answer");
    }
    let mut numbers: Vec<i64> = aimed.iter().map(|suspect| suspect.seq).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let offsets: Vec<String> = numbers
        .iter()
        .map(|seq| format!("+{}", seq - numbers.first().unwrap_or(seq)))
        .collect();
    Reading::measured(
        numbers.len() as f64,
        aimed.iter().map(|suspect| suspect.frame),
        format!("{} at {}", count(aimed.len(), "reset"), offsets.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn three_resets_at_growing_numbers_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .forge_with(|rst| rst.seq += 1460)
            .forge_with(|rst| rst.seq += 4380)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(3.0));
    }

    #[test]
    fn a_reset_that_is_sent_twice_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_answers_of_a_closed_socket_are_not_judged() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .ack_up()
            .closed_down()
            .data_up(100)
            .closed_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
