//! `rst.both_ends`: resets to both ends at once, in each other's names.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, Vantage};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets in both directions within half a round trip, neither an answer",
    why: "neither end resets a connection at the same moment as the other by itself; a box between them resets both",
    innocent: &["a stateful firewall on the path times the connection out (after a long silence)"],
    blind_to: "captures at an end: what goes to the far end is not seen there",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if around.vantage.value != Vantage::Path {
        return Reading::Blind("taken at one end, which does not see resets to the other");
    }
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    // An end that was reset answers what arrives later without ACK; it never sends a reset for a reset (RFC 9293, section 3.5.2).
    let apart = flow
        .detail
        .rtt
        .to_server()
        .unwrap_or(0)
        .max(flow.detail.rtt.to_client().unwrap_or(0))
        / 2;
    let other = flow.detail.resets.iter().find(|reset| {
        reset.direction == Some(case.named.reverse())
            && !case.may_answer(reset)
            && reset.time.since(case.first.time) <= apart.max(1_000_000)
    });
    match other {
        Some(reset) => Reading::measured(
            1,
            [case.first.frame, reset.frame],
            format!(
                "a reset to either end within {:.1} ms",
                reset.time.since(case.first.time) as f64 / 1e6
            ),
        ),
        None => Reading::measured(0, case.frames(), "resets in one direction only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    fn on_the_path() -> CaptureFacts {
        let mut around = around();
        around.vantage.value = Vantage::Path;
        around
    }

    #[test]
    fn a_reset_to_either_end_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .forge_up_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &on_the_path())), Some(1.0));
    }

    #[test]
    fn a_clients_answer_to_late_data_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .data_down(600)
            .closed_up()
            .build();
        assert_eq!(value(&measure(&flow, &on_the_path())), Some(0.0));
    }

    #[test]
    fn at_an_end_it_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .forge_up_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
