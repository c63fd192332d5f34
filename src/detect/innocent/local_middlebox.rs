//! `local_middlebox`: a gateway on the host or next to it speaks for every server.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the reset and all other packets of the named side come with untouched hop limits (64, 128 or 255)",
    why: "where no router lies between, the far end is a gateway here (a virtual machine's NAT, a proxy, a virus scanner) or a neighbour, and no network interferes",
    innocent: &[],
    blind_to: "what happens beyond the gateway",
};

/// Initial hop limits in use.
const UNTOUCHED: [u8; 3] = [64, 128, 255];

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.ordinary().next().is_none() {
        return Reading::Blind("no packet of the named side to compare with");
    }
    let here = case
        .ordinary()
        .chain(case.suspects.iter().copied())
        .all(|packet| UNTOUCHED.contains(&packet.hop_limit));
    Reading::measured(
        u8::from(here),
        case.frames(),
        if here {
            "no router lies between the capture and who speaks for the named side"
        } else {
            "the packets came over routers"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn untouched_hop_limits_are_a_gateway_here() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.hop_limit = 255)
            .build();
        for packet in &mut flow.detail.packets {
            packet.hop_limit = packet.hop_limit.max(64);
        }
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn packets_that_crossed_routers_are_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.hop_limit = 255)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_lone_reset_is_blind() {
        let flow = Story::new().syn().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
