//! Every flow of a capture that got no answer, or whose answers ceased, with what it was judged to be: a table for docs/unanswered.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dpiscope::capture::{Options, Run};
use dpiscope::detect::Level;
use dpiscope::facts::{FlowFacts, SideFacts, Summary};
use dpiscope::pipeline::{self, Analysis, Scope, Settings};
use dpiscope::service::Catalogue;
use dpiscope::types::{Endpoint, Protocol};

/// What is alike goes into one row: protocol, whether there ever was an answer, the judgement.
type Kind = (Protocol, bool, String);

/// Of a row: how many flows, and to whom.
#[derive(Default)]
struct Row {
    flows: u32,
    servers: BTreeSet<(String, u16)>,
}

/// A silence is looked at from so many tries, and so many seconds, on: docs/detection.md, B2.
const TRIES: u32 = 3;
const SECONDS: f64 = 3.0;

/// The captures of a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder with captures");
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let table = path
                .extension()
                .is_some_and(|ending| ending == "tsv" || ending == "md");
            path.is_file() && !table
        })
        .collect();
    all.sort();
    all
}

/// All that is known of a capture and each of its flows; none where it is no capture.
pub(crate) fn analysis(path: &Path) -> Option<Analysis> {
    let (run, errors) = Run::open(&[path.to_owned()], &Options::default());
    if !errors.is_empty() {
        return None;
    }
    let settings = Settings {
        threads: 1,
        scope: Scope::All,
        flow_table: true,
        ..Settings::default()
    };
    let never = AtomicBool::new(false);
    let catalogue = Catalogue::builtin();
    let analysis = pipeline::analyze(run, &settings, catalogue, &never, &mut |_, _, _| {});
    Some(analysis)
}

/// Whether a side asked often and long, and nothing came.
fn asks_in_vain(side: &SideFacts) -> bool {
    let suffix = &side.unanswered;
    let lasted = suffix.since.zip(suffix.until);
    suffix.tries >= TRIES
        && lasted.is_some_and(|(since, until)| until.seconds_since(since) >= SECONDS)
}

/// What a flow without an answer was judged to be, in words; the surest reason first.
fn judged(analysis: &Analysis, index: usize, flow: &Summary) -> String {
    let finding = (analysis.assessment.findings.iter())
        .find(|finding| finding.flows.contains(&(index as u32)));
    if let Some(finding) = finding {
        let level = match Level::of(finding.score) {
            Some(Level::Suspected) => "suspected",
            Some(Level::Likely) => "**likely**",
            _ => "**confirmed**",
        };
        return format!("{level} `{}`", finding.mechanism.name());
    }
    let verdict = analysis.assessment.verdict(index as u32, flow);
    if let Some(cause) = verdict.end_cause {
        return format!("`{cause}`");
    }
    let around = &analysis.around;
    let never = !flow.answered();
    let packets = flow.up.packets + flow.down.packets;
    let left = around.last.seconds_since(flow.last);
    if flow.key.b.address.is_group() || flow.key.a.address.is_group() {
        "sent to a group: nobody has to answer".into()
    } else if never && around.flows.iter().all(|flow| !flow.answered()) {
        "no flow of the capture is answered: it was recorded one way, or put together of single packets".into()
    } else if never && flow.key.protocol == Protocol::Udp && packets < TRIES {
        "one or two datagrams, which nobody has to answer".into()
    } else if never && left < SECONDS {
        format!("the capture ends within {SECONDS} s")
    } else if verdict.why.is_empty() {
        "clear: what was sent last asks for no answer".into()
    } else {
        verdict.why.to_string()
    }
}

/// The rows of one capture.
fn rows(analysis: &Analysis) -> BTreeMap<Kind, Row> {
    let details: BTreeMap<u32, &FlowFacts> = (analysis.flows.iter())
        .map(|flow| (flow.index, flow))
        .collect();
    let mut rows: BTreeMap<Kind, Row> = BTreeMap::new();
    for (index, flow) in analysis.around.flows.iter().enumerate() {
        let ceased = details.get(&(index as u32)).is_some_and(|flow| {
            asks_in_vain(&flow.detail.client) || asks_in_vain(&flow.detail.server)
        });
        if flow.answered() && !ceased {
            continue;
        }
        let kind = (
            flow.key.protocol,
            flow.answered(),
            judged(analysis, index, flow),
        );
        let row = rows.entry(kind).or_default();
        row.flows += 1;
        let Endpoint { address, port } = flow.key.b;
        row.servers.insert((address.ip().to_string(), port));
    }
    rows
}

/// Whom the flows of a row were for, in a few words.
fn servers(row: &Row) -> String {
    const NAMED: usize = 2;
    let ports: BTreeSet<u16> = row.servers.iter().map(|(_, port)| *port).collect();
    match (row.servers.len(), ports.len(), ports.first()) {
        (0..=NAMED, ..) => {
            let named = row
                .servers
                .iter()
                .map(|(address, port)| format!("{address} port {port}"));
            named.collect::<Vec<_>>().join(", ")
        }
        (count, 1, Some(port)) => format!("{count} addresses, port {port}"),
        (count, ports, _) => format!("{count} ends, {ports} ports"),
    }
}

/// The table of all captures of a folder, and its sums.
pub(crate) fn table(folder: &Path) -> String {
    let mut text = String::new();
    let mut sums: BTreeMap<String, u32> = BTreeMap::new();
    let (mut never, mut ceased, mut captures) = (0, 0, 0);
    for path in files(folder) {
        let Some(analysis) = analysis(&path) else {
            continue;
        };
        let rows = rows(&analysis);
        captures += u32::from(!rows.is_empty());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for ((protocol, answered, judged), row) in &rows {
            let (flows, sum) = (row.flows, if *answered { &mut ceased } else { &mut never });
            *sum += flows;
            *sums.entry(judged.clone()).or_default() += flows;
            let protocol = if *protocol == Protocol::Tcp {
                "TCP"
            } else {
                "UDP"
            };
            let what = if *answered { "ceased" } else { "none" };
            let line = format!(
                "| `{name}` | {flows} | {protocol} | {} | {what} | {judged} |\n",
                servers(row)
            );
            text.push_str(&line);
        }
    }
    let mut by_judgement: Vec<(String, u32)> = sums.into_iter().collect();
    by_judgement.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut head = format!(
        "{never} flows without any answer and {ceased} whose answers ceased, in {captures} captures.\n\n| judged | flows |\n|---|---|\n"
    );
    for (judged, flows) in by_judgement {
        let _ = writeln!(head, "| {judged} | {flows} |");
    }
    head.push_str("\n| capture | flows | | to | answers | judged |\n|---|---|---|---|---|---|\n");
    head + &text
}
