use crate::decode::{Decoded, Segment, Transport};
use crate::types::{Frame, Seq, Side, Timestamp};

use super::packet::PacketKind;

/// One packet of a flow, as the log keeps it until somebody measures: 48 bytes, so that five of them and a link fill four cache lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    /// TCP sequence number; UDP: see [`Datagram`]; ICMP: type * 256 + code.
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    tsval: u32,
    tsecr: u32,
    /// On a SYN the options that only a SYN has, else the highest SACK edge.
    extra: u32,
    frame_number: u32,
    frame_capture: u16,
    payload: u16,
    pub(super) window: u16,
    /// IPv4 identification, or the IPv6 flow label, folded: a packet has one of them, and the bit `IP_ID` says which.
    ip_id: u16,
    bits: u16,
    pub(super) flags: u8,
    pub(super) hop_limit: u8,
    pub(super) traffic_class: u8,
    /// Bytes of IP and transport headers, saturating.
    header: u8,
    pub(super) layout: u8,
    /// Folded payload: equal bytes give equal digests.
    pub(super) digest: u8,
}

const _: () = assert!(
    size_of::<Record>() == 48,
    "five records and a link are sized to four cache lines"
);

const KIND: u16 = 0x1f;
const SIDE_B: u16 = 1 << 5;
const TIMESTAMPS: u16 = 1 << 6;
const IP_ID: u16 = 1 << 7;
const DONT_FRAGMENT: u16 = 1 << 8;
const SACK: u16 = 1 << 9;
const DSACK: u16 = 1 << 10;
const SNAPPED: u16 = 1 << 11;

/// What the application stage says of a UDP datagram, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datagram {
    /// What it is.
    pub kind: PacketKind,
    /// RTP sequence number or a fold of the STUN transaction.
    pub number: u32,
    /// RTP synchronisation source.
    pub stream: u32,
}

/// The options that only a SYN carries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SynOptions {
    pub(super) mss: Option<u16>,
    pub(super) window_scale: Option<u8>,
    pub(super) sack_permitted: bool,
}

/// All kinds in the order of their numbers.
const KINDS: [PacketKind; 16] = [
    PacketKind::Tcp,
    PacketKind::QuicInitial,
    PacketKind::QuicLong,
    PacketKind::QuicShort,
    PacketKind::StunRequest,
    PacketKind::StunSuccess,
    PacketKind::StunError,
    PacketKind::StunIndication,
    PacketKind::ChannelData,
    PacketKind::DtlsHello,
    PacketKind::DtlsOther,
    PacketKind::Rtp,
    PacketKind::Rtcp,
    PacketKind::Dns,
    PacketKind::Datagram,
    PacketKind::Icmp,
];

impl Record {
    pub(super) fn new(
        time: Timestamp,
        frame: Frame,
        side: Side,
        packet: &Decoded<'_>,
        datagram: Datagram,
    ) -> Self {
        let mut record = Self {
            time,
            frame_number: u32::try_from(frame.number()).unwrap_or(u32::MAX),
            frame_capture: frame.capture(),
            payload: u16::try_from(packet.payload_length).unwrap_or(u16::MAX),
            ip_id: packet.ip_id.unwrap_or_else(|| folded(packet.flow_label)),
            hop_limit: packet.hop_limit,
            traffic_class: packet.traffic_class,
            header: u8::try_from(packet.ip_length.saturating_sub(packet.payload_length))
                .unwrap_or(u8::MAX),
            digest: digest(packet.payload),
            ..Self::default()
        };
        let mut bits = if side == Side::B { SIDE_B } else { 0 };
        if packet.ip_id.is_some() {
            bits |= IP_ID;
        }
        if packet.dont_fragment {
            bits |= DONT_FRAGMENT;
        }
        if (packet.payload.len() as u64) < u64::from(packet.payload_length) {
            bits |= SNAPPED;
        }
        match packet.transport {
            Transport::Tcp(segment) => {
                record.seq = segment.seq;
                record.ack = segment.ack;
                record.flags = segment.flags;
                record.window = segment.window;
                if !segment.options.is_empty() {
                    bits |= record.options(&segment);
                }
            }
            Transport::Udp => {
                bits |= kind_number(datagram.kind);
                record.seq = Seq(datagram.number);
                record.ack = Seq(datagram.stream);
            }
            Transport::Icmp(error) => {
                bits |= kind_number(PacketKind::Icmp);
                record.seq = Seq(u32::from(error.kind) << 8 | u32::from(error.code));
                record.ack = Seq(u32::from(error.from_peer));
                record.payload = 0;
            }
        }
        record.bits = bits;
        record
    }

    /// Notes a segment's options; gives the bits that they set.
    fn options(&mut self, segment: &Segment<'_>) -> u16 {
        let options = segment.options();
        let mut bits = 0;
        self.layout = (options.layout ^ options.layout >> 8) as u8;
        if let Some((value, echo)) = options.timestamps {
            (self.tsval, self.tsecr) = (value, echo);
            bits |= TIMESTAMPS;
        }
        if segment.flags & 0x02 != 0 {
            self.extra = u32::from(options.mss.unwrap_or_default())
                | options
                    .window_scale
                    .map_or(0, |shift| u32::from(shift) << 16 | 1 << 24)
                | u32::from(options.sack_permitted) << 25;
        } else if options.sack_blocks > 0 {
            bits |= SACK;
            let blocks = options
                .sack
                .get(..usize::from(options.sack_blocks))
                .unwrap_or_default();
            if let [first, rest @ ..] = blocks {
                self.extra = rest
                    .iter()
                    .fold(first.1, |high, block| high.later(block.1))
                    .0;
                // RFC 2883, section 4: a first block below the cumulative acknowledgement, or inside the second, reports a duplicate
                let inside = rest
                    .first()
                    .is_some_and(|second| !second.0.after(first.0) && !first.1.after(second.1));
                if !first.1.after(segment.ack) || inside {
                    bits |= DSACK;
                }
            }
        }
        bits
    }

    pub(super) fn frame(&self) -> Frame {
        Frame::new(self.frame_capture, u64::from(self.frame_number))
    }

    pub(super) fn kind(&self) -> PacketKind {
        KINDS
            .get(usize::from(self.bits & KIND))
            .copied()
            .unwrap_or_default()
    }

    pub(super) const fn side(&self) -> Side {
        if self.bits & SIDE_B == 0 {
            Side::A
        } else {
            Side::B
        }
    }

    pub(super) const fn payload(&self) -> u32 {
        self.payload as u32
    }

    pub(super) const fn ip_length(&self) -> u32 {
        self.payload as u32 + self.header as u32
    }

    pub(super) const fn timestamps(&self) -> Option<(u32, u32)> {
        if self.bits & TIMESTAMPS == 0 {
            None
        } else {
            Some((self.tsval, self.tsecr))
        }
    }

    pub(super) const fn ip_id(&self) -> Option<u16> {
        if self.bits & IP_ID == 0 {
            None
        } else {
            Some(self.ip_id)
        }
    }

    /// The IPv6 flow label, folded to 16 bits; none in IPv4.
    pub(super) const fn flow_label(&self) -> Option<u16> {
        if self.bits & IP_ID == 0 {
            Some(self.ip_id)
        } else {
            None
        }
    }

    pub(super) const fn dont_fragment(&self) -> bool {
        self.bits & DONT_FRAGMENT != 0
    }

    pub(super) const fn sack_high(&self) -> Option<Seq> {
        if self.bits & SACK == 0 {
            None
        } else {
            Some(Seq(self.extra))
        }
    }

    pub(super) const fn dsack(&self) -> bool {
        self.bits & DSACK != 0
    }

    pub(super) const fn snapped(&self) -> bool {
        self.bits & SNAPPED != 0
    }

    pub(super) const fn is_tcp(&self) -> bool {
        self.bits & KIND == 0
    }

    /// A TCP segment with RST.
    pub(super) const fn is_reset(&self) -> bool {
        self.is_tcp() && self.flags & 0x04 != 0
    }

    pub(super) const fn syn_options(&self) -> SynOptions {
        let mss = self.extra as u16;
        SynOptions {
            mss: if mss == 0 { None } else { Some(mss) },
            window_scale: if self.extra >> 24 & 1 == 0 {
                None
            } else {
                Some((self.extra >> 16) as u8)
            },
            sack_permitted: self.extra >> 25 & 1 != 0,
        }
    }

    /// Whether both are one packet that was captured twice: the same bytes but for hop limit and checksum, within 10 ms.
    ///
    /// Two different packets of one sender can agree in all bytes when it does not number its packets (IPv6, or identification 0): a pure
    /// acknowledgement that is repeated, or a burst of resets. So without a number only packets with payload, SYN or FIN count.
    pub(super) fn duplicates(&self, earlier: &Self) -> bool {
        /// The contract's window.
        const WINDOW_NS: i64 = 10_000_000;
        self.time.since(earlier.time).abs() <= WINDOW_NS
            && self.seq == earlier.seq
            && self.bits == earlier.bits
            && self.ack == earlier.ack
            && self.payload == earlier.payload
            && self.flags == earlier.flags
            && self.window == earlier.window
            && self.ip_id == earlier.ip_id
            && self.digest == earlier.digest
            && (self.tsval, self.tsecr, self.extra) == (earlier.tsval, earlier.tsecr, earlier.extra)
            && self.flags & 0x04 == 0
            && (self.ip_id().is_some_and(|id| id != 0)
                || self.is_tcp() && (self.payload > 0 || self.flags & 0x03 != 0))
    }
}

/// The 20 bits of a flow label in 16: equal labels stay equal, and only 0 becomes 0.
const fn folded(label: u32) -> u16 {
    let fold = (label ^ label >> 16) as u16;
    if fold == 0 && label != 0 { 1 } else { fold }
}

fn kind_number(kind: PacketKind) -> u16 {
    KINDS
        .iter()
        .position(|known| *known == kind)
        .unwrap_or_default() as u16
}

/// A byte that is equal for equal payloads; looks at the first and last eight bytes, which differ between any two messages of a
/// conversation with a fair chance, and costs no more for large payloads.
fn digest(payload: &[u8]) -> u8 {
    let head = payload
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let tail = payload
        .last_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    ((head ^ tail.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}
