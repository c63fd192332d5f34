use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::filter::Filter;
use super::source::{BATCH, Source};
use super::stream::Stream;
use super::window::BUFFER;
use super::{Batch, CaptureError, CaptureFile, CaptureInterface, Packet};
use crate::types::Timestamp;

/// Packets of one file in a row that are handed on without copying; shorter runs of several files are gathered in one buffer.
const LONG_RUN: usize = 256;

/// Bytes of each of many files that are read to learn its first packet's time.
const GLANCE: u64 = 1 << 17;

/// What is wanted of the captures of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A capture filter, pcap-filter(7). Needs the feature `live`. Packets that it rejects keep their frame numbers and count for nothing else.
    pub filter: Option<String>,
    /// The most packets to read, over all captures in time order; none means all. Only packets within it count anywhere.
    pub count: Option<u64>,
    /// The most bytes of a packet to look at; none means all that were captured.
    pub snap_length: Option<u32>,
    /// Whether to hash each file.
    pub hash: bool,
}

/// Captures that are read as one, in time order.
///
/// Packets of one file keep their order, whatever their times; between files the earlier time goes first, and of equal times the file that was
/// named first. Files are opened when their time comes, so a rotated capture of thousands of files is no burden.
pub struct Run {
    inputs: Vec<Input>,
    /// When each file's next packet was captured, or the one before it where the next has not been looked at.
    due: BinaryHeap<Reverse<(Timestamp, usize)>>,
    gathered: Vec<Arc<Vec<u8>>>,
    read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    total: Option<u64>,
    filter: Option<Filter>,
    hash: bool,
    snap_length: Option<u32>,
    quota: Option<Quota>,
}

/// How many packets may still be handed on, and what was handed on of each file: files are read ahead of what is wanted of them.
struct Quota {
    left: u64,
    counted: BTreeMap<u16, Counted>,
}

/// What was handed on of one file.
#[derive(Default)]
struct Counted {
    packets: u64,
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Quota {
    /// Cuts a batch to what is left, and counts it.
    fn take(&mut self, packets: &mut Vec<Packet>) {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        packets.truncate(most);
        self.left -= packets.len() as u64;
        for packet in packets {
            let counted = self.counted.entry(packet.frame.capture()).or_default();
            counted.packets += 1;
            counted.bytes += u64::from(packet.wire);
            let time = packet.time;
            counted.first = Some(counted.first.map_or(time, |first| first.min(time)));
            counted.last = Some(counted.last.map_or(time, |last| last.max(time)));
        }
    }
}

struct Input {
    path: PathBuf,
    state: State,
    buffer: Arc<Vec<u8>>,
    packets: Vec<Packet>,
    at: usize,
    /// Packets that stand in an earlier file too, by that file.
    doubles: BTreeMap<usize, u64>,
}

enum State {
    /// A regular file whose time has not come.
    Waiting,
    Open(Box<Source>),
    Ended(Box<CaptureFile>),
}

impl Run {
    /// Opens captures, `-` being standard input. Those that are none are left out and told; `Frame::capture` and [`Self::finish`] count the others, in
    /// the order given.
    #[must_use]
    pub fn open(paths: &[PathBuf], options: &Options) -> (Self, Vec<CaptureError>) {
        Self::open_until(paths, options, &Arc::default())
    }

    /// The same; once `stop` is set, nothing more is waited for from a pipe whose writer is slow.
    #[must_use]
    pub fn open_until(
        paths: &[PathBuf],
        options: &Options,
        stop: &Arc<AtomicBool>,
    ) -> (Self, Vec<CaptureError>) {
        let mut run = Self {
            stop: Arc::clone(stop),
            ..Self::new(options)
        };
        let mut errors = Vec::new();
        match options.filter.as_deref().map(Filter::new).transpose() {
            Ok(filter) => run.filter = filter,
            Err(error) => return (run, vec![error]),
        }
        let alone = paths.len() == 1;
        run.total = Some(0);
        for path in paths {
            let size = regular_size(path);
            let opened = match size {
                // its first packet's time decides when it is opened again
                Some(_) if !alone => run.look_at(path),
                _ => run.open_now(path, Stream::open(path, run.hash, &run.read, &run.stop)),
            };
            match opened {
                Ok(()) => {
                    run.total = run.total.zip(size).map(|(sum, size)| sum + size);
                }
                Err(error) => errors.push(error),
            }
        }
        (run, errors)
    }

    /// Reads a capture from any reader; `name` stands for its path.
    pub fn read(
        name: &str,
        reader: Box<dyn Read + Send>,
        options: &Options,
    ) -> Result<Self, CaptureError> {
        let mut run = Self::new(options);
        run.filter = options.filter.as_deref().map(Filter::new).transpose()?;
        let stream = Stream::over(name.to_owned(), reader, false, run.hash, &run.read);
        run.open_now(Path::new(name), stream)?;
        Ok(run)
    }

    fn new(options: &Options) -> Self {
        Self {
            inputs: Vec::new(),
            due: BinaryHeap::new(),
            gathered: Vec::new(),
            read: Arc::default(),
            stop: Arc::default(),
            total: None,
            filter: None,
            hash: options.hash,
            snap_length: options.snap_length,
            quota: options.count.map(|left| Quota {
                left,
                counted: BTreeMap::new(),
            }),
        }
    }

    /// How many captures there are.
    #[must_use]
    pub fn captures(&self) -> usize {
        self.inputs.len()
    }

    /// Stored bytes read so far, and how many there are where that is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// Replaces what is in `batch` by the next packets, 4096 at most; false at the end.
    pub fn next(&mut self, batch: &mut Batch) -> bool {
        batch.packets.clear();
        if self.quota.as_ref().is_some_and(|quota| quota.left == 0) || !self.fill(batch) {
            return false;
        }
        if let Some(quota) = &mut self.quota {
            quota.take(&mut batch.packets);
        }
        if let Some(most) = self.snap_length {
            for packet in &mut batch.packets {
                packet.captured = packet.captured.min(most);
            }
        }
        true
    }

    fn fill(&mut self, batch: &mut Batch) -> bool {
        if let [
            Input {
                state: State::Open(source),
                ..
            },
        ] = self.inputs.as_mut_slice()
        {
            return match source.fill(&mut batch.packets) {
                Some(buffer) => {
                    batch.bytes = buffer;
                    true
                }
                None => false,
            };
        }
        self.next_of_many(batch)
    }

    fn next_of_many(&mut self, batch: &mut Batch) -> bool {
        let mut buffer = None;
        while let Some(Reverse((_, which))) = self.due.pop() {
            let Some(head) = self.load(which) else {
                continue;
            };
            let next = self.due.peek().map(|Reverse(next)| *next);
            if let Some(next) = next {
                if (head, which) > next {
                    self.due.push(Reverse((head, which)));
                    continue;
                }
                if head == next.0 {
                    self.compare(which, next.1);
                }
            }
            let run = self.run_length(
                which,
                next.map(|(time, _)| time),
                BATCH - batch.packets.len(),
            );
            let Some(input) = self.inputs.get_mut(which) else {
                continue;
            };
            if run >= LONG_RUN || next.is_none() {
                if !batch.packets.is_empty() {
                    self.due.push(Reverse((head, which)));
                    break;
                }
                batch
                    .packets
                    .extend_from_slice(&input.packets[input.at..input.at + run]);
                batch.bytes = Arc::clone(&input.buffer);
                input.at += run;
                self.postpone(which);
                return true;
            }
            let gathered = buffer.get_or_insert_with(|| take(&mut self.gathered));
            let Some(bytes) = Arc::get_mut(gathered) else {
                break;
            };
            let mut full = false;
            for packet in &input.packets[input.at..input.at + run] {
                full = bytes.len() + packet.captured as usize > BUFFER;
                if full && !batch.packets.is_empty() {
                    break;
                }
                let start = packet.start as usize;
                let captured = input.buffer.get(start..start + packet.captured as usize);
                batch.packets.push(Packet {
                    start: bytes.len() as u32,
                    ..*packet
                });
                bytes.extend_from_slice(captured.unwrap_or_default());
                input.at += 1;
            }
            self.postpone(which);
            if full || batch.packets.len() >= BATCH {
                break;
            }
        }
        if let Some(buffer) = buffer {
            batch.bytes = Arc::clone(&buffer);
            self.gathered.push(buffer);
        }
        !batch.packets.is_empty()
    }

    /// What the file of a packet that has just been handed on says of its interface.
    #[must_use]
    pub fn interface(&self, packet: &Packet) -> Option<CaptureInterface> {
        match &self.inputs.get(usize::from(packet.frame.capture()))?.state {
            State::Waiting => None,
            State::Open(source) => source.interface(packet.interface),
            State::Ended(file) => file.interfaces.get(usize::from(packet.interface)).cloned(),
        }
    }

    /// What was read of each capture, in the order given.
    #[must_use]
    pub fn finish(self) -> Vec<CaptureFile> {
        let paths: Vec<String> = self
            .inputs
            .iter()
            .map(|input| input.path.display().to_string())
            .collect();
        let mut quota = self.quota;
        let finished = (0_u16..).zip(self.inputs).map(|(which, input)| {
            let mut file = match input.state {
                State::Waiting => CaptureFile {
                    path: input.path.display().to_string(),
                    ..CaptureFile::default()
                },
                State::Open(source) => source.finish(),
                State::Ended(file) => *file,
            };
            if let Some(quota) = &mut quota {
                let counted = quota.counted.remove(&which).unwrap_or_default();
                (file.packets, file.bytes) = (counted.packets, counted.bytes);
                (file.first, file.last) = (counted.first, counted.last);
            }
            for (earlier, count) in input.doubles {
                let earlier = paths.get(earlier).map_or("", String::as_str);
                file.warnings.push(format!(
                    "at least {count} packets stand in {earlier} too, with the same times and bytes; they are counted twice"
                ));
            }
            file
        });
        finished.collect()
    }

    fn open_now(
        &mut self,
        path: &Path,
        stream: Result<(Stream, Box<dyn Read + Send>), CaptureError>,
    ) -> Result<(), CaptureError> {
        let (stream, reader) = stream?;
        let capture = self.next_index(path)?;
        let source = Source::open(stream, reader, self.filter.clone(), capture)?;
        self.add(path, State::Open(Box::new(source)), Timestamp(i64::MIN));
        Ok(())
    }

    /// Reads a regular file's first packet and closes it again.
    fn look_at(&mut self, path: &Path) -> Result<(), CaptureError> {
        let capture = self.next_index(path)?;
        let (stream, reader) = Stream::open(path, false, &Arc::default(), &self.stop)?;
        let reader = Box::new(reader.take(GLANCE));
        let mut source = Source::open(stream, reader, self.filter.clone(), capture)?;
        source.forget_filter();
        let mut packets = Vec::new();
        let _ = source.fill(&mut packets);
        let first = packets
            .first()
            .map_or(Timestamp(i64::MIN), |packet| packet.time);
        self.add(path, State::Waiting, first);
        Ok(())
    }

    /// The next capture's place, which a frame keeps in 16 bits.
    fn next_index(&self, path: &Path) -> Result<u16, CaptureError> {
        u16::try_from(self.inputs.len()).map_err(|_| CaptureError::Io {
            path: path.display().to_string(),
            source: io::Error::other("more than 65,536 captures in one run"),
        })
    }

    fn add(&mut self, path: &Path, state: State, due: Timestamp) {
        self.due.push(Reverse((due, self.inputs.len())));
        self.inputs.push(Input {
            path: path.to_owned(),
            state,
            buffer: Arc::default(),
            packets: Vec::new(),
            at: 0,
            doubles: BTreeMap::new(),
        });
    }

    /// The time of a file's next packet; `None` at its end.
    fn load(&mut self, which: usize) -> Option<Timestamp> {
        let (filter, hash) = (self.filter.as_ref(), self.hash);
        let input = self.inputs.get_mut(which)?;
        if matches!(input.state, State::Waiting) {
            let source = Stream::open(&input.path, hash, &self.read, &self.stop).and_then(
                |(stream, reader)| Source::open(stream, reader, filter.cloned(), which as u16),
            );
            input.state = match source {
                Ok(source) => State::Open(Box::new(source)),
                // it could be read a moment ago
                Err(error) => State::Ended(Box::new(CaptureFile {
                    path: input.path.display().to_string(),
                    truncated: true,
                    warnings: vec![format!("changed while it was read: {error}")],
                    ..CaptureFile::default()
                })),
            };
        }
        while input.at >= input.packets.len() {
            input.at = 0;
            input.packets.clear();
            let State::Open(source) = &mut input.state else {
                return None;
            };
            if let Some(buffer) = source.fill(&mut input.packets) {
                input.buffer = buffer;
                continue;
            }
            input.buffer = Arc::default();
            if let State::Open(source) = std::mem::replace(&mut input.state, State::Waiting) {
                input.state = State::Ended(Box::new(source.finish()));
            }
            return None;
        }
        input.packets.get(input.at).map(|packet| packet.time)
    }

    /// Puts a file back in line; where its next packet has not been read, by the time of the last.
    fn postpone(&mut self, which: usize) {
        if let Some(input) = self.inputs.get(which) {
            let packet = input.packets.get(input.at).or(input.packets.last());
            if let Some(packet) = packet {
                self.due.push(Reverse((packet.time, which)));
            }
        }
    }

    /// How many packets of a file come before `next`, the next time of any other; one at least.
    fn run_length(&self, which: usize, next: Option<Timestamp>, limit: usize) -> usize {
        let Some(input) = self.inputs.get(which) else {
            return 0;
        };
        let rest = input.packets.get(input.at..).unwrap_or_default();
        let rest = rest.get(..limit).unwrap_or(rest);
        match next {
            None => rest.len(),
            Some(next) => {
                let later = rest.iter().skip(1).take_while(|packet| packet.time < next);
                rest.len().min(1 + later.count())
            }
        }
    }

    /// Counts a packet that is next in two files at once, bytes and all.
    fn compare(&mut self, one: usize, other: usize) {
        if self.load(other).is_none() {
            return;
        }
        let (earlier, later) = (one.min(other), one.max(other));
        let head = |which: usize| {
            let input = self.inputs.get(which)?;
            let packet = input.packets.get(input.at)?;
            let start = packet.start as usize;
            let bytes = input.buffer.get(start..start + packet.captured as usize)?;
            Some((packet.time, packet.wire, packet.link, bytes))
        };
        let same = head(earlier).is_some_and(|a| head(later) == Some(a));
        if let (true, Some(input)) = (same, self.inputs.get_mut(later)) {
            *input.doubles.entry(earlier).or_default() += 1;
        }
    }
}

/// The size of a regular file, or of what a link to one leads to.
fn regular_size(path: &Path) -> Option<u64> {
    let facts = path.metadata().ok()?;
    (facts.is_file() && path.as_os_str() != "-").then_some(facts.len())
}

/// An empty buffer to gather packets in: one that nobody holds any more, or a new one.
fn take(pool: &mut Vec<Arc<Vec<u8>>>) -> Arc<Vec<u8>> {
    let free = pool
        .iter_mut()
        .position(|buffer| Arc::get_mut(buffer).is_some());
    let mut buffer = free.map_or_else(
        || Arc::new(Vec::with_capacity(BUFFER)),
        |place| pool.swap_remove(place),
    );
    if let Some(bytes) = Arc::get_mut(&mut buffer) {
        bytes.clear();
    }
    buffer
}
