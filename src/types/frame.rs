use serde::{Deserialize, Serialize};

/// A packet's number in its file, from 1, as Wireshark counts, and which of the run's files that is, from 0.
///
/// Orders by file, then by number.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Frame(u64);

/// Bits that hold the number; the rest hold the capture. 2^48 packets of 16 bytes are 4 petabytes.
const NUMBER_BITS: u32 = 48;

impl Frame {
    /// Packet `number` (from 1) of capture `capture` (from 0).
    #[must_use]
    pub const fn new(capture: u16, number: u64) -> Self {
        Self((capture as u64) << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1))
    }

    /// The number in its file, from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }

    /// The index of the file in the report's `captures`, from 0.
    #[must_use]
    pub const fn capture(self) -> u16 {
        (self.0 >> NUMBER_BITS) as u16
    }
}
