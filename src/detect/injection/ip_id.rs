//! `rst.ip_id`: does the resets' IPv4 identification continue the law of the named side?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketFact};

use super::case::{Case, NO_CASE, Suspicion, count};

pub(in crate::detect) const ABOUT: About = About {
    measures: "distance of a reset's IPv4 identification from where the named side's own counter stands (or from its constant value)",
    why: "the forger does not know the counter of the host it speaks for",
    innocent: &[
        "a closed socket resets with identification 0 beside a counter",
        "a NAT or load balancer resets for the host behind it",
    ],
    blind_to: "IPv6, hosts with random identifications, and a rewritten packet of the peer's own",
};

/// Steps of a counter up to this are the flow's or the host's own (Linux adds less than one a tick for other traffic).
const LARGEST_STEP: u16 = 64;

/// How a side numbers its packets, judged from those near the suspects.
enum Law {
    Constant(u16),
    Counter,
    Unclear,
}

fn law(ids: &[u16]) -> Law {
    match ids {
        [first, rest @ ..] if rest.len() >= 2 && rest.iter().all(|id| id == first) => {
            Law::Constant(*first)
        }
        [_, _, ..] => {
            let steps = ids.windows(2).filter(|pair| {
                let step = pair[1].wrapping_sub(pair[0]);
                (1..=LARGEST_STEP).contains(&step)
            });
            // Reordering and repeats spoil a few steps; two numbers must follow closely to make a counter (8 in 65,536 by chance).
            let (steps, of) = (steps.count(), ids.len() - 1);
            let close = ids.len() > 2 || ids[1].wrapping_sub(ids[0]) <= 8;
            if steps * 5 >= of * 4 && steps > 0 && close {
                Law::Counter
            } else {
                Law::Unclear
            }
        }
        _ => Law::Unclear,
    }
}

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let own: Vec<(&PacketFact, u16)> = case
        .body()
        .filter_map(|packet| packet.ip_id.map(|id| (packet, id)))
        .collect();
    let ids: Vec<u16> = own.iter().map(|(_, id)| *id).collect();
    // A closed socket answers from the kernel's own socket, whose packets carry 0 whatever the connection's counter is.
    let judged: Vec<(&PacketFact, u16)> = case
        .suspects
        .iter()
        .filter(|suspect| {
            suspect.is_ack() || suspect.ip_id != Some(0) || case.suspicion == Suspicion::Close
        })
        .filter_map(|suspect| suspect.ip_id.map(|id| (*suspect, id)))
        .collect();
    if judged.is_empty() {
        return Reading::Blind("no identification to judge: IPv6, or 0 as a closed socket sends");
    }
    let (distance, id, what) = match law(&ids) {
        Law::Unclear => {
            return Reading::Blind(
                "the named side's own identifications show no law: too few, or random",
            );
        }
        Law::Constant(usual) => {
            let farthest = judged
                .iter()
                .map(|(_, id)| (apart(*id, usual), *id))
                .max()
                .unwrap_or_default();
            (farthest.0, farthest.1, format!("always {usual:#06x}"))
        }
        Law::Counter => {
            // The four packets before and the four after: resets arrive among them, lost and reordered packets included.
            let nearest = |suspect: &PacketFact, id: u16| {
                let after = own.partition_point(|(packet, _)| packet.frame < suspect.frame);
                own.get(after.saturating_sub(4)..(after + 4).min(own.len()))
                    .unwrap_or_default()
                    .iter()
                    .map(|(_, own)| (apart(id, *own), *own))
                    .min()
                    .unwrap_or_default()
            };
            let farthest = judged
                .iter()
                .map(|(suspect, id)| {
                    let (distance, own) = nearest(suspect, *id);
                    (distance, *id, own)
                })
                .max()
                .unwrap_or_default();
            (
                farthest.0,
                farthest.1,
                format!("a counter, at {:#06x} nearby", farthest.2),
            )
        }
    };
    Reading::measured(
        distance,
        judged.iter().map(|(suspect, _)| suspect.frame),
        format!(
            "identification {id:#06x}, the same side's own is {what} ({})",
            count(ids.len(), "packet")
        ),
    )
}

/// Distance on the circle of 16 bits.
fn apart(a: u16, b: u16) -> u16 {
    a.wrapping_sub(b).min(b.wrapping_sub(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    #[test]
    fn a_reset_far_from_the_servers_counter_counts() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .forge_with(|rst| rst.ip_id = Some(0xd431))
            .build();
        assert!(value(&measure(&flow, &around())).is_some_and(|distance| distance > 1000.0));
    }

    #[test]
    fn a_reset_that_continues_the_counter_does_not() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn a_closed_sockets_zero_is_not_judged() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(600)
            .data_down(600)
            .forge_with(|rst| {
                rst.flags = 0x04;
                rst.ip_id = Some(0);
            })
            .build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }

    #[test]
    fn random_identifications_are_no_law() {
        assert!(matches!(law(&[5, 40_000, 91, 20_000]), Law::Unclear));
        assert!(matches!(law(&[65_535, 0, 1, 3]), Law::Counter));
        assert!(matches!(law(&[7, 7, 7]), Law::Constant(7)));
    }
}
