use std::collections::BTreeSet;

use super::format::{Stop, Walked};
use super::{LinkType, Packet};
use crate::types::{Address, Frame, Timestamp};

/// Block types (draft-ietf-opsawg-pcapng, section 10.1).
mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    /// Obsolete since 2009, still read.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE: u32 = 3;
    pub(super) const NAMES: u32 = 4;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED: u32 = 6;
    /// Those that take a frame number without being a packet: systemd journal entries, custom blocks, and sysdig events as Wireshark knows them
    /// (wiretap/pcapng.c).
    pub(super) const NUMBERED: &[u32] = &[9, 0x0000_0bad, 0x4000_0bad, 0x204, 0x216, 0x221];
}

/// The byte-order magic of a section header as the file's own order has it.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// The longest block that is kept in memory to be read: wiretap's `MAX_BLOCK_SIZE`, or the longest packet of any link type (D-Bus, USB).
const MAX_BLOCK: usize = (128 << 20) + 4096;

/// Host names kept of one file; each took at least 10 bytes of it.
const MAX_HOST_NAMES: usize = 1 << 20;

/// The longest host name kept, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_NAME: usize = 255;

/// From ticks of an interface to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Multiply(u64),
    Divide(u64),
    /// Ticks of 2^-n seconds.
    Binary(u32),
}

impl Scale {
    /// What `if_tsresol` says (draft-ietf-opsawg-pcapng, section 4.2).
    fn of(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            Self::Binary(exponent)
        } else if exponent <= 9 {
            Self::Multiply(10_u64.pow(9 - exponent))
        } else {
            // ticks finer than 10^-28 s add up to nothing within 64 bits
            Self::Divide(10_u64.checked_pow(exponent - 9).unwrap_or(u64::MAX))
        }
    }

    #[inline]
    fn nanos(self, ticks: u64) -> i64 {
        let nanos = match self {
            Self::Multiply(factor) => ticks.saturating_mul(factor),
            Self::Divide(divisor) => ticks / divisor,
            Self::Binary(exponent) => {
                let scaled = (u128::from(ticks) * 1_000_000_000) >> exponent;
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        };
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

/// What an interface description block says, and the last statistics of that interface.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    max_captured: usize,
    snap_length: u32,
    scale: Scale,
    /// `if_tsoffset` in nanoseconds.
    offset: i64,
    /// Packets lost since the capture began, as the last statistics block has it.
    dropped: Option<u64>,
}

/// A pcapng file (draft-ietf-opsawg-pcapng).
#[derive(Debug)]
pub(super) struct Pcapng {
    capture: u16,
    frames: u64,
    big_endian: bool,
    interfaces: Vec<Interface>,
    links: Vec<LinkType>,
    links_seen: BTreeSet<LinkType>,
    /// Packets lost in the sections before this one.
    dropped_before: Option<u64>,
    /// What the packets' own drop counts add up to.
    dropped_between: Option<u64>,
    host_names: Vec<(Address, String)>,
    last_time: Timestamp,
    without_time: u64,
    without_name: bool,
}

impl Pcapng {
    /// Whether a file that starts like this is one of ours.
    pub(super) fn recognises(bytes: &[u8]) -> bool {
        bytes.starts_with(&block::SECTION.to_be_bytes())
            && bytes.get(8..12).is_none_or(|magic| {
                magic == BYTE_ORDER.to_be_bytes() || magic == BYTE_ORDER.to_le_bytes()
            })
    }

    pub(super) fn new(capture: u16) -> Self {
        Self {
            capture,
            frames: 0,
            big_endian: false,
            interfaces: Vec::new(),
            links: Vec::new(),
            links_seen: BTreeSet::new(),
            dropped_before: None,
            dropped_between: None,
            host_names: Vec::new(),
            last_time: Timestamp::default(),
            without_time: 0,
            without_name: false,
        }
    }

    pub(super) fn links(&self) -> &[LinkType] {
        &self.links
    }

    /// What the file says was lost: its interface statistics, or where there are none the packets' own counts.
    pub(super) fn dropped(&self) -> Option<u64> {
        plus(self.dropped_before, self.dropped_here()).or(self.dropped_between)
    }

    pub(super) fn take_host_names(&mut self) -> Vec<(Address, String)> {
        std::mem::take(&mut self.host_names)
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.without_time > 0 {
            warnings.push(format!(
                "{} packets carry no time stamp (simple packet blocks); each is given that of the packet before it",
                self.without_time
            ));
        }
        if self.without_name {
            warnings.push(format!(
                "more than {MAX_HOST_NAMES} host names; the rest are left out"
            ));
        }
        warnings
    }

    fn dropped_here(&self) -> Option<u64> {
        self.interfaces
            .iter()
            .fold(None, |sum, interface| plus(sum, interface.dropped))
    }

    /// Describes the packets in the blocks at the front of `bytes`, which begins at `start` of its buffer, until `packets` holds `limit`.
    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        start: usize,
        packets: &mut Vec<Packet>,
        limit: usize,
    ) -> Walked {
        let mut used = 0;
        let stop = loop {
            let rest = bytes.get(used..).unwrap_or_default();
            // The byte order may change only at a section header, which reads the same both ways.
            let walked = if self.big_endian {
                self.walk_section::<true>(rest, start + used, packets, limit)
            } else {
                self.walk_section::<false>(rest, start + used, packets, limit)
            };
            used += walked.used;
            match walked.stop {
                // a section header, which may be in either order
                Inner::Section => {
                    let rest = bytes.get(used..).unwrap_or_default();
                    match self.section(rest) {
                        Ok(length) => used += length,
                        Err(stop) => break stop,
                    }
                }
                Inner::Stop(stop) => break stop,
            }
        };
        Walked { used, stop }
    }

    fn walk_section<const BIG_ENDIAN: bool>(
        &mut self,
        bytes: &[u8],
        start: usize,
        packets: &mut Vec<Packet>,
        limit: usize,
    ) -> WalkedSection {
        let mut used = 0;
        let stop = loop {
            if packets.len() >= limit {
                break Stop::Full;
            }
            let rest = bytes.get(used..).unwrap_or_default();
            let Some(header) = rest.first_chunk::<8>() else {
                break Stop::Needs(8);
            };
            let [a, b, c, d, e, f, g, h] = *header;
            let kind = word::<BIG_ENDIAN>([a, b, c, d]);
            if kind == block::SECTION {
                return WalkedSection {
                    used,
                    stop: Inner::Section,
                };
            }
            let stated = word::<BIG_ENDIAN>([e, f, g, h]) as usize;
            if stated < 12 {
                break Stop::Damage(format!(
                    "a block of type {kind:#x} claims a length of {stated} bytes, less than its frame takes"
                ));
            }
            // Lengths are multiples of 4; some writers state them without the padding (wiretap/pcapng.c).
            let length = stated.next_multiple_of(4);
            let wanted = matches!(kind, block::INTERFACE..=block::ENHANCED);
            if wanted && length > MAX_BLOCK {
                break Stop::Damage(format!(
                    "a block of type {kind:#x} claims a length of {stated} bytes, more than the {MAX_BLOCK} that are possible"
                ));
            }
            let Some(whole) = rest.get(..length) else {
                if wanted {
                    break Stop::Needs(length);
                }
                self.count(kind);
                used += 8;
                break Stop::Skip(length as u64 - 8);
            };
            let Some((front, trailer)) = whole.split_last_chunk::<4>() else {
                break Stop::Needs(length);
            };
            let repeated = word::<BIG_ENDIAN>(*trailer) as usize;
            if repeated != stated {
                break Stop::Damage(format!(
                    "a block of type {kind:#x} states its length as {stated} bytes in front and as {repeated} behind"
                ));
            }
            let body = front.get(8..).unwrap_or_default();
            let at = start + used + 8;
            let read = match kind {
                block::ENHANCED => self.enhanced::<BIG_ENDIAN>(body, at, packets),
                block::PACKET => self.obsolete::<BIG_ENDIAN>(body, at, packets),
                block::SIMPLE => self.simple::<BIG_ENDIAN>(body, at, packets),
                block::INTERFACE => self.interface::<BIG_ENDIAN>(body),
                block::STATISTICS => self.statistics::<BIG_ENDIAN>(body),
                block::NAMES => {
                    self.names::<BIG_ENDIAN>(body);
                    Ok(())
                }
                _ => {
                    self.count(kind);
                    Ok(())
                }
            };
            if let Err(reason) = read {
                break Stop::Damage(reason);
            }
            used += length;
        };
        WalkedSection {
            used,
            stop: Inner::Stop(stop),
        }
    }

    fn count(&mut self, kind: u32) {
        if block::NUMBERED.contains(&kind) {
            self.frames += 1;
        }
    }

    /// Section header block: the byte order, and new interfaces. Gives the bytes that it takes.
    fn section(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let Some([_, _, _, _, a, b, c, d, e, f, g, h]) = bytes.first_chunk::<12>() else {
            return Err(Stop::Needs(12));
        };
        let (length, magic) = ([*a, *b, *c, *d], [*e, *f, *g, *h]);
        self.big_endian = if magic == BYTE_ORDER.to_be_bytes() {
            true
        } else if magic == BYTE_ORDER.to_le_bytes() {
            false
        } else {
            return Err(Stop::Damage(
                "a section header without a byte-order magic".to_owned(),
            ));
        };
        let order = |four: [u8; 4]| {
            if self.big_endian {
                word::<true>(four)
            } else {
                word::<false>(four)
            }
        };
        let stated = order(length) as usize;
        let length = stated.next_multiple_of(4);
        // type, length, magic, version, section length, length
        if !(28..=MAX_BLOCK).contains(&length) {
            return Err(Stop::Damage(format!(
                "a section header claims a length of {stated} bytes"
            )));
        }
        let Some(whole) = bytes.get(..length) else {
            return Err(Stop::Needs(length));
        };
        let repeated = whole.last_chunk().map_or(0, |four| order(*four) as usize);
        if repeated != stated {
            return Err(Stop::Damage(format!(
                "a section header states its length as {stated} bytes in front and as {repeated} behind"
            )));
        }
        let major = match (whole.get(12..14), self.big_endian) {
            (Some(&[high, low]), true) | (Some(&[low, high]), false) => {
                u16::from_be_bytes([high, low])
            }
            _ => 0,
        };
        if major != 1 {
            return Err(Stop::Damage(format!(
                "a section of pcapng version {major}, of which nothing is known"
            )));
        }
        self.dropped_before = plus(self.dropped_before, self.dropped_here());
        self.interfaces.clear();
        Ok(length)
    }

    /// Interface description block.
    fn interface<const BIG_ENDIAN: bool>(&mut self, body: &[u8]) -> Result<(), String> {
        let mut fields = Fields::<BIG_ENDIAN>(body);
        let (Some(link), Some(_), Some(snap_length)) =
            (fields.half(), fields.half(), fields.word())
        else {
            return Err("an interface description block too short for its fields".to_owned());
        };
        let link = LinkType(link);
        let mut interface = Interface {
            link,
            max_captured: link.max_captured(),
            snap_length,
            scale: Scale::of(6),
            offset: 0,
            dropped: None,
        };
        for (code, value) in fields.options() {
            match (code, value) {
                // if_tsresol
                (9, &[resolution, ..]) => interface.scale = Scale::of(resolution),
                // if_tsoffset, in seconds
                (14, value) => {
                    if let Some(seconds) = Fields::<BIG_ENDIAN>(value).long() {
                        interface.offset = Timestamp::new(seconds.cast_signed(), 0).0;
                    }
                }
                _ => {}
            }
        }
        self.interfaces.push(interface);
        if self.links_seen.insert(link) {
            self.links.push(link);
        }
        Ok(())
    }

    /// Enhanced packet block: nearly every block of nearly every file.
    #[inline]
    fn enhanced<const BIG_ENDIAN: bool>(
        &mut self,
        body: &[u8],
        at: usize,
        packets: &mut Vec<Packet>,
    ) -> Result<(), String> {
        let Some((fixed, rest)) = body.split_first_chunk::<20>() else {
            return Err("an enhanced packet block too short for its fields".to_owned());
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *fixed;
        let described = Described {
            interface: word::<BIG_ENDIAN>([a, b, c, d]),
            ticks: u64::from(word::<BIG_ENDIAN>([e, f, g, h])) << 32
                | u64::from(word::<BIG_ENDIAN>([i, j, k, l])),
            captured: word::<BIG_ENDIAN>([m, n, o, p]),
            wire: word::<BIG_ENDIAN>([q, r, s, t]),
        };
        let options = self.packet(&described, rest, at + 20, packets)?;
        if options.len() >= 4 {
            for (code, value) in Fields::<BIG_ENDIAN>(options).options() {
                // epb_dropcount: lost since the packet before on this interface
                if code == 4 {
                    self.dropped_between =
                        plus(self.dropped_between, Fields::<BIG_ENDIAN>(value).long());
                }
            }
        }
        Ok(())
    }

    /// The obsolete packet block: an enhanced one with two half-words in front.
    fn obsolete<const BIG_ENDIAN: bool>(
        &mut self,
        body: &[u8],
        at: usize,
        packets: &mut Vec<Packet>,
    ) -> Result<(), String> {
        let mut fields = Fields::<BIG_ENDIAN>(body);
        let (Some(interface), Some(drops), Some(high), Some(low), Some(captured), Some(wire)) = (
            fields.half(),
            fields.half(),
            fields.word(),
            fields.word(),
            fields.word(),
            fields.word(),
        ) else {
            return Err("a packet block too short for its fields".to_owned());
        };
        let described = Described {
            interface: u32::from(interface),
            ticks: u64::from(high) << 32 | u64::from(low),
            captured,
            wire,
        };
        self.packet(&described, fields.0, at + 20, packets)?;
        // 0xffff: not known
        if drops != u16::MAX {
            self.dropped_between = plus(self.dropped_between, Some(u64::from(drops)));
        }
        Ok(())
    }

    /// Adds a packet whose bytes begin `data`, which lies at `at` of the buffer; gives what follows them.
    #[inline]
    fn packet<'a>(
        &mut self,
        described: &Described,
        data: &'a [u8],
        at: usize,
        packets: &mut Vec<Packet>,
    ) -> Result<&'a [u8], String> {
        let Some(interface) = self.interfaces.get(described.interface as usize) else {
            return Err(format!(
                "a packet of interface {}, of which {} are described",
                described.interface,
                self.interfaces.len()
            ));
        };
        let captured = described.captured as usize;
        if captured > interface.max_captured || captured > data.len() {
            return Err(format!(
                "a packet block claims {captured} captured bytes, more than the {} that are possible",
                data.len().min(interface.max_captured)
            ));
        }
        let time = Timestamp(interface.scale.nanos(described.ticks)).plus(interface.offset);
        self.frames += 1;
        self.last_time = time;
        packets.push(Packet {
            time,
            frame: Frame::new(self.capture, self.frames),
            start: at as u32,
            captured: described.captured,
            wire: described.wire,
            link: interface.link,
        });
        Ok(data.get(captured.next_multiple_of(4)..).unwrap_or_default())
    }

    /// Simple packet block: of interface 0, without a time, cut at the snap length.
    fn simple<const BIG_ENDIAN: bool>(
        &mut self,
        body: &[u8],
        at: usize,
        packets: &mut Vec<Packet>,
    ) -> Result<(), String> {
        let mut fields = Fields::<BIG_ENDIAN>(body);
        let Some(wire) = fields.word() else {
            return Err("a simple packet block too short for its field".to_owned());
        };
        let Some(interface) = self.interfaces.first() else {
            return Err("a simple packet block where no interface is described".to_owned());
        };
        let captured = match interface.snap_length {
            0 => wire,
            snap_length => wire.min(snap_length),
        };
        if captured as usize > interface.max_captured || captured as usize > fields.0.len() {
            return Err(format!(
                "a simple packet block for {captured} bytes holds {}",
                fields.0.len()
            ));
        }
        self.frames += 1;
        self.without_time += 1;
        packets.push(Packet {
            time: self.last_time,
            frame: Frame::new(self.capture, self.frames),
            start: (at + 4) as u32,
            captured,
            wire,
            link: interface.link,
        });
        Ok(())
    }

    /// Interface statistics block; its counts run from the start of the capture, so the last one holds.
    fn statistics<const BIG_ENDIAN: bool>(&mut self, body: &[u8]) -> Result<(), String> {
        let mut fields = Fields::<BIG_ENDIAN>(body);
        let (Some(index), Some(_), Some(_)) = (fields.word(), fields.word(), fields.word()) else {
            return Err("an interface statistics block too short for its fields".to_owned());
        };
        let mut dropped = None;
        for (code, value) in fields.options() {
            // isb_ifdrop and isb_osdrop: by the interface, and by the system past it
            if matches!(code, 5 | 7) {
                dropped = plus(dropped, Fields::<BIG_ENDIAN>(value).long());
            }
        }
        // Statistics of an interface that nobody described are no reason to stop.
        if let (Some(interface), Some(_)) = (self.interfaces.get_mut(index as usize), dropped) {
            interface.dropped = dropped;
        }
        Ok(())
    }

    /// Name resolution block. What cannot be read of it is left out.
    fn names<const BIG_ENDIAN: bool>(&mut self, body: &[u8]) {
        for (kind, value) in Fields::<BIG_ENDIAN>(body).options() {
            let (address, names) = match kind {
                1 => match value.split_first_chunk::<4>() {
                    Some((v4, names)) => (Address::v4(*v4), names),
                    None => continue,
                },
                2 => match value.split_first_chunk::<16>() {
                    Some((v6, names)) => (Address(*v6), names),
                    None => continue,
                },
                _ => continue,
            };
            for name in names.split(|byte| *byte == 0) {
                if name.is_empty() || name.len() > MAX_HOST_NAME {
                    continue;
                }
                if self.host_names.len() >= MAX_HOST_NAMES {
                    self.without_name = true;
                    return;
                }
                self.host_names
                    .push((address, String::from_utf8_lossy(name).into_owned()));
            }
        }
    }
}

/// What a packet block says of its packet.
struct Described {
    interface: u32,
    ticks: u64,
    captured: u32,
    wire: u32,
}

struct WalkedSection {
    used: usize,
    stop: Inner,
}

enum Inner {
    Stop(Stop),
    /// A section header is next.
    Section,
}

/// The sum, `None` where neither is known.
fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

#[inline]
fn word<const BIG_ENDIAN: bool>(bytes: [u8; 4]) -> u32 {
    if BIG_ENDIAN {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// Fields that follow one another, in the section's byte order.
struct Fields<'a, const BIG_ENDIAN: bool>(&'a [u8]);

impl<'a, const BIG_ENDIAN: bool> Fields<'a, BIG_ENDIAN> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    fn half(&mut self) -> Option<u16> {
        self.take().map(|bytes| {
            if BIG_ENDIAN {
                u16::from_be_bytes(bytes)
            } else {
                u16::from_le_bytes(bytes)
            }
        })
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(word::<BIG_ENDIAN>)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(|bytes| {
            if BIG_ENDIAN {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            }
        })
    }

    /// Options, or the records of a name resolution block: code, length, value, padding, until a code of 0 or what cannot be one.
    fn options(mut self) -> impl Iterator<Item = (u16, &'a [u8])> {
        std::iter::from_fn(move || {
            let (code, length) = (self.half()?, usize::from(self.half()?));
            if code == 0 {
                return None;
            }
            let value = self.0.get(..length)?;
            self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((code, value))
        })
    }
}
