//! Reads packets from files, pipes and interfaces.
//!
//! **Takes** a path, a pipe or an interface. **Gives** [`Batch`]es: shared bytes and [`Packet`] descriptors in the order of the source, and at
//! the end one [`CaptureFile`] a source. **Keeps** file handles, decompressors and drop counts. **Knows nothing of** what is in a packet.

mod batch;
mod error;
mod filter;
mod format;
#[cfg(feature = "live")]
mod interfaces;
mod link_type;
mod merge;
mod pcap;
mod pcapng;
mod source;
mod stream;
mod window;

pub use batch::{Batch, LinkType, Packet};
pub use error::CaptureError;
#[cfg(feature = "live")]
pub use interfaces::{Interface, interfaces};
pub use merge::{Options, Run};

use crate::types::{Address, Timestamp};

/// What is known of one source once it has been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureFile {
    /// The path as the user gave it, `-` for standard input, or the interface's name.
    pub path: String,
    /// `pcap`, `pcap-ns`, `pcap-modified`, `pcapng`, …, with `+gzip` and the like after it where it was compressed.
    pub format: String,
    /// LINKTYPE names (`ETHERNET`, `LINUX_SLL2`, …) in the order in which the source declares them.
    pub link_types: Vec<String>,
    /// Records read: what `capinfos -c` counts.
    pub packets: u64,
    /// Sum of the records' original lengths.
    pub bytes: u64,
    /// The earliest time stamp.
    pub first: Option<Timestamp>,
    /// The latest time stamp.
    pub last: Option<Timestamp>,
    /// Whether the source ended inside a record or was damaged.
    pub truncated: bool,
    /// Packets that the source itself says were lost (pcapng interface statistics; the kernel, live).
    pub dropped: Option<u64>,
    /// SHA-256 of the file's bytes as stored, in lower-case hexadecimal, where it was asked for.
    pub sha256: Option<String>,
    /// One sentence each, with the byte offset where a place in the file is meant.
    pub warnings: Vec<String>,
    /// Host names that the file itself carries (pcapng name resolution blocks).
    pub host_names: Vec<(Address, String)>,
}
