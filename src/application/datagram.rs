//! The recogniser of a UDP flow: gives each datagram to the one reader that claims the flow.

use super::{Appetite, Arrival, Recognised, quic};
use crate::types::{FlowKey, Frame, Side, Timestamp};

/// Datagrams after which a flow that nobody has claimed is nobody's. Tools against DPI send a fake or two first.
const UNCLAIMED_LIMIT: u8 = 4;

/// Recognises what one UDP flow says.
#[derive(Debug)]
pub struct DatagramRecogniser {
    reading: Reading,
    found: Recognised,
}

/// Who reads the flow.
#[derive(Debug)]
enum Reading {
    /// Nobody yet, after so many datagrams.
    Opening(u8),
    /// QUIC.
    Quic(Box<quic::Connection>),
}

impl DatagramRecogniser {
    /// A recogniser for the flow `key`, whose ports serve as hints only.
    #[must_use]
    pub fn new(_key: &FlowKey) -> Self {
        Self {
            reading: Reading::Opening(0),
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
        if let Reading::Opening(seen) = &mut self.reading {
            *seen += 1;
            if quic::is_quic(payload) {
                self.reading = Reading::Quic(Box::default());
            } else if *seen >= UNCLAIMED_LIMIT {
                return Appetite::Full;
            }
        }
        let settled = match &mut self.reading {
            Reading::Opening(_) => false,
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
    pub fn finish(self) -> Recognised {
        self.found
    }
}

/// Whether a datagram could be wanted by any recogniser: a few nanoseconds, and nothing allocated. `ports` are side A's and B's.
#[must_use]
pub fn datagram_may_start(payload: &[u8], _ports: (u16, u16)) -> bool {
    quic::is_quic(payload)
}
