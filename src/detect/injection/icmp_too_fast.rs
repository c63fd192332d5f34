//! `icmp.too_fast`: could the host have refused so soon?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::refusal::{NONE, Refusal};

pub(in crate::detect) const ABOUT: About = About {
    measures: "time from the first datagram that nobody had answered to the port-unreachable error, as a share of the smallest round trip to the host",
    why: "the host's own error takes a whole round trip; that of a box nearer by takes less",
    innocent: &["a NAT or load balancer near the client answers for the host"],
    blind_to: "hosts whose round trip is not known, and paths shorter than 5 ms",
};

/// As for resets.
const SHORTEST_PATH_NS: i64 = 5_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(refusal) = Refusal::of(flow, around) else {
        return Reading::Blind(NONE);
    };
    let Some(round_trip) = refusal.round_trip(around) else {
        return Reading::Blind("the round trip to the host is not known");
    };
    if round_trip < SHORTEST_PATH_NS {
        return Reading::Blind("the path is too short to time an answer");
    }
    let error = refusal.first;
    let heard = refusal
        .datagrams()
        .filter(|packet| packet.time < error.time)
        .map(|packet| packet.time)
        .last();
    // what was asked less than a round trip before the host was last heard may be what it refuses
    let asked = refusal.asked().find(|packet| {
        packet.time < error.time && heard.is_none_or(|heard| packet.time.since(heard) > -round_trip)
    });
    let Some(asked) = asked else {
        return Reading::Blind("the datagram that it answers is not in the capture");
    };
    let delay = error.time.since(asked.time);
    Reading::measured(
        delay as f64 / round_trip as f64,
        [asked.frame, error.frame],
        format!(
            "{:.1} ms after the first datagram that it may answer, on a path of {:.1} ms",
            delay as f64 / 1e6,
            round_trip as f64 / 1e6
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
    fn an_error_sooner_than_the_path_allows_is_not_the_hosts() {
        let flow = flow(&[(0, true, DATA, 64), (4, false, ICMP, 61)]);
        let share = value(&measure(&flow, &away(&flow, 40.0)));
        assert!(share.is_some_and(|share| share < 0.2));
    }

    #[test]
    fn one_round_trip_is_fair() {
        let flow = flow(&[
            (0, true, DATA, 64),
            (30, true, DATA, 64),
            (41, false, ICMP, 52),
        ]);
        let share = value(&measure(&flow, &away(&flow, 40.0)));
        assert!(share.is_some_and(|share| share > 1.0));
    }

    #[test]
    fn without_a_known_path_it_is_blind() {
        let flow = flow(&[(0, true, DATA, 64), (4, false, ICMP, 61)]);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
