//! A live run over captures: the same steps in packet time, without threads and without waiting.

use std::sync::Mutex;

use super::desk::Desk;
use super::{
    Board, InterfaceStatus, Next, RATES, Reader, Sight, Source, Sums, TICK, judge, shards,
};
use crate::capture::{Batch, CaptureFile, Packet, Run};
use crate::detect::Level;
use crate::facts::Loss;
use crate::pipeline::names::Names;
use crate::pipeline::reader::Dispatcher;
use crate::pipeline::worker::Worker;
use crate::pipeline::{Analysis, Settings};
use crate::service::Catalogue;
use crate::types::Timestamp;

/// Judges `run` as if its packets came now, tick by tick: what a live run would have told, and when.
pub fn rehearse(
    run: Run,
    settings: &Settings,
    catalogue: &Catalogue,
    least: Level,
    see: &mut dyn FnMut(&Sight<'_>),
) -> Analysis {
    let names = Names::default();
    let (sender, jobs) = crossbeam_channel::unbounded();
    let (give_back, empties) = crossbeam_channel::unbounded();
    let mut dispatcher = Dispatcher::new(vec![sender], empties, shards(settings));
    let mut worker = Worker::watched(shards(settings), settings, catalogue, &names);
    let mut desk = Desk::new(settings, catalogue, least);
    let mut sums = Sums::new(1);
    let board = Mutex::new(Board::default());
    let mut rates_at = Timestamp(i64::MIN);
    let (mut reader, mut captures) = (Reader::default(), Captures::new(run));
    while let Some(next) = reader.step(&mut captures, &mut dispatcher, &board) {
        while let Ok(mut job) = jobs.try_recv() {
            if let Some(now) = job.tick {
                let told = worker.tick(now);
                sums.take(0, &told);
                desk.take(told);
                let rates_too = now >= rates_at;
                if rates_too {
                    rates_at = now.plus(RATES);
                }
                let judged = judge(&mut desk, &sums, &board, (rates_too, false), see);
                desk.back(judged.analysis);
            } else {
                worker.job(&job);
                job.items.clear();
                drop(give_back.send(job.items));
            }
        }
        if next.over {
            break;
        }
    }
    reader.end(&mut captures, dispatcher, &board);
    // fragments that never became whole may have left something
    for job in jobs {
        worker.job(&job);
    }
    let told = worker.end(reader.reached);
    sums.take(0, &told);
    desk.take(told);
    judge(&mut desk, &sums, &board, (true, true), see).analysis
}

/// Captures that are given out in slices of one tick.
struct Captures {
    run: Option<Run>,
    files: Vec<CaptureFile>,
    read: Batch,
    at: usize,
    due: Option<Timestamp>,
}

impl Captures {
    fn new(run: Run) -> Self {
        Self {
            run: Some(run),
            files: Vec::new(),
            read: Batch {
                bytes: std::sync::Arc::new(Vec::new()),
                packets: Vec::new(),
            },
            at: 0,
            due: None,
        }
    }
}

impl Source for Captures {
    fn next(&mut self, batch: &mut Batch) -> Next {
        batch.packets.clear();
        if self.at >= self.read.packets.len() {
            self.at = 0;
            let more = self
                .run
                .as_mut()
                .is_some_and(|run| run.next(&mut self.read));
            if !more {
                self.read.packets.clear();
                if let Some(run) = self.run.take() {
                    self.files = run.finish();
                }
                let last = self.files.iter().filter_map(|file| file.last).max();
                return Next {
                    reached: last.unwrap_or_default(),
                    more: false,
                    over: true,
                };
            }
        }
        let rest = self.read.packets.get(self.at..).unwrap_or_default();
        let due = *self.due.get_or_insert_with(|| {
            rest.first()
                .map_or(Timestamp::default(), |packet| packet.time.plus(TICK))
        });
        let early = |packet: &&Packet| packet.time < due;
        batch.packets.extend(rest.iter().take_while(early));
        batch.bytes = std::sync::Arc::clone(&self.read.bytes);
        self.at += batch.packets.len();
        let reached = match batch.packets.iter().map(|packet| packet.time).max() {
            Some(last) if batch.packets.len() == rest.len() => last,
            _ => {
                self.due = Some(due.plus(TICK));
                due
            }
        };
        Next {
            reached,
            more: true,
            over: false,
        }
    }

    fn wait(&mut self) {}

    fn files(&self) -> Vec<CaptureFile> {
        self.files.clone()
    }

    fn interfaces(&mut self) -> Vec<InterfaceStatus> {
        Vec::new()
    }

    fn losses(&mut self) -> Vec<Loss> {
        Vec::new()
    }

    fn news(&mut self) -> Vec<String> {
        Vec::new()
    }
}
