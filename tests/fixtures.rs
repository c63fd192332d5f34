//! The captures of `fixtures/` are what the code makes, and `check` finds in them what their expectations say.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::selection::{CHOSEN, expectation as expectation_of, is_six, shorten};
use support::stories::{STORIES, Story};

/// The largest capture that may be committed, in bytes.
const LARGEST: u64 = 350_000;

/// The mechanisms of the contract, all of them.
const MECHANISMS: [&str; 14] = [
    "forged_rst",
    "rewritten_reply",
    "forged_fin",
    "syn_unanswered",
    "hello_unanswered",
    "delayed_drop",
    "stalled_after_bytes",
    "endpoint_killed",
    "connection_limit",
    "quic_initial_unanswered",
    "media_unanswered",
    "policing",
    "shaping",
    "random_drop",
];

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

/// A capture of the lab, by what its expectation says of itself.
struct Taken {
    name: String,
    /// The lab's family of scenarios.
    family: String,
    six: bool,
    mechanisms: BTreeSet<String>,
}

fn taken() -> Vec<Taken> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder()).expect("fixtures") {
        let file = entry.expect("an entry").file_name();
        let Some(name) = file
            .to_str()
            .and_then(|file| file.strip_suffix(".expect.toml"))
            .filter(|name| name.starts_with("lab-"))
        else {
            continue;
        };
        let text = fs::read_to_string(folder().join(&file)).expect("an expectation");
        let (_, said) = text
            .split_once("Taken by tests/lab (")
            .expect("where it was taken");
        let mut words = said.split([',', ')']).map(str::trim);
        all.push(Taken {
            name: name.into(),
            family: words.next().expect("a family").into(),
            six: words.next() == Some("IPv6"),
            mechanisms: text
                .lines()
                .filter_map(|line| line.strip_prefix("mechanism = \""))
                .map(|rest| rest.trim_end_matches('"').into())
                .collect(),
        });
        let capture = fs::read(folder().join(format!("{name}.pcap"))).expect("the capture");
        let last = all.last().expect("just pushed");
        assert_eq!(last.six, is_six(&capture), "{name}");
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The lab's innocent families, as its sources name them.
fn look_alikes() -> BTreeSet<String> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/src/scenario");
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(scenarios).expect("the lab's scenarios") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("text");
        all.extend(
            text.split('"')
                .filter(|word| word.starts_with("ng_"))
                .map(str::to_string),
        );
    }
    all
}

/// The table of fixtures/README.md: what is shown, and by which captures.
fn coverage() -> String {
    let taken = taken();
    let shown_by = |shows: &dyn Fn(&Taken) -> bool| {
        taken
            .iter()
            .filter(|one| shows(one))
            .map(|one| format!("`{}`{}", one.name, if one.six { " (IPv6)" } else { "" }))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = String::from("| what | shown by |\n|---|---|\n");
    for mechanism in MECHANISMS {
        let captures = shown_by(&|one| one.mechanisms.contains(mechanism));
        let _ = writeln!(text, "| `{mechanism}` | {captures} |");
    }
    for family in look_alikes() {
        let captures = shown_by(&|one| one.family == family);
        let _ = writeln!(text, "| innocent: {family} | {captures} |");
    }
    text
}

const TABLE: (&str, &str) = (
    "<!-- coverage: cargo test --test fixtures -- --ignored table -->\n",
    "<!-- end of coverage -->\n",
);

fn readme() -> (PathBuf, String) {
    let path = folder().join("README.md");
    let text = fs::read_to_string(&path).expect("the README");
    (path, text)
}

/// `cargo test --test fixtures -- --ignored table` brings the table in fixtures/README.md up to date.
#[test]
#[ignore = "writes fixtures/README.md"]
fn table() {
    let (path, text) = readme();
    let (head, rest) = text.split_once(TABLE.0).expect("the table's beginning");
    let (_, tail) = rest.split_once(TABLE.1).expect("the table's end");
    let text = [head, TABLE.0, &coverage(), TABLE.1, tail].concat();
    fs::write(path, text).expect("written");
}

#[test]
fn the_taken_captures_cover_every_mechanism_and_every_look_alike_of_the_lab() {
    let taken = taken();
    for mechanism in MECHANISMS {
        assert!(
            taken.iter().any(|one| one.mechanisms.contains(mechanism)),
            "no capture of the lab shows {mechanism}"
        );
    }
    let look_alikes = look_alikes();
    assert!(look_alikes.len() >= 25, "{look_alikes:?}");
    for family in &look_alikes {
        assert!(
            taken.iter().any(|one| one.family == *family),
            "no capture of the lab shows {family}"
        );
    }
    for six in [false, true] {
        for innocent in [false, true] {
            let count = taken
                .iter()
                .filter(|one| one.six == six && one.family.starts_with("ng_") == innocent)
                .count();
            assert!(count >= 5, "IPv6 {six}, innocent {innocent}: {count}");
        }
    }
    assert!(
        readme().1.contains(&coverage()),
        "fixtures/README.md; `cargo test --test fixtures -- --ignored table`"
    );
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
