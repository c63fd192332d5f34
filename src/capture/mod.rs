//! Reads packets from files, pipes and interfaces.
//!
//! **Takes** a path, a pipe or an interface. **Gives** [`Batch`]es: shared bytes and [`Packet`] descriptors in the order of the source, and at
//! the end one [`CaptureFile`] a source. **Keeps** file handles, decompressors and drop counts. **Knows nothing of** what is in a packet.
//!
//! ```no_run
//! use dpiscope::capture::{Batch, Options, Run};
//!
//! let (mut run, refused) = Run::open(&["a.pcap".into(), "b.pcapng.gz".into()], &Options::default());
//! let mut batch = Batch::default();
//! while run.next(&mut batch) {
//!     for packet in &batch.packets {
//!         let _bytes = batch.bytes_of(packet);
//!     }
//! }
//! let captures = run.finish();
//! # drop((refused, captures));
//! ```
//!
//! A [`Run`] is one or many captures in time order: pcap in both byte orders, with microseconds or nanoseconds and in the patched layouts that
//! tcpdump and Wireshark know, and pcapng; plain or inside gzip, zstd, lz4 or xz; from files, pipes or standard input. Everything is read with
//! `read` into buffers that batches share and that are used again once nobody holds them: one path for plain files, pipes and compressed ones,
//! and a file that shrinks meanwhile is a file that is cut short.
//!
//! Frame numbers are Wireshark's: pcapng custom and journal blocks take one too, and so do packets that a capture filter leaves out. Those count for
//! nothing else.

mod batch;
mod error;
mod fields;
mod filter;
mod format;
mod fuzz;
#[cfg(feature = "live")]
mod interfaces;
mod link_type;
#[cfg(feature = "live")]
mod live;
mod merge;
mod pcap;
mod pcapng;
mod recent;
mod source;
mod stream;
mod window;
mod write;
mod zstd;

pub use batch::{Batch, LinkType, Packet};
pub use error::CaptureError;
pub use fuzz::assert_reads;
#[cfg(feature = "live")]
pub use interfaces::{Interface, interfaces};
#[cfg(feature = "live")]
pub use live::{Drops, Heard, Listener, LiveOptions};
pub use merge::{Options, Run};
pub use recent::Recent;
pub use write::PcapngWriter;

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
    /// Packets handed on: without a filter, what `capinfos -c` counts.
    pub packets: u64,
    /// Sum of their original lengths.
    pub bytes: u64,
    /// Their earliest time stamp; `None` where none has one.
    pub first: Option<Timestamp>,
    /// Their latest time stamp.
    pub last: Option<Timestamp>,
    /// Whether the source ended inside a record or was damaged.
    pub truncated: bool,
    /// Packets that the source itself says were lost (pcapng interface statistics; the kernel, live).
    pub dropped: Option<u64>,
    /// SHA-256 of the file's bytes as stored, in lower-case hexadecimal, where it was asked for.
    pub sha256: Option<String>,
    /// One sentence each, with the byte offset where a place in the file is meant.
    pub warnings: Vec<String>,
    /// The interfaces that the source describes, in its order; one for a pcap. The first [`CaptureFile::MOST_INTERFACES`].
    pub interfaces: Vec<CaptureInterface>,
    /// Host names that the file itself carries (pcapng name resolution blocks).
    pub host_names: Vec<(Address, String)>,
}

impl CaptureFile {
    /// Most interfaces whose descriptions are kept of one file: a block of 20 bytes must not take more than that for ever.
    pub const MOST_INTERFACES: usize = 4096;
}

/// An interface as a capture file describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CaptureInterface {
    /// What the first bytes of its packets are.
    pub link: LinkType,
    /// The most bytes that were captured of a packet; 0 where there was no limit.
    pub snap_length: u32,
    /// The options of its pcapng block that say the same in either byte order, with their codes: name, description, addresses, filter, system,
    /// hardware, FCS length.
    pub options: Vec<(u16, Vec<u8>)>,
}

#[cfg(test)]
mod tests;
