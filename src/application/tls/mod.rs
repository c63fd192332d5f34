//! TLS over a stream: records are counted through, the messages that say something are put together, everything else is stepped over.

pub(in crate::application) mod certificate;
pub(in crate::application) mod client_hello;
mod ja4;
mod record;
pub(in crate::application) mod server_hello;

use super::{Application, Arrival, Recognised};
use crate::types::Side;
use client_hello::{ClientHello, Over, version_name};
use server_hello::ServerHello;

pub(in crate::application) use record::{opening, ssl2_opening};

/// Handshake message types (IANA, TLS HandshakeType) that are read.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// Alerts kept: a conversation ends with one or two.
const MAX_ALERTS: usize = 8;

/// Whether the first byte of a handshake record can be a message in clear.
pub(in crate::application) const fn is_handshake(kind: u8) -> bool {
    matches!(kind, 0..=6 | 8 | 11..=16 | 20..=24 | 67)
}

/// One side's record stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Stream offset of the next byte.
    at: u32,
    /// The next record's header so far.
    header: [u8; 5],
    header_bytes: u8,
    /// The current record: its type, its length, and what has not come of it.
    content: u8,
    length: u16,
    left: u16,
    /// The alert in the making: level and description.
    alert: [u8; 2],
    /// Records begun.
    records: u32,
    /// Whether handshake records are sealed from here on.
    sealed: bool,
    /// Whether the bytes stopped being records; then nothing is read any more.
    lost: bool,
    /// Whether a message in clear, or a second record, has shown that this is TLS and no accident of five bytes.
    proven: bool,
    /// The handshake message in the making, from its header on; bounded by the stream's limit.
    message: Vec<u8>,
    /// Bytes of a handshake message that nobody wants.
    skip: u32,
}

impl Reader {
    /// A reader whose first byte lies `at` bytes into its side's stream.
    pub(super) fn new(at: u32) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    /// Takes fresh bytes of this side.
    pub(super) fn bytes(&mut self, mut bytes: &[u8], arrival: &Arrival, found: &mut Recognised) {
        while !bytes.is_empty() && !self.lost {
            let rest = if self.left == 0 {
                self.header_bytes(bytes, found)
            } else {
                let (piece, rest) = bytes.split_at(bytes.len().min(usize::from(self.left)));
                self.body_bytes(piece, arrival, found);
                rest
            };
            self.at = self.at.saturating_add((bytes.len() - rest.len()) as u32);
            bytes = rest;
        }
    }

    /// Bytes of the unfinished record that have not come; 0 at a boundary, and where the stream is no longer TLS.
    pub(super) fn missing(&self) -> u32 {
        if self.lost {
            0
        } else if self.header_bytes > 0 {
            5 - u32::from(self.header_bytes)
        } else {
            u32::from(self.left)
        }
    }

    /// Whether nothing more can be learned here.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Fills the header; gives back what follows it.
    fn header_bytes<'a>(&mut self, bytes: &'a [u8], found: &mut Recognised) -> &'a [u8] {
        let mut used = 0;
        let open = self.header.iter_mut().skip(usize::from(self.header_bytes));
        for (place, byte) in open.zip(bytes) {
            *place = *byte;
            used += 1;
        }
        self.header_bytes += used;
        if self.header_bytes == 5 {
            self.header_bytes = 0;
            match record::header(self.header) {
                Some((content, length)) => {
                    self.proven |= self.records > 0;
                    self.records = self.records.saturating_add(1);
                    (self.content, self.length, self.left) = (content, length, length);
                    self.sealed |= content == record::CHANGE_CIPHER_SPEC;
                    if found.application == Application::Unknown {
                        found.application = Application::Tls;
                    }
                }
                None => self.lose(found),
            }
        }
        bytes.get(usize::from(used)..).unwrap_or(&[])
    }

    /// The bytes are no records any more. If they never clearly were, this is not TLS.
    fn lose(&mut self, found: &mut Recognised) {
        self.lost = true;
        self.message = Vec::new();
        if !self.proven && found.hello_frame.is_none() && found.server_hello_frame.is_none() {
            found.application = Application::Unknown;
        }
    }

    /// Takes bytes of the current record, never beyond its end.
    fn body_bytes(&mut self, piece: &[u8], arrival: &Arrival, found: &mut Recognised) {
        let already = self.length - self.left;
        self.left -= piece.len() as u16;
        match self.content {
            record::HANDSHAKE if !self.sealed => self.handshake_bytes(piece, arrival, found),
            // Sealed alerts carry a tag or a MAC, so two bytes are an alert in clear, whenever they come.
            record::ALERT if self.length == 2 => {
                for (place, byte) in self.alert.iter_mut().skip(usize::from(already)).zip(piece) {
                    *place = *byte;
                }
                let [level, description] = self.alert;
                let whole = self.left == 0 && matches!(level, 1 | 2);
                if whole && found.alerts.len() < MAX_ALERTS {
                    found
                        .alerts
                        .push((arrival.side, description, arrival.frame));
                }
            }
            _ => {}
        }
    }

    /// Takes bytes of handshake records: messages may share a record, and span several (RFC 8446, section 5.1).
    fn handshake_bytes(&mut self, piece: &[u8], arrival: &Arrival, found: &mut Recognised) {
        let mut rest = piece;
        while !rest.is_empty() && !self.sealed {
            if self.skip > 0 {
                let (skipped, after) = rest.split_at(rest.len().min(self.skip as usize));
                self.skip -= skipped.len() as u32;
                rest = after;
                continue;
            }
            let wanted = wanted(&self.message);
            let more = wanted.saturating_sub(self.message.len());
            let (taken, after) = rest.split_at(rest.len().min(more));
            self.message.extend_from_slice(taken);
            rest = after;
            if let &[kind, ..] = self.message.as_slice()
                && !is_handshake(kind)
            {
                // A capture that began late: this was sealed before it.
                self.sealed = true;
                self.message = Vec::new();
                return;
            }
            let complete = self.message.len();
            if complete >= wanted && self::wanted(&self.message) <= complete {
                let end = self.at.saturating_add((piece.len() - rest.len()) as u32);
                let message = std::mem::take(&mut self.message);
                let length = length(&message);
                self.skip = (4 + length).saturating_sub(complete) as u32;
                self.message(&message, end, arrival, found);
            }
        }
    }

    /// Takes one message, or as much of it as was wanted.
    fn message(&mut self, message: &[u8], end: u32, arrival: &Arrival, found: &mut Recognised) {
        let Some((&[kind, ..], body)) = message.split_first_chunk::<4>() else {
            return;
        };
        match kind {
            CLIENT_HELLO => {
                if let Some(hello) = ClientHello::read(body, Over::Tcp) {
                    self.proven = true;
                    client_hello(hello, end, arrival, found);
                }
            }
            SERVER_HELLO => {
                if let Some(hello) = ServerHello::read(body) {
                    self.proven = true;
                    server_hello(hello, arrival, found);
                }
            }
            CERTIFICATE => {
                // list length (3), the leaf's length (3), the leaf
                let leaf = body.get(6..).and_then(certificate::names);
                let is_servers = found.client != Some(arrival.side);
                if let Some(names) = leaf
                    && is_servers
                    && found.certificate_names.is_empty()
                {
                    found.certificate_names = names.subjects;
                    found.certificate_issuer = names.issuer;
                }
            }
            _ => {}
        }
    }
}

/// Records a hello of the client.
pub(super) fn client_hello(
    hello: ClientHello,
    end: u32,
    arrival: &Arrival,
    found: &mut Recognised,
) {
    if found.hello_frame.is_some() {
        // After a HelloRetryRequest the second hello must name the same server; two names in one stream are a decoy and a truth.
        found.evasion_suspected |= found.client == Some(arrival.side) && found.sni != hello.name;
        return;
    }
    found.application = Application::Tls;
    found.client = Some(arrival.side);
    found.hello_frame = Some(arrival.frame);
    found.hello_time = Some(arrival.time);
    found.hello_end = end;
    if found.tls_version.is_none() {
        found.tls_version = version_name(hello.version).map(str::to_owned);
    }
    found.sni = hello.name;
    found.alpn = hello.alpn;
    found.ja4 = Some(hello.ja4);
    found.ech = hello.ech;
}

/// Records the answer.
fn server_hello(hello: ServerHello, arrival: &Arrival, found: &mut Recognised) {
    if found.server_hello_frame.is_some() {
        return;
    }
    found.application = Application::Tls;
    found.server_hello_frame = Some(arrival.frame);
    if let Some(name) = version_name(hello.version) {
        found.tls_version = Some(name.to_owned());
    }
    if found.client.is_none() {
        found.client = Some(arrival.side.other());
    }
}

/// A hello in SSL 2.0's form: TLS without a name.
pub(super) fn ssl2_hello(version: u16, end: u32, arrival: &Arrival, found: &mut Recognised) {
    found.application = Application::Tls;
    found.client = Some(arrival.side);
    found.hello_frame = Some(arrival.frame);
    found.hello_time = Some(arrival.time);
    found.hello_end = end;
    if found.tls_version.is_none() {
        found.tls_version = version_name(version).map(str::to_owned);
    }
}

/// The length of a message's body, from its header.
fn length(message: &[u8]) -> usize {
    match *message {
        [_, high, middle, low, ..] => u32::from_be_bytes([0, high, middle, low]) as usize,
        _ => 0,
    }
}

/// How many bytes of the message are wanted, judging by those that are there: the header, then all of a hello, or a chain's first certificate.
fn wanted(message: &[u8]) -> usize {
    match *message {
        [CLIENT_HELLO | SERVER_HELLO, _, _, _, ..] => 4 + length(message),
        [CERTIFICATE, _, _, _, _, _, _, high, middle, low, ..] => {
            let leaf = u32::from_be_bytes([0, high, middle, low]) as usize;
            (10 + leaf).min(4 + length(message)).max(10)
        }
        [CERTIFICATE, _, _, _, ..] => 10.min(4 + length(message)),
        _ => 4,
    }
}

/// The side that is more likely the client where the bytes do not say: the one with the higher port, if the other's is a well-known one.
pub(super) fn likely_client(ports: [u16; 2]) -> Side {
    let [a, b] = ports;
    if a < 1024 && b >= 1024 {
        Side::B
    } else {
        Side::A
    }
}
