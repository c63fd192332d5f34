//! `rst.repeats`: does every try at this server end so?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts};
use crate::types::Direction;

use super::case::{Case, NO_CASE, Suspicion, siblings};

pub(in crate::detect) const ABOUT: About = About {
    measures: "other flows of the same client to the same server and port that ended with a reset in the same name",
    why: "a box acts on every try; a fault passes",
    innocent: &[
        "a server that refuses the client",
        "a server that ends all its connections so",
    ],
    blind_to: "names: the summaries of other flows know addresses only",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("how other flows were closed is not kept");
    }
    let end = match case.named {
        Direction::Down => End::RstByServer,
        Direction::Up => End::RstByClient,
    };
    let key = flow.summary.key;
    let (mut ended, mut tries) = (0_u32, 0_u32);
    for sibling in siblings(flow, around)
        .filter(|sibling| sibling.key.b == key.b && sibling.key.protocol == key.protocol)
    {
        tries += 1;
        ended += u32::from(sibling.end == end);
    }
    if tries == 0 {
        return Reading::Blind("the only try at this server");
    }
    Reading::measured(
        // A server that lets some through is no evidence of a box that lets none.
        if ended * 2 > tries { ended } else { 0 },
        [case.first.frame],
        format!("{ended} of the {tries} other tries at the same server ended so"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, among, value};

    #[test]
    fn three_tries_with_one_end_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = among(&flow, &[(0, End::RstByServer), (0, End::RstByServer)]);
        assert_eq!(value(&measure(&flow, &around)), Some(2.0));
    }

    #[test]
    fn a_server_that_served_the_other_tries_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = among(&flow, &[(0, End::Fin), (0, End::Fin)]);
        assert_eq!(value(&measure(&flow, &around)), Some(0.0));
    }

    #[test]
    fn a_single_try_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = among(&flow, &[(1, End::Fin)]);
        assert_eq!(value(&measure(&flow, &around)), None);
    }
}
