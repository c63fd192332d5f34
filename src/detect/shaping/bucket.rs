//! The token bucket that explains the losses best, if any does.
//!
//! A policer with rate `r` and burst `s` holds `min(s, level + r * dt)` tokens; a packet passes if its bytes are there and takes them, else it is dropped and
//! takes none. So a pair `(r, s)` says of every transmission whether it had to pass. The search looks for the pair whose sayings agree best with what
//! happened, and weighs that agreement against chance. A tail-drop queue obeys the same law (its free space is the bucket's level), and differs in one thing:
//! it delays by `(s - level) / r`. So the fit also says what delay a queue would have made, and that is compared with the delays that were measured.

use super::ledger::{Delay, Ledger, Sent};

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
    /// Share of the arrivals since the first loss that were spaced as a queue of this rate spaces them, where the losses lie before the capture point.
    pub(in crate::detect) evenness: Option<f64>,
    /// The delay that a full queue would have made, in seconds, if it were as short as the losses allow.
    pub(in crate::detect) queue_s: f64,
    /// What passed from the first loss to the last, over what the bucket would have let pass in that time.
    pub(in crate::detect) used: f64,
    /// Place in the ledger of the first loss.
    pub(in crate::detect) first_loss: usize,
}

impl Fit {
    /// How much better than chance the bucket tells losses from passes: 1 is always right, 0 or less is chance.
    ///
    /// Youden's J with the contradicted passes counted thrice: a policer may lose a packet that the capture's clock says it had tokens for, but an empty one
    /// passes nothing. On the labelled captures it is 0.65 or more behind policers.
    pub(in crate::detect) fn agreement(&self) -> f64 {
        self.explained - 3.0 * self.contradicted
    }

    /// Agreement and half of the share of the bucket's rate that was used: a sender that loses to a policer has more to send than the bucket refills, so that
    /// about all of it is used. A bucket that fits random loss by chance is either too fast for the sender or disagrees with the passes.
    ///
    /// On three lab sets of 650 captures each it is 1.1 or more behind policers, and below behind random loss with 8 losses or more.
    pub(in crate::detect) fn grip(&self) -> f64 {
        let agreement = self.agreement();
        // A bucket so small that its sender falls silent after every loss is hardly used, and still says of every packet what became of it.
        let used = if agreement >= 0.95 && self.episodes >= 8 {
            1.0
        } else {
            self.used
        };
        agreement + 0.5 * used.min(1.0)
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
    ///
    /// Where neither is known, evenly spaced arrivals tell: a queue lets packets out one by one at its rate, whatever is lost at its other end.
    pub(in crate::detect) fn queued(&self) -> Option<f64> {
        if self.inflation_before.is_none()
            && let Some(evenness) = self.evenness
        {
            return Some(if evenness >= EVEN { evenness } else { 0.0 });
        }
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

/// Share of evenly spaced arrivals from which on they left a queue.
pub(in crate::detect) const EVEN: f64 = 0.7;

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
    /// Seconds by which it may have been later.
    leeway: f64,
}

impl Step {
    fn of(sent: &Sent, gap: f64, passed_before: bool) -> Self {
        Self {
            gap,
            bytes: f64::from(sent.bytes),
            lost: sent.lost,
            fresh: sent.lost && passed_before,
            leeway: (sent.latest - sent.time).max(0) as f64 / 1e9,
        }
    }
}

/// Fewest fresh losses that a fit is tried on: with fewer, some bucket explains them by chance.
pub(in crate::detect) const FEWEST_EPISODES: u32 = 4;

/// [`Fit::grip`] from which on the bucket is taken to hold the sender.
pub(in crate::detect) const GRIP: f64 = 1.1;

/// Logarithm of the likelihood ratio below which luck cannot be excluded: the search tries about two thousand buckets (ln 2000 is 7.6), and one chance in two
/// hundred that any of them fits is left (ln 200 is 5.3).
pub(in crate::detect) const LUCK: f64 = 13.0;

/// Transmissions that the coarse search looks at.
const COARSE_STEPS: usize = 3000;

/// How far a packet's time at the limiter may differ from that at the capture point, in seconds; what the bucket gains in it is the tolerance.
const JITTER: f64 = 0.001;

/// Smallest bucket that is tried, in packets: in a smaller one, every second packet would be lost and nothing could be told from chance.
const SMALLEST_BURST: f64 = 3.0;

/// Shortest time in seconds in which a bucket may fill: a smaller one would drop every second packet of any sender.
const SHORTEST_BURST: f64 = 0.003;

/// Seconds of its rate, and bytes, above both of which a bucket is not believed to have been full at the first packet, if the losses do not show its size:
/// vendors advise 1.5 s for a policer's burst, and its first use would have to be this transfer.
const LONGEST_BURST: (f64, f64) = (2.0, 32_768.0);

/// Difference of merit within which two buckets explain the losses alike.
const SAME: f64 = 0.02;

/// Size of a bucket over the most that it was seen to hold, where it never overflowed: TCP meets its end each time, halves, and fills about half of it again.
/// Over 16 delayed throttles of four lab seeds the share held was 0.31 to 0.63, 0.47 in the middle.
const UNSEEN_HALF: f64 = 2.0;

/// Packets that TCP sends before it hears anything (RFC 6928): a smaller bucket would break every connection, so that nobody sets one up.
const FIRST_WINDOW: f64 = 10.0;

/// Bytes of a bucket that never overflows.
const ENDLESS: f64 = 1e12;

/// The best bucket so far.
#[derive(Clone, Copy)]
struct Candidate {
    merit: f64,
    rate: f64,
    burst: f64,
}

impl Default for Candidate {
    fn default() -> Self {
        Self {
            merit: f64::MIN,
            rate: 1.0,
            burst: 1.0,
        }
    }
}

impl Candidate {
    /// Tries a bucket; keeps it if it is better. Gives its merit.
    fn improve(&mut self, steps: &[Step], rate: f64, burst: f64) -> f64 {
        let merit = run(steps, rate, burst).merit();
        if merit > self.merit + 1e-9 {
            *self = Self { merit, rate, burst };
        }
        merit
    }
}

/// What one run of a bucket over the transmissions gave.
#[derive(Clone, Copy, Default)]
struct Outcome {
    fresh: f64,
    explained: f64,
    passes: f64,
    contradicted: f64,
    /// How far off the violations were, in bytes over the burst: breaks ties.
    excess: f64,
    /// Fresh losses since the loss before which the bucket never overflowed: those test the rate to the byte.
    unclipped: f64,
    /// Passed bytes and seconds between losses in which the bucket never overflowed.
    drained: (f64, f64),
}

impl Outcome {
    fn agreement(&self) -> f64 {
        self.explained / self.fresh.max(1.0) - self.contradicted / self.passes.max(1.0)
    }

    /// The agreement as [`Fit::agreement`] counts it.
    fn strict(&self) -> f64 {
        self.explained / self.fresh.max(1.0) - 3.0 * self.contradicted / self.passes.max(1.0)
    }

    /// What the search maximises. Of two buckets that agree alike, the one that never overflowed said more and was right.
    fn merit(&self) -> f64 {
        self.agreement() + (0.05 * self.unclipped - 0.1 * self.excess) / self.fresh.max(1.0)
    }
}

/// A loss whose moment is known only as an interval, not yet met by an empty bucket.
struct Pending {
    /// Seconds left until the latest possible moment.
    left: f64,
    bytes: f64,
    slack: f64,
    /// The least by which the bucket exceeded the packet so far.
    over: f64,
}

/// A bucket on its way through the transmissions.
struct Walk {
    rate: f64,
    burst: f64,
    level: f64,
    /// Whether it overflowed since the last fresh loss, and what passed in how many seconds.
    clipped: bool,
    passed: f64,
    seconds: f64,
    pending: Option<Pending>,
    outcome: Outcome,
}

impl Walk {
    fn new(rate: f64, burst: f64, level: f64) -> Self {
        Self {
            rate,
            burst,
            level,
            clipped: true,
            passed: 0.0,
            seconds: 0.0,
            pending: None,
            outcome: Outcome::default(),
        }
    }

    /// Meets a transmission, to which it was refilled.
    fn take(&mut self, step: &Step) {
        // How far the bucket may be off: by what it gains in the jitter, to the packet's favour either way.
        let slack = (self.rate * JITTER).clamp(0.25 * step.bytes, 0.5 * step.bytes);
        if step.lost {
            self.lose(step, slack);
        } else {
            self.pass(step, slack);
        }
    }

    fn refill(&mut self, seconds: f64) {
        let grown = self.level + self.rate * seconds;
        self.clipped |= grown > self.burst;
        self.level = grown.min(self.burst);
        self.seconds += seconds;
        if let Some(pending) = &mut self.pending {
            pending.left -= seconds;
            if pending.left < 0.0 {
                self.settle();
            }
        }
    }

    /// A fresh loss met a bucket that exceeded the packet by `over`.
    fn met(&mut self, over: f64, slack: f64) {
        self.outcome.explained += ((slack - over) / slack).clamp(0.0, 1.0);
        self.outcome.excess += (over / self.burst).clamp(0.0, 1.0);
        // The bucket had less than the packet, whatever this one says.
        self.level -= over.max(0.0);
        if !self.clipped {
            self.outcome.unclipped += 1.0;
            self.outcome.drained.0 += self.passed;
            self.outcome.drained.1 += self.seconds;
        }
        self.clipped = false;
        self.passed = 0.0;
        self.seconds = 0.0;
    }

    /// The moment of the pending loss has passed.
    fn settle(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.met(pending.over, pending.slack);
        }
    }

    fn lose(&mut self, step: &Step, slack: f64) {
        if !step.fresh {
            if self.pending.is_none() {
                self.level = self.level.min(step.bytes);
            }
            return;
        }
        self.settle();
        self.outcome.fresh += 1.0;
        let over = self.level - step.bytes;
        if over > 0.0 && step.leeway > 0.0 {
            self.pending = Some(Pending {
                left: step.leeway,
                bytes: step.bytes,
                slack,
                over,
            });
        } else {
            self.met(over, slack);
        }
    }

    fn pass(&mut self, step: &Step, slack: f64) {
        self.outcome.passes += 1.0;
        self.outcome.contradicted += ((step.bytes - self.level) / slack).clamp(0.0, 1.0);
        self.passed += step.bytes;
        self.level = (self.level - step.bytes).max(0.0);
        if let Some(pending) = &mut self.pending {
            pending.over = pending.over.min(self.level - pending.bytes);
            if pending.over <= 0.0 {
                self.settle();
            }
        }
    }
}

fn run(steps: &[Step], rate: f64, burst: f64) -> Outcome {
    // What is left at the first loss is less than that packet: half of it on average.
    let mut walk = Walk::new(
        rate,
        burst,
        steps.first().map_or(0.0, |step| step.bytes / 2.0),
    );
    for step in steps {
        walk.refill(step.gap);
        walk.take(step);
    }
    walk.settle();
    walk.outcome
}

/// Fits a bucket to a record; none where too little was lost.
pub(in crate::detect) fn fit(ledger: &Ledger) -> Option<Fit> {
    let first_loss = ledger.sent.iter().position(|sent| sent.lost)?;
    let fit = fit_from(ledger, first_loss)?;
    Some(
        began_later(ledger, &fit)
            .and_then(|later| fit_from(ledger, later))
            .filter(|later| later.agreement() > fit.agreement())
            .unwrap_or(fit),
    )
}

/// Most losses that may precede a limit which began later: path loss, two of which the published detector leaves out too (docs/detection.md, C2: cutoff).
const STRAY_LOSSES: usize = 3;

/// The loss from which on a bucket holds the flow, where those before it were the path's: much more passed between two of the first losses than between later
/// ones, against the word of a bucket that was empty at the first.
fn began_later(ledger: &Ledger, fit: &Fit) -> Option<usize> {
    /// Least contradicted share that is worth a second search, least packets of such a stretch, and how many times the usual stretch.
    const WORTH: f64 = 0.02;
    const STRETCH: (u32, f64) = (16, 3.0);
    if fit.contradicted < WORTH {
        return None;
    }
    let tested = ledger.sent.get(fit.first_loss..)?;
    let mut stretches: Vec<(u32, usize)> = Vec::new();
    let mut passes = 0;
    for (place, sent) in tested.iter().enumerate() {
        if !sent.lost {
            passes += 1;
        } else if passes > 0 {
            stretches.push((passes, fit.first_loss + place));
            passes = 0;
        }
    }
    let (passed, place) = *stretches.iter().take(STRAY_LOSSES).max()?;
    let all: u32 = stretches.iter().map(|(passes, _)| *passes).sum();
    let usual = f64::from(all - passed) / (stretches.len() - 1).max(1) as f64;
    (passed >= STRETCH.0 && f64::from(passed) >= STRETCH.1 * usual).then_some(place)
}

#[allow(
    clippy::too_many_lines,
    reason = "one search, each step of which needs what the steps before it found"
)]
fn fit_from(ledger: &Ledger, first_loss: usize) -> Option<Fit> {
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
        let gap = (sent.time - last).max(0) as f64 / 1e9;
        steps.push(Step::of(sent, gap, passed_before));
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
    let before_loss: u64 = (before.iter().filter(|sent| !sent.lost))
        .map(|sent| u64::from(sent.bytes))
        .sum();
    let biggest_burst = (before_loss as f64).max(passed * 0.5).max(4.0 * largest) * 1.2;

    let unseen = ledger
        .sent
        .iter()
        .filter(|sent| sent.lost && sent.unseen)
        .count();
    let lost_before = 2 * unseen > ledger.losses();
    // Coarse, then fine around the best. Without any overflow the mean rate from loss to loss is the bucket's, so it is tried by itself.
    let coarse = &steps[..steps.len().min(COARSE_STEPS)];
    let mut best = Candidate::default();
    let mut rate = mean * 0.82;
    let mut rates = vec![mean];
    while rate < mean * 40.0 {
        rates.push(rate);
        rate *= 1.03;
    }
    for rate in rates {
        let mut burst = SMALLEST_BURST * largest;
        while burst < biggest_burst {
            if burst >= rate * SHORTEST_BURST {
                best.improve(coarse, rate, burst);
            }
            burst *= 1.35;
        }
    }
    let around = best;
    let mut best = Candidate::default();
    let mut tried: Vec<(f64, f64)> = Vec::new();
    for i in -10..=10 {
        let rate = around.rate * 1.004_f64.powi(i);
        let mut top = f64::MIN;
        for j in -4..=4 {
            let burst = (around.burst * 1.1_f64.powi(j)).max(SMALLEST_BURST * largest);
            top = top.max(best.improve(&steps, rate, burst));
        }
        tried.push((rate, top));
    }
    // Several rates explain a few losses equally well: take the middle of them.
    let near = |slack: f64| {
        tried
            .iter()
            .filter(|(_, top)| *top >= best.merit - slack)
            .fold((best.rate, best.rate), |ends, (rate, _)| {
                (ends.0.min(*rate), ends.1.max(*rate))
            })
    };
    let (mut rate_low, mut rate_high) = near(0.05);
    let (equal_low, equal_high) = near(0.01);
    let mut chosen = Candidate {
        merit: best.merit - 0.02,
        ..best
    };
    chosen.improve(&steps, f64::midpoint(equal_low, equal_high), best.burst);
    // Between two losses without an overflow the bucket gave out exactly what it got, but for one packet.
    for _ in 0..2 {
        let outcome = run(&steps, chosen.rate, chosen.burst);
        if outcome.drained.1 > 0.3 * span {
            let exact = outcome.drained.0 / outcome.drained.1;
            if (chosen.rate * 0.7..chosen.rate * 1.3).contains(&exact) {
                // It errs by less than the search where nothing overflowed at all.
                let trust = if lost_before && outcome.unclipped > 0.8 * outcome.fresh {
                    0.12
                } else {
                    0.06
                };
                chosen.merit = best.merit - trust;
                chosen.improve(&steps, exact, chosen.burst);
            }
        }
    }
    let Candidate {
        rate, mut burst, ..
    } = chosen;
    rate_low = rate_low.min(rate * 0.985);
    rate_high = rate_high.max(rate * 1.015);
    // A bucket that was full at the first packet and empty at the first loss is the simplest story; it is taken where it is nearly as good, unless nobody would
    // set up so large a one: then the limit began later, with a bucket that the losses bound from below only where it never overflowed.
    if let Some(full) = full_at_start(ledger, first_loss, rate) {
        let full = full.max(SMALLEST_BURST * largest);
        if full > f64::max(LONGEST_BURST.0 * rate, LONGEST_BURST.1) {
            let endless = run(&steps, best.rate, ENDLESS).merit();
            if endless >= best.merit - SAME {
                let least = SMALLEST_BURST * largest;
                let reach = reach(&steps, best.rate, (least, full), endless - SAME / 4.0);
                burst = f64::max(UNSEEN_HALF * reach, FIRST_WINDOW * largest).min(full);
            }
        } else {
            let leave = if full < 3.0 * burst { 0.2 } else { 0.12 };
            let (simple, searched) = (run(&steps, rate, full), run(&steps, rate, burst));
            // What it contradicts counts thrice in the end, and a flow that was under way before the capture began had no full bucket then.
            if simple.merit() >= searched.merit() - leave
                && simple.strict() >= searched.strict() - leave
            {
                burst = full;
            }
        }
    }
    let outcome = run(&steps, rate, burst.max(SMALLEST_BURST * largest));
    // A queue's length is at least the smallest bucket that explains the losses about as well.
    let mut shortest = burst;
    while shortest * 0.8 > SMALLEST_BURST * largest
        && run(&steps, rate, shortest * 0.8).merit() >= outcome.merit() - 0.03
    {
        shortest *= 0.8;
    }
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
        // The queue whose overflow the losses would be lies on their side of the capture point.
        inflation_behind: if lost_before {
            None
        } else {
            at_losses(ledger, &ledger.after)
        },
        inflation_before: at_losses(ledger, &ledger.before),
        evenness: ledger.evenness(rate, tested[0].time),
        queue_s: shortest / rate,
        used: mean / rate,
        first_loss,
    };
    if !lost_before {
        fit.queueing = queueing(&fit, ledger, &ledger.after);
    }
    Some(fit)
}

/// The most that a bucket which never overflowed is seen to hold: the smallest one, from `least` to `most`, whose merit is `enough`.
fn reach(steps: &[Step], rate: f64, (least, most): (f64, f64), enough: f64) -> f64 {
    let mut reach = least;
    while reach < most && run(steps, rate, reach).merit() < enough {
        reach *= 1.05;
    }
    reach
}

/// The burst with which a bucket that is full at the first packet runs empty at the first loss.
fn full_at_start(ledger: &Ledger, first_loss: usize, rate: f64) -> Option<f64> {
    let empty_at_loss = |burst: f64| {
        let mut level = burst;
        let mut last = ledger.sent.first()?.time;
        for (place, sent) in ledger.sent.iter().enumerate() {
            level = (level + rate * (sent.time - last) as f64 / 1e9).min(burst);
            last = sent.time;
            if place == first_loss {
                return Some(level - f64::from(sent.bytes) / 2.0);
            }
            if !sent.lost {
                level -= f64::from(sent.bytes);
            }
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
    let size = fit.queue_s * fit.rate;
    let mut level = size;
    let mut last = ledger.sent.first()?.time;
    for sent in &ledger.sent {
        level = (level + fit.rate * (sent.time - last) as f64 / 1e9).min(size);
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
            pairs.push(((size - level) / fit.rate, delay.delay as f64 / 1e9));
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
