//! `innocent.application_limited`: had the sender nothing to send?

use super::case::Case;
use super::limits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the time in which everything sent was acknowledged and the sender still said nothing",
    why: "a voice message or a stream is as slow as it is made",
    innocent: &[],
    blind_to: "receiver-side captures, where everything is acknowledged at once",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(idle) = limits::idle_share(case.flow, case.direction) else {
        return Reading::Blind("the sender's side is not in view");
    };
    Reading::measured(
        idle,
        [],
        format!(
            "the sender was silent with nothing outstanding for {:.0} % of the time",
            idle * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, paced, value};
    use super::*;

    #[test]
    fn a_paced_stream_leaves_its_sender_idle() {
        let flow = paced(At::Server, 100, 400);
        assert!(value(&read(&alone(&flow))).expect("the sender's side") > 0.5);
    }
    #[test]
    fn a_policed_sender_is_busy() {
        let flow = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        assert!(value(&read(&alone(&flow))).expect("the sender's side") < 0.5);
    }
    #[test]
    fn a_receivers_capture_does_not_tell() {
        let flow = paced(At::Client, 100, 400);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
