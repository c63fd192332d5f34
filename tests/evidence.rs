//! `-w`: what is saved is read back, gives the same findings, and is shown by other tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dpiscope::capture::{Batch, CaptureFile, Options, Packet, Run};
use serde_json::Value;

const DEMO: &str = "fixtures/demo.pcap";

fn analyze(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["analyze", "--format", "json"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// The report on some captures, whose evidence goes to `evidence`.
fn save(captures: &[&Path], evidence: &Path) -> Value {
    let output = analyze(&[captures, &[Path::new("-w"), evidence]].concat());
    let code = output.status.code();
    assert!(
        code == Some(0) || code == Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn report(capture: &Path) -> Value {
    serde_json::from_slice(&analyze(&[capture]).stdout).expect("JSON")
}

/// Kind, mechanism, service and number of flows of each finding.
fn findings(report: &Value) -> Vec<[String; 4]> {
    let findings = report["findings"].as_array().expect("a list");
    let flows = |finding: &Value| finding["flow_ids"].as_array().map_or(0, Vec::len);
    let mut all: Vec<[String; 4]> = findings
        .iter()
        .map(|finding| {
            [
                finding["kind"].to_string(),
                finding["mechanism"].to_string(),
                finding["service"].to_string(),
                flows(finding).to_string(),
            ]
        })
        .collect();
    all.sort();
    all
}

fn packets(path: &Path) -> (Vec<(Packet, Vec<u8>)>, CaptureFile) {
    let (mut run, refused) = Run::open(&[path.to_owned()], &Options::default());
    assert!(refused.is_empty(), "{refused:?}");
    let mut batch = Batch::default();
    let mut packets = Vec::new();
    while run.next(&mut batch) {
        for packet in &batch.packets {
            packets.push((*packet, batch.bytes_of(packet).to_vec()));
        }
    }
    (packets, run.finish().remove(0))
}

/// The comments of each packet (draft-ietf-opsawg-pcapng, sections 3.5 and 4.3).
fn comments(path: &Path) -> Vec<Vec<String>> {
    let file = fs::read(path).expect("the file");
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
    let half = |at: usize| usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let (mut at, mut all) = (0, Vec::new());
    while at < file.len() {
        let length = word(at + 4) as usize;
        if word(at) == 6 {
            let mut option = at + 28 + (word(at + 20) as usize).next_multiple_of(4);
            let mut texts = Vec::new();
            while option + 4 < at + length && half(option) != 0 {
                let value = &file[option + 4..option + 4 + half(option + 2)];
                if half(option) == 1 {
                    texts.push(String::from_utf8(value.to_vec()).expect("UTF-8"));
                }
                option += 4 + value.len().next_multiple_of(4);
            }
            all.push(texts);
        }
        at += length;
    }
    all
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let entries = fs::read_dir(folder).expect("fixtures");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "pcap" || ending == "pcapng")
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn the_evidence_of_every_fixture_gives_the_same_findings() {
    let folder = tempfile::tempdir().expect("a folder");
    let evidence = folder.path().join("evidence.pcapng");
    let mut with_findings = 0;
    for fixture in fixtures() {
        let before = save(&[&fixture], &evidence);
        let expected = findings(&before);
        let (packets, file) = packets(&evidence);
        assert_eq!(packets.is_empty(), expected.is_empty());
        assert!(file.warnings.is_empty(), "{:?}", file.warnings);
        if !expected.is_empty() {
            with_findings += 1;
            assert_eq!(
                findings(&report(&evidence)),
                expected,
                "{}",
                fixture.display()
            );
        }
    }
    assert!(with_findings > 30, "only {with_findings} have findings");
}

#[test]
fn packets_are_as_they_were_and_those_cited_say_for_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let evidence = folder.path().join("evidence.pcapng");
    let report = save(&[Path::new(DEMO)], &evidence);
    let (original, _) = packets(&Path::new(env!("CARGO_MANIFEST_DIR")).join(DEMO));
    let (saved, file) = packets(&evidence);
    let mut rest = original.iter();
    for (packet, bytes) in &saved {
        let found = rest.find(|(before, same)| {
            (before.time, before.wire, before.link, same)
                == (packet.time, packet.wire, packet.link, bytes)
        });
        assert!(found.is_some(), "frame {}", packet.frame.number());
    }
    assert_eq!(file.interfaces.len(), 1);
    assert_eq!(file.interfaces[0].snap_length, 262_144);
    let comments = comments(&evidence);
    assert_eq!(comments.len(), saved.len());
    let mut cited = 0;
    for finding in report["findings"].as_array().expect("a list") {
        for fact in finding["evidence"].as_array().expect("a list") {
            let rule = fact["rule"].as_str().expect("a rule");
            for frame in fact["packets"].as_array().expect("a list") {
                let origin = format!("frame {frame} of {DEMO}");
                let told = comments.iter().find(|texts| texts.contains(&origin));
                let told = told.expect("the packet is there");
                assert!(
                    told.iter()
                        .any(|text| text.contains(rule) && text.contains(", limit ")),
                    "{rule} of {origin}: {told:?}"
                );
                cited += 1;
            }
        }
    }
    assert!(cited > 50, "{cited}");
    let without = comments.iter().filter(|texts| texts.is_empty()).count();
    assert!(without > 100, "comments are for what evidence cites");
}

#[test]
fn two_captures_become_two_interfaces_in_one_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(DEMO)).expect("the demo");
    // the records go to two files in turn, ten at a time
    let (header, mut records) = whole.split_at(24);
    let mut files = [header.to_vec(), header.to_vec()];
    let mut number = 0;
    while let Some(length) = records.get(8..12) {
        let length = 16 + u32::from_le_bytes(length.try_into().expect("4 bytes")) as usize;
        let (record, rest) = records.split_at(length);
        files[number / 10 % 2].extend(record);
        (records, number) = (rest, number + 1);
    }
    let [a, b] = ["a.pcap", "b.pcap"].map(|name| folder.path().join(name));
    fs::write(&a, &files[0]).expect("written");
    fs::write(&b, &files[1]).expect("written");
    let evidence = folder.path().join("evidence.pcapng");
    let both = save(&[&a, &b], &evidence);
    let alone = folder.path().join("alone.pcapng");
    save(&[Path::new(DEMO)], &alone);
    assert_eq!(findings(&both), findings(&report(&evidence)));
    let (one, _) = packets(&alone);
    let (two, file) = packets(&evidence);
    let bytes = |packets: &[(Packet, Vec<u8>)]| -> Vec<(_, Vec<u8>)> {
        let each = packets.iter();
        each.map(|(packet, bytes)| (packet.time, bytes.clone()))
            .collect()
    };
    assert_eq!(bytes(&one), bytes(&two));
    assert_eq!(file.interfaces.len(), 2);
    let comments = comments(&evidence).concat();
    for path in [&a, &b] {
        let origin = format!(" of {}", path.display());
        assert!(comments.iter().any(|text| text.ends_with(&origin)));
    }
}

#[test]
fn other_tools_count_and_filter_the_same() {
    let tshark = |path: &Path, filter: &str| -> Option<usize> {
        let output = Command::new("tshark")
            .args([
                "-n",
                "-Y",
                filter,
                "-T",
                "fields",
                "-e",
                "frame.number",
                "-r",
            ])
            .arg(path)
            .output()
            .ok()?;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(output.stdout.split(|byte| *byte == b'\n').count() - 1)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let evidence = folder.path().join("evidence.pcapng");
    for fixture in [DEMO, "fixtures/forged-rst.pcap"] {
        save(&[Path::new(fixture)], &evidence);
        let comments = comments(&evidence);
        let Some(all) = tshark(&evidence, "frame") else {
            eprintln!("not run: needs tshark");
            return;
        };
        assert_eq!(all, comments.len());
        let cited = comments.iter().filter(|texts| !texts.is_empty()).count();
        assert_eq!(tshark(&evidence, "frame.comment"), Some(cited));
        let of_rule =
            |texts: &&Vec<String>| texts.iter().any(|text| text.contains("rst.hop_limit"));
        let of_rule = comments.iter().filter(of_rule).count();
        assert!(of_rule > 0);
        let filter = "frame.comment contains \"rst.hop_limit\"";
        assert_eq!(tshark(&evidence, filter), Some(of_rule));
    }
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.pcap");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(DEMO), &copy).expect("copied");
    let evidence = folder.path().join("evidence.pcapng");
    let (w, o, dash) = (Path::new("-w"), Path::new("-o"), Path::new("-"));
    let cases: [(&[&Path], &str); 5] = [
        (&[dash, w, &evidence], "standard input cannot be"),
        (
            &[Path::new("/dev/zero"), w, &evidence],
            "/dev/zero cannot be",
        ),
        (&[&copy, w, &copy], "one of the captures"),
        (
            &[&copy, w, &evidence, o, &evidence],
            "where the report goes",
        ),
        (&[&copy, w, dash], "name a file"),
    ];
    for (arguments, words) in cases {
        let output = analyze(arguments);
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(
        fs::read(&copy).expect("still there"),
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(DEMO)).expect("the demo")
    );
}

/// The report on a capture as a run that goes on, whose evidence goes to `evidence`.
#[cfg(feature = "live")]
fn rehearse(capture: &Path, evidence: &Path) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["live", "--format", "json", "-r"])
        .arg(capture)
        .arg("-w")
        .arg(evidence)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).expect("JSON");
    (report, told)
}

#[cfg(feature = "live")]
#[test]
fn a_run_that_goes_on_saves_what_a_file_saves_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let [afterwards, meanwhile] = ["a", "b"].map(|name| folder.path().join(name));
    let mut with_findings = 0;
    for fixture in fixtures() {
        let expected = findings(&save(&[&fixture], &afterwards));
        let (report, told) = rehearse(&fixture, &meanwhile);
        // where the two judge differently, so do their files: `tests/live.rs` says where they may
        if findings(&report) != expected {
            continue;
        }
        let all = |path: &Path| -> Vec<(i64, u32, Vec<u8>)> {
            let (packets, _) = packets(path);
            (packets.into_iter())
                .map(|(packet, bytes)| (packet.time.0, packet.wire, bytes))
                .collect()
        };
        assert!(all(&meanwhile) == all(&afterwards), "{}", fixture.display());
        assert!(
            told.contains("; 0 packets of flows with findings were gone"),
            "{told}"
        );
        if expected.is_empty() {
            continue;
        }
        with_findings += 1;
        assert_eq!(findings(&self::report(&meanwhile)), expected);
        // numbers of findings are given in the order in which they are found
        let commented = |path: &Path| comments(path).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(commented(&meanwhile), commented(&afterwards));
    }
    assert!(with_findings > 30, "only {with_findings} have findings");
}

/// The capture that is built in, in batches of ten, and what is found in it.
fn demo_in_batches() -> (Vec<Batch>, dpiscope::pipeline::Analysis) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEMO);
    let (packets, _) = packets(&path);
    let batches = packets.chunks(10).map(|part| {
        let mut batch = Batch::default();
        let mut bytes = Vec::new();
        for (packet, captured) in part {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(captured);
            batch.packets.push(Packet { start, ..*packet });
        }
        batch.bytes = std::sync::Arc::new(bytes);
        batch
    });
    let (run, _) = Run::open(&[path], &Options::default());
    let never = std::sync::atomic::AtomicBool::new(false);
    let analysis = dpiscope::pipeline::analyze(
        run,
        &dpiscope::pipeline::Settings::default(),
        dpiscope::service::Catalogue::builtin(),
        &never,
        &mut |_, _, _| {},
    );
    (batches.collect(), analysis)
}

fn input(analysis: &dpiscope::pipeline::Analysis) -> dpiscope::report::Input<'_> {
    dpiscope::report::Input {
        captures: (analysis.captures.iter())
            .map(|capture| dpiscope::report::CaptureInput {
                file: &capture.file,
                duplicates: capture.duplicates,
                undecoded: &capture.undecoded,
            })
            .collect(),
        around: &analysis.around,
        flows: &analysis.flows,
        assessment: &analysis.assessment,
        catalogue: dpiscope::service::Catalogue::builtin(),
        evicted_flows: 0,
        evicted_tcp_flows: 0,
        evicted_fragments: 0,
        min_level: dpiscope::detect::Level::Likely,
        flow_table: true,
        interrupted: false,
        only: &[],
        ids: None,
        past: None,
    }
}

#[test]
fn what_was_let_go_before_the_finding_is_counted_packet_by_packet() {
    use dpiscope::report::{GrowingEvidence, Report};
    let (batches, analysis) = demo_in_batches();
    let input = input(&analysis);
    let report = Report::new(&input);
    let told: Vec<u64> = (report.findings.iter())
        .flat_map(|finding| finding.flow_ids.clone())
        .collect();
    let of_them: u64 = (report.flows.iter())
        .filter(|flow| told.contains(&flow.id))
        .map(|flow| flow.packets_up + flow.packets_down)
        .sum();
    for late in [0, 20, 50, batches.len()] {
        let mut saved = Vec::new();
        let mut file = GrowingEvidence::new("test", &mut saved).expect("begun");
        for (place, batch) in batches.iter().enumerate() {
            if place == late {
                file.want(&report, &input);
            }
            file.batch(batch, &|_| None).expect("written");
        }
        // as often as one likes: nothing is counted twice
        file.want(&report, &input);
        file.want(&report, &input);
        let written = file.finish().expect("written");
        assert_eq!(written.flows, told.len() as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence");
        fs::write(&path, &saved).expect("written");
        let (packets, capture) = packets(&path);
        assert_eq!(packets.len() as u64, written.packets);
        assert!(packets.is_sorted_by_key(|(packet, _)| packet.time));
        assert_eq!(capture.warnings, [""; 0]);
        // the file itself says what it lacks
        let words = format!("{} packets were gone before they were wanted", written.gone);
        assert!(written.packets == 0 || String::from_utf8_lossy(&saved).contains(&words));
        match late {
            0 => {
                assert_eq!((written.gone, written.missing), (0, 0));
                assert_eq!(written.cited, 34);
            }
            late if late == batches.len() => {
                assert_eq!((written.packets, written.gone), (0, of_them));
            }
            _ => {
                assert!(written.gone > 0 && written.gone < of_them, "{written:?}");
                assert_eq!(written.cited + written.missing, 34);
            }
        }
    }
}

#[test]
fn a_finding_that_is_withdrawn_is_saved_no_more_and_the_file_says_so() {
    use dpiscope::report::{GrowingEvidence, Report};
    let (batches, analysis) = demo_in_batches();
    let input = input(&analysis);
    let mut report = Report::new(&input);
    let mut saved = Vec::new();
    let mut file = GrowingEvidence::new("test", &mut saved).expect("begun");
    file.want(&report, &input);
    let (first, rest) = batches.split_at(20);
    for batch in first {
        file.batch(batch, &|_| None).expect("written");
    }
    let withdrawn = report.findings.remove(0);
    let now = first[19].packets[0].time;
    let written = file.withdraw(withdrawn.id, now, "packets since then speak against it");
    assert!(written > 0);
    assert_eq!(file.withdraw(99, now, "nobody knows it"), 0);
    file.want(&report, &input);
    for batch in rest {
        file.batch(batch, &|_| None).expect("written");
    }
    let done = file.finish().expect("written");
    assert_eq!(done.flows, 1, "the policed one");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("evidence");
    fs::write(&path, &saved).expect("written");
    let comments = comments(&path);
    let said = "finding 1 was withdrawn at ";
    let on: Vec<usize> = (0..comments.len())
        .filter(|place| comments[*place].iter().any(|words| words.starts_with(said)))
        .collect();
    assert_eq!(on.len(), 1, "{on:?}");
    assert!(on[0] > 0, "what was written before stays");
    let of_it = |words: &String| words.starts_with("finding 1, confirmed whatsapp forged_rst");
    assert!(comments[..on[0]].iter().flatten().any(of_it));
    assert!(!comments[on[0]..].iter().flatten().any(of_it));
}
