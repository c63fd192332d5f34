//! `--metrics`: the state of a live run for Prometheus (text exposition format 0.0.4).
//!
//! One thread answers one request after the other, from a text that the run renews; the socket is open before the sandbox is entered, and whoever
//! asks can neither wait for long nor say much.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dpiscope::detect::Kind;
use dpiscope::pipeline::live::{InterfaceStatus, Status};
use dpiscope::service::{Catalogue, ServiceId};

use super::Failure;
use super::live::word;

/// How long a client may take for one step of its request or of the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a request that are read; a scraper's take a few hundred.
const LONGEST_REQUEST: u64 = 8 * 1024;

/// A socket that listens, and what it has to say.
pub(crate) struct Metrics {
    listener: Option<TcpListener>,
    text: Arc<Mutex<String>>,
    /// Findings that stood the last time, and how many have come since the start.
    standing: BTreeMap<(u16, Kind), u64>,
    come: BTreeMap<(u16, Kind), u64>,
}

impl Metrics {
    /// Listens at `place`: an address with a port, or a port of the loopback.
    pub(crate) fn bind(place: &str) -> Result<Self, Failure> {
        let refused = |reason: &str| {
            Failure::refused(format!(
                "--metrics {place}: {reason}; give a port of the loopback (9470) or an address with a port (127.0.0.1:9470)"
            ))
        };
        let address = place
            .parse::<SocketAddr>()
            .or_else(|_| {
                let port = place.strip_prefix(':').unwrap_or(place).parse::<u16>();
                port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
            })
            .map_err(|_| refused("no address and no port"))?;
        let listener = TcpListener::bind(address)
            .map_err(|error| refused(&format!("cannot listen: {error}")))?;
        Ok(Self {
            listener: Some(listener),
            text: Arc::default(),
            standing: BTreeMap::new(),
            come: BTreeMap::new(),
        })
    }

    /// Where it listens.
    pub(crate) fn place(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Begins to answer, from a thread that ends with the program.
    pub(crate) fn serve(&mut self) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        let text = Arc::clone(&self.text);
        std::thread::spawn(move || {
            loop {
                match listener.accept() {
                    // that a client went away is its own affair
                    Ok((client, _)) => drop(answer(client, &text)),
                    // no descriptor left, say: that does not pass at once
                    Err(_) => std::thread::park_timeout(PATIENCE),
                }
            }
        });
    }

    /// Renews what is said.
    pub(crate) fn renew(&mut self, status: &Status, memory: Option<u64>, catalogue: &Catalogue) {
        for (place, count) in &status.findings {
            let before = self.standing.get(place).copied().unwrap_or_default();
            *self.come.entry(*place).or_default() += count.saturating_sub(before);
        }
        self.standing.clone_from(&status.findings);
        let text = self.render(status, memory, catalogue);
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn render(&self, status: &Status, memory: Option<u64>, catalogue: &Catalogue) -> String {
        let mut page = Page::default();
        packets(&mut page, status);
        let findings = |counts: &BTreeMap<(u16, Kind), u64>| -> Vec<(String, f64)> {
            let each = counts.iter().map(|((service, kind), count)| {
                let service = &catalogue.service(ServiceId(*service)).id;
                let labels = labels(&[("service", service), ("kind", word(*kind))]);
                (labels, *count as f64)
            });
            each.collect()
        };
        page.add(
            "dpiscope_findings_total",
            "counter",
            "Findings at likely and above that have come.",
            &findings(&self.come),
        );
        page.add(
            "dpiscope_findings",
            "gauge",
            "Findings at likely and above that stand.",
            &findings(&status.findings),
        );
        engine(&mut page, status);
        if let Some(bytes) = memory {
            let help = "Resident memory size in bytes.";
            let value = (String::new(), bytes as f64);
            page.add("process_resident_memory_bytes", "gauge", help, &[value]);
        }
        let build = labels(&[
            ("version", env!("CARGO_PKG_VERSION")),
            ("catalogue", catalogue.version()),
        ]);
        page.add(
            "dpiscope_build_info",
            "gauge",
            "What is running.",
            &[(build, 1.0)],
        );
        page.0
    }
}

/// What came from each interface, and what was lost.
fn packets(page: &mut Page, status: &Status) {
    let each = |value: &dyn Fn(&InterfaceStatus) -> u64| -> Vec<(String, f64)> {
        let interfaces = status.interfaces.iter();
        interfaces
            .map(|one| (labels(&[("interface", &one.name)]), value(one) as f64))
            .collect()
    };
    page.add(
        "dpiscope_packets_total",
        "counter",
        "Packets read.",
        &each(&|one| one.packets),
    );
    page.add(
        "dpiscope_received_bytes_total",
        "counter",
        "Bytes that these packets had on the wire.",
        &each(&|one| one.bytes),
    );
    page.add(
        "dpiscope_interface_up",
        "gauge",
        "Whether the interface can be listened to.",
        &each(&|one| u64::from(one.open)),
    );
    let mut dropped = Vec::new();
    for one in &status.interfaces {
        for (reason, count) in [
            ("kernel", one.dropped_by_kernel),
            ("interface", one.dropped_by_interface),
        ] {
            let labels = labels(&[("interface", &one.name), ("reason", reason)]);
            dropped.push((labels, count as f64));
        }
    }
    let ours = labels(&[("interface", ""), ("reason", "behind")]);
    dropped.push((ours, status.dropped_by_us as f64));
    page.add(
        "dpiscope_dropped_packets_total",
        "counter",
        "Packets lost: no room in the kernel's buffer, dropped by the interface, or read and dropped because judging was behind.",
        &dropped,
    );
}

/// How the engine is doing.
fn engine(page: &mut Page, status: &Status) {
    let figures = [
        (
            "dpiscope_flows",
            "gauge",
            "Flows in the flow table.",
            status.flows as f64,
        ),
        (
            "dpiscope_judged_flows",
            "gauge",
            "Flows held to be judged.",
            status.judged_flows as f64,
        ),
        (
            "dpiscope_flows_total",
            "counter",
            "Flows seen.",
            status.all_flows as f64,
        ),
        (
            "dpiscope_evicted_flows_total",
            "counter",
            "Flows dropped for want of room.",
            status.evicted_flows.0 as f64,
        ),
        (
            "dpiscope_unjudged_flows_total",
            "counter",
            "Ended flows that were not judged for want of time.",
            status.unjudged_flows as f64,
        ),
        (
            "dpiscope_seen_ratio",
            "gauge",
            "The share of packets that verdicts rest on.",
            status.seen_share(),
        ),
        (
            "dpiscope_lag_seconds",
            "gauge",
            "How far judging is behind the clock.",
            status.lag_ns as f64 / 1e9,
        ),
        (
            "dpiscope_assessment_seconds",
            "gauge",
            "How long the last assessment took.",
            status.assessment_ns as f64 / 1e9,
        ),
    ];
    for (name, kind, help, value) in figures {
        page.add(name, kind, help, &[(String::new(), value)]);
    }
}

/// A page of metrics.
#[derive(Default)]
struct Page(String);

impl Page {
    fn add(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
        // a string takes everything
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

/// Labels with their values, escaped.
fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::from("{");
    for (place, (name, value)) in pairs.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(text, "{comma}{name}=\"{value}\"");
    }
    text.push('}');
    text
}

/// Reads a request as far as its first line tells what is wanted, and answers.
fn answer(mut client: TcpStream, text: &Mutex<String>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut reader = (&client).take(LONGEST_REQUEST);
    let mut piece = [0; 1024];
    // a few reads: who sends a byte at a time does not hold the others up
    for _ in 0..4 {
        let count = reader.read(&mut piece)?;
        request.extend(piece.iter().take(count));
        if count == 0 || request.windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    let line = request.split(|byte| *byte == b'\r').next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let (status, body) = match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics" | b"/")) => {
            let text = text.lock().unwrap_or_else(PoisonError::into_inner);
            ("200 OK", text.clone())
        }
        (Some(b"GET"), _) => ("404 Not Found", "see /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::super::services::catalogue;
    use super::*;

    fn ask(place: SocketAddr, request: &str) -> String {
        let mut server = TcpStream::connect(place).expect("a connection");
        server.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        server.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn status(findings: u64) -> Status {
        Status {
            interfaces: vec![InterfaceStatus {
                name: "eth\"0".to_owned(),
                open: true,
                packets: 12,
                dropped_by_kernel: 3,
                ..Default::default()
            }],
            flows: 7,
            findings: [((0, Kind::Blackholing), findings)].into(),
            ..Status::default()
        }
    }

    #[test]
    fn a_scraper_gets_the_state_and_anything_else_is_told_off() {
        let catalogue = catalogue(None).unwrap_or_else(|_| panic!("the built-in one"));
        let mut metrics = Metrics::bind("0").unwrap_or_else(|_| panic!("a free port"));
        let place = metrics.place().expect("a place");
        assert!(place.ip().is_loopback());
        metrics.renew(&status(2), Some(1024), &catalogue);
        metrics.serve();
        let answer = ask(place, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"));
        for line in [
            "# TYPE dpiscope_packets_total counter",
            "dpiscope_packets_total{interface=\"eth\\\"0\"} 12",
            "dpiscope_dropped_packets_total{interface=\"eth\\\"0\",reason=\"kernel\"} 3",
            "dpiscope_flows 7",
            "dpiscope_findings_total{service=\"control\",kind=\"blackholing\"} 2",
            "process_resident_memory_bytes 1024",
        ] {
            assert!(body.lines().any(|there| there == line), "{line}\n{body}");
        }
        let lost = ask(place, "GET /secret HTTP/1.1\r\n\r\n");
        assert!(lost.starts_with("HTTP/1.1 404 "), "{lost}");
        let other = ask(place, "POST /metrics HTTP/1.1\r\n\r\n");
        assert!(other.starts_with("HTTP/1.1 405 "), "{other}");
    }

    #[test]
    fn what_has_come_never_falls() {
        let catalogue = catalogue(None).unwrap_or_else(|_| panic!("the built-in one"));
        let mut metrics = Metrics::bind("127.0.0.1:0").unwrap_or_else(|_| panic!("a free port"));
        for count in [2, 1, 3] {
            metrics.renew(&status(count), None, &catalogue);
        }
        let text = metrics.text.lock().expect("the text").clone();
        let labels = "{service=\"control\",kind=\"blackholing\"}";
        assert!(text.contains(&format!("dpiscope_findings_total{labels} 4\n")));
        assert!(text.contains(&format!("dpiscope_findings{labels} 3\n")));
    }

    #[test]
    fn a_place_is_an_address_with_a_port_or_a_port() {
        for bad in ["localhost:9470", "70000", "", "127.0.0.1"] {
            assert!(Metrics::bind(bad).is_err(), "{bad}");
        }
    }
}
