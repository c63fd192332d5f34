//! What the shell sees: exit codes, streams, one clear line.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn dpiscope(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpiscope"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    dpiscope(args).output().expect("the program runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Exit 2, nothing on stdout, one line on stderr that holds `words`.
fn refused(args: &[&str], words: &str) {
    let output = run(args);
    assert_eq!(code(&output), Some(2), "{args:?}: {}", err(&output));
    assert_eq!(out(&output), "", "{args:?}");
    let line = err(&output);
    assert_eq!(line.lines().count(), 1, "{args:?}: {line}");
    assert!(line.contains(words), "{args:?}: {line}");
}

/// A folder of its own, gone afterwards.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A pcap (microseconds, Ethernet) of DNS questions for `names`, 10 ms apart, each from a port of its own.
fn capture(names: &[&str]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut record = |number: u32, bytes: &[u8]| {
        for word in [
            1_774_782_480 + number / 100,
            number % 100 * 10_000,
            bytes.len() as u32,
            bytes.len() as u32,
        ] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    };
    for (number, name) in (1_u16..).zip(names) {
        record(u32::from(number), &question(number, name));
    }
    file
}

fn question(number: u16, name: &str) -> Vec<u8> {
    let mut dns = Vec::new();
    for word in [number, 0x0100, 1, 0, 0, 0] {
        dns.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        dns.push(label.len() as u8);
        dns.extend(label.bytes());
    }
    dns.extend([0, 0, 1, 0, 1]);
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    packet.extend([0x45, 0]);
    packet.extend((28 + dns.len() as u16).to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend([0x40, 0, 64, 17, 0, 0, 192, 0, 2, 10, 192, 0, 2, 53]);
    packet.extend((10_000 + number).to_be_bytes());
    packet.extend(53_u16.to_be_bytes());
    packet.extend((8 + dns.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(dns);
    packet
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path: PathBuf = folder.join(name);
    fs::write(&path, bytes).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("a JSON document")
}

#[test]
fn a_capture_ends_with_0_and_its_packets_are_counted() {
    let folder = folder();
    let path = write(
        folder.path(),
        "a.pcap",
        &capture(&["chat.signal.org", "vk.com"]),
    );
    let output = run(&["analyze", "--format", "json", &path]);
    assert_eq!(code(&output), Some(0), "{}", err(&output));
    assert_eq!(err(&output), "");
    let document = document(&output);
    assert_eq!(document["captures"][0]["packets"], 2);
    assert_eq!(document["captures"][0]["path"], path.as_str());
}

#[test]
fn the_same_capture_by_option_by_place_and_by_pipe_gives_the_same_services() {
    let folder = folder();
    let bytes = capture(&["chat.signal.org", "vk.com"]);
    let path = write(folder.path(), "a.pcap", &bytes);
    let services = |output: &Output| document(output)["services"].clone();
    let place = run(&["analyze", "--format", "json", &path]);
    let option = run(&["analyze", "--format=json", "-r", &path]);
    let mut child = dpiscope(&["analyze", "--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(&bytes)
        .expect("written");
    let pipe = child.wait_with_output().expect("it ends");
    assert_eq!(code(&pipe), Some(0));
    assert_eq!(services(&place), services(&option));
    assert_eq!(services(&place), services(&pipe));
}

#[test]
fn bad_arguments_are_refused_in_one_line() {
    refused(&["analyze"], "no capture named");
    refused(&["analyze", "-", "-"], "only once");
    refused(&["analyze", "--format", "xml", "a.pcap"], "xml");
    refused(&["analyze", "--threads", "0", "a.pcap"], "--threads");
    refused(&["analyze", "-c", "0", "a.pcap"], "-c");
    refused(&["frobnicate"], "frobnicate");
}

#[test]
fn bad_inputs_are_refused_in_one_line() {
    let folder = folder();
    let photo = write(
        folder.path(),
        "photo.jpg",
        b"\xff\xd8\xff\xe0\x00\x10JFIF and more",
    );
    let empty = write(folder.path(), "empty.pcap", b"");
    refused(&["analyze", &photo], "not a capture");
    refused(&["analyze", &empty], "empty");
    refused(&["analyze", "/nonexistent/a.pcap"], "/nonexistent/a.pcap");
    refused(
        &["analyze", folder.path().to_str().expect("UTF-8")],
        "irectory",
    );
    refused(&["analyze", &photo, &empty], "empty.pcap");
}

#[test]
fn one_bad_input_of_several_is_named_and_the_others_are_analysed() {
    let folder = folder();
    let good = write(folder.path(), "good.pcap", &capture(&["vk.com"]));
    let bad = write(folder.path(), "bad.pcap", b"not a capture at all");
    let output = run(&["analyze", "--format", "json", &bad, &good]);
    assert_eq!(code(&output), Some(3));
    assert!(err(&output).contains("bad.pcap"), "{}", err(&output));
    assert_eq!(
        document(&output)["captures"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_capture_cut_short_gives_what_it_has_a_warning_and_3() {
    let folder = folder();
    let whole = capture(&["chat.signal.org", "vk.com"]);
    let path = write(folder.path(), "cut.pcap", &whole[..whole.len() - 10]);
    let output = run(&["analyze", "--format", "json", "--exit-code", &path]);
    assert_eq!(code(&output), Some(3), "{}", err(&output));
    assert!(err(&output).contains("cut.pcap"), "{}", err(&output));
    assert_eq!(document(&output)["captures"][0]["truncated"], true);
    let quiet = run(&["analyze", "-q", &path]);
    assert_eq!((code(&quiet), err(&quiet).as_str()), (Some(3), ""));
}

#[test]
fn check_names_a_capture_cut_short_and_gives_3() {
    let folder = folder();
    let whole = capture(&["chat.signal.org", "vk.com"]);
    let path = write(folder.path(), "cut.pcap", &whole[..whole.len() - 10]);
    write(
        folder.path(),
        "cut.expect.toml",
        b"schema = \"dpiscope-expect/1\"\n",
    );
    let output = run(&["check", &path]);
    assert_eq!(code(&output), Some(3), "{}", err(&output));
    assert!(err(&output).contains("cut short"), "{}", err(&output));
    let quiet = run(&["check", "-q", &path]);
    assert_eq!((code(&quiet), err(&quiet).as_str()), (Some(3), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_told_to_stop_does_not_wait_for_a_quiet_pipe() {
    let commands: [&[&str]; 2] = [
        &["analyze", "--format", "json", "-"],
        &["live", "--format", "json", "-r", "-"],
    ];
    let live = usize::from(cfg!(feature = "live"));
    // more than a pipe holds, so that the program reads once all is written
    let bytes = capture(&vec!["vk.com"; 4_000]);
    for args in &commands[..=live] {
        let mut child = (dpiscope(args).stdin(Stdio::piped()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(&bytes).expect("read");
        // in the middle of a record, which is no damage: the writer is alive
        pipe.write_all(&bytes[24..30]).expect("read");
        let id = child.id().to_string();
        let send = |signal: &str| Command::new("kill").args([signal, &id]).status();
        assert!(send("-TERM").is_ok_and(|status| status.success()));
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait_with_output()));
        let Ok(output) = end.recv_timeout(std::time::Duration::from_secs(20)) else {
            send("-KILL").expect("killed");
            panic!("{args:?} waits for the pipe");
        };
        drop(pipe);
        let output = output.expect("its output");
        assert_eq!(code(&output), Some(143), "{args:?}: {}", err(&output));
        let report = document(&output);
        assert!(report["totals"]["packets"].as_u64() > Some(100), "{args:?}");
        assert_eq!(report["captures"][0]["truncated"], false, "{args:?}");
    }
}

#[test]
fn a_link_type_that_is_not_read_is_named_and_gives_3() {
    let folder = folder();
    let mut bytes = capture(&["vk.com"]);
    // LINKTYPE_BLUETOOTH_HCI_H4
    bytes[20..24].copy_from_slice(&187_u32.to_le_bytes());
    let path = write(folder.path(), "blue.pcap", &bytes);
    let output = run(&["analyze", "--format", "json", &path]);
    assert_eq!(code(&output), Some(3), "{}", err(&output));
    assert!(
        err(&output).contains("BLUETOOTH_HCI_H4"),
        "{}",
        err(&output)
    );
    assert_eq!(
        document(&output)["captures"][0]["undecoded"]["link_type"],
        1
    );
}

#[test]
fn a_count_and_a_snap_length_are_kept_to() {
    let folder = folder();
    let path = write(
        folder.path(),
        "a.pcap",
        &capture(&["vk.com", "ok.ru", "ya.ru"]),
    );
    let output = run(&["analyze", "--format", "json", "-c", "2", &path]);
    assert_eq!(code(&output), Some(0));
    assert_eq!(document(&output)["captures"][0]["packets"], 2);
    let output = run(&["analyze", "--format", "json", "-s", "20", &path]);
    assert_eq!(
        document(&output)["captures"][0]["undecoded"]["truncated"],
        3
    );
}

#[test]
fn an_unknown_service_gets_its_neighbours() {
    let folder = folder();
    let path = write(folder.path(), "a.pcap", &capture(&["vk.com"]));
    refused(
        &["analyze", "--service", "watsapp", &path],
        "near to it: whatsapp",
    );
    refused(&["services", "telegramm"], "near to it: telegram");
    refused(&["explain", "policng"], "near to it: policing");
}

#[test]
fn the_report_goes_to_the_file_that_is_named_and_never_over_a_capture() {
    let folder = folder();
    let path = write(folder.path(), "a.pcap", &capture(&["vk.com"]));
    let target = folder.path().join("report.json");
    let target = target.to_str().expect("UTF-8");
    let output = run(&["analyze", "--format", "json", "-o", target, &path]);
    assert_eq!((code(&output), out(&output).as_str()), (Some(0), ""));
    let written = fs::read_to_string(target).expect("a report");
    assert_eq!(written, out(&run(&["analyze", "--format", "json", &path])));
    refused(&["analyze", "-o", &path, &path], "one of the captures");
    refused(
        &["analyze", "-o", "/nonexistent/report", &path],
        "cannot write",
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    let names = vec!["vk.com"; 5_000];
    let path = write(folder.path(), "a.pcap", &capture(&names));
    let mut child = dpiscope(&["analyze", "--format", "ndjson", "--flows", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut first = [0; 16];
    let mut pipe = child.stdout.take().expect("a pipe");
    pipe.read_exact(&mut first).expect("something comes");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((code(&output), err(&output).as_str()), (Some(0), ""));
}

#[test]
fn text_has_no_colour_in_a_pipe() {
    let folder = folder();
    let path = write(folder.path(), "a.pcap", &capture(&["chat.signal.org"]));
    let output = run(&["analyze", &path]);
    let text = out(&output);
    assert!(
        text.starts_with("No interference seen in this capture"),
        "{text}"
    );
    assert!(!text.contains('\x1b'));
}

#[test]
fn interrupting_a_pipe_gives_what_was_read_and_130() {
    let mut child = dpiscope(&["analyze", "--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    let bytes = capture(&vec!["vk.com"; 20_000]);
    pipe.write_all(&bytes).expect("written");
    let pid = child.id().to_string();
    let sent = Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill runs");
    assert!(sent.success());
    // the flag is looked at between batches: the next bytes, or the end, bring it there
    let _ = pipe.write_all(&bytes[24..]);
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), Some(130));
    assert!(
        document(&output)["captures"][0]["packets"]
            .as_u64()
            .is_some()
    );
}

#[test]
fn check_compares_blesses_and_counts() {
    let folder = folder();
    write(folder.path(), "b.pcap", &capture(&["vk.com"]));
    let place = folder.path().to_str().expect("UTF-8");
    let output = run(&["check", place]);
    assert_eq!(code(&output), Some(1));
    assert!(
        out(&output).contains("no expectation file"),
        "{}",
        out(&output)
    );
    assert!(
        out(&output).ends_with("0 passed, 1 failed\n"),
        "{}",
        out(&output)
    );

    let output = run(&["check", "--bless", place]);
    assert_eq!(code(&output), Some(0), "{}", out(&output));
    let output = run(&["check", place]);
    assert_eq!(code(&output), Some(0), "{}", out(&output));
    assert!(
        out(&output).ends_with("1 passed, 0 failed\n"),
        "{}",
        out(&output)
    );

    let wrong = "schema = \"dpiscope-expect/1\"\n[[finding]]\nservice = \"signal\"\nkind = \"blackholing\"\n[[service]]\nname = \"signal\"\nverdict = \"clear\"\n";
    write(folder.path(), "b.expect.toml", wrong.as_bytes());
    let output = run(&["check", place]);
    assert_eq!(code(&output), Some(1));
    let text = out(&output);
    assert!(
        text.contains("expected, but not found: signal blackholing"),
        "{text}"
    );
    assert!(
        text.contains("service signal: expected clear, found"),
        "{text}"
    );

    write(
        folder.path(),
        "b.expect.toml",
        b"schema = \"dpiscope-expect/1\"\ncolour = 1\n",
    );
    let output = run(&["check", place]);
    assert!(out(&output).contains("line 2"), "{}", out(&output));

    fs::remove_file(folder.path().join("b.pcap")).expect("removed");
    let output = run(&["check", place]);
    assert_eq!(code(&output), Some(1));
    assert!(
        out(&output).contains("without its capture"),
        "{}",
        out(&output)
    );
}

#[test]
fn check_refuses_what_holds_nothing_to_check() {
    let folder = folder();
    refused(
        &["check", folder.path().to_str().expect("UTF-8")],
        "nothing to check",
    );
    refused(&["check", "/nonexistent"], "/nonexistent");
}

#[test]
fn the_demo_needs_no_file() {
    let output = run(&["demo", "--format", "json"]);
    assert_eq!(code(&output), Some(0), "{}", err(&output));
    assert_eq!(document(&output)["schema"], "dpiscope/1");
}

#[test]
fn the_catalogue_is_shown_whole_and_by_service() {
    let output = run(&["services"]);
    assert_eq!(code(&output), Some(0));
    assert!(out(&output).contains("whatsapp"));
    let output = run(&["services", "telegram"]);
    assert!(
        out(&output).contains("149.154.160.0/20"),
        "{}",
        out(&output)
    );
}

#[test]
fn a_faulty_catalogue_is_told_line_by_line() {
    let folder = folder();
    let path = write(
        folder.path(),
        "own.toml",
        b"[[service]]\nid = \"x\"\ncolour = 1\n",
    );
    let output = run(&["services", "--check", &path]);
    assert_eq!(code(&output), Some(1));
    assert!(out(&output).contains("own.toml:3:"), "{}", out(&output));
    let capture = write(folder.path(), "a.pcap", &capture(&["vk.com"]));
    refused(&["analyze", "--services", &path, &capture], "own.toml");
}

#[test]
fn help_version_completions_and_the_manual_go_to_stdout() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["analyze", "--help"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
        &["explain"],
        &["explain", "policing"],
    ] {
        let output = run(args);
        assert_eq!(code(&output), Some(0), "{args:?}: {}", err(&output));
        assert!(!output.stdout.is_empty(), "{args:?}");
        assert_eq!(err(&output), "", "{args:?}");
    }
    let page = out(&run(&["man"]));
    assert!(
        page.starts_with(".ie") || page.contains(".TH"),
        "a roff page"
    );
    assert!(page.contains(".SH \"ANALYZE\""), "the commands are in it");
}

#[test]
fn without_a_command_the_help_is_shown_and_the_exit_is_2() {
    let output = run(&[]);
    assert_eq!(code(&output), Some(2));
    assert_eq!(out(&output), "");
    assert!(err(&output).contains("analyze"));
}
