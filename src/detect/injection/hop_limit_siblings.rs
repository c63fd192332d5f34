//! `rst.hop_limit_siblings`: the same, held against other flows with the same host, where this one shows nothing of it.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts};
use crate::types::Direction;

use super::case::{Case, NO_CASE, siblings};
use super::hop_limit;

pub(in crate::detect) const ABOUT: About = About {
    measures: "distance between a reset's hop limit and the usual ones of the named host in other flows, where it sent nothing else in this one",
    why: "one host's packets travel one way; a port that refuses does so from where the others answer",
    innocent: &[
        "a load balancer that sends ports or addresses to different hosts",
        "the route changed",
    ],
    blind_to: "hosts seen in this flow only",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.ordinary().next().is_some() {
        return Reading::Blind("the flow has packets of the named side to compare hop limits with");
    }
    let server = flow.summary.key.b.address;
    let usual: Vec<u8> = siblings(flow, around)
        .filter(|sibling| {
            sibling.key.b.address == server
                && !matches!(sibling.end, End::RstByServer | End::RstByClient)
        })
        .map(|sibling| match case.named {
            Direction::Up => sibling.hop_limits[0],
            Direction::Down => sibling.hop_limits[1],
        })
        .filter(|hop_limit| *hop_limit != 0)
        .collect();
    if usual.is_empty() {
        return Reading::Blind("no other flow with the same host that was not reset");
    }
    hop_limit::against(&case, &usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, among, value};

    #[test]
    fn a_refusal_from_nearer_than_the_host_counts() {
        let flow = Story::new()
            .syn()
            .wait(10)
            .forge_with(|rst| rst.hop_limit = 61)
            .build();
        let mut around = among(&flow, &[(0, End::Fin)]);
        around.flows[1].hop_limits = [64, 52];
        assert_eq!(value(&measure(&flow, &around)), Some(9.0));
    }

    #[test]
    fn a_refusal_from_as_far_as_the_host_does_not() {
        let flow = Story::new()
            .syn()
            .wait(10)
            .forge_with(|rst| rst.hop_limit = 52)
            .build();
        let mut around = among(&flow, &[(0, End::Fin)]);
        around.flows[1].hop_limits = [64, 52];
        assert_eq!(value(&measure(&flow, &around)), Some(0.0));
    }

    #[test]
    fn without_another_flow_it_is_blind() {
        let flow = Story::new().syn().wait(10).forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &among(&flow, &[]))), None);
    }
}
