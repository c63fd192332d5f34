//! `rst.second_reset`: did the side's later resets, which answer segments, come another way than the first?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE};

pub(in crate::detect) const ABOUT: About = About {
    measures: "distance between the hop limit of a reset and those of later resets of the same side that answer a segment each",
    why: "a host that was itself reset by the box answers what still arrives, from where it really is",
    innocent: &["the route changed in between"],
    blind_to: "a side that answers nothing later",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let nearest = case
        .later_answers()
        .map(|answer| (answer.hop_limit.abs_diff(case.first.hop_limit), answer))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, answer)) => Reading::measured(
            distance,
            [case.first.frame, answer.frame],
            format!(
                "hop limit {} in the first, {} in a later one that answers a segment",
                case.first.hop_limit, answer.hop_limit
            ),
        ),
        None => Reading::Blind("no later reset of the same side that answers a segment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};
    use crate::facts::Vantage;

    fn at_the_server() -> CaptureFacts {
        let mut around = around();
        around.vantage.value = Vantage::Server;
        around
    }

    #[test]
    fn a_client_that_was_reset_too_answers_from_where_it_is() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_up_with(|rst| rst.hop_limit = 99)
            .ack_down()
            .closed_up()
            .build();
        assert_eq!(value(&measure(&flow, &at_the_server())), Some(35.0));
    }

    #[test]
    fn a_client_that_aborted_answers_from_the_same_place() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .abort_up()
            .ack_down()
            .closed_up()
            .build();
        assert_eq!(value(&measure(&flow, &at_the_server())), Some(0.0));
    }

    #[test]
    fn one_reset_alone_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_up_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &at_the_server())), None);
    }
}
