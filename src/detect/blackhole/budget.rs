//! `silence.budget`: did it stop where the known freeze stops?

use super::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where 12 to 36 KiB of payload of one direction, or 20 to 34 packets of both, had passed when the silence began",
    why: "the freeze of 2025 lets 16 to 20 KB or about 25 packets of a connection pass",
    innocent: &["answers that happen to have this size"],
    blind_to: "other budgets: see silence.constant",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if !matches!(case.stage, Stage::Stalled | Stage::Later) || !flow.detail.from_start {
        return Reading::Blind("no transfer that stopped, or its beginning is not in the capture");
    }
    let (down, up) = (
        case.delivered(Direction::Down),
        case.delivered(Direction::Up),
    );
    let packets = case.packets_before();
    let within = |bytes: u64| (12 * 1024..=36 * 1024).contains(&bytes);
    let fits = within(down) || within(up) || (20..=34).contains(&packets);
    Reading::measured(
        u32::from(fits),
        flow.detail.server.last_new_data.map(|(_, frame)| frame),
        format!("{packets} packets, {down} bytes down and {up} bytes up had passed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn sixteen_kilobytes_fit() {
        let flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn two_kilobytes_do_not() {
        let flow = Tale::new().handshake(40).hello().answer(2000).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
