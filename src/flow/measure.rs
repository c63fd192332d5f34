use crate::types::{FlowKey, Frame, Side, Timestamp};

use super::orientation;
use super::packet::PacketFact;
use super::side::{Activity, End, Orientation, Rtt, SideFacts, Tally};
use super::table::Finished;
use super::transfer::Transfer;

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
    /// Usual hop limits of both sides as captured; 0 where there is none.
    pub hop_limits: [u8; 2],
    /// Round trips.
    pub rtt: Rtt,
    /// The client's side.
    pub client: SideFacts,
    /// The server's side.
    pub server: SideFacts,
    /// The packets, the first [`HEAD`](super::HEAD) and the last [`TAIL`](super::TAIL).
    pub packets: Vec<PacketFact>,
    /// How many lie between.
    pub omitted: u32,
    /// Packets with RST.
    pub resets: Vec<PacketFact>,
    /// ICMP errors.
    pub icmp: Vec<PacketFact>,
    /// Duplicate frames, ignored.
    pub duplicates: u32,
    /// Packets that the snap length cut.
    pub snapped: u32,
    /// Segments larger than the MSS allows.
    pub offloaded: u32,
    /// Whether the beginning is in the capture.
    pub from_start: bool,
    /// Whether one side was never captured although it spoke.
    pub one_way: bool,
    /// The course of the transfer.
    pub transfer: Option<Box<Transfer>>,
}

impl<Rider> Finished<Rider> {
    /// Orients the flow and completes its measurements; `run_last` is the last packet time of the run. Gives the rider back beside them.
    pub fn measure(self, hints: Hints, run_last: Timestamp) -> (Measurement, Option<Rider>) {
        let mut measured = self.measured;
        let (client_side, orientation) = orientation::orient(&self.key, &measured, hints);
        measured.orient(client_side);
        let key = match client_side {
            Side::A => self.key,
            Side::B => FlowKey {
                a: self.key.b,
                b: self.key.a,
                ..self.key
            },
        };
        let one_way = measured.one_way;
        let end = measured.end(run_last.since(self.last) > self.life);
        let hop_limits = [measured.hop_limits.a, measured.hop_limits.b];
        let measurement = Measurement {
            key,
            client_side,
            orientation,
            vlan: self.vlan,
            first: self.first,
            first_frame: self.first_frame,
            last: self.last,
            end,
            up: measured.tallies.a,
            down: measured.tallies.b,
            activity: measured.activity.b,
            client_activity: measured.activity.a,
            hop_limits,
            rtt: measured.rtt,
            client: measured.sides.a,
            server: measured.sides.b,
            packets: measured.packets,
            omitted: measured.omitted,
            resets: measured.resets,
            icmp: measured.icmp,
            duplicates: measured.duplicates,
            snapped: measured.snapped,
            offloaded: measured.offloaded,
            from_start: measured.from_start,
            one_way,
            transfer: measured.transfer,
        };
        (measurement, self.rider)
    }
}
