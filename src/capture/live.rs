use std::sync::Arc;

use pcap::{Active, Capture, Linktype, Precision};

use super::source::BATCH;
use super::{Batch, CaptureError, CaptureFile, LinkType, Packet, interfaces};
use crate::types::{Frame, Timestamp};

/// How an interface is listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveOptions {
    /// A capture filter, pcap-filter(7), which the kernel applies.
    pub filter: Option<String>,
    /// The most bytes of a packet to capture; none means all.
    pub snap_length: Option<u32>,
    /// The kernel's buffer for one interface, in KiB.
    pub buffer_kib: Option<u32>,
    /// Whether to ask the interface for frames that are meant for others.
    pub promiscuous: bool,
    /// Whether the kernel hands packets over one by one instead of in blocks: sooner, and at a cost for each packet.
    pub immediate: bool,
}

/// Packets that were lost before they could be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drops {
    /// For want of room in the kernel's buffer: the capture's own loss.
    pub kernel: u64,
    /// By the interface or its driver, as the system counts: whoever the packets were for did not get them either.
    pub interface: u64,
}

/// What came of listening.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    /// Packets, and whether more are waiting.
    Packets {
        /// Whether more are waiting.
        more: bool,
    },
    /// Nothing since the last time.
    Quiet,
    /// The interface cannot be listened to any more, and why; [`Listener::reopen`] tries again.
    Lost(String),
}

/// Bytes that tcpdump and Wireshark capture of a packet unless told otherwise (libpcap's `MAXIMUM_SNAPLEN`).
const SNAP_LENGTH: u32 = 262_144;

/// The kernel's buffer, in KiB, unless told otherwise: a tenth of a second at a gigabit and a half. libpcap's own default of 2 MiB overflows in
/// the time in which a busy machine does something else.
const BUFFER_KIB: u32 = 32 * 1024;

/// How long the kernel may hold a block of packets back, in milliseconds.
const HELD_BACK_MS: i32 = 40;

/// Packets that are taken from the kernel at once, and bytes after which a batch is handed on.
const AT_ONCE: usize = 512;
const ENOUGH: usize = 1 << 20;

/// Buffers that are kept to be used again, and the largest that is.
const POOL: usize = 64;
const KEPT: usize = 8 << 20;

/// One interface that is listened to.
///
/// Packets are copied out of the kernel's ring once, into buffers that batches share. Nothing waits: whoever drives it comes again.
pub struct Listener {
    options: LiveOptions,
    capture: u16,
    number: u64,
    handle: Option<Capture<Active>>,
    link: LinkType,
    facts: CaptureFile,
    drops: Drops,
    /// The handle's own counters as last read; they have 32 bits and begin anew with each handle.
    counted: [u32; 2],
    pool: Vec<Arc<Vec<u8>>>,
}

impl Listener {
    /// Opens an interface; `capture` is its place in the run.
    pub fn open(name: &str, options: &LiveOptions, capture: u16) -> Result<Self, CaptureError> {
        let mut listener = Self {
            options: options.clone(),
            capture,
            number: 0,
            handle: None,
            link: LinkType::default(),
            facts: CaptureFile {
                path: name.to_owned(),
                format: "live".to_owned(),
                dropped: Some(0),
                ..CaptureFile::default()
            },
            drops: Drops::default(),
            counted: [0; 2],
            pool: Vec::new(),
        };
        listener.activate()?;
        Ok(listener)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts.path
    }

    /// Whether it can be listened to at the moment.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    /// Whether the system has it up; nothing where it does not say so in a file.
    #[must_use]
    pub fn is_up(&self) -> Option<bool> {
        /// `IFF_UP` of netdevice(7).
        const UP: u32 = 1;
        let path = std::path::Path::new("/sys/class/net")
            .join(self.name())
            .join("flags");
        let text = std::fs::read_to_string(path).ok()?;
        let flags = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
        Some(flags & UP != 0)
    }

    /// How long the kernel may hold packets back, in nanoseconds.
    #[must_use]
    pub const fn held_back(&self) -> i64 {
        if self.options.immediate {
            0
        } else {
            HELD_BACK_MS as i64 * 1_000_000
        }
    }

    /// Tries to open it again; frame numbers go on.
    pub fn reopen(&mut self) -> Result<(), CaptureError> {
        self.activate()
    }

    /// It will not be opened again: what comes of it is partial.
    pub fn give_up(&mut self, why: &str) {
        self.facts.truncated = true;
        self.facts.warnings.push(why.to_owned());
    }

    /// Replaces what is in `batch` by packets that have come since the last time, `most` at most.
    pub fn hear(&mut self, batch: &mut Batch, most: usize) -> Heard {
        batch.packets.clear();
        let Some(handle) = &mut self.handle else {
            return Heard::Quiet;
        };
        batch.bytes = Arc::default();
        let mut bytes = take_buffer(&mut self.pool);
        let Some(buffer) = Arc::get_mut(&mut bytes) else {
            return Heard::Quiet;
        };
        buffer.clear();
        let (number, capture, link) = (&mut self.number, self.capture, self.link);
        let mut more = true;
        let mut lost = None;
        let most = most.min(BATCH);
        while more && batch.packets.len() < most && buffer.len() < ENOUGH {
            let room = AT_ONCE.min(most - batch.packets.len());
            let packets = &mut batch.packets;
            let taken = handle.dispatch(Some(room), |packet| {
                *number += 1;
                let header = packet.header;
                packets.push(Packet {
                    time: time(header.ts.tv_sec, header.ts.tv_usec),
                    frame: Frame::new(capture, *number),
                    start: buffer.len() as u32,
                    captured: packet.data.len() as u32,
                    wire: header.len,
                    link,
                    interface: 0,
                });
                buffer.extend_from_slice(packet.data);
            });
            match taken {
                Ok(taken) => more = taken > 0,
                Err(error) => {
                    lost = Some(reason(error));
                    more = false;
                }
            }
        }
        batch.bytes = Arc::clone(&bytes);
        self.pool.push(bytes);
        self.note(&batch.packets);
        if let Some(reason) = lost {
            self.count_drops();
            self.handle = None;
            return Heard::Lost(reason);
        }
        if batch.packets.is_empty() {
            Heard::Quiet
        } else {
            Heard::Packets { more }
        }
    }

    /// Packets lost so far.
    pub fn drops(&mut self) -> Drops {
        self.count_drops();
        self.drops
    }

    /// What is known of it so far.
    #[must_use]
    pub const fn facts(&self) -> &CaptureFile {
        &self.facts
    }

    fn activate(&mut self) -> Result<(), CaptureError> {
        let name = self.facts.path.clone();
        let options = &self.options;
        // other systems' kernels stamp packets in microseconds
        let precision = if cfg!(target_os = "linux") {
            Precision::Nano
        } else {
            Precision::Micro
        };
        let kib = options.buffer_kib.unwrap_or(BUFFER_KIB);
        let snap_length = options.snap_length.unwrap_or(SNAP_LENGTH);
        let opened = Capture::from_device(name.as_str())
            // the device of all interfaces has no such mode, and says so by an error
            .map(|device| device.promisc(options.promiscuous && name != "any"))
            .map(|device| device.snaplen(i32::try_from(snap_length).unwrap_or(i32::MAX)))
            .map(|device| {
                device.buffer_size(i32::try_from(kib.saturating_mul(1024)).unwrap_or(i32::MAX))
            })
            .map(|device| device.immediate_mode(options.immediate))
            .map(|device| device.timeout(HELD_BACK_MS).precision(precision))
            .and_then(Capture::open);
        let mut handle = opened
            .and_then(Capture::setnonblock)
            .map_err(|error| refused(&name, reason(error)))?;
        if let Some(filter) = &options.filter {
            handle
                .filter(filter, true)
                .map_err(|error| CaptureError::Filter {
                    filter: filter.clone(),
                    reason: reason(error),
                })?;
        }
        self.link = link_type(handle.get_datalink());
        let word = self.link.name().into_owned();
        if !self.facts.link_types.contains(&word) {
            self.facts.link_types.push(word);
        }
        self.counted = [0; 2];
        self.handle = Some(handle);
        Ok(())
    }

    fn note(&mut self, packets: &[Packet]) {
        let facts = &mut self.facts;
        facts.packets += packets.len() as u64;
        for packet in packets {
            facts.bytes += u64::from(packet.wire);
            facts.first = Some((facts.first).map_or(packet.time, |first| first.min(packet.time)));
            facts.last = Some((facts.last).map_or(packet.time, |last| last.max(packet.time)));
        }
    }

    fn count_drops(&mut self) {
        let Some(Ok(stats)) = self.handle.as_mut().map(Capture::stats) else {
            return;
        };
        let now = [stats.dropped, stats.if_dropped];
        let [kernel, interface] = [0, 1].map(|place: usize| {
            let [now, before] =
                [now, self.counted].map(|counted| counted.get(place).copied().unwrap_or_default());
            u64::from(now.wrapping_sub(before))
        });
        self.counted = now;
        self.drops.kernel += kernel;
        self.drops.interface += interface;
        self.facts.dropped = Some(self.drops.kernel);
    }
}

/// A buffer that nobody else holds.
fn take_buffer(pool: &mut Vec<Arc<Vec<u8>>>) -> Arc<Vec<u8>> {
    let free = pool
        .iter()
        .position(|buffer| Arc::strong_count(buffer) == 1);
    let free = free.map(|place| pool.swap_remove(place));
    pool.truncate(POOL);
    free.filter(|buffer| buffer.capacity() <= KEPT)
        .unwrap_or_else(|| Arc::new(Vec::with_capacity(ENOUGH)))
}

/// A time stamp whose second part counts nanoseconds on Linux and microseconds elsewhere, as asked for in [`Listener::activate`].
fn time(seconds: impl Into<i64>, part: impl Into<i64>) -> Timestamp {
    let scale = if cfg!(target_os = "linux") { 1 } else { 1_000 };
    Timestamp::new(seconds.into(), part.into() * scale)
}

/// libpcap's number of a link type is the registry's but for a few (pcap/dlt.h).
fn link_type(dlt: Linktype) -> LinkType {
    match dlt.0 {
        12 | 14 => LinkType::RAW,
        same => LinkType(u16::try_from(same).unwrap_or(u16::MAX)),
    }
}

fn reason(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(reason) => reason,
        other => other.to_string(),
    }
}

/// Says what is the matter with an interface that libpcap does not open.
fn refused(name: &str, reason: String) -> CaptureError {
    let interface = name.to_owned();
    let there = interfaces().unwrap_or_default();
    let known = there.iter().find(|known| known.name == name);
    if known.is_none() && !there.is_empty() {
        return CaptureError::NoSuchInterface {
            interface,
            there: there.into_iter().map(|known| known.name).collect(),
        };
    }
    let words = reason.to_lowercase();
    if ["permission", "permitted", "cap_net_raw"]
        .iter()
        .any(|word| words.contains(word))
    {
        return CaptureError::NotPermitted { interface };
    }
    CaptureError::Interface { interface, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_brings_the_list_of_those_that_are() {
        let Err(error) = Listener::open("no-such-0", &LiveOptions::default(), 0) else {
            panic!("opened");
        };
        match error {
            CaptureError::NoSuchInterface { there, .. } => assert!(!there.is_empty()),
            // where listing is not allowed either
            CaptureError::NotPermitted { .. } | CaptureError::Interface { .. } => {}
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_buffer_that_somebody_holds_is_not_used_again() {
        let held = Arc::new(vec![1, 2, 3]);
        let mut pool = vec![Arc::clone(&held)];
        assert!(!Arc::ptr_eq(&take_buffer(&mut pool), &held));
        drop(held);
        assert_eq!(take_buffer(&mut pool).as_slice(), [1, 2, 3]);
    }
}
