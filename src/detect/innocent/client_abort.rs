//! `client_abort`: the client itself ended the connection.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::injection::own_headers;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Vantage};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the first reset is the client's own: it left the host next to the capture, or has the client's hop limit, numbers and clock",
    why: "programs that stop reading, close with unread data or are killed reset their connections",
    innocent: &[],
    blind_to: "a forger that copies the client's headers",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let Some(first) = flow.detail.resets.first() else {
        return Reading::Blind("no reset");
    };
    if first.direction != Some(Direction::Up) {
        return Reading::measured(0, [first.frame], "the first reset is in the server's name");
    }
    if around.vantage.value == Vantage::Client {
        return Reading::measured(
            1,
            [first.frame],
            "the first reset left the client's own host",
        );
    }
    if case.named != Direction::Up {
        return Reading::Blind("the resets judged here are in the server's name");
    }
    match own_headers(flow, around) {
        Some(own) => Reading::measured(
            u8::from(own),
            [first.frame],
            if own {
                "the reset has the client's own headers"
            } else {
                "the reset's headers are not the client's"
            },
        ),
        None => Reading::Blind("no packet of the client to compare with"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_that_left_the_capture_host_is_its_own() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_up()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn at_the_server_the_headers_decide() {
        let mut at_server = around();
        at_server.vantage.value = Vantage::Server;
        let own = Story::new()
            .handshake(40)
            .hello()
            .ack_up()
            .abort_up()
            .build();
        assert_eq!(value(&measure(&own, &at_server)), Some(1.0));
        let forged = Story::new()
            .handshake(40)
            .hello()
            .ack_up()
            .forge_up_with(|rst| rst.hop_limit = 99)
            .build();
        assert_eq!(value(&measure(&forged, &at_server)), Some(0.0));
    }

    #[test]
    fn a_reset_in_the_servers_name_is_not_the_clients() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
