//! `rst.window_unlike`: is the resets' window one that the named side would announce?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "factor between a reset's window and the nearest one of the named side's other packets, windows of 0 left out",
    why: "a living socket announces its window in the reset as in any packet, a closed one announces 0; a forger makes one up",
    innocent: &["stacks that put an unscaled window into resets"],
    blind_to: "a window of 0",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let own: Vec<u16> = case.ordinary().map(|packet| packet.window).collect();
    if !case.body().any(|packet| packet.window != 0) {
        return Reading::Blind("no window of the named side to compare with");
    }
    let factor = |window: u16| {
        own.iter()
            .map(|own| f64::from((*own).max(1)) / f64::from(window.max(1)))
            .map(|factor| factor.max(1.0 / factor))
            .fold(f64::INFINITY, f64::min)
    };
    let farthest = case
        .suspects
        .iter()
        .filter(|suspect| suspect.window != 0)
        .map(|suspect| (factor(suspect.window), suspect.window))
        .fold(
            (0.0, 0),
            |farthest, this| if this.0 > farthest.0 { this } else { farthest },
        );
    if farthest.1 == 0 {
        return Reading::Blind("the suspects announce a window of 0, as most stacks do");
    }
    Reading::measured(
        farthest.0,
        case.frames(),
        format!(
            "window {}, {:.1} times off the nearest of the same side's {}",
            farthest.1,
            farthest.0,
            count(own.len(), "packet")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_made_up_window_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.window = 13_697)
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|factor| factor > 4.0));
    }

    #[test]
    fn the_sockets_own_window_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_window_of_zero_says_nothing() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.window = 0)
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
