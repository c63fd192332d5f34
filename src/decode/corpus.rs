use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use super::{Fragments, Peel, Transport, Undecoded, decode, flow_hash, peel};
use crate::capture::LinkType;
use crate::types::{Endpoint, Frame, Timestamp};

/// One record: link type, bytes, wire length, time.
struct Record {
    link: u16,
    bytes: Vec<u8>,
    wire: u32,
    time: Timestamp,
}

/// Protocol and both ends, the smaller one first; packets from the smaller end and from the other.
type Flows = BTreeMap<(String, Endpoint, Endpoint), [u64; 2]>;

#[derive(Default)]
struct Seen {
    flows: Flows,
    undecoded: BTreeMap<Undecoded, u64>,
    no_flow: u64,
}

impl Seen {
    fn whole(&mut self, fragments: &mut Fragments, link: LinkType, record: &Record, frame: Frame) {
        let (mut link, mut bytes, mut wire) = (link, record.bytes.clone(), record.wire);
        for _ in 0..8 {
            match peel(link, &bytes, wire) {
                Peel::Flow(peeled) => {
                    let at = peeled.ip as usize;
                    match decode(&bytes[at..], wire.saturating_sub(peeled.ip)) {
                        Ok(Some(decoded)) => {
                            assert_eq!(flow_hash(&decoded.key), peeled.hash);
                            let (key, name) = (decoded.key, format!("{:?}", decoded.key.protocol));
                            if !matches!(decoded.transport, Transport::Icmp(_)) {
                                let (low, high) = (key.a.min(key.b), key.a.max(key.b));
                                let count = self
                                    .flows
                                    .entry((name.to_lowercase(), low, high))
                                    .or_default();
                                count[usize::from(key.a != low)] += 1;
                            }
                        }
                        Ok(None) => panic!("peel sees a flow where decode sees none"),
                        Err(reason) => *self.undecoded.entry(reason).or_default() += 1,
                    }
                }
                Peel::NoFlow => self.no_flow += 1,
                Peel::Undecoded(reason) => *self.undecoded.entry(reason).or_default() += 1,
                Peel::Fragment { ip, .. } => {
                    let rest = wire.saturating_sub(ip);
                    let fed = fragments.feed(record.time, frame, &bytes[ip as usize..], rest);
                    if let Some(whole) = fed {
                        (link, bytes, wire) = (LinkType(101), whole.bytes, whole.wire);
                        continue;
                    }
                }
            }
            return;
        }
    }
}

fn see(records: &[Record]) -> Seen {
    let (mut seen, mut fragments) = (Seen::default(), Fragments::default());
    for (number, record) in (1..).zip(records) {
        let frame = Frame::new(0, number);
        seen.whole(&mut fragments, LinkType(record.link), record, frame);
    }
    fragments.finish();
    let abandoned = fragments.abandoned().count() as u64;
    if abandoned > 0 {
        seen.undecoded.insert(Undecoded::Fragment, abandoned);
    }
    seen
}

/// The records of a pcap or pcapng file up to its first damage; just enough of a reader for this test.
fn records(path: &Path) -> Vec<Record> {
    let raw = fs::read(path).unwrap();
    let mut file = Vec::new();
    if raw.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(raw.as_slice())
            .read_to_end(&mut file)
            .ok();
    } else if raw.starts_with(&[0xfd, b'7', b'z']) {
        liblzma::read::XzDecoder::new_multi_decoder(raw.as_slice())
            .read_to_end(&mut file)
            .ok();
    } else {
        file = raw;
    }
    match file.first_chunk::<4>() {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng(&file),
        Some([0xd4 | 0x4d, ..]) => pcap(&file, u32::from_le_bytes),
        Some(_) => pcap(&file, u32::from_be_bytes),
        None => Vec::new(),
    }
}

fn word(bytes: &[u8], at: usize, order: fn([u8; 4]) -> u32) -> Option<u32> {
    Some(order(*bytes.get(at..)?.first_chunk::<4>()?))
}

fn pcap(file: &[u8], order: fn([u8; 4]) -> u32) -> Vec<Record> {
    let mut records = Vec::new();
    let link = (word(file, 20, order).unwrap_or(0) & 0xffff) as u16;
    let mut at = 24;
    while let (Some(seconds), Some(captured), Some(wire)) = (
        word(file, at, order),
        word(file, at + 8, order),
        word(file, at + 12, order),
    ) {
        let Some(bytes) = file.get(at + 16..at + 16 + captured as usize) else {
            break;
        };
        records.push(Record {
            link,
            bytes: bytes.to_vec(),
            wire,
            time: Timestamp::new(i64::from(seconds), 0),
        });
        at += 16 + captured as usize;
    }
    records
}

fn pcapng(file: &[u8]) -> Vec<Record> {
    let mut order: fn([u8; 4]) -> u32 = u32::from_le_bytes;
    let (mut records, mut links, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(kind) = word(file, at, order) {
        if kind == 0x0a0d_0d0a {
            if word(file, at + 8, u32::from_le_bytes) == Some(0x1a2b_3c4d) {
                order = u32::from_le_bytes;
            } else {
                order = u32::from_be_bytes;
            }
            links.clear();
        }
        let Some(length) = word(file, at + 4, order).filter(|length| *length >= 12) else {
            break;
        };
        let Some(body) = file.get(at + 8..at + length as usize - 4) else {
            break;
        };
        let half = |at: usize| {
            let bytes = *body.get(at..).unwrap().first_chunk::<2>().unwrap();
            if order([1, 0, 0, 0]) == 1 {
                u16::from_le_bytes(bytes)
            } else {
                u16::from_be_bytes(bytes)
            }
        };
        let mut push = |interface: usize, captured: u32, wire: u32, bytes: &[u8], high: u32| {
            if let (Some(link), Some(bytes)) =
                (links.get(interface), bytes.get(..captured as usize))
            {
                records.push(Record {
                    link: *link,
                    bytes: bytes.to_vec(),
                    wire,
                    // close enough for timeouts: microseconds in units of 2^32
                    time: Timestamp::new(i64::from(high) * 4295, 0),
                });
            }
        };
        match kind {
            1 => links.push(half(0)),
            2 | 6 => {
                let interface = match kind {
                    2 => usize::from(half(0)),
                    _ => word(body, 0, order).unwrap() as usize,
                };
                let (captured, wire) = (word(body, 12, order), word(body, 16, order));
                let high = word(body, 4, order).unwrap_or(0);
                push(
                    interface,
                    captured.unwrap(),
                    wire.unwrap(),
                    &body[20..],
                    high,
                );
            }
            3 => {
                let wire = word(body, 0, order).unwrap();
                push(0, wire.min(body.len() as u32 - 4), wire, &body[4..], 0);
            }
            _ => {}
        }
        at += length as usize;
    }
    records
}

/// What tshark lists.
fn reference(path: &Path) -> Flows {
    let mut flows = Flows::new();
    for line in fs::read_to_string(path).unwrap().lines().skip(1) {
        let column: Vec<&str> = line.split('\t').collect();
        let end = |at: usize| Endpoint {
            address: column[at].parse::<IpAddr>().unwrap().into(),
            port: column[at + 1].parse().unwrap(),
        };
        let (a, b) = (end(1), end(3));
        let key = (column[0].to_owned(), a.min(b), a.max(b));
        let count = flows.entry(key).or_default();
        count[usize::from(a > b)] += column[5].parse::<u64>().unwrap();
        count[usize::from(a <= b)] += column[6].parse::<u64>().unwrap();
    }
    flows
}

/// Captures whose flows are counted otherwise here, and why.
const KNOWN: [(&str, &str); 11] = [
    (
        "matousp__xz1_slack.pcap",
        "record headers of 24 bytes under the usual magic: this test's reader stops",
    ),
    (
        "ndpi__badpackets.pcap",
        "first fragments of datagrams that never become whole are undecoded, not flows",
    ),
    ("ndpi__capwap.pcap", "CAPWAP is not followed"),
    (
        "ndpi__fuzz-2006-09-29-28586.pcap",
        "TCP headers longer than their segment and fragments of nothing are refused",
    ),
    (
        "ndpi__sflow.pcap",
        "a packet sampled inside sFlow counts for its carrier",
    ),
    (
        "tcpdump__kh-timed-002-oobr.pcap",
        "a UDP length beyond the IP packet is refused",
    ),
    (
        "tcpdump__rx_ubik-oobr.pcap",
        "a UDP length beyond the IP packet is refused",
    ),
    (
        "zeek__pbb-recursive-frames.pcapng",
        "forty nested frames are too deep",
    ),
    (
        "zeek__quic-383379789-decrypt-crash.pcap",
        "IP and UDP lengths that contradict themselves are refused",
    ),
    (
        "zeek__tunnels-gre-aruba-amsdu.pcap",
        "several packets in one record are not followed",
    ),
    (
        "zeek__tunnels-gtp-gtp8_teredo.pcap",
        "the reference joins the outer ports with the innermost addresses of Teredo bubbles",
    ),
];

#[test]
fn real_captures_hold_the_flows_that_tshark_sees() {
    let Some(corpus) = std::env::var_os("DPISCOPE_CORPUS") else {
        eprintln!("not run: needs DPISCOPE_CORPUS");
        return;
    };
    let captures = Path::new(&corpus).join("captures");
    let mut paths: Vec<_> = fs::read_dir(captures.join("reference"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".flows.tsv"))
        .collect();
    paths.sort();
    let (mut files, mut differing) = (0, BTreeSet::new());
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy();
        let name = name.trim_end_matches(".flows.tsv");
        let seen = see(&records(&captures.join(name)));
        let expected = reference(path);
        files += 1;
        let mut lines = Vec::new();
        let keys: BTreeSet<_> = expected.keys().chain(seen.flows.keys()).collect();
        for key in keys {
            let (want, have) = (expected.get(key), seen.flows.get(key));
            if want != have {
                let (protocol, a, b) = key;
                lines.push(format!(
                    "  {protocol} {}:{} {}:{} tshark {want:?} here {have:?}",
                    a.address, a.port, b.address, b.port
                ));
            }
        }
        if !lines.is_empty() {
            eprintln!(
                "{name}: {} differ; undecoded {:?}, no flow {}",
                lines.len(),
                seen.undecoded,
                seen.no_flow
            );
            for line in lines.iter().take(5) {
                eprintln!("{line}");
            }
            differing.insert(name.to_owned());
        }
    }
    eprintln!("{} of {files} captures differ", differing.len());
    assert!(files > 400, "the corpus is incomplete: {files} references");
    let known = KNOWN.map(|(name, _)| name.to_owned()).into();
    let surprising: Vec<_> = differing.difference(&known).collect();
    assert!(surprising.is_empty(), "{surprising:?}");
}
