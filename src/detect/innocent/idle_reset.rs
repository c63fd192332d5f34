//! `idle_reset`: a NAT, firewall or load balancer forgot the connection.

use crate::detect::injection::case::{Case, NO_CASE, Trigger};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "longest silence of both sides among the last packets before the reset, in seconds",
    why: "boxes with state forget idle connections (30 s on some mobile networks, 60 s and more on load balancers) and reset what comes then, with headers of their own",
    innocent: &[],
    blind_to: "boxes that forget under pressure, without a silence",
};

/// The packets after the silence that the reset may answer: one segment, and its repeats by the sender's timer.
const AFTER_SILENCE: usize = 4;

/// No box forgets a new connection sooner (mobile networks: 30 s); clients that connect early and speak late are common.
const SHORTEST_BEFORE_HELLO_NS: i64 = 30_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let mut later = case.first.time;
    let mut longest = 0_i64;
    let before = flow
        .detail
        .packets
        .iter()
        .rev()
        .filter(|packet| case.is_before(packet) && !packet.is_rst());
    let mut said: Option<(crate::types::Direction, i64)> = None;
    let mut counted = 0;
    for packet in before.take(AFTER_SILENCE + 1) {
        longest = longest.max(later.since(packet.time));
        later = packet.time;
        counted += 1;
        // A conversation after the silence, rather than one segment and its repeats, means that nothing was forgotten.
        if packet.payload > 0 {
            let this = packet.direction.map(|direction| (direction, packet.seq));
            if said.is_some() && this.is_some() && said != this && longest < 1_000_000_000 {
                break;
            }
            said = this.or(said);
        }
    }
    if counted == 0 {
        return Reading::Blind("nothing before the reset");
    }
    let opening = !matches!(case.trigger(), Some((Trigger::LaterPayload, _)) | None);
    if opening && longest < SHORTEST_BEFORE_HELLO_NS {
        longest = 0;
    }
    let seconds = longest as f64 / 1e9;
    Reading::measured(
        seconds,
        case.frames(),
        format!("{seconds:.1} s of silence that a box may have forgotten the connection in"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_for_the_first_segment_after_a_minute_is_the_load_balancers() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .ack_up()
            .wait(61_000)
            .data_up(80)
            .wait(20)
            .forge_with(|_| {})
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|silence| silence > 60.0));
    }

    #[test]
    fn a_reset_right_after_the_hello_follows_no_silence() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .forge_with(|_| {})
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|silence| silence < 1.0));
    }

    #[test]
    fn with_nothing_before_it_is_blind() {
        let flow = Story::new().forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
