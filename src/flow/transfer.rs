use serde::Serialize;

use crate::types::{Direction, Frame, Timestamp};

/// The course of a flow with much data: its packets in order, bounded, and a timeline whose bins widen as the flow grows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Transfer {
    /// Every packet with payload and every acknowledgement, both ways, from the start until the limit.
    pub events: Vec<Event>,
    /// Whether packets came after the last event, because a limit was reached.
    pub events_truncated: bool,
    /// The whole flow in bins, up then down.
    pub timelines: [Timeline; 2],
}

/// What an event's packet did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// No payload: an acknowledgement.
    #[default]
    Ack,
    /// Payload that continues the stream.
    New,
    /// Payload beyond a hole.
    Ahead,
    /// Payload that fills a hole soon enough to have been reordered.
    Reordered,
    /// Payload that fills a hole late: its first copy was lost before the capture point.
    Fill,
    /// Payload seen before: its first copy was lost after the capture point, or nothing was lost.
    Retransmission,
    /// A datagram.
    Datagram,
}

/// One packet in 48 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Its frame, so that a finding can cite it.
    pub frame: Frame,
    /// TCP: sequence number of its first byte, relative, modulo 2^32. RTP: extended sequence number. Other UDP: 0.
    pub offset: u32,
    /// TCP: acknowledgement number, relative, modulo 2^32.
    pub ack: u32,
    /// Payload in bytes.
    pub payload: u32,
    /// Bytes of the IP packet.
    pub ip_length: u32,
    /// TCP: TSval of its time stamps (RFC 7323), 0 without the option: against `time` it shows how the one-way delay grows.
    pub tsval: u32,
    /// TCP: TSecr, 0 without the option: which transmission an acknowledgement answers.
    pub tsecr: u32,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Up or down.
    pub up: bool,
    /// Whether its SACK reports a duplicate: the retransmission before it was needless (RFC 2883).
    pub dsack: bool,
    /// What it did.
    pub kind: EventKind,
}

const _: () = assert!(
    size_of::<Event>() == 48,
    "a transfer may hold thousands of them"
);

impl Event {
    /// Which way it went.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.up {
            Direction::Up
        } else {
            Direction::Down
        }
    }
}

/// Bytes over time, at most [`Timeline::BINS`] bins: the width doubles when the flow outgrows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Start of the first bin.
    pub start: Timestamp,
    /// Width of a bin in nanoseconds; a power of two times 62.5 ms.
    pub width: i64,
    /// The bins, oldest first.
    pub bins: Vec<Bin>,
}

/// One bin of a [`Timeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Bytes of IP packets.
    pub ip_bytes: u64,
    /// Payload bytes that continued or filled the stream.
    pub new_bytes: u64,
    /// Packets with payload.
    pub packets: u32,
    /// Of these, retransmissions and late fills.
    pub lost: u32,
}

impl Timeline {
    /// Most bins that are kept.
    pub const BINS: usize = 256;
    /// Width of a bin at the start, in nanoseconds.
    pub const FIRST_WIDTH: i64 = 62_500_000;

    /// The bin for `time`, made if need be; a time before the start counts in the first bin.
    pub fn bin(&mut self, time: Timestamp) -> Option<&mut Bin> {
        if self.width == 0 {
            self.width = Self::FIRST_WIDTH;
            self.start = time;
        }
        let since = time.since(self.start).max(0);
        while since / self.width >= Self::BINS as i64 {
            self.bins = self
                .bins
                .chunks(2)
                .map(|pair| pair.iter().copied().fold(Bin::default(), Bin::plus))
                .collect();
            self.width = self.width.saturating_mul(2);
        }
        let index = (since / self.width) as usize;
        if self.bins.len() <= index {
            self.bins.resize(index + 1, Bin::default());
        }
        self.bins.get_mut(index)
    }
}

impl Bin {
    const fn plus(self, other: Self) -> Self {
        Self {
            ip_bytes: self.ip_bytes + other.ip_bytes,
            new_bytes: self.new_bytes + other.new_bytes,
            packets: self.packets.saturating_add(other.packets),
            lost: self.lost.saturating_add(other.lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_of_days_costs_what_a_flow_of_seconds_costs() {
        let mut timeline = Timeline::default();
        for second in 0..200_000 {
            timeline
                .bin(Timestamp::new(second, 0))
                .expect("a bin")
                .new_bytes += 1;
        }
        assert!(timeline.bins.len() <= Timeline::BINS);
        assert_eq!(
            timeline.bins.iter().map(|bin| bin.new_bytes).sum::<u64>(),
            200_000
        );
    }

    #[test]
    fn a_jump_by_years_is_one_gap_and_ends() {
        let mut timeline = Timeline::default();
        timeline.bin(Timestamp::new(0, 0)).expect("a bin").packets += 1;
        timeline.bin(Timestamp(i64::MAX)).expect("a bin").packets += 1;
        assert!(timeline.bins.len() <= Timeline::BINS);
    }
}
