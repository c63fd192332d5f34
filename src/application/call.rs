//! Calls: STUN, TURN channels, DTLS and RTP, which share one pair of ports and are told apart by the first byte (RFC 7983).

use super::tls::client_hello::{ClientHello, Over, version_name};
use super::{Application, Arrival, CallFacts, Recognised, dtls, mtproto, others, rtp, stun};
use crate::types::BySide;

/// What a datagram says of a call; as far as one alone tells.
pub(super) enum Part {
    Stun(Box<stun::StunMessage>),
    /// Whose, and what it is.
    Known(&'static str, &'static str),
    Channel,
    Dtls,
    Rtp(rtp::RtpHeader),
}

/// A flow's part of a call. Its counters run as long as the flow.
#[derive(Debug, Default)]
pub(super) struct Call {
    rtp: BySide<rtp::RtpSide>,
    dtls: BySide<dtls::DtlsSide>,
    had_dtls: bool,
    had_stun: bool,
    datagrams: u8,
}

/// Datagrams after which RTP must have shown itself: one header of two fixed bits is a quarter of all random datagrams.
const UNPROVEN_LIMIT: u8 = 16;

impl Call {
    /// What a datagram is, if a call may consist of it.
    pub(super) fn part(payload: &[u8]) -> Option<Part> {
        let known = |service, why| Some(Part::Known(service, why));
        if mtproto::reflector(payload).is_some() {
            return known(
                "telegram",
                "service message of a reflector of Telegram's calls",
            );
        }
        match payload.first()? {
            0..=3 => {
                if others::is_discord_discovery(payload) {
                    return known("discord", "Discord's address discovery");
                }
                stun::datagram(payload).map(|message| Part::Stun(Box::new(message)))
            }
            20..=63 => dtls::records(payload).next().map(|_| Part::Dtls),
            64..=79 => channel_data(payload).map(|_| Part::Channel),
            128..=191 => match rtp::rtcp(payload) {
                Some(_) => None,
                None => rtp::header(payload).map(Part::Rtp),
            },
            _ => None,
        }
    }

    /// Whether this is no call after all.
    pub(super) fn is_hopeless(&self, found: &Recognised) -> bool {
        self.datagrams >= UNPROVEN_LIMIT
            && found.application == Application::Unknown
            && found.signature.is_none()
    }

    /// Takes the next datagram.
    pub(super) fn datagram(&mut self, payload: &[u8], arrival: &Arrival, found: &mut Recognised) {
        self.datagrams = self.datagrams.saturating_add(1);
        match Self::part(payload) {
            Some(Part::Stun(message)) => {
                self.had_stun = true;
                let dialect = stun::dialect(&message);
                found.signature = found.signature.or(dialect);
                stun::note(facts(found), &message, arrival.side);
            }
            Some(Part::Known(service, why)) => {
                found.signature = found.signature.or(Some((service, why)));
            }
            Some(Part::Channel) => {
                let inside = channel_data(payload).and_then(rtp::header);
                // channels belong to an allocation, so to STUN, even if the capture began after it
                self.had_stun |= inside.is_some();
                if let Some(header) = inside {
                    self.rtp[arrival.side].take(&header);
                }
            }
            Some(Part::Dtls) => self.dtls(payload, arrival, found),
            Some(Part::Rtp(header)) => self.rtp[arrival.side].take(&header),
            None => {}
        }
        let has_media = self.rtp.a.is_rtp() || self.rtp.b.is_rtp();
        if has_media {
            found.application = Application::Rtp;
            let media = [&self.rtp.a, &self.rtp.b];
            let call = facts(found);
            call.rtp = media.map(rtp::RtpSide::packets);
            call.rtp_missing = media.map(rtp::RtpSide::missing);
        } else if self.had_dtls {
            found.application = Application::Dtls;
        } else if self.had_stun {
            found.application = Application::Stun;
        }
    }

    /// Takes a datagram of DTLS records.
    fn dtls(&mut self, payload: &[u8], arrival: &Arrival, found: &mut Recognised) {
        let side = &mut self.dtls[arrival.side];
        let alerts = side.alerts.len();
        let hello = side.take(payload, arrival.frame);
        self.had_dtls = true;
        for (description, frame) in side.alerts.iter().skip(alerts) {
            found.alerts.push((arrival.side, *description, *frame));
        }
        if found.server_hello_frame.is_none() && side.server_hello.is_some() {
            found.server_hello_frame = side.server_hello;
            found.client.get_or_insert(arrival.side.other());
            let version = side.version.and_then(|version| version_name(version.0));
            found.tls_version = version.map(str::to_owned).or(found.tls_version.take());
        }
        let hello = hello.and_then(|body| dtls::hello_without_cookie(&body));
        let hello = hello.and_then(|body| ClientHello::read(&body, Over::Datagrams));
        if let Some(hello) = hello
            && found.hello_frame.is_none()
        {
            found.client = Some(arrival.side);
            found.hello_frame = Some(arrival.frame);
            found.hello_time = Some(arrival.time);
            if found.tls_version.is_none() {
                found.tls_version = version_name(hello.version).map(str::to_owned);
            }
            found.sni = hello.name;
            found.alpn = hello.alpn;
            found.ja4 = Some(hello.ja4);
            found.ech = hello.ech;
        }
    }
}

/// The facts of the call, from the first of them on.
pub(super) fn facts(found: &mut Recognised) -> &mut CallFacts {
    found.call.get_or_insert_default()
}

/// What a TURN channel carries (RFC 8656, section 12.4): number, length, data, and at most three bytes of padding.
fn channel_data(payload: &[u8]) -> Option<&[u8]> {
    let (&[kind, _, high, low], rest) = payload.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let fits = (64..=79).contains(&kind) && (length..=length + 3).contains(&rest.len());
    fits.then_some(rest.get(..length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::{DatagramRecogniser, datagram_may_start};
    use crate::types::{FlowKey, Frame, Side, Timestamp};

    fn rtp_packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3, 4]);
        packet.extend_from_slice(&[7; 20]);
        packet
    }

    fn binding(kind: u8) -> Vec<u8> {
        let mut packet = vec![kind, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        packet.extend_from_slice(&[5; 12]);
        packet
    }

    fn recognise(datagrams: &[(Side, Vec<u8>)]) -> Recognised {
        let mut recogniser = DatagramRecogniser::new(&FlowKey::default());
        for (i, (side, datagram)) in datagrams.iter().enumerate() {
            let frame = Frame::new(0, i as u64 + 1);
            recogniser.datagram(*side, datagram, true, frame, Timestamp(0));
        }
        recogniser.finish()
    }

    #[test]
    fn stun_then_media_is_a_call_with_its_losses() {
        assert!(datagram_may_start(&binding(0), [50_000, 3478]));
        let mut datagrams = vec![(Side::A, binding(0)), (Side::B, binding(1))];
        assert_eq!(recognise(&datagrams).application, Application::Stun);
        datagrams.extend([1, 2, 3, 6].map(|sequence| (Side::B, rtp_packet(sequence))));
        let found = recognise(&datagrams);
        assert_eq!(found.application, Application::Rtp);
        let call = found.call.unwrap();
        assert_eq!((call.requests, call.responses), ([1, 0], [0, 1]));
        assert_eq!((call.rtp, call.rtp_missing), ([0, 4], [0, 2]));
    }

    #[test]
    fn media_in_a_channel_counts() {
        let wrapped = |sequence| {
            let inside = rtp_packet(sequence);
            let mut packet = vec![0x40, 1, 0, inside.len() as u8];
            packet.extend_from_slice(&inside);
            (Side::A, packet)
        };
        let found = recognise(&[1, 2, 3].map(wrapped));
        assert_eq!(found.application, Application::Rtp);
    }

    #[test]
    fn a_fake_initial_before_a_call_is_a_decoy() {
        let fake = vec![
            0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x40, 4, 0, 0, 0, 0,
        ];
        let found = recognise(&[
            (Side::A, fake),
            (Side::A, binding(0)),
            (Side::B, binding(1)),
        ]);
        assert_eq!(found.application, Application::Stun);
        assert!(found.evasion_suspected);
    }

    #[test]
    fn a_dtls_hello_is_read_like_any_other() {
        let body = crate::application::tls::client_hello::tests::ordinary("turn.signal.org");
        let (head, tail) = body.split_at(35);
        let body = [head, &[0], tail].concat();
        let length = body.len() as u16;
        let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend_from_slice(&(length + 12).to_be_bytes());
        let [high, low] = length.to_be_bytes();
        record.extend_from_slice(&[1, 0, high, low, 0, 0, 0, 0, 0, 0, high, low]);
        record.extend_from_slice(&body);
        let found = recognise(&[(Side::B, record)]);
        assert_eq!(found.application, Application::Dtls);
        assert_eq!(found.sni.as_deref(), Some("turn.signal.org"));
        assert_eq!(found.client, Some(Side::B));
    }
}
