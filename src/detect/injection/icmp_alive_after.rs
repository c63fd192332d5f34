//! `icmp.alive_after`: does the host go on after it said that its port is closed?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::count;
use super::refusal::{NONE, Refusal};

pub(in crate::detect) const ABOUT: About = About {
    measures: "datagrams of the named host within 2 s after its port-unreachable error, where it had sent some before, too",
    why: "a closed port sends nothing: the errors of a filter do not stop the host",
    innocent: &["a NAT in front of the host lost the mapping, and the host opened it anew"],
    blind_to: "boxes that drop the host's datagrams besides",
};

/// What comes so soon may have been under way already.
const UNDER_WAY_NS: i64 = 200_000_000;

/// A server that starts anew takes longer.
const SOON_NS: i64 = 2_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(refusal) = Refusal::of(flow, around) else {
        return Reading::Blind(NONE);
    };
    let said = refusal.first.time;
    if !refusal.datagrams().any(|packet| packet.time < said) {
        return Reading::Blind(
            "the host had sent nothing before: its port may have been opened later",
        );
    }
    let after: Vec<_> = refusal
        .datagrams()
        .filter(|packet| (UNDER_WAY_NS..SOON_NS).contains(&packet.time.since(said)))
        .map(|packet| packet.frame)
        .collect();
    let text = format!("{} after it", count(after.len(), "datagram"));
    Reading::measured(after.len() as f64, after, text)
}

#[cfg(test)]
mod tests {
    use super::super::refusal::testing::flow;
    use super::*;
    use crate::detect::injection::testing::{around, value};
    use crate::facts::PacketKind;

    const ICMP: PacketKind = PacketKind::Icmp;
    const DATA: PacketKind = PacketKind::Rtp;

    #[test]
    fn a_host_that_goes_on_did_not_close() {
        let flow = flow(&[
            (0, true, DATA, 64),
            (40, false, DATA, 52),
            (50, false, ICMP, 61),
            (400, false, DATA, 52),
        ]);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn one_whose_last_packets_were_under_way_may_have() {
        let flow = flow(&[
            (0, true, DATA, 64),
            (40, false, DATA, 52),
            (50, false, ICMP, 52),
            (60, false, DATA, 52),
        ]);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_port_that_opens_later_is_no_contradiction() {
        let flow = flow(&[
            (0, true, DATA, 64),
            (40, false, ICMP, 52),
            (400, false, DATA, 52),
        ]);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
