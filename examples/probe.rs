//! Prints what the engine measured, for development: `cargo run --example probe -- [-v] [-tTHREADS] FILE...`.
#![allow(
    clippy::print_stdout,
    reason = "what was measured is for a developer to read"
)]

use std::sync::atomic::AtomicBool;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut settings = dpiscope::pipeline::Settings::default();
    let mut paths = Vec::new();
    let mut show = false;
    for a in &args {
        if let Some(n) = a.strip_prefix("-t") {
            settings.threads = n.parse().unwrap();
        } else if a == "-v" {
            show = true;
            settings.flow_table = true;
        } else {
            paths.push(a.into());
        }
    }
    let (run, errors) =
        dpiscope::capture::Run::open(&paths, &dpiscope::capture::Options::default());
    for e in errors {
        eprintln!("{e}");
    }
    let catalogue = dpiscope::service::Catalogue::builtin();
    let a = dpiscope::pipeline::analyze(
        run,
        &settings,
        catalogue,
        &AtomicBool::new(false),
        &mut |_, _, _| {},
    );
    for c in &a.captures {
        eprintln!("{:?} dup {} undec {:?}", c.file, c.duplicates, c.undecoded);
    }
    eprintln!(
        "{} flows {} detailed, vantage {:?} evicted {}",
        a.around.flows.len(),
        a.flows.len(),
        a.around.vantage,
        a.evicted_flows
    );
    if show {
        for f in &a.flows {
            println!(
                "#{} {} end {:?} {}",
                f.index,
                serde_json::to_string(&f.summary).unwrap(),
                f.summary.end,
                f.detail.service_why
            );
            println!(
                "   client {}",
                serde_json::to_string(&f.detail.client).unwrap()
            );
            println!(
                "   server {}",
                serde_json::to_string(&f.detail.server).unwrap()
            );
            println!(
                "   rtt {} rec {}",
                serde_json::to_string(&f.detail.rtt).unwrap(),
                serde_json::to_string(&f.detail.recognised).unwrap()
            );
            for p in f.detail.packets.iter().take(20) {
                println!(
                    "     {:?} {:?} {:?} flags {:02x} seq {} ack {} len {} win {} ttl {} id {:?}",
                    p.frame.number(),
                    p.direction.unwrap(),
                    p.role,
                    p.flags,
                    p.seq,
                    p.ack,
                    p.payload,
                    p.window,
                    p.hop_limit,
                    p.ip_id
                );
            }
        }
    }
}
