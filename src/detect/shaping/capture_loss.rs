//! `innocent.capture_loss`: did the capture itself miss packets?

use super::case::Case;
use super::ledger::is_media;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of packets that the capture missed by its own showing (TCP payload that was acknowledged but never captured; the capture's own drop counter) over this service's loss ratio, where the losses are gaps in RTP numbers",
    why: "a gap in RTP numbers looks the same whether the path or the capture lost the packet; TCP tells: what was acknowledged had arrived",
    innocent: &[],
    blind_to: "captures without TCP flows",
};

/// Fewest packets from which a share missed by the capture is taken.
const FEWEST: u64 = 100;

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let (gaps, lost, ratio) = if case.pool.lost > 0 {
        (case.pool.gaps, case.pool.lost, case.pool.ratio())
    } else {
        let lost = case.ledger.losses() as u64;
        let gaps = if is_media(case.flow, case.direction) {
            lost
        } else {
            0
        };
        (gaps, lost, case.ledger.loss_ratio())
    };
    if lost == 0 || 2 * gaps < lost {
        return Reading::Blind("the losses are not gaps in RTP numbers");
    }
    let (captured, missed) = case.captured;
    if captured + missed < FEWEST {
        return Reading::Blind("too few TCP packets that would show what the capture missed");
    }
    let share = missed as f64 / (captured + missed) as f64;
    Reading::measured(
        share / ratio,
        [],
        format!(
            "{missed} of {} packets were acknowledged or counted but not captured ({:.1} %), {:.1} % are missing here",
            captured + missed,
            share * 100.0,
            ratio * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, around, download};
    use super::super::loss::Pool;
    use super::*;

    fn value(gaps: u64, captured: (u64, u64)) -> Option<f64> {
        let flow = download(At::Client, Middlebox::Open, 100);
        let flows = [flow];
        let mut case = Case::alone(&flows[0], &around(&flows));
        case.pool = Pool {
            sent: 500,
            lost: 15,
            gaps,
            ..Pool::default()
        };
        case.captured = captured;
        match read(&case) {
            Reading::Measured { value, .. } => Some(value),
            Reading::Blind(_) => None,
        }
    }

    #[test]
    fn a_capture_that_missed_as_much_elsewhere_explains_the_gaps() {
        assert!(value(15, (980, 20)).is_some_and(|value| value > 0.6));
    }

    #[test]
    fn a_whole_capture_explains_nothing() {
        assert_eq!(value(15, (1000, 0)), Some(0.0));
    }

    #[test]
    fn retransmissions_prove_their_losses_whatever_the_capture_missed() {
        assert_eq!(value(0, (980, 20)), None);
    }
}
