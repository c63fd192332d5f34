//! `time_wait`: the ports were used again too soon.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether a reset during the handshake is followed by a new SYN that is answered",
    why: "an old connection on the same ports is cleared away with a reset, and the retry works (RFC 9293, section 3.6.1)",
    innocent: &[],
    blind_to: "retries on another port",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let early = flow
        .detail
        .packets
        .iter()
        .filter(|packet| case.is_before(packet))
        .all(|packet| packet.payload == 0);
    let again = flow
        .detail
        .packets
        .iter()
        .find(|packet| packet.is_syn() && packet.frame > case.first.frame);
    let answered = again.and_then(|syn| {
        flow.detail
            .packets
            .iter()
            .find(|packet| packet.is_syn_ack() && packet.frame > syn.frame)
    });
    match answered {
        Some(syn_ack) if early && flow.detail.from_start => Reading::measured(
            1,
            [case.first.frame, syn_ack.frame],
            "the retry on the same ports was answered",
        ),
        _ => Reading::measured(
            0,
            case.frames(),
            "no handshake on the same ports that worked after the reset",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_retry_that_works_cleared_an_old_connection() {
        let flow = Story::new()
            .syn()
            .forge_with(|_| {})
            .wait(1000)
            .syn()
            .syn_ack()
            .ack_up()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_after_the_hello_did_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_a_reset_it_is_blind() {
        let flow = Story::new().handshake(40).hello().build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
