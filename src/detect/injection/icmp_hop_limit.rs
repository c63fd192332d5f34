//! `icmp.hop_limit`: did the error come as far as the host's own packets?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Direction;

use super::case::siblings;
use super::refusal::{NONE, Refusal};

pub(in crate::detect) const ABOUT: About = About {
    measures: "hops between where a port-unreachable error came from and where the host's own packets do, in this flow or in others, whatever hop limits they began with",
    why: "a closed port is reported by its host; a box in the path sits nearer",
    innocent: &[
        "a NAT or load balancer answers for the host behind it",
        "the route changed",
    ],
    blind_to: "hosts that sent nothing else",
};

/// Hops from the sender, if it began with the next usual value above.
fn hops(hop_limit: u8) -> u8 {
    [64_u8, 128, 255]
        .into_iter()
        .find(|initial| *initial >= hop_limit)
        .unwrap_or(u8::MAX)
        - hop_limit
}

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(refusal) = Refusal::of(flow, around) else {
        return Reading::Blind(NONE);
    };
    let server = flow.summary.key.b.address;
    let own: Vec<u8> = refusal
        .datagrams()
        .map(|packet| packet.hop_limit)
        .chain(
            siblings(flow, around)
                .filter(|sibling| sibling.key.b.address == server)
                .map(|sibling| match refusal.named {
                    Direction::Up => sibling.hop_limits[0],
                    Direction::Down => sibling.hop_limits[1],
                }),
        )
        .filter(|hop_limit| *hop_limit != 0)
        .collect();
    let said = refusal.first.hop_limit;
    let Some(nearest) = own
        .iter()
        .map(|own| own.abs_diff(said).min(hops(*own).abs_diff(hops(said))))
        .min()
    else {
        return Reading::Blind("the host sent nothing else to compare with");
    };
    Reading::measured(
        nearest,
        refusal.frames(),
        format!(
            "hop limit {said}, {nearest} hops off the nearest of the host's {} other values",
            own.len()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::refusal::testing::{away, flow};
    use super::*;
    use crate::detect::injection::testing::{around, value};
    use crate::facts::PacketKind;

    const ICMP: PacketKind = PacketKind::Icmp;
    const DATA: PacketKind = PacketKind::Datagram;

    #[test]
    fn an_error_from_nearer_than_the_host_counts() {
        let flow = flow(&[(0, true, DATA, 64), (4, false, ICMP, 61)]);
        assert_eq!(value(&measure(&flow, &away(&flow, 40.0))), Some(9.0));
    }

    #[test]
    fn another_initial_value_over_the_same_way_does_not() {
        let flow = flow(&[(0, true, DATA, 64), (40, false, ICMP, 243)]);
        assert_eq!(value(&measure(&flow, &away(&flow, 40.0))), Some(0.0));
    }

    #[test]
    fn with_nothing_else_of_the_host_it_is_blind() {
        let flow = flow(&[(0, true, DATA, 64), (40, false, ICMP, 61)]);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
