//! The token bucket that explains the losses best, if any does.
//!
//! A policer with rate `r` and burst `s` holds `min(s, level + r * dt)` tokens; a packet passes if its bytes are there and takes them, else it is dropped and
//! takes none. So a pair `(r, s)` says of every transmission whether it had to pass. The search looks for the pair whose sayings agree best with what
//! happened, and weighs that agreement against chance. A tail-drop queue obeys the same law (its free space is the bucket's level), and differs in one thing:
//! it delays by `(s - level) / r`. So the fit also says what delay a queue would have made, and that is compared with the delays that were measured.

use super::ledger::{Delay, Ledger};

/// A token bucket and how well it explains what happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::detect) struct Fit {
    /// Bytes of IP packets per second.
    pub(in crate::detect) rate: f64,
    /// Lower end of the rates that explain the losses about as well.
    pub(in crate::detect) rate_low: f64,
    /// Upper end of them.
    pub(in crate::detect) rate_high: f64,
    /// Bytes that a full bucket holds.
    pub(in crate::detect) burst: f64,
    /// Bytes that passed before the first loss.
    pub(in crate::detect) before_loss: u64,
    /// Losses that follow a pass: each is a fresh test of the bucket.
    pub(in crate::detect) episodes: u32,
    /// Of these, how many met an empty bucket, as a share.
    pub(in crate::detect) explained: f64,
    /// Of the passes, how many met a bucket that had no tokens for them, as a share.
    pub(in crate::detect) contradicted: f64,
    /// Losses.
    pub(in crate::detect) losses: u32,
    /// Transmissions from the first loss on.
    pub(in crate::detect) tested: u32,
    /// Measured delay per delay that a queue of this size and rate would have made; none where such a queue would be too short to see.
    pub(in crate::detect) queueing: Option<f64>,
    /// By how much the packets just before the losses were delayed behind the capture point more than the least delayed tenth, in seconds, as a median.
    pub(in crate::detect) inflation_behind: Option<f64>,
    /// The same before the capture point.
    pub(in crate::detect) inflation_before: Option<f64>,
    /// The delay that a full queue of this size would have made, in seconds.
    pub(in crate::detect) queue_s: f64,
    /// Place in the ledger of the first loss.
    pub(in crate::detect) first_loss: usize,
}

impl Fit {
    /// How much better than chance the bucket tells losses from passes: 1 is always right, 0 is chance (Youden's J).
    pub(in crate::detect) fn agreement(&self) -> f64 {
        self.explained - self.contradicted
    }

    /// How improbable it is that so many losses met an empty bucket by chance, given how many passes did, in nats: the logarithm of the likelihood
    /// ratio of the two shares.
    pub(in crate::detect) fn beyond_chance(&self) -> f64 {
        let (hit, usual) = (
            self.explained.clamp(0.001, 0.999),
            self.contradicted.clamp(0.001, 0.999),
        );
        if hit <= usual {
            return 0.0;
        }
        f64::from(self.episodes)
            * (hit * (hit / usual).ln() + (1.0 - hit) * ((1.0 - hit) / (1.0 - usual)).ln())
    }

    /// How much of the delay that a full queue would have made was there when packets were lost. Above [`QUEUED`] the losses are those of a queue.
    ///
    /// Behind the capture point two signs must agree, the delay at the losses and its course with the level, since a sender's own burst also
    /// delays for a moment; unless one is overwhelming. Before the capture point only the delay at the losses is known.
    pub(in crate::detect) fn queued(&self) -> Option<f64> {
        let behind = self.inflation_behind.map(|inflation| {
            let ratio = if inflation < LEAST_INFLATION {
                0.0
            } else {
                inflation / self.queue_s
            };
            let slope = self.queueing.unwrap_or(0.0);
            let course = if ratio > 0.0 { 0.625 * slope } else { 0.0 };
            ratio.min(2.5 * slope).max(course).max(ratio / 8.0)
        });
        let before = self.inflation_before.map(|inflation| {
            if inflation < LEAST_INFLATION_BEFORE {
                0.0
            } else {
                inflation / self.queue_s
            }
        });
        match (behind, before) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

/// Share of a full queue's delay above which losses are a queue's. On the labelled captures policers have at most 0.1 here, shapers at least 0.33.
pub(in crate::detect) const QUEUED: f64 = 0.25;

/// Delay growth in seconds that is measurable at all.
const LEAST_INFLATION: f64 = 0.003;

/// The same against time stamps, whose clocks tick every 1 to 10 ms.
const LEAST_INFLATION_BEFORE: f64 = 0.012;

/// One transmission as the search sees it: seconds since the first loss, bytes, fate.
#[derive(Clone, Copy)]
struct Step {
    gap: f64,
    bytes: f64,
    lost: bool,
    /// A loss right after a pass.
    fresh: bool,
}

/// Fewest fresh losses that a fit is tried on: with fewer, some bucket explains them by chance.
pub(in crate::detect) const FEWEST_EPISODES: u32 = 4;

/// Logarithm of the likelihood ratio below which luck cannot be excluded: the search tries about two thousand buckets, of which a few dozen differ in what
/// they say (ln 50 is 4), and the losses of one window are not quite independent.
pub(in crate::detect) const LUCK: f64 = 10.0;

/// Transmissions that the coarse search looks at.
const COARSE_STEPS: usize = 3000;

/// How far a packet's time at the limiter may differ from that at the capture point, in seconds; what the bucket gains in it is the tolerance.
const JITTER: f64 = 0.001;

/// Smallest bucket that is tried, in packets: in a smaller one, every second packet would be lost and nothing could be told from chance.
const SMALLEST_BURST: f64 = 2.5;

/// What one run of a bucket over the transmissions gave.
#[derive(Clone, Copy, Default)]
struct Outcome {
    fresh: f64,
    explained: f64,
    passes: f64,
    contradicted: f64,
    /// How far off the violations were, in bytes over the burst: breaks ties.
    excess: f64,
    /// Passed bytes and seconds between losses in which the bucket never overflowed.
    drained: (f64, f64),
}

impl Outcome {
    fn agreement(&self) -> f64 {
        self.explained / self.fresh.max(1.0) - self.contradicted / self.passes.max(1.0)
    }

    /// What the search maximises.
    fn merit(&self) -> f64 {
        self.agreement() - 0.1 * self.excess / self.fresh.max(1.0)
    }
}

fn run(steps: &[Step], rate: f64, burst: f64) -> Outcome {
    let mut outcome = Outcome::default();
    // What is left at the first loss is less than that packet: half of it on average.
    let mut level = steps.first().map_or(0.0, |step| step.bytes / 2.0);
    let mut clipped = true;
    let (mut passed, mut seconds) = (0.0, 0.0);
    for step in steps {
        let grown = level + rate * step.gap;
        if grown > burst {
            clipped = true;
        }
        level = grown.min(burst);
        seconds += step.gap;
        // How sure the bucket is that this packet has to go: 1 far below its size, 0 far above.
        let slack = (rate * JITTER).clamp(0.25 * step.bytes, 0.5 * step.bytes);
        let doomed = ((step.bytes + slack - level) / (2.0 * slack)).clamp(0.0, 1.0);
        if step.lost {
            if step.fresh {
                outcome.fresh += 1.0;
                outcome.explained += doomed;
                outcome.excess += ((level - step.bytes) / burst).clamp(0.0, 1.0);
                if !clipped {
                    outcome.drained.0 += passed;
                    outcome.drained.1 += seconds;
                }
                clipped = false;
                passed = 0.0;
                seconds = 0.0;
            }
            level = level.min(step.bytes);
        } else {
            outcome.passes += 1.0;
            outcome.contradicted += doomed;
            passed += step.bytes;
            level = (level - step.bytes).max(0.0);
        }
    }
    outcome
}

/// Fits a bucket to a record; none where too little was lost.
pub(in crate::detect) fn fit(ledger: &Ledger) -> Option<Fit> {
    let first_loss = ledger.sent.iter().position(|sent| sent.lost)?;
    let before = &ledger.sent[..first_loss];
    let tested = &ledger.sent[first_loss..];
    let last_loss = tested.iter().rposition(|sent| sent.lost)?;
    let span = (tested[last_loss].time - tested[0].time) as f64 / 1e9;
    if span <= 0.0 {
        return None;
    }
    let mut steps = Vec::with_capacity(tested.len());
    let mut last = tested[0].time;
    let mut passed_before = true;
    for sent in tested {
        steps.push(Step {
            gap: (sent.time - last).max(0) as f64 / 1e9,
            bytes: f64::from(sent.bytes),
            lost: sent.lost,
            fresh: sent.lost && passed_before,
        });
        last = sent.time;
        passed_before = !sent.lost;
    }
    let episodes = steps.iter().filter(|step| step.fresh).count() as u32;
    if episodes < FEWEST_EPISODES {
        return None;
    }
    let largest = steps.iter().map(|step| step.bytes).fold(0.0, f64::max);
    let passed: f64 = steps[..=last_loss]
        .iter()
        .filter(|step| !step.lost)
        .map(|step| step.bytes)
        .sum();
    let mean = (passed / span).max(1.0);
    let before_loss: u64 = before.iter().map(|sent| u64::from(sent.bytes)).sum();
    let biggest_burst = (before_loss as f64).max(passed * 0.5).max(4.0 * largest) * 1.2;

    // Coarse, then fine around the best.
    let coarse = &steps[..steps.len().min(COARSE_STEPS)];
    let mut best = (f64::MIN, 0.0, 0.0);
    let mut rate = mean * 0.8;
    while rate < mean * 40.0 {
        let mut burst = SMALLEST_BURST * largest;
        while burst < biggest_burst {
            let merit = run(coarse, rate, burst).merit();
            if merit > best.0 + 1e-9 {
                best = (merit, rate, burst);
            }
            burst *= 1.3;
        }
        rate *= 1.06;
    }
    let (_, coarse_rate, coarse_burst) = best;
    let mut best = (f64::MIN, coarse_rate, coarse_burst);
    let mut tried: Vec<(f64, f64)> = Vec::new();
    for i in -12..=12 {
        let rate = coarse_rate * 1.01_f64.powi(i);
        let mut top = f64::MIN;
        for j in -6..=6 {
            let burst = (coarse_burst * 1.08_f64.powi(j)).max(SMALLEST_BURST * largest);
            let merit = run(&steps, rate, burst).merit();
            top = top.max(merit);
            if merit > best.0 + 1e-9 {
                best = (merit, rate, burst);
            }
        }
        tried.push((rate, top));
    }
    let (merit, mut rate, mut burst) = best;
    let near = |slack: f64| {
        tried
            .iter()
            .filter(|(_, top)| *top >= merit - slack)
            .fold((f64::MAX, f64::MIN), |ends, (rate, _)| {
                (ends.0.min(*rate), ends.1.max(*rate))
            })
    };
    // Several rates explain a few losses equally well: take the middle of them.
    let (equal_low, equal_high) = near(0.02);
    rate = f64::midpoint(equal_low, equal_high).max(rate * 0.9);
    let (mut rate_low, mut rate_high) = near(0.05);
    // Between two losses without an overflow the bucket gave out exactly what it got, but for one packet.
    let outcome = run(&steps, rate, burst);
    if outcome.drained.1 > 0.3 * span {
        let exact = outcome.drained.0 / outcome.drained.1;
        if (rate_low * 0.97..rate_high * 1.03).contains(&exact)
            && run(&steps, exact, burst).merit() >= merit - 0.05
        {
            rate = exact;
        }
    }
    rate_low = rate_low.min(rate * 0.985);
    rate_high = rate_high.max(rate * 1.015);
    // A bucket that was full at the first packet and empty at the first loss is the simplest story; it is taken where it is nearly as good.
    if let Some(full) = full_at_start(ledger, first_loss, rate) {
        let with = run(&steps, rate, full.max(SMALLEST_BURST * largest)).merit();
        if with >= run(&steps, rate, burst).merit() - 0.12 {
            burst = full;
        }
    }
    let outcome = run(&steps, rate, burst.max(SMALLEST_BURST * largest));
    let mut fit = Fit {
        rate,
        rate_low,
        rate_high,
        burst,
        before_loss,
        episodes,
        explained: outcome.explained / outcome.fresh.max(1.0),
        contradicted: outcome.contradicted / outcome.passes.max(1.0),
        losses: ledger.losses() as u32,
        tested: steps.len() as u32,
        queueing: None,
        inflation_behind: at_losses(ledger, &ledger.after),
        inflation_before: at_losses(ledger, &ledger.before),
        queue_s: burst / rate,
        first_loss,
    };
    fit.queueing = queueing(&fit, ledger, &ledger.after);
    Some(fit)
}

/// The burst with which a bucket that is full at the first packet runs empty at the first loss.
fn full_at_start(ledger: &Ledger, first_loss: usize, rate: f64) -> Option<f64> {
    let empty_at_loss = |burst: f64| {
        let mut level = burst;
        let mut last = ledger.sent.first()?.time;
        for sent in &ledger.sent[..=first_loss] {
            level = (level + rate * (sent.time - last) as f64 / 1e9).min(burst);
            last = sent.time;
            if sent.lost {
                return Some(level - f64::from(sent.bytes) / 2.0);
            }
            level -= f64::from(sent.bytes);
        }
        None
    };
    let (mut low, mut high) = (0.0, 1e9);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if empty_at_loss(middle)? < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (high < 9e8).then_some(high)
}

/// Shortest full queue, in seconds, whose delay is looked for.
const SHORTEST_QUEUE: f64 = 0.004;

/// Slope of the measured delay over the delay that a queue with this bucket's law would have made.
fn queueing(fit: &Fit, ledger: &Ledger, delays: &[Delay]) -> Option<f64> {
    if fit.queue_s < SHORTEST_QUEUE || delays.len() < 10 {
        return None;
    }
    let mut pairs = Vec::with_capacity(delays.len());
    let mut delays = delays.iter().peekable();
    let mut level = fit.burst;
    let mut last = ledger.sent.first()?.time;
    for sent in &ledger.sent {
        level = (level + fit.rate * (sent.time - last) as f64 / 1e9).min(fit.burst);
        last = sent.time;
        if sent.lost {
            level = level.min(f64::from(sent.bytes));
        } else {
            level = (level - f64::from(sent.bytes)).max(0.0);
        }
        while let Some(delay) = delays.next_if(|delay| delay.time < sent.time) {
            let _ = delay;
        }
        while let Some(delay) = delays.next_if(|delay| delay.time == sent.time) {
            pairs.push(((fit.burst - level) / fit.rate, delay.delay as f64 / 1e9));
        }
    }
    slope(&pairs)
}

/// Least squares slope of the second over the first; none where the first hardly varies.
fn slope(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 10 {
        return None;
    }
    let count = pairs.len() as f64;
    let mean = pairs
        .iter()
        .fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    let mean = (mean.0 / count, mean.1 / count);
    let (mut across, mut variance) = (0.0, 0.0);
    for pair in pairs {
        across += (pair.0 - mean.0) * (pair.1 - mean.1);
        variance += (pair.0 - mean.0).powi(2);
    }
    (variance / count > 1e-6).then(|| across / variance)
}

/// Delay of the packets just before fresh losses above the least tenth, in seconds, as a median.
fn at_losses(ledger: &Ledger, delays: &[Delay]) -> Option<f64> {
    if delays.len() < 20 {
        return None;
    }
    let mut sorted: Vec<i64> = delays.iter().map(|delay| delay.delay).collect();
    sorted.sort_unstable();
    let least = *sorted.get(sorted.len() / 10)?;
    let mut found = Vec::new();
    let mut passed_before = true;
    for sent in &ledger.sent {
        if sent.lost && passed_before {
            let place = delays.partition_point(|delay| delay.time <= sent.time);
            if let Some(delay) = place.checked_sub(1).and_then(|place| delays.get(place)) {
                found.push((delay.delay - least) as f64 / 1e9);
            }
        }
        passed_before = !sent.lost;
    }
    if found.len() < 3 {
        return None;
    }
    let middle = found.len() / 2;
    found.sort_by(f64::total_cmp);
    found.get(middle).copied()
}
