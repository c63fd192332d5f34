//! `innocent.server_pacing`: was it slow without waiting or losing?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "packets that waited or were lost, as a share",
    why: "a server that paces its answer makes equal gaps; nothing waits and nothing is lost on the way",
    innocent: &[],
    blind_to: "receiver-side captures of senders without TCP time stamps",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    if case.ledger.after.len() < 16 && case.ledger.before.len() < 16 {
        return Reading::Blind("no delays measured: neither acknowledgements nor time stamps");
    }
    let waited = case.queue.map_or(0.0, |queue| queue.share);
    let share = waited.max(case.ledger.loss_ratio());
    Reading::measured(
        share,
        [],
        format!("{:.0} % waited or were lost", share * 100.0),
    )
}
