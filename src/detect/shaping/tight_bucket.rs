//! `policing.tight_bucket`: did what passed meet the end of one bucket again and again?

use crate::detect::rule::{About, Reading};

use super::case::Case;
use super::words::{bits, bytes};

pub(in crate::detect) const ABOUT: About = About {
    measures: "how often the smallest bucket that lets all packets of a QUIC transfer through runs empty, without having been full since it last did",
    why: "what passes a policer may leave its bucket empty but never overdraw it, so a sender that backs off after each loss comes up to the same line each time",
    innocent: &["chunks of one size at equal intervals, closer than they take to send"],
    blind_to: "captures at the sender; transfers of less than 3 s; a straight line, which meets it once and for all: see policing.straight_line",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(plateau) = case.plateau.filter(|plateau| plateau.packets == 0) else {
        return Reading::Blind("no QUIC transfer that was lossy without a stretch at one rate");
    };
    Reading::measured(
        plateau.empties,
        [],
        format!(
            "a bucket of {} at {} ran empty {} times",
            bytes(plateau.burst),
            bits(plateau.rate),
            plateau.empties
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{alone, value};
    use super::super::plateau::Plateau;
    use super::*;

    fn reading(plateau: Option<Plateau>) -> Option<f64> {
        let flow = crate::facts::FlowFacts::default();
        let mut case = alone(&flow);
        case.plateau = plateau;
        value(&read(&case))
    }

    const SWINGING: Plateau = Plateau {
        rate: 150_000.0,
        deviation: 0.0,
        packets: 0,
        seconds: 10.0,
        onset_bytes: 80_000,
        burst: 80_000.0,
        onset: 0,
        fall: 5.0,
        growth: 30.0,
        empties: 9,
    };

    #[test]
    fn nine_times_count_and_two_do_not() {
        assert!(reading(Some(SWINGING)).expect("a bucket") >= 6.0);
        let twice = Plateau {
            empties: 2,
            ..SWINGING
        };
        assert!(reading(Some(twice)).expect("a bucket") < 6.0);
    }

    #[test]
    fn a_straight_line_is_judged_elsewhere() {
        let straight = Plateau {
            packets: 200,
            ..SWINGING
        };
        assert_eq!(reading(Some(straight)), None);
        assert_eq!(reading(None), None);
    }
}
