//! `stray_reset`: the connection lies outside the capture.

use crate::detect::injection::case::{Case, NO_CASE, Suspicion};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether resets are all that was captured of their connection",
    why: "what a reset ended before the capture began, or elsewhere, leaves nothing to judge it by: a straggler of an old connection, or the echo of packets in somebody else's name",
    innocent: &[],
    blind_to: "what happened before the capture began",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    let alone = case.ordinary().next().is_none() && case.other().next().is_none();
    Reading::measured(
        u8::from(alone),
        case.frames(),
        if alone {
            "nothing else of the connection was captured"
        } else {
            "the connection was captured, too"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_of_which_nothing_else_was_captured_is_a_stray() {
        let flow = Story::new().forge_with(|rst| rst.flags = 0x04).build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_end_of_a_captured_connection_is_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
        let refused = Story::new().syn().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&refused, &around())), Some(0.0));
    }

    #[test]
    fn without_a_reset_it_is_blind() {
        let flow = Story::new().handshake(40).hello().data_down(600).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
