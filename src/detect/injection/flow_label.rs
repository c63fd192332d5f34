//! `rst.flow_label`: does the reset bear the label of the connection it ends?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets with ACK whose IPv6 flow label is 0, in the name of a side whose every other packet has one",
    why: "a living socket labels its reset like all its packets (Linux draws a label for each connection); who writes a packet by hand leaves the field empty",
    innocent: &[
        "a load balancer or NAT resets for the host behind it",
        "stacks that label data only",
    ],
    blind_to: "IPv4, sides that label nothing, resets without ACK (closed sockets of the BSD family leave the label out), and forgers that copy it",
};

/// Least packets of the named side that a label must be seen on.
const BASELINE: usize = 2;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    let mut own = case.ordinary().map(|packet| packet.flow_label);
    if case.ordinary().count() < BASELINE {
        return Reading::Blind("fewer than 2 packets of the named side to compare with");
    }
    if own.any(|label| label.is_none_or(|label| label == 0)) {
        return Reading::Blind("the named side does not label its packets");
    }
    let mut acknowledging = case.acknowledging().peekable();
    if acknowledging.peek().is_none() {
        return Reading::Blind(
            "the resets carry no ACK: a closed socket's label is its own affair",
        );
    }
    let bare: Vec<_> = acknowledging
        .filter(|suspect| suspect.flow_label == Some(0))
        .map(|suspect| suspect.frame)
        .collect();
    let text = format!(
        "{} without a flow label, as all {} others of the same side have",
        count(bare.len(), "reset"),
        case.ordinary().count()
    );
    Reading::measured(bare.len() as f64, bare, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    /// The flow over IPv6, its ends labelling their packets so.
    fn labelled(mut flow: FlowFacts, own: u16, reset: u16) -> FlowFacts {
        let detail = &mut flow.detail;
        for packet in detail.packets.iter_mut().chain(&mut detail.resets) {
            packet.ip_id = None;
            packet.flow_label = Some(if packet.is_rst() { reset } else { own });
        }
        flow
    }

    fn story() -> Story {
        Story::new().handshake(40).hello().ack_down().data_down(600)
    }

    #[test]
    fn a_reset_without_a_label_among_labelled_packets_counts() {
        let flow = labelled(story().forge_with(|_| {}).build(), 0x3070, 0);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_living_sockets_own_reset_bears_the_connections_label() {
        let flow = labelled(story().abort_down().build(), 0x3070, 0x3070);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn another_label_is_a_closed_sockets_or_a_repaths() {
        let flow = labelled(story().abort_down().build(), 0x3070, 0x1111);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn closed_sockets_unlabelled_sides_and_ipv4_are_none_of_its_matter() {
        let closed = labelled(story().closed_down().build(), 0x3070, 0);
        assert_eq!(value(&measure(&closed, &around())), None);
        let unlabelled = labelled(story().forge_with(|_| {}).build(), 0, 0);
        assert_eq!(value(&measure(&unlabelled, &around())), None);
        let ipv4 = story().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&ipv4, &around())), None);
    }
}
