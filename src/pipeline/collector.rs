use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::application::HostSource;
use crate::capture::CaptureFile;
use crate::detect;
use crate::facts::{CaptureFacts, FlowFacts, Summary};
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
    if !book.is_empty() {
        for flow in parts.iter_mut().flat_map(Slab::values_mut) {
            name_by_dns(flow, &book, catalogue);
        }
    }
    if book.spoken {
        name_by_siblings(&mut parts, catalogue);
        calls::join(&mut parts, catalogue);
    }
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
    let mut around = CaptureFacts {
        flows: Vec::with_capacity(parts.iter().map(Slab::len).sum()),
        first: remains.first.unwrap_or_default(),
        last: remains.last.unwrap_or_default(),
        dropped: remains.files.iter().filter_map(|file| file.dropped).sum(),
        lookups: book.lookups,
        messenger: messenger.clone(),
        ..CaptureFacts::default()
    };
    let mut captures = outcomes(remains.files, &remains.undecoded);
    let (mut flows, mut shown) = (Vec::new(), Vec::new());
    merge(parts, |flow| {
        if flow.summary.duplicates > 0
            && let Some(capture) = captures.get_mut(usize::from(flow.summary.first_frame.capture()))
        {
            capture.duplicates += u64::from(flow.summary.duplicates);
        }
        if let Some(detail) = flow.detail.take() {
            let facts = FlowFacts {
                index: around.flows.len() as u32,
                summary: flow.summary.clone(),
                detail: *detail,
            };
            if flow.judged {
                flows.push(facts);
            } else {
                shown.push(facts);
            }
        }
        around.flows.push(flow.summary.clone());
    });
    around.vantage = vantage::infer(&around.flows, settings.vantage);
    let scope = settings.scope;
    let wanted = move |flow: &FlowFacts| scope == Scope::All || is_messenger(flow.summary.service);
    if flows.iter().any(&wanted) {
        around.by_client = index_by(&around.flows, |flow| (flow.key.a.address, 0));
        around.by_server = index_by(&around.flows, |flow| (flow.key.b.address, flow.key.b.port));
    }
    let assessment = detect::assess(&flows, &shown, &around, &wanted);
    flows.append(&mut shown);
    flows.sort_by_key(|flow| flow.index);
    Analysis {
        captures,
        around,
        flows,
        assessment,
        evicted_flows: remains.evicted.0,
        evicted_tcp_flows: remains.evicted.1,
        evicted_fragments: remains.evicted_fragments,
        interrupted: remains.interrupted,
    }
}

/// Shows the flows of parts, each of which is in order, in the order of all. A part's memory is given back as it is read.
fn merge(parts: Vec<Slab<Gathered>>, mut take: impl FnMut(&mut Gathered)) {
    let mut readers: Vec<_> = (parts.into_iter())
        .map(|part| Reader {
            chunk: Vec::new(),
            at: 0,
            rest: part.into_chunks(),
        })
        .collect();
    // the oldest is the greatest, as a heap wants it
    let mut heads: BinaryHeap<_> = (readers.iter_mut().enumerate())
        .filter_map(|(place, reader)| Some(Reverse((reader.head()?.rank(), place))))
        .collect();
    while let Some(mut head) = heads.peek_mut() {
        let Some(reader) = readers.get_mut(head.0.1) else {
            return;
        };
        if let Some(flow) = reader.head() {
            take(flow);
        }
        reader.at += 1;
        match reader.head() {
            Some(next) => head.0.0 = next.rank(),
            None => {
                PeekMut::pop(head);
            }
        }
    }
}

/// Where a part is read.
struct Reader<Chunks> {
    chunk: Vec<Gathered>,
    at: usize,
    rest: Chunks,
}

impl<Chunks: Iterator<Item = Vec<Gathered>>> Reader<Chunks> {
    /// The next flow of the part.
    fn head(&mut self) -> Option<&mut Gathered> {
        if self.at >= self.chunk.len() {
            self.chunk = self.rest.next()?;
            self.at = 0;
        }
        self.chunk.get_mut(self.at)
    }
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
fn name_by_siblings(parts: &mut [Slab<Gathered>], catalogue: &Catalogue) {
    let mut owners: HashMap<(Endpoint, Protocol), Owner, foldhash::fast::RandomState> =
        HashMap::default();
    for flow in parts
        .iter()
        .flat_map(Slab::values)
        .filter(|flow| flow.named)
    {
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
    for flow in parts
        .iter_mut()
        .flat_map(Slab::values_mut)
        .filter(|flow| !flow.named)
    {
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

fn index_by<K: Ord>(flows: &[Summary], key: impl Fn(&Summary) -> K) -> Vec<u32> {
    let mut index: Vec<u32> = (0..flows.len() as u32).collect();
    index.sort_by_key(|place| flows.get(*place as usize).map(&key));
    index
}

fn outcomes(files: Vec<CaptureFile>, undecoded: &UndecodedCounts) -> Vec<CaptureOutcome> {
    let mut captures: Vec<CaptureOutcome> = files
        .into_iter()
        .map(|file| CaptureOutcome {
            file,
            duplicates: 0,
            undecoded: BTreeMap::new(),
        })
        .collect();
    for ((capture, reason), count) in undecoded {
        if let Some(capture) = captures.get_mut(usize::from(*capture)) {
            *capture.undecoded.entry(reason).or_default() += count;
        }
    }
    captures
}
