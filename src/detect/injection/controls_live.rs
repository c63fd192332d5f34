//! `rst.controls_live`: do the client's flows to other servers live?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts};

use super::case::{Case, NO_CASE, siblings};

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows of the same client to other servers in which data went both ways and no reset came",
    why: "a broken network or host breaks everything; a box picks",
    innocent: &["a server that has a fault of its own"],
    blind_to: "captures of one flow",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let server = flow.summary.key.b.address;
    let (mut lived, mut others) = (0_u32, 0_u32);
    for sibling in siblings(flow, around).filter(|sibling| sibling.key.b.address != server) {
        others += 1;
        lived += u32::from(
            sibling.up.data_packets > 0
                && sibling.down.data_packets > 0
                && !matches!(sibling.end, End::RstByServer | End::RstByClient),
        );
    }
    if others == 0 {
        return Reading::Blind("no flow of the client to another server");
    }
    Reading::measured(
        lived,
        [case.first.frame],
        format!("{lived} of {others} flows of the client to other servers lived"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, among, value};

    #[test]
    fn controls_that_live_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = among(&flow, &[(1, End::Fin), (2, End::Fin)]);
        assert_eq!(value(&measure(&flow, &around)), Some(2.0));
    }

    #[test]
    fn controls_that_die_too_do_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = among(&flow, &[(1, End::RstByServer), (2, End::RstByServer)]);
        assert_eq!(value(&measure(&flow, &around)), Some(0.0));
    }

    #[test]
    fn without_controls_it_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let around = among(&flow, &[(0, End::Fin)]);
        assert_eq!(value(&measure(&flow, &around)), None);
    }
}
