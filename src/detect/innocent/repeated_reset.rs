//! `repeated_reset`: one reset, sent again.

use crate::detect::injection::case::{Case, NO_CASE, Suspicion};
use crate::detect::injection::own_headers;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether several resets are equal in number and time stamp and have the named side's own headers",
    why: "some stacks repeat a reset",
    innocent: &[],
    blind_to: "repeats with changes",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close || case.suspects.len() < 2 {
        return Reading::Blind("a single reset");
    }
    let Some(own) = own_headers(flow, around) else {
        return Reading::Blind("no packet of the named side to compare with");
    };
    let equal = case.suspects.iter().all(|suspect| {
        suspect.seq == case.first.seq && suspect.timestamps == case.first.timestamps
    });
    Reading::measured(
        u8::from(own && equal),
        case.frames(),
        if own && equal {
            "equal resets with the named side's own headers"
        } else {
            "the resets differ, or are not the named side's"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn equal_resets_of_the_server_are_repeats() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .abort_down()
            .abort_down()
            .build();
        flow.detail.resets[1].timestamps = flow.detail.resets[0].timestamps;
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn resets_at_several_places_are_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .forge_with(|_| {})
            .forge_with(|rst| rst.seq += 1460)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_single_reset_is_not_its_matter() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
