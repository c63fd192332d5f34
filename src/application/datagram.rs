//! The recogniser of a UDP flow: gives each datagram to the one reader that claims the flow.

use super::call::{self, Call};
use super::{Appetite, Arrival, Recognised, quic};
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
pub fn datagram_may_start(payload: &[u8], ports: [u16; 2]) -> bool {
    quic::is_quic(payload) || call::may_start(payload, ports)
}
