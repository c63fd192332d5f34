//! Sends a capture's packets through an interface at their own speed.

use std::path::Path;
use std::time::{Duration, Instant};

use dpiscope::capture::{Batch, LinkType, Options, Run};

/// A packet as it goes over Ethernet.
struct Frame {
    after: Duration,
    bytes: Vec<u8>,
}

/// The packets of a capture, and its snap length, if all that are longer were cut to it. Where some were cut and longer ones were not, no listener can be
/// made to see the same; what is missing is zero then.
pub(crate) struct Replay {
    frames: Vec<Frame>,
    pub(crate) snap_length: Option<usize>,
    pub(crate) lasts: Duration,
}

/// Two addresses that no interface has, so that no host takes the packets for its own.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

impl Replay {
    /// Reads a capture of Ethernet, raw IP or Linux "cooked" packets; what was cut is filled up to its length on the wire.
    pub(crate) fn read(path: &Path) -> Self {
        let (mut run, errors) = Run::open(&[path.to_owned()], &Options::default());
        assert!(errors.is_empty(), "{errors:?}");
        let mut replay = Self {
            frames: Vec::new(),
            snap_length: None,
            lasts: Duration::ZERO,
        };
        let (mut batch, mut first) = (Batch::default(), None);
        let (mut cut, mut longest) = (None, 0);
        while run.next(&mut batch) {
            for packet in &batch.packets {
                let bytes = batch.bytes_of(packet);
                // the bytes in front of IP, and what stands for them
                let (skip, mut frame) = match packet.link {
                    LinkType::ETHERNET => (0, Vec::new()),
                    LinkType::RAW => {
                        let ip = if bytes[0] >> 4 == 6 {
                            [0x86, 0xdd]
                        } else {
                            [8, 0]
                        };
                        (0, [&ADDRESSES[..], &ip].concat())
                    }
                    LinkType(113) => (16, [&ADDRESSES[..], &bytes[14..16]].concat()),
                    other => panic!("{}: {} cannot be replayed", path.display(), other.name()),
                };
                frame.extend_from_slice(&bytes[skip..]);
                longest = longest.max(frame.len());
                if packet.captured < packet.wire {
                    cut = cut.max(Some(frame.len()));
                    frame.resize(frame.len() + (packet.wire - packet.captured) as usize, 0);
                }
                let since = packet.time.since(*first.get_or_insert(packet.time));
                let after = Duration::from_nanos(since.try_into().unwrap_or(0));
                replay.lasts = replay.lasts.max(after);
                replay.frames.push(Frame {
                    after,
                    bytes: frame,
                });
            }
        }
        replay.snap_length = cut.filter(|cut| *cut >= longest);
        replay
    }

    /// Sends them over and over for so many seconds, `rate` packets a second as far as this machine can, from other addresses each time. Gives how many.
    #[expect(
        clippy::disallowed_methods,
        reason = "a flood is measured in real time"
    )]
    pub(crate) fn flood(&mut self, interface: &str, rate: u64, seconds: u64) -> u64 {
        let mut wire = pcap::Capture::from_device(interface)
            .and_then(pcap::Capture::open)
            .expect("an interface to send on");
        let (start, mut sent, mut round) = (Instant::now(), 0, 0_u16);
        while start.elapsed() < Duration::from_secs(seconds) {
            round = round.wrapping_add(1);
            for frame in &mut self.frames {
                if sent % 256 == 0 {
                    let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                    std::thread::sleep(due.saturating_sub(start.elapsed()));
                }
                // the middle octets of both IPv4 addresses: both directions of a flow change alike
                for at in [27, 31] {
                    if frame.bytes[12..14] == [8, 0] {
                        frame.bytes[at] ^= (round ^ round.wrapping_sub(1)) as u8;
                        frame.bytes[at + 1] ^= ((round ^ round.wrapping_sub(1)) >> 8) as u8;
                    }
                }
                wire.sendpacket(frame.bytes.as_slice()).expect("sent");
                sent += 1;
            }
        }
        sent
    }

    /// Sends them all, each at its time; gives how late the latest of them was.
    #[expect(
        clippy::disallowed_methods,
        reason = "a replay is the one test that runs in real time"
    )]
    pub(crate) fn send(&self, interface: &str) -> Duration {
        let mut wire = pcap::Capture::from_device(interface)
            .and_then(pcap::Capture::open)
            .expect("an interface to send on");
        let start = Instant::now();
        let mut late = Duration::ZERO;
        for frame in &self.frames {
            std::thread::sleep(frame.after.saturating_sub(start.elapsed()));
            wire.sendpacket(frame.bytes.as_slice()).expect("sent");
            late = late.max(start.elapsed().saturating_sub(frame.after));
        }
        late
    }
}
