//! RTP and RTCP (RFC 3550), also encrypted: headers stay in clear in SRTP (RFC 3711).
//!
//! A header of RTP is two fixed bits, so one datagram proves nothing. [`RtpSide`] believes a source when several of its packets agree on
//! SSRC and payload type and their numbers advance.

/// Sources of one direction that are followed at a time: audio, video, their retransmissions.
const MAX_STREAMS: usize = 4;

/// Packets of one source that must agree.
const PROOF: u32 = 3;

/// A step of the sequence number beyond this is a restart, not loss (RFC 3550, appendix A.1: `MAX_DROPOUT`).
const MAX_STEP: u16 = 3_000;

/// A step back within this is reordering (RFC 3550, appendix A.1: `MAX_MISORDER`).
const MAX_BACK: u16 = 100;

/// The fixed part of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RtpHeader {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Whether the marker bit is set: the last packet of a frame, or the first after silence.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Time stamp in units of the codec's clock.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
}

/// The head of an RTCP packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RtcpHeader {
    /// 200 sender report, 201 receiver report, 202 to 207 others.
    pub packet_type: u8,
    /// Who sends it.
    pub ssrc: u32,
}

/// Reads a header of RTP; payload types that look like RTCP are refused, with the marker bit and without (RFC 5761, section 4).
#[must_use]
pub fn header(payload: &[u8]) -> Option<RtpHeader> {
    let [first, kind, n0, n1, t0, t1, t2, t3, s0, s1, s2, s3] = *payload.first_chunk::<12>()?;
    if first >> 6 != 2 || (64..=95).contains(&(kind & 0x7f)) {
        return None;
    }
    let sources = 12 + 4 * usize::from(first & 0x0f);
    let head = if first & 0x10 == 0 {
        sources
    } else {
        let [_, _, l0, l1] = *payload.get(sources..)?.first_chunk::<4>()?;
        sources + 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]))
    };
    (head <= payload.len()).then_some(RtpHeader {
        payload_type: kind & 0x7f,
        marker: kind & 0x80 != 0,
        sequence: u16::from_be_bytes([n0, n1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
    })
}

/// Reads the first head of a compound RTCP packet.
#[must_use]
pub fn rtcp(payload: &[u8]) -> Option<RtcpHeader> {
    let [first, kind, l0, l1, s0, s1, s2, s3] = *payload.first_chunk::<8>()?;
    let length = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
    let ours =
        first >> 6 == 2 && (192..=223).contains(&kind) && (8..=payload.len()).contains(&length);
    ours.then_some(RtcpHeader {
        packet_type: kind,
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    ssrc: u32,
    payload_type: u8,
    highest: u16,
    /// The number that came last: a packet that comes again at once shows nothing new.
    last: u16,
    /// Packets in steps that RTP allows; 0 means the place is free.
    packets: u32,
    missing: u32,
}

/// The media of one direction of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtpSide {
    sources: [Source; MAX_STREAMS],
    /// Packets and gaps of sources that gave up their place.
    past_packets: u32,
    past_missing: u32,
    proven: bool,
}

impl RtpSide {
    /// Takes the next header of this direction.
    pub fn take(&mut self, header: &RtpHeader) {
        let known = (self.sources.iter_mut())
            .find(|source| source.packets > 0 && source.ssrc == header.ssrc);
        if let Some(source) = known {
            if header.sequence == source.last {
                return;
            }
            source.last = header.sequence;
            let forward = header.sequence.wrapping_sub(source.highest);
            let back = source.highest.wrapping_sub(header.sequence);
            if (1..=MAX_STEP).contains(&forward) {
                source.highest = header.sequence;
                source.packets = source.packets.saturating_add(1);
                source.missing = source.missing.saturating_add(u32::from(forward - 1));
            } else if (1..=MAX_BACK).contains(&back) {
                // A late one was counted as missing before.
                source.packets = source.packets.saturating_add(1);
                source.missing = source.missing.saturating_sub(1);
            } else if forward != 0 {
                source.highest = header.sequence;
            }
            self.proven |= source.packets >= PROOF;
            return;
        }
        // The quietest source gives up its place; what it has proven stays counted.
        let Some(place) = self.sources.iter_mut().min_by_key(|source| source.packets) else {
            return;
        };
        if place.packets >= PROOF {
            self.past_packets = self.past_packets.saturating_add(place.packets);
            self.past_missing = self.past_missing.saturating_add(place.missing);
        }
        *place = Source {
            ssrc: header.ssrc,
            payload_type: header.payload_type,
            highest: header.sequence,
            last: header.sequence,
            packets: 1,
            missing: 0,
        };
    }

    /// Whether some source has shown that this is RTP.
    #[must_use]
    pub const fn is_rtp(&self) -> bool {
        self.proven
    }

    /// Packets of sources that are proven.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.proven_sources()
            .fold(self.past_packets, |sum, source| {
                sum.saturating_add(source.packets)
            })
    }

    /// Packets that gaps in their numbers show as missing: lost, or never captured.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.proven_sources()
            .fold(self.past_missing, |sum, source| {
                sum.saturating_add(source.missing)
            })
    }

    /// Payload types of proven sources, in the order of their places.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.proven_sources().map(|source| source.payload_type)
    }

    fn proven_sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.packets >= PROOF)
    }
}

/// Holds for all inputs: headers lie within their packet, and no count exceeds what was taken. For tests and fuzzing.
///
/// # Panics
/// When the property is violated.
pub fn assert_counts(payloads: &[Vec<u8>]) {
    let mut side = RtpSide::default();
    let mut taken = 0;
    for payload in payloads {
        let _ = rtcp(payload);
        if let Some(header) = header(payload) {
            side.take(&header);
            taken += 1;
        }
    }
    assert!(side.packets() <= taken);
    assert!(side.is_rtp() || side.packets() == 0);
    assert!(side.missing() <= taken.saturating_mul(u32::from(MAX_STEP)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::{bytes, capture};

    fn packet(ssrc: u32, sequence: u16) -> RtpHeader {
        RtpHeader {
            payload_type: 120,
            marker: false,
            sequence,
            timestamp: 0,
            ssrc,
        }
    }

    fn side(sequences: &[u16]) -> RtpSide {
        let mut side = RtpSide::default();
        for sequence in sequences {
            side.take(&packet(7, *sequence));
        }
        side
    }

    #[test]
    fn gaps_are_missing_packets_and_late_ones_are_not() {
        assert_eq!(side(&[10, 11, 12, 13]).missing(), 0);
        assert_eq!(side(&[10, 11, 15, 16]).missing(), 3);
        assert_eq!(side(&[10, 12, 11, 13]).missing(), 0);
        assert_eq!(side(&[65_534, 65_535, 1, 2]).missing(), 1);
        assert_eq!(side(&[10, 11, 12, 40_000, 40_001]).missing(), 0);
        assert!(!side(&[10, 10, 10, 10]).is_rtp());
        // found by fuzzing: a late packet that is sent again
        assert!(!side(&[10, 8, 8, 8]).is_rtp());
    }

    #[test]
    fn it_takes_several_packets_of_one_source() {
        assert!(!side(&[1, 2]).is_rtp());
        assert!(side(&[1, 2, 3]).is_rtp());
        let mut noise = RtpSide::default();
        for i in 0..100_u32 {
            noise.take(&packet(i.wrapping_mul(2_654_435_761), i as u16));
        }
        assert!(!noise.is_rtp());
        assert_eq!(noise.packets(), 0);
    }

    #[test]
    fn headers_are_read_with_sources_and_extension() {
        let plain = header(&bytes("80f812340000000100000007ff")).unwrap();
        assert_eq!(
            (plain.payload_type, plain.marker, plain.sequence, plain.ssrc),
            (120, true, 0x1234, 7)
        );
        assert!(
            header(&bytes(
                "91781234000000010000000700000001bede0001000000000000"
            ))
            .is_some()
        );
        assert!(
            header(&bytes(
                "91781234000000010000000700000001bede0009000000000000"
            ))
            .is_none()
        );
        assert!(header(&bytes("80c812340000000100000007ff")).is_none());
        assert_eq!(
            rtcp(&bytes("80c80001deadbeef")),
            Some(RtcpHeader {
                packet_type: 200,
                ssrc: 0xdead_beef
            })
        );
        assert_eq!(rtcp(&bytes("80c80009deadbeef")), None);
    }

    #[test]
    fn a_real_call_has_media_both_ways() {
        let Some(packets) = capture("ndpi__wa_voice.pcap") else {
            return;
        };
        let mut sides = [RtpSide::default(), RtpSide::default()];
        for packet in &packets {
            let up = packet.from.1 == 56328;
            if (up || packet.to.1 == 56328)
                && let Some(header) = header(&packet.payload)
            {
                sides[usize::from(!up)].take(&header);
            }
        }
        for side in &sides {
            assert!(side.is_rtp() && side.packets() > 20, "{side:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn counts_hold_for_any_packets(payloads in proptest::collection::vec(proptest::collection::vec(0x78_u8..0x98, 0..40), 0..30)) {
            assert_counts(&payloads);
        }
    }
}
