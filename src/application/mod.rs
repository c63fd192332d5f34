//! Recognises what a flow says: TLS, QUIC, DTLS, STUN, RTP, MTProto, WhatsApp's Noise, DNS, HTTP.
//!
//! **Takes** fresh in-order bytes of one side of a TCP flow, or one datagram, with its frame. **Gives** a [`Recognised`]: protocol, names with
//! their source, versions, JA4, and the few facts that detectors need. **Keeps** one recogniser a flow, within stated bounds, until it has
//! seen enough. **Knows nothing of** services.

#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "bytes come from an enemy"
)]

mod call;
mod datagram;
mod datagram_class;
pub mod dns;
pub mod dtls;
mod http;
pub mod mtproto;
pub mod noise;
pub mod others;
mod quic;
pub mod rtp;
mod stream;
pub mod stun;
mod tls;

#[cfg(test)]
mod sample;

use serde::Serialize;

use crate::types::{FlowKey, Frame, Side, Timestamp};

pub use datagram::{DatagramRecogniser, datagram_may_start};
pub use datagram_class::{classify_cut_datagram, classify_datagram};
pub use stream::{STREAM_LIMIT, StreamRecogniser, stream_may_start};

/// Whether a recogniser wants more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Appetite {
    /// More bytes may change the answer.
    Hungry,
    /// Nothing that comes can change it: finish, and drop the recogniser.
    Full,
}

/// Which packet bytes came in, and from whom.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    side: Side,
    frame: Frame,
    time: Timestamp,
}

/// Asserts of any bytes what must hold for all: a stream of them ends, is recognised the same however it is cut, and keeps what it must.
///
/// For fuzz targets and property tests.
///
/// # Panics
///
/// Where that does not hold.
pub fn fuzz_stream(bytes: &[u8]) {
    let run = |size: usize| {
        let mut recogniser = StreamRecogniser::new(&FlowKey::default());
        for piece in bytes.chunks(size) {
            recogniser.bytes(Side::A, piece, Frame::new(0, 1), Timestamp(0));
        }
        recogniser.finish()
    };
    let whole = run(bytes.len().max(1));
    for size in [1, 7, 1448] {
        assert_eq!(run(size), whole, "cut into pieces of {size}");
    }
    assert!(
        whole.application == Application::Unknown || stream_may_start(bytes),
        "recognised what it would never have been given"
    );
}

/// What a parser says of the bytes so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress<T> {
    /// A whole message, and the bytes it took.
    Done {
        /// The message.
        message: T,
        /// Bytes it took.
        used: usize,
    },
    /// A true prefix; ask again when more has come.
    NeedMore,
    /// Something else, whatever follows.
    NotThis,
}

/// Asserts of any datagrams what must hold for all: they end, and one that came twice says what it says once, counts apart.
///
/// The bytes are datagrams with their length (2 bytes) in front; its top bit is the side. For fuzz targets and property tests.
///
/// # Panics
///
/// Where that does not hold.
pub fn fuzz_datagram(bytes: &[u8]) {
    let run = |copies: usize| {
        let mut recogniser = DatagramRecogniser::new(&FlowKey::default());
        let mut rest = bytes;
        let mut count = 0;
        while let Some((&[high, low], after)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([high & 0x7f, low]));
            let (datagram, after) = after.split_at(after.len().min(length));
            rest = after;
            let side = if high & 0x80 == 0 { Side::A } else { Side::B };
            count += 1;
            for _ in 0..copies {
                recogniser.datagram(side, datagram, true, Frame::new(0, count), Timestamp(0));
            }
        }
        // how often something was said is counted, retries and all
        let mut found = recogniser.finish();
        found.alerts.sort_unstable();
        found.alerts.dedup();
        for fact in &mut found.dns {
            fact.questions = 0;
        }
        if let Some(call) = &mut found.call {
            (call.requests, call.responses) = Default::default();
            (call.rtp, call.rtp_missing) = Default::default();
        }
        (found, count)
    };
    let ((once, count), (twice, _)) = (run(1), run(2));
    // few enough that no limit is met
    if count <= 2 {
        assert_eq!(once, twice, "repeated datagrams changed the answer");
    }
}

/// The protocol of a flow, in the contract's words.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Application {
    /// TLS over TCP.
    Tls,
    /// QUIC.
    Quic,
    /// DTLS.
    Dtls,
    /// STUN or TURN without media.
    Stun,
    /// RTP, with or without STUN beside it.
    Rtp,
    /// Telegram's MTProto.
    Mtproto,
    /// WhatsApp's Noise transport.
    WhatsappNoise,
    /// DNS.
    Dns,
    /// HTTP/1 in clear.
    Http,
    /// Nothing of these.
    #[default]
    Unknown,
}

/// Where a name came from, best first (the order of precedence).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSource {
    /// Server name of a TLS ClientHello.
    TlsSni,
    /// Server name of a QUIC Initial.
    QuicSni,
    /// The public name of an encrypted ClientHello: the true name is hidden.
    EchOuter,
    /// `Host` of an HTTP request.
    HttpHost,
    /// A name in a visible server certificate.
    Certificate,
    /// A DNS answer in the same capture, as of the flow's time.
    Dns,
    /// The server's address lies in a published range.
    Address,
    /// The protocol's own bytes.
    Protocol,
}

/// What was recognised in a flow. Everything is `None`, empty or false until seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Recognised {
    /// The protocol.
    pub application: Application,
    /// The side that opened the conversation, where the bytes say so (a ClientHello, a request).
    pub client: Option<Side>,
    /// Server name of the hello (TLS or QUIC), lower case, without a trailing dot; also the outer one under ECH.
    pub sni: Option<String>,
    /// The frame that completed the hello.
    pub hello_frame: Option<Frame>,
    /// When the hello was complete.
    pub hello_time: Option<Timestamp>,
    /// The stream offsets that the hello took on its side: one past its last byte (TLS only).
    pub hello_end: u32,
    /// Protocols offered in ALPN.
    pub alpn: Vec<String>,
    /// `1.0` … `1.3`, as negotiated, else as offered at most.
    pub tls_version: Option<String>,
    /// JA4 of the hello.
    pub ja4: Option<String>,
    /// Whether the hello carries an encrypted inner hello that its outer name stands for.
    pub ech: bool,
    /// The frame that completed the ServerHello (TLS, DTLS) or the first server QUIC packet.
    pub server_hello_frame: Option<Frame>,
    /// TLS alerts in clear: side, description code, frame.
    pub alerts: Vec<(Side, u8, Frame)>,
    /// Names in the server's visible certificate: subject common name and DNS alternative names, lower case.
    pub certificate_names: Vec<String>,
    /// Issuer organisation or common name of that certificate.
    pub certificate_issuer: Option<String>,
    /// `Host` of an HTTP request.
    pub http_host: Option<String>,
    /// First line of the HTTP answer, shortened to 80 bytes.
    pub http_status: Option<String>,
    /// The protocol's own bytes name a service (catalogue id: `whatsapp`, `telegram`, `signal`, …) and why.
    pub signature: Option<(&'static str, &'static str)>,
    /// How the server's TLS record stream stood when its last in-order byte had come: bytes of the unfinished record still missing; 0 at a boundary.
    pub record_missing_down: u32,
    /// The same for the client's.
    pub record_missing_up: u32,
    /// Whether two different hellos share a sequence range, as tools against DPI send them.
    pub evasion_suspected: bool,
    /// DNS questions of this flow and what became of them.
    pub dns: Vec<dns::DnsFact>,
    /// Calls: software and realm of STUN, whether consent or allocation worked, as kept raw by `stun`.
    pub call: Option<Box<CallFacts>>,
}

/// What STUN, DTLS and RTP say of a call's flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CallFacts {
    /// SOFTWARE attribute.
    pub software: Option<String>,
    /// REALM attribute.
    pub realm: Option<String>,
    /// USERNAME attribute (ICE: both fragments, colon between).
    pub username: Option<String>,
    /// Vendor attribute numbers seen, sorted, at most 16.
    pub vendor_attributes: Vec<u16>,
    /// STUN requests, by side.
    pub requests: [u32; 2],
    /// STUN success and error responses, by side.
    pub responses: [u32; 2],
    /// RTP packets, by side.
    pub rtp: [u32; 2],
    /// RTP packets that sequence gaps show as missing, by side.
    pub rtp_missing: [u32; 2],
    /// Peers that XOR-PEER, XOR-RELAYED and XOR-MAPPED attributes name, at most 8.
    pub addresses: Vec<crate::types::Endpoint>,
}
