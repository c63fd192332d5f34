//! What leaves the program keeps to the contract: the schema, the order of events, and a text that can be pasted.

use std::collections::BTreeMap;

use serde_json::Value;

use dpiscope::application::{Application, HostSource, Recognised};
use dpiscope::capture::CaptureFile;
use dpiscope::detect::{
    Assessment, Evidence, Finding, FlowVerdict, Judgement, Level, Mechanism, Note, Parameter,
};
use dpiscope::facts::{
    CaptureFacts, Detail, DnsAnswer, DnsLookup, End, FlowFacts, Flows, Orientation, Summary, Tally,
    Vantage, VantageFacts,
};
use dpiscope::report::{CaptureInput, Input, Look, Report, WIDTH, json, ndjson, text};
use dpiscope::service::Catalogue;
use dpiscope::types::{Address, Direction, Endpoint, FlowKey, Frame, Protocol, Timestamp};

const SCHEMA: &str = include_str!("../docs/report.schema.json");

/// Half past eleven, and so many milliseconds.
fn at(millis: i64) -> Timestamp {
    Timestamp::new(1_774_782_600, millis * 1_000_000)
}

/// A run of two files in which WhatsApp is reset and slowed, Telegram silenced, MAX left alone, and Signal only asked for.
struct Story {
    files: Vec<CaptureFile>,
    undecoded: Vec<BTreeMap<&'static str, u64>>,
    around: CaptureFacts,
    flows: Vec<FlowFacts>,
    assessment: Assessment,
}

impl Story {
    fn input(&self) -> Input<'_> {
        Input {
            captures: self
                .files
                .iter()
                .zip(&self.undecoded)
                .map(|(file, undecoded)| CaptureInput {
                    file,
                    duplicates: 2,
                    undecoded,
                })
                .collect(),
            around: &self.around,
            flows: &self.flows,
            assessment: &self.assessment,
            catalogue: Catalogue::builtin(),
            evicted_flows: 0,
            evicted_tcp_flows: 0,
            evicted_fragments: 0,
            min_level: Level::Suspected,
            flow_table: true,
            interrupted: false,
            ids: None,
            past: None,
            only: &[],
        }
    }

    fn report(&self) -> Report {
        Report::new(&self.input())
    }

    fn new() -> Self {
        let mut story = Self {
            files: vec![file("phone-1.pcapng", 18_204, 11_234_567), file("phone-2.pcapng", 9_000, 4_000_000)],
            undecoded: vec![BTreeMap::new(), BTreeMap::from([("bad_ip", 3), ("truncated", 1)])],
            around: CaptureFacts {
                first: at(0),
                last: at(252_500),
                vantage: VantageFacts {
                    value: Vantage::Client,
                    inferred: true,
                    why: "client packets still have their first hop limit in 11 of 11 answered TCP flows".into(),
                },
                ..CaptureFacts::default()
            },
            flows: Vec::new(),
            assessment: Assessment::default(),
        };
        story.files[1].dropped = Some(12);
        let reset = (End::RstByServer, Some("forged_rst"));
        for millis in [100, 900, 1_700] {
            story.flow(
                "whatsapp",
                Some("web.whatsapp.com"),
                millis,
                Judgement::Interfered,
                reset,
            );
        }
        for millis in [2_000, 2_100, 2_200, 2_300] {
            story.flow(
                "whatsapp",
                Some("mmg.whatsapp.net"),
                millis,
                Judgement::Clear,
                (End::Fin, None),
            );
        }
        story.flow(
            "telegram",
            None,
            3_000,
            Judgement::Interfered,
            (End::Timeout, Some("syn_unanswered")),
        );
        story.flow(
            "max",
            Some("api.oneme.ru"),
            4_000,
            Judgement::Clear,
            (End::Fin, None),
        );
        story.flow(
            "vk",
            Some("vk.com"),
            4_500,
            Judgement::Clear,
            (End::Fin, None),
        );
        story.flow(
            "facetime",
            None,
            5_000,
            Judgement::TooLittleData,
            (End::Open, None),
        );
        story.judge();
        story.ask();
        story
    }

    fn flow(
        &mut self,
        service: &str,
        host: Option<&str>,
        millis: i64,
        judgement: Judgement,
        (end, end_cause): (End, Option<&'static str>),
    ) {
        let index = self.around.flows.len() as u32;
        let frame = Frame::new(u16::from(millis >= 3_000), 1_000 + u64::from(index) * 40);
        let summary = Summary {
            key: FlowKey {
                a: Endpoint {
                    address: Address::v4([192, 0, 2, 10]),
                    port: 50_100 + index as u16,
                },
                b: Endpoint {
                    address: Address::v4([198, 51, 100, 7]),
                    port: 443,
                },
                protocol: Protocol::Tcp,
            },
            orientation: Orientation::Syn,
            end,
            vlan: [7, 0],
            service: Catalogue::builtin()
                .by_id(service)
                .expect("a service of the catalogue")
                .0,
            first: at(millis),
            last: at(millis + 900),
            first_frame: frame,
            up: Tally {
                packets: 9,
                data_packets: 3,
                retransmitted: 1,
                bytes: 1_400,
            },
            down: Tally {
                packets: 7,
                data_packets: 4,
                retransmitted: 0,
                bytes: 3_000,
            },
            rtt_server_ms: Some(48.7),
            ..Summary::default()
        };
        self.flows.push(FlowFacts {
            index,
            summary: summary.clone(),
            detail: Detail {
                recognised: Recognised {
                    application: if host.is_some() {
                        Application::Tls
                    } else {
                        Application::Unknown
                    },
                    sni: host.map(str::to_owned),
                    hello_frame: host.map(|_| Frame::new(frame.capture(), frame.number() + 5)),
                    alpn: vec!["h2".into(), "http/1.1".into()],
                    tls_version: host.map(|_| "1.3".into()),
                    ..Recognised::default()
                },
                host: host.map(str::to_owned),
                host_source: host.map(|_| HostSource::TlsSni),
                ..Detail::default()
            },
        });
        self.around.flows.push(summary);
        let verdict = FlowVerdict {
            judgement,
            why: if judgement == Judgement::TooLittleData {
                "fewer than 4 packets".into()
            } else {
                "".into()
            },
            end_cause,
            tampering_signature: None,
        };
        self.assessment.verdicts.push((index, verdict));
    }

    fn judge(&mut self) {
        self.assessment.findings = vec![reset(), policer(), silence()];
        self.assessment.notes = vec![Note {
            note: "allowlist_suspected",
            text: "only 3 of 40 servers tried were ever heard".into(),
            frames: vec![Frame::new(0, 3), Frame::new(1, 5)],
        }];
    }

    fn ask(&mut self) {
        let lookup = |frame: u64, name: &str, answer: DnsAnswer| DnsLookup {
            time: at(10),
            answered: Some(at(30)),
            frame: Frame::new(0, frame),
            answer_frame: (answer != DnsAnswer::Unanswered).then(|| Frame::new(0, frame + 1)),
            name: name.into(),
            kind: 1,
            answer,
            ..DnsLookup::default()
        };
        let public = DnsAnswer::Addresses(vec![Address::v4([198, 51, 100, 7])]);
        self.around.lookups = vec![
            lookup(11, "chat.signal.org", DnsAnswer::NxDomain),
            lookup(13, "chat.signal.org", public.clone()),
            lookup(15, "cdn.signal.org", DnsAnswer::Unanswered),
            lookup(17, "vk.com", public),
        ];
    }
}

fn reset() -> Finding {
    Finding {
        mechanism: Mechanism::ForgedRst,
        score: 0.931,
        direction: Some(Direction::Down),
        flows: vec![0, 1, 2],
        time: Timestamp(at(160).0 + 324_000),
        frame: Frame::new(0, 1_005),
        parameters: vec![
            ("trigger", Parameter::Text("client_hello".into())),
            ("rst_count", Parameter::Integer(3)),
        ],
        evidence: vec![
            evidence(
                "rst.hop_limit",
                true,
                8.0,
                2.0,
                "hops",
                &[1_010, 1_011, 1_012],
                "hop limit 60 in the 3 resets against 52 in 41 packets of the server that carry data, so they did not come the same way",
            ),
            evidence(
                "rst.too_fast",
                true,
                0.125,
                0.8,
                "ratio",
                &[1_005, 1_010],
                "the first reset came 6.1 ms after the hello, where the server's answers take 48.7 ms",
            ),
            evidence(
                "rst.repeats",
                false,
                1.0,
                2.0,
                "resets",
                &[1_012],
                "one reset only on flow 3",
            ),
        ],
        ruled_out: vec!["server_close", "client_abort"],
        summary: "3 forged RSTs after the ClientHello for web.whatsapp.com".into(),
    }
}

fn policer() -> Finding {
    Finding {
        mechanism: Mechanism::Policing,
        score: 0.62,
        direction: Some(Direction::Down),
        flows: vec![3],
        time: at(2_100),
        frame: Frame::new(0, 1_120),
        parameters: vec![
            ("rate_bps", Parameter::Integer(512_300)),
            ("rate_bps_low", Parameter::Integer(498_000)),
            ("rate_bps_high", Parameter::Integer(527_000)),
            ("burst_bytes", Parameter::Integer(65_536)),
            ("loss_ratio", Parameter::Number(0.1 + 0.2)),
        ],
        evidence: vec![evidence(
            "shape.plateau",
            true,
            0.04,
            0.1,
            "ratio",
            &[1_120, 1_130],
            "goodput stays within 4 % of 512 kbit/s for 8 s",
        )],
        ruled_out: vec![],
        summary: "downloads from mmg.whatsapp.net held to 512 kbit/s".into(),
    }
}

fn silence() -> Finding {
    Finding {
        mechanism: Mechanism::SynUnanswered,
        score: 0.97,
        direction: None,
        flows: vec![7],
        time: at(3_000),
        frame: Frame::new(1, 1_280),
        parameters: vec![
            ("attempts", Parameter::Integer(5)),
            ("silence_s", Parameter::Number(31.02)),
        ],
        evidence: vec![Evidence {
            // one fact, its packets in both files
            frames: vec![
                Frame::new(1, 1_290),
                Frame::new(0, 17_900),
                Frame::new(1, 1_280),
            ],
            ..evidence(
                "syn.retries",
                true,
                4.0,
                3.0,
                "retries",
                &[],
                "4 retries over 31 s, and no packet back",
            )
        }],
        ruled_out: vec!["refused_port"],
        summary: "5 connection attempts to 198.51.100.7 port 443 went unanswered".into(),
    }
}

fn file(path: &str, packets: u64, bytes: u64) -> CaptureFile {
    CaptureFile {
        path: path.into(),
        format: "pcapng".into(),
        link_types: vec!["ETHERNET".into()],
        packets,
        bytes,
        first: Some(at(0)),
        last: Some(at(252_500)),
        ..CaptureFile::default()
    }
}

fn evidence(
    rule: &'static str,
    supports: bool,
    value: f64,
    limit: f64,
    unit: &'static str,
    frames: &[u64],
    words: &str,
) -> Evidence {
    Evidence {
        rule,
        supports,
        value,
        limit,
        unit,
        frames: frames.iter().map(|number| Frame::new(0, *number)).collect(),
        text: words.into(),
        weight: 1.0,
    }
}

fn document(report: &Report) -> Value {
    let mut bytes = Vec::new();
    json(report, &mut bytes).expect("written");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn events(report: &Report) -> Vec<Value> {
    let mut bytes = Vec::new();
    ndjson(report, &mut bytes).expect("written");
    let lines = String::from_utf8(bytes).expect("UTF-8");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn words(report: &Report, look: Look) -> String {
    let mut bytes = Vec::new();
    text(report, look, &mut bytes).expect("written");
    String::from_utf8(bytes).expect("UTF-8")
}

fn faults(schema: &Value, instance: &Value) -> Vec<String> {
    jsonschema::validator_for(schema)
        .expect("a sound schema")
        .iter_errors(instance)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

fn whole() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

/// The schema of one line of ndjson.
fn line_schema() -> Value {
    let mut schema = whole();
    let place = schema.as_object_mut().expect("an object");
    for word in ["type", "properties", "required", "additionalProperties"] {
        place.remove(word);
    }
    place.insert("$ref".into(), "#/$defs/event".into());
    schema
}

#[test]
fn the_schema_is_sound() {
    let faults: Vec<String> = jsonschema::meta::validator_for(&whole())
        .expect("the meta-schema of 2020-12")
        .iter_errors(&whole())
        .map(|fault| fault.to_string())
        .collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_document_keeps_to_the_schema() {
    let document = document(&Story::new().report());
    assert_eq!(faults(&whole(), &document), [""; 0]);
    assert_eq!(document["findings"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["flows"].as_array().map(Vec::len), Some(11));
}

#[test]
fn an_empty_run_keeps_to_the_schema() {
    let mut story = Story::new();
    story.around = CaptureFacts::default();
    story.flows.clear();
    story.assessment = Assessment::default();
    story.files = vec![CaptureFile {
        path: "-".into(),
        ..CaptureFile::default()
    }];
    assert_eq!(faults(&whole(), &document(&story.report())), [""; 0]);
}

#[test]
fn the_schema_is_strict() {
    let sound = document(&Story::new().report());
    let breakages: [(&str, &str, Value); 8] = [
        (
            "an unknown verdict",
            "/services/0/verdict",
            "blocked".into(),
        ),
        (
            "a mechanism of another kind",
            "/findings/0/mechanism",
            "policing".into(),
        ),
        ("packet 0", "/findings/0/evidence/0/packets/0", 0.into()),
        (
            "a local time",
            "/findings/0/time",
            "2026-03-29T11:12:04+03:00".into(),
        ),
        (
            "a score below the least level",
            "/findings/0/score",
            0.4.into(),
        ),
        ("another schema", "/schema", "dpiscope/2".into()),
        (
            "a count that is no number",
            "/flows/0/packets_up",
            "9".into(),
        ),
        (
            "a row that says nothing",
            "/services/0",
            serde_json::json!({}),
        ),
    ];
    for (what, place, value) in breakages {
        let mut broken = sound.clone();
        *broken.pointer_mut(place).expect("a place of the document") = value;
        assert_ne!(faults(&whole(), &broken), [""; 0], "{what} went through");
    }
    for place in [
        "",
        "/tool",
        "/captures/0",
        "/services/0",
        "/findings/0",
        "/findings/0/evidence/0",
        "/flows/0",
    ] {
        let object = |document: &Value| -> Vec<String> {
            let object = document
                .pointer(place)
                .and_then(Value::as_object)
                .expect("an object");
            object.keys().cloned().collect()
        };
        let mut more = sound.clone();
        more.pointer_mut(place).expect("a place of the document")["colour"] = "red".into();
        assert_ne!(
            faults(&whole(), &more),
            [""; 0],
            "a new member of {place} went through"
        );
        for name in object(&sound) {
            let mut less = sound.clone();
            let object = less.pointer_mut(place).and_then(Value::as_object_mut);
            object.expect("an object").remove(&name);
            assert_ne!(
                faults(&whole(), &less),
                [""; 0],
                "{place} without {name} went through"
            );
        }
    }
}

#[test]
fn every_event_keeps_to_the_schema_and_the_documents_order() {
    let events = events(&Story::new().report());
    let schema = line_schema();
    let mut order: Vec<&str> = Vec::new();
    for event in &events {
        assert_eq!(faults(&schema, event), [""; 0], "{event}");
        let name = event["event"].as_str().expect("an event has its name");
        if order.last() != Some(&name) {
            order.push(name);
        }
    }
    assert_eq!(
        order,
        ["capture", "stats", "note", "service", "finding", "flow"]
    );
}

#[test]
fn services_come_in_catalogue_order_and_controls_in_one_row_at_the_end() {
    let report = Story::new().report();
    let rows: Vec<&str> = report
        .services
        .iter()
        .map(|row| row.service.as_str())
        .collect();
    assert_eq!(
        rows,
        [
            "whatsapp", "telegram", "signal", "facetime", "max", "control"
        ]
    );
    let verdicts: Vec<&str> = report
        .services
        .iter()
        .map(|row| row.verdict.name())
        .collect();
    assert_eq!(
        verdicts,
        [
            "partial",
            "interfered",
            "not_assessable",
            "too_little_data",
            "clear",
            "clear"
        ]
    );
}

#[test]
fn verdicts_rest_on_likely_findings_whatever_is_shown() {
    let story = Story::new();
    let all = story.report();
    let few = Report::new(&Input {
        min_level: Level::Confirmed,
        ..story.input()
    });
    assert_eq!(all.services, few.services);
    let ids = |report: &Report| -> Vec<u64> {
        report.findings.iter().map(|finding| finding.id).collect()
    };
    assert_eq!((ids(&all), ids(&few)), (vec![1, 2, 3], vec![3]));
    assert_eq!(few.hidden_findings, 2);
    // the suspected policing neither counts nor names its kind
    assert_eq!(
        (all.services[0].findings, all.services[0].kinds.len()),
        (1, 1)
    );
}

#[test]
fn evidence_in_two_files_is_two_entries_and_the_filter_is_for_one() {
    let document = document(&Story::new().report());
    let finding = &document["findings"][2];
    let places: Vec<(&Value, &Value)> = finding["evidence"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fact| (&fact["capture"], &fact["packets"]))
        .collect();
    assert_eq!(
        places,
        [
            (&0.into(), &serde_json::json!([17_900])),
            (&1.into(), &serde_json::json!([1_280, 1_290]))
        ]
    );
    assert_eq!(finding["display_filter"], "frame.number in {1280, 1290}");
    assert_eq!(
        document["findings"][0]["display_filter"],
        "frame.number in {1005, 1010 .. 1012}"
    );
}

#[test]
fn only_the_services_asked_for_are_shown() {
    let story = Story::new();
    let only = ["telegram".to_owned(), "control".to_owned()];
    let report = Report::new(&Input {
        only: &only,
        ..story.input()
    });
    let rows: Vec<&str> = report
        .services
        .iter()
        .map(|row| row.service.as_str())
        .collect();
    assert_eq!(rows, ["telegram", "control"]);
    let flows: Vec<&str> = report
        .flows
        .iter()
        .map(|flow| flow.service.as_str())
        .collect();
    assert_eq!(flows, ["telegram", "vk"]);
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn figures_are_written_without_their_dust() {
    let document = document(&Story::new().report());
    let parameters = document["findings"][1]["parameters"].to_string();
    assert_eq!(
        serde_json::from_str::<Value>(&parameters).expect("JSON")["loss_ratio"].to_string(),
        "0.3"
    );
    assert_eq!(
        document["findings"][0]["evidence"][0]["value"].to_string(),
        "8"
    );
}

/// To bless: run with `DPISCOPE_BLESS` set, read the difference, and say in the commit why it is right.
#[test]
fn the_text_for_people_is_the_golden_one() {
    let story = Story::new();
    let report = Report::new(&Input {
        flow_table: false,
        min_level: Level::Likely,
        ..story.input()
    });
    let text = words(&report, Look::default());
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report.txt");
    if std::env::var_os("DPISCOPE_BLESS").is_some() {
        std::fs::write(&golden, &text).expect("written");
    }
    assert_eq!(
        text,
        std::fs::read_to_string(&golden).expect("the golden report")
    );
}

#[test]
fn the_text_fits_its_columns_and_has_no_colour_unless_asked() {
    let report = Story::new().report();
    let plain = words(&report, Look::default());
    for line in plain.lines() {
        assert!(
            line.chars().count() <= WIDTH,
            "{} columns: {line}",
            line.chars().count()
        );
        assert_eq!(line, line.trim_end(), "a line ends in blanks");
    }
    assert!(!plain.contains('\x1b'));
    let colour = words(
        &report,
        Look {
            colour: true,
            ..Look::default()
        },
    );
    assert!(colour.contains("\x1b[1;31m"));
    let mut stripped = String::new();
    for (place, part) in colour.split('\x1b').enumerate() {
        stripped.push_str(if place == 0 {
            part
        } else {
            part.split_once('m').map_or("", |(_, rest)| rest)
        });
    }
    let tidy = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        tidy(&stripped),
        tidy(&plain),
        "colour changes nothing but colour"
    );
}

#[test]
fn nothing_found_is_said_and_never_called_not_blocked() {
    let mut story = Story::new();
    story.assessment.findings.clear();
    for (_, verdict) in &mut story.assessment.verdicts {
        verdict.judgement = Judgement::Clear;
    }
    let clear = words(&story.report(), Look::default());
    assert!(
        clear.starts_with(
            "No interference seen in this capture. That does not mean \"not blocked\""
        ),
        "{clear}"
    );
    for (_, verdict) in &mut story.assessment.verdicts {
        verdict.judgement = Judgement::NotAssessable;
    }
    let unknown = words(&story.report(), Look::default());
    assert!(unknown.contains("none could have been"), "{unknown}");
    story.around.flows = Flows::default();
    let nothing = words(&story.report(), Look::default());
    assert!(
        nothing.contains("there is no messenger connection in it to judge"),
        "{nothing}"
    );
    let only = ["telegram".to_owned()];
    let asked = Report::new(&Input {
        only: &only,
        ..story.input()
    });
    let asked = words(&asked, Look::default());
    assert!(
        asked.contains("no connection of theirs") && asked.contains("only telegram"),
        "{asked}"
    );
}

#[test]
fn what_a_capture_names_cannot_steer_a_terminal() {
    let mut story = Story::new();
    story.flows[0].detail.host = Some("evil\x1b[2J.example".into());
    story.files[0].path = "a\nb\u{202e}.pcap".into();
    let text = words(&story.report(), Look::default());
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'));
    assert_eq!(faults(&whole(), &document(&story.report())), [""; 0]);
}

/// Runs over every capture of the corpus: counted, explained or refused, but always by the contract.
#[test]
fn what_the_program_says_of_the_corpus_keeps_to_the_schema() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the corpus is not part of the repository"
    )]
    let Ok(corpus) = std::env::var("DPISCOPE_CORPUS") else {
        eprintln!("not run: needs DPISCOPE_CORPUS");
        return;
    };
    let validator = jsonschema::validator_for(&whole()).expect("a sound schema");
    let line_validator = jsonschema::validator_for(&line_schema()).expect("a sound schema");
    let mut seen = 0;
    for folder in ["captures", "lab-sample"] {
        let folder = std::path::Path::new(&corpus).join(folder);
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .expect("the corpus")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.to_string_lossy().contains(".pcap") || path.to_string_lossy().contains(".cap")
            })
            .collect();
        paths.sort();
        for path in paths {
            let run = |format: &str| {
                std::process::Command::new(env!("CARGO_BIN_EXE_dpiscope"))
                    .args([
                        "analyze", "-q", "--flows", "--scope", "all", "--format", format,
                    ])
                    .arg(&path)
                    .output()
                    .expect("the program runs")
            };
            let output = run("json");
            let code = output.status.code();
            assert!(
                matches!(code, Some(0 | 3)),
                "{}: exit {code:?}",
                path.display()
            );
            let document = serde_json::from_slice(&output.stdout).expect("JSON");
            let faults: Vec<String> = validator
                .iter_errors(&document)
                .map(|fault| format!("{}: {fault}", fault.instance_path()))
                .collect();
            assert_eq!(faults, [""; 0], "{}", path.display());
            let lines = String::from_utf8(run("ndjson").stdout).expect("UTF-8");
            for line in lines.lines() {
                let event = serde_json::from_str(line).expect("JSON");
                assert!(
                    line_validator.is_valid(&event),
                    "{}: {line}",
                    path.display()
                );
            }
            let text = String::from_utf8(run("text").stdout).expect("UTF-8");
            assert!(!text.contains('\x1b'), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no capture in {corpus}");
}
