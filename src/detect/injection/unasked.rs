//! `rst.unasked`: resets without ACK that no segment asked for.

use crate::detect::rule::{About, LOST, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets without ACK whose number no segment of the other side acknowledged shortly before",
    why: "a living socket resets with ACK, and a closed one without, but only in answer and with the number that the segment acknowledged",
    innocent: &["the segment that asked for it is missing in the capture"],
    blind_to: "forgers that set ACK or take the number from the trigger",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if around.lost_between(flow.summary.first, flow.summary.last) {
        return Reading::Blind(LOST);
    }
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    if !case.two_way() || flow.detail.one_way {
        return Reading::Blind("the segments that may have asked for it were not seen");
    }
    if case.ordinary().next().is_none() {
        return Reading::Blind("nothing of the named side to count from");
    }
    if case.suspects.iter().all(|suspect| suspect.is_ack()) {
        return Reading::Blind("the resets carry ACK, as a living socket's do");
    }
    let unasked: Vec<_> = case
        .suspects
        .iter()
        .filter(|suspect| !suspect.is_ack() && !case.may_answer(suspect))
        .map(|suspect| suspect.frame)
        .collect();
    let text = format!(
        "{} without ACK that answers no segment",
        count(unasked.len(), "reset")
    );
    Reading::measured(unasked.len() as f64, unasked, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_number_that_nobody_acknowledged_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.flags = 0x04)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_closed_sockets_answer_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .ack_up()
            .closed_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_reset_with_ack_is_not_its_matter() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
