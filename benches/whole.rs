//! The whole of `dpiscope analyze` beside the bare libpcap loop: same files, same run, taking turns.
//!
//! `cargo bench --bench whole [-- NAME…]` takes captures of a tenth of full size; `DPISCOPE_BENCH_SCALE=1` (`make bench-full`) full ones. The program is
//! run as a user runs it, as a process of its own, so start and report count, and its greatest memory is the kernel's figure.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures time and prints what it measured"
)]

#[allow(dead_code, reason = "each bench uses its part")]
mod support;

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::Corpus;

/// Turns of each, of which the fastest counts: whoever else was running only adds.
const ROUNDS: usize = 5;

/// The engine's default for files, at full size.
const MAX_FLOWS: f64 = 4_000_000.0;

fn main() -> Result<(), Box<dyn Error>> {
    let scale: f64 = std::env::var("DPISCOPE_BENCH_SCALE")
        .map_or(Ok(0.1), |text| text.parse())
        .map_err(|_| "DPISCOPE_BENCH_SCALE takes a number, 1 for full size")?;
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let cores = std::thread::available_parallelism()?;
    println!("scale {scale}, {cores} cores, fastest of {ROUNDS} rounds");
    println!(
        "{:8} {:>11} {:>7} {:>9} {:>10} {:>8} {:>9} {:>10} {:>9} {:>9}",
        "capture",
        "packets",
        "MB",
        "libpcap",
        "dpiscope",
        "ratio",
        "ns/packet",
        "flows",
        "evicted",
        "peak MiB"
    );
    for corpus in Corpus::ALL {
        if wanted.is_empty() || wanted.iter().any(|word| word == corpus.name()) {
            measure(corpus, scale)?;
        }
    }
    Ok(())
}

fn measure(corpus: Corpus, scale: f64) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("bench-{}-{scale}.pcap", corpus.name()));
    let packets = corpus.write(&path, scale)?;
    warm(&path)?;
    let (mut floor, mut fastest, mut peak) = (Duration::MAX, Duration::MAX, 0);
    let mut report = Value::Null;
    for _ in 0..ROUNDS {
        floor = floor.min(bare_loop(&path)?);
        let run = analyze(&path, scale)?;
        fastest = fastest.min(run.took);
        peak = peak.max(run.peak_kib);
        report = run.report;
    }
    let counted = report["totals"]["packets"].as_u64();
    if counted != Some(packets) {
        return Err(format!("{packets} packets were written, {counted:?} counted").into());
    }
    println!(
        "{:8} {:>11} {:>7} {:>7.3} s {:>8.3} s {:>8.2} {:>9.0} {:>10} {:>9} {:>9}",
        corpus.name(),
        packets,
        path.metadata()?.len() / 1_000_000,
        floor.as_secs_f64(),
        fastest.as_secs_f64(),
        fastest.as_secs_f64() / floor.as_secs_f64(),
        fastest.as_secs_f64() * 1e9 / packets as f64,
        report["totals"]["flows"],
        report["limits"]["evicted_flows"],
        peak / 1024,
    );
    std::io::stdout().flush()?;
    std::fs::remove_file(&path)?;
    Ok(())
}

/// Brings the file into the page cache, for both alike.
fn warm(path: &Path) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The least that a program on libpcap can do: every packet handed to a callback that is empty.
fn bare_loop(path: &Path) -> Result<Duration, pcap::Error> {
    let start = Instant::now();
    pcap::Capture::from_file(path)?.for_each(None, |packet| {
        std::hint::black_box(packet);
    })?;
    Ok(start.elapsed())
}

struct Measured {
    took: Duration,
    peak_kib: u64,
    report: Value,
}

fn analyze(path: &Path, scale: f64) -> Result<Measured, Box<dyn Error>> {
    let report: PathBuf = path.with_extension("json");
    let max_flows = ((MAX_FLOWS * scale) as u64).max(1).to_string();
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args([
            "analyze",
            "-q",
            "--format",
            "json",
            "--max-flows",
            &max_flows,
            "-o",
        ])
        .args([&report, path])
        .stdin(Stdio::null())
        .spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kib = peak(child.id()).unwrap_or(peak_kib);
        std::thread::sleep(Duration::from_millis(1));
    };
    let took = start.elapsed();
    // 3: evictions, which one of the captures is made for
    if !matches!(status.code(), Some(0 | 3)) {
        return Err(format!("analyze ended with {status}").into());
    }
    let text = std::fs::read_to_string(&report)?;
    std::fs::remove_file(&report)?;
    Ok(Measured {
        took,
        peak_kib,
        report: serde_json::from_str(&text)?,
    })
}

/// The greatest memory that a process has had so far, in KiB (proc(5), VmHWM); none where the system does not say.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
