//! `fin.timestamps_missing`: does a FIN lack the time stamps that all packets of its side carry?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, Suspicion};
use super::timestamps_missing;

pub(in crate::detect) const ABOUT: About = About {
    measures: "a FIN without TCP time stamps in the name of a side whose every other packet carries them",
    why: "once negotiated, time stamps go into every segment that is not a reset (RFC 7323, section 3.2)",
    innocent: &["a proxy that leaves the connection to another stack at its end"],
    blind_to: "sides that do not use time stamps",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    match Case::of(flow, around) {
        Some(case) if case.suspicion == Suspicion::Close => timestamps_missing::judge(&case),
        Some(_) => Reading::Blind("a reset is judged by rst.timestamps_missing"),
        None => Reading::Blind(NO_CASE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_bare_fin_among_stamped_packets_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|fin| {
                fin.flags = 0x11;
                fin.timestamps = None;
            })
            .data_down(600)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_servers_own_fin_carries_them() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .fin_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn resets_are_left_to_the_other_rule() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
