//! `silence.icmp_prohibited`: does a filter on the way say that it forbids?

use super::case::{Case, NO_CASE, count};
use crate::detect::icmp;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "ICMP errors about the flow that only a filter sends: communication prohibited, or a closed port, from another address than the server's",
    why: "a router without a way says unreachable, a host says for itself that a port is closed; who forbids in between is a filter, and needs no further proof of silence",
    innocent: &["a firewall of the client's own network, or in front of the server"],
    blind_to: "filters that say nothing, and ones that take the server's address (see the resets)",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if flow.detail.icmp.is_empty() {
        return Reading::Blind("no ICMP error about the flow");
    }
    let frames: Vec<_> = icmp::errors(flow, case.silent())
        .filter(|(error, packet)| icmp::is_filters(*error, packet))
        .map(|(_, packet)| packet.frame)
        .collect();
    let text = format!(
        "{} from an address on the way: prohibited",
        count(frames.len(), "ICMP error")
    );
    Reading::measured(frames.len() as f64, frames, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_router_that_forbids_is_a_filter() {
        let flow = Tale::new().syn().icmp(3, 13, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
        let flow = Tale::new().initials(2).icmp(3, 3, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_host_that_refuses_and_a_router_without_a_way_are_not() {
        let flow = Tale::new().initials(2).icmp(3, 3, true).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
        let flow = Tale::new().syn().icmp(3, 1, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_an_error_it_is_blind() {
        let flow = Tale::new().syn().again(4).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
