//! What only several silenced flows together show.

use std::collections::HashMap;

use crate::detect::rule::Reading;
use crate::facts::FlowFacts;
use crate::types::{Address, Direction, Endpoint, Timestamp};

use super::case::{Case, Stage};

/// Beyond a few hundred silenced flows one more says nothing new; the limit keeps the whole linear.
const ENOUGH: usize = 256;

/// What of a case others are compared with.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    index: u32,
    client: Address,
    server: Endpoint,
    service: u16,
    host: Option<String>,
    stage: Stage,
    first: Timestamp,
    heard: Option<Timestamp>,
    since: Timestamp,
    packets: u64,
    bytes: u64,
    up_packets: u32,
}

impl Mark {
    /// Who talks to whom.
    pub(super) const fn pair(&self) -> (Address, Endpoint) {
        (self.client, self.server)
    }
}

pub(super) fn mark(case: &Case<'_>) -> Mark {
    let summary = &case.flow.summary;
    Mark {
        index: case.flow.index,
        client: summary.key.a.address,
        server: summary.key.b,
        service: summary.service,
        host: case.flow.detail.host.clone(),
        stage: case.stage,
        first: summary.first,
        heard: case.last_heard(),
        since: case
            .tries
            .first()
            .filter(|_| case.stage == Stage::Stalled)
            .map_or(case.since, |first| first.time),
        packets: case.packets_before(),
        bytes: case
            .delivered(Direction::Down)
            .max(case.delivered(Direction::Up)),
        up_packets: summary.up.data_packets,
    }
}

fn others<'m>(own: &'m Mark, marks: &'m [Mark]) -> impl Iterator<Item = &'m Mark> {
    marks
        .iter()
        .filter(|other| other.index != own.index)
        .take(ENOUGH)
}

/// Other flows of the client to the same service, name or server, silent at the same stage.
pub(super) fn same_service(own: &Mark, marks: &[Mark]) -> Reading {
    let count = others(own, marks)
        .filter(|other| {
            other.stage == own.stage
                && other.client == own.client
                && (other.server == own.server
                    || own.service != 0 && other.service == own.service
                    || own.host.is_some() && own.host == other.host)
        })
        .count();
    if count == 0 {
        return Reading::Blind("no other flow that fell silent");
    }
    Reading::measured(
        count as u32,
        [],
        format!("{count} other flows to the same service fell silent at the same stage"),
    )
}

/// Other transfers that stopped after the same amount.
pub(super) fn constant(own: &Mark, marks: &[Mark]) -> Reading {
    if !matches!(own.stage, Stage::Stalled | Stage::Later) {
        return Reading::Blind("no transfer that stopped");
    }
    let mut compared = 0_u32;
    let same = others(own, marks)
        .filter(|other| other.stage == own.stage && other.service == own.service)
        .inspect(|_| compared += 1)
        .filter(|other| {
            other.bytes > 0 && other.bytes.abs_diff(own.bytes) * 100 <= own.bytes * 15
                || other.packets.abs_diff(own.packets) <= 3
        })
        .count();
    if compared == 0 {
        return Reading::Blind("no other transfer that stopped");
    }
    Reading::measured(
        same as u32,
        [],
        format!("{same} of {compared} other transfers stopped after as much"),
    )
}

/// Whether the two fell silent in what may have been one moment, each long after its beginning.
pub(super) fn one_moment(own: &Mark, other: &Mark) -> bool {
    /// An answer that was under way when the list came.
    const SLACK_NS: i64 = 200_000_000;
    /// A flow that lived for so long was killed, not refused.
    const LIVED_NS: i64 = 1_500_000_000;
    let alive = |mark: &Mark| {
        mark.stage == Stage::Later
            && mark.up_packets >= 2
            && mark.since.since(mark.first) >= LIVED_NS
            && mark.heard.is_some()
    };
    let (Some(heard), Some(other_heard)) = (own.heard, other.heard) else {
        return false;
    };
    alive(own)
        && alive(other)
        && own.server == other.server
        && heard.max(other_heard).since(own.since.min(other.since)) <= SLACK_NS
}

/// Other living flows to the same address and port that fell silent in the same moment.
pub(super) fn together(own: &Mark, marks: &[Mark]) -> Reading {
    let mut compared = 0_u32;
    let same = others(own, marks)
        .filter(|other| other.server == own.server && other.stage == Stage::Later)
        .inspect(|_| compared += 1)
        .filter(|other| one_moment(own, other))
        .count();
    if compared == 0 {
        return Reading::Blind("no other flow to this address and port that fell silent");
    }
    Reading::measured(
        same as u32,
        [],
        format!(
            "{same} other living flows to the same address and port fell silent in the same moment"
        ),
    )
}

/// Earlier connections to the same server and name that work while this one and another stall. `siblings` are the client's flows to that server.
pub(super) fn parallel(
    own: &Mark,
    marks: &[Mark],
    flow: &FlowFacts,
    siblings: &[&FlowFacts],
) -> Reading {
    if own.stage != Stage::Hello {
        return Reading::Blind("it did not stall in the handshake");
    }
    let stalled: Vec<&Mark> = marks
        .iter()
        .filter(|other| {
            other.stage == Stage::Hello
                && other.client == own.client
                && other.server == own.server
                && other.host == own.host
        })
        .take(ENOUGH)
        .collect();
    let earliest = stalled
        .iter()
        .map(|other| other.first)
        .min()
        .unwrap_or(own.first);
    let working = siblings
        .iter()
        .filter(|other| {
            other.detail.host == flow.detail.host
                && other.summary.down.data_packets > 0
                && other.summary.up.data_packets >= 2
                && other.summary.first < earliest
                && other.summary.last > earliest
                && stalled.iter().all(|mark| mark.index != other.index)
        })
        .count();
    let count = if stalled.len() >= 2 { working } else { 0 };
    Reading::measured(
        count as u32,
        [],
        format!(
            "{working} earlier connections to the same server worked while {} stalled",
            stalled.len()
        ),
    )
}

/// A client's flows to a server, for every pair that a mark names.
pub(super) fn siblings_of<'f>(
    marks: &[Mark],
    flows: &'f [FlowFacts],
) -> HashMap<(Address, Endpoint), Vec<&'f FlowFacts>> {
    let mut siblings: HashMap<(Address, Endpoint), Vec<&FlowFacts>> = marks
        .iter()
        .filter(|mark| mark.stage == Stage::Hello)
        .map(|mark| (mark.pair(), Vec::new()))
        .collect();
    if siblings.is_empty() {
        return siblings;
    }
    for flow in flows {
        let key = &flow.summary.key;
        if let Some(set) = siblings.get_mut(&(key.a.address, key.b))
            && set.len() < ENOUGH
        {
            set.push(flow);
        }
    }
    siblings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    fn living(wait: i64) -> FlowFacts {
        Tale::new()
            .handshake(40)
            .hello()
            .answer(900)
            .wait(2000)
            .ask(100)
            .answer(100)
            .wait(wait)
            .ask(100)
            .again(6)
            .build(10)
    }

    fn marks(flows: &mut [FlowFacts]) -> Vec<Mark> {
        flows
            .iter_mut()
            .enumerate()
            .filter_map(|(index, flow)| {
                flow.index = index as u32;
                flow.summary.up.data_packets = 3;
                Case::of(flow, &around()).map(|case| mark(&case))
            })
            .collect()
    }

    #[test]
    fn flows_that_fall_silent_in_one_moment_were_killed_together() {
        let mut flows = [living(500), living(900), living(1200)];
        let marks = marks(&mut flows);
        assert_eq!(value(&together(&marks[0], &marks)), Some(2.0));
        assert_eq!(value(&constant(&marks[0], &marks)), Some(2.0));
    }

    #[test]
    fn transfers_that_stop_after_quite_different_amounts_met_no_budget() {
        let stopped = |bytes| {
            Tale::new()
                .handshake(40)
                .hello()
                .answer(bytes)
                .wait(2000)
                .ask(100)
                .again(6)
                .build(10)
        };
        let mut flows = [stopped(900), stopped(60_000)];
        let marks = marks(&mut flows);
        assert_eq!(value(&constant(&marks[0], &marks)), Some(0.0));
        assert_eq!(value(&constant(&marks[0], &marks[..1])), None);
    }

    #[test]
    fn silences_at_other_stages_are_not_the_same() {
        let hello = Tale::new().handshake(40).hello().again(5).build(10);
        let mut flows = [hello, living(500)];
        let marks = marks(&mut flows);
        assert_eq!(value(&same_service(&marks[0], &marks)), None);
    }

    #[test]
    fn flows_that_fall_silent_one_after_the_other_were_not() {
        let mut flows = [living(500), living(900)];
        flows[1]
            .detail
            .packets
            .iter_mut()
            .for_each(|packet| packet.time = packet.time.plus(20_000_000_000));
        if let Some(since) = &mut flows[1].detail.client.unanswered.since {
            *since = since.plus(20_000_000_000);
        }
        let marks = marks(&mut flows);
        assert_eq!(value(&together(&marks[0], &marks)), Some(0.0));
    }

    #[test]
    fn a_second_hello_without_an_answer_is_the_same_silence() {
        let hello = || Tale::new().handshake(40).hello().again(5).build(10);
        let mut flows = [hello(), hello()];
        let marks = marks(&mut flows);
        assert_eq!(value(&same_service(&marks[0], &marks)), Some(1.0));
        assert_eq!(
            value(&parallel(&marks[0], &marks, &flows[0], &[])),
            Some(0.0)
        );
    }

    #[test]
    fn hellos_that_stall_beside_earlier_ones_that_work_met_a_limit() {
        let hello = || Tale::new().handshake(40).hello().again(5).build(10);
        let mut flows = [hello(), hello()];
        let marks = marks(&mut flows);
        let mut earlier = living(500);
        earlier.index = 7;
        earlier.summary.first = earlier.summary.first.plus(-1_000_000_000);
        earlier.summary.up.data_packets = 4;
        earlier.summary.down.data_packets = 4;
        assert_eq!(
            value(&parallel(&marks[0], &marks, &flows[0], &[&earlier])),
            Some(1.0)
        );
    }
}
