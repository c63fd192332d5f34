//! `silence.call`: is it a call of a messenger?

use super::case::{Case, NO_CASE, Stage, is_relay};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where STUN, TURN or media of a known service, or at the port of relays, stays unanswered",
    why: "relays of a service are reachable from everywhere; peers behind NATs are not",
    innocent: &["a relay that is down"],
    blind_to: "calls between peers",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if !matches!(
        case.stage,
        Stage::Stun | Stage::StunAnswersLost | Stage::Dtls | Stage::Media | Stage::Ceased
    ) {
        return Reading::Blind("no call");
    }
    let known = flow.summary.service != 0 || is_relay(flow);
    Reading::measured(
        u32::from(known),
        case.frames(),
        if known {
            "a relay of a known service or at a relay's port"
        } else {
            "nothing says whose address that is"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_relay_of_a_service_counts() {
        let mut flow = Tale::new().stun_requests(6).build(10);
        flow.summary.service = 1;
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_peer_does_not() {
        let flow = Tale::new().stun_requests(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
