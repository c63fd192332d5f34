//! `rst.refused_everywhere`: does a service refuse its own port in several networks at once?

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::{Address, Protocol};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "networks (/16, or /32 of IPv6) of one messenger at whose HTTPS port every SYN of a client is refused, three or more, while nothing of the service answers and other servers' do",
    why: "fronts in different networks do not close their main port in the same minutes; a filter that knows the addresses answers for all of them",
    innocent: &[
        "the service shut down everywhere",
        "a firewall of the client's own network (which is a filter too)",
    ],
    blind_to: "services with addresses in one network, and one refusal alone",
};

/// The rule needs more than one flow: [`judge`](super::judge) measures it over all refusals.
pub(in crate::detect) fn measure(_flow: &FlowFacts, _around: &CaptureFacts) -> Reading {
    Reading::Blind("no other refusal by the same service")
}

/// The port at which every messenger's fronts listen. Others are closed at some of them by right.
const HTTPS: u16 = 443;

/// Fewer tries are an accident.
const TRIES: usize = 3;

/// Who tries more addresses of one service than this is not a messenger's app, which has a handful.
const MOST_ADDRESSES: usize = 32;

/// The refusals of one service to one client.
#[derive(Default)]
struct Refusals {
    tries: usize,
    addresses: BTreeSet<Address>,
}

/// What every client was refused.
pub(super) struct Refused {
    of: BTreeMap<(Address, u16), Refusals>,
    answered: BTreeSet<(Address, u16)>,
    served: BTreeSet<Address>,
}

impl Refused {
    /// Of `cases`, which are refusals.
    pub(super) fn of<'c, 'f: 'c>(
        cases: impl Iterator<Item = &'c Case<'f>>,
        around: &CaptureFacts,
    ) -> Self {
        let mut of: BTreeMap<_, Refusals> = BTreeMap::new();
        for case in cases {
            let Some(key) = key(case) else { continue };
            let refusals = of.entry(key).or_default();
            refusals.tries += 1;
            if refusals.addresses.len() <= MOST_ADDRESSES {
                refusals.addresses.insert(case.flow.summary.key.b.address);
            }
        }
        let (mut answered, mut served) = (BTreeSet::new(), BTreeSet::new());
        if !of.is_empty() {
            for flow in around.flows.iter() {
                if flow.down.data_packets > 0 && flow.up.data_packets > 0 {
                    let key = (flow.key.a.address, flow.service);
                    if of.contains_key(&key) {
                        answered.insert(key);
                    }
                    if flow.service == 0 && flow.key.protocol == Protocol::Tcp {
                        served.insert(flow.key.a.address);
                    }
                }
            }
        }
        Self {
            of,
            answered,
            served,
        }
    }

    /// The reading for one of the refusals.
    pub(super) fn reading(&self, case: &Case<'_>) -> Reading {
        let Some((key, refusals)) = key(case).and_then(|key| Some((key, self.of.get(&key)?)))
        else {
            return Reading::Blind("no messenger's HTTPS port");
        };
        if refusals.tries < TRIES {
            return Reading::Blind("fewer than 3 refusals by the same service");
        }
        if refusals.addresses.len() > MOST_ADDRESSES {
            return Reading::Blind("so many addresses are a scan's");
        }
        if !self.served.contains(&key.0) {
            return Reading::Blind("nobody else served the client");
        }
        let networks: BTreeSet<&[u8]> = refusals.addresses.iter().map(network).collect();
        let answered = self.answered.contains(&key);
        Reading::measured(
            if answered { 0 } else { networks.len() as u32 },
            [case.first.frame],
            format!(
                "{} tries at {} addresses in {} networks of the service, all refused{}",
                refusals.tries,
                refusals.addresses.len(),
                networks.len(),
                if answered {
                    ", and others of its flows were answered"
                } else {
                    ""
                }
            ),
        )
    }
}

fn key(case: &Case<'_>) -> Option<(Address, u16)> {
    let summary = &case.flow.summary;
    (summary.service != 0 && summary.key.b.port == HTTPS)
        .then_some((summary.key.a.address, summary.service))
}

/// The part of an address that is one provider's: networks are announced apart from this size on.
fn network(address: &Address) -> &[u8] {
    let end = if address.is_v4() { 14 } else { 4 };
    address.0.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, among, value};
    use crate::facts::End;

    /// A refused SYN to an address of service 1.
    fn refused(address: [u8; 4], index: u32) -> FlowFacts {
        let mut flow = Story::new().syn().wait(30).forge_with(|_| {}).build();
        flow.index = index;
        flow.summary.service = 1;
        flow.summary.key.b.address = Address::v4(address);
        flow.summary.key.a.port += index as u16;
        flow
    }

    fn reading(flows: &[FlowFacts], around: &CaptureFacts) -> Option<f64> {
        let cases: Vec<Case<'_>> = flows
            .iter()
            .map(|flow| Case::of(flow, around).expect("a case"))
            .collect();
        value(&Refused::of(cases.iter(), around).reading(&cases[0]))
    }

    /// A capture with others of the client, all to controls.
    fn beside(flow: &FlowFacts, others: &[(u8, End)]) -> CaptureFacts {
        let mut around = among(flow, others);
        for index in 1..around.flows.len() {
            around.flows[index].service = 0;
        }
        around
    }

    fn three() -> [FlowFacts; 3] {
        [
            refused([157, 240, 205, 121], 0),
            refused([157, 240, 205, 121], 1),
            refused([31, 13, 72, 44], 2),
        ]
    }

    #[test]
    fn a_service_that_refuses_in_two_networks_at_once_counts() {
        let flows = three();
        let around = beside(&flows[0], &[(1, End::Fin)]);
        assert_eq!(reading(&flows, &around), Some(2.0));
    }

    #[test]
    fn one_that_answers_elsewhere_does_not() {
        let flows = three();
        let mut around = beside(&flows[0], &[(1, End::Fin), (2, End::Fin)]);
        around.flows[1].service = 1;
        assert_eq!(reading(&flows, &around), Some(0.0));
    }

    #[test]
    fn one_server_that_refuses_does_not() {
        let flows = [0, 1, 2].map(|index| refused([31, 13, 72, 44], index));
        let around = beside(&flows[0], &[(1, End::Fin)]);
        assert_eq!(reading(&flows, &around), Some(1.0));
    }

    #[test]
    fn without_tries_controls_or_the_main_port_it_is_blind() {
        let flows = three();
        let around = beside(&flows[0], &[(1, End::Fin)]);
        assert_eq!(reading(&flows[..2], &around), None);
        assert_eq!(reading(&flows, &beside(&flows[0], &[])), None);
        let elsewhere = three().map(|mut flow| {
            flow.summary.key.b.port = 5222;
            flow
        });
        assert_eq!(reading(&elsewhere, &around), None);
        assert_eq!(value(&measure(&flows[0], &around)), None);
    }
}
