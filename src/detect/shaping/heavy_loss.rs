//! `random_drop.heavy_loss`: is the loss beyond that of ordinary paths?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the packets of the service that were lost",
    why: "wired and mobile paths lose up to a few per cent; operators see an effect for users from several per cent on",
    innocent: &["radio at the edge of its range: see innocent.lossy_radio"],
    blind_to: "small shares, which look like an ordinary path",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.sent < 24 {
        return Reading::Blind("fewer than 24 packets that could be lost");
    }
    Reading::measured(
        pool.ratio(),
        [],
        format!("{:.1} % of {} packets", pool.ratio() * 100.0, pool.sent),
    )
}
