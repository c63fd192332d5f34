//! Loss over many flows: the service's against that of everything else the client did, and whether chance explains the difference.

use crate::facts::{CaptureFacts, FlowFacts, Summary};
use crate::types::{Direction, Protocol};

use super::ledger::{Ledger, is_media};

/// Fewest packets of controls that say anything about their loss.
pub(in crate::detect) const FEWEST_CONTROL_PACKETS: u64 = 60;

/// Packets sent and lost, of a service and of the controls beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::detect) struct Pool {
    /// Packets of the service that could be lost: with payload, SYNs, RTP.
    pub(in crate::detect) sent: u64,
    /// Of these, lost.
    pub(in crate::detect) lost: u64,
    /// Of these, how many are known by nothing but a gap in RTP numbers.
    pub(in crate::detect) gaps: u64,
    /// Packets that came out of order, and repeats of packets that turned out to have been only late.
    pub(in crate::detect) reordered: u64,
    /// Packets of the controls.
    pub(in crate::detect) control_sent: u64,
    /// Of these, lost.
    pub(in crate::detect) control_lost: u64,
    /// Flows of the service.
    pub(in crate::detect) flows: u32,
    /// Of these, how many lost something.
    pub(in crate::detect) hit: u32,
    /// Losses whose order is known, and in how many places they lie: losses with no pass between them are one.
    pub(in crate::detect) placed: (u64, u64),
    /// How many places chance gives such losses, and the variance of that, each direction of a flow having its own ratio.
    pub(in crate::detect) chance: (f64, f64),
}

/// The losses of one direction of a flow, in order.
#[derive(Clone, Debug, Default)]
pub(in crate::detect) struct Places {
    /// Losses.
    pub(in crate::detect) lost: u64,
    /// Repeats of packets that had only been late.
    pub(in crate::detect) late: u64,
    /// Transmissions.
    pub(in crate::detect) sent: u64,
    /// When each run of them began, in nanoseconds since the epoch.
    pub(in crate::detect) moments: Vec<i64>,
}

impl Places {
    /// Those of one direction of `flow`; none where its packets are not known.
    pub(in crate::detect) fn of(flow: &FlowFacts, direction: Direction) -> Option<Self> {
        let ledger = Ledger::of(flow, direction)?;
        let mut places = Self {
            late: u64::from(ledger.late),
            sent: ledger.sent.len() as u64,
            ..Self::default()
        };
        let mut passed = true;
        for sent in &ledger.sent {
            if sent.lost {
                places.lost += 1;
                if passed {
                    places.moments.push(sent.time);
                }
            }
            passed = !sent.lost;
        }
        Some(places)
    }
}

impl Pool {
    /// The pool of one flow by itself against the controls.
    pub(in crate::detect) fn of(
        flow: &FlowFacts,
        direction: Direction,
        around: &CaptureFacts,
    ) -> Self {
        let mut pool = Self::default();
        pool.add(tally(flow, direction));
        if is_media(flow, direction) {
            pool.gaps = pool.lost;
        }
        pool.reordered = u64::from(flow.detail.side(direction).reordered);
        if flow.summary.tally(direction).retransmitted > 0 {
            pool.reordered += Places::of(flow, direction).map_or(0, |places| places.late);
        }
        (pool.control_sent, pool.control_lost) =
            controls(&flow.summary, direction, &[], around, &[]);
        pool
    }

    /// Adds where the losses of one direction of a flow lie. Where each of n packets is lost by itself with chance p, np(1 - p) of the losses follow a pass, give or
    /// take p(1 - p) times the root of n (Wald and Wolfowitz 1940).
    pub(in crate::detect) fn place(&mut self, places: &Places) {
        self.placed.0 += places.lost;
        self.placed.1 += places.moments.len() as u64;
        self.reordered += places.late;
        let n = places.sent as f64;
        let p = places.lost as f64 / n.max(1.0);
        self.chance.0 += n * p * (1.0 - p);
        self.chance.1 += n * (p * (1.0 - p)).powi(2);
    }

    /// Adds a flow of the service.
    pub(in crate::detect) fn add(&mut self, (sent, lost): (u64, u64)) {
        self.sent += sent;
        self.lost += lost;
        self.flows += 1;
        self.hit += u32::from(lost > 0);
    }

    /// Share lost.
    pub(in crate::detect) fn ratio(&self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }

    /// Whether losses follow each other as an outage or a full queue loses them, more than where every packet takes its own chance, by the test of runs (Wald and
    /// Wolfowitz 1940; limit as in docs/detection.md, C3, T2).
    pub(in crate::detect) fn is_clustered(&self) -> bool {
        /// Standard deviations below the runs that chance makes from which on there are too few.
        const TOO_FEW: f64 = 2.6;
        let (expected, variance) = self.chance;
        self.placed.1 > 0 && expected - self.placed.1 as f64 > TOO_FEW * variance.sqrt()
    }

    /// The pool with as many losses as there are independent events: where they are clustered, a run of them counts once.
    pub(in crate::detect) fn independent(&self) -> Self {
        let repeated = if self.is_clustered() {
            self.placed.0.saturating_sub(self.placed.1).min(self.lost)
        } else {
            0
        };
        Self {
            sent: self.sent.saturating_sub(repeated),
            lost: self.lost - repeated,
            ..*self
        }
    }

    /// Share of the controls' packets lost.
    pub(in crate::detect) fn control_ratio(&self) -> f64 {
        self.control_lost as f64 / self.control_sent.max(1) as f64
    }
}

/// Packets of a flow that could be lost in a direction, and how many were. What was sent into final silence does not count: that is a blackhole's business.
pub(in crate::detect) fn tally(flow: &FlowFacts, direction: Direction) -> (u64, u64) {
    let tally = flow.summary.tally(direction);
    let side = flow.detail.side(direction);
    if is_media(flow, direction) {
        return (
            u64::from(side.rtp) + u64::from(side.rtp_missing),
            u64::from(side.rtp_missing),
        );
    }
    let (mut sent, mut lost) = if tally.retransmitted == 0 {
        (u64::from(tally.data_packets), 0)
    } else if let Some(ledger) =
        Ledger::of(flow, direction).filter(|ledger| !ledger.truncated && !ledger.sent.is_empty())
    {
        (ledger.sent.len() as u64, ledger.losses() as u64)
    } else {
        (
            u64::from(tally.data_packets.saturating_sub(side.unanswered.tries))
                + u64::from(side.fills),
            u64::from(tally.retransmitted.saturating_sub(side.unanswered.retries)),
        )
    };
    // A SYN that had to be repeated lost itself or its answer.
    if flow.summary.answered() && side.syns > 1 {
        sent += u64::from(side.syns);
        lost += u64::from(side.syns - 1);
    }
    (sent, lost.min(sent))
}

/// How near in time to a loss of the service a packet of a control must have been sent to be compared with it, in nanoseconds: long enough for a chat's next
/// message, short enough that a line which was bad for seconds is not compared with a good hour.
const NEAR_A_LOSS: i64 = 5_000_000_000;

/// Most controls whose packets are looked at one by one.
const CLOSELY: usize = 256;

/// Packets and losses of all flows of the same client to other services, in the direction, near the `moments` (in order) at which the service lost some; at any
/// time where there are none.
pub(in crate::detect) fn controls(
    own: &Summary,
    direction: Direction,
    flows: &[FlowFacts],
    around: &CaptureFacts,
    moments: &[i64],
) -> (u64, u64) {
    let client = own.key.a.address;
    let of = |index: &u32| around.flows.get(*index as usize);
    let from = around
        .by_client
        .partition_point(|index| of(index).is_some_and(|other| other.key.a.address < client));
    let is_near = |from: i64, to: i64| {
        let next = moments.partition_point(|moment| *moment < from.saturating_sub(NEAR_A_LOSS));
        moments.is_empty()
            || (moments.get(next)).is_some_and(|moment| *moment <= to.saturating_add(NEAR_A_LOSS))
    };
    around
        .by_client
        .iter()
        .skip(from)
        .map_while(|index| {
            of(index)
                .filter(|other| other.key.a.address == client)
                .map(|other| (index, other))
        })
        .filter(|(_, other)| other.service != own.service && other.answered())
        .filter(|(_, other)| other.key.protocol == Protocol::Tcp)
        .filter(|(_, other)| is_near(other.first.0, other.last.0))
        .enumerate()
        .map(|(place, (index, other))| {
            let ledger = (place < CLOSELY && !moments.is_empty())
                .then(|| detailed(*index, flows))
                .flatten()
                .and_then(|flow| Ledger::of(flow, direction))
                .filter(|ledger| !ledger.truncated);
            let Some(ledger) = ledger else {
                return count(*index, other, direction, flows);
            };
            let near = || (ledger.sent.iter()).filter(|sent| is_near(sent.time, sent.time));
            (
                near().count() as u64,
                near().filter(|sent| sent.lost).count() as u64,
            )
        })
        .fold((0, 0), |sum, (sent, lost)| (sum.0 + sent, sum.1 + lost))
}

fn detailed(index: u32, flows: &[FlowFacts]) -> Option<&FlowFacts> {
    flows
        .binary_search_by_key(&index, |flow| flow.index)
        .ok()
        .and_then(|place| flows.get(place))
}

/// TCP packets with payload that the capture has, and those that it missed: acknowledged but never seen, or counted as dropped by the capture itself.
pub(in crate::detect) fn captured(flows: &[FlowFacts], around: &CaptureFacts) -> (u64, u64) {
    let (mut seen, mut bytes, mut missed) = (0, 0, 0);
    for flow in flows
        .iter()
        .filter(|flow| flow.summary.key.protocol == Protocol::Tcp && !flow.detail.one_way)
    {
        for direction in [Direction::Up, Direction::Down] {
            let tally = flow.summary.tally(direction);
            seen += u64::from(tally.data_packets);
            bytes += tally.bytes;
            missed += flow.detail.side(direction).acked_unseen;
        }
    }
    // In packets of the usual size.
    let size = (bytes / seen.max(1)).max(1);
    (seen, (missed / size).max(around.dropped))
}

/// Packets and losses of one flow, from its detail where that was kept.
pub(in crate::detect) fn count(
    index: u32,
    summary: &Summary,
    direction: Direction,
    flows: &[FlowFacts],
) -> (u64, u64) {
    let plain = summary.tally(direction);
    match detailed(index, flows) {
        Some(flow) if plain.retransmitted > 0 => tally(flow, direction),
        _ => (
            u64::from(plain.data_packets),
            u64::from(plain.retransmitted),
        ),
    }
}

/// Natural logarithm of n! (Stirling's series beyond 20, exact sums below).
fn ln_factorial(n: u64) -> f64 {
    if n < 20 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64 + 1.0;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * x)
        - 1.0 / (360.0 * x.powi(3))
}

/// Decimal logarithm of the chance that a table at least as uneven as this one comes about when both groups lose alike, negated: Fisher's exact test,
/// one-sided.
pub(in crate::detect) fn improbability(pool: &Pool) -> f64 {
    let (a, n, c, m) = (
        pool.lost.min(pool.sent),
        pool.sent,
        pool.control_lost.min(pool.control_sent),
        pool.control_sent,
    );
    let lost = a + c;
    let choose =
        |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n.saturating_sub(k));
    let whole = choose(n + m, lost);
    let mut sum = 0.0_f64;
    // Terms fall fast once a is above expectation; 2000 of them are more than enough.
    for k in a..=lost.min(n).min(a + 2000) {
        let rest = lost - k;
        if rest > m {
            continue;
        }
        let term = (choose(n, k) + choose(m, rest) - whole).exp();
        sum += term;
        if term < sum * 1e-12 && k > a + 10 {
            break;
        }
    }
    if sum <= 0.0 {
        return 300.0;
    }
    -sum.min(1.0).log10()
}

/// Lower end of the 95 % interval of the difference of both loss ratios (Newcombe 1998, method 10, from Wilson's intervals).
pub(in crate::detect) fn least_excess(pool: &Pool) -> f64 {
    let (p, low, _) = wilson(pool.lost, pool.sent);
    let (q, _, high) = wilson(pool.control_lost, pool.control_sent);
    p - q - ((p - low).powi(2) + (high - q).powi(2)).sqrt()
}

/// The ratio and Wilson's 95 % interval.
fn wilson(hits: u64, of: u64) -> (f64, f64, f64) {
    /// The 97.5 % point of the normal distribution.
    const Z: f64 = 1.96;
    if of == 0 {
        return (0.0, 0.0, 1.0);
    }
    let n = of as f64;
    let p = hits.min(of) as f64 / n;
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (p, (middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(lost: u64, sent: u64, control_lost: u64, control_sent: u64) -> Pool {
        Pool {
            sent,
            lost,
            control_sent,
            control_lost,
            flows: 1,
            hit: 1,
            ..Pool::default()
        }
    }

    #[test]
    fn fishers_test_gives_the_textbook_figure() {
        // the lady tasting tea: 3 of 4 right by chance is 17/70
        let p = improbability(&pool(3, 4, 1, 4));
        assert!((10_f64.powf(-p) - 17.0 / 70.0).abs() < 1e-9, "{p}");
    }

    #[test]
    fn a_tenth_lost_against_nothing_is_no_chance() {
        assert!(improbability(&pool(20, 200, 0, 400)) > 6.0);
        assert!(least_excess(&pool(20, 200, 0, 400)) > 0.05);
    }

    #[test]
    fn an_outage_is_one_event_whatever_it_loses() {
        let placed = |moments: usize| {
            let mut pool = pool(100, 1639, 3, 234);
            pool.place(&Places {
                lost: 100,
                sent: 1639,
                moments: vec![0; moments],
                ..Places::default()
            });
            pool
        };
        let scattered = placed(94);
        assert_eq!(scattered.independent(), scattered);
        assert!(improbability(&scattered) > 3.0);
        let outage = placed(45).independent();
        assert_eq!((outage.lost, outage.sent), (45, 1584));
        assert!(improbability(&outage) < 3.0);
        assert!(least_excess(&outage) < 0.01);
    }

    #[test]
    fn heavy_random_loss_has_runs_and_is_not_clustered() {
        // with 40 % lost, 6 of 10 losses follow a pass; the other direction loses nothing
        let mut heavy = pool(80, 400, 0, 100);
        for (lost, moments) in [(80, 47), (0, 0)] {
            heavy.place(&Places {
                lost,
                sent: 200,
                moments: vec![0; moments],
                ..Places::default()
            });
        }
        assert!(!heavy.is_clustered());
        assert_eq!(heavy.independent(), heavy);
    }

    #[test]
    fn equal_losses_are_chance() {
        assert!(improbability(&pool(6, 300, 12, 600)) < 1.0);
        assert!(least_excess(&pool(6, 300, 12, 600)) < 0.01);
    }

    #[test]
    fn large_counts_neither_overflow_nor_hang() {
        assert!(improbability(&pool(400_000, 4_000_000, 1000, 4_000_000)) > 100.0);
    }
}
