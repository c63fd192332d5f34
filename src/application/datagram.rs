//! The recogniser of a UDP flow: gives each datagram to the one reader that claims the flow.

use super::call::{self, Call};
use super::{Appetite, Arrival, Recognised, dns, quic, stun};
use crate::types::{FlowKey, Frame, Side, Timestamp};

/// Datagrams after which a flow that nobody has claimed is nobody's. Tools against DPI send a fake or two first, and media takes three of one side.
const UNCLAIMED_LIMIT: u8 = 8;

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
    /// Nobody yet, after so many datagrams. Media takes several to prove itself.
    Opening(u8, Box<Call>),
    /// QUIC.
    Quic(Box<quic::Connection>),
    /// A call, or DNS.
    Call(Box<Call>),
}

impl DatagramRecogniser {
    /// A recogniser for the flow `key`, whose ports serve as hints only.
    #[must_use]
    pub fn new(key: &FlowKey) -> Self {
        Self {
            reading: Reading::Opening(0, Box::default()),
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
        if let Reading::Opening(seen, call) = &mut self.reading {
            *seen = seen.saturating_add(1);
            if quic::is_quic(payload) {
                self.reading = Reading::Quic(Box::default());
            } else if call.datagram(payload, self.ports, &arrival, &mut self.found) {
                self.reading = Reading::Call(std::mem::take(call));
                return Appetite::Hungry;
            } else if *seen >= UNCLAIMED_LIMIT {
                return Appetite::Full;
            }
        }
        // Tools against DPI send the Initial of somebody else's conversation in front of a call.
        if let Reading::Quic(_) = self.reading
            && stun::datagram(payload).is_some_and(|message| message.cookie)
        {
            self.reading = Reading::Call(Box::default());
            self.found = Recognised {
                evasion_suspected: true,
                ..Recognised::default()
            };
        }
        let settled = match &mut self.reading {
            Reading::Opening(..) => false,
            Reading::Call(call) => {
                call.datagram(payload, self.ports, &arrival, &mut self.found);
                false
            }
            Reading::Quic(connection) => {
                connection.datagram(payload, whole, &arrival, &mut self.found)
            }
        };
        if settled {
            Appetite::Full
        } else {
            Appetite::Hungry
        }
    }

    /// The DNS questions of the flow so far; what is left of them is in [`finish`](Self::finish).
    pub fn take_dns(&mut self) -> Vec<dns::DnsFact> {
        match &mut self.reading {
            Reading::Call(call) => call.take_dns(),
            _ => Vec::new(),
        }
    }

    /// What was recognised so far, the DNS questions of the flow among it; the recogniser goes on.
    #[must_use]
    pub fn so_far(&self) -> Recognised {
        let mut found = self.found.clone();
        if let Reading::Call(call) = &self.reading {
            Call::clone(call).finish(&mut found);
        }
        found
    }

    /// Everything that was recognised.
    #[must_use]
    pub fn finish(mut self) -> Recognised {
        if let Reading::Call(call) = self.reading {
            call.finish(&mut self.found);
        }
        self.found
    }
}

/// Whether a datagram could be wanted by any recogniser: a few nanoseconds, and nothing allocated. `ports` are side A's and B's.
#[must_use]
pub fn datagram_may_start(payload: &[u8], ports: (u16, u16)) -> bool {
    let ports = [ports.0, ports.1];
    quic::is_quic(payload) || call::may_start(payload, ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::Application;

    #[test]
    fn a_repeated_question_is_the_same_question() {
        // found by fuzzing: a DNS query for the root, whose retry is counted
        crate::application::fuzz_datagram(&[
            0, 17, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1,
        ]);
    }

    #[test]
    fn a_fake_initial_before_a_call_is_a_decoy() {
        let fake = [
            0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x40, 4, 0, 0, 0, 0,
        ];
        let mut binding = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        binding.extend_from_slice(&[5; 12]);
        let mut recogniser = DatagramRecogniser::new(&FlowKey::default());
        for datagram in [&fake[..], &binding] {
            recogniser.datagram(Side::A, datagram, true, Frame::new(0, 1), Timestamp(0));
        }
        let found = recogniser.finish();
        assert_eq!(found.application, Application::Stun);
        assert!(found.evasion_suspected);
    }
}
