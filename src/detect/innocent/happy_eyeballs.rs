//! `happy_eyeballs`: the loser of two connections that raced.

use crate::detect::injection::case::{Case, NO_CASE, siblings};
use crate::detect::injection::own_headers;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Direction;

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether the client reset the connection before saying anything, while another of its connections, begun within 2 s, got data",
    why: "clients race addresses and drop the slower one (RFC 8305, section 5: 100 ms to 2 s apart)",
    innocent: &[],
    blind_to: "losers that are closed in order",
};

/// RFC 8305, section 5: the largest recommended delay between attempts.
const RACE_NS: i64 = 2_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::any(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.named == Direction::Down {
        return Reading::Blind("the reset is in the server's name");
    }
    let own = own_headers(flow, around) != Some(false);
    let mute = own && flow.detail.from_start && flow.summary.up.data_packets == 0;
    let winner = siblings(flow, around).any(|sibling| {
        sibling.first.since(flow.summary.first).abs() <= RACE_NS
            && sibling.down.data_packets > 0
            && sibling.key.b.port == flow.summary.key.b.port
    });
    Reading::measured(
        u8::from(mute && winner),
        case.frames(),
        if mute && winner {
            "said nothing while a sibling got data"
        } else {
            "not the loser of a race"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, among, value};
    use crate::facts::End;

    #[test]
    fn a_mute_connection_beside_a_busy_one_lost_the_race() {
        let flow = Story::new().handshake(40).abort_up().build();
        assert_eq!(
            value(&measure(&flow, &among(&flow, &[(1, End::Fin)]))),
            Some(1.0)
        );
    }

    #[test]
    fn alone_it_lost_nothing() {
        let flow = Story::new().handshake(40).abort_up().build();
        assert_eq!(value(&measure(&flow, &among(&flow, &[]))), Some(0.0));
    }

    #[test]
    fn resets_of_the_server_are_not_its_matter() {
        let flow = Story::new().handshake(40).hello().abort_down().build();
        assert_eq!(
            value(&measure(&flow, &among(&flow, &[(1, End::Fin)]))),
            None
        );
    }
}
