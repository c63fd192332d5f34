//! Joins the flows of one call: ICE tries many pairs of addresses (RFC 8445), of which only those through a messenger's own relays say whose call it is.
//!
//! Two things tie a flow to such a call: the client's port, which a call keeps for all the pairs that it tries, and the addresses that the call's STUN
//! names (the peer's, the relayed and the mapped one). Neither outweighs what a flow says of itself.

use std::collections::HashMap;

use crate::application::HostSource;
use crate::service::{Catalogue, Part, ServiceId, Why};
use crate::types::{Address, Endpoint, Protocol, Timestamp};

use super::collector::Part as Flows;
use super::worker::Gathered;

/// How long before and after the flows that say whose the call is others may be part of it: agents try pairs for some tens of seconds (RFC 8445, section
/// 14.3, gives a transaction up to 39.5 s), and a port may have another owner later.
const AROUND_NANOS: i64 = 60_000_000_000;

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// Whose it is; [`ServiceId::CONTROL`] where several messengers claim it.
    service: ServiceId,
    first: Timestamp,
    last: Timestamp,
}

impl Call {
    fn with(self, other: Self) -> Self {
        Self {
            service: if self.service == other.service {
                self.service
            } else {
                ServiceId::CONTROL
            },
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    fn is_beside(&self, flow: &Gathered) -> bool {
        flow.summary.first <= self.last.plus(AROUND_NANOS)
            && self.first <= flow.summary.last.plus(AROUND_NANOS)
    }
}

/// What ties a flow to a call.
#[derive(Clone, Copy, Debug)]
enum Tie {
    /// The client's port.
    Port,
    /// An address that the call's STUN names.
    Peer,
}

/// The calls of a run.
#[derive(Debug, Default)]
struct Calls {
    by_port: HashMap<Endpoint, Call, foldhash::fast::RandomState>,
    by_peer: HashMap<(Address, Endpoint), Call, foldhash::fast::RandomState>,
}

impl Calls {
    /// Notes a flow whose own bytes are those of a messenger's call.
    fn note(&mut self, flow: &Gathered, catalogue: &Catalogue) {
        let key = &flow.summary.key;
        let service = ServiceId(flow.summary.service);
        let Some(detail) = flow.detail.as_ref().filter(|_| flow.judged) else {
            return;
        };
        let says = key.protocol == Protocol::Udp && detail.recognised.signature.is_some();
        if !says || !catalogue.is_messenger(service) {
            return;
        }
        let call = Call {
            service,
            first: flow.summary.first,
            last: flow.summary.last,
        };
        if is_clients(key.a) {
            insert(&mut self.by_port, key.a, call);
        }
        for address in detail
            .recognised
            .call
            .iter()
            .flat_map(|call| &call.addresses)
        {
            insert(&mut self.by_peer, (key.a.address, *address), call);
        }
    }

    /// Whose call a flow is part of, and what ties it to that call.
    fn of(&self, flow: &Gathered) -> Option<(ServiceId, Tie)> {
        let key = &flow.summary.key;
        let claimed = |call: Option<&Call>| {
            call.filter(|call| call.service != ServiceId::CONTROL && call.is_beside(flow))
                .map(|call| call.service)
        };
        if let Some(service) = claimed(self.by_port.get(&key.a)) {
            return Some((service, Tie::Port));
        }
        let peer = claimed(self.by_peer.get(&(key.a.address, key.b)));
        Some((peer?, Tie::Peer))
    }
}

fn insert<K: Eq + std::hash::Hash>(
    calls: &mut HashMap<K, Call, foldhash::fast::RandomState>,
    place: K,
    call: Call,
) {
    calls
        .entry(place)
        .and_modify(|known| *known = known.with(call))
        .or_insert(call);
}

/// Whether an end may be a client's: a relay that was taken for the client, its request not being captured, would join the calls of all its clients.
const fn is_clients(end: Endpoint) -> bool {
    /// STUN and TURN, and the ports beside them that relays use (RFC 8489, section 18.6; Microsoft's and Apple's lists).
    const RELAYS: std::ops::RangeInclusive<u16> = 3478..=3497;
    end.port >= 1024 && !(*RELAYS.start() <= end.port && end.port <= *RELAYS.end())
}

/// Gives flows that nothing named the messenger whose call they are part of. What is asked of them is in every summary, so that the flow table changes
/// nothing.
pub(super) fn join(parts: &mut [impl Flows], catalogue: &Catalogue) {
    let mut calls = Calls::default();
    for flow in (parts.iter().flat_map(Flows::flows)).filter(|flow| flow.named) {
        calls.note(flow, catalogue);
    }
    if calls.by_port.is_empty() && calls.by_peer.is_empty() {
        return;
    }
    for flow in (parts.iter_mut().flat_map(Flows::flows_mut)).filter(|flow| !flow.named) {
        let known = flow.summary.service != ServiceId::CONTROL.0;
        if known || flow.summary.key.protocol != Protocol::Udp {
            continue;
        }
        let Some((service, tie)) = calls.of(flow) else {
            continue;
        };
        flow.summary.service = service.0;
        if let Some(detail) = &mut flow.detail {
            detail.host = None;
            detail.host_source = Some(HostSource::Protocol);
            detail.part = Some(Part::Call.name());
            let name = catalogue.service(service).name.clone();
            let why = match tie {
                Tie::Port => Why::Call(name),
                Tie::Peer => Why::Peer(name),
            };
            detail.service_why = why.to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::{CallFacts, Recognised};
    use crate::facts::{Detail, Summary};
    use crate::flow::Slab;
    use crate::types::FlowKey;

    const MINUTE: i64 = 60_000_000_000;

    fn end(text: &str) -> Endpoint {
        let end: std::net::SocketAddr = text.parse().unwrap();
        Endpoint {
            address: end.ip().into(),
            port: end.port(),
        }
    }

    /// A flow of UDP that lasts ten seconds.
    fn flow(client: &str, server: &str, at: i64) -> Gathered {
        Gathered {
            summary: Summary {
                key: FlowKey {
                    a: end(client),
                    b: end(server),
                    protocol: Protocol::Udp,
                },
                first: Timestamp(at),
                last: Timestamp(at + 10_000_000_000),
                ..Summary::default()
            },
            detail: Some(Box::default()),
            judged: true,
            named: false,
            silent: false,
        }
    }

    /// One whose bytes are a messenger's.
    fn call(service: &str, client: &str, server: &str, peers: &[&str]) -> Gathered {
        let service = Catalogue::builtin().by_id(service).unwrap();
        let mut flow = flow(client, server, 0);
        flow.summary.service = service.0;
        flow.named = true;
        flow.detail = Some(Box::new(Detail {
            recognised: Recognised {
                signature: Some(("signal", "STUN realm of Signal")),
                call: Some(Box::new(CallFacts {
                    addresses: peers.iter().map(|peer| end(peer)).collect(),
                    ..CallFacts::default()
                })),
                ..Recognised::default()
            },
            ..Detail::default()
        }));
        flow
    }

    /// The service of the last of these flows, and why.
    fn joined(flows: Vec<Gathered>) -> (String, String) {
        let catalogue = Catalogue::builtin();
        let mut part = Slab::new();
        for flow in flows {
            part.push(flow);
        }
        let mut parts = [part];
        join(&mut parts, catalogue);
        let last = parts[0].values().last().unwrap();
        let service = catalogue.service(ServiceId(last.summary.service));
        let why = last.detail.as_ref().unwrap().service_why.clone();
        (service.id.clone(), why)
    }

    const CLIENT: &str = "192.168.12.169:43068";
    const RELAY: &str = "35.158.183.167:3478";

    fn signal() -> Gathered {
        call("signal", CLIENT, RELAY, &["18.195.131.143:61156"])
    }

    #[test]
    fn a_pair_that_the_call_tries_from_its_port_is_part_of_the_call() {
        let tried = flow(CLIENT, "35.158.183.167:443", 2 * 1_000_000_000);
        let (service, why) = joined(vec![signal(), tried]);
        assert_eq!(service, "signal");
        assert_eq!(why, "the client's port is that of a call of Signal");
    }

    #[test]
    fn the_peer_that_stun_names_is_part_of_the_call() {
        let peer = flow("192.168.12.169:50000", "18.195.131.143:61156", 0);
        let (service, why) = joined(vec![signal(), peer]);
        assert_eq!(service, "signal");
        assert_eq!(why, "STUN of a call of Signal names the address");
        let others = flow("192.168.12.7:50000", "18.195.131.143:61156", 0);
        assert_eq!(joined(vec![signal(), others]).0, "control");
    }

    #[test]
    fn what_is_not_of_the_call_stays_what_it_was() {
        let far = "203.0.113.9:4000";
        let late = flow(CLIENT, far, 3 * MINUTE);
        assert_eq!(joined(vec![signal(), late]).0, "control");
        let neighbour = flow("192.168.12.169:43069", far, 0);
        assert_eq!(joined(vec![signal(), neighbour]).0, "control");
        let mut named = flow(CLIENT, far, 0);
        named.named = true;
        assert_eq!(joined(vec![signal(), named]).0, "control");
        let mut stream = flow(CLIENT, far, 0);
        stream.summary.key.protocol = Protocol::Tcp;
        assert_eq!(joined(vec![signal(), stream]).0, "control");
    }

    #[test]
    fn a_port_that_two_messengers_claim_is_nobodys() {
        let other = call("whatsapp", CLIENT, "31.13.86.48:3478", &[]);
        let tried = flow(CLIENT, "203.0.113.9:4000", 0);
        assert_eq!(joined(vec![signal(), other, tried]).0, "control");
    }

    #[test]
    fn a_relay_taken_for_the_client_joins_nobody() {
        let backwards = call("signal", RELAY, CLIENT, &[]);
        let other = flow(RELAY, "198.51.100.7:5000", 0);
        assert_eq!(joined(vec![backwards, other]).0, "control");
    }

    #[test]
    fn what_is_kept_for_the_flow_table_alone_joins_nobody() {
        let mut shown = signal();
        shown.judged = false;
        let tried = flow(CLIENT, "203.0.113.9:4000", 0);
        assert_eq!(joined(vec![shown, tried]).0, "control");
    }
}
