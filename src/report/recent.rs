//! A flow table for whoever looks at a run: of each service a few.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::detect::Judgement;
use crate::service::ServiceId;

use super::model::{Flow, Input, flow};

/// Of each row of the table of services at most `most` flows: first those with findings, then those heard last. In the order of the flow table.
#[must_use]
pub fn recent_flows(input: &Input<'_>, most: usize) -> Vec<Flow> {
    let mut rows: BTreeMap<ServiceId, Vec<_>> = BTreeMap::new();
    for (index, summary) in (0_u32..).zip(input.around.flows.iter()) {
        let service = ServiceId(summary.service);
        if !input.only.is_empty() && !input.shows(&input.catalogue.service(service).id) {
            continue;
        }
        let row = if input.catalogue.is_messenger(service) {
            service
        } else {
            ServiceId::CONTROL
        };
        let found = input.verdict(index, summary).judgement == Judgement::Interfered;
        let row = rows.entry(row).or_default();
        row.push((Reverse(found), Reverse(summary.last), index));
        // so that a million flows are not held for a few
        if row.len() >= 2 * most.max(1) {
            row.select_nth_unstable(most);
            row.truncate(most);
        }
    }
    let mut chosen: Vec<u32> = Vec::new();
    for mut row in rows.into_values() {
        row.sort_unstable();
        row.truncate(most);
        chosen.extend(row.into_iter().map(|(.., index)| index));
    }
    chosen.sort_unstable();
    (chosen.into_iter())
        .filter_map(|index| Some(flow(input, index, input.around.flows.get(index as usize)?)))
        .collect()
}
