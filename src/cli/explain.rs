//! `explain`: what a rule measures, its limit, its source.

use dpiscope::detect::{self, Counts, Mechanism, Rule};
use dpiscope::report::{mechanism_words, wrapped};

use super::args::ExplainArgs;
use super::near::near_to;
use super::output::print;
use super::{Exit, Failure};

/// What the detectors look for.
const MECHANISMS: [Mechanism; 14] = [
    Mechanism::ForgedRst,
    Mechanism::RewrittenReply,
    Mechanism::ForgedFin,
    Mechanism::SynUnanswered,
    Mechanism::HelloUnanswered,
    Mechanism::DelayedDrop,
    Mechanism::StalledAfterBytes,
    Mechanism::EndpointKilled,
    Mechanism::ConnectionLimit,
    Mechanism::QuicInitialUnanswered,
    Mechanism::MediaUnanswered,
    Mechanism::Policing,
    Mechanism::Shaping,
    Mechanism::RandomDrop,
];

/// Explains one name, or lists all.
pub(crate) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let rules: Vec<&Rule> = detect::rules().collect();
    let text = match &args.name {
        None if args.markdown => markdown(&rules),
        None => overview(&rules),
        Some(name) => explained(name, &rules)?,
    };
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(Exit::Done)
}

/// A rule is named `group.what`, an innocent cause by one word or in the group `innocent`.
fn is_cause(rule: &Rule) -> bool {
    !rule.name.contains('.') || rule.name.starts_with("innocent.")
}

fn overview(rules: &[&Rule]) -> String {
    let mut text = String::from(
        "Evidence rules: each measures one thing, and what it adds for or against is summed up\n",
    );
    let row = |text: &mut String, name: &str, words: &str| {
        text.push_str(&wrapped(&format!("  {name:<28} "), words));
    };
    for rule in rules.iter().filter(|rule| !is_cause(rule)) {
        row(&mut text, rule.name, rule.about.measures);
    }
    text.push_str("\nInnocent causes: each is tested before anything is called interference\n");
    for rule in rules.iter().filter(|rule| is_cause(rule)) {
        row(&mut text, rule.name, rule.about.why);
    }
    text.push_str("\nMechanisms: what may have happened\n");
    for mechanism in MECHANISMS {
        row(&mut text, mechanism.name(), mechanism_words(mechanism));
    }
    text
}

/// Other words of a report.
const WORDS: [(&str, &str); 4] = [
    (
        "rst_injection",
        "the kind of interference in which a reset or close comes that the named peer did not send: forged_rst, rewritten_reply, forged_fin",
    ),
    (
        "blackholing",
        "the kind of interference in which somebody drops packets, so that silence comes of it",
    ),
    (
        "bandwidth_shaping",
        "the kind of interference in which somebody imposes a rate or a loss: policing, shaping, random_drop",
    ),
    (
        "unexplained",
        "the end of a flow that is neither ordinary nor like any cause that was tested: nobody is accused of it",
    ),
];

fn explained(name: &str, rules: &[&Rule]) -> Result<String, Failure> {
    let name = &*name.to_lowercase();
    // causes are listed without their group, and a hop limit is a TTL to most
    let known = match name {
        "rst.ttl_delta" => "rst.hop_limit",
        name => name,
    };
    let is_named =
        |rule: &&&Rule| rule.name == known || rule.name.strip_prefix("innocent.") == Some(known);
    if let Some(rule) = rules.iter().find(is_named) {
        return Ok(in_full(rule));
    }
    if let Some(mechanism) = MECHANISMS.iter().find(|mechanism| mechanism.name() == name) {
        return Ok(wrapped(&format!("{name}: "), mechanism_words(*mechanism)));
    }
    if let Some((_, words)) = WORDS.iter().find(|(word, _)| *word == name) {
        return Ok(wrapped(&format!("{name}: "), words));
    }
    let names: Vec<&str> = rules
        .iter()
        .map(|rule| rule.name)
        .chain(MECHANISMS.iter().map(|mechanism| mechanism.name()))
        .collect();
    Err(Failure::refused(format!(
        "unknown rule '{name}'{}; `dpiscope explain` lists all",
        near_to(name, &names)
    )))
}

fn in_full(rule: &Rule) -> String {
    let mut text = format!("{}\n", rule.name);
    let mut entry = |name: &str, words: &str| {
        if !words.is_empty() {
            text.push_str(&wrapped(&format!("  {name:<12}"), words));
        }
    };
    entry("measures", rule.about.measures);
    entry("why", rule.about.why);
    entry("counts", &limit_words(rule));
    entry(
        "weight",
        &format!(
            "{:+} where it counts, {:+} where it was measured and does not (natural logarithm of odds)",
            rule.weight_for, rule.weight_against
        ),
    );
    entry("also from", &rule.about.innocent.join("; "));
    entry("blind to", rule.about.blind_to);
    entry("source", rule.source);
    text
}

/// Where the value of a rule counts, in words.
fn limit_words(rule: &Rule) -> String {
    match rule.counts {
        Counts::AtLeast(limit) => format!("at least {limit} {}", rule.unit),
        Counts::AtMost(limit) => format!("at most {limit} {}", rule.unit),
    }
}

/// All rules: a table to compare limits and weights in, then each in full.
fn markdown(rules: &[&Rule]) -> String {
    let table = rules.iter().map(|rule| {
        format!(
            "| `{}` | {} | {} | {:+} | {:+} |\n",
            rule.name,
            cell(rule.about.measures),
            cell(&limit_words(rule)),
            rule.weight_for,
            rule.weight_against,
        )
    });
    let in_full = rules.iter().flat_map(|rule| {
        let about = rule.about;
        let entries = [
            ("measures", about.measures.to_owned()),
            ("why", about.why.to_owned()),
            ("counts", limit_words(rule)),
            (
                "weight",
                format!("{:+}, else {:+}", rule.weight_for, rule.weight_against),
            ),
            ("also from", about.innocent.join("; ")),
            ("blind to", about.blind_to.to_owned()),
            ("source", rule.source.to_owned()),
        ];
        let lines = entries
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(name, words)| format!("- {name}: {words}\n"));
        std::iter::once(format!("\n#### `{}`\n\n", rule.name)).chain(lines)
    });
    let head = "| rule | measures | counts | for | against |\n|---|---|---|---|---|\n".to_owned();
    std::iter::once(head).chain(table).chain(in_full).collect()
}

/// Words that end no table cell.
fn cell(words: &str) -> String {
    words.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use dpiscope::detect::{About, Reading};

    use super::*;

    const TABLE: [Rule; 1] = [Rule {
        name: "rst.hop_limit",
        measure: |_, _| Reading::Blind("a test"),
        about: &About {
            measures: "distance between hop limits",
            why: "a box sits nearer",
            innocent: &["a load balancer answers"],
            blind_to: "a rewritten reply",
        },
        counts: Counts::AtLeast(2.0),
        unit: "hops",
        weight_for: 1.9,
        weight_against: -0.2,
        source: "docs/detection.md, R7",
    }];

    #[test]
    fn a_rule_is_explained_from_its_row() {
        let text = explained("rst.hop_limit", &TABLE.each_ref()).expect("known");
        assert!(
            text.contains("at least 2 hops") && text.contains("+1.9"),
            "{text}"
        );
        assert!(text.contains("docs/detection.md, R7"), "{text}");
        let by_its_other_name = explained("RST.ttl_delta", &TABLE.each_ref());
        assert_eq!(by_its_other_name.expect("known"), text);
        let word = explained("unexplained", &TABLE.each_ref()).expect("known");
        assert!(word.contains("neither ordinary nor"), "{word}");
    }

    #[test]
    fn the_document_holds_every_rule_in_full() {
        let text = markdown(&TABLE.each_ref());
        assert!(
            text.contains(
                "| `rst.hop_limit` | distance between hop limits | at least 2 hops | +1.9 | -0.2 |"
            ),
            "{text}"
        );
        assert!(
            text.contains("- also from: a load balancer answers\n"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_rule_gets_its_neighbours() {
        let Err(Failure::Refused(words)) = explained("rst.hoplimit", &TABLE.each_ref()) else {
            panic!("it is unknown");
        };
        assert!(words.contains("near to it: rst.hop_limit;"), "{words}");
    }
}
