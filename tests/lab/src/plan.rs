//! What the endpoints of one scenario do: flows, each a client, a server and the steps they take.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    Tls12,
    Tls13,
    Http,
    /// Opening bytes and framing like WhatsApp's Noise pipe.
    Noise,
    /// MTProto: obfuscated2, plain abridged, plain intermediate.
    Obfuscated,
    Abridged,
    Intermediate,
    Quic,
    /// STUN, then media like RTP both ways.
    Call,
}

impl Transport {
    pub fn label(self) -> &'static str {
        match self {
            Self::Tls12 => "tls12",
            Self::Tls13 => "tls13",
            Self::Http => "http",
            Self::Noise => "wa",
            Self::Obfuscated => "mtp-obf",
            Self::Abridged => "mtp-abr",
            Self::Intermediate => "mtp-int",
            Self::Quic => "quic",
            Self::Call => "call",
        }
    }
    pub fn is_udp(self) -> bool {
        matches!(self, Self::Quic | Self::Call)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Hello {
    Plain,
    /// With a post-quantum key share: about 1.5 KB, two segments.
    PostQuantum,
    /// Written in two pieces, the first so long.
    Split(usize),
}

/// What the server does after its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    Nothing,
    /// Closes with a reset (`SO_LINGER` of zero).
    Linger,
    /// Closes in an orderly way.
    Fin,
    /// Resets half-way through its answer.
    LingerMidway,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: &'static str,
    pub wait: Duration,
    pub up: u32,
    /// Uplink bytes are written so many at a time with a pause (0: at once).
    pub up_chunk: u32,
    pub up_gap_ms: u32,
    pub down: u32,
    pub down_chunk: u32,
    pub down_gap_ms: u32,
    /// The server thinks so long before it answers.
    pub think_ms: u16,
    /// So many times 4 KiB of a paced answer are written at once, before the pace begins.
    pub lead: u8,
    pub after: After,
    /// The client reads so many bytes at a time with a pause.
    pub slow_read: Option<(usize, u64)>,
    pub timeout: Duration,
    /// The client closes its sending side once the request is out.
    pub half_close: bool,
    /// The client aborts after it has read so many bytes.
    pub abort_at: Option<usize>,
}

pub fn step(name: &'static str, up: u32, down: u32) -> Step {
    Step {
        name,
        up,
        down,
        wait: Duration::ZERO,
        up_chunk: 0,
        up_gap_ms: 0,
        down_chunk: 0,
        down_gap_ms: 0,
        think_ms: 0,
        lead: 0,
        after: After::Nothing,
        slow_read: None,
        timeout: Duration::from_secs(12),
        half_close: false,
        abort_at: None,
    }
}
impl Step {
    pub fn wait(mut self, ms: u64) -> Self {
        self.wait = Duration::from_millis(ms);
        self
    }
    pub fn pace_down(mut self, chunk: u32, gap_ms: u32) -> Self {
        (self.down_chunk, self.down_gap_ms) = (chunk, gap_ms);
        self
    }
    /// What a streaming server does: so many times 4 KiB at once, the rest at a pace.
    pub fn lead(mut self, times: u8) -> Self {
        self.lead = times;
        self
    }
    pub fn think(mut self, ms: u16) -> Self {
        self.think_ms = ms;
        self
    }
    pub fn pace_up(mut self, chunk: u32, gap_ms: u32) -> Self {
        (self.up_chunk, self.up_gap_ms) = (chunk, gap_ms);
        self
    }
    pub fn within(mut self, seconds: f64) -> Self {
        self.timeout = Duration::from_secs_f64(seconds);
        self
    }
    pub fn after(mut self, after: After) -> Self {
        self.after = after;
        self
    }
}

/// How the client leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leave {
    Fin,
    Abort,
    /// Not at all: the flow is open when the capture ends.
    Stay,
}

#[derive(Clone, Debug)]
pub struct Flow {
    pub service: String,
    pub messenger: bool,
    pub sni: Option<String>,
    pub transport: Transport,
    pub server: SocketAddr,
    pub client: SocketAddr,
    pub start: Duration,
    pub hello: Hello,
    pub congestion: &'static str,
    pub steps: Vec<Step>,
    pub leave: Leave,
    pub connect_timeout: Duration,
    /// The scenario means the censor to act on this flow.
    pub target: bool,
    /// What the label calls the flow when nobody interfered.
    pub innocent: &'static str,
    /// False: no such host. Nothing answers.
    pub host_exists: bool,
    /// False: the host refuses the port.
    pub listens: bool,
    /// The server answers the hello with a TLS alert.
    pub refuses_name: bool,
    pub fast_open: bool,
    pub receive_buffer: Option<usize>,
    /// Seconds of media and packets a second for a call; zero seconds: STUN only.
    pub media_s: f64,
    pub accept: Vec<&'static str>,
    /// How often the same five-tuple is used.
    pub connections: u32,
    pub keepalive_s: Option<u64>,
    pub notes: &'static str,
    /// The client closes the moment it is connected.
    pub gives_up: bool,
    /// The far party of the call sends a packet now and then.
    pub muted: bool,
    /// The call's media pauses for a while, or from some moment on; its STUN goes on.
    pub pause: Option<Pause>,
    /// The call's keys are agreed on by DTLS before any media; the far party answers so many milliseconds after the first hello.
    pub dtls_ms: Option<u64>,
    /// The client sends media no longer than so many seconds after it last heard some.
    pub patience_s: Option<f64>,
    /// The server's program takes the connection so much later than its kernel does.
    pub slow_hello_ms: u64,
}

impl Flow {
    pub fn client_ip(&self) -> IpAddr {
        self.client.ip()
    }
}

/// Who stops sending media, from when until when, in seconds since the call began.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    pub from_s: f64,
    pub to_s: f64,
    /// The client stops, too.
    pub both: bool,
    /// The far party goes on reporting what it receives (RTCP, RFC 3550).
    pub reports: bool,
}

impl Pause {
    pub fn holds(self, since: Duration) -> bool {
        (self.from_s..self.to_s).contains(&since.as_secs_f64())
    }
}

/// A server that goes away at some time and comes back.
#[derive(Clone, Debug)]
pub struct Restart {
    pub server: SocketAddr,
    pub at: Duration,
    pub down: Duration,
}
