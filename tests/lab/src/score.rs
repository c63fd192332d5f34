//! Holds an analyzer's reports against the labels: how much it found, how much it accused wrongly, how well it described.
//!
//! The analyzer is a command; `{file}` in it stands for the capture. It must print a `dpiscope/1` report with its flow table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

const KINDS: [&str; 3] = ["rst_injection", "blackhole", "shaping"];

/// The labels' word for a finding's kind.
fn kind(said: &str) -> Option<&'static str> {
    match said {
        "rst_injection" => Some("rst_injection"),
        "blackhole" | "blackholing" => Some("blackhole"),
        "shaping" | "bandwidth_shaping" => Some("shaping"),
        _ => None,
    }
}

/// What a report may call each of the lab's mechanisms.
fn names(mechanism: &str) -> &'static [&'static str] {
    match mechanism {
        "fin_injection" => &["forged_fin"],
        "tspu_rewrite" => &["rewritten_reply"],
        "delayed_drop" => &["delayed_drop"],
        "drop_first_appdata" => &["delayed_drop", "stalled_after_bytes"],
        "drop_after_hello_both"
        | "drop_after_hello_down"
        | "drop_after_hello_up"
        | "messenger_transport_drop" => &["hello_unanswered"],
        "drop_behind_hello_both" => &["hello_unanswered", "delayed_drop"],
        "freeze_16k" => &["stalled_after_bytes"],
        "connection_limit" => &["connection_limit"],
        "quic_behind_initial_drop" => &["quic_initial_unanswered", "delayed_drop"],
        "packet_budget" => &["stalled_after_bytes", "delayed_drop"],
        "list_update" => &["endpoint_killed"],
        "midstream_residual" => &["endpoint_killed", "delayed_drop", "stalled_after_bytes"],
        "dtls_drop" | "media_ceased" | "media_drop_both" | "media_drop_down" | "stun_drop" => {
            &["media_unanswered"]
        }
        "quic_initial_drop" => &["quic_initial_unanswered"],
        "icmp_prohibited" => &["quic_initial_unanswered", "syn_unanswered"],
        "residual_syn_drop" | "syn_drop_ip" | "synack_drop_ip" => &["syn_unanswered"],
        "policer_down"
        | "policer_up"
        | "policer_down_quic"
        | "policer_media"
        | "delayed_policer_down" => &["policing"],
        "delayed_shaper_down" | "shaper_down" | "shaper_up" => &["shaping"],
        "random_drop" | "random_drop_low" | "random_drop_media" => &["random_drop"],
        _ => &["forged_rst"],
    }
}

/// How a true finding describes the flow: what was asked, and whether it is near enough (rate 7 %, burst 30 %, bytes 1500).
fn described(flow: &Value, finding: &Value) -> Vec<(&'static str, bool)> {
    let mechanism = flow["mechanism"].as_str().unwrap_or_default();
    let (truth, said) = (&flow["parameters"], &finding["parameters"]);
    let near = |of: f64, name: &str, within: f64| {
        said[name]
            .as_f64()
            .is_some_and(|v| (v - of).abs() <= within)
    };
    let mut all = vec![(
        "name",
        finding["mechanism"]
            .as_str()
            .is_some_and(|m| names(mechanism).contains(&m)),
    )];
    if let Some(rate) = truth["rate_kbps"].as_f64() {
        all.push(("rate", near(rate * 1000.0, "rate_bps", 70.0 * rate)));
    }
    if let Some(burst) = truth["burst_bytes"].as_f64() {
        all.push(("burst", near(burst, "burst_bytes", 0.3 * burst)));
    }
    if let Some(bytes) = truth["bytes_before"]
        .as_f64()
        .filter(|_| mechanism == "freeze_16k")
    {
        all.push(("bytes", near(bytes, "bytes_delivered", 1_500.0)));
    }
    all
}

#[derive(Clone, Copy, Default)]
struct Tally {
    right: u32,
    wrong: u32,
    missed: u32,
}
impl Tally {
    fn line(self, name: &str) -> String {
        let (r, w, m) = (
            f64::from(self.right),
            f64::from(self.wrong),
            f64::from(self.missed),
        );
        let share = |part: f64, whole: f64| {
            if whole > 0.0 {
                format!("{:.3}", part / whole)
            } else {
                "-".into()
            }
        };
        format!(
            "{name:42} found {:4}  wrong {:4}  missed {:4}  precision {:>5}  recall {:>5}  F1 {:>5}",
            self.right,
            self.wrong,
            self.missed,
            share(r, r + w),
            share(r, r + m),
            share(2.0 * r, 2.0 * r + w + m)
        )
    }
}

/// A flow as both sides of a report name it, whichever way round.
fn key(a: (&str, u64), b: (&str, u64), protocol: &str) -> String {
    let (x, y) = (format!("{}|{}", a.0, a.1), format!("{}|{}", b.0, b.1));
    if x < y {
        format!("{x} {y} {protocol}")
    } else {
        format!("{y} {x} {protocol}")
    }
}

/// What a report says: flow, kind, and how it is described.
fn findings(report: &Value) -> Vec<(String, &'static str, Value)> {
    let flow = |f: &Value| {
        Some(key(
            (f["client"].as_str()?, f["client_port"].as_u64()?),
            (f["server"].as_str()?, f["server_port"].as_u64()?),
            f["protocol"].as_str()?,
        ))
    };
    let table: BTreeMap<String, String> = report["flows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|f| Some((f["id"].to_string(), flow(f)?)))
        .collect();
    let mut all = Vec::new();
    for finding in report["findings"].as_array().into_iter().flatten() {
        let Some(kind) = finding["kind"].as_str().and_then(kind) else {
            continue;
        };
        // What is only suspected accuses nobody.
        if finding["level"] == "suspected" {
            continue;
        }
        let mut flows: BTreeSet<String> = flow(&finding["flow"]).into_iter().collect();
        flows.extend(
            finding["flow_ids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|id| table.get(&id.to_string()).cloned()),
        );
        all.extend(flows.into_iter().map(|f| (f, kind, finding.clone())));
    }
    all
}

/// The weightiest of what a finding rests on, in the report's own order.
fn evidence(finding: &Value) -> String {
    finding["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|e| e["supports"] == Value::Bool(true))
        .take(6)
        .map(|e| format!("{} {}", e["rule"].as_str().unwrap_or("?"), e["value"]))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Runs the analyzer over every capture of a folder and prints the tables. Gives the number of wrong accusations and misses.
pub fn run(folder: &Path, command: &str, jobs: usize, only: &[String]) -> Result<usize, String> {
    let text = std::fs::read_to_string(folder.join("labels.json"))
        .map_err(|e| format!("{}: {e}", folder.join("labels.json").display()))?;
    let labels: Value = serde_json::from_str(&text).map_err(|e| format!("labels.json: {e}"))?;
    let mut captures: Vec<&Value> = labels["captures"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    captures.retain(|c| {
        only.is_empty()
            || c["file"]
                .as_str()
                .is_some_and(|f| only.iter().any(|word| f.contains(word.as_str())))
    });
    let queue = Mutex::new(captures.clone());
    let reports: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(capture) = queue.lock().ok().and_then(|mut q| q.pop()) else {
                        return;
                    };
                    let file = capture["file"].as_str().unwrap_or_default();
                    let path = folder.join(file).display().to_string();
                    let mut words = command
                        .split_whitespace()
                        .map(|w| w.replace("{file}", &path));
                    let Some(program) = words.next() else { return };
                    let output = Command::new(program)
                        .args(words)
                        .stderr(Stdio::null())
                        .output();
                    let report = output
                        .ok()
                        .and_then(|o| serde_json::from_slice(&o.stdout).ok())
                        .unwrap_or(Value::Null);
                    if let Ok(mut all) = reports.lock() {
                        all.insert(file.to_string(), report);
                    }
                }
            });
        }
    });
    let reports = reports
        .into_inner()
        .map_err(|_| "a worker died".to_string())?;

    let mut by_kind: BTreeMap<String, Tally> = BTreeMap::new();
    let mut by_mechanism: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut descriptions: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut innocents: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    // By the contract's word for the mechanism, as said; and what was done against what was said.
    let mut by_word: BTreeMap<String, Tally> = BTreeMap::new();
    let mut confusion: BTreeMap<(String, String), u32> = BTreeMap::new();
    let (mut complaints, mut silent) = (Vec::new(), Vec::new());
    for capture in captures {
        let file = capture["file"].as_str().unwrap_or_default();
        let vantage = capture["vantage"].as_str().unwrap_or_default();
        let report = reports.get(file).unwrap_or(&Value::Null);
        if report.is_null() {
            silent.push(file);
        }
        let mut said: BTreeMap<String, BTreeMap<&str, Value>> = BTreeMap::new();
        for (flow, kind, finding) in findings(report) {
            said.entry(flow).or_default().entry(kind).or_insert(finding);
        }
        for flow in capture["flows"].as_array().into_iter().flatten() {
            if flow["visible"] != Value::Bool(true) {
                continue;
            }
            let ports = std::iter::once(&flow["sport"])
                .chain(flow["nat_ports"].as_array().into_iter().flatten())
                .filter_map(Value::as_u64);
            let server = (
                flow["dst"].as_str().unwrap_or_default(),
                flow["dport"].as_u64().unwrap_or(0),
            );
            let got: BTreeMap<&str, &Value> = ports
                .filter_map(|port| {
                    said.get(&key(
                        (flow["src"].as_str().unwrap_or_default(), port),
                        server,
                        flow["proto"].as_str().unwrap_or_default(),
                    ))
                })
                .flatten()
                .map(|(kind, finding)| (*kind, finding))
                .collect();
            let truth = flow["truth"].as_str().unwrap_or("none");
            let mechanism = flow["mechanism"].as_str().unwrap_or_default();
            let accepted = |k: &str| {
                flow["accept"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|a| a == k)
            };
            let mut tell = |kind: &str, change: &dyn Fn(&mut Tally)| {
                change(by_kind.entry(kind.to_string()).or_default());
                change(
                    by_kind
                        .entry(format!("{kind} at the {vantage}"))
                        .or_default(),
                );
                change(by_kind.entry(format!("all at the {vantage}")).or_default());
                change(by_kind.entry("all".into()).or_default());
            };
            if KINDS.contains(&truth)
                && flow["decidable"] == Value::Bool(true)
                && flow["messenger"] == Value::Bool(true)
            {
                let hit = got.contains_key(truth);
                for (what, near) in got
                    .get(truth)
                    .map(|finding| described(flow, finding))
                    .unwrap_or_default()
                {
                    let d = descriptions.entry(format!("{truth} {what}")).or_default();
                    d.0 += u32::from(near);
                    d.1 += 1;
                }
                tell(truth, &|t| if hit { t.right += 1 } else { t.missed += 1 });
                let meant = names(mechanism).first().copied().unwrap_or_default();
                let word = match got.get(truth) {
                    None => "nothing",
                    Some(finding) => finding["mechanism"].as_str().unwrap_or("?"),
                };
                if names(mechanism).contains(&word) {
                    by_word.entry(word.into()).or_default().right += 1;
                } else {
                    by_word.entry(meant.into()).or_default().missed += 1;
                    if hit {
                        by_word.entry(word.into()).or_default().wrong += 1;
                    }
                }
                *confusion
                    .entry((format!("{truth} {meant}"), word.into()))
                    .or_default() += 1;
                let m = by_mechanism
                    .entry(format!("{truth} {mechanism} at the {vantage}"))
                    .or_default();
                m.0 += u32::from(hit);
                m.1 += 1;
                if !hit {
                    complaints.push(format!(
                        "missed  {file} {} {mechanism}: {}",
                        flow["id"], flow["service"]
                    ));
                }
            }
            let wrong: Vec<&str> = got
                .keys()
                .copied()
                .filter(|k| *k != truth && !accepted(k))
                .collect();
            for k in &wrong {
                tell(k, &|t| t.wrong += 1);
                let said = got.get(k).copied().unwrap_or(&Value::Null);
                let word = said["mechanism"].as_str().unwrap_or("?");
                by_word.entry(word.into()).or_default().wrong += 1;
                *confusion
                    .entry((format!("{truth} {mechanism}"), word.into()))
                    .or_default() += 1;
                complaints.push(format!(
                    "wrong   {file} {} {mechanism}: {} is said to suffer {k}, {word} at {}, for {}",
                    flow["id"],
                    flow["service"],
                    said["score"],
                    evidence(said)
                ));
            }
            if truth == "none" && wrong.is_empty() {
                *confusion
                    .entry(("none".into(), "nothing".into()))
                    .or_default() += 1;
            }
            if truth == "none" {
                let i = innocents.entry(mechanism.to_string()).or_default();
                i.0 += u32::from(!wrong.is_empty());
                i.1 += 1;
            }
        }
    }
    println!("per flow");
    for (name, tally) in &by_kind {
        println!("  {}", tally.line(name));
    }
    println!("by the mechanism that was named");
    for (name, tally) in &by_word {
        println!("  {}", tally.line(name));
    }
    println!("what was done, and what was said of it");
    for ((done, said), count) in &confusion {
        println!("  {done:44} {said:28} {count:5}");
    }
    println!("found, by what was done");
    for (name, (hit, all)) in &by_mechanism {
        println!("  {name:60} {hit:3}/{all:3}");
    }
    println!("described rightly (rate within 7 %, burst 30 %, bytes 1500)");
    for (name, (hit, all)) in &descriptions {
        println!("  {name:60} {hit:3}/{all:3}");
    }
    println!("innocent flows wrongly accused");
    for (name, (bad, all)) in &innocents {
        println!("  {name:60} {bad:3}/{all:3}");
    }
    for line in &complaints {
        println!("  {line}");
    }
    if !silent.is_empty() {
        println!(
            "no report for {} captures: {}",
            silent.len(),
            silent
                .iter()
                .take(5)
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    Ok(complaints.len() + silent.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_finding_speaks_for_its_own_flow_and_for_those_it_lists() {
        let flow = |id, port| json!({"id": id, "client": "10.0.0.1", "client_port": port, "server": "31.13.84.5", "server_port": 443, "protocol": "tcp"});
        let report = json!({"flows": [flow(1, 4000), flow(2, 4001)], "findings": [{"kind": "blackholing", "flow": flow(1, 4000), "flow_ids": [1, 2]}]});
        let said: Vec<String> = findings(&report)
            .into_iter()
            .map(|f| format!("{} {}", f.0, f.1))
            .collect();
        assert_eq!(
            said,
            [
                "10.0.0.1|4000 31.13.84.5|443 tcp blackhole",
                "10.0.0.1|4001 31.13.84.5|443 tcp blackhole"
            ]
        );
    }

    #[test]
    fn nothing_said_has_no_precision() {
        assert!(
            Tally {
                missed: 3,
                ..Tally::default()
            }
            .line("x")
            .contains("precision     -  recall 0.000")
        );
    }
}
