//! The recogniser of a TCP flow: gives each side's bytes to the one reader that claims them.

use super::{
    Appetite, Application, Arrival, Progress, Recognised, dns, http, mtproto, noise, others, stun,
    tls,
};
use crate::types::{FlowKey, Frame, Side, Timestamp};

/// Bytes of a side that are looked at. A hello lies within them, and so does the known freeze after 16 to 20 KB.
pub const STREAM_LIMIT: u32 = 64 * 1024;

/// Bytes that the openings may ask for before one of them must claim the stream: the longest is the first frame of an MTProto stream that is
/// told by its checksum.
const OPENING_LIMIT: usize = 4 * 1024 + 64;

/// Recognises what one TCP flow says.
///
/// Gets the in-order bytes of both sides, in whatever pieces they come: how a side's stream is cut does not change the answer.
#[derive(Debug)]
pub struct StreamRecogniser {
    lanes: [Lane; 2],
    ports: [u16; 2],
    dns: dns::DnsConversation,
    turns: others::Turns,
    found: Recognised,
}

/// One side's bytes.
#[derive(Debug, Default)]
struct Lane {
    /// Stream bytes seen.
    seen: u32,
    reading: Reading,
}

/// Who reads a side.
#[derive(Debug)]
enum Reading {
    /// Nobody has claimed it yet; its bytes so far, at most [`OPENING_LIMIT`].
    Opening(Vec<u8>),
    /// A hello in SSL 2.0's form: its version, its length, and how much of that is still to come.
    Ssl2 {
        version: u16,
        length: u16,
        left: u16,
    },
    /// TLS records.
    Tls(Box<tls::Reader>),
    /// An HTTP head.
    Http(http::Reader),
    /// DNS messages behind their lengths; what has come of the next one.
    Dns(Vec<u8>),
    /// STUN messages and TURN channels; what has come of the next one.
    Turn(Vec<u8>),
    /// A protocol in which TLS may begin later (STARTTLS, a proxy).
    Search(Search),
    /// Read as far as it is of use, or as it can be.
    Done,
    /// Nobody's.
    Unknown,
}

impl Default for Reading {
    fn default() -> Self {
        Self::Opening(Vec::new())
    }
}

impl StreamRecogniser {
    /// A recogniser for the flow `key`, whose ports serve as hints only.
    #[must_use]
    pub fn new(key: &FlowKey) -> Self {
        Self {
            lanes: <[Lane; 2]>::default(),
            ports: [key.a.port, key.b.port],
            dns: dns::DnsConversation::default(),
            turns: others::Turns::default(),
            found: Recognised::default(),
        }
    }

    /// Takes fresh in-order bytes of one side, right after those given before, and the frame and time that completed them.
    pub fn bytes(&mut self, side: Side, fresh: &[u8], frame: Frame, time: Timestamp) -> Appetite {
        let arrival = Arrival { side, frame, time };
        let [a, b] = &mut self.lanes;
        let (lane, other) = match side {
            Side::A => (a, b),
            Side::B => (b, a),
        };
        let room = STREAM_LIMIT.saturating_sub(lane.seen) as usize;
        let within = fresh.get(..room).unwrap_or(fresh);
        let mut context = Context {
            other: &other.reading,
            ports: self.ports,
            dns: &mut self.dns,
            arrival: &arrival,
            found: &mut self.found,
        };
        lane.bytes(within, &mut context);
        if lane.seen >= STREAM_LIMIT {
            lane.end();
        }
        self.turns.note(side, fresh.len());
        if let Progress::Done { message, .. } = self.turns.threema(self.ports)
            && self.says_nothing()
        {
            self.found.signature = Some(("threema", "lengths of Threema's handshake on its port"));
            self.found.client = Some(message);
        }
        self.appetite()
    }

    /// Whether neither a protocol nor a mark was found.
    fn says_nothing(&self) -> bool {
        self.found.application == Application::Unknown && self.found.signature.is_none()
    }

    /// Bytes of this side are missing from here on, by the capture's fault: nothing more can come in order.
    pub fn gap(&mut self, side: Side) -> Appetite {
        match (&mut self.lanes, side) {
            ([lane, _], Side::A) | ([_, lane], Side::B) => lane.end(),
        }
        self.appetite()
    }

    /// The DNS questions of the flow so far; what is left of them is in [`finish`](Self::finish).
    pub fn take_dns(&mut self) -> Vec<dns::DnsFact> {
        std::mem::take(&mut self.dns).finish()
    }

    /// What was recognised so far, the DNS questions of the flow among it; the recogniser goes on.
    #[must_use]
    pub fn so_far(&self) -> Recognised {
        let mut found = self.found.clone();
        found.dns = self.dns.clone().finish();
        self.note_missing(&mut found);
        found
    }

    /// Everything that was recognised.
    #[must_use]
    pub fn finish(self) -> Recognised {
        let mut found = self.found.clone();
        self.note_missing(&mut found);
        found.dns = self.dns.finish();
        found
    }

    /// Notes what is still to come of records that began.
    fn note_missing(&self, found: &mut Recognised) {
        if found.application == Application::Tls {
            let client = found
                .client
                .unwrap_or_else(|| tls::likely_client(self.ports));
            let [a, b] = &self.lanes;
            let [a, b] = [a, b].map(Lane::record_missing);
            (found.record_missing_up, found.record_missing_down) =
                if client == Side::A { (a, b) } else { (b, a) };
        }
    }

    /// Whether more bytes could change the answer.
    fn appetite(&self) -> Appetite {
        let [a, b] = &self.lanes;
        let nothing_yet = self.found.application == Application::Unknown;
        // All that MTProto shows is its beginning.
        if self.found.application == Application::Mtproto {
            return Appetite::Full;
        }
        match (&a.reading, &b.reading) {
            // the third turn is under way
            (Reading::Unknown, Reading::Unknown)
                if self.turns.threema(self.ports) == Progress::NeedMore && self.says_nothing() =>
            {
                Appetite::Hungry
            }
            (Reading::Done | Reading::Unknown, Reading::Done | Reading::Unknown) => Appetite::Full,
            // One side is nobody's and the other has not spoken: waiting for it would hold memory for every flow of an unknown protocol.
            (Reading::Unknown, Reading::Opening(first))
            | (Reading::Opening(first), Reading::Unknown)
                if nothing_yet && first.is_empty() =>
            {
                Appetite::Full
            }
            _ => Appetite::Hungry,
        }
    }
}

/// What a lane needs beside its bytes.
struct Context<'a> {
    other: &'a Reading,
    ports: [u16; 2],
    dns: &'a mut dns::DnsConversation,
    arrival: &'a Arrival,
    found: &'a mut Recognised,
}

impl Lane {
    /// Takes fresh bytes; while nobody has claimed the side, holds back as few as the openings need.
    fn bytes(&mut self, fresh: &[u8], context: &mut Context<'_>) {
        self.seen = self.seen.saturating_add(fresh.len() as u32);
        let Reading::Opening(first) = &mut self.reading else {
            self.read(fresh, context);
            return;
        };
        let held = first.len();
        let room = OPENING_LIMIT.saturating_sub(held);
        let within = fresh.get(..room).unwrap_or(fresh);
        let claim = if held == 0 {
            claim(within, context)
        } else {
            first.extend_from_slice(within);
            claim(first, context)
        };
        let reading = match claim {
            Progress::NeedMore if within.len() < room => {
                if held == 0 {
                    first.extend_from_slice(within);
                }
                return;
            }
            Progress::Done { message, .. } => message,
            Progress::NeedMore | Progress::NotThis if context.other.may_upgrade() => {
                Reading::Search(Search::default())
            }
            Progress::NeedMore | Progress::NotThis => Reading::Unknown,
        };
        if let Reading::Opening(first) = std::mem::replace(&mut self.reading, reading) {
            self.read(first.get(..held).unwrap_or(&[]), context);
        }
        self.read(fresh, context);
    }

    /// Passes bytes to the reader, and to the next one where that reader's part ends.
    fn read(&mut self, fresh: &[u8], context: &mut Context<'_>) {
        let arrival = context.arrival;
        let mut rest = fresh;
        while !rest.is_empty() {
            match &mut self.reading {
                Reading::Ssl2 {
                    version,
                    length,
                    left,
                } => {
                    let taken = rest.len().min(usize::from(*left));
                    *left -= taken as u16;
                    rest = rest.get(taken..).unwrap_or(&[]);
                    if *left == 0 {
                        let end = u32::from(*length);
                        tls::ssl2_hello(*version, end, arrival, context.found);
                        self.reading = Reading::Tls(Box::new(tls::Reader::new(end)));
                    }
                }
                Reading::Tls(reader) => {
                    reader.bytes(rest, arrival, context.found);
                    if reader.is_lost() {
                        self.reading = Reading::Done;
                    }
                    return;
                }
                Reading::Http(reader) => {
                    let (head, used) = reader.bytes(rest, arrival, context.found);
                    rest = rest.get(used..).unwrap_or(&[]);
                    let search = || Reading::Search(Search::from(reader.taken()));
                    self.reading = match head {
                        http::Head::Open => return,
                        http::Head::Other => search(),
                        // the answer to a CONNECT
                        http::Head::Done if context.other.may_upgrade() => search(),
                        http::Head::Done => Reading::Done,
                    };
                }
                Reading::Dns(held) => {
                    held.extend_from_slice(rest);
                    let left = messages(held, |bytes| match dns::frame(bytes) {
                        Progress::Done { message, used } => {
                            note_dns(&message, arrival, context.found);
                            let (frame, time) = (arrival.frame, arrival.time);
                            context.dns.take(arrival.side, &message, frame, time);
                            Progress::Done { message: (), used }
                        }
                        Progress::NeedMore => Progress::NeedMore,
                        Progress::NotThis => Progress::NotThis,
                    });
                    if !left {
                        self.reading = Reading::Done;
                    }
                    return;
                }
                Reading::Turn(held) => {
                    held.extend_from_slice(rest);
                    let left = messages(held, |bytes| match stun::frame(bytes, true) {
                        Progress::Done { message, used } => {
                            note_turn(&message, arrival, context.found);
                            Progress::Done { message: (), used }
                        }
                        Progress::NeedMore => Progress::NeedMore,
                        Progress::NotThis => Progress::NotThis,
                    });
                    if !left {
                        self.reading = Reading::Done;
                    }
                    return;
                }
                Reading::Search(search) => {
                    let Some(hit) = search.bytes(rest) else {
                        return;
                    };
                    rest = rest.get(hit.start..).unwrap_or(&[]);
                    // What spoke before the upgrade is not what the conversation is for.
                    context.found.application = Application::Tls;
                    let mut reader = Box::new(tls::Reader::new(hit.at));
                    reader.bytes(hit.held(), arrival, context.found);
                    self.reading = Reading::Tls(reader);
                }
                Reading::Opening(_) | Reading::Done | Reading::Unknown => return,
            }
        }
    }

    /// Nothing more will come in order.
    fn end(&mut self) {
        self.reading = match self.reading {
            Reading::Opening(_) | Reading::Unknown => Reading::Unknown,
            _ => Reading::Done,
        };
    }

    /// Bytes of an unfinished record, where the stream's own end shows it.
    fn record_missing(&self) -> u32 {
        match &self.reading {
            Reading::Tls(reader) => reader.missing(),
            _ => 0,
        }
    }
}

impl Reading {
    /// Whether this side is, or has become, TLS inside something else.
    fn may_upgrade(&self) -> bool {
        matches!(self, Self::Search(_) | Self::Tls(_))
    }
}

/// Takes whole messages off the front of `held`; false when it stopped being messages.
fn messages(held: &mut Vec<u8>, mut next: impl FnMut(&[u8]) -> Progress<()>) -> bool {
    let mut at = 0;
    let left = loop {
        match next(held.get(at..).unwrap_or(&[])) {
            Progress::Done { used, .. } if used > 0 => at += used,
            Progress::NeedMore => break true,
            _ => break false,
        }
    };
    held.drain(..at.min(held.len()));
    left
}

/// Notes what a DNS message says of its flow.
fn note_dns(message: &dns::DnsMessage, arrival: &Arrival, found: &mut Recognised) {
    found.application = Application::Dns;
    let asker = if message.answer {
        arrival.side.other()
    } else {
        arrival.side
    };
    found.client = found.client.or(Some(asker));
}

/// Notes a frame of STUN or TURN over TCP.
fn note_turn(frame: &stun::TurnFrame, arrival: &Arrival, found: &mut Recognised) {
    found.application = Application::Stun;
    if let stun::TurnFrame::Message(message) = frame {
        found.signature = found.signature.or(stun::dialect(message));
        stun::note(found.call.get_or_insert_default(), message, arrival.side);
        if message.class() == stun::StunClass::Request {
            found.client = found.client.or(Some(arrival.side));
        }
    }
}

/// A recogniser of a stream's first bytes.
type Opening = fn(&[u8], &mut Context<'_>) -> Progress<Reading>;

/// The recognisers, one a line, in the order in which they are asked. What waits for many bytes of anything stands late.
const OPENINGS: [Opening; 8] = [
    |first, _| as_reading(&tls::opening(first), || Reading::Tls(Box::default())),
    |first, _| match tls::ssl2_opening(first) {
        Progress::Done {
            message: version,
            used,
        } => {
            let length = used as u16;
            claimed(Reading::Ssl2 {
                version,
                length,
                left: length,
            })
        }
        Progress::NeedMore => Progress::NeedMore,
        Progress::NotThis => Progress::NotThis,
    },
    |first, _| {
        as_reading(&http::opening(first), || {
            Reading::Http(http::Reader::default())
        })
    },
    |first, context| signature(&noise::claim(first, context.arrival, context.found)),
    |first, context| signature(&others::claim(first, context.found)),
    |first, _| as_reading(&stun::frame(first, false), || Reading::Turn(Vec::new())),
    |first, context| {
        // A length and a few flags are no mark: elsewhere than on its port DNS would wait for what is none (ADB's "STLS", for one).
        if context.ports.contains(&53) {
            as_reading(&dns::frame(first), || Reading::Dns(Vec::new()))
        } else {
            Progress::NotThis
        }
    },
    // Any bytes may be an obfuscated opening until there are 64 of them, unless the other side has said what this is.
    |first, context| {
        if context.found.application == Application::Unknown {
            signature(&mtproto::claim(first, context.arrival, context.found))
        } else {
            Progress::NotThis
        }
    },
];

/// Who claims a stream that begins with `first`.
///
/// The first in the list that does not decline decides, also by asking for more: so the answer does not depend on how the stream was cut.
fn claim(first: &[u8], context: &mut Context<'_>) -> Progress<Reading> {
    for opening in OPENINGS {
        match opening(first, context) {
            Progress::NotThis => {}
            decided => return decided,
        }
    }
    as_reading(&upgradable(first), || Reading::Search(Search::default()))
}

fn as_reading<T>(progress: &Progress<T>, reading: impl FnOnce() -> Reading) -> Progress<Reading> {
    match progress {
        Progress::Done { .. } => claimed(reading()),
        Progress::NeedMore => Progress::NeedMore,
        Progress::NotThis => Progress::NotThis,
    }
}

/// A claim by the first bytes, after which nothing is read.
fn signature(progress: &Progress<()>) -> Progress<Reading> {
    as_reading(progress, || Reading::Done)
}

fn claimed(message: Reading) -> Progress<Reading> {
    Progress::Done { message, used: 0 }
}

/// Whether a side's first bytes could be wanted by any recogniser.
///
/// Nothing is kept: flows for which this is false of both sides cost nothing else here. A few nanoseconds for zeros, some hundred for random
/// bytes, which must be decrypted to see that they are not Telegram's.
#[must_use]
pub fn stream_may_start(first: &[u8]) -> bool {
    // no protocol in the list begins so; tests and idle tunnels do
    if first.starts_with(&[0; 8]) {
        return false;
    }
    let wanted = |progress: Progress<()>| progress != Progress::NotThis;
    wanted(tls::opening(first))
        || wanted(http::opening(first))
        || wanted(upgradable(first))
        || tls::ssl2_opening(first) != Progress::NotThis
        || noise::client_hello(first) != Progress::NotThis
        || noise::server_hello(first) != Progress::NotThis
        || stun::frame(first, false) != Progress::NotThis
        || others::opening(first) != Progress::NotThis
        || mtproto::client_hello(first) != Progress::NotThis
        || dns::frame(first) != Progress::NotThis
}

/// Whether a stream begins like a protocol that may turn into TLS later.
///
/// Text (SMTP, IMAP, POP3, FTP, XMPP and their STARTTLS, the PROXY protocol's first version) is four printable bytes; the others are listed.
fn upgradable(first: &[u8]) -> Progress<()> {
    const BINARY: [&[u8]; 5] = [
        &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], // PostgreSQL's SSLRequest (its manual, section 54.7)
        &[3, 0, 0],                         // TPKT, as RDP begins (RFC 1006, section 6)
        b"\r\n\r\n\0\r\nQUIT\n",            // PROXY protocol, version 2 (HAProxy, section 2.2)
        &[5, 1, 0], // SOCKS5, no authentication offered (RFC 1928, section 3)
        &[5, 2, 0], // SOCKS5, two methods offered
    ];
    let done = Progress::Done {
        message: (),
        used: 0,
    };
    let mut may_become = false;
    for opening in BINARY {
        if first.starts_with(opening) {
            return done;
        }
        may_become |= opening.starts_with(first);
    }
    let text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    match first.first_chunk::<4>() {
        Some(four) if four.iter().all(text) => done,
        None if first.iter().all(text) => Progress::NeedMore,
        _ if may_become => Progress::NeedMore,
        _ => Progress::NotThis,
    }
}

/// Looks for the hello of a client or server anywhere in a side's bytes.
#[derive(Debug, Default)]
struct Search {
    /// Stream offset of the next byte.
    at: u32,
    /// The last bytes, in which a hello may have begun.
    tail: [u8; PATTERN - 1],
    held: u8,
}

/// Bytes that tell a hello: record header, message type and length, version.
const PATTERN: usize = 11;

/// Where a hello begins.
struct Hit {
    /// Its offset in the stream.
    at: u32,
    /// Its first bytes, from the pieces before.
    carried: [u8; PATTERN - 1],
    bytes: usize,
    /// Where it goes on in the piece at hand.
    start: usize,
}

impl Hit {
    fn held(&self) -> &[u8] {
        self.carried.get(..self.bytes).unwrap_or(&[])
    }
}

impl Search {
    /// A search that begins `at` bytes into the stream.
    fn from(at: u32) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    /// Looks through the next bytes.
    fn bytes(&mut self, fresh: &[u8]) -> Option<Hit> {
        let held = usize::from(self.held);
        let mut window = [0; 2 * (PATTERN - 1)];
        let mut length = 0;
        let known = self
            .tail
            .iter()
            .take(held)
            .chain(fresh.iter().take(PATTERN - 1));
        for (place, byte) in window.iter_mut().zip(known) {
            *place = *byte;
            length += 1;
        }
        let window = window.get(..length).unwrap_or(&[]);
        for start in 0..held {
            let candidate = window.get(start..).unwrap_or(&[]);
            if is_hello(candidate) {
                let bytes = held - start;
                let mut carried = [0; PATTERN - 1];
                for (place, byte) in carried.iter_mut().zip(candidate.iter().take(bytes)) {
                    *place = *byte;
                }
                let at = self.at.saturating_sub(bytes as u32);
                return Some(Hit {
                    at,
                    carried,
                    bytes,
                    start: 0,
                });
            }
        }
        let mut from = 0;
        while let Some(rest) = fresh.get(from..)
            && let Some(step) = rest.iter().position(|byte| *byte == 22)
        {
            let start = from + step;
            if is_hello(fresh.get(start..).unwrap_or(&[])) {
                let at = self.at.saturating_add(start as u32);
                return Some(Hit {
                    at,
                    carried: [0; PATTERN - 1],
                    bytes: 0,
                    start,
                });
            }
            from = start + 1;
        }
        let last = if fresh.len() >= PATTERN - 1 {
            fresh
        } else {
            window
        };
        let last = last
            .get(last.len().saturating_sub(PATTERN - 1)..)
            .unwrap_or(last);
        for (place, byte) in self.tail.iter_mut().zip(last) {
            *place = *byte;
        }
        self.held = last.len() as u8;
        self.at = self.at.saturating_add(fresh.len() as u32);
        None
    }
}

/// Whether these bytes begin with a record that begins with a hello: the fixed bits are 2^-56 likely to come by chance.
fn is_hello(bytes: &[u8]) -> bool {
    matches!(
        *bytes,
        [22, 3, 0..=4, high, low, 1 | 2, 0, _, _, 3, 0..=4, ..]
            if (4..=1 << 14).contains(&u16::from_be_bytes([high, low]))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::tls::client_hello::tests::ordinary;
    use proptest::prelude::*;

    fn key() -> FlowKey {
        let mut key = FlowKey::default();
        (key.a.port, key.b.port) = (50_000, 443);
        key
    }

    fn records(kind: u8, message: &[u8], size: usize) -> Vec<u8> {
        let mut whole = vec![kind, 0];
        whole.extend_from_slice(&(message.len() as u16).to_be_bytes());
        whole.extend_from_slice(message);
        let mut bytes = Vec::new();
        for piece in whole.chunks(size) {
            bytes.extend_from_slice(&[22, 3, 1]);
            bytes.extend_from_slice(&(piece.len() as u16).to_be_bytes());
            bytes.extend_from_slice(piece);
        }
        bytes
    }

    /// Feeds one side in pieces; frames count from 1.
    fn recognise(pieces: &[&[u8]]) -> Recognised {
        let mut recogniser = StreamRecogniser::new(&key());
        for (i, piece) in pieces.iter().enumerate() {
            recogniser.bytes(
                Side::A,
                piece,
                Frame::new(0, i as u64 + 1),
                Timestamp(i as i64),
            );
        }
        recogniser.finish()
    }

    #[test]
    fn a_hello_in_many_records_and_segments_is_one_hello() {
        let bytes = records(1, &ordinary("web.whatsapp.com"), 13);
        let pieces: Vec<&[u8]> = bytes.chunks(7).collect();
        let found = recognise(&pieces);
        assert_eq!(found.sni.as_deref(), Some("web.whatsapp.com"));
        assert_eq!(found.application, Application::Tls);
        assert_eq!(found.client, Some(Side::A));
        assert_eq!(found.hello_frame, Some(Frame::new(0, pieces.len() as u64)));
        assert_eq!(found.hello_end as usize, bytes.len());
        assert_eq!(found.tls_version.as_deref(), Some("1.3"));
        assert_eq!((found.record_missing_up, found.record_missing_down), (0, 0));
    }

    #[test]
    fn a_late_client_is_the_other_side() {
        let mut recogniser = StreamRecogniser::new(&key());
        let hello = records(1, &ordinary("t.me"), 9999);
        recogniser.bytes(Side::B, &hello, Frame::new(0, 2), Timestamp(0));
        assert_eq!(recogniser.finish().client, Some(Side::B));
    }

    #[test]
    fn an_unfinished_record_tells_what_is_missing() {
        let mut bytes = records(1, &ordinary("t.me"), 9999);
        bytes.extend_from_slice(&[23, 3, 3, 1, 0]);
        bytes.extend_from_slice(&[0; 56]);
        assert_eq!(recognise(&[&bytes]).record_missing_up, 200);
    }

    #[test]
    fn what_lies_behind_a_gap_or_the_limit_is_not_called_missing() {
        let mut bytes = records(1, &ordinary("t.me"), 9999);
        bytes.extend_from_slice(&[23, 3, 3, 1, 0]);
        let mut recogniser = StreamRecogniser::new(&key());
        recogniser.bytes(Side::A, &bytes, Frame::new(0, 1), Timestamp(0));
        recogniser.gap(Side::A);
        assert_eq!(recogniser.finish().record_missing_up, 0);
        bytes.resize(STREAM_LIMIT as usize + 1, 23);
        assert_eq!(recognise(&[&bytes]).record_missing_up, 0);
    }

    #[test]
    fn the_answer_settles_the_version_and_an_alert_is_kept() {
        let mut recogniser = StreamRecogniser::new(&key());
        let hello = records(1, &ordinary("t.me"), 9999);
        recogniser.bytes(Side::A, &hello, Frame::new(0, 4), Timestamp(0));
        let mut body = vec![3, 3];
        body.extend_from_slice(&[9; 32]);
        body.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
        let mut answer = records(2, &body, 9999);
        answer.extend_from_slice(&[21, 3, 3, 0, 2, 2, 40]);
        recogniser.bytes(Side::B, &answer, Frame::new(0, 6), Timestamp(0));
        let found = recogniser.finish();
        assert_eq!(found.tls_version.as_deref(), Some("1.2"));
        assert_eq!(found.server_hello_frame, Some(Frame::new(0, 6)));
        assert_eq!(found.alerts, [(Side::B, 40, Frame::new(0, 6))]);
    }

    #[test]
    fn a_capture_that_began_late_is_tls_without_a_hello() {
        let found = recognise(&[&[23, 3, 3, 0, 2, 7, 7, 23, 3, 3, 0, 1, 7]]);
        assert_eq!(found.application, Application::Tls);
        assert_eq!(found.hello_frame, None);
        // five accidental bytes are not enough once the next record is none
        let accident = recognise(&[&[23, 3, 3, 0, 2, 7, 7, 99, 3, 3, 0, 1, 7]]);
        assert_eq!(accident.application, Application::Unknown);
    }

    #[test]
    fn a_hello_after_starttls_or_connect_is_found() {
        for before in [
            &b"EHLO x\r\nSTARTTLS\r\n"[..],
            b"CONNECT a.b:443 HTTP/1.1\r\n\r\n",
            b"STLS\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\xac\xab\xb3\xac",
        ] {
            let mut bytes = before.to_vec();
            bytes.extend_from_slice(&records(1, &ordinary("mail.example"), 9999));
            let found = recognise(&[&bytes]);
            assert_eq!(found.sni.as_deref(), Some("mail.example"));
            assert_eq!(found.application, Application::Tls);
            assert_eq!(found.hello_end as usize, bytes.len());
        }
    }

    #[test]
    fn a_second_hello_with_another_name_is_a_decoy() {
        let mut bytes = records(1, &ordinary("vk.com"), 9999);
        bytes.extend_from_slice(&records(1, &ordinary("vk.com"), 9999));
        assert!(!recognise(&[&bytes]).evasion_suspected);
        bytes.extend_from_slice(&records(1, &ordinary("signal.org"), 9999));
        let found = recognise(&[&bytes]);
        assert!(found.evasion_suspected);
        assert_eq!(found.sni.as_deref(), Some("vk.com"));
    }

    #[test]
    fn zeros_cost_nothing() {
        assert!(!stream_may_start(&[0; 100]));
        let mut recogniser = StreamRecogniser::new(&key());
        let appetite = recogniser.bytes(Side::A, &[0; 100], Frame::new(0, 1), Timestamp(0));
        assert_eq!(appetite, Appetite::Full);
        assert!(stream_may_start(&[22]) && stream_may_start(b"GE") && stream_may_start(b"220 hi"));
    }

    #[test]
    fn few_random_streams_are_wanted() {
        let mut state = 7_u64;
        let mut byte = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            (state >> 56) as u8
        };
        let streams = (0..2000).map(|_| (0..500).map(|_| byte()).collect::<Vec<u8>>());
        let wanted = streams.filter(|stream| stream_may_start(stream)).count();
        // four printable bytes, and what waits for a whole frame of up to 4 KB: measured 3 %
        assert!(wanted < 100, "{wanted} of 2000");
    }

    #[test]
    #[ignore = "a measurement: cargo test --release stream_openings -- --ignored --nocapture"]
    fn measure_stream_openings() {
        const ROUNDS: u32 = 200_000;
        let random: Vec<u8> = (0..1448_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80)
            .collect();
        for (what, bytes) in [("zeros", vec![0; 1448]), ("random bytes", random)] {
            #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
            let start = std::time::Instant::now();
            for _ in 0..ROUNDS {
                std::hint::black_box(stream_may_start(std::hint::black_box(&bytes)));
            }
            eprintln!("{:?} to decline {what}", start.elapsed() / ROUNDS);
        }
        let hello = records(1, &ordinary("web.whatsapp.com"), 9999);
        #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            assert!(recognise(&[std::hint::black_box(&hello)]).sni.is_some());
        }
        eprintln!("{:?} a hello", start.elapsed() / ROUNDS);
    }

    #[test]
    fn threema_is_recognised_however_its_login_is_cut() {
        for size in [1, 100, 191] {
            let mut key = key();
            key.b.port = 5222;
            let mut recogniser = StreamRecogniser::new(&key);
            let mut say = |side, length: usize| {
                let bytes: Vec<u8> = (0..length).map(|i| (i * 167 + 13) as u8).collect();
                for piece in bytes.chunks(size) {
                    recogniser.bytes(side, piece, Frame::new(0, 1), Timestamp(0));
                }
            };
            say(Side::A, 48);
            say(Side::B, 80);
            say(Side::A, 191);
            let found = recogniser.finish();
            assert_eq!(
                found.signature.map(|signature| signature.0),
                Some("threema")
            );
            assert_eq!(found.client, Some(Side::A));
        }
    }

    #[test]
    fn several_messages_of_turn_in_one_segment_are_all_read() {
        let message = |kind: u16, attributes: &[u8]| {
            let mut message = kind.to_be_bytes().to_vec();
            message.extend((attributes.len() as u16).to_be_bytes());
            message.extend([
                0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
            ]);
            message.extend(attributes);
            message
        };
        let realm = [&[0, 0x14, 0, 10][..], b"signal.org", &[0, 0]].concat();
        let channel = [0x40, 1, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        let segment = [
            &message(1, &[])[..],
            &message(3, &[]),
            &channel,
            &message(3, &realm),
        ]
        .concat();
        let found = recognise(&[&segment]);
        assert_eq!(found.application, Application::Stun);
        assert_eq!(found.signature.map(|signature| signature.0), Some("signal"));
        assert_eq!(found.call.unwrap().requests, [3, 0]);
    }

    #[test]
    fn dns_over_tcp_is_read_from_both_sides_in_any_pieces() {
        let mut key = key();
        key.b.port = 53;
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend_from_slice(b"\x01t\x02me\0\0\x01\0\x01");
        let mut answer = question.clone();
        (answer[2], answer[3]) = (0x81, 0x83);
        let framed = |message: &[u8]| {
            let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
            bytes.extend_from_slice(message);
            bytes
        };
        let mut recogniser = StreamRecogniser::new(&key);
        assert!(stream_may_start(&framed(&question)));
        for byte in framed(&question) {
            recogniser.bytes(Side::A, &[byte], Frame::new(0, 1), Timestamp(0));
        }
        let twice = [framed(&answer), framed(&answer)].concat();
        recogniser.bytes(Side::B, &twice, Frame::new(0, 2), Timestamp(5));
        let found = recogniser.finish();
        let facts = &found.dns;
        assert_eq!(facts.len(), 1);
        assert_eq!(
            (facts[0].name.as_str(), facts[0].answers.len()),
            ("t.me", 1)
        );
        assert_eq!(
            (found.application, found.client),
            (Application::Dns, Some(Side::A))
        );
    }

    /// Streams that come near to meaning something.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(records(1, &ordinary("web.whatsapp.com"), 99)),
            Just(records(1, &ordinary("t.me"), 5)),
            Just(records(2, &[3; 50], 40)),
            Just(vec![21, 3, 3, 0, 2, 2, 40]),
            Just(vec![20, 3, 3, 0, 1, 1]),
            Just(vec![23, 3, 3, 0, 4, 1, 2, 3, 4]),
            Just(b"GET / HTTP/1.1\r\nHost: a.b\r\n\r\n".to_vec()),
            Just(b"CONNECT a.b:443 HTTP/1.1\r\n\r\n".to_vec()),
            Just(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            Just(b"220 ready\r\n".to_vec()),
            Just(vec![0x80, 31, 1, 3, 1, 0, 6, 0, 0, 0, 16]),
            (1_u8..4).prop_map(|number| vec![12, 0, number, 0, 0, 0, 9, 9, 9, 9, 9, 9]),
            Just(vec![0, 1, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0]),
            Just(vec![0x9d; 256]),
            proptest::collection::vec(any::<u8>(), 0..40),
        ];
        proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_does_not_change_the_answer(
            bytes in streams(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut recogniser = StreamRecogniser::new(&key());
            for pair in cuts.windows(2) {
                recogniser.bytes(Side::A, &bytes[pair[0]..pair[1]], Frame::new(0, 1), Timestamp(0));
            }
            prop_assert_eq!(recogniser.finish(), recognise(&[&bytes]));
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::application::fuzz_stream(&bytes);
        }
    }
}
