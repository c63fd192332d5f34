//! `innocent.slow_reader`: did the receiver close its window?

use super::case::Case;
use super::limits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the data packets that filled the advertised window, or of the time in which it was closed",
    why: "a receiver that does not read stops the sender by itself",
    innocent: &["a window that is simply small"],
    blind_to: "captures without the SYN, whose window scale is unknown",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(full) = limits::window_full_share(case.flow, case.direction) else {
        return Reading::Blind("no window to compare with");
    };
    Reading::measured(
        full,
        [],
        format!(
            "the advertised window was full or closed for {:.0} % of the packets",
            full * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, paced, value};
    use super::*;

    #[test]
    fn a_closed_window_is_the_readers_doing() {
        let mut flow = paced(At::Server, 100, 40);
        flow.detail.client.zero_window_ns = flow.summary.last.since(flow.summary.first) * 3 / 4;
        assert!(value(&read(&alone(&flow))).expect("a window") > 0.5);
    }
    #[test]
    fn an_open_window_is_not() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 150);
        assert!(value(&read(&alone(&flow))).expect("a window") < 0.5);
    }
    #[test]
    fn without_the_syns_the_scale_is_unknown() {
        let mut flow = paced(At::Server, 100, 40);
        flow.detail.client.syns = 0;
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
