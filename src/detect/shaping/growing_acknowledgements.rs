//! `policing.growing_acknowledgements`: did the receiver miss packets?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "growth of the receiver's small packets, in bytes: as a median, or in the largest climb by steps of one range",
    why: "every gap in what arrives adds a range to a QUIC acknowledgement, so they grow where packets are lost and stay small where none are",
    innocent: &[
        "reordering",
        "a receiver that reports something else in small packets",
    ],
    blind_to: "receivers that report few ranges",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(plateau) = &case.plateau else {
        return Reading::Blind("no QUIC transfer with a stretch at one rate");
    };
    Reading::measured(
        plateau.growth,
        [],
        format!("acknowledgements grew by {:.0} bytes", plateau.growth),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::super::plateau::Plateau;
    use super::*;

    #[test]
    fn it_counts_above_the_limit() {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.plateau = Some(Plateau {
            rate: 25_000.0,
            packets: 200,
            seconds: 10.0,
            fall: 5.0,
            growth: 30.0,
            ..Plateau::default()
        });
        assert!(value(&read(&case)).expect("a plateau") > 9.0);
    }
    #[test]
    fn it_counts_against_below_it() {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.plateau = Some(Plateau {
            rate: 25_000.0,
            packets: 200,
            seconds: 10.0,
            fall: 5.0,
            growth: 0.0,
            ..Plateau::default()
        });
        assert!(value(&read(&case)).expect("a plateau") < 9.0);
    }
    #[test]
    fn tcp_is_not_judged_so() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
