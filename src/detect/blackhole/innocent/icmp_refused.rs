//! `icmp_refused`: somebody refused it openly.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "ICMP errors about this flow that say unreachable or prohibited",
    why: "a closed port or a firewall that answers is no silence",
    innocent: &[],
    blind_to: "networks that filter ICMP",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let refusals: Vec<_> = flow
        .detail
        .icmp
        .iter()
        .filter(|packet| {
            // ICMPv4 type 3 but for fragmentation needed (code 4); ICMPv6 type 1
            let (kind, code) = (packet.number >> 8, packet.number & 0xff);
            kind == 3 && code != 4 || kind == 1
        })
        .collect();
    let count = refusals.len();
    let _ = case;
    Reading::measured(
        count as u32,
        refusals.iter().map(|packet| packet.frame),
        format!("{count} ICMP refusals"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_refusal_is_no_silence() {
        let mut flow = Tale::new().initials(5).build(10);
        flow.detail.icmp.push(crate::facts::PacketFact {
            kind: crate::facts::PacketKind::Icmp,
            number: 3 << 8 | 3,
            ..Default::default()
        });
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn without_one_it_may_be() {
        let flow = Tale::new().initials(5).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
