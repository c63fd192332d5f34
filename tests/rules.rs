//! Every rule is proven from both sides, described, and says where it comes from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dpiscope::detect;

/// The file of every rule of a table, by the rule's name: `rule("rst.clock", clock::measure, …)` stands in `clock.rs` beside it.
fn files(table: &str, innocent: &str) -> BTreeMap<String, PathBuf> {
    let detect = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/detect");
    let text = fs::read_to_string(detect.join(table)).expect("a table");
    let folder = detect.join(table);
    let folder = folder.parent().expect("a folder");
    let row = |line: &str| {
        let rest = line.trim_start().strip_prefix("rule(\"")?;
        let (name, rest) = rest.split_once('"')?;
        let (module, _) = rest
            .trim_start_matches([',', ' '])
            .split_once("::measure")?;
        let file = match module.strip_prefix("innocent::") {
            Some(cause) => detect.join(innocent).join(format!("{cause}.rs")),
            None => folder.join(format!("{module}.rs")),
        };
        Some((name.to_owned(), file))
    };
    text.lines().filter_map(row).collect()
}

/// The values that the tests at the foot of a file expect of a measurement, as they are written.
fn expected(source: &str) -> Vec<String> {
    let tests = source
        .split_once("#[cfg(test)]")
        .map_or("", |(_, tests)| tests);
    let mut values: Vec<String> = Vec::new();
    for (start, _) in tests.match_indices("Some(") {
        let rest = &tests[start..];
        values.extend(rest.split_inclusive(')').next().map(str::to_owned));
    }
    values.extend(
        tests
            .match_indices(", None)")
            .map(|(word, _)| tests[word..word + 6].to_owned()),
    );
    for (start, word) in tests
        .match_indices("is_some_and")
        .chain(tests.match_indices("is_none_or"))
    {
        values.push(tests[start..].lines().next().unwrap_or(word).to_owned());
    }
    values.sort();
    values.dedup();
    values
}

#[test]
fn every_rule_about_resets_and_silence_is_proven_for_and_against() {
    let mut all = files("injection/rules.rs", "innocent");
    all.extend(files("blackhole/rules.rs", "blackhole/innocent"));
    let known: Vec<&str> = (detect::rules().map(|rule| rule.name))
        .filter(|name| {
            !name.contains("policing") && !name.contains("shaping") && !name.contains("random_drop")
        })
        .filter(|name| !name.starts_with("innocent."))
        .collect();
    assert_eq!(all.len(), known.len(), "the table is read whole");
    let mut wrong = Vec::new();
    for name in known {
        let Some(path) = all.get(name) else {
            wrong.push(format!("{name}: no file"));
            continue;
        };
        let mut source = fs::read_to_string(path).unwrap_or_default();
        if !source.contains("#[test]") {
            // what several flows show together is measured, and proven, in one place
            let measure = format!(
                "{}(",
                path.file_stem().unwrap_or_default().to_string_lossy()
            );
            let groups = fs::read_to_string(path.with_file_name("groups.rs")).unwrap_or_default();
            source = "#[cfg(test)]".to_owned();
            for test in groups
                .split("#[test]")
                .skip(1)
                .filter(|test| test.contains(&measure))
            {
                source.push_str("#[test]");
                source.push_str(test);
            }
        }
        let tests = source.matches("#[test]").count();
        let expected = expected(&source);
        if tests < 2 || expected.len() < 2 {
            wrong.push(format!(
                "{name}: {tests} tests that expect {expected:?} ({})",
                path.display()
            ));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_rule_is_explained_with_its_source() {
    for rule in detect::rules() {
        let about = rule.about;
        assert!(
            !about.measures.is_empty() && !about.why.is_empty(),
            "{}",
            rule.name
        );
        assert!(!about.blind_to.is_empty(), "{}", rule.name);
        assert!(!rule.source.is_empty(), "{}", rule.name);
        assert!(rule.counts.limit().is_finite(), "{}", rule.name);
        // what speaks for a deed is held against what else looks so
        if ["rst.", "fin.", "icmp.", "silence."]
            .iter()
            .any(|family| rule.name.starts_with(family))
        {
            assert!(!about.innocent.is_empty(), "{}", rule.name);
        }
    }
}
