//! `refused_port`: nobody listens there.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether a RST/ACK answers a SYN (or a scanner's segment without ACK), and nothing else came",
    why: "that is how a closed port answers (RFC 9293, section 3.10.7.1)",
    innocent: &[],
    blind_to: "blocking of an address by resets, which looks the same from here",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.named == Direction::Down
        && !flow.detail.from_start
        && case.other().any(PacketFact::is_ack)
    {
        return Reading::Blind("the beginning of the flow is not in the capture");
    }
    // A SYN, or a scanner's segment without any flag that asks: the answer acknowledges it and counts from nothing.
    let refused = case.named == Direction::Down
        && case.first.is_ack()
        && case.ordinary().next().is_none()
        && case.other().any(|packet| case.is_before(packet))
        && case
            .other()
            .filter(|packet| case.is_before(packet))
            .all(|packet| !packet.is_ack() && packet.seq_end() >= case.first.ack);
    Reading::measured(
        u8::from(refused),
        case.frames(),
        if refused {
            "RST/ACK answers the SYN"
        } else {
            "the reset does not answer a SYN"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_for_a_syn_is_a_closed_port() {
        let flow = Story::new().syn().wait(40).forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_after_the_handshake_is_not() {
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
            .forge_with(|_| {})
            .build();
        flow.detail.from_start = false;
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
