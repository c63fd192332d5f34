//! `rst.train`: does the peer keep sending, with every packet of its turned into a reset?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets with ACK at the places of the server's data, with its hop limit and its own advancing time stamps or identifications, and no data of it",
    why: "a box that rewrites the peer's packets keeps their headers: the resets step by the sizes of the data they replace and repeat by the peer's timer",
    innocent: &["stacks that repeat a reset: those stay at one place, within a moment"],
    blind_to: "a single rewritten packet, and captures at the server, which see its packets whole",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    let train: Vec<&PacketFact> = case
        .acknowledging()
        .filter(|suspect| suspect.payload == 0)
        .collect();
    let [first, .., last] = train.as_slice() else {
        return Reading::measured(train.len() as f64, case.frames(), "a single reset with ACK");
    };
    let usual: Vec<u8> = case.ordinary().map(|packet| packet.hop_limit).collect();
    if usual.is_empty() {
        return Reading::Blind("no packet of the named side to compare with");
    }
    let data_after = case
        .ordinary()
        .any(|packet| packet.frame > first.frame && packet.payload > 0);
    let same_way = train
        .iter()
        .all(|suspect| usual.contains(&suspect.hop_limit));
    let advance = advances(&train);
    let stamped = case.ordinary().any(|packet| packet.timestamps.is_some());
    let own_stamps = !stamped || train.iter().all(|suspect| suspect.timestamps.is_some());
    let mut places: Vec<i64> = train.iter().map(|suspect| suspect.seq).collect();
    places.sort_unstable();
    places.dedup();
    // Of resets at one place only a timer's repeats are told from a burst.
    let moved =
        places.len() > 1 || last.time.since(first.time) > 150_000_000 && train.len() > 2 && stamped;
    let count = if same_way && advance && own_stamps && moved && !data_after {
        train.len()
    } else {
        1
    };
    Reading::measured(
        count as f64,
        train.iter().map(|suspect| suspect.frame),
        format!(
            "{} resets at {} places within {:.1} s; hop limit {}, clock and numbers {}; payload after them {}",
            train.len(),
            places.len(),
            last.time.seconds_since(first.time),
            if same_way { "the peer's" } else { "another" },
            if advance && own_stamps {
                "run on"
            } else {
                "do not run on"
            },
            if data_after { "yes" } else { "none" },
        ),
    )
}

/// Whether time stamps, or else identifications, run on from each to the next as one sender's do.
fn advances(train: &[&PacketFact]) -> bool {
    train.windows(2).all(|pair| {
        let [before, after] = pair else { return false };
        match (
            before.timestamps,
            after.timestamps,
            before.ip_id,
            after.ip_id,
        ) {
            (Some((a, _)), Some((b, _)), ..) => {
                let ms = after.time.since(before.time) / 1_000_000;
                let ticks = i64::from(b.wrapping_sub(a).cast_signed());
                (-5..=ms + 1_000).contains(&ticks)
            }
            (None, None, Some(a), Some(b)) => a != b && b.wrapping_sub(a) <= 256,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn resets_that_step_like_the_servers_data_are_its_data_rewritten() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .rewritten_down(1448)
            .rewritten_down(1012)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(2.0));
    }

    #[test]
    fn one_abort_is_no_train() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_forgers_steps_are_not_the_peers_own() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .forge_with(|rst| rst.hop_limit = 99)
            .forge_with(|rst| rst.seq += 1460)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn without_a_packet_of_the_peer_it_is_blind() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .rewritten_down(1448)
            .rewritten_down(600)
            .build();
        flow.detail.packets.retain(PacketFact::is_up);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
