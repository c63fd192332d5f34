use std::collections::{BTreeMap, HashMap};

use crate::application::HostSource;
use crate::capture::CaptureFile;
use crate::detect::{self, Judged};
use crate::facts::{CaptureFacts, FlowFacts, Flows, Summary};
use crate::flow::Slab;
use crate::service::{Catalogue, Clue, ServiceId, Why};
use crate::types::{Endpoint, Protocol, Timestamp};

use super::calls;
use super::names::NameBook;
use super::reader::UndecodedCounts;
use super::worker::{Gathered, belong, clue};
use super::{Analysis, CaptureOutcome, Scope, Settings, vantage};

/// What the run left behind, beside the flows.
#[derive(Debug, Default)]
pub(super) struct Remains {
    pub(super) files: Vec<CaptureFile>,
    pub(super) undecoded: UndecodedCounts,
    pub(super) evicted: (u64, u64),
    pub(super) evicted_fragments: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) pauses: Vec<Timestamp>,
    pub(super) interrupted: bool,
}

/// Puts the workers' flows into one order, names those that only DNS can name, and judges.
pub(super) fn collect(
    mut parts: Vec<Slab<Gathered>>,
    remains: Remains,
    book: NameBook,
    settings: &Settings,
    catalogue: &Catalogue,
) -> Analysis {
    name_others(&mut parts, &book, catalogue);
    let around = CaptureFacts {
        first: remains.first.unwrap_or_default(),
        last: remains.last.unwrap_or_default(),
        dropped: remains.files.iter().filter_map(|file| file.dropped).sum(),
        lookups: book.lookups,
        ..CaptureFacts::default()
    };
    let mut analysis = Analysis {
        around,
        evicted_flows: remains.evicted.0,
        evicted_tcp_flows: remains.evicted.1,
        evicted_fragments: remains.evicted_fragments,
        interrupted: remains.interrupted,
        ..Analysis::default()
    };
    let (flows, mut kept) = merged(parts);
    analysis.around.flows = flows;
    for Kept { facts, .. } in &mut kept {
        let detail = &mut facts.detail;
        detail.observed_until =
            watched_until(&remains.pauses, facts.summary.last, detail.observed_until);
    }
    judge(
        kept,
        settings,
        catalogue,
        &mut analysis,
        detect::shaping::judge,
    );
    analysis.captures = outcomes(remains.files, &analysis.around.flows, &remains.undecoded);
    analysis
}

/// Until when it is known that a packet of a flow whose last one came at `last` would have been captured: at most `until`, and no later than the last
/// packet before the capture pauses. Pieces of captures of different days that were put together say nothing of the time between.
pub(super) fn watched_until(pauses: &[Timestamp], last: Timestamp, until: Timestamp) -> Timestamp {
    let next = pauses.partition_point(|before| *before < last);
    (pauses.get(next)).map_or(until, |before| until.min(*before))
}

/// Flows that are named together.
pub(super) trait Part {
    /// All of them.
    fn flows(&self) -> impl Iterator<Item = &Gathered>;
    /// All of them, to be named.
    fn flows_mut(&mut self) -> impl Iterator<Item = &mut Gathered>;
}

impl Part for Slab<Gathered> {
    fn flows(&self) -> impl Iterator<Item = &Gathered> {
        self.values()
    }

    fn flows_mut(&mut self) -> impl Iterator<Item = &mut Gathered> {
        self.values_mut()
    }
}

/// Names the flows that their own bytes do not name: from DNS, then by those to the same place.
pub(super) fn name_others(parts: &mut [impl Part], book: &NameBook, catalogue: &Catalogue) {
    if !book.is_empty() {
        for flow in parts.iter_mut().flat_map(Part::flows_mut) {
            name_by_dns(flow, book, catalogue);
        }
    }
    if !book.silent {
        name_by_siblings(parts, catalogue);
        calls::join(parts, catalogue);
    }
}

/// Gives a flow the name and service that its own bytes and addresses give it.
pub(super) fn name_by_itself(flow: &mut Gathered, catalogue: &Catalogue) {
    if let Some(detail) = &mut flow.detail {
        let key = flow.summary.key;
        let clue = Clue {
            silent: flow.silent,
            ..clue(&detail.recognised, key.b, key.protocol, None)
        };
        let found = catalogue.classify(&clue);
        belong(detail, found);
    }
}

/// A flow whose detail was kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) facts: FlowFacts,
    /// Whether detectors see it, or only the flow table.
    pub(super) judged: bool,
}

/// Judges the flows that were `kept`, by index, in the analysis's surroundings, where every flow's summary is; their rates are judged by `rates`.
pub(super) fn judge(
    kept: Vec<Kept>,
    settings: &Settings,
    catalogue: &Catalogue,
    analysis: &mut Analysis,
    rates: impl FnOnce(&[FlowFacts], &CaptureFacts, &dyn Fn(&FlowFacts) -> bool) -> Judged,
) {
    // by index; the control row comes first and is not among the catalogue's services
    let services = catalogue
        .services()
        .map(|(id, _)| catalogue.is_messenger(id));
    let messenger: Vec<bool> = std::iter::once(false).chain(services).collect();
    let is_messenger = |service: u16| {
        messenger
            .get(usize::from(service))
            .copied()
            .unwrap_or_default()
    };
    let around = &mut analysis.around;
    around.messenger.clone_from(&messenger);
    let (mut flows, mut shown) = (Vec::new(), Vec::new());
    for Kept { facts, judged } in kept {
        if judged {
            flows.push(facts);
        } else {
            shown.push(facts);
        }
    }
    around.vantage = vantage::infer(&around.flows, settings.vantage);
    let scope = settings.scope;
    let wanted = move |flow: &FlowFacts| scope == Scope::All || is_messenger(flow.summary.service);
    if flows.iter().any(&wanted) {
        around.by_client = index_by(&around.flows, |flow| (flow.key.a.address, 0));
        around.by_server = index_by(&around.flows, |flow| (flow.key.b.address, flow.key.b.port));
    }
    let rates = rates(&flows, around, &wanted);
    analysis.assessment = detect::assess_with(&flows, &shown, around, &wanted, rates);
    flows.append(&mut shown);
    flows.sort_by_key(|flow| flow.index);
    analysis.flows = flows;
}

/// The flows of parts, each of which is in order, in the order of all; and the details of those that have one.
fn merged(parts: Vec<Slab<Gathered>>) -> (Flows, Vec<Kept>) {
    const _: () = assert!(
        Slab::<Gathered>::CHUNK == Flows::CHUNK,
        "chunks are handed over as they are"
    );
    let mut kept = Vec::new();
    let mut chunk = 0;
    let mut stripped = |flows: Vec<Gathered>| -> Vec<Summary> {
        let start = chunk * Flows::CHUNK;
        chunk += 1;
        // as long as a summary is no larger than what holds it, this moves it within its chunk and takes no memory
        (flows.into_iter().zip(start..))
            .map(|(flow, place)| {
                if let Some(detail) = flow.detail {
                    kept.push((place, flow.summary.clone(), detail, flow.judged));
                }
                flow.summary
            })
            .collect()
    };
    let parts = (parts.into_iter())
        .map(|part| part.into_chunks().map(&mut stripped).collect())
        .collect();
    let flows = Flows::merged(parts);
    if kept.is_empty() {
        return (flows, Vec::new());
    }
    let indexes = flows.indexes();
    let mut kept: Vec<Kept> = (kept.into_iter())
        .filter_map(|(place, summary, detail, judged)| {
            let facts = FlowFacts {
                index: *indexes.get(place)?,
                summary,
                detail: *detail,
            };
            Some(Kept { facts, judged })
        })
        .collect();
    kept.sort_unstable_by_key(|kept| kept.facts.index);
    (flows, kept)
}

/// Gives a flow that nothing else named the name that DNS had for its server.
fn name_by_dns(flow: &mut Gathered, book: &NameBook, catalogue: &Catalogue) {
    if flow.named {
        return;
    }
    let key = flow.summary.key;
    let Some(name) = book.name(key.b.address, key.a.address, flow.summary.first) else {
        return;
    };
    let found = {
        let clue = match &flow.detail {
            Some(detail) => clue(&detail.recognised, key.b, key.protocol, Some(name)),
            None => Clue {
                dns_name: Some(name),
                ..Clue::of_server(key.b, key.protocol)
            },
        };
        catalogue.classify(&clue)
    };
    if found.host_source != Some(HostSource::Dns) {
        return;
    }
    flow.summary.service = found.service.0;
    if let Some(detail) = &mut flow.detail {
        belong(detail, found);
    }
}

/// Gives a flow that nothing named the messenger for which all named flows to the same address and port were: a retry that was silenced before it
/// could say a name. Ports of several services (a content network's) name nobody.
fn name_by_siblings(parts: &mut [impl Part], catalogue: &Catalogue) {
    let mut owners: HashMap<(Endpoint, Protocol), Owner, foldhash::fast::RandomState> =
        HashMap::default();
    let flows = parts.iter().flat_map(Part::flows);
    for flow in flows.filter(|flow| flow.named) {
        let service = ServiceId(flow.summary.service);
        let place = (flow.summary.key.b, flow.summary.key.protocol);
        let owner = owners.entry(place).or_insert(Owner {
            service,
            first: flow,
        });
        if owner.service != service {
            owner.service = ServiceId::CONTROL;
        }
        if flow.rank() < owner.first.rank() {
            owner.first = flow;
        }
    }
    let name = |owner: &Owner<'_>| {
        let host = owner
            .first
            .detail
            .as_ref()
            .and_then(|detail| detail.host.as_ref());
        host.map_or_else(
            || catalogue.service(owner.service).name.clone(),
            Clone::clone,
        )
    };
    let owners: HashMap<_, _, foldhash::fast::RandomState> = owners
        .iter()
        .filter(|(_, owner)| catalogue.is_messenger(owner.service))
        .map(|(place, owner)| (*place, (owner.service, name(owner))))
        .collect();
    if owners.is_empty() {
        return;
    }
    let flows = parts.iter_mut().flat_map(Part::flows_mut);
    for flow in flows.filter(|flow| !flow.named) {
        let place = (flow.summary.key.b, flow.summary.key.protocol);
        let Some((service, name)) = owners.get(&place) else {
            continue;
        };
        flow.summary.service = service.0;
        if let Some(detail) = &mut flow.detail {
            detail.host_source = Some(HostSource::Address);
            detail.host = None;
            detail.service_why = Why::Sibling(name.clone()).to_string();
        }
    }
}

/// Whose an address and port is, as far as named flows say.
struct Owner<'a> {
    service: ServiceId,
    first: &'a Gathered,
}

fn index_by<K: Ord>(flows: &Flows, key: impl Fn(&Summary) -> K) -> Vec<u32> {
    let mut index: Vec<u32> = (0..flows.len() as u32).collect();
    index.sort_by_key(|place| flows.get(*place as usize).map(&key));
    index
}

/// What became of each source's packets.
pub(super) fn outcomes(
    files: Vec<CaptureFile>,
    flows: &Flows,
    undecoded: &UndecodedCounts,
) -> Vec<CaptureOutcome> {
    let mut captures: Vec<CaptureOutcome> = files
        .into_iter()
        .map(|file| CaptureOutcome {
            file,
            duplicates: 0,
            undecoded: BTreeMap::new(),
        })
        .collect();
    for flow in flows.in_any_order() {
        if flow.duplicates > 0
            && let Some(capture) = captures.get_mut(usize::from(flow.first_frame.capture()))
        {
            capture.duplicates += u64::from(flow.duplicates);
        }
    }
    for ((capture, reason), count) in undecoded {
        if let Some(capture) = captures.get_mut(usize::from(*capture)) {
            *capture.undecoded.entry(reason).or_default() += count;
        }
    }
    captures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_of_the_time_in_which_the_capture_pauses() {
        let at = |second: i64| Timestamp(second * 1_000_000_000);
        let pauses = [at(100), at(400)];
        let until = |last| watched_until(&pauses, at(last), at(10_000));
        assert_eq!(until(50), at(100));
        assert_eq!(until(100), at(100), "the last packet before the pause");
        assert_eq!(until(350), at(400));
        assert_eq!(until(9_500), at(10_000));
        assert_eq!(watched_until(&pauses, at(50), at(70)), at(70));
    }
}
