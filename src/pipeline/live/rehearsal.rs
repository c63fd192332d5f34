//! A live run over captures: the same steps in packet time, without threads and without waiting.

use std::sync::Mutex;

use super::desk::Desk;
use super::{
    Board, InterfaceStatus, Next, RATES, Reader, Sight, Source, Sums, TICK, judge, shards,
};
use crate::capture::{Batch, CaptureFile, CaptureInterface, Packet, Run};
use crate::detect::Level;
use crate::facts::Loss;
use crate::pipeline::names::Names;
use crate::pipeline::reader::{Dispatcher, PAUSE};
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
    rehearse_and_keep(run, settings, catalogue, least, &mut |_, _| {}, see)
}

/// Takes packets on their way to the workers, and who knows what their source says of their interfaces.
pub type Tap<'a> = dyn FnMut(&Batch, &dyn Fn(&Packet) -> Option<CaptureInterface>) + Send + 'a;

/// The same; `tap` sees the packets of each tick before they are judged.
pub fn rehearse_and_keep(
    run: Run,
    settings: &Settings,
    catalogue: &Catalogue,
    least: Level,
    tap: &mut Tap<'_>,
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
    let (mut reader, mut captures) = (Reader::default(), Captures::new(run, tap));
    while let Some(next) = reader.step(&mut captures, &mut dispatcher, &board) {
        while let Ok(mut job) = jobs.try_recv() {
            if let Some(now) = job.tick {
                let told = worker.tick(now, true);
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
struct Captures<'t, 'a> {
    tap: &'t mut Tap<'a>,
    run: Option<Run>,
    files: Vec<CaptureFile>,
    read: Batch,
    at: usize,
    due: Option<Timestamp>,
    /// The last packet that was given out.
    last: Timestamp,
}

impl<'t, 'a> Captures<'t, 'a> {
    fn new(run: Run, tap: &'t mut Tap<'a>) -> Self {
        Self {
            tap,
            run: Some(run),
            files: Vec::new(),
            read: Batch {
                bytes: std::sync::Arc::new(Vec::new()),
                packets: Vec::new(),
            },
            at: 0,
            due: None,
            last: Timestamp(i64::MIN),
        }
    }
}

impl Source for Captures<'_, '_> {
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
        if let Some(run) = &self.run {
            (self.tap)(batch, &|packet| run.interface(packet));
        }
        let last = batch.packets.iter().map(|packet| packet.time).max();
        self.last = last.unwrap_or(self.last).max(self.last);
        let reached = match (last, rest.get(batch.packets.len())) {
            (Some(last), None) => last,
            (_, next) => {
                // a pause is ticked through until it is known as one, and then left behind, be it years long; the packet that ends it comes before
                // the tick, so that nobody takes the time between for silence
                let pauses = due.since(self.last) > PAUSE;
                let next = next.filter(|_| pauses).map(|packet| packet.time.plus(1));
                self.due = Some(due.plus(TICK).max(next.unwrap_or(due)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Options;

    /// A capture of raw IP with an empty packet at each of `seconds`.
    fn capture(seconds: &[u32]) -> Run {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
            bytes.extend(word.to_le_bytes());
        }
        for second in seconds {
            for word in [*second, 0, 0, 0] {
                bytes.extend(word.to_le_bytes());
            }
        }
        let reader = Box::new(std::io::Cursor::new(bytes));
        Run::read("made", reader, &Options::default()).unwrap()
    }

    #[test]
    fn ten_years_without_a_packet_are_left_behind_after_two_minutes_and_two_minutes_are_ticked_through()
     {
        let slices = |seconds: &[u32]| {
            let mut tap = |_: &Batch, _: &dyn Fn(&Packet) -> Option<CaptureInterface>| {};
            let mut source = Captures::new(capture(seconds), &mut tap);
            let mut batch = Batch::default();
            let (mut packets, mut reached) = (0, Timestamp(i64::MIN));
            for slices in 1..100_000 {
                let next = source.next(&mut batch);
                assert!(next.reached >= reached, "time went back");
                reached = next.reached;
                packets += batch.packets.len();
                if next.over {
                    assert_eq!(packets, seconds.len());
                    return slices;
                }
            }
            panic!("ticked on and on");
        };
        let ticks = |seconds: i64| seconds * 1_000_000_000 / TICK;
        let years = slices(&[1_000_000_000, 1_315_000_000]);
        assert!((ticks(120)..ticks(125)).contains(&years), "{years}");
        let minutes = slices(&[1_000_000_000, 1_000_000_119]);
        assert!((ticks(119)..ticks(122)).contains(&minutes), "{minutes}");
    }
}
