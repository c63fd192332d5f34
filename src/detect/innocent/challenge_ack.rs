//! `challenge_ack`: the reset answers an acknowledgement of something its side never sent.

use crate::detect::injection::case::{Case, NO_CASE, Suspicion};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether a reset without ACK takes its number from a segment that acknowledges what the named side never sent",
    why: "half-open connections are cleared this way: one side acknowledges an old stream, the other resets that (RFC 9293, section 3.5.1; RFC 5961)",
    innocent: &[],
    blind_to: "captures that begin in the middle",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close || case.first.is_ack() {
        return Reading::measured(0, case.frames(), "the reset is not an answer by number");
    }
    if !flow.detail.from_start || flow.detail.one_way {
        return Reading::Blind("what the named side had sent before is not wholly known");
    }
    let sent = case.sent_before().unwrap_or(0);
    let stray = case.other().find(|packet| {
        packet.is_ack()
            && case.is_before(packet)
            && packet.ack == case.first.seq
            && (packet.ack > sent || packet.ack < 0)
    });
    match stray {
        Some(packet) => Reading::measured(
            1,
            [packet.frame, case.first.frame],
            "it answers an acknowledgement of bytes that were never sent",
        ),
        None => Reading::measured(
            0,
            case.frames(),
            "no stray acknowledgement that it could answer",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_of_a_stray_acknowledgement_is_honest() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .ack_up()
            .closed_down()
            .data_down(600)
            .build();
        flow.detail.packets[4].ack = 700_000;
        flow.detail.resets[0].seq = 700_000;
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_with_ack_is_not_such_an_answer() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_flow_seen_from_the_middle_is_blind() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .ack_up()
            .closed_down()
            .build();
        flow.detail.from_start = false;
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
