//! `silence.known_server`: does anything show that somebody lives at that address?

use super::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the server had spoken on this flow, or answers other flows of the capture at this address",
    why: "a dead host never says anything; a blocked one is known to live",
    innocent: &["a host that died meanwhile"],
    blind_to: "addresses that were blocked from the beginning",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let spoke = case.spoke();
    let address = flow.summary.key.b.address;
    let start = around.by_server.partition_point(|index| {
        around
            .flows
            .get(*index as usize)
            .is_some_and(|other| other.key.b.address < address)
    });
    let answering = around
        .by_server
        .get(start..)
        .unwrap_or_default()
        .iter()
        .take(1024)
        .filter(|index| **index != flow.index)
        .filter_map(|index| around.flows.get(*index as usize))
        .take_while(|other| other.key.b.address == address)
        .filter(|other| other.answered())
        .count();
    let lives = u32::from(spoke || answering > 0);
    Reading::measured(
        lives,
        [],
        match (spoke, answering) {
            (true, _) => "the server had answered on this flow before".to_owned(),
            (false, 0) => "the address never answered anything in this capture".to_owned(),
            (false, count) => format!("the address answered {count} other flows"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_server_that_took_the_handshake_lives() {
        let flow = Tale::new().handshake(40).hello().again(4).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn an_address_that_never_answers_is_unknown() {
        let flow = Tale::new().syn().again(4).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
