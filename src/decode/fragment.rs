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
    /// The packets that brought its pieces.
    pub frames: Vec<Frame>,
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
                frames: vec![frame],
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
                let Some(whole) = datagram.assemble() else {
                    self.abandoned.extend(frames);
                    return None;
                };
                Some(Whole { frames, ..whole })
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
        Some(Whole {
            bytes,
            wire,
            frames: Vec::new(),
        })
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

#[cfg(test)]
mod tests {
    use super::super::support::{bytes, udp, v4, v4_piece, v6};
    use super::super::{Peel, decode, peel};
    use super::*;
    use crate::capture::LinkType;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

    /// Pieces of a datagram: where each begins and ends, and whether more follow.
    fn piece(datagram: &[u8], id: u16, from: usize, to: usize) -> Vec<u8> {
        let more = if to < datagram.len() { 0x2000 } else { 0 };
        v4_piece(ip::UDP, id, more | (from / 8) as u16, &datagram[from..to])
    }

    fn feed(fragments: &mut Fragments, number: u64, packet: &[u8]) -> Option<Whole> {
        fragments.feed(NOW, Frame::new(0, number), packet, packet.len() as u32)
    }

    #[test]
    fn pieces_in_any_order_make_the_packet() {
        let datagram = udp(1000, 53, &[7; 40]);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut fragments = Fragments::default();
            let mut whole = None;
            for index in order {
                let (from, to) = [(0, 16), (16, 32), (32, 48)][index];
                assert_eq!(whole, None);
                whole = feed(&mut fragments, 1, &piece(&datagram, 5, from, to));
            }
            let whole = whole.unwrap();
            let mut expected = v4(ip::UDP, &datagram);
            expected[4..8].copy_from_slice(&[0, 5, 0, 0]);
            assert_eq!((whole.bytes.as_slice(), whole.wire), (&expected[..], 68));
            assert!(matches!(
                peel(LinkType(101), &whole.bytes, whole.wire),
                Peel::Flow(_)
            ));
            fragments.finish();
            assert_eq!((fragments.abandoned().count(), fragments.bytes), (0, 0));
        }
    }

    #[test]
    fn ipv6_pieces_make_a_packet_without_fragment_header() {
        let datagram = udp(1000, 53, &[7; 40]);
        let hop_by_hop = [44, 0, 1, 4, 0, 0, 0, 0];
        let mut fragments = Fragments::default();
        let mut whole = None;
        for (from, to, field) in [(32_usize, 48, 32_u16), (0, 32, 1)] {
            let [high, low] = field.to_be_bytes();
            let header = [ip::UDP, 0, high, low, 0, 0, 0, 9];
            let packet = v6(0, &[&hop_by_hop[..], &header, &datagram[from..to]].concat());
            whole = feed(&mut fragments, 1, &packet);
        }
        let whole = whole.unwrap();
        let expected = v6(
            0,
            &[&[ip::UDP, 0, 1, 4, 0, 0, 0, 0], &datagram[..]].concat(),
        );
        assert_eq!(whole.bytes, expected);
        let decoded = decode(&whole.bytes, whole.wire).unwrap().unwrap();
        assert_eq!((decoded.key.b.port, decoded.payload_length), (53, 40));
    }

    #[test]
    fn a_repeated_piece_is_ignored_and_the_first_one_stands() {
        let datagram = udp(1000, 53, &[7; 40]);
        let mut other = datagram.clone();
        other[20] = 9;
        let mut fragments = Fragments::default();
        assert_eq!(feed(&mut fragments, 1, &piece(&datagram, 5, 0, 32)), None);
        assert_eq!(feed(&mut fragments, 2, &piece(&other, 5, 0, 32)), None);
        assert_eq!(feed(&mut fragments, 3, &piece(&other, 5, 16, 24)), None);
        let whole = feed(&mut fragments, 4, &piece(&datagram, 5, 32, 48)).unwrap();
        assert_eq!(whole.bytes[20..], datagram);
    }

    #[test]
    fn an_overlap_or_a_second_end_discards_the_datagram() {
        let datagram = udp(1000, 53, &[7; 40]);
        for second in [
            // overlaps what is there, from behind and from before
            piece(&datagram, 5, 8, 32),
            piece(&datagram, 5, 24, 48),
            // ends before what is there
            v4_piece(ip::UDP, 5, 1, &[1; 8]),
        ] {
            let mut fragments = Fragments::default();
            assert_eq!(feed(&mut fragments, 1, &piece(&datagram, 5, 16, 40)), None);
            assert_eq!(feed(&mut fragments, 2, &second), None);
            let abandoned: Vec<_> = fragments.abandoned().collect();
            assert_eq!(abandoned, [Frame::new(0, 1), Frame::new(0, 2)]);
            assert_eq!((fragments.bytes, fragments.datagrams.len()), (0, 0));
        }
    }

    #[test]
    fn pieces_that_no_datagram_can_hold_are_refused() {
        let mut fragments = Fragments::default();
        // no bytes; not a multiple of eight; beyond the longest packet
        for packet in [
            v4_piece(ip::UDP, 5, 0x2000, &[]),
            v4_piece(ip::UDP, 5, 0x2000, &[0; 9]),
            v4_piece(ip::UDP, 5, 0x1fff, &[0; 8]),
        ] {
            assert_eq!(feed(&mut fragments, 1, &packet), None);
            assert_eq!(fragments.abandoned().count(), 1);
        }
        assert_eq!(fragments.bytes, 0);
    }

    #[test]
    fn a_piece_that_was_cut_ends_the_captured_bytes_but_not_the_length() {
        let datagram = udp(1000, 53, &[7; 40]);
        let mut fragments = Fragments::default();
        let first = piece(&datagram, 5, 0, 32);
        fragments.feed(NOW, Frame::new(0, 1), &first[..40], 52);
        let whole = feed(&mut fragments, 2, &piece(&datagram, 5, 32, 48)).unwrap();
        assert_eq!((whole.bytes.len(), whole.wire), (40, 68));
        let decoded = decode(&whole.bytes, whole.wire).unwrap().unwrap();
        assert_eq!((decoded.payload.len(), decoded.payload_length), (12, 40));
    }

    #[test]
    fn what_never_becomes_whole_is_given_up_in_time() {
        let datagram = udp(1000, 53, &[7; 40]);
        let mut fragments = Fragments::default();
        feed(&mut fragments, 1, &piece(&datagram, 5, 0, 32));
        fragments.expire(NOW.plus(TIMEOUT_NS));
        assert_eq!(fragments.abandoned().count(), 0);
        fragments.expire(NOW.plus(TIMEOUT_NS + 1));
        assert_eq!(
            fragments.abandoned().collect::<Vec<_>>(),
            [Frame::new(0, 1)]
        );
        assert_eq!((fragments.evicted(), fragments.bytes), (0, 0));
    }

    #[test]
    fn a_flood_of_first_pieces_stays_within_the_limits() {
        let mut fragments = Fragments::default();
        let mut given_up = 0;
        for number in 0..5_000_u64 {
            let packet = v4_piece(ip::UDP, number as u16, 0x2000, &vec![0; 32_000]);
            feed(&mut fragments, number, &packet);
            assert!(fragments.bytes <= MAX_BYTES);
            assert!(fragments.datagrams.len() <= MAX_DATAGRAMS);
            assert!(fragments.oldest.len() <= 2 * MAX_DATAGRAMS);
            given_up += fragments.abandoned().count() as u64;
        }
        assert_eq!(fragments.evicted(), given_up);
        assert!(given_up > 4_000);
        fragments.finish();
        assert_eq!(given_up + fragments.abandoned().count() as u64, 5_000);
    }

    proptest! {
        #[test]
        fn any_cutting_in_any_order_gives_the_same_packet(
            payload in bytes(600), cuts in proptest::collection::btree_set(1_usize..75, 1..8), seed in any::<u64>(),
        ) {
            let datagram = udp(1, 2, &payload);
            let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < datagram.len()).collect();
            ends.push(datagram.len());
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in ends {
                pieces.push(piece(&datagram, 3, from, to));
                from = to;
            }
            prop_assume!(pieces.len() > 1);
            let count = pieces.len();
            // a rotation and a swap reach most orders of few pieces
            pieces.rotate_left((seed % count as u64) as usize);
            pieces.swap(0, (seed / 7 % count as u64) as usize);
            let mut fragments = Fragments::default();
            let mut whole = None;
            for packet in &pieces {
                prop_assert!(whole.is_none());
                whole = feed(&mut fragments, 1, packet);
            }
            prop_assert_eq!(&whole.unwrap().bytes[20..], &datagram[..]);
            prop_assert_eq!(fragments.bytes, 0);
        }

        #[test]
        fn any_pieces_end_and_the_books_balance(
            pieces in proptest::collection::vec((0_u16..4, any::<bool>(), 0_u16..12, 0_usize..48, any::<bool>()), 0..60),
        ) {
            let mut fragments = Fragments::default();
            for (id, more, offset, length, whole_words) in pieces {
                let length = if whole_words { length / 8 * 8 } else { length };
                let field = if more { 0x2000 } else { 0 } | offset;
                feed(&mut fragments, 1, &v4_piece(ip::UDP, id, field, &vec![1; length]));
                let costs: usize = fragments.datagrams.values().map(|datagram| datagram.cost).sum();
                prop_assert_eq!(fragments.bytes, costs);
            }
            fragments.finish();
            prop_assert_eq!((fragments.bytes, fragments.datagrams.len()), (0, 0));
        }
    }
}
