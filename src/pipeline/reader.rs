use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender};

use crate::capture::{Batch, LinkType};
use crate::decode::{Fragments, Peel, Peeled, Undecoded, peel};
use crate::types::{Frame, Timestamp};

/// Where a packet's innermost IP packet lies, and whose flow it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) hash: u64,
    pub(super) time: Timestamp,
    pub(super) frame: Frame,
    pub(super) start: u32,
    pub(super) captured: u32,
    pub(super) wire: u32,
    pub(super) vlan: [u16; 2],
}

/// Packets of one worker's flows, over the bytes they share.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) items: Vec<Item>,
    /// The clock has come so far; no earlier packet follows. Only in live runs, and with no packets.
    pub(super) tick: Option<Timestamp>,
}

/// Packets that could not be decoded, by capture and reason.
pub(super) type UndecodedCounts = BTreeMap<(u16, &'static str), u64>;

/// The shard that owns a flow: its hash's high bits; table slots use the low ones.
pub(super) const fn shard_of(hash: u64, shards: usize) -> usize {
    ((hash >> 32) as usize).wrapping_mul(shards) >> 32
}

/// Looks at each packet as far as it must to find the worker that owns its flow, and sends it there with its batch.
pub(super) struct Dispatcher {
    senders: Vec<Sender<Job>>,
    empties: Receiver<Vec<Item>>,
    pending: Vec<Vec<Item>>,
    shards: usize,
    fragments: Fragments,
    pub(super) undecoded: UndecodedCounts,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// The last packets before the capture paused, at most [`MOST_PAUSES`], the latest.
    pub(super) pauses: Vec<Timestamp>,
    /// How long a worker that is behind is waited for; for ever, where nothing is said. What it cannot take by then is dropped and counted.
    patience: Option<Duration>,
    /// Packets that no worker could take in time.
    pub(super) dropped: u64,
}

/// A capture without any packet for longer than this, in nanoseconds, is not known to have gone on: no sender waits longer before it tries again
/// (Linux's `TCP_RTO_MAX`).
pub(super) const PAUSE: i64 = 120_000_000_000;

/// Pauses that are kept: those of five days at least, since one takes two minutes.
const MOST_PAUSES: usize = 4_096;

impl Dispatcher {
    pub(super) fn new(
        senders: Vec<Sender<Job>>,
        empties: Receiver<Vec<Item>>,
        shards: usize,
    ) -> Self {
        let pending = senders.iter().map(|_| Vec::new()).collect();
        Self {
            senders,
            empties,
            pending,
            shards,
            fragments: Fragments::default(),
            undecoded: BTreeMap::new(),
            first: None,
            last: None,
            pauses: Vec::new(),
            patience: None,
            dropped: 0,
        }
    }

    /// One that drops, and counts, what a worker cannot take within `patience`.
    pub(super) fn impatient(self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self
        }
    }

    /// Tells all workers that the clock has reached `now`. False where one is gone.
    pub(super) fn tick(&mut self, now: Timestamp) -> bool {
        self.senders.iter().all(|sender| {
            let job = Job {
                tick: Some(now),
                ..Job::default()
            };
            sender.send(job).is_ok()
        })
    }

    /// Distributes a batch. False where no worker is left to take it.
    pub(super) fn batch(&mut self, batch: &Batch) -> bool {
        for packet in &batch.packets {
            self.first = Some(
                self.first
                    .map_or(packet.time, |first| first.min(packet.time)),
            );
            if let Some(last) = self.last
                && packet.time.since(last) > PAUSE
            {
                if self.pauses.len() == MOST_PAUSES {
                    self.pauses.remove(0);
                }
                self.pauses.push(last);
            }
            self.last = Some(self.last.map_or(packet.time, |last| last.max(packet.time)));
            let bytes = batch.bytes_of(packet);
            match peel(packet.link, bytes, packet.wire) {
                Peel::Flow(peeled) => {
                    let item = Item {
                        hash: peeled.hash,
                        time: packet.time,
                        frame: packet.frame,
                        start: packet.start + peeled.ip,
                        captured: packet.captured.saturating_sub(peeled.ip),
                        wire: packet.wire.saturating_sub(peeled.ip),
                        vlan: peeled.vlan,
                    };
                    self.push(item);
                }
                Peel::NoFlow => {}
                Peel::Undecoded(reason) => self.count(packet.frame, reason),
                Peel::Fragment { ip, vlan } => {
                    let piece = bytes.get(ip as usize..).unwrap_or_default();
                    if !self.fragment(
                        packet.time,
                        packet.frame,
                        piece,
                        packet.wire.saturating_sub(ip),
                        vlan,
                        &batch.bytes,
                    ) {
                        return false;
                    }
                }
            }
        }
        self.flush(&batch.bytes)
    }

    /// Fragmented datagrams that were dropped for want of room so far.
    pub(super) const fn evicted_fragments(&self) -> u64 {
        self.fragments.evicted()
    }

    /// Gives up fragments that never became whole.
    pub(super) fn finish(&mut self) -> u64 {
        self.fragments.finish();
        self.count_abandoned();
        self.fragments.evicted()
    }

    /// Takes a fragment; what it completes is peeled like a packet and sent on its own, after those before it.
    fn fragment(
        &mut self,
        time: Timestamp,
        frame: Frame,
        piece: &[u8],
        wire: u32,
        vlan: [u16; 2],
        shared: &Arc<Vec<u8>>,
    ) -> bool {
        /// A whole packet may be a tunnel's fragment again; nobody fragments deeper than this.
        const DEPTH: usize = 4;
        let mut whole = self.fragments.feed(time, frame, piece, wire);
        self.count_abandoned();
        for _ in 0..DEPTH {
            let Some(packet) = whole else { return true };
            match peel(LinkType::RAW, &packet.bytes, packet.wire) {
                Peel::Flow(Peeled { ip, hash, .. }) => {
                    if !self.flush(shared) {
                        return false;
                    }
                    let captured = (packet.bytes.len() as u32).saturating_sub(ip);
                    let item = Item {
                        hash,
                        time,
                        frame,
                        start: ip,
                        captured,
                        wire: packet.wire.saturating_sub(ip),
                        vlan,
                    };
                    self.push(item);
                    return self.flush(&Arc::new(packet.bytes));
                }
                Peel::NoFlow => return true,
                Peel::Undecoded(reason) => {
                    self.count(frame, reason);
                    return true;
                }
                Peel::Fragment { ip, .. } => {
                    let inner = packet.bytes.get(ip as usize..).unwrap_or_default();
                    whole = self
                        .fragments
                        .feed(time, frame, inner, packet.wire.saturating_sub(ip));
                }
            }
        }
        self.count(frame, Undecoded::TooDeep);
        true
    }

    fn push(&mut self, item: Item) {
        let worker = shard_of(item.hash, self.shards) % self.pending.len();
        if let Some(pending) = self.pending.get_mut(worker) {
            pending.push(item);
        }
    }

    fn flush(&mut self, bytes: &Arc<Vec<u8>>) -> bool {
        for (sender, pending) in self.senders.iter().zip(&mut self.pending) {
            if pending.is_empty() {
                continue;
            }
            let empty = self.empties.try_recv().unwrap_or_default();
            let items = std::mem::replace(pending, empty);
            let job = Job {
                bytes: Arc::clone(bytes),
                items,
                tick: None,
            };
            let sent = match self.patience {
                None => sender.send(job).map_err(|_| None),
                Some(patience) => sender.send_timeout(job, patience).map_err(|error| {
                    let SendTimeoutError::Timeout(job) = error else {
                        return None;
                    };
                    Some(job.items.len())
                }),
            };
            match sent {
                Ok(()) => {}
                Err(Some(packets)) => self.dropped += packets as u64,
                Err(None) => return false,
            }
        }
        true
    }

    fn count(&mut self, frame: Frame, reason: Undecoded) {
        *self
            .undecoded
            .entry((frame.capture(), reason.name()))
            .or_default() += 1;
    }

    fn count_abandoned(&mut self) {
        for frame in self.fragments.abandoned() {
            *self
                .undecoded
                .entry((frame.capture(), Undecoded::Fragment.name()))
                .or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Packet;

    #[test]
    fn what_a_worker_cannot_take_in_time_is_dropped_and_counted_to_the_packet() {
        let (sender, jobs) = crossbeam_channel::bounded(1);
        let (_give_back, empties) = crossbeam_channel::unbounded();
        let mut dispatcher =
            Dispatcher::new(vec![sender], empties, 1).impatient(Duration::from_millis(1));
        // UDP from one port to another, 28 bytes of IPv4
        let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        bytes.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2, 0, 8, 0, 0]);
        let packet = Packet {
            captured: 28,
            wire: 28,
            link: LinkType::RAW,
            ..Packet::default()
        };
        let batch = Batch {
            bytes: Arc::new(bytes),
            packets: vec![packet; 7],
        };
        for _ in 0..3 {
            assert!(dispatcher.batch(&batch));
        }
        assert_eq!(dispatcher.dropped, 14);
        assert_eq!(jobs.try_recv().map(|job| job.items.len()), Ok(7));
        drop(jobs);
        assert!(!dispatcher.batch(&batch), "nobody is left");
    }
}
