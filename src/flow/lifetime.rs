//! How long a flow lives after its last packet, in nanoseconds of packet time (the contract's "Lifetimes").

const SECOND: i64 = 1_000_000_000;

/// SYNs only.
pub(super) const HALF_OPEN: i64 = 150 * SECOND;
/// TCP, both sides heard or begun in the middle.
pub(super) const OPEN: i64 = 2 * 3600 * SECOND;
/// UDP.
pub(super) const UDP: i64 = 180 * SECOND;
/// Reset, or FIN from both sides: stragglers still belong to it.
pub(super) const CLOSED: i64 = 120 * SECOND;
