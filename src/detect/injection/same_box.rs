//! `rst.same_box`: do the forged packets of several flows bear one maker's marks?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "other flows whose resets look forged too and have the same flags, options, window, don't-fragment and kind of identification",
    why: "one box writes all its packets alike, in the names of different servers",
    innocent: &["one NAT or load balancer in front of several servers"],
    blind_to: "boxes that draw their fields at random",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it once the others are weighed.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no other flow with a reset that looks forged")
}

/// What of the suspects does not depend on the flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    flags: Vec<u8>,
    option_layout: u16,
    window: u16,
    dont_fragment: bool,
    numbers_itself: bool,
}

pub(super) fn mark(case: &Case<'_>) -> Mark {
    Mark {
        flags: case
            .suspects
            .iter()
            .take(4)
            .map(|suspect| suspect.flags)
            .collect(),
        option_layout: case.first.option_layout,
        window: case.first.window,
        dont_fragment: case.first.dont_fragment,
        numbers_itself: case.first.ip_id.is_some_and(|id| id != 0),
    }
}

/// The reading for one mark, beside those of the other flows that look forged.
pub(super) fn among<'m>(
    case: &Case<'_>,
    own: &Mark,
    others: impl Iterator<Item = &'m Mark>,
) -> Reading {
    let (mut same, mut all) = (0_u32, 0_u32);
    for other in others {
        all += 1;
        same += u32::from(other == own);
    }
    if all == 0 {
        return Reading::Blind("no other flow with a reset that looks forged");
    }
    Reading::measured(
        same,
        case.frames(),
        format!(
            "{same} of {all} other flows with resets that look forged have the same flags, options, window and numbering"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn three_flows_with_one_mark_show_one_box() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = around();
        let case = Case::of(&flow, &around).expect("a case");
        let own = mark(&case);
        let others = [own.clone(), own.clone()];
        assert_eq!(value(&among(&case, &own, others.iter())), Some(2.0));
    }

    #[test]
    fn another_window_is_another_box() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let other = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.window = 512)
            .build();
        let around = around();
        let case = Case::of(&flow, &around).expect("a case");
        let others = [mark(&Case::of(&other, &around).expect("a case"))];
        assert_eq!(value(&among(&case, &mark(&case), others.iter())), Some(0.0));
    }

    #[test]
    fn one_flow_alone_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
