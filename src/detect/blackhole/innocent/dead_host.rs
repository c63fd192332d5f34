//! `dead_host`: nobody lives at that address.

use crate::detect::blackhole::case::{Case, NO_CASE, is_relay};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where the address never answered anything in the capture, is the only silent one, and another address of its service answers; also where nothing says whose address it is",
    why: "addresses die and DNS lags behind; a blocked service has more than one silent address, or is known to live",
    innocent: &[],
    blind_to: "a service that has one address",
};

/// Ports of the web, of push and of messengers.
const SERVICE_PORTS: &[u16] = &[80, 443, 4244, 5222, 5223, 5228, 5242];

/// Whether both servers lie in one /16 (IPv4) or /32 (IPv6), as the addresses of one service mostly do.
fn same_network(other: &crate::facts::Summary, flow: &FlowFacts) -> bool {
    let (ours, theirs) = (flow.summary.key.b.address, other.key.b.address);
    let bytes = if ours.is_v4() { 14 } else { 4 };
    ours.is_v4() == theirs.is_v4() && ours.0.get(..bytes) == theirs.0.get(..bytes)
}

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let key = &flow.summary.key;
    if case.spoke() {
        return Reading::measured(0, [], "the server had answered on this flow before");
    }
    let service = flow.summary.service;
    let same_address =
        |other: &&&crate::facts::Summary| other.key.b.address == key.b.address && other.answered();
    let others = case.others(around);
    if others.iter().any(|other| same_address(&other)) {
        return Reading::measured(0, [], "the address answers other flows");
    }
    let near = |other: &crate::facts::Summary| {
        other.key.b.address != key.b.address
            && (service != 0 && other.service == service || same_network(other, flow))
    };
    let live = others.iter().any(|other| near(other) && other.answered());
    let answers = |address| {
        others
            .iter()
            .any(|other| other.key.b.address == address && other.answered())
    };
    // two addresses do not die in one capture; where nothing says whose they are, the well-known port has to speak for a service
    let dead = others.iter().any(|other| {
        !other.answered()
            && other.up.packets >= 3
            && other.key.b.address != key.b.address
            && other.key.protocol == key.protocol
            && (near(other)
                || service == 0
                    && other.service == 0
                    && other.key.b.port == key.b.port
                    && (SERVICE_PORTS.contains(&key.b.port) || is_relay(flow)))
            && !answers(other.key.b.address)
    });
    let fits = !dead && (live || service == 0);
    Reading::measured(
        u32::from(fits),
        case.frames(),
        match (dead, live, service) {
            (true, ..) => "another address is silent too",
            (false, true, _) => "other addresses of the service answer",
            (false, false, 0) => "nothing says whose address that is",
            (false, false, _) => "no address of the service answers",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, value};

    #[test]
    fn one_silent_address_beside_a_live_one_is_a_dead_host() {
        let mut flow = Tale::new().syn().again(5).build(10);
        flow.summary.service = 1;
        let mut around = among(&flow, 0..80);
        around.flows[1].service = 1;
        assert_eq!(value(&measure(&flow, &around)), Some(1.0));
    }

    #[test]
    fn a_service_whose_only_known_address_is_silent_may_be_blocked() {
        let mut flow = Tale::new().syn().again(5).build(10);
        flow.summary.service = 1;
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }
}
