use crate::types::{BySide, FlowKey, Frame, Side, Timestamp};

use super::orientation;
use super::side::{Activity, End, Orientation, Tally};
use super::table::Finished;
use super::tracker::Details;

/// What others know that helps to say who the client is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// The side whose bytes are a request (a hello).
    pub request_from: Option<Side>,
    /// The side whose address belongs to a known service.
    pub service_at: Option<Side>,
}

/// A final flow, measured and oriented: `up` is from client to server.
#[derive(Debug)]
pub struct Measurement {
    /// The ends; `a` is the client.
    pub key: FlowKey,
    /// Which side of the first packet's order the client is.
    pub client_side: Side,
    /// Which rule says so.
    pub orientation: Orientation,
    /// VLAN identifiers of the first packet.
    pub vlan: [u16; 2],
    /// First packet.
    pub first: Timestamp,
    /// Its frame.
    pub first_frame: Frame,
    /// Last packet.
    pub last: Timestamp,
    /// How it ended.
    pub end: End,
    /// Client to server.
    pub up: Tally,
    /// Server to client.
    pub down: Tally,
    /// When the server was heard.
    pub activity: Activity,
    /// When the client was heard.
    pub client_activity: Activity,
    /// For how long at its end the client, and the server, sent nothing but payload that it had sent before, in milliseconds.
    pub repeating_ms: [u32; 2],
    /// Usual hop limits of the client and the server as captured; 0 where there is none.
    pub hop_limits: [u8; 2],
    /// Smallest round trips to the client and to the server, in nanoseconds.
    pub rtt: BySide<Option<i64>>,
    /// Duplicate frames, ignored.
    pub duplicates: u32,
    /// The rest, where packets were wanted.
    pub details: Option<Box<Details>>,
}

impl<Rider> Finished<Rider> {
    /// Orients the flow and completes its measurements; `run_last` is the last packet time of the run. Gives the rider back beside them.
    pub fn measure(self, hints: Hints, run_last: Timestamp) -> (Measurement, Option<Rider>) {
        let mut outline = self.outline;
        let (client_side, orientation) = orientation::orient(&self.key, &outline, hints);
        outline.orient(client_side);
        let mut details = self.details;
        if let Some(details) = &mut details {
            details.orient(client_side);
        }
        let key = match client_side {
            Side::A => self.key,
            Side::B => FlowKey {
                a: self.key.b,
                b: self.key.a,
                ..self.key
            },
        };
        let measurement = Measurement {
            key,
            client_side,
            orientation,
            vlan: self.vlan,
            first: self.first,
            first_frame: self.first_frame,
            last: self.last,
            end: outline.end(run_last.since(self.last) > self.life),
            up: outline.tallies.a,
            down: outline.tallies.b,
            activity: outline.activity.b,
            client_activity: outline.activity.a,
            repeating_ms: [
                repeating_ms(outline.last.a, outline.fresh.a),
                repeating_ms(outline.last.b, outline.fresh.b),
            ],
            hop_limits: [outline.hop_limits.a, outline.hop_limits.b],
            rtt: outline.rtt,
            duplicates: outline.duplicates,
            details,
        };
        (measurement, self.rider)
    }
}

/// From the last fresh packet of a side to its last one.
fn repeating_ms(last: i64, fresh: i64) -> u32 {
    u32::try_from((last - fresh).max(0) / 1_000_000).unwrap_or(u32::MAX)
}
