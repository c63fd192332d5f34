//! `check`: captures against what must be found in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dpiscope::capture::{Options, Run};
use dpiscope::pipeline::Settings;
use dpiscope::report::{Input, Report};
use dpiscope::service::Catalogue;

use super::analyze::{input, quietly};
use super::args::CheckArgs;
use super::expect::{Expectation, blessed, found_lines};
use super::output::print;
use super::services::catalogue;
use super::{Exit, Failure, say};

/// Endings of captures, and what may come after them.
const CAPTURES: [&str; 3] = [".pcap", ".pcapng", ".cap"];
const COMPRESSED: [&str; 5] = ["", ".gz", ".zst", ".lz4", ".xz"];

/// The ending of an expectation file.
const EXPECTATION: &str = ".expect.toml";

/// Compares, or blesses.
pub(crate) fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let catalogue = catalogue(args.services.as_deref())?;
    let cases = cases(&args.paths)?;
    if cases.is_empty() {
        return Err(Failure::refused(format!(
            "nothing to check under {}: no captures and no expectation files",
            args.paths
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        )));
    }
    let (mut passed, mut failed) = (0_u64, 0_u64);
    let mut partial = false;
    for case in &cases {
        let outcome = case.outcome(args, &catalogue, &mut partial);
        let words = match &outcome {
            Ok(words) => {
                passed += 1;
                (!args.quiet).then(|| format!("{words:<8} {}\n", case.name()))
            }
            Err(differences) => {
                failed += 1;
                let mut text = format!("{:<8} {}\n", "FAILED", case.name());
                for line in differences {
                    let _ = writeln!(text, "    {line}");
                }
                Some(text)
            }
        };
        // One line a capture, as soon as it is known.
        if let Some(words) = words {
            print(|out| out.write_all(words.as_bytes()))?;
        }
    }
    print(|out| writeln!(out, "{passed} passed, {failed} failed"))?;
    Ok(match (failed, partial) {
        (0, false) => Exit::Done,
        (0, true) => Exit::Partial,
        _ => Exit::Found,
    })
}

/// A capture and its expectation; one of them may be missing.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Case {
    capture: Option<PathBuf>,
    expectation: PathBuf,
}

impl Case {
    fn name(&self) -> std::path::Display<'_> {
        self.capture
            .as_deref()
            .unwrap_or(&self.expectation)
            .display()
    }

    /// A word for what was done, or what is wrong; `partial` where the capture could not be read to its end.
    fn outcome(
        &self,
        args: &CheckArgs,
        catalogue: &Arc<Catalogue>,
        partial: &mut bool,
    ) -> Result<&'static str, Vec<String>> {
        let Some(capture) = &self.capture else {
            return Err(vec!["an expectation without its capture".to_owned()]);
        };
        let text = match fs::read_to_string(&self.expectation) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(vec![format!("{}: {error}", self.expectation.display())]),
        };
        let expectation = match text.as_deref().map(Expectation::read).transpose() {
            Ok(expectation) => expectation,
            Err(fault) => return Err(vec![format!("{}, {fault}", self.expectation.display())]),
        };
        if expectation.is_none() && !args.bless {
            return Err(vec![format!(
                "no expectation file {}; --bless writes it",
                self.expectation.display()
            )]);
        }
        let report =
            report(capture, expectation.as_ref(), args, catalogue).map_err(|words| vec![words])?;
        for file in report.captures.iter().filter(|file| file.truncated) {
            *partial = true;
            for warning in file.warnings.iter().filter(|_| !args.quiet) {
                say(&format!("dpiscope: {}: {warning}", file.path));
            }
        }
        if args.bless {
            return self.bless(&report, text.as_deref().zip(expectation.as_ref()));
        }
        let mut differences =
            expectation.map_or_else(Vec::new, |expectation| expectation.differences(&report));
        if differences.is_empty() {
            return Ok("ok");
        }
        differences.push("what was found:".to_owned());
        differences.extend(
            found_lines(&report)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
        Err(differences)
    }

    fn bless(
        &self,
        report: &Report,
        old: Option<(&str, &Expectation)>,
    ) -> Result<&'static str, Vec<String>> {
        let new = blessed(report, old);
        if old.is_some_and(|(text, _)| text == new) {
            return Ok("as it was");
        }
        fs::write(&self.expectation, new).map_err(|error| {
            vec![format!(
                "cannot write {}: {error}",
                self.expectation.display()
            )]
        })?;
        Ok("blessed")
    }
}

fn report(
    capture: &Path,
    expectation: Option<&Expectation>,
    args: &CheckArgs,
    catalogue: &Arc<Catalogue>,
) -> Result<Report, String> {
    let (run, errors) = Run::open(&[capture.to_owned()], &Options::default());
    if let Some(error) = errors.first() {
        return Err(error.to_string());
    }
    let standard = Settings::default();
    let settings = Settings {
        threads: args.threads.map_or(standard.threads, usize::from),
        scope: expectation
            .and_then(|wanted| wanted.scope)
            .map_or(standard.scope, Into::into),
        vantage: expectation
            .and_then(|wanted| wanted.vantage)
            .and_then(Into::into),
        ..standard
    };
    let analysis = quietly(run, &settings, catalogue);
    Ok(Report::new(&Input {
        flow_table: false,
        ..input(&analysis, catalogue)
    }))
}

/// What there is to check, directories in sorted order.
fn cases(paths: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    let mut known = BTreeSet::new();
    for path in paths {
        for file in files(path)? {
            let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let found = if let Some(stem) = name.strip_suffix(EXPECTATION) {
                captures_of(&file, stem)
            } else if let Some(stem) = capture_stem(name) {
                let expectation = file.with_file_name(format!("{stem}{EXPECTATION}"));
                vec![Case {
                    capture: Some(file.clone()),
                    expectation,
                }]
            } else if *path == file {
                return Err(Failure::refused(format!(
                    "{}: neither a capture (.pcap, .pcapng) nor an expectation file ({EXPECTATION})",
                    path.display()
                )));
            } else {
                continue;
            };
            for case in found {
                if known.insert((case.capture.clone(), case.expectation.clone())) {
                    cases.push(case);
                }
            }
        }
    }
    Ok(cases)
}

/// The captures beside an expectation file.
fn captures_of(expectation: &Path, stem: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for ending in CAPTURES {
        for packed in COMPRESSED {
            let capture = expectation.with_file_name(format!("{stem}{ending}{packed}"));
            if capture.is_file() {
                cases.push(Case {
                    capture: Some(capture),
                    expectation: expectation.to_owned(),
                });
            }
        }
    }
    if cases.is_empty() {
        cases.push(Case {
            capture: None,
            expectation: expectation.to_owned(),
        });
    }
    cases
}

fn capture_stem(name: &str) -> Option<&str> {
    COMPRESSED
        .iter()
        .filter_map(|packed| name.strip_suffix(packed))
        .find_map(|name| CAPTURES.iter().find_map(|ending| name.strip_suffix(ending)))
}

/// A file itself, or all files below a directory, sorted. Links to directories are not followed: they may go in circles.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let refused = |error: std::io::Error| Failure::refused(format!("{}: {error}", path.display()));
    if !fs::metadata(path).map_err(refused)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<(PathBuf, bool)> = Vec::new();
    for entry in fs::read_dir(path).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let folder = entry.file_type().map_err(refused)?.is_dir();
        entries.push((entry.path(), folder));
    }
    entries.sort();
    let mut files = Vec::new();
    for (path, folder) in entries {
        if folder {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captures_name_ends_before_its_formats() {
        assert_eq!(capture_stem("a.b.pcap"), Some("a.b"));
        assert_eq!(capture_stem("a.pcapng.zst"), Some("a"));
        assert_eq!(capture_stem("a.expect.toml"), None);
        assert_eq!(capture_stem("README.md"), None);
    }
}
