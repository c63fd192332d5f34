//! Whether resets stand where data of the named side ought to stand: a reply that was rewritten, whatever else shows that it is no honest reset.

use crate::facts::PacketFact;

use super::case::Case;

/// A packet and what a box on the way made of it pass a tap on both sides of the box within this.
const PAIR_NS: i64 = 2_000_000;

/// What the named side sent in one go arrives within this of each other.
const FLIGHT_NS: i64 = 100_000_000;

/// Whether every suspect stands behind a data packet with its very numbers (the capture saw both sides of the box), or the one suspect in the place of
/// bytes that never come while those behind them do.
pub(super) fn stands_for_data(case: &Case<'_>) -> bool {
    let like_own = |suspect: &PacketFact| {
        suspect.is_ack()
            && case
                .ordinary()
                .any(|own| own.hop_limit == suspect.hop_limit && own.payload > 0)
    };
    let doubled = |suspect: &PacketFact| {
        case.ordinary().any(|own| {
            own.payload > 0
                && own.seq == suspect.seq
                && own.ack == suspect.ack
                && (0..=PAIR_NS).contains(&suspect.time.since(own.time))
        })
    };
    let all =
        |test: &dyn Fn(&PacketFact) -> bool| case.suspects.iter().all(|suspect| test(suspect));
    all(&like_own) && (all(&doubled) || all(&|suspect| fills_a_gap(case, suspect)))
}

/// Whether data behind the suspect's place follows at once, and the bytes at its place are never seen.
fn fills_a_gap(case: &Case<'_>, suspect: &PacketFact) -> bool {
    let data = || case.ordinary().filter(|own| own.payload > 0);
    let behind = data()
        .any(|own| own.seq > suspect.seq && (0..FLIGHT_NS).contains(&own.time.since(suspect.time)));
    let there =
        data().any(|own| own.seq <= suspect.seq && own.seq + i64::from(own.payload) > suspect.seq);
    behind && !there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around};
    use crate::facts::FlowFacts;

    fn stands(flow: &FlowFacts) -> bool {
        let around = around();
        stands_for_data(&Case::of(flow, &around).expect("a case"))
    }

    #[test]
    fn a_reset_in_the_place_of_the_first_of_two_segments_is_a_rewritten_one() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .rewritten_down(1448)
            .data_down(1357)
            .build();
        assert!(stands(&flow));
    }

    #[test]
    fn a_reset_right_behind_the_packet_that_it_was_made_of_is_a_rewritten_one() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_down(1448)
            .abort_down()
            .build();
        let place = flow
            .detail
            .packets
            .iter()
            .find(|packet| packet.is_down() && packet.payload > 0)
            .map(|packet| (packet.seq, packet.ack));
        let detail = &mut flow.detail;
        for packet in detail.packets.iter_mut().chain(&mut detail.resets) {
            if packet.is_rst() {
                (packet.seq, packet.ack) = place.expect("data");
            }
        }
        assert!(stands(&flow));
    }

    #[test]
    fn a_reset_before_the_servers_own_answer_is_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(4)
            .forge_with(|_| {})
            .wait(36)
            .data_down(1448)
            .data_down(600)
            .build();
        assert!(!stands(&flow));
    }

    #[test]
    fn neither_is_a_servers_abort_behind_its_data() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_down(1448)
            .abort_down()
            .build();
        assert!(!stands(&flow));
    }
}
