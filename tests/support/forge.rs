//! Segments that a box in the path sends in another's name.

use super::wire::{ACK, RST};
use super::{Bare, Side, Trace, ms};

/// How a forged segment looks, and how often it comes.
pub(crate) struct Forged {
    flags: u8,
    from: Side,
    hop_limit: Option<u8>,
    times: u32,
    step: u32,
    rewritten: bool,
}

/// A forged RST.
pub(crate) const fn rst() -> Forged {
    forged(RST)
}

const fn forged(flags: u8) -> Forged {
    Forged {
        flags,
        from: Side::Server,
        hop_limit: None,
        times: 1,
        step: 0,
        rewritten: false,
    }
}

impl Forged {
    /// In the server's name, which is the default.
    #[expect(
        clippy::wrong_self_convention,
        reason = "it reads as the story tells it"
    )]
    pub(crate) const fn from_server(mut self) -> Self {
        self.from = Side::Server;
        self
    }

    /// With an acknowledgement.
    pub(crate) const fn with_ack(mut self) -> Self {
        self.flags |= ACK;
        self
    }

    /// The hop limit that the tap sees.
    pub(crate) const fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = Some(hop_limit);
        self
    }

    /// So many copies.
    pub(crate) const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Each copy's sequence number lies so much further on.
    pub(crate) const fn step(mut self, bytes: u32) -> Self {
        self.step = bytes;
        self
    }

    /// The server's own packets, turned on their way: their hop limit, their counter, their time; payload gone, flags changed.
    pub(crate) const fn rewritten(mut self) -> Self {
        self.rewritten = true;
        self.flags = RST | ACK;
        self
    }
}

impl Trace {
    /// A box sends what `forged` says after the client's last word.
    pub(crate) fn forge(mut self, forged: &Forged) -> Self {
        let noise = self.chance.next();
        let flow = self.newest();
        let (start, rtt) = (flow.now, flow.rtt);
        let end = flow.end(forged.from);
        let (seq, window) = (end.next, end.window);
        for copy in 0..forged.times {
            let delay = if forged.rewritten { rtt + ms(1) } else { ms(6) };
            let ip_id = if forged.rewritten {
                let end = self.newest().end(forged.from);
                end.ip_id = end.ip_id.wrapping_add(1);
                end.ip_id
            } else {
                (noise >> (8 * copy)) as u16
            };
            self.bare(&Bare {
                from: forged.from,
                at: start + delay + i64::from(copy) * ms(1) / 8,
                seq: seq.wrapping_add(copy * forged.step),
                flags: forged.flags,
                window: if forged.rewritten {
                    window
                } else {
                    (noise >> 40) as u16 / 4
                },
                ip_id,
                hop_limit: forged.hop_limit,
            });
        }
        self
    }
}
