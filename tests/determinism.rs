//! The same packets give the same bytes, however many threads read them and from wherever.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The report of the program, flow table included, and its exit code.
fn report(threads: &str, format: &str, input: &str, stdin: Stdio) -> (Vec<u8>, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args([
            "analyze",
            "-q",
            "--flows",
            "--scope",
            "all",
            "--format",
            format,
            "--threads",
            threads,
            input,
        ])
        .stdin(stdin)
        .output()
        .expect("the program runs");
    (output.stdout, output.status.code())
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of captures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains(".pcap"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no capture in {}", folder.display());
    found
}

fn fixtures() -> Vec<PathBuf> {
    captures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"))
}

fn threads_do_not_show(paths: &[PathBuf]) {
    for path in paths {
        let input = path.to_str().expect("a plain name");
        for format in ["json", "ndjson"] {
            let alone = report("1", format, input, Stdio::null());
            assert!(!alone.0.is_empty(), "{input}: nothing said");
            for threads in ["2", "8"] {
                let many = report(threads, format, input, Stdio::null());
                assert!(
                    alone == many,
                    "{input}: {format} with {threads} threads differs from one thread's"
                );
            }
        }
    }
}

#[test]
fn threads_do_not_show_in_the_fixtures() {
    threads_do_not_show(&fixtures());
}

#[test]
fn threads_do_not_show_in_the_corpus() {
    let Some(corpus) = std::env::var_os("DPISCOPE_CORPUS") else {
        eprintln!("not run: needs DPISCOPE_CORPUS");
        return;
    };
    let all = captures(&Path::new(&corpus).join("captures"));
    let tenth: Vec<PathBuf> = all.into_iter().step_by(10).collect();
    threads_do_not_show(&tenth);
}

#[test]
fn what_is_shown_does_not_change_what_is_found() {
    let analyze = |input: &str, options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
            .args(["analyze", "-q", "--format", "json", input])
            .args(options)
            .output()
            .expect("the program runs");
        let mut report: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("one document");
        report["flows"].take();
        report
    };
    for path in fixtures() {
        let input = path.to_str().expect("a plain name");
        let (bare, table) = (analyze(input, &[]), analyze(input, &["--flows"]));
        assert_eq!(
            bare, table,
            "{input}: --flows changes more than the flow table"
        );
    }
}

#[test]
fn a_pipe_says_what_the_file_says() {
    for path in fixtures() {
        let input = path.to_str().expect("a plain name");
        let file = report("2", "json", input, Stdio::null());
        let pipe = report("2", "json", "-", File::open(&path).expect("opened").into());
        let plain = |bytes: &[u8]| {
            let mut document: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
            document["captures"][0]["path"] = "".into();
            document
        };
        assert_eq!(file.1, pipe.1, "{input}");
        assert_eq!(plain(&file.0), plain(&pipe.0), "{input}");
    }
}
