use crate::types::{FlowKey, Side};

use super::measure::Hints;
use super::outline::Outline;
use super::side::Orientation;

/// Ports at which servers of the protocols in question wait, beyond the system ports below 1024 (IANA registry; messenger ports as in the catalogue).
const SERVICE_PORTS: [u16; 24] = [
    1080, 1194, 1400, 1883, 3128, 3306, 3389, 3478, 3479, 4244, 4500, 5060, 5222, 5223, 5228, 5242,
    5349, 5432, 6379, 8000, 8080, 8443, 8883, 9001,
];

/// Who the client is, and which rule says so.
pub(super) fn orient(key: &FlowKey, outline: &Outline, hints: Hints) -> (Side, Orientation) {
    // both may open at once (RFC 9293, section 3.5): then the first one
    let by_flag = |flags: &crate::types::BySide<bool>| match (flags.a, flags.b) {
        (true, _) => Some(Side::A),
        (false, true) => Some(Side::B),
        (false, false) => None,
    };
    if let Some(client) = by_flag(&outline.syn) {
        return (client, Orientation::Syn);
    }
    if let Some(server) = by_flag(&outline.syn_ack) {
        return (server.other(), Orientation::SynAck);
    }
    if let Some(client) = hints.request_from {
        return (client, Orientation::Request);
    }
    let is_service = |port: u16| port != 0 && (port < 1024 || SERVICE_PORTS.contains(&port));
    match (is_service(key.a.port), is_service(key.b.port)) {
        (false, true) => return (Side::A, Orientation::Port),
        (true, false) => return (Side::B, Orientation::Port),
        _ => {}
    }
    if let Some(server) = hints.service_at {
        return (server.other(), Orientation::Address);
    }
    match (key.a.address.is_local(), key.b.address.is_local()) {
        (true, false) => (Side::A, Orientation::Address),
        (false, true) => (Side::B, Orientation::Address),
        _ => (Side::A, Orientation::FirstPacket),
    }
}
