use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::{Direction, Frame};

use super::bucket::{self, Fit};
use super::control::Controls;
use super::ledger::Ledger;
use super::loss::Pool;
use super::plateau::{self, Plateau};
use super::queue::{self, Queue};

/// One direction of one flow, or of several flows behind one limiter, with all that was computed of it: what the rules of this family read.
#[derive(Clone, Debug)]
pub(in crate::detect) struct Case<'a> {
    /// The flow that shows it first.
    pub(in crate::detect) flow: &'a FlowFacts,
    /// Indexes of all flows in the record.
    pub(in crate::detect) members: Vec<u32>,
    /// Which way.
    pub(in crate::detect) direction: Direction,
    /// Transmissions and delays.
    pub(in crate::detect) ledger: Ledger,
    /// The bucket that explains the losses best.
    pub(in crate::detect) fit: Option<Fit>,
    /// The queue that the delays show.
    pub(in crate::detect) queue: Option<Queue>,
    /// The stretch at one rate, where packets have no numbers.
    pub(in crate::detect) plateau: Option<Plateau>,
    /// The client's other traffic.
    pub(in crate::detect) controls: Controls,
    /// TCP packets with payload that the capture has, and those that it missed by its own showing.
    pub(in crate::detect) captured: (u64, u64),
    /// Losses of the service and of the controls, over all flows.
    pub(in crate::detect) pool: Pool,
}

impl<'a> Case<'a> {
    /// The case of one flow by itself, in the direction that lost more, else moved more.
    pub(in crate::detect) fn alone(flow: &'a FlowFacts, around: &CaptureFacts) -> Self {
        let weight = |direction| {
            let tally = flow.summary.tally(direction);
            (tally.retransmitted, tally.bytes)
        };
        let direction = if weight(Direction::Up) > weight(Direction::Down) {
            Direction::Up
        } else {
            Direction::Down
        };
        let ledger = Ledger::of(flow, direction).unwrap_or_default();
        let mut case = Self::new(flow, vec![flow.index], direction, ledger);
        case.look_around(&[], around);
        case.pool = Pool::of(flow, direction, around);
        case
    }

    /// A case from its record; the surroundings are looked at later, if it comes to that.
    pub(in crate::detect) fn new(
        flow: &'a FlowFacts,
        members: Vec<u32>,
        direction: Direction,
        ledger: Ledger,
    ) -> Self {
        let fit = bucket::fit(&ledger);
        let queue = strongest(queue::queue(&ledger), fit.as_ref(), &ledger);
        Self {
            flow,
            members,
            direction,
            ledger,
            fit,
            queue,
            plateau: plateau::plateau(flow, direction),
            controls: Controls::default(),
            captured: (0, 0),
            pool: Pool::default(),
        }
    }

    /// Measures the controls.
    pub(in crate::detect) fn look_around(&mut self, flows: &[FlowFacts], around: &CaptureFacts) {
        let span = match (self.ledger.sent.first(), self.ledger.sent.last()) {
            (Some(first), Some(last)) => (first.time, last.time),
            _ => (self.flow.summary.first.0, self.flow.summary.last.0),
        };
        self.controls = Controls::of(
            self.flow,
            self.direction,
            span,
            self.queue.as_ref(),
            flows,
            around,
        );
    }

    /// The rate of the limit in bytes per second: the bucket's where losses fit one, else the queue's.
    pub(in crate::detect) fn rate(&self) -> Option<f64> {
        match (&self.fit, &self.queue) {
            (Some(fit), _) if fit.agreement() >= WELL && !self.is_queued() => Some(fit.rate),
            (_, Some(queue)) => Some(queue.rate),
            (Some(fit), None) if fit.agreement() >= WELL => Some(fit.rate),
            _ => self.plateau.map(|plateau| plateau.rate),
        }
    }

    /// How well the best bucket explains the losses; 0 where none was fitted.
    pub(in crate::detect) fn agreement(&self) -> f64 {
        self.fit.as_ref().map_or(0.0, Fit::agreement)
    }

    /// Whether it is worth comparing with the surroundings at all: some bucket or some queue is there.
    pub(in crate::detect) fn is_plausible(&self) -> bool {
        self.agreement() >= WELL
            || self.plateau.is_some()
            || self
                .queue
                .is_some_and(|queue| queue.wait >= 0.02 || self.ledger.before.is_empty())
    }

    /// The burst that came before the limit was felt, in bytes: a control must move more to say anything about the limit.
    pub(in crate::detect) fn burst(&self) -> u64 {
        match (&self.fit, &self.plateau) {
            (Some(fit), _) => fit.burst as u64,
            (None, Some(plateau)) => plateau.burst as u64,
            _ => 0,
        }
    }

    /// Whether the losses are those of a full queue.
    pub(in crate::detect) fn is_queued(&self) -> bool {
        self.fit
            .as_ref()
            .and_then(Fit::queued)
            .is_some_and(|share| share > bucket::QUEUED)
    }

    /// Frames of the first losses.
    pub(in crate::detect) fn lost_frames(&self) -> Vec<Frame> {
        let mut frames: Vec<Frame> = self
            .ledger
            .sent
            .iter()
            .filter(|sent| sent.lost)
            .map(|sent| sent.frame)
            .take(24)
            .collect();
        frames.sort_unstable();
        frames.dedup();
        frames.truncate(16);
        frames
    }
}

/// The agreement from which on a bucket is taken to explain the losses (see `policing.bucket_agreement`).
pub(in crate::detect) const WELL: f64 = 0.6;

/// The queue that the delays show, or, where they show little of it, the one whose overflow the losses are.
///
/// When much is lost, few acknowledgements measure the path, and a receiver's capture without time stamps has no delays at all.
fn strongest(seen: Option<Queue>, fit: Option<&Fit>, ledger: &Ledger) -> Option<Queue> {
    let Some(fit) = fit.filter(|fit| {
        fit.agreement() >= WELL && fit.queued().is_some_and(|share| share > bucket::QUEUED)
    }) else {
        return seen.or_else(|| even(ledger));
    };
    if seen.is_some_and(|queue| queue.share >= 0.25 && queue.unsteadiness.is_some()) {
        return seen;
    }
    let first = ledger.sent.get(fit.first_loss)?;
    let last = ledger.sent.last()?;
    let (mut before, mut after) = (0_u64, 0_u64);
    for (place, sent) in ledger
        .sent
        .iter()
        .enumerate()
        .filter(|(_, sent)| !sent.lost)
    {
        if place < fit.first_loss {
            before += u64::from(sent.bytes);
        } else {
            after += u64::from(sent.bytes);
        }
    }
    let wait = [fit.inflation_behind, fit.inflation_before]
        .into_iter()
        .flatten()
        .fold(0.0, f64::max);
    Some(Queue {
        // Without delays the length of the queue says how long its packets waited.
        wait: if fit.inflation_before.is_none() && fit.evenness.is_some() {
            fit.queue_s
        } else {
            wait
        },
        share: after as f64 / (before + after).max(1) as f64,
        rate: fit.rate,
        rate_low: fit.rate_low,
        rate_high: fit.rate_high,
        unsteadiness: Some((fit.rate_high - fit.rate_low) / (2.0 * fit.rate)),
        seconds: (last.time - first.time) as f64 / 1e9,
        onset_bytes: before,
        onset: first.time,
    })
}

/// The queue that a receiver's capture shows without time stamps and with few losses: arrivals one by one at one rate.
fn even(ledger: &Ledger) -> Option<Queue> {
    if !ledger.before.is_empty() || !ledger.sent.iter().any(|sent| sent.unseen) {
        return None;
    }
    let arrivals: Vec<_> = ledger.sent.iter().filter(|sent| !sent.unseen).collect();
    // The rate that most gaps agree with.
    let mut rates: Vec<f64> = arrivals
        .windows(2)
        .filter_map(|pair| {
            let [before, after] = pair else { return None };
            let gap = (after.time - before.time) as f64 / 1e9;
            (gap > 0.0).then(|| f64::from(after.bytes) / gap)
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).copied()?;
    let (first, last) = (arrivals.first()?, arrivals.last()?);
    let evenness = ledger.evenness(rate, first.time)?;
    let seconds = (last.time - first.time) as f64 / 1e9;
    if evenness < bucket::EVEN || seconds < 3.0 {
        return None;
    }
    Some(Queue {
        wait: 0.0,
        share: evenness,
        rate,
        rate_low: rates.get(rates.len() / 4).copied()?.min(rate * 0.985),
        rate_high: rates.get(rates.len() * 3 / 4).copied()?.max(rate * 1.015),
        unsteadiness: Some(1.0 - evenness).map(|uneven| uneven / 4.0),
        seconds,
        onset_bytes: 0,
        onset: first.time,
    })
}
