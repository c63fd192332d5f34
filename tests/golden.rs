//! What leaves each door, fixture by fixture: the facts that were measured, and the report that was made of them.
//!
//! A failure says which stage moved: facts that stand under a report that moved are a matter of judgement. To bless, run with `DPISCOPE_BLESS` set, read the
//! difference, and say in the commit why it is right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use dpiscope::capture::{Options, Run};
use dpiscope::pipeline::{self, Settings};
use dpiscope::service::Catalogue;

/// Fixtures whose measured facts are kept: a reset, a silence, a policed transfer, a mirror port.
const WITH_FACTS: [&str; 4] = ["forged-rst", "hello-unanswered", "policing", "vlan-mirror"];

/// Fixtures whose reports are kept, beside these.
const WITH_REPORT: [&str; 6] = [
    "demo",
    "rewritten-reply",
    "syn-unanswered",
    "shaping",
    "innocent-server-close",
    "innocent-capture-ends",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn capture(name: &str) -> PathBuf {
    ["pcap", "pcapng"]
        .map(|ending| fixtures().join(format!("{name}.{ending}")))
        .into_iter()
        .find(|path| path.exists())
        .expect("the fixture")
}

/// Holds `found` against the golden file, or blesses it.
fn hold(golden: &Path, found: &Value) {
    let mut text = serde_json::to_string_pretty(found).expect("JSON");
    text.push('\n');
    if std::env::var_os("DPISCOPE_BLESS").is_some() {
        fs::write(golden, &text).expect("written");
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    let (mut wanted, mut got) = (expected.lines(), text.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (wanted.next(), got.next()) {
            (None, None) => return,
            (wanted, got) => assert_eq!(wanted, got, "line {number} of {}", golden.display()),
        }
    }
}

/// What was measured of the messengers' flows, transfers left out: they are long, and what they come to is in the report.
#[test]
fn the_facts_are_the_golden_ones() {
    for name in WITH_FACTS {
        let (run, errors) = Run::open(&[capture(name)], &Options::default());
        assert!(errors.is_empty(), "{errors:?}");
        let settings = Settings {
            threads: 1,
            ..Settings::default()
        };
        let analysis = pipeline::analyze(
            run,
            &settings,
            Catalogue::builtin(),
            &AtomicBool::new(false),
            &mut |_, _, _| {},
        );
        let messengers = analysis
            .flows
            .iter()
            .filter(|flow| analysis.around.messenger[usize::from(flow.summary.service)]);
        let facts: Vec<Value> = messengers
            .map(|flow| {
                let mut facts = serde_json::to_value(flow).expect("JSON");
                facts["detail"]["transfer"] = Value::Null;
                facts
            })
            .collect();
        assert!(!facts.is_empty(), "{name}: no messenger in it");
        hold(
            &fixtures().join(format!("{name}.facts.json")),
            &facts.into(),
        );
    }
}

#[test]
fn the_reports_are_the_golden_ones() {
    for name in WITH_FACTS.into_iter().chain(WITH_REPORT) {
        let path = capture(name);
        let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
            .current_dir(fixtures())
            .args(["analyze", "-q", "--flows", "--format", "json"])
            .arg(path.file_name().expect("a name"))
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(0), "{name}");
        let mut report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["tool"]["version"] = "".into();
        report["tool"]["catalogue"] = "".into();
        hold(&fixtures().join(format!("{name}.report.json")), &report);
    }
}
