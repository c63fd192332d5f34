use std::collections::VecDeque;
use std::sync::Arc;

use super::{Batch, Packet};
use crate::types::Timestamp;

/// The packets that came last, for whoever learns later which of them he wants: copies, within a bound in bytes.
///
/// They are handed on in their order, once there is more than the bound, or once they are old. Where nobody takes them, twice the bound is held, and then
/// the oldest go and are counted.
#[derive(Debug)]
pub struct Recent {
    batches: VecDeque<Batch>,
    bytes: usize,
    most: usize,
    longest: i64,
    dropped: u64,
}

impl Recent {
    /// Holds `most` bytes, descriptors included, for `longest` nanoseconds.
    #[must_use]
    pub const fn new(most: usize, longest: i64) -> Self {
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            most,
            longest,
            dropped: 0,
        }
    }

    /// Takes a copy of the packets of a batch.
    pub fn push(&mut self, batch: &Batch) {
        if batch.packets.is_empty() {
            return;
        }
        let mut copy = Batch::default();
        let length = batch.packets.iter().map(|packet| packet.captured as usize);
        let mut bytes = Vec::with_capacity(length.sum());
        copy.packets.reserve_exact(batch.packets.len());
        for packet in &batch.packets {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(batch.bytes_of(packet));
            let captured = bytes.len() as u32 - start;
            copy.packets.push(Packet {
                start,
                captured,
                ..*packet
            });
        }
        copy.bytes = Arc::new(bytes);
        self.bytes += weight(&copy);
        self.batches.push_back(copy);
        while self.bytes > 2 * self.most {
            let Some(gone) = self.pop() else { break };
            self.dropped += gone.packets.len() as u64;
        }
    }

    /// Whether there is something to be handed on at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        /// How late what is old may be handed on, so that it is done seldom, in nanoseconds.
        const LATE: i64 = 60_000_000_000;
        self.bytes > self.most || self.oldest(now) > self.longest + LATE
    }

    /// The oldest packets, if it is time for them at `now`: an eighth of the room is made free, so that this is done seldom.
    pub fn take(&mut self, now: Timestamp) -> Option<Batch> {
        let full = self.bytes > self.most - self.most / 8;
        if full || self.oldest(now) > self.longest {
            self.pop()
        } else {
            None
        }
    }

    /// The oldest packets, whatever the time.
    pub fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= weight(&batch);
        Some(batch)
    }

    /// Packets that went because nobody took them.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes held at present.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// For how long the oldest batch has been here, in nanoseconds.
    fn oldest(&self, now: Timestamp) -> i64 {
        let last = (self.batches.front()).and_then(|batch| batch.packets.last());
        last.map_or(0, |packet| now.since(packet.time))
    }
}

fn weight(batch: &Batch) -> usize {
    size_of::<Batch>() + batch.bytes.len() + batch.packets.len() * size_of::<Packet>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Frame;

    fn batch(number: u64, seconds: i64, length: u32) -> Batch {
        // the bytes lie anywhere in a buffer that others share
        Batch {
            bytes: Arc::new(vec![number as u8; length as usize + 7]),
            packets: vec![Packet {
                time: Timestamp::new(seconds, 0),
                frame: Frame::new(0, number),
                start: 7,
                captured: length,
                wire: length,
                ..Packet::default()
            }],
        }
    }

    #[test]
    fn memory_is_bounded_whether_packets_are_taken_or_not_and_every_packet_is_accounted_for() {
        const MOST: usize = 100_000;
        for taken in [true, false] {
            let mut recent = Recent::new(MOST, i64::MAX / 2);
            let mut handed = Vec::new();
            for number in 1..=1_000 {
                recent.push(&batch(number, 0, 1_000));
                let most = if taken { MOST } else { 2 * MOST };
                while taken && let Some(batch) = recent.take(Timestamp(0)) {
                    handed.extend(batch.packets.iter().map(|packet| packet.frame.number()));
                    assert_eq!(
                        batch.bytes_of(&batch.packets[0]),
                        [handed[handed.len() - 1] as u8; 1_000]
                    );
                }
                assert!(recent.bytes() <= most, "{}", recent.bytes());
            }
            let went = handed.len() as u64 + recent.dropped();
            while let Some(batch) = recent.pop() {
                handed.extend(batch.packets.iter().map(|packet| packet.frame.number()));
            }
            assert!(went > 700 && handed.len() as u64 + recent.dropped() == 1_000);
            assert!(handed.is_sorted(), "in their order");
            assert_eq!(recent.bytes(), 0);
            assert_eq!(recent.dropped() > 0, !taken);
        }
    }

    #[test]
    fn what_is_old_is_handed_on_though_there_is_room() {
        let mut recent = Recent::new(1 << 20, 900 * 1_000_000_000);
        recent.push(&batch(1, 0, 10));
        recent.push(&batch(2, 800, 10));
        let at = |seconds| Timestamp::new(seconds, 0);
        assert!(!recent.is_due(at(930)), "not at once");
        assert!(recent.is_due(at(961)));
        assert_eq!(
            recent.take(at(961)).expect("the first").packets[0].frame,
            Frame::new(0, 1)
        );
        assert!(recent.take(at(961)).is_none());
    }
}
