//! The lab: real TCP, TLS and QUIC endpoints, a path between them that delays, loses and interferes, captures of both faces and the truth.
//!
//! `dpiscope-lab list [WORD]` names the scenarios, `dpiscope-lab run [--out DIR] [--seed N] [--jobs N] [--only WORD]` records them,
//! `dpiscope-lab score [--out DIR] [--analyzer 'COMMAND {file}']` holds an analyzer's reports against the truth.
//! The hosts live in unnamed network namespaces without a route out; they end with the process, however it ends.
#![forbid(unsafe_code)]

mod apps;
mod asserted;
mod censor;
mod packet;
mod path;
mod plan;
mod run;
mod scenario;
mod score;
mod tls;
mod truth;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Map, Value, json};

struct Options {
    out: PathBuf,
    seed: u64,
    jobs: usize,
    analyzer: String,
    only: Vec<String>,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<(String, Options), String> {
    let command = words.next().unwrap_or_else(|| "list".into());
    let mut o = Options {
        out: "target/lab".into(),
        seed: 1,
        jobs: 8,
        analyzer: "dpiscope analyze --format json --flows {file}".into(),
        only: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--out" => o.out = value()?.into(),
            "--seed" => o.seed = value()?.parse().map_err(|_| "--seed takes a number")?,
            "--jobs" => o.jobs = value()?.parse().map_err(|_| "--jobs takes a number")?,
            "--analyzer" => o.analyzer = value()?,
            "--only" => o.only.push(value()?),
            name if !name.starts_with('-') => o.only.push(name.into()),
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok((command, o))
}

/// Labels from an earlier run in the same folder, so that a part can be recorded again.
fn earlier(folder: &Path) -> (Map<String, Value>, Vec<Value>) {
    let text = std::fs::read_to_string(folder.join("labels.json")).unwrap_or_default();
    let Ok(Value::Object(mut all)) = serde_json::from_str(&text) else {
        return Default::default();
    };
    let names = all
        .remove("scenarios")
        .and_then(|v| {
            if let Value::Object(m) = v {
                Some(m)
            } else {
                None
            }
        })
        .unwrap_or_default();
    let captures = all
        .remove("captures")
        .and_then(|v| {
            if let Value::Array(a) = v {
                Some(a)
            } else {
                None
            }
        })
        .unwrap_or_default();
    (names, captures)
}

fn save(
    folder: &Path,
    seed: u64,
    names: &Map<String, Value>,
    captures: &[Value],
) -> std::io::Result<()> {
    let head = json!({"format": 1, "set": "lab", "seed": seed, "scenarios": names});
    let mut text = head.to_string();
    text.pop();
    text += ",\n\"captures\": [\n";
    text += &captures
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join(",\n");
    text += "\n]}\n";
    let temporary = folder.join("labels.json.new");
    std::fs::write(&temporary, text)?;
    std::fs::rename(temporary, folder.join("labels.json"))
}

fn main() -> std::process::ExitCode {
    match work() {
        Ok(0) => std::process::ExitCode::SUCCESS,
        Ok(_) => std::process::ExitCode::FAILURE,
        Err(why) => {
            eprintln!("lab: {why}");
            std::process::ExitCode::from(2)
        }
    }
}

fn work() -> Result<usize, String> {
    let (command, o) = options(std::env::args().skip(1))?;
    if command == "score" {
        return score::run(&o.out, &o.analyzer, o.jobs.min(2), &o.only);
    }
    let mut scenarios = scenario::matrix(o.seed);
    if !o.only.is_empty() {
        scenarios.retain(|s| o.only.iter().any(|word| s.name.contains(word.as_str())));
    }
    match command.as_str() {
        "list" => {
            for s in &scenarios {
                println!(
                    "{:24} {:14} {:24} {}",
                    s.name, s.family, s.mechanism, s.about
                );
            }
            let (guilty, innocent, fewest) = scenario::families(&scenarios);
            println!(
                "families: {guilty} guilty, {innocent} innocent, fewest points {fewest}; {} scenarios",
                scenarios.len()
            );
            return Ok(0);
        }
        "run" => {}
        other => {
            return Err(format!(
                "unknown command {other}; there are list, run and score"
            ));
        }
    }
    if let Err(why) = run::possible() {
        println!("lab: not run: {why}");
        return Ok(0);
    }
    std::fs::create_dir_all(&o.out).map_err(|e| format!("{}: {e}", o.out.display()))?;
    let (mut names, mut captures) = earlier(&o.out);
    for s in &scenarios {
        names.insert(s.name.clone(), json!(s.about));
    }
    captures.retain(|c| {
        c["scenario"]
            .as_str()
            .is_some_and(|n| names.contains_key(n) && scenarios.iter().all(|s| s.name != n))
    });
    let total = scenarios.len();
    scenarios.reverse();
    let queue = Mutex::new(scenarios);
    let result = Mutex::new((captures, 0_usize, 0_usize));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..o.jobs {
            scope.spawn(|| {
                loop {
                    let Some(s) = queue.lock().ok().and_then(|mut q| q.pop()) else {
                        return;
                    };
                    let name = s.name.clone();
                    let outcome = run::run(s).and_then(|recorded| {
                        let wrong = asserted::check(&recorded);
                        truth::write(&recorded, &o.out)
                            .map(|labels| (labels, wrong))
                            .map_err(|e| e.to_string())
                    });
                    let Ok(mut shared) = result.lock() else {
                        return;
                    };
                    shared.1 += 1;
                    let so_far = shared.1;
                    match outcome {
                        Ok((labels, wrong)) => {
                            let packets = labels
                                .first()
                                .map_or(0, |l| l["capture"]["packets"].as_u64().unwrap_or(0));
                            println!(
                                "[{so_far}/{total} {:.0} s] {name}: {packets} packets{}",
                                begin.elapsed().as_secs_f64(),
                                if wrong.is_empty() {
                                    String::new()
                                } else {
                                    format!("  WRONG: {}", wrong.join("; "))
                                }
                            );
                            shared.2 += usize::from(!wrong.is_empty());
                            shared.0.extend(labels);
                            if let Err(e) = save(&o.out, o.seed, &names, &shared.0) {
                                println!("lab: labels not written: {e}");
                            }
                        }
                        Err(why) => {
                            println!("[{so_far}/{total}] {name}: FAILED: {why}");
                            shared.2 += 1;
                        }
                    }
                }
            });
        }
    });
    let (_, _, wrong) = result
        .into_inner()
        .map_err(|_| "a worker died".to_string())?;
    let left = run::left_behind();
    if !left.is_empty() {
        return Err(format!("left behind: {}", left.join(", ")));
    }
    println!(
        "lab: {total} scenarios in {:.0} s, {wrong} not as meant, written to {}",
        begin.elapsed().as_secs_f64(),
        o.out.display()
    );
    Ok(wrong)
}
