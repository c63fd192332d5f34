//! The view of a run that goes on, on a thread of its own.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use dpiscope::pipeline::live::Sight;
use dpiscope::report::{Finding, Input};
use dpiscope::service::Catalogue;
use dpiscope::types::Timestamp;

use super::meter::Meter;
use super::state::{Live, Outcome, Snapshot};
use super::{Left, by_word, keep_last, refused, report, row_of, terminal};
use crate::cli::Failure;

/// Time between two reports, in nanoseconds; and after one that took long, so many times as long as that took.
const EVERY: i64 = 500_000_000;
const REST: i64 = 10;

/// Lines that wait to be shown, the last ones.
const MOST_WAITING: usize = 200;

/// What waits for the view: never more than one report, the last.
#[derive(Debug, Default)]
struct Inbox {
    shot: Option<Snapshot>,
    news: Vec<String>,
}

impl Inbox {
    /// Leaves a report, in place of one that nobody took.
    fn put(&mut self, shot: Snapshot) {
        self.shot = Some(shot);
    }

    fn say(&mut self, line: String) {
        self.news.push(line);
        let surplus = self.news.len().saturating_sub(MOST_WAITING);
        self.news.drain(..surplus);
    }

    /// What was left, with all that was said meanwhile.
    fn take(&mut self) -> Option<Snapshot> {
        let mut shot = self.shot.take()?;
        shot.news = mem::take(&mut self.news);
        Some(shot)
    }
}

/// A view of a run that goes on.
pub(crate) struct Watch {
    inbox: Arc<Mutex<Inbox>>,
    thread: JoinHandle<io::Result<Outcome>>,
    meter: Meter,
    source: String,
    due: Timestamp,
}

impl Watch {
    /// Takes the terminal; `stop` ends the view, and is set when the user leaves it. `given_back` is set once the terminal is as it was.
    pub(crate) fn start(
        source: String,
        stop: &Arc<AtomicBool>,
        given_back: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let inbox = Arc::<Mutex<Inbox>>::default();
        let thread = {
            let inbox = Arc::clone(&inbox);
            let gone = Gone {
                given_back: Arc::clone(given_back),
                stop: Arc::clone(stop),
            };
            std::thread::Builder::new()
                .name("view".to_owned())
                .spawn(move || {
                    let gone = gone;
                    terminal::attend(&gone.stop, &mut || lock(&inbox).take())
                })
                .map_err(|error| Failure::refused(format!("--tui: no thread: {error}")))?
        };
        Ok(Self {
            inbox,
            thread,
            meter: Meter::default(),
            source,
            due: Timestamp(i64::MIN),
        })
    }

    /// Whether a report is due at `now` by the clock of whoever looks.
    pub(crate) fn is_due(&self, now: Timestamp, over: bool) -> bool {
        over || now >= self.due
    }

    /// Takes what is seen. `gone` are findings that were told and whose flows are not held any more.
    pub(crate) fn see<'f>(
        &mut self,
        sight: &Sight<'_>,
        input: &Input<'_>,
        catalogue: &Catalogue,
        memory: Option<u64>,
        gone: impl Iterator<Item = &'f Finding>,
    ) {
        let (flows, ids) = (&sight.analysis.around.flows, sight.flow_ids);
        let status = sight.status;
        (self.meter).take(status.now, flows, ids, &|service| {
            row_of(catalogue, service)
        });
        let mut report = report(input);
        let held: Vec<u64> = report.findings.iter().map(|one| one.id).collect();
        (report.findings).extend(gone.filter(|one| !held.contains(&one.id)).cloned());
        report.findings.sort_by_key(|one| (one.time, one.id));
        keep_last(&mut report);
        let shot = Snapshot {
            traffic: by_word(self.meter.rows(), catalogue),
            source: self.source.clone(),
            live: Some(Live {
                now: status.now,
                packets: status.packets().max(report.totals.packets),
                dropped: status.dropped(),
                lag_s: status.lag_ns as f64 / 1e9,
                memory,
                over: sight.over,
            }),
            news: Vec::new(),
            report,
        };
        lock(&self.inbox).put(shot);
    }

    /// The next report is due a while after this one, which was begun and ended at these times.
    pub(crate) fn rest(&mut self, begun: Timestamp, ended: Timestamp) {
        let took = ended.since(begun).max(0);
        self.due = ended.plus(EVERY.max(took.saturating_mul(REST)));
    }

    /// Says something to whoever looks.
    pub(crate) fn say(&self, line: &str) {
        lock(&self.inbox).say(line.to_owned());
    }

    /// Waits until the user has seen enough.
    pub(crate) fn end(self) -> Result<Left, Failure> {
        match self.thread.join() {
            Ok(left) => left.map(Left::from).map_err(|error| refused(&error)),
            Err(_) => Err(Failure::refused("--tui: the view ended before the run did")),
        }
    }
}

/// Tells that the view is gone, also where it panicked.
struct Gone {
    given_back: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        // in this order: whoever sees the run stop may write
        self.given_back.store(true, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// A view that panicked leaves nothing half done here.
fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}
