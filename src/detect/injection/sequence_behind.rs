//! `rst.sequence_behind`: does the reset stand behind what its side had already sent?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact, Role};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "bytes by which a reset with ACK (or a FIN) stands behind the payload that its side had sent before",
    why: "a socket resets at the end of what it sent; a forger that lost the race is late",
    innocent: &[
        "a window that shrank below what was sent",
        "a closed socket repeats the other side's number, which is why resets without ACK are not judged",
    ],
    blind_to: "a forger that is fast enough or follows the stream",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if !case.first.is_ack() {
        return Reading::Blind(
            "a reset without ACK takes its number from the segment that it answers",
        );
    }
    let Some(sent) = case.sent_before() else {
        return Reading::Blind("nothing of the named side before it");
    };
    // Where the socket has sent a FIN, a reset may stand before or after it.
    let fin = i64::from(
        case.ordinary()
            .any(|packet| packet.is_fin() && case.is_before(packet)),
    );
    let mut behind = (sent - fin - case.first.seq).max(0);
    if case.suspicion == Suspicion::Close && case.first.role == Role::Retransmission {
        behind = (behind - i64::from(case.first.payload)).max(0);
    }
    // A zero-window socket has unsent data behind its edge, never sent data before it; but an aborting one uses the last byte that the window allows.
    let shrunk = case
        .other()
        .filter(|packet| case.is_before(packet))
        .last()
        .is_some_and(|packet: &PacketFact| packet.window == 0);
    if shrunk {
        return Reading::Blind(
            "the other side's window is closed: an abort then stands at its edge",
        );
    }
    Reading::measured(
        behind as f64,
        [case.first.frame],
        format!(
            "sequence number {} where the same side had sent up to {sent}",
            case.first.seq
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_behind_the_servers_data_lost_the_race() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.seq = 1)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(600.0));
    }

    #[test]
    fn an_abort_at_the_edge_does_not_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_closed_sockets_number_is_not_judged() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| {
                rst.flags = 0x04;
                rst.seq = 1;
            })
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
