//! The reader of a UDP flow that may be a call: STUN, DTLS and media on one pair of ports (RFC 7983), and DNS beside them.

use super::dns::{self, DnsConversation};
use super::dtls::{self, DtlsSide};
use super::rtp::{self, RtpSide};
use super::tls::client_hello::{ClientHello, Over, version_name};
use super::{Application, Arrival, Recognised, mtproto, others, stun};
use crate::types::Side;

/// What one flow's datagrams said so far. Within stated bounds whatever comes: sources, questions and one hello.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    rtp: [RtpSide; 2],
    dtls: [DtlsSide; 2],
    dns: DnsConversation,
    claimed: bool,
}

/// Whether a datagram could belong here: a few nanoseconds, nothing allocated. `ports` keep the local network's lookalikes of DNS out.
pub(super) fn may_start(payload: &[u8], ports: [u16; 2]) -> bool {
    use crate::flow::PacketKind as Kind;
    match super::classify_datagram(payload).kind {
        Kind::StunRequest
        | Kind::StunSuccess
        | Kind::StunError
        | Kind::StunIndication
        | Kind::DtlsHello
        | Kind::DtlsOther
        | Kind::Rtp
        | Kind::Rtcp => true,
        Kind::Dns => dns::ports_may_carry(ports),
        _ => own_mark(payload).is_some() || mtproto::reflector(payload).is_some(),
    }
}

impl Call {
    /// Takes a datagram and notes what it says. True once the flow is known to belong here.
    pub(super) fn datagram(
        &mut self,
        payload: &[u8],
        ports: [u16; 2],
        arrival: &Arrival,
        found: &mut Recognised,
    ) -> bool {
        let before = self.claimed;
        self.claimed |= message(payload, arrival, found)
            || self.handshake(payload, arrival, found)
            || self.media(payload, arrival, found)
            || self.lookup(payload, ports, arrival, found)
            || service(payload, arrival, found);
        if self.claimed && !before {
            // Media that came before the proof is part of the call.
            self.count(found);
        }
        self.claimed
    }

    /// The questions so far.
    pub(super) fn take_dns(&mut self) -> Vec<dns::DnsFact> {
        std::mem::take(&mut self.dns).finish()
    }

    /// The questions of the flow go to the facts at its end.
    pub(super) fn finish(self, found: &mut Recognised) {
        self.count(found);
        found.dns = self.dns.finish();
    }

    fn count(&self, found: &mut Recognised) {
        let [a, b] = &self.rtp;
        if (a.is_rtp() || b.is_rtp()) && found.application != Application::Dns {
            found.application = Application::Rtp;
            let call = found.call.get_or_insert_default();
            call.rtp = [a.packets(), b.packets()];
            call.rtp_missing = [a.missing(), b.missing()];
        }
    }

    fn handshake(&mut self, payload: &[u8], arrival: &Arrival, found: &mut Recognised) -> bool {
        if !dtls::is_record(payload) {
            return false;
        }
        let [a, b] = &mut self.dtls;
        let side = match arrival.side {
            Side::A => a,
            Side::B => b,
        };
        let known = side.alerts.len();
        let hello = side.take(payload, arrival.frame);
        for (description, frame) in side.alerts.iter().skip(known) {
            found.alerts.push((arrival.side, *description, *frame));
        }
        if let Some(body) = hello
            && found.hello_frame.is_none()
        {
            found.hello_frame = Some(arrival.frame);
            found.hello_time = Some(arrival.time);
            found.client = found.client.or(Some(arrival.side));
            let plain = dtls::hello_without_cookie(&body);
            if let Some(hello) = plain.and_then(|body| ClientHello::read(&body, Over::Datagrams)) {
                found.sni = hello.name;
                found.alpn = hello.alpn;
                found.ja4 = Some(hello.ja4);
                found.ech = hello.ech;
                found.tls_version = version_name(hello.version).map(str::to_owned);
            }
        }
        if found.server_hello_frame.is_none() {
            found.server_hello_frame = side.server_hello;
        }
        if matches!(found.application, Application::Unknown | Application::Stun) {
            found.application = Application::Dtls;
        }
        true
    }

    /// Media proves itself over several packets; inside a TURN channel it lies behind four bytes.
    fn media(&mut self, payload: &[u8], arrival: &Arrival, found: &mut Recognised) -> bool {
        let inner = match *payload {
            [0x40..=0x4f, _, high, low, ref inner @ ..] if self.claimed => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                inner.get(..length).unwrap_or_default()
            }
            _ => payload,
        };
        let Some(header) = rtp::header(inner) else {
            return self.claimed && rtp::rtcp(inner).is_some();
        };
        let [a, b] = &mut self.rtp;
        let side = match arrival.side {
            Side::A => a,
            Side::B => b,
        };
        side.take(&header);
        let proven = side.is_rtp();
        if proven
            && matches!(
                found.application,
                Application::Unknown | Application::Stun | Application::Dtls
            )
        {
            found.application = Application::Rtp;
        }
        proven
    }

    fn lookup(
        &mut self,
        payload: &[u8],
        ports: [u16; 2],
        arrival: &Arrival,
        found: &mut Recognised,
    ) -> bool {
        if !dns::ports_may_carry(ports) {
            return false;
        }
        let Some(message) = dns::datagram(payload) else {
            return false;
        };
        self.dns
            .take(arrival.side, &message, arrival.frame, arrival.time);
        if found.application == Application::Unknown {
            found.application = Application::Dns;
            let asker = if message.answer {
                arrival.side.other()
            } else {
                arrival.side
            };
            found.client = found.client.or(Some(asker));
        }
        true
    }
}

/// A STUN message.
fn message(payload: &[u8], arrival: &Arrival, found: &mut Recognised) -> bool {
    let Some(message) = stun::datagram(payload) else {
        return false;
    };
    stun::note(found.call.get_or_insert_default(), &message, arrival.side);
    if found.signature.is_none() {
        found.signature = stun::dialect(&message);
    }
    if found.application == Application::Unknown {
        found.application = Application::Stun;
    }
    // Peers ask each other; only a request to a relay says who is the client.
    if (message.class(), message.method()) == (stun::StunClass::Request, 3) {
        found.client = found.client.or(Some(arrival.side));
    }
    true
}

/// Datagrams that only one service sends.
fn service(payload: &[u8], arrival: &Arrival, found: &mut Recognised) -> bool {
    if let Some(message) = mtproto::reflector(payload) {
        found.signature = Some(("telegram", "reflector of Telegram's calls"));
        if found.application == Application::Unknown {
            found.application = Application::Mtproto;
        }
        let client = match message {
            mtproto::Reflector::Ping => arrival.side,
            mtproto::Reflector::Reply => arrival.side.other(),
        };
        found.client = found.client.or(Some(client));
        return true;
    }
    if let Some(signature) = own_mark(payload) {
        found.signature = found.signature.or(Some(signature));
        return true;
    }
    false
}

/// Whose a datagram is that bears a mark of its own, and why.
fn own_mark(payload: &[u8]) -> Option<(&'static str, &'static str)> {
    if others::is_discord_discovery(payload) {
        return Some(("discord", "address discovery of Discord's voice"));
    }
    if others::is_discord_keepalive(payload) {
        return Some(("discord", "keep-alive of Discord's voice"));
    }
    others::is_line_call(payload).then_some(("line", "opening of a LINE call"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::capture;
    use crate::application::{DatagramRecogniser, StreamRecogniser, sample};
    use crate::types::{Endpoint, FlowKey, Frame, Protocol, Timestamp};
    use std::collections::BTreeMap;

    type Ends = ((std::net::IpAddr, u16), (std::net::IpAddr, u16));

    /// What is recognised in each UDP flow of a capture.
    fn flows(name: &str) -> Option<BTreeMap<Ends, Recognised>> {
        let mut flows: BTreeMap<Ends, DatagramRecogniser> = BTreeMap::new();
        for (number, packet) in (1..).zip(capture(name)?) {
            if packet.protocol != Protocol::Udp {
                continue;
            }
            let (there, back) = ((packet.from, packet.to), (packet.to, packet.from));
            let (key, side) = if flows.contains_key(&back) {
                (back, Side::B)
            } else {
                (there, Side::A)
            };
            let end = |(address, port): (std::net::IpAddr, u16)| Endpoint {
                address: address.into(),
                port,
            };
            let flow = flows.entry(key).or_insert_with(|| {
                DatagramRecogniser::new(&FlowKey {
                    a: end(key.0),
                    b: end(key.1),
                    protocol: Protocol::Udp,
                })
            });
            let _ = flow.datagram(
                side,
                &packet.payload,
                true,
                Frame::new(0, number),
                Timestamp(number as i64),
            );
        }
        Some(
            flows
                .into_iter()
                .map(|(ends, flow)| (ends, flow.finish()))
                .collect(),
        )
    }

    /// Flows of a capture by application and service.
    fn tally(name: &str) -> Option<BTreeMap<(Application, &'static str), u32>> {
        let mut tally = BTreeMap::new();
        for found in flows(name)?.values() {
            let service = found.signature.map_or("", |signature| signature.0);
            *tally.entry((found.application, service)).or_default() += 1;
        }
        Some(tally)
    }

    #[test]
    fn flows_of_real_calls_are_recognised_through_the_driver() {
        for (name, application, service, least) in [
            ("ndpi__wa_voice.pcap", Application::Stun, "whatsapp", 5),
            ("ndpi__wa_voice.pcap", Application::Rtp, "whatsapp", 1),
            ("ndpi__telegram.pcap", Application::Mtproto, "telegram", 10),
            ("ndpi__stun_signal.pcapng", Application::Stun, "signal", 1),
            ("ndpi__stun_dtls_rtp.pcapng", Application::Rtp, "", 1),
            ("arkime__wireshark-dtls12.pcap", Application::Dtls, "", 1),
            ("matousp__xz1_discord.pcap", Application::Dns, "", 1),
        ] {
            let Some(tally) = tally(name) else { return };
            let count = tally
                .get(&(application, service))
                .copied()
                .unwrap_or_default();
            assert!(count >= least, "{name}: {tally:?}");
        }
    }

    #[test]
    fn questions_come_out_of_the_driver_with_their_answers() {
        let Some(flows) = flows("ndpi__android.pcap") else {
            return;
        };
        let facts: Vec<_> = flows.values().flat_map(|found| &found.dns).collect();
        assert!(
            facts.iter().any(|fact| {
                let asked = fact.asked.map(|asked| asked.0);
                (fact.answers.iter())
                    .any(|answer| !answer.addresses.is_empty() && asked < Some(answer.time))
            }),
            "{facts:?}"
        );
    }

    #[test]
    fn chats_are_recognised_through_the_stream_driver() {
        let Some(packets) = capture("ndpi__whatsapp.pcap") else {
            return;
        };
        let mut chats = 0;
        for stream in sample::streams(&packets, 2_000) {
            let mut recogniser = StreamRecogniser::new(&FlowKey::default());
            for piece in stream.bytes.chunks(5) {
                recogniser.bytes(Side::A, piece, Frame::new(0, 1), Timestamp(0));
            }
            let found = recogniser.finish();
            chats += u32::from(
                found.application == Application::WhatsappNoise
                    && found
                        .signature
                        .is_some_and(|signature| signature.0 == "whatsapp"),
            );
        }
        assert_eq!(chats, 86);
    }
}
