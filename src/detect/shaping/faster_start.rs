//! `policing.faster_start`: was it faster before?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "fastest 100 ms before the stretch at one rate, over that rate",
    why: "a bucket lets its first burst through at the speed of the line; a sender that paces itself starts as it goes on",
    innocent: &["a server that sends the first seconds of a video at once"],
    blind_to: "flows whose beginning is not in the capture",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(plateau) = &case.plateau else {
        return Reading::Blind("no QUIC transfer with a stretch at one rate");
    };
    Reading::measured(
        plateau.fall,
        [],
        format!("{:.1} times as fast at first", plateau.fall),
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
        assert!(value(&read(&case)).expect("a plateau") > 2.5);
    }
    #[test]
    fn it_counts_against_below_it() {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.plateau = Some(Plateau {
            rate: 25_000.0,
            packets: 200,
            seconds: 10.0,
            fall: 1.2,
            growth: 30.0,
            ..Plateau::default()
        });
        assert!(value(&read(&case)).expect("a plateau") < 2.5);
    }
    #[test]
    fn tcp_is_not_judged_so() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
