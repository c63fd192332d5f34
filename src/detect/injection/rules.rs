//! The table of rules about resets and FINs: limits and weights side by side.

use crate::detect::innocent;
use crate::detect::rule::{About, Counts, Reading, Rule};
use crate::facts::{CaptureFacts, FlowFacts};

use super::{
    acknowledgement, alive_after, both_ends, burst, clock, controls_live, fin_timestamps_missing,
    fin_unanswered, flow_label, header_unlike, hop_limit, hop_limit_handshake, hop_limit_siblings,
    icmp_alive_after, icmp_hop_limit, icmp_too_fast, ip_id, ip_id_copied, other_names, payload,
    port_serves, refused_everywhere, repeats, reply_missing, same_box, second_reset,
    sequence_behind, stepped, timestamps_missing, too_fast, train, trigger, unasked, uneven,
    window_copied, window_unlike,
};

/// Logarithm of the odds that a reset, of which nothing is known yet, is forged. Most resets are honest: in public captures 227 of 275 judged
/// ones, and the forged among these come from three probed devices.
pub(crate) const PRIOR_RESET: f64 = -2.2;

/// The same for a FIN: every connection has one or two.
pub(crate) const PRIOR_CLOSE: f64 = -4.5;

/// Distance in identifications from which a reset has left its side's counter. By chance a forger's number lies closer in 1 of 100 cases.
pub(super) const IP_ID_LIMIT: f64 = 300.0;

/// Hops from which a reset came another way. One hop is what a route change among equals costs.
pub(super) const HOP_LIMIT: f64 = 2.0;

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

/// Every rule that weighs for or against a forged reset or FIN.
#[rustfmt::skip]
pub(crate) const RULES: &[Rule] = &[
    //   rule                      measure                          about                           counts when             unit       for   against  source
    rule("rst.alive_after",        alive_after::measure,            &alive_after::ABOUT,            at_least(1.0),          "packets", [4.6, -0.4], "Weaver, Sommer, Paxson (NDSS 2009), RST_SEQ_DATA; HoneyBadger's closing-sequence-overlap"),
    rule("rst.train",              train::measure,                  &train::ABOUT,                  at_least(2.0),          "resets",  [6.0,  0.0], "Xue et al. (IMC 2022), SNI-I; labelled captures"),
    rule("rst.stepped",            stepped::measure,                &stepped::ABOUT,                at_least(2.0),          "places",  [3.4,  0.0], "Clayton, Murdoch, Watson (2006): +0, +1460, +4380"),
    rule("rst.too_fast",           too_fast::measure,               &too_fast::ABOUT,               Counts::AtMost(too_fast::FAST), "of RTT",  [3.0, -0.3], "a signal's travel time; labelled captures"),
    rule("rst.clock",              clock::measure,                  &clock::ABOUT,                  at_least(1.0),          "packets", [3.2, -0.5], "net4people/bbs 442: skewed time stamps in forged resets"),
    rule("fin.timestamps_missing", fin_timestamps_missing::measure, &fin_timestamps_missing::ABOUT, at_least(1.0),          "packets", [2.6, -0.5], "RFC 7323, section 3.2"),
    rule("rst.both_ends",          both_ends::measure,              &both_ends::ABOUT,              at_least(1.0),          "packets", [2.5,  0.0], "labelled captures"),
    rule("rst.hop_limit",          hop_limit::measure,              &hop_limit::ABOUT,              at_least(HOP_LIMIT),    "hops",    [2.4, -0.6], "Raman et al. (SIGCOMM 2023), change of TTL; labelled captures"),
    rule("rst.hop_limit_handshake",hop_limit_handshake::measure,    &hop_limit_handshake::ABOUT,    at_least(3.0),          "hops",    [1.6, -0.4], "the same, with less to compare; labelled captures"),
    rule("rst.hop_limit_siblings", hop_limit_siblings::measure,     &hop_limit_siblings::ABOUT,     at_least(3.0),          "hops",    [1.6, -0.4], "the same, from other flows; labelled captures"),
    rule("rst.ip_id",              ip_id::measure,                  &ip_id::ABOUT,                  at_least(IP_ID_LIMIT),  "ids",     [1.8, -0.8], "Raman et al. (SIGCOMM 2023), change of IP-ID; labelled captures"),
    rule("rst.ip_id_copied",       ip_id_copied::measure,           &ip_id_copied::ABOUT,           at_least(1.0),          "packets", [2.4,  0.0], "CenTrace captures: identification of the request, or one more"),
    rule("rst.window_copied",      window_copied::measure,          &window_copied::ABOUT,          at_least(1.0),          "packets", [1.2,  0.0], "CenTrace captures: the client's 8192"),
    rule("rst.window_unlike",      window_unlike::measure,          &window_unlike::ABOUT,          at_least(4.0),          "times",   [0.8, -0.2], "labelled captures"),
    rule("rst.timestamps_missing", timestamps_missing::measure,     &timestamps_missing::ABOUT,     at_least(1.0),          "packets", [1.2, -0.3], "Linux resets living sockets with their options; labelled captures"),
    rule("rst.header_unlike",      header_unlike::measure,          &header_unlike::ABOUT,          at_least(1.0),          "fields",  [0.8,  0.0], "labelled captures"),
    rule("rst.flow_label",         flow_label::measure,             &flow_label::ABOUT,             at_least(1.0),          "resets",  [1.2, -0.3], "RFC 6437, section 3; labelled captures"),
    rule("rst.sequence_behind",    sequence_behind::measure,        &sequence_behind::ABOUT,        at_least(1.0),          "bytes",   [1.6, -0.1], "Weaver, Sommer, Paxson (NDSS 2009), DATA_SEQ_RST"),
    rule("rst.acknowledgement",    acknowledgement::measure,        &acknowledgement::ABOUT,        at_least(1.0),          "packets", [1.6, -0.1], "Weaver, Sommer, Paxson (NDSS 2009), RST_ACK_CHANGE"),
    rule("rst.burst",              burst::measure,                  &burst::ABOUT,                  at_least(2.0),          "resets",  [1.6,  0.0], "net4people/bbs 285 and 511: three equal resets"),
    rule("rst.uneven",             uneven::measure,                 &uneven::ABOUT,                 at_least(2.0),          "values",  [2.4,  0.0], "net4people/bbs 285 and 511: hop limits and windows that climb within a burst"),
    rule("fin.unanswered",         fin_unanswered::measure,         &fin_unanswered::ABOUT,         at_least(2.0),          "tries",   [2.0,  0.0], "RFC 9293, section 3.6: who closes acknowledges the other's FIN; labelled captures"),
    rule("rst.second_reset",       second_reset::measure,           &second_reset::ABOUT,           at_least(HOP_LIMIT),    "hops",    [1.4,  0.0], "who was reset itself answers what still comes; labelled captures"),
    rule("rst.unasked",            unasked::measure,                &unasked::ABOUT,                at_least(1.0),          "resets",  [1.0,  0.0], "RFC 9293, sections 3.10.4 and 3.10.7; labelled captures"),
    rule("rst.payload",            payload::measure,                &payload::ABOUT,                at_least(1.0),          "bytes",   [1.4,  0.0], "net4people/bbs 442: ten bytes"),
    rule("rst.reply_missing",      reply_missing::measure,          &reply_missing::ABOUT,          at_least(1.0),          "resets",  [1.0,  0.0], "Xue et al. (IMC 2022), SNI-I"),
    rule("rst.trigger",            trigger::measure,                &trigger::ABOUT,                at_least(1.0),          "resets",  [0.9, -0.4], "Raman et al. (SIGCOMM 2023), stage PSH"),
    rule("rst.repeats",            repeats::measure,                &repeats::ABOUT,                at_least(1.0),          "flows",   [0.8, -0.2], "labelled captures"),
    rule("rst.controls_live",      controls_live::measure,          &controls_live::ABOUT,          at_least(1.0),          "flows",   [0.3,  0.0], "labelled captures"),
    rule("rst.other_names",        other_names::measure,            &other_names::ABOUT,            at_least(1.0),          "flows",   [1.0,  0.0], "a control name at the same address; labelled captures"),
    rule("rst.port_serves",        port_serves::measure,            &port_serves::ABOUT,            at_least(1.0),          "flows",   [1.0,  0.0], "RFC 9293, section 3.10.7.2: a listening socket does not refuse"),
    rule("rst.refused_everywhere", refused_everywhere::measure,     &refused_everywhere::ABOUT,     at_least(2.0),          "networks",[5.4,  0.0], "net4people/bbs 106: SYNs to listed addresses answered with RST/ACK"),
    rule("icmp.alive_after",       icmp_alive_after::measure,       &icmp_alive_after::ABOUT,       at_least(1.0),          "packets", [3.0, -0.4], "RFC 1122, section 4.1.3.1: a closed port sends nothing but the error"),
    rule("icmp.too_fast",          icmp_too_fast::measure,          &icmp_too_fast::ABOUT,          Counts::AtMost(too_fast::FAST), "of RTT", [3.0, -0.3], "a signal's travel time"),
    rule("icmp.hop_limit",         icmp_hop_limit::measure,         &icmp_hop_limit::ABOUT,         at_least(3.0),          "hops",    [1.6, -0.6], "as for resets, with less to compare"),
    rule("rst.same_box",           same_box::measure,               &same_box::ABOUT,               at_least(2.0),          "flows",   [0.8,  0.0], "labelled captures"),
];

/// Every innocent cause, in the order in which the first that fits names the end of a flow. Its weight counts against a finding; a cause that was
/// measured and does not fit is ruled out.
#[rustfmt::skip]
pub(crate) const INNOCENT: &[Rule] = &[
    //   cause               measure                               about                               fits when       unit     fits  else   source
    rule("refused_port",     innocent::refused_port::measure,      &innocent::refused_port::ABOUT,     at_least(1.0),  "fits",  [-2.0, 0.0], "RFC 9293, section 3.10.7.1"),
    rule("late_segment",     innocent::late_segment::measure,      &innocent::late_segment::ABOUT,     at_least(1.0),  "fits",  [-4.0, 0.0], "RFC 9293, section 3.10.7.1; public captures"),
    rule("time_wait",        innocent::time_wait::measure,         &innocent::time_wait::ABOUT,        at_least(1.0),  "fits",  [-4.0, 0.0], "RFC 9293, section 3.6.1"),
    rule("challenge_ack",    innocent::challenge_ack::measure,     &innocent::challenge_ack::ABOUT,    at_least(1.0),  "fits",  [-6.0, 0.0], "RFC 9293, section 3.5.1"),
    rule("tls_alert",        innocent::tls_alert::measure,         &innocent::tls_alert::ABOUT,        at_least(1.0),  "fits",  [-2.5, 0.0], "RFC 8446, section 6"),
    rule("happy_eyeballs",   innocent::happy_eyeballs::measure,    &innocent::happy_eyeballs::ABOUT,   at_least(1.0),  "fits",  [-2.5, 0.0], "RFC 8305, section 5"),
    rule("scanner",          innocent::scanner::measure,           &innocent::scanner::ABOUT,          at_least(1.0),  "fits",  [-3.0, 0.0], "Raman et al. (SIGCOMM 2023), section on scanners"),
    rule("client_abort",     innocent::client_abort::measure,      &innocent::client_abort::ABOUT,     at_least(1.0),  "fits",  [-3.0, 0.0], "Arlitt, Williamson (2005)"),
    rule("idle_reset",       innocent::idle_reset::measure,        &innocent::idle_reset::ABOUT,       at_least(5.0),  "s",     [-8.0, 0.0], "time-outs of providers, 30 s to 2 h; labelled captures"),
    rule("local_middlebox",  innocent::local_middlebox::measure,   &innocent::local_middlebox::ABOUT,  at_least(1.0),  "fits",  [-4.0, 0.0], "public captures behind a virtual machine's NAT"),
    rule("server_restart",   innocent::server_restart::measure,    &innocent::server_restart::ABOUT,   at_least(1.0),  "fits",  [-2.0, 0.0], "RFC 9293, section 3.10.7.1"),
    rule("server_close",     innocent::server_close::measure,      &innocent::server_close::ABOUT,     at_least(1.0),  "fits",  [-1.5, 0.0], "labelled captures"),
    rule("repeated_reset",   innocent::repeated_reset::measure,    &innocent::repeated_reset::ABOUT,   at_least(1.0),  "fits",  [-0.5, 0.0], "public captures"),
    rule("stray_reset",      innocent::stray_reset::measure,       &innocent::stray_reset::ABOUT,      at_least(1.0),  "fits",  [-0.5, 0.0], "public captures: echoes of floods, captures that begin late"),
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

    #[test]
    fn no_single_rule_but_a_decisive_one_makes_a_finding_likely() {
        // Decisive: the peer lives on, its packets come rewritten. All else needs company, or (refusals) has `refused_port` against it.
        for rule in RULES {
            let decisive =
                ["rst.alive_after", "rst.train", "rst.refused_everywhere"].contains(&rule.name);
            let score = 1.0 / (1.0 + (-(PRIOR_RESET + rule.weight_for)).exp());
            assert!(decisive || score < 0.8, "{} alone gives {score}", rule.name);
        }
    }
}
