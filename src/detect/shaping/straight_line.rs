//! `policing.straight_line`: did the bytes come along a line after a faster start?

use crate::detect::rule::{About, Reading};

use super::case::Case;
use super::words::bits;

pub(in crate::detect) const ABOUT: About = About {
    measures: "packets along the longest final stretch in which a QUIC transfer stays within a few packets of one rate",
    why: "packets of QUIC have no numbers that can be read, but what a limiter lets through of a sender that wants more lies on its line",
    innocent: &["a sender that paces itself: see policing.growing_acknowledgements"],
    blind_to: "TCP, whose losses are seen directly; transfers of less than 3 s",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(plateau) = case.plateau.filter(|plateau| plateau.packets > 0) else {
        return Reading::Blind("no QUIC transfer with a stretch at one rate");
    };
    Reading::measured(
        plateau.packets,
        [],
        format!(
            "{} packets in {:.1} s stay within {:.1} packets of {}",
            plateau.packets,
            plateau.seconds,
            plateau.deviation,
            bits(plateau.rate)
        ),
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
        assert!(value(&read(&case)).expect("a plateau") > 39.0);
    }
    #[test]
    fn it_counts_against_below_it() {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.plateau = Some(Plateau {
            rate: 25_000.0,
            packets: 20,
            seconds: 10.0,
            fall: 5.0,
            growth: 30.0,
            ..Plateau::default()
        });
        assert!(value(&read(&case)).expect("a plateau") < 39.0);
    }
    #[test]
    fn tcp_is_not_judged_so() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
