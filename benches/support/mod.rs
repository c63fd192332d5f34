//! Captures for the benches, made here so that anybody can make them again: the same seed gives the same bytes.
//!
//! Addresses are those set aside for benchmarks and documentation (RFC 2544, RFC 5737), checksums are left at 0: nobody here looks at them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Payload of a full segment with time stamps on a 1500-byte path.
pub(crate) const FULL: usize = 1448;

/// What a capture is made of. Counts are those of full size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Corpus {
    /// 10 M packets of 74 bytes over 1 M flows, each of a random flow: every look-up misses every cache.
    Random,
    /// As many packets over as many flows, in bursts over some thousand flows at a time, each from handshake to close.
    Bursts,
    /// 2 GB of 1448-byte segments over 20,000 flows that began with a handshake and a ClientHello.
    Bulk,
    /// 5 M SYNs, each a flow of its own.
    Syns,
}

impl Corpus {
    pub(crate) const ALL: [Self; 4] = [Self::Random, Self::Bursts, Self::Bulk, Self::Syns];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Bursts => "bursts",
            Self::Bulk => "bulk",
            Self::Syns => "syns",
        }
    }

    /// Writes it to `path`, at `scale` times full size; gives the number of packets.
    pub(crate) fn write(self, path: &Path, scale: f64) -> io::Result<u64> {
        let scaled = |full: u32| ((f64::from(full) * scale) as u32).max(1);
        let mut capture = Capture::create(path)?;
        match self {
            Self::Random => random(&mut capture, scaled(10_000_000), scaled(1_000_000))?,
            Self::Bursts => bursts(&mut capture, scaled(10_000_000))?,
            Self::Bulk => bulk(&mut capture, scaled(1_381_215), scaled(20_000))?,
            Self::Syns => {
                for flow in 0..scaled(5_000_000) {
                    capture.packet(&Conversation::new(flow).syn())?;
                }
            }
        }
        capture.finish()
    }
}

fn random(capture: &mut Capture, packets: u32, flows: u32) -> io::Result<()> {
    let mut dice = Dice(1);
    let mut all: Vec<_> = (0..flows).map(Conversation::new).collect();
    for _ in 0..packets {
        let chosen = dice.below(flows) as usize;
        if let Some(conversation) = all.get_mut(chosen) {
            capture.packet(&conversation.next(&mut dice))?;
        }
    }
    Ok(())
}

fn bursts(capture: &mut Capture, packets: u32) -> io::Result<()> {
    /// Flows that are alive together, as behind a busy access link.
    const ALIVE: u32 = 4096;
    /// Packets of a flow, on average, so that there are as many flows as in the other capture.
    const LENGTH: u32 = 10;
    let mut dice = Dice(2);
    let mut made = ALIVE;
    let mut alive: Vec<_> = (0..ALIVE).map(Conversation::new).collect();
    let mut left = packets;
    while left > 0 {
        let chosen = dice.below(ALIVE) as usize;
        let Some(conversation) = alive.get_mut(chosen) else {
            break;
        };
        for _ in 0..(1 + dice.below(7)).min(left) {
            if conversation.sent >= 4 && dice.below(LENGTH - 7) == 0 {
                for packet in conversation.close() {
                    capture.packet(&packet)?;
                }
                left = left.saturating_sub(3);
                *conversation = Conversation::new(made);
                made += 1;
                break;
            }
            left -= 1;
            capture.packet(&conversation.next(&mut dice))?;
        }
    }
    Ok(())
}

fn bulk(capture: &mut Capture, segments: u32, flows: u32) -> io::Result<()> {
    /// Segments that arrive back to back before the receiver acknowledges them.
    const TRAIN: u32 = 8;
    let mut dice = Dice(3);
    let mut all: Vec<_> = (0..flows).map(Conversation::new).collect();
    for (flow, conversation) in all.iter_mut().enumerate() {
        for _ in 0..3 {
            capture.packet(&conversation.next(&mut dice))?;
        }
        capture.packet(&conversation.up(&client_hello(&format!("cdn{flow}.example.net"))))?;
    }
    let payload: Vec<u8> = (0..FULL).map(|_| dice.next() as u8).collect();
    let mut left = segments;
    while left > 0 {
        let chosen = dice.below(flows) as usize;
        let Some(conversation) = all.get_mut(chosen) else {
            break;
        };
        for _ in 0..TRAIN.min(left) {
            left -= 1;
            capture.packet(&conversation.down(&payload))?;
        }
        capture.packet(&conversation.up(&[]))?;
    }
    Ok(())
}

/// Numbers that look random and are the same every time (splitmix64; Steele, Lea, Flood, OOPSLA 2014).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        (((self.next() >> 32) * u64::from(limit)) >> 32) as u32
    }
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// What either side says in a small packet: nothing that any recogniser would wait for more of.
const SAID: [u8; 8] = [0; 8];

/// One TCP connection and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    client: [u8; 4],
    server: [u8; 4],
    port: u16,
    next_up: u32,
    next_down: u32,
    pub(crate) sent: u32,
}

impl Conversation {
    /// Connection `number`, between ends that no other number has.
    pub(crate) fn new(number: u32) -> Self {
        let [_, a, b, c] = (number >> 4).to_be_bytes();
        Self {
            client: [10, a, b, c],
            server: [
                198,
                18 + (number & 1) as u8,
                (number >> 8) as u8,
                number as u8,
            ],
            port: 32_768 + (number & 0xf) as u16,
            next_up: number.wrapping_mul(0x9e37_79b1),
            next_down: number.wrapping_mul(0x85eb_ca6b),
            sent: 0,
        }
    }

    /// The next small packet of its life: SYN, SYN/ACK, acknowledgement, then 8 bytes from either side.
    pub(crate) fn next(&mut self, dice: &mut Dice) -> Vec<u8> {
        match self.sent {
            0 => self.syn(),
            1 => self.segment(false, SYN | ACK, &[]),
            2 => self.up(&SAID),
            _ if dice.below(2) == 0 => self.up(&SAID),
            _ => self.down(&SAID),
        }
    }

    pub(crate) fn syn(&mut self) -> Vec<u8> {
        self.segment(true, SYN, &[])
    }

    pub(crate) fn up(&mut self, payload: &[u8]) -> Vec<u8> {
        self.segment(true, ACK | PSH, payload)
    }

    pub(crate) fn down(&mut self, payload: &[u8]) -> Vec<u8> {
        self.segment(false, ACK, payload)
    }

    /// An orderly end: both sides' FINs and the last acknowledgement.
    pub(crate) fn close(&mut self) -> [Vec<u8>; 3] {
        [
            self.segment(true, ACK | FIN, &[]),
            self.segment(false, ACK | FIN, &[]),
            self.segment(true, ACK, &[]),
        ]
    }

    fn segment(&mut self, up: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
        self.sent += 1;
        let [tick_a, tick_b, tick_c, tick_d] = self.sent.to_be_bytes();
        let options: &[u8] = if flags & SYN == 0 {
            &[1, 1, 8, 10, tick_a, tick_b, tick_c, tick_d, 0, 0, 0, 1]
        } else {
            &[
                2, 4, 5, 0xb4, 4, 2, 8, 10, tick_a, tick_b, tick_c, tick_d, 0, 0, 0, 0, 1, 3, 3, 7,
            ]
        };
        let length = 40 + options.len() + payload.len();
        let mut packet = Vec::with_capacity(14 + length);
        packet.extend([
            2,
            0,
            0,
            0,
            0,
            u8::from(up),
            2,
            0,
            0,
            0,
            0,
            u8::from(!up),
            8,
            0,
        ]);
        packet.extend([0x45, 0]);
        packet.extend((length as u16).to_be_bytes());
        packet.extend([tick_c, tick_d, 0x40, 0, if up { 64 } else { 52 }, 6, 0, 0]);
        let (ends, ports, seq, ack) = if up {
            (
                [self.client, self.server],
                [self.port, 443],
                self.next_up,
                self.next_down,
            )
        } else {
            (
                [self.server, self.client],
                [443, self.port],
                self.next_down,
                self.next_up,
            )
        };
        packet.extend(ends.as_flattened());
        packet.extend(ports.map(u16::to_be_bytes).as_flattened());
        packet.extend(seq.to_be_bytes());
        packet.extend(if flags & ACK == 0 { 0 } else { ack }.to_be_bytes());
        packet.extend([((20 + options.len()) * 4) as u8, flags, 0x20, 0, 0, 0, 0, 0]);
        packet.extend(options);
        packet.extend(payload);
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let next = if up {
            &mut self.next_up
        } else {
            &mut self.next_down
        };
        *next = next.wrapping_add(taken);
        packet
    }
}

/// A ClientHello for `name` (RFC 8446, section 4.1.2) as small as it may be.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    fn with_length(bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u16;
        [&length.to_be_bytes(), bytes].concat()
    }
    let entry = [&[0][..], &with_length(name.as_bytes())].concat();
    let names = [&[0, 0][..], &with_length(&with_length(&entry))].concat();
    let versions = [0, 43, 0, 3, 2, 3, 4];
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &with_length(&[0x13, 1, 0x13, 2]),
        &[1, 0],
        &with_length(&[&names[..], &versions].concat()),
    ]
    .concat();
    let message = [&[1, 0][..], &with_length(&body)].concat();
    [&[22, 3, 1][..], &with_length(&message)].concat()
}

/// A classic pcap file, a microsecond a packet.
struct Capture {
    out: BufWriter<File>,
    packets: u64,
}

impl Capture {
    fn create(path: &Path) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, packets: 0 })
    }

    fn packet(&mut self, bytes: &[u8]) -> io::Result<()> {
        /// 2025-06-15, 15:06:40 UTC.
        const START: u32 = 1_750_000_000;
        let length = bytes.len() as u32;
        let (seconds, micros) = (self.packets / 1_000_000, self.packets % 1_000_000);
        for word in [START + seconds as u32, micros as u32, length, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.packets += 1;
        self.out.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.packets)
    }
}
