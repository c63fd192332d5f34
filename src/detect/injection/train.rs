//! `rst.train`: does the peer keep sending, with every packet of its turned into a reset?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets with ACK at the places of the server's data, with its hop limit, with time stamps or identifications that run on, or repeated as by its timer, and no data of it",
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
    let data_after = case
        .ordinary()
        .any(|packet| packet.frame > first.frame && packet.payload > 0);
    let same_way = train.iter().all(|suspect| {
        usual.contains(&suspect.hop_limit)
            || usual.is_empty() && suspect.hop_limit == first.hop_limit
    });
    let mut places: Vec<i64> = train.iter().map(|suspect| suspect.seq).collect();
    places.sort_unstable();
    places.dedup();
    // A sender's timer repeats after 200 ms and more (RFC 6298 in practice), a forger's burst is over by then.
    let by_timer = train.len() > 2 && last.time.since(first.time) > BY_TIMER_NS;
    let (own, what) = match numbers(&case, &train) {
        Numbers::PeersOwn => (places.len() > 1 || by_timer, "continue the peer's"),
        Numbers::OneSender => (by_timer, "are one sender's"),
        Numbers::None => (
            by_timer && places.len() > 1 && !usual.is_empty(),
            "are not there",
        ),
        Numbers::Broken => (false, "are not one sender's"),
    };
    let count = if same_way && own && !data_after {
        train.len()
    } else {
        1
    };
    Reading::measured(
        count as f64,
        train.iter().map(|suspect| suspect.frame),
        format!(
            "{} resets at {} places within {:.1} s; hop limit {}, clock and identifications {what}; payload after them {}",
            train.len(),
            places.len(),
            last.time.seconds_since(first.time),
            if same_way { "the peer's" } else { "another" },
            if data_after { "yes" } else { "none" },
        ),
    )
}

/// Repeats later than this come from a timer.
const BY_TIMER_NS: i64 = 150_000_000;

/// Whose numbers the resets bear.
enum Numbers {
    /// They continue those of the named side's other packets.
    PeersOwn,
    /// They continue each other.
    OneSender,
    /// There is neither a time stamp nor an identification to tell by.
    None,
    /// They jump.
    Broken,
}

fn numbers(case: &Case<'_>, train: &[&PacketFact]) -> Numbers {
    let Some((first, rest)) = train.split_first() else {
        return Numbers::None;
    };
    if first.timestamps.is_none() && first.ip_id.is_none_or(|id| id == 0) {
        return Numbers::None;
    }
    let mut before = *first;
    for after in rest {
        if !follows(before, after) {
            return Numbers::Broken;
        }
        before = after;
    }
    let continues = case
        .ordinary()
        .filter(|own| case.is_before(own) && !own.is_syn_ack() || own.timestamps.is_some())
        .any(|own| follows(own, first));
    if continues {
        Numbers::PeersOwn
    } else {
        Numbers::OneSender
    }
}

/// Whether `after` bears the number that the sender of `before` would use next.
fn follows(before: &PacketFact, after: &PacketFact) -> bool {
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
        // A few are lost on the way or sent elsewhere.
        (_, _, Some(a), Some(b)) => (1..=16).contains(&b.wrapping_sub(a)),
        _ => false,
    }
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
    fn repeats_by_a_timer_are_told_even_when_the_box_strips_the_time_stamps() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .rewritten_down(0)
            .rewritten_down(1448)
            .rewritten_down(600)
            .wait(300)
            .rewritten_down(0)
            .build();
        for reset in &mut flow.detail.resets {
            reset.timestamps = None;
        }
        assert_eq!(value(&measure(&flow, &around())), Some(4.0));
    }

    #[test]
    fn a_fin_is_not_its_matter() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(100)
            .fin_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
