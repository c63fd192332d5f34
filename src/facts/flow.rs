use serde::Serialize;

use crate::application::Recognised;
use crate::types::{Direction, FlowKey, Frame, Timestamp};

use crate::flow::{Activity, End, Orientation, PacketFact, Rtt, SideFacts, Tally, Transfer};

/// All that was measured of one flow. Flows that were answered, went on in order, belong to no messenger and stayed small have only their
/// [`Summary`] kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FlowFacts {
    /// Its place in [`CaptureFacts::flows`](super::CaptureFacts::flows).
    pub index: u32,
    /// What is known of every flow.
    pub summary: Summary,
    /// The rest.
    pub detail: Detail,
}

/// What is known of every flow, in about two cache lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The ends, oriented: `a` is the client.
    pub key: FlowKey,
    /// Which rule oriented it.
    pub orientation: Orientation,
    /// How it ended.
    pub end: End,
    /// VLAN identifiers of its first packet, outermost first; 0 where there is none.
    pub vlan: [u16; 2],
    /// The catalogue's index of its service; 0 is `control`.
    pub service: u16,
    /// First packet.
    pub first: Timestamp,
    /// Last packet.
    pub last: Timestamp,
    /// Frame of the first packet.
    pub first_frame: Frame,
    /// Client to server.
    pub up: Tally,
    /// Server to client.
    pub down: Tally,
    /// When the server was heard.
    pub activity: Activity,
    /// When the client was heard.
    pub client_activity: Activity,
    /// For how long at its end the client, and the server, sent nothing but payload that it had sent before, in milliseconds: who repeats has got no
    /// answer.
    pub repeating_ms: [u32; 2],
    /// Smallest round trip from the capture point to the server, in milliseconds.
    pub rtt_server_ms: Option<f32>,
    /// Smallest round trip from the capture point to the client, in milliseconds.
    pub rtt_client_ms: Option<f32>,
    /// Usual hop limits of the client's and the server's packets as captured; 0 where there is none.
    pub hop_limits: [u8; 2],
    /// Duplicate frames that were counted and ignored.
    pub duplicates: u32,
}

impl Summary {
    /// Smallest round trip between both ends, in milliseconds, where both parts are known, else the part that is.
    #[must_use]
    pub fn rtt_ms(&self) -> Option<f32> {
        match (self.rtt_server_ms, self.rtt_client_ms) {
            (Some(server), Some(client)) => Some(server + client),
            (one, other) => one.or(other),
        }
    }

    /// The tally of one direction.
    #[must_use]
    pub const fn tally(&self, direction: Direction) -> &Tally {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Its place among all flows: by first packet.
    #[must_use]
    pub const fn rank(&self) -> (Timestamp, Frame) {
        (self.first, self.first_frame)
    }

    /// Whether both sides sent something.
    #[must_use]
    pub const fn answered(&self) -> bool {
        self.up.packets > 0 && self.down.packets > 0
    }

    /// Whether one side was heard between the two moments.
    #[must_use]
    pub fn side_heard_between(&self, side: Direction, from: Timestamp, to: Timestamp) -> bool {
        let activity = match side {
            Direction::Up => &self.client_activity,
            Direction::Down => &self.activity,
        };
        activity.heard_between(from.since(self.first), to.since(self.first))
    }

    /// Whether a side sends nothing but what it had sent before from `moment` on, as far as the slots of its activity tell.
    #[must_use]
    pub fn only_repeats(&self, side: Direction, moment: Timestamp) -> bool {
        let (activity, repeating) = match side {
            Direction::Up => (&self.client_activity, self.repeating_ms[0]),
            Direction::Down => (&self.activity, self.repeating_ms[1]),
        };
        if repeating == 0 || activity.heard == 0 {
            return false;
        }
        // the last packet lies somewhere in the last slot
        let slots = 64 - i64::from(activity.heard.leading_zeros());
        let last = self.first.plus(slots.saturating_mul(activity.slot()));
        moment.since(last) >= -i64::from(repeating) * 1_000_000
    }

    /// Whether the server was heard between the two moments.
    #[must_use]
    pub fn heard_between(&self, from: Timestamp, to: Timestamp) -> bool {
        self.activity
            .heard_between(from.since(self.first), to.since(self.first))
    }
}

/// What detectors may need of a flow beyond its [`Summary`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Detail {
    /// The packets: all of them where `omitted` is 0, else the first [`Detail::HEAD`] and the last [`Detail::TAIL`] of them.
    pub packets: Vec<PacketFact>,
    /// How many packets lie between the two parts.
    pub omitted: u32,
    /// Every packet with RST, at most 32, also those that `packets` omits.
    pub resets: Vec<PacketFact>,
    /// ICMP errors about this flow, at most 16.
    pub icmp: Vec<PacketFact>,
    /// The client's side.
    pub client: SideFacts,
    /// The server's side.
    pub server: SideFacts,
    /// Round trips.
    pub rtt: Rtt,
    /// Whether the first packet seen was a SYN (or, on UDP, the flow is new): the beginning is in the capture.
    pub from_start: bool,
    /// Whether both directions were seen at all in a way that TCP allows: false where one side acknowledges bytes that the capture never shows.
    pub one_way: bool,
    /// Packets of this flow that the snap length cut.
    pub snapped: u32,
    /// Segments larger than the MSS allows: offload merged them, so packet counts and gaps are not those of the wire.
    pub offloaded: u32,
    /// The course of the transfer, for flows with more than a few dozen packets.
    pub transfer: Option<Box<Transfer>>,
    /// What the flow says.
    pub recognised: Recognised,
    /// Name of the host, after precedence; [`host_source`](Self::host_source) says where it stood.
    pub host: Option<String>,
    /// Which evidence decided the service, also where it gives no name.
    pub host_source: Option<crate::application::HostSource>,
    /// Which part of the service this is: `chat`, `media`, `call`, `push`, `web`.
    pub part: Option<&'static str>,
    /// Why the flow belongs to its service, for people.
    pub service_why: String,
    /// The last packet time of the run when this flow was measured: how long the capture could have seen an answer.
    pub observed_until: Timestamp,
}

impl Detail {
    /// Packets kept from the start of a flow.
    pub const HEAD: usize = crate::flow::HEAD;
    /// Packets kept from its end.
    pub const TAIL: usize = crate::flow::TAIL;

    /// One side.
    #[must_use]
    pub const fn side(&self, direction: Direction) -> &SideFacts {
        match direction {
            Direction::Up => &self.client,
            Direction::Down => &self.server,
        }
    }
}
