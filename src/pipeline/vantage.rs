use crate::facts::{Flows, Vantage, VantageFacts};
use crate::types::Protocol;

/// Initial hop limits of the stacks in use (RFC 1700 recommends 64; Windows sends 128, some network gear 255).
const INITIAL: [u8; 3] = [64, 128, 255];

/// Says where the capture was taken, or repeats what the user said.
///
/// A packet that still has the hop limit its stack gave it was captured at its sender. Where hop limits do not tell, the round trip does: the end
/// that answers within a tenth of the other's time is near.
pub(super) fn infer(flows: &Flows, given: Option<Vantage>) -> VantageFacts {
    if let Some(value) = given {
        return VantageFacts {
            value,
            inferred: false,
            why: "as given".to_owned(),
        };
    }
    let (mut client, mut server, mut judged) = (0_u64, 0_u64, 0_u64);
    let (mut near_client, mut near_server, mut timed) = (0_u64, 0_u64, 0_u64);
    for flow in flows
        .in_any_order()
        .filter(|flow| flow.key.protocol == Protocol::Tcp && flow.answered())
    {
        let [up, down] = flow.hop_limits.map(|limit| INITIAL.contains(&limit));
        judged += 1;
        client += u64::from(up && !down);
        server += u64::from(down && !up);
        if let (Some(to_server), Some(to_client)) = (flow.rtt_server_ms, flow.rtt_client_ms) {
            timed += 1;
            near_client += u64::from(to_client * 10.0 < to_server);
            near_server += u64::from(to_server * 10.0 < to_client);
        }
    }
    let facts = |value, why: String| VantageFacts {
        value,
        inferred: true,
        why,
    };
    // two thirds, a proposal: a host that is both client and server of different flows decides nothing
    let most = |part: u64, of: u64| of > 0 && part * 3 >= of * 2;
    if most(client, judged) {
        return facts(
            Vantage::Client,
            format!(
                "client packets still have their first hop limit in {client} of {judged} answered TCP flows, the servers' have not"
            ),
        );
    }
    if most(server, judged) {
        return facts(
            Vantage::Server,
            format!(
                "server packets still have their first hop limit in {server} of {judged} answered TCP flows, the clients' have not"
            ),
        );
    }
    if most(near_client, timed) {
        return facts(
            Vantage::Client,
            format!(
                "the client side answers at least ten times sooner than the server side in {near_client} of {timed} timed TCP flows"
            ),
        );
    }
    if most(near_server, timed) {
        return facts(
            Vantage::Server,
            format!(
                "the server side answers at least ten times sooner than the client side in {near_server} of {timed} timed TCP flows"
            ),
        );
    }
    if flows.is_empty() {
        return facts(Vantage::Path, "there is no flow that could tell".to_owned());
    }
    if judged == 0 {
        // nobody answered at all: the SYNs' hop limits are what there is
        let syns = flows
            .in_any_order()
            .filter(|flow| flow.up.packets > 0)
            .count() as u64;
        let fresh = flows
            .in_any_order()
            .filter(|flow| flow.up.packets > 0 && INITIAL.contains(&flow.hop_limits[0]))
            .count() as u64;
        if most(fresh, syns) {
            return facts(
                Vantage::Client,
                format!(
                    "client packets still have their first hop limit in {fresh} of {syns} flows; none was answered over TCP"
                ),
            );
        }
    }
    facts(
        Vantage::Path,
        "neither hop limits nor round trips put the capture next to one end".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Summary, Tally};

    fn flow(hop_limits: [u8; 2], rtt: [f32; 2]) -> Summary {
        Summary {
            hop_limits,
            rtt_server_ms: Some(rtt[0]),
            rtt_client_ms: Some(rtt[1]),
            up: Tally {
                packets: 3,
                ..Tally::default()
            },
            down: Tally {
                packets: 3,
                ..Tally::default()
            },
            ..Summary::default()
        }
    }

    #[test]
    fn an_untouched_hop_limit_tells_the_near_end() {
        assert_eq!(
            infer(&Flows::from_iter([flow([64, 51], [40.0, 0.1])]), None).value,
            Vantage::Client
        );
        assert_eq!(
            infer(&Flows::from_iter([flow([51, 64], [0.1, 40.0])]), None).value,
            Vantage::Server
        );
        assert_eq!(
            infer(&Flows::from_iter([flow([60, 51], [20.0, 20.0])]), None).value,
            Vantage::Path
        );
    }

    #[test]
    fn the_round_trip_tells_where_a_tunnel_hides_hop_limits() {
        assert_eq!(
            infer(&Flows::from_iter([flow([63, 51], [40.0, 0.4])]), None).value,
            Vantage::Client
        );
    }

    #[test]
    fn what_the_user_says_stands() {
        let facts = infer(
            &Flows::from_iter([flow([64, 51], [40.0, 0.1])]),
            Some(Vantage::Server),
        );
        assert_eq!((facts.value, facts.inferred), (Vantage::Server, false));
    }
}
