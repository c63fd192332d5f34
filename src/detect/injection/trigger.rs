//! `rst.trigger`: did the reset follow what a censor reads?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use crate::types::Direction;

use super::case::{Case, NO_CASE, Trigger};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether a reset follows the client's hello, request or first payload before the server has sent any payload",
    why: "boxes act on names and first bytes; honest resets come at any time, most often at the end",
    innocent: &[
        "a server that refuses the name",
        "a port that is not served",
    ],
    blind_to: "boxes that act later or on addresses",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let Some((trigger, said)) = case.trigger() else {
        return Reading::Blind("what the client said before is not in the capture");
    };
    if trigger == Trigger::Syn {
        return Reading::Blind(match case.named {
            Direction::Up => "the client had said nothing that came as far as the capture",
            Direction::Down => {
                "the client had said nothing yet: closed ports answer then, and boxes that know addresses"
            }
        });
    }
    let early = matches!(
        trigger,
        Trigger::ClientHello | Trigger::HttpRequest | Trigger::FirstPayload
    );
    Reading::measured(
        u8::from(early),
        [said.frame, case.first.frame],
        format!(
            "{:.1} ms after the client's last payload ({}), {}",
            case.first.time.since(said.time) as f64 / 1e6,
            trigger.name(),
            if early {
                "before any payload of the server"
            } else {
                "not the first thing it said"
            }
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_right_after_the_hello_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_after_the_exchange_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn before_the_client_said_anything_it_is_blind() {
        let flow = Story::new().handshake(40).forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
        let flow = Story::new().syn().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }

    #[test]
    fn without_the_clients_packets_it_is_blind() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        flow.detail
            .packets
            .retain(crate::facts::PacketFact::is_down);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
