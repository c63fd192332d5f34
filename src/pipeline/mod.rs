//! Runs the stages: a reader, workers that own their flows, one collector.
//!
//! **Takes** capture sources and [`Settings`]. **Gives** an [`Analysis`]. **Keeps** threads, channels, shared maps. **Knows nothing of** reports and exit codes.

mod calls;
mod collector;
pub mod live;
mod names;
mod reader;
mod rider;
mod vantage;
mod worker;

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use collector::Remains;
use names::Names;
use reader::Dispatcher;
use worker::Worker;

use crate::capture::{Batch, CaptureFile, Run};
use crate::detect::Assessment;
use crate::facts::{CaptureFacts, FlowFacts, Vantage};
use crate::service::Catalogue;

/// Which flows may yield findings.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// Flows of messengers; controls are measured as the baseline.
    #[default]
    Messengers,
    /// All flows.
    All,
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads; at least 1. The answer does not depend on it.
    pub threads: usize,
    /// Most flows held at once.
    pub max_flows: usize,
    /// Which flows may yield findings.
    pub scope: Scope,
    /// Where the capture was taken, if the user said so.
    pub vantage: Option<Vantage>,
    /// Whether every flow's detail is to be kept, for the flow table.
    pub flow_table: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads,
            max_flows: 4_000_000,
            scope: Scope::default(),
            vantage: None,
            flow_table: false,
        }
    }
}

/// One source, read, and what its packets came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureOutcome {
    /// What the capture stage says of it.
    pub file: CaptureFile,
    /// Duplicate frames that were counted and ignored.
    pub duplicates: u64,
    /// Packets that could not be decoded, by reason.
    pub undecoded: BTreeMap<&'static str, u64>,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// The sources, in the order in which they were given.
    pub captures: Vec<CaptureOutcome>,
    /// The whole run, every flow's summary in it.
    pub around: CaptureFacts,
    /// The flows whose detail was kept, by index: those that detectors may judge, or all of them for the flow table.
    pub flows: Vec<FlowFacts>,
    /// What the detectors say.
    pub assessment: Assessment,
    /// Flows that were dropped for want of room, unjudged.
    pub evicted_flows: u64,
    /// Of the evicted, those on TCP.
    pub evicted_tcp_flows: u64,
    /// Fragmented datagrams that were dropped for want of room.
    pub evicted_fragments: u64,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// Independent parts of the flow table. Their number never depends on the threads, so neither does what a limit drops.
const SHARDS: usize = 16;

/// Below this many flows the table is one part: a limit so small is meant exactly.
const MIN_SHARDED_FLOWS: usize = 65_536;

/// Batches that may wait for a worker: enough to even out bursts, little enough to stay in cache.
const QUEUE: usize = 8;

/// Analyses what `run` reads, on `settings.threads` workers beside the calling thread, which reads.
///
/// `stop` ends the reading early; what was read until then is analysed. `progress` is called now and then with bytes read, bytes in all if that
/// is known, and packets read.
pub fn analyze(
    mut run: Run,
    settings: &Settings,
    catalogue: &Catalogue,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, Option<u64>, u64),
) -> Analysis {
    let names = Names::default();
    let shards = if settings.max_flows < MIN_SHARDED_FLOWS {
        1
    } else {
        SHARDS
    };
    let threads = settings.threads.clamp(1, shards);
    let barrier = Barrier::new(threads + 1);
    let (give_back, empties) = crossbeam_channel::unbounded();
    let mut remains = Remains::default();
    let mut parts = Vec::new();
    std::thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut workers = Vec::new();
        for _ in 0..threads {
            let (sender, jobs) = crossbeam_channel::bounded::<reader::Job>(QUEUE);
            senders.push(sender);
            let mut worker = Worker::new(shards, settings, catalogue, &names);
            let (give_back, barrier) = (give_back.clone(), &barrier);
            let (last_sender, last) = crossbeam_channel::bounded(1);
            let handle = scope.spawn(move || {
                for mut job in jobs {
                    worker.job(&job);
                    job.items.clear();
                    // nobody takes it when the reader is done
                    drop(give_back.send(std::mem::take(&mut job.items)));
                }
                // names from all workers' DNS must be there before any flow is judged for them
                barrier.wait();
                worker.finish(last.recv().unwrap_or_default())
            });
            workers.push((last_sender, handle));
        }
        let mut dispatcher = Dispatcher::new(senders, empties, shards);
        let mut batch = Batch::default();
        let mut packets = 0;
        while run.next(&mut batch) {
            packets += batch.packets.len() as u64;
            if !dispatcher.batch(&batch) {
                break;
            }
            let (read, total) = run.progress();
            progress(read, total, packets);
            if stop.load(Ordering::Relaxed) {
                remains.interrupted = true;
                break;
            }
        }
        remains.interrupted |= stop.load(Ordering::Relaxed);
        remains.evicted_fragments = dispatcher.finish();
        (remains.first, remains.last) = (dispatcher.first, dispatcher.last);
        remains.pauses = std::mem::take(&mut dispatcher.pauses);
        remains.undecoded = std::mem::take(&mut dispatcher.undecoded);
        drop(dispatcher);
        barrier.wait();
        for (last, _) in &workers {
            // a worker that is gone reads nothing
            last.send(remains.last.unwrap_or_default()).ok();
        }
        for (_, handle) in workers {
            if let Ok((flows, undecoded, evicted)) = handle.join() {
                parts.extend(flows);
                for (place, count) in undecoded {
                    *remains.undecoded.entry(place).or_default() += count;
                }
                remains.evicted = (remains.evicted.0 + evicted.0, remains.evicted.1 + evicted.1);
            }
        }
    });
    remains.files = run.finish();
    let hosts: Vec<_> = remains
        .files
        .iter()
        .flat_map(|file| file.host_names.iter().cloned())
        .collect();
    let book = names.book(&hosts);
    collector::collect(parts, remains, book, settings, catalogue)
}
