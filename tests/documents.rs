//! What README.md and docs/ quote from the program is what the program says. `make docs` brings it up to date.

use std::process::Command;

/// What the program prints for `arguments`.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
        .args(arguments)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What stands in a document between the lines `from` and `to`.
fn quoted(document: &str, from: &str, to: &str) -> String {
    let path = format!("{}/{document}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let (_, rest) = text.split_once(&format!("{from}\n")).expect("it begins");
    let (part, _) = rest.split_once(&format!("{to}\n")).expect("it ends");
    part.to_owned()
}

#[test]
fn the_readme_shows_what_demo_prints() {
    let quoted = quoted(
        "README.md",
        "<!-- demo: make docs -->",
        "<!-- end of demo -->",
    );
    assert_eq!(
        quoted,
        format!("```\n{}```\n", printed(&["demo"])),
        "README.md is behind: make docs"
    );
}

#[test]
fn the_readme_shows_the_view_as_it_is() {
    let quoted = quoted(
        "README.md",
        "<!-- view: tests/golden/tui/first.txt -->",
        "<!-- end of view -->",
    );
    let screen = include_str!("golden/tui/first.txt");
    assert_eq!(quoted, format!("```\n{screen}```\n"));
}

#[test]
fn the_rules_in_the_documentation_are_those_of_the_table() {
    let quoted = quoted(
        "docs/detection.md",
        "<!-- rules: make docs -->",
        "<!-- end of rules -->",
    );
    assert!(
        quoted == printed(&["explain", "--markdown"]),
        "docs/detection.md is behind the table of rules: make docs"
    );
}
