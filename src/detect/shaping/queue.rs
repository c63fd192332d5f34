//! The queue in front of a limit: how long it stood, and how fast it was served.
//!
//! While packets wait, a first-in-first-out queue is served at its rate whatever the sender does, so bytes over time between two packets that both waited is
//! that rate exactly. The wait shows as the growth of the delay over the least that was seen: acknowledgement delay for a queue behind the capture point,
//! arrival time against the sender's time stamps for one before it.

use super::ledger::{Delay, Ledger};

/// A queue that packets waited in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::detect) struct Queue {
    /// The wait of the packet at the upper quartile, in seconds.
    pub(in crate::detect) wait: f64,
    /// Share of the passed bytes that left the queue while it stood.
    pub(in crate::detect) share: f64,
    /// Bytes of IP packets per second at which it was served.
    pub(in crate::detect) rate: f64,
    /// Lower quartile of that over stretches of at least [`STRETCH_S`].
    pub(in crate::detect) rate_low: f64,
    /// Upper quartile.
    pub(in crate::detect) rate_high: f64,
    /// Half the distance of the quartiles over the median: how unsteady the service was. None with fewer than four stretches.
    pub(in crate::detect) unsteadiness: Option<f64>,
    /// Seconds during which it stood.
    pub(in crate::detect) seconds: f64,
    /// Bytes that passed before it first stood.
    pub(in crate::detect) onset_bytes: u64,
    /// When it first stood, in nanoseconds since the epoch.
    pub(in crate::detect) onset: i64,
}

/// Least growth of the delay that counts as waiting, in seconds: above the jitter of ordinary paths and the ticks of common time stamp clocks.
const WAITING: f64 = 0.010;

/// Seconds of a stretch over which the service rate is taken.
const STRETCH_S: f64 = 0.4;

/// Fewest packets of a stretch: with fewer, one packet more or less is a tenth of the rate.
const STRETCH_PACKETS: usize = 8;

/// Longest time between two samples of one standing queue, in seconds: longer, and it may have run empty between them (a retransmission timeout).
const LONGEST_GAP: f64 = 0.9;

/// The queue that the delays of a record show, on the side of the capture point where it is longer; none where nothing waited.
pub(in crate::detect) fn queue(ledger: &Ledger) -> Option<Queue> {
    let behind = stand(ledger, &ledger.after, true);
    let before = stand(ledger, &ledger.before, false);
    match (behind, before) {
        (Some(a), Some(b)) if a.wait * a.share >= b.wait * b.share => Some(a),
        (a, b) => b.or(a),
    }
}

#[allow(
    clippy::too_many_lines,
    reason = "one search, each step of which needs what the steps before it found"
)]
fn stand(ledger: &Ledger, delays: &[Delay], behind: bool) -> Option<Queue> {
    if delays.len() < 2 * STRETCH_PACKETS {
        return None;
    }
    let mut sorted: Vec<i64> = delays.iter().map(|delay| delay.delay).collect();
    sorted.sort_unstable();
    let least = *sorted.get(1)?;
    let at = |share: f64| {
        let place = (sorted.len() as f64 * share) as usize;
        sorted
            .get(place.min(sorted.len() - 1))
            .map_or(0.0, |delay| (delay - least) as f64 / 1e9)
    };
    let wait = at(0.75);
    let waiting = WAITING.max(0.15 * at(0.9));
    let passed: Vec<(i64, u64)> = ledger
        .sent
        .iter()
        .filter(|sent| !sent.lost)
        .scan(0_u64, |sum, sent| {
            *sum += u64::from(sent.bytes);
            Some((sent.time, *sum))
        })
        .collect();
    let total = passed.last()?.1;
    let until = |time: i64| {
        let place = passed.partition_point(|(when, _)| *when <= time);
        place
            .checked_sub(1)
            .and_then(|place| passed.get(place))
            .map_or(0, |(_, sum)| *sum)
    };
    // Samples: when the packet left the queue (but for a constant), bytes up to it, whether it waited.
    let samples: Vec<(f64, u64, bool, i64)> = delays
        .iter()
        .map(|delay| {
            let left = if behind {
                delay.time + delay.delay
            } else {
                delay.time
            };
            (
                left as f64 / 1e9,
                until(delay.time),
                (delay.delay - least) as f64 / 1e9 > waiting,
                delay.time,
            )
        })
        .collect();
    let mut rates = Vec::new();
    let (mut bytes, mut seconds) = (0_u64, 0.0);
    let mut onset = None;
    let mut stretch: Option<(f64, u64, usize)> = None;
    for pair in samples.windows(2) {
        let [
            (left_a, sum_a, waited_a, time),
            (left_b, sum_b, waited_b, _),
        ] = *pair
        else {
            continue;
        };
        let gap = left_b - left_a;
        if !(waited_a && waited_b) || gap > LONGEST_GAP {
            stretch = None;
            continue;
        }
        onset.get_or_insert((sum_a, time));
        bytes += sum_b.saturating_sub(sum_a);
        seconds += gap.max(0.0);
        let (start, from, count) = *stretch.get_or_insert((left_a, sum_a, 0));
        let count = count + 1;
        stretch = Some((start, from, count));
        if left_b - start >= STRETCH_S && count >= STRETCH_PACKETS {
            rates.push(sum_b.saturating_sub(from) as f64 / (left_b - start));
            stretch = None;
        }
    }
    if seconds <= 0.0 || bytes == 0 {
        return None;
    }
    rates.sort_by(f64::total_cmp);
    let rate = bytes as f64 / seconds;
    let quartile = |n: usize| rates.get(rates.len() * n / 4).copied();
    let unsteadiness = (rates.len() >= 4).then(|| {
        let (low, middle, high) = (
            quartile(1).unwrap_or(rate),
            quartile(2).unwrap_or(rate),
            quartile(3).unwrap_or(rate),
        );
        (high - low) / (2.0 * middle)
    });
    let (onset_bytes, onset) = onset?;
    Some(Queue {
        wait,
        share: bytes as f64 / total.max(1) as f64,
        rate,
        rate_low: quartile(1).unwrap_or(rate * 0.9).min(rate * 0.985),
        rate_high: quartile(3).unwrap_or(rate * 1.1).max(rate * 1.015),
        unsteadiness,
        seconds,
        onset_bytes,
        onset,
    })
}
