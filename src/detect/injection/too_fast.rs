//! `rst.too_fast`: could the named side have answered so soon?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, Detail, FlowFacts, PacketFact};
use crate::types::Direction;

use super::case::{Case, NO_CASE, is_opening};

pub(in crate::detect) const ABOUT: About = About {
    measures: "time from the packet that a reset answers to the reset, as a share of the smallest round trip to the named side",
    why: "the answer of the true peer takes a whole round trip; that of a box nearer by takes less",
    innocent: &[
        "a proxy near the client that splits the connection (its round trips are short too)",
    ],
    blind_to: "a box next to the peer, a rewritten packet of the peer's own, and paths shorter than 5 ms",
};

/// Below this, scheduling on either host is as long as the path.
const SHORTEST_PATH_NS: i64 = 5_000_000;

/// Share of the round trip below which an answer is too fast: the fastest sample of a path is seldom its true minimum.
pub(super) const FAST: f64 = 0.8;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let Some(round_trip) = case.round_trip(around) else {
        return Reading::Blind("the round trip to the named side is not known");
    };
    if round_trip < SHORTEST_PATH_NS {
        return Reading::Blind("the path is too short to time an answer");
    }
    let fastest = case
        .suspects
        .iter()
        .filter_map(|suspect| {
            answered(&case, suspect)
                .map(|packet| (suspect.time.since(packet.time), suspect.frame, packet.frame))
        })
        .min();
    let Some((delay, suspect, answered)) = fastest else {
        return Reading::Blind("the packet that it answers is not in the capture");
    };
    let share = delay as f64 / round_trip as f64;
    if case.named == Direction::Up && share > FAST {
        return Reading::Blind(
            "a box that acts on what the client says comes behind the client's own packet, and so in time",
        );
    }
    Reading::measured(
        share,
        [answered, suspect],
        format!(
            "{:.1} ms after the packet that it acknowledges, on a path of {:.1} ms",
            delay as f64 / 1e6,
            round_trip as f64 / 1e6
        ),
    )
}

/// The packet of the other side that `suspect` shows it has received: the first copy, which makes the delay long.
fn answered<'f>(case: &Case<'f>, suspect: &PacketFact) -> Option<&'f PacketFact> {
    let packet = case
        .other()
        .filter(|packet| packet.frame < suspect.frame)
        .find(|packet| {
            if suspect.is_ack() {
                (packet.seq..packet.seq_end()).contains(&(suspect.ack - 1))
            } else {
                packet.is_ack() && !is_opening(packet) && packet.ack == suspect.seq
            }
        })?;
    // Where packets are omitted before it, an earlier one may be the one that was answered.
    let gap = case.flow.detail.packets.get(Detail::HEAD);
    let known = case.flow.detail.omitted == 0
        || gap.is_none_or(|gap| {
            packet.frame < gap.frame
                || case
                    .other()
                    .any(|other| (gap.frame..packet.frame).contains(&other.frame))
        });
    known.then_some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_sooner_than_the_path_allows_is_not_the_servers() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(4)
            .forge_with(|_| {})
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|share| share < 0.2));
    }

    #[test]
    fn one_round_trip_is_fair() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(41)
            .forge_with(|_| {})
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|share| share > 1.0));
    }

    #[test]
    fn an_abort_that_has_not_seen_the_clients_last_packet_yet_is_fair() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_down(600)
            .forge_with(|rst| rst.ack = 1)
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|share| share > 0.9));
    }

    #[test]
    fn the_packet_that_came_after_what_it_acknowledges_is_not_the_one_it_answers() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_up(100)
            .forge_with(|rst| rst.ack = 518)
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|share| share > 0.9));
        let hello = flow.detail.recognised.hello_frame;
        flow.detail
            .packets
            .retain(|packet| Some(packet.frame) != hello);
        assert_eq!(value(&measure(&flow, &around())), None);
    }

    #[test]
    fn in_the_clients_name_only_a_fast_one_tells() {
        let at_the_server = CaptureFacts {
            vantage: crate::facts::VantageFacts {
                value: crate::facts::Vantage::Server,
                ..around().vantage
            },
            ..around()
        };
        let story = || {
            let mut story = Story::new().handshake(40).hello().data_down(600);
            story = story.wait(4);
            story
        };
        let mut flow = story().forge_up_with(|_| {}).build();
        flow.detail.rtt.handshake_client = Some(40_000_000);
        flow.detail.rtt.min_client = Some(40_000_000);
        assert!(value(&measure(&flow, &at_the_server)).is_some_and(|share| share < 0.2));
        let mut flow = story().wait(60).forge_up_with(|_| {}).build();
        flow.detail.rtt.handshake_client = Some(40_000_000);
        flow.detail.rtt.min_client = Some(40_000_000);
        assert_eq!(value(&measure(&flow, &at_the_server)), None);
    }

    #[test]
    fn a_short_path_cannot_be_timed() {
        let flow = Story::new().handshake(1).hello().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
