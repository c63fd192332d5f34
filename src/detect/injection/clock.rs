//! `rst.clock`: do the resets' time stamps come from the named side's clock?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE};

pub(in crate::detect) const ABOUT: About = About {
    measures: "resets whose TSval lies off the named side's clock, or whose TSecr the other side never sent",
    why: "the forger does not know the clock of the host it speaks for",
    innocent: &["a host behind a load balancer with a clock of its own"],
    blind_to: "resets without time stamps, and a rewritten packet of the peer's own",
};

/// Fastest clock in use: 1 tick a millisecond (RFC 7323, section 5.4, permits 1 ms to 1 s a tick).
const TICKS_PER_MS: i64 = 1;
/// Ticks that reordering, clock drift and coarse ticks may cost, in either direction.
const SLACK: i64 = 2_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let stamped: Vec<&PacketFact> = case
        .suspects
        .iter()
        .copied()
        .filter(|suspect| suspect.timestamps.is_some())
        .collect();
    if stamped.is_empty() {
        return Reading::Blind("the suspects carry no time stamps");
    }
    let own = || {
        case.ordinary()
            .filter_map(|packet| packet.timestamps.map(|(value, _)| (packet, value)))
    };
    if own().next().is_none() {
        return Reading::Blind("no time stamp of the named side to compare with");
    }
    let sent: Vec<u32> = case
        .other()
        .filter_map(|packet| packet.timestamps.map(|(value, _)| value))
        .collect();
    let whole = flow.detail.omitted == 0 && flow.detail.from_start && !flow.detail.one_way;
    let mut text = "the time stamps fit the same side's clock".to_owned();
    let alien: Vec<_> = stamped
        .iter()
        .filter(|suspect| {
            let (value, echo) = suspect.timestamps.unwrap_or_default();
            let off = own()
                .map(|(packet, own)| {
                    let ticks = i64::from(value.wrapping_sub(own).cast_signed());
                    let ms = suspect.time.since(packet.time) / 1_000_000;
                    // Between a clock that stood still and the fastest one.
                    let (low, high) = (ms.min(ms * TICKS_PER_MS).min(0), ms.max(0) * TICKS_PER_MS);
                    (low - ticks).max(ticks - high).max(0)
                })
                .min()
                .unwrap_or(0);
            if off > SLACK {
                text = format!("TSval {value} lies {off} ticks off the same side's clock");
                return true;
            }
            // An echo must lie between the first and the last value that the other side had sent.
            let echoed = !whole
                || sent.is_empty()
                || echo == 0 && !suspect.is_ack()
                || sent.first().zip(sent.last()).is_some_and(|(first, last)| {
                    echo.wrapping_sub(*first) <= last.wrapping_sub(*first)
                });
            if !echoed {
                text = format!("TSecr {echo} was never sent by the other side");
            }
            !echoed
        })
        .map(|suspect| suspect.frame)
        .collect();
    let count = alien.len();
    Reading::measured(
        count as f64,
        if count == 0 { case.frames() } else { alien },
        text,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_clock_far_from_the_servers_is_not_the_servers() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .forge_with(|rst| rst.timestamps = Some((7, 7)))
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn the_servers_own_clock_is() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_stamps_it_is_blind() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|rst| rst.timestamps = None)
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
