//! `zero_window`: the receiver has closed its window.

use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where the side that ought to receive announced a window of 0 last",
    why: "a reader that does not read stops the sender (RFC 9293, section 3.8.6.1)",
    innocent: &[],
    blind_to: "windows that are merely small",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let (own, peer) = (
        flow.detail.side(case.tries_from),
        flow.detail.side(case.silent()),
    );
    let closed = if case.stage == Stage::Stalled {
        own.zero_window_at_end
    } else {
        peer.zero_window_at_end
    };
    Reading::measured(
        u32::from(closed),
        [],
        if closed {
            "the last window was 0"
        } else {
            "the window stayed open"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_reader_that_closed_its_window_stops_the_server_itself() {
        let mut flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        flow.detail.client.zero_window_at_end = true;
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn an_open_window_does_not() {
        let flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
