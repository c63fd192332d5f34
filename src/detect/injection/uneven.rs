//! `rst.uneven`: resets of one moment with unlike headers.

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion};

pub(in crate::detect) const ABOUT: About = About {
    measures: "different hop limits or windows (whichever are more) among resets within 20 ms",
    why: "one host's packets travel one way and show one window; some boxes count them up so that the receiver takes one",
    innocent: &["packets of one moment on two routes: that gives two hop limits, often one apart"],
    blind_to: "a single reset",
};

/// Bursts of the known boxes last less than this.
const BURST_NS: i64 = 20_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN");
    }
    let burst: Vec<&PacketFact> = case
        .suspects
        .iter()
        .copied()
        .filter(|suspect| suspect.time.since(case.first.time) <= BURST_NS)
        .collect();
    if burst.len() < 2 {
        return Reading::Blind("a single reset");
    }
    let different = |value: fn(&PacketFact) -> u16| {
        let mut values: Vec<u16> = burst.iter().map(|packet| value(packet)).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let hop_limits = different(|packet| u16::from(packet.hop_limit));
    let windows = different(|packet| packet.window);
    // Two neighbouring hop limits are what two routes of nearly one length give.
    let ways = match hop_limits.as_slice() {
        [low, high] if high - low <= 1 => 1,
        all => all.len(),
    };
    let list = |values: &[u16]| {
        values
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Reading::measured(
        ways.max(windows.len()) as f64,
        burst.iter().map(|packet| packet.frame),
        format!(
            "{} resets at once with hop limits {} and windows {}",
            burst.len(),
            list(&hop_limits),
            list(&windows)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn windows_that_climb_within_a_burst_count() {
        let flow = Story::new()
            .handshake(40)
            .forge_with(|rst| rst.window = 3293)
            .forge_with(|rst| rst.window = 3294)
            .forge_with(|rst| rst.window = 3295)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(3.0));
    }

    #[test]
    fn equal_resets_do_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .abort_down()
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn one_reset_is_not_its_matter() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
