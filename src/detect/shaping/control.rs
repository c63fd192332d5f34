//! The same client's other traffic in the same minute: what the access line could do.

use std::collections::VecDeque;

use crate::facts::{CaptureFacts, FlowFacts, Summary};
use crate::types::{Direction, Protocol};

use super::ledger::Ledger;
use super::loss;
use super::queue::{self, Queue};

/// A flow of another service, measured for comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::detect) struct Control {
    /// Its index.
    pub(in crate::detect) index: u32,
    /// The most bytes per second that it reached over a fifth of a second.
    pub(in crate::detect) peak: f64,
    /// Payload bytes in the direction.
    pub(in crate::detect) bytes: u64,
    /// Packets with payload.
    pub(in crate::detect) packets: u64,
    /// Of these, how many were lost.
    pub(in crate::detect) lost: u64,
    /// How long its packets waited in a queue, in seconds at the upper quartile; none where that was not measured.
    pub(in crate::detect) wait: Option<f64>,
    /// Bytes per second at which that queue was served.
    pub(in crate::detect) served: f64,
    /// From its first packet to its last, in nanoseconds since the epoch.
    pub(in crate::detect) span: (i64, i64),
    /// The least round trip that it had, in seconds.
    pub(in crate::detect) rtt: Option<f64>,
}

/// All that is known of the surroundings of one limited flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::detect) struct Controls {
    /// Flows of the same client to other services within a minute, in the same direction.
    pub(in crate::detect) flows: Vec<Control>,
    /// By how much more than other flows those waited all their life that lived while the limit was felt, in seconds as a median; none where they did not, or
    /// there were too few.
    pub(in crate::detect) waited: Option<f64>,
}

/// How far apart in time two flows may lie and still be compared, in nanoseconds: the same minute.
const NEAR: i64 = 60_000_000_000;

/// Most controls that are looked at closely.
const CLOSELY: usize = 8;

/// Payload that a control must have moved to count as able to be fast, in bytes. Less can come out of the first windows of any line.
const ENOUGH: u64 = 32 * 1024;

impl Controls {
    /// The controls of `flow`, which went on from `start` to `end` (nanoseconds since the epoch) and waited in the queue `stood`.
    pub(in crate::detect) fn of(
        flow: &FlowFacts,
        direction: Direction,
        (start, end): (i64, i64),
        stood: Option<&Queue>,
        flows: &[FlowFacts],
        around: &CaptureFacts,
    ) -> Self {
        let own = &flow.summary;
        let client = own.key.a.address;
        let of = |index: &u32| around.flows.get(*index as usize);
        let from = around
            .by_client
            .partition_point(|index| of(index).is_some_and(|other| other.key.a.address < client));
        let mut controls: Vec<Control> = around
            .by_client
            .iter()
            .skip(from)
            .map_while(|index| {
                of(index)
                    .filter(|other| other.key.a.address == client)
                    .map(|other| (*index, other))
            })
            .filter(|(_, other)| is_other(own, other))
            .filter(|(_, other)| {
                other.last.0 >= start.saturating_sub(NEAR)
                    && other.first.0 <= end.saturating_add(NEAR)
            })
            .filter(|(_, other)| other.answered() && other.tally(direction).data_packets > 0)
            .map(|(index, other)| plain(index, other, direction, flows))
            .collect();
        controls.sort_by_key(|control| (std::cmp::Reverse(control.bytes), control.index));
        controls.truncate(256);
        for control in controls.iter_mut().take(CLOSELY) {
            if control.bytes < ENOUGH {
                continue;
            }
            let Ok(place) = flows.binary_search_by_key(&control.index, |flow| flow.index) else {
                continue;
            };
            let Some(facts) = flows.get(place) else {
                continue;
            };
            let ledger = Ledger::of(facts, direction);
            // An acknowledgement that waited for a hole to be filled covers at once what came over a long time; then what was sent and passed is the bound.
            let reached = ledger.as_ref().map_or(f64::MAX, passed_peak);
            control.peak = control.peak.max(peak(facts, direction).min(reached));
            if let Some(ledger) = ledger {
                let queue = queue::queue(&ledger);
                control.wait = Some(queue.map_or(0.0, |queue| queue.wait));
                control.served = queue.map_or(0.0, |queue| queue.rate);
            }
        }
        let waited = stood.and_then(|stood| waited(&controls, own, stood, end));
        if let (Some(_), Some(stood)) = (waited, stood) {
            // the line itself was slow then: what was fast before or after says nothing
            controls.retain(|control| control.span.0 <= end && control.span.1 >= stood.onset);
        }
        Self {
            flows: controls,
            waited,
        }
    }

    /// The fastest of those that moved at least `bytes`.
    pub(in crate::detect) fn fastest(&self, bytes: u64) -> Option<&Control> {
        self.flows
            .iter()
            .filter(|control| control.bytes >= bytes.max(ENOUGH))
            .max_by(|a, b| a.peak.total_cmp(&b.peak))
    }

    /// Packets with payload and how many of them were lost, over all controls.
    pub(in crate::detect) fn losses(&self) -> (u64, u64) {
        self.flows.iter().fold((0, 0), |sum, control| {
            (sum.0 + control.packets, sum.1 + control.lost)
        })
    }
}

/// By how much the controls that lived while `stood` stood had longer round trips than the flows before and after, as a median in seconds.
///
/// A flow that finds the queue when it opens and leaves it standing knows nothing of a shorter path, so only others tell. Servers lie at different distances;
/// nearly all of those that chance puts at that time do not lie a tenth of a second, and twice as far, behind the others.
fn waited(controls: &[Control], own: &Summary, stood: &Queue, end: i64) -> Option<f64> {
    /// Least difference, in seconds, and times.
    const FARTHER: (f64, f64) = (0.1, 2.0);
    let is_inside = |control: &&Control| {
        control.span.0 >= stood.onset && control.span.1 <= end.saturating_add(WINDOW)
    };
    let trips = |inside: bool| -> Vec<f64> {
        (controls.iter())
            .filter(|control| is_inside(control) == inside)
            .filter_map(|control| control.rtt)
            .collect()
    };
    let mut usual = trips(false);
    usual.extend(own.rtt_ms().map(|rtt| f64::from(rtt) / 1e3));
    usual.sort_by(f64::total_cmp);
    let usual = usual.get(usual.len() / 2).copied()?;
    let inside = trips(true);
    let mut longer: Vec<f64> = (inside.iter())
        .filter(|rtt| **rtt >= FARTHER.1 * usual)
        .map(|rtt| rtt - usual)
        .filter(|more| *more >= f64::max(FARTHER.0, stood.wait / 2.0))
        .collect();
    longer.sort_by(f64::total_cmp);
    (longer.len() >= 2 && 3 * longer.len() >= 2 * inside.len())
        .then(|| longer.get(longer.len() / 2).copied())
        .flatten()
}

/// Whether the other flow belongs to something else, so that a limit on this service would not touch it.
fn is_other(own: &Summary, other: &Summary) -> bool {
    if own.service == 0 || other.service == 0 {
        own.service != other.service || own.key.b.address != other.key.b.address
    } else {
        own.service != other.service
    }
}

fn plain(index: u32, other: &Summary, direction: Direction, flows: &[FlowFacts]) -> Control {
    let (packets, lost) = loss::count(index, other, direction, flows);
    let tally = other.tally(direction);
    let seconds = other.last.seconds_since(other.first).max(0.05);
    Control {
        index,
        peak: tally.bytes as f64 / seconds,
        bytes: tally.bytes,
        packets,
        lost,
        wait: None,
        served: 0.0,
        span: (other.first.0, other.last.0),
        rtt: other.rtt_ms().map(|rtt| f64::from(rtt) / 1e3),
    }
}

/// Over how long the peak of a control is taken, in nanoseconds.
const WINDOW: i64 = 200_000_000;

/// The most payload per second that was sent and not lost, over a fifth of a second.
fn passed_peak(ledger: &Ledger) -> f64 {
    let mut recent: VecDeque<(i64, u64)> = VecDeque::new();
    let (mut sum, mut most) = (0_u64, 0_u64);
    for sent in ledger.sent.iter().filter(|sent| !sent.lost) {
        recent.push_back((sent.time, u64::from(sent.payload)));
        sum += u64::from(sent.payload);
        while let Some((then, gone)) = recent.front().copied()
            && sent.time - then > WINDOW
        {
            recent.pop_front();
            sum -= gone;
        }
        most = most.max(sum);
    }
    most as f64 / (WINDOW as f64 / 1e9)
}

/// The most bytes per second that were acknowledged over a fifth of a second, so that what a sender pushes into a full queue does not count; over one bin of
/// the timeline where nothing was acknowledged (QUIC).
pub(in crate::detect) fn peak(flow: &FlowFacts, direction: Direction) -> f64 {
    let Some(transfer) = flow.detail.transfer.as_deref() else {
        return 0.0;
    };
    let up = direction == Direction::Up;
    let mut recent: VecDeque<(i64, u32)> = VecDeque::new();
    let mut acked: Option<u32> = None;
    let mut most = 0_u32;
    let datagrams = flow.summary.key.protocol == Protocol::Udp;
    for event in &transfer.events {
        let now = event.time.0;
        let count = if datagrams {
            if event.up == up { event.payload } else { 0 }
        } else if event.up != up {
            let grown = acked.map_or(0, |before| event.ack.wrapping_sub(before).cast_signed());
            if acked.is_none() || grown > 0 {
                acked = Some(event.ack);
            }
            // A first acknowledgement in the middle of a flow covers what nobody saw.
            grown.clamp(0, 1 << 20) as u32
        } else {
            0
        };
        if count == 0 {
            continue;
        }
        recent.push_back((now, count));
        while recent.front().is_some_and(|(then, _)| now - then > WINDOW) {
            recent.pop_front();
        }
        // The first of the window's acknowledgements covers what came before the window.
        let skip = u32::from(!datagrams) as usize;
        most = most.max(recent.iter().skip(skip).map(|(_, count)| count).sum());
    }
    f64::from(most) / (WINDOW as f64 / 1e9)
}
