//! The table of rules about silence: limits and weights side by side.

use crate::detect::rule::{About, Counts, Reading, Rule};
use crate::facts::{CaptureFacts, FlowFacts};

use super::innocent;
use super::{
    alive, budget, call, chance, constant, icmp_prohibited, known_server, lasting, other_quic,
    parallel, peer_repeats, retries, same_service, signalling, together, tries, unfinished,
};

/// Logarithm of the odds that a silence, of which nothing is known yet, was made. Most silences are ends of captures and of interest.
pub(crate) const PRIOR: f64 = -3.0;

const fn rule(
    name: &'static str,
    measure: fn(&FlowFacts, &CaptureFacts) -> Reading,
    about: &'static About,
    counts: Counts,
    unit: &'static str,
    weights: [f64; 2],
    source: &'static str,
) -> Rule {
    Rule {
        name,
        measure,
        about,
        counts,
        unit,
        weight_for: weights[0],
        weight_against: weights[1],
        source,
    }
}

const fn at_least(limit: f64) -> Counts {
    Counts::AtLeast(limit)
}

const fn at_most(limit: f64) -> Counts {
    Counts::AtMost(limit)
}

/// Every rule that weighs for or against a silence that was made. Tries, time and chance together reach `suspected`; `likely` takes a living control.
#[rustfmt::skip]
pub(crate) const RULES: &[Rule] = &[
    //   rule                   measure                about                 counts when     unit       for   against  source
    rule("silence.alive",       alive::measure,        &alive::ABOUT,        at_least(2.0),  "s",      [2.2, -1.0], "docs/detection.md, B2; labelled captures"),
    rule("silence.tries",       tries::measure,        &tries::ABOUT,        at_least(3.0),  "tries",   [1.6, -4.0], "docs/detection.md, B2: three retries"),
    rule("silence.lasting",     lasting::measure,      &lasting::ABOUT,      at_least(3.0),  "s",       [1.2, -4.0], "docs/detection.md, B2: 3 s, the longest handover"),
    rule("silence.chance",      chance::measure,       &chance::ABOUT,       at_most(-4.0),  "log10",   [0.6, -2.5], "docs/detection.md, B2: 1 in 10,000"),
    rule("silence.peer_repeats",peer_repeats::measure, &peer_repeats::ABOUT, at_least(2.0),  "packets", [1.2,  0.0], "net4people/bbs 516: repeated SYN/ACKs"),
    rule("silence.unfinished",  unfinished::measure,   &unfinished::ABOUT,   at_least(1.0),  "bytes",   [1.6, -0.5], "net4people/bbs 490; labelled captures"),
    rule("silence.budget",      budget::measure,       &budget::ABOUT,       at_least(1.0),  "fits",    [1.5,  0.0], "net4people/bbs 490; Cloudflare, 26 June 2025"),
    rule("silence.constant",    constant::measure,     &constant::ABOUT,     at_least(1.0),  "flows",   [1.2,  0.0], "docs/detection.md, B4"),
    rule("silence.together",    together::measure,     &together::ABOUT,     at_least(1.0),  "flows",   [1.5,  0.0], "docs/detection.md, section 0, 5"),
    rule("silence.parallel",    parallel::measure,     &parallel::ABOUT,     at_least(1.0),  "flows",   [0.8,  0.0], "net4people/bbs 546; Xray-core 5332"),
    rule("silence.same_service",same_service::measure, &same_service::ABOUT, at_least(1.0),  "flows",   [0.8,  0.0], "labelled captures"),
    rule("silence.known_server",known_server::measure, &known_server::ABOUT, at_least(1.0),  "lives",   [0.6,  0.0], "labelled captures"),
    rule("silence.fallback",    other_quic::measure,   &other_quic::ABOUT,   at_least(1.0),  "flows",   [0.8,  0.0], "net4people/bbs 108"),
    rule("silence.retries",     retries::measure,      &retries::ABOUT,      at_least(3.0),  "flows",   [2.8, 0.0], "docs/detection.md, B2: three retries"),
    rule("silence.icmp_prohibited", icmp_prohibited::measure, &icmp_prohibited::ABOUT, at_least(1.0), "errors", [3.2, 0.0], "RFC 1812, section 5.2.7.1; RFC 4443, section 3.1; docs/detection.md, B3"),
    rule("silence.call",        call::measure,         &call::ABOUT,         at_least(1.0),  "fits",    [0.6, -2.0], "docs/detection.md, B7"),
    rule("silence.signalling",  signalling::measure,   &signalling::ABOUT,   at_least(2.0),  "s",       [0.8,  0.0], "docs/detection.md, B7; recorded calls"),
];

/// Innocent causes, the surest first: the first that fits names the cause. `weight_for` is what a fit adds, so it is negative.
#[rustfmt::skip]
pub(crate) const INNOCENT: &[Rule] = &[
    rule("icmp_refused",     innocent::icmp_refused::measure,     &innocent::icmp_refused::ABOUT,     at_least(1.0), "errors", [-6.0, 0.0], "RFC 792; RFC 4443"),
    rule("capture_end",      innocent::capture_end::measure,      &innocent::capture_end::ABOUT,      at_most(3.0),  "s",      [-3.0, 0.0], "docs/detection.md, B5, N2"),
    rule("retry_due",        innocent::retry_due::measure,        &innocent::retry_due::ABOUT,        at_most(8.0), "s",      [-2.0, 0.0], "RFC 4821, section 7.7; docs/detection.md, B2"),
    rule("gave_up_too_soon", innocent::gave_up_too_soon::measure, &innocent::gave_up_too_soon::ABOUT, at_most(3.0),  "s",      [-3.0, 0.0], "docs/detection.md, B1"),
    rule("client_offline",   innocent::client_offline::measure,   &innocent::client_offline::ABOUT,   at_least(1.0), "fits",   [-6.0, 0.0], "docs/detection.md, B5, N6"),
    rule("captive_portal",   innocent::captive_portal::measure,   &innocent::captive_portal::ABOUT,   at_least(3.0), "networks", [-5.0, 0.0], "RFC 8952; independent captures"),
    rule("handover_gap",     innocent::handover_gap::measure,     &innocent::handover_gap::ABOUT,     at_least(1.0), "flows",  [-5.0, 0.0], "docs/detection.md, B5, N6"),
    rule("call_elsewhere",   innocent::call_elsewhere::measure,   &innocent::call_elsewhere::ABOUT,   at_least(1.0), "flows",  [-6.0, 0.0], "RFC 8445, section 6.1.2"),
    rule("far_party_gone",   innocent::far_party_gone::measure,   &innocent::far_party_gone::ABOUT,   at_least(1.0), "fits",   [-2.0, 0.0], "RFC 8656, section 12; docs/detection.md, B7"),
    rule("still_passes",     innocent::still_passes::measure,     &innocent::still_passes::ABOUT,     at_least(1.0), "packets", [-4.0, 0.0], "RFC 6298, section 2; recorded captures"),
    rule("pmtu_blackhole",   innocent::pmtu_blackhole::measure,   &innocent::pmtu_blackhole::ABOUT,   at_least(1.0), "fits",   [-5.0, 0.0], "docs/detection.md, B5, N3"),
    rule("zero_window",      innocent::zero_window::measure,      &innocent::zero_window::ABOUT,      at_least(1.0), "fits",   [-5.0, 0.0], "RFC 9293, section 3.8.6.1"),
    rule("nat_timeout",      innocent::nat_timeout::measure,      &innocent::nat_timeout::ABOUT,      at_least(1.0), "times",  [-4.0, 0.0], "RFC 4787; docs/detection.md, B5, N5"),
    rule("client_stopped",   innocent::client_stopped::measure,   &innocent::client_stopped::ABOUT,   at_least(1.0), "fits",   [-5.0, 0.0], "docs/detection.md, B5, N10"),
    rule("dead_host",        innocent::dead_host::measure,        &innocent::dead_host::ABOUT,        at_least(1.0), "fits",   [-2.4, 0.0], "docs/detection.md, B5, N1"),
    rule("quic_closed",      innocent::quic_closed::measure,      &innocent::quic_closed::ABOUT,      at_least(2.0), "flows",  [-3.0, 0.0], "docs/detection.md, B6"),
    rule("capture_loss",     innocent::capture_loss::measure,     &innocent::capture_loss::ABOUT,     at_least(1.0), "fits",   [-3.0, 0.0], "docs/detection.md, B5, N8"),
    rule("loss_burst",       innocent::lossy_path::measure,       &innocent::lossy_path::ABOUT,       at_least(0.15), "share", [-1.5, 0.0], "docs/detection.md, B5, N7"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_rule_weighs_something() {
        let mut names: Vec<_> = RULES.iter().chain(INNOCENT).map(|rule| rule.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(all, names.len());
        assert!(
            RULES
                .iter()
                .all(|rule| rule.weight_for > 0.0 && rule.weight_against <= 0.0)
        );
        assert!(INNOCENT.iter().all(|rule| rule.weight_for < 0.0));
    }
}
