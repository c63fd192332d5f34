//! One row a service: how many of its flows were hit, and how its names resolved.

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Judgement, Kind, Level, PastService};
use crate::facts::{DnsAnswer, DnsLookup, Summary};
use crate::service::{Class, Clue, ServiceId};
use crate::types::{Address, Endpoint, Protocol};

use super::model::{Dns, DnsOutcome, Input, Service, Shown, Verdict, by_capture, count};

/// What a row counts.
#[derive(Default)]
struct Row<'a> {
    flows: u64,
    bytes_up: u64,
    bytes_down: u64,
    interfered: u64,
    clear: u64,
    too_little: u64,
    findings: u64,
    level: Option<Level>,
    kinds: BTreeSet<Kind>,
    lookups: Vec<&'a DnsLookup>,
}

/// The rows of all services that have flows or lookups: messengers in catalogue order, then everything else in one row.
pub(super) fn service_rows(input: &Input<'_>) -> Vec<Service> {
    let mut rows: BTreeMap<ServiceId, Row<'_>> = BTreeMap::new();
    let row_of = |service: ServiceId| {
        if input.catalogue.is_messenger(service) {
            service
        } else {
            ServiceId::CONTROL
        }
    };
    for (service, past) in input.past.iter().flat_map(|past| &past.services) {
        rows.entry(row_of(ServiceId(*service)))
            .or_default()
            .past(past);
    }
    for (index, summary) in (0..).zip(input.around.flows.iter()) {
        let row = rows.entry(row_of(ServiceId(summary.service))).or_default();
        row.flow(summary);
        match input.verdict(index, summary).judgement {
            Judgement::Interfered => row.interfered += 1,
            Judgement::Clear => row.clear += 1,
            Judgement::TooLittleData => row.too_little += 1,
            Judgement::NotAssessable => {}
        }
    }
    for finding in &input.assessment.findings {
        let Some(level) = Level::of(finding.score).filter(|level| *level >= Level::Likely) else {
            continue;
        };
        let service = finding
            .flows
            .first()
            .and_then(|first| input.around.flows.get(*first as usize))
            .map_or(ServiceId::CONTROL, |summary| ServiceId(summary.service));
        let row = rows.entry(row_of(service)).or_default();
        row.findings += 1;
        row.level = row.level.max(Some(level));
        row.kinds.insert(finding.mechanism.kind());
    }
    for lookup in &input.around.lookups {
        let clue = Clue {
            dns_name: Some(&lookup.name),
            ..Clue::of_server(Endpoint::default(), Protocol::Udp)
        };
        let service = row_of(input.catalogue.classify(&clue).service);
        rows.entry(service).or_default().lookups.push(lookup);
    }
    let control = rows.remove(&ServiceId::CONTROL);
    rows.into_iter()
        .chain(control.map(|row| (ServiceId::CONTROL, row)))
        .map(|(id, row)| {
            let service = input.catalogue.service(id);
            row.service(&service.id, &service.name, service.class)
        })
        .collect()
}

impl Row<'_> {
    fn flow(&mut self, summary: &Summary) {
        self.flows += 1;
        self.bytes_up += summary.up.bytes;
        self.bytes_down += summary.down.bytes;
    }

    fn past(&mut self, past: &PastService) {
        self.flows += past.flows;
        self.bytes_up += past.bytes_up;
        self.bytes_down += past.bytes_down;
        self.interfered += past.interfered;
        self.clear += past.clear;
        self.too_little += past.too_little;
        self.findings += past.findings;
        self.level = self.level.max(past.level);
        self.kinds.extend(&past.kinds);
    }

    fn service(self, id: &str, name: &str, class: Class) -> Service {
        let assessed = self.interfered + self.clear;
        let verdict = match (self.interfered, assessed) {
            (0, 0) if self.too_little > 0 => Verdict::TooLittleData,
            (0, 0) => Verdict::NotAssessable,
            (0, _) => Verdict::Clear,
            (hit, all) if 2 * hit >= all => Verdict::Interfered,
            _ => Verdict::Partial,
        };
        Service {
            service: id.to_owned(),
            name: name.to_owned(),
            class,
            flows: self.flows,
            bytes_up: self.bytes_up,
            bytes_down: self.bytes_down,
            assessed_flows: assessed,
            interfered_flows: self.interfered,
            findings: self.findings,
            verdict,
            level: self.level,
            kinds: self.kinds.into_iter().collect(),
            dns: dns(&self.lookups),
        }
    }
}

/// The sense of an answer; two senses for one question contradict each other.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Sense {
    NoSuchName,
    /// Addresses that no public server has: a resolver that was told to lead nowhere.
    Nowhere,
    Addresses,
}

fn sense(answer: &DnsAnswer) -> Option<Sense> {
    match answer {
        DnsAnswer::NxDomain => Some(Sense::NoSuchName),
        DnsAnswer::Addresses(addresses) if addresses.iter().all(leads_nowhere) => {
            Some(Sense::Nowhere)
        }
        DnsAnswer::Addresses(_) => Some(Sense::Addresses),
        DnsAnswer::Unanswered | DnsAnswer::Other(_) => None,
    }
}

fn leads_nowhere(address: &Address) -> bool {
    address.is_local() || address.ip().is_unspecified()
}

fn dns(lookups: &[&DnsLookup]) -> Dns {
    let mut senses: BTreeMap<(&str, u16), BTreeSet<Sense>> = BTreeMap::new();
    for lookup in lookups {
        let known = senses.entry((&lookup.name, lookup.kind)).or_default();
        known.extend(sense(&lookup.answer));
    }
    let contradicted = |lookup: &DnsLookup| {
        sense(&lookup.answer).is_some()
            && senses
                .get(&(lookup.name.as_str(), lookup.kind))
                .is_some_and(|known| known.len() > 1)
    };
    let of = |wanted: &dyn Fn(&DnsLookup) -> bool| {
        let these: Vec<&DnsLookup> = lookups
            .iter()
            .copied()
            .filter(|lookup| wanted(lookup))
            .collect();
        outcome(&these)
    };
    Dns {
        answered: of(&|lookup| matches!(lookup.answer, DnsAnswer::Addresses(_))),
        nxdomain: of(&|lookup| lookup.answer == DnsAnswer::NxDomain),
        unanswered: of(&|lookup| lookup.answer == DnsAnswer::Unanswered),
        other: of(&|lookup| matches!(lookup.answer, DnsAnswer::Other(_))),
        contradictory: of(&contradicted),
    }
}

fn outcome(lookups: &[&DnsLookup]) -> DnsOutcome {
    let names: BTreeSet<&str> = lookups.iter().map(|lookup| lookup.name.as_str()).collect();
    let frames = lookups
        .iter()
        .flat_map(|lookup| [Some(lookup.frame), lookup.answer_frame])
        .flatten()
        .take(DnsOutcome::MOST);
    DnsOutcome {
        lookups: count(lookups.iter()),
        names: names
            .into_iter()
            .take(DnsOutcome::MOST)
            .map(str::to_owned)
            .collect(),
        shown: by_capture(frames)
            .into_iter()
            .map(|(capture, packets)| Shown { capture, packets })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Frame;

    fn row(interfered: u64, clear: u64, too_little: u64) -> Verdict {
        let row = Row {
            flows: interfered + clear + too_little,
            interfered,
            clear,
            too_little,
            ..Row::default()
        };
        row.service("x", "X", Class::Messenger).verdict
    }

    #[test]
    fn half_of_the_assessed_flows_make_interfered_and_fewer_make_partial() {
        assert_eq!(row(2, 2, 0), Verdict::Interfered);
        assert_eq!(row(1, 2, 9), Verdict::Partial);
        assert_eq!(row(0, 1, 9), Verdict::Clear);
    }

    #[test]
    fn nobody_is_clear_whose_flows_were_not_assessed() {
        assert_eq!(row(0, 0, 3), Verdict::TooLittleData);
        assert_eq!(row(0, 0, 0), Verdict::NotAssessable);
    }

    fn lookup(frame: u64, name: &str, answer: DnsAnswer) -> DnsLookup {
        DnsLookup {
            frame: Frame::new(0, frame),
            name: name.to_owned(),
            kind: 1,
            answer,
            ..DnsLookup::default()
        }
    }

    #[test]
    fn a_name_that_exists_for_one_resolver_and_not_for_another_contradicts_itself() {
        let public = DnsAnswer::Addresses(vec![Address::v4([198, 51, 100, 7])]);
        let nowhere = DnsAnswer::Addresses(vec![Address::v4([0, 0, 0, 0])]);
        let lookups = [
            lookup(1, "a.example", public.clone()),
            lookup(2, "a.example", DnsAnswer::NxDomain),
            lookup(3, "b.example", public),
            lookup(4, "b.example", DnsAnswer::Unanswered),
            lookup(5, "c.example", nowhere),
        ];
        let dns = dns(&lookups.iter().collect::<Vec<_>>());
        assert_eq!(dns.contradictory.names, ["a.example"]);
        assert_eq!(dns.contradictory.shown[0].packets, [1, 2]);
        assert_eq!(dns.answered.lookups, 3);
        assert_eq!((dns.nxdomain.lookups, dns.unanswered.lookups), (1, 1));
    }
}
