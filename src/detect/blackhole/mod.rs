//! Judges silence: did somebody make it, or did it just happen?
//!
//! Absence is earned: tries that went unanswered, time for the answers, and something else of the client that worked meanwhile.

pub(in crate::detect) mod case;
pub(in crate::detect) mod innocent;
pub(crate) mod rules;

pub(in crate::detect) mod alive;
mod budget;
mod call;
mod chance;
mod constant;
mod groups;
mod icmp_prohibited;
mod known_server;
mod lasting;
mod other_quic;
mod parallel;
mod peer_repeats;
mod retries;
mod same_service;
mod signalling;
#[cfg(test)]
pub(in crate::detect) mod testing;
mod together;
mod tries;
mod unfinished;

use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Direction;

use super::finding::{Evidence, Finding, Level, Mechanism, Parameter};
use super::judged::Judged;
use super::rule::{LOST, Reading, Weighed};
use case::{Case, Stage};
use groups::Mark;
use rules::{INNOCENT, PRIOR, RULES};

/// A silence of which nothing innocent and nothing made could be shown.
const UNEXPLAINED: &str = "unexplained";

/// The rule that sees a filter's own word.
const TOLD: &str = "silence.icmp_prohibited";

/// What asks whether an absence was long and certain enough to be one.
const ABSENCE: [&str; 5] = [
    "silence.tries",
    "silence.lasting",
    "silence.chance",
    "gave_up_too_soon",
    "capture_end",
];

/// What asks whether one connection alone asked often and long enough.
const SHORT: [&str; 4] = [
    "silence.tries",
    "silence.lasting",
    "silence.chance",
    "gave_up_too_soon",
];

/// Most frames that one evidence of a finding cites.
const FRAMES_CITED: usize = 32;

/// Judges every flow in which one side fell silent while the other one tried or waited. `wanted` says which flows may yield findings; the
/// others get their cause all the same.
pub fn judge(
    flows: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
) -> Judged {
    let mut judged = Judged::default();
    let mut weighed: Vec<Weighing<'_>> = flows
        .iter()
        .filter_map(|flow| Case::of(flow, around))
        .filter(|case| {
            // an answer that was not seen may have been among what the capture lost
            let lost = around.lost_between(case.since, case.until);
            if lost {
                judged.blind.push((case.flow.index, LOST));
            }
            !lost
        })
        .map(|case| Weighing::new(case, around))
        .collect();
    doubt(&mut weighed, flows);
    add_up(&mut weighed, around);
    compare(&mut weighed, flows);
    let mut findings: Vec<(Finding, &FlowFacts)> = Vec::new();
    for weighing in weighed {
        let flow = weighing.case.flow;
        let score = weighing.score();
        let mechanism = weighing.mechanism();
        if Level::of(score) >= Some(Level::Likely) {
            judged.causes.push((flow.index, mechanism.name()));
        } else {
            // what a router or the host says itself needs no further tries
            let said = weighing.fits.contains(&"icmp_refused");
            if weighing.case.tries.len() >= 3 || said {
                judged.causes.push((flow.index, weighing.innocent_cause()));
            }
            if let Some(why) = weighing.missing() {
                judged.blind.push((flow.index, why));
            }
        }
        if Level::of(score).is_some() && wanted(flow) {
            findings.push((weighing.finding(score, mechanism), flow));
        }
    }
    judged.findings = join(findings);
    judged.causes.sort_unstable();
    judged.blind.sort_unstable();
    judged
}

/// One case with all rules applied.
struct Weighing<'f> {
    case: Case<'f>,
    mark: Mark,
    evidence: Vec<Evidence>,
    fits: Vec<&'static str>,
    ruled_out: Vec<&'static str>,
}

impl<'f> Weighing<'f> {
    fn new(case: Case<'f>, around: &CaptureFacts) -> Self {
        let mut weighing = Self {
            mark: groups::mark(&case),
            case,
            evidence: Vec::new(),
            fits: Vec::new(),
            ruled_out: Vec::new(),
        };
        let flow = weighing.case.flow;
        for rule in RULES {
            if let Weighed::Evidence(fact) = rule.weigh(flow, around) {
                weighing.evidence.push(fact);
            }
        }
        // Where a filter says what it did, one try is enough, and who is told gives up.
        let told = weighing.supports(TOLD);
        if told {
            weighing
                .evidence
                .retain(|fact| fact.supports || !ABSENCE.contains(&fact.rule));
        }
        for rule in INNOCENT
            .iter()
            .filter(|rule| !(told && ABSENCE.contains(&rule.name)))
        {
            match rule.weigh(flow, around) {
                Weighed::Evidence(fact) if fact.supports => {
                    weighing.fits.push(rule.name);
                    weighing.evidence.push(Evidence {
                        supports: false,
                        ..fact
                    });
                }
                Weighed::Evidence(_) => weighing.ruled_out.push(rule.name),
                Weighed::Blind(_) => {}
            }
        }
        weighing
    }

    fn score(&self) -> f64 {
        let sum: f64 = self.evidence.iter().map(|fact| fact.weight).sum();
        let score = 1.0 / (1.0 + (-(PRIOR + sum)).exp());
        // without anything else that worked meanwhile, silence is only silence; and what a NAT forgot it forgot for all flows that were idle, so that
        // many of them prove no more than one
        if self.supports("silence.alive") && !self.fits.contains(&"nat_timeout") {
            score
        } else {
            score.min(0.79)
        }
    }

    fn supports(&self, rule: &str) -> bool {
        self.evidence
            .iter()
            .any(|fact| fact.supports && fact.rule == rule)
    }

    fn innocent_cause(&self) -> &'static str {
        self.fits.first().copied().unwrap_or(UNEXPLAINED)
    }

    /// What kept the flow from being judged.
    fn missing(&self) -> Option<&'static str> {
        if self.fits.contains(&"captive_portal") {
            Some("nearly everything else that the client tried failed alike")
        } else if self.case.stage == Stage::Stalled {
            None
        } else if self.case.tries.len() < 3 {
            Some("too few tries before the flow or the capture ended")
        } else if !self
            .evidence
            .iter()
            .any(|fact| fact.rule == "silence.alive")
        {
            Some("silent, and no other flow of the client to compare with")
        } else {
            None
        }
    }

    fn mechanism(&self) -> Mechanism {
        match self.case.stage {
            Stage::Syn => Mechanism::SynUnanswered,
            Stage::Hello if self.supports("silence.parallel") => Mechanism::ConnectionLimit,
            Stage::Hello => Mechanism::HelloUnanswered,
            Stage::Later if self.supports("silence.together") => Mechanism::EndpointKilled,
            Stage::Later if self.supports("silence.budget") => Mechanism::StalledAfterBytes,
            Stage::Later => Mechanism::DelayedDrop,
            Stage::Stalled if self.case.is_brief() && !self.supports("silence.budget") => {
                Mechanism::DelayedDrop
            }
            Stage::Stalled => Mechanism::StalledAfterBytes,
            Stage::Quic => Mechanism::QuicInitialUnanswered,
            Stage::Stun | Stage::StunAnswersLost | Stage::Dtls | Stage::Media | Stage::Ceased => {
                Mechanism::MediaUnanswered
            }
        }
    }

    /// Which direction was cut, as far as it shows.
    fn direction(&self) -> Option<Direction> {
        match self.case.stage {
            Stage::Stalled | Stage::StunAnswersLost => Some(Direction::Down),
            _ if self.case.tries_from == Direction::Down => Some(Direction::Down),
            _ if self.supports("silence.peer_repeats") => Some(Direction::Up),
            _ => None,
        }
    }

    fn finding(self, score: f64, mechanism: Mechanism) -> Finding {
        let (direction, told) = (self.direction(), self.supports(TOLD));
        let Self {
            case,
            mut evidence,
            ruled_out,
            ..
        } = self;
        evidence.retain(|fact| fact.weight != 0.0);
        evidence.sort_by(|a, b| {
            b.weight
                .abs()
                .total_cmp(&a.weight.abs())
                .then(a.rule.cmp(b.rule))
        });
        for fact in &mut evidence {
            fact.frames.truncate(FRAMES_CITED);
        }
        let tries = case.tries.len() as u64;
        let mut parameters = vec![
            ("attempts", Parameter::Integer(tries)),
            (
                "silence_s",
                Parameter::Number((case.silence_s() * 1000.0).round() / 1000.0),
            ),
        ];
        let (down, up) = (
            case.delivered(Direction::Down),
            case.delivered(Direction::Up),
        );
        if mechanism == Mechanism::StalledAfterBytes {
            parameters.push(("bytes_delivered", Parameter::Integer(down.max(up))));
            parameters.push((
                "packets_delivered",
                Parameter::Integer(case.packets_before()),
            ));
        }
        let first = case.tries.first();
        let time = first.map_or(case.since, |packet| packet.time);
        let frame = first.map(|packet| packet.frame).or_else(|| {
            case.flow
                .detail
                .side(case.silent())
                .last_packet
                .map(|(_, frame)| frame)
        });
        Finding {
            mechanism,
            score,
            direction,
            flows: vec![case.flow.index],
            time,
            frame: frame.unwrap_or(case.flow.summary.first_frame),
            parameters,
            summary: summary(&case, mechanism, down.max(up), told),
            evidence,
            ruled_out,
        }
    }
}

fn summary(case: &Case<'_>, mechanism: Mechanism, delivered: u64, told: bool) -> String {
    let (tries, seconds) = (case.tries.len(), case.silence_s());
    let host = case
        .flow
        .detail
        .host
        .as_ref()
        .map_or_else(String::new, |name| format!(" for {name}"));
    let server = case.tries_from == Direction::Down;
    let what = match mechanism {
        Mechanism::SynUnanswered if server => "SYN/ACK never acknowledged",
        Mechanism::SynUnanswered => "SYN never answered",
        Mechanism::HelloUnanswered if server => "server's first answer never acknowledged",
        Mechanism::HelloUnanswered => "hello never answered",
        Mechanism::ConnectionLimit => "further connection stalls in the handshake",
        Mechanism::EndpointKilled => "living flows to one address and port silenced together",
        Mechanism::QuicInitialUnanswered => "QUIC Initials never answered",
        Mechanism::MediaUnanswered if case.stage == Stage::Media => "call's media goes one way",
        Mechanism::MediaUnanswered if case.stage == Stage::Dtls => {
            "call's DTLS handshake never answered, though its STUN is"
        }
        Mechanism::MediaUnanswered if case.stage == Stage::Ceased => {
            "call's media stops, though its STUN is answered"
        }
        Mechanism::MediaUnanswered => "call's relay never answers",
        Mechanism::StalledAfterBytes => {
            return format!(
                "transfer frozen after {delivered} bytes{host}, {seconds:.0} s of silence"
            );
        }
        _ => "silenced shortly after the handshake",
    };
    if told {
        return format!("{what}{host}: a filter on the way says that it forbids it (ICMP)");
    }
    format!("{what}{host}: {tries} tries, {seconds:.0} s of silence")
}

/// Asks again whether chance took all tries, where the client's other flows to the service lose much of what they send.
fn doubt(weighed: &mut [Weighing<'_>], flows: &[FlowFacts]) {
    const CHANCE: &str = "silence.chance";
    let Some(rule) = RULES.iter().find(|rule| rule.name == CHANCE) else {
        return;
    };
    if !weighed.iter().any(|weighing| weighing.supports(CHANCE)) {
        return;
    }
    let silenced = (weighed.iter())
        .filter(|one| one.case.tries.len() >= 3)
        .map(|one| one.case.flow.index)
        .collect();
    let recovered = chance::Recovered::of(flows, &silenced);
    for weighing in weighed.iter_mut().filter(|one| one.supports(CHANCE)) {
        if let Some(reading) = recovered.reading(&weighing.case)
            && let Weighed::Evidence(fact) = rule.decide(reading)
        {
            weighing.evidence.retain(|fact| fact.rule != CHANCE);
            weighing.evidence.push(fact);
        }
    }
}

/// Adds up what an impatient client's connections asked: together they outweigh that each of them gave up soon.
fn add_up(weighed: &mut [Weighing<'_>], around: &CaptureFacts) {
    let Some(rule) = RULES.iter().find(|rule| rule.name == "silence.retries") else {
        return;
    };
    let attempts = retries::Attempts::of(weighed.iter().map(|weighing| &weighing.case));
    for weighing in weighed {
        if weighing.supports("silence.tries") && weighing.supports("silence.lasting") {
            continue;
        }
        if let Weighed::Evidence(fact) = rule.decide(attempts.reading(&weighing.case, around)) {
            if fact.supports {
                // it stands in their place
                weighing.evidence.retain(|fact| !SHORT.contains(&fact.rule));
                weighing.fits.retain(|cause| !SHORT.contains(cause));
            }
            weighing.evidence.push(fact);
        }
    }
}

/// Measures what several silenced flows show together.
fn compare(weighed: &mut [Weighing<'_>], flows: &[FlowFacts]) {
    let marks: Vec<Mark> = weighed
        .iter()
        .filter(|weighing| weighing.score() >= 0.3)
        .map(|weighing| weighing.mark.clone())
        .collect();
    let siblings = groups::siblings_of(&marks, flows);
    for weighing in weighed {
        let own = &weighing.mark;
        let readings: [(&str, Reading); 4] = [
            ("silence.same_service", groups::same_service(own, &marks)),
            ("silence.constant", groups::constant(own, &marks)),
            ("silence.together", groups::together(own, &marks)),
            (
                "silence.parallel",
                groups::parallel(
                    own,
                    &marks,
                    weighing.case.flow,
                    siblings.get(&own.pair()).map_or(&[], Vec::as_slice),
                ),
            ),
        ];
        for (name, reading) in readings {
            if let Some(rule) = RULES.iter().find(|rule| rule.name == name)
                && let Weighed::Evidence(fact) = rule.decide(reading)
            {
                weighing.evidence.push(fact);
            }
        }
    }
}

/// Findings that are one act become one finding, which the first of them shows: the tries of one client for one name or service, the flows to one
/// killed endpoint, the flows of one call.
fn join(mut findings: Vec<(Finding, &FlowFacts)>) -> Vec<Finding> {
    /// Flows of one call lie this near to each other.
    const CALL_NS: i64 = 60_000_000_000;
    findings.sort_by_key(|(finding, _)| (finding.time, finding.frame));
    let mut joined: Vec<(Finding, &FlowFacts)> = Vec::new();
    for (finding, flow) in findings {
        let key = &flow.summary.key;
        let same = |(other, first): &&mut (Finding, &FlowFacts)| {
            let its = &first.summary.key;
            let one_client = its.a.address == key.a.address;
            let one_service =
                flow.summary.service != 0 && first.summary.service == flow.summary.service;
            other.mechanism == finding.mechanism
                && Level::of(other.score) >= Some(Level::Likely)
                && Level::of(finding.score) >= Some(Level::Likely)
                && match finding.mechanism {
                    Mechanism::EndpointKilled => {
                        its.b == key.b && finding.time.since(other.time) <= CALL_NS
                    }
                    Mechanism::MediaUnanswered => {
                        one_client && one_service && finding.time.since(other.time).abs() <= CALL_NS
                    }
                    Mechanism::SynUnanswered => {
                        one_client && (one_service || its.b.address == key.b.address)
                    }
                    Mechanism::StalledAfterBytes => {
                        one_client
                            && its.b == key.b
                            && first.detail.host == flow.detail.host
                            && alike(delivered(other), delivered(&finding))
                    }
                    _ => one_client && its.b == key.b && first.detail.host == flow.detail.host,
                }
        };
        match joined.iter_mut().rev().take(64).find(same) {
            Some((set, _)) => {
                set.flows.extend(&finding.flows);
                for fact in finding.evidence {
                    match set
                        .evidence
                        .iter_mut()
                        .find(|kept| kept.rule == fact.rule && kept.supports == fact.supports)
                    {
                        Some(kept) => {
                            kept.frames.extend(fact.frames);
                            kept.frames.truncate(FRAMES_CITED);
                        }
                        None => set.evidence.push(fact),
                    }
                }
                set.score = set.score.max(finding.score);
                set.direction = set.direction.filter(|own| Some(*own) == finding.direction);
            }
            None => joined.push((finding, flow)),
        }
    }
    joined
        .into_iter()
        .map(|(mut finding, _)| {
            if finding.flows.len() > 1 {
                finding
                    .parameters
                    .push(("flows", Parameter::Integer(finding.flows.len() as u64)));
                finding.summary = format!("{}, in {} flows", finding.summary, finding.flows.len());
            }
            finding
        })
        .collect()
}

fn delivered(finding: &Finding) -> u64 {
    finding
        .parameters
        .iter()
        .find_map(|(name, value)| match value {
            Parameter::Integer(bytes) if *name == "bytes_delivered" => Some(*bytes),
            _ => None,
        })
        .unwrap_or(0)
}

/// Whether two transfers stopped within a segment of each other.
const fn alike(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= 1000
}

#[cfg(test)]
mod tests {
    use super::testing::{Tale, among, around, ceased};
    use super::*;

    fn all(_: &FlowFacts) -> bool {
        true
    }

    fn only(flow: &FlowFacts, around: &CaptureFacts) -> Judged {
        judge(std::slice::from_ref(flow), around, &all)
    }

    #[test]
    fn a_hello_without_an_answer_beside_living_controls_is_likely() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let judged = only(&flow, &among(&flow, 0..80));
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::HelloUnanswered);
        assert!(finding.score >= 0.8, "{}", finding.score);
        assert!(finding.ruled_out.contains(&"client_offline"));
        assert_eq!(judged.causes, [(0, "hello_unanswered")]);
    }

    #[test]
    fn a_silence_in_which_the_capture_lost_packets_accuses_nobody() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let mut around = among(&flow, 0..80);
        let second = |seconds: i64| flow.summary.first.plus(seconds * 1_000_000_000);
        let loss = |from, to| crate::facts::Loss {
            from: second(from),
            to: second(to),
            packets: 3,
        };
        around.losses = vec![loss(1, 2)];
        let judged = only(&flow, &around);
        assert!(judged.findings.is_empty());
        assert_eq!(judged.blind, [(0, LOST)]);
        around.losses = vec![loss(-9, -8), loss(100, 101)];
        assert_eq!(only(&flow, &around).findings.len(), 1);
    }

    #[test]
    fn while_the_client_still_tries_a_silence_of_some_seconds_is_only_suspected() {
        let tried = |again, seconds| {
            let flow = Tale::new()
                .handshake(40)
                .hello()
                .again(again)
                .build(seconds);
            let judged = only(&flow, &among(&flow, 0..80));
            judged
                .findings
                .first()
                .and_then(|finding| Level::of(finding.score))
        };
        // a smaller segment, or the end of an outage, may yet be answered
        assert_eq!(tried(4, 2), Some(Level::Suspected));
        assert!(tried(5, 2) >= Some(Level::Likely));
        // who gave up will get no answer
        let flow = Tale::new().handshake(40).hello().again(4).abort().build(2);
        let judged = only(&flow, &among(&flow, 0..80));
        assert!(judged.findings[0].score >= 0.8);
    }

    #[test]
    fn alone_it_is_suspected_at_most() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let judged = only(&flow, &around());
        assert!(judged.findings.iter().all(|finding| finding.score < 0.8));
    }

    #[test]
    fn when_everything_falls_silent_nobody_is_accused() {
        let flow = Tale::new().handshake(40).hello().again(6).build(10);
        let mut around = among(&flow, 0..80);
        around.flows[1].activity = crate::facts::Activity::default();
        let judged = only(&flow, &around);
        assert!(judged.findings.is_empty());
        assert_eq!(judged.causes, [(0, "client_offline")]);
    }

    #[test]
    fn a_capture_that_ends_after_the_hello_accuses_nobody() {
        let flow = Tale::new().handshake(40).hello().build(1);
        let judged = only(&flow, &among(&flow, 0..80));
        assert!(judged.findings.is_empty());
    }

    #[test]
    fn a_download_that_freezes_in_a_record_is_a_stall_with_its_bytes() {
        let mut flow = Tale::new().handshake(40).hello().answer(15_900).build(12);
        flow.detail.recognised.record_missing_down = 700;
        let judged = only(&flow, &among(&flow, 0..80));
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::StalledAfterBytes);
        assert!(finding.score >= 0.8, "{}", finding.score);
        assert_eq!(delivered(finding), 15_900);
    }

    #[test]
    fn an_answer_that_is_complete_accuses_nobody() {
        let flow = Tale::new().handshake(40).hello().answer(15_900).build(12);
        let judged = only(&flow, &among(&flow, 0..80));
        assert!(judged.findings.is_empty());
    }

    #[test]
    fn a_syn_without_an_answer_from_a_messengers_only_address_is_likely_and_from_nobodys_is_not() {
        let mut flow = Tale::new().syn().again(5).build(10);
        let around = among(&flow, 0..80);
        let nobody = only(&flow, &around);
        assert!(nobody.findings.iter().all(|finding| finding.score < 0.8));
        flow.summary.service = 1;
        let judged = only(&flow, &around);
        assert!(judged.findings.iter().any(|finding| finding.score >= 0.8));
    }

    #[test]
    fn an_app_that_gives_up_soon_and_tries_again_has_asked_long_enough() {
        let tries = |count: u32| -> Vec<FlowFacts> {
            (0..count)
                .map(|turn| {
                    let mut flow = Tale::new().handshake(40).hello().again(3).abort().build(40);
                    flow.summary.key.a.port += turn as u16;
                    flow.index = turn;
                    flow.summary.service = 1;
                    flow
                })
                .collect()
        };
        let four = tries(4);
        let likely = |flows: &[FlowFacts]| {
            judge(flows, &among(&flows[0], 0..16), &all)
                .findings
                .iter()
                .any(|finding| finding.score >= 0.8)
        };
        assert!(likely(&four));
        assert!(!likely(&four[..2]));
    }

    #[test]
    fn what_a_filter_on_the_way_forbids_needs_no_further_tries() {
        let told = |kind, code, from_peer| {
            let mut flow = Tale::new().syn().icmp(kind, code, from_peer).build(20);
            flow.summary.service = 1;
            only(&flow, &among(&flow, 0..80))
        };
        let judged = told(3, 13, false);
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::SynUnanswered);
        assert!(finding.score >= 0.8, "{}", finding.score);
        assert!(finding.summary.contains("ICMP"), "{}", finding.summary);
        assert!(told(3, 1, false).findings.is_empty());
        assert!(told(3, 13, true).findings.is_empty());
    }

    #[test]
    fn a_router_without_a_way_is_named_after_a_single_try() {
        let flow = Tale::new().syn().icmp(3, 1, false).build(20);
        let judged = only(&flow, &among(&flow, 0..80));
        assert!(judged.findings.is_empty());
        assert_eq!(judged.causes, [(0, "icmp_refused")]);
    }

    #[test]
    fn media_that_ceases_while_its_stun_is_answered_is_likely_beside_a_living_messenger() {
        let flow = ceased(10);
        let mut around = among(&flow, 0..40);
        let judged = only(&flow, &around);
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::MediaUnanswered);
        let level = |judged: &Judged| Level::of(judged.findings[0].score);
        assert_eq!(level(&judged), Some(Level::Likely));
        around.flows[1].service = flow.summary.service;
        assert_eq!(level(&only(&flow, &around)), Some(Level::Likely));
        // without anything else that lives it may be the link
        let alone = only(&flow, &self::around());
        assert!(alone.findings.iter().all(|finding| finding.score < 0.8));
    }

    #[test]
    fn a_dtls_handshake_that_is_not_answered_while_stun_is_is_likely() {
        let mut flow = Tale::new().dtls_hellos(6).build(4);
        flow.summary.service = 1;
        flow.detail.server.stun_responses = 6;
        flow.summary.down.packets = 6;
        let judged = only(&flow, &among(&flow, 0..40));
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::MediaUnanswered);
        assert_eq!(Level::of(finding.score), Some(Level::Likely));
        assert!(finding.summary.contains("DTLS"), "{}", finding.summary);
        // the far party says something else, too
        flow.summary.down.packets = 9;
        assert!(only(&flow, &among(&flow, 0..40)).findings.is_empty());
    }

    #[test]
    fn a_call_that_ends_pauses_or_moves_accuses_nobody() {
        let judged = |flow: &FlowFacts| only(flow, &among(flow, 0..40));
        // the client learns of the end after two seconds
        assert!(judged(&ceased(2)).findings.is_empty());
        // the far party reported what it received, and its next report may yet come
        let mut reported = ceased(7);
        reported.detail.server.media.reports = 3;
        assert!(judged(&reported).findings.is_empty());
        // nothing at all came, so it is not only the media
        let mut moved = ceased(10);
        moved.detail.server.media.stun_since = 0;
        assert!(judged(&moved).findings.is_empty());
        // the far party speaks over another relay
        let flow = ceased(10);
        let mut around = among(&flow, 0..40);
        let mut other = around.flows[1].clone();
        other.key.protocol = crate::types::Protocol::Udp;
        (other.key.b.port, other.service, other.down.packets) = (3478, 1, 400);
        around.flows.push(other);
        around.by_client.push(2);
        around.by_server.push(2);
        let moved = only(&flow, &around);
        assert!(moved.findings.is_empty());
        assert_eq!(moved.causes, [(0, "call_elsewhere")]);
    }

    #[test]
    fn initials_without_an_answer_are_named_so() {
        let flow = Tale::new().initials(5).build(5);
        let mut around = among(&flow, 0..80);
        around.flows[1].key.b.address = flow.summary.key.b.address;
        let judged = only(&flow, &around);
        assert_eq!(
            judged.findings.first().map(|finding| finding.mechanism),
            Some(Mechanism::QuicInitialUnanswered)
        );
    }
}
