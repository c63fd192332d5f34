//! Packet traces that read like the story they tell.
//!
//! ```text
//! Trace::new("example").flow("198.51.100.7:443").handshake(rtt(48)).hello("web.whatsapp.com")
//!     .forge(rst().from_server().hop_limit(60).times(3)).answered_too_late()
//! ```
//!
//! A step acts on the newest flow and moves that flow's clock; `flow` opens another one beside it. Everything is made: the clock, the numbers,
//! the chance. The same story gives the same bytes.

pub(crate) mod chance;
pub(crate) mod file;
mod forge;
mod hello;
pub(crate) mod selection;
pub(crate) mod stories;
mod transfer;
mod wire;

use std::net::{IpAddr, SocketAddr};

use chance::Chance;
use file::Stamped;
pub(crate) use forge::rst;
pub(crate) use transfer::Path;
use wire::{ACK, Envelope, FIN, PSH, RST, SYN, TcpHeader};

/// 2026-03-01, 09:00:00 UTC, in nanoseconds since 1970.
const MORNING: i64 = 1_772_355_600_000_000_000;

/// What fits a segment beside time stamps on a path of 1,500 bytes.
const SEGMENT: usize = 1_448;

/// Milliseconds, in nanoseconds.
pub(crate) const fn ms(millis: i64) -> i64 {
    millis * 1_000_000
}

/// A round trip of so many milliseconds.
pub(crate) const fn rtt(millis: i64) -> i64 {
    ms(millis)
}

/// One of a flow's two ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Client,
    Server,
}

use Side::{Client, Server};

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Client => Server,
            Server => Client,
        }
    }
}

/// What one end's stack keeps.
struct End {
    address: SocketAddr,
    /// Next sequence number to send.
    next: u32,
    /// What it has of the other end: its next acknowledgement.
    heard: u32,
    ip_id: u16,
    /// Hop limit as the tap sees it.
    hop_limit: u8,
    /// Offset of its time-stamp clock (RFC 7323, section 5.4: per connection).
    clock: u32,
    /// The other end's newest time stamp.
    echo: u32,
    window: u16,
    /// When its newest packet passed the tap; what follows on the same way comes later.
    last: i64,
}

struct Flow {
    client: End,
    server: End,
    rtt: i64,
    /// The client's clock.
    now: i64,
    /// What the client said last and its sequence number, to be said again.
    said: (u32, Vec<u8>),
}

impl Flow {
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Client => &mut self.client,
            Server => &mut self.server,
        }
    }
}

/// One segment, before it is put into bytes.
struct Segment<'a> {
    from: Side,
    /// When it leaves its sender.
    at: i64,
    /// When it reaches the other end; None where it is lost.
    arrives: Option<i64>,
    seq: u32,
    flags: u8,
    payload: &'a [u8],
    sack: &'a [(u32, u32)],
}

/// A capture in the making.
pub(crate) struct Trace {
    chance: Chance,
    client: [IpAddr; 2],
    vlan: Option<u16>,
    keep: usize,
    mirrored: bool,
    cut: Option<i64>,
    frames: Vec<Stamped>,
    flows: Vec<Flow>,
}

impl Trace {
    /// An empty capture, taken at the client; the name seeds its chance.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            chance: Chance::of(name),
            client: [
                IpAddr::from([192, 168, 1, 23]),
                "2001:db8:1::23".parse().expect("an address"),
            ],
            vlan: None,
            keep: usize::MAX,
            mirrored: false,
            cut: None,
            frames: Vec::new(),
            flows: Vec::new(),
        }
    }

    /// Every frame carries this VLAN tag.
    pub(crate) const fn vlan(mut self, id: u16) -> Self {
        self.vlan = Some(id);
        self
    }

    /// From here on the tap keeps so many bytes of a frame: bulk data says nothing, and fixtures are small.
    pub(crate) const fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// From here on the tap keeps whole frames.
    pub(crate) const fn keep_all(self) -> Self {
        self.keep(usize::MAX)
    }

    /// A mirror port hands every frame over twice, the second time behind a router.
    pub(crate) const fn mirrored(mut self) -> Self {
        self.mirrored = true;
        self
    }

    /// The capture ends where the newest flow's clock stands.
    pub(crate) fn capture_ends(mut self) -> Self {
        self.cut = Some(self.now());
        self
    }

    /// Opens another flow beside the others; its clock starts with the capture's.
    pub(crate) fn flow(mut self, server: &str) -> Self {
        let server: SocketAddr = server.parse().expect("an address and a port");
        let port = 40_000 + self.flows.len() as u16 * 11 + self.chance.below(11) as u16;
        let client = self.client[usize::from(server.is_ipv6())];
        // The usual first hop limit is 64; 9 to 16 routers lie between, the same for all who visit an address.
        let hops = 9 + (Chance::of(&server.ip().to_string()).next() % 8) as u8;
        let mut end = |address, far: bool| End {
            address,
            next: self.chance.next() as u32,
            heard: 0,
            ip_id: self.chance.next() as u16,
            hop_limit: if far { 64 - hops } else { 64 },
            clock: self.chance.next() as u32,
            echo: 0,
            window: 501,
            last: 0,
        };
        let flow = Flow {
            client: end(SocketAddr::new(client, port), false),
            server: end(server, true),
            rtt: ms(40),
            now: MORNING,
            said: (0, Vec::new()),
        };
        self.flows.push(flow);
        self
    }

    /// Moves the flow's clock to so many milliseconds after the capture's start.
    pub(crate) fn at(mut self, millis: i64) -> Self {
        self.newest().now = MORNING + ms(millis);
        self
    }

    /// Lets time pass.
    pub(crate) fn wait(mut self, nanos: i64) -> Self {
        self.newest().now += nanos;
        self
    }

    /// SYN, SYN-ACK, ACK.
    pub(crate) fn handshake(mut self, rtt: i64) -> Self {
        self.newest().rtt = rtt;
        let now = self.now();
        self.say(Client, now, SYN, &[]);
        self.say(Server, now + rtt / 2, SYN | ACK, &[]);
        self.say(Client, now + rtt, ACK, &[]);
        self.wait(rtt + ms(1) / 4)
    }

    /// A SYN and so many retries, doubling from a second (RFC 6298, section 2.1), and no answer.
    pub(crate) fn unanswered_syns(mut self, retries: u32) -> Self {
        let (seq, start) = (self.newest().client.next, self.now());
        for retry in 0..=retries {
            let at = start + ms(1_000) * ((1 << retry) - 1);
            self.segment(&Segment {
                from: Client,
                at,
                arrives: None,
                seq,
                flags: SYN,
                payload: &[],
                sack: &[],
            });
            self.newest().now = at;
        }
        self
    }

    /// The client's hello for `name`.
    pub(crate) fn hello(mut self, name: &str) -> Self {
        let hello = hello::client_hello(name, &mut self.chance);
        self.client_says(&hello)
    }

    /// A request of so many encrypted bytes.
    pub(crate) fn request(mut self, bytes: usize) -> Self {
        let request = hello::encrypted(bytes, &mut self.chance);
        self.client_says(&request)
    }

    /// Bytes without any form: a messenger's own obfuscated protocol.
    pub(crate) fn opaque(mut self, bytes: usize) -> Self {
        let opaque = self.chance.bytes(bytes);
        self.client_says(&opaque)
    }

    fn client_says(mut self, bytes: &[u8]) -> Self {
        let now = self.now();
        self.newest().said = (self.newest().client.next, bytes.to_vec());
        for part in bytes.chunks(SEGMENT) {
            self.say(Client, now, PSH | ACK, part);
        }
        self
    }

    /// The client says its last again, so many times, and is not heard.
    pub(crate) fn retried(mut self, retries: u32) -> Self {
        let (seq, bytes) = self.newest().said.clone();
        let mut timeout = ms(200) + self.newest().rtt;
        for _ in 0..retries {
            self.newest().now += timeout;
            timeout *= 2;
            let at = self.now();
            // a time-out sends the first segment only (RFC 6298, section 5.4)
            let payload = &bytes[..bytes.len().min(SEGMENT)];
            self.segment(&Segment {
                from: Client,
                at,
                arrives: None,
                seq,
                flags: PSH | ACK,
                payload,
                sack: &[],
            });
        }
        self
    }

    /// The server's part of the TLS handshake, and the client's Finished.
    pub(crate) fn answer(mut self) -> Self {
        let flight = hello::server_flight(3_000, &mut self.chance);
        self.send(Server, &flight, &Path::clear()).request(74)
    }

    /// The server sends so many encrypted bytes.
    pub(crate) fn data_down(self, bytes: usize) -> Self {
        self.download(bytes, &Path::clear())
    }

    /// The same over a path that does something to them.
    pub(crate) fn download(mut self, bytes: usize, path: &Path) -> Self {
        let data = hello::encrypted(bytes, &mut self.chance);
        self.send(Server, &data, path)
    }

    /// The server sends bytes without any form over `path`.
    pub(crate) fn opaque_down(mut self, bytes: usize, path: &Path) -> Self {
        let data = self.chance.bytes(bytes);
        self.send(Server, &data, path)
    }

    /// The server's flight arrives where the connection is gone already: data of the living, and the kernel's resets for them.
    pub(crate) fn answered_too_late(mut self) -> Self {
        let flight = hello::server_flight(2_400, &mut self.chance);
        let (now, rtt) = (self.now(), self.newest().rtt);
        self.newest().server.heard = self.newest().client.next;
        for (place, part) in flight.chunks(SEGMENT).enumerate() {
            let sent = now + rtt / 2 + ms(1) + place as i64 * ms(1) / 8;
            self.say(Server, sent, ACK, part);
            self.kernel_resets(sent + rtt / 2 + ms(1) / 20);
        }
        self.wait(rtt + ms(2))
    }

    /// The client's kernel answers a segment for a closed connection: the sequence number that was acknowledged (RFC 9293, section 3.10.7.1).
    fn kernel_resets(&mut self, at: i64) {
        let seq = self.newest().server.heard;
        let bare = Bare {
            from: Client,
            at,
            seq,
            flags: RST,
            window: 0,
            ip_id: 0,
            hop_limit: None,
        };
        self.bare(&bare);
    }

    /// Both sides close in order.
    pub(crate) fn close(mut self) -> Self {
        let (now, rtt) = (self.now() + ms(3), self.newest().rtt);
        self.say(Client, now, FIN | ACK, &[]);
        self.say(Server, now + rtt / 2, FIN | ACK, &[]);
        self.say(Client, now + rtt, ACK, &[]);
        self.wait(rtt + ms(3))
    }

    /// The client closes and is not heard: FINs, doubling.
    pub(crate) fn closed_unheard(mut self, retries: u32) -> Self {
        let (seq, mut timeout) = (self.newest().client.next, ms(200) + self.newest().rtt);
        for _ in 0..=retries {
            let at = self.now();
            self.segment(&Segment {
                from: Client,
                at,
                arrives: None,
                seq,
                flags: FIN | ACK,
                payload: &[],
                sack: &[],
            });
            self.newest().now += timeout;
            timeout *= 2;
        }
        self
    }

    /// The server's own reset, in the middle of its counters, as SO_LINGER 0 sends it.
    pub(crate) fn server_resets(mut self) -> Self {
        let at = self.now() + self.newest().rtt / 2;
        self.say(Server, at, RST | ACK, &[]);
        self.wait(ms(40))
    }

    /// A lookup of `name` at the router, answered with the newest flow's server.
    pub(crate) fn lookup(mut self, name: &str) -> Self {
        let number = self.chance.next() as u16;
        let flow = self.newest();
        let (at, server) = (flow.now, flow.server.address.ip());
        let question = |flags: u16, answers: u16| {
            let mut message = Vec::new();
            for word in [number, flags, 1, answers, 0, 0] {
                message.extend(word.to_be_bytes());
            }
            for label in name.split('.') {
                message.push(label.len() as u8);
                message.extend(label.bytes());
            }
            message.push(0);
            message.extend([0, if server.is_ipv6() { 28 } else { 1 }, 0, 1]);
            message
        };
        let mut answer = question(0x8180, 1);
        let octets = match server {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        // a pointer to the name, type, class, 300 s
        answer.extend([
            0xc0,
            12,
            0,
            if server.is_ipv6() { 28 } else { 1 },
            0,
            1,
            0,
            0,
            1,
            44,
            0,
            octets.len() as u8,
        ]);
        answer.extend(octets);
        let port = 50_000 + (number >> 3);
        self.datagram(Client, port, at, &question(0x0100, 0));
        self.datagram(Server, port, at + ms(9), &answer);
        self.wait(ms(11))
    }

    /// Something else of the client that goes on all the while: a word and its answer, so many times, so often.
    pub(crate) fn companion(self, name: &str, server: &str, times: u32, every: i64) -> Self {
        let mut trace = self.flow(server).handshake(rtt(32)).hello(name).answer();
        for _ in 0..times {
            trace = trace.request(60).data_down(150).wait(every);
        }
        trace.close()
    }

    /// A whole visit that nobody disturbs: lookup, handshake, hello, an answer of some kilobytes, an orderly end.
    pub(crate) fn visit(self, name: &str, server: &str, at: i64) -> Self {
        self.flow(server)
            .at(at)
            .lookup(name)
            .handshake(rtt(32))
            .hello(name)
            .answer()
            .request(420)
            .data_down(6_000)
            .close()
    }

    /// The frames in the tap's order.
    pub(crate) fn frames(&self) -> Vec<Stamped> {
        let mut frames = self.frames.clone();
        if self.mirrored {
            let again = self.frames.iter().map(|stamped| stamped.again(18_000));
            frames.extend(again);
        }
        frames.retain(|stamped| self.cut.is_none_or(|cut| stamped.time <= cut));
        frames.sort_by_key(|stamped| stamped.time);
        frames
    }

    fn newest(&mut self) -> &mut Flow {
        self.flows.last_mut().expect("a flow comes first")
    }

    fn now(&mut self) -> i64 {
        self.newest().now
    }

    /// The next segment of an end, which the other end hears.
    fn say(&mut self, from: Side, at: i64, flags: u8, payload: &[u8]) {
        let flow = self.newest();
        let (seq, arrives) = (flow.end(from).next, Some(at + flow.rtt / 2));
        let length = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        flow.end(from).next = seq.wrapping_add(length);
        self.segment(&Segment {
            from,
            at,
            arrives,
            seq,
            flags,
            payload,
            sack: &[],
        });
        let flow = self.newest();
        flow.end(from.other()).heard = flow.end(from).next;
    }

    /// Puts a segment into bytes with its sender's counters, and before the tap, if it gets there.
    fn segment(&mut self, segment: &Segment<'_>) {
        let flow = self.newest();
        let end = flow.end(segment.from);
        let stamp = end.clock.wrapping_add((segment.at / 1_000_000) as u32);
        let mut options = Vec::new();
        if segment.flags & SYN != 0 {
            // largest segment 1460, SACK permitted, time stamps, window scale 7 (RFC 7323)
            options.extend([2, 4, 5, 0xb4, 4, 2]);
        } else {
            options.extend([1, 1]);
        }
        options.extend([8, 10]);
        options.extend(stamp.to_be_bytes());
        options.extend(end.echo.to_be_bytes());
        if segment.flags & SYN != 0 {
            options.extend([1, 3, 3, 7]);
        }
        if !segment.sack.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * segment.sack.len() as u8]);
            for (from, to) in segment.sack {
                options.extend(from.to_be_bytes());
                options.extend(to.to_be_bytes());
            }
        }
        // a kernel's own answers to SYNs carry no counter (Linux); everything else takes the next number
        let ip_id = if segment.flags & (SYN | RST) != 0 && segment.from == Server {
            0
        } else {
            end.ip_id = end.ip_id.wrapping_add(1);
            end.ip_id
        };
        let header = TcpHeader {
            from: end.address.port(),
            to: 0,
            seq: segment.seq,
            ack: if segment.flags & ACK == 0 {
                0
            } else {
                end.heard
            },
            flags: segment.flags,
            window: if segment.flags & SYN == 0 {
                end.window
            } else {
                64_240
            },
            options: &options,
        };
        let hop_limit = end.hop_limit;
        let (from, echo) = (segment.from, segment.arrives.is_some());
        self.put(
            from,
            if from == Client {
                Some(segment.at)
            } else {
                segment.arrives
            },
            hop_limit,
            ip_id,
            &header,
            segment.payload,
        );
        if echo {
            self.newest().end(from.other()).echo = stamp;
        }
    }

    /// A segment without options that asks no stack.
    fn bare(&mut self, bare: &Bare) {
        let flow = self.newest();
        let ack = flow.end(bare.from.other()).next;
        let end = flow.end(bare.from);
        let header = TcpHeader {
            from: end.address.port(),
            to: 0,
            seq: bare.seq,
            ack: if bare.flags & ACK == 0 { 0 } else { ack },
            flags: bare.flags,
            window: bare.window,
            options: &[],
        };
        let hop_limit = bare.hop_limit.unwrap_or(end.hop_limit);
        self.put(
            bare.from,
            Some(bare.at),
            hop_limit,
            bare.ip_id,
            &header,
            &[],
        );
    }

    fn put(
        &mut self,
        from: Side,
        seen: Option<i64>,
        hop_limit: u8,
        ip_id: u16,
        header: &TcpHeader<'_>,
        payload: &[u8],
    ) {
        let Some(seen) = seen else { return };
        let envelope = self.envelope(from, hop_limit, ip_id);
        // what answers is later than what it answers
        let jitter = self.chance.below(40_000) as i64 + if from == Client { 50_000 } else { 0 };
        let flow = self.newest();
        let to = flow.end(from.other()).address.port();
        let end = flow.end(from);
        let time = (seen + jitter).max(end.last + 1_000);
        end.last = time;
        let frame = wire::tcp(&envelope, &TcpHeader { to, ..*header }, payload);
        self.tap(time, frame);
    }

    fn datagram(&mut self, from: Side, port: u16, at: i64, payload: &[u8]) {
        let router = IpAddr::from([192, 168, 1, 1]);
        let mut envelope = self.envelope(from, 64, 0);
        (envelope.from, envelope.to) = (self.client[0], router);
        let (mut source, mut target) = (port, 53);
        if from == Server {
            (envelope.from, envelope.to) = (router, self.client[0]);
            (source, target) = (53, port);
        }
        self.tap(at, wire::udp(&envelope, source, target, payload));
    }

    fn envelope(&mut self, from: Side, hop_limit: u8, ip_id: u16) -> Envelope {
        let vlan = self.vlan;
        let flow = self.newest();
        Envelope {
            from: flow.end(from).address.ip(),
            to: flow.end(from.other()).address.ip(),
            hop_limit,
            ip_id,
            vlan,
            outward: from == Client,
        }
    }

    fn tap(&mut self, time: i64, frame: Vec<u8>) {
        let captured = frame.len().min(self.keep);
        self.frames.push(Stamped {
            time,
            frame,
            captured,
        });
    }
}

/// A segment that no stack made, or a stack that keeps nothing of the connection.
struct Bare {
    from: Side,
    /// When it passes the tap.
    at: i64,
    seq: u32,
    flags: u8,
    window: u16,
    ip_id: u16,
    /// As the tap sees it; None for the sender's own.
    hop_limit: Option<u8>,
}
