//! The way between the two hosts: two TUN devices, what lies between them, and a record of what passed at either face.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tun_rs::SyncDevice;

use crate::censor::{Censor, Rule, Verdict, Way};
use crate::packet;

/// One stretch of the way in one direction.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub delay_ms: f64,
    pub jitter_ms: f64,
    pub hops: u8,
    pub loss: f64,
    /// Share of packets that come late, and by how much at most.
    pub reorder: (f64, f64),
    /// A link of so many bit/s with a queue of so many bytes, shared by all.
    pub link: Option<(f64, f64)>,
    /// Packets longer than this vanish.
    pub largest: Option<usize>,
    /// From when, for how long, nothing passes; held back (true) or lost.
    pub outage: Option<(Duration, Duration, bool)>,
}

impl Stretch {
    pub fn new(delay_ms: f64, hops: u8) -> Self {
        Self {
            delay_ms,
            jitter_ms: 0.0,
            hops,
            loss: 0.0,
            reorder: (0.0, 0.0),
            link: None,
            largest: None,
            outage: None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Way4 {
    pub client_to_box: Stretch,
    pub box_to_server: Stretch,
    pub server_to_box: Stretch,
    pub box_to_client: Stretch,
}

/// A NAT that gives a flow another client port at some time.
#[derive(Clone, Debug)]
pub struct Rebind {
    pub client: SocketAddr,
    pub at: Duration,
    pub port: u16,
}

pub struct Setup {
    pub way: Way4,
    pub rules: Vec<Rule>,
    pub rebinds: Vec<Rebind>,
    pub seed: u64,
}

#[derive(Clone)]
pub struct Record {
    pub at: Duration,
    pub way: Way,
    pub bytes: Vec<u8>,
    pub forged: bool,
}

#[derive(Default)]
pub struct Counters {
    pub dropped: HashMap<&'static str, u32>,
    pub path_loss: u32,
    pub queue_drop: u32,
    /// The longest that a packet waited for a link.
    pub queue_ms_max: f64,
    /// Packets made late on purpose, and packets held back by an outage.
    pub reordered: u32,
    pub held: u32,
    pub injected: u32,
    pub late_ms_max: f64,
    pub late_over_2ms: u32,
}

pub struct Outcome {
    pub client: Vec<Record>,
    pub server: Vec<Record>,
    /// At the box, on its client's side.
    pub path: Vec<Record>,
    pub counters: Counters,
    pub censor: Censor,
}

struct Line {
    stretch: Stretch,
    busy: Instant,
    /// When the last packet of each far host gets through: packets of one host keep their order.
    last: HashMap<IpAddr, Instant>,
}

struct Item {
    at: Instant,
    number: u64,
    to: Stop,
    bytes: Vec<u8>,
    forged: bool,
}
#[derive(Clone, Copy)]
enum Stop {
    /// Has come to the box, going that way.
    Box(Way),
    /// Leaves the box (again).
    Leave(Way),
    /// Has come to the face.
    Face(Way),
}
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Item {}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

struct Router {
    lines: [Line; 4],
    begin: Instant,
    heap: BinaryHeap<Reverse<Item>>,
    number: u64,
    random: StdRng,
    out: Outcome,
    rebinds: Vec<Rebind>,
    seed: u64,
}

/// How much farther than the base path a server is: hops, and a share of the delay behind the box.
fn farther(server: IpAddr, seed: u64) -> (u8, f64) {
    let fold = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
    let h = match server {
        IpAddr::V4(a) => a.octets().iter().fold(seed, fold),
        IpAddr::V6(a) => a.octets().iter().fold(seed, fold),
    };
    ((h >> 20) as u8 % 5, ((h >> 32) % 100) as f64 / 100.0 * 0.8)
}

const CLIENT_BOX: usize = 0;
const BOX_SERVER: usize = 1;
const SERVER_BOX: usize = 2;
const BOX_CLIENT: usize = 3;

impl Router {
    fn push(&mut self, at: Instant, to: Stop, bytes: Vec<u8>, forged: bool) {
        self.number += 1;
        self.heap.push(Reverse(Item {
            at,
            number: self.number,
            to,
            bytes,
            forged,
        }));
    }

    /// Sends a packet along one stretch: when it is through, or why it is not.
    fn travel(&mut self, line: usize, bytes: &mut [u8], now: Instant) -> Option<Instant> {
        let l = &mut self.lines[line];
        let s = &l.stretch;
        let (source, target) = packet::addresses(bytes);
        let far = if matches!(line, CLIENT_BOX | BOX_SERVER) {
            target
        } else {
            source
        };
        // Every server is a little farther than the base path, each by its own measure.
        let (more_hops, more_delay) = if matches!(line, BOX_SERVER | SERVER_BOX) {
            farther(far, self.seed)
        } else {
            (0, 0.0)
        };
        if !packet::age(bytes, s.hops + more_hops) {
            *self.out.counters.dropped.entry("ttl").or_default() += 1;
            return None;
        }
        if s.largest.is_some_and(|most| bytes.len() > most) {
            *self.out.counters.dropped.entry("too_big").or_default() += 1;
            return None;
        }
        if s.loss > 0.0 && self.random.r#gen::<f64>() < s.loss {
            self.out.counters.path_loss += 1;
            return None;
        }
        let mut at = now;
        if let Some((from, long, held)) = s.outage {
            let (from, until) = (self.begin + from, self.begin + from + long);
            if now >= from && now < until {
                if !held {
                    *self.out.counters.dropped.entry("outage").or_default() += 1;
                    return None;
                }
                at = until;
                self.out.counters.held += 1;
            }
        }
        if let Some((rate, queue)) = s.link {
            let free = l.busy.max(at);
            if free.duration_since(at).as_secs_f64() * rate / 8.0 + bytes.len() as f64 > queue {
                self.out.counters.queue_drop += 1;
                return None;
            }
            let waited = free.duration_since(at).as_secs_f64() * 1000.0;
            self.out.counters.queue_ms_max = self.out.counters.queue_ms_max.max(waited);
            at = free + Duration::from_secs_f64(bytes.len() as f64 * 8.0 / rate);
            l.busy = at;
        }
        at += Duration::from_secs_f64(
            (s.delay_ms * (1.0 + more_delay) + s.jitter_ms * self.random.r#gen::<f64>()) / 1000.0,
        );
        if s.reorder.0 > 0.0 && self.random.r#gen::<f64>() < s.reorder.0 {
            self.out.counters.reordered += 1;
            return Some(
                at + Duration::from_secs_f64(
                    self.random.gen_range(0.2..1.0) * s.reorder.1 / 1000.0,
                ),
            );
        }
        if s.reorder.0 == 0.0 {
            let last = l.last.entry(far).or_insert(at);
            at = at.max(*last);
            *last = at;
        }
        Some(at)
    }

    fn enter(&mut self, way: Way, mut bytes: Vec<u8>, now: Instant) {
        if packet::view(&bytes).is_none() && !packet::is_icmp_error(&bytes) {
            return;
        }
        let record = Record {
            at: now - self.begin,
            way,
            bytes: bytes.clone(),
            forged: false,
        };
        match way {
            Way::Up => self.out.client.push(record),
            Way::Down => {
                self.out.server.push(record);
                if self.forgotten(&bytes, now) {
                    *self.out.counters.dropped.entry("nat").or_default() += 1;
                    return;
                }
                self.rebind(Way::Down, &mut bytes, now);
            }
        }
        let line = if way == Way::Up {
            CLIENT_BOX
        } else {
            SERVER_BOX
        };
        if let Some(at) = self.travel(line, &mut bytes, now) {
            self.push(at, Stop::Box(way), bytes, false);
        }
    }

    /// Whether a packet goes to the port that a NAT has given up.
    fn forgotten(&self, bytes: &[u8], now: Instant) -> bool {
        packet::view(bytes).is_some_and(|v| {
            self.rebinds
                .iter()
                .any(|r| v.target_port == r.client.port() && now >= self.begin + r.at)
        })
    }

    fn rebind(&self, way: Way, bytes: &mut [u8], now: Instant) {
        let Some(v) = packet::view(bytes) else { return };
        for r in &self.rebinds {
            if way == Way::Up && v.source_port == r.client.port() && now >= self.begin + r.at {
                packet::set_port(bytes, true, r.port);
            }
            if way == Way::Down && v.target_port == r.port {
                packet::set_port(bytes, false, r.client.port());
            }
        }
    }

    fn at_box(&mut self, way: Way, mut bytes: Vec<u8>, now: Instant) {
        if way == Way::Up {
            self.out.path.push(Record {
                at: now - self.begin,
                way,
                bytes: bytes.clone(),
                forged: false,
            });
        }
        let (verdict, made) = self.out.censor.packet(way, &bytes, now);
        match verdict {
            Verdict::Pass => self.leave(way, bytes, now, false),
            Verdict::Hold(until) => self.push(until, Stop::Leave(way), bytes, false),
            Verdict::Replace(with) => {
                bytes = with;
                self.out.counters.injected += 1;
                self.leave(way, bytes, now, true);
            }
            Verdict::Drop(why) => *self.out.counters.dropped.entry(why).or_default() += 1,
        }
        for mut m in made {
            self.out.counters.injected += 1;
            if m.at_server && m.way == Way::Down {
                // A box beside the server: its packets walk the server's stretch first, one hop less.
                let (more_hops, more_delay) = farther(packet::addresses(&m.bytes).0, self.seed);
                let hops = (self.lines[SERVER_BOX].stretch.hops + more_hops).saturating_sub(1);
                packet::age(&mut m.bytes, hops);
                let delay = self.lines[SERVER_BOX].stretch.delay_ms * 2.0 * (1.0 + more_delay);
                self.push(
                    m.at + Duration::from_secs_f64(delay / 1000.0),
                    Stop::Leave(m.way),
                    m.bytes,
                    true,
                );
            } else {
                self.push(m.at, Stop::Leave(m.way), m.bytes, true);
            }
        }
    }

    fn leave(&mut self, way: Way, mut bytes: Vec<u8>, now: Instant, forged: bool) {
        if way == Way::Down {
            self.out.path.push(Record {
                at: now - self.begin,
                way,
                bytes: bytes.clone(),
                forged,
            });
        }
        let line = if way == Way::Up {
            BOX_SERVER
        } else {
            BOX_CLIENT
        };
        if let Some(at) = self.travel(line, &mut bytes, now) {
            self.push(at, Stop::Face(way), bytes, forged);
        }
    }
}

/// Carries packets until told to stop.
pub fn run(
    client: &SyncDevice,
    server: &SyncDevice,
    setup: Setup,
    begin: Instant,
    stop: &Arc<AtomicBool>,
) -> Outcome {
    let line = |s: &Stretch| Line {
        stretch: s.clone(),
        busy: begin,
        last: HashMap::new(),
    };
    let w = &setup.way;
    let mut router = Router {
        lines: [
            line(&w.client_to_box),
            line(&w.box_to_server),
            line(&w.server_to_box),
            line(&w.box_to_client),
        ],
        begin,
        heap: BinaryHeap::new(),
        number: 0,
        random: StdRng::seed_from_u64(setup.seed ^ 0x5eed),
        out: Outcome {
            client: Vec::new(),
            server: Vec::new(),
            path: Vec::new(),
            counters: Counters::default(),
            censor: Censor::new(
                setup.rules,
                begin,
                StdRng::seed_from_u64(setup.seed ^ 0xce50),
            ),
        },
        rebinds: setup.rebinds,
        seed: setup.seed,
    };
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        while let Some(Reverse(item)) = router.heap.peek() {
            if item.at > now {
                break;
            }
            let Some(Reverse(item)) = router.heap.pop() else {
                break;
            };
            let late = now.duration_since(item.at).as_secs_f64() * 1000.0;
            if late > router.out.counters.late_ms_max {
                router.out.counters.late_ms_max = late;
            }
            router.out.counters.late_over_2ms += u32::from(late > 2.0);
            match item.to {
                Stop::Box(way) => router.at_box(way, item.bytes, item.at),
                Stop::Leave(way) => router.leave(way, item.bytes, item.at, item.forged),
                Stop::Face(way) => {
                    let mut bytes = item.bytes;
                    if way == Way::Up {
                        router.rebind(Way::Up, &mut bytes, now);
                    }
                    let record = Record {
                        at: now - begin,
                        way,
                        bytes,
                        forged: item.forged,
                    };
                    let sent = if way == Way::Up {
                        server.send(&record.bytes)
                    } else {
                        client.send(&record.bytes)
                    };
                    if sent.is_err() {
                        *router.out.counters.dropped.entry("device").or_default() += 1;
                    }
                    if way == Way::Up {
                        &mut router.out.server
                    } else {
                        &mut router.out.client
                    }
                    .push(record);
                }
            }
        }
        let wait = router
            .heap
            .peek()
            .map_or(Duration::from_millis(20), |Reverse(i)| {
                i.at.saturating_duration_since(Instant::now())
                    .min(Duration::from_millis(20))
            });
        let mut fds = [
            PollFd::new(client.as_fd(), PollFlags::POLLIN),
            PollFd::new(server.as_fd(), PollFlags::POLLIN),
        ];
        if ppoll(&mut fds, Some(wait.into()), None).unwrap_or(0) == 0 {
            continue;
        }
        for (device, way) in [(client, Way::Up), (server, Way::Down)] {
            for _ in 0..64 {
                let Ok(n) = device.recv(&mut buffer) else {
                    break;
                };
                router.enter(way, buffer[..n].to_vec(), Instant::now());
            }
        }
    }
    router.out
}
