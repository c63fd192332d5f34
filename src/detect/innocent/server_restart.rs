//! `server_restart`: the server lost its connections.

use crate::detect::injection::case::{Case, NO_CASE, fellows};
use crate::detect::injection::own_headers;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether a served connection is answered as by a closed socket, with the server's own hop limit, or all of the server's flows end with its resets in one moment",
    why: "a host that restarts knows none of its connections and resets what arrives for them",
    innocent: &[],
    blind_to: "a box that resets all flows to one address at once",
};

/// A restart meets all flows within this time of each other.
const ONE_MOMENT_NS: i64 = 1_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.named == Direction::Up {
        return Reading::measured(0, case.frames(), "the reset is in the client's name");
    }
    let Some(own) = own_headers(flow, around) else {
        return Reading::Blind("no packet of the server to compare with");
    };
    let served = case
        .ordinary()
        .any(|packet| packet.payload > 0 && case.is_before(packet));
    let together = fellows(flow, around)
        .filter(|other| {
            other.end == End::RstByServer
                && other.last.since(flow.summary.last).abs() <= ONE_MOMENT_NS
        })
        .count();
    let fits = own && served && (case.may_answer(case.first) || together >= 2);
    Reading::measured(
        u8::from(fits),
        case.frames(),
        if fits {
            "the server no longer knows a connection that it had served"
        } else {
            "not a forgotten connection that the server had served"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_server_that_forgot_a_served_connection_was_restarted() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .ack_up()
            .wait(900)
            .data_up(50)
            .closed_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_before_any_service_is_not_a_restart() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .ack_down()
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_anything_of_the_server_it_is_blind() {
        let flow = Story::new().syn().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
