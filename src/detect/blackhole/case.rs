//! Which side fell silent, what the other one tried meanwhile, and how far the conversation had come.

pub(in crate::detect) use crate::detect::injection::case::count;
use crate::detect::injection::case::siblings;
use crate::facts::{CaptureFacts, FlowFacts, PacketFact, PacketKind, Role, Summary, Vantage};
use crate::types::{Direction, Frame, Protocol, Timestamp};

/// How far the conversation had come when the silence began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::detect) enum Stage {
    /// The opening SYN (or the SYN/ACK, at the server) was never answered.
    Syn,
    /// The handshake worked, and the first payload of one side was never answered.
    Hello,
    /// Payload had gone both ways; then one side's packets stayed unanswered.
    Later,
    /// The peer stopped in the middle of what it was sending; the one who waits has nothing to repeat.
    Stalled,
    /// QUIC Initials without an answer, or with so little that the handshake never ends.
    Quic,
    /// STUN requests without any answer.
    Stun,
    /// STUN requests that were answered here and repeated nevertheless: the answers do not arrive.
    StunAnswersLost,
    /// Media sent after STUN had worked, and nothing back.
    Media,
    /// STUN was answered; then the DTLS handshake (RFC 9147; before RFC 6347) that a call begins with never was.
    Dtls,
    /// Media had gone both ways; then nothing but STUN came of the other side's, while this one's went on.
    Ceased,
}

/// One silence.
pub(in crate::detect) struct Case<'f> {
    /// The flow.
    pub(in crate::detect) flow: &'f FlowFacts,
    /// The direction in which somebody tries (or waits); the silence comes from the other side.
    pub(in crate::detect) tries_from: Direction,
    /// How far it had come.
    pub(in crate::detect) stage: Stage,
    /// When the silence began: the first unanswered packet, or the last one heard.
    pub(in crate::detect) since: Timestamp,
    /// Until when the silence was watched: the end of the capture, or when the one who tried gave up with a reset.
    pub(in crate::detect) until: Timestamp,
    /// Independent tries: packets that demand an answer, in groups that lie apart, each with time left for its answer.
    pub(in crate::detect) tries: Vec<&'f PacketFact>,
    /// The silent side's packets since then that advanced nothing.
    pub(in crate::detect) repeats: Vec<&'f PacketFact>,
}

/// Packets nearer together than this are one try: a lost packet and its neighbour are often lost together, and a tail loss probe follows within two
/// round trips (RFC 8985, section 7.2).
const ONE_TRY_NS: i64 = 150_000_000;

/// Time that an answer must have had before the capture ended: the first retransmission timer (RFC 6298, section 2), which is meant to exceed any
/// usual round trip.
const ANSWER_NS: i64 = 1_000_000_000;

/// A download without a further packet for less than this is not yet a stall.
const STALL_NS: i64 = 3_000_000_000;

/// Least media packets (20 ms apart as usual: five seconds) before their one-sidedness is looked at. Comfort noise of a muted side (RFC 3389) comes more
/// often.
const MEDIA_PACKETS: u32 = 250;

/// Media that has come for a second at the usual pace shows that it came.
const MEDIA_CAME: u32 = 50;

/// Least media packets after which one looks whether the other side's ceased: frames of voice last 60 ms at most in calls (RFC 7587, section 2.1.4), which makes 83 in
/// [`CEASED_NS`].
const MEDIA_ALONE: u32 = 80;

/// For how long media must have gone on alone. Signalling that tells of a call's end or of a pause takes some round trips, and a muted side's comfort noise comes every
/// second or so.
const CEASED_NS: i64 = 5_000_000_000;

/// The same where the other side had sent reports, which go on where it only pauses: every 5 s, at random up to half as much later (RFC 3550, section 6.2).
const REPORTED_NS: i64 = 8_000_000_000;

impl<'f> Case<'f> {
    /// The silence that a capture at this vantage can judge: what the host next to the capture does not send is its own doing.
    pub(in crate::detect) fn of(flow: &'f FlowFacts, around: &CaptureFacts) -> Option<Self> {
        if flow.detail.one_way && !barely_two_way(flow, around) {
            return None;
        }
        let views: &[Direction] = match around.vantage.value {
            Vantage::Client => &[Direction::Up],
            Vantage::Server => &[Direction::Down],
            Vantage::Path => &[Direction::Up, Direction::Down],
        };
        views
            .iter()
            .filter_map(|from| match flow.summary.key.protocol {
                Protocol::Tcp => Self::tcp(flow, *from),
                Protocol::Udp => Self::udp(flow, *from),
            })
            .max_by_key(|case| case.tries.len())
    }

    #[allow(
        clippy::too_many_lines,
        reason = "one question after the other, in the order of a connection's life"
    )]
    fn tcp(flow: &'f FlowFacts, from: Direction) -> Option<Self> {
        let detail = &flow.detail;
        let (own, peer) = (detail.side(from), detail.side(from.reverse()));
        let suffix = &own.unanswered;
        // who only repeats what it had sent has heard no answer itself, and gives none
        let stalled_since = detail
            .packets
            .iter()
            .rfind(|packet| {
                packet.direction == Some(from.reverse())
                    && packet.kind == PacketKind::Tcp
                    && !packet.is_rst()
                    && !(packet.payload > 0 && packet.role == Role::Retransmission)
            })
            .map(|packet| packet.time)
            .or(peer.last_packet.map(|(time, _)| time));
        // what was never acknowledged, also where the silent side still says something else (a FIN, old payload)
        let unacked = |packet: &PacketFact| {
            packet.kind == PacketKind::Tcp
                && packet.direction == Some(from)
                && !packet.is_rst()
                && packet.seq_end() > own.acked
                && demands_an_answer(packet)
        };
        let asked_since = detail
            .packets
            .iter()
            .find(|packet| unacked(packet))
            .map(|packet| packet.time)
            .or(suffix.since);
        let since = asked_since.or(stalled_since)?;
        // a reset in the silent side's name is an answer, whoever sent it
        if detail
            .resets
            .iter()
            .any(|reset| reset.direction != Some(from) && reset.time >= since)
        {
            return None;
        }
        let until = detail
            .resets
            .iter()
            .filter(|reset| reset.direction == Some(from) && reset.time >= since)
            .map(|reset| reset.time)
            .min()
            .unwrap_or(detail.observed_until)
            .min(detail.observed_until);
        // what acknowledges nothing new answers a probe all the same
        let answers_until = detail
            .packets
            .iter()
            .rfind(|packet| {
                packet.direction == Some(from.reverse())
                    && packet.kind == PacketKind::Tcp
                    && packet.is_ack()
                    && packet.payload == 0
                    && !(packet.is_fin() || packet.is_rst() || packet.flags & 0x02 != 0)
            })
            .map(|packet| packet.time);
        let demands: Vec<&PacketFact> = detail
            .packets
            .iter()
            .filter(|packet| {
                asked_since.is_some()
                    && packet.kind == PacketKind::Tcp
                    && packet.direction == Some(from)
                    && packet.time >= since
                    && !packet.is_rst()
                    && demands_an_answer(packet)
                    && (packet.seq_end() > own.acked
                        || matches!(packet.role, Role::KeepAlive | Role::WindowProbe)
                            && answers_until.is_none_or(|answer| packet.time > answer))
            })
            .collect();
        let said_more = demands.iter().any(|packet| {
            packet.payload > 0 && !matches!(packet.role, Role::KeepAlive | Role::WindowProbe)
                || packet.is_syn()
                || packet.is_syn_ack()
        });
        let peer_silent = peer.last_packet.is_none();
        // an acknowledgement of the client shows an answer that the capture missed
        let answered = demands.iter().any(|packet| packet.is_ack());
        let wordless = flow.summary.tally(from.reverse()).data_packets == 0;
        let stage = if said_more {
            match from {
                Direction::Up if peer_silent && own.syns > 0 && !answered => Stage::Syn,
                // a client that does not repeat its SYN wanted no connection: a scanner, or a flood in others' names
                Direction::Down if own.syns > 0 && own.acked == 0 && peer.syns < 2 => return None,
                Direction::Down if own.syns > 0 && own.acked == 0 => Stage::Syn,
                Direction::Up
                    if wordless
                        && (detail.from_start || detail.recognised.hello_frame.is_some()) =>
                {
                    Stage::Hello
                }
                Direction::Down
                    if own.acked <= 1
                        && (detail.from_start
                            || detail.recognised.server_hello_frame.is_some()) =>
                {
                    Stage::Hello
                }
                _ => Stage::Later,
            }
        } else if from == Direction::Up
            && !wordless
            && peer.fin.is_none()
            && (own.fin.is_none() || asked_since.is_some())
            && stalled_since.is_some_and(|last| until.since(last) >= STALL_NS)
            && own.new_bytes > 0
        {
            Stage::Stalled
        } else if from == Direction::Up
            && wordless
            && own.new_bytes > 0
            && detail.from_start
            && peer.fin.is_none()
            && stalled_since.is_some_and(|last| until.since(last) >= STALL_NS)
            && (own.fin.is_none() || asked_since.is_some())
        {
            // the hello was acknowledged, and that was all
            Stage::Hello
        } else {
            return None;
        };
        let since = match stage {
            Stage::Stalled => stalled_since?,
            Stage::Hello if !said_more => stalled_since?,
            _ => since,
        };
        let repeats = detail
            .packets
            .iter()
            .filter(|packet| {
                packet.kind == PacketKind::Tcp
                    && packet.direction == Some(from.reverse())
                    && packet.time > since
            })
            .collect();
        let mut tries = apart(demands.iter().copied(), detail.observed_until);
        if said_more && tries.len() < 3 {
            let mut asked = demands;
            asked.extend(unheard_acks(flow, from, since));
            asked.sort_by_key(|packet| (packet.time, packet.frame));
            tries = apart(asked.into_iter(), detail.observed_until);
        }
        Some(Self {
            flow,
            tries_from: from,
            stage,
            since,
            until,
            tries,
            repeats,
        })
    }

    fn udp(flow: &'f FlowFacts, from: Direction) -> Option<Self> {
        let detail = &flow.detail;
        let (client, server) = (&detail.client, &detail.server);
        let of = |kind: PacketKind| {
            detail
                .packets
                .iter()
                .filter(move |packet| packet.is_up() && packet.kind == kind)
        };
        let unheard = flow.summary.down.packets == 0;
        let (stage, since, tries): (Stage, Timestamp, Vec<&PacketFact>) = match from {
            Direction::Up if client.quic_initials >= 1 || is_quic(flow) => {
                let heard = detail.server.last_packet.map(|(time, _)| time);
                let sent = detail.packets.iter().filter(|packet| {
                    packet.is_up() && heard.is_none_or(|heard| packet.time > heard)
                });
                let shaken = detail
                    .packets
                    .iter()
                    .any(|packet| packet.is_down() && packet.kind == PacketKind::QuicShort);
                (
                    if shaken { Stage::Later } else { Stage::Quic },
                    sent.clone().next()?.time,
                    apart(sent, detail.observed_until),
                )
            }
            Direction::Up if unheard && client.stun_requests >= 2 => (
                Stage::Stun,
                flow.summary.first,
                apart(of(PacketKind::StunRequest), detail.observed_until),
            ),
            // a short snap length hides what the requests are
            Direction::Up if unheard && is_relay(flow) && detail.snapped > 0 => (
                Stage::Stun,
                flow.summary.first,
                apart(of(PacketKind::Datagram), detail.observed_until),
            ),
            Direction::Up if hello_in_vain(flow) => (
                Stage::Dtls,
                of(PacketKind::DtlsHello).next()?.time,
                apart(of(PacketKind::DtlsHello), detail.observed_until),
            ),
            Direction::Up if has_ceased(flow) => (
                Stage::Ceased,
                client.media.alone_since?,
                apart(client.media.samples.iter(), detail.observed_until),
            ),
            Direction::Up
                if (server.stun_responses > 0 || is_relay(flow) || flow.summary.service != 0)
                    && media(flow) >= MEDIA_PACKETS =>
            {
                one_way(flow)?
            }
            Direction::Down if server.stun_responses >= 2 => {
                // the client repeats one request although its answer passed here
                let first = of(PacketKind::StunRequest).next()?;
                let same = of(PacketKind::StunRequest)
                    .filter(|packet| packet.number == first.number && packet.frame != first.frame);
                let other = detail
                    .packets
                    .iter()
                    .any(|packet| packet.is_up() && packet.kind != PacketKind::StunRequest);
                if other {
                    return None;
                }
                (
                    Stage::StunAnswersLost,
                    first.time,
                    apart(same, detail.observed_until),
                )
            }
            _ => return None,
        };
        let media_until = detail.client.last_packet.map(|(time, _)| time);
        Some(Self {
            flow,
            tries_from: from,
            stage,
            since,
            until: match stage {
                Stage::Media | Stage::Dtls => media_until?.min(detail.observed_until),
                Stage::Ceased => client.media.last?.0.min(detail.observed_until),
                _ => detail.observed_until,
            },
            tries,
            repeats: Vec::new(),
        })
    }

    /// Seconds that the silence was watched.
    pub(in crate::detect) fn silence_s(&self) -> f64 {
        self.until.seconds_since(self.since)
    }

    /// The direction whose packets are missing.
    pub(in crate::detect) const fn silent(&self) -> Direction {
        self.tries_from.reverse()
    }

    /// Frames of the tries.
    pub(in crate::detect) fn frames(&self) -> Vec<Frame> {
        self.tries.iter().map(|packet| packet.frame).collect()
    }

    /// Payload bytes that had arrived of what was being sent: down (as the client acknowledged them, where the capture is at the server), else up.
    pub(in crate::detect) fn delivered(&self, direction: Direction) -> u64 {
        let side = self.flow.detail.side(direction);
        if self.flow.summary.key.protocol == Protocol::Udp {
            return side.new_bytes;
        }
        let end = match (self.tries_from, direction) {
            (Direction::Up, Direction::Down) => side.in_order_end,
            _ => side.acked,
        };
        // what arrived behind a hole arrived, too: the receiver says so
        let beyond = self
            .flow
            .detail
            .packets
            .iter()
            .filter(|packet| packet.direction == Some(direction.reverse()))
            .filter_map(|packet| packet.sack_high)
            .max();
        let end = end.max(beyond.unwrap_or(0));
        (end - i64::from(self.flow.detail.from_start)).max(0) as u64
    }

    /// Packets of both directions until the silence, repeats left out.
    pub(in crate::detect) fn packets_before(&self) -> u64 {
        let before = self
            .flow
            .detail
            .packets
            .iter()
            .filter(|packet| {
                packet.time <= self.since
                    && packet.kind != PacketKind::Icmp
                    && !matches!(packet.role, Role::Retransmission | Role::KeepAlive)
            })
            .count();
        before as u64
            + if self.stage == Stage::Stalled || self.flow.detail.omitted > 0 {
                u64::from(self.flow.detail.omitted)
            } else {
                0
            }
    }

    /// Whether so little had passed that no budget of bytes or packets can have been spent: the known ones are 14 KiB and more, or about 25 packets.
    pub(in crate::detect) fn is_brief(&self) -> bool {
        /// Well below the smallest budget of bytes that was seen.
        const BYTES: u64 = 10 * 1024;
        /// Well below the smallest budget of packets.
        const PACKETS: u64 = 20;
        let delivered = self
            .delivered(Direction::Down)
            .max(self.delivered(Direction::Up));
        delivered < BYTES && self.packets_before() < PACKETS
    }

    /// The last packet of the silent side before the silence.
    pub(in crate::detect) fn last_heard(&self) -> Option<Timestamp> {
        self.flow
            .detail
            .packets
            .iter()
            .filter(|packet| {
                packet.direction == Some(self.silent())
                    && packet.time <= self.since
                    && packet.kind != PacketKind::Icmp
            })
            .map(|packet| packet.time)
            .max()
    }

    /// Whether the silent side had spoken before, as far as the capture or the other side's acknowledgements show.
    pub(in crate::detect) fn spoke(&self) -> bool {
        self.last_heard().is_some()
            || self.flow.summary.key.protocol == Protocol::Tcp
                && self.flow.detail.packets.iter().any(|packet| {
                    packet.direction == Some(self.tries_from)
                        && packet.kind == PacketKind::Tcp
                        && packet.is_ack()
                        && !packet.is_syn_ack()
                        && !packet.is_rst()
                })
    }

    /// Seconds for which nobody had sent anything when the first unanswered packet was sent.
    pub(in crate::detect) fn idle_before_s(&self) -> f64 {
        let first = match (self.stage, self.tries.first()) {
            (Stage::Stalled, Some(first)) => first.time,
            _ => self.since,
        };
        let before = self
            .flow
            .detail
            .packets
            .iter()
            .filter(|packet| packet.time < first && packet.kind != PacketKind::Icmp)
            .map(|packet| packet.time)
            .max();
        before.map_or(0.0, |before| first.seconds_since(before))
    }

    /// The client's other flows; at the client also those of the address that its host has in the other IP version. Those nearest in time.
    pub(in crate::detect) fn others<'a>(&'a self, around: &'a CaptureFacts) -> Vec<&'a Summary> {
        /// Flows of the capture before and after this one that are looked at for the other IP version. Seven rules ask, for every silent flow.
        const NEAREST: usize = 256;
        let own = self.flow.summary.key.a.address;
        let mut others: Vec<&Summary> = siblings(self.flow, around).collect();
        if around.vantage.value == Vantage::Client {
            // the flows are ordered by their first packet, and the index is the place among them
            let here = self.flow.index as usize;
            let near = here.saturating_sub(NEAREST)..(here + NEAREST).min(around.flows.len());
            others.extend(
                (around.flows.range(near))
                    .filter(|other| other.key.a.address.is_v4() != own.is_v4()),
            );
        }
        others
    }
}

/// Whether the flow looks one-way only because the capture began after one side fell silent, or lost its only packet: the other one repeats itself, and the client's other
/// flows are captured both ways.
fn barely_two_way(flow: &FlowFacts, around: &CaptureFacts) -> bool {
    flow.detail
        .client
        .retransmissions
        .max(flow.detail.server.retransmissions)
        >= 2
        && siblings(flow, around)
            .filter(|other| other.answered())
            .count()
            >= 2
}

/// Whether the server's port is one at which STUN and TURN relays listen (RFC 8489, section 18.6; Telegram's 1400; Google's 19302 and on).
pub(in crate::detect) fn is_relay(flow: &FlowFacts) -> bool {
    matches!(flow.summary.key.b.port, 1400 | 3478..=3481 | 19302..=19309)
}

fn is_quic(flow: &FlowFacts) -> bool {
    flow.detail.recognised.application == crate::application::Application::Quic
}

const fn is_media(kind: PacketKind) -> bool {
    matches!(
        kind,
        PacketKind::Rtp | PacketKind::Datagram | PacketKind::ChannelData
    )
}

/// Media of the client to which nothing comes back.
fn one_way(flow: &FlowFacts) -> Option<(Stage, Timestamp, Vec<&PacketFact>)> {
    let detail = &flow.detail;
    let (client, server) = (&detail.client, &detail.server);
    let one_way = client.rtp >= MEDIA_PACKETS && server.rtp == 0 || only_answers(flow);
    let since = if one_way {
        detail
            .packets
            .iter()
            .find(|packet| packet.is_up() && is_media(packet.kind))?
            .time
    } else {
        client.unanswered.since?
    };
    let sent = detail
        .packets
        .iter()
        .filter(|packet| packet.is_up() && packet.time >= since && is_media(packet.kind));
    let seen = apart(sent, detail.observed_until);
    // the last packets of a call that goes on lie in its last second
    let sampled = apart(client.media.samples.iter(), detail.observed_until);
    let tries = if seen.len() < sampled.len() {
        sampled
    } else {
        seen
    };
    Some((Stage::Media, since, tries))
}

/// Whether the server answers STUN and nothing else, while the client sends a DTLS hello again.
fn hello_in_vain(flow: &FlowFacts) -> bool {
    let server = &flow.detail.server;
    let hellos = |packet: &&PacketFact| packet.is_up() && packet.kind == PacketKind::DtlsHello;
    server.stun_responses > 0
        && only_answers(flow)
        && flow.detail.packets.iter().filter(hellos).count() >= 2
}

/// Whether a call's media came from the server and then ceased, while the client's goes on and the pair's STUN is answered.
fn has_ceased(flow: &FlowFacts) -> bool {
    let (client, server) = (&flow.detail.client.media, &flow.detail.server.media);
    // an answer since: the pair lives
    let lives = server.stun_since > 0;
    let since = client.alone_since.zip(client.last);
    let least = if server.reports > 0 {
        REPORTED_NS
    } else {
        CEASED_NS
    };
    lives
        && server.packets >= MEDIA_CAME
        && client.alone >= MEDIA_ALONE
        && since.is_some_and(|(since, (last, _))| last.since(since) >= least)
}

/// Whether the server answers STUN and says nothing else.
const fn only_answers(flow: &FlowFacts) -> bool {
    let server = &flow.detail.server;
    server.stun_responses > 0
        && flow.summary.down.packets <= server.stun_responses + server.stun_requests
}

/// Media packets of the client since the server was last heard, or in all where the server sent none.
fn media(flow: &FlowFacts) -> u32 {
    let client = &flow.detail.client;
    if only_answers(flow) {
        let stun = client.stun_requests + client.stun_responses;
        return flow.summary.up.packets.saturating_sub(stun);
    }
    if flow.detail.server.rtp == 0 {
        client.rtp.max(client.unanswered.tries)
    } else {
        client.unanswered.tries
    }
}

fn demands_an_answer(packet: &PacketFact) -> bool {
    packet.payload > 0
        || packet.flags & 0x03 != 0
        || matches!(packet.role, Role::KeepAlive | Role::WindowProbe)
}

/// Acknowledgements of one side that did not arrive: the other one sends again what they acknowledge.
fn unheard_acks(flow: &FlowFacts, from: Direction, since: Timestamp) -> Vec<&PacketFact> {
    let packets = &flow.detail.packets;
    let repeated = |ack: &PacketFact| {
        packets.iter().any(|packet| {
            packet.direction == Some(from.reverse())
                && packet.role == Role::Retransmission
                && packet.time > ack.time
                && packet.seq_end() <= ack.ack
                // it acknowledges nothing newer, so it was sent without having heard
                && packet.time.since(ack.time) >= ONE_TRY_NS
        })
    };
    packets
        .iter()
        .filter(|packet| {
            packet.kind == PacketKind::Tcp
                && packet.direction == Some(from)
                && packet.time >= since
                && packet.is_ack()
                && packet.payload == 0
                && !(packet.is_fin() || packet.is_rst() || packet.flags & 0x02 != 0)
        })
        .filter(|packet| repeated(packet))
        .collect()
}

/// The packets that begin a try of their own and had time for an answer.
fn apart<'f>(packets: impl Iterator<Item = &'f PacketFact>, end: Timestamp) -> Vec<&'f PacketFact> {
    let mut last = None::<Timestamp>;
    packets
        .filter(|packet| {
            let fresh = last.is_none_or(|last| packet.time.since(last) >= ONE_TRY_NS);
            if fresh {
                last = Some(packet.time);
            }
            fresh && end.since(packet.time) >= ANSWER_NS
        })
        .collect()
}

/// Why a rule has nothing to say on a flow without a case.
pub(in crate::detect) const NO_CASE: &str = "no side that fell silent while the other one tried";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::blackhole::testing::{Tale, around};
    use crate::facts::VantageFacts;

    #[test]
    fn keep_alives_that_are_answered_are_no_tries() {
        let tale = || {
            let mut tale = Tale::new().handshake(40).hello().answer(900);
            for _ in 0..4 {
                tale = tale.wait(3000).keep_alive().wait(40).acknowledge_down();
            }
            tale
        };
        let tries = |flow: &FlowFacts| Case::of(flow, &around()).map(|case| case.tries.len());
        assert_eq!(tries(&tale().build(4)), Some(0));
        let dead = tale().wait(3000).keep_alive().wait(1000).keep_alive();
        assert_eq!(tries(&dead.build(4)), Some(2));
    }

    #[test]
    fn an_acknowledgement_that_did_not_arrive_is_a_try_of_who_sent_it() {
        let mut around = around();
        around.vantage = VantageFacts {
            value: Vantage::Server,
            ..VantageFacts::default()
        };
        // the server's answer is lost, and so are its acknowledgements of the client's FIN
        let tries = |repeats: usize| {
            let mut tale = Tale::new()
                .handshake(40)
                .hello()
                .say(900)
                .wait(4000)
                .fin_up();
            for _ in 0..repeats {
                tale = tale.acknowledge_down().wait(900).fin_up_again();
            }
            let flow = tale.acknowledge_down().build(10);
            Case::of(&flow, &around).map(|case| case.tries.len())
        };
        assert_eq!(tries(0), Some(1));
        assert_eq!(tries(3), Some(4));
    }
}
