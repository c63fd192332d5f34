use std::collections::{BTreeMap, BTreeSet};

use crate::facts::Summary;
use crate::types::Protocol;

use super::finding::{Judgement, Kind, Level};

/// Sums over flows that were judged and are not held any more, in a run that may last for days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// By the catalogue's index of the service.
    pub services: BTreeMap<u16, PastService>,
    /// Flows.
    pub flows: u64,
    /// Of these, on TCP.
    pub tcp_flows: u64,
}

/// What became of one service's flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastService {
    /// Flows.
    pub flows: u64,
    /// Transport payload, client to server.
    pub bytes_up: u64,
    /// Transport payload, server to client.
    pub bytes_down: u64,
    /// Flows that a finding at `likely` or above covers.
    pub interfered: u64,
    /// Flows that could be judged and in which nothing was found.
    pub clear: u64,
    /// Flows too short to judge.
    pub too_little: u64,
    /// Findings at `likely` and above all of whose flows are gone.
    pub findings: u64,
    /// The best level of these.
    pub level: Option<Level>,
    /// Their kinds.
    pub kinds: BTreeSet<Kind>,
}

impl Past {
    /// Adds a flow, and how it came out.
    pub fn add_flow(&mut self, flow: &Summary, judgement: Judgement) {
        self.flows += 1;
        self.tcp_flows += u64::from(flow.key.protocol == Protocol::Tcp);
        let row = self.services.entry(flow.service).or_default();
        row.flows += 1;
        row.bytes_up += flow.up.bytes;
        row.bytes_down += flow.down.bytes;
        match judgement {
            Judgement::Interfered => row.interfered += 1,
            Judgement::Clear => row.clear += 1,
            Judgement::TooLittleData => row.too_little += 1,
            Judgement::NotAssessable => {}
        }
    }

    /// Adds a finding of `service`, where it counts.
    pub fn add_finding(&mut self, service: u16, level: Level, kind: Kind) {
        if level < Level::Likely {
            return;
        }
        let row = self.services.entry(service).or_default();
        row.findings += 1;
        row.level = row.level.max(Some(level));
        row.kinds.insert(kind);
    }
}
