//! What is written: the captures of both faces and the truth about them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use crate::censor::{Act, Done, Way};
use crate::packet::{self, FIN, SYN, TCP, UDP, View};
use crate::path::Record;
use crate::plan::{Flow, Hello};
use crate::run::Recorded;
use crate::scenario::{Damage, SIGNALS_OWN, Scenario};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Vantage {
    Client,
    Server,
    /// At the box, on its client's side.
    Path,
}
impl Vantage {
    fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Path => "path",
        }
    }
}

/// A link header before the packet, as `link` names it.
fn link_header(link: &str, way: Way, vantage: Vantage, six: bool) -> Vec<u8> {
    let kind: [u8; 2] = if six { [0x86, 0xdd] } else { [8, 0] };
    let (a, b) = (
        [2, 0x11, 0x22, 0x33, 0x44, 0x55],
        [2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee],
    );
    let (to, from) = if way == Way::Up { (b, a) } else { (a, b) };
    match link {
        "raw" => Vec::new(),
        "sll" => {
            let outgoing = (way == Way::Up) == (vantage != Vantage::Server);
            let mut h = vec![0, if outgoing { 4 } else { 0 }, 0, 1, 0, 6];
            h.extend_from_slice(&from);
            h.extend_from_slice(&[0, 0]);
            h.extend_from_slice(&kind);
            h
        }
        "vlan" => [&to[..], &from, &[0x81, 0, 0, 42], &kind].concat(),
        _ => [&to[..], &from, &kind].concat(),
    }
}

/// Applies a file's damage: what a capture that is not perfect would hold.
fn damage(records: &[Record], d: &Damage, seed: u64) -> Vec<Record> {
    let mut r = StdRng::seed_from_u64(seed ^ 0xda3a);
    let mut out = Vec::with_capacity(records.len());
    // The last client to open its mouth for the first time ends a file that is cut at the hello.
    let mut first_words = BTreeMap::new();
    for record in records.iter().filter(|r| r.way == Way::Up) {
        if let Some(v) = packet::view(&record.bytes).filter(|v| v.payload() > 0) {
            first_words
                .entry((v.source_port, v.target))
                .or_insert(record.at);
        }
    }
    let last_hello =
        first_words.values().max().copied().unwrap_or_default() + Duration::from_millis(2);
    for record in records {
        if d.ends_at_hello && record.at > last_hello {
            continue;
        }
        let at = record.at.as_secs_f64();
        if d.one_way.is_some_and(|w| w != record.way)
            || d.starts_at_s.is_some_and(|s| at < s)
            || d.ends_at_s.is_some_and(|s| at > s)
        {
            continue;
        }
        if d.drop_p.is_some_and(|p| r.r#gen::<f64>() < p) {
            continue;
        }
        out.push(record.clone());
        if d.duplicates && r.gen_bool(0.5) {
            let mut twin = record.clone();
            twin.at += Duration::from_micros(r.gen_range(2..60));
            if d.aged {
                packet::age(&mut twin.bytes, 1);
            }
            out.push(twin);
        }
    }
    out.sort_by_key(|r| r.at);
    out
}

fn write_pcap(
    file: &Path,
    records: &[Record],
    s: &Scenario,
    vantage: Vantage,
    snaplen: Option<usize>,
    base: SystemTime,
) -> io::Result<u64> {
    let mut out = io::BufWriter::new(std::fs::File::create(file)?);
    let magic: u32 = if s.nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let link: u32 = match s.link {
        "raw" => 101,
        "sll" => 113,
        _ => 1,
    };
    for word in [
        magic,
        0x0004_0002,
        0,
        0,
        snaplen.unwrap_or(262_144) as u32,
        link,
    ] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut total = 24;
    for record in records {
        let mut bytes = link_header(
            s.link,
            record.way,
            vantage,
            record.bytes.first().is_some_and(|b| b >> 4 == 6),
        );
        bytes.extend_from_slice(&record.bytes);
        let kept = bytes.len().min(snaplen.unwrap_or(usize::MAX));
        let at = (base + record.at)
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let fraction = if s.nano {
            at.subsec_nanos()
        } else {
            at.subsec_micros()
        };
        for word in [
            at.as_secs() as u32,
            fraction,
            kept as u32,
            bytes.len() as u32,
        ] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&bytes[..kept])?;
        total += 16 + kept as u64;
    }
    out.flush()?;
    Ok(total)
}

/// One packet of a flow in a file.
pub struct Sight {
    frame: usize,
    pub at: f64,
    pub way: Way,
    pub forged: bool,
    pub v: View,
    alien_clock: bool,
    stun: bool,
}

impl Sight {
    /// Media or its reports (RFC 7983: what begins with 0 to 3 is STUN).
    pub fn is_media(&self) -> bool {
        self.v.protocol == UDP && !self.stun
    }
}

pub fn sights(
    records: &[Record],
    protocol: u8,
    client: IpAddr,
    ports: &[u16],
    server: SocketAddr,
) -> Vec<Sight> {
    let mut all = Vec::new();
    for (n, record) in records.iter().enumerate() {
        let Some(v) = packet::view(&record.bytes) else {
            continue;
        };
        let (c, s) = match record.way {
            Way::Up => ((v.source, v.source_port), (v.target, v.target_port)),
            Way::Down => ((v.target, v.target_port), (v.source, v.source_port)),
        };
        if v.protocol == protocol
            && c.0 == client
            && ports.contains(&c.1)
            && s == (server.ip(), server.port())
        {
            let alien_clock =
                record.forged && protocol == TCP && v.payload_at - v.transport_at > 20;
            all.push(Sight {
                frame: n + 1,
                at: record.at.as_secs_f64(),
                way: record.way,
                forged: record.forged,
                stun: (record.bytes.get(v.payload_at)).is_some_and(|b| *b < 4),
                v,
                alien_clock,
            });
        }
    }
    all
}

/// Whether a forged segment of this file betrays itself to somebody who sees nothing else.
fn reset_shows(seen: &[Sight], vantage: Vantage, rtt_ms: f64, mechanism: &str) -> bool {
    let forged: Vec<&Sight> = seen.iter().filter(|s| s.forged).collect();
    let toward_us = if vantage == Vantage::Server {
        Way::Up
    } else {
        Way::Down
    };
    let ours: Vec<&&Sight> = forged.iter().filter(|s| s.way == toward_us).collect();
    let Some(first) = ours.first() else {
        return false;
    };
    // One alone may as well be the server's own; it takes the row of them that stands where its data would.
    if mechanism == "tspu_rewrite" {
        return ours.len() >= 2 && seen.iter().any(|s| !s.forged && s.way == toward_us);
    }
    let others = || seen.iter().filter(|s| !s.forged && s.way == toward_us);
    let Some(last) = others().next_back() else {
        return false;
    };
    // A SYN/ACK alone is a poor witness: whoever fronts for a server may answer SYNs for it.
    let least = if others().any(|s| s.v.flags & SYN == 0) {
        3
    } else {
        8
    };
    let strange = ours.iter().any(|s| {
        s.v.hop_limit.abs_diff(last.v.hop_limit) >= least || s.v.payload() > 0 || s.alien_clock
    });
    let goes_on = seen
        .iter()
        .any(|s| !s.forged && s.way == toward_us && s.at > first.at && s.v.payload() > 0);
    let train = ours.iter().filter(|s| s.at - first.at < 0.01).count() >= 2;
    let asked = seen
        .iter()
        .rfind(|s| s.way != toward_us && s.frame < first.frame && s.v.payload() > 0);
    // In the path the answer's way is shorter than the round trip.
    let hasty = vantage != Vantage::Path
        && rtt_ms >= 20.0
        && asked.is_some_and(|a| (first.at - a.at) * 1000.0 < 0.6 * rtt_ms);
    strange || goes_on || train || hasty
}

/// Whether somebody with only this file could tell; no where there is doubt.
fn decidable(
    s: &Scenario,
    mechanism: &str,
    vantage: Vantage,
    seen: &[Sight],
    done: &Done,
    direction: Option<&str>,
) -> bool {
    use Vantage::{Client, Server};
    // What the client is refused can be read as well at the box, on the client's side of it.
    let vantage = if vantage == Vantage::Path && s.family != "rst_injection" {
        Client
    } else {
        vantage
    };
    let after = done.last_after_s - done.armed_after_s;
    let dropped = done.dropped_up + done.dropped_down;
    let tries = |way: Way| {
        // Repeats of the same bytes that demand an answer.
        let mut seqs: BTreeMap<u32, u32> = BTreeMap::new();
        for x in seen.iter().filter(|x| {
            x.way == way && !x.forged && (x.v.payload() > 0 || x.v.flags & (SYN | FIN) != 0)
        }) {
            *seqs.entry(x.v.seq).or_default() += 1;
        }
        seqs.values().copied().max().unwrap_or(0)
    };
    match mechanism {
        _ if s.family == "rst_injection" => {
            mechanism != "rst_syn" && reset_shows(seen, vantage, s.rtt_ms, mechanism)
        }
        "syn_drop_ip" | "residual_syn_drop" => vantage == Client && tries(Way::Up) >= 3,
        "synack_drop_ip" => {
            if vantage == Client {
                tries(Way::Up) >= 3
            } else {
                tries(Way::Down) >= 3
            }
        }
        "drop_after_hello_up"
        | "drop_after_hello_both"
        | "connection_limit"
        | "messenger_transport_drop"
        | "drop_first_appdata" => vantage == Client && tries(Way::Up) >= 3,
        "drop_after_hello_down" => {
            tries(if vantage == Client {
                Way::Up
            } else {
                Way::Down
            }) >= 3
                || vantage == Client
        }
        "drop_behind_hello_both" | "delayed_drop" => {
            if vantage == Client {
                tries(Way::Up) >= 3
            } else {
                tries(Way::Down) >= 4
            }
        }
        "freeze_16k" | "packet_budget" => vantage == Client || tries(Way::Down) >= 3,
        "list_update" | "midstream_residual" => vantage == Client && tries(Way::Up) >= 3,
        "stun_drop" => {
            seen.iter().filter(|x| x.way == Way::Up).count() >= 5
                && (vantage == Client || direction == Some("down"))
        }
        "media_drop_both" | "media_drop_down" | "dtls_drop" | "icmp_prohibited" => {
            vantage == Client
        }
        // Who stops at once when the far party is gone leaves nothing to judge by.
        "media_ceased" => vantage == Client && media_alone_s(seen) >= 6.0,
        "quic_initial_drop" | "quic_behind_initial_drop" => {
            vantage == Client && seen.iter().filter(|x| x.way == Way::Up).count() >= 3
        }
        "policer_down" | "policer_up" | "delayed_policer_down" => dropped >= 10 && after >= 2.5,
        "policer_down_quic" => dropped >= 10 && after >= 4.0,
        "policer_media" => {
            dropped >= 60
                && vantage
                    == if direction == Some("up") {
                        Server
                    } else {
                        Client
                    }
        }
        "shaper_down" | "shaper_up" | "delayed_shaper_down" => done.queued >= 40 && after >= 3.0,
        // Nobody sends lost media again: only who should have received it can tell.
        "random_drop_media" => {
            dropped >= 10
                && match direction {
                    Some("up") => vantage == Server,
                    Some("down") => vantage == Client,
                    _ => true,
                }
        }
        "random_drop" => dropped >= 10,
        "random_drop_low" => dropped >= 15,
        _ => false,
    }
}

/// For how long the client goes on sending what is no STUN after it last heard such a thing.
fn media_alone_s(seen: &[Sight]) -> f64 {
    let last = |way| {
        seen.iter()
            .filter(|x| x.way == way && x.is_media())
            .map(|x| x.at)
            .fold(0.0, f64::max)
    };
    last(Way::Up) - last(Way::Down)
}

/// Whether a file tells whose flow number `n` is: its own first words, those of another flow to the same address, or the address.
///
/// An address alone speaks for Telegram, Meta and Apple, whose networks are their own, and for the two that Signal's app falls back to.
fn nameable(s: &Scenario, n: usize, kept: &[Record], whole: &[Record], d: &Damage) -> bool {
    let flow = &s.flows[n];
    let by_address = match (flow.service.as_str(), flow.server.ip()) {
        ("telegram" | "whatsapp" | "messenger" | "facetime", _) => true,
        ("signal", IpAddr::V4(ip)) => SIGNALS_OWN.contains(&ip),
        _ => false,
    };
    let first_words = |records: &[Record], flow: &Flow| -> Vec<u32> {
        let protocol = if flow.transport.is_udp() { UDP } else { TCP };
        let mut seqs: Vec<u32> = sights(
            records,
            protocol,
            flow.client.ip(),
            &[flow.client.port()],
            flow.server,
        )
        .iter()
        .filter(|x| x.way == Way::Up && !x.forged && x.v.payload() > 0)
        .map(|x| x.v.seq)
        .collect();
        seqs.dedup();
        seqs.truncate(2);
        seqs
    };
    let by_words = s.flows.iter().any(|other| {
        let same = std::ptr::eq(other, flow)
            || (other.server.ip() == flow.server.ip()
                && other.service == flow.service
                && other.sni == flow.sni);
        if !same {
            return false;
        }
        let said = first_words(kept, other);
        // A name lies behind the first hundred bytes of a hello.
        !said.is_empty() && said == first_words(whole, other) && d.snaplen.is_none()
    });
    by_words || (by_address && (d.snaplen.is_none() || flow.service == "telegram"))
}

/// What was done to a flow, in the words of the labels: kind, mechanism.
pub fn verdict(s: &Scenario, flow: &Flow, done: &Done) -> (&'static str, String) {
    let acted = done.hostile
        && (done.dropped_up
            + done.dropped_down
            + done.forged_to_client
            + done.forged_to_server
            + done.rewritten
            > 0
            || done.queued > 5);
    if !acted {
        return (
            "none",
            if flow.target {
                "untouched".into()
            } else {
                flow.innocent.into()
            },
        );
    }
    let name = match s.mechanism {
        // The flow whose hello set off the residual blocking died of its hello.
        "residual_syn_drop" if !done.residual => "drop_after_hello_both",
        // The Initial and a packet or two behind it passed, and something came back.
        "quic_initial_drop" if done.passed_down > 0 => "quic_behind_initial_drop",
        name => name,
    };
    (s.family, name.into())
}

/// Whether flows share one bucket.
pub fn is_shared(s: &Scenario) -> bool {
    s.rules
        .iter()
        .any(|r| matches!(r.act, Act::Police { shared: true, .. }))
}

/// The share of a limited rate that a flow got on average since the limit bit; `None` without a rate or in too short a time.
pub fn share_of_rate(s: &Scenario, done: &Done) -> Option<f64> {
    let seconds = done.last_after_s - done.armed_after_s;
    let rate = s.rate_kbps.filter(|_| seconds > 3.0)?;
    let bytes = done.passed_bytes_after as f64 - s.burst.unwrap_or(0.0);
    Some(bytes * 8.0 / seconds / 1000.0 / rate)
}

fn parameters(s: &Scenario, mechanism: &str, done: &Done, injected: &[usize]) -> Value {
    let mut p = Map::new();
    let shared = is_shared(s);
    if let Some(rate) = s.rate_kbps {
        // A flow whose sender had backed off and never came near the rate does not show it.
        let name = match share_of_rate(s, done) {
            _ if shared => "shared_rate_kbps",
            Some(share) if share < 0.75 => "configured_rate_kbps",
            _ => "rate_kbps",
        };
        p.insert(name.into(), json!(rate));
    }
    if let Some(burst) = s.burst.filter(|_| !shared) {
        p.insert("burst_bytes".into(), json!(burst));
    }
    if let Some(share) = s.drop_p {
        p.insert("drop_p".into(), json!(share));
    }
    if mechanism == "freeze_16k" {
        p.insert("bytes_before".into(), json!(done.down_at_first_drop));
    }
    if mechanism == "packet_budget" {
        p.insert(
            "packets_before".into(),
            json!(done.packets_at_first_drop.map(|n| n - 1)),
        );
    }
    if let Some(rule) = s.rules.first() {
        p.insert("trigger".into(), json!(format!("{:?}", rule.when)));
        if let Act::Shape { queue, .. } = rule.act {
            p.insert("queue_bytes".into(), json!(queue));
        }
    }
    if !injected.is_empty() {
        p.insert("injected_frames".into(), json!(injected));
    }
    Value::Object(p)
}

/// Writes one file and gives its label.
fn one(
    run: &Recorded,
    vantage: Vantage,
    variant: Option<(&str, &Damage)>,
    folder: &Path,
    base: SystemTime,
) -> io::Result<Value> {
    let s = &run.scenario;
    let whole = match vantage {
        Vantage::Client => &run.outcome.client,
        Vantage::Server => &run.outcome.server,
        Vantage::Path => &run.outcome.path,
    };
    let none = Damage::default();
    let d = variant.map_or(&none, |v| v.1);
    let kept = damage(whole, d, s.seed);
    let file = match variant {
        Some((name, _)) => format!("{}-{name}.{}.pcap", s.name, vantage.label()),
        None => format!("{}.{}.pcap", s.name, vantage.label()),
    };
    let bytes = write_pcap(&folder.join(&file), &kept, s, vantage, d.snaplen, base)?;

    let mut flows = Vec::new();
    let mut services: BTreeMap<String, [Vec<String>; 3]> = BTreeMap::new();
    for (n, (flow, app)) in s.flows.iter().zip(&run.seen).enumerate() {
        let protocol = if flow.transport.is_udp() { UDP } else { TCP };
        let done = run.outcome.censor.done(protocol, flow.client, flow.server);
        let nat: Vec<u16> = s
            .rebinds
            .iter()
            .filter(|r| r.client == flow.client && vantage == Vantage::Server)
            .map(|r| r.port)
            .collect();
        let ports: Vec<u16> = std::iter::once(flow.client.port())
            .chain(nat.iter().copied())
            .collect();
        let seen = sights(&kept, protocol, flow.client.ip(), &ports, flow.server);
        let once = if d.duplicates {
            sights(whole, protocol, flow.client.ip(), &ports, flow.server)
        } else {
            Vec::new()
        };
        let injected: Vec<usize> = seen.iter().filter(|x| x.forged).map(|x| x.frame).collect();
        let (truth, mechanism) = verdict(s, flow, &done);
        let direction = if truth == "none" { None } else { s.direction };
        let damaged = d.one_way.is_some()
            || d.starts_at_s.is_some()
            || d.ends_at_s.is_some()
            || d.ends_at_hello;
        let tells = if truth == "none" {
            !damaged
        } else {
            !damaged
                && nameable(s, n, &kept, whole, d)
                && decidable(
                    s,
                    &mechanism,
                    vantage,
                    if d.duplicates { &once } else { &seen },
                    &done,
                    direction,
                )
        };
        let mut accept: Vec<&str> = flow.accept.clone();
        // Calls and lossy services are judged as a whole, and so may be the flow that chance or the box spared. Whoever got through a limit did.
        if mechanism == "untouched" && s.mechanism != "connection_limit" {
            accept.push(s.family);
        }
        if truth == "rst_injection" && (done.dropped_up + done.dropped_down > 0 || !tells) {
            accept.push("blackhole");
        }
        if !seen.is_empty() && flow.messenger {
            let entry = services.entry(flow.service.clone()).or_default();
            if truth != "none" {
                entry[0].push(truth.into());
                if tells {
                    entry[1].push(truth.into());
                }
            }
            entry[2].extend(accept.iter().map(|a| (*a).to_string()));
        }
        let hello = match (&flow.hello, flow.sni.is_some()) {
            (_, false) => Value::Null,
            (Hello::Plain, _) => json!("plain"),
            (Hello::PostQuantum, _) => json!("pq"),
            (Hello::Split(at), _) => json!(format!("split@{at}")),
        };
        flows.push(json!({
            "id": format!("f{n}"), "src": flow.client.ip().to_string(), "sport": flow.client.port(), "dst": flow.server.ip().to_string(), "dport": flow.server.port(),
            "proto": if protocol == UDP { "udp" } else { "tcp" }, "nat_ports": nat, "service": flow.service, "messenger": flow.messenger, "sni": flow.sni, "transport": flow.transport.label(),
            "hello": hello, "truth": truth, "mechanism": mechanism, "direction": direction, "parameters": if truth == "none" { json!({}) } else { parameters(s, &mechanism, &done, &injected) },
            "decidable": tells, "accept": accept, "visible": !seen.is_empty(), "frames": seen.len(), "connections": flow.connections, "app": app.json(), "notes": flow.notes,
            "congestion": flow.congestion,
            "done": {"dropped_up": done.dropped_up, "dropped_down": done.dropped_down, "forged_to_client": done.forged_to_client, "forged_to_server": done.forged_to_server, "rewritten": done.rewritten, "queued": done.queued},
        }));
    }
    let services: Map<String, Value> = services
        .into_iter()
        .map(|(name, [mut truth, mut tells, mut accept])| {
            for list in [&mut truth, &mut tells, &mut accept] {
                list.sort();
                list.dedup();
            }
            (
                name,
                json!({"truth": truth, "decidable": tells, "accept": accept}),
            )
        })
        .collect();
    let c = &run.outcome.counters;
    let dropped: BTreeMap<&str, u32> = c.dropped.iter().map(|(k, v)| (*k, *v)).collect();
    Ok(json!({
        "file": file, "scenario": s.name, "family": s.family, "mechanism": s.mechanism, "seed": s.seed, "vantage": vantage.label(), "variant": variant.map(|v| v.0), "notes": s.source,
        "capture": {
            "link": s.link, "format": if s.nano { "nano" } else { "pcap" }, "snaplen": d.snaplen, "packets": kept.len(), "bytes": bytes, "drop_p": d.drop_p,
            "removed_packets": if d.drop_p.is_some() { whole.len() - kept.len() } else { 0 }, "one_way": d.one_way.map(|w| if w == Way::Up { "up" } else { "down" }),
            "starts_mid": d.starts_at_s.is_some(), "cut_short": d.ends_at_s.is_some() || d.ends_at_hello, "duplicates": d.duplicates,
        },
        "path": {"rtt_ms": s.rtt_ms, "loss": s.loss, "jitter_ms": s.jitter_ms, "ipv6": s.ipv6},
        "middlebox": {"injected": c.injected, "dropped": dropped, "path_loss": c.path_loss, "queue_drop": c.queue_drop, "late_ms_max": (c.late_ms_max * 100.0).round() / 100.0, "late_over_2ms": c.late_over_2ms},
        "services": services, "flows": flows,
    }))
}

/// Writes every file of a run; gives their labels.
pub fn write(run: &Recorded, folder: &Path) -> io::Result<Vec<Value>> {
    let longest = run.outcome.client.last().map_or(Duration::ZERO, |r| r.at);
    let base = SystemTime::now() - longest;
    let mut labels = Vec::new();
    for vantage in [Vantage::Client, Vantage::Server, Vantage::Path] {
        labels.push(one(run, vantage, None, folder, base)?);
    }
    for (name, d) in &run.scenario.damages {
        labels.push(one(run, Vantage::Client, Some((name, d)), folder, base)?);
    }
    Ok(labels)
}
