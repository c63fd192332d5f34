//! Prints what each rule about resets contributes: precision and recall on labelled captures as they are with all rules, and without each of them.
//!
//! `cargo run --release --example ablation -- FOLDER...`, each a folder with captures and `labels.json` as `tests/lab` writes them. Findings of
//! `likely` and above on flows of messengers count; recall is over the flows that the labels call decidable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use dpiscope::capture::{Options, Run};
use dpiscope::detect::{Level, Mechanism, injection};
use dpiscope::facts::{CaptureFacts, FlowFacts};
use dpiscope::pipeline::{self, Settings};
use dpiscope::service::Catalogue;
use serde_json::Value;

/// Both ends of a flow, whoever is the client.
type Ends = BTreeSet<(String, u64)>;

/// One capture, measured.
struct Capture {
    flows: Vec<FlowFacts>,
    around: CaptureFacts,
    labels: Vec<Label>,
}

/// What the labels say of one flow.
struct Label {
    /// With every port that a NAT gave it.
    ends: Vec<Ends>,
    forged: bool,
    /// Decidable, of a messenger.
    asked: bool,
    /// It may be called a reset injection, though it was labelled otherwise.
    accepted: bool,
    rewritten: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct Score {
    found: u32,
    missed: u32,
    wrong: u32,
    named: u32,
}

fn ends(flow: &FlowFacts) -> Ends {
    let key = &flow.summary.key;
    [key.a, key.b]
        .into_iter()
        .map(|end| (end.address.ip().to_string(), u64::from(end.port)))
        .collect()
}

fn label(flow: &Value) -> Option<Label> {
    let end = |address: &str, port: u64| {
        let address: std::net::IpAddr = address.parse().ok()?;
        Some((address.to_string(), port))
    };
    let server = end(flow["dst"].as_str()?, flow["dport"].as_u64()?)?;
    let ports =
        std::iter::once(&flow["sport"]).chain(flow["nat_ports"].as_array().into_iter().flatten());
    let ends = ports
        .filter_map(|port| {
            Some([end(flow["src"].as_str()?, port.as_u64()?)?, server.clone()].into())
        })
        .collect();
    let forged = flow["truth"] == "rst_injection";
    Some(Label {
        ends,
        forged,
        asked: forged && flow["decidable"] == true && flow["messenger"] != false,
        accepted: flow["accept"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == "rst_injection")),
        rewritten: flow["mechanism"] == "tspu_rewrite",
    })
}

fn read(folder: &Path, entry: &Value) -> Option<Capture> {
    let path = folder.join(entry["file"].as_str()?);
    let (run, errors) = Run::open(&[path], &Options::default());
    if !errors.is_empty() {
        return None;
    }
    let never = AtomicBool::new(false);
    let mut analysis = pipeline::analyze(
        run,
        &Settings::default(),
        Catalogue::builtin(),
        &never,
        &mut |_, _, _| {},
    );
    for flow in &mut analysis.flows {
        // most of the memory, and nothing that a reset is judged by
        flow.detail.transfer = None;
    }
    Some(Capture {
        flows: analysis.flows,
        around: analysis.around,
        labels: (entry["flows"].as_array()?.iter())
            .filter(|flow| flow["visible"] != false)
            .filter_map(label)
            .collect(),
    })
}

fn score(captures: &[Capture], without: &str) -> Score {
    let mut score = Score::default();
    for capture in captures {
        let messenger = &capture.around.messenger;
        let wanted =
            |flow: &FlowFacts| messenger.get(usize::from(flow.summary.service)) == Some(&true);
        let judged = injection::judge_without(&capture.flows, &capture.around, &wanted, without);
        let mut said: BTreeMap<Ends, Mechanism> = BTreeMap::new();
        for finding in judged
            .findings
            .iter()
            .filter(|finding| Level::of(finding.score) >= Some(Level::Likely))
        {
            for flow in capture
                .flows
                .iter()
                .filter(|flow| finding.flows.contains(&flow.index))
            {
                said.insert(ends(flow), finding.mechanism);
            }
        }
        for label in &capture.labels {
            let mechanism = label.ends.iter().find_map(|ends| said.get(ends));
            match mechanism {
                Some(mechanism) if label.asked => {
                    score.found += 1;
                    score.named +=
                        u32::from((*mechanism == Mechanism::RewrittenReply) == label.rewritten);
                }
                Some(_) if !label.forged && !label.accepted => score.wrong += 1,
                None if label.asked => score.missed += 1,
                _ => {}
            }
        }
    }
    score
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut captures = Vec::new();
    for folder in std::env::args_os().skip(1) {
        let folder = Path::new(&folder).to_owned();
        let labels: Value = serde_json::from_slice(&std::fs::read(folder.join("labels.json"))?)?;
        captures.extend(
            (labels["captures"].as_array().into_iter().flatten())
                .filter_map(|entry| read(&folder, entry)),
        );
    }
    let all = score(&captures, "");
    println!("{} captures", captures.len());
    println!(
        "| without | found | missed | wrong | precision | recall | told from rewritten replies |\n|---|---|---|---|---|---|---|"
    );
    let names = injection::rule_names().map(|name| (name, score(&captures, name)));
    let mut rows: Vec<(&str, Score)> = names.filter(|(_, score)| *score != all).collect();
    rows.sort_by_key(|(name, score)| (score.found, std::cmp::Reverse(score.wrong), *name));
    rows.insert(0, ("(nothing)", all));
    for (name, score) in rows {
        let share = |part: u32, rest: u32| f64::from(part) / f64::from((part + rest).max(1));
        println!(
            "| `{name}` | {} | {} | {} | {:.3} | {:.3} | {} of {} |",
            score.found,
            score.missed,
            score.wrong,
            share(score.found, score.wrong),
            share(score.found, score.missed),
            score.named,
            score.found
        );
    }
    let same: Vec<String> = injection::rule_names()
        .filter(|name| score(&captures, name) == all)
        .map(|name| format!("`{name}`"))
        .collect();
    println!(
        "\nWithout any one of these nothing changes: {}",
        same.join(", ")
    );
    Ok(())
}
