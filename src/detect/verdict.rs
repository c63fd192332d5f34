//! Puts the families' findings together and says of each flow how it came out.

use crate::facts::{CaptureFacts, FlowFacts, Vantage};

use super::finding::{Assessment, Finding, FlowVerdict, Judgement, Kind, Level};
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
    let vantage = around.vantage.value;
    let judged = (flows.iter()).map(|flow| (flow.index, with_detail(flow, vantage)));
    let only_shown = (shown.iter()).map(|flow| (flow.index, summarily(flow, vantage)));
    let mut verdicts = Verdicts(judged.chain(only_shown).collect());
    verdicts.0.sort_unstable_by_key(|(index, _)| *index);
    let mut findings: Vec<Finding> = Vec::new();
    for Judged {
        findings: found,
        causes,
        blind,
    } in families
    {
        for (index, why) in blind {
            if let Some(verdict) = verdicts.get_mut(index)
                && verdict.judgement == Judgement::Clear
            {
                verdict.judgement = Judgement::NotAssessable;
                verdict.why = why.into();
            }
        }
        for (index, cause) in causes {
            if let Some(verdict) = verdicts.get_mut(index) {
                verdict.end_cause = verdict.end_cause.or(Some(cause));
            }
        }
        let mut convicted = |index: &u32| {
            verdicts
                .get_mut(*index)
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
                if let Some(verdict) = verdicts.get_mut(*index) {
                    verdict.judgement = Judgement::Interfered;
                    verdict.why = "".into();
                    // what slows a flow down does not end it
                    if finding.mechanism.kind() != Kind::BandwidthShaping {
                        let cause = finding.mechanism.name();
                        verdict.end_cause = verdict.end_cause.or(Some(cause));
                    }
                }
            }
        }
        findings.append(&mut kept);
    }
    for (index, cause) in injection::judge(shown, around, &|_| false).causes {
        if let Some(verdict) = verdicts.get_mut(index) {
            verdict.end_cause = verdict.end_cause.or(Some(cause));
        }
    }
    findings.sort_by(|a, b| {
        (a.time, a.frame, a.mechanism, &a.flows).cmp(&(b.time, b.frame, b.mechanism, &b.flows))
    });
    Assessment {
        findings,
        verdicts: verdicts.0,
        notes: allowlist::note(around).into_iter().collect(),
    }
}

/// Verdicts by index.
struct Verdicts(Vec<(u32, FlowVerdict)>);

impl Verdicts {
    fn get_mut(&mut self, index: u32) -> Option<&mut FlowVerdict> {
        let place = self.0.binary_search_by_key(&index, |(index, _)| *index);
        self.0.get_mut(place.ok()?).map(|(_, verdict)| verdict)
    }
}

/// The verdict on a flow that detectors judge, before they do.
fn with_detail(flow: &FlowFacts, vantage: Vantage) -> FlowVerdict {
    let mut verdict = summarily(flow, vantage);
    if flow.detail.one_way {
        verdict.judgement = Judgement::NotAssessable;
        verdict.why = "only one direction was captured".into();
    }
    verdict
}

/// The verdict by the summary alone, with the published signature where the server's inbound packets were seen.
fn summarily(flow: &FlowFacts, vantage: Vantage) -> FlowVerdict {
    FlowVerdict {
        tampering_signature: (vantage != Vantage::Client)
            .then(|| injection::tampering_signature(flow, vantage))
            .flatten(),
        ..FlowVerdict::without_detail(&flow.summary)
    }
}
