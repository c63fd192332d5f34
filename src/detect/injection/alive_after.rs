//! `rst.alive_after`: does the side that "reset" the connection go on with it?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "packets of the named side after its own reset (or new payload after its own FIN) that cannot have been sent before it",
    why: "a host that reset a connection has forgotten it; one that goes on did not send the reset",
    innocent: &[
        "reordering on the way: packets that lie before the reset in the stream are not counted",
        "a reset that answers a stray segment of an older connection",
    ],
    blind_to: "a box that drops the true peer's packets from then on",
};

/// Nothing is reordered by more than this (the longest reordering in public captures is a few tens of milliseconds).
const REORDER_NS: i64 = 100_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let first = case.first;
    // A new SYN of the client begins another connection.
    let again = flow
        .detail
        .packets
        .iter()
        .find(|packet| packet.frame > first.frame && packet.is_syn())
        .map(|packet| packet.frame);
    let alive: Vec<&PacketFact> = case
        .ordinary()
        .filter(|packet| {
            packet.frame > first.frame && again.is_none_or(|again| packet.frame < again)
        })
        .filter(|packet| goes_beyond(&case, packet))
        .collect();
    let what = if case.suspicion == Suspicion::Close {
        "its FIN"
    } else {
        "its reset"
    };
    let text = match alive.first() {
        Some(packet) => format!(
            "{} of the same side after {what}, the first {:.1} ms later",
            count(alive.len(), "packet"),
            packet.time.since(first.time) as f64 / 1e6
        ),
        None => format!("nothing of the same side after {what}"),
    };
    Reading::measured(
        alive.len() as f64,
        [first.frame]
            .into_iter()
            .chain(alive.iter().map(|packet| packet.frame).take(8)),
        text,
    )
}

/// Whether `packet`, captured after the first suspect, was also sent after it.
fn goes_beyond(case: &Case<'_>, packet: &PacketFact) -> bool {
    let first = case.first;
    let late = packet.time.since(first.time) > REORDER_NS;
    let data_beyond = packet.payload > 0 && packet.seq + i64::from(packet.payload) > first.seq;
    match case.suspicion {
        // After a FIN, acknowledgements and repeats are in order; payload at or beyond it is not.
        Suspicion::Close => {
            packet.payload > 0 && packet.seq + i64::from(packet.payload) >= first.seq_end()
        }
        Suspicion::Reset => {
            late || data_beyond
                || packet.seq_end() > first.seq
                || first.is_ack() && packet.is_ack() && packet.ack > first.ack
                || acknowledges_later(case, packet)
        }
    }
}

/// Whether `packet` acknowledges what the other side sent only after the first suspect was captured.
fn acknowledges_later(case: &Case<'_>, packet: &PacketFact) -> bool {
    let known = (case.other())
        .filter(|other| case.is_before(other))
        .map(PacketFact::seq_end)
        .max();
    packet.is_ack()
        && known.is_some_and(|known| {
            packet.ack > known
                && case.other().any(|other| {
                    other.frame > case.first.frame
                        && other.frame < packet.frame
                        && other.payload > 0
                        && other.seq >= known
                        && other.seq < packet.ack
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_server_that_goes_on_did_not_reset() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .data_down(1448)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn data_that_the_reset_overtook_does_not_count() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.seq = 1449)
            .data_down(1448)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn data_after_a_fin_counts_and_an_acknowledgement_does_not() {
        let fin = |fin: &mut PacketFact| fin.flags = 0x11;
        let data = Story::new()
            .handshake(40)
            .hello()
            .forge_with(fin)
            .data_down(1448)
            .build();
        assert_eq!(value(&measure(&data, &around())), Some(1.0));
        let acknowledged = Story::new()
            .handshake(40)
            .hello()
            .data_down(100)
            .fin_down()
            .wait(200)
            .ack_down()
            .build();
        assert_eq!(value(&measure(&acknowledged, &around())), Some(0.0));
    }

    #[test]
    fn a_client_that_acknowledges_what_came_after_its_reset_did_not_reset() {
        let at_the_server = CaptureFacts {
            vantage: crate::facts::VantageFacts {
                value: crate::facts::Vantage::Server,
                ..around().vantage
            },
            ..around()
        };
        let bare = |rst: &mut PacketFact| rst.flags = 0x04;
        let story = || Story::new().handshake(40).hello().data_down(600).ack_up();
        let alive = story()
            .forge_up_with(bare)
            .data_down(390)
            .wait(30)
            .ack_up()
            .build();
        assert_eq!(value(&measure(&alive, &at_the_server)), Some(1.0));
        // an acknowledgement of what had been sent before may have been overtaken by the reset
        let overtaken = story()
            .data_down(390)
            .forge_up_with(bare)
            .wait(30)
            .ack_up()
            .build();
        assert_eq!(value(&measure(&overtaken, &at_the_server)), Some(0.0));
    }

    #[test]
    fn without_a_reset_there_is_nothing_to_measure() {
        let flow = Story::new().handshake(40).hello().data_down(1448).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
