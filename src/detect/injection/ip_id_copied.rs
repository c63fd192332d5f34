//! `rst.ip_id_copied`: is the resets' IPv4 identification taken from the packet that they answer?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets whose IPv4 identification is that of a recent packet of the other side, or one more",
    why: "a box builds its reset from the packet that triggered it; the true sender has numbers of its own",
    innocent: &["both ends are one host with one counter"],
    blind_to: "IPv6, and a client that numbers all its packets 0",
};

/// How many of the other side's last packets are compared with: the trigger and what may have overtaken it.
const RECENT: usize = 4;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let others: Vec<(&PacketFact, u16)> = case
        .other()
        .filter_map(|packet| packet.ip_id.map(|id| (packet, id)))
        .filter(|(_, id)| *id != 0)
        .collect();
    if others.is_empty() {
        return Reading::Blind("the other side's packets carry no identification to copy");
    }
    let copied = |packet: &PacketFact| {
        let before = others.partition_point(|(other, _)| other.frame < packet.frame);
        packet.ip_id.is_some_and(|id| {
            id != 0
                && others
                    .get(before.saturating_sub(RECENT)..before)
                    .unwrap_or_default()
                    .iter()
                    .any(|(_, other)| id.wrapping_sub(*other) <= 1)
        })
    };
    if case.ordinary().any(copied) {
        return Reading::Blind(
            "the named side's ordinary packets follow the other side's numbers too",
        );
    }
    let guilty: Vec<&PacketFact> = case
        .suspects
        .iter()
        .copied()
        .filter(|suspect| copied(suspect))
        .collect();
    let text = guilty.first().map_or_else(
        || "the identification is not one of the other side's".to_owned(),
        |first| {
            format!(
                "identification {:#06x} is that of the other side's last packets, or one more",
                first.ip_id.unwrap_or_default()
            )
        },
    );
    Reading::measured(
        guilty.len() as f64,
        guilty.iter().map(|suspect| suspect.frame),
        text,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_number_one_past_the_clients_is_a_copy() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        let last = flow
            .detail
            .packets
            .iter()
            .rfind(|p| p.is_up())
            .and_then(|p| p.ip_id)
            .expect("IPv4");
        flow.detail.resets[0].ip_id = Some(last + 1);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_number_of_its_own_is_not() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn two_ends_on_one_host_share_a_counter_innocently() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(100)
            .abort_down()
            .build();
        for (number, packet) in (700..).zip(&mut flow.detail.packets) {
            packet.ip_id = Some(number);
        }
        flow.detail.resets[0].ip_id = flow.detail.packets.last().and_then(|p| p.ip_id);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
