//! Judges rates and losses: a policer, a shaper, a share dropped at random, or nobody's doing.
//!
//! Each direction of a flow becomes a `Ledger` of transmissions with their fates, whatever side the capture was taken on. A token bucket is
//! fitted to the losses and a queue to the delays, once a case; the rules then read the `Case`, and the table says what counts. Nothing here is called likely
//! unless other traffic of the same client shows what the line could do.

use std::collections::BTreeSet;

use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::{Address, Direction};

use super::finding::{Finding, Level, Mechanism};
use super::judged::Judged;
use super::rule::LOST;

mod application_limited;
mod beyond_chance;
mod bucket;
mod bucket_agreement;
mod bucket_drained;
mod bufferbloat;
mod capture_loss;
mod case;
mod control;
mod control_fast;
mod even_arrivals;
mod excess_loss;
mod faster_start;
mod first_burst_spared;
#[cfg(test)]
mod fixtures;

mod from_the_start;
mod full_line;
mod growing_acknowledgements;
mod heavy_loss;
mod improbable_loss;
mod indifferent_loss;
mod ledger;
mod limits;
mod loss;
mod lossy_radio;
mod path_mtu;
mod plateau;
mod queue;
mod queue_at_loss;
mod queue_share;
mod quiet_loss;
mod reordering;
mod rules;
mod scattered_loss;
mod server_pacing;
mod shared_congestion;
mod slow_reader;
mod slow_start_too_short;
mod standing_queue;
mod steady_service;
mod straight_line;
mod tariff_limit;
mod tight_bucket;
mod verdict;
mod words;

use case::Case;
use ledger::Ledger;
use loss::{Places, Pool};

pub(crate) use rules::RULES;

/// Fewest data packets of a direction that is looked at.
const FEWEST_PACKETS: u32 = 20;

/// Fewest losses that start a fit.
const FEWEST_LOSSES: u32 = 4;

/// Shortest transfer in which a standing queue is looked for, in seconds, and its least payload.
const SHORTEST_TRANSFER: (f64, u64) = (1.5, 24 * 1024);

/// Most flows that are taken to share one limiter.
const MOST_MEMBERS: usize = 16;

/// Judges the flows that `wanted` names against all that `around` knows.
#[must_use]
pub fn judge(
    flows: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
) -> Judged {
    // what the capture lost looks like what the path lost
    let lost = |flow: &FlowFacts| around.lost_between(flow.summary.first, flow.summary.last);
    let asked = wanted;
    let wanted = &|flow: &FlowFacts| asked(flow) && !lost(flow);
    let mut judged = Judged::default();
    let mut limited: Vec<(u32, Direction)> = Vec::new();
    let captured = loss::captured(flows, around);
    for mut case in cases(flows, wanted) {
        if !case.is_plausible() {
            continue;
        }
        case.look_around(flows, around);
        case.captured = captured;
        let finding = [Mechanism::Policing, Mechanism::Shaping]
            .into_iter()
            .filter_map(|mechanism| verdict::weigh(&case, mechanism))
            .max_by(|a, b| a.score.total_cmp(&b.score));
        if let Some(finding) = finding {
            // A limit that is only suspected does not take its losses from the pool.
            if Level::of(finding.score) >= Some(Level::Likely) {
                limited.extend(case.members.iter().map(|member| (*member, case.direction)));
            }
            judged.findings.push(finding);
        }
    }
    let drops = random_drops(flows, around, wanted, (&limited, captured));
    judged
        .findings
        .retain(|weak| !drops.iter().any(|drop| explains(drop, weak)));
    judged.findings.extend(drops);
    judged
        .findings
        .sort_by_key(|finding| (finding.time, finding.frame));
    judged.blind = flows
        .iter()
        .filter(|flow| asked(flow))
        .filter_map(|flow| blindness(flow, lost(flow)).map(|why| (flow.index, why)))
        .collect();
    judged
}

/// Whether random loss explains the losses for which a limit was suspected, and better.
fn explains(drop: &Finding, limit: &Finding) -> bool {
    drop.score >= limit.score
        && drop
            .direction
            .is_none_or(|way| Some(way) == limit.direction)
        && limit.flows.iter().all(|flow| drop.flows.contains(flow))
}

/// Why rates and losses of a flow cannot be judged although it is large enough.
fn blindness(flow: &FlowFacts, lost: bool) -> Option<&'static str> {
    let large = flow
        .summary
        .up
        .data_packets
        .max(flow.summary.down.data_packets)
        >= 100;
    if large && lost {
        return Some(LOST);
    }
    (large && flow.detail.one_way)
        .then_some("one direction only: rates and losses cannot be judged")
}

/// Who shares a limiter: flows of one client to one service, or between the same two hosts.
type Group = (Address, Address, u16, Direction);

fn group(flow: &FlowFacts, direction: Direction) -> Group {
    let key = &flow.summary.key;
    if flow.summary.service != 0 {
        return (
            key.a.address,
            Address::default(),
            flow.summary.service,
            direction,
        );
    }
    // Between two hosts either may have opened the flow; what counts is who sends.
    match direction {
        Direction::Up => (key.a.address, key.b.address, 0, Direction::Up),
        Direction::Down => (key.b.address, key.a.address, 0, Direction::Up),
    }
}

/// Every direction of every wanted flow that could be limited, alone or with those that share its limiter.
fn cases<'a>(flows: &'a [FlowFacts], wanted: &dyn Fn(&FlowFacts) -> bool) -> Vec<Case<'a>> {
    let mut tracks: Vec<(Group, Case<'a>)> = Vec::new();
    for flow in flows.iter().filter(|flow| wanted(flow)) {
        for direction in [Direction::Up, Direction::Down] {
            if is_eligible(flow, direction)
                && let Some(ledger) = Ledger::of(flow, direction)
            {
                let case = Case::new(flow, vec![flow.index], direction, ledger);
                tracks.push((group(flow, direction), case));
            }
        }
    }
    tracks.sort_by_key(|(group, case)| (*group, case.flow.index));
    let mut cases = Vec::new();
    for members in tracks.chunk_by(|a, b| a.0 == b.0) {
        let members: Vec<&Case<'a>> = members.iter().map(|(_, case)| case).collect();
        cases.extend(share_out(&members));
    }
    cases
}

/// Whether a direction of a flow has enough in it to be limited visibly.
fn is_eligible(flow: &FlowFacts, direction: Direction) -> bool {
    let tally = flow.summary.tally(direction);
    let side = flow.detail.side(direction);
    let seconds = flow.summary.last.seconds_since(flow.summary.first);
    flow.detail.transfer.is_some()
        && tally.data_packets >= FEWEST_PACKETS
        && (tally.retransmitted >= FEWEST_LOSSES
            || ledger::is_media(flow, direction) && side.rtp_missing >= FEWEST_LOSSES
            || (seconds >= SHORTEST_TRANSFER.0 && tally.bytes >= SHORTEST_TRANSFER.1))
}

/// One case for all members where one bucket explains the losses of all better than each its own; else one case each.
fn share_out<'a>(members: &[&Case<'a>]) -> Vec<Case<'a>> {
    let alone = || members.iter().map(|case| (*case).clone()).collect();
    let mut losing: Vec<&Case<'a>> = members
        .iter()
        .copied()
        .filter(|case| case.ledger.losses() >= FEWEST_LOSSES as usize)
        .collect();
    if losing.is_empty() || members.len() < 2 {
        return alone();
    }
    losing.sort_by_key(|case| (std::cmp::Reverse(case.ledger.losses()), case.flow.index));
    let Some(worst) = losing.first() else {
        return alone();
    };
    let overlaps = |case: &Case<'a>| {
        case.flow.summary.first <= worst.flow.summary.last
            && worst.flow.summary.first <= case.flow.summary.last
    };
    let mut together: Vec<&Case<'a>> = members
        .iter()
        .copied()
        .filter(|case| overlaps(case))
        .collect();
    together.sort_by_key(|case| (std::cmp::Reverse(case.ledger.losses()), case.flow.index));
    together.truncate(MOST_MEMBERS);
    if together.len() < 2 {
        return alone();
    }
    let union = Ledger::union(together.iter().map(|case| &case.ledger));
    let mut hit: Vec<&Case<'a>> = together
        .iter()
        .copied()
        .filter(|case| case.ledger.losses() > 0)
        .collect();
    hit.sort_by_key(|case| {
        case.ledger
            .sent
            .iter()
            .find(|sent| sent.lost)
            .map(|sent| (sent.time, case.flow.index))
    });
    let Some(first) = hit.first() else {
        return alone();
    };
    let shared = Case::new(
        first.flow,
        hit.iter().map(|case| case.flow.index).collect(),
        first.direction,
        union,
    );
    // Weighed by losses: how well each is explained by a bucket of its own.
    let (mut own, mut losses) = (0.0, 0.0);
    for case in &losing {
        let count = case.ledger.losses() as f64;
        own += count * case.agreement();
        losses += count;
    }
    if hit.len() < 2 || shared.agreement() < own / f64::max(losses, 1.0) + 0.05 {
        return alone();
    }
    let mut cases = vec![shared];
    cases.extend(
        members
            .iter()
            .filter(|case| !cases_contains(&hit, case.flow.index, case.direction))
            .map(|case| (*case).clone()),
    );
    cases
}

fn cases_contains(hit: &[&Case<'_>], index: u32, direction: Direction) -> bool {
    hit.iter()
        .any(|case| case.flow.index == index && case.direction == direction)
}

/// What is known of the whole capture: directions that a limit explains, and packets that the capture has and missed.
type Known<'a> = (&'a [(u32, Direction)], (u64, u64));

/// Services that lose more than the client's other traffic, over all their flows.
fn random_drops(
    flows: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
    known: Known<'_>,
) -> Vec<Finding> {
    let mut places: Vec<(Address, u16, Address, usize)> = flows
        .iter()
        .enumerate()
        .filter(|(_, flow)| wanted(flow) && flow.summary.answered())
        .map(|(place, flow)| {
            let key = &flow.summary.key;
            let server = if flow.summary.service == 0 {
                key.b.address
            } else {
                Address::default()
            };
            (key.a.address, flow.summary.service, server, place)
        })
        .collect();
    places.sort_unstable();
    let mut findings = Vec::new();
    for service in places.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
        let members: Vec<&FlowFacts> = service
            .iter()
            .filter_map(|(.., place)| flows.get(*place))
            .collect();
        let ways: [&[Direction]; 3] = [
            &[Direction::Up],
            &[Direction::Down],
            &[Direction::Up, Direction::Down],
        ];
        let found: Vec<_> = ways
            .into_iter()
            .map(|way| random_drop(&members, way, flows, around, known))
            .collect();
        let mut found = found.into_iter();
        let (up, down, both) = (
            found.next().flatten(),
            found.next().flatten(),
            found.next().flatten(),
        );
        let single: Vec<_> = up.into_iter().chain(down).collect();
        // Few packets each way may prove together what neither proves alone.
        let best = |findings: &[Finding]| {
            findings
                .iter()
                .map(|finding| finding.score)
                .fold(0.0, f64::max)
        };
        // Or prove it for many more flows, where what one way shows is a corner of it.
        let covered = (single.iter().flat_map(|finding| &finding.flows))
            .collect::<BTreeSet<_>>()
            .len();
        let wider = |both: &Finding| {
            both.score >= 0.8
                && both.score >= best(&single) - 0.05
                && 2 * both.flows.len() >= 3 * covered
        };
        match both {
            Some(both) if best(&single) < 0.8 && both.score > best(&single) || wider(&both) => {
                findings.push(both);
            }
            _ => findings.extend(verdict::merge_directions(single)),
        }
    }
    findings
}

fn random_drop(
    members: &[&FlowFacts],
    ways: &[Direction],
    flows: &[FlowFacts],
    around: &CaptureFacts,
    (limited, captured): Known<'_>,
) -> Option<Finding> {
    let mut pool = Pool::default();
    let mut hit: Vec<(u64, u64, Direction, &FlowFacts)> = Vec::new();
    for flow in members {
        let (mut all, mut gone) = (0, 0);
        let (mut gaps, mut reordered) = (0, 0);
        let mut worse = (0, Direction::Up);
        for direction in ways {
            if limited.contains(&(flow.index, *direction)) {
                continue;
            }
            let (sent, lost) = loss::tally(flow, *direction);
            all += sent;
            gone += lost;
            gaps += if ledger::is_media(flow, *direction) {
                lost
            } else {
                0
            };
            reordered += u64::from(flow.detail.side(*direction).reordered);
            if lost >= worse.0 {
                worse = (lost, *direction);
            }
        }
        pool.add((all, gone));
        pool.gaps += gaps;
        pool.reordered += reordered;
        if gone > 0 {
            hit.push((gone, all, worse.1, flow));
        }
    }
    // Below this nothing can be significant; most pools end here.
    if pool.lost < 5 || pool.ratio() < 0.01 {
        return None;
    }
    hit.sort_by_key(|(lost, _, _, flow)| (std::cmp::Reverse(*lost), flow.index));
    let (_, _, direction, worst) = *hit.first()?;
    let mut moments = Vec::new();
    for (.., flow) in &hit {
        for way in ways {
            if let Some(places) = Places::of(flow, *way) {
                pool.place(&places);
                moments.extend(places.moments);
            }
        }
    }
    moments.sort_unstable();
    for way in ways {
        let (sent, lost) = loss::controls(&worst.summary, *way, flows, around, &moments);
        pool.control_sent += sent;
        pool.control_lost += lost;
    }
    let ledger = Ledger::of(worst, direction).unwrap_or_default();
    let least = pool.ratio() / 4.0;
    let mut touched: Vec<u32> = hit
        .iter()
        .filter(|(lost, sent, ..)| *lost as f64 / (*sent).max(1) as f64 >= least)
        .map(|(.., flow)| flow.index)
        .collect();
    touched.sort_unstable();
    let mut case = Case::new(worst, touched, direction, ledger);
    case.pool = pool;
    case.look_around(flows, around);
    case.captured = captured;
    let servers = hit
        .iter()
        .any(|(.., flow)| flow.summary.key.b.address != worst.summary.key.b.address);
    let mut finding = verdict::weigh(&case, Mechanism::RandomDrop)?;
    if ways.len() > 1 {
        finding.direction = None;
    }
    if !servers {
        // One server, one path: it may be that path.
        finding.score = finding.score.min(verdict::ONE_PATH);
    }
    if let Some(first) = members
        .iter()
        .find(|flow| Some(&flow.index) == finding.flows.first())
    {
        finding.time = first.summary.first;
        finding.frame = first.summary.first_frame;
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::fixtures::{At, Middlebox, around, as_control, control, download, paced};
    use super::*;
    use crate::detect::Parameter;

    fn judged(flows: &[FlowFacts]) -> Vec<Finding> {
        judge(flows, &around(flows), &|flow| flow.summary.service != 0).findings
    }

    fn number(finding: &Finding, name: &str) -> f64 {
        let found = finding.parameters.iter().find(|(key, _)| *key == name);
        match found.map(|(_, value)| value) {
            Some(Parameter::Integer(value)) => *value as f64,
            Some(Parameter::Number(value)) => *value,
            _ => f64::NAN,
        }
    }

    #[test]
    fn a_policed_messenger_beside_a_fast_control_is_likely_from_either_end() {
        for at in [At::Server, At::Client] {
            let flows = [
                download(at, Middlebox::Police(200_000.0, 24_000.0), 600),
                control(at, 250),
            ];
            let found = judged(&flows);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].mechanism, Mechanism::Policing);
            assert!(Level::of(found[0].score) >= Some(Level::Likely));
            let rate = number(&found[0], "rate_bps");
            assert!((rate / 1_600_000.0 - 1.0).abs() < 0.07, "{rate}");
            let burst = number(&found[0], "burst_bytes");
            assert!((burst / 24_000.0 - 1.0).abs() < 0.3, "{burst}");
        }
    }

    #[test]
    fn without_a_control_it_is_suspected_and_says_why() {
        let policed = Middlebox::Police(37_500.0, 24_000.0);
        let found = judged(&[download(At::Server, policed, 200)]);
        assert_eq!(found.len(), 1);
        assert_eq!(Level::of(found[0].score), Some(Level::Suspected));
        assert!(found[0].summary.contains("no more than suspected"));
    }

    #[test]
    fn a_shaped_messenger_is_told_from_a_policed_one() {
        for at in [At::Server, At::Client] {
            let flows = [
                download(at, Middlebox::Shape(37_500.0, 30_000.0), 250),
                control(at, 250),
            ];
            let found = judged(&flows);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].mechanism, Mechanism::Shaping);
            let rate = number(&found[0], "rate_bps");
            assert!((rate / 300_000.0 - 1.0).abs() < 0.07, "{rate}");
        }
    }

    #[test]
    fn a_tenth_dropped_beside_a_clean_control_is_a_random_drop() {
        let flows = [
            download(At::Server, Middlebox::Lose(0.1), 300),
            control(At::Server, 250),
        ];
        let found = judged(&flows);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].mechanism, Mechanism::RandomDrop);
        assert_eq!(Level::of(found[0].score), Some(Level::Likely));
    }

    #[test]
    fn loss_that_the_control_shares_is_nobodys_doing() {
        let flows = [
            download(At::Server, Middlebox::Lose(0.03), 300),
            as_control(download(At::Server, Middlebox::Lose(0.03), 300)),
        ];
        let found = judged(&flows);
        let none_likely = (found.iter()).all(|it| Level::of(it.score) < Some(Level::Likely));
        assert!(none_likely, "{found:?}");
    }

    #[test]
    fn a_stream_that_its_server_paces_is_not_limited() {
        for at in [At::Server, At::Client] {
            assert_eq!(judged(&[paced(at, 200, 80), control(at, 250)]), []);
        }
    }

    #[test]
    fn a_fast_download_is_not_limited() {
        let flows = [
            download(At::Server, Middlebox::Open, 400),
            control(At::Server, 250),
        ];
        assert_eq!(judged(&flows), []);
    }

    #[test]
    fn a_likely_random_drop_takes_the_place_of_a_suspected_limit_on_its_flows_only() {
        let policed = Middlebox::Police(37_500.0, 24_000.0);
        let found = judged(&[download(At::Server, policed, 200)]);
        let limit = found.first().expect("a suspected limit").clone();
        let mut drop = limit.clone();
        drop.mechanism = Mechanism::RandomDrop;
        drop.score = 0.9;
        assert!(explains(&drop, &limit));
        drop.direction = limit.direction.map(Direction::reverse);
        assert!(!explains(&drop, &limit));
        drop.direction = None;
        drop.flows = vec![limit.flows[0] + 1];
        assert!(!explains(&drop, &limit));
    }
}
