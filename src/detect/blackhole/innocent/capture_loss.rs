//! `capture_loss`: the capture lost the packets, not the path.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "bytes of the silent side, or of what was said to it, that were acknowledged but never captured",
    why: "a capture that drops packets shows silence where there was none",
    innocent: &[],
    blind_to: "losses of pure acknowledgements",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let unseen = flow.detail.side(case.silent()).acked_unseen;
    let dropped = around.dropped;
    let answered_unseen = unseen > 0 && case.tries.len() < 3;
    Reading::measured(
        u32::from(answered_unseen || dropped > 0 && case.tries.len() < 3),
        [],
        format!("{unseen} bytes were acknowledged but not captured"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_stall_in_a_capture_with_holes_is_not_trusted() {
        let mut flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        flow.detail.server.acked_unseen = 1448;
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_whole_capture_is() {
        let flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
