//! `rst.reply_missing`: a bare reset stands where the peer's first answer was due.

use crate::detect::rule::{About, LOST, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Direction;

use super::case::{Case, NO_CASE, Trigger};

pub(in crate::detect) const ABOUT: About = About {
    measures: "a reset with ACK (or a FIN), exactly at the start of the server's stream, that acknowledges the client's first payload, and no payload of the server at all",
    why: "a box that rewrites the peer's answer leaves its headers and takes its content",
    innocent: &["a server that reads the name and aborts at once"],
    blind_to: "flows where the server had spoken before",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if around.lost_between(flow.summary.first, flow.summary.last) {
        return Reading::Blind(LOST);
    }
    if case.named == Direction::Up {
        return Reading::Blind("only what comes in the server's name can stand for its answer");
    }
    let Some((trigger, said)) = case.trigger() else {
        return Reading::Blind("what the client said before is not in the capture");
    };
    if matches!(trigger, Trigger::Syn | Trigger::LaterPayload) || !flow.detail.from_start {
        return Reading::Blind("the reset does not follow the client's first payload");
    }
    let silent = case.ordinary().all(|packet| packet.payload == 0);
    let in_place = case.first.is_ack() && case.first.seq == 1 && case.first.ack >= said.seq_end();
    let stands_in = silent && in_place;
    Reading::measured(
        u8::from(stands_in),
        [said.frame, case.first.frame],
        if stands_in {
            "a bare end where the server's first bytes were due, and none of its bytes ever"
        } else {
            "it does not stand for the server's first answer"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_in_place_of_the_server_hello_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_before_the_whole_hello_arrived_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .forge_with(|rst| rst.ack = 100)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn after_the_servers_first_bytes_it_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
