//! `icmp_refused`: the host refused it openly, or there was no way to it.

use crate::detect::blackhole::case::{Case, NO_CASE, count};
use crate::detect::icmp::{self, Error};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "ICMP errors about the unanswered packets that say unreachable, closed (by the host itself) or too long on the way, prohibitions of a filter on the way left out",
    why: "a closed port or a broken route that answers is no silence that somebody made",
    innocent: &[],
    blind_to: "networks that filter ICMP",
};

/// A client that lets hello-like packets die on the way, to confuse boxes, draws errors of its own making: nobody else sends so few hops.
const DECOY_HOPS: u8 = 24;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let decoys = flow.detail.packets.iter().any(|packet| {
        packet.direction == Some(case.tries_from) && (1..DECOY_HOPS).contains(&packet.hop_limit)
    });
    let refusals: Vec<_> = icmp::errors(flow, case.silent())
        .filter(|(error, packet)| match error {
            Error::Unreachable => true,
            Error::Port | Error::Prohibited => packet.is_from_peer(),
            Error::Expired => !decoys,
            Error::TooBig => false,
        })
        .map(|(_, packet)| packet.frame)
        .collect();
    let text = count(refusals.len(), "ICMP refusal");
    Reading::measured(refusals.len() as f64, refusals, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_refusal_of_the_host_is_no_silence() {
        let flow = Tale::new().initials(5).icmp(3, 3, true).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn neither_is_a_missing_route() {
        let flow = Tale::new().syn().again(3).icmp(3, 1, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
        let flow = Tale::new().syn().again(3).icmp(11, 0, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_filters_prohibition_is_somebodys_doing() {
        let flow = Tale::new().syn().icmp(3, 13, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn what_a_clients_own_decoys_draw_says_nothing() {
        let mut flow = Tale::new()
            .handshake(40)
            .hello()
            .again(3)
            .icmp(11, 0, false)
            .build(10);
        if let Some(packet) = flow
            .detail
            .packets
            .iter_mut()
            .find(|packet| packet.payload > 0)
        {
            packet.hop_limit = 4;
        }
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_one_it_may_be() {
        let flow = Tale::new().initials(5).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
