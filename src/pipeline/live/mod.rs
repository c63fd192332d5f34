//! A run that goes on: the same stages, judged again and again while packets come.
//!
//! **Takes** a [`Source`] of packets that says how far its clock has come, and the same [`Settings`] as a file. **Gives** a [`Sight`] after each
//! assessment: the analysis of what is held, numbers that stay, what changed. **Keeps** threads, and what is held within stated bounds.
//! **Knows nothing of** formats, signals and devices' privileges.
//!
//! The reader ticks a few times a second. At each tick every worker tells which flows ended and which changed, the desk takes them, names them, and
//! judges all that is held with the detectors of files. Whatever `analyze` would say of the packets until then is what stands.

mod desk;
mod docket;
#[cfg(feature = "live")]
mod ears;
mod rehearsal;
mod status;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use desk::{Desk, Judged};

pub use docket::Change;
#[cfg(feature = "live")]
pub use ears::Ears;
pub use rehearsal::{Tap, rehearse, rehearse_and_keep};
pub use status::{InterfaceStatus, Status};

use super::names::Names;
use super::reader::{Dispatcher, Job, UndecodedCounts};
use super::worker::{Told, Worker};
use super::{Analysis, MIN_SHARDED_FLOWS, QUEUE, SHARDS, Settings};
use crate::capture::{Batch, CaptureFile};
use crate::detect::{Level, Past};
use crate::facts::Loss;
use crate::service::Catalogue;
use crate::types::{Protocol, Timestamp};

/// Where the packets of a run that goes on come from.
pub trait Source: Send {
    /// Replaces what is in `batch` by packets that have come, and says how far it has come.
    fn next(&mut self, batch: &mut Batch) -> Next;
    /// Waits a little for packets; called where none are waiting.
    fn wait(&mut self);
    /// What is known of each capture so far.
    fn files(&self) -> Vec<CaptureFile>;
    /// How each interface is doing.
    fn interfaces(&mut self) -> Vec<InterfaceStatus>;
    /// Periods in which the source lost packets, since the last time it was asked.
    fn losses(&mut self) -> Vec<Loss>;
    /// What people should know, a line each, since the last time it was asked.
    fn news(&mut self) -> Vec<String>;
}

/// How a run is driven.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// The least level of findings that are told of and kept.
    pub least: Level,
    /// Ends the run once it is set.
    pub stop: &'a AtomicBool,
    /// The time now, by the clock that stamps packets. It paces the judging; no answer rests on it.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Next {
    /// All packets until then have been given.
    pub reached: Timestamp,
    /// Whether more are waiting.
    pub more: bool,
    /// Whether nothing more will come.
    pub over: bool,
}

/// What is seen after an assessment.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The run at this moment.
    pub status: &'a Status,
    /// Flows that are held, and what the detectors say of them.
    pub analysis: &'a Analysis,
    /// Numbers of the flows, by index.
    pub flow_ids: &'a [u64],
    /// Numbers of the findings, by place.
    pub finding_ids: &'a [u64],
    /// Numbers of flows that are held and over.
    pub ended: &'a std::collections::BTreeSet<u64>,
    /// What changed since the last assessment.
    pub changes: &'a [Change],
    /// Flows and findings that are not held any more.
    pub past: &'a Past,
    /// What people should know, a line each.
    pub news: &'a [String],
    /// Whether this is the last one.
    pub over: bool,
}

/// Time between two ticks, in nanoseconds. A finding must be told within a second of the packet that completes it: the kernel's block takes 40 ms, the
/// reader's turn 10, a tick 250 at most, and half a second is left to judge.
const TICK: i64 = 250_000_000;

/// After an assessment that took long, the next one waits for so many times as long: judging takes a fourth of one core at most.
const REST: i64 = 3;

/// Rates are judged less often than the rest: with so many nanoseconds between, and so many times as long as that took.
const RATES: i64 = 700_000_000;
const RATES_REST: i64 = 10;

/// The longest rest, in nanoseconds.
const MOST_REST: i64 = 10_000_000_000;

/// How long a worker that is behind is waited for before its packets are dropped. The kernel's buffer fills meanwhile; it has room for about as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a run that is stopped may take for packets that had come by then, in nanoseconds.
const LAST_WORDS: i64 = 2_000_000_000;

/// Ended flows that may wait in a worker to be handed over. Past it the oldest go unjudged, and are counted.
const MOST_WAITING: usize = 1 << 16;

/// What the reader leaves for the desk.
#[derive(Debug, Default)]
struct Board {
    files: Vec<CaptureFile>,
    interfaces: Vec<InterfaceStatus>,
    losses: Vec<Loss>,
    news: Vec<String>,
    undecoded: UndecodedCounts,
    first: Option<Timestamp>,
    reached: Timestamp,
    /// The last packets before the capture paused.
    pauses: Vec<Timestamp>,
    dropped: u64,
    evicted_fragments: u64,
}

/// Judges what `source` gives, on `settings.threads` workers, a reader, and the calling thread, until it is stopped or nothing more comes.
///
/// `see` is called after each assessment, on the calling thread; the last one is final, and its analysis is given back.
pub fn run(
    source: &mut dyn Source,
    settings: &Settings,
    catalogue: &Catalogue,
    control: Control<'_>,
    see: &mut dyn FnMut(&Sight<'_>),
) -> Analysis {
    let names = Names::default();
    let shards = shards(settings);
    let threads = settings.threads.clamp(1, shards);
    let board = Mutex::new(Board::default());
    let (give_back, empties) = crossbeam_channel::unbounded();
    let (tell, told) = crossbeam_channel::bounded::<(usize, Told)>(2 * threads);
    let mut desk = Desk::new(settings, catalogue, control.least);
    std::thread::scope(|scope| {
        let mut senders = Vec::new();
        for place in 0..threads {
            let (sender, jobs) = crossbeam_channel::bounded::<Job>(QUEUE);
            senders.push(sender);
            let worker = Worker::watched(shards, settings, catalogue, &names);
            let (give_back, tell, board) = (give_back.clone(), tell.clone(), &board);
            scope.spawn(move || work(worker, place, &jobs, &give_back, &tell, board));
        }
        drop(tell);
        let dispatcher = Dispatcher::new(senders, empties, shards).impatient(PATIENCE);
        let board = &board;
        scope.spawn(move || read(source, dispatcher, board, control));
        attend(&mut desk, &told, threads, (board, control.clock), see)
    })
}

const fn shards(settings: &Settings) -> usize {
    if settings.max_flows < MIN_SHARDED_FLOWS {
        1
    } else {
        SHARDS
    }
}

/// The reader: gives packets to the workers, and ticks.
fn read(
    source: &mut dyn Source,
    mut dispatcher: Dispatcher,
    board: &Mutex<Board>,
    control: Control<'_>,
) {
    let mut reader = Reader::default();
    // once the run is stopped, what had come by then is still taken
    let mut stopped: Option<Timestamp> = None;
    loop {
        let next = reader.step(source, &mut dispatcher, board);
        let Some(next) = next else { break };
        if stopped.is_none() && control.stop.load(Ordering::Relaxed) {
            stopped = Some((control.clock)());
        }
        let taken = |since: Timestamp| {
            next.reached >= since || (control.clock)().since(since) >= LAST_WORDS
        };
        if next.over || stopped.is_some_and(taken) {
            break;
        }
        if !next.more {
            source.wait();
        }
    }
    reader.end(source, dispatcher, board);
}

/// Where the reader stands.
#[derive(Debug, Default)]
struct Reader {
    batch: Batch,
    due: Option<Timestamp>,
    /// As of the last tick.
    reached: Timestamp,
    /// As of the last step.
    seen: Timestamp,
    dropped: u64,
}

impl Reader {
    /// Takes what has come, and ticks if it is time. Nothing where no worker is left.
    fn step(
        &mut self,
        source: &mut dyn Source,
        dispatcher: &mut Dispatcher,
        board: &Mutex<Board>,
    ) -> Option<Next> {
        let next = source.next(&mut self.batch);
        if !self.batch.packets.is_empty() && !dispatcher.batch(&self.batch) {
            return None;
        }
        // nothing may be shared with the buffer that is filled next
        self.batch.bytes = std::sync::Arc::default();
        // a clock that was set back does not turn time round
        let reached = next.reached.max(self.reached);
        self.seen = reached;
        if self.due.is_none_or(|due| reached >= due) || next.over {
            self.post(source, dispatcher, board, reached);
            if !dispatcher.tick(reached) {
                return None;
            }
            self.due = Some(reached.plus(TICK));
        }
        Some(next)
    }

    /// Leaves on the board what the desk should know.
    fn post(
        &mut self,
        source: &mut dyn Source,
        dispatcher: &mut Dispatcher,
        board: &Mutex<Board>,
        reached: Timestamp,
    ) {
        let mut losses = source.losses();
        if dispatcher.dropped > self.dropped {
            losses.push(Loss {
                from: self.reached,
                to: reached,
                packets: dispatcher.dropped - self.dropped,
            });
            self.dropped = dispatcher.dropped;
        }
        self.reached = reached;
        let Ok(mut board) = board.lock() else { return };
        board.files = source.files();
        board.interfaces = source.interfaces();
        board.losses.append(&mut losses);
        board.news.append(&mut source.news());
        for (place, count) in std::mem::take(&mut dispatcher.undecoded) {
            *board.undecoded.entry(place).or_default() += count;
        }
        board.first = dispatcher.first;
        board.reached = reached;
        board.pauses.clone_from(&dispatcher.pauses);
        board.dropped = dispatcher.dropped;
        board.evicted_fragments = dispatcher.evicted_fragments();
    }

    fn end(&mut self, source: &mut dyn Source, mut dispatcher: Dispatcher, board: &Mutex<Board>) {
        let evicted = dispatcher.finish();
        // what was read last may be younger than what was reached
        let last = dispatcher.last.unwrap_or(self.reached);
        let reached = self.reached.max(self.seen).max(last);
        self.post(source, &mut dispatcher, board, reached);
        if let Ok(mut board) = board.lock() {
            board.evicted_fragments = evicted;
        }
    }
}

/// A worker: takes packets, and tells at each tick what changed, as soon as the desk has room for it.
fn work(
    mut worker: Worker<'_>,
    place: usize,
    jobs: &Receiver<Job>,
    give_back: &Sender<Vec<super::reader::Item>>,
    tell: &Sender<(usize, Told)>,
    board: &Mutex<Board>,
) {
    let mut waiting = Told::default();
    for mut job in jobs {
        if let Some(now) = job.tick {
            // what was shown and not yet taken is not shown again: flows wait where they are
            let show = waiting.open.is_empty();
            waiting.add(worker.tick(now, show), MOST_WAITING);
            match tell.try_send((place, std::mem::take(&mut waiting))) {
                Ok(()) => {}
                Err(TrySendError::Full((_, told))) => waiting = told,
                Err(TrySendError::Disconnected(_)) => return,
            }
            continue;
        }
        worker.job(&job);
        job.items.clear();
        // nobody takes it when the reader is done
        drop(give_back.send(job.items));
    }
    let last = board.lock().map(|board| board.reached).unwrap_or_default();
    waiting.add(worker.end(last), usize::MAX);
    // nobody takes it when the desk is gone
    drop(tell.send((place, waiting)));
}

/// The desk: takes what workers tell, and judges when all have told and it has rested.
fn attend(
    desk: &mut Desk<'_>,
    told: &Receiver<(usize, Told)>,
    threads: usize,
    (board, clock): (&Mutex<Board>, &dyn Fn() -> Timestamp),
    see: &mut dyn FnMut(&Sight<'_>),
) -> Analysis {
    let mut sums = Sums::new(threads);
    let mut judged_at = Timestamp(i64::MIN);
    let mut rested_at = Timestamp(i64::MIN);
    let mut rates_at = Timestamp(i64::MIN);
    loop {
        match told.recv_timeout(Duration::from_millis(100)) {
            Ok((place, told)) => {
                sums.take(place, &told);
                desk.take(told);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let started = clock();
        if told.is_empty() && sums.now() > judged_at && started >= rested_at {
            judged_at = sums.now();
            sums.lag_ns = started.since(judged_at).max(0);
            let rates_too = started >= rates_at;
            let judged = judge(desk, &sums, board, (rates_too, false), see);
            desk.back(judged.analysis);
            let ended = clock();
            sums.assessment_ns = ended.since(started).max(0);
            desk.took(sums.assessment_ns);
            if rates_too {
                rates_at = started.plus((sums.assessment_ns * RATES_REST).clamp(RATES, MOST_REST));
            }
            // a clock that was set back must not keep the desk from working
            rested_at = ended.plus((sums.assessment_ns * REST).min(MOST_REST));
        }
    }
    judge(desk, &sums, board, (true, true), see).analysis
}

/// What workers told in sum.
#[derive(Debug)]
struct Sums {
    now: Vec<Timestamp>,
    flows: Vec<usize>,
    opened: Vec<(u64, u64)>,
    evicted: Vec<(u64, u64)>,
    unjudged: u64,
    assessment_ns: i64,
    lag_ns: i64,
}

impl Sums {
    fn new(threads: usize) -> Self {
        Self {
            now: vec![Timestamp(i64::MIN); threads],
            flows: vec![0; threads],
            opened: vec![(0, 0); threads],
            evicted: vec![(0, 0); threads],
            unjudged: 0,
            assessment_ns: 0,
            lag_ns: 0,
        }
    }

    fn take(&mut self, place: usize, told: &Told) {
        if let (Some(now), Some(flows), Some(opened), Some(evicted)) = (
            self.now.get_mut(place),
            self.flows.get_mut(place),
            self.opened.get_mut(place),
            self.evicted.get_mut(place),
        ) {
            (*now, *flows) = (told.now, told.flows);
            (*opened, *evicted) = (told.opened, told.evicted);
        }
        self.unjudged += told.unjudged;
    }

    /// Until when all workers have told.
    fn now(&self) -> Timestamp {
        self.now
            .iter()
            .min()
            .copied()
            .unwrap_or(Timestamp(i64::MIN))
    }

    fn opened(&self) -> (u64, u64) {
        sum(&self.opened)
    }

    fn evicted(&self) -> (u64, u64) {
        sum(&self.evicted)
    }
}

fn sum(pairs: &[(u64, u64)]) -> (u64, u64) {
    let sum = |sum: (u64, u64), one: &(u64, u64)| (sum.0 + one.0, sum.1 + one.1);
    pairs.iter().fold((0, 0), sum)
}

/// Judges, and shows.
fn judge(
    desk: &mut Desk<'_>,
    sums: &Sums,
    board: &Mutex<Board>,
    (rates_too, over): (bool, bool),
    see: &mut dyn FnMut(&Sight<'_>),
) -> Judged {
    let mut status = Status::default();
    let (mut files, mut news) = (Vec::new(), Vec::new());
    let mut now = sums.now();
    let mut fragments = 0;
    if let Ok(mut board) = board.lock() {
        for loss in std::mem::take(&mut board.losses) {
            desk.lose(loss);
        }
        desk.add_undecoded(std::mem::take(&mut board.undecoded));
        desk.dropped_by_us = board.dropped;
        desk.pauses.clone_from(&board.pauses);
        files.clone_from(&board.files);
        news = std::mem::take(&mut board.news);
        status.first = board.first;
        status.interfaces.clone_from(&board.interfaces);
        status.dropped_by_us = board.dropped;
        fragments = board.evicted_fragments;
        if over {
            now = board.reached;
        }
    }
    // what we dropped was read, and is missing all the same
    if status.dropped_by_us > 0
        && let Some(file) = files.first_mut()
    {
        let dropped = file.dropped.unwrap_or_default();
        file.dropped = Some(dropped + status.dropped_by_us);
    }
    let mut judged = desk.judge(now, files, (rates_too, over));
    (
        judged.analysis.evicted_flows,
        judged.analysis.evicted_tcp_flows,
    ) = sums.evicted();
    judged.analysis.evicted_fragments = fragments;
    status.now = now;
    status.assessment_ns = sums.assessment_ns;
    status.lag_ns = sums.lag_ns;
    status.flows = sums.flows.iter().map(|flows| *flows as u64).sum();
    status.judged_flows = desk.flows() as u64;
    status.all_flows = sums.opened().0;
    status.evicted_flows = sums.evicted();
    status.unjudged_flows = sums.unjudged;
    for (service, kind, level) in desk.standing() {
        if level >= Level::Likely {
            *status.findings.entry((service, kind)).or_default() += 1;
        }
    }
    // every flow that was seen counts, whether it is held, was, or ended before it could be
    let held = &judged.analysis.around.flows;
    let held_tcp = (held.iter()).filter(|flow| flow.key.protocol == Protocol::Tcp);
    let past = Past {
        flows: (sums.opened().0).saturating_sub(sums.evicted().0 + held.len() as u64),
        tcp_flows: (sums.opened().1).saturating_sub(sums.evicted().1 + held_tcp.count() as u64),
        ..desk.past.clone()
    };
    see(&Sight {
        status: &status,
        analysis: &judged.analysis,
        flow_ids: &judged.flow_ids,
        finding_ids: &judged.finding_ids,
        ended: &judged.ended,
        changes: &judged.changes,
        past: &past,
        news: &news,
        over,
    });
    judged
}
