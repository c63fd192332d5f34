//! What a run that goes on looks like at one moment.

use std::collections::BTreeMap;

use crate::detect::Kind;
use crate::types::Timestamp;

/// One interface of a live run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether it can be listened to at the moment.
    pub open: bool,
    /// Packets read from it.
    pub packets: u64,
    /// Bytes that they had on the wire.
    pub bytes: u64,
    /// Packets that the kernel had no room for.
    pub dropped_by_kernel: u64,
    /// Packets that the interface or its driver dropped, as the system counts.
    pub dropped_by_interface: u64,
}

/// A live run at one moment, read only: what a signal prints, what metrics export, what a terminal view shows above its tables.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// Until when packets have been read and judged.
    pub now: Timestamp,
    /// When the first packet came.
    pub first: Option<Timestamp>,
    /// The interfaces, in the order given.
    pub interfaces: Vec<InterfaceStatus>,
    /// Packets that were read and then dropped, because the workers were behind.
    pub dropped_by_us: u64,
    /// Flows held in the flow table.
    pub flows: u64,
    /// Flows, open and ended, that are held to be judged.
    pub judged_flows: u64,
    /// Flows seen since the start.
    pub all_flows: u64,
    /// Flows dropped for want of room, and how many of them were TCP.
    pub evicted_flows: (u64, u64),
    /// Ended flows that could not be handed over in time, and were not judged.
    pub unjudged_flows: u64,
    /// Findings that stand, at `likely` and above, by catalogue index of the service and kind.
    pub findings: BTreeMap<(u16, Kind), u64>,
    /// How long the last assessment took, in nanoseconds by the driver's clock.
    pub assessment_ns: i64,
    /// How far judging is behind the driver's clock, in nanoseconds.
    pub lag_ns: i64,
}

impl Status {
    /// Packets read.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.interfaces.iter().map(|one| one.packets).sum()
    }

    /// Bytes that they had on the wire.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.interfaces.iter().map(|one| one.bytes).sum()
    }

    /// Packets that the capture lost: for want of room in the kernel's buffer, and in ours.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let kernel: u64 = self
            .interfaces
            .iter()
            .map(|one| one.dropped_by_kernel)
            .sum();
        kernel + self.dropped_by_us
    }

    /// The share of packets that verdicts rest on: read ones over all that the interfaces brought.
    #[must_use]
    pub fn seen_share(&self) -> f64 {
        // a rehearsal has no interfaces, and loses nothing
        if self.dropped() == 0 {
            return 1.0;
        }
        let judged = self.packets().saturating_sub(self.dropped_by_us);
        judged as f64 / (judged + self.dropped()).max(1) as f64
    }
}
