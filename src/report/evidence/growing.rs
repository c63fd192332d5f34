//! An evidence file that is written while a run goes on: each packet is decided on once, when it is let go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

use crate::capture::{Batch, CaptureInterface, Packet, PcapngWriter};
use crate::decode::{Fragments, flow_hash};
use crate::facts::Summary;
use crate::types::{FlowKey, Frame, Timestamp};

use super::super::model::{Input, Report};
use super::{EvidenceFile, Neighbours, Span, Wanted, Written, ordered};

/// Cited packets that are remembered as decided, and those that were cited too late; past it the earliest are forgotten.
const MOST_CITED: usize = 1 << 16;

/// Flows with findings that are followed at once; past it the earliest are let go of, and their sums are kept.
const MOST_FLOWS: usize = 1 << 16;

/// Remarks that wait for the next packet.
const MOST_ASIDE: usize = 64;

/// Writes the packets of flows with findings while the run goes on.
///
/// Packets are handed over in their order when whoever holds them lets them go. Which are wanted then is what the last report says; what was let go before a
/// finding is gone, and is counted. What was written stays, also where a finding is withdrawn: that is said in a comment on the packet that comes next.
pub struct GrowingEvidence<W> {
    file: EvidenceFile<W>,
    followed: BTreeMap<u64, Followed>,
    /// Flows that are kept beside them.
    beside: BTreeSet<u64>,
    /// The last frame that was decided on, by capture, and the latest time.
    decided: BTreeMap<u16, u64>,
    until: Option<Timestamp>,
    /// Cited packets that were written with their comments, and cited ones that had been decided on before.
    noted: BTreeSet<Frame>,
    late: BTreeSet<Frame>,
    /// Of flows that are not followed any more.
    past: Written,
}

/// A flow with a finding.
#[derive(Debug)]
struct Followed {
    key: FlowKey,
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    findings: BTreeSet<u64>,
}

impl<W: Write> GrowingEvidence<W> {
    /// Begins the file; `application` is what writes it.
    pub fn new(application: &str, out: W) -> io::Result<Self> {
        let comment = format!(
            "{application}: saved while it happened: packets of flows with findings, and of some flows beside them; how many were gone by then is said at the end"
        );
        Ok(Self {
            file: EvidenceFile {
                wanted: Wanted::default(),
                captures: Vec::new(),
                interfaces: BTreeMap::new(),
                last: Timestamp::default(),
                fragments: Fragments::default(),
                held: std::collections::VecDeque::new(),
                held_bytes: 0,
                writer: PcapngWriter::new(out, application, &comment)?,
                written: Written::default(),
                met: HashMap::default(),
                aside: Vec::new(),
            },
            followed: BTreeMap::new(),
            beside: BTreeSet::new(),
            decided: BTreeMap::new(),
            until: None,
            noted: BTreeSet::new(),
            late: BTreeSet::new(),
            past: Written::default(),
        })
    }

    /// From now on, what the findings of `report` rest on is wanted, which was made from `input`; and what earlier ones rest on that stand.
    pub fn want(&mut self, report: &Report, input: &Input<'_>) {
        let neighbours = Neighbours {
            kept: Some(&self.beside),
            since: self.until,
        };
        let mut wanted = Wanted::new(report, input, &neighbours);
        self.follow(report, input);
        // what is not held any more is still wanted, as far as it is known
        let told: BTreeSet<u64> = (report.findings.iter())
            .flat_map(|finding| finding.flow_ids.iter().copied())
            .collect();
        for (id, flow) in self.followed.iter().filter(|(id, _)| !told.contains(id)) {
            let span = Span {
                id: *id,
                key: ordered(flow.key),
                first: flow.first,
                last: flow.last,
            };
            let hash = flow_hash(&flow.key);
            wanted.flows.entry(hash).or_default().push(span);
        }
        self.beside = std::mem::take(&mut wanted.neighbours);
        self.cite(&mut wanted);
        self.forget(&told);
        self.file.captures = (report.captures.iter())
            .map(|capture| (capture.path.clone(), capture.dropped))
            .collect();
        self.file.wanted = wanted;
    }

    /// Finding `id` does not stand any more since `time`, because of `why`. Gives how many packets of its flows had been written.
    pub fn withdraw(&mut self, id: u64, time: Timestamp, why: &str) -> u64 {
        let mut written = 0;
        let met = &self.file.met;
        self.followed.retain(|flow, followed| {
            if !followed.findings.remove(&id) {
                return true;
            }
            written += met.get(flow).copied().unwrap_or_default();
            !followed.findings.is_empty()
        });
        if written > 0 && self.file.aside.len() < MOST_ASIDE {
            let words = format!("finding {id} was withdrawn at {time}: {why}");
            self.file.aside.push(words);
        }
        written
    }

    /// Decides on the next packets; `interface` tells what is known of a packet's interface.
    pub fn batch(
        &mut self,
        batch: &Batch,
        interface: &dyn Fn(&Packet) -> Option<CaptureInterface>,
    ) -> io::Result<()> {
        for packet in &batch.packets {
            let frame = packet.frame;
            if self.file.wanted.cited.contains_key(&frame) {
                remember(&mut self.noted, frame);
            }
            let last = self.decided.entry(frame.capture()).or_default();
            *last = frame.number().max(*last);
            self.until = self.until.max(Some(packet.time));
        }
        self.file.last = self.until.unwrap_or_default();
        self.file.batch(batch, interface)
    }

    /// Ends the file, and says what it holds.
    pub fn finish(mut self) -> io::Result<Written> {
        for (id, flow) in std::mem::take(&mut self.followed) {
            self.let_go(id, &flow);
        }
        // those of findings that were withdrawn are among them
        let beside = self.file.met.values().filter(|met| **met > 0).count() as u64;
        self.file.fragments.finish();
        while !self.file.held.is_empty() {
            self.file.forsake(Timestamp(i64::MAX));
            self.file.release()?;
        }
        let cited = self.file.wanted.cited.len() as u64;
        let written = Written {
            flows: self.past.flows,
            beside: beside + self.past.beside,
            gone: self.past.gone,
            missing: self.late.len() as u64 + cited,
            ..self.file.written
        };
        let mut words = format!(
            "of {} flows with findings {} packets were gone before they were wanted",
            written.flows, written.gone
        );
        for remark in self.file.aside.drain(..) {
            words.push_str("; ");
            words.push_str(&remark);
        }
        let mut told = BTreeSet::new();
        for ((capture, ..), interface) in &self.file.interfaces {
            let dropped = self.file.captures.get(usize::from(*capture));
            let dropped = dropped.and_then(|(_, dropped)| *dropped);
            if told.insert(*capture) {
                let (last, dropped) = (self.file.last, dropped.unwrap_or_default());
                (self.file.writer).statistics(*interface, last, dropped, Some(&words))?;
            }
        }
        self.file.writer.finish()?;
        Ok(written)
    }

    /// Brings what is known of flows with findings up to date.
    fn follow(&mut self, report: &Report, input: &Input<'_>) {
        let places: HashMap<u64, &Summary, foldhash::fast::RandomState> = match input.ids {
            Some(ids) => (ids.flows.iter().copied())
                .zip(input.around.flows.iter())
                .collect(),
            None => (1..).zip(input.around.flows.iter()).collect(),
        };
        for finding in &report.findings {
            for id in &finding.flow_ids {
                let Some(flow) = places.get(id) else {
                    continue;
                };
                let packets = [flow.up.packets, flow.down.packets, flow.duplicates];
                let known = self.followed.entry(*id).or_insert(Followed {
                    key: flow.key,
                    first: flow.first,
                    last: flow.last,
                    packets: 0,
                    findings: BTreeSet::new(),
                });
                known.packets = packets.iter().map(|count| u64::from(*count)).sum();
                (known.key, known.last) = (flow.key, flow.last);
                known.findings.insert(finding.id);
            }
        }
    }

    /// Takes out of `wanted` what was cited when it had been decided on already.
    fn cite(&mut self, wanted: &mut Wanted) {
        let waiting: BTreeSet<Frame> = (self.file.held.iter())
            .map(|held| held.packet.frame)
            .collect();
        let decided = |frame: &Frame| {
            let last = self.decided.get(&frame.capture());
            last.is_some_and(|last| frame.number() <= *last) && !waiting.contains(frame)
        };
        let (noted, late) = (&self.noted, &mut self.late);
        wanted.cited.retain(|frame, _| {
            let gone = decided(frame);
            if gone && !noted.contains(frame) {
                remember(late, *frame);
            }
            !gone
        });
    }

    /// Lets go of flows that nobody tells of any more and that have been decided on as a whole.
    fn forget(&mut self, told: &BTreeSet<u64>) {
        let surplus = self.followed.len().saturating_sub(MOST_FLOWS);
        let until = self.until;
        let done: Vec<u64> = (self.followed.iter())
            .filter(|(id, _)| !told.contains(id))
            .enumerate()
            .filter(|(place, (_, flow))| *place < surplus || Some(flow.last) < until)
            .map(|(_, (id, _))| *id)
            .collect();
        for id in done {
            if let Some(flow) = self.followed.remove(&id) {
                self.let_go(id, &flow);
            }
        }
        let (followed, kept) = (&self.followed, &self.beside);
        let beside = &mut self.past.beside;
        self.file.met.retain(|id, met| {
            let stays = followed.contains_key(id) || kept.contains(id);
            *beside += u64::from(!stays && *met > 0);
            stays
        });
    }

    /// Adds up what the file has of a flow.
    fn let_go(&mut self, id: u64, flow: &Followed) {
        let met = self.file.met.remove(&id).unwrap_or_default();
        self.past.flows += 1;
        self.past.gone += flow.packets.saturating_sub(met);
    }
}

/// Keeps a frame, and not too many.
fn remember(frames: &mut BTreeSet<Frame>, frame: Frame) {
    frames.insert(frame);
    if frames.len() > MOST_CITED {
        frames.pop_first();
    }
}
