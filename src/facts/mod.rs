//! The door between measuring and judging: plain records of what was measured.
//!
//! **Takes** nothing; the pipeline fills it. **Gives** [`FlowFacts`] for each flow and [`CaptureFacts`] for the whole run, serialisable, with the
//! frames of the packets that matter. **Keeps** nothing. **Knows nothing of** rules and verdicts.

mod capture;
mod flow;
mod packet;
mod transfer;

pub use capture::{CaptureFacts, DnsAnswer, DnsLookup, Vantage, VantageFacts};
pub use flow::{
    Activity, Detail, End, FlowFacts, IpIdLaw, Orientation, Rtt, SideFacts, Suffix, Summary, Tally,
};
pub use packet::{PacketFact, PacketKind, Role};
pub use transfer::{Bin, Event, EventKind, Timeline, Transfer};
