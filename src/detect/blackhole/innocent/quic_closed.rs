//! `quic_closed`: the network has closed QUIC altogether.

use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "QUIC Initials of the client to two or more other servers that stay unanswered while none is answered",
    why: "company firewalls and hotels drop UDP 443 for everybody",
    innocent: &[],
    blind_to: "captures with one QUIC flow",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.stage != Stage::Quic {
        return Reading::Blind("no QUIC Initials without an answer");
    }
    let others = case.others(around);
    let quic = || {
        others.iter().filter(|other| {
            other.key.protocol == crate::types::Protocol::Udp && other.key.b.port == 443
        })
    };
    let answered = quic().any(|other| other.answered());
    let silent = quic()
        .filter(|other| !other.answered() && other.service != flow.summary.service)
        .count();
    Reading::measured(
        if answered { 0 } else { silent as u32 },
        case.frames(),
        format!("{silent} QUIC flows to other services were unanswered too"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, value};

    #[test]
    fn one_silent_server_is_not_a_closed_network() {
        let flow = Tale::new().initials(5).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }

    #[test]
    fn when_no_quic_is_answered_it_is() {
        let flow = Tale::new().initials(5).build(10);
        let mut around = among(&flow, 0..80);
        let mut other = flow.summary.clone();
        other.service = 7;
        for port in 1..3 {
            other.key.a.port += port;
            around.flows.push(other.clone());
        }
        around.by_client = (0..around.flows.len() as u32).collect();
        assert_eq!(value(&measure(&flow, &around)), Some(2.0));
    }
}
