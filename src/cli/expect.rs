//! Expectation files: what must be found in a capture, and what must not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Deserialize;

use dpiscope::detect::{Kind, Level, Mechanism, Parameter};
use dpiscope::report::{Finding, Report, Verdict};
use dpiscope::service::Class;

use super::args::{ScopeWord, VantageWord};

/// What `schema` must say.
const SCHEMA: &str = "dpiscope-expect/1";

/// How far a blessed rate may move, as a share: rates are estimates with an interval of their own.
const RATE_ROOM: f64 = 0.05;

/// One expectation file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    schema: toml::Spanned<String>,
    /// Which flows may yield findings.
    pub(crate) scope: Option<ScopeWord>,
    /// Where the capture was taken.
    pub(crate) vantage: Option<VantageWord>,
    #[serde(default)]
    finding: Vec<Wanted>,
    #[serde(default)]
    service: Vec<WantedService>,
}

/// A finding that must be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    service: String,
    kind: Kind,
    mechanism: Option<Mechanism>,
    min_level: Option<Level>,
    host: Option<String>,
    flows: Option<usize>,
    rate_bps: Option<Span>,
}

/// Between which values a figure must lie, both ends included.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    min: Option<u64>,
    max: Option<u64>,
}

/// A service's verdict.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedService {
    name: String,
    verdict: Verdict,
}

impl Expectation {
    /// Reads an expectation file; what is wrong with it, with its line.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let expectation: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            format!("line {}: {}", line(at), error.message())
        })?;
        if expectation.schema.get_ref() == SCHEMA {
            Ok(expectation)
        } else {
            Err(format!(
                "line {}: schema is \"{}\"; this version reads \"{SCHEMA}\"",
                line(expectation.schema.span().start),
                expectation.schema.get_ref()
            ))
        }
    }

    /// How the report (with findings of every level) differs; empty means not at all.
    pub(crate) fn differences(&self, report: &Report) -> Vec<String> {
        let mut differences = Vec::new();
        let mut matched: BTreeSet<u64> = BTreeSet::new();
        for wanted in &self.finding {
            let found: Vec<&Finding> = report
                .findings
                .iter()
                .filter(|finding| wanted.is(finding))
                .collect();
            matched.extend(found.iter().map(|finding| finding.id));
            differences.extend(wanted.differences(&found));
        }
        for finding in &report.findings {
            if finding.level >= Level::Likely && !matched.contains(&finding.id) {
                differences.push(format!("not expected, but found: {}", one_line(finding)));
            }
        }
        for wanted in &self.service {
            let row = report
                .services
                .iter()
                .find(|row| row.service == wanted.name);
            if row.is_none_or(|row| row.verdict != wanted.verdict) {
                differences.push(format!(
                    "service {}: expected {}, found {}",
                    wanted.name,
                    wanted.verdict.name(),
                    row.map_or("no traffic of it", |row| row.verdict.name())
                ));
            }
        }
        differences
    }
}

impl Wanted {
    fn is(&self, finding: &Finding) -> bool {
        finding.service == self.service
            && finding.kind == self.kind
            && self
                .mechanism
                .is_none_or(|mechanism| mechanism == finding.mechanism)
            && self
                .host
                .as_ref()
                .is_none_or(|host| Some(host) == finding.host.as_ref())
            && finding.level >= self.min_level.unwrap_or(Level::Likely)
    }

    fn differences(&self, found: &[&Finding]) -> Vec<String> {
        if found.is_empty() {
            return vec![format!("expected, but not found: {self}")];
        }
        let mut differences = Vec::new();
        let flows: BTreeSet<u64> = found
            .iter()
            .flat_map(|finding| finding.flow_ids.iter().copied())
            .collect();
        if let Some(wanted) = self.flows.filter(|wanted| *wanted != flows.len()) {
            differences.push(format!(
                "{self}: expected {wanted} flows, found {}",
                flows.len()
            ));
        }
        if let Some(span) = &self.rate_bps {
            for finding in found {
                let rate = rate(finding);
                if !rate.is_some_and(|rate| span.holds(rate)) {
                    differences.push(format!(
                        "{self}: expected a rate_bps {span}, found {} in finding {}",
                        rate.map_or("none".to_owned(), |rate| rate.to_string()),
                        finding.id
                    ));
                }
            }
        }
        differences
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, word(&self.kind))?;
        if let Some(mechanism) = self.mechanism {
            write!(f, "/{}", mechanism.name())?;
        }
        write!(f, " at {}", word(&self.min_level.unwrap_or(Level::Likely)))?;
        if let Some(host) = &self.host {
            write!(f, " for {host}")?;
        }
        Ok(())
    }
}

impl Span {
    fn holds(&self, value: u64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "from {min} to {max}"),
            (Some(min), None) => write!(f, "of {min} or more"),
            (None, Some(max)) => write!(f, "of {max} or less"),
            (None, None) => f.write_str("of any value"),
        }
    }
}

fn rate(finding: &Finding) -> Option<u64> {
    let (_, value) = finding
        .parameters
        .iter()
        .find(|(name, _)| *name == "rate_bps")?;
    match value {
        Parameter::Integer(rate) => Some(*rate),
        Parameter::Number(rate) => Some(rate.round() as u64),
        Parameter::Text(_) => None,
    }
}

/// The contract's word for one of its enumerations.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn one_line(finding: &Finding) -> String {
    format!(
        "finding {}, {} {}/{} {} ({}): {}",
        finding.id,
        finding.service,
        word(&finding.kind),
        finding.mechanism.name(),
        word(&finding.level),
        finding.score,
        finding.summary
    )
}

/// What was found, with its evidence, for whoever must explain a difference.
pub(crate) fn found_lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &report.findings {
        lines.push(one_line(finding));
        for fact in &finding.evidence {
            lines.push(format!(
                "  {} {} {} {} (limit {}): {}; frames {:?}",
                if fact.supports { '+' } else { '-' },
                fact.rule,
                fact.value,
                fact.unit,
                fact.limit,
                fact.text,
                fact.packets
            ));
        }
    }
    for row in &report.services {
        lines.push(format!(
            "service {}: {}, {} of {} assessed flows interfered, {} flows",
            row.service,
            row.verdict.name(),
            row.interfered_flows,
            row.assessed_flows,
            row.flows
        ));
    }
    lines
}

/// An expectation file that says what `report` (with findings of every level) says. Comments that open `old` and its scope and vantage stay.
pub(crate) fn blessed(report: &Report, old: Option<(&str, &Expectation)>) -> String {
    let mut text = String::new();
    if let Some((old, _)) = old {
        for line in old.lines().take_while(|line| line.starts_with('#')) {
            let _ = writeln!(text, "{line}");
        }
    }
    let _ = writeln!(text, "schema = \"{SCHEMA}\"");
    if let Some(scope) = old.and_then(|(_, old)| old.scope) {
        let _ = writeln!(text, "scope = \"{}\"", word(&scope));
    }
    if let Some(vantage) = old.and_then(|(_, old)| old.vantage) {
        let _ = writeln!(text, "vantage = \"{}\"", word(&vantage));
    }
    let mut groups: BTreeMap<(&str, Kind, Mechanism), Vec<&Finding>> = BTreeMap::new();
    for finding in report
        .findings
        .iter()
        .filter(|finding| finding.level >= Level::Likely)
    {
        groups
            .entry((&finding.service, finding.kind, finding.mechanism))
            .or_default()
            .push(finding);
    }
    for ((service, kind, mechanism), findings) in groups {
        text.push_str(&blessed_finding(service, kind, mechanism, &findings));
    }
    for row in report
        .services
        .iter()
        .filter(|row| row.class == Class::Messenger)
    {
        let _ = write!(
            text,
            "\n[[service]]\nname = \"{}\"\nverdict = \"{}\"\n",
            row.service,
            row.verdict.name()
        );
    }
    text
}

fn blessed_finding(
    service: &str,
    kind: Kind,
    mechanism: Mechanism,
    findings: &[&Finding],
) -> String {
    let flows: BTreeSet<u64> = findings
        .iter()
        .flat_map(|finding| finding.flow_ids.iter().copied())
        .collect();
    let level = findings
        .iter()
        .map(|finding| finding.level)
        .min()
        .unwrap_or(Level::Likely);
    let hosts: BTreeSet<&Option<String>> = findings.iter().map(|finding| &finding.host).collect();
    let mut text = format!(
        "\n[[finding]]\nservice = \"{service}\"\nkind = \"{}\"\nmechanism = \"{}\"\nmin_level = \"{}\"\n",
        word(&kind),
        mechanism.name(),
        word(&level)
    );
    // An entry that names a host covers that host only; one that names none covers all.
    if let (1, Some(Some(host))) = (hosts.len(), hosts.first()) {
        let _ = writeln!(text, "host = {}", toml::Value::String(host.clone()));
    }
    let _ = writeln!(text, "flows = {}", flows.len());
    let rates: Option<Vec<u64>> = findings.iter().map(|finding| rate(finding)).collect();
    if let Some((min, max)) =
        rates.and_then(|rates| Some((*rates.iter().min()?, *rates.iter().max()?)))
    {
        let low = (min as f64 * (1.0 - RATE_ROOM) / 1_000.0).floor() as u64 * 1_000;
        let high = (max as f64 * (1.0 + RATE_ROOM) / 1_000.0).ceil() as u64 * 1_000;
        let _ = writeln!(text, "rate_bps = {{ min = {low}, max = {high} }}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_example_is_read() {
        let text = r#"
schema = "dpiscope-expect/1"
scope = "messengers"             # optional, as is vantage
[[finding]]                      # must be there
service = "whatsapp"
kind = "rst_injection"
mechanism = "forged_rst"
min_level = "likely"
host = "web.whatsapp.com"
flows = 3
rate_bps = { min = 490_000, max = 530_000 }
[[service]]
name = "signal"
verdict = "clear"
"#;
        let expectation = Expectation::read(text).expect("sound");
        assert_eq!(expectation.finding.len(), 1);
        assert_eq!(
            expectation.finding[0].to_string(),
            "whatsapp rst_injection/forged_rst at likely for web.whatsapp.com"
        );
        assert_eq!(expectation.service[0].verdict, Verdict::Clear);
    }

    #[test]
    fn a_fault_names_its_line_and_what_would_do() {
        let fault = |text: &str| Expectation::read(text).expect_err("a fault");
        let words = fault(
            "schema = \"dpiscope-expect/1\"\n[[service]]\nname = \"x\"\nverdict = \"klar\"\n",
        );
        assert!(
            words.starts_with("line 4: ") && words.contains("too_little_data"),
            "{words}"
        );
        let words = fault("schema = \"dpiscope-expect/1\"\n\ncolour = 1\n");
        assert!(
            words.starts_with("line 3: ") && words.contains("colour"),
            "{words}"
        );
        assert!(fault("schema = \"dpiscope-expect/9\"\n").contains("dpiscope-expect/1"));
        assert!(fault("[[service]]\nname = \"x\"\nverdict = \"clear\"\n").contains("schema"));
    }

    #[test]
    fn a_span_may_be_open_at_one_end() {
        let span = Span {
            min: Some(10),
            max: None,
        };
        assert!(span.holds(10) && !span.holds(9));
        assert_eq!(span.to_string(), "of 10 or more");
    }
}
