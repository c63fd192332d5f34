//! `silence.unfinished`: did the peer stop in the middle of a message?

use super::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "bytes that the last TLS record of the server still lacks",
    why: "a server that has said all ends its record; one that is cut off does not",
    innocent: &["a server that writes a record in parts and pauses between"],
    blind_to: "protocols without visible records, captures with a snap length",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if flow.detail.snapped > 0 || flow.detail.server.acked_unseen > 0 {
        return Reading::Blind("the capture does not hold all bytes of the records");
    }
    if case.stage != Stage::Stalled
        || flow.detail.recognised.application != crate::application::Application::Tls
    {
        return Reading::Blind("no stream of records that stopped");
    }
    let missing = flow.detail.recognised.record_missing_down;
    Reading::measured(
        missing,
        flow.detail.server.last_new_data.map(|(_, frame)| frame),
        format!("the server's last record lacks {missing} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around, value};

    #[test]
    fn a_record_that_was_cut_off_counts() {
        let mut flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        flow.detail.recognised.record_missing_down = 4000;
        assert_eq!(value(&measure(&flow, &around())), Some(4000.0));
    }

    #[test]
    fn an_answer_that_is_complete_does_not() {
        let flow = Tale::new().handshake(40).hello().answer(15_900).build(10);
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }
}
