//! `rst.hop_limit`: did the resets travel as far as the packets of the side they name?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "largest distance between a reset's hop limit and the nearest one that the named side used for acknowledgements and data",
    why: "a box in the path sits nearer than the side it speaks for, and starts from a value of its own",
    innocent: &[
        "a load balancer or NAT resets for the host behind it",
        "the route changed",
        "the kernel resets with another default than the application's",
    ],
    blind_to: "a forger that sets the distance right, and a rewritten packet of the peer's own",
};

/// Fewest packets of the named side to compare with.
const BASELINE: usize = 2;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let usual: Vec<u8> = case.body().map(|packet| packet.hop_limit).collect();
    if usual.len() < BASELINE {
        return Reading::Blind(
            "fewer than 2 packets of the named side beside its SYN/ACK to compare hop limits with",
        );
    }
    against(&case, &usual)
}

/// The distance of the suspects from the values in `usual`, which is not empty.
pub(super) fn against(case: &Case<'_>, usual: &[u8]) -> Reading {
    let distance = |hop_limit: u8| {
        usual
            .iter()
            .map(|usual| usual.abs_diff(hop_limit))
            .min()
            .unwrap_or(0)
    };
    let farthest = case
        .suspects
        .iter()
        .map(|suspect| (distance(suspect.hop_limit), suspect.hop_limit))
        .max()
        .unwrap_or_default();
    let mut values = usual.to_vec();
    values.sort_unstable();
    values.dedup();
    let values: Vec<String> = values.iter().map(u8::to_string).collect();
    Reading::measured(
        farthest.0,
        case.frames(),
        format!(
            "hop limit {} against {} in {} of the same side",
            farthest.1,
            values.join(", "),
            count(usual.len(), "packet")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_that_came_from_nearer_is_not_the_servers() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .forge_with(|rst| rst.hop_limit = 61)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(9.0));
    }

    #[test]
    fn a_reset_that_came_as_far_as_the_data_counts_for_nothing() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_load_balancers_syn_ack_is_no_baseline() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .abort_down()
            .build();
        for packet in &mut flow.detail.packets {
            if packet.is_syn_ack() {
                packet.hop_limit = 240;
            }
        }
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn with_a_syn_ack_alone_it_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.hop_limit = 61)
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
