//! `silence.retries`: do all the connections of an impatient client die alike?

use std::collections::BTreeMap;

use super::case::{Case, Stage};
use crate::detect::injection::case::fellows;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::{Address, Direction, Endpoint};

pub(in crate::detect) const ABOUT: About = About {
    measures: "connections of one client for one name at one server that all stayed silent at the same stage for a second and two tries or more, where none was answered",
    why: "an app that gives up after two seconds and begins anew asks as often and as long as one that waits; what it asked altogether counts",
    innocent: &["a server that is down or overloaded"],
    blind_to: "clients that try only once",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it over all silences.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no further connection for the same name that was silent")
}

/// What several connections have in common: client, server, name, stage, who tries.
type Attempt<'f> = (Address, Endpoint, Option<&'f str>, u8, bool);

/// Less of a silence, or fewer tries, is a connection's ordinary beginning.
const LEAST_S: f64 = 1.0;
const LEAST_TRIES: usize = 2;

/// The silences that are long enough, by what they have in common.
pub(super) struct Attempts<'f>(BTreeMap<Attempt<'f>, u32>);

fn attempt<'f>(case: &Case<'f>) -> Option<Attempt<'f>> {
    let stage = match case.stage {
        Stage::Syn => 0,
        Stage::Hello => 1,
        Stage::Quic => 2,
        _ => return None,
    };
    // a hello that the server acknowledges, and does not answer, is the server's affair
    let asked = case.tries.len() >= LEAST_TRIES && case.silence_s() >= LEAST_S;
    let key = &case.flow.summary.key;
    let host = case.flow.detail.host.as_deref();
    asked.then_some((
        key.a.address,
        key.b,
        host,
        stage,
        case.tries_from == Direction::Up,
    ))
}

impl<'f> Attempts<'f> {
    pub(super) fn of<'c>(cases: impl Iterator<Item = &'c Case<'f>>) -> Self
    where
        'f: 'c,
    {
        let mut all = BTreeMap::new();
        for attempt in cases.filter_map(attempt) {
            *all.entry(attempt).or_insert(0) += 1;
        }
        Self(all)
    }

    /// The reading for one of them.
    pub(super) fn reading(&self, case: &Case<'f>, around: &CaptureFacts) -> Reading {
        let Some(count) = attempt(case).and_then(|attempt| self.0.get(&attempt)) else {
            return Reading::Blind(
                "no connection that was silent long enough to count as an attempt",
            );
        };
        if *count < 2 {
            return Reading::Blind("no further connection for the same name that was silent");
        }
        let client = case.flow.summary.key.a.address;
        let answered = fellows(case.flow, around)
            .filter(|other| other.key.a.address == client && other.down.data_packets > 0)
            .count();
        Reading::measured(
            if answered == 0 { *count } else { 0 },
            case.frames(),
            format!(
                "{count} connections for the same name were silent at the same stage, {answered} were answered"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, around, value};

    /// So many tries of an app that gives up after two seconds.
    fn tries(count: u16) -> Vec<FlowFacts> {
        (0..count)
            .map(|turn| {
                let mut flow = Tale::new().handshake(40).hello().again(3).abort().build(20);
                flow.summary.key.a.port += turn;
                flow.index = u32::from(turn);
                flow
            })
            .collect()
    }

    fn reading(flows: &[FlowFacts], around: &CaptureFacts) -> Option<f64> {
        let cases: Vec<Case<'_>> = (flows.iter())
            .map(|flow| Case::of(flow, around).expect("a case"))
            .collect();
        value(&Attempts::of(cases.iter()).reading(&cases[0], around))
    }

    #[test]
    fn four_tries_that_all_die_count_together() {
        assert_eq!(reading(&tries(4), &around()), Some(4.0));
    }

    #[test]
    fn where_one_was_answered_the_server_is_only_slow() {
        let flows = tries(4);
        let mut around = among(&flows[0], 0..80);
        around.flows[1].key.b = flows[0].summary.key.b;
        assert_eq!(reading(&flows, &around), Some(0.0));
    }

    #[test]
    fn one_try_alone_is_blind() {
        assert_eq!(reading(&tries(1), &around()), None);
        assert_eq!(value(&measure(&tries(1)[0], &around())), None);
    }
}
