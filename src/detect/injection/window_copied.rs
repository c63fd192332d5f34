//! `rst.window_copied`: is the resets' window the other side's?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets whose window is one that the other side announced and the named side never did",
    why: "a box builds its reset from the packet that triggered it",
    innocent: &[
        "two ends of one kind announce equal windows: then the named side used the value too",
    ],
    blind_to: "a window of 0, which most stacks put into resets",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if !case.two_way() {
        return Reading::Blind("the other side's packets were not seen");
    }
    let copied: Vec<_> = case
        .suspects
        .iter()
        .filter(|suspect| {
            suspect.window != 0
                && case
                    .other()
                    .any(|other| case.is_before(other) && other.window == suspect.window)
                && case.ordinary().all(|own| own.window != suspect.window)
        })
        .collect();
    let text = copied.first().map_or_else(
        || "the window is not one of the other side's".to_owned(),
        |first| format!("window {} is the other side's", first.window),
    );
    Reading::measured(
        copied.len() as f64,
        copied.iter().map(|packet| packet.frame),
        text,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn the_clients_window_in_a_reset_of_the_server_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.window = 63)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_servers_own_window_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn one_way_it_is_blind() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.window = 63)
            .build();
        flow.detail
            .packets
            .retain(crate::facts::PacketFact::is_down);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
