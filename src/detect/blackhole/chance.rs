//! `silence.chance`: could ordinary loss have taken all the tries?

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketKind, Role};
use crate::types::{Address, Direction};

pub(in crate::detect) const ABOUT: About = About {
    measures: "logarithm to base 10 of the probability that independent loss takes every try, at the loss of this flow before the silence, that of others to the service (also of short ones, where they lose a tenth or more), or 2 %, whichever is most",
    why: "a path that loses a third of everything leaves some hellos unanswered for long",
    innocent: &["loss in bursts"],
    blind_to: "loss that begins with the silence",
};

/// Loss that any path may have (mobile networks under load, public captures).
const LOSS: f64 = 0.02;

/// Of the packets with payload before the silence: sent again, and all.
fn loss_before(flow: &FlowFacts, case: &Case<'_>) -> (u32, u32) {
    let before = flow
        .detail
        .packets
        .iter()
        .filter(|packet| packet.payload > 0 && packet.time < case.since);
    before.fold((0, 0), |(lost, sent), packet| {
        let again = matches!(packet.role, Role::Retransmission | Role::Fill);
        (lost + u32::from(again), sent + 1)
    })
}

/// The same of the client's other flows to the service that carried something to the end.
fn loss_of_siblings(flow: &FlowFacts, case: &Case<'_>, around: &CaptureFacts) -> (u32, u32) {
    /// A flow with so many packets of the server was not silenced at its beginning, where repeats are all there is.
    const CARRIED: u32 = 20;
    let service = flow.summary.service;
    case.others(around)
        .iter()
        .filter(|other| other.down.data_packets >= CARRIED && other.service == service)
        .fold((0, 0), |(lost, sent), other| {
            (
                lost + other.up.retransmitted + other.down.retransmitted,
                sent + other.up.data_packets + other.down.data_packets,
            )
        })
}

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let share = [
        loss_before(flow, &case),
        loss_of_siblings(flow, &case, around),
    ]
    .into_iter()
    .filter(|(_, sent)| *sent >= 10)
    .map(|(lost, sent)| f64::from(lost) / f64::from(sent))
    .fold(LOSS, f64::max);
    at(&case, share)
}

/// The reading where so large a share of all packets is lost.
fn at(case: &Case<'_>, share: f64) -> Reading {
    let share = share.min(0.9);
    let count = case.tries.len();
    if count == 0 {
        return Reading::Blind("no try that could have been lost");
    }
    let chance = count as f64 * share.log10();
    Reading::measured(
        chance,
        [],
        format!(
            "{count} tries lost by chance at {:.0} % loss: 1 in 10^{:.1}",
            share * 100.0,
            -chance
        ),
    )
}

/// What was sent again of the client's flows to each service and arrived then, and all that arrived: loss that has nothing to do with a silence, also in flows of a few
/// packets. Who is cut off repeats itself in vain, so what he lost is not in it.
#[derive(Default)]
pub(super) struct Recovered(BTreeMap<(Address, u16), [u32; 3]>);

/// Of a flow: sent again and acknowledged, acknowledged, and whether anything was sent again.
fn recovered(flow: &FlowFacts) -> [u32; 3] {
    let mut sums = [0; 3];
    // up to where each side's stream had been acknowledged when the packet came: up, down
    let mut heard = [0_i64; 2];
    for packet in &flow.detail.packets {
        let Some(direction) = packet.direction else {
            continue;
        };
        let [own, other] = match direction {
            Direction::Up => [0, 1],
            Direction::Down => [1, 0],
        };
        if packet.is_ack() && !packet.is_rst() {
            heard[other] = heard[other].max(packet.ack);
        }
        // whose acknowledgement passed here, and who sends it again all the same, lost no packet: the acknowledgement did not reach him
        let late = packet.seq_end() <= heard[own];
        let arrived = packet.kind == PacketKind::Tcp
            && packet.payload > 0
            && !late
            && packet.seq_end() <= flow.detail.side(direction).acked;
        if arrived {
            sums[0] += u32::from(matches!(packet.role, Role::Retransmission | Role::Fill));
            sums[1] += 1;
        }
    }
    sums[2] = u32::from(sums[0] > 0);
    sums
}

impl Recovered {
    /// Of all flows of services; of what belongs to none only the flows with losses are kept.
    /// `silenced` are the places of those that were cut off: what their acknowledgements were dropped for is no loss.
    pub(super) fn of(flows: &[FlowFacts], silenced: &BTreeSet<u32>) -> Self {
        let mut all = Self::default();
        let lives =
            |flow: &&FlowFacts| flow.summary.service != 0 && !silenced.contains(&flow.index);
        for flow in flows.iter().filter(lives) {
            let place = (flow.summary.key.a.address, flow.summary.service);
            let sums = all.0.entry(place).or_default();
            for (sum, own) in sums.iter_mut().zip(recovered(flow)) {
                *sum += own;
            }
        }
        all
    }

    /// The reading at what the client's other flows to the service lose, if that is much, and in more than one of them.
    pub(super) fn reading(&self, case: &Case<'_>) -> Option<Reading> {
        /// A tenth: far more than what mobile networks lose, or what tail probes repeat needlessly.
        const MUCH: f64 = 0.1;
        const FLOWS: u32 = 2;
        const LEAST: u32 = 5;
        let summary = &case.flow.summary;
        let sums = self.0.get(&(summary.key.a.address, summary.service))?;
        let [lost, sent, flows] = *sums;
        let share = f64::from(lost) / f64::from(sent.max(1));
        let much = lost >= LEAST && flows >= FLOWS && share >= MUCH && !case.tries.is_empty();
        much.then(|| at(case, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn seven_tries_are_not_lost_by_chance() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|chance| chance < -10.0));
    }

    /// A client's conversations with one service, in each of which `lost` of eight questions have to be asked again.
    fn conversations(count: u16, lost: usize) -> Vec<FlowFacts> {
        (0..count)
            .map(|turn| {
                let mut tale = Tale::new().handshake(40).hello().answer(900);
                for question in 0..8 {
                    tale = tale.ask(100).again(u32::from(question < lost)).answer(100);
                }
                let mut flow = tale.build(10);
                flow.summary.key.a.port += turn;
                flow.index = 1 + u32::from(turn);
                flow.summary.service = 1;
                let client = &mut flow.detail.client;
                client.acked = client.sent_end;
                flow
            })
            .collect()
    }

    /// Beside them a hello that is repeated four times; what its tries say where the others' loss counts.
    fn beside(others: &[FlowFacts]) -> Option<f64> {
        let mut dead = Tale::new().handshake(40).hello().again(4).build(10);
        dead.summary.service = 1;
        let all: Vec<FlowFacts> = others.iter().chain([&dead]).cloned().collect();
        let around = around();
        let case = Case::of(&dead, &around).expect("a case");
        value(&Recovered::of(&all, &BTreeSet::from([dead.index])).reading(&case)?)
    }

    #[test]
    fn a_service_that_loses_a_third_everywhere_leaves_five_tries_to_chance() {
        assert!(beside(&conversations(3, 6)).is_some_and(|chance| chance > -4.0));
    }

    #[test]
    fn a_service_whose_other_flows_are_whole_does_not_and_one_flow_that_loses_is_none() {
        assert_eq!(beside(&conversations(3, 0)), None);
        assert_eq!(beside(&conversations(1, 6)), None);
    }

    #[test]
    fn what_dying_flows_repeat_in_vain_is_no_loss_of_the_service() {
        let mut dying = conversations(3, 0);
        for flow in &mut dying {
            let port = flow.summary.key.a.port;
            *flow = Tale::new().handshake(40).hello().again(6).build(10);
            (flow.summary.key.a.port, flow.summary.service) = (port, 1);
        }
        assert_eq!(beside(&dying), None);
    }

    #[test]
    fn on_a_path_that_loses_half_three_tries_are() {
        let mut tale = Tale::new().handshake(40).hello().answer(900);
        for _ in 0..8 {
            tale = tale.ask(100).again(1).answer(100);
        }
        let flow = tale.ask(100).again(2).build(10);
        assert!(value(&measure(&flow, &around())).is_some_and(|chance| chance > -4.0));
    }
}
