//! `client_offline`: the client was cut off from everything.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows of the client to other servers and services that tried something during the silence, where nothing at all was heard",
    why: "sleep, a lost radio link or a broken uplink silences all flows at once",
    innocent: &[],
    blind_to: "captures of one flow",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
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
