use std::sync::Arc;

use crate::types::{Frame, Timestamp};

/// A link-layer type as files state it (the LINKTYPE registry of tcpdump.org).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord)]
pub struct LinkType(pub u16);

/// One captured record: where its bytes lie and what the source says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Packet {
    /// When it was captured.
    pub time: Timestamp,
    /// Its number in its file.
    pub frame: Frame,
    /// Where its bytes begin in [`Batch::bytes`].
    pub start: u32,
    /// Bytes captured.
    pub captured: u32,
    /// Bytes that it had on the wire.
    pub wire: u32,
    /// What its first bytes are.
    pub link: LinkType,
    /// Which of its file's [`interfaces`](super::CaptureFile::interfaces) captured it.
    pub interface: u16,
}

const _: () = assert!(
    size_of::<Packet>() == 32,
    "two descriptors share a cache line"
);

/// Some records in the order of the source, over bytes that they share.
///
/// Whoever holds a clone of `bytes` keeps them alive; a source reuses a buffer once nobody else holds it.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The shared bytes.
    pub bytes: Arc<Vec<u8>>,
    /// The records.
    pub packets: Vec<Packet>,
}

impl Batch {
    /// The captured bytes of `packet`; empty where a descriptor lies about its place.
    #[must_use]
    pub fn bytes_of(&self, packet: &Packet) -> &[u8] {
        let start = packet.start as usize;
        self.bytes
            .get(start..start + packet.captured as usize)
            .unwrap_or_default()
    }
}
