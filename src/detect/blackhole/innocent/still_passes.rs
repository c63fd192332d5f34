//! `still_passes`: something came through in the direction that is silent.

use crate::detect::blackhole::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts, PacketKind, Role};

pub(in crate::detect) const ABOUT: About = About {
    measures: "new payload or FINs of the silent side, behind the third try in vain, that were acknowledged here and not sent again within three seconds: the acknowledgement arrived",
    why: "who drops a direction drops all of it; where some packets pass and others do not, chance takes them, or their size",
    innocent: &[],
    blind_to: "sides that say nothing new, and captures that end within three seconds",
};

/// Who has no acknowledgement sends again within this time: the first timer is a second (RFC 6298, section 2), and it doubles.
const AGAIN_NS: i64 = 3_000_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if !matches!(case.stage, Stage::Hello | Stage::Later) {
        return Reading::Blind("no conversation in which one side repeats itself");
    }
    // what comes sooner was under way when the silence began, and its repeats may be dropped, too
    let Some(begun) = case.tries.get(2).map(|third| third.time) else {
        return Reading::Blind("fewer than three tries");
    };
    let packets = &flow.detail.packets;
    let news = || {
        packets.iter().filter(|packet| {
            packet.kind == PacketKind::Tcp
                && packet.direction == Some(case.silent())
                && packet.time > begun
                && !packet.is_rst()
                && packet.role == Role::New
                && (packet.payload > 0 || packet.is_fin())
        })
    };
    if news().next().is_none() {
        return Reading::Blind("the silent side said nothing new meanwhile");
    }
    let passed: Vec<_> = news()
        .filter(|said| {
            let answered = packets.iter().any(|packet| {
                packet.direction == Some(case.tries_from)
                    && packet.is_ack()
                    && packet.time >= said.time
                    && packet.ack >= said.seq_end()
            });
            let again = packets.iter().any(|packet| {
                packet.direction == Some(case.silent())
                    && packet.role == Role::Retransmission
                    && packet.time > said.time
                    && packet.seq < said.seq_end()
                    && said.seq < packet.seq_end()
            });
            // a side that still repeats what it said before has no timer for this (RFC 6298, section 5): its silence about it says nothing
            let behind = packets.iter().any(|packet| {
                packet.direction == Some(case.silent())
                    && packet.role == Role::Retransmission
                    && packet.time > begun
                    && packet.seq < said.seq
            });
            answered && !again && !behind && case.until.since(said.time) >= AGAIN_NS
        })
        .map(|packet| packet.frame)
        .collect();
    Reading::measured(
        passed.len() as u32,
        passed.iter().copied(),
        format!(
            "{} packets of the silent side were answered, and the answers arrived",
            passed.len()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_fin_that_is_acknowledged_and_not_repeated_shows_a_way() {
        let dead = || {
            Tale::new()
                .handshake(40)
                .hello()
                .answer(900)
                .ask(100)
                .again(4)
        };
        let flow = dead().fin_down().acknowledge().build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
        let flow = dead()
            .fin_down()
            .acknowledge()
            .wait(800)
            .fin_again()
            .build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
        // a side that repeats older words at the same time waits with this one
        let mut flow = dead().fin_down().acknowledge().build(10);
        let fin = flow.detail.packets.iter().find(|packet| packet.is_fin());
        let mut older = fin.expect("a FIN").clone();
        (older.role, older.flags, older.payload) = (Role::Retransmission, 0x18, 900);
        older.seq -= 900;
        flow.detail.packets.push(older);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
        let flow = dead().fin_down().build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
        let flow = dead().fin_down().acknowledge().build(1);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn a_side_that_says_nothing_leaves_it_blind() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
