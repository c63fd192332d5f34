//! Runs the stages: a reader, workers that own their flows, one collector.
//!
//! **Takes** capture sources and [`Settings`]. **Gives** an [`Analysis`]. **Keeps** threads, channels, shared maps. **Knows nothing of** reports and exit codes.

use std::collections::BTreeMap;

use crate::capture::CaptureFile;
use crate::detect::Assessment;
use crate::facts::{CaptureFacts, FlowFacts, Vantage};

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
