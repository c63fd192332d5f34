//! `silence.fallback`: does the same server answer over TCP, or another over QUIC?

use super::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Protocol;

pub(in crate::detect) const ABOUT: About = About {
    measures: "answered TCP flows of the client to the same address or service, and answered QUIC-like flows (UDP 443) to others, while its Initials stay unanswered",
    why: "a dead host or a closed port 443 of the network answers neither",
    innocent: &["a site without HTTP/3 that drops instead of refusing"],
    blind_to: "clients that fall back to nothing",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.stage != Stage::Quic {
        return Reading::Blind("no QUIC Initials without an answer");
    }
    let own = &flow.summary;
    let lives = case.others(around).into_iter().filter(|other| {
        other.answered()
            && other.down.data_packets > 0
            && match other.key.protocol {
                Protocol::Tcp => {
                    other.key.b.address == own.key.b.address
                        || own.service != 0 && other.service == own.service
                }
                Protocol::Udp => other.key.b.port == own.key.b.port,
            }
    });
    let count = lives.count();
    Reading::measured(
        count as u32,
        [],
        format!("{count} flows over TCP to the same service or over QUIC to others were answered"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, value};

    #[test]
    fn tcp_to_the_same_address_that_works_counts() {
        let flow = Tale::new().initials(5).build(10);
        let mut around = among(&flow, 0..80);
        around.flows[1].key.b.address = flow.summary.key.b.address;
        assert_eq!(value(&measure(&flow, &around)), Some(1.0));
    }

    #[test]
    fn controls_over_tcp_elsewhere_do_not() {
        let flow = Tale::new().initials(5).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }
}
