//! The applications at both ends: they open flows, take their steps and note what they saw.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::plan::{After, Flow, Hello, Leave, Pause, Restart, Step, Transport};
use crate::tls::Authority;

type Cipher = Ctr128BE<Aes256>;

/// A byte stream of any transport that can also be torn down with a reset.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset_on_drop(&self) {}
}
impl Stream for TcpStream {
    fn reset_on_drop(&self) {
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}
impl Stream for Pieces {
    fn reset_on_drop(&self) {
        self.inner.reset_on_drop();
    }
}
impl Stream for tokio_rustls::client::TlsStream<Pieces> {
    fn reset_on_drop(&self) {
        self.get_ref().0.reset_on_drop();
    }
}
impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_drop(&self) {
        self.get_ref().0.reset_on_drop();
    }
}
impl Stream for tokio::io::Join<quinn::RecvStream, quinn::SendStream> {}

/// A socket whose first write goes out in two pieces.
struct Pieces {
    inner: TcpStream,
    first: Option<usize>,
}
impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}
impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = self.first.take().unwrap_or(buf.len()).min(buf.len());
        Pin::new(&mut self.inner).poll_write(cx, &buf[..length])
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Framing {
    None,
    /// Three bytes of length, big-endian, in clear.
    Noise,
    /// `7f`, three bytes of length in words, little-endian; enciphered where the transport is.
    Abridged,
    Intermediate,
    Http,
}

/// A stream with its framing and cipher: sends and receives whole amounts of application bytes.
struct Channel {
    io: Box<dyn Stream>,
    framing: Framing,
    send: Option<Cipher>,
    receive: Option<Cipher>,
    raw: Vec<u8>,
    plain: Vec<u8>,
    /// Opening bytes that travel with the first message.
    opening: Vec<u8>,
}

fn noise_cipher() -> Cipher {
    Cipher::new(&[7; 32].into(), &[9; 16].into())
}

impl Channel {
    fn new(io: Box<dyn Stream>, framing: Framing) -> Self {
        Self {
            io,
            framing,
            send: None,
            receive: None,
            raw: Vec::new(),
            plain: Vec::new(),
            opening: Vec::new(),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(if self.framing == Framing::None {
            65_536
        } else {
            8_192
        }) {
            let mut out = Vec::with_capacity(part.len() + 80);
            match self.framing {
                Framing::None | Framing::Http => out.extend_from_slice(part),
                Framing::Noise => {
                    out.extend_from_slice(&(part.len() as u32).to_be_bytes()[1..]);
                    let mut body = part.to_vec();
                    if let Some(cipher) = &mut self.send {
                        cipher.apply_keystream(&mut body);
                    }
                    out.extend_from_slice(&body);
                }
                Framing::Abridged | Framing::Intermediate => {
                    let body = (part.len() + 4).next_multiple_of(4);
                    if self.framing == Framing::Abridged {
                        out.push(0x7f);
                        out.extend_from_slice(&((body / 4) as u32).to_le_bytes()[..3]);
                    } else {
                        out.extend_from_slice(&(body as u32).to_le_bytes());
                    }
                    let end = out.len() + body;
                    out.extend_from_slice(&(part.len() as u32).to_le_bytes());
                    out.extend_from_slice(part);
                    out.resize(end, 0);
                    if let Some(cipher) = &mut self.send {
                        cipher.apply_keystream(&mut out);
                    }
                }
            }
            if !self.opening.is_empty() {
                out.splice(..0, self.opening.drain(..));
            }
            self.io.write_all(&out).await?;
        }
        self.io.flush().await
    }

    /// Moves whole frames from the raw bytes to the plain ones.
    fn unframe(&mut self) {
        loop {
            let (head, body) = match self.framing {
                Framing::None | Framing::Http => (0, self.raw.len()),
                Framing::Noise if self.raw.len() >= 3 => (
                    3,
                    usize::from(self.raw[0]) << 16
                        | usize::from(self.raw[1]) << 8
                        | usize::from(self.raw[2]),
                ),
                Framing::Abridged if self.raw.len() >= 4 => (
                    4,
                    (usize::from(self.raw[1])
                        | usize::from(self.raw[2]) << 8
                        | usize::from(self.raw[3]) << 16)
                        * 4,
                ),
                Framing::Intermediate if self.raw.len() >= 4 => (
                    4,
                    u32::from_le_bytes([self.raw[0], self.raw[1], self.raw[2], self.raw[3]])
                        as usize,
                ),
                _ => return,
            };
            if body == 0 || self.raw.len() < head + body {
                return;
            }
            let mut frame: Vec<u8> = self.raw.drain(..head + body).skip(head).collect();
            match self.framing {
                Framing::Noise => {
                    if let Some(cipher) = &mut self.receive {
                        cipher.apply_keystream(&mut frame);
                    }
                    self.plain.extend_from_slice(&frame);
                }
                Framing::Abridged | Framing::Intermediate if frame.len() >= 4 => {
                    let length =
                        u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
                    self.plain
                        .extend_from_slice(&frame[4..(4 + length).min(frame.len())]);
                }
                _ => self.plain.extend_from_slice(&frame),
            }
        }
    }

    async fn more(&mut self, most: usize) -> io::Result<usize> {
        let mut buffer = vec![0; most];
        let n = self.io.read(&mut buffer).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let fresh = &mut buffer[..n];
        if let (Some(cipher), Framing::Abridged | Framing::Intermediate) =
            (&mut self.receive, self.framing)
        {
            cipher.apply_keystream(fresh);
        }
        self.raw.extend_from_slice(fresh);
        self.unframe();
        Ok(n)
    }

    async fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.plain.len() < length {
            self.more(16_384).await?;
        }
        Ok(self.plain.drain(..length).collect())
    }

    /// Reads the head of an HTTP message, up to and with the blank line.
    async fn head(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.plain.windows(4).position(|w| w == b"\r\n\r\n") {
                return Ok(String::from_utf8_lossy(
                    &self.plain.drain(..at + 4).collect::<Vec<_>>(),
                )
                .into_owned());
            }
            self.more(4_096).await?;
        }
    }
}

fn random(length: usize) -> Vec<u8> {
    use rand::RngCore;
    let mut bytes = vec![0; length];
    rand::thread_rng().fill_bytes(&mut bytes);
    bytes
}

/// The length of a request's head: what the server is asked to do.
const REQUEST: usize = 20;

fn request(step: &Step) -> [u8; REQUEST] {
    let mut b = [0; REQUEST];
    b[0] = match step.after {
        After::Nothing => 0,
        After::Linger => 1,
        After::Fin => 2,
        After::LingerMidway => 3,
    };
    b[1..3].copy_from_slice(&step.think_ms.to_le_bytes());
    b[3] = step.lead;
    b[4..8].copy_from_slice(&step.up.to_le_bytes());
    b[8..12].copy_from_slice(&step.down.to_le_bytes());
    b[12..16].copy_from_slice(&step.down_chunk.to_le_bytes());
    b[16..20].copy_from_slice(&step.down_gap_ms.to_le_bytes());
    b
}

fn word(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// What the client program saw of one flow.
#[derive(Default)]
pub struct Seen {
    pub connected: bool,
    pub end: String,
    pub steps: Vec<Value>,
}
impl Seen {
    pub fn json(&self) -> Value {
        json!({"connected": self.connected, "end": self.end, "steps": self.steps})
    }
}

// ---------------------------------------------------------------------------------------------------------------- client

/// Everything a client needs besides its flow.
pub struct World {
    pub flows: Vec<Flow>,
    pub authority: Authority,
    pub begin: Instant,
}

async fn connect(flow: &Flow) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(flow.server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_congestion(flow.congestion.as_bytes())?;
    socket.set_reuse_address(true)?;
    if let Some(size) = flow.receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(seconds) = flow.keepalive_s {
        let every = Duration::from_secs(seconds);
        socket.set_tcp_keepalive(
            &socket2::TcpKeepalive::new()
                .with_time(every)
                .with_interval(every),
        )?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&flow.client.into())?;
    if flow.fast_open {
        use std::os::fd::AsFd;
        nix::sys::socket::setsockopt(
            &socket.as_fd(),
            nix::sys::socket::sockopt::TcpFastOpenConnect,
            &true,
        )?;
    }
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(flow.server)
        .await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn open(world: &World, flow: &Flow, tcp: TcpStream) -> io::Result<Channel> {
    let first = match flow.hello {
        Hello::Split(at) => Some(at),
        _ => None,
    };
    match flow.transport {
        Transport::Tls12 | Transport::Tls13 => {
            let config = world
                .authority
                .client(
                    flow.transport == Transport::Tls12,
                    flow.hello == Hello::PostQuantum,
                    &["h2", "http/1.1"],
                )
                .map_err(io::Error::other)?;
            let name =
                rustls::pki_types::ServerName::try_from(flow.sni.clone().unwrap_or_default())
                    .map_err(io::Error::other)?;
            let tls = tokio_rustls::TlsConnector::from(Arc::new(config))
                .connect(name, Pieces { inner: tcp, first })
                .await?;
            Ok(Channel::new(Box::new(tls), Framing::None))
        }
        Transport::Http => Ok(Channel::new(Box::new(tcp), Framing::Http)),
        Transport::Noise => {
            // docs/detection.md, D4: routing, version, then the handshake message with its ephemeral key.
            let mut ch = Channel::new(
                Box::new(Pieces {
                    inner: tcp,
                    first: Some(4),
                }),
                Framing::Noise,
            );
            let mut hello = vec![0x45, 0x44, 0, 1, 0, 0, 4, 8, 9, 8, 2, 0x57, 0x41, 5, 2];
            let key = random(32);
            let body = [&[0x12, 0x24, 0x0a, 0x20][..], &key, &[0x12, 0x00]].concat();
            hello.extend_from_slice(&[0, 0, body.len() as u8]);
            hello.extend_from_slice(&body);
            ch.io.write_all(&hello).await?;
            ch.io.flush().await?;
            while ch.plain.is_empty() {
                ch.more(4_096).await?;
            }
            ch.plain.clear();
            let finish = [&[0x22, 0x80, 0x01][..], &random(125)].concat();
            ch.write(&finish).await?;
            ch.send = Some(noise_cipher());
            ch.receive = Some(noise_cipher());
            Ok(ch)
        }
        Transport::Obfuscated => {
            // docs/detection.md, D5.
            let mut init = loop {
                let init = random(64);
                if init[0] != 0xef
                    && init[4..8] != [0; 4]
                    && !matches!(
                        &init[..4],
                        b"HEAD"
                            | b"POST"
                            | b"GET "
                            | [0xee, 0xee, 0xee, 0xee]
                            | [0xdd, 0xdd, 0xdd, 0xdd]
                            | [0x16, 3, 1, 2]
                    )
                {
                    break init;
                }
            };
            let framing = if init[63] & 1 == 0 {
                Framing::Abridged
            } else {
                Framing::Intermediate
            };
            let tag = if framing == Framing::Abridged {
                0xef
            } else {
                0xee
            };
            init[56..60].fill(tag);
            let (send, receive) = obfuscated(&init);
            let mut send = send;
            let mut sealed = init.clone();
            send.apply_keystream(&mut sealed);
            init[56..].copy_from_slice(&sealed[56..]);
            let mut ch = Channel::new(Box::new(tcp), framing);
            (ch.send, ch.receive) = (Some(send), Some(receive));
            ch.opening = init;
            Ok(ch)
        }
        Transport::Abridged | Transport::Intermediate => {
            let (framing, tag): (_, &[u8]) = if flow.transport == Transport::Abridged {
                (Framing::Abridged, &[0xef])
            } else {
                (Framing::Intermediate, &[0xee; 4])
            };
            let mut ch = Channel::new(Box::new(tcp), framing);
            ch.opening = tag.to_vec();
            Ok(ch)
        }
        Transport::Quic | Transport::Call => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Both directions' ciphers from the 64 opening bytes.
fn obfuscated(init: &[u8]) -> (Cipher, Cipher) {
    let forward = &init[8..56];
    let backward: Vec<u8> = forward.iter().rev().copied().collect();
    let cipher = |b: &[u8]| {
        let (mut key, mut iv) = ([0; 32], [0; 16]);
        key.copy_from_slice(&b[..32]);
        iv.copy_from_slice(&b[32..48]);
        Cipher::new(&key.into(), &iv.into())
    };
    (cipher(forward), cipher(&backward))
}

async fn take_step(ch: &mut Channel, flow: &Flow, step: &Step, seen: &mut usize) -> io::Result<()> {
    let mut head = request(step).to_vec();
    if ch.framing == Framing::Http {
        let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
        head = format!(
            "POST /{hex} HTTP/1.1\r\nHost: {}\r\nUser-Agent: app/1.0\r\nContent-Length: {}\r\n\r\n",
            flow.sni.clone().unwrap_or_default(),
            step.up
        )
        .into_bytes();
    }
    let body = random(step.up as usize);
    if step.up_chunk == 0 {
        ch.write(&[head, body].concat()).await?;
    } else {
        ch.write(&head).await?;
        for part in body.chunks(step.up_chunk as usize) {
            sleep(Duration::from_millis(u64::from(step.up_gap_ms))).await;
            ch.write(part).await?;
        }
    }
    if step.half_close {
        ch.io.shutdown().await?;
    }
    if ch.framing == Framing::Http {
        ch.head().await?;
    }
    let mut left = step.down as usize;
    loop {
        let n = ch.plain.len().min(left);
        ch.plain.drain(..n);
        left -= n;
        *seen += n;
        if left == 0 {
            return Ok(());
        }
        if step.abort_at.is_some_and(|at| *seen >= at) {
            ch.io.reset_on_drop();
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match step.slow_read {
            Some((most, gap)) => {
                sleep(Duration::from_millis(gap)).await;
                ch.more(most).await?;
            }
            None => {
                ch.more(16_384).await?;
            }
        }
    }
}

async fn converse(world: &World, flow: &Flow, seen: &mut Seen) -> Result<Option<Channel>, String> {
    let connected = Instant::now();
    let mut ch = if flow.transport == Transport::Quic {
        timeout(flow.connect_timeout, open_quic(world, flow))
            .await
            .map_err(|_| "timeout:connect".to_string())?
            .map_err(|e| format!("error:connect:{e}"))?
    } else {
        let tcp = timeout(flow.connect_timeout, connect(flow))
            .await
            .map_err(|_| "timeout:connect".to_string())?
            .map_err(|e| format!("error:connect:{:?}", e.kind()))?;
        seen.connected = true;
        if flow.gives_up {
            tcp.reset_on_drop();
            return Ok(None);
        }
        timeout(flow.connect_timeout, open(world, flow, tcp))
            .await
            .map_err(|_| "timeout:handshake".to_string())?
            .map_err(|e| format!("error:handshake:{:?}", e.kind()))?
    };
    seen.connected = true;
    seen.steps
        .push(json!({"op": "open", "ok": true, "s": round(connected.elapsed())}));
    for step in &flow.steps {
        sleep(step.wait).await;
        let at = Instant::now();
        let mut bytes = 0;
        let result = timeout(step.timeout, take_step(&mut ch, flow, step, &mut bytes)).await;
        let ok = matches!(result, Ok(Ok(())));
        seen.steps.push(json!({"op": step.name, "ok": ok, "up": step.up, "bytes": bytes, "s": if ok { json!(round(at.elapsed())) } else { Value::Null }}));
        match result {
            Err(_) => return Err(format!("timeout:{}", step.name)),
            Ok(Err(e)) => return Err(format!("error:{}:{:?}", step.name, e.kind())),
            Ok(Ok(())) => {}
        }
    }
    match flow.leave {
        Leave::Fin => {
            let _ = timeout(Duration::from_millis(500), ch.io.shutdown()).await;
            let _ = timeout(Duration::from_millis(600), ch.more(4_096)).await;
            Ok(None)
        }
        Leave::Abort => {
            ch.io.reset_on_drop();
            Ok(None)
        }
        Leave::Stay => Ok(Some(ch)),
    }
}

fn round(d: Duration) -> f64 {
    (d.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Keeps what a flow that stays open holds, until the capture is over.
type Kept = Vec<Channel>;

/// Runs every flow of the client side; gives what each saw.
pub async fn clients(world: Arc<World>, tail: Duration) -> Vec<Seen> {
    let mut tasks = Vec::new();
    for index in 0..world.flows.len() {
        let world = world.clone();
        tasks.push(tokio::spawn(async move {
            let flow = &world.flows[index];
            sleep((world.begin + flow.start).saturating_duration_since(Instant::now())).await;
            let mut kept: Kept = Vec::new();
            let mut seen = Seen::default();
            for turn in 0..flow.connections {
                if turn > 0 {
                    sleep(Duration::from_millis(1_500)).await;
                }
                let end = if flow.transport == Transport::Call {
                    call(flow, &mut seen).await
                } else {
                    converse(&world, flow, &mut seen)
                        .await
                        .map(|channel| kept.extend(channel))
                };
                seen.end = end.err().unwrap_or_else(|| "ok".into());
            }
            (seen, kept)
        }));
    }
    let mut all = Vec::new();
    let mut kept = Vec::new();
    for task in tasks {
        let (seen, channels) = task.await.unwrap_or_default();
        all.push(seen);
        kept.push(channels);
    }
    sleep(tail).await;
    all
}

async fn open_quic(world: &World, flow: &Flow) -> io::Result<Channel> {
    let mut endpoint = quinn::Endpoint::client(flow.client)?;
    let config = world
        .authority
        .quic_client(flow.hello == Hello::PostQuantum)
        .map_err(io::Error::other)?;
    let config =
        quinn::crypto::rustls::QuicClientConfig::try_from(config).map_err(io::Error::other)?;
    let mut config = quinn::ClientConfig::new(Arc::new(config));
    config.transport_config(quic_transport(flow.congestion));
    endpoint.set_default_client_config(config);
    let connection = endpoint
        .connect(flow.server, &flow.sni.clone().unwrap_or_default())
        .map_err(io::Error::other)?
        .await
        .map_err(io::Error::other)?;
    let (send, receive) = connection.open_bi().await.map_err(io::Error::other)?;
    Ok(Channel::new(
        Box::new(tokio::io::join(receive, send)),
        Framing::None,
    ))
}

fn quic_transport(congestion: &str) -> Arc<quinn::TransportConfig> {
    let mut transport = quinn::TransportConfig::default();
    if congestion == "bbr" {
        transport.congestion_controller_factory(Arc::new(quinn::congestion::BbrConfig::default()));
    }
    Arc::new(transport)
}

// ------------------------------------------------------------------------------------------------------------------ call

fn stun(kind: u16, transaction: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut b = kind.to_be_bytes().to_vec();
    b.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    b.extend_from_slice(&0x2112_a442_u32.to_be_bytes());
    b.extend_from_slice(transaction);
    b.extend_from_slice(attributes);
    b
}
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut b = kind.to_be_bytes().to_vec();
    b.extend_from_slice(&(value.len() as u16).to_be_bytes());
    b.extend_from_slice(value);
    b.resize(b.len().next_multiple_of(4), 0);
    b
}
/// A relay request in the service's dialect (docs/detection.md, D5, D6, D9).
fn stun_request(service: &str) -> Vec<u8> {
    let transaction = random(12);
    match service {
        "whatsapp" => stun(0x0003, &transaction, &attribute(0x4000, &random(102))),
        "signal" => stun(
            0x0003,
            &transaction,
            &[
                attribute(0x0019, &[17, 0, 0, 0]),
                attribute(0x0006, b"1764000000:184729"),
                attribute(0x0014, b"signal.org"),
            ]
            .concat(),
        ),
        _ => stun(0x0001, &transaction, &[]),
    }
}
fn stun_answer(request: &[u8], to: SocketAddr) -> Option<Vec<u8>> {
    let transaction = request.get(8..20)?;
    let kind = u16::from_be_bytes([*request.first()?, *request.get(1)?]) | 0x0100;
    let mut mapped = vec![0, if to.is_ipv4() { 1 } else { 2 }];
    mapped.extend_from_slice(&(to.port() ^ 0x2112).to_be_bytes());
    let cookie = [&0x2112_a442_u32.to_be_bytes()[..], transaction].concat();
    let octets = match to.ip() {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    mapped.extend(octets.iter().zip(&cookie).map(|(a, b)| a ^ b));
    let mut attributes = attribute(0x0020, &mapped);
    if kind == 0x0103 {
        attributes.extend(attribute(0x4002, &random(12)));
    }
    Some(stun(kind, transaction, &attributes))
}
fn is_stun(b: &[u8]) -> bool {
    b.len() >= 20 && b[0] < 4 && b[4..8] == 0x2112_a442_u32.to_be_bytes()
}
fn rtp(sequence: u16, source: u32) -> Vec<u8> {
    let mut b = vec![0x80, 0x78];
    b.extend_from_slice(&sequence.to_be_bytes());
    b.extend_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
    b.extend_from_slice(&source.to_be_bytes());
    b.extend(random(70 + rand::random::<usize>() % 70));
    b
}

/// A receiver report without a block (RFC 3550, section 6.4.2), enciphered from its eighth byte on as SRTCP is.
fn rtcp(source: u32) -> Vec<u8> {
    let mut b = vec![0x80, 201, 0, 1];
    b.extend_from_slice(&source.to_be_bytes());
    b.extend(random(14));
    b
}

/// A DTLS 1.2 handshake record with a ClientHello (1) or a ServerHello (2) in it (RFC 6347, section 4.2.2).
fn dtls(message: u8, turn: u8) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend(random(32));
    body.push(0);
    if message == 1 {
        // no cookie; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 alone
        body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    } else {
        body.extend([0xc0, 0x2b, 0]);
    }
    let length = [0, 0, body.len() as u8];
    let mut record = vec![
        22,
        0xfe,
        0xfd,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        turn,
        0,
        body.len() as u8 + 12,
    ];
    record.push(message);
    record.extend(length);
    record.extend([0, 0, 0, 0, 0]);
    record.extend(length);
    record.extend(body);
    record
}

fn udp(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    UdpSocket::from_std(socket.into())
}

async fn call(flow: &Flow, seen: &mut Seen) -> Result<(), String> {
    let socket = udp(flow.client).map_err(|e| format!("error:bind:{e}"))?;
    socket
        .connect(flow.server)
        .await
        .map_err(|e| format!("error:connect:{e}"))?;
    let mut buffer = [0; 2_048];
    let at = Instant::now();
    // RFC 8489, section 6.2.1: 500 ms, doubled, seven requests. Pings that nobody means to use give up sooner.
    let mut wait = 500;
    let mut answered = false;
    let request = stun_request(&flow.service);
    for _ in 0..7 {
        let _ = socket.send(&request).await;
        // The far party may be heard before the answer is, where that was lost.
        let answer = async {
            loop {
                let n = socket.recv(&mut buffer).await?;
                if is_stun(&buffer[..n]) {
                    return io::Result::Ok(());
                }
            }
        };
        answered = matches!(
            timeout(Duration::from_millis(wait), answer).await,
            Ok(Ok(()))
        );
        if answered {
            break;
        }
        wait = (wait * 2).min(4_000);
        if at.elapsed() > Duration::from_secs(13) {
            break;
        }
    }
    seen.connected = answered;
    seen.steps
        .push(json!({"op": "stun", "ok": answered, "s": round(at.elapsed())}));
    if !answered {
        return Err("timeout:stun".into());
    }
    if flow.dtls_ms.is_some() && !shake(flow, &socket, seen).await {
        return Err("timeout:dtls".into());
    }
    let begin = Instant::now();
    let source = rand::random();
    let (mut sequence, mut received) = (rand::random::<u16>(), 0_u32);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut next_check = Duration::from_millis(2_500);
    let mut heard = begin;
    while begin.elapsed().as_secs_f64() < flow.media_s {
        tokio::select! {
            _ = tick.tick() => {
                let paused = flow.pause.is_some_and(|p| p.both && p.holds(begin.elapsed()));
                let patient = flow.patience_s.is_none_or(|s| heard.elapsed().as_secs_f64() < s);
                if !paused && patient {
                    let _ = socket.send(&rtp(sequence, source)).await;
                    sequence = sequence.wrapping_add(1);
                }
                if begin.elapsed() > next_check {
                    next_check += Duration::from_millis(2_500);
                    let _ = socket.send(&stun_request(&flow.service)).await;
                }
            }
            Ok(n) = socket.recv(&mut buffer) => if !is_stun(&buffer[..n]) {
                received += 1;
                heard = Instant::now();
            },
        }
    }
    seen.steps.push(json!({"op": "media", "ok": received > 0, "packets": received, "s": round(begin.elapsed())}));
    if flow.media_s > 0.0 && received == 0 {
        Err("timeout:media".into())
    } else {
        Ok(())
    }
}

/// Sends the hello again as RFC 6347 asks, section 4.2.4.1, from 400 ms on as calls do, and STUN beside it; whether it was answered.
async fn shake(flow: &Flow, socket: &UdpSocket, seen: &mut Seen) -> bool {
    let (at, mut wait) = (Instant::now(), 400);
    let mut buffer = [0; 2_048];
    let mut answered = false;
    for turn in 0..6 {
        let _ = socket.send(&dtls(1, turn)).await;
        let _ = socket.send(&stun_request(&flow.service)).await;
        let answer = async {
            while !matches!(socket.recv(&mut buffer).await, Ok(n) if n > 13 && buffer[0] == 22) {}
        };
        answered = timeout(Duration::from_millis(wait), answer).await.is_ok();
        if answered {
            break;
        }
        wait *= 2;
    }
    seen.steps
        .push(json!({"op": "dtls", "ok": answered, "s": round(at.elapsed())}));
    answered
}

async fn relay(
    server: SocketAddr,
    media_s: f64,
    muted: bool,
    pause: Option<Pause>,
    dtls_ms: Option<u64>,
) -> io::Result<()> {
    let socket = udp(server)?;
    let mut buffer = [0; 2_048];
    // Peers whose media we answer: since when, the next number, our source.
    let mut peers: HashMap<SocketAddr, (Instant, u16, u32, Instant)> = HashMap::new();
    // Comfort noise: a packet every 400 ms.
    let mut tick = tokio::time::interval(Duration::from_millis(if muted { 400 } else { 20 }));
    let mut hello = None;
    let mut report = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = tick.tick() => {
                for (peer, (since, sequence, source, heard)) in &mut peers {
                    let paused = pause.is_some_and(|p| p.holds(since.elapsed()));
                    if !paused && since.elapsed().as_secs_f64() < media_s && heard.elapsed() < Duration::from_secs(12) {
                        let _ = socket.send_to(&rtp(*sequence, *source), *peer).await;
                        *sequence = sequence.wrapping_add(1);
                    }
                }
            }
            _ = report.tick(), if pause.is_some_and(|p| p.reports) => {
                for (peer, (since, _, source, _)) in &peers {
                    if since.elapsed().as_secs_f64() < media_s {
                        let _ = socket.send_to(&rtcp(*source), *peer).await;
                    }
                }
            }
            Ok((n, peer)) = socket.recv_from(&mut buffer) => {
                let got = &buffer[..n];
                if got.first() == Some(&22) {
                    let since = hello.get_or_insert_with(Instant::now);
                    if since.elapsed().as_millis() as u64 >= dtls_ms.unwrap_or(0) {
                        let _ = socket.send_to(&dtls(2, 0), peer).await;
                        peers.entry(peer).or_insert_with(|| (Instant::now(), rand::random(), rand::random(), Instant::now()));
                    }
                } else if is_stun(got) {
                    if let Some(answer) = stun_answer(got, peer) {
                        let _ = socket.send_to(&answer, peer).await;
                    }
                    // The far party speaks as soon as the relay is set up.
                    if media_s > 0.0 && dtls_ms.is_none() {
                        peers.entry(peer).or_insert_with(|| (Instant::now(), rand::random(), rand::random(), Instant::now())).3 = Instant::now();
                    }
                } else if let Some(known) = peers.get_mut(&peer) {
                    known.3 = Instant::now();
                }
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------- server

async fn accept(world: &World, flow: &Flow, tcp: TcpStream) -> io::Result<Channel> {
    match flow.transport {
        Transport::Tls12 | Transport::Tls13 => {
            let config = world
                .authority
                .server(flow.refuses_name, false)
                .map_err(io::Error::other)?;
            let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config))
                .accept(tcp)
                .await?;
            Ok(Channel::new(Box::new(tls), Framing::None))
        }
        Transport::Http => Ok(Channel::new(Box::new(tcp), Framing::Http)),
        Transport::Noise => {
            let mut ch = Channel::new(Box::new(tcp), Framing::None);
            let head = ch.read(18).await?;
            let length = usize::from(head[17]);
            ch.read(length).await?;
            ch.framing = Framing::Noise;
            let body = [&[0x1a, 0x34, 0x0a, 0x20][..], &random(46)].concat();
            ch.io.write_all(&[0, 0, body.len() as u8]).await?;
            ch.io.write_all(&body).await?;
            ch.raw = std::mem::take(&mut ch.plain);
            ch.unframe();
            while ch.plain.len() < 128 {
                ch.more(4_096).await?;
            }
            ch.plain.drain(..128);
            ch.send = Some(noise_cipher());
            ch.receive = Some(noise_cipher());
            // A request that came with the last handshake frame was taken for clear text.
            if !ch.plain.is_empty() {
                let mut early = std::mem::take(&mut ch.plain);
                if let Some(cipher) = &mut ch.receive {
                    cipher.apply_keystream(&mut early);
                }
                ch.plain = early;
            }
            Ok(ch)
        }
        Transport::Obfuscated => {
            let mut tcp = tcp;
            let mut init = [0; 64];
            tcp.read_exact(&mut init).await?;
            let (mut receive, send) = obfuscated(&init);
            let mut open = init;
            receive.apply_keystream(&mut open);
            let framing = if open[56] == 0xef {
                Framing::Abridged
            } else {
                Framing::Intermediate
            };
            let mut ch = Channel::new(Box::new(tcp), framing);
            (ch.send, ch.receive) = (Some(send), Some(receive));
            Ok(ch)
        }
        Transport::Abridged | Transport::Intermediate => {
            let mut tcp = tcp;
            let mut tag = [0; 4];
            let abridged = flow.transport == Transport::Abridged;
            tcp.read_exact(&mut tag[..if abridged { 1 } else { 4 }])
                .await?;
            Ok(Channel::new(
                Box::new(tcp),
                if abridged {
                    Framing::Abridged
                } else {
                    Framing::Intermediate
                },
            ))
        }
        Transport::Quic | Transport::Call => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn serve(mut ch: Channel) -> io::Result<()> {
    loop {
        let mut ask = Vec::new();
        if ch.framing == Framing::Http {
            let head = ch.head().await?;
            let hex = head
                .split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_string();
            for at in (0..hex.len()).step_by(2) {
                ask.push(u8::from_str_radix(hex.get(at..at + 2).unwrap_or("0"), 16).unwrap_or(0));
            }
            ask.resize(REQUEST, 0);
        } else {
            ask = ch.read(REQUEST).await?;
        }
        let (mut up, down, chunk, gap) = (
            word(&ask, 4) as usize,
            word(&ask, 8) as usize,
            word(&ask, 12) as usize,
            word(&ask, 16),
        );
        while up > 0 {
            let n = ch.plain.len().min(up);
            ch.plain.drain(..n);
            up -= n;
            if up > 0 {
                ch.more(16_384).await?;
            }
        }
        sleep(Duration::from_millis(
            u16::from_le_bytes([ask[1], ask[2]]).into(),
        ))
        .await;
        if ch.framing == Framing::Http {
            ch.write(
                format!("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: {down}\r\n\r\n")
                    .as_bytes(),
            )
            .await?;
        }
        let body = random(if ask[0] == 3 { down / 2 } else { down });
        if chunk == 0 {
            ch.write(&body).await?;
        } else {
            let (lead, rest) = body.split_at(body.len().min(usize::from(ask[3]) * 4_096));
            ch.write(lead).await?;
            // By the clock, not by the sum of the pauses: a pace is a rate.
            let mut next = tokio::time::interval(Duration::from_millis(u64::from(gap.max(1))));
            for part in rest.chunks(chunk) {
                next.tick().await;
                ch.write(part).await?;
            }
        }
        match ask[0] {
            1 | 3 => {
                sleep(Duration::from_millis(30)).await;
                ch.io.reset_on_drop();
                return Ok(());
            }
            2 => return ch.io.shutdown().await,
            _ => {}
        }
    }
}

/// Listens where the flows go, until the task is dropped.
pub async fn servers(world: Arc<World>, restarts: Vec<Restart>) -> io::Result<()> {
    let mut bound: Vec<(SocketAddr, bool)> = Vec::new();
    for (index, flow) in world.flows.iter().enumerate() {
        let key = (flow.server, flow.transport.is_udp());
        if !flow.host_exists || !flow.listens || bound.contains(&key) {
            continue;
        }
        bound.push(key);
        let world = world.clone();
        match flow.transport {
            Transport::Call => {
                // One relay may serve several flows: its media time is the longest asked for.
                let media = world
                    .flows
                    .iter()
                    .filter(|f| f.server == flow.server)
                    .map(|f| f.media_s)
                    .fold(0.0, f64::max);
                let (server, muted, pause, dtls) =
                    (flow.server, flow.muted, flow.pause, flow.dtls_ms);
                tokio::spawn(async move { relay(server, media, muted, pause, dtls).await });
            }
            Transport::Quic => {
                let config = world
                    .authority
                    .server(false, true)
                    .map_err(io::Error::other)?;
                let config = quinn::crypto::rustls::QuicServerConfig::try_from(config)
                    .map_err(io::Error::other)?;
                let mut config = quinn::ServerConfig::with_crypto(Arc::new(config));
                config.transport_config(quic_transport(flow.congestion));
                let endpoint = quinn::Endpoint::server(config, flow.server)?;
                tokio::spawn(async move {
                    while let Some(incoming) = endpoint.accept().await {
                        tokio::spawn(async move {
                            let Ok(connection) = incoming.await else {
                                return;
                            };
                            while let Ok((send, receive)) = connection.accept_bi().await {
                                let ch = Channel::new(
                                    Box::new(tokio::io::join(receive, send)),
                                    Framing::None,
                                );
                                tokio::spawn(serve(ch));
                            }
                        });
                    }
                });
            }
            _ => {
                let restart = restarts.iter().find(|r| r.server == flow.server).cloned();
                tokio::spawn(async move {
                    if let Some(restart) = restart {
                        let left =
                            (world.begin + restart.at).saturating_duration_since(Instant::now());
                        let _ = timeout(left, listen(world.clone(), index, true)).await;
                        sleep(restart.down).await;
                    }
                    listen(world.clone(), index, false).await
                });
            }
        }
    }
    std::future::pending().await
}

async fn listen(world: Arc<World>, index: usize, abrupt: bool) -> io::Result<()> {
    let flow = &world.flows[index];
    let socket = Socket::new(
        Domain::for_address(flow.server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_congestion(flow.congestion.as_bytes())?;
    socket.set_nonblocking(true)?;
    socket.bind(&flow.server.into())?;
    socket.listen(128)?;
    let listener = TcpListener::from_std(socket.into())?;
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        let (tcp, peer) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        if abrupt {
            tcp.reset_on_drop();
        }
        let world = world.clone();
        // Flows to one server may differ in transport only by mistake of the plan; the peer's port tells which it is.
        let which = world
            .flows
            .iter()
            .position(|f| f.client.port() == peer.port() && f.server == world.flows[index].server)
            .unwrap_or(index);
        conversations.spawn(async move {
            sleep(Duration::from_millis(world.flows[which].slow_hello_ms)).await;
            let ch = accept(&world, &world.flows[which], tcp).await?;
            serve(ch).await
        });
        while conversations.try_join_next().is_some() {}
    }
}
