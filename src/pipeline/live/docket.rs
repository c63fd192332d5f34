//! Which findings stand while a run goes on: each gets a number once, keeps it as it grows, and is withdrawn where it is no longer upheld.

use std::collections::BTreeSet;

use crate::detect::{Kind, Level, Mechanism, Past};
use crate::types::Timestamp;

/// What became of a finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is new; its place in the assessment.
    New {
        /// Its number.
        id: u64,
        /// Its place.
        place: usize,
    },
    /// It reached a higher level, or is known more closely: another mechanism of its kind. Its place in the assessment.
    Renewed {
        /// Its number.
        id: u64,
        /// Its place.
        place: usize,
    },
    /// It is no longer upheld.
    Withdrawn {
        /// Its number.
        id: u64,
        /// Why.
        why: String,
    },
}

/// What the docket must know of a finding of the present assessment.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) mechanism: Mechanism,
    pub(super) level: Level,
    /// The numbers of the flows that it covers.
    pub(super) flows: Vec<u64>,
    /// The catalogue's index of its service.
    pub(super) service: u16,
}

/// A finding that was told and stands.
#[derive(Debug)]
struct Standing {
    id: u64,
    mechanism: Mechanism,
    level: Level,
    flows: BTreeSet<u64>,
    service: u16,
    upheld: Timestamp,
}

/// How long a finding may be missing before it is withdrawn, in nanoseconds: what wavers with every packet is not taken back with every packet.
const PATIENCE: i64 = 2_000_000_000;

/// The findings of a run.
#[derive(Debug, Default)]
pub(super) struct Docket {
    standing: Vec<Standing>,
    last_id: u64,
}

impl Docket {
    /// Takes the findings of an assessment made at `now`, in its order, which is the last one where the run is `over`: then nothing is waited for. Gives a number for each, and what changed. `known` says whether a flow can still
    /// be judged; a finding whose flows are all gone stands for ever, and goes to `past`.
    pub(super) fn update(
        &mut self,
        (now, over): (Timestamp, bool),
        items: &[Item],
        known: &dyn Fn(u64) -> bool,
        past: &mut Past,
    ) -> (Vec<u64>, Vec<Change>) {
        let mut ids = vec![0; items.len()];
        let mut changes = Vec::new();
        // who finds its own again goes first, then who is another mechanism of one's kind
        for same in [
            |standing: &Standing, item: &Item| standing.mechanism == item.mechanism,
            |standing: &Standing, item: &Item| standing.mechanism.kind() == item.mechanism.kind(),
        ] {
            for (place, item) in items.iter().enumerate() {
                if ids.get(place).is_some_and(|id| *id != 0) {
                    continue;
                }
                let known = self.standing.iter_mut().find(|standing| {
                    same(standing, item)
                        && !ids.contains(&standing.id)
                        && item.flows.iter().any(|flow| standing.flows.contains(flow))
                });
                if let (Some(standing), Some(id)) = (known, ids.get_mut(place)) {
                    *id = standing.id;
                    if standing.renew(now, item) {
                        changes.push(Change::Renewed { id: *id, place });
                    }
                }
            }
        }
        for (place, (item, given)) in items.iter().zip(&mut ids).enumerate() {
            if *given == 0 {
                self.last_id += 1;
                let id = self.last_id;
                self.standing.push(Standing {
                    id,
                    mechanism: item.mechanism,
                    level: item.level,
                    flows: item.flows.iter().copied().collect(),
                    service: item.service,
                    upheld: now,
                });
                changes.push(Change::New { id, place });
                *given = id;
            }
        }
        self.standing.retain(|standing| {
            if standing.upheld == now {
                return true;
            }
            if !standing.flows.iter().any(|flow| known(*flow)) {
                past.add_finding(standing.service, standing.level, standing.mechanism.kind());
                return false;
            }
            let anew = (ids.iter().zip(items))
                .find(|(_, item)| item.flows.iter().any(|flow| standing.flows.contains(flow)));
            if !over && anew.is_none() && now.since(standing.upheld) < PATIENCE {
                return true;
            }
            changes.push(Change::Withdrawn {
                id: standing.id,
                why: why(standing, anew),
            });
            false
        });
        (ids, changes)
    }

    /// Findings that stand and whose flows are held, by kind.
    pub(super) fn standing(&self) -> impl Iterator<Item = (u16, Kind, Level)> {
        (self.standing.iter())
            .map(|standing| (standing.service, standing.mechanism.kind(), standing.level))
    }
}

impl Standing {
    /// Takes what is said of it now; whether that is news.
    fn renew(&mut self, now: Timestamp, item: &Item) -> bool {
        let news = item.level > self.level || item.mechanism != self.mechanism;
        self.upheld = now;
        self.mechanism = item.mechanism;
        self.level = self.level.max(item.level);
        self.service = item.service;
        self.flows.extend(&item.flows);
        news
    }
}

fn why(standing: &Standing, anew: Option<(&u64, &Item)>) -> String {
    match (anew, standing.mechanism.kind()) {
        (Some((id, item)), _) if item.mechanism == standing.mechanism => {
            format!("it is part of finding {id}")
        }
        (Some((id, item)), _) => {
            format!(
                "it was judged anew: {}, finding {id}",
                item.mechanism.name()
            )
        }
        (None, Kind::Blackholing) => {
            "the silence ended, or is not known: the peer was heard again, or the capture paused"
                .to_owned()
        }
        (None, Kind::RstInjection) => "packets since then speak against it".to_owned(),
        (None, Kind::BandwidthShaping) => "the transfer went on without the limit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(mechanism: Mechanism, level: Level, flows: &[u64]) -> Item {
        Item {
            mechanism,
            level,
            flows: flows.to_vec(),
            service: 1,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    /// A docket whose flows are all held.
    fn update(docket: &mut Docket, seconds: i64, items: &[Item]) -> (Vec<u64>, Vec<Change>) {
        docket.update((at(seconds), false), items, &|_| true, &mut Past::default())
    }

    const SILENT: Mechanism = Mechanism::HelloUnanswered;

    #[test]
    fn a_finding_is_told_once_and_keeps_its_number_as_it_grows() {
        let mut docket = Docket::default();
        let (ids, changes) = update(&mut docket, 1, &[item(SILENT, Level::Likely, &[7])]);
        assert_eq!(
            (ids, changes),
            (vec![1], vec![Change::New { id: 1, place: 0 }])
        );
        let (ids, changes) = update(&mut docket, 2, &[item(SILENT, Level::Likely, &[7, 9])]);
        assert_eq!((ids, changes), (vec![1], vec![]));
    }

    #[test]
    fn a_higher_level_is_told_and_a_lower_one_is_not() {
        let mut docket = Docket::default();
        update(&mut docket, 1, &[item(SILENT, Level::Suspected, &[7])]);
        let (_, changes) = update(&mut docket, 2, &[item(SILENT, Level::Confirmed, &[7])]);
        assert_eq!(changes, [Change::Renewed { id: 1, place: 0 }]);
        let (_, changes) = update(&mut docket, 3, &[item(SILENT, Level::Likely, &[7])]);
        assert_eq!(changes, []);
    }

    #[test]
    fn a_silence_that_ends_is_withdrawn_but_not_at_once() {
        let mut docket = Docket::default();
        update(&mut docket, 1, &[item(SILENT, Level::Likely, &[7])]);
        assert_eq!(update(&mut docket, 2, &[]).1, []);
        let (_, changes) = update(&mut docket, 4, &[]);
        assert!(
            matches!(&changes[..], [Change::Withdrawn { id: 1, why }] if why.contains("heard again"))
        );
        assert_eq!(update(&mut docket, 5, &[]).1, []);
    }

    #[test]
    fn what_the_last_assessment_does_not_uphold_is_withdrawn_at_once() {
        let (mut docket, mut past) = (Docket::default(), Past::default());
        update(&mut docket, 1, &[item(SILENT, Level::Likely, &[7])]);
        let (_, changes) = docket.update((at(2), true), &[], &|_| true, &mut past);
        assert!(matches!(&changes[..], [Change::Withdrawn { id: 1, .. }]));
    }

    #[test]
    fn a_closer_name_is_the_same_finding_and_another_kind_is_another() {
        let mut docket = Docket::default();
        update(&mut docket, 1, &[item(SILENT, Level::Likely, &[7])]);
        let limit = item(Mechanism::ConnectionLimit, Level::Likely, &[7, 8]);
        let (ids, changes) = update(&mut docket, 2, &[limit]);
        assert_eq!(
            (ids, changes),
            (vec![1], vec![Change::Renewed { id: 1, place: 0 }])
        );
        let reset = item(Mechanism::ForgedRst, Level::Likely, &[7]);
        let (ids, changes) = update(&mut docket, 3, &[reset]);
        assert_eq!(ids, [2]);
        assert_eq!(changes[0], Change::New { id: 2, place: 0 });
        assert!(
            matches!(&changes[1], Change::Withdrawn { id: 1, why } if why.contains("forged_rst"))
        );
    }

    #[test]
    fn findings_that_become_one_leave_one_number() {
        let mut docket = Docket::default();
        let apart = [7, 8].map(|flow| item(SILENT, Level::Likely, &[flow]));
        assert_eq!(update(&mut docket, 1, &apart).0, [1, 2]);
        let (ids, changes) = update(&mut docket, 2, &[item(SILENT, Level::Likely, &[7, 8])]);
        assert_eq!(ids, [1]);
        assert!(
            matches!(&changes[..], [Change::Withdrawn { id: 2, why }] if why.contains("part of finding 1"))
        );
    }

    #[test]
    fn a_finding_whose_flows_are_gone_stands_in_the_past() {
        let (mut docket, mut past) = (Docket::default(), Past::default());
        update(&mut docket, 1, &[item(SILENT, Level::Likely, &[7])]);
        let (_, changes) = docket.update((at(9), true), &[], &|_| false, &mut past);
        assert_eq!(changes, []);
        assert_eq!(past.services[&1].findings, 1);
        assert_eq!(docket.standing().count(), 0);
    }
}
