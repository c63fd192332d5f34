//! `silence.signalling`: does the messenger's own connection live on?

use std::collections::BTreeSet;

use super::alive::moments;
use super::case::{Case, NO_CASE, Stage};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "seconds of the silence of a call in which the client's other connections to the same service (TCP, or UDP 443) were heard",
    why: "the messenger works, and its call does not: neither the client's link nor the service is down",
    innocent: &["the far party, or the relay, is gone"],
    blind_to: "captures without the signalling, or where nothing names it",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    let service = flow.summary.service;
    if !matches!(case.stage, Stage::Dtls | Stage::Media | Stage::Ceased) || service == 0 {
        return Reading::Blind("no call of a known service whose media is missing");
    }
    let mut seconds = BTreeSet::new();
    for other in case.others(around) {
        let signals = other.service == service
            && (other.key.protocol == crate::types::Protocol::Tcp || other.key.b.port == 443);
        if !signals {
            continue;
        }
        seconds.extend(
            moments(other, case.silent())
                .filter(|moment| (case.since..case.until).contains(moment))
                .filter(|moment| !other.only_repeats(case.silent(), *moment))
                .map(|moment| moment.since(case.since) / 1_000_000_000),
        );
    }
    if seconds.is_empty() {
        return Reading::Blind("no other connection to the service that was heard meanwhile");
    }
    let count = seconds.len();
    Reading::measured(
        count as u32,
        [],
        format!("the service's other connections were heard in {count} seconds of it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{among, ceased, value};

    #[test]
    fn a_messenger_whose_chat_goes_on_lives() {
        let flow = ceased(10);
        let mut around = among(&flow, 0..40);
        around.flows[1].service = flow.summary.service;
        assert!(value(&measure(&flow, &around)).is_some_and(|seconds| seconds >= 8.0));
    }

    #[test]
    fn another_service_says_nothing_of_it() {
        let flow = ceased(10);
        assert_eq!(value(&measure(&flow, &among(&flow, 0..40))), None);
    }
}
