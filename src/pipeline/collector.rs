use std::collections::{BTreeMap, HashMap};

use crate::application::HostSource;
use crate::capture::CaptureFile;
use crate::detect;
use crate::facts::{CaptureFacts, FlowFacts, Summary};
use crate::service::{Catalogue, Clue, ServiceId, Why};
use crate::types::{Endpoint, Protocol, Timestamp};

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
    parts: Vec<Vec<Gathered>>,
    remains: Remains,
    book: NameBook,
    settings: &Settings,
    catalogue: &Catalogue,
) -> Analysis {
    let mut gathered = merge(parts);
    if !book.is_empty() {
        for flow in &mut gathered {
            name_by_dns(flow, &book, catalogue);
        }
    }
    name_by_siblings(&mut gathered, catalogue);
    let messenger: Vec<bool> = catalogue
        .services()
        .map(|(id, _)| catalogue.is_messenger(id))
        .collect();
    let is_messenger = |service: u16| {
        messenger
            .get(usize::from(service))
            .copied()
            .unwrap_or_default()
    };
    let mut around = CaptureFacts {
        flows: Vec::with_capacity(gathered.len()),
        first: remains.first.unwrap_or_default(),
        last: remains.last.unwrap_or_default(),
        dropped: remains.files.iter().filter_map(|file| file.dropped).sum(),
        lookups: book.lookups,
        messenger: messenger.clone(),
        ..CaptureFacts::default()
    };
    let mut flows = Vec::new();
    for (
        index,
        Gathered {
            summary, detail, ..
        },
    ) in gathered.into_iter().enumerate()
    {
        if let Some(detail) = detail {
            flows.push(FlowFacts {
                index: index as u32,
                summary: summary.clone(),
                detail: *detail,
            });
        }
        around.flows.push(summary);
    }
    around.vantage = vantage::infer(&around.flows, settings.vantage);
    let scope = settings.scope;
    let wanted = move |flow: &FlowFacts| scope == Scope::All || is_messenger(flow.summary.service);
    if flows.iter().any(&wanted) {
        around.by_client = index_by(&around.flows, |flow| (flow.key.a.address, 0));
        around.by_server = index_by(&around.flows, |flow| (flow.key.b.address, flow.key.b.port));
    }
    let assessment = detect::assess(&flows, &around, &wanted);
    let captures = outcomes(remains.files, &around.flows, &remains.undecoded);
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

/// Merges parts that are each in order of first packet.
fn merge(mut parts: Vec<Vec<Gathered>>) -> Vec<Gathered> {
    let Some(mut merged) = parts.pop() else {
        return Vec::new();
    };
    for part in parts {
        let mut both = Vec::with_capacity(merged.len() + part.len());
        let (mut left, mut right) = (merged.into_iter().peekable(), part.into_iter().peekable());
        let key = |flow: &Gathered| (flow.summary.first, flow.summary.first_frame);
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) => both.extend(if key(a) <= key(b) {
                    left.next()
                } else {
                    right.next()
                }),
                (Some(_), None) => both.extend(left.by_ref()),
                (None, Some(_)) => both.extend(right.by_ref()),
                (None, None) => break,
            }
        }
        merged = both;
    }
    merged
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
fn name_by_siblings(gathered: &mut [Gathered], catalogue: &Catalogue) {
    let mut owners: HashMap<(Endpoint, Protocol), Owner, foldhash::fast::RandomState> =
        HashMap::default();
    for flow in gathered.iter().filter(|flow| flow.named) {
        let service = ServiceId(flow.summary.service);
        let name = flow.detail.as_ref().and_then(|detail| detail.host.as_ref());
        let owner = owners
            .entry((flow.summary.key.b, flow.summary.key.protocol))
            .or_insert(Owner {
                service,
                name: name.map(|(name, _)| name.clone()),
            });
        if owner.service != service {
            owner.service = ServiceId::CONTROL;
        }
    }
    owners.retain(|_, owner| catalogue.is_messenger(owner.service));
    if owners.is_empty() {
        return;
    }
    for flow in gathered.iter_mut().filter(|flow| !flow.named) {
        let key = flow.summary.key;
        let Some(owner) = owners.get(&(key.b, key.protocol)) else {
            continue;
        };
        flow.summary.service = owner.service.0;
        if let Some(detail) = &mut flow.detail {
            let name = owner
                .name
                .clone()
                .unwrap_or_else(|| catalogue.service(owner.service).name.clone());
            detail.host_source = Some(HostSource::Address);
            detail.host = None;
            detail.service_why = Why::Sibling(name).to_string();
        }
    }
}

/// Whose an address and port is, as far as named flows say.
struct Owner {
    service: ServiceId,
    name: Option<String>,
}

fn index_by<K: Ord>(flows: &[Summary], key: impl Fn(&Summary) -> K) -> Vec<u32> {
    let mut index: Vec<u32> = (0..flows.len() as u32).collect();
    index.sort_by_key(|place| flows.get(*place as usize).map(&key));
    index
}

fn outcomes(
    files: Vec<CaptureFile>,
    flows: &[Summary],
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
    for flow in flows {
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
