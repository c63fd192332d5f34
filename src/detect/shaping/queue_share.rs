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
