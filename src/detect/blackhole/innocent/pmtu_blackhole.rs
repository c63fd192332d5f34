//! `pmtu_blackhole`: only large packets vanish.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::icmp;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where every packet that did not arrive is larger than 1280 bytes and the peer reports a smaller one behind it as arrived (SACK) or a router says that it does not fit (ICMP)",
    why: "a tunnel with a small MTU drops what does not fit; the kernel recovers with smaller segments after some tries",
    innocent: &[],
    blind_to: "paths that drop small packets too",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if flow.summary.key.protocol != crate::types::Protocol::Tcp {
        return Reading::Blind("datagrams are not acknowledged");
    }
    let largest = flow.detail.side(case.tries_from).unanswered.largest;
    if case.tries.is_empty() {
        return Reading::Blind("no unanswered packet whose size could tell");
    }
    // RFC 8200, section 5: every IPv6 path carries 1280 bytes, and IPv4 tunnels are built for as much
    let reported = (case.repeats.iter()).filter_map(|packet| packet.sack_high);
    let reported = reported.max();
    let smaller_arrived = reported.is_some();
    // what the peer reports is no try in vain, however often it is sent
    let missing = || {
        (case.tries.iter())
            .filter(|packet| packet.payload == 0 || Some(packet.seq_end()) != reported)
    };
    let large_only = missing().next().is_some() && missing().all(|packet| packet.ip_length > 1280);
    let told = icmp::errors(flow, case.silent()).any(|(error, _)| error == icmp::Error::TooBig);
    // a packet as large that arrived before shows that the path carries it
    let smallest = missing().map(|packet| packet.ip_length).min();
    let own = flow.detail.side(case.tries_from);
    let passed = flow.detail.packets.iter().any(|packet| {
        packet.direction == Some(case.tries_from)
            && packet.payload > 0
            && Some(packet.ip_length) >= smallest
            && packet.seq_end() <= own.acked
    });
    Reading::measured(
        u32::from(large_only && !passed && (smaller_arrived || told)),
        case.frames(),
        format!("the largest unanswered packet has {largest} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_small_hello_fits_any_path() {
        let flow = Tale::new().handshake(40).hello().again(5).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_full_segment_that_a_router_finds_too_big_fits() {
        let tale = || Tale::new().handshake(40).ask(1448).again(4);
        let flow = tale().icmp(3, 4, false).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
        assert_eq!(value(&measure(&tale().build(10), &around())), Some(0.0));
    }

    #[test]
    fn a_path_that_carried_as_large_a_packet_before_is_not_too_narrow() {
        let mut flow = Tale::new()
            .handshake(40)
            .ask(1448)
            .answer(900)
            .ask(1448)
            .sacked(2900)
            .again(4)
            .build(10);
        flow.detail.client.acked = 1449;
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_small_segment_that_is_sent_again_though_it_is_reported_is_no_try_in_vain() {
        let flow = Tale::new()
            .handshake(40)
            .ask(1448)
            .ask(100)
            .sacked(1549)
            .again(4)
            .build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_full_segment_whose_small_neighbour_is_reported_fits() {
        let flow = Tale::new()
            .handshake(40)
            .ask(1448)
            .sacked(1500)
            .again(4)
            .build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }
}
