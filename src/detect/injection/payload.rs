//! `rst.payload`: bytes inside a reset.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "payload bytes in a reset",
    why: "living stacks reset without payload; one known box adds ten bytes",
    innocent: &[
        "old stacks put a diagnostic text into resets (RFC 9293, section 3.5.2, permits it)",
    ],
    blind_to: "what the bytes are: facts keep their number only",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN may carry payload");
    }
    let most = case
        .suspects
        .iter()
        .map(|suspect| suspect.payload)
        .max()
        .unwrap_or(0);
    Reading::measured(
        most,
        case.frames(),
        format!("{most} bytes of payload in the reset"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn ten_bytes_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.payload = 10)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(10.0));
    }

    #[test]
    fn none_do_not() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_fin_with_payload_is_ordinary() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(100)
            .fin_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
