//! `far_party_gone`: the other one's telephone lost its network.

use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where media ceased, or a handshake is not answered, and nothing but a relay's answers shows that anybody is still there: no STUN request of the other side",
    why: "a relay answers for itself, whether or not the far party still sends anything to it",
    innocent: &[],
    blind_to: "nothing: who goes without a word looks like who is cut off",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if !matches!(case.stage, Stage::Dtls | Stage::Ceased) {
        return Reading::Blind("no call that goes silent behind its relay");
    }
    let asks = flow.detail.side(case.silent()).stun_requests;
    Reading::measured(
        u32::from(asks == 0),
        [],
        if asks == 0 {
            "only a relay answers: whether the far party is there nobody can see"
        } else {
            "the far party itself checks the pair"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, ceased, value};

    #[test]
    fn a_relays_answers_do_not_show_that_the_far_party_is_there() {
        assert_eq!(value(&measure(&ceased(10), &around())), Some(1.0));
    }

    #[test]
    fn a_peer_that_checks_the_pair_is_there() {
        let mut flow = ceased(10);
        flow.detail.server.stun_requests = 4;
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn requests_that_nobody_answers_are_another_matter() {
        let flow = Tale::new().stun_requests(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
