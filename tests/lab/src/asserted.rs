//! Did everything happen that the truth file says, and nothing else?
//!
//! What the box says of itself is held against what the captures show: how much came through, how fast, what stopped and when. An innocent
//! scenario must have shown what it is there to show; a look-alike that looks like nothing proves nothing.

use crate::censor::{Act, Done, Way};
use crate::packet::{ACK, FIN, RST, SYN, TCP, UDP};
use crate::path::Record;
use crate::plan::{Flow, Transport};
use crate::run::Recorded;
use crate::scenario::Scenario;
use crate::truth::{Sight, is_shared, share_of_rate, sights, verdict};

/// One flow: what was planned, what the box did to it, what the client's program saw, what passed either face and the box.
struct Told<'a> {
    flow: &'a Flow,
    done: Done,
    kind: &'static str,
    ended: &'a str,
    steps: &'a [serde_json::Value],
    client: Vec<Sight>,
    server: Vec<Sight>,
    path: Vec<Sight>,
}

impl Told<'_> {
    fn ok(&self) -> bool {
        self.ended == "ok"
    }
    /// At the client's face, from the server.
    fn down(&self) -> impl DoubleEndedIterator<Item = &Sight> {
        self.client.iter().filter(|x| x.way == Way::Down)
    }
    fn up(&self) -> impl DoubleEndedIterator<Item = &Sight> {
        self.client.iter().filter(|x| x.way == Way::Up)
    }
    fn resets_down(&self) -> usize {
        self.down()
            .filter(|x| !x.forged && x.v.has(RST) && x.v.protocol == TCP)
            .count()
    }
    fn is_control(&self) -> bool {
        self.flow.innocent == "control"
    }
}

fn told<'a>(run: &'a Recorded) -> Vec<Told<'a>> {
    let s = &run.scenario;
    let mut all = Vec::new();
    for (flow, seen) in s.flows.iter().zip(&run.seen) {
        let protocol = if flow.transport.is_udp() { UDP } else { TCP };
        let done = run.outcome.censor.done(protocol, flow.client, flow.server);
        let of = |records: &[Record], ports: &[u16]| {
            sights(records, protocol, flow.client.ip(), ports, flow.server)
        };
        let own = [flow.client.port()];
        let rebound: Vec<u16> = s
            .rebinds
            .iter()
            .filter(|r| r.client == flow.client)
            .map(|r| r.port)
            .chain(own)
            .collect();
        all.push(Told {
            kind: verdict(s, flow, &done).0,
            flow,
            ended: &seen.end,
            steps: &seen.steps,
            client: of(&run.outcome.client, &own),
            server: of(&run.outcome.server, &rebound),
            path: of(&run.outcome.path, &own),
            done,
        });
    }
    all
}

/// What differs from what the scenario says; nothing where all is as meant.
pub fn check(run: &Recorded) -> Vec<String> {
    let s = &run.scenario;
    let all = told(run);
    let mut wrong = Vec::new();
    for t in &all {
        if t.client.is_empty() {
            wrong.push(format!("no packet of {}", t.flow.service));
        }
        if t.kind != "none" && !t.flow.target {
            wrong.push(format!("{} was not to be touched", t.flow.service));
        }
        if t.is_control() && !t.ok() {
            wrong.push(format!("control {} ended {}", t.flow.service, t.ended));
        }
    }
    let hit: Vec<&Told> = all.iter().filter(|t| t.kind != "none").collect();
    match s.family {
        "none" => innocent(run, &all, &mut wrong),
        _ if hit.is_empty() => wrong.push("the box did nothing".into()),
        "rst_injection" => injected(s, &hit, run.outcome.counters.path_loss, &mut wrong),
        "blackhole" => silenced(s, &all, &hit, &mut wrong),
        _ => slowed(s, &hit, &mut wrong),
    }
    wrong
}

fn injected(s: &Scenario, hit: &[&Told], path_loss: u32, wrong: &mut Vec<String>) {
    for t in hit {
        let forged =
            |seen: &[Sight], way| seen.iter().filter(|x| x.forged && x.way == way).count() as u32;
        let (down, up) = (
            t.done.forged_to_client + t.done.rewritten,
            t.done.forged_to_server,
        );
        // What a box beside the server forges is not on the path's record before it has walked.
        for (what, made, arrived) in [
            ("client", down, forged(&t.client, Way::Down)),
            ("server", up, forged(&t.server, Way::Up)),
        ] {
            if arrived > made || (path_loss == 0 && arrived < made) || (made > 0 && arrived == 0) {
                wrong.push(format!(
                    "{made} forged for the {what} of {}, {arrived} arrived",
                    t.flow.service
                ));
            }
        }
    }
    // The one that reaches only the server may be too late for a client that has its answer; no other is.
    let cut = hit.iter().filter(|t| !t.ok()).count();
    if cut * 2 < hit.len() {
        wrong.push(format!("only {cut} of {} flows were cut", hit.len()));
    }
    if s.mechanism == "tspu_rewrite"
        && hit
            .iter()
            .any(|t| t.down().any(|x| !x.forged && x.v.payload() > 0))
    {
        wrong.push("data came through the rewriting box".into());
    }
}

fn silenced(s: &Scenario, all: &[Told], hit: &[&Told], wrong: &mut Vec<String>) {
    // In flight at the drop, at most: the way from the box to a host that is farther than the base path, and what jitter adds.
    let flight = (s.rtt_ms * 1.8 + s.jitter_ms * 2.0) / 1000.0 + 0.15;
    let (up, down) = s
        .rules
        .iter()
        .fold((false, false), |(u, d), rule| match rule.act {
            Act::Drop { up, down, .. } => (u || up, d || down),
            Act::Limit { .. } => (true, true),
            _ => (u, d),
        });
    for t in hit {
        let Some(first) = t.done.first_drop_s else {
            continue;
        };
        let late = |seen: &[Sight], way| {
            seen.iter()
                .filter(|x| x.way == way && x.at > first + flight)
                .count()
        };
        for (dropped, what, passed) in [
            (down, "client", late(&t.client, Way::Down)),
            (up, "server", late(&t.server, Way::Up)),
        ] {
            if dropped && passed > 0 {
                wrong.push(format!(
                    "{passed} packets for the {what} of {} after the drop",
                    t.flow.service
                ));
            }
        }
        // A call ends when its time is up, whatever came of it.
        if t.ok() && t.flow.media_s == 0.0 {
            wrong.push(format!("{} ended well all the same", t.flow.service));
        }
    }
    for t in hit {
        let first = t.done.first_drop_s.unwrap_or_default();
        let after = || t.down().filter(|x| x.at > first + flight);
        match s.mechanism {
            "media_ceased" if after().any(|x| x.is_media()) => {
                wrong.push("media came through".into())
            }
            "media_ceased" if after().count() < 2 => wrong.push("STUN was not answered".into()),
            "media_ceased" if t.down().filter(|x| x.is_media()).count() < 50 => {
                wrong.push("there had been no media".into());
            }
            "freeze_16k" => {
                let delivered: usize = t.down().map(|x| x.v.payload()).sum();
                if !(13_000..=24_000).contains(&delivered) {
                    wrong.push(format!("frozen after {delivered} bytes"));
                }
            }
            "packet_budget" => {
                // Packets of one moment cannot be told apart by their time.
                let first = t.done.first_drop_s.unwrap_or_default();
                let before = t.path.iter().filter(|x| x.at < first).count() as u32;
                let by_then = t.path.iter().filter(|x| x.at <= first).count() as u32;
                let passed = t.done.packets_at_first_drop.map_or(0, |n| n - 1);
                if !(before..=by_then).contains(&passed) {
                    wrong.push(format!(
                        "{before} to {by_then} packets passed, the box let {passed} through"
                    ));
                }
            }
            "syn_drop_ip" | "synack_drop_ip" if t.down().next().is_some() => {
                wrong.push("a SYN was answered".into());
            }
            "residual_syn_drop" if t.done.residual && t.down().next().is_some() => {
                wrong.push("a SYN was answered in the time of residual blocking".into());
            }
            _ => {}
        }
    }
    let targets = || all.iter().filter(|t| t.flow.target);
    match s.mechanism {
        "residual_syn_drop" if !hit.iter().any(|t| t.done.residual) => {
            wrong.push("no flow met the residual blocking".into());
        }
        "connection_limit" => {
            let through = targets().filter(|t| t.kind == "none" && t.ok()).count();
            if through == 0 || through + hit.len() != targets().count() {
                wrong.push(format!(
                    "{through} got through, {} did not, of {}",
                    hit.len(),
                    targets().count()
                ));
            }
        }
        "list_update" | "midstream_residual" => {
            if hit.len() != targets().count() {
                wrong.push(format!(
                    "{} of {} sessions died",
                    hit.len(),
                    targets().count()
                ));
            }
            if hit.iter().any(|t| t.steps.len() < 2) {
                wrong.push("a session had not lived before it died".into());
            }
        }
        _ => {}
    }
}

fn slowed(s: &Scenario, hit: &[&Told], wrong: &mut Vec<String>) {
    let limits = s.rules.iter().find_map(|rule| match rule.act {
        Act::Police { way, .. } | Act::Shape { way, .. } => Some(way),
        _ => None,
    });
    if let (Some(way), Some(rate)) = (limits, s.rate_kbps) {
        let burst = s.burst.unwrap_or(0.0);
        let of_rate =
            |bytes: f64, from: f64, to: f64| (bytes - burst) * 8.0 / (to - from) / 1000.0 / rate;
        let mut best = f64::NEG_INFINITY;
        for t in hit {
            let Some(share) = share_of_rate(s, &t.done) else {
                continue;
            };
            best = best.max(share);
            if share > 1.05 {
                wrong.push(format!("{} got {share:.2} of the rate", t.flow.service));
            }
            // The receiver's capture must show the same, but for what the path lost behind the box and for the moment of arming, in which
            // packets before and behind it cannot be told apart.
            let (face, behind) = if way == Way::Up {
                (&t.server, &s.way.box_to_server)
            } else {
                (&t.client, &s.way.box_to_client)
            };
            let delay = behind.delay_ms / 1000.0;
            let (from, to) = (t.done.armed_after_s, t.done.last_after_s);
            let jitter = s.jitter_ms / 1000.0;
            let window = from + delay + jitter + 0.002..to + delay * 1.8 + jitter + 0.02;
            let arrived: usize = face
                .iter()
                .filter(|x| x.way == way && window.contains(&x.at))
                .map(|x| x.v.length)
                .sum();
            let there = of_rate(arrived as f64, from, to);
            if there > share + 0.1 || there < share - 0.15 {
                wrong.push(format!(
                    "{} got {share:.2} of the rate at the box and {there:.2} at the receiver",
                    t.flow.service
                ));
            }
        }
        // One bucket for all is judged by what all got, from the first to the last.
        if is_shared(s) {
            let bytes: u64 = hit.iter().map(|t| t.done.passed_bytes_after).sum();
            let times = || hit.iter().map(|t| &t.done);
            let from = times().map(|d| d.armed_after_s).fold(f64::MAX, f64::min);
            let to = times().map(|d| d.last_after_s).fold(0.0, f64::max);
            best = of_rate(bytes as f64, from, to);
            if best > 1.05 {
                wrong.push(format!("together they got {best:.2} of the rate"));
            }
        }
        // Goodput must have sat at the rate, at least in one flow.
        if best < 0.6 {
            wrong.push(format!("nobody came near the rate: {best:.2} of it"));
        }
    }
    for rule in &s.rules {
        let Act::Lose { up, down } = rule.act else {
            continue;
        };
        for t in hit {
            for (p, offered, dropped) in [
                (up, t.done.offered_up, t.done.dropped_up),
                (down, t.done.offered_down, t.done.dropped_down),
            ] {
                let (n, d) = (f64::from(offered), f64::from(dropped));
                // Four standard deviations of a binomial.
                if (d - n * p).abs() > 4.0 * (n * p * (1.0 - p)).sqrt() + 1.0 {
                    wrong.push(format!(
                        "{dropped} of {offered} dropped where {p} was meant"
                    ));
                }
            }
        }
    }
}

/// Flows of innocent scenarios that are meant to fail.
const FAILS: [&str; 12] = [
    "client_abort",
    "dead_host",
    "icmp_expired",
    "icmp_unreachable",
    "ice_pair_dead",
    "lb_idle_rst",
    "nat_idle_drop",
    "nat_rebinding_tcp",
    "quic_refused",
    "refused_port",
    "server_fin",
    "server_linger_rst",
];

fn innocent(run: &Recorded, all: &[Told], wrong: &mut Vec<String>) {
    let s = &run.scenario;
    let c = &run.outcome.counters;
    for t in all {
        let may_fail = FAILS.contains(&t.flow.innocent)
            || matches!(t.flow.innocent, "tls_alert" | "server_restart");
        if !t.ok() && !may_fail {
            wrong.push(format!(
                "{} {} ended {}",
                t.flow.service, t.flow.innocent, t.ended
            ));
        }
        if let Some(missing) = not_shown(t) {
            wrong.push(format!("{} {}: {missing}", t.flow.service, t.flow.innocent));
        }
    }
    let dropped = |why| c.dropped.get(why).copied().unwrap_or(0);
    let some = |what: bool, missing: &str, wrong: &mut Vec<String>| {
        if !what {
            wrong.push(missing.into());
        }
    };
    match s.mechanism {
        "random_loss" => some(c.path_loss >= 5, "hardly a packet was lost", wrong),
        "congestion" => some(c.queue_drop >= 10, "the link was wide enough", wrong),
        "bufferbloat" => some(c.queue_ms_max >= 400.0, "no queue to speak of", wrong),
        "slow_line" => some(c.queue_ms_max >= 150.0, "the line was not slow", wrong),
        "reordering" => some(c.reordered >= 10, "nothing came out of order", wrong),
        "handover" | "loss_burst" => some(
            c.held + dropped("outage") >= 3,
            "nobody met the silence",
            wrong,
        ),
        "pmtu_blackhole" => some(
            dropped("too_big") >= 2,
            "no packet was too big for the path",
            wrong,
        ),
        "plan_policer" => {
            let limited = |control: bool| {
                all.iter()
                    .filter(|t| (t.flow.innocent == "plan_policer" && !t.flow.messenger) == control)
                    .any(|t| t.done.dropped_down > 0)
            };
            some(
                limited(true) && limited(false),
                "the plan spared somebody",
                wrong,
            );
        }
        "server_restart" => some(
            all.iter().filter(|t| t.resets_down() > 0).count() >= 2
                && all.iter().any(|t| {
                    t.flow.innocent == "server_restart" && t.flow.start.as_secs() >= 6 && t.ok()
                }),
            "it did not reset two sessions and come back",
            wrong,
        ),
        "server_fin" => some(
            all.iter()
                .any(|t| t.down().any(|x| x.v.has(FIN)) && t.resets_down() > 0),
            "no closed socket was met",
            wrong,
        ),
        "slow_reader" => some(
            all.iter()
                .any(|t| t.up().any(|x| x.v.flags == ACK && x.v.window == 0)),
            "no window closed",
            wrong,
        ),
        _ => {}
    }
}

/// What an innocent flow is there to show and did not.
fn not_shown(t: &Told) -> Option<&'static str> {
    let needs = |there: bool, missing| if there { None } else { Some(missing) };
    let seconds = |op: &str| {
        t.steps
            .iter()
            .find(|s| s["op"] == op)
            .and_then(|s| s["s"].as_f64())
    };
    match t.flow.innocent {
        "server_linger_rst" => needs(t.resets_down() > 0, "no reset of the server's"),
        "client_abort" => needs(t.up().any(|x| x.v.has(RST)), "no reset of the client's"),
        "refused_port" => needs(
            t.down().any(|x| x.v.has(RST)) && t.ended.contains("ConnectionRefused"),
            "not refused",
        ),
        "lb_idle_rst" => needs(t.done.forged_to_client > 0, "not reset"),
        "nat_idle_drop" => needs(t.done.dropped_up >= 3, "not forgotten"),
        "icmp_expired" | "icmp_unreachable" => needs(!t.ok(), "not refused"),
        "icmp_too_big" => needs(t.done.dropped_up >= 1, "nothing was too big"),
        "dead_host" | "ice_pair_dead" => needs(t.down().next().is_none(), "somebody answered"),
        "tls_alert" => needs(!t.ok(), "not refused"),
        "half_close" => {
            let fin = t.up().find(|x| x.v.has(FIN)).map(|x| x.at);
            needs(
                fin.is_some_and(|at| {
                    t.down().filter(|x| x.at > at && x.v.payload() > 0).count() >= 5
                }),
                "nothing came behind the client's FIN",
            )
        }
        "port_reuse" => {
            let mut isns: Vec<u32> = t
                .up()
                .filter(|x| x.v.flags & (SYN | ACK) == SYN)
                .map(|x| x.v.seq)
                .collect();
            isns.dedup();
            needs(isns.len() >= 2, "the port was used once")
        }
        "fast_open" => needs(
            t.up().any(|x| x.v.has(SYN) && x.v.payload() > 0),
            "no SYN with payload",
        ),
        "nat_rebinding" | "nat_rebinding_tcp" => {
            let own = t.flow.client.port();
            let elsewhere = t
                .server
                .iter()
                .any(|x| x.way == Way::Up && x.v.source_port != own);
            let reset = t.server.iter().any(|x| x.way == Way::Down && x.v.has(RST));
            needs(
                elsewhere && reset == (t.flow.transport != Transport::Quic),
                "the port did not change, or the server did not do as it should",
            )
        }
        "think_time" => {
            let longest = t
                .steps
                .iter()
                .filter_map(|s| s["s"].as_f64())
                .fold(0.0, f64::max);
            needs(longest >= 2.9, "no time to think")
        }
        "app_limited" | "server_paced" => {
            let step = t
                .flow
                .steps
                .iter()
                .find(|s| s.up_chunk + s.down_chunk > 0)?;
            let (bytes, chunk, gap) = if step.down_chunk > 0 {
                (step.down, step.down_chunk, step.down_gap_ms)
            } else {
                (step.up, step.up_chunk, step.up_gap_ms)
            };
            let paced = bytes.saturating_sub(u32::from(step.lead) * 4_096);
            let meant = f64::from(paced) / f64::from(chunk) * f64::from(gap) / 1000.0;
            needs(
                seconds(step.name).is_some_and(|s| s > 0.85 * meant && s < 1.3 * meant + 1.5),
                "not at its pace",
            )
        }
        "call_muted" if t.flow.media_s > 0.0 => needs(
            t.down().count() * 4 < t.up().count() && t.down().count() > 3,
            "the far party was not muted",
        ),
        "call_hold" => {
            // Seconds without media from the far party, though it answers.
            let end = t.down().next_back().map_or(0.0, |x| x.at);
            let media = t.down().filter(|x| x.is_media() && x.v.payload() > 60);
            let times: Vec<f64> = media.map(|x| x.at).chain([end]).collect();
            let longest = times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
            needs(longest > 4.0, "nobody held")
        }
        "happy_eyeballs" => needs(
            t.up().all(|x| x.v.payload() == 0) && t.up().any(|x| x.v.has(RST)),
            "the loser spoke",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::apps::Seen;
    use crate::censor::Censor;
    use crate::path::{Counters, Outcome};
    use crate::scenario::matrix;

    fn nothing_happened(scenario: Scenario) -> Recorded {
        let seen = scenario
            .flows
            .iter()
            .map(|_| Seen {
                end: "ok".into(),
                ..Seen::default()
            })
            .collect();
        let outcome = Outcome {
            client: Vec::new(),
            server: Vec::new(),
            path: Vec::new(),
            counters: Counters::default(),
            censor: Censor::new(Vec::new(), Instant::now(), StdRng::seed_from_u64(1)),
        };
        Recorded {
            scenario,
            outcome,
            seen,
        }
    }

    #[test]
    fn a_run_in_which_nothing_happened_is_as_meant_for_no_scenario() {
        for scenario in matrix(1) {
            let (name, guilty) = (scenario.name.clone(), scenario.family != "none");
            let wrong = check(&nothing_happened(scenario));
            assert!(!wrong.is_empty(), "{name}");
            let idle = wrong.iter().any(|w| w == "the box did nothing");
            assert_eq!(idle, guilty, "{name}: {wrong:?}");
        }
    }

    #[test]
    fn a_look_alike_that_shows_nothing_is_told_apart_by_name() {
        // What these show is a thing of its own, not only that packets passed.
        for (scenario, missing) in [
            ("ng_fast_open_1", "no SYN with payload"),
            ("ng_linger_1", "no reset of the server's"),
            ("ng_bufferbloat_1", "no queue to speak of"),
            ("ng_nat_idle_1", "not forgotten"),
            ("ng_pmtu_1", "no packet was too big for the path"),
            ("ng_slow_reader_1", "no window closed"),
        ] {
            let one = matrix(1).into_iter().find(|s| s.name == scenario);
            let wrong = check(&nothing_happened(one.expect("a scenario")));
            assert!(
                wrong.iter().any(|w| w.contains(missing)),
                "{scenario}: {wrong:?}"
            );
        }
    }
}
