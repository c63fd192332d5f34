//! Port-unreachable errors in the name of a host that may not have sent them: the resets of UDP.

use crate::detect::finding::{Evidence, Finding, Level, Mechanism, Parameter};
use crate::detect::icmp::{self, Error};
use crate::detect::judged::Judged;
use crate::detect::rule::Weighed;
use crate::facts::{CaptureFacts, FlowFacts, PacketFact, PacketKind, Vantage};
use crate::types::{Direction, Frame, Protocol};

use super::case::siblings;
use super::rules::{PRIOR_RESET, RULES};

/// The rules that ask about it.
const OWN: [&str; 3] = ["icmp.alive_after", "icmp.hop_limit", "icmp.too_fast"];

/// Why a rule has nothing to say on a flow without one.
pub(super) const NONE: &str =
    "no port-unreachable error in the name of a host whose packets this vantage can judge";

/// The errors in one side's name.
pub(super) struct Refusal<'f> {
    pub(super) flow: &'f FlowFacts,
    /// In whose name they came: the direction in which they travel.
    pub(super) named: Direction,
    /// Never empty, by time.
    pub(super) errors: Vec<&'f PacketFact>,
    /// The first of them.
    pub(super) first: &'f PacketFact,
}

impl<'f> Refusal<'f> {
    /// The errors that a capture at this vantage can judge: what the host next to it sends is its own.
    pub(super) fn of(flow: &'f FlowFacts, around: &CaptureFacts) -> Option<Self> {
        if flow.summary.key.protocol != Protocol::Udp || flow.detail.icmp.is_empty() {
            return None;
        }
        let views: &[Direction] = match around.vantage.value {
            Vantage::Client => &[Direction::Down],
            Vantage::Server => &[Direction::Up],
            Vantage::Path => &[Direction::Down, Direction::Up],
        };
        views.iter().find_map(|named| {
            let errors: Vec<_> = icmp::errors(flow, *named)
                .filter(|(error, packet)| *error == Error::Port && packet.is_from_peer())
                .map(|(_, packet)| packet)
                .collect();
            Some(Self {
                flow,
                named: *named,
                first: errors.first()?,
                errors,
            })
        })
    }

    /// Frames of the errors.
    pub(super) fn frames(&self) -> Vec<Frame> {
        self.errors.iter().map(|packet| packet.frame).collect()
    }

    /// The named side's datagrams.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.side(self.named)
    }

    /// What the other side sent.
    pub(super) fn asked(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.side(self.named.reverse())
    }

    fn side(&self, direction: Direction) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.flow.detail.packets.iter().filter(move |packet| {
            packet.direction == Some(direction) && packet.kind != PacketKind::Icmp
        })
    }

    /// Smallest round trip to the named side, in nanoseconds: of this flow, or of others between the same addresses.
    pub(super) fn round_trip(&self, around: &CaptureFacts) -> Option<i64> {
        let key = &self.flow.summary.key;
        siblings(self.flow, around)
            .filter(|sibling| sibling.key.b.address == key.b.address)
            .chain([&self.flow.summary])
            .filter_map(|flow| match self.named {
                Direction::Down => flow.rtt_server_ms,
                Direction::Up => flow.rtt_client_ms,
            })
            .map(|ms| (f64::from(ms) * 1e6) as i64)
            .min()
    }
}

/// Judges every UDP flow with a port-unreachable error.
pub(super) fn judge(
    flows: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
    without: &str,
    judged: &mut Judged,
) {
    for refusal in flows.iter().filter_map(|flow| Refusal::of(flow, around)) {
        let flow = refusal.flow;
        let mut evidence: Vec<Evidence> = RULES
            .iter()
            .filter(|rule| rule.name != without && OWN.contains(&rule.name))
            .filter_map(|rule| match rule.weigh(flow, around) {
                Weighed::Evidence(fact) => Some(fact),
                Weighed::Blind(_) => None,
            })
            .collect();
        let sum: f64 = evidence.iter().map(|fact| fact.weight).sum();
        let score = 1.0 / (1.0 + (-(PRIOR_RESET + sum)).exp());
        let likely = Level::of(score) >= Some(Level::Likely);
        let cause = if likely {
            Mechanism::ForgedRst.name()
        } else {
            "refused_port"
        };
        judged.causes.push((flow.index, cause));
        if Level::of(score).is_none() || !wanted(flow) {
            continue;
        }
        evidence.retain(|fact| fact.weight != 0.0);
        evidence
            .sort_by(|a, b| (b.weight.abs().total_cmp(&a.weight.abs())).then(a.rule.cmp(b.rule)));
        let first = refusal.first;
        let host =
            (flow.detail.host.as_ref()).map_or_else(String::new, |name| format!(" for {name}"));
        let count = super::case::count(refusal.errors.len(), "forged ICMP port-unreachable error");
        let whose = match refusal.named {
            Direction::Down => "server's",
            Direction::Up => "client's",
        };
        judged.findings.push(Finding {
            mechanism: Mechanism::ForgedRst,
            score,
            direction: Some(refusal.named),
            flows: vec![flow.index],
            time: first.time,
            frame: first.frame,
            parameters: vec![
                (
                    "icmp_count",
                    Parameter::Integer(refusal.errors.len() as u64),
                ),
                ("hop_limit", Parameter::Integer(u64::from(first.hop_limit))),
            ],
            summary: format!("{count} in the {whose} name{host}"),
            evidence,
            ruled_out: Vec::new(),
        });
    }
}

#[cfg(test)]
pub(super) mod testing {
    use crate::facts::{CaptureFacts, FlowFacts, PacketFact, PacketKind};
    use crate::types::{Direction, Frame, Protocol, Timestamp};

    /// A UDP flow of these packets: milliseconds, whether up, kind, hop limit.
    pub(crate) fn flow(packets: &[(i64, bool, PacketKind, u8)]) -> FlowFacts {
        let mut flow = FlowFacts::default();
        flow.summary.key.protocol = Protocol::Udp;
        flow.summary.key.a.address = crate::types::Address::v4([192, 0, 2, 10]);
        flow.summary.key.b.address = crate::types::Address::v4([198, 51, 100, 7]);
        for (number, &(ms, up, kind, hop_limit)) in packets.iter().enumerate() {
            let packet = PacketFact {
                time: Timestamp(1_000_000_000 + ms * 1_000_000),
                frame: Frame::new(0, number as u64 + 1),
                direction: Some(if up { Direction::Up } else { Direction::Down }),
                kind,
                hop_limit,
                payload: 100,
                number: if kind == PacketKind::Icmp {
                    3 << 8 | 3
                } else {
                    0
                },
                raw_ack: u32::from(kind == PacketKind::Icmp),
                ..PacketFact::default()
            };
            if kind == PacketKind::Icmp {
                flow.detail.icmp.push(packet.clone());
            }
            flow.detail.packets.push(packet);
        }
        flow
    }

    /// A capture at the client in which the server is `ms` away, as another flow to it showed.
    pub(crate) fn away(flow: &FlowFacts, ms: f32) -> CaptureFacts {
        let mut around = super::super::testing::among(flow, &[(0, crate::facts::End::Fin)]);
        around.flows[1].key.a.address = flow.summary.key.a.address;
        around.flows[1].key.b.address = flow.summary.key.b.address;
        around.flows[1].rtt_server_ms = Some(ms);
        around.flows[1].hop_limits = [64, 52];
        around
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{away, flow};
    use super::*;

    const ICMP: PacketKind = PacketKind::Icmp;
    const DATA: PacketKind = PacketKind::Datagram;

    fn judged(flow: &FlowFacts) -> Judged {
        let mut judged = Judged::default();
        judge(
            std::slice::from_ref(flow),
            &away(flow, 40.0),
            &|_| true,
            "",
            &mut judged,
        );
        judged
    }

    #[test]
    fn an_error_from_nearer_and_sooner_than_the_server_is_forged() {
        let flow = flow(&[(0, true, DATA, 64), (4, false, ICMP, 61)]);
        let judged = judged(&flow);
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::ForgedRst);
        assert!(finding.score >= 0.8, "{}", finding.score);
        assert_eq!(judged.causes, [(0, "forged_rst")]);
    }

    #[test]
    fn a_closed_port_is_the_hosts_own() {
        let flow = flow(&[(0, true, DATA, 64), (41, false, ICMP, 52)]);
        let judged = judged(&flow);
        assert!(judged.findings.is_empty(), "{:?}", judged.findings);
        assert_eq!(judged.causes, [(0, "refused_port")]);
    }
}
