//! Bytes for tests.

use std::net::IpAddr;

use crate::types::Protocol;

/// Bytes from hexadecimal digits; spaces are skipped.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = (hex.bytes())
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(byte).to_digit(16).unwrap() as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {hex}");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// One packet of a capture: ends, protocol, payload, and the sequence number of TCP.
pub(crate) struct SamplePacket {
    pub(crate) from: (IpAddr, u16),
    pub(crate) to: (IpAddr, u16),
    pub(crate) protocol: Protocol,
    pub(crate) sequence: u32,
    pub(crate) payload: Vec<u8>,
}

/// TCP and UDP packets of a capture of the corpus that `DPISCOPE_CORPUS` names; `None`, said aloud, without it.
///
/// Reads classic captures and the plain blocks of pcapng, through etherparse.
pub(crate) fn capture(name: &str) -> Option<Vec<SamplePacket>> {
    let Some(corpus) = corpus() else {
        eprintln!("not run: needs DPISCOPE_CORPUS ({name})");
        return None;
    };
    let file = std::fs::read(format!("{corpus}/captures/{name}")).unwrap();
    let frames = if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        pcapng(&file)
    } else {
        pcap(&file)
    };
    Some(frames.into_iter().filter_map(packet).collect())
}

/// Where the corpus lies.
#[expect(
    clippy::disallowed_methods,
    reason = "tests find the corpus through the environment"
)]
fn corpus() -> Option<String> {
    std::env::var("DPISCOPE_CORPUS").ok()
}

type RawFrame<'a> = (u16, &'a [u8]);

fn pcap(file: &[u8]) -> Vec<RawFrame<'_>> {
    let little = file[0] == 0xd4 || file[0] == 0x4d;
    let word = |at: usize| {
        let word = file[at..at + 4].try_into().unwrap();
        if little {
            u32::from_le_bytes(word)
        } else {
            u32::from_be_bytes(word)
        }
    };
    let link = word(20) as u16;
    let mut frames = Vec::new();
    let mut at = 24;
    while at + 16 <= file.len() {
        let captured = word(at + 8) as usize;
        let Some(frame) = file.get(at + 16..at + 16 + captured) else {
            break;
        };
        frames.push((link, frame));
        at += 16 + captured;
    }
    frames
}

fn pcapng(file: &[u8]) -> Vec<RawFrame<'_>> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut links = Vec::new();
    let mut frames = Vec::new();
    let mut at = 0;
    while at + 12 <= file.len() {
        let length = word(at + 4) as usize;
        match word(at) {
            1 => links.push(word(at + 8) as u16),
            6 => {
                let link = links[word(at + 8) as usize];
                let captured = word(at + 20) as usize;
                frames.push((link, &file[at + 28..at + 28 + captured]));
            }
            _ => {}
        }
        at += length.max(12);
    }
    frames
}

fn packet((link, frame): RawFrame<'_>) -> Option<SamplePacket> {
    let sliced = match link {
        1 => etherparse::SlicedPacket::from_ethernet(frame),
        101 | 12 | 228 | 229 => etherparse::SlicedPacket::from_ip(frame),
        113 => etherparse::SlicedPacket::from_ip(frame.get(16..)?),
        other => panic!("link type {other}"),
    }
    .ok()?;
    let (source, destination): (IpAddr, IpAddr) = match sliced.net? {
        etherparse::NetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        etherparse::NetSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        etherparse::NetSlice::Arp(_) => return None,
    };
    let (ports, protocol, sequence, payload) = match sliced.transport? {
        etherparse::TransportSlice::Udp(udp) => (
            (udp.source_port(), udp.destination_port()),
            Protocol::Udp,
            0,
            udp.payload(),
        ),
        etherparse::TransportSlice::Tcp(tcp) => (
            (tcp.source_port(), tcp.destination_port()),
            Protocol::Tcp,
            tcp.sequence_number(),
            tcp.payload(),
        ),
        _ => return None,
    };
    Some(SamplePacket {
        from: (source, ports.0),
        to: (destination, ports.1),
        protocol,
        sequence,
        payload: payload.to_vec(),
    })
}

/// First bytes of each direction of each TCP conversation, in the order in which they began: in-order, at most `limit` bytes. A conversation
/// that is captured from its middle starts there.
pub(crate) fn streams(packets: &[SamplePacket], limit: usize) -> Vec<Stream> {
    let mut streams: Vec<(u32, Stream)> = Vec::new();
    for packet in packets
        .iter()
        .filter(|packet| packet.protocol == Protocol::Tcp && !packet.payload.is_empty())
    {
        let known = streams
            .iter_mut()
            .find(|(_, stream)| stream.from == packet.from && stream.to == packet.to);
        match known {
            Some((next, stream)) if *next == packet.sequence && stream.bytes.len() < limit => {
                stream.bytes.extend(&packet.payload);
                *next = next.wrapping_add(packet.payload.len() as u32);
            }
            Some(_) => {}
            None => streams.push((
                packet.sequence.wrapping_add(packet.payload.len() as u32),
                Stream {
                    from: packet.from,
                    to: packet.to,
                    bytes: packet.payload.clone(),
                },
            )),
        }
    }
    streams.into_iter().map(|(_, stream)| stream).collect()
}

/// One direction of a TCP conversation.
pub(crate) struct Stream {
    pub(crate) from: (IpAddr, u16),
    pub(crate) to: (IpAddr, u16),
    pub(crate) bytes: Vec<u8>,
}

/// Which recogniser claims which streams and datagrams of the whole corpus, for a look by eye.
#[test]
#[ignore = "a survey of the corpus: cargo test survey -- --ignored --nocapture"]
fn survey_of_the_corpus() {
    use super::{Progress, dns, mtproto, noise, others, stun};
    let Some(corpus) = corpus() else {
        eprintln!("not run: needs DPISCOPE_CORPUS");
        return;
    };
    let mut names: Vec<String> = std::fs::read_dir(format!("{corpus}/captures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with('z') && name.contains(".pcap"))
        .collect();
    names.sort();
    for name in names {
        let Ok(packets) = std::panic::catch_unwind(|| capture(&name).unwrap()) else {
            continue;
        };
        let mut found = std::collections::BTreeMap::<String, u32>::new();
        let mut hit = |what: &str| *found.entry(what.to_owned()).or_default() += 1;
        for stream in streams(&packets, 4_000) {
            let ports = format!("{}>{}", stream.from.1.min(9999), stream.to.1.min(9999));
            if let Progress::Done { .. } = noise::client_hello(&stream.bytes) {
                hit("noise client");
            }
            if let Progress::Done { .. } = noise::server_hello(&stream.bytes) {
                hit("noise server");
            }
            if let Progress::Done { message, .. } = mtproto::client_hello(&stream.bytes) {
                hit(&format!("mtproto {message:?} {ports} {}", stream.to.0));
            }
            if let Progress::Done { .. } = others::viber(&stream.bytes) {
                hit(&format!("viber {ports}"));
            }
            if let Progress::Done { .. } = stun::frame(&stream.bytes, false) {
                hit("stun tcp");
            }
            if let Progress::Done { .. } = dns::frame(&stream.bytes) {
                hit(&format!("dns tcp {ports}"));
            }
        }
        for packet in packets
            .iter()
            .filter(|packet| packet.protocol == Protocol::Udp)
        {
            if mtproto::reflector(&packet.payload).is_some() {
                hit("reflector");
            }
            if others::is_discord_discovery(&packet.payload) {
                hit("discord");
            }
            if let Some(dialect) =
                stun::datagram(&packet.payload).and_then(|message| stun::dialect(&message))
            {
                hit(&format!("stun {dialect:?}"));
            }
        }
        if !found.is_empty() {
            eprintln!("{name}: {found:?}");
        }
    }
}
