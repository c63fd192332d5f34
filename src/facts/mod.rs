//! The door between measuring and judging: plain records of what was measured.
//!
//! **Takes** nothing; the pipeline fills it. **Gives** [`FlowFacts`] for each flow and [`CaptureFacts`] for the whole run, serialisable, with the
//! frames of the packets that matter. **Keeps** nothing. **Knows nothing of** rules and verdicts.

mod capture;
mod flow;
mod flows;

pub use capture::{CaptureFacts, DnsAnswer, DnsLookup, Loss, Vantage, VantageFacts};
pub use flow::{Detail, FlowFacts, Summary};
pub use flows::Flows;

pub use crate::flow::{
    Activity, Bin, End, Event, EventKind, IpIdLaw, MediaFacts, Orientation, PacketFact, PacketKind,
    Role, Rtt, SideFacts, Suffix, Tally, Timeline, Transfer,
};
