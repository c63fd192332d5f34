//! `server_close`: the server itself ended the connection.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::injection::own_headers;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Vantage};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the reset has the server's own headers, stands at the end of what it sent, and follows its answer or the client's FIN",
    why: "servers close with SO_LINGER 0 or with unread data, which sends a reset instead of a FIN",
    innocent: &[],
    blind_to: "a server that aborts before it says anything",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.named == Direction::Up {
        return Reading::measured(0, case.frames(), "the reset is in the client's name");
    }
    if around.vantage.value == Vantage::Server {
        return Reading::measured(1, case.frames(), "the reset left the server's own host");
    }
    let Some(own) = own_headers(flow, around) else {
        return Reading::Blind("no packet of the server to compare with");
    };
    let spoke = case
        .ordinary()
        .any(|packet| packet.payload > 0 && case.is_before(packet));
    let asked = case
        .other()
        .any(|packet| packet.is_fin() && case.is_before(packet));
    let at_end = !case.first.is_ack()
        || case
            .sent_before()
            .is_none_or(|sent| case.first.seq + 1 >= sent);
    let fits = own && at_end && (spoke || asked);
    let text = if !own {
        "the reset's headers are not the server's"
    } else if !at_end {
        "the reset stands behind what the server had sent"
    } else if fits {
        "the server's own headers, at the end of what it sent"
    } else {
        "the server had said nothing yet"
    };
    Reading::measured(u8::from(fits), case.frames(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_close_with_linger_is_the_servers() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_with_another_header_is_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_anything_of_the_server_it_is_blind() {
        let flow = Story::new().syn().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
