//! The hostile box: small actions, each with a trigger, applied flow by flow.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

use crate::packet::{self, ACK, FIN, PSH, RST, SYN, Segment, TCP, UDP, View};

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Way {
    Up,
    Down,
}

/// Which flows a rule is about.
#[derive(Clone, Debug)]
pub enum Who {
    /// Whose hello carries one of these names.
    Name(Vec<String>),
    Address(Vec<IpAddr>),
    /// Everybody: what a subscriber's plan does.
    All,
}

/// When a rule begins to act on such a flow.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// With its first packet.
    Syn,
    /// With the packet that completes the client's first message (for TLS: its hello).
    Hello,
    /// Once so many payload bytes went that way.
    Bytes(Way, u64),
    /// Once so many packets went either way.
    Packets(u32),
    /// With the client's payload this many bytes behind its hello.
    BehindHello(u64),
    /// So long after the start of the run.
    At(Duration),
    /// With the first datagram that is not STUN.
    Media,
    /// With the first packet after so long a silence.
    Idle(Duration),
}

#[derive(Clone, Copy, Debug)]
pub enum HopLimit {
    /// The box's own initial value.
    Own(u8),
    /// The imitated sender's as it passes the box, plus so much.
    Like(i16),
}

#[derive(Clone, Copy, Debug)]
pub enum IpId {
    Zero,
    Fixed(u16),
    Random,
    /// The next of the imitated sender's row.
    Next,
}

/// One forged segment, or a train of them.
#[derive(Clone, Debug)]
pub struct Forgery {
    pub flags: u8,
    pub hop_limit: HopLimit,
    pub ip_id: IpId,
    pub window: u16,
    /// Added to the sequence number that would be right, one for each segment.
    pub offsets: Vec<u32>,
    pub hop_limit_step: u8,
    pub window_step: u16,
    pub delay: Duration,
    pub payload: Vec<u8>,
    /// A timestamp option with a clock that is not the sender's.
    pub alien_clock: bool,
    pub wrong_ack: bool,
}

impl Default for Forgery {
    fn default() -> Self {
        Self {
            flags: RST | ACK,
            hop_limit: HopLimit::Own(64),
            ip_id: IpId::Zero,
            window: 0,
            offsets: vec![0],
            hop_limit_step: 0,
            window_step: 0,
            delay: Duration::ZERO,
            payload: Vec::new(),
            alien_clock: false,
            wrong_ack: false,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Act {
    Forge {
        to_client: Option<Forgery>,
        to_server: Option<Forgery>,
        drop_trigger: bool,
        /// Drops what follows, either way.
        drop_after: bool,
    },
    /// The server's packets become bare RST/ACKs with its own hop limit, identification and numbers.
    Rewrite,
    Drop {
        up: bool,
        down: bool,
        /// So many packets (either way) still pass after the trigger.
        after: u32,
        trigger: bool,
        /// New flows to the same server are dropped for so long.
        residual: Option<Duration>,
    },
    /// A call's media and its reports are dropped either way; its STUN passes.
    DropMedia,
    /// A call's DTLS is dropped either way; its STUN passes.
    DropDtls,
    /// What the client sends is dropped, and a router says so.
    Refuse(Refusal),
    /// A token bucket a flow, or one for all the rule is about.
    Police {
        way: Way,
        rate_bps: f64,
        burst: f64,
        shared: bool,
    },
    /// A queue a flow.
    Shape {
        way: Way,
        rate_bps: f64,
        queue: f64,
    },
    Lose {
        up: f64,
        down: f64,
    },
    /// Of parallel hellos only so many at a time get an answer.
    Limit {
        most: usize,
    },
}

/// What a router says of a packet that it does not forward.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// A filter forbids the communication, or the host.
    Prohibited,
    HostProhibited,
    /// No way to the host.
    Unreachable,
    /// Too many hops.
    Expired,
    /// Longer than so many bytes; shorter ones pass.
    TooBig(usize),
}

impl Refusal {
    fn about(self, packet: &[u8]) -> Option<Vec<u8>> {
        let (four, six, mtu) = match self {
            Self::Prohibited => ((3, 13), (1, 1), 0),
            Self::HostProhibited => ((3, 10), (1, 1), 0),
            Self::Unreachable => ((3, 1), (1, 3), 0),
            Self::Expired => ((11, 0), (3, 0), 0),
            Self::TooBig(most) if packet.len() > most => ((3, 4), (2, 0), most as u32),
            Self::TooBig(_) => return None,
        };
        Some(packet::icmp_error(packet, four, six, mtu))
    }
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub who: Who,
    pub when: When,
    pub act: Act,
    /// False: an innocent box that happens to do this (a load balancer, a NAT).
    pub hostile: bool,
    /// Hops from the box to the server; the box of an innocent rule may stand elsewhere than the censor.
    pub at_server: bool,
}

impl Rule {
    pub fn new(who: Who, when: When, act: Act) -> Self {
        Self {
            who,
            when,
            act,
            hostile: true,
            at_server: false,
        }
    }
}

/// What was done to one flow.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub dropped_up: u32,
    pub dropped_down: u32,
    pub forged_to_client: u32,
    pub forged_to_server: u32,
    pub rewritten: u32,
    pub queued: u32,
    pub armed: bool,
    /// Payload bytes that passed the box either way before the rule was armed and after.
    pub passed_up: u64,
    pub passed_down: u64,
    /// Bytes of packets that passed the way a rate rule is about, since it was armed.
    pub passed_bytes_after: u64,
    pub armed_after_s: f64,
    pub last_after_s: f64,
    /// When the first packet was dropped.
    pub first_drop_s: Option<f64>,
    /// Packets that came to the box that way since a rule was armed.
    pub offered_up: u32,
    pub offered_down: u32,
    /// Bytes down when the first packet was dropped.
    pub down_at_first_drop: Option<u64>,
    pub packets_at_first_drop: Option<u32>,
    pub hostile: bool,
    /// Blocked from the first packet on because of an earlier flow.
    pub residual: bool,
}

#[derive(Default)]
struct Armed {
    since: Option<Instant>,
    packets: u32,
    /// Tokens, and when they were counted.
    bucket: Option<(f64, Instant)>,
    busy: Option<Instant>,
    fired: bool,
}

struct Track {
    first_up: Vec<u8>,
    first_seq: Option<u32>,
    hello_length: Option<u64>,
    up: u64,
    down: u64,
    packets: u32,
    last: Instant,
    server_hop_limit: u8,
    server_ip_id: u16,
    server_window: u16,
    client_hop_limit: u8,
    client_ip_id: u16,
    client_window: u16,
    armed: Vec<Armed>,
    done: Done,
}

pub enum Verdict {
    Pass,
    Hold(Instant),
    Drop(&'static str),
    Replace(Vec<u8>),
}

/// A packet the box makes, and when.
pub struct Made {
    pub way: Way,
    pub bytes: Vec<u8>,
    pub at: Instant,
    pub at_server: bool,
}

pub struct Censor {
    pub rules: Vec<Rule>,
    flows: HashMap<(u8, SocketAddr, SocketAddr), Track>,
    residual: Vec<(IpAddr, u16, Instant)>,
    begin: Instant,
    buckets: Vec<Option<(f64, Instant)>>,
    random: StdRng,
    parallel: Vec<(u8, SocketAddr, SocketAddr)>,
}

impl Censor {
    pub fn new(rules: Vec<Rule>, begin: Instant, random: StdRng) -> Self {
        let buckets = vec![None; rules.len()];
        Self {
            rules,
            flows: HashMap::new(),
            residual: Vec::new(),
            begin,
            buckets,
            random,
            parallel: Vec::new(),
        }
    }

    pub fn done(&self, protocol: u8, client: SocketAddr, server: SocketAddr) -> Done {
        self.flows
            .get(&(protocol, client, server))
            .map(|t| t.done.clone())
            .unwrap_or_default()
    }

    /// Judges one packet at the box.
    pub fn packet(&mut self, way: Way, bytes: &[u8], now: Instant) -> (Verdict, Vec<Made>) {
        let Some(v) = packet::view(bytes) else {
            return (Verdict::Pass, Vec::new());
        };
        let (client, server) = match way {
            Way::Up => (
                SocketAddr::new(v.source, v.source_port),
                SocketAddr::new(v.target, v.target_port),
            ),
            Way::Down => (
                SocketAddr::new(v.target, v.target_port),
                SocketAddr::new(v.source, v.source_port),
            ),
        };
        let key = (v.protocol, client, server);
        let rules = self.rules.len();
        let begin = self.begin;
        let fresh = !self.flows.contains_key(&key);
        let t = self.flows.entry(key).or_insert_with(|| Track {
            first_up: Vec::new(),
            first_seq: None,
            hello_length: None,
            up: 0,
            down: 0,
            packets: 0,
            last: now,
            server_hop_limit: v.hop_limit,
            server_ip_id: 0,
            server_window: 0,
            client_hop_limit: v.hop_limit,
            client_ip_id: 0,
            client_window: 0,
            armed: (0..rules).map(|_| Armed::default()).collect(),
            done: Done::default(),
        });
        let idle = now.saturating_duration_since(t.last);
        t.last = now;
        t.packets += 1;
        let payload = &bytes[v.payload_at..v.length];
        let mut hello_now = false;
        match way {
            Way::Up => {
                t.up += payload.len() as u64;
                t.client_hop_limit = v.hop_limit;
                t.client_ip_id = v.ip_id.unwrap_or(0);
                t.client_window = v.window;
                if t.hello_length.is_none() && !payload.is_empty() {
                    hello_now = collect(t, &v, payload);
                }
            }
            Way::Down => {
                t.down += payload.len() as u64;
                t.server_hop_limit = v.hop_limit;
                if v.ip_id.is_some_and(|id| id != 0) {
                    t.server_ip_id = v.ip_id.unwrap_or(0);
                }
                t.server_window = v.window;
            }
        }
        if fresh
            && self.residual.iter().any(|(ip, port, until)| {
                *ip == server.ip() && *port == server.port() && now < *until
            })
        {
            // Residual blocking: as if the drop rule had been armed from the start.
            for (armed, rule) in t.armed.iter_mut().zip(&self.rules) {
                if matches!(rule.act, Act::Drop { .. }) {
                    armed.since = Some(now);
                    armed.fired = true;
                    t.done.armed = true;
                    t.done.residual = true;
                    t.done.hostile |= rule.hostile;
                }
            }
        }
        let mut made = Vec::new();
        let mut verdict = Verdict::Pass;
        for (index, rule) in self.rules.iter().enumerate() {
            let about = match &rule.who {
                Who::All => true,
                Who::Address(all) => all.contains(&server.ip()),
                Who::Name(all) => {
                    t.hello_length.is_some()
                        && all
                            .iter()
                            .any(|name| contains(&t.first_up, name.as_bytes()))
                }
            };
            // Residual blocking asks for the address alone.
            let armed = &mut t.armed[index];
            let blocked = t.done.residual && armed.fired;
            if !about && !blocked {
                continue;
            }
            let mut trigger = false;
            if armed.since.is_none() {
                let hello = t.hello_length;
                trigger = match rule.when {
                    When::Syn => true,
                    When::Hello => hello_now,
                    When::Bytes(Way::Up, n) => t.up >= n,
                    When::Bytes(Way::Down, n) => t.down >= n,
                    When::Packets(n) => t.packets >= n,
                    When::BehindHello(n) => way == Way::Up && hello.is_some_and(|h| t.up > h + n),
                    When::At(after) => now >= begin + after,
                    When::Media => {
                        v.protocol == UDP
                            && !payload.is_empty()
                            && payload.first().is_some_and(|b| *b >= 0x40)
                    }
                    When::Idle(long) => idle >= long,
                };
                if !trigger {
                    continue;
                }
                armed.since = Some(now);
                t.done.armed = true;
                t.done.hostile |= rule.hostile;
                t.done.armed_after_s = now.duration_since(begin).as_secs_f64();
            } else {
                armed.packets += 1;
            }
            t.done.last_after_s = now.duration_since(begin).as_secs_f64();
            match &rule.act {
                Act::Forge {
                    to_client,
                    to_server,
                    drop_trigger,
                    drop_after,
                } => {
                    if trigger {
                        let drop = *drop_trigger;
                        let ends = Ends {
                            t_server: (t.server_hop_limit, t.server_ip_id, t.server_window),
                            t_client: (t.client_hop_limit, t.client_ip_id, t.client_window),
                        };
                        if let Some(f) = to_client {
                            let n = make(
                                f,
                                Way::Down,
                                way,
                                &v,
                                client,
                                server,
                                &ends,
                                drop,
                                now,
                                rule.at_server,
                                &mut self.random,
                                &mut made,
                            );
                            t.done.forged_to_client += n;
                        }
                        if let Some(f) = to_server {
                            let n = make(
                                f,
                                Way::Up,
                                way,
                                &v,
                                client,
                                server,
                                &ends,
                                drop,
                                now,
                                rule.at_server,
                                &mut self.random,
                                &mut made,
                            );
                            t.done.forged_to_server += n;
                        }
                        if drop {
                            verdict = Verdict::Drop("trigger");
                        }
                    } else if *drop_after {
                        verdict = Verdict::Drop("dpi");
                    }
                }
                Act::Rewrite => {
                    if !trigger && way == Way::Down && v.protocol == TCP && v.flags & RST == 0 {
                        t.done.rewritten += 1;
                        verdict = Verdict::Replace(packet::forge(&Segment {
                            source: (v.source, v.source_port),
                            target: (v.target, v.target_port),
                            seq: v.seq,
                            ack: v.ack,
                            flags: RST | ACK,
                            window: v.window,
                            hop_limit: v.hop_limit,
                            ip_id: v.ip_id.unwrap_or(0),
                            dont_fragment: true,
                            options: Vec::new(),
                            payload: Vec::new(),
                        }));
                    }
                }
                Act::Drop {
                    up,
                    down,
                    after,
                    trigger: with_trigger,
                    residual,
                } => {
                    if trigger && let Some(long) = residual {
                        self.residual
                            .push((server.ip(), server.port(), now + *long));
                    }
                    let due = if trigger {
                        *with_trigger
                    } else {
                        armed.fired || armed.packets > *after
                    };
                    if due && (way == Way::Up && *up || way == Way::Down && *down) {
                        verdict = Verdict::Drop("dpi");
                    }
                }
                Act::Refuse(refusal) => {
                    if way == Way::Up
                        && let Some(error) = refusal.about(&bytes[..v.length])
                    {
                        verdict = Verdict::Drop("dpi");
                        made.push(Made {
                            way: Way::Down,
                            bytes: error,
                            at: now,
                            at_server: false,
                        });
                    }
                }
                Act::DropDtls => {
                    // RFC 7983: DTLS begins with 20 to 63
                    if v.protocol == UDP && payload.first().is_some_and(|b| (20..64).contains(b)) {
                        verdict = Verdict::Drop("dpi");
                    }
                }
                Act::DropMedia => {
                    // RFC 7983: what begins with 64 or more is no STUN
                    if v.protocol == UDP && payload.first().is_some_and(|b| *b >= 0x40) {
                        verdict = Verdict::Drop("dpi");
                    }
                }
                Act::Police {
                    way: which,
                    rate_bps,
                    burst,
                    shared,
                } => {
                    if way == *which {
                        let bucket = if *shared {
                            &mut self.buckets[index]
                        } else {
                            &mut armed.bucket
                        };
                        let (mut tokens, filled) = bucket.unwrap_or((*burst, now));
                        tokens = (tokens
                            + now.duration_since(filled).as_secs_f64() * rate_bps / 8.0)
                            .min(*burst);
                        let size = v.length as f64;
                        let enough = tokens >= size;
                        if enough {
                            tokens -= size;
                        }
                        *bucket = Some((tokens, now));
                        if !enough {
                            verdict = Verdict::Drop("dpi");
                        }
                    }
                }
                Act::Shape {
                    way: which,
                    rate_bps,
                    queue,
                } => {
                    if way == *which {
                        let free = armed.busy.map_or(now, |b| b.max(now));
                        let backlog = free.duration_since(now).as_secs_f64() * rate_bps / 8.0;
                        if backlog + v.length as f64 > *queue {
                            verdict = Verdict::Drop("dpi");
                        } else {
                            let leave =
                                free + Duration::from_secs_f64(v.length as f64 * 8.0 / rate_bps);
                            armed.busy = Some(leave);
                            t.done.queued += u32::from(backlog > 0.0);
                            verdict = Verdict::Hold(leave);
                        }
                    }
                }
                Act::Lose { up, down } => {
                    let p = if way == Way::Up { *up } else { *down };
                    if p > 0.0 && self.random.r#gen::<f64>() < p {
                        verdict = Verdict::Drop("dpi");
                    }
                }
                Act::Limit { most } => {
                    let listed = self.parallel.contains(&key);
                    if trigger && self.parallel.len() < *most {
                        self.parallel.push(key);
                    } else if !listed {
                        verdict = Verdict::Drop("dpi");
                    } else {
                        t.done.armed = false;
                    }
                }
            }
        }
        if t.done.armed {
            match way {
                Way::Up => t.done.offered_up += 1,
                Way::Down => t.done.offered_down += 1,
            }
        }
        let size = payload.len() as u64;
        match (&verdict, way) {
            (Verdict::Drop(_), Way::Up) => t.done.dropped_up += 1,
            (Verdict::Drop(_), Way::Down) => t.done.dropped_down += 1,
            (Verdict::Replace(_), _) => {}
            (_, Way::Up) => t.done.passed_up += size,
            (_, Way::Down) => t.done.passed_down += size,
        }
        if matches!(verdict, Verdict::Drop(_)) {
            t.done
                .first_drop_s
                .get_or_insert(now.duration_since(begin).as_secs_f64());
            if way == Way::Down {
                // What was dropped did not go that way, so far as byte triggers care: keep counting what was offered.
                t.done.down_at_first_drop.get_or_insert(t.done.passed_down);
            }
            t.done.packets_at_first_drop.get_or_insert(t.packets);
        } else if t.done.armed && self.rules.iter().any(|r| matches!(r.act, Act::Police { way: w, .. } | Act::Shape { way: w, .. } if w == way)) {
            t.done.passed_bytes_after += v.length as u64;
        }
        (verdict, made)
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// Adds to the client's first message; true when this payload completes it.
fn collect(t: &mut Track, v: &View, payload: &[u8]) -> bool {
    /// The longest first message the box waits for.
    const LONGEST: usize = 4_096;
    if v.protocol == UDP {
        t.hello_length = Some(payload.len() as u64);
        t.first_up = payload.to_vec();
        return true;
    }
    let first = *t.first_seq.get_or_insert(v.seq);
    let at = v.seq.wrapping_sub(first) as usize;
    if at > LONGEST {
        return false;
    }
    let end = (at + payload.len()).min(LONGEST);
    if t.first_up.len() < end {
        t.first_up.resize(end, 0);
    }
    t.first_up[at..end].copy_from_slice(&payload[..end - at]);
    let whole = match t.first_up[..] {
        [0x16, 3, _, high, low, ..] => {
            t.first_up.len() >= 5 + usize::from(u16::from_be_bytes([high, low]))
        }
        // Noise: the routing travels alone; wait for the version and the key.
        [0x45, 0x44, ..] | [0x45] => t.first_up.len() > 18,
        _ => true,
    };
    if whole {
        t.hello_length = Some(t.first_up.len() as u64);
    }
    whole
}

struct Ends {
    t_server: (u8, u16, u16),
    t_client: (u8, u16, u16),
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call site; a struct would only rename the list"
)]
fn make(
    f: &Forgery,
    to: Way,
    way: Way,
    v: &View,
    client: SocketAddr,
    server: SocketAddr,
    ends: &Ends,
    trigger_dropped: bool,
    now: Instant,
    at_server: bool,
    random: &mut StdRng,
    made: &mut Vec<Made>,
) -> u32 {
    if v.protocol != TCP {
        return 0;
    }
    let span = v.payload() as u32 + u32::from(v.has(SYN)) + u32::from(v.has(FIN));
    // The numbers the two sides are at, as far as this one packet tells.
    let (client_next, server_next) = match way {
        Way::Up => (v.seq.wrapping_add(span), v.ack),
        Way::Down => (v.ack, v.seq.wrapping_add(span)),
    };
    let (client_at_server, server_at_client) = match way {
        Way::Up if trigger_dropped => (v.seq, server_next),
        Way::Down if trigger_dropped => (client_next, v.seq),
        _ => (client_next, server_next),
    };
    let (source, target, seq, ack, like) = match to {
        Way::Down => (server, client, server_at_client, client_next, ends.t_server),
        Way::Up => (client, server, client_at_server, server_next, ends.t_client),
    };
    let ack = if f.wrong_ack {
        ack.wrapping_sub(random.gen_range(1..400))
    } else {
        ack
    };
    let base = match f.hop_limit {
        HopLimit::Own(n) => i16::from(n),
        HopLimit::Like(delta) => i16::from(like.0) + delta,
    };
    for (k, offset) in f.offsets.iter().enumerate() {
        let k16 = k as u16;
        let options = if f.alien_clock {
            let mut o = vec![1, 1, 8, 10];
            o.extend_from_slice(&random.r#gen::<u32>().to_be_bytes());
            o.extend_from_slice(&random.r#gen::<u32>().to_be_bytes());
            o
        } else {
            Vec::new()
        };
        let bytes = packet::forge(&Segment {
            source: (source.ip(), source.port()),
            target: (target.ip(), target.port()),
            seq: seq.wrapping_add(*offset),
            ack: if f.flags & ACK == 0 { 0 } else { ack },
            flags: f.flags,
            window: if f.window == u16::MAX {
                like.2
            } else {
                f.window.wrapping_add(f.window_step * k16)
            },
            hop_limit: (base + i16::from(f.hop_limit_step) * k as i16).clamp(2, 255) as u8,
            ip_id: match f.ip_id {
                IpId::Zero => 0,
                IpId::Fixed(n) => n.wrapping_add(k16),
                IpId::Random => random.r#gen(),
                IpId::Next => like.1.wrapping_add(1 + k16),
            },
            dont_fragment: true,
            options,
            payload: f.payload.clone(),
        });
        made.push(Made {
            way: to,
            bytes,
            at: now + f.delay + Duration::from_micros(40 * k as u64),
            at_server,
        });
    }
    f.offsets.len() as u32
}

pub const FORGED_FIN: u8 = FIN | ACK;
pub const FORGED_FIN_PUSH: u8 = FIN | ACK | PSH;
