//! `allowlist_suspected`: does the network let only a few through?
//!
//! Where nearly everything that a client tries fails at one stage, and a few servers live beside it, nobody picked the messengers: the few were picked
//! (docs/detection.md, B8). That is a fact about the capture, never a finding.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{CaptureFacts, DnsAnswer, Summary};
use crate::types::{Address, Frame, Protocol};

use super::finding::Note;

/// What belongs together lies within this (B8: five minutes).
const WINDOW_NS: i64 = 300_000_000_000;

/// Least networks that fail, and of these that belong to no messenger: a few blocked services are no list of what is allowed.
const FAILING: usize = 6;
const FAILING_CONTROLS: usize = 4;

/// Least servers that live, and most: with fewer the client is offline, and an allowlist is short.
const LIVING: usize = 3;

/// Share of the servers outside the allowed ones that must fail at the same stage (B8).
const SHARE: f64 = 0.8;

/// Who tries more servers than this in five minutes is scanning.
const MOST: usize = 400;

/// Flows of fewer cannot show it.
const FLOWS: usize = FAILING + LIVING;

/// Where a server's flows end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// Nothing answers the SYN.
    Syn,
    /// Nothing answers what the client says after the handshake.
    Hello,
    /// A reset instead of an answer.
    Reset,
}

impl Stage {
    const fn text(self) -> &'static str {
        match self {
            Self::Syn => "their SYNs go unanswered",
            Self::Hello => "they complete the handshake and never answer what the client says then",
            Self::Reset => "they are reset before they answer anything",
        }
    }
}

/// The note, if the capture shows it: of the first client and time that do.
pub(super) fn note(around: &CaptureFacts) -> Option<Note> {
    let flow = |index: &u32| around.flows.get(*index as usize);
    let same = |a: &u32, b: &u32| {
        let client = |index| flow(index).map(|flow| flow.key.a.address);
        client(a) == client(b)
    };
    let names = names(around);
    around
        .by_client
        .chunk_by(same)
        .filter(|flows| flows.len() >= FLOWS)
        .find_map(|flows| {
            let flows: Vec<&Summary> = flows
                .iter()
                .filter_map(flow)
                .filter(|flow| flow.key.protocol == Protocol::Tcp)
                .collect();
            windows(&flows).find_map(|flows| in_window(flows, &names))
        })
}

/// A client's flows in windows that overlap by half.
fn windows<'w, 'f>(flows: &'w [&'f Summary]) -> impl Iterator<Item = &'w [&'f Summary]> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = flows.get(start)?.first;
        let within = |ns: i64| flows.partition_point(|flow| flow.first.since(first) < ns);
        let window = flows.get(start..within(WINDOW_NS))?;
        start = within(WINDOW_NS / 2).max(start + 1);
        Some(window)
    })
}

/// The names that resolvers gave the addresses.
fn names(around: &CaptureFacts) -> BTreeMap<Address, &str> {
    let mut names = BTreeMap::new();
    for lookup in &around.lookups {
        if let DnsAnswer::Addresses(addresses) = &lookup.answer {
            for address in addresses {
                names.insert(*address, lookup.name.as_str());
            }
        }
    }
    names
}

/// The country whose top level a name lies under: two letters, or Cyrillic in its encoded form.
fn country(name: &str) -> Option<&str> {
    let top = name.rsplit('.').next()?;
    (top.len() == 2 || top.starts_with("xn--")).then_some(match top {
        // one country's
        "xn--p1ai" | "su" => "ru",
        top => top,
    })
}

/// One server's fate.
struct Fate {
    lives: bool,
    stage: Option<Stage>,
    messenger: bool,
    frame: Frame,
}

fn in_window(flows: &[&Summary], names: &BTreeMap<Address, &str>) -> Option<Note> {
    // the versions of IP fail apart from each other, and for other reasons
    [true, false].into_iter().find_map(|v4| {
        let mut servers: BTreeMap<Address, Fate> = BTreeMap::new();
        for flow in flows.iter().filter(|flow| flow.key.b.address.is_v4() == v4) {
            let fate = servers.entry(flow.key.b.address).or_insert(Fate {
                lives: false,
                stage: None,
                messenger: flow.service != 0,
                frame: flow.first_frame,
            });
            fate.lives |= flow.down.data_packets > 0;
            fate.stage = fate.stage.or(stage(flow));
        }
        if servers.len() > MOST {
            return None;
        }
        judge(&servers, names)
    })
}

/// Where the flow failed, if it was tried often and long enough to say so.
pub(super) fn stage(flow: &Summary) -> Option<Stage> {
    if flow.down.data_packets > 0 {
        None
    } else if flow.down.packets == 0 {
        (flow.up.packets >= 3).then_some(Stage::Syn)
    } else if flow.end == crate::facts::End::RstByServer {
        Some(Stage::Reset)
    } else {
        (flow.up.data_packets >= 3 && flow.up.retransmitted >= 2).then_some(Stage::Hello)
    }
}

fn judge(servers: &BTreeMap<Address, Fate>, names: &BTreeMap<Address, &str>) -> Option<Note> {
    let living: Vec<&Address> = servers
        .iter()
        .filter_map(|(address, fate)| fate.lives.then_some(address))
        .collect();
    let failing = |stage: Stage| {
        servers
            .iter()
            .filter(move |(_, fate)| !fate.lives && fate.stage == Some(stage))
    };
    let worst = [Stage::Syn, Stage::Hello, Stage::Reset]
        .into_iter()
        .max_by_key(|stage| failing(*stage).count())?;
    // the allowed ones are those of one country, where the names are known
    let mut countries: BTreeMap<&str, usize> = BTreeMap::new();
    for country in living
        .iter()
        .filter_map(|address| country(names.get(*address)?))
    {
        *countries.entry(country).or_default() += 1;
    }
    let home = countries
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .filter(|(_, count)| *count >= LIVING)
        .map(|(country, _)| country);
    let at_home = |address: &Address| match home {
        Some(home) => names.get(address).and_then(|name| country(name)) == Some(home),
        None => true,
    };
    let allowed = living.iter().filter(|address| at_home(address)).count();
    let abroad = living.len() - allowed;
    let failed = servers
        .values()
        .filter(|fate| !fate.lives && fate.stage.is_some())
        .count();
    let networks: BTreeSet<&[u8]> = failing(worst)
        .map(|(address, _)| network(address))
        .collect();
    let controls: BTreeSet<&[u8]> = failing(worst)
        .filter(|(_, fate)| !fate.messenger)
        .map(|(address, _)| network(address))
        .collect();
    let share = failing(worst).count() as f64 / (failed + abroad) as f64;
    // without names the allowed ones have to be the few
    let few = home.is_some() || 2 * living.len() <= failed;
    let suspected = networks.len() >= FAILING
        && controls.len() >= FAILING_CONTROLS
        && allowed >= LIVING
        && share >= SHARE
        && few;
    suspected.then(|| Note {
        note: "allowlist_suspected",
        text: format!(
            "{} of {} servers in {} networks fail alike ({}), while {allowed} others{} work: the network seems to let only a few through, so that nobody singled out the messengers among the rest",
            failing(worst).count(),
            failed + abroad,
            networks.len(),
            worst.text(),
            home.map(|home| format!(", named under .{home},")).unwrap_or_default(),
        ),
        frames: failing(worst).map(|(_, fate)| fate.frame).take(32).collect::<BTreeSet<_>>().into_iter().collect(),
    })
}

/// The part of an address that is one provider's.
pub(super) fn network(address: &Address) -> &[u8] {
    let end = if address.is_v4() { 14 } else { 4 };
    address.0.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{DnsLookup, End, Tally};
    use crate::types::{Endpoint, Timestamp};

    /// What happened to one server.
    #[derive(Clone, Copy)]
    enum Is {
        Alive,
        Silent,
        Dumb,
    }

    /// A capture of one client and these servers, a second apart, each in a network of its own.
    fn capture(servers: &[Is]) -> CaptureFacts {
        let mut around = CaptureFacts::default();
        for (number, is) in servers.iter().enumerate() {
            let tally = |packets, data_packets, retransmitted| Tally {
                packets,
                data_packets,
                retransmitted,
                bytes: 0,
            };
            let (up, down) = match is {
                Is::Alive => (tally(9, 4, 0), tally(9, 5, 0)),
                Is::Silent => (tally(4, 0, 0), tally(0, 0, 0)),
                Is::Dumb => (tally(7, 5, 4), tally(1, 0, 0)),
            };
            around.flows.push(Summary {
                key: crate::types::FlowKey {
                    a: Endpoint {
                        address: Address::v4([10, 0, 0, 1]),
                        port: 40_000 + number as u16,
                    },
                    b: Endpoint {
                        address: Address::v4([100 + number as u8, 7, 0, 1]),
                        port: 443,
                    },
                    ..crate::types::FlowKey::default()
                },
                first: Timestamp(number as i64 * 1_000_000_000),
                first_frame: Frame::new(0, number as u64 + 1),
                end: End::Open,
                up,
                down,
                ..Summary::default()
            });
        }
        around.by_client = (0..servers.len() as u32).collect();
        around
    }

    #[test]
    fn where_nearly_everything_dies_after_the_handshake_and_a_few_live_only_a_few_are_let_through()
    {
        let around = capture(&[[Is::Dumb; 8].as_slice(), [Is::Alive; 3].as_slice()].concat());
        let note = note(&around).expect("a note");
        assert_eq!(note.note, "allowlist_suspected");
        assert_eq!(note.frames.len(), 8);
        assert!(note.text.starts_with("8 of 8 servers"), "{}", note.text);
    }

    #[test]
    fn where_more_live_than_die_somebody_picked_those_that_die() {
        let around = capture(&[[Is::Dumb; 6].as_slice(), [Is::Alive; 6].as_slice()].concat());
        assert_eq!(note(&around), None);
    }

    #[test]
    fn a_client_that_is_offline_shows_no_list() {
        assert_eq!(note(&capture(&[Is::Silent; 12])), None);
    }

    #[test]
    fn two_stages_are_two_causes() {
        let around = capture(
            &[
                [Is::Dumb; 6].as_slice(),
                [Is::Silent; 6].as_slice(),
                [Is::Alive; 3].as_slice(),
            ]
            .concat(),
        );
        assert_eq!(note(&around), None);
    }

    #[test]
    fn a_few_messengers_that_are_blocked_are_no_list_of_the_allowed() {
        let mut around = capture(&[[Is::Dumb; 8].as_slice(), [Is::Alive; 3].as_slice()].concat());
        for index in 0..6 {
            around.flows[index].service = 1;
        }
        assert_eq!(note(&around), None);
    }

    #[test]
    fn names_tell_who_is_let_through_where_many_live() {
        let mut around = capture(&[[Is::Dumb; 6].as_slice(), [Is::Alive; 6].as_slice()].concat());
        for flow in around.flows.iter().skip(6) {
            around.lookups.push(DnsLookup {
                name: format!("host{}.ru", flow.key.a.port),
                answer: DnsAnswer::Addresses(vec![flow.key.b.address]),
                ..DnsLookup::default()
            });
        }
        let note = note(&around).expect("a note");
        assert!(note.text.contains("named under .ru"), "{}", note.text);
    }

    #[test]
    fn what_failed_an_hour_ago_does_not_count() {
        let mut around = capture(&[[Is::Dumb; 8].as_slice(), [Is::Alive; 3].as_slice()].concat());
        for index in 8..around.flows.len() {
            let flow = &mut around.flows[index];
            flow.first = flow.first.plus(3_600_000_000_000);
        }
        assert_eq!(note(&around), None);
    }
}
