//! `rst.timestamps_missing`: does a living socket's reset lack the time stamps that all its packets carry?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets with ACK, without TCP time stamps, in the name of a side whose every other packet carries them",
    why: "a living socket adds its options to the reset as to any packet; a forger seldom does",
    innocent: &[
        "some stacks and load balancers reset without options (RFC 7323 leaves it to them)",
        "a closed socket's reset, which is why those without ACK are not judged",
    ],
    blind_to: "sides that do not use time stamps",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.suspicion == Suspicion::Close {
        return Reading::Blind("a FIN is judged by fin.timestamps_missing");
    }
    judge(&case)
}

/// Suspects with ACK and without time stamps, where the named side always sends them.
pub(super) fn judge(case: &Case<'_>) -> Reading {
    let (with, without) = case
        .ordinary()
        .fold((0_u32, 0_u32), |(with, without), packet| {
            if packet.timestamps.is_some() {
                (with + 1, without)
            } else {
                (with, without + 1)
            }
        });
    if with == 0 || without > 0 {
        return Reading::Blind("the named side does not send time stamps in every packet");
    }
    if case.acknowledging().next().is_none() {
        return Reading::Blind("resets without ACK: a closed socket sends them without options");
    }
    let bare: Vec<_> = case
        .acknowledging()
        .filter(|suspect| suspect.timestamps.is_none())
        .map(|suspect| suspect.frame)
        .collect();
    let text = format!(
        "{} without time stamps, as all {with} others of the same side have",
        count(bare.len(), "packet")
    );
    Reading::measured(bare.len() as f64, bare, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_bare_reset_among_stamped_packets_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.timestamps = None)
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_living_sockets_reset_keeps_its_stamps() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_closed_sockets_reset_is_not_judged() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| {
                rst.timestamps = None;
                rst.flags = 0x04;
            })
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
