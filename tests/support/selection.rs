//! Captures of the lab (tests/lab), chosen and shortened for `fixtures/`: real kernels at both ends, and labels that say what was done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// The choice: every mechanism, every look-alike, both vantages, both IP versions, at least once. `SCENARIO.VANTAGE`, as the lab names its files.
pub(crate) const CHOSEN: &[&str] = &[
    "rst_spoof_ttl64_3.client",
    "rst_spoof_late_2.client",
    "rst_spoof_copy_2.path",
    "rst_tspu_rewrite_3.client",
    "rst_tspu_rewrite_2.path",
    "rst_to_server_1.server",
    "rst_both_2.path",
    "rst_both_mid_3.client",
    "rst_fin_3.client",
    "rst_fin_mid_2.client",
    "rst_gfw_2025_1.client",
    "rst_gfw_triple_3.server",
    "rst_henan_2.client",
    "rst_turkmen_1.client",
    "bh_syn_drop_2.client",
    "bh_synack_drop_2.server",
    "bh_residual_syn_3.client",
    "bh_hello_up_2.client",
    "bh_hello_both_2.path",
    "bh_hello_down_2.server",
    "bh_transport_1.client",
    "bh_delayed_3.client",
    "bh_appdata_2.client",
    "bh_freeze16k_2.client",
    "bh_freeze16k_3.server",
    "bh_budget_3.client",
    "bh_limit_2.client",
    "bh_list_update_2.client",
    "bh_midstream_2.client",
    "bh_iran_1.client",
    "bh_quic_1.client",
    "bh_stun_2.client",
    "bh_media_1.client",
    "bh_media_ceased_2.client",
    "bh_dtls_1.client",
    "bh_icmp_1.client",
    "bh_icmp_3.client",
    "sh_police_down_300k.client",
    "sh_police_down_150k.server",
    "sh_police_up_256k.client",
    "sh_police_quic_120k.client",
    "sh_delayed_police_150k.client",
    "sh_shape_down_100k.client",
    "sh_shape_up_96k.server",
    "sh_lose_down_30.server",
    "sh_lose_up_30.client",
    "sh_media_loss_2.client",
    "sh_media_police_1.client",
    "sh_twitter2021_3.client",
    "sh_telegram2026_3.client",
    "ng_app_limited_1.client",
    "ng_bufferbloat_3.client",
    "ng_bursty_1.client",
    "ng_call_1.client",
    "ng_call_dtls_3.client",
    "ng_call_end_3.client",
    "ng_call_hold_1.client",
    "ng_call_hold_3.client",
    "ng_call_switch_2.client",
    "ng_clean_1.client",
    "ng_client_abort_2.client",
    "ng_congestion_3.client",
    "ng_cut_hello_2-cut.client",
    "ng_dead_host_1.client",
    "ng_far_1.client",
    "ng_fast_open_2.client",
    "ng_half_close_2.server",
    "ng_handover_1.client",
    "ng_happy_eyeballs_2.client",
    "ng_ice_1.client",
    "ng_icmp_1.client",
    "ng_icmp_2.client",
    "ng_icmp_3.client",
    "ng_keepalive_2.client",
    "ng_lb_idle_1.client",
    "ng_linger_3.client",
    "ng_loss_1.client",
    "ng_loss_burst_2.client",
    "ng_nat_idle_3.client",
    "ng_nat_rebind_1.client",
    "ng_nat_rebind_tcp_3.client",
    "ng_no_quic_1.client",
    "ng_one_way_call_1.client",
    "ng_paced_3.client",
    "ng_plan_2.client",
    "ng_pmtu_3.client",
    "ng_port_reuse_3.client",
    "ng_quic_chat_1.client",
    "ng_quic_down_1.client",
    "ng_refused_1.client",
    "ng_reorder_1.client",
    "ng_restart_1.client",
    "ng_server_fin_1.client",
    "ng_slow_line_3.client",
    "ng_slow_reader_3.server",
    "ng_small_page_2.client",
    "ng_tap_cut_3-cut.client",
    "ng_tap_down_2-down.client",
    "ng_tap_dup_1-dup.client",
    "ng_tap_mid_2-mid.client",
    "ng_tap_miss_2-miss.client",
    "ng_tap_snap_2-snap96.client",
    "ng_tap_up_2-up.client",
    "ng_think_3.client",
    "ng_tls_alert_3.client",
];

/// So many packets of each flow stay whole: the handshake of TLS or QUIC and the first answer.
const WHOLE: u32 = 20;

/// So much payload stays of a packet after these: the head of a TLS record or of RTP, where one begins there.
const KEPT: usize = 12;

/// STUN keeps its header: that it goes on is what a call's fixture may be about (RFC 8489, section 5).
const STUN_HEADER: usize = 20;
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A pcap with little-endian headers, shortened: what bulk data says means nothing to anybody.
pub(crate) fn shorten(file: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let mut short = file[..24].to_vec();
    let link = word(20);
    let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let mut at = 24;
    while at + 16 <= file.len() {
        let captured = word(at + 8) as usize;
        let frame = &file[at + 16..at + 16 + captured];
        let count = seen.entry(ends(frame, link)).or_default();
        *count += 1;
        let kept = if *count > WHOLE {
            let at = payload(frame, link);
            let stun = frame.get(at + 4..at + 8) == Some(&STUN_COOKIE);
            captured.min(at + if stun { STUN_HEADER } else { KEPT })
        } else {
            captured
        };
        short.extend(&file[at..at + 8]);
        short.extend((kept as u32).to_le_bytes());
        short.extend(&file[at + 12..at + 16]);
        short.extend(&frame[..kept]);
        at += 16 + captured;
    }
    short
}

/// Addresses and ports of a frame, the same for both directions.
fn ends(frame: &[u8], link: u32) -> Vec<u8> {
    let at = network(frame, link);
    let (addresses, size, ports) = if frame[at] >> 4 == 4 {
        (12, 4, 20)
    } else {
        (8, 16, 40)
    };
    let field = |at: usize, size: usize| frame.get(at..at + size).unwrap_or_default();
    let one = [field(at + addresses, size), field(at + ports, 2)].concat();
    let other = [field(at + addresses + size, size), field(at + ports + 2, 2)].concat();
    let mut ends = [one, other];
    ends.sort();
    ends.concat()
}

/// Where IP begins: Ethernet with or without one tag, Linux cooked, or at once.
fn network(frame: &[u8], link: u32) -> usize {
    match link {
        1 if frame[12..14] == [0x81, 0] => 18,
        1 => 14,
        113 => 16,
        _ => 0,
    }
}

/// Whether the first packet of a pcap is IPv6.
pub(crate) fn is_six(file: &[u8]) -> bool {
    let link = u32::from_le_bytes(file[20..24].try_into().expect("four bytes"));
    let frame = &file[40..];
    frame[network(frame, link)] >> 4 == 6
}

/// Where TCP's or UDP's payload begins; far behind the end of any other packet, which stays whole.
fn payload(frame: &[u8], link: u32) -> usize {
    let at = network(frame, link);
    let (protocol, transport) = if frame[at] >> 4 == 4 {
        (at + 9, at + usize::from(frame[at] & 15) * 4)
    } else {
        (at + 6, at + 40)
    };
    match (frame.get(protocol), frame.get(transport + 12)) {
        (Some(6), Some(offset)) => transport + usize::from(offset >> 4) * 4,
        (Some(17), _) => transport + 8,
        _ => frame.len(),
    }
}

/// What must be found, by the label of one capture; empty where the capture names no innocent messenger and nobody guilty.
pub(crate) fn expectation(name: &str, label: &Value, about: &str) -> String {
    let scenario = label["scenario"].as_str().unwrap_or_default();
    let (family, _) = scenario.rsplit_once('_').expect("a family and a point");
    let mut text = format!(
        "# {name}: {about}\n# Taken by tests/lab ({family}, IPv{}, at the {}{}; seed {}), shortened.\nschema = \"dpiscope-expect/1\"\n",
        if label["path"]["ipv6"] == true { 6 } else { 4 },
        label["vantage"].as_str().unwrap_or_default(),
        label["variant"]
            .as_str()
            .map_or(String::new(), |variant| format!(", {variant}")),
        label["seed"]
    );
    let mut wanted = BTreeSet::new();
    let guilty = |flow: &&Value| flow["truth"] != "none";
    for flow in label["flows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(guilty)
    {
        assert_eq!(
            flow["decidable"], true,
            "{name}: chosen, although it cannot be decided"
        );
        let kind = match flow["truth"].as_str() {
            Some("blackhole") => "blackholing",
            Some("shaping") => "bandwidth_shaping",
            _ => "rst_injection",
        };
        let rate = flow["parameters"]["rate_kbps"].as_f64();
        wanted.insert((
            flow["service"].as_str().unwrap_or_default(),
            kind,
            mechanism(flow["mechanism"].as_str().unwrap_or_default()),
            rate.map(|rate| (rate * 1000.0) as u64),
        ));
    }
    for (service, kind, mechanism, rate) in wanted {
        let _ = write!(
            text,
            "\n[[finding]]\nservice = \"{service}\"\nkind = \"{kind}\"\n"
        );
        if let Some(mechanism) = mechanism {
            let _ = writeln!(text, "mechanism = \"{mechanism}\"");
        }
        if let Some(rate) = rate {
            // as near as the lab's own scorer asks: 7 %
            let _ = writeln!(
                text,
                "rate_bps = {{ min = {}, max = {} }}",
                rate * 93 / 100,
                rate * 107 / 100
            );
        }
    }
    text
}

/// The contract's word for what the lab did, where there is but one.
fn mechanism(label: &str) -> Option<&'static str> {
    Some(match label {
        "fin_injection" => "forged_fin",
        "tspu_rewrite" => "rewritten_reply",
        "rst_spoofed_server" | "rst_drop_trigger" | "rst_to_server" | "rst_both" | "gfw_triple" => {
            "forged_rst"
        }
        "delayed_drop" => "delayed_drop",
        "drop_after_hello_both" | "drop_after_hello_down" | "drop_after_hello_up" => {
            "hello_unanswered"
        }
        "connection_limit" => "connection_limit",
        "freeze_16k" => "stalled_after_bytes",
        "list_update" => "endpoint_killed",
        "dtls_drop" | "media_ceased" | "media_drop_both" | "media_drop_down" | "stun_drop" => {
            "media_unanswered"
        }
        "quic_initial_drop" => "quic_initial_unanswered",
        "syn_drop_ip" | "synack_drop_ip" | "residual_syn_drop" => "syn_unanswered",
        "policer_down"
        | "policer_up"
        | "policer_down_quic"
        | "policer_media"
        | "delayed_policer_down" => "policing",
        "shaper_down" | "shaper_up" | "delayed_shaper_down" => "shaping",
        "random_drop" | "random_drop_low" | "random_drop_media" => "random_drop",
        _ => return None,
    })
}
