//! `late_segment`: a closed socket answers what came too late.

use crate::detect::injection::case::{Case, NO_CASE, Suspicion, fins};
use crate::detect::injection::own_headers;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the named side had sent its FIN before its reset, or the other side its own after both had spoken, or its reset",
    why: "a socket that was closed answers every later segment with a reset (RFC 9293, section 3.10.7.1)",
    innocent: &[],
    blind_to: "a FIN that the capture missed",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    let fin = fins(flow, case.named).find(|fin| case.is_before(fin));
    // An end that was reset itself answers later segments in the same way.
    let reset = flow
        .detail
        .resets
        .iter()
        .find(|reset| {
            reset.direction == Some(case.named.reverse()) && case.is_before(reset) && reset.is_ack()
        })
        .filter(|_| case.may_answer(case.first));
    // With the named side's own headers it is a close of its own. Who said all it wanted is past any interference: a box on the way that clears the connection then does no harm.
    let spoke = case
        .ordinary()
        .any(|packet| packet.payload > 0 && case.is_before(packet));
    let done = fins(flow, case.named.reverse())
        .find(|fin| case.is_before(fin))
        .filter(|_| spoke && own_headers(flow, around) == Some(false));
    match fin.or(reset).or(done) {
        Some(end) => Reading::measured(
            1,
            [end.frame, case.first.frame],
            "one side had ended the connection before the reset",
        ),
        None => Reading::measured(
            0,
            case.frames(),
            "neither side had ended the connection before",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_after_the_own_fin_answers_late_data() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .fin_down()
            .data_up(30)
            .closed_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_after_the_others_fin_ends_what_was_ended() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .fin_up()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_reset_in_the_open_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_fin_is_not_its_matter() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .fin_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
