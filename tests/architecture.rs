//! Each stage imports from the stages before it and from `types`; in one crate nothing but this test can hold that.

use std::fs;
use std::path::{Path, PathBuf};

/// The stages in the order in which the data passes them, and who composes them.
#[rustfmt::skip]
const MODULES: [&str; 11] = ["types", "capture", "decode", "flow", "application", "service", "facts", "detect", "report", "pipeline", "cli"];

/// Whether code of the module `from` may name the module `to`: what comes before it; the pipeline composes up to `detect`, and only `cli` sees all.
fn may_see(from: &str, to: &str) -> bool {
    let place = |name| MODULES.iter().position(|module| *module == name);
    place(to) <= place(from) && (from, to) != ("pipeline", "report")
}

/// The modules of this crate that a source names, comments aside: `crate::x` inside the library, `dpiscope::x` in the binary.
fn named(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .filter_map(|line| line.split("//").next())
        .collect();
    let code = code.join("\n").replace("dpiscope::", "crate::");
    assert!(
        !code.contains("crate::{"),
        "one module an import, so that this test can read it"
    );
    let word = |rest: &str| {
        rest.chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect()
    };
    let names = code.split("crate::").skip(1).map(word);
    names
        .filter(|name: &String| MODULES.contains(&name.as_str()))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    };
    entries
        .flat_map(below)
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

#[test]
fn no_arrow_points_back() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut wrong, mut arrows) = (Vec::new(), 0);
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).expect("below src");
        let from = inside.iter().next().expect("a name").to_string_lossy();
        if !MODULES.contains(&from.as_ref()) {
            continue; // lib.rs and main.rs see all
        }
        for to in named(&fs::read_to_string(&path).expect("a source")) {
            arrows += usize::from(from != to.as_str());
            if !may_see(&from, &to) {
                wrong.push(format!("{}: {from} must not know {to}", inside.display()));
            }
        }
    }
    wrong.sort();
    assert!(
        arrows > 100,
        "only {arrows} imports seen: the reader is blind"
    );
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn an_arrow_that_points_back_is_seen_however_it_is_written() {
    assert_eq!(
        named("use crate::detect::Kind;\nfn f(x: &crate::report::Report) {}"),
        ["detect", "report"]
    );
    assert_eq!(
        named("use dpiscope::pipeline;\n/// [`X`](crate::detect::X)"),
        ["pipeline"]
    );
    assert!(may_see("detect", "flow") && may_see("cli", "report") && may_see("pipeline", "detect"));
    assert!(
        !may_see("flow", "detect")
            && !may_see("pipeline", "report")
            && !may_see("report", "pipeline")
    );
}
