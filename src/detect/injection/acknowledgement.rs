//! `rst.acknowledgement`: does the reset acknowledge what its side must have?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets with ACK whose acknowledgement number is 0, beyond all that the other side sent, or behind what the named side had acknowledged",
    why: "a socket's acknowledgement never goes back; forgers fill in zero, an old number or a guess",
    innocent: &["malformed scanners", "packets that the network reordered"],
    blind_to: "a forger that tracks the stream",
};

/// Reordering on the way takes less than this (the lab's largest jitter is a tenth of it).
const REORDER_NS: i64 = 10_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.acknowledging().next().is_none() {
        return Reading::Blind("resets without ACK");
    }
    let established = case.body().next().is_some() || case.other().any(PacketFact::is_ack);
    if !established {
        return Reading::Blind("nothing was acknowledged before it");
    }
    let all = flow.detail.side(case.named.reverse()).sent_end;
    let mut text =
        "the acknowledgement is within what was sent and not acknowledged before".to_owned();
    let wrong: Vec<_> = case
        .acknowledging()
        .filter(|suspect| {
            if suspect.raw_ack == 0 {
                "acknowledgement 0 with ACK set".clone_into(&mut text);
                return true;
            }
            let sent = case
                .other()
                .filter(|packet| packet.frame < suspect.frame)
                .map(PacketFact::seq_end)
                // what was omitted counts whenever it came
                .chain((flow.detail.omitted > 0).then_some(all))
                .max();
            if flow.detail.from_start
                && !flow.detail.one_way
                && sent.is_some_and(|sent| suspect.ack > sent)
            {
                text = format!(
                    "acknowledgement {} of bytes that the other side had not sent",
                    suspect.ack
                );
                return true;
            }
            let before = case
                .ordinary()
                .filter(|packet| {
                    packet.is_ack()
                        && packet.frame < suspect.frame
                        && suspect.time.since(packet.time) > REORDER_NS
                })
                .map(|packet| packet.ack)
                .max();
            if before.is_some_and(|before| suspect.ack < before) {
                text = format!(
                    "acknowledgement {} after the same side had acknowledged more",
                    suspect.ack
                );
                return true;
            }
            false
        })
        .map(|suspect| suspect.frame)
        .collect();
    Reading::measured(wrong.len() as f64, wrong, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn acknowledgement_zero_with_ack_set_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.raw_ack = 0)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn an_old_acknowledgement_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .wait(30)
            .forge_with(|rst| rst.ack = 1)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_true_one_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_reset_without_ack_is_not_judged() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.flags = 0x04)
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
