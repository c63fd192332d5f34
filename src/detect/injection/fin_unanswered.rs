//! `fin.unanswered`: does the side that closed still answer?

use crate::detect::rule::{About, LOST, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "how often the other side sent its FIN or payload after the named side's FIN, where nothing of the named side came any more",
    why: "a host that closes waits for the other's FIN and acknowledges it; a box that forged the close answers nothing, and keeps the true host silent",
    innocent: &["a host or path that died right after its FIN"],
    blind_to: "boxes that let the true host go on: see rst.alive_after",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if around.lost_between(flow.summary.first, flow.summary.last) {
        return Reading::Blind(LOST);
    }
    if case.suspicion == Suspicion::Reset {
        return Reading::Blind("a reset asks for no answer");
    }
    if !case.two_way() {
        return Reading::Blind("the other side's packets were not seen");
    }
    let answered = case
        .ordinary()
        .any(|packet| packet.frame > case.first.frame);
    let asked: Vec<&PacketFact> = case
        .other()
        .filter(|packet| packet.frame > case.first.frame)
        .filter(|packet| packet.is_fin() || packet.payload > 0)
        .collect();
    let tries = if answered { 0 } else { asked.len() };
    Reading::measured(
        tries as f64,
        asked.iter().map(|packet| packet.frame),
        format!(
            "{} after the FIN asked for an answer, {}",
            count(asked.len(), "packet"),
            if answered {
                "and got one"
            } else {
                "and got none"
            }
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    fn closed() -> Story {
        Story::new()
            .handshake(40)
            .hello()
            .wait(10)
            .forge_with(|fin| fin.flags = 0x11)
            .fin_up()
            .wait(300)
            .fin_up()
    }

    #[test]
    fn a_fin_that_is_repeated_in_vain_counts() {
        assert_eq!(value(&measure(&closed().build(), &around())), Some(2.0));
    }

    #[test]
    fn a_host_that_acknowledges_the_last_fin_does_not() {
        let flow = closed().wait(40).ack_down().build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_reset_asks_for_nothing() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
