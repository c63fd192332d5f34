//! `rst.header_unlike`: do don't-fragment and traffic class fit the named side?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE};

pub(in crate::detect) const ABOUT: About = About {
    measures: "how many of don't-fragment and traffic class (ECN bits left out) a reset has as no other packet of its side",
    why: "a forger writes an IP header of its own",
    innocent: &[
        "a closed socket resets with the kernel's defaults",
        "an operator marks resets otherwise",
    ],
    blind_to: "a forger with the usual defaults",
};

/// The two ECN bits of the traffic class change on the way by right (RFC 3168).
const ECN: u8 = 0x03;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.ordinary().count() < 2 {
        return Reading::Blind("fewer than 2 packets of the named side to compare with");
    }
    let unlike = |suspect: &crate::facts::PacketFact| {
        u8::from(
            case.ordinary()
                .all(|own| own.dont_fragment != suspect.dont_fragment),
        ) + u8::from(
            case.ordinary()
                .all(|own| (own.traffic_class ^ suspect.traffic_class) & !ECN != 0),
        )
    };
    let most = case
        .suspects
        .iter()
        .map(|suspect| unlike(suspect))
        .max()
        .unwrap_or(0);
    Reading::measured(
        most,
        case.frames(),
        format!(
            "don't-fragment {}, traffic class {:#04x}: {most} of them as in no other packet of the side",
            if case.first.dont_fragment {
                "set"
            } else {
                "clear"
            },
            case.first.traffic_class
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_that_may_be_fragmented_among_packets_that_may_not_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.dont_fragment = false)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_congestion_mark_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.traffic_class = 0x03)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn one_packet_is_no_baseline() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.dont_fragment = false)
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
