//! From a case to a finding: adds up the rules, holds the sum against what the surroundings allow, says it in words.

use crate::detect::finding::{Evidence, Finding, Level, Mechanism, Parameter};
use crate::detect::rule::Weighed;
use crate::types::Direction;

use super::case::Case;
use super::rules::{RULES, USES};
use super::words::{bits, bytes};

/// Highest score without a control that was faster: below `likely`. A limit by itself may be the tariff, the line or the server.
const NO_CONTROL: f64 = 0.79;

/// Highest score of loss that was seen on the way to one server only: below `confirmed`.
pub(super) const ONE_PATH: f64 = 0.94;

/// Logarithm of the odds before anything is known.
const fn prior(mechanism: Mechanism) -> f64 {
    match mechanism {
        Mechanism::Policing => -4.5,
        Mechanism::Shaping => -4.0,
        _ => -3.0,
    }
}

/// Weighs a case for a mechanism; none below `suspected`.
pub(super) fn weigh(case: &Case<'_>, mechanism: Mechanism) -> Option<Finding> {
    let mut evidence: Vec<Evidence> = Vec::new();
    for (rule, usage) in RULES.iter().zip(USES) {
        if usage.of.contains(&mechanism)
            && let Weighed::Evidence(found) = rule.decide((usage.read)(case))
        {
            evidence.push(found);
        }
    }
    let sum: f64 = evidence.iter().map(|found| found.weight).sum();
    let mut score = 1.0 / (1.0 + (-(sum + prior(mechanism))).exp());
    let supports = |name: &str| {
        evidence
            .iter()
            .find(|found| found.rule == name)
            .map(|found| found.supports)
    };
    let has = |name: &str| supports(name) == Some(true);
    let essential = match mechanism {
        Mechanism::Policing => {
            has("policing.bucket_agreement") && has("policing.beyond_chance")
                || (has("policing.straight_line") || has("policing.tight_bucket"))
                    && has("policing.faster_start")
        }
        Mechanism::Shaping => {
            has("shaping.steady_service")
                && (has("shaping.standing_queue") || has("shaping.even_arrivals"))
        }
        _ => has("random_drop.heavy_loss"),
    };
    if !essential {
        return None;
    }
    let compared = match mechanism {
        Mechanism::RandomDrop => supports("random_drop.excess_loss"),
        _ => supports("shaping.control_fast"),
    };
    if compared != Some(true) {
        score = score.min(NO_CONTROL);
    }
    Level::of(score)?;
    evidence.sort_by(|a, b| {
        b.weight
            .abs()
            .total_cmp(&a.weight.abs())
            .then(a.rule.cmp(b.rule))
    });
    let ruled_out = evidence
        .iter()
        .filter(|found| found.supports)
        .filter_map(|found| found.rule.strip_prefix("innocent."))
        .collect();
    let first_loss = case.ledger.sent.iter().find(|sent| sent.lost);
    let (time, frame) = match (mechanism, &case.queue, first_loss) {
        (Mechanism::Policing, _, Some(sent)) => (crate::types::Timestamp(sent.time), sent.frame),
        (Mechanism::Policing, _, None) => {
            let onset = case.plateau.map_or(0, |plateau| plateau.onset);
            (case.ledger.sent.iter().find(|sent| sent.time >= onset)).map_or(
                (case.flow.summary.first, case.flow.summary.first_frame),
                |sent| (crate::types::Timestamp(sent.time), sent.frame),
            )
        }
        (Mechanism::Shaping, Some(queue), _) => case
            .ledger
            .sent
            .iter()
            .find(|sent| sent.time >= queue.onset)
            .map_or(
                (case.flow.summary.first, case.flow.summary.first_frame),
                |sent| (crate::types::Timestamp(sent.time), sent.frame),
            ),
        _ => (case.flow.summary.first, case.flow.summary.first_frame),
    };
    Some(Finding {
        mechanism,
        score,
        direction: Some(case.direction),
        flows: case.members.clone(),
        time,
        frame,
        parameters: parameters(case, mechanism),
        summary: summary(case, mechanism, compared),
        evidence,
        ruled_out,
    })
}

/// Up and down of one service as one finding where both were found.
pub(super) fn merge_directions(mut found: Vec<Finding>) -> Vec<Finding> {
    if found.len() < 2 {
        return found;
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut merged = found.remove(0);
    for other in found {
        merged.direction = None;
        for flow in other.flows {
            if !merged.flows.contains(&flow) {
                merged.flows.push(flow);
            }
        }
        if (other.time, other.frame) < (merged.time, merged.frame) {
            merged.time = other.time;
            merged.frame = other.frame;
        }
        merged.evidence.extend(other.evidence);
    }
    merged.flows.sort_unstable();
    merged
        .summary
        .insert_str(0, "both directions, the worse being ");
    vec![merged]
}

fn whole(value: f64) -> Parameter {
    Parameter::Integer(value.max(0.0).round() as u64)
}

fn share(value: f64) -> Parameter {
    Parameter::Number((value * 1e4).round() / 1e4)
}

/// The rate of the fastest control that counts, in bytes per second.
fn control_rate(case: &Case<'_>) -> Option<f64> {
    let enough = (case.burst() * 3 / 2).min(160_000);
    case.controls.fastest(enough).map(|control| control.peak)
}

fn parameters(case: &Case<'_>, mechanism: Mechanism) -> Vec<(&'static str, Parameter)> {
    let mut out = Vec::new();
    match (mechanism, &case.fit, &case.queue) {
        (Mechanism::Policing, Some(fit), _) => {
            out.push(("rate_bps", whole(fit.rate * 8.0)));
            out.push(("rate_bps_low", whole(fit.rate_low * 8.0)));
            out.push(("rate_bps_high", whole(fit.rate_high * 8.0)));
            out.push(("burst_bytes", whole(fit.burst)));
            out.push(("onset_bytes", Parameter::Integer(fit.before_loss)));
            out.push(("loss_ratio", share(case.ledger.loss_ratio())));
        }
        (Mechanism::Policing, None, _) => {
            if let Some(plateau) = &case.plateau {
                out.push(("rate_bps", whole(plateau.rate * 8.0)));
                out.push(("rate_bps_low", whole(plateau.rate * 8.0 * 0.97)));
                out.push(("rate_bps_high", whole(plateau.rate * 8.0 * 1.03)));
                out.push(("burst_bytes", whole(plateau.burst)));
                out.push(("onset_bytes", Parameter::Integer(plateau.onset_bytes)));
            }
        }
        (Mechanism::Shaping, _, Some(queue)) => {
            let start = case
                .ledger
                .sent
                .first()
                .map_or(queue.onset, |sent| sent.time);
            let usual = queue.rate * (queue.onset - start) as f64 / 1e9;
            out.push(("rate_bps", whole(queue.rate * 8.0)));
            out.push(("rate_bps_low", whole(queue.rate_low * 8.0)));
            out.push(("rate_bps_high", whole(queue.rate_high * 8.0)));
            out.push(("burst_bytes", whole(queue.onset_bytes as f64 - usual)));
            out.push(("onset_bytes", Parameter::Integer(queue.onset_bytes)));
            out.push(("loss_ratio", share(case.ledger.loss_ratio())));
        }
        _ => {
            out.push(("loss_ratio", share(case.pool.ratio())));
            if case.pool.control_sent > 0 {
                out.push(("control_loss_ratio", share(case.pool.control_ratio())));
            }
        }
    }
    if mechanism != Mechanism::RandomDrop {
        if let Some(rate) = control_rate(case) {
            out.push(("control_rate_bps", whole(rate * 8.0)));
        }
        if case.members.len() > 1 {
            out.push(("flows", Parameter::Integer(case.members.len() as u64)));
        }
    }
    out
}

fn summary(case: &Case<'_>, mechanism: Mechanism, compared: Option<bool>) -> String {
    let way = match case.direction {
        Direction::Up => "uplink",
        Direction::Down => "downlink",
    };
    let what = match (mechanism, &case.fit, &case.queue) {
        (Mechanism::Policing, Some(fit), _) => format!(
            "{way} policed at {} with a burst of {} ({:.1} % lost)",
            bits(fit.rate),
            bytes(fit.burst),
            case.ledger.loss_ratio() * 100.0
        ),
        (Mechanism::Policing, None, _) => format!(
            "{way} policed at {}, after a burst of {}",
            bits(case.rate().unwrap_or(0.0)),
            bytes(case.burst() as f64)
        ),
        (Mechanism::Shaping, _, Some(queue)) => format!(
            "{way} shaped to {}; packets waited up to {:.0} ms",
            bits(queue.rate),
            queue.wait * 1e3
        ),
        _ => format!(
            "{way}: {:.1} % of {} packets dropped whatever the rate",
            case.pool.ratio() * 100.0,
            case.pool.sent
        ),
    };
    let others = match (mechanism, compared) {
        (Mechanism::RandomDrop, Some(true)) => format!(
            ", {:.1} % in the client's other traffic",
            case.pool.control_ratio() * 100.0
        ),
        (_, Some(true)) => control_rate(case).map_or_else(String::new, |rate| {
            format!("; other traffic reached {} in the same minute", bits(rate))
        }),
        (Mechanism::RandomDrop, Some(false)) => {
            "; the client's other traffic lost too, so no more than suspected".to_owned()
        }
        (_, Some(false)) => {
            "; other traffic was hardly faster, so no more than suspected".to_owned()
        }
        (_, None) => {
            "; nothing of this client to compare with in the same minute, so no more than suspected"
                .to_owned()
        }
    };
    what + &others
}
