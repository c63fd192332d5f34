//! `client_offline`: the client was cut off from everything.

use crate::detect::blackhole::alive::moments;
use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::injection::case::siblings;
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts, Summary};

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows of the client to other servers and services that tried something during the silence, where nothing at all was heard; or, at one of its addresses, that had lived until then, where nothing at all was heard at that address",
    why: "sleep, a lost radio link or a broken uplink silences all flows at once; a change of the network silences those of the old address",
    innocent: &[],
    blind_to: "captures of one flow",
};

/// Who was heard so shortly before the silence was alive.
const LIVED_NS: i64 = 15_000_000_000;

/// What is unanswered when a link goes may have been sent a moment before it went.
const TOGETHER_NS: i64 = 1_000_000_000;

/// The first moment that surely lies behind the beginning of the silence.
const SLOT_NS: i64 = 600_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let left = struck(&case, around);
    if left > 0 {
        return Reading::measured(
            left,
            case.frames(),
            format!(
                "{left} living flows of the same address fell silent with it, and none lived on"
            ),
        );
    }
    let (seconds, fresh) = crate::detect::blackhole::alive::heard(&case, around);
    if seconds + fresh > 0 {
        return Reading::measured(0, [], "other flows were heard meanwhile");
    }
    let others = case.others(around);
    let asked = others
        .iter()
        .filter(|other| {
            other.key.b.address != flow.summary.key.b.address
                && (flow.summary.service == 0 || other.service != flow.summary.service)
                && other.side_heard_between(case.tries_from, case.since, case.until)
        })
        .count();
    if asked == 0 {
        return Reading::Blind("no other flow of the client tried anything meanwhile");
    }
    Reading::measured(
        asked as u32,
        case.frames(),
        format!("{asked} flows to other servers tried too, and nothing was heard"),
    )
}

/// Flows of the same address to other servers and services that had lived until the silence began and tried in vain from then on, if nothing at all
/// was heard at that address meanwhile.
fn struck(case: &Case<'_>, around: &CaptureFacts) -> u32 {
    let flow = case.flow;
    let same = || siblings(flow, around);
    let lives_on = |other: &Summary| {
        moments(other, case.silent()).any(|moment| {
            (case.since.plus(TOGETHER_NS)..case.until).contains(&moment)
                && !other.only_repeats(case.silent(), moment)
        })
    };
    if same().any(lives_on) {
        return 0;
    }
    same()
        .filter(|other| {
            let heard = || {
                moments(other, case.silent())
                    .filter(|moment| !other.only_repeats(case.silent(), *moment))
            };
            other.key.b.address != flow.summary.key.b.address
                && (flow.summary.service == 0 || other.service != flow.summary.service)
                && other.down.data_packets > 0
                && !matches!(other.end, End::RstByClient | End::RstByServer)
                && heard().any(|moment| (0..LIVED_NS).contains(&case.since.since(moment)))
                && other.side_heard_between(case.tries_from, case.since.plus(SLOT_NS), case.until)
        })
        .count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, value};
    use crate::facts::Activity;

    #[test]
    fn when_all_flows_try_in_vain_the_client_is_offline() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let mut around = among(&flow, 0..80);
        around.flows[1].activity = Activity::default();
        assert_eq!(value(&measure(&flow, &around)), Some(1.0));
    }

    #[test]
    fn an_address_at_which_all_living_flows_die_together_was_left() {
        let flow = Tale::new()
            .handshake(40)
            .hello()
            .answer(900)
            .wait(3000)
            .ask(200)
            .again(5)
            .build(10);
        // the other flow of the address is heard until the silence, and tries from then on
        let mut around = among(&flow, 0..80);
        around.flows[1].activity = Activity::default();
        for tenth in 0..25 {
            around.flows[1].activity.note(tenth * 100_000_000);
        }
        // the host has another address, of the other IP version, at which it lives
        let mut elsewhere = around.flows[1].clone();
        elsewhere.key.a.address = crate::types::Address([0x20; 16]);
        elsewhere.activity = elsewhere.client_activity;
        around.flows.push(elsewhere);
        assert_eq!(value(&measure(&flow, &around)), Some(1.0));
        around.flows[1].activity = around.flows[1].client_activity;
        assert_eq!(value(&measure(&flow, &around)), Some(0.0));
    }

    #[test]
    fn when_others_go_on_it_is_not() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }

    #[test]
    fn when_nobody_else_tries_it_is_blind() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..0))), None);
    }
}
