//! The recogniser of a UDP flow: gives each datagram to the one reader that claims the flow.

use super::call::{Call, Part};
use super::{Appetite, Application, Arrival, Recognised, dns, others, quic};
use crate::types::{FlowKey, Frame, Side, Timestamp};

/// Datagrams after which a flow that nobody has claimed is nobody's. Tools against DPI send a fake or two first.
const UNCLAIMED_LIMIT: u8 = 4;

/// Recognises what one UDP flow says.
#[derive(Debug)]
pub struct DatagramRecogniser {
    reading: Reading,
    ports: [u16; 2],
    found: Recognised,
}

/// Who reads the flow.
#[derive(Debug)]
enum Reading {
    /// Nobody yet, after so many datagrams.
    Opening(u8),
    /// QUIC.
    Quic(Box<quic::Connection>),
    /// A call's packets.
    Call(Box<Call>),
    /// Questions and answers.
    Dns(Box<dns::DnsConversation>),
    /// A protocol of which nothing more is read.
    Done,
}

impl DatagramRecogniser {
    /// A recogniser for the flow `key`, whose ports serve as hints only.
    #[must_use]
    pub fn new(key: &FlowKey) -> Self {
        Self {
            reading: Reading::Opening(0),
            ports: [key.a.port, key.b.port],
            found: Recognised::default(),
        }
    }

    /// Takes one datagram; `whole` says that the capture did not cut it.
    pub fn datagram(
        &mut self,
        side: Side,
        payload: &[u8],
        whole: bool,
        frame: Frame,
        time: Timestamp,
    ) -> Appetite {
        let arrival = Arrival { side, frame, time };
        if let Reading::Opening(seen) = self.reading {
            self.reading = claim(payload, self.ports).unwrap_or(Reading::Opening(seen + 1));
        }
        let found = &mut self.found;
        match &mut self.reading {
            Reading::Opening(seen) if *seen >= UNCLAIMED_LIMIT => return Appetite::Full,
            Reading::Opening(_) => {}
            Reading::Quic(connection) => {
                // Tools against DPI send the Initial of somebody else's conversation in front of a call.
                if let Some(Part::Stun(message)) = Call::part(payload)
                    && message.cookie
                {
                    *found = Recognised {
                        evasion_suspected: true,
                        ..Recognised::default()
                    };
                    let mut call = Box::<Call>::default();
                    call.datagram(payload, &arrival, found);
                    self.reading = Reading::Call(call);
                } else if connection.datagram(payload, whole, &arrival, found) {
                    return Appetite::Full;
                }
            }
            Reading::Call(call) => {
                call.datagram(payload, &arrival, found);
                if call.is_hopeless(found) {
                    return Appetite::Full;
                }
            }
            Reading::Dns(conversation) => {
                if let Some(message) = dns::datagram(payload) {
                    note_dns(found, &message, side);
                    conversation.take(side, &message, frame, time);
                }
            }
            Reading::Done => {
                found.signature = Some(("viber", "first bytes of Viber's protocol"));
                return Appetite::Full;
            }
        }
        Appetite::Hungry
    }

    /// The DNS questions of the flow; to be asked for before [`finish`](Self::finish).
    pub fn take_dns(&mut self) -> Vec<dns::DnsFact> {
        match &mut self.reading {
            Reading::Dns(conversation) => std::mem::take(&mut **conversation).finish(),
            _ => Vec::new(),
        }
    }

    /// Everything that was recognised.
    #[must_use]
    pub fn finish(self) -> Recognised {
        self.found
    }
}

/// Notes what a DNS message says of its flow.
pub(super) fn note_dns(found: &mut Recognised, message: &dns::DnsMessage, side: Side) {
    found.application = Application::Dns;
    let asker = if message.answer { side.other() } else { side };
    found.client.get_or_insert(asker);
}

/// Who claims a flow by this datagram, one a line.
fn claim(payload: &[u8], ports: [u16; 2]) -> Option<Reading> {
    if quic::is_quic(payload) {
        return Some(Reading::Quic(Box::default()));
    }
    if is_dns(payload, ports) {
        return Some(Reading::Dns(Box::default()));
    }
    if Call::part(payload).is_some() {
        return Some(Reading::Call(Box::default()));
    }
    is_viber(payload, ports).then_some(Reading::Done)
}

/// DNS has no mark of its own, so elsewhere than on its port it would claim what looks like it by chance.
fn is_dns(payload: &[u8], ports: [u16; 2]) -> bool {
    ports.contains(&53) && dns::datagram(payload).is_some()
}

/// Viber's marks are three bytes, so its ports must agree (docs/detection.md, D2).
fn is_viber(payload: &[u8], ports: [u16; 2]) -> bool {
    ports
        .iter()
        .any(|port| matches!(port, 5243 | 7985 | 7987 | 9785))
        && matches!(others::viber(payload), super::Progress::Done { .. })
}

/// Whether a datagram could be wanted by any recogniser. `ports` are side A's and B's.
#[must_use]
pub fn datagram_may_start(payload: &[u8], ports: [u16; 2]) -> bool {
    quic::is_quic(payload)
        || is_dns(payload, ports)
        || Call::part(payload).is_some()
        || is_viber(payload, ports)
}
