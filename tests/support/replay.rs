//! Sends a capture's packets through an interface at their own speed.

use std::path::Path;
use std::time::{Duration, Instant};

use dpiscope::capture::{Batch, LinkType, Options, Run};

/// A packet as it goes over Ethernet.
struct Frame {
    after: Duration,
    bytes: Vec<u8>,
}

/// The packets of a capture, and the snap length that a listener needs to see of them what the capture has, where it cut any.
pub(crate) struct Replay {
    frames: Vec<Frame>,
    pub(crate) snap_length: Option<usize>,
    pub(crate) lasts: Duration,
}

/// Two addresses that no interface has, so that no host takes the packets for its own.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

const ETHERNET: usize = 14;

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
                if packet.captured < packet.wire {
                    replay.snap_length = Some(frame.len().max(ETHERNET));
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
        replay
    }

    /// Sends them all, each at its time.
    #[expect(
        clippy::disallowed_methods,
        reason = "a replay is the one test that runs in real time"
    )]
    pub(crate) fn send(&self, interface: &str) {
        let mut wire = pcap::Capture::from_device(interface)
            .and_then(pcap::Capture::open)
            .expect("an interface to send on");
        let start = Instant::now();
        for frame in &self.frames {
            std::thread::sleep(frame.after.saturating_sub(start.elapsed()));
            wire.sendpacket(frame.bytes.as_slice()).expect("sent");
        }
    }
}
