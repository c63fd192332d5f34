use super::fields::{Fields, word};
use super::format::{Stop, Walked};
use super::{CaptureInterface, LinkType, Packet};
use crate::types::{Frame, Timestamp};

/// Bytes of the file header (draft-ietf-opsawg-pcap, section 4).
const FILE_HEADER: usize = 24;

/// Records that are looked at to tell the record layouts apart; wiretap looks at 3.
const LOOKED_AT: usize = 16;

/// The longest original length that is believed while layouts are told apart (wiretap's limit of any link type).
const MAX_WIRE: u32 = 128 << 20;

/// Seconds between neighbouring records that are believed while layouts are told apart: a year.
const MAX_STEP_S: u32 = 31_622_400;

/// Where the lengths stand in a record header (wiretap/libpcap.c: writers before version 2.3 had them the other way round).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lengths {
    Usual,
    Swapped,
    /// Version 2.3: the smaller one is the captured length.
    Either,
}

/// A pcap file (draft-ietf-opsawg-pcap) past its header.
#[derive(Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    nanoseconds: bool,
    lengths: Lengths,
    /// Bytes of a record header: 16, or more in old patched libpcaps.
    record_header: usize,
    link: LinkType,
    snap_length: u32,
    /// What the file is called after wiretap's words.
    pub(super) name: &'static str,
    /// Bytes that the file header takes.
    pub(super) header: usize,
    pub(super) warnings: Vec<String>,
    capture: u16,
    frames: u64,
}

impl Pcap {
    /// Whether a file that starts like this is one of ours.
    pub(super) fn recognises(bytes: &[u8]) -> bool {
        bytes
            .first_chunk()
            .is_some_and(|magic| Magic::read(*magic).is_some())
    }

    /// Reads the file header and tells the record layout from the records in `bytes`, the first part of the file. `None` where the header is not
    /// whole. `whole` says that `bytes` is all of the file.
    pub(super) fn new(bytes: &[u8], whole: bool, capture: u16) -> Option<Self> {
        let magic = Magic::read(*bytes.first_chunk()?)?;
        let header = FILE_HEADER + magic.more_header;
        if bytes.len() < header {
            return None;
        }
        let (version, snap_length, network) = (bytes.get(4..)?, bytes.get(16..)?, bytes.get(20..)?);
        let ((major, minor), snap_length, network) = if magic.big_endian {
            (
                version_of(Fields::<true>(version))?,
                Fields::<true>(snap_length).word()?,
                Fields::<true>(network).word()?,
            )
        } else {
            (
                version_of(Fields::<false>(version))?,
                Fields::<false>(snap_length).word()?,
                Fields::<false>(network).word()?,
            )
        };
        let mut warnings = Vec::new();
        // 2.4 since 1998; 543.0 is a DG/UX tcpdump's
        if !(major == 2 && minor <= 4 || major == 543 && minor == 0) {
            warnings.push(format!(
                "file version {major}.{minor} is unknown; read as 2.4"
            ));
        }
        // the low 26 bits are the link type, of which the registry uses 16; above them are the FCS length and its flag
        let link = u16::try_from(network & 0x03ff_ffff).unwrap_or_else(|_| {
            warnings.push(format!("link type {network:#010x} is not in the registry"));
            u16::MAX
        });
        let mut pcap = Self {
            big_endian: magic.big_endian,
            nanoseconds: magic.nanoseconds,
            lengths: match (major, minor) {
                (2, 0..=2) | (543, _) => Lengths::Swapped,
                (2, 3) => Lengths::Either,
                _ => Lengths::Usual,
            },
            record_header: 16,
            link: LinkType(link),
            snap_length,
            name: magic.name,
            header,
            warnings,
            capture,
            frames: 0,
        };
        let records = bytes.get(header..).unwrap_or_default();
        let layout = magic
            .layouts
            .iter()
            .find(|layout| pcap.fits(records, whole, layout.record_header));
        if let Some(layout) = layout.or(magic.layouts.first()) {
            pcap.record_header = layout.record_header;
            pcap.name = layout.name.unwrap_or(magic.name);
        }
        Some(pcap)
    }

    pub(super) const fn link(&self) -> LinkType {
        self.link
    }

    /// The one interface that a pcap has.
    pub(super) fn interface(&self) -> CaptureInterface {
        CaptureInterface {
            link: self.link,
            snap_length: self.snap_length,
            options: Vec::new(),
        }
    }

    /// Whether the first records make sense with headers of `record_header` bytes. One record alone does so for a long header only where it
    /// ends with the file.
    fn fits(&self, mut bytes: &[u8], whole: bool, record_header: usize) -> bool {
        let mut before = None;
        for seen in 0..LOOKED_AT {
            if bytes.is_empty() && whole {
                return true;
            }
            let Some(record) = self.record(bytes) else {
                return seen > 1 || record_header == 16;
            };
            let fraction_limit = if self.nanoseconds {
                1_000_000_000
            } else {
                1_000_000
            };
            let far =
                before.is_some_and(|before: u32| before.abs_diff(record.seconds) > MAX_STEP_S);
            if record.captured as usize > self.link.max_captured()
                || record.captured > record.wire
                || record.wire > MAX_WIRE
                || record.fraction >= fraction_limit
                || far
            {
                return false;
            }
            before = Some(record.seconds);
            match bytes.get(record_header + record.captured as usize..) {
                Some(rest) => bytes = rest,
                None => return seen > 1 || record_header == 16,
            }
        }
        true
    }

    fn record(&self, bytes: &[u8]) -> Option<Record> {
        let header = bytes.first_chunk()?;
        Some(if self.big_endian {
            Record::read::<true>(header, self.lengths)
        } else {
            Record::read::<false>(header, self.lengths)
        })
    }

    /// Describes the records at the front of `bytes`, which begins at `start` of its buffer, until `packets` holds `limit`.
    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        start: usize,
        packets: &mut Vec<Packet>,
        limit: usize,
    ) -> Walked {
        if self.big_endian {
            self.walk_in::<true>(bytes, start, packets, limit)
        } else {
            self.walk_in::<false>(bytes, start, packets, limit)
        }
    }

    fn walk_in<const BIG_ENDIAN: bool>(
        &mut self,
        bytes: &[u8],
        start: usize,
        packets: &mut Vec<Packet>,
        limit: usize,
    ) -> Walked {
        let (record_header, lengths, link) = (self.record_header, self.lengths, self.link);
        let max = link.max_captured();
        let unit = if self.nanoseconds { 1 } else { 1_000 };
        let mut used = 0;
        let stop = loop {
            if packets.len() >= limit {
                break Stop::Full;
            }
            let rest = bytes.get(used..).unwrap_or_default();
            let Some(header) = rest.first_chunk() else {
                break Stop::Needs(record_header);
            };
            let record = Record::read::<BIG_ENDIAN>(header, lengths);
            let captured = record.captured as usize;
            if captured > max {
                break Stop::Damage(format!(
                    "a record header claims {captured} captured bytes, more than the {max} that are possible"
                ));
            }
            if rest.len() < record_header + captured {
                break Stop::Needs(record_header + captured);
            }
            self.frames += 1;
            packets.push(Packet {
                time: Timestamp::new(i64::from(record.seconds), i64::from(record.fraction) * unit),
                frame: Frame::new(self.capture, self.frames),
                start: (start + used + record_header) as u32,
                captured: record.captured,
                wire: record.wire,
                link,
                interface: 0,
            });
            used += record_header + captured;
        };
        Walked { used, stop }
    }
}

/// The first four fields of a record header; longer headers have theirs behind them.
struct Record {
    seconds: u32,
    fraction: u32,
    captured: u32,
    wire: u32,
}

impl Record {
    #[inline]
    fn read<const BIG_ENDIAN: bool>(header: &[u8; 16], lengths: Lengths) -> Self {
        let fields = header.as_chunks().0;
        let field = |at: usize| fields.get(at).map_or(0, |four| word::<BIG_ENDIAN>(*four));
        let (first, second) = (field(2), field(3));
        let (captured, wire) = match lengths {
            Lengths::Usual => (first, second),
            Lengths::Swapped => (second, first),
            Lengths::Either => (first.min(second), first.max(second)),
        };
        Self {
            seconds: field(0),
            fraction: field(1),
            captured,
            wire,
        }
    }
}

fn version_of<const BIG_ENDIAN: bool>(mut fields: Fields<'_, BIG_ENDIAN>) -> Option<(u16, u16)> {
    fields.half().zip(fields.half())
}

/// A record layout that a magic number may stand for.
struct Layout {
    record_header: usize,
    /// What the file is called then, where that differs from the magic's own name.
    name: Option<&'static str>,
}

/// What the first four bytes say.
struct Magic {
    name: &'static str,
    big_endian: bool,
    nanoseconds: bool,
    more_header: usize,
    /// Most likely first.
    layouts: &'static [Layout],
}

/// The usual layout, that of Red Hat 6.1's patched libpcap (interface, protocol and packet type behind the lengths) and Nokia's (4 unknown
/// bytes): all under the standard magic (wiretap/libpcap.c). libpcap knows the first only.
const STANDARD: &[Layout] = &[
    Layout {
        record_header: 16,
        name: None,
    },
    Layout {
        record_header: 24,
        name: Some("pcap-rh6.1"),
    },
    Layout {
        record_header: 20,
        name: Some("pcap-nokia"),
    },
];

/// Kuznetzov's patch of 1999-10-29, and of 1999-09-15, which `SuSE` 6.3 shipped (wiretap/libpcap.c).
const PATCHED: &[Layout] = &[
    Layout {
        record_header: 24,
        name: None,
    },
    Layout {
        record_header: 28,
        name: Some("pcap-suse6.3"),
    },
];

const PLAIN: &[Layout] = &[Layout {
    record_header: 16,
    name: None,
}];

impl Magic {
    fn read(bytes: [u8; 4]) -> Option<Self> {
        [
            (false, u32::from_le_bytes(bytes)),
            (true, u32::from_be_bytes(bytes)),
        ]
        .into_iter()
        .find_map(|(big_endian, number)| {
            let (name, nanoseconds, more_header, layouts) = match number {
                0xa1b2_c3d4 => ("pcap", false, 0, STANDARD),
                0xa1b2_3c4d => ("pcap-ns", true, 0, PLAIN),
                0xa1b2_cd34 => ("pcap-modified", false, 0, PATCHED),
                // Ixia's hardware and software captures: nanoseconds, and the size of all records behind the file header
                0x1c00_01ac | 0x1c00_01ab => ("pcap-ixia", true, 4, PLAIN),
                _ => return None,
            };
            Some(Self {
                name,
                big_endian,
                nanoseconds,
                more_header,
                layouts,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in either byte order with records of `header` bytes in front of 60 bytes each.
    fn file(
        magic: u32,
        version: (u16, u16),
        link: u32,
        header: usize,
        records: &[(u32, u32)],
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(magic.to_be_bytes());
        bytes.extend(version.0.to_be_bytes());
        bytes.extend(version.1.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend(65_535_u32.to_be_bytes());
        bytes.extend(link.to_be_bytes());
        for (seconds, fraction) in records {
            for field in [*seconds, *fraction, 60, 1_500] {
                bytes.extend(field.to_be_bytes());
            }
            bytes.extend(vec![9; header - 16]);
            bytes.extend([0xab; 60]);
        }
        bytes
    }

    fn walk(bytes: &[u8]) -> (Pcap, Vec<Packet>, Walked) {
        let mut pcap = Pcap::new(bytes, true, 3).unwrap();
        let mut packets = Vec::new();
        let walked = pcap.walk(&bytes[pcap.header..], pcap.header, &mut packets, 100);
        (pcap, packets, walked)
    }

    const TIMES: [(u32, u32); 3] = [
        (1_700_000_000, 5),
        (1_700_000_001, 999_999),
        (1_700_000_001, 7),
    ];

    #[test]
    fn microseconds_and_nanoseconds_are_told_apart_by_the_magic() {
        for (magic, unit, name) in [(0xa1b2_c3d4, 1_000, "pcap"), (0xa1b2_3c4d, 1, "pcap-ns")] {
            let bytes = file(magic, (2, 4), 1, 16, &TIMES);
            let (pcap, packets, walked) = walk(&bytes);
            assert_eq!(pcap.name, name);
            assert!(matches!(walked.stop, Stop::Needs(16)));
            assert_eq!(packets.len(), 3);
            for (number, (packet, (seconds, fraction))) in (1..).zip(packets.iter().zip(TIMES)) {
                assert_eq!(
                    packet.time,
                    Timestamp::new(i64::from(seconds), i64::from(fraction) * unit)
                );
                assert_eq!(packet.frame, Frame::new(3, number));
                assert_eq!((packet.captured, packet.wire), (60, 1_500));
                assert_eq!(bytes[packet.start as usize], 0xab);
            }
        }
    }

    #[test]
    fn little_endian_files_say_the_same() {
        let mut bytes = file(0xa1b2_c3d4, (2, 4), 0x114, 16, &TIMES);
        let (_, expected, _) = walk(&bytes);
        for at in [0, 16, 20] {
            bytes[at..at + 4].reverse();
        }
        for at in [4, 6] {
            bytes[at..at + 2].reverse();
        }
        for record in 0..3 {
            for field in 0..4 {
                let at = 24 + record * 76 + field * 4;
                bytes[at..at + 4].reverse();
            }
        }
        let (pcap, packets, _) = walk(&bytes);
        assert_eq!(packets, expected);
        assert_eq!(pcap.link(), LinkType(276));
    }

    #[test]
    fn longer_record_headers_are_recognised_by_the_records() {
        for (magic, header, name) in [
            (0xa1b2_c3d4, 24, "pcap-rh6.1"),
            (0xa1b2_c3d4, 20, "pcap-nokia"),
            (0xa1b2_cd34, 24, "pcap-modified"),
            (0xa1b2_cd34, 28, "pcap-suse6.3"),
        ] {
            let bytes = file(magic, (2, 4), 1, header, &TIMES);
            let (pcap, packets, walked) = walk(&bytes);
            assert_eq!(pcap.name, name);
            assert_eq!(packets.len(), 3, "{name}");
            assert!(
                packets
                    .iter()
                    .all(|packet| bytes[packet.start as usize..][..60] == [0xab; 60])
            );
            assert!(matches!(walked.stop, Stop::Needs(_)));
        }
    }

    #[test]
    fn odd_records_do_not_make_a_usual_file_an_odd_one() {
        // a captured length above the wire's, and clocks that jump by decades
        let mut bytes = file(
            0xa1b2_c3d4,
            (2, 4),
            1,
            16,
            &[(0, 0), (1_700_000_000, 5), (3, 2_000_000)],
        );
        bytes[24 + 15] = 1;
        let (pcap, packets, _) = walk(&bytes);
        assert_eq!((pcap.name, packets.len()), ("pcap", 3));
    }

    #[test]
    fn files_older_than_version_2_3_have_their_lengths_swapped() {
        let mut bytes = file(0xa1b2_c3d4, (2, 2), 1, 16, &TIMES);
        for record in 0..3 {
            let at = 24 + record * 76 + 8;
            bytes[at..at + 8].rotate_left(4);
        }
        let (_, packets, _) = walk(&bytes);
        assert_eq!(packets.len(), 3);
        assert!(
            packets
                .iter()
                .all(|packet| (packet.captured, packet.wire) == (60, 1_500))
        );
    }

    #[test]
    fn an_impossible_length_is_damage_at_its_record() {
        let mut bytes = file(0xa1b2_c3d4, (2, 4), 1, 16, &TIMES);
        bytes[24 + 2 * 76 + 8] = 0x10;
        let (_, packets, walked) = walk(&bytes);
        assert_eq!((packets.len(), walked.used), (2, 2 * 76));
        assert!(matches!(walked.stop, Stop::Damage(reason) if reason.contains("268435516")));
    }

    #[test]
    fn the_fcs_length_is_no_part_of_the_link_type() {
        let pcap = Pcap::new(&file(0xa1b2_c3d4, (2, 4), 0x5400_0001, 16, &[]), true, 0).unwrap();
        assert_eq!(pcap.link(), LinkType::ETHERNET);
        assert!(pcap.warnings.is_empty());
    }

    #[test]
    fn an_unknown_version_is_read_with_a_warning() {
        let pcap = Pcap::new(&file(0xa1b2_c3d4, (3, 0), 1, 16, &[]), true, 0).unwrap();
        assert_eq!(pcap.warnings.len(), 1);
    }

    #[test]
    fn the_walk_stops_at_the_limit_and_goes_on_from_there() {
        let bytes = file(0xa1b2_c3d4, (2, 4), 1, 16, &TIMES);
        let mut pcap = Pcap::new(&bytes, true, 0).unwrap();
        let mut packets = Vec::new();
        let walked = pcap.walk(&bytes[24..], 24, &mut packets, 2);
        assert!(matches!(walked.stop, Stop::Full));
        assert_eq!(walked.used, 2 * 76);
        pcap.walk(
            &bytes[24 + walked.used..],
            24 + walked.used,
            &mut packets,
            3,
        );
        assert_eq!(packets[2].frame.number(), 3);
    }
}
