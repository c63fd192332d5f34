//! STUN and TURN (RFC 8489, RFC 8656, and RFC 3489 where it is clear), over UDP and TCP, and whose dialect a message is.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{CallFacts, Progress};
use crate::types::{Address, Endpoint, Side};

/// The magic cookie (RFC 8489, section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Bytes of a header.
const HEADER: usize = 20;

/// The longest message over TCP that is believed; TURN carries one datagram.
const MAX_MESSAGE: usize = 1 << 14;

/// Attributes of one message that are looked at.
const MAX_ATTRIBUTES: usize = 32;

/// Bytes of a text attribute that are kept (RFC 8489 allows 763 for SOFTWARE and REALM).
const MAX_TEXT: usize = 128;

/// Addresses kept of one message.
const MAX_ADDRESSES: usize = 4;

/// Addresses and vendor attributes kept of a flow, as [`CallFacts`] states.
const MAX_FLOW_ADDRESSES: usize = 8;
const MAX_VENDOR_ATTRIBUTES: usize = 16;

/// What a message is for (RFC 8489, section 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StunClass {
    /// Waits for an answer.
    Request,
    /// Waits for none.
    Indication,
    /// A good answer.
    Success,
    /// A refusal.
    Error,
}

/// One STUN message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StunMessage {
    /// Message type as on the wire.
    pub kind: u16,
    /// Whether the cookie was there (RFC 5389 and later).
    pub cookie: bool,
    /// Transaction identifier: 12 bytes, or the last 12 of the 16 of RFC 3489.
    pub transaction: [u8; 12],
    /// Attribute numbers in order, at most 32.
    pub attributes: Vec<u16>,
    /// SOFTWARE.
    pub software: Option<String>,
    /// REALM.
    pub realm: Option<String>,
    /// USERNAME.
    pub username: Option<String>,
    /// ERROR-CODE: 300 to 699.
    pub error: Option<u16>,
    /// Addresses in XOR-MAPPED, XOR-RELAYED, XOR-PEER and MAPPED attributes.
    pub addresses: Vec<Endpoint>,
    /// Bytes of the whole message.
    pub length: usize,
}

impl StunMessage {
    /// What it is for.
    #[must_use]
    pub const fn class(&self) -> StunClass {
        match self.kind & 0x0110 {
            0x0000 => StunClass::Request,
            0x0010 => StunClass::Indication,
            0x0100 => StunClass::Success,
            _ => StunClass::Error,
        }
    }

    /// The method: 1 Binding, 3 Allocate, 4 Refresh, 6 Send, 7 Data, 8 `CreatePermission`, 9 `ChannelBind`.
    #[must_use]
    pub const fn method(&self) -> u16 {
        self.kind & 0x000f | (self.kind & 0x00e0) >> 1 | (self.kind & 0x3e00) >> 2
    }

    fn has(&self, attribute: u16) -> bool {
        self.attributes.contains(&attribute)
    }
}

/// What one frame of TURN over TCP holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TurnFrame {
    /// A message.
    Message(StunMessage),
    /// Media in a channel.
    ChannelData {
        /// The channel, `0x4000` to `0x4fff`.
        channel: u16,
        /// Bytes inside.
        length: usize,
    },
}

/// A datagram that is one STUN message and nothing else.
#[must_use]
pub fn datagram(payload: &[u8]) -> Option<StunMessage> {
    let header = payload.first_chunk::<HEADER>()?;
    let length = body_length(header)?;
    (HEADER + length == payload.len())
        .then(|| message(header, payload.get(HEADER..).unwrap_or_default()))
}

/// The next frame of a TCP stream: a message or channel data, plain (RFC 8656, section 3.7) or behind a 16-bit length (RFC 4571).
///
/// Only a message with the cookie starts a conversation; channel data counts when `inside` says that one came before.
#[must_use]
pub fn frame(bytes: &[u8], inside: bool) -> Progress<TurnFrame> {
    match *bytes {
        [] => Progress::NeedMore,
        [0x40..=0x4f, ..] if inside => channel_frame(bytes),
        [0x00..=0x3f, ..] => match plain(bytes) {
            Progress::NotThis => {
                let Some([high, low]) = bytes.first_chunk::<2>() else {
                    return Progress::NeedMore;
                };
                let prefixed = usize::from(u16::from_be_bytes([*high, *low]));
                match plain(bytes.get(2..).unwrap_or_default()) {
                    Progress::Done { message, used } if used == prefixed => Progress::Done {
                        message,
                        used: used + 2,
                    },
                    Progress::NeedMore if prefixed >= HEADER => Progress::NeedMore,
                    _ => Progress::NotThis,
                }
            }
            decided => decided,
        },
        _ => Progress::NotThis,
    }
}

fn plain(bytes: &[u8]) -> Progress<TurnFrame> {
    let possible = match bytes {
        [0x40..=0xff, ..] => false,
        [_, _, _, low, cookie @ ..] => {
            let seen = cookie.get(..cookie.len().min(4)).unwrap_or_default();
            low.is_multiple_of(4) && COOKIE.starts_with(seen)
        }
        _ => true,
    };
    if !possible {
        return Progress::NotThis;
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Progress::NeedMore;
    };
    match body_length(header) {
        Some(length) if length <= MAX_MESSAGE => match bytes.get(HEADER..HEADER + length) {
            Some(body) => Progress::Done {
                message: TurnFrame::Message(message(header, body)),
                used: HEADER + length,
            },
            None => Progress::NeedMore,
        },
        _ => Progress::NotThis,
    }
}

fn channel_frame(bytes: &[u8]) -> Progress<TurnFrame> {
    let Some([c0, c1, l0, l1]) = bytes.first_chunk::<4>() else {
        return Progress::NeedMore;
    };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    // Over TCP the padding is part of the stream (RFC 8656, section 12.5).
    let used = 4 + length.next_multiple_of(4);
    if bytes.len() < used {
        return Progress::NeedMore;
    }
    Progress::Done {
        message: TurnFrame::ChannelData {
            channel: u16::from_be_bytes([*c0, *c1]),
            length,
        },
        used,
    }
}

/// The length of the body where the header is one of STUN.
fn body_length(header: &[u8; HEADER]) -> Option<usize> {
    let [t0, t1, l0, l1, c0, c1, c2, c3, ..] = *header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let kind = u16::from_be_bytes([t0, t1]);
    let classic = matches!(kind, 0x0001 | 0x0101 | 0x0111 | 0x0002 | 0x0102 | 0x0112);
    // WhatsApp pads nothing, so beside the cookie a length need not be a multiple of four.
    let cookie = [c0, c1, c2, c3] == COOKIE;
    (t0 & 0xc0 == 0 && (cookie || classic && length.is_multiple_of(4))).then_some(length)
}

fn message(header: &[u8; HEADER], body: &[u8]) -> StunMessage {
    let [t0, t1, _, _, c0, c1, c2, c3, transaction @ ..] = *header;
    let mut message = StunMessage {
        kind: u16::from_be_bytes([t0, t1]),
        cookie: [c0, c1, c2, c3] == COOKIE,
        transaction,
        attributes: Vec::new(),
        software: None,
        realm: None,
        username: None,
        error: None,
        addresses: Vec::new(),
        length: HEADER + body.len(),
    };
    let mut rest = body;
    while let [a0, a1, l0, l1, tail @ ..] = rest
        && message.attributes.len() < MAX_ATTRIBUTES
    {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let Some(value) = tail.get(..length) else {
            break;
        };
        let attribute = u16::from_be_bytes([*a0, *a1]);
        message.attributes.push(attribute);
        match attribute {
            0x0006 => message.username = text(value),
            0x0014 => message.realm = text(value),
            0x8022 => message.software = text(value),
            // ERROR-CODE: hundreds in the third byte, the rest in the fourth (RFC 8489, section 14.8).
            0x0009 => {
                message.error = match value {
                    [_, _, class, number, ..] => {
                        Some(u16::from(class & 7) * 100 + u16::from(*number))
                    }
                    _ => None,
                }
            }
            0x0001 | 0x0012 | 0x0016 | 0x0020 if message.addresses.len() < MAX_ADDRESSES => {
                let mask = if attribute == 0x0001 {
                    None
                } else {
                    Some(&message.transaction)
                };
                message.addresses.extend(address(value, mask));
            }
            _ => {}
        }
        rest = tail.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    message
}

/// A text attribute, shortened, if it is printable text.
fn text(value: &[u8]) -> Option<String> {
    let value = value.get(..value.len().min(MAX_TEXT))?;
    let text = String::from_utf8_lossy(value);
    let text = text.trim_end_matches('\0');
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// An address attribute, masked with cookie and transaction where `mask` is given (RFC 8489, section 14.2).
fn address(value: &[u8], mask: Option<&[u8; 12]>) -> Option<Endpoint> {
    let [_, family, p0, p1, ref address @ ..] = *value else {
        return None;
    };
    let mut key = [0_u8; 16];
    if let Some(transaction) = mask {
        for (byte, with) in key.iter_mut().zip(COOKIE.iter().chain(transaction)) {
            *byte = *with;
        }
    }
    let [k0, k1, ..] = key;
    let port = u16::from_be_bytes([p0 ^ k0, p1 ^ k1]);
    let mut plain = [0_u8; 16];
    for ((byte, masked), with) in plain.iter_mut().zip(address).zip(key) {
        *byte = masked ^ with;
    }
    let address: Address = match (family, address.len()) {
        (1, 4..) => {
            let [a, b, c, d, ..] = plain;
            std::net::IpAddr::from(Ipv4Addr::new(a, b, c, d)).into()
        }
        (2, 16..) => std::net::IpAddr::from(Ipv6Addr::from(plain)).into(),
        _ => return None,
    };
    Some(Endpoint { address, port })
}

/// The catalogue id of the service whose dialect the message is, and why; `None` for what any WebRTC application sends.
///
/// Attribute `c057`, which some dissectors take for Messenger, is libwebrtc's network information (`STUN_ATTR_GOOG_NETWORK_INFO`): Signal,
/// Telegram and browsers send it as well, so it says nothing here.
#[must_use]
pub fn dialect(message: &StunMessage) -> Option<(&'static str, &'static str)> {
    if let Some(realm) = &message.realm {
        let under = |domain: &str| {
            realm
                .strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if under("telegram.org") {
            return Some(("telegram", "STUN realm telegram.org"));
        }
        if under("signal.org") || under("whispersystems.org") {
            return Some(("signal", "STUN realm of Signal"));
        }
        if realm.contains("facebook") {
            return Some(("messenger", "STUN realm of Facebook"));
        }
        if under("google.com") {
            return Some(("google_messages", "STUN realm google.com"));
        }
        if under("viber.com") {
            return Some(("viber", "STUN realm viber.com"));
        }
        if under("threema.ch") {
            return Some(("threema", "STUN realm threema.ch"));
        }
    }
    // Measured on captures of calls from 2014 to 2022: methods 0x200 and up, attributes 4000 to 4007, and between peers a message with
    // nothing but its integrity, where ICE would have a user name or an address.
    if message.cookie && matches!(message.kind, 0x0800..=0x0805) {
        return Some(("whatsapp", "STUN types 0800 to 0805 of WhatsApp's calls"));
    }
    if message.cookie
        && message.method() == 3
        && (0x4000..=0x4007).any(|vendor| message.has(vendor))
    {
        return Some((
            "whatsapp",
            "STUN attributes 4000 to 4007 of WhatsApp's relays",
        ));
    }
    if message.cookie
        && matches!(message.kind, 0x0001 | 0x0101)
        && message.attributes == [0x0008]
        && message.length == 44
    {
        return Some((
            "whatsapp",
            "STUN binding of WhatsApp's calls: nothing but integrity",
        ));
    }
    if [0x8054, 0x8055, 0x8070, 0x8095, 0x24df, 0x3802]
        .iter()
        .any(|vendor| message.has(*vendor))
    {
        return Some(("skype", "STUN attributes of Skype and Teams"));
    }
    if message.has(0xff03) {
        return Some(("google_messages", "STUN attribute ff03 of Google's calls"));
    }
    None
}

/// Adds what a message says to the facts of its flow.
pub fn note(call: &mut CallFacts, message: &StunMessage, side: Side) {
    let [a, b] = match message.class() {
        StunClass::Request => &mut call.requests,
        StunClass::Success | StunClass::Error => &mut call.responses,
        StunClass::Indication => &mut [0, 0],
    };
    let count = match side {
        Side::A => a,
        Side::B => b,
    };
    *count = count.saturating_add(1);
    for (known, new) in [
        (&mut call.software, &message.software),
        (&mut call.realm, &message.realm),
        (&mut call.username, &message.username),
    ] {
        if known.is_none() {
            known.clone_from(new);
        }
    }
    for attribute in message
        .attributes
        .iter()
        .filter(|number| is_vendors(**number))
    {
        if let Err(place) = call.vendor_attributes.binary_search(attribute)
            && call.vendor_attributes.len() < MAX_VENDOR_ATTRIBUTES
        {
            call.vendor_attributes.insert(place, *attribute);
        }
    }
    for address in &message.addresses {
        if call.addresses.len() < MAX_FLOW_ADDRESSES && !call.addresses.contains(address) {
            call.addresses.push(*address);
        }
    }
}

/// Whether an attribute is outside the registry's assigned numbers (IANA, STUN attributes, as of 2025), libwebrtc's own included.
const fn is_vendors(attribute: u16) -> bool {
    !matches!(attribute, 0x0000..=0x002e | 0x0030 | 0x8000..=0x8004 | 0x8022..=0x8035 | 0xc000..=0xc003 | 0xc056..=0xc057)
}

/// Holds for all inputs: bounds are kept, and a frame lies within the input. For tests and fuzzing.
///
/// # Panics
/// When the property is violated.
pub fn assert_bounds(bytes: &[u8]) {
    let mut call = CallFacts::default();
    if let Some(message) = datagram(bytes) {
        assert_eq!(message.length, bytes.len());
        assert!(
            message.attributes.len() <= MAX_ATTRIBUTES && message.addresses.len() <= MAX_ADDRESSES
        );
        note(&mut call, &message, Side::A);
        let _ = dialect(&message);
    }
    assert!(call.vendor_attributes.is_sorted());
    for inside in [false, true] {
        if let Progress::Done { used, .. } = frame(bytes, inside) {
            assert!(used > 0 && used <= bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::sample::{bytes, capture};
    use crate::types::Protocol;
    use std::collections::BTreeMap;

    /// The sample request of RFC 5769, section 2.1.
    const RFC_5769_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

    #[test]
    fn the_sample_request_of_rfc_5769_is_read() {
        let message = datagram(&bytes(RFC_5769_REQUEST)).unwrap();
        assert_eq!((message.class(), message.method()), (StunClass::Request, 1));
        assert_eq!(message.software.as_deref(), Some("STUN test client"));
        assert_eq!(message.username.as_deref(), Some("evtj:h6vY"));
        assert_eq!(
            message.attributes,
            [0x8022, 0x0024, 0x8029, 0x0006, 0x0008, 0x8028]
        );
        assert_eq!(dialect(&message), None);
    }

    #[test]
    fn the_sample_answers_of_rfc_5769_unmask_their_addresses() {
        let v4 = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
        let v6 = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
        let of = |hex: &str| datagram(&bytes(hex)).unwrap().addresses[0];
        assert_eq!(
            (of(v4).address.to_string(), of(v4).port),
            ("192.0.2.1".into(), 32853)
        );
        assert_eq!(
            of(v6).address.to_string(),
            "2001:db8:1234:5678:11:2233:4455:6677"
        );
    }

    #[test]
    fn whatsapp_speaks_its_own_dialect_of_allocate() {
        let mut allocate = bytes("0003006a2112a442a6674f75f0ad2c001315b336400000660503");
        allocate.resize(20 + 0x6a, 0);
        // 0x6a is no multiple of four: the dialect pads nothing.
        assert_eq!(
            datagram(&allocate)
                .and_then(|message| dialect(&message))
                .map(|found| found.0),
            Some("whatsapp")
        );
    }

    #[test]
    fn libwebrtcs_network_information_names_nobody() {
        let message = datagram(&bytes(
            "000100082112a442000102030405060708090a0b c057000400010032",
        ))
        .unwrap();
        assert_eq!(dialect(&message), None);
    }

    #[test]
    fn a_refusal_keeps_its_number() {
        let refusal = datagram(&bytes(
            "011300102112a442000102030405060708090a0b 0009000400000401 0014000473677261",
        ))
        .unwrap();
        assert_eq!(
            (refusal.class(), refusal.error, refusal.method()),
            (StunClass::Error, Some(401), 3)
        );
        let mut call = CallFacts::default();
        note(&mut call, &refusal, Side::B);
        assert_eq!(call.responses, [0, 1]);
    }

    #[test]
    fn streams_are_split_with_and_without_a_length_before_them() {
        let message = bytes(RFC_5769_REQUEST);
        assert!(
            matches!(frame(&message, false), Progress::Done { used, .. } if used == message.len())
        );
        let prefixed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        assert!(
            matches!(frame(&prefixed, false), Progress::Done { used, .. } if used == prefixed.len())
        );
        for cut in 0..message.len() {
            assert_eq!(frame(&message[..cut], false), Progress::NeedMore, "{cut}");
            assert_eq!(frame(&prefixed[..cut], false), Progress::NeedMore, "{cut}");
        }
        let channel = bytes("4001000501020304050000");
        assert_eq!(frame(&channel, true), Progress::NeedMore);
        assert_eq!(frame(&channel, false), Progress::NotThis);
        assert_eq!(frame(b"GET / HTTP/1.1\r\n", false), Progress::NotThis);
        assert_eq!(frame(&bytes("160301020001"), false), Progress::NotThis);
    }

    /// Dialects in a capture, with the number of messages each.
    fn dialects(name: &str) -> Option<BTreeMap<&'static str, u32>> {
        let mut found = BTreeMap::new();
        for packet in capture(name)?
            .iter()
            .filter(|packet| packet.protocol == Protocol::Udp)
        {
            if let Some(message) = datagram(&packet.payload) {
                *found
                    .entry(dialect(&message).map_or("nobody", |dialect| dialect.0))
                    .or_default() += 1;
            }
        }
        Some(found)
    }

    #[test]
    fn real_calls_show_whose_they_are() {
        for (name, service) in [
            ("ndpi__wa_voice.pcap", "whatsapp"),
            ("ndpi__whatsapp_voice_and_message.pcap", "whatsapp"),
            ("ndpi__stun_signal.pcapng", "signal"),
            ("ndpi__skype-conference-call.pcap", "skype"),
            ("ndpi__stun_zoom.pcapng", "nobody"),
            ("mercury__stun.pcap", "nobody"),
        ] {
            let Some(found) = dialects(name) else { return };
            assert!(found.contains_key(service), "{name}: {found:?}");
            assert!(
                found.keys().all(|key| *key == service || *key == "nobody"),
                "{name}: {found:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn bounds_hold_for_any_bytes(kind in 0_u16.., cookie in proptest::bool::ANY, body in proptest::collection::vec(0_u8.., 0..200)) {
            let mut input = kind.to_be_bytes().to_vec();
            input.extend((body.len() as u16).to_be_bytes());
            input.extend(if cookie { COOKIE } else { [0; 4] });
            input.extend([7; 12]);
            input.extend(body);
            assert_bounds(&input);
        }
    }
}
