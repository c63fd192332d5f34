//! `rst.other_names`: do flows for other names to the same server address live, while none for this name does?

use std::collections::BTreeMap;

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts};
use crate::types::Address;

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows of the same client to the same server address, for other names, in which the server answered and no reset came, where no flow for this name lived",
    why: "a server that answers other names is up and reachable; who reads names picks this one",
    innocent: &["a server that refuses one of its names"],
    blind_to: "addresses with one name, and flows that were too small to be kept whole",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it over all of them.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no flow for another name to the same server")
}

/// How many flows of one pair of addresses are compared with.
const ENOUGH: usize = 256;

/// The flows that lived, by client and server address.
pub(super) struct Lived<'f>(BTreeMap<(Address, Address), Vec<&'f FlowFacts>>);

impl<'f> Lived<'f> {
    pub(super) fn of(flows: &'f [FlowFacts]) -> Self {
        let mut lived: BTreeMap<_, Vec<&FlowFacts>> = BTreeMap::new();
        for flow in flows {
            let summary = &flow.summary;
            let reset = matches!(summary.end, End::RstByClient | End::RstByServer);
            if flow.detail.host.is_some() && summary.down.data_packets > 0 && !reset {
                let key = (summary.key.a.address, summary.key.b.address);
                let of = lived.entry(key).or_default();
                if of.len() < ENOUGH {
                    of.push(flow);
                }
            }
        }
        Self(lived)
    }

    /// The reading for one case.
    pub(super) fn beside(&self, case: &Case<'_>) -> Reading {
        let key = &case.flow.summary.key;
        let (Some(lived), Some(host)) = (
            self.0.get(&(key.a.address, key.b.address)),
            case.flow.detail.host.as_ref(),
        ) else {
            return Reading::Blind("no flow for another name to the same server");
        };
        let name = |flow: &&&FlowFacts| flow.detail.host.as_ref().is_some_and(|name| name == host);
        let same = lived.iter().filter(name).count();
        let others = lived.len() - same;
        if others == 0 {
            return Reading::Blind("no flow for another name to the same server");
        }
        Reading::measured(
            if same == 0 { others as f64 } else { 0.0 },
            case.frames(),
            format!("{others} flows for other names at the same address lived, {same} for {host}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};

    fn named(mut flow: FlowFacts, name: &str) -> FlowFacts {
        flow.detail.host = Some(name.to_owned());
        flow
    }

    fn lives(name: &str) -> FlowFacts {
        named(
            Story::new().handshake(40).hello().data_down(600).build(),
            name,
        )
    }

    fn dies(name: &str) -> FlowFacts {
        named(
            Story::new()
                .handshake(40)
                .hello()
                .forge_with(|_| {})
                .build(),
            name,
        )
    }

    fn reading(flow: &FlowFacts, others: &[FlowFacts]) -> Option<f64> {
        let around = around();
        let case = Case::of(flow, &around).expect("a case");
        value(&Lived::of(others).beside(&case))
    }

    #[test]
    fn another_name_that_lives_at_the_same_address_counts() {
        let flow = dies("web.whatsapp.com");
        assert_eq!(reading(&flow, &[lives("example.org")]), Some(1.0));
    }

    #[test]
    fn a_name_that_lives_itself_now_and_then_does_not() {
        let flow = dies("web.whatsapp.com");
        let others = [lives("example.org"), lives("web.whatsapp.com")];
        assert_eq!(reading(&flow, &others), Some(0.0));
    }

    #[test]
    fn without_another_name_it_is_blind() {
        let flow = dies("web.whatsapp.com");
        assert_eq!(reading(&flow, &[dies("example.org")]), None);
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
