//! Follows conversations.
//!
//! **Takes** decoded packets. **Gives** a flow's place in the table, fresh in-order bytes of its beginnings, and its measurements when it is final.
//! **Keeps** the flow table, within limits, and for each flow a log of compact packet records, bounded. **Knows nothing of** what flows say:
//! whoever wants to keep something with a flow brings it as the table's `Rider`.

mod half;
mod journal;
mod lifetime;
mod measure;
mod orientation;
mod outline;
mod packet;
mod reassembly;
mod record;
mod side;
mod slab;
mod table;
mod tracker;
mod transfer;

pub use measure::{Hints, Measurement};
pub use packet::{PacketFact, PacketKind, Role};
pub use reassembly::{Reach, Reassembler};
pub use record::Datagram;
pub(crate) use slab::Slab;

pub use side::{Activity, End, IpIdLaw, MediaFacts, Orientation, Rtt, SideFacts, Suffix, Tally};
pub use table::{Finished, FlowRef, FlowTable, Placed, Sink};
pub use tracker::{Details, HEAD, TAIL};
pub use transfer::{Bin, Event, EventKind, Timeline, Transfer};
