//! The captures of `fixtures/` are what the code makes, and `check` finds in them what their expectations say.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::selection::{CHOSEN, expectation as expectation_of, shorten};
use support::stories::{STORIES, Story};

/// The largest capture that may be committed, in bytes.
const LARGEST: u64 = 300_000;

/// All captures together.
const LARGEST_SUM: u64 = 12_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn expectation(story: &Story) -> String {
    format!(
        "# {}: {}.\n# Made by tests/support/stories.rs.\nschema = \"dpiscope-expect/1\"\n{}",
        story.name, story.about, story.expect
    )
}

fn files(story: &Story) -> [(PathBuf, Vec<u8>); 2] {
    let path = |ending: &str| folder().join(format!("{}.{ending}", story.name));
    [
        (path(story.ending), story.bytes()),
        (path("expect.toml"), expectation(story).into_bytes()),
    ]
}

/// `cargo test --test fixtures -- --ignored write` makes the files anew.
#[test]
#[ignore = "writes fixtures/"]
fn write() {
    for (path, bytes) in STORIES.iter().flat_map(files) {
        fs::write(path, bytes).expect("written");
    }
}

/// `DPISCOPE_LAB=FOLDER cargo test --test fixtures -- --ignored select` takes the chosen captures from a run of the lab.
#[test]
#[ignore = "writes fixtures/, from a run of the lab"]
fn select() {
    let Some(lab) = std::env::var_os("DPISCOPE_LAB").map(PathBuf::from) else {
        eprintln!("not run: needs DPISCOPE_LAB");
        return;
    };
    let labels = fs::read(lab.join("labels.json")).expect("the labels");
    let labels: serde_json::Value = serde_json::from_slice(&labels).expect("JSON");
    for chosen in CHOSEN {
        let file = format!("{chosen}.pcap");
        let label = labels["captures"]
            .as_array()
            .and_then(|captures| captures.iter().find(|label| label["file"] == file.as_str()))
            .expect("a capture of the lab");
        let name = format!("lab-{}", chosen.replace(['_', '.'], "-"));
        let about = labels["scenarios"][label["scenario"].as_str().expect("its scenario")]
            .as_str()
            .expect("its story");
        let capture = fs::read(lab.join(&file)).expect("the capture");
        fs::write(folder().join(format!("{name}.pcap")), shorten(&capture)).expect("written");
        let text = expectation_of(&name, label, about);
        fs::write(folder().join(format!("{name}.expect.toml")), text).expect("written");
    }
}

#[test]
fn the_committed_captures_are_what_the_code_makes() {
    for (path, bytes) in STORIES.iter().flat_map(files) {
        let committed = fs::read(&path).unwrap_or_default();
        assert!(
            committed == bytes,
            "{} is not what tests/support/stories.rs makes; `cargo test --test fixtures -- --ignored write`",
            path.display()
        );
    }
}

#[test]
fn fixtures_are_small() {
    let mut sum = 0;
    for entry in fs::read_dir(folder()).expect("fixtures") {
        let entry = entry.expect("an entry");
        if entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "pcap" || ending == "pcapng")
        {
            let length = entry.metadata().expect("its length").len();
            assert!(
                length <= LARGEST,
                "{} has {length} bytes",
                entry.path().display()
            );
            sum += length;
        }
    }
    assert!(sum > 0 && sum <= LARGEST_SUM, "{sum} bytes in all");
}

#[test]
fn check_finds_in_every_fixture_what_is_expected() {
    let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(["check", "-q"])
        .arg(folder())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
