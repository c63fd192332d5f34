//! Judges resets and FINs: did the side that they name send them?

pub(in crate::detect) mod case;
pub(crate) mod rules;

mod acknowledgement;
mod alive_after;
mod both_ends;
mod burst;
mod clock;
mod controls_live;
mod fin_timestamps_missing;
mod fin_unanswered;
mod flow_label;
mod header_unlike;
mod hop_limit;
mod hop_limit_handshake;
mod hop_limit_siblings;
mod icmp_alive_after;
mod icmp_hop_limit;
mod icmp_too_fast;
mod ip_id;
mod ip_id_copied;
mod other_names;
mod payload;
mod port_serves;
mod refusal;
mod refused_everywhere;
mod repeats;
mod reply_missing;
mod rewritten;
mod same_box;
mod second_reset;
mod sequence_behind;
mod signature;
mod stepped;
#[cfg(test)]
pub(in crate::detect) mod testing;
mod timestamps_missing;
mod too_fast;
mod train;
mod trigger;
mod unasked;
mod uneven;
mod window_copied;
mod window_unlike;

pub use signature::tampering_signature;

use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::{Direction, Protocol};

use super::finding::{Evidence, Finding, Level, Mechanism, Parameter};
use super::judged::Judged;
use super::rule::{Reading, Rule, Weighed};
use case::{Case, Suspicion};
use rules::{HOP_LIMIT, INNOCENT, IP_ID_LIMIT, PRIOR_CLOSE, PRIOR_RESET, RULES};

/// A reset of which nothing innocent and nothing forged could be shown.
const UNEXPLAINED: &str = "unexplained";

/// Innocent causes that can be asked of a FIN; the others ask about resets, which may be the consequences of a forged FIN.
const CAUSES_OF_A_FIN: [&str; 2] = ["tls_alert", "local_middlebox"];

/// Lone refusals by servers of no messenger that are weighed in full. A scan makes millions, nearly all of closed ports.
const REFUSALS_OF_NOBODYS: usize = 4096;

/// Most frames that one evidence of a finding cites.
const FRAMES_CITED: usize = 32;

/// Judges every flow with a reset, and every one whose FIN does not fit. `wanted` says which flows may yield findings; the others get their cause
/// all the same.
pub fn judge(
    flows: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
) -> Judged {
    judge_without(flows, around, wanted, "")
}

/// The same as if the rule of the name `without` did not exist: what it contributes is measured by what is found without it.
pub fn judge_without(
    flows: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
    without: &str,
) -> Judged {
    let mut judged = Judged::default();
    let mut weighed = Vec::new();
    let mut nobodys = 0;
    for flow in flows
        .iter()
        .filter(|flow| flow.summary.key.protocol == Protocol::Tcp)
    {
        match Case::of(flow, around) {
            Some(case) => weighed.push(Weighing::new(case, around, &mut nobodys, without)),
            // What the capture's own host sent is its own, and has a cause too.
            None if !flow.detail.resets.is_empty() => {
                judged
                    .causes
                    .push((flow.index, innocent_cause(flow, around)));
            }
            None => {}
        }
    }
    if without != "rst.other_names" {
        compare_names(&mut weighed, flows);
    }
    if without != "rst.refused_everywhere" {
        compare_refusals(&mut weighed, around);
    }
    if without != "rst.same_box" {
        share_marks(&mut weighed);
    }
    let mut findings: Vec<(Finding, &FlowFacts)> = Vec::new();
    for weighing in weighed {
        let case = &weighing.case;
        let flow = case.flow;
        let score = weighing.score();
        let mechanism = weighing.mechanism();
        let likely = Level::of(score) >= Some(Level::Likely);
        if likely {
            judged.causes.push((flow.index, mechanism.name()));
        } else if case.suspicion == Suspicion::Reset || !flow.detail.resets.is_empty() {
            let cause = innocent_cause(flow, around);
            judged.causes.push((flow.index, cause));
            if cause == UNEXPLAINED
                && case.suspicion == Suspicion::Reset
                && own_headers(flow, around).is_none()
            {
                judged.blind.push((
                    flow.index,
                    "no packet of the side that the reset names to compare it with",
                ));
            }
        }
        if Level::of(score).is_some() && wanted(flow) {
            findings.push((weighing.finding(score, mechanism), flow));
        }
    }
    judged.findings = join_retries(findings);
    refusal::judge(flows, around, wanted, without, &mut judged);
    judged.causes.sort_unstable();
    judged.blind.sort_unstable();
    judged
}

/// The names of all rules that [`judge_without`] can leave out.
pub fn rule_names() -> impl Iterator<Item = &'static str> {
    RULES.iter().chain(INNOCENT).map(|rule| rule.name)
}

/// One case with all rules applied.
struct Weighing<'f> {
    case: Case<'f>,
    evidence: Vec<Evidence>,
    ruled_out: Vec<&'static str>,
    /// A lone RST/ACK to a SYN, as a closed port gives it.
    refused: bool,
}

impl<'f> Weighing<'f> {
    /// `nobodys` counts the refusals by servers of no messenger.
    fn new(case: Case<'f>, around: &CaptureFacts, nobodys: &mut usize, without: &str) -> Self {
        let flow = case.flow;
        let mut evidence = Vec::new();
        let mut ruled_out = Vec::new();
        // A FIN in its place is the ordinary end of nearly every flow: the full measure is for those out of place.
        let ordinary = case.suspicion == Suspicion::Close
            && own_headers(flow, around) == Some(true)
            && !counts("rst.alive_after", flow, around);
        let refused = case.suspects.len() == 1
            && case.ordinary().next().is_none()
            && innocent_cause(flow, around) == "refused_port";
        let messenger = around.messenger.get(usize::from(flow.summary.service));
        let plain = refused && messenger != Some(&true) && {
            *nobodys += 1;
            *nobodys > REFUSALS_OF_NOBODYS
        };
        if !ordinary && !plain {
            for rule in RULES.iter().filter(|rule| rule.name != without) {
                if let Weighed::Evidence(fact) = rule.weigh(flow, around) {
                    evidence.push(fact);
                }
            }
            let causes = INNOCENT.iter().filter(|rule| {
                rule.name != without
                    && (case.suspicion == Suspicion::Reset || CAUSES_OF_A_FIN.contains(&rule.name))
            });
            for rule in causes {
                match rule.weigh(flow, around) {
                    Weighed::Evidence(fact) if fact.supports => evidence.push(Evidence {
                        supports: false,
                        ..fact
                    }),
                    Weighed::Evidence(_) => ruled_out.push(rule.name),
                    Weighed::Blind(_) => {}
                }
            }
        }
        // Of a FIN, the server's own close is ruled out by its headers, or by payload after it.
        if case.suspicion == Suspicion::Close
            && case.named == Direction::Down
            && !ordinary
            && (own_headers(flow, around) == Some(false) || counts("rst.alive_after", flow, around))
        {
            ruled_out.push("server_close");
        }
        Self {
            case,
            evidence,
            ruled_out,
            refused,
        }
    }

    fn score(&self) -> f64 {
        let prior = match self.case.suspicion {
            Suspicion::Reset => PRIOR_RESET,
            Suspicion::Close => PRIOR_CLOSE,
        };
        let sum: f64 = self.evidence.iter().map(|fact| fact.weight).sum();
        1.0 / (1.0 + (-(prior + sum)).exp())
    }

    fn supports(&self, rule: &str) -> bool {
        self.evidence
            .iter()
            .any(|fact| fact.supports && fact.rule == rule)
    }

    fn mechanism(&self) -> Mechanism {
        let another_header = [
            "rst.hop_limit",
            "rst.hop_limit_handshake",
            "rst.ip_id",
            "rst.clock",
            "rst.ip_id_copied",
            "rst.too_fast",
        ]
        .iter()
        .any(|rule| self.supports(rule));
        match self.case.suspicion {
            Suspicion::Close => Mechanism::ForgedFin,
            Suspicion::Reset
                if self.supports("rst.train")
                    || !another_header && rewritten::stands_for_data(&self.case) =>
            {
                Mechanism::RewrittenReply
            }
            Suspicion::Reset
                if self.supports("rst.reply_missing")
                    && !another_header
                    && !self.supports("rst.alive_after") =>
            {
                Mechanism::RewrittenReply
            }
            Suspicion::Reset => Mechanism::ForgedRst,
        }
    }

    fn finding(self, score: f64, mechanism: Mechanism) -> Finding {
        let both = self.supports("rst.both_ends");
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
        let trigger = case.trigger().map(|(trigger, _)| trigger);
        let count = case.suspects.len();
        let mut parameters = vec![(
            "trigger",
            Parameter::Text(trigger.map_or("unknown", case::Trigger::name).to_owned()),
        )];
        parameters.push((
            if case.suspicion == Suspicion::Close {
                "fin_count"
            } else {
                "rst_count"
            },
            Parameter::Integer(count as u64),
        ));
        parameters.push((
            "hop_limit",
            Parameter::Integer(u64::from(case.first.hop_limit)),
        ));
        if let Some(usual) = usual(case.ordinary().map(|packet| packet.hop_limit)) {
            parameters.push(("usual_hop_limit", Parameter::Integer(u64::from(usual))));
        }
        if let Some((_, said)) = case.trigger() {
            parameters.push((
                "delay_ms",
                Parameter::Number(case.first.time.since(said.time) as f64 / 1e6),
            ));
        }
        Finding {
            mechanism,
            score,
            direction: if both { None } else { Some(case.named) },
            flows: vec![case.flow.index],
            time: case.first.time,
            frame: case.first.frame,
            parameters,
            summary: summary(&case, mechanism, count, trigger, both),
            evidence,
            ruled_out,
        }
    }
}

/// Whether the rule of this name counts for the flow.
fn counts(name: &str, flow: &FlowFacts, around: &CaptureFacts) -> bool {
    RULES.iter().find(|rule| rule.name == name).is_some_and(
        |rule: &Rule| matches!(rule.weigh(flow, around), Weighed::Evidence(fact) if fact.supports),
    )
}

/// The value that most of them have; the smallest of equals.
fn usual(hop_limits: impl Iterator<Item = u8>) -> Option<u8> {
    let mut counts = [0_u32; 256];
    for hop_limit in hop_limits {
        counts[usize::from(hop_limit)] += 1;
    }
    (0..=255_u8)
        .filter(|value| counts[usize::from(*value)] > 0)
        .max_by_key(|value| (counts[usize::from(*value)], std::cmp::Reverse(*value)))
}

fn summary(
    case: &Case<'_>,
    mechanism: Mechanism,
    count: usize,
    trigger: Option<case::Trigger>,
    both: bool,
) -> String {
    let what = match (mechanism, count) {
        (Mechanism::ForgedFin, _) => "forged FIN".to_owned(),
        (Mechanism::RewrittenReply, 1) => "server's reply rewritten to a bare RST".to_owned(),
        (Mechanism::RewrittenReply, _) => {
            format!("server's replies rewritten to {count} bare RSTs")
        }
        (_, 1) => "1 forged RST".to_owned(),
        _ => format!("{count} forged RSTs"),
    };
    let whose = match (both, case.named) {
        (true, _) => " to both ends",
        (false, Direction::Up) => " in the client's name",
        (false, Direction::Down) => "",
    };
    let after = match trigger {
        Some(case::Trigger::Syn) => " after the SYN",
        Some(case::Trigger::ClientHello) => " after the ClientHello",
        Some(case::Trigger::HttpRequest) => " after the request",
        Some(case::Trigger::FirstPayload) => " after the client's first payload",
        Some(case::Trigger::LaterPayload) => " in the middle of the conversation",
        None => "",
    };
    let host = case
        .flow
        .detail
        .host
        .as_ref()
        .map_or_else(String::new, |name| format!(" for {name}"));
    format!("{what}{whose}{after}{host}")
}

/// Whether the reset (or FIN) has the headers of the side that it names, as far as can be compared. What left the host next to the capture is its own.
pub(in crate::detect) fn own_headers(flow: &FlowFacts, around: &CaptureFacts) -> Option<bool> {
    let Some(case) = Case::of(flow, around) else {
        return Some(true);
    };
    let at_least = |reading: &Reading, limit: f64| match reading {
        Reading::Measured { value, .. } => Some(*value >= limit),
        Reading::Blind(_) => None,
    };
    let way = at_least(&hop_limit::measure(flow, around), HOP_LIMIT)
        .or_else(|| at_least(&hop_limit_handshake::measure(flow, around), HOP_LIMIT + 1.0));
    let mut rest = [
        at_least(&ip_id::measure(flow, around), IP_ID_LIMIT),
        at_least(&ip_id_copied::measure(flow, around), 1.0),
        at_least(&clock::measure(flow, around), 1.0),
        // Stacks of the BSD family, which phones have, leave options out of resets (their `tcp_output`); a FIN of theirs has them.
        (case.suspicion == Suspicion::Close || case.named == Direction::Down)
            .then(|| at_least(&timestamps_missing::judge(&case), 1.0))
            .flatten(),
    ]
    .into_iter()
    .flatten();
    match way {
        Some(alien) => Some(!alien && !rest.any(|alien| alien)),
        None => rest.any(|alien| alien).then_some(false),
    }
}

/// The first innocent cause that fits.
fn innocent_cause(flow: &FlowFacts, around: &CaptureFacts) -> &'static str {
    INNOCENT
        .iter()
        .find(|rule| matches!(rule.weigh(flow, around), Weighed::Evidence(fact) if fact.supports))
        .map_or(UNEXPLAINED, |rule| rule.name)
}

/// Measures `rst.other_names`.
fn compare_names(weighed: &mut [Weighing<'_>], flows: &[FlowFacts]) {
    let Some(rule) = RULES.iter().find(|rule| rule.name == "rst.other_names") else {
        return;
    };
    let lived = other_names::Lived::of(flows);
    for weighing in weighed
        .iter_mut()
        .filter(|weighing| !weighing.evidence.is_empty())
    {
        if let Weighed::Evidence(fact) = rule.decide(lived.beside(&weighing.case)) {
            weighing.evidence.push(fact);
        }
    }
}

/// Measures `rst.refused_everywhere`.
fn compare_refusals(weighed: &mut [Weighing<'_>], around: &CaptureFacts) {
    let Some(rule) = (RULES.iter()).find(|rule| rule.name == "rst.refused_everywhere") else {
        return;
    };
    let of = |weighing: &&Weighing<'_>| weighing.refused;
    let cases = weighed.iter().filter(of).map(|weighing| &weighing.case);
    let refused = refused_everywhere::Refused::of(cases, around);
    for weighing in weighed.iter_mut().filter(|weighing| weighing.refused) {
        if let Weighed::Evidence(fact) = rule.decide(refused.reading(&weighing.case)) {
            weighing.evidence.push(fact);
        }
    }
}

/// Forged flows that a mark is compared with. Beyond a few hundred one more says nothing new; the limit keeps the whole linear.
const ENOUGH: usize = 256;

/// Measures `rst.same_box` among the flows that look forged without it.
fn share_marks(weighed: &mut [Weighing<'_>]) {
    let Some(rule) = RULES.iter().find(|rule| rule.name == "rst.same_box") else {
        return;
    };
    let marks: Vec<(usize, same_box::Mark)> = weighed
        .iter()
        .enumerate()
        .filter(|(_, weighing)| {
            weighing.case.suspicion == Suspicion::Reset && weighing.score() >= 0.5
        })
        .map(|(index, weighing)| (index, same_box::mark(&weighing.case)))
        .collect();
    for (index, own) in &marks {
        let others = marks
            .iter()
            .filter(|(other, _)| other != index)
            .map(|(_, mark)| mark)
            .take(ENOUGH);
        if let Some(weighing) = weighed.get_mut(*index)
            && let Weighed::Evidence(fact) =
                rule.decide(same_box::among(&weighing.case, own, others))
        {
            weighing.evidence.push(fact);
        }
    }
}

/// Findings on the tries of one client for one name at one server become one finding: the strongest of them gives score and evidence, the packets of the others that show the same stand beside its own.
fn join_retries(mut findings: Vec<(Finding, &FlowFacts)>) -> Vec<Finding> {
    findings.sort_by_key(|(finding, _)| (finding.time, finding.frame));
    let mut joined: Vec<(Finding, &FlowFacts)> = Vec::new();
    for (finding, flow) in findings {
        let same = |(other, first): &&mut (Finding, &FlowFacts)| {
            first.summary.key.a.address == flow.summary.key.a.address
                && first.summary.key.b == flow.summary.key.b
                && other.mechanism == finding.mechanism
                && other.direction == finding.direction
                && first.detail.host == flow.detail.host
                && Level::of(other.score) >= Some(Level::Likely)
                && Level::of(finding.score) >= Some(Level::Likely)
        };
        match joined.iter_mut().rev().take(64).find(same) {
            Some((set, _)) => {
                set.flows.extend(&finding.flows);
                let (mut kept, other) = if finding.score > set.score {
                    set.score = finding.score;
                    set.ruled_out = finding.ruled_out;
                    (finding.evidence, std::mem::take(&mut set.evidence))
                } else {
                    (std::mem::take(&mut set.evidence), finding.evidence)
                };
                for fact in &mut kept {
                    let same = other
                        .iter()
                        .find(|other| other.rule == fact.rule && other.supports == fact.supports);
                    if let Some(same) = same {
                        fact.frames.extend(&same.frames);
                        fact.frames.sort_unstable();
                        fact.frames.truncate(FRAMES_CITED);
                    }
                }
                set.evidence = kept;
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
                    .push(("tries", Parameter::Integer(finding.flows.len() as u64)));
                finding.summary = format!("{}, in {} tries", finding.summary, finding.flows.len());
            }
            finding
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::testing::{Story, around};
    use super::*;

    fn all(_: &FlowFacts) -> bool {
        true
    }

    fn only(flow: &FlowFacts) -> Judged {
        judge(std::slice::from_ref(flow), &around(), &all)
    }

    #[test]
    fn a_forged_reset_after_the_hello_with_the_server_going_on_is_confirmed() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(4)
            .forge_with(|_| {})
            .wait(36)
            .ack_down()
            .closed_up()
            .data_down(1448)
            .closed_up()
            .build();
        let judged = only(&flow);
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::ForgedRst);
        assert!(finding.score >= 0.95, "{}", finding.score);
        assert!(
            finding.ruled_out.contains(&"server_close"),
            "{:?}",
            finding.ruled_out
        );
        assert_eq!(judged.causes, [(0, "forged_rst")]);
    }

    #[test]
    fn a_close_with_linger_is_the_servers_own() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .data_down(1448)
            .ack_up()
            .data_up(80)
            .wait(41)
            .data_down(200)
            .data_up(75)
            .wait(41)
            .abort_down()
            .build();
        let judged = only(&flow);
        assert!(judged.findings.is_empty(), "{:?}", judged.findings);
        assert_eq!(judged.causes, [(0, "server_close")]);
    }

    #[test]
    fn a_load_balancers_idle_reset_is_not_a_forgery() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_down(1448)
            .data_down(600)
            .ack_up()
            .wait(60_000)
            .data_up(80)
            .wait(20)
            .forge_with(|_| {})
            .build();
        let judged = only(&flow);
        assert!(judged.findings.is_empty(), "{:?}", judged.findings);
        assert_eq!(judged.causes, [(0, "idle_reset")]);
    }

    #[test]
    fn replies_rewritten_to_resets_are_told_by_their_steps() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .ack_down()
            .wait(2)
            .rewritten_down(1448)
            .rewritten_down(1012)
            .build();
        let judged = only(&flow);
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::RewrittenReply);
        assert!(finding.score >= 0.8, "{}", finding.score);
    }

    #[test]
    fn a_forged_fin_is_told_by_the_data_behind_it() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(4)
            .forge_with(|fin| fin.flags = 0x11)
            .ack_up()
            .fin_up()
            .wait(36)
            .data_down(1448)
            .closed_up()
            .data_down(1000)
            .build();
        let judged = only(&flow);
        let finding = judged.findings.first().expect("a finding");
        assert_eq!(finding.mechanism, Mechanism::ForgedFin);
        assert!(finding.score >= 0.8, "{}", finding.score);
    }

    #[test]
    fn an_ordinary_end_gives_neither_finding_nor_cause() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_down(1448)
            .fin_up()
            .wait(40)
            .fin_down()
            .ack_up()
            .build();
        assert_eq!(only(&flow), Judged::default());
    }

    #[test]
    fn what_the_client_resets_itself_is_its_own() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(40)
            .data_down(1448)
            .abort_up()
            .build();
        let judged = only(&flow);
        assert!(judged.findings.is_empty());
        assert_eq!(judged.causes, [(0, "client_abort")]);
    }

    #[test]
    fn out_of_scope_there_is_a_cause_and_no_finding() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .wait(4)
            .forge_with(|_| {})
            .wait(36)
            .ack_down()
            .data_down(1448)
            .build();
        let judged = judge(std::slice::from_ref(&flow), &around(), &|_| false);
        assert!(judged.findings.is_empty());
        assert_eq!(judged.causes, [(0, "forged_rst")]);
    }

    #[test]
    fn the_tries_for_one_name_make_one_finding() {
        let forged = || {
            Story::new()
                .handshake(40)
                .hello()
                .wait(4)
                .forge_with(|_| {})
                .wait(36)
                .ack_down()
                .data_down(1448)
                .build()
        };
        let (first, mut second) = (forged(), forged());
        second.index = 1;
        second.summary.key.a.port += 1;
        let judged = judge(&[first, second], &around(), &all);
        assert_eq!(judged.findings.len(), 1);
        assert_eq!(judged.findings[0].flows, [0, 1]);
    }
}
