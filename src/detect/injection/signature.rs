use crate::facts::{FlowFacts, PacketFact, Vantage};
use crate::types::{Direction, Protocol};

/// How many packets towards the server the study kept of a connection.
const KEPT: usize = 10;
/// Silence from which it calls a connection timed out: its time stamps have whole seconds, and three of them must pass.
const SILENCE_NS: i64 = 3_000_000_000;

/// The stage and signature of the 2023 global passive study (Raman et al., SIGCOMM 2023, table 1) for a flow, from its first 10 packets towards
/// the server. None where these were not seen (vantage `client`), where the flow's beginning is missing, where a FIN came, and where nothing matches.
#[must_use]
pub fn tampering_signature(flow: &FlowFacts, vantage: Vantage) -> Option<&'static str> {
    if vantage == Vantage::Client
        || flow.summary.key.protocol != Protocol::Tcp
        || !flow.detail.from_start
    {
        return None;
    }
    let inbound: Vec<&PacketFact> = flow
        .detail
        .packets
        .iter()
        .filter(|packet| packet.direction == Some(Direction::Up))
        .take(KEPT)
        .collect();
    if !inbound.first()?.is_syn() || inbound.iter().any(|packet| packet.is_fin()) {
        return None;
    }
    let resets: Vec<&PacketFact> = inbound
        .iter()
        .copied()
        .filter(|packet| packet.is_rst())
        .collect();
    let before = resets.first().map(|reset| reset.frame);
    let stage = inbound
        .iter()
        .filter(|packet| before.is_none_or(|before| packet.frame < before) && !packet.is_rst());
    let (mut acked, mut said) = (false, 0_u32);
    for packet in stage {
        acked |= packet.is_ack() && !packet.is_syn_ack();
        said += u32::from(packet.payload > 0);
    }
    let silent = inbound.len() < KEPT
        && inbound
            .last()
            .is_some_and(|last| flow.detail.observed_until.since(last.time) >= SILENCE_NS);
    let with_ack = resets.iter().filter(|reset| reset.is_ack()).count();
    let plain: Vec<&PacketFact> = resets
        .iter()
        .copied()
        .filter(|reset| !reset.is_ack())
        .collect();
    match (acked, said, with_ack, plain.len()) {
        (false, 0, 0, 0) if silent => Some("SYN → ∅"),
        (true, 0, 0, 0) if silent => Some("SYN;ACK → ∅"),
        (_, 1, 0, 0) if silent => Some("PSH+ACK → ∅"),
        (.., 0, 0) => None,
        (false, 0, 0, _) => Some("SYN → RST"),
        (false, 0, _, 0) => Some("SYN → RST+ACK"),
        (false, 0, ..) => Some("SYN → RST;RST+ACK"),
        (true, 0, 0, 1) => Some("SYN;ACK → RST"),
        (true, 0, 0, _) => Some("SYN;ACK → RST;RST"),
        (true, 0, 1, 0) => Some("SYN;ACK → RST+ACK"),
        (true, 0, _, 0) => Some("SYN;ACK → RST+ACK;RST+ACK"),
        (true, 0, ..) => None,
        (_, 1, 0, 1) => Some("PSH+ACK → RST"),
        (_, 1, 0, _) => Some(several(&plain)),
        (_, 1, 1, 0) => Some("PSH+ACK → RST+ACK"),
        (_, 1, _, 0) => Some("PSH+ACK → RST+ACK;RST+ACK"),
        (_, 1, ..) => Some("PSH+ACK → RST;RST+ACK"),
        (_, _, 0, _) => Some("PSH+ACK;Data → RST"),
        (_, _, _, 0) => Some("PSH+ACK;Data → RST+ACK"),
        _ => None,
    }
}

/// Several resets without ACK are told apart by their acknowledgement numbers.
fn several(plain: &[&PacketFact]) -> &'static str {
    let first = plain.first().map_or(0, |reset| reset.raw_ack);
    if plain.iter().all(|reset| reset.raw_ack == first) {
        "PSH+ACK → RST=RST"
    } else if plain.iter().any(|reset| reset.raw_ack == 0) {
        "PSH+ACK → RST;RST₀"
    } else {
        "PSH+ACK → RST≠RST"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::Story;

    #[test]
    fn a_reset_after_the_hello_is_named_as_in_the_study() {
        let one = Story::new()
            .handshake(40)
            .hello()
            .forge_up_with(|_| {})
            .build();
        assert_eq!(
            tampering_signature(&one, Vantage::Server),
            Some("PSH+ACK → RST+ACK")
        );
        let three = Story::new()
            .handshake(40)
            .hello()
            .forge_up_with(|_| {})
            .forge_up_with(|_| {})
            .forge_up_with(|rst| rst.flags = 0x04)
            .build();
        assert_eq!(
            tampering_signature(&three, Vantage::Path),
            Some("PSH+ACK → RST;RST+ACK")
        );
    }

    #[test]
    fn silence_counts_after_three_seconds() {
        let mut flow = Story::new().syn().build();
        assert_eq!(tampering_signature(&flow, Vantage::Server), Some("SYN → ∅"));
        flow.detail.observed_until = flow.summary.last.plus(1_000_000_000);
        assert_eq!(tampering_signature(&flow, Vantage::Server), None);
        let handshake = Story::new().handshake(40).build();
        assert_eq!(
            tampering_signature(&handshake, Vantage::Server),
            Some("SYN;ACK → ∅")
        );
        let hello = Story::new().handshake(40).hello().build();
        assert_eq!(
            tampering_signature(&hello, Vantage::Server),
            Some("PSH+ACK → ∅")
        );
    }

    #[test]
    fn the_client_does_not_know_what_the_server_saw() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(tampering_signature(&flow, Vantage::Client), None);
    }

    #[test]
    fn an_ordinary_end_matches_nothing() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .fin_up()
            .fin_down()
            .ack_up()
            .build();
        assert_eq!(tampering_signature(&flow, Vantage::Server), None);
    }
}
