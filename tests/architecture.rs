//! Each stage imports from the stages before it and from `types`; nothing but this test can hold that in one crate.

use std::fs;
use std::path::{Path, PathBuf};

/// The stages, in the order in which the data passes them.
const STAGES: [&str; 9] = [
    "types",
    "capture",
    "decode",
    "flow",
    "application",
    "service",
    "facts",
    "detect",
    "report",
];

/// Whether code of the module `from` may name the module `to`.
fn may_see(from: &str, to: &str) -> bool {
    let place = |name: &str| STAGES.iter().position(|stage| *stage == name);
    match (place(from), place(to)) {
        (Some(from), Some(to)) => to <= from,
        // the pipeline composes all stages but the report
        (None, Some(_)) if from == "pipeline" => to != "report",
        // no stage knows who composes it
        (Some(_), None) => false,
        _ => from == to || from == "cli",
    }
}

/// The modules of this crate that a source names by path: `crate::x` inside the library, `dpiscope::x` in the binary, alone or in braces.
fn named(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect();
    let code = code.join("\n");
    let mut names = Vec::new();
    for root in ["crate::", "dpiscope::"] {
        for (place, _) in code.match_indices(root) {
            let rest = &code[place + root.len()..];
            let list = rest
                .strip_prefix('{')
                .map_or(rest, |list| list.split('}').next().unwrap_or(""));
            let parts = if list.len() == rest.len() {
                vec![rest]
            } else {
                list.split(',').collect()
            };
            names.extend(parts.iter().map(|part| {
                let part = part.trim();
                part.chars()
                    .take_while(|letter| letter.is_ascii_lowercase() || *letter == '_')
                    .collect()
            }));
        }
    }
    names.retain(|name: &String| {
        STAGES.contains(&name.as_str()) || ["pipeline", "cli"].contains(&name.as_str())
    });
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn no_arrow_points_back() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).expect("below src");
        let Some(from) = inside.parent().and_then(|folder| folder.iter().next()) else {
            continue; // lib.rs and main.rs see all
        };
        let from = from.to_string_lossy();
        for to in named(&fs::read_to_string(&path).expect("a source")) {
            arrows += usize::from(from != to.as_str());
            if !may_see(&from, &to) {
                wrong.push(format!("{}: {from} must not know {to}", inside.display()));
            }
        }
    }
    assert!(
        arrows > 100,
        "only {arrows} imports seen: the reader is blind"
    );
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn an_arrow_that_points_back_is_seen_however_it_is_written() {
    assert_eq!(named("use crate::detect::Kind;"), ["detect"]);
    assert_eq!(named("fn f(x: &crate::report::Report) {}"), ["report"]);
    assert_eq!(
        named("use crate::{\n    flow::End, pipeline, types::Seq,\n};"),
        ["flow", "pipeline", "types"]
    );
    assert_eq!(named("/// [`X`](crate::detect::X)"), [""; 0]);
    assert!(may_see("detect", "flow") && may_see("cli", "report") && may_see("pipeline", "detect"));
    assert!(
        !may_see("flow", "detect")
            && !may_see("pipeline", "report")
            && !may_see("report", "pipeline")
    );
}
