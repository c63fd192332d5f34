//! `silence.peer_repeats`: does the silent side repeat what was acknowledged long ago?

use super::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "packets of the silent side during the silence that advance nothing: repeated SYN/ACKs, repeated payload, keep-alives",
    why: "it lives and is heard, and hears nothing: only one direction is cut, which no dead host or link does",
    innocent: &["acknowledgements lost by a crowded uplink"],
    blind_to: "cuts of both directions",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.flow.summary.key.protocol != crate::types::Protocol::Tcp {
        return Reading::Blind("datagrams are not acknowledged");
    }
    let repeats: Vec<_> = case
        .repeats
        .iter()
        .filter(|packet| packet.payload > 0 || packet.is_syn_ack() || packet.is_fin())
        .collect();
    let count = repeats.len();
    Reading::measured(
        count as u32,
        repeats.iter().map(|packet| packet.frame),
        format!("{count} packets of the silent side repeat what it had sent"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_server_that_repeats_its_syn_ack_hears_nothing() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .again(2)
            .syn_ack()
            .again(2)
            .syn_ack()
            .again(1)
            .build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(2.0));
    }

    #[test]
    fn silence_of_both_is_no_sign() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
