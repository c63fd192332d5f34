use std::collections::BTreeSet;

use super::fields::{Fields, word};
use super::format::{Stop, Walked};
use super::{CaptureFile, CaptureInterface, LinkType, Packet};
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

/// Interfaces of one section that are kept; a machine has a few, and a block of 20 bytes must not take more than that for ever.
const MAX_INTERFACES: usize = 1 << 16;

/// Host names kept of one file; each took at least 10 bytes of it.
const MAX_HOST_NAMES: usize = 1 << 20;

/// The longest host name kept, in bytes (RFC 1035, section 2.3.4).
const MAX_HOST_NAME: usize = 255;

/// Options of an interface that are kept: name, description, addresses, filter, system, FCS length and hardware (draft-ietf-opsawg-pcapng, section
/// 4.2). What depends on the byte order is left out.
const KEPT: &[u16] = &[2, 3, 4, 5, 6, 7, 11, 12, 13, 15];

/// Bytes of options that are kept of one interface.
const MAX_DESCRIPTION: usize = 1024;

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
    /// Its place among all that the file describes.
    place: u16,
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
    /// What the interfaces of all sections say of themselves.
    described: Vec<CaptureInterface>,
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
            described: Vec::new(),
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

    pub(super) fn described(&self) -> &[CaptureInterface] {
        &self.described
    }

    pub(super) const fn is_untimed(&self) -> bool {
        self.without_time > 0
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
            let ([kind, stated], []) = header.as_chunks() else {
                break Stop::Needs(8);
            };
            let kind = word::<BIG_ENDIAN>(*kind);
            if kind == block::SECTION {
                return WalkedSection {
                    used,
                    stop: Inner::Section,
                };
            }
            let stated = word::<BIG_ENDIAN>(*stated) as usize;
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
        let chunks = bytes.first_chunk::<12>().map(|front| front.as_chunks());
        let Some(([_, length, magic], [])) = chunks else {
            return Err(Stop::Needs(12));
        };
        self.big_endian = if *magic == BYTE_ORDER.to_be_bytes() {
            true
        } else if *magic == BYTE_ORDER.to_le_bytes() {
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
        let stated = order(*length) as usize;
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
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(format!(
                "more than {MAX_INTERFACES} interfaces in one section"
            ));
        }
        let link = LinkType(link);
        let mut interface = Interface {
            place: u16::try_from(self.described.len()).unwrap_or(u16::MAX),
            link,
            max_captured: link.max_captured(),
            snap_length,
            scale: Scale::of(6),
            offset: 0,
            dropped: None,
        };
        let mut described = CaptureInterface {
            link,
            snap_length,
            options: Vec::new(),
        };
        let mut room = MAX_DESCRIPTION;
        for (code, value) in fields.options() {
            if KEPT.contains(&code) && value.len() <= room {
                room -= value.len();
                described.options.push((code, value.to_vec()));
            }
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
        if self.described.len() < CaptureFile::MOST_INTERFACES {
            self.described.push(described);
        }
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
        let split = body.split_first_chunk::<20>();
        let Some((([interface, high, low, captured, wire], []), rest)) =
            split.map(|(fixed, rest)| (fixed.as_chunks(), rest))
        else {
            return Err("an enhanced packet block too short for its fields".to_owned());
        };
        let described = Described {
            interface: word::<BIG_ENDIAN>(*interface),
            ticks: u64::from(word::<BIG_ENDIAN>(*high)) << 32 | u64::from(word::<BIG_ENDIAN>(*low)),
            captured: word::<BIG_ENDIAN>(*captured),
            wire: word::<BIG_ENDIAN>(*wire),
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
            interface: interface.place,
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
            interface: interface.place,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes blocks in either byte order.
    struct Writer {
        big_endian: bool,
        bytes: Vec<u8>,
    }

    impl Writer {
        fn new(big_endian: bool) -> Self {
            let mut writer = Self {
                big_endian,
                bytes: Vec::new(),
            };
            writer.section();
            writer
        }

        fn word(&self, value: u32) -> [u8; 4] {
            if self.big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        }

        fn half(&self, value: u16) -> [u8; 2] {
            if self.big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        }

        fn long(&self, value: u64) -> [u8; 8] {
            if self.big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        }

        fn block(&mut self, kind: u32, body: &[u8]) {
            let padded = body.len().next_multiple_of(4);
            let length = self.word(padded as u32 + 12);
            self.bytes.extend(self.word(kind));
            self.bytes.extend(length);
            self.bytes.extend(body);
            self.bytes.extend(vec![0; padded - body.len()]);
            self.bytes.extend(length);
        }

        fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
            let mut bytes = [self.half(code), self.half(value.len() as u16)].concat();
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }

        fn section(&mut self) {
            let body = [
                self.word(BYTE_ORDER).as_slice(),
                &self.half(1),
                &self.half(0),
                &self.long(u64::MAX),
            ]
            .concat();
            self.block(block::SECTION, &body);
        }

        fn interface(&mut self, link: u16, snap_length: u32, options: &[Vec<u8>]) {
            let mut body = [self.half(link), [0; 2]].concat();
            body.extend(self.word(snap_length));
            body.extend(options.concat());
            self.block(block::INTERFACE, &body);
        }

        fn packet(&mut self, interface: u32, ticks: u64, bytes: &[u8], wire: u32, options: &[u8]) {
            let mut body = [
                interface,
                (ticks >> 32) as u32,
                ticks as u32,
                bytes.len() as u32,
                wire,
            ]
            .map(|field| self.word(field))
            .concat();
            body.extend(bytes);
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(options);
            self.block(block::ENHANCED, &body);
        }

        fn walk(&self) -> (Pcapng, Vec<Packet>, Walked) {
            assert!(Pcapng::recognises(&self.bytes));
            let mut pcapng = Pcapng::new(0);
            let mut packets = Vec::new();
            let walked = pcapng.walk(&self.bytes, 0, &mut packets, 1_000);
            (pcapng, packets, walked)
        }

        fn read(&self) -> (Pcapng, Vec<Packet>) {
            let (pcapng, packets, walked) = self.walk();
            assert_eq!(walked.used, self.bytes.len());
            (pcapng, packets)
        }
    }

    #[test]
    fn both_byte_orders_say_the_same() {
        let read = |big_endian| {
            let mut writer = Writer::new(big_endian);
            writer.interface(1, 0, &[]);
            writer.packet(0, 1_700_000_000_000_005, b"hello", 900, &[]);
            let (_, packets) = writer.read();
            assert_eq!(&writer.bytes[packets[0].start as usize..][..5], b"hello");
            packets
        };
        assert_eq!(read(true), read(false));
        let packet = read(true)[0];
        assert_eq!(packet.time, Timestamp::new(1_700_000_000, 5_000));
        assert_eq!((packet.captured, packet.wire), (5, 900));
    }

    #[test]
    fn every_interface_has_its_own_link_type_resolution_and_offset() {
        let mut writer = Writer::new(false);
        let nanos = writer.option(9, &[9]);
        let binary = writer.option(9, &[0x80 + 10]);
        let pico = writer.option(9, &[12]);
        let offset = writer.option(14, &writer.long(1_700_000_000));
        writer.interface(1, 0, &[]);
        writer.interface(101, 0, &[nanos]);
        writer.interface(113, 0, &[binary]);
        writer.interface(1, 0, &[pico, offset]);
        writer.packet(0, 2, b"", 0, &[]);
        writer.packet(1, 2, b"", 0, &[]);
        writer.packet(2, 1_024 + 512, b"", 0, &[]);
        writer.packet(3, 7_001, b"", 0, &[]);
        let (pcapng, packets) = writer.read();
        let times: Vec<i64> = packets.iter().map(|packet| packet.time.0).collect();
        assert_eq!(times, [2_000, 2, 1_500_000_000, 1_700_000_000_000_000_007]);
        let links: Vec<u16> = packets.iter().map(|packet| packet.link.0).collect();
        assert_eq!(links, [1, 101, 113, 1]);
        assert_eq!(pcapng.links(), [LinkType(1), LinkType(101), LinkType(113)]);
    }

    #[test]
    fn no_resolution_overflows() {
        for resolution in 0..=u8::MAX {
            let nanos = Scale::of(resolution).nanos(u64::MAX);
            assert!(nanos >= 0, "{resolution}");
            assert!(Scale::of(resolution).nanos(0) == 0, "{resolution}");
        }
    }

    #[test]
    fn a_section_starts_its_interfaces_anew_and_may_turn_the_byte_order() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        writer.packet(0, 1, b"a", 1, &[]);
        writer.big_endian = true;
        writer.section();
        writer.interface(101, 0, &[]);
        writer.packet(0, 2, b"b", 1, &[]);
        let (_, packets) = writer.read();
        assert_eq!((packets[0].link.0, packets[1].link.0), (1, 101));
        assert_eq!(packets[1].frame.number(), 2);

        writer.packet(1, 3, b"c", 1, &[]);
        let (_, packets, walked) = writer.walk();
        assert_eq!(packets.len(), 2);
        assert!(matches!(walked.stop, Stop::Damage(_)));
    }

    #[test]
    fn a_simple_packet_is_cut_at_the_snap_length_and_takes_the_time_before_it() {
        let mut writer = Writer::new(true);
        writer.interface(1, 3, &[]);
        writer.packet(0, 77, b"abc", 9, &[]);
        let body = [writer.word(5).as_slice(), b"abc"].concat();
        writer.block(block::SIMPLE, &body);
        let (mut pcapng, packets) = writer.read();
        assert_eq!((packets[1].captured, packets[1].wire), (3, 5));
        assert_eq!(packets[1].time, packets[0].time);
        assert_eq!(&writer.bytes[packets[1].start as usize..][..3], b"abc");
        assert_eq!(pcapng.take_warnings().len(), 1);
    }

    #[test]
    fn the_obsolete_packet_block_is_read_with_its_drop_count() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        for drops in [4, u16::MAX] {
            let mut body = [writer.half(0), writer.half(drops)].concat();
            body.extend([0, 5, 3, 60].map(|field| writer.word(field)).concat());
            body.extend(b"abc");
            writer.block(block::PACKET, &body);
        }
        let (pcapng, packets) = writer.read();
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[0].time, Timestamp(5_000));
        assert_eq!(pcapng.dropped(), Some(4));
    }

    #[test]
    fn the_last_statistics_of_each_interface_are_what_was_lost() {
        let mut writer = Writer::new(false);
        let statistics = |writer: &mut Writer, interface: u32, options: &[Vec<u8>]| {
            let mut body = [interface, 0, 0].map(|field| writer.word(field)).concat();
            body.extend(options.concat());
            writer.block(block::STATISTICS, &body);
        };
        writer.interface(1, 0, &[]);
        writer.interface(1, 0, &[]);
        assert_eq!(writer.read().0.dropped(), None);
        let received = writer.option(4, &writer.long(900));
        let interface = |writer: &Writer, count| writer.option(5, &writer.long(count));
        let system = |writer: &Writer, count| writer.option(7, &writer.long(count));
        let (a, b, c) = (
            interface(&writer, 10),
            system(&writer, 2),
            interface(&writer, 30),
        );
        statistics(&mut writer, 0, &[received, a]);
        statistics(&mut writer, 1, std::slice::from_ref(&b));
        statistics(&mut writer, 0, &[c, b.clone()]);
        statistics(&mut writer, 7, &[b]);
        assert_eq!(writer.read().0.dropped(), Some(34));
        writer.section();
        writer.interface(1, 0, &[]);
        let more = interface(&writer, 6);
        statistics(&mut writer, 0, &[more]);
        assert_eq!(writer.read().0.dropped(), Some(40));
    }

    #[test]
    fn a_packets_own_drop_count_is_used_where_there_are_no_statistics() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        let option = writer.option(4, &writer.long(3));
        writer.packet(0, 1, b"ab", 2, &option);
        writer.packet(0, 1, b"ab", 2, &option);
        assert_eq!(writer.read().0.dropped(), Some(6));
    }

    #[test]
    fn host_names_come_from_name_resolution_blocks() {
        let mut writer = Writer::new(true);
        let body = [
            writer.option(1, b"\x0a\0\0\x01one.example\0two.example\0"),
            writer.option(
                2,
                b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01six.example\0",
            ),
            writer.option(1, b"\x0a\0"),
            writer.option(0, b""),
            writer.option(1, b"\x0a\0\0\x02past.the.end\0"),
        ]
        .concat();
        writer.block(block::NAMES, &body);
        let names: Vec<String> = writer
            .read()
            .0
            .take_host_names()
            .iter()
            .map(|(address, name)| format!("{address} {name}"))
            .collect();
        assert_eq!(
            names,
            [
                "10.0.0.1 one.example",
                "10.0.0.1 two.example",
                "2001:db8::1 six.example"
            ]
        );
    }

    #[test]
    fn custom_and_journal_blocks_take_a_number_and_others_do_not() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        for kind in [9, 0xbad, 0x4000_0bad, 10, 0x8000_0001, 0x1234] {
            writer.block(kind, b"whatever");
        }
        writer.packet(0, 1, b"", 0, &[]);
        assert_eq!(writer.read().1[0].frame.number(), 4);
    }

    #[test]
    fn lengths_that_disagree_are_damage() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        writer.packet(0, 1, b"abcd", 4, &[]);
        let good = writer.bytes.len();
        writer.packet(0, 2, b"abcd", 4, &[]);
        *writer.bytes.last_mut().unwrap() = 1;
        let (_, packets, walked) = writer.walk();
        assert_eq!((packets.len(), walked.used), (1, good));
        assert!(matches!(walked.stop, Stop::Damage(_)));
    }

    #[test]
    fn an_unwanted_block_of_any_length_is_skipped_without_being_kept() {
        let mut writer = Writer::new(false);
        writer.bytes.extend(writer.word(0x1234));
        writer.bytes.extend(writer.word(0xffff_fff0));
        let (_, _, walked) = writer.walk();
        assert_eq!(walked.used, writer.bytes.len());
        assert!(matches!(walked.stop, Stop::Skip(0xffff_ffe8)));
    }
    #[test]
    fn interfaces_without_end_are_damage() {
        let mut writer = Writer::new(false);
        for _ in 0..=MAX_INTERFACES {
            writer.interface(1, 0, &[]);
        }
        let (pcapng, _, walked) = writer.walk();
        assert_eq!(pcapng.interfaces.len(), MAX_INTERFACES);
        assert!(matches!(walked.stop, Stop::Damage(_)));
    }

    #[test]
    fn what_is_longer_than_a_buffer_is_skipped_or_kept_as_it_should() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        // USB transfers may be long
        writer.interface(189, 0, &[]);
        writer.packet(0, 1, b"before", 6, &[]);
        writer.block(0xbad, &vec![1; 3 << 20]);
        writer.packet(1, 2, &vec![0xcd; 5 << 20], 5 << 20, &[]);
        writer.packet(0, 3, b"after", 5, &[]);
        let (packets, file) = crate::capture::fuzz::read(&writer.bytes).unwrap();
        let bytes: Vec<(u64, usize, u8)> = packets
            .iter()
            .map(|(packet, bytes)| (packet.frame.number(), bytes.len(), bytes[0]))
            .collect();
        assert_eq!(bytes, [(1, 6, b'b'), (3, 5 << 20, 0xcd), (4, 5, b'a')]);
        assert!(!file.truncated);
        assert_eq!(file.link_types, ["ETHERNET", "USB_LINUX"]);
    }

    #[test]
    fn a_cut_inside_a_skipped_block_is_told() {
        let mut writer = Writer::new(false);
        writer.interface(1, 0, &[]);
        writer.packet(0, 1, b"before", 6, &[]);
        writer.block(0xbad, &vec![1; 3 << 20]);
        writer.bytes.pop();
        let (packets, file) = crate::capture::fuzz::read(&writer.bytes).unwrap();
        assert_eq!(packets.len(), 1);
        assert!(
            file.truncated && file.warnings[0].contains("inside a block"),
            "{:?}",
            file.warnings
        );
    }

    #[test]
    fn a_file_cut_anywhere_gives_a_prefix() {
        let mut writer = Writer::new(true);
        let option = writer.option(4, &writer.long(3));
        writer.interface(1, 0, &[]);
        for ticks in 0..5 {
            writer.packet(0, ticks, b"abcdefg", 7, &option);
            writer.block(10, b"secret");
        }
        let whole = crate::capture::fuzz::read(&writer.bytes).unwrap().0;
        assert_eq!(whole.len(), 5);
        for cut in 0..writer.bytes.len() {
            let part = crate::capture::fuzz::read(&writer.bytes[..cut]);
            let part = part.map(|(packets, _)| packets).unwrap_or_default();
            assert!(whole.starts_with(&part), "cut at {cut}");
        }
    }
}
