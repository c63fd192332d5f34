//! `captive_portal`: the network lets nobody through.

use std::collections::BTreeSet;

use crate::detect::allowlist;
use crate::detect::blackhole::case::{self, Case, NO_CASE};
use crate::detect::injection::case::siblings;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "networks of no messenger that fail the client at the same stage, where at most one public network answers it",
    why: "before a guest has logged in, and where a line is down behind a proxy, nothing works but the portal: that picks nobody",
    innocent: &[],
    blind_to: "clients that try nothing besides",
};

/// The largest number of public networks that may answer: a portal's own, or one that looks whether there is a network.
const ANSWERING: usize = 1;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let stage = match case.stage {
        case::Stage::Syn => allowlist::Stage::Syn,
        case::Stage::Hello => allowlist::Stage::Hello,
        _ => return Reading::Blind("the connection had come further than a portal lets it"),
    };
    let (mut failing, mut answering) = (BTreeSet::new(), BTreeSet::new());
    let mut frames = Vec::new();
    for other in siblings(flow, around).filter(|other| !other.key.b.address.is_local()) {
        let network = allowlist::network(&other.key.b.address);
        if other.down.data_packets > 0 {
            answering.insert(network);
        } else if other.service == 0
            && allowlist::stage(other) == Some(stage)
            && failing.insert(network)
        {
            frames.push(other.first_frame);
        }
    }
    Reading::measured(
        if answering.len() <= ANSWERING {
            failing.len() as u32
        } else {
            0
        },
        frames,
        format!(
            "{} other networks fail at the same stage, {} answer",
            failing.len(),
            answering.len()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};
    use crate::facts::Tally;
    use crate::types::Address;

    /// A hello without an answer, among so many controls that fail alike and so many that answer.
    fn among(failing: u8, answering: u8) -> Option<f64> {
        let flow = Tale::new().handshake(40).hello().again(5).build(10);
        let mut around = around();
        around.flows.push(flow.summary.clone());
        for number in 0..failing + answering {
            let mut other = flow.summary.clone();
            other.key.b.address = Address::v4([100 + number, 7, 0, 1]);
            let tally = |packets, data_packets, retransmitted| Tally {
                packets,
                data_packets,
                retransmitted,
                bytes: 0,
            };
            (other.up, other.down) = if number < failing {
                (tally(7, 5, 4), tally(1, 0, 0))
            } else {
                (tally(7, 5, 0), tally(9, 5, 0))
            };
            around.flows.push(other);
        }
        around.by_client = (0..around.flows.len() as u32).collect();
        value(&measure(&flow, &around))
    }

    #[test]
    fn where_everything_fails_alike_nobody_was_picked() {
        assert_eq!(among(4, 0), Some(4.0));
        assert_eq!(among(4, 1), Some(4.0));
    }

    #[test]
    fn where_others_answer_somebody_was() {
        assert_eq!(among(4, 2), Some(0.0));
        assert_eq!(among(0, 5), Some(0.0));
    }

    #[test]
    fn what_came_further_met_no_portal() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .answer(900)
            .wait(2000)
            .ask(100)
            .again(5)
            .build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
