use std::collections::{BTreeMap, VecDeque};

use super::ip::{self, Ip, Piece};
use crate::types::{Address, Frame, Timestamp};

/// How long a datagram may take to become whole: 60 s of packet time (RFC 8200, section 4.5; RFC 1122, section 3.3.2, asks IPv4 for 60 to 120).
const TIMEOUT_NS: i64 = 60_000_000_000;

/// Unfinished datagrams kept at a time. Fragments are rare; more than this is somebody's attack or a broken path.
const MAX_DATAGRAMS: usize = 1024;

/// Bytes kept at a time, bookkeeping included: four times what Linux allows one host (`ipfrag_high_thresh`, 4 MiB), as a path carries many.
const MAX_BYTES: usize = 16 << 20;

/// What a kept piece costs beside its bytes, roughly.
const PIECE_COST: usize = 96;

/// The longest IP packet its length field can state (RFC 791, RFC 8200).
const MAX_LENGTH: u32 = 65_535;

/// IP datagrams whose fragments are still coming in.
///
/// **Overlaps.** A piece that lies wholly within one already kept is a retransmission and is ignored: the first one stands. Any other overlap, and
/// a second opinion on where the datagram ends, discards the datagram with all its pieces: RFC 5722 and 8200 (section 4.5) demand it for
/// IPv6, and Linux has done the same for IPv4 since 2018, so nothing is read here that the receiver would not have read.
///
/// **Cut captures.** Lengths count as they were on the wire. Where a piece was not captured in full, the reassembled packet ends there, like
/// any cut packet.
///
/// **Limits.** 1024 datagrams, 16 MiB, 60 s; the oldest go first.
#[derive(Debug, Default)]
pub struct Fragments {
    datagrams: BTreeMap<Key, Datagram>,
    /// Datagrams in the order of their first pieces; may name some that are gone, told by the serial number.
    oldest: VecDeque<(Timestamp, u64, Key)>,
    serial: u64,
    bytes: usize,
    evicted: u64,
    abandoned: Vec<Frame>,
}

/// A reassembled IP packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// From the IP header on, its fragment fields cleared and its length field set. The header checksum is not made good.
    pub bytes: Vec<u8>,
    /// Its length on the wire; more than `bytes` where the capture cut a piece.
    pub wire: u32,
}

/// What tells datagrams apart (RFC 791, section 3.2; RFC 8200, section 4.5, where the protocol does not count).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    source: Address,
    destination: Address,
    v6: bool,
    protocol: u8,
    id: u32,
}

#[derive(Debug, Default)]
struct Datagram {
    serial: u64,
    /// The header of the piece at offset 0.
    header: Option<Vec<u8>>,
    /// Pieces by their offset: wire length, captured bytes.
    pieces: BTreeMap<u32, (u32, Vec<u8>)>,
    /// Wire bytes that the pieces cover; they never overlap.
    covered: u32,
    /// Where the last piece ends, once it is known.
    total: Option<u32>,
    /// What it costs of [`MAX_BYTES`].
    cost: usize,
    frames: Vec<Frame>,
}

impl Fragments {
    /// Takes one fragment: the captured bytes from its IP header on, and the wire bytes of its record from there on. Gives the packet if this
    /// was its last piece.
    pub fn feed(
        &mut self,
        time: Timestamp,
        frame: Frame,
        bytes: &[u8],
        wire: u32,
    ) -> Option<Whole> {
        self.expire(time);
        let Ok((ip, piece)) = ip::parse(bytes, wire).map(|ip| (ip, ip.piece)) else {
            self.abandoned.push(frame);
            return None;
        };
        let Some(piece) = piece else {
            // not a fragment: already whole
            return Some(Whole {
                bytes: bytes.to_vec(),
                wire,
            });
        };
        if !is_sound(&ip, piece) {
            self.abandoned.push(frame);
            return None;
        }
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            v6: ip.v6,
            protocol: if ip.v6 { 0 } else { ip.protocol },
            id: piece.id,
        };
        if !self.datagrams.contains_key(&key) {
            self.open(key, time);
        }
        let datagram = self.datagrams.get_mut(&key)?;
        let before = datagram.cost;
        let fate = datagram.add(&ip, piece, bytes, frame);
        self.bytes += datagram.cost - before;
        match fate {
            Fate::Duplicate | Fate::Waiting => {
                while self.bytes > MAX_BYTES && self.evict_oldest() {}
                None
            }
            Fate::Contradiction => {
                self.discard(key);
                None
            }
            Fate::Whole => {
                let mut datagram = self.datagrams.remove(&key)?;
                self.bytes -= datagram.cost;
                let frames = std::mem::take(&mut datagram.frames);
                let whole = datagram.assemble();
                if whole.is_none() {
                    self.abandoned.extend(frames);
                }
                whole
            }
        }
    }

    /// Gives up the datagrams that are too old at `now`.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(first, serial, key)) = self.oldest.front() {
            let lives = self.lives(&key, serial);
            if lives && now.since(first) <= TIMEOUT_NS {
                break;
            }
            self.oldest.pop_front();
            if lives {
                self.discard(key);
            }
        }
    }

    /// The end of the capture: gives up all that is unfinished.
    pub fn finish(&mut self) {
        while let Some((_, serial, key)) = self.oldest.pop_front() {
            if self.lives(&key, serial) {
                self.discard(key);
            }
        }
    }

    /// Datagrams given up because a limit on number or bytes was hit.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The packets, since it was last asked, that were fragments of datagrams which will never be whole:
    /// [`Undecoded::Fragment`](super::Undecoded::Fragment). To be asked now and then, since they pile up.
    pub fn abandoned(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.abandoned.drain(..)
    }

    fn lives(&self, key: &Key, serial: u64) -> bool {
        self.datagrams
            .get(key)
            .is_some_and(|datagram| datagram.serial == serial)
    }

    /// Makes room for a new datagram.
    fn open(&mut self, key: Key, time: Timestamp) {
        while self.datagrams.len() >= MAX_DATAGRAMS && self.evict_oldest() {}
        if self.oldest.len() >= 2 * MAX_DATAGRAMS {
            let datagrams = &self.datagrams;
            self.oldest.retain(|(_, serial, key)| {
                datagrams
                    .get(key)
                    .is_some_and(|datagram| datagram.serial == *serial)
            });
        }
        self.serial += 1;
        self.oldest.push_back((time, self.serial, key));
        self.datagrams.insert(
            key,
            Datagram {
                serial: self.serial,
                ..Datagram::default()
            },
        );
    }

    /// Gives up the oldest datagram; false where there is none.
    fn evict_oldest(&mut self) -> bool {
        while let Some((_, serial, key)) = self.oldest.pop_front() {
            if self.lives(&key, serial) {
                self.evicted += 1;
                self.discard(key);
                return true;
            }
        }
        false
    }

    fn discard(&mut self, key: Key) {
        if let Some(datagram) = self.datagrams.remove(&key) {
            self.bytes -= datagram.cost;
            self.abandoned.extend(datagram.frames);
        }
    }
}

/// Whether a fragment can be part of any datagram: it has bytes, all but the last are a multiple of eight long, and it ends within the
/// longest packet (the "ping of death" does not).
fn is_sound(ip: &Ip<'_>, piece: Piece) -> bool {
    ip.payload_length > 0
        && (!piece.more || ip.payload_length.is_multiple_of(8))
        && piece.offset + ip.payload_length <= MAX_LENGTH
}

/// What a piece did to its datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Duplicate,
    Waiting,
    Whole,
    Contradiction,
}

impl Datagram {
    fn add(&mut self, ip: &Ip<'_>, piece: Piece, bytes: &[u8], frame: Frame) -> Fate {
        let (start, end) = (piece.offset, piece.offset + ip.payload_length);
        let before = self.pieces.range(..=start).next_back();
        if before.is_some_and(|(at, (length, _))| end <= at + length) {
            return Fate::Duplicate;
        }
        self.frames.push(frame);
        let overlaps = before.is_some_and(|(at, (length, _))| at + length > start)
            || self
                .pieces
                .range(start..)
                .next()
                .is_some_and(|(at, _)| *at < end);
        if overlaps {
            return Fate::Contradiction;
        }
        let other_end = self.total.is_some_and(|total| total != end);
        if !piece.more && other_end || self.total.is_some_and(|total| end > total) {
            return Fate::Contradiction;
        }
        if !piece.more {
            let beyond = self
                .pieces
                .last_key_value()
                .is_some_and(|(at, (length, _))| at + length > end);
            if beyond {
                return Fate::Contradiction;
            }
            self.total = Some(end);
        }
        if start == 0 {
            self.header = header(ip, piece, bytes);
        }
        self.cost += PIECE_COST + ip.payload.len();
        self.covered += ip.payload_length;
        self.pieces
            .insert(start, (ip.payload_length, ip.payload.to_vec()));
        if self.total == Some(self.covered) {
            Fate::Whole
        } else {
            Fate::Waiting
        }
    }

    /// The packet of which all pieces are there; none where header and payload together are longer than a packet can be.
    fn assemble(self) -> Option<Whole> {
        let mut bytes = self.header?;
        let wire = u32::try_from(bytes.len()).ok()? + self.covered;
        let v6 = bytes.first()? >> 4 == 6;
        let stated = u16::try_from(if v6 { wire - 40 } else { wire }).ok()?;
        let place = if v6 { 4..6 } else { 2..4 };
        bytes.get_mut(place)?.copy_from_slice(&stated.to_be_bytes());
        for (length, captured) in self.pieces.into_values() {
            let whole = captured.len() == length as usize;
            bytes.extend(captured);
            if !whole {
                break;
            }
        }
        Some(Whole { bytes, wire })
    }
}

/// The header that the reassembled packet gets: the first fragment's, without the marks of a fragment (RFC 8200, section 4.5).
fn header(ip: &Ip<'_>, piece: Piece, bytes: &[u8]) -> Option<Vec<u8>> {
    if ip.v6 {
        let mut header = bytes.get(..piece.at as usize)?.to_vec();
        *header.get_mut(piece.named_at as usize)? = ip.protocol;
        Some(header)
    } else {
        let mut header = bytes.get(..ip.header as usize)?.to_vec();
        *header.get_mut(6)? &= 0x40;
        *header.get_mut(7)? = 0;
        Some(header)
    }
}
