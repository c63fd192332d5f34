//! Captures that nobody on this project wrote: packet counts, names and judgements, each against a table that others made.
//!
//! That every report on them is valid and every exit code 0 or 3 is held by `contract.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use dpiscope::detect::{Kind, Level};
use dpiscope::facts::End;
use dpiscope::service::{Catalogue, ServiceId};
use dpiscope::types::Endpoint;

#[path = "support/unanswered.rs"]
mod unanswered;

use unanswered::analysis;

/// Both ends of a flow, whoever is the client.
type Ends = BTreeSet<(IpAddr, u16)>;

fn captures() -> Option<PathBuf> {
    let corpus = std::env::var_os("DPISCOPE_CORPUS");
    if corpus.is_none() {
        eprintln!("not run: needs DPISCOPE_CORPUS");
    }
    Some(Path::new(&corpus?).join("captures"))
}

/// A table with a header line, its rows as maps.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).expect("a table");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split('\t').collect();
    let row = |line: &str| {
        header
            .iter()
            .map(|name| (*name).to_owned())
            .zip(line.split('\t').map(str::to_owned))
            .collect()
    };
    lines.map(row).collect()
}

fn ends(one: Endpoint, other: Endpoint) -> Ends {
    let end = |end: Endpoint| (end.address.ip(), end.port);
    [end(one), end(other)].into()
}

/// `192.0.2.1:443` or `2001:db8::1:443`, as the tables write it.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.trim_matches(['[', ']']);
    Some((address.parse().ok()?, port.parse().ok()?))
}

/// Where the table's count is not that of packets: four files of which it counts blocks that take a frame number and are no packets (capinfos counts as we do),
/// and three that its maker could not read for their link type (tcpdump counts as we do).
const OTHERWISE: [(&str, u64); 7] = [
    ("pcapngtest__be-test017.pcapng", 0),
    ("pcapngtest__le-test017.pcapng", 0),
    ("pcapngtest__be-test018.pcapng", 4),
    ("pcapngtest__le-test018.pcapng", 4),
    ("tcpdump__juniper_es_oobr.pcap", 1),
    ("tcpdump__vtp_asan-2.pcap", 1),
    ("tcpdump__vtp_asan.pcap", 5),
];

#[test]
fn packets_are_counted_as_others_count_them() {
    let Some(folder) = captures() else { return };
    let mut wrong = Vec::new();
    let mut right = 0;
    for row in table(&folder.join("MANIFEST.tsv")) {
        let path = folder.join(&row["file"]);
        let (Ok(packets), true) = (row["packets"].parse::<u64>(), path.exists()) else {
            continue;
        };
        let packets = OTHERWISE
            .iter()
            .find(|(file, _)| *file == row["file"])
            .map_or(packets, |(_, packets)| *packets);
        match analysis(&path).map(|analysis| analysis.captures[0].file.packets) {
            Some(counted) if counted == packets => right += 1,
            counted => wrong.push(format!("{}: {counted:?}, not {packets}", row["file"])),
        }
    }
    assert_eq!(wrong, [""; 0], "{right} right");
    assert!(right > 0);
}

#[test]
fn every_name_that_others_read_is_read_on_the_same_flow() {
    let Some(folder) = captures() else { return };
    let mut missing = Vec::new();
    let mut listed = BTreeSet::new();
    for row in table(&folder.join("MANIFEST.tsv")) {
        let name = &row["file"];
        let reference = folder.join("reference").join(format!("{name}.sni.tsv"));
        let (Ok(text), Some(analysis)) =
            (fs::read_to_string(reference), analysis(&folder.join(name)))
        else {
            continue;
        };
        let have: BTreeSet<(Ends, String)> = analysis
            .flows
            .iter()
            .filter_map(|flow| {
                let sni = flow.detail.recognised.sni.as_ref()?.to_lowercase();
                Some((ends(flow.summary.key.a, flow.summary.key.b), sni))
            })
            .collect();
        for line in text.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let [frame, client, client_port, server, server_port, _, sni, ..] = cells[..] else {
                continue;
            };
            if frame.parse::<u64>().is_err() || sni.is_empty() {
                continue;
            }
            let end = |address: &str, port: &str| {
                let address = address.parse::<IpAddr>().expect("an address");
                (address, port.parse::<u16>().expect("a port"))
            };
            let both: Ends = [end(client, client_port), end(server, server_port)].into();
            let wanted = (both, sni.to_lowercase());
            if !have.contains(&wanted) {
                missing.push(format!("{name}: {line}"));
            }
            listed.insert((name.clone(), wanted));
        }
    }
    assert_eq!(missing, [""; 0], "of {} names", listed.len());
    assert!(!listed.is_empty());
}

/// What the ends of all flows with resets were judged to be, beside what the keepers of the corpus judged them to be.
#[test]
fn every_flow_that_was_reset_has_a_cause_and_no_innocent_one_is_left_unexplained() {
    let Some(folder) = captures() else { return };
    let mut judged: BTreeMap<(String, Ends), String> = BTreeMap::new();
    for row in table(&folder.join("TRUTH.tsv")) {
        if let (Some(client), Some(server)) = (end(&row["a_client"]), end(&row["b_server"])) {
            let flow = (row["file"].clone(), [client, server].into());
            judged.insert(flow, row["judgement"].clone());
        }
    }
    let mut counts: BTreeMap<(&str, String), u32> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for row in table(&folder.join("MANIFEST.tsv")) {
        let Some(analysis) = analysis(&folder.join(&row["file"])) else {
            continue;
        };
        for (index, flow) in (0..).zip(analysis.around.flows.iter()) {
            let verdict = analysis.assessment.verdict(index, flow);
            if !matches!(flow.end, End::RstByClient | End::RstByServer) {
                continue;
            }
            let both = (row["file"].clone(), ends(flow.key.a, flow.key.b));
            let word = judged.get(&both).map_or("not judged", String::as_str);
            let cause = verdict.end_cause.unwrap_or("none");
            *counts.entry((cause, word.to_owned())).or_default() += 1;
            if cause == "none" || cause == "unexplained" && word.starts_with("benign") {
                unexplained.push(format!("{}: {:?} ({word}): {cause}", row["file"], both.1));
            }
        }
    }
    for ((cause, word), count) in &counts {
        eprintln!("{count:4} {cause:16} {word}");
    }
    assert!(counts.len() > 5, "{counts:?}");
    assert_eq!(unexplained, [""; 0]);
}

/// Flows of each capture that belong to a messenger, as each was judged by hand; how, and why, is in `docs/naming.md`.
const MESSENGERS: [(&str, &str, u32); 31] = [
    ("arkime__stun.pcap", "skype", 1),
    ("censorlab__03_tls_sni-test.pcap", "discord", 1),
    ("censorlab__03_tls_sni-test.pcap", "signal", 2),
    ("censorlab__03_tls_sni-test.pcap", "telegram", 3),
    ("censorlab__03_tls_sni-test.pcap", "whatsapp", 4),
    ("matousp__viber2.pcapng", "viber", 2),
    ("matousp__xz1_discord.pcap", "discord", 11),
    ("ndpi__KakaoTalk_chat.pcap", "kakaotalk", 3),
    ("ndpi__discord_mid_flow.pcap", "discord", 1),
    ("ndpi__google_meet.pcapng", "google_messages", 2),
    ("ndpi__line.pcap", "line", 5),
    ("ndpi__lru_ipv6_caches.pcapng", "whatsapp", 4),
    ("ndpi__quic_crypto_aes_auth_size.pcap", "snapchat", 2),
    ("ndpi__riotgames.pcap", "discord", 2),
    ("ndpi__sites.pcapng", "google_messages", 1),
    ("ndpi__sites.pcapng", "messenger", 1),
    ("ndpi__sites.pcapng", "skype", 1),
    ("ndpi__sites.pcapng", "telegram", 3),
    ("ndpi__skype-conference-call.pcap", "skype", 1),
    ("ndpi__snapchat.pcap", "snapchat", 3),
    ("ndpi__stun_dtls_rtp.pcapng", "google_messages", 2),
    ("ndpi__stun_signal.pcapng", "signal", 21),
    ("ndpi__telegram.pcap", "telegram", 15),
    ("ndpi__threema.pcap", "threema", 6),
    ("ndpi__tunnelbear.pcap", "messenger", 1),
    ("ndpi__wa_voice.pcap", "facetime", 1),
    ("ndpi__wa_voice.pcap", "whatsapp", 10),
    ("ndpi__whatsapp.pcap", "whatsapp", 86),
    ("ndpi__whatsapp_login_chat.pcap", "facetime", 1),
    ("ndpi__whatsapp_login_chat.pcap", "whatsapp", 1),
    ("ndpi__whatsapp_voice_and_message.pcap", "whatsapp", 13),
];

/// Client ports of flows that are a messenger's to the eye, and that no byte proves.
const UNNAMED: [(&str, u16); 1] = [("ndpi__KakaoTalk_chat.pcap", 46_947)];

#[test]
fn messengers_are_named_and_nothing_else_is() {
    let Some(folder) = captures() else { return };
    let catalogue = Catalogue::builtin();
    let mut named: BTreeMap<(String, String), u32> = BTreeMap::new();
    let (mut flows, mut unnamed) = (0, 0);
    for row in table(&folder.join("MANIFEST.tsv")) {
        let file = &row["file"];
        let Some(analysis) = analysis(&folder.join(file)) else {
            continue;
        };
        for flow in analysis.around.flows.iter() {
            flows += 1;
            let service = ServiceId(flow.service);
            if catalogue.is_messenger(service) {
                let place = (file.clone(), catalogue.service(service).id.clone());
                *named.entry(place).or_default() += 1;
            } else if UNNAMED.contains(&(file.as_str(), flow.key.a.port)) {
                unnamed += 1;
            }
        }
    }
    let wanted: BTreeMap<_, _> = MESSENGERS
        .into_iter()
        .map(|(file, service, flows)| ((file.to_owned(), service.to_owned()), flows))
        .collect();
    assert_eq!(named, wanted);
    let right: u32 = named.values().sum();
    eprintln!("of {flows} flows {right} are a messenger's and named so, {unnamed} are not named");
    assert_eq!((right, unnamed), (210, UNNAMED.len()));
}

#[test]
fn no_messenger_in_other_peoples_captures_is_said_to_be_silenced() {
    let Some(folder) = captures() else { return };
    let catalogue = Catalogue::builtin();
    let mut said = Vec::new();
    for row in table(&folder.join("MANIFEST.tsv")) {
        let Some(analysis) = analysis(&folder.join(&row["file"])) else {
            continue;
        };
        for finding in &analysis.assessment.findings {
            let service = (finding.flows.first())
                .and_then(|index| analysis.around.flows.get(*index as usize))
                .map_or(0, |flow| flow.service);
            if finding.mechanism.kind() == Kind::Blackholing
                && Level::of(finding.score) >= Some(Level::Likely)
                && catalogue.is_messenger(ServiceId(service))
            {
                said.push(format!("{}: {:?}", row["file"], finding.mechanism));
            }
        }
    }
    assert_eq!(said, [""; 0]);
}

#[test]
fn every_flow_without_an_answer_is_listed_with_its_judgement_and_none_is_accused() {
    const BEGIN: &str = "<!-- unanswered: cargo run --release --example unanswered -- FOLDER -->\n";
    const END: &str = "<!-- end of unanswered -->";
    let Some(folder) = captures() else { return };
    let table = unanswered::table(&folder);
    assert!(
        !table.contains("**likely**") && !table.contains("**confirmed**"),
        "{table}"
    );
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/unanswered.md");
    let text = fs::read_to_string(&page).expect("the page");
    let listed = text
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map(|(listed, _)| listed)
        .expect("the list between its marks");
    for (line, (listed, found)) in (1..).zip(listed.lines().zip(table.lines())) {
        assert_eq!(
            listed,
            found,
            "line {line} of the list in {}",
            page.display()
        );
    }
    assert_eq!(listed.lines().count(), table.lines().count());
}

/// The share of injected flows that must be found: what the corpus' keepers ask. Nothing in it is judged blackholed or slowed.
const SHARE: f64 = 0.9;

#[test]
fn the_injected_are_found_and_the_innocent_left_alone() {
    let Some(folder) = captures() else { return };
    let mut rows: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for row in table(&folder.join("TRUTH.tsv")) {
        rows.entry(row["file"].clone()).or_default().push(row);
    }
    let mut accused = Vec::new();
    let (mut found, mut all, mut innocent) = (0_u32, 0_u32, 0);
    for (file, rows) in rows {
        let Some(analysis) = analysis(&folder.join(&file)) else {
            continue;
        };
        let mut judged: Vec<(Ends, Kind)> = Vec::new();
        for finding in &analysis.assessment.findings {
            if Level::of(finding.score) < Some(Level::Likely) {
                continue;
            }
            for index in &finding.flows {
                let key = analysis.around.flows[*index as usize].key;
                judged.push((ends(key.a, key.b), finding.mechanism.kind()));
            }
        }
        for row in rows {
            let (Some(client), Some(server)) = (end(&row["a_client"]), end(&row["b_server"]))
            else {
                continue;
            };
            let both: Ends = [client, server].into();
            match row["judgement"].as_str() {
                "injected" => {
                    all += 1;
                    found += u32::from(judged.contains(&(both, Kind::RstInjection)));
                }
                word if word.starts_with("benign")
                    || ["not interference", "capture artefact"].contains(&word) =>
                {
                    innocent += 1;
                    if judged.iter().any(|(flow, _)| *flow == both) {
                        accused.push(format!(
                            "{file}: {} {} ({word})",
                            row["a_client"], row["b_server"]
                        ));
                    }
                }
                _ => {}
            }
        }
    }
    eprintln!("injected {found} of {all}, innocent {innocent}");
    assert_eq!(accused, [""; 0]);
    assert!(innocent > 0 && all > 0);
    assert!(
        f64::from(found) >= SHARE * f64::from(all),
        "{found} of {all}"
    );
}
