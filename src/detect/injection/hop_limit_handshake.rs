//! `rst.hop_limit_handshake`: the same, held against the SYN or SYN/ACK where nothing else was seen.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, is_opening};
use super::hop_limit;

pub(in crate::detect) const ABOUT: About = About {
    measures: "distance between a reset's hop limit and that of the named side's SYN or SYN/ACK, where that side sent at most one other packet",
    why: "a box in the path sits nearer than the side it speaks for, and starts from a value of its own",
    innocent: &[
        "a load balancer or SYN proxy answers SYNs for the host behind it",
        "the route changed",
    ],
    blind_to: "a forger that sets the distance right",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.body().count() >= 2 {
        return Reading::Blind("there are better packets to compare hop limits with");
    }
    // A single other packet stays in the comparison: the nearest value decides.
    let usual: Vec<u8> = case.ordinary().map(|packet| packet.hop_limit).collect();
    if !case.ordinary().any(is_opening) || usual.is_empty() {
        return Reading::Blind("no SYN or SYN/ACK of the named side to compare hop limits with");
    }
    hop_limit::against(&case, &usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_from_nearer_than_the_syn_ack_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.hop_limit = 38)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(14.0));
    }

    #[test]
    fn a_reset_from_as_far_as_the_syn_ack_does_not() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn it_leaves_flows_with_data_to_the_better_comparison() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
