//! Who is accused, of which packets, and what those packets are held against.

use crate::facts::{CaptureFacts, FlowFacts, PacketFact, PacketKind, Summary, Vantage};
use crate::types::{Direction, Frame};

/// What is suspected of being forged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::detect) enum Suspicion {
    /// Resets.
    Reset,
    /// A FIN.
    Close,
}

/// The resets (or the FIN) in one side's name, and the flow they ended.
pub(in crate::detect) struct Case<'f> {
    /// The flow.
    pub(in crate::detect) flow: &'f FlowFacts,
    /// In whose name the suspects came: the direction they travel.
    pub(in crate::detect) named: Direction,
    /// Resets or FIN.
    pub(in crate::detect) suspicion: Suspicion,
    /// The packets to judge, never empty, by frame.
    pub(in crate::detect) suspects: Vec<&'f PacketFact>,
    /// The first of them.
    pub(in crate::detect) first: &'f PacketFact,
}

/// What the client had said last when the suspects came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::detect) enum Trigger {
    /// Only SYNs.
    Syn,
    /// A complete ClientHello.
    ClientHello,
    /// An HTTP request.
    HttpRequest,
    /// The first payload of another protocol.
    FirstPayload,
    /// Payload after the server's payload.
    LaterPayload,
}

impl Trigger {
    /// The word for `parameters.trigger`.
    pub(in crate::detect) const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::ClientHello => "client_hello",
            Self::HttpRequest => "http_request",
            Self::FirstPayload => "first_payload",
            Self::LaterPayload => "later_payload",
        }
    }
}

/// How long after the first reset further ones count as the same act: a server whose replies are rewritten keeps repeating them with a growing
/// timer (RFC 6298 permits 60 s), so one act can be long.
const ONE_ACT_NS: i64 = 60_000_000_000;

/// How long after a segment a closed socket's reset may still be its answer, beyond the round trip.
const ANSWER_NS: i64 = 2_000_000_000;

impl<'f> Case<'f> {
    /// The case that a capture at this vantage can judge: what a host next to the capture sends itself is never forged.
    pub(in crate::detect) fn of(flow: &'f FlowFacts, around: &CaptureFacts) -> Option<Self> {
        match around.vantage.value {
            Vantage::Client => Self::against(flow, Direction::Down),
            Vantage::Server => Self::against(flow, Direction::Up),
            Vantage::Path => {
                let first = flow
                    .detail
                    .resets
                    .first()
                    .and_then(|reset| reset.direction)
                    .or_else(|| {
                        [Direction::Down, Direction::Up]
                            .into_iter()
                            .find(|direction| forged_close(flow, *direction).is_some())
                    })
                    .or_else(|| {
                        [Direction::Down, Direction::Up]
                            .into_iter()
                            .filter_map(|direction| fins(flow, direction).next())
                            .min_by_key(|fin| fin.frame)
                            .and_then(|fin| fin.direction)
                    })?;
                // A lone FIN out of place comes before the resets that answer its consequences.
                match forged_close(flow, first.reverse()) {
                    Some(fin)
                        if flow
                            .detail
                            .resets
                            .first()
                            .is_some_and(|reset| fin.frame < reset.frame) =>
                    {
                        Self::against(flow, first.reverse())
                    }
                    _ => Self::against(flow, first),
                }
            }
        }
    }

    /// What has a cause: the resets that this vantage can judge, else those of the side next to the capture, else a FIN.
    pub(in crate::detect) fn any(flow: &'f FlowFacts, around: &CaptureFacts) -> Option<Self> {
        let judged = Self::of(flow, around);
        if judged
            .as_ref()
            .is_some_and(|case| case.suspicion == Suspicion::Reset)
        {
            return judged;
        }
        match flow.detail.resets.first().and_then(|reset| reset.direction) {
            Some(own) => Self::against(flow, own),
            None => judged,
        }
    }

    /// The resets in `named`'s name, else its FIN.
    pub(in crate::detect) fn against(flow: &'f FlowFacts, named: Direction) -> Option<Self> {
        let resets = || {
            flow.detail
                .resets
                .iter()
                .filter(move |reset| reset.direction == Some(named))
        };
        let reset = resets().next();
        let fin = fins(flow, named).next();
        let close = match (reset, fin) {
            (None, Some(fin)) => Some(fin),
            (Some(reset), Some(fin)) if fin.frame < reset.frame => forged_close(flow, named),
            _ => None,
        };
        if let Some(first) = close {
            return Some(Self {
                flow,
                named,
                suspicion: Suspicion::Close,
                suspects: vec![first],
                first,
            });
        }
        let first = reset?;
        let suspects = resets()
            .filter(|reset| {
                reset.frame == first.frame
                    || (reset.time.since(first.time) <= ONE_ACT_NS && !answers(flow, reset))
            })
            .collect();
        Some(Self {
            flow,
            named,
            suspicion: Suspicion::Reset,
            suspects,
            first,
        })
    }

    /// Later resets of the named side that answer a segment each: most likely its own.
    pub(in crate::detect) fn later_answers(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.flow.detail.resets.iter().filter(|reset| {
            reset.direction == Some(self.named)
                && reset.frame > self.first.frame
                && self.suspects.iter().all(|s| s.frame != reset.frame)
                && answers(self.flow, reset)
        })
    }

    /// Frames of the suspects.
    pub(in crate::detect) fn frames(&self) -> Vec<Frame> {
        self.suspects.iter().map(|packet| packet.frame).collect()
    }

    /// What the named side surely or probably sent itself: its packets without RST, the suspects left out.
    pub(in crate::detect) fn ordinary(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.side(self.named).filter(|packet| {
            !packet.is_rst() && self.suspects.iter().all(|s| s.frame != packet.frame)
        })
    }

    /// The named side's ordinary packets without its SYN/ACK, which a load balancer may have sent for it. Nobody sends a client's SYN for it.
    pub(in crate::detect) fn body(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.ordinary().filter(|packet| !packet.is_syn_ack())
    }

    /// The other side's packets without RST.
    pub(in crate::detect) fn other(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.side(self.named.reverse())
            .filter(|packet| !packet.is_rst())
    }

    fn side(&self, direction: Direction) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.flow.detail.packets.iter().filter(move |packet| {
            packet.direction == Some(direction) && packet.kind == PacketKind::Tcp
        })
    }

    /// Whether `packet` was captured before the first suspect.
    pub(in crate::detect) fn is_before(&self, packet: &PacketFact) -> bool {
        packet.frame < self.first.frame
    }

    /// One past the highest sequence number that the named side had sent before the first suspect, as far as was seen.
    pub(in crate::detect) fn sent_before(&self) -> Option<i64> {
        self.ordinary()
            .filter(|packet| self.is_before(packet))
            .map(PacketFact::seq_end)
            .max()
    }

    /// Whether the suspects carry ACK: a live socket's reset does, a closed socket's answer to a segment does not (RFC 9293, section 3.10.7).
    pub(in crate::detect) fn acknowledging(&self) -> impl Iterator<Item = &'f PacketFact> + '_ {
        self.suspects
            .iter()
            .copied()
            .filter(|packet| packet.is_ack())
    }

    /// Whether one suspect can be a closed socket's answer: no ACK, and the sequence number that some segment of the other side asked for.
    pub(in crate::detect) fn may_answer(&self, suspect: &PacketFact) -> bool {
        answers(self.flow, suspect)
    }

    /// Smallest round trip between the capture point and the named side, in nanoseconds: of this flow, or of the run's other flows between
    /// the same addresses. None where the flow alone gives too little: one delayed acknowledgement is not a path's delay.
    pub(in crate::detect) fn round_trip(&self, around: &CaptureFacts) -> Option<i64> {
        let rtt = &self.flow.detail.rtt;
        let (handshake, own, samples) = match self.named {
            Direction::Down => (rtt.handshake_server, rtt.to_server(), rtt.samples_server),
            Direction::Up => (rtt.handshake_client, rtt.to_client(), rtt.samples_client),
        };
        // A FIN acknowledges payload, so a forged one has spoilt every sample but the handshake's, in sibling flows too.
        if self.suspicion == Suspicion::Close {
            return handshake;
        }
        let own = own.filter(|_| handshake.is_some() || samples >= 3);
        let key = &self.flow.summary.key;
        siblings(self.flow, around)
            .filter(|sibling| sibling.key.b.address == key.b.address)
            .filter_map(|sibling| match self.named {
                Direction::Down => sibling.rtt_server_ms,
                Direction::Up => sibling.rtt_client_ms,
            })
            .map(|ms| (f64::from(ms) * 1e6) as i64)
            .chain(own)
            .min()
    }

    /// What the client had said last before the first suspect, and that packet.
    pub(in crate::detect) fn trigger(&self) -> Option<(Trigger, &'f PacketFact)> {
        let packets = || {
            self.flow.detail.packets.iter().filter(|packet| {
                packet.kind == PacketKind::Tcp && !packet.is_rst() && self.is_before(packet)
            })
        };
        let said = packets().rfind(|packet| packet.is_up() && packet.payload > 0);
        let Some(said) = said else {
            return packets()
                .rfind(|packet| packet.is_syn())
                .map(|syn| (Trigger::Syn, syn));
        };
        let answered = packets().any(|packet| {
            packet.is_down()
                && packet.payload > 0
                && self.suspects.iter().all(|s| s.frame != packet.frame)
        });
        let recognised = &self.flow.detail.recognised;
        let trigger =
            if answered || !self.flow.detail.from_start && recognised.hello_frame.is_none() {
                Trigger::LaterPayload
            } else if recognised.hello_frame.is_some() {
                Trigger::ClientHello
            } else if recognised.http_host.is_some() {
                Trigger::HttpRequest
            } else {
                Trigger::FirstPayload
            };
        Some((trigger, said))
    }

    /// Whether the other side was seen at all.
    pub(in crate::detect) fn two_way(&self) -> bool {
        self.other().next().is_some()
    }
}

/// A SYN or SYN/ACK.
pub(in crate::detect) const fn is_opening(packet: &PacketFact) -> bool {
    packet.flags & 0x02 != 0
}

/// How many neighbours in time on either side stand for all of a host's flows: a host with very many must not make the whole quadratic.
const NEIGHBOURS: usize = 128;

/// Other flows of the same client address, those nearest in time.
pub(in crate::detect) fn siblings<'a>(
    flow: &'a FlowFacts,
    around: &'a CaptureFacts,
) -> impl Iterator<Item = &'a Summary> {
    let own = |summary: &Summary| (summary.key.a.address, summary.first);
    neighbours(&around.by_client, flow, around, own)
        .filter(move |other| other.key.a.address == flow.summary.key.a.address)
}

/// Other flows to the same server address and port, those nearest in time.
pub(in crate::detect) fn fellows<'a>(
    flow: &'a FlowFacts,
    around: &'a CaptureFacts,
) -> impl Iterator<Item = &'a Summary> {
    let own = |summary: &Summary| (summary.key.b, summary.first);
    neighbours(&around.by_server, flow, around, own)
        .filter(move |other| other.key.b == flow.summary.key.b)
}

/// The flows that lie next to this one in `order`, which is sorted by `key`.
fn neighbours<'a, K: Ord>(
    order: &'a [u32],
    flow: &'a FlowFacts,
    around: &'a CaptureFacts,
    key: impl Fn(&Summary) -> K,
) -> impl Iterator<Item = &'a Summary> {
    let own = key(&flow.summary);
    let here = order.partition_point(|index| {
        around
            .flows
            .get(*index as usize)
            .is_some_and(|other| key(other) < own)
    });
    order
        .get(here.saturating_sub(NEIGHBOURS)..(here + NEIGHBOURS).min(order.len()))
        .unwrap_or_default()
        .iter()
        .filter(|index| **index != flow.index)
        .filter_map(|index| around.flows.get(*index as usize))
}

/// The FINs of one side that belong to no reset.
pub(in crate::detect) fn fins(
    flow: &FlowFacts,
    named: Direction,
) -> impl Iterator<Item = &PacketFact> {
    flow.detail.packets.iter().filter(move |packet| {
        packet.direction == Some(named) && packet.is_fin() && !packet.is_rst()
    })
}

/// The first FIN of `named` after which that side sent new payload: no stack does that.
fn forged_close(flow: &FlowFacts, named: Direction) -> Option<&PacketFact> {
    let fin = fins(flow, named).next()?;
    let end = fin.seq_end();
    flow.detail
        .packets
        .iter()
        .filter(|packet| {
            packet.direction == Some(named) && packet.frame > fin.frame && !packet.is_rst()
        })
        .take_while(|packet| !packet.is_syn())
        .any(|packet| packet.payload > 0 && packet.seq + i64::from(packet.payload) >= end)
        .then_some(fin)
}

/// Whether `reset` is what a closed socket answers: no ACK, and its sequence number is what a segment shortly before it acknowledged.
fn answers(flow: &FlowFacts, reset: &PacketFact) -> bool {
    let wait = ANSWER_NS
        + [flow.detail.rtt.to_server(), flow.detail.rtt.to_client()]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0);
    !reset.is_ack()
        && flow.detail.packets.iter().any(|packet| {
            packet.direction.is_some()
                && packet.direction != reset.direction
                && packet.is_ack()
                && packet.frame < reset.frame
                && packet.ack == reset.seq
                && reset.time.since(packet.time) <= wait
        })
}

/// `1 packet`, `3 packets`: for evidence that people read.
pub(in crate::detect) fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

/// Why a rule has nothing to say on a flow without a case.
pub(in crate::detect) const NO_CASE: &str =
    "no reset or FIN in the name of a side whose packets this vantage can judge";
