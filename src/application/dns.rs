//! DNS messages (RFC 1035), over UDP and TCP: what was asked, what came back, and whether two answers disagree.
//!
//! Read here rather than with a general parser, because what matters is what forged, truncated and half-captured answers still say: records
//! before the damage count. A test holds it against `simple-dns` on well-formed messages.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use super::Progress;
use crate::types::{Address, Frame, Side, Timestamp};

/// Bytes of a header.
const HEADER: usize = 12;

/// The longest name, in bytes on the wire (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// Compression pointers followed in one name. Each must point before the one it stands at, so there are no loops anyway.
const MAX_POINTERS: usize = 16;

/// Records of one message that are looked at.
const MAX_RECORDS: usize = 64;

/// Aliases that are followed from the question.
const MAX_ALIASES: usize = 16;

/// Addresses kept of one question.
const MAX_ADDRESSES: usize = 32;

/// Questions of one conversation that are kept; a resolver that asks from one port for days is cut off here.
const MAX_QUESTIONS: usize = 4_096;

/// Questions of a conversation that may still be answered: the youngest, among which an answer is looked for.
const MAX_OPEN: usize = 64;

/// Response code for a name that does not exist (RFC 1035, section 4.1.1).
pub const NX_DOMAIN: u8 = 3;

/// Record types (IANA, DNS parameters).
mod kind {
    pub(super) const A: u16 = 1;
    pub(super) const CNAME: u16 = 5;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SVCB: u16 = 64;
    pub(super) const HTTPS: u16 = 65;
}

/// One message with one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsMessage {
    /// Identifier that answer and question share.
    pub id: u16,
    /// Whether it is an answer.
    pub answer: bool,
    /// Whether the sender cut it short (TC).
    pub truncated: bool,
    /// Response code, of the header only.
    pub rcode: u8,
    /// The name asked for: lower case, without a final dot, odd bytes as `\DDD`.
    pub name: String,
    /// The type asked for: 1 A, 28 AAAA, 65 HTTPS.
    pub kind: u16,
    /// Addresses of the name and its aliases, hints of HTTPS records included.
    pub addresses: Vec<Address>,
    /// Whether an HTTPS record offers keys for encrypted hellos (RFC 9849, `ech`).
    pub ech: bool,
}

/// One question of a conversation and what became of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DnsFact {
    /// Who asked.
    pub asker: Side,
    /// Identifier.
    pub id: u16,
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub kind: u16,
    /// When and in which frame it was first asked; `None` if only the answer was captured.
    pub asked: Option<(Timestamp, Frame)>,
    /// How often it was asked: retries count.
    pub questions: u32,
    /// The first answer, and the first later one that disagrees with it, as beside a forged one.
    pub answers: Vec<DnsReply>,
}

/// One answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DnsReply {
    /// When it came.
    pub time: Timestamp,
    /// Its frame.
    pub frame: Frame,
    /// Response code.
    pub rcode: u8,
    /// Addresses of the name and its aliases.
    pub addresses: Vec<Address>,
    /// Whether it offers keys for encrypted hellos.
    pub ech: bool,
}

/// The message in one datagram.
#[must_use]
pub fn datagram(payload: &[u8]) -> Option<DnsMessage> {
    let head = header(payload)?;
    let mut reader = Reader {
        message: payload,
        at: HEADER,
    };
    let name = reader.name()?;
    let kind = reader.u16()?;
    // IN, or a class that mDNS uses for "please by unicast", which is not ours.
    let class = reader.u16()?;
    if class != 1 {
        return None;
    }
    let mut message = DnsMessage {
        id: head.id,
        answer: head.answer,
        truncated: head.truncated,
        rcode: head.rcode,
        name,
        kind,
        addresses: Vec::new(),
        ech: false,
    };
    if message.answer {
        answers(&mut reader, head.records, &mut message);
    }
    Some(message)
}

/// The next message of a TCP stream, behind its length (RFC 1035, section 4.2.2).
#[must_use]
pub fn frame(bytes: &[u8]) -> Progress<DnsMessage> {
    let Some(([high, low], rest)) = bytes.split_first_chunk::<2>() else {
        return Progress::NeedMore;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length < HEADER + 5 {
        return Progress::NotThis;
    }
    if rest.len() >= HEADER && header(rest).is_none() {
        return Progress::NotThis;
    }
    let Some(whole) = rest.get(..length) else {
        return Progress::NeedMore;
    };
    match datagram(whole) {
        Some(message) => Progress::Done {
            message,
            used: 2 + length,
        },
        None => Progress::NotThis,
    }
}

/// Whether a flow with these ports may carry DNS that leads anywhere: multicast DNS (5353), LLMNR (5355) and NetBIOS (137) have its form,
/// and speak of the local network only.
#[must_use]
pub fn ports_may_carry(ports: [u16; 2]) -> bool {
    !ports.iter().any(|port| matches!(port, 137 | 5353 | 5355))
}

struct Header {
    id: u16,
    answer: bool,
    truncated: bool,
    rcode: u8,
    records: usize,
}

/// A standard query or its answer, with exactly one question.
fn header(bytes: &[u8]) -> Option<Header> {
    let [i0, i1, flags, more, q0, q1, a0, a1, n0, _, r0, _] = *bytes.first_chunk::<HEADER>()?;
    let opcode = flags >> 3 & 0x0f;
    // The reserved bit is zero, and counts in the thousands do not fit any message that is answered.
    let ours = opcode == 0
        && more & 0x40 == 0
        && [q0, q1] == [0, 1]
        && [a0 & 0xf0, n0 & 0xf0, r0 & 0xf0] == [0; 3];
    ours.then(|| Header {
        id: u16::from_be_bytes([i0, i1]),
        answer: flags & 0x80 != 0,
        truncated: flags & 0x02 != 0,
        rcode: more & 0x0f,
        records: usize::from(u16::from_be_bytes([a0, a1])),
    })
}

/// Reads answer records until one is damaged; keeps what belongs to the question.
fn answers(reader: &mut Reader<'_>, records: usize, message: &mut DnsMessage) {
    let mut aliases: Vec<(String, String)> = Vec::new();
    let mut addresses: Vec<(String, Address)> = Vec::new();
    for _ in 0..records.min(MAX_RECORDS) {
        let Some(record) = reader.record() else {
            break;
        };
        let mut address = |ip: IpAddr, owner: &str| {
            if addresses.len() < MAX_ADDRESSES {
                addresses.push((owner.to_owned(), ip.into()));
            }
        };
        let (owner, body) = (record.owner.as_str(), record.body);
        match record.kind {
            kind::A => {
                if let Ok(bytes) = <[u8; 4]>::try_from(body) {
                    address(bytes.into(), owner);
                }
            }
            kind::AAAA => {
                if let Ok(bytes) = <[u8; 16]>::try_from(body) {
                    address(bytes.into(), owner);
                }
            }
            kind::CNAME if aliases.len() < MAX_ALIASES => {
                let mut inside = Reader {
                    message: reader.message,
                    at: record.at,
                };
                if let Some(target) = inside.name() {
                    aliases.push((record.owner, target));
                }
            }
            kind::SVCB | kind::HTTPS => {
                message.ech |= parameters(body, |ip| address(ip, owner)).unwrap_or_default();
            }
            _ => {}
        }
    }
    // From the question along its aliases, in whatever order they stand.
    let mut names = vec![message.name.clone()];
    let mut next = 0;
    while let Some(name) = names.get(next) {
        let targets: Vec<String> = (aliases.iter())
            .filter(|(owner, target)| owner == name && !names.contains(target))
            .map(|(_, target)| target.clone())
            .collect();
        names.extend(targets);
        next += 1;
        if names.len() > MAX_ALIASES {
            break;
        }
    }
    message.addresses = (addresses.into_iter())
        .filter(|(owner, _)| names.contains(owner))
        .map(|(_, address)| address)
        .collect();
    message.addresses.sort_unstable();
    message.addresses.dedup();
}

/// Parameters of an HTTPS or SVCB record (RFC 9460, section 2.2): gives address hints, and whether there is an `ech` key.
fn parameters(body: &[u8], mut hint: impl FnMut(IpAddr)) -> Option<bool> {
    let mut reader = Reader {
        message: body,
        at: 2,
    };
    // The target is not compressed, and a pointer in it would point nowhere.
    reader.name()?;
    let mut ech = false;
    while let (Some(key), Some(length)) = (reader.u16(), reader.u16()) {
        let value = reader.take(usize::from(length))?;
        match key {
            4 => {
                let (hints, _) = value.as_chunks::<4>();
                for bytes in hints {
                    hint((*bytes).into());
                }
            }
            5 => ech = true,
            6 => {
                let (hints, _) = value.as_chunks::<16>();
                for bytes in hints {
                    hint((*bytes).into());
                }
            }
            _ => {}
        }
    }
    Some(ech)
}

/// Reads along a message.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

struct Record<'a> {
    owner: String,
    kind: u16,
    body: &'a [u8],
    /// Where the body begins.
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        let (bytes, _) = self.take(2)?.split_first_chunk::<2>()?;
        Some(u16::from_be_bytes(*bytes))
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let owner = self.name()?;
        let kind = self.u16()?;
        // Class and time to live.
        self.take(6)?;
        let length = usize::from(self.u16()?);
        let at = self.at;
        let body = self.take(length)?;
        Some(Record {
            owner,
            kind,
            body,
            at,
        })
    }

    /// A name, compressed or not (RFC 1035, section 4.1.4); pointers must go back, so it ends.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut wire = 0;
        let mut at = self.at;
        let mut lowest = at;
        let mut pointers = 0;
        loop {
            let length = *self.message.get(at)?;
            match length {
                0 => {
                    at += 1;
                    if pointers == 0 {
                        self.at = at;
                    }
                    return Some(name);
                }
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + usize::from(length))?;
                    wire += 1 + label.len();
                    if wire >= MAX_NAME {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    for byte in label {
                        match byte {
                            b'.' | b'\\' => {
                                name.push('\\');
                                name.push(char::from(*byte));
                            }
                            b'!'..=b'~' => name.push(char::from(byte.to_ascii_lowercase())),
                            _ => write!(name, "\\{byte:03}").ok()?,
                        }
                    }
                    at += 1 + label.len();
                }
                0xc0..=0xff => {
                    let low = *self.message.get(at + 1)?;
                    if pointers == 0 {
                        self.at = at + 2;
                    }
                    pointers += 1;
                    at = usize::from(length & 0x3f) << 8 | usize::from(low);
                    if at >= lowest || pointers > MAX_POINTERS {
                        return None;
                    }
                    lowest = at;
                }
                _ => return None,
            }
        }
    }
}

/// Pairs the questions and answers of one flow.
#[derive(Clone, Debug, Default)]
pub struct DnsConversation {
    facts: Vec<DnsFact>,
}

impl DnsConversation {
    /// Takes the next message of `side`.
    pub fn take(&mut self, side: Side, message: &DnsMessage, frame: Frame, time: Timestamp) {
        let asker = if message.answer { side.other() } else { side };
        let recent = self.facts.len().saturating_sub(MAX_OPEN);
        let known = (self.facts.iter().skip(recent)).rposition(|fact| {
            (fact.asker, fact.id, fact.kind) == (asker, message.id, message.kind)
                && fact.name == message.name
        });
        if known.is_none() {
            if self.facts.len() >= MAX_QUESTIONS {
                return;
            }
            self.facts.push(DnsFact {
                asker,
                id: message.id,
                name: message.name.clone(),
                kind: message.kind,
                asked: None,
                questions: 0,
                answers: Vec::new(),
            });
        }
        let place = known.map_or(self.facts.len().saturating_sub(1), |known| recent + known);
        let Some(fact) = self.facts.get_mut(place) else {
            return;
        };
        if !message.answer {
            fact.questions = fact.questions.saturating_add(1);
            fact.asked = fact.asked.or(Some((time, frame)));
            return;
        }
        let news = match fact.answers.as_slice() {
            [] => true,
            [first] => disagree(first, message),
            _ => false,
        };
        if news {
            fact.answers.push(DnsReply {
                time,
                frame,
                rcode: message.rcode,
                addresses: message.addresses.clone(),
                ech: message.ech,
            });
        }
    }

    /// The questions, in the order in which they were asked.
    #[must_use]
    pub fn finish(self) -> Vec<DnsFact> {
        self.facts
    }
}

/// Whether a second answer says something that the first does not: another code, or no address in common. Retries to a load balancer may
/// give other addresses too, so this is context, never a finding.
fn disagree(first: &DnsReply, message: &DnsMessage) -> bool {
    let common = message
        .addresses
        .iter()
        .any(|address| first.addresses.contains(address));
    first.rcode != message.rcode
        || (first.addresses != message.addresses && !message.truncated && !common)
}

/// Holds for all inputs: bounds are kept, and a frame lies within the input. For tests and fuzzing.
///
/// # Panics
/// When the property is violated.
pub fn assert_bounds(bytes: &[u8]) {
    if let Some(message) = datagram(bytes) {
        assert!(message.addresses.len() <= MAX_ADDRESSES);
        // An escaped byte takes four.
        assert!(message.name.len() <= 4 * MAX_NAME);
        let mut conversation = DnsConversation::default();
        for side in [Side::A, Side::B] {
            conversation.take(side, &message, Frame::default(), Timestamp::default());
        }
        assert!(conversation.finish().len() <= 2);
    }
    if let Progress::Done { used, .. } = frame(bytes) {
        assert!(used > 2 && used <= bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::{bytes, capture};
    use crate::types::Protocol;

    /// `chat.signal.org` is an alias of `x.test`, which has 192.0.2.1 and 192.0.2.2; `y.test` has 198.51.100.9.
    const ANSWER: &str = "beef 8180 0001 0004 0000 0000 \
        04 63686174 06 7369676e616c 03 6f7267 00 0001 0001 \
        c00c 0005 0001 0000003c 0008 01 78 04 74657374 00 \
        c02d 0001 0001 0000003c 0004 c0000201 \
        c02d 0001 0001 0000003c 0004 c0000202 \
        01 79 c02f 0001 0001 0000003c 0004 c6336409";

    fn addresses(message: &DnsMessage) -> Vec<String> {
        message.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_answer_is_followed_along_its_aliases_and_no_further() {
        let message = datagram(&bytes(ANSWER)).unwrap();
        assert_eq!(
            (message.name.as_str(), message.kind, message.id),
            ("chat.signal.org", 1, 0xbeef)
        );
        assert_eq!(addresses(&message), ["192.0.2.1", "192.0.2.2"]);
        assert!(message.answer && message.rcode == 0);
    }

    #[test]
    fn what_stands_before_the_damage_counts() {
        let whole = bytes(ANSWER);
        let message = datagram(&whole[..whole.len() - 30]).unwrap();
        assert_eq!(addresses(&message), ["192.0.2.1"]);
    }

    #[test]
    fn a_name_that_points_to_itself_ends() {
        assert_eq!(
            datagram(&bytes("0001 0100 0001 0000 0000 0000 c00c 0001 0001")),
            None
        );
        assert_eq!(
            datagram(&bytes("0001 0100 0001 0000 0000 0000 0161 c00c 0001 0001")),
            None
        );
        assert_eq!(
            datagram(&bytes("0001 0100 0001 0000 0000 0000 c00e c00c 0001 0001")),
            None
        );
    }

    #[test]
    fn https_records_show_encrypted_hellos_and_hints() {
        let message = datagram(&bytes(
            "0001 8180 0001 0001 0000 0000 0161 0474657374 00 0041 0001 c00c 0041 0001 0000003c 0017 \
             0001 00 0001 0003 026832 0004 0004 c0000205 0005 0001 ff",
        ));
        let message = message.unwrap();
        assert!(message.ech);
        assert_eq!(addresses(&message), ["192.0.2.5"]);
    }

    #[test]
    fn odd_bytes_in_a_name_are_escaped() {
        let message = datagram(&bytes(
            "0001 0100 0001 0000 0000 0000 05 412e 00ff 5a 00 0001 0001",
        ))
        .unwrap();
        assert_eq!(message.name, "a\\.\\000\\255z");
    }

    #[test]
    fn tcp_puts_a_length_before_it() {
        let message = bytes(ANSWER);
        let stream = [&(message.len() as u16).to_be_bytes()[..], &message, &[0, 9]].concat();
        assert!(matches!(frame(&stream), Progress::Done { used, .. } if used == message.len() + 2));
        for cut in 0..message.len() + 2 {
            assert_eq!(frame(&stream[..cut]), Progress::NeedMore, "{cut}");
        }
        assert_eq!(frame(b"GET / HTTP/1.1\r\nHost: x\r\n"), Progress::NotThis);
        assert_eq!(
            frame(&bytes("16030102000100 01fc0303001122")),
            Progress::NotThis
        );
    }

    #[test]
    fn questions_meet_their_answers_and_forged_ones_show() {
        let answer = datagram(&bytes(ANSWER)).unwrap();
        let question = DnsMessage {
            answer: false,
            addresses: Vec::new(),
            ..answer.clone()
        };
        let forged = DnsMessage {
            addresses: vec![Address::v4([10, 0, 0, 1])],
            ..answer.clone()
        };
        let at = |number: u64| (Timestamp(number as i64), Frame::new(0, number));
        let mut conversation = DnsConversation::default();
        for (side, message, number) in [
            (Side::A, &question, 1),
            (Side::A, &question, 2),
            (Side::B, &forged, 3),
            (Side::B, &answer, 4),
            (Side::B, &answer, 5),
        ] {
            conversation.take(side, message, at(number).1, at(number).0);
        }
        let facts = conversation.finish();
        let [fact] = facts.as_slice() else {
            panic!("{facts:?}")
        };
        assert_eq!((fact.asked, fact.questions), (Some(at(1)), 2));
        let [first, other] = fact.answers.as_slice() else {
            panic!("{fact:?}")
        };
        assert_eq!((first.time, first.frame), at(3));
        assert_eq!(first.addresses, forged.addresses);
        assert_eq!((other.time, other.frame), at(4));
        assert_eq!(other.addresses, answer.addresses);
    }

    #[test]
    fn it_reads_what_simple_dns_reads() {
        let mut compared = 0;
        for name in [
            "ipfixprobe__dns.pcap",
            "ndpi__android.pcap",
            "matousp__xz1_discord.pcap",
            "pcpp__DNS_NXDomain.pcap",
            "zeek__dns-two-responses.pcap",
            "ndpi__dns_long_domainname.pcap",
        ] {
            let Some(packets) = capture(name) else { return };
            for packet in packets.iter().filter(|packet| {
                packet.protocol == Protocol::Udp && (packet.from.1 == 53 || packet.to.1 == 53)
            }) {
                let (Some(ours), Ok(theirs)) = (
                    datagram(&packet.payload),
                    simple_dns::Packet::parse(&packet.payload),
                ) else {
                    continue;
                };
                compared += 1;
                let question = &theirs.questions[0];
                assert_eq!(ours.id, theirs.id());
                assert_eq!(
                    ours.name,
                    question.qname.to_string().to_ascii_lowercase(),
                    "{name}"
                );
                let mut expected: Vec<Address> = (theirs.answers.iter())
                    .filter_map(|record| match &record.rdata {
                        simple_dns::rdata::RData::A(a) => {
                            Some(Address::v4(a.address.to_be_bytes()))
                        }
                        simple_dns::rdata::RData::AAAA(a) => Some(Address(a.address.to_be_bytes())),
                        _ => None,
                    })
                    .collect();
                expected.sort_unstable();
                expected.dedup();
                expected.truncate(MAX_ADDRESSES);
                assert_eq!(ours.addresses, expected, "{name} {}", ours.name);
            }
        }
        assert!(compared > 50, "only {compared} messages compared");
    }

    proptest::proptest! {
        #[test]
        fn bounds_hold_for_any_bytes(counts in 0_u8..9, body in proptest::collection::vec(proptest::sample::select(vec![0_u8, 1, 2, 3, 4, 5, 12, 28, 41, 64, 65, 0xc0, 0xff, b'a']), 0..200)) {
            let mut message = bytes("0001 8180 0001");
            message.extend([0, counts, 0, 0, 0, 0]);
            message.extend(body);
            assert_bounds(&message);
            let stream = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
            assert_bounds(&stream);
        }
    }
}
