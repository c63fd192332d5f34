//! `call_elsewhere`: the call runs over another pair.

use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "other UDP flows of the client to the same service (to any where none is known) with datagrams both ways within a minute, ports 53, 123, 443, 853 and 5353 left out; where media ceased, those of the service or of the client's port with 50 datagrams of the far side that were heard meanwhile",
    why: "ICE tries many pairs and keeps one (RFC 8445); those to a peer behind a NAT stay unanswered",
    innocent: &[],
    blind_to: "calls of which only one flow is in the capture",
};

/// Pairs of one call are tried within this time.
const MINUTE_NS: i64 = 60_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if matches!(case.stage, Stage::Dtls | Stage::Ceased) {
        return moved(&case, around);
    }
    if case.stage != Stage::Stun {
        return Reading::Blind(
            "no unanswered pair; who still sends media has not moved to another",
        );
    }
    let near = |other: &crate::facts::Summary| {
        other.first.since(case.until) <= MINUTE_NS && case.since.since(other.last) <= MINUTE_NS
    };
    let running = case
        .others(around)
        .into_iter()
        .filter(|other| {
            other.key.protocol == crate::types::Protocol::Udp
                && other.answered()
                && !matches!(other.key.b.port, 53 | 443 | 853 | 123 | 5353)
                && near(other)
                && (flow.summary.service == 0 || other.service == flow.summary.service)
        })
        .count();
    Reading::measured(
        running as u32,
        case.frames(),
        format!("{running} other flows of a call were answered"),
    )
}

/// Flows of the same service over which media came while it is missing here: the far party speaks over another pair.
fn moved(case: &Case<'_>, around: &CaptureFacts) -> Reading {
    /// A second of media at the usual pace; STUN alone stays below.
    const PACKETS: u32 = 50;
    let own = &case.flow.summary;
    let speaking = case
        .others(around)
        .into_iter()
        .filter(|other| {
            other.key.protocol == crate::types::Protocol::Udp
                && !matches!(other.key.b.port, 53 | 443 | 853 | 123 | 5353)
                && (own.service == 0 || other.service == own.service || other.key.a == own.key.a)
                && other.tally(case.silent()).packets >= PACKETS
                && other.side_heard_between(case.silent(), case.since, case.until)
        })
        .count();
    Reading::measured(
        speaking as u32,
        case.frames(),
        format!("{speaking} other flows of the call carried media meanwhile"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, value};

    #[test]
    fn a_pair_that_works_excuses_those_that_do_not() {
        let flow = Tale::new().stun_requests(6).build(10);
        let mut around = among(&flow, 0..80);
        around.flows[1].key.protocol = crate::types::Protocol::Udp;
        around.flows[1].key.b.port = 3478;
        assert_eq!(value(&measure(&flow, &around)), Some(1.0));
    }

    #[test]
    fn controls_over_tcp_do_not() {
        let flow = Tale::new().stun_requests(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }
}
