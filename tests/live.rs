//! A capture that is replayed over a pair of interfaces, in a namespace of its own and at its own speed, shows `live` what it shows `analyze`.
#![cfg(feature = "live")]

#[path = "support/replay.rs"]
mod replay;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use replay::Replay;
use serde_json::Value;

/// Longest capture that is replayed with the other tests.
const SHORT: Duration = Duration::from_secs(9);

/// A packet that is sent so late, in milliseconds, changes the rates that a capture shows: a policer's bucket of the captures is refilled by a packet in 20.
const LATE_MS: u64 = 10;

/// Many listeners at once: little memory and one worker each.
const SMALL: [&str; 4] = ["--threads", "1", "-B", "4096"];

/// What is compared of a finding.
type Key = (String, String, String, String);

fn key(finding: &Value) -> Key {
    let word = |name: &str| finding[name].as_str().unwrap_or("null").to_owned();
    (
        word("kind"),
        word("mechanism"),
        word("service"),
        word("host"),
    )
}

/// Whether interfaces can be made here; says so where not.
fn can_make_interfaces() -> bool {
    let made = Namespace::new("probe").is_some();
    if !made {
        eprintln!("not run: needs root, and `ip` of iproute2, to make interfaces");
    }
    made
}

/// A network namespace with a pair of interfaces in it, `a` and `b`.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("dpiscope-{}-{number}-{name}", std::process::id());
        let ip = |words: &[&str]| {
            let status = Command::new("ip")
                .args(words)
                .stderr(Stdio::null())
                .status();
            status.is_ok_and(|status| status.success())
        };
        if !ip(&["netns", "add", &name]) {
            return None;
        }
        let namespace = Self(name);
        let name = &namespace.0;
        // without `name`, a is short for address
        let pair = [
            "link", "add", "name", "a", "type", "veth", "peer", "name", "b",
        ];
        let made = ip(&[&["-n", name][..], &pair].concat())
            && ["a", "b"].iter().all(|end| {
                // nobody but the replay shall say anything here
                let quiet = ["arp", "off", "addrgenmode", "none", "mtu", "65535", "up"];
                ip(&[&["-n", name, "link", "set", "dev", end][..], &quiet].concat())
            });
        // who may make a namespace may make these
        assert!(made, "no interfaces in {name}");
        Some(namespace)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.0])
            .arg(program)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // a namespace that stays behind is seen in `ip netns`
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .status();
    }
}

/// `dpiscope live` on interface `b`, and the file that its events go to.
struct Live {
    child: Child,
    events: PathBuf,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Live {
    /// Starts it and waits until it listens.
    fn start(namespace: &Namespace, folder: &Path, options: &[String]) -> Self {
        let events = folder.join(&namespace.0);
        let mut child = namespace
            .command(env!("CARGO_BIN_EXE_dpiscope"))
            .args(["live", "-i", "b"])
            .args(["--format", "ndjson", "--min-level", "likely", "-o"])
            .arg(&events)
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("its stderr"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("its first line");
        assert!(line.contains("listening on b"), "{line}");
        Self {
            child,
            events,
            stderr,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Stops it; gives its exit code, its events, and what it said on stderr.
    fn stop(mut self, signal: &str) -> (Option<i32>, Vec<Value>, String) {
        self.signal(signal);
        let status = self.child.wait().expect("it ends");
        let mut said = String::new();
        while self.stderr.read_line(&mut said).is_ok_and(|read| read > 0) {}
        let text = fs::read_to_string(&self.events).expect("its events");
        let events = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        (status.code(), events, said)
    }
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let ending = path.extension().unwrap_or_default();
            ending == "pcap" || ending == "pcapng"
        })
        .collect();
    paths.sort();
    paths
}

/// What the expectation file asks the command line to say.
fn options(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path.with_extension("expect.toml")).expect("expectations");
    let table: toml::Table = text.parse().expect("TOML");
    ["scope", "vantage"]
        .into_iter()
        .filter_map(|name| Some([format!("--{name}"), table.get(name)?.as_str()?.to_owned()]))
        .flatten()
        .collect()
}

fn analyzed(path: &Path) -> Vec<Key> {
    let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["analyze", "-q", "--format", "json", "--min-level", "likely"])
        .args(options(path))
        .arg(path)
        .output()
        .expect("the program runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let findings = report["findings"].as_array().expect("findings");
    let mut keys: Vec<Key> = findings.iter().map(key).collect();
    keys.sort();
    keys
}

/// The findings that stand at the end of a live run.
fn standing(events: &[Value]) -> Vec<Key> {
    let mut standing = BTreeMap::new();
    for event in events {
        let id = event["id"].as_u64();
        match event["event"].as_str() {
            Some("finding") => standing.insert(id, key(event)),
            Some("finding_withdrawn") => standing.remove(&id),
            _ => None,
        };
    }
    let mut keys: Vec<Key> = standing.into_values().collect();
    keys.sort();
    keys
}

/// What sends a capture on interface `a` of a namespace. Its packets must go in time, so it goes before others.
fn sender(namespace: &Namespace, path: &Path) -> Command {
    let mut command = namespace.command("nice");
    command
        .args(["-n", "-20"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "send", "--ignored", "--nocapture"])
        .env("DPISCOPE_REPLAY", path);
    command
}

/// Replays one capture; gives what was wrong, if anything was.
fn replay(path: &Path, folder: &Path) -> Option<String> {
    let name = path.file_stem()?.to_string_lossy().into_owned();
    let packets = Replay::read(path);
    let namespace = Namespace::new(&name).expect("a namespace");
    let mut words = options(path);
    words.extend(SMALL.map(str::to_owned));
    if let Some(length) = packets.snap_length {
        words.extend(["-s".to_owned(), length.to_string()]);
    }
    let live = Live::start(&namespace, folder, &words);
    let sent = sender(&namespace, path).output().expect("the replay runs");
    assert!(sent.status.success());
    let text = String::from_utf8_lossy(&sent.stdout).into_owned();
    let late = (text.lines().find_map(|line| line.strip_prefix("late ms ")))
        .and_then(|late| late.parse().ok());
    let late: u64 = late.expect("how late it was");
    let (code, events, said) = live.stop("INT");
    let (found, wanted) = (standing(&events), analyzed(path));
    let lost = events
        .last()
        .map(|stats| stats["dropped_by_kernel"].clone());
    if code == Some(130) && found == wanted {
        return None;
    }
    // on a busy machine packets go when it lets them, and the rates are its own
    let steady = |keys: &[Key]| -> Vec<Key> {
        let steady = keys.iter().filter(|key| key.0 != "bandwidth_shaping");
        steady.cloned().collect()
    };
    if late >= LATE_MS && code == Some(130) && steady(&found) == steady(&wanted) {
        eprintln!("not compared: the rates of {name}: sent up to {late} ms late");
        return None;
    }
    Some(format!(
        "{name}: exit {code:?}, dropped {lost:?}, live {found:?}, analyze {wanted:?}\n{said}"
    ))
}

/// What the system says of a process: seconds of processor time, and MiB of memory.
fn spent(id: u32) -> (f64, f64) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
    let stat = read("stat");
    // after the name: state is the third field, user and system time the fourteenth and fifteenth, in hundredths (proc(5))
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |place: usize| fields.split_whitespace().nth(place)?.parse::<f64>().ok();
    let cpu = ticks(11)
        .zip(ticks(12))
        .map_or(0.0, |(user, system)| (user + system) / 100.0);
    let status = read("status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = memory.and_then(|words| words.split_whitespace().next()?.parse::<f64>().ok());
    (cpu, kib.unwrap_or_default() / 1024.0)
}

/// `cargo test --release --test live -- --ignored --nocapture flood_is` on a machine that does nothing else: 200,000 packets a second for two minutes, or
/// what DPISCOPE_FLOOD says (`rate:seconds`).
#[test]
#[ignore = "a measurement: two minutes of both cores"]
#[expect(
    clippy::disallowed_methods,
    reason = "what a flood costs is measured in real time"
)]
fn a_flood_is_counted_to_the_packet() {
    if !can_make_interfaces() {
        return;
    }
    let words = std::env::var("DPISCOPE_FLOOD").unwrap_or_else(|_| "200000:120".to_owned());
    let folder = tempfile::tempdir().expect("a folder");
    let namespace = Namespace::new("flood").expect("a namespace");
    let live = Live::start(&namespace, folder.path(), &["--every".into(), "10".into()]);
    // no better than the listener in the system's eyes
    let mut flood = namespace
        .command(std::env::current_exe().expect("this program"))
        .args(["--exact", "send", "--ignored", "--nocapture"])
        .env("DPISCOPE_REPLAY", &fixtures()[1])
        .env("DPISCOPE_FLOOD", &words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the flood runs");
    while flood.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_secs(5));
        let (cpu, memory) = spent(live.child.id());
        eprintln!("{cpu:.1} s of processor time, {memory:.0} MiB");
    }
    let text = flood.wait_with_output().expect("its output").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let sent = text.lines().find_map(|line| line.strip_prefix("sent "));
    let sent: u64 = sent.and_then(|sent| sent.parse().ok()).expect("how many");
    let (code, events, _) = live.stop("INT");
    assert_eq!(code, Some(130));
    let last = events.last().expect("stats");
    let read = last["totals"]["packets"].as_u64().expect("packets");
    let live = &last["live"];
    let lost = live["dropped_by_kernel"].as_u64().expect("drops");
    eprintln!(
        "{words}: sent {sent}, read {read}, the kernel dropped {lost}, dropped later {}",
        live["dropped_by_us"]
    );
    assert_eq!(read + lost, sent, "lost and not counted");
}

/// Replays all at once: they wait most of the time.
fn replay_all(paths: &[PathBuf]) {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let replays: Vec<_> = paths
            .iter()
            .map(|path| scope.spawn(|| replay(path, folder.path())))
            .collect();
        (replays.into_iter())
            .filter_map(|replay| replay.join().expect("no panic"))
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The events of a capture that is rehearsed: taken as if it came now, without waiting.
fn rehearsed(path: &Path, more: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["live", "-q", "--format", "ndjson", "--threads", "1"])
        .args(options(path))
        .args(more)
        .arg("-r")
        .arg(path)
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_rehearsal_of_every_capture_ends_with_what_analyze_says_and_takes_little_back() {
    /// Findings that were told and withdrawn as things were while the rules were made: a loss that turned out to be a silence.
    const KNOWN: usize = 1;
    let paths = fixtures();
    let one = |path: &PathBuf| {
        let events = rehearsed(path, &["--min-level", "likely"]);
        assert_eq!(standing(&events), analyzed(path), "{}", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("lab-ng-") {
            let told = events.iter().find(|event| event["event"] == "finding");
            assert!(told.is_none(), "{name} is innocent, and told: {told:?}");
        }
        let withdrawn = |event: &&Value| event["event"] == "finding_withdrawn";
        events.iter().filter(withdrawn).count()
    };
    let withdrawn: usize = std::thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(paths.len().div_ceil(4))
            .map(|part| scope.spawn(|| part.iter().map(one).sum::<usize>()))
            .collect();
        (parts.into_iter())
            .map(|part| part.join().expect("no panic"))
            .sum()
    });
    assert!(withdrawn <= KNOWN, "{withdrawn} withdrawn");
}

#[test]
fn every_event_keeps_to_the_schema_and_every_flow_is_told_once() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_to_string(path.join("docs/report.schema.json")).expect("the schema");
    let mut schema: Value = serde_json::from_str(&schema).expect("JSON");
    let whole = schema.as_object_mut().expect("an object");
    for member in ["type", "properties", "required", "additionalProperties"] {
        whole.remove(member);
    }
    whole.insert("$ref".to_owned(), "#/$defs/event".into());
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let mut names = std::collections::BTreeSet::new();
    for name in ["demo.pcap", "lab-ng-bufferbloat-3-client.pcap"] {
        let events = rehearsed(
            &path.join("fixtures").join(name),
            &["--flows", "--every", "2"],
        );
        let mut flows = Vec::new();
        for event in &events {
            assert!(schema.is_valid(event), "{event}");
            names.insert(event["event"].as_str().expect("a name").to_owned());
            if event["event"] == "flow" {
                flows.push(event["id"].as_u64());
            }
        }
        let told = flows.len();
        flows.sort_unstable();
        flows.dedup();
        assert_eq!(flows.len(), told, "{name}: a flow was told twice");
        let last = events.last().expect("an event");
        assert_eq!(
            last["totals"]["flows"].as_u64(),
            Some(told as u64),
            "{name}"
        );
    }
    let expected = [
        "capture",
        "finding",
        "finding_withdrawn",
        "flow",
        "service",
        "stats",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
}

/// The time of day, in nanoseconds since 1970, as the kernel stamps packets.
#[expect(
    clippy::disallowed_methods,
    reason = "how soon a finding is told is a question about real time"
)]
fn now() -> i128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_nanos().cast_signed()
}

/// Nanoseconds between `time`, of today or yesterday, and now.
fn age(time: &str) -> i128 {
    let day = time.split('T').nth(1).expect("a time of day");
    let parts: Vec<f64> = (day.trim_end_matches('Z').split(':'))
        .map(|part| part.parse().expect("a number"))
        .collect();
    let nanos = ((parts[0] * 60.0 + parts[1]) * 60.0 + parts[2]) * 1e9;
    (now() - nanos as i128).rem_euclid(86_400_000_000_000)
}

/// Waits for the first event of a kind in a file.
#[expect(
    clippy::disallowed_methods,
    reason = "a live run is waited for in real time"
)]
fn await_event(path: &Path, name: &str) -> Value {
    for _ in 0..400 {
        let text = fs::read_to_string(path).unwrap_or_default();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        if let Some(event) = events
            .into_iter()
            .find(|event: &Value| event["event"] == name)
        {
            return event;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("no {name} in {}", path.display());
}

#[test]
fn a_finding_is_told_within_a_second_and_signals_are_heard() {
    if !can_make_interfaces() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let namespace = Namespace::new("signals").expect("a namespace");
    let words: Vec<String> = (SMALL.iter().chain(&["--every", "1"]))
        .map(ToString::to_string)
        .collect();
    let live = Live::start(&namespace, folder.path(), &words);
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/forged-rst.pcap");
    let mut sender = sender(&namespace, &capture)
        .stdout(Stdio::null())
        .spawn()
        .expect("the replay runs");
    let finding = await_event(&live.events, "finding");
    let late = age(finding["time"].as_str().expect("its time"));
    assert!(late < 1_000_000_000, "told {late} ns after its packet");
    assert!(sender.wait().expect("it ends").success());
    let moved = folder.path().join("moved");
    fs::rename(&live.events, &moved).expect("moved");
    live.signal("HUP");
    let stats = await_event(&live.events, "stats");
    assert_eq!(stats["live"]["dropped_by_kernel"], 0);
    live.signal("USR1");
    // the answer comes with the next assessment
    fs::remove_file(&live.events).expect("removed");
    live.signal("HUP");
    await_event(&live.events, "stats");
    let (code, events, said) = live.stop("TERM");
    assert_eq!(code, Some(143));
    assert!(said.contains("verdicts rest on 100.00 %"), "{said}");
    assert!(said.contains("WhatsApp: 1 x rst_injection"), "{said}");
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["event"], last["totals"]["packets"].as_u64()),
        (&"stats".into(), Some(66))
    );
}

/// Not a test: what [`replay`] runs inside the namespace.
#[test]
#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how the other tests ask, and what they read"
)]
#[ignore = "sends what DPISCOPE_REPLAY names on interface a; run by the other tests"]
fn send() {
    if let (Some(path), Ok(flood)) = (
        std::env::var_os("DPISCOPE_REPLAY"),
        std::env::var("DPISCOPE_FLOOD"),
    ) {
        let (rate, seconds) = flood.split_once(':').expect("rate:seconds");
        let number = |words: &str| words.parse().expect("a number");
        let sent = Replay::read(Path::new(&path)).flood("a", number(rate), number(seconds));
        println!("\nsent {sent}");
    } else if let Some(path) = std::env::var_os("DPISCOPE_REPLAY") {
        let late = Replay::read(Path::new(&path)).send("a");
        // on a line of its own, whatever the test runner wrote before
        println!("\nlate ms {}", late.as_millis());
    }
}

/// The first packets of a fixture, a share of them, and one more a day later.
fn with_a_pause(fixture: &str, share: f64, to: &Path) {
    use dpiscope::capture::{Batch, CaptureInterface, Options, PcapngWriter, Run};
    const DAY: i64 = 86_400_000_000_000;
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(fixture);
    let (mut run, refused) = Run::open(&[path], &Options::default());
    assert!(refused.is_empty(), "{refused:?}");
    let (mut batch, mut packets) = (Batch::default(), Vec::new());
    while run.next(&mut batch) {
        let these = batch.packets.iter();
        packets.extend(these.map(|packet| (*packet, batch.bytes_of(packet).to_vec())));
    }
    packets.truncate((packets.len() as f64 * share) as usize);
    let (mut later, bytes) = packets[0].clone();
    later.time = packets[packets.len() - 1].0.time.plus(DAY);
    packets.push((later, bytes));
    let file = fs::File::create(to).expect("a file");
    let mut writer = PcapngWriter::new(file, "test", "with a pause").expect("begun");
    let link = CaptureInterface {
        link: later.link,
        ..CaptureInterface::default()
    };
    writer.interface(&link, "").expect("written");
    for (packet, bytes) in &packets {
        let none: [&str; 0] = [];
        (writer.packet(0, packet.time, packet.wire, bytes, none)).expect("written");
    }
    writer.finish().expect("written");
}

#[test]
fn what_is_told_while_a_capture_pauses_is_withdrawn_where_the_report_does_not_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("paused.pcapng");
    for (fixture, share) in [
        ("syn-unanswered.pcap", 0.3),
        ("lab-bh-budget-3-client.pcap", 0.9),
        ("lab-bh-quic-1-client.pcap", 0.6),
        ("lab-bh-iran-1-client.pcap", 0.3),
    ] {
        with_a_pause(fixture, share, &capture);
        let run = |options: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
                .args(options)
                .arg(&capture)
                .args(["-q", "--min-level", "likely"])
                .stdin(Stdio::null())
                .output()
                .expect("the program runs");
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let report = run(&["analyze", "--format", "json", "-r"]);
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let findings = report["findings"].as_array().expect("a list");
        let mut expected: Vec<Key> = findings.iter().map(key).collect();
        expected.sort();
        let events = run(&["live", "--format", "ndjson", "-r"]);
        let (mut standing, mut withdrawn) = (BTreeMap::new(), 0);
        for line in events.lines() {
            let event: Value = serde_json::from_str(line).expect("JSON");
            match event["event"].as_str() {
                Some("finding") => {
                    standing.insert(event["id"].as_u64(), key(&event));
                }
                Some("finding_withdrawn") => {
                    withdrawn += u32::from(standing.remove(&event["id"].as_u64()).is_some());
                }
                _ => {}
            }
        }
        let mut told: Vec<Key> = standing.into_values().collect();
        told.sort();
        assert_eq!(told, expected, "{fixture}");
        assert!(withdrawn > 0, "{fixture}: the pause told nothing");
        // people read of it as well
        let text = run(&["live", "-r"]);
        assert!(text.contains("withdrawn at"), "{fixture}: {text}");
    }
}

#[test]
fn short_captures_show_live_what_they_show_analyze() {
    if !can_make_interfaces() {
        return;
    }
    let short: Vec<PathBuf> = fixtures()
        .into_iter()
        .filter(|path| Replay::read(path).lasts <= SHORT)
        .collect();
    assert!(short.len() >= 20, "{} captures", short.len());
    replay_all(&short);
}

#[test]
#[ignore = "takes as long as the longest capture, five minutes"]
fn all_captures_show_live_what_they_show_analyze() {
    if can_make_interfaces() {
        replay_all(&fixtures());
    }
}
