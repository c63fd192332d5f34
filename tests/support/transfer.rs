//! A bulk transfer over a path that may lose, police or queue: a sender with slow start, SACK and time-outs, a receiver that acknowledges
//! every second segment.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::wire::{ACK, PSH};
use super::{SEGMENT, Segment, Side, Trace, ms};

/// Bytes that IP and TCP put before a segment's data.
const HEADERS: usize = 52;

/// What the path does to the data of one transfer.
#[derive(Clone)]
pub(crate) struct Path {
    /// Bits a second of the access line.
    line: u64,
    /// Bits a second and bytes of a token bucket that drops.
    policer: Option<(u64, u64)>,
    /// Bits a second, bytes of bucket, and bytes of queue of one that queues.
    shaper: Option<(u64, u64, u64)>,
    /// Packets lost of a thousand.
    loss: u64,
}

impl Path {
    /// An access line of 20 Mbit/s and nothing else.
    pub(crate) const fn clear() -> Self {
        Self {
            line: 20_000_000,
            policer: None,
            shaper: None,
            loss: 0,
        }
    }

    /// What is over `rate` bit/s is dropped once `bucket` bytes are spent.
    pub(crate) const fn policed(mut self, rate: u64, bucket: u64) -> Self {
        self.policer = Some((rate, bucket));
        self
    }

    /// What is over `rate` bit/s waits once `bucket` bytes are spent, up to `queue` bytes.
    pub(crate) const fn shaped(mut self, rate: u64, bucket: u64, queue: u64) -> Self {
        self.shaper = Some((rate, bucket, queue));
        self
    }

    /// So many of a thousand packets are dropped.
    pub(crate) const fn losing(mut self, of_thousand: u64) -> Self {
        self.loss = of_thousand;
        self
    }
}

/// The path's memory.
struct Wire {
    path: Path,
    owd: i64,
    line_free: i64,
    tokens: f64,
    filled: i64,
    shaper_free: i64,
}

impl Wire {
    fn new(path: &Path, owd: i64, start: i64) -> Self {
        let bucket = path.policer.map(|(_, bucket)| bucket);
        let bucket = bucket.or(path.shaper.map(|(_, bucket, _)| bucket));
        Self {
            path: path.clone(),
            owd,
            line_free: start,
            tokens: bucket.unwrap_or(0) as f64,
            filled: start,
            shaper_free: start,
        }
    }

    /// When a packet of `size` bytes leaves the sender.
    fn departs(&mut self, now: i64, size: usize) -> i64 {
        let at = now.max(self.line_free);
        self.line_free = at + takes(size, self.path.line);
        at
    }

    /// When it arrives, if it does; `luck` is a number below 1,000.
    fn arrives(&mut self, departed: i64, size: usize, luck: u64) -> Option<i64> {
        let mut at = departed + self.owd / 2;
        if luck < self.path.loss {
            return None;
        }
        let limits = self.path.policer.map(|(rate, bucket)| (rate, bucket, None));
        let limits = limits.or(self
            .path
            .shaper
            .map(|(rate, bucket, queue)| (rate, bucket, Some(queue))));
        if let Some((rate, bucket, queue)) = limits {
            let earned = (at - self.filled) as f64 * rate as f64 / 8e9;
            self.tokens = (self.tokens + earned).min(bucket as f64);
            self.filled = at;
            match queue {
                None if self.tokens < size as f64 => return None,
                None => self.tokens -= size as f64,
                // a debt of tokens is the queue
                Some(queue) if self.tokens - (size as f64) < -(queue as f64) => return None,
                Some(_) => {
                    self.tokens -= size as f64;
                    at += (-self.tokens).max(0.0) as i64 * 8_000_000_000 / rate as i64;
                    at = at.max(self.shaper_free);
                    self.shaper_free = at;
                }
            }
        }
        Some(at + self.owd - self.owd / 2)
    }
}

/// Nanoseconds that `bytes` take at `rate` bit/s.
const fn takes(bytes: usize, rate: u64) -> i64 {
    (bytes as u64 * 8_000_000_000 / rate) as i64
}

/// One segment of the transfer, as the sender sees it.
#[derive(Clone, Default)]
struct Part {
    sent: Option<i64>,
    delivered: bool,
    lost: bool,
}

#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    /// A segment reaches the receiver.
    Data { part: usize },
    /// The receiver has waited long enough for a second segment.
    LateAck,
    /// An acknowledgement reaches the sender: everything below, and these beyond.
    Ack { below: usize, beyond: Vec<usize> },
    /// Time to look at timers and the application.
    Look,
}

/// The longest series of time-outs before the sender gives up.
const PATIENCE: u32 = 5;

impl Trace {
    /// Sends `data` over `path` and moves the clock to where all of it is acknowledged or given up.
    pub(super) fn send(mut self, from: Side, data: &[u8], path: &Path) -> Self {
        let flow = self.newest();
        let (now, owd) = (flow.now, flow.rtt / 2);
        // the server begins when the client's last word has reached it
        let start = if from == Side::Server { now + owd } else { now };
        let mut transfer = Transfer {
            from,
            first: flow.end(from).next,
            parts: vec![Part::default(); data.len().div_ceil(SEGMENT)],
            length: data.len(),
            wire: Wire::new(path, owd, start),
            window: 10.0,
            threshold: f64::MAX,
            recovery: start,
            timeouts: 0,
            progress: start,
            have: BTreeSet::new(),
            below: 0,
            waiting: 0,
            newest_ack: 0,
            events: BinaryHeap::new(),
            look: i64::MAX,
            heard: start,
        };
        transfer.look_at(start);
        let mut last = start;
        while let Some(Reverse((at, event))) = transfer.events.pop() {
            let done = transfer.newest_ack == transfer.parts.len();
            if done || transfer.timeouts > PATIENCE {
                break;
            }
            last = at;
            transfer.on(at, event, data, &mut self);
        }
        if transfer.timeouts > PATIENCE {
            // the other end has waited for more and loses patience first
            last = transfer.heard + ms(3_000);
        }
        let flow = self.newest();
        flow.now = last + if from == Side::Server { owd } else { 0 };
        let end = transfer.first.wrapping_add(data.len() as u32);
        flow.end(from).next = end;
        flow.end(from.other()).heard = transfer.place(transfer.below);
        self
    }
}

struct Transfer {
    from: Side,
    first: u32,
    parts: Vec<Part>,
    length: usize,
    wire: Wire,
    /// Congestion window and slow-start threshold, in segments (RFC 5681).
    window: f64,
    threshold: f64,
    /// Before then the window is not cut again: once a round trip is enough.
    recovery: i64,
    timeouts: u32,
    /// When the sender last heard something new.
    progress: i64,
    /// What the receiver has beyond `below`.
    have: BTreeSet<usize>,
    below: usize,
    /// Segments that wait for an acknowledgement.
    waiting: u32,
    /// Parts that the sender knows arrived in order.
    newest_ack: usize,
    events: BinaryHeap<Reverse<(i64, Event)>>,
    /// When the sender looks at its timers next; later looks are stale.
    look: i64,
    /// When the receiver last got anything.
    heard: i64,
}

impl Transfer {
    fn later(&mut self, at: i64, event: Event) {
        self.events.push(Reverse((at, event)));
    }

    /// Looks at the timers then, unless sooner anyway.
    fn look_at(&mut self, at: i64) {
        if at < self.look {
            self.look = at;
            self.later(at, Event::Look);
        }
    }

    /// The sequence number where a part begins.
    fn place(&self, part: usize) -> u32 {
        self.first
            .wrapping_add((part * SEGMENT).min(self.length) as u32)
    }

    fn timeout(&self) -> i64 {
        (ms(200) + 4 * self.wire.owd) << self.timeouts
    }

    fn on(&mut self, now: i64, event: Event, data: &[u8], trace: &mut Trace) {
        match event {
            Event::Data { part } => self.receive(now, part, trace),
            Event::LateAck => {
                if self.waiting > 0 {
                    self.acknowledge(now, trace);
                }
            }
            Event::Ack { below, beyond } => {
                self.acknowledged(now, below, &beyond);
                self.pump(now, data, trace);
            }
            Event::Look if now != self.look => {}
            Event::Look => {
                self.look = i64::MAX;
                let outstanding = self
                    .parts
                    .iter()
                    .any(|part| part.sent.is_some() && !part.delivered);
                if outstanding && now >= self.progress + self.timeout() {
                    for part in self
                        .parts
                        .iter_mut()
                        .filter(|part| part.sent.is_some() && !part.delivered)
                    {
                        part.lost = true;
                    }
                    self.timeouts += 1;
                    self.threshold = (self.window / 2.0).max(2.0);
                    self.window = 1.0;
                    self.progress = now;
                }
                self.pump(now, data, trace);
            }
        }
    }

    /// Sends what the window and the losses allow.
    fn pump(&mut self, now: i64, data: &[u8], trace: &mut Trace) {
        let mut flying = self
            .parts
            .iter()
            .filter(|part| part.sent.is_some() && !part.delivered && !part.lost)
            .count();
        while (flying as f64) < self.window {
            let lost = self
                .parts
                .iter()
                .position(|part| part.lost && !part.delivered);
            let Some(number) =
                lost.or_else(|| self.parts.iter().position(|part| part.sent.is_none()))
            else {
                break;
            };
            let bytes = &data[number * SEGMENT..self.length.min((number + 1) * SEGMENT)];
            let size = bytes.len() + HEADERS;
            let at = self.wire.departs(now, size);
            let luck = trace.chance.below(1_000);
            let arrives = self.wire.arrives(at, size, luck);
            let flags = if number + 1 == self.parts.len() {
                PSH | ACK
            } else {
                ACK
            };
            trace.segment(&Segment {
                from: self.from,
                at,
                arrives,
                seq: self.place(number),
                flags,
                payload: bytes,
                sack: &[],
            });
            if let Some(arrives) = arrives {
                self.later(arrives, Event::Data { part: number });
            }
            if flying == 0 {
                self.progress = self.progress.max(at);
            }
            (self.parts[number].sent, self.parts[number].lost) = (Some(at), false);
            flying += 1;
        }
        self.look_at((self.progress + self.timeout()).max(now + 1));
    }

    fn receive(&mut self, now: i64, part: usize, trace: &mut Trace) {
        let in_order = part == self.below && self.have.is_empty();
        if part >= self.below {
            self.have.insert(part);
        }
        while self.have.remove(&self.below) {
            self.below += 1;
        }
        self.waiting += 1;
        self.heard = now;
        if self.waiting >= 2 || !in_order {
            self.acknowledge(now, trace);
        } else {
            self.later(now + ms(40), Event::LateAck);
        }
    }

    fn acknowledge(&mut self, now: i64, trace: &mut Trace) {
        self.waiting = 0;
        let to = self.from.other();
        let mut sack: Vec<(u32, u32)> = Vec::new();
        for part in &self.have {
            let (from, to) = (self.place(*part), self.place(part + 1));
            match sack.last_mut() {
                Some(block) if block.1 == from => block.1 = to,
                _ => sack.push((from, to)),
            }
        }
        // the newest first, three beside time stamps (RFC 2018, section 3)
        sack.reverse();
        sack.truncate(3);
        trace.newest().end(to).heard = self.place(self.below);
        let arrives = now + self.wire.owd;
        let seq = trace.newest().end(to).next;
        trace.segment(&Segment {
            from: to,
            at: now,
            arrives: Some(arrives),
            seq,
            flags: ACK,
            payload: &[],
            sack: &sack,
        });
        let beyond = self.have.iter().copied().collect();
        self.later(
            arrives,
            Event::Ack {
                below: self.below,
                beyond,
            },
        );
    }

    /// The sender learns what arrived, and from what was sent later and arrived, what did not (RFC 8985).
    fn acknowledged(&mut self, now: i64, below: usize, beyond: &[usize]) {
        self.newest_ack = self.newest_ack.max(below);
        let mut fresh = 0.0;
        let mut newest_sent = i64::MIN;
        for number in (0..below).chain(beyond.iter().copied()) {
            let part = &mut self.parts[number];
            if !part.delivered {
                part.delivered = true;
                fresh += 1.0;
                newest_sent = newest_sent.max(part.sent.unwrap_or(i64::MIN));
            }
        }
        if fresh > 0.0 {
            (self.progress, self.timeouts) = (now, 0);
        }
        if self.window < self.threshold {
            self.window += fresh;
        } else {
            self.window += fresh / self.window;
        }
        let reordering = self.wire.owd / 2;
        let mut losses = false;
        for part in self
            .parts
            .iter_mut()
            .filter(|part| !part.delivered && !part.lost)
        {
            if part
                .sent
                .is_some_and(|sent| sent.saturating_add(reordering) < newest_sent)
            {
                part.lost = true;
                losses = true;
            }
        }
        if losses && now >= self.recovery {
            self.threshold = (self.window * 0.7).max(2.0);
            self.window = self.threshold;
            self.recovery = now + 2 * self.wire.owd;
        }
    }
}
