//! `client_offline`: the client was cut off from everything.

use crate::detect::blackhole::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "1 where other flows of the client were going on before and none was heard during the silence",
    why: "sleep, a lost radio link or a broken uplink silences all flows at once",
    innocent: &[],
    blind_to: "captures of one flow",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let heard = crate::detect::blackhole::alive::measure(flow, around);
    match heard {
        Reading::Measured { value, .. } => Reading::measured(
            u32::from(value < 1.0),
            case.frames(),
            "whether other flows went on",
        ),
        Reading::Blind(why) => Reading::Blind(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, among, value};

    #[test]
    fn when_all_flows_fall_silent_the_client_is_offline() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..1))), Some(1.0));
    }

    #[test]
    fn when_others_go_on_it_is_not() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..80))), Some(0.0));
    }
}
