//! How much comes in a run that goes on: rates, and the course of the last minute.

use std::collections::{BTreeMap, HashMap};

use dpiscope::facts::Flows;
use dpiscope::types::Timestamp;

use super::traffic::{BINS, Rows, Traffic, spread, sums};

/// A bin of a run that goes on, in nanoseconds: the course is that of the last minute.
const SECOND: i64 = 1_000_000_000;

/// Bins that a rate is the mean of: long enough to bridge the gaps between two looks at a long flow.
const RATE: usize = 5;

/// Follows the traffic of a run that goes on.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// What was seen of each flow that is held: payload, packets, and its last packet.
    seen: HashMap<u64, (f64, f64, i64), foldhash::fast::RandomState>,
    rows: BTreeMap<u16, Row>,
    /// End of the newest bin.
    end: i64,
}

/// One service's last minute.
#[derive(Debug)]
struct Row {
    bytes: f64,
    packets: f64,
    byte_bins: Vec<f64>,
    packet_bins: Vec<f64>,
}

impl Meter {
    /// Takes the flows that are held at `now`, with their numbers. What a flow has grown by came since its last packet of before.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        flows: &Flows,
        ids: &[u64],
        row_of: &dyn Fn(u16) -> u16,
    ) {
        self.reach(now.0);
        let window = (self.end - SECOND * BINS as i64, self.end);
        let mut seen =
            HashMap::with_capacity_and_hasher(flows.len(), foldhash::fast::RandomState::default());
        for (summary, id) in flows.iter().zip(ids) {
            let (bytes, packets) = sums(summary);
            let (first, last) = (summary.first.0, summary.last.0);
            let before = self.seen.get(id).copied().unwrap_or((0.0, 0.0, first));
            let grown = ((bytes - before.0).max(0.0), (packets - before.1).max(0.0));
            seen.insert(*id, (bytes, packets, last));
            if grown.1 > 0.0 {
                let row = self.rows.entry(row_of(summary.service)).or_default();
                (row.bytes, row.packets) = (row.bytes + grown.0, row.packets + grown.1);
                spread(&mut row.byte_bins, window, (before.2, last), grown.0);
                spread(&mut row.packet_bins, window, (before.2, last), grown.1);
            }
        }
        self.seen = seen;
    }

    /// What to show.
    pub(super) fn rows(&self) -> Rows {
        let rate = |bins: &[f64]| bins.iter().rev().take(RATE).sum::<f64>() / RATE as f64;
        (self.rows.iter())
            .map(|(service, row)| {
                let traffic = Traffic {
                    bytes: row.bytes,
                    packets: row.packets,
                    bits_s: rate(&row.byte_bins) * 8.0,
                    packets_s: rate(&row.packet_bins),
                    course: row.byte_bins.clone(),
                };
                (*service, traffic)
            })
            .collect()
    }

    /// Moves the bins on until the newest ends at `now`.
    fn reach(&mut self, now: i64) {
        if self.end == 0 {
            self.end = now;
        }
        let steps = (now.saturating_sub(self.end) / SECOND).max(0);
        self.end = self.end.saturating_add(steps.saturating_mul(SECOND));
        let gone = usize::try_from(steps).map_or(BINS, |steps| steps.min(BINS));
        for row in self.rows.values_mut() {
            for bins in [&mut row.byte_bins, &mut row.packet_bins] {
                bins.drain(..gone);
                bins.resize(BINS, 0.0);
            }
        }
    }
}

impl Default for Row {
    fn default() -> Self {
        Self {
            bytes: 0.0,
            packets: 0.0,
            byte_bins: vec![0.0; BINS],
            packet_bins: vec![0.0; BINS],
        }
    }
}

#[cfg(test)]
mod tests {
    use dpiscope::facts::Summary;

    use super::*;
    use crate::cli::tui::testing::flow;

    #[test]
    fn what_a_flow_has_grown_by_came_since_its_last_packet_of_before() {
        let mut meter = Meter::default();
        let mut look = |now: i64, flow: Summary, ids: &[u64]| {
            let flows = Flows::from_iter([flow]);
            meter.take(Timestamp(now * SECOND), &flows, ids, &|service| service);
            meter.rows()
        };
        look(100, flow(1, 90, 100, 1_000), &[7]);
        let rows = look(110, flow(1, 90, 110, 2_000), &[7]);
        let row = &rows[&1];
        assert!((row.bytes - 2_000.0).abs() < 1e-6);
        assert!((row.bits_s - 800.0).abs() < 1e-6, "{}", row.bits_s);
        assert!((row.packets_s - 1.0).abs() < 1e-6);
        let newest: f64 = row.course.iter().rev().take(20).sum();
        assert!((newest - 2_000.0).abs() < 1e-6, "{:?}", row.course);
        // a minute later nothing is left but the sum
        let rows = look(180, flow(1, 90, 110, 2_000), &[7]);
        assert!(rows[&1].course.iter().all(|bin| *bin < 1e-9));
        assert!((rows[&1].bytes - 2_000.0).abs() < 1e-6);
    }
}
