//! `scanner`: somebody asked whether the port is open.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the client reset after the SYN/ACK without a word, and its SYN is a scanner's: no options, identification 54321 or a hop limit of 200 and more",
    why: "scanners send hand-made SYNs, and their kernel resets the answers that it did not ask for",
    innocent: &[],
    blind_to: "scanners that use ordinary sockets",
};

/// ZMap's fixed identification (its `probe_modules/packet.c`).
const ZMAP: u16 = 54_321;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.named == Direction::Down {
        return Reading::Blind("the reset is in the server's name");
    }
    let Some(syn) = flow.detail.packets.iter().find(|packet| packet.is_syn()) else {
        return Reading::Blind("the SYN is not in the capture");
    };
    let by_hand = syn.option_layout == 0 || syn.ip_id == Some(ZMAP) || syn.hop_limit >= 200;
    let fits = by_hand && flow.summary.up.data_packets == 0;
    Reading::measured(
        u8::from(fits),
        [syn.frame, case.first.frame],
        if fits {
            "a hand-made SYN and a reset"
        } else {
            "not a scanner's SYN"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_bare_syn_and_a_reset_is_a_scan() {
        let mut flow = Story::new().syn().syn_ack().closed_up().build();
        flow.detail.packets[0].option_layout = 0;
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn an_ordinary_client_is_no_scanner() {
        let flow = Story::new().handshake(40).hello().abort_up().build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_the_syn_it_is_blind() {
        let flow = Story::new().data_up(10).data_down(10).abort_up().build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
