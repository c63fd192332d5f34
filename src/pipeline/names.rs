use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;

use crate::application::dns::{DnsFact, DnsReply, NX_DOMAIN};
use crate::facts::{DnsAnswer, DnsLookup};
use crate::types::{Address, FlowKey, Side, Timestamp};

/// Which name an address had, as DNS answers of the run say: written by all workers while they run, read behind the barrier only, and sorted before
/// anything is read, so that threads do not show.
#[derive(Debug, Default)]
pub(super) struct Names {
    lookups: DashMap<u64, Vec<DnsLookup>, foldhash::fast::RandomState>,
    /// Whether an answer was seen at all: lookups themselves are noted when their flow ends, which may be behind the barrier.
    answers: AtomicBool,
    speech: AtomicBool,
}

/// One name of an address.
#[derive(Clone, Debug, Eq, PartialEq, PartialOrd, Ord)]
struct Named {
    time: Timestamp,
    client: Address,
    name: String,
}

/// The lookups of a run, sorted, and the names of addresses that follow from them.
#[derive(Debug, Default)]
pub(super) struct NameBook {
    pub(super) lookups: Vec<DnsLookup>,
    by_address: std::collections::BTreeMap<Address, Vec<Named>>,
    /// Whether it is known that no flow said what may name it, so that none can name another.
    pub(super) silent: bool,
}

/// Most lookups that a run keeps; a resolver's own capture would otherwise grow for ever. The earliest stay.
const MAX_LOOKUPS: usize = 200_000;

impl Names {
    /// Notes a lookup.
    pub(super) fn note(&self, lookup: DnsLookup) {
        let hour = (lookup.time.0 / 3_600_000_000_000).cast_unsigned();
        self.lookups.entry(hour).or_default().push(lookup);
    }

    /// Notes that an answer came, so that there will be names.
    pub(super) fn expect(&self) {
        if !self.answers.load(Ordering::Relaxed) {
            self.answers.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that some flow says what may name it, and so may name others to the same place.
    pub(super) fn note_speech(&self) {
        if !self.speech.load(Ordering::Relaxed) {
            self.speech.store(true, Ordering::Relaxed);
        }
    }

    /// Whether any flow says what may name it. To be asked behind the barrier.
    pub(super) fn has_speech(&self) -> bool {
        self.speech.load(Ordering::Relaxed)
    }

    /// Notes what became of one question of the flow between `key`'s ends.
    pub(super) fn note_fact(&self, key: &FlowKey, fact: DnsFact) {
        lookups(key, fact, |lookup| self.note(lookup));
    }

    /// Whether no answer was seen that may name an address. To be asked behind the barrier; lookups are still being noted there, so they do not count.
    pub(super) fn is_empty(&self) -> bool {
        !self.answers.load(Ordering::Relaxed)
    }

    /// Everything noted, in order; `hosts` are names that the captures themselves carry, which hold for the whole run.
    pub(super) fn book(&self, hosts: &[(Address, String)]) -> NameBook {
        let lookups: Vec<DnsLookup> = self
            .lookups
            .iter()
            .flat_map(|entry| entry.value().clone())
            .collect();
        NameBook {
            silent: !self.has_speech(),
            ..NameBook::new(lookups, hosts)
        }
    }
}

/// What became of one question of the flow between `key`'s ends; an answer that disagrees is a lookup of its own.
pub(super) fn lookups(key: &FlowKey, fact: DnsFact, mut note: impl FnMut(DnsLookup)) {
    let (client, resolver) = match fact.asker {
        Side::A => (key.a, key.b),
        Side::B => (key.b, key.a),
    };
    let (name, kind) = (fact.name, fact.kind);
    let lookup = |reply: Option<DnsReply>| {
        let answered = reply.as_ref().map(|reply| (reply.time, reply.frame));
        let (time, frame) = fact.asked.or(answered)?;
        Some(DnsLookup {
            time,
            frame,
            answered: answered.map(|answered| answered.0),
            answer_frame: answered.map(|answered| answered.1),
            client: client.address,
            resolver,
            name: name.clone(),
            kind,
            answer: match reply {
                None => DnsAnswer::Unanswered,
                Some(reply) if reply.rcode == NX_DOMAIN => DnsAnswer::NxDomain,
                Some(reply) if reply.rcode == 0 && !reply.addresses.is_empty() => {
                    DnsAnswer::Addresses(reply.addresses)
                }
                Some(reply) => DnsAnswer::Other(reply.rcode),
            },
        })
    };
    if fact.answers.is_empty()
        && let Some(lookup) = lookup(None)
    {
        note(lookup);
    }
    for reply in fact.answers {
        if let Some(lookup) = lookup(Some(reply)) {
            note(lookup);
        }
    }
}

impl NameBook {
    /// Puts lookups in order, and the names of addresses that follow from them.
    pub(super) fn new(mut lookups: Vec<DnsLookup>, hosts: &[(Address, String)]) -> Self {
        lookups.sort_by(|a, b| {
            (a.time, a.frame, &a.name, a.kind, a.answer_frame).cmp(&(
                b.time,
                b.frame,
                &b.name,
                b.kind,
                b.answer_frame,
            ))
        });
        lookups.dedup();
        lookups.truncate(MAX_LOOKUPS);
        let mut book = NameBook::default();
        for (address, name) in hosts {
            book.add(*address, Timestamp(i64::MIN), Address::default(), name);
        }
        for lookup in &lookups {
            book.learn(lookup);
        }
        book.lookups = lookups;
        book
    }

    /// Adds the names that follow from a lookup.
    pub(super) fn learn(&mut self, lookup: &DnsLookup) {
        if let (DnsAnswer::Addresses(addresses), Some(answered)) = (&lookup.answer, lookup.answered)
        {
            for address in addresses {
                self.add(*address, answered, lookup.client, &lookup.name);
            }
        }
    }

    /// Leaves the addresses of a lookup their last `most` names.
    pub(super) fn trim(&mut self, lookup: &DnsLookup, most: usize) {
        if let DnsAnswer::Addresses(addresses) = &lookup.answer {
            for address in addresses {
                if let Some(names) = self.by_address.get_mut(address) {
                    let surplus = names.len().saturating_sub(most);
                    names.drain(..surplus);
                }
            }
        }
    }

    /// Takes them away again.
    pub(super) fn forget(&mut self, lookup: &DnsLookup) {
        let DnsAnswer::Addresses(addresses) = &lookup.answer else {
            return;
        };
        for address in addresses {
            let Some(names) = self.by_address.get_mut(address) else {
                continue;
            };
            names.retain(|named| {
                Some(named.time) != lookup.answered
                    || named.client != lookup.client
                    || named.name != lookup.name
            });
            if names.is_empty() {
                self.by_address.remove(address);
            }
        }
    }

    fn add(&mut self, address: Address, time: Timestamp, client: Address, name: &str) {
        let named = Named {
            time,
            client,
            name: name.to_owned(),
        };
        self.by_address.entry(address).or_default().push(named);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// The name that `client` knew `address` by when it opened a flow at `time`: its own latest answer before, else anybody's latest before, else the
    /// earliest after (a capture may miss the question).
    pub(super) fn name(&self, address: Address, client: Address, time: Timestamp) -> Option<&str> {
        let named = self.by_address.get(&address)?;
        let before = || named.iter().filter(|named| named.time <= time);
        before()
            .filter(|named| named.client == client)
            .max()
            .or_else(|| before().max())
            .or_else(|| named.iter().min())
            .map(|named| named.name.as_str())
    }
}
