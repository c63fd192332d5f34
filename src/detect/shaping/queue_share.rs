//! `shaping.queue_share`: did the queue stand all along?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the bytes that passed while packets waited",
    why: "behind a shaper a bulk transfer keeps the queue filled; elsewhere queues come and go",
    innocent: &["the access line's own queue"],
    blind_to: "transfers too short to fill the queue",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(queue) = &case.queue else {
        return Reading::Blind("no packet waited");
    };
    Reading::measured(
        queue.share,
        [],
        format!(
            "{:.0} % of the bytes passed while packets waited, over {:.1} s",
            queue.share * 100.0,
            queue.seconds
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, paced, value};
    use super::*;

    #[test]
    fn a_shaper_keeps_its_queue() {
        let flow = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        assert!(value(&read(&alone(&flow))).expect("a queue") > 0.25);
    }
    #[test]
    fn a_lost_packet_is_no_queue() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        assert!(value(&read(&alone(&flow))).is_none_or(|share| share < 0.25));
    }
    #[test]
    fn where_nothing_waits_there_is_no_queue() {
        let flow = paced(At::Server, 100, 40);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
