//! A flow for the tests of this folder.

use dpiscope::facts::Summary;
use dpiscope::types::Timestamp;

pub(super) const SECOND: i64 = 1_000_000_000;

/// A flow of a service, from one second to another, with so many bytes of the server.
pub(super) fn flow(service: u16, first: i64, last: i64, bytes: u64) -> Summary {
    let mut flow = Summary {
        service,
        first: Timestamp(first * SECOND),
        last: Timestamp(last * SECOND),
        ..Summary::default()
    };
    (flow.down.bytes, flow.down.packets) = (bytes, (bytes / 100) as u32);
    flow
}
