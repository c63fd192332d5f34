//! What the kernel says of a running `analyze`: `src/cli/sandbox` tests what is refused inside.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const DEMO: &[u8] = include_bytes!("../fixtures/demo.pcap");

/// Starts `analyze` on a pipe in which nothing is yet, and waits for the line on stderr that begins with `until`.
fn waiting(options: &[&str], until: &str) -> (Child, Vec<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["analyze", "--format", "json", "-v", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = Vec::new();
    let mut errors = BufReader::new(child.stderr.take().expect("stderr"));
    while !lines
        .last()
        .is_some_and(|line: &String| line.contains(until))
    {
        let mut line = String::new();
        let count = errors.read_line(&mut line).expect("a line");
        assert!(count > 0, "it ended after {lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    child.stderr = Some(errors.into_inner());
    (child, lines)
}

fn status(process: impl std::fmt::Display) -> impl Fn(&str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    move |field: &str| {
        let line = text.lines().find(|line| line.starts_with(field));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        value.unwrap_or_default().to_owned()
    }
}

/// Gives it a capture and its end, and gives how it ended and what it found.
fn feed(mut child: Child) -> (Option<i32>, usize) {
    let mut input = child.stdin.take().expect("stdin");
    input.write_all(DEMO).expect("taken");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("a list").len();
    (output.status.code(), findings)
}

#[test]
fn before_its_first_byte_it_holds_no_privilege_and_says_what_the_kernel_granted() {
    let (child, lines) = waiting(&[], "sandbox: no system calls");
    let field = status(child.id());
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("CapPrm:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2", "{lines:?}");
    let told = lines.join("\n");
    for words in [
        "sandbox: no capabilities",
        "sandbox: no new privileges",
        "sandbox: no files but those named",
    ] {
        if words.contains("files") && told.contains("this kernel has no Landlock") {
            eprintln!("not run: needs Landlock");
            continue;
        }
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(feed(child), (Some(0), 2));
}

#[test]
fn without_a_sandbox_it_is_as_free_as_its_parent() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["analyze", "--format", "json", "-v", "--no-sandbox", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // more than is looked at before the reading begins, so that it is past the place where the sandbox would be
    let input = child.stdin.as_mut().expect("stdin");
    input.write_all(&DEMO[..100_000]).expect("taken");
    let field = status(child.id());
    let ours = status("self");
    assert_eq!(field("Seccomp:"), ours("Seccomp:"));
    assert_eq!(field("CapEff:"), ours("CapEff:"));
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("sandbox"), "{errors}");
}

#[test]
fn inside_it_everything_that_analyze_offers_still_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (a, b) = (path("a.pcap"), path("b.pcap"));
    for copy in [&a, &b] {
        fs::write(copy, DEMO).expect("written");
    }
    let (report, evidence) = (path("report.json"), path("evidence.pcapng"));
    // several captures are opened one after the other, and once more for the evidence
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpiscope"));
    command
        .args(["analyze", "--format", "json", "--hash", "--threads", "4"])
        .args(["-o", &text(&report), "-w", &text(&evidence)])
        .args([text(&a), text(&b)])
        .stdin(Stdio::null());
    if cfg!(feature = "live") {
        command.args(["-f", "tcp port https or udp"]);
    }
    let output = command.output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let document: serde_json::Value =
        serde_json::from_slice(&fs::read(&report).expect("the report")).expect("JSON");
    assert!(document["captures"][1]["sha256"].is_string());
    assert!(
        document["findings"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    );
    assert!(fs::metadata(&evidence).expect("the evidence").len() > 1_000);
}

#[cfg(feature = "live")]
#[test]
fn a_live_run_leaves_root_and_its_privileges_and_still_answers_for_its_state() {
    use std::io::Read as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["live", "-i", "lo", "-v", "--metrics", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut errors = BufReader::new(child.stderr.take().expect("stderr"));
    let mut told = String::new();
    while !told.contains("metrics at") {
        if errors.read_line(&mut told).expect("a line") == 0 {
            eprintln!("not run: needs the right to capture ({told})");
            child.wait().expect("it ended");
            return;
        }
    }
    let field = status(child.id());
    for set in ["CapEff:", "CapPrm:", "CapInh:"] {
        assert_eq!(field(set), "0000000000000000", "{told}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2", "{told}");
    assert_ne!(field("Uid:"), "0", "{told}");
    let place = told
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let mut scraper = std::net::TcpStream::connect(place.expect("its address")).expect("answered");
    scraper
        .write_all(b"GET /metrics HTTP/1.1\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    scraper.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(143));
}
