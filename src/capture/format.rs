use std::borrow::Cow;

use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::{CaptureInterface, LinkType, Packet};
use crate::types::Address;

/// Why a walk over the records stopped.
pub(super) enum Stop {
    /// As many packets as were asked for.
    Full,
    /// The next record needs so many bytes from where the walk ended.
    Needs(usize),
    /// So many bytes follow that nobody wants.
    Skip(u64),
    /// The next record cannot be one, and why.
    Damage(String),
}

/// What a walk over the records did.
pub(super) struct Walked {
    /// Bytes that it is done with.
    pub(super) used: usize,
    pub(super) stop: Stop,
}

/// A capture file past its header.
#[derive(Debug)]
pub(super) enum Format {
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

impl Format {
    /// Whether a file that starts like this is a capture.
    pub(super) fn recognises(bytes: &[u8]) -> bool {
        Pcap::recognises(bytes) || Pcapng::recognises(bytes)
    }

    /// Reads what stands before the records in `bytes`, the first part of the file (all of it if `whole`), and how many bytes that takes.
    /// `None` where it is not whole.
    pub(super) fn new(bytes: &[u8], whole: bool, capture: u16) -> Option<(Self, usize)> {
        if Pcapng::recognises(bytes) {
            Some((Self::Pcapng(Box::new(Pcapng::new(capture))), 0))
        } else {
            let pcap = Pcap::new(bytes, whole, capture)?;
            let header = pcap.header;
            Some((Self::Pcap(pcap), header))
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Pcap(pcap) => pcap.name,
            Self::Pcapng(_) => "pcapng",
        }
    }

    /// Whether packets have come that carry no time of their own.
    pub(super) fn is_untimed(&self) -> bool {
        matches!(self, Self::Pcapng(pcapng) if pcapng.is_untimed())
    }

    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        start: usize,
        packets: &mut Vec<Packet>,
        limit: usize,
    ) -> Walked {
        match self {
            Self::Pcap(pcap) => pcap.walk(bytes, start, packets, limit),
            Self::Pcapng(pcapng) => pcapng.walk(bytes, start, packets, limit),
        }
    }

    /// Link types in the order in which the file declares them.
    pub(super) fn links(&self) -> Vec<LinkType> {
        match self {
            Self::Pcap(pcap) => vec![pcap.link()],
            Self::Pcapng(pcapng) => pcapng.links().to_vec(),
        }
    }

    /// The interfaces described so far.
    pub(super) fn interfaces(&self) -> Cow<'_, [CaptureInterface]> {
        match self {
            Self::Pcap(pcap) => Cow::Owned(vec![pcap.interface()]),
            Self::Pcapng(pcapng) => Cow::Borrowed(pcapng.described()),
        }
    }

    pub(super) fn dropped(&self) -> Option<u64> {
        match self {
            Self::Pcap(_) => None,
            Self::Pcapng(pcapng) => pcapng.dropped(),
        }
    }

    pub(super) fn take_host_names(&mut self) -> Vec<(Address, String)> {
        match self {
            Self::Pcap(_) => Vec::new(),
            Self::Pcapng(pcapng) => pcapng.take_host_names(),
        }
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        match self {
            Self::Pcap(pcap) => std::mem::take(&mut pcap.warnings),
            Self::Pcapng(pcapng) => pcapng.take_warnings(),
        }
    }
}
