//! Puts the families' findings together and says of each flow how it came out.

use crate::facts::{CaptureFacts, FlowFacts, Summary, Vantage};
use crate::types::Protocol;

use super::finding::{Assessment, Finding, FlowVerdict, Judgement, Level};
use super::{Judged, allowlist, blackhole, injection, shaping};

/// Judges all flows; `wanted` says which may yield findings. Flows that are only `shown`, for the flow table, get the cause of their end, and
/// change nothing else: what is asked to be shown must not change what is found.
#[must_use]
pub fn assess(
    flows: &[FlowFacts],
    shown: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
) -> Assessment {
    let rates = shaping::judge(flows, around, wanted);
    assess_with(flows, shown, around, wanted, rates)
}

/// The same where rates were judged before: that takes longest, and need not be done whenever the rest is.
#[must_use]
pub fn assess_with(
    flows: &[FlowFacts],
    shown: &[FlowFacts],
    around: &CaptureFacts,
    wanted: &dyn Fn(&FlowFacts) -> bool,
    rates: Judged,
) -> Assessment {
    // the order is one of precedence: who resets a flow also silences it, and who silences it also slows it down
    let families = [
        injection::judge(flows, around, wanted),
        blackhole::judge(flows, around, wanted),
        rates,
    ];
    let mut verdicts: Vec<FlowVerdict> = around.flows.iter().map(without_detail).collect();
    for flow in flows {
        if let Some(verdict) = verdicts.get_mut(flow.index as usize) {
            *verdict = with_detail(flow, around.vantage.value);
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    for Judged {
        findings: found,
        causes,
        blind,
    } in families
    {
        for (index, why) in blind {
            if let Some(verdict) = verdicts.get_mut(index as usize)
                && verdict.judgement == Judgement::Clear
            {
                verdict.judgement = Judgement::NotAssessable;
                verdict.why = why.into();
            }
        }
        for (index, cause) in causes {
            if let Some(verdict) = verdicts.get_mut(index as usize) {
                verdict.end_cause = verdict.end_cause.or(Some(cause));
            }
        }
        let convicted = |index: &u32| {
            verdicts
                .get(*index as usize)
                .is_some_and(|verdict| verdict.judgement == Judgement::Interfered)
        };
        let mut kept: Vec<Finding> = found
            .into_iter()
            .filter_map(|mut finding| {
                finding.flows.retain(|index| !convicted(index));
                (!finding.flows.is_empty()).then_some(finding)
            })
            .collect();
        for finding in kept
            .iter()
            .filter(|finding| Level::of(finding.score) >= Some(Level::Likely))
        {
            for index in &finding.flows {
                if let Some(verdict) = verdicts.get_mut(*index as usize) {
                    verdict.judgement = Judgement::Interfered;
                    verdict.why = "".into();
                    verdict.end_cause = verdict.end_cause.or(Some(finding.mechanism.name()));
                }
            }
        }
        findings.append(&mut kept);
    }
    for (index, cause) in injection::judge(shown, around, &|_| false).causes {
        if let Some(verdict) = verdicts.get_mut(index as usize) {
            verdict.end_cause = verdict.end_cause.or(Some(cause));
        }
    }
    for flow in shown {
        if let Some(verdict) = verdicts.get_mut(flow.index as usize) {
            verdict.tampering_signature = signature(flow, around.vantage.value);
        }
    }
    findings.sort_by(|a, b| {
        (a.time, a.frame, a.mechanism, &a.flows).cmp(&(b.time, b.frame, b.mechanism, &b.flows))
    });
    Assessment {
        findings,
        verdicts,
        notes: allowlist::note(around).into_iter().collect(),
    }
}

/// The verdict on a flow of which only the summary was kept, because nothing about it stood out.
fn without_detail(flow: &Summary) -> FlowVerdict {
    let (judgement, why) = match (flow.up.packets, flow.down.packets) {
        (0, _) | (_, 0) => (
            Judgement::TooLittleData,
            "nothing of the other side was seen",
        ),
        _ if flow.key.protocol == Protocol::Tcp
            && flow.up.data_packets == 0
            && flow.down.data_packets == 0 =>
        {
            (Judgement::TooLittleData, "neither side sent anything")
        }
        _ => (Judgement::Clear, ""),
    };
    FlowVerdict {
        judgement,
        why: why.into(),
        ..FlowVerdict::default()
    }
}

fn with_detail(flow: &FlowFacts, vantage: Vantage) -> FlowVerdict {
    let mut verdict = without_detail(&flow.summary);
    if flow.detail.one_way {
        verdict.judgement = Judgement::NotAssessable;
        verdict.why = "only one direction was captured".into();
    }
    verdict.tampering_signature = signature(flow, vantage);
    verdict
}

/// The published signature, where the server's inbound packets were seen.
fn signature(flow: &FlowFacts, vantage: Vantage) -> Option<&'static str> {
    (vantage != Vantage::Client)
        .then(|| injection::tampering_signature(flow, vantage))
        .flatten()
}
