//! The collector of a run that goes on: holds the flows that are open and those that ended lately, and judges them again and again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use crate::capture::CaptureFile;
use crate::detect::{self, Finding, Judgement, Level, Note, Past, shaping};
use crate::facts::{CaptureFacts, Detail, DnsLookup, Event, FlowFacts, Loss, PacketFact};
use crate::pipeline::collector::{self, Kept, judge, watched_until};
use crate::pipeline::names::NameBook;
use crate::pipeline::reader::UndecodedCounts;
use crate::pipeline::worker::{Gathered, Told};
use crate::pipeline::{Analysis, Settings};
use crate::service::Catalogue;
use crate::types::{Frame, Timestamp};

use super::docket::{Change, Docket, Item};

/// How long an ended flow is held as the surroundings in which others are judged, in nanoseconds after its last packet. A proposal: residual
/// blocking lasts three minutes at most by what is published, a user's retries as long as the user has patience.
const HELD: i64 = 15 * 60 * 1_000_000_000;

/// Most flows that are held to be judged, and how many are held however long that takes. Past it the ended ones go first, by their last packet.
const MOST_FLOWS: usize = 1 << 16;
const FEWEST_FLOWS: usize = 1 << 12;

/// Most memory that details of flows may take, in bytes as reckoned by [`weight`], and how much they may take however long judging takes. Past it
/// those of ended flows go first, and of these the ones in which nothing was found.
const MOST_DETAIL: usize = 96 << 20;
const LEAST_DETAIL: usize = 16 << 20;

/// An assessment that takes longer makes the desk hold less, in nanoseconds: what is due must be told within a second.
const TOO_LONG: i64 = 200_000_000;

/// Most DNS lookups that are held; the earliest go first.
const MOST_LOOKUPS: usize = 20_000;

/// Most names that one address keeps, the last ones.
const MOST_NAMES: usize = 64;

/// How often the list of lookups is made anew for whoever reports, in nanoseconds.
const LISTED: i64 = 5_000_000_000;

/// Most periods of loss that are held apart; the earliest are joined.
const MOST_LOSSES: usize = 256;

/// A flow that is held.
#[derive(Debug)]
struct Held {
    flow: Gathered,
    id: u64,
    open: bool,
    /// The service that its own bytes and addresses gave it, and whether DNS or siblings gave it another.
    own_service: u16,
    judgement: Judgement,
    weight: usize,
}

impl collector::Part for Vec<Held> {
    fn flows(&self) -> impl Iterator<Item = &Gathered> {
        self.iter().map(|held| &held.flow)
    }

    fn flows_mut(&mut self) -> impl Iterator<Item = &mut Gathered> {
        self.iter_mut().map(|held| &mut held.flow)
    }
}

type LookupKey = (Timestamp, Frame, String, u16, Option<Frame>);

/// What was said of rates when they were judged last, with the flows' numbers instead of their indexes.
#[derive(Debug, Default)]
struct Rates {
    findings: Vec<(Finding, Vec<u64>)>,
    causes: Vec<(u64, &'static str)>,
    blind: Vec<(u64, &'static str)>,
}

impl Rates {
    fn of(judged: &detect::Judged, ids: &[u64]) -> Self {
        let id = |index: &u32| ids.get(*index as usize).copied();
        let told = |list: &[(u32, &'static str)]| {
            list.iter()
                .filter_map(|(index, words)| Some((id(index)?, *words)))
                .collect()
        };
        Self {
            findings: (judged.findings.iter())
                .map(|finding| {
                    (
                        finding.clone(),
                        finding.flows.iter().filter_map(id).collect(),
                    )
                })
                .collect(),
            causes: told(&judged.causes),
            blind: told(&judged.blind),
        }
    }

    /// The same of the flows that are still held.
    fn again(&self, ids: &[u64]) -> detect::Judged {
        let indexes: HashMap<u64, u32> = if self.findings.is_empty() && self.blind.is_empty() {
            HashMap::new()
        } else {
            ids.iter().copied().zip(0..).collect()
        };
        let index = |id: &u64| indexes.get(id).copied();
        let told = |list: &[(u64, &'static str)]| {
            list.iter()
                .filter_map(|(id, words)| Some((index(id)?, *words)))
                .collect()
        };
        let finding = |(finding, flows): &(Finding, Vec<u64>)| {
            let flows: Vec<u32> = flows.iter().filter_map(index).collect();
            (!flows.is_empty()).then(|| Finding {
                flows,
                ..finding.clone()
            })
        };
        detect::Judged {
            findings: self.findings.iter().filter_map(finding).collect(),
            causes: told(&self.causes),
            blind: told(&self.blind),
        }
    }
}

/// What an assessment came to.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) analysis: Analysis,
    pub(super) flow_ids: Vec<u64>,
    pub(super) finding_ids: Vec<u64>,
    pub(super) ended: BTreeSet<u64>,
    pub(super) changes: Vec<Change>,
}

/// The collector of a run that goes on.
pub(super) struct Desk<'a> {
    settings: &'a Settings,
    catalogue: &'a Catalogue,
    /// By first packet.
    held: Vec<Held>,
    next_id: u64,
    lookups: BTreeMap<LookupKey, DnsLookup>,
    book: NameBook,
    /// The lookups in order, as of when they were listed last, and whether any came since.
    listed: Vec<DnsLookup>,
    listed_at: Timestamp,
    list_is_old: bool,
    docket: Docket,
    rates: Rates,
    pub(super) past: Past,
    losses: VecDeque<Loss>,
    lost: u64,
    /// Of these, packets that were read before they were lost.
    pub(super) dropped_by_us: u64,
    /// The last packets before the capture paused.
    pub(super) pauses: Vec<Timestamp>,
    /// The last pause that was known when the flows were judged last.
    judged_pause: Option<Timestamp>,
    undecoded: UndecodedCounts,
    /// Duplicates of flows that are not held any more, by capture.
    duplicates: BTreeMap<u16, u64>,
    detail: usize,
    /// Most flows and most detail that are held at present.
    most: (usize, usize),
    /// Level from which findings are told.
    least: Level,
}

impl<'a> Desk<'a> {
    pub(super) fn new(settings: &'a Settings, catalogue: &'a Catalogue, least: Level) -> Self {
        Self {
            settings,
            catalogue,
            held: Vec::new(),
            next_id: 1,
            lookups: BTreeMap::new(),
            book: NameBook::default(),
            listed: Vec::new(),
            listed_at: Timestamp(i64::MIN),
            list_is_old: false,
            docket: Docket::default(),
            rates: Rates::default(),
            past: Past::default(),
            losses: VecDeque::new(),
            lost: 0,
            dropped_by_us: 0,
            pauses: Vec::new(),
            judged_pause: None,
            undecoded: UndecodedCounts::new(),
            duplicates: BTreeMap::new(),
            detail: 0,
            most: (MOST_FLOWS, MOST_DETAIL),
            least,
        }
    }

    /// Flows that are held.
    pub(super) fn flows(&self) -> usize {
        self.held.len()
    }

    /// Findings that stand, by service and kind.
    pub(super) fn standing(&self) -> impl Iterator<Item = (u16, crate::detect::Kind, Level)> {
        self.docket.standing()
    }

    /// The capture lost `packets` between the two moments.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.lost += loss.packets;
        match self.losses.back_mut() {
            // periods that touch are one
            Some(last) if loss.from.since(last.to) <= 0 => {
                last.to = last.to.max(loss.to);
                last.packets += loss.packets;
            }
            _ => self.losses.push_back(loss),
        }
        if self.losses.len() > MOST_LOSSES
            && let Some(first) = self.losses.pop_front()
            && let Some(second) = self.losses.front_mut()
        {
            second.from = first.from;
            second.packets += first.packets;
        }
    }

    /// Counts packets that the reader could not decode.
    pub(super) fn add_undecoded(&mut self, counts: UndecodedCounts) {
        for (place, count) in counts {
            *self.undecoded.entry(place).or_default() += count;
        }
    }

    /// An assessment took so many nanoseconds: holds less where that was too long, and more again where it was not.
    pub(super) fn took(&mut self, nanos: i64) {
        let (flows, detail) = &mut self.most;
        if nanos > TOO_LONG {
            *flows = (self.held.len().min(*flows) / 4 * 3).max(FEWEST_FLOWS);
            *detail = (self.detail.min(*detail) / 4 * 3).max(LEAST_DETAIL);
        } else if nanos < TOO_LONG / 2 {
            *flows = (*flows + *flows / 32).min(MOST_FLOWS);
            *detail = (*detail + *detail / 32).min(MOST_DETAIL);
        }
    }

    /// Takes what a worker tells.
    pub(super) fn take(&mut self, told: Told) {
        self.add_undecoded(told.undecoded);
        for lookup in told.lookups {
            self.note(lookup);
        }
        let mut news: Vec<Held> = Vec::new();
        let open = told.open.into_iter().map(|flow| (flow, true));
        // what ended after it was shown open is the later word
        let ended = told.ended.into_iter().map(|flow| (flow, false));
        for (flow, open) in open.chain(ended) {
            let weight = flow.detail.as_deref().map_or(0, weight);
            self.detail += weight;
            let news_of_it = Held {
                own_service: flow.summary.service,
                flow,
                id: 0,
                open,
                judgement: Judgement::default(),
                weight,
            };
            let place = self.place(&news_of_it.flow);
            match place.ok().and_then(|place| self.held.get_mut(place)) {
                // a glance may be older than the end
                Some(held) if held.open || !open => {
                    self.detail -= held.weight;
                    *held = Held {
                        id: held.id,
                        ..news_of_it
                    };
                }
                Some(_) => self.detail -= weight,
                None => news.push(news_of_it),
            }
        }
        // a flow may be shown and end within one tick: the later word stands, and sorting is stable
        news.sort_by_key(|held| held.flow.rank());
        news.dedup_by(|later, earlier| {
            let same = later.flow.rank() == earlier.flow.rank();
            if same {
                std::mem::swap(later, earlier);
                self.detail -= later.weight;
            }
            same
        });
        for held in &mut news {
            held.id = self.next_id;
            self.next_id += 1;
        }
        if !news.is_empty() {
            self.held.append(&mut news);
            self.held.sort_by_key(|held| held.flow.rank());
        }
        let gone: HashSet<(Timestamp, Frame)> = told.dropped.into_iter().collect();
        if !gone.is_empty() {
            self.remove(|held| held.open && gone.contains(&held.flow.rank()));
        }
    }

    fn place(&self, flow: &Gathered) -> Result<usize, usize> {
        // most are new or young
        let rank = flow.rank();
        if (self.held.last()).is_none_or(|last| last.flow.rank() < rank) {
            return Err(self.held.len());
        }
        self.held
            .binary_search_by_key(&rank, |held| held.flow.rank())
    }

    fn note(&mut self, lookup: DnsLookup) {
        let key = (
            lookup.time,
            lookup.frame,
            lookup.name.clone(),
            lookup.kind,
            lookup.answer_frame,
        );
        if lookup.answer_frame.is_some() {
            // it was unanswered when it was last told
            let open = (key.0, key.1, key.2.clone(), key.3, None);
            self.list_is_old |= self.lookups.remove(&open).is_some();
        }
        if let std::collections::btree_map::Entry::Vacant(place) = self.lookups.entry(key) {
            self.book.learn(&lookup);
            self.book.trim(&lookup, MOST_NAMES);
            place.insert(lookup);
            self.list_is_old = true;
        }
        if self.lookups.len() > MOST_LOOKUPS
            && let Some((_, lookup)) = self.lookups.pop_first()
        {
            self.book.forget(&lookup);
        }
    }

    /// Lets go of flows for which `gone` holds, without a word.
    fn remove(&mut self, gone: impl Fn(&Held) -> bool) {
        let detail = &mut self.detail;
        self.held.retain(|held| {
            let goes = gone(held);
            *detail -= if goes { held.weight } else { 0 };
            !goes
        });
    }

    /// Lets go of what is held too long, and of what is too much.
    fn prune(&mut self, now: Timestamp) {
        let old = |held: &Held| !held.open && now.since(held.flow.summary.last) > HELD;
        self.fold(old);
        let (most_flows, most_detail) = self.most;
        if self.held.len() > most_flows {
            // an eighth more than needed, so that this is done seldom
            let surplus = self.held.len() - most_flows + most_flows / 8;
            let mut order: Vec<(bool, Timestamp)> = (self.held.iter())
                .map(|held| (held.open, held.flow.summary.last))
                .collect();
            if let Some(last) = order
                .get(surplus)
                .is_some()
                .then(|| *order.select_nth_unstable(surplus).1)
            {
                self.fold(|held| !held.open && (held.open, held.flow.summary.last) < last);
                self.remove(|held| held.open && (held.open, held.flow.summary.last) < last);
            }
        }
        if self.detail > most_detail {
            let mut order: Vec<(bool, bool, Timestamp, usize)> = (self.held.iter().enumerate())
                .filter(|(_, held)| held.weight > 0)
                .map(|(place, held)| {
                    let found = held.judgement == Judgement::Interfered;
                    (held.open, found, held.flow.summary.last, place)
                })
                .collect();
            order.sort_unstable();
            for (.., place) in order {
                if self.detail <= most_detail - most_detail / 8 {
                    break;
                }
                if let Some(held) = self.held.get_mut(place) {
                    held.flow.detail = None;
                    held.flow.judged = false;
                    self.detail -= std::mem::take(&mut held.weight);
                }
            }
        }
    }

    /// Lets go of flows for which `gone` holds; they count in the sums.
    fn fold(&mut self, gone: impl Fn(&Held) -> bool) {
        for held in self.held.iter().filter(|held| gone(held)) {
            let summary = &held.flow.summary;
            self.past.add_flow(summary, held.judgement);
            if summary.duplicates > 0 {
                let capture = summary.first_frame.capture();
                *self.duplicates.entry(capture).or_default() += u64::from(summary.duplicates);
            }
        }
        self.remove(gone);
    }

    /// Judges what is held at `now`, when all packets until then have been seen; rates only if they are asked for, else they are as they were. The analysis must be given [`back`](Self::back).
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        files: Vec<CaptureFile>,
        (rates_too, over): (bool, bool),
    ) -> Judged {
        // a pause that has just become known may take back what was told of flows that are old by now: these are judged once more before they go
        let pause = self.pauses.last().copied();
        if std::mem::replace(&mut self.judged_pause, pause) == pause {
            self.prune(now);
        }
        self.name();
        let mut analysis = Analysis::default();
        let around = &mut analysis.around;
        around.first = (self.held.first()).map_or(now, |held| held.flow.summary.first);
        around.last = now;
        around.losses = self.losses.iter().copied().collect();
        around.dropped = (self.losses.iter())
            .filter(|loss| now.since(loss.to) <= HELD)
            .map(|loss| loss.packets)
            .sum();
        // detectors do not ask for them
        if self.list_is_old && (over || now.since(self.listed_at) >= LISTED) {
            self.listed = self.lookups.values().cloned().collect();
            (self.listed_at, self.list_is_old) = (now, false);
        }
        around.lookups = std::mem::take(&mut self.listed);
        for held in &mut self.held {
            let last = held.flow.summary.last;
            if let Some(detail) = &mut held.flow.detail {
                let until = if held.open {
                    now.max(last)
                } else {
                    detail.observed_until
                };
                detail.observed_until = watched_until(&self.pauses, last, until);
            }
        }
        let flow_ids: Vec<u64> = self.held.iter().map(|held| held.id).collect();
        let held_rates = &mut self.rates;
        let rates =
            |flows: &[FlowFacts], around: &CaptureFacts, wanted: &dyn Fn(&FlowFacts) -> bool| {
                if rates_too {
                    let judged = shaping::judge(flows, around, wanted);
                    *held_rates = Rates::of(&judged, &flow_ids);
                    judged
                } else {
                    held_rates.again(&flow_ids)
                }
            };
        around.flows = (self.held.iter())
            .map(|held| held.flow.summary.clone())
            .collect();
        let kept = lend(&mut self.held);
        judge(kept, self.settings, self.catalogue, &mut analysis, rates);
        for (index, held) in (0..).zip(&mut self.held) {
            let verdict = analysis.assessment.verdict(index, &held.flow.summary);
            held.judgement = verdict.judgement;
        }
        analysis.captures = collector::outcomes(files, &analysis.around.flows, &self.undecoded);
        for (capture, count) in &self.duplicates {
            if let Some(outcome) = analysis.captures.get_mut(usize::from(*capture)) {
                outcome.duplicates += count;
            }
        }
        analysis.assessment.notes.extend(self.loss_note(&analysis));
        let least = self.least;
        analysis
            .assessment
            .findings
            .retain(|finding| Level::of(finding.score) >= Some(least));
        let items: Vec<Item> = (analysis.assessment.findings.iter())
            .map(|finding| Item {
                mechanism: finding.mechanism,
                level: Level::of(finding.score).unwrap_or(least),
                flows: (finding.flows.iter())
                    .filter_map(|index| flow_ids.get(*index as usize).copied())
                    .collect(),
                service: (finding.flows.first())
                    .and_then(|index| analysis.around.flows.get(*index as usize))
                    .map_or(0, |summary| summary.service),
            })
            .collect();
        let judged: HashSet<u64> = (self.held.iter())
            .filter(|held| held.flow.judged)
            .map(|held| held.id)
            .collect();
        let (finding_ids, changes) = self.docket.update(
            (now, over),
            &items,
            &|id| judged.contains(&id),
            &mut self.past,
        );
        Judged {
            analysis,
            flow_ids,
            finding_ids,
            ended: if self.settings.flow_table {
                (self.held.iter())
                    .filter(|held| !held.open)
                    .map(|held| held.id)
                    .collect()
            } else {
                BTreeSet::new()
            },
            changes,
        }
    }

    /// Takes back what was lent to an analysis.
    pub(super) fn back(&mut self, analysis: Analysis) {
        for facts in analysis.flows {
            if let Some(held) = self.held.get_mut(facts.index as usize) {
                held.flow.detail = Some(Box::new(facts.detail));
            }
        }
        self.listed = analysis.around.lookups;
    }

    /// Names flows that only DNS or their siblings can name, from the beginning: what was the best guess may have a better one by now.
    fn name(&mut self) {
        for held in &mut self.held {
            if !held.flow.named && held.flow.summary.service != held.own_service {
                held.flow.summary.service = held.own_service;
                collector::name_by_itself(&mut held.flow, self.catalogue);
            }
        }
        let mut parts = [std::mem::take(&mut self.held)];
        collector::name_others(&mut parts, &self.book, self.catalogue);
        let [held] = parts;
        self.held = held;
    }

    /// What the capture lost, in words, where it lost anything.
    fn loss_note(&self, analysis: &Analysis) -> Option<Note> {
        if self.lost == 0 {
            return None;
        }
        let read: u64 = (analysis.captures.iter())
            .map(|capture| capture.file.packets)
            .sum();
        let judged = read.saturating_sub(self.dropped_by_us);
        let share = 100.0 * judged as f64 / (judged + self.lost) as f64;
        let seconds: f64 = (self.losses.iter())
            .map(|loss| loss.to.seconds_since(loss.from))
            .sum();
        Some(Note {
            note: "capture_loss",
            text: format!(
                "the capture lost {} packets; verdicts rest on {share:.2} % of them, and silence and rates were not judged in {} periods of {seconds:.1} s in all",
                self.lost,
                self.losses.len()
            ),
            frames: Vec::new(),
        })
    }
}

/// About how many bytes a detail holds: its names, which are short, are reckoned as two kilobytes.
fn weight(detail: &Detail) -> usize {
    let media = detail.client.media.samples.len() + detail.server.media.samples.len();
    let packets = detail.packets.len() + detail.resets.len() + detail.icmp.len() + media;
    let events = (detail.transfer.as_ref()).map_or(0, |transfer| transfer.events.len());
    size_of::<Detail>() + 2_048 + packets * size_of::<PacketFact>() + events * size_of::<Event>()
}

/// Lends the details that are kept to an analysis.
fn lend(held: &mut [Held]) -> Vec<Kept> {
    let lent = (0..).zip(held).filter_map(|(index, held)| {
        let flow = &mut held.flow;
        let facts = FlowFacts {
            index,
            summary: flow.summary.clone(),
            detail: *flow.detail.take()?,
        };
        let judged = flow.judged;
        Some(Kept { facts, judged })
    });
    lent.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Summary;
    use crate::types::{Address, Endpoint, FlowKey, Protocol};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    /// A flow whose first packet came at `first` and whose last at `last`, with `packets` of its client.
    fn flow(first: i64, last: i64, packets: u32) -> Gathered {
        let end = |port| Endpoint {
            address: Address::v4([192, 0, 2, 1]),
            port,
        };
        let mut summary = Summary {
            key: FlowKey {
                a: end(40_000),
                b: end(443),
                protocol: Protocol::Tcp,
            },
            first: at(first),
            last: at(last),
            first_frame: Frame::new(0, first.unsigned_abs()),
            ..Summary::default()
        };
        summary.up.packets = packets;
        Gathered {
            summary,
            detail: None,
            judged: false,
            named: true,
            silent: false,
        }
    }

    fn with_desk(test: impl FnOnce(&mut Desk<'_>)) {
        let settings = Settings::default();
        test(&mut Desk::new(
            &settings,
            Catalogue::builtin(),
            Level::Likely,
        ));
    }

    fn judge(desk: &mut Desk<'_>, seconds: i64) -> Judged {
        desk.judge(at(seconds), vec![CaptureFile::default()], (true, true))
    }

    #[test]
    fn a_flow_that_goes_on_is_one_flow_and_keeps_its_number() {
        with_desk(|desk| {
            for (packets, over) in [(1, false), (5, false), (9, true)] {
                let told = if over {
                    Told {
                        ended: vec![flow(10, 20, packets)],
                        ..Told::default()
                    }
                } else {
                    Told {
                        open: vec![flow(10, 20, packets)],
                        ..Told::default()
                    }
                };
                desk.take(told);
            }
            // a glance that was made before the end changes nothing
            desk.take(Told {
                open: vec![flow(10, 15, 7)],
                ..Told::default()
            });
            let judged = judge(desk, 30);
            assert_eq!(judged.flow_ids, [1]);
            assert_eq!(judged.analysis.around.flows[0].up.packets, 9);
        });
    }

    #[test]
    fn flows_stand_by_their_first_packets_whenever_they_are_told() {
        with_desk(|desk| {
            for first in [30, 10, 20] {
                desk.take(Told {
                    open: vec![flow(first, 40, 1)],
                    ..Told::default()
                });
            }
            let judged = judge(desk, 50);
            let firsts: Vec<Timestamp> = (judged.analysis.around.flows.iter())
                .map(|flow| flow.first)
                .collect();
            assert_eq!(firsts, [at(10), at(20), at(30)]);
            assert_eq!(judged.flow_ids, [2, 3, 1]);
        });
    }

    #[test]
    fn what_ended_long_ago_is_let_go_and_counts_on() {
        with_desk(|desk| {
            desk.take(Told {
                open: vec![flow(1, 2, 1)],
                ended: vec![flow(10, 20, 1), flow(11, 5_000, 1)],
                ..Told::default()
            });
            let judged = judge(desk, 5_010);
            assert_eq!(
                judged.flow_ids,
                [1, 3],
                "the open one stays, whatever its age"
            );
            assert_eq!((desk.past.flows, desk.flows()), (1, 2));
        });
    }

    #[test]
    fn a_flow_that_was_dropped_for_want_of_room_is_not_judged() {
        with_desk(|desk| {
            let gone = flow(10, 20, 1);
            let rank = gone.rank();
            desk.take(Told {
                open: vec![gone],
                ..Told::default()
            });
            desk.take(Told {
                dropped: vec![rank],
                ..Told::default()
            });
            assert_eq!(desk.flows(), 0);
        });
    }

    #[test]
    fn a_slow_assessment_makes_the_desk_hold_less_and_a_quick_one_more() {
        with_desk(|desk| {
            for _ in 0..100 {
                desk.took(TOO_LONG + 1);
            }
            assert_eq!(desk.most, (FEWEST_FLOWS, LEAST_DETAIL));
            for _ in 0..1_000 {
                desk.took(1);
            }
            assert_eq!(desk.most, (MOST_FLOWS, MOST_DETAIL));
        });
    }

    #[test]
    fn losses_are_counted_exactly_and_their_periods_are_bounded() {
        with_desk(|desk| {
            let loss = |from, to, packets| Loss {
                from: at(from),
                to: at(to),
                packets,
            };
            desk.lose(loss(1, 2, 3));
            desk.lose(loss(2, 4, 5));
            assert_eq!(desk.losses, [loss(1, 4, 8)]);
            for second in 1..=2_000 {
                desk.lose(loss(10 * second, 10 * second + 1, 1));
            }
            assert_eq!(desk.losses.len(), MOST_LOSSES);
            let sum: u64 = desk.losses.iter().map(|loss| loss.packets).sum();
            assert_eq!((sum, desk.lost), (2_008, 2_008));
            let judged = judge(desk, 20_010);
            let note = &judged.analysis.assessment.notes[0];
            assert!(note.text.contains("lost 2008 packets"), "{}", note.text);
        });
    }
}
