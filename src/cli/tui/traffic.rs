//! How much came, service by service: sums, rates, and a course to be drawn.

use std::collections::BTreeMap;

use dpiscope::facts::{CaptureFacts, FlowFacts, Summary};

/// Bins of a course.
pub(super) const BINS: usize = 60;

/// What came of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    /// Transport payload in bytes, and packets, in all.
    pub(super) bytes: f64,
    pub(super) packets: f64,
    /// Payload in bits a second and packets a second, lately.
    pub(super) bits_s: f64,
    pub(super) packets_s: f64,
    /// Payload in bytes over time, oldest first.
    pub(super) course: Vec<f64>,
}

/// What is drawn of every row of the table of services.
pub(super) type Rows = BTreeMap<u16, Traffic>;

/// The traffic of a file: its course is that of the whole capture.
///
/// A long flow's bytes lie where its course has them, those of others evenly between its first packet and its last.
pub(super) fn of_file(
    around: &CaptureFacts,
    flows: &[FlowFacts],
    row_of: &dyn Fn(u16) -> u16,
) -> Rows {
    let mut rows = Rows::new();
    let (from, to) = (around.first.0, around.last.0.max(around.first.0 + 1));
    let mut courses = flows.iter().peekable();
    for (index, summary) in (0_u32..).zip(around.flows.iter()) {
        while courses.next_if(|flow| flow.index < index).is_some() {}
        let detail = courses.next_if(|flow| flow.index == index);
        let row = rows.entry(row_of(summary.service)).or_insert_with(empty);
        let (bytes, packets) = sums(summary);
        (row.bytes, row.packets) = (row.bytes + bytes, row.packets + packets);
        let course = detail.and_then(|flow| flow.detail.transfer.as_deref());
        let lines = course.map(|transfer| &transfer.timelines);
        let in_lines: u64 = (lines.into_iter().flatten())
            .flat_map(|line| &line.bins)
            .map(|bin| bin.ip_bytes)
            .sum();
        if in_lines == 0 {
            let (first, last) = (summary.first.0, summary.last.0);
            spread(&mut row.course, (from, to), (first, last), bytes);
            continue;
        }
        for line in lines.into_iter().flatten() {
            for (place, bin) in (0..).zip(&line.bins) {
                let start = line
                    .start
                    .0
                    .saturating_add(line.width.saturating_mul(place));
                let span = (start, start.saturating_add(line.width));
                let share = bytes * bin.ip_bytes as f64 / in_lines as f64;
                spread(&mut row.course, (from, to), span, share);
            }
        }
    }
    let seconds = (to - from) as f64 / 1e9;
    for row in rows.values_mut() {
        (row.bits_s, row.packets_s) = (row.bytes * 8.0 / seconds, row.packets / seconds);
    }
    rows
}

fn empty() -> Traffic {
    Traffic {
        course: vec![0.0; BINS],
        ..Traffic::default()
    }
}

/// Payload and packets of a flow, both ways.
pub(super) fn sums(flow: &Summary) -> (f64, f64) {
    let bytes = flow.up.bytes + flow.down.bytes;
    let packets = u64::from(flow.up.packets) + u64::from(flow.down.packets);
    (bytes as f64, packets as f64)
}

/// Adds `amount`, which came evenly over `span`, to the bins that share `window`; what lies before the window is left out, what lies behind it is in the
/// last bin.
pub(super) fn spread(bins: &mut [f64], window: (i64, i64), span: (i64, i64), amount: f64) {
    let width = (window.1.saturating_sub(window.0) as f64 / bins.len().max(1) as f64).max(1.0);
    let place = |time: i64| time.saturating_sub(window.0) as f64 / width;
    let (from, to) = (place(span.0), place(span.1));
    let most = bins.len() as f64;
    if to < 0.0 {
        return;
    }
    let last = (to.min(most - 1.0)).floor();
    if to - from < 1e-9 || from >= most - 1.0 {
        if let Some(bin) = bins.get_mut(last as usize) {
            *bin += amount;
        }
        return;
    }
    let each = amount / (to - from);
    for place in from.max(0.0).floor() as usize..=last as usize {
        let (left, right) = (place as f64, place as f64 + 1.0);
        let right = if right >= most { to.max(right) } else { right };
        if let Some(bin) = bins.get_mut(place) {
            *bin += each * (to.min(right) - from.max(left)).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use dpiscope::types::Timestamp;

    use super::*;
    use crate::cli::tui::testing::{SECOND, flow};

    #[test]
    fn a_file_shows_its_flows_where_they_lie_and_loses_no_byte() {
        let around = CaptureFacts {
            first: Timestamp(0),
            last: Timestamp(60 * SECOND),
            flows: dpiscope::facts::Flows::from_iter([
                flow(1, 0, 60, 6_000),
                flow(1, 59, 60, 500),
                flow(2, 3, 3, 9),
            ]),
            ..CaptureFacts::default()
        };
        let rows = of_file(&around, &[], &|service| service);
        let sum: f64 = rows[&1].course.iter().sum();
        assert!((sum - 6_500.0).abs() < 1e-6, "{sum}");
        assert!((rows[&1].course[0] - 100.0).abs() < 1e-6);
        assert!((rows[&1].course[59] - 600.0).abs() < 1e-6);
        assert!((rows[&2].course[3] - 9.0).abs() < 1e-6);
        assert!((rows[&1].bits_s - 6_500.0 * 8.0 / 60.0).abs() < 1e-6);
    }

    #[test]
    fn times_that_make_no_sense_are_borne() {
        for span in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (5, 5)] {
            for window in [(0, 0), (i64::MIN, i64::MAX), (10, 0)] {
                let mut bins = vec![0.0; BINS];
                spread(&mut bins, window, span, 1.0);
                assert!(bins.iter().all(|bin| bin.is_finite() && *bin <= 1.0 + 1e-9));
            }
        }
    }
}
