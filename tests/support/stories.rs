//! The captures of `fixtures/`, each as the story that it tells and what must be found in it.

use super::{Path, Trace, ms, rst, rtt};

/// One capture.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    /// Its ending, which is its format.
    pub(crate) ending: &'static str,
    /// One sentence for people.
    pub(crate) about: &'static str,
    /// The expectation, without its first line.
    pub(crate) expect: &'static str,
    tell: fn(Trace) -> Trace,
}

impl Story {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let frames = (self.tell)(Trace::new(self.name)).frames();
        if self.ending == "pcapng" {
            super::file::pcapng(&frames)
        } else {
            super::file::pcap(&frames)
        }
    }
}

const fn story(
    name: &'static str,
    ending: &'static str,
    about: &'static str,
    expect: &'static str,
    tell: fn(Trace) -> Trace,
) -> Story {
    Story {
        name,
        ending,
        about,
        expect,
        tell,
    }
}

// Addresses for documentation (RFC 5737, RFC 3849) wherever a name says whose they are; Telegram's native protocol shows no name, so there its
// published addresses stand.
const WHATSAPP: &str = "198.51.100.7:443";
const SIGNAL: &str = "198.51.100.24:443";
const MAX: &str = "198.51.100.61:443";
const WEB: &str = "203.0.113.5:443";
const NEWS: &str = "203.0.113.18:443";
const MAIL: &str = "203.0.113.77:443";
const TELEGRAM: &str = "149.154.167.51:443";
const TELEGRAM_MEDIA: &str = "149.154.167.151:443";

/// What others do meanwhile, undisturbed.
fn controls(trace: Trace) -> Trace {
    trace
        .visit("www.example.org", WEB, 0)
        .visit("news.example.net", NEWS, 4_000)
}

fn other_is_reset(trace: Trace) -> Trace {
    let mut trace =
        trace
            .visit("www.example.org", WEB, 0)
            .visit("web.whatsapp.com", WHATSAPP, 3_000);
    for at in [700, 2_500] {
        trace = trace
            .flow("203.0.113.99:8443")
            .at(at)
            .handshake(rtt(38))
            .opaque(180)
            .forge(&rst().with_ack().hop_limit(60))
            .answered_too_late();
    }
    trace
}

/// All of them. The first is the one that is built into the binary.
pub(crate) const STORIES: &[Story] = &[
    story(
        "demo",
        "pcap",
        "WhatsApp's web client is reset by a box in the path, three times; Telegram's media is policed to 400 kbit/s; Signal, MAX and the web are left alone",
        r#"
[[finding]]
service = "whatsapp"
kind = "rst_injection"
mechanism = "forged_rst"
host = "web.whatsapp.com"
flows = 3

[[finding]]
service = "telegram"
kind = "bandwidth_shaping"
mechanism = "policing"
rate_bps = { min = 370_000, max = 430_000 }

[[service]]
name = "signal"
verdict = "clear"

[[service]]
name = "max"
verdict = "clear"
"#,
        |trace| {
            let mut trace = controls(trace);
            for (number, at) in [600, 2_300, 5_900].into_iter().enumerate() {
                let server = WHATSAPP;
                trace = trace.flow(server).at(at);
                if number == 0 {
                    trace = trace.lookup("web.whatsapp.com");
                }
                trace = trace
                    .handshake(rtt(48))
                    .hello("web.whatsapp.com")
                    .forge(&rst().from_server().with_ack().hop_limit(60).times(3))
                    .answered_too_late();
            }
            trace
                .visit("chat.signal.org", SIGNAL, 1_200)
                .visit("api.oneme.ru", MAX, 3_100)
                .flow(NEWS)
                .at(6_200)
                .handshake(rtt(32))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .data_down(160_000)
                .close()
                .keep_all()
                .flow(TELEGRAM_MEDIA)
                .at(1_900)
                .handshake(rtt(44))
                .opaque(105)
                .keep(96)
                .opaque_down(430_000, &Path::clear().policed(400_000, 48_000))
                .close()
        },
    ),
    story(
        "forged-rst",
        "pcap",
        "a RST with a hop limit of its own comes 6 ms after each hello; the server's real flight arrives behind it",
        r#"
[[finding]]
service = "whatsapp"
kind = "rst_injection"
mechanism = "forged_rst"
host = "web.whatsapp.com"
flows = 2
"#,
        |trace| {
            let mut trace = controls(trace);
            for at in [700, 2_500] {
                trace = trace
                    .flow(WHATSAPP)
                    .at(at)
                    .handshake(rtt(48))
                    .hello("web.whatsapp.com")
                    .forge(&rst().hop_limit(60))
                    .answered_too_late();
            }
            trace
        },
    ),
    story(
        "rewritten-reply",
        "pcap",
        "the server's flight arrives as a train of RST/ACKs: its hop limit and counter, no payload, one sequence number behind the other",
        r#"
[[finding]]
service = "messenger"
kind = "rst_injection"
mechanism = "rewritten_reply"
host = "edge-chat.messenger.com"
flows = 3
"#,
        |trace| {
            let mut trace = controls(trace);
            for at in [500, 1_900, 4_400] {
                trace = trace
                    .flow("198.51.100.90:443")
                    .at(at)
                    .handshake(rtt(36))
                    .hello("edge-chat.messenger.com")
                    .forge(&rst().rewritten().times(3).step(1_448));
            }
            trace
        },
    ),
    story(
        "syn-unanswered",
        "pcap",
        "two addresses of Telegram answer no SYN in seven tries over a minute each, while Signal and the web work",
        r#"
[[finding]]
service = "telegram"
kind = "blackholing"
mechanism = "syn_unanswered"
flows = 2

[[service]]
name = "signal"
verdict = "clear"
"#,
        |trace| {
            controls(trace)
                .companion("mail.example.com", MAIL, 30, ms(2_500))
                .flow(TELEGRAM)
                .at(300)
                .unanswered_syns(6)
                .flow("149.154.167.91:443")
                .at(2_300)
                .unanswered_syns(6)
                .visit("chat.signal.org", SIGNAL, 20_000)
        },
    ),
    story(
        "hello-unanswered",
        "pcapng",
        "handshakes work, each hello is retried into silence and the client gives up, while controls to other hosts go on",
        r#"
[[finding]]
service = "signal"
kind = "blackholing"
mechanism = "hello_unanswered"
host = "chat.signal.org"
flows = 2
"#,
        |trace| {
            let mut trace = controls(trace).companion("mail.example.com", MAIL, 16, ms(2_500));
            for at in [500, 18_000] {
                trace = trace
                    .flow(SIGNAL)
                    .at(at)
                    .handshake(rtt(40))
                    .hello("chat.signal.org")
                    .retried(6)
                    .wait(ms(500))
                    .closed_unheard(2);
            }
            trace
        },
    ),
    story(
        "policing",
        "pcap",
        "Telegram's media comes at 500 kbit/s behind a bucket of 40 KB that drops; a download from elsewhere has the line's 20 Mbit/s",
        r#"
[[finding]]
service = "telegram"
kind = "bandwidth_shaping"
mechanism = "policing"
rate_bps = { min = 470_000, max = 530_000 }
"#,
        |trace| {
            controls(trace)
                .flow(NEWS)
                .at(1_200)
                .handshake(rtt(32))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .data_down(200_000)
                .close()
                .keep_all()
                .flow(TELEGRAM_MEDIA)
                .at(1_500)
                .handshake(rtt(44))
                .opaque(105)
                .keep(96)
                .opaque_down(560_000, &Path::clear().policed(500_000, 40_000))
                .close()
        },
    ),
    story(
        "shaping",
        "pcap",
        "WhatsApp's media is queued to 600 kbit/s with up to half a second of delay; a download from elsewhere is not",
        r#"
[[finding]]
service = "whatsapp"
kind = "bandwidth_shaping"
mechanism = "shaping"
rate_bps = { min = 560_000, max = 640_000 }
"#,
        |trace| {
            controls(trace)
                .flow(NEWS)
                .at(1_200)
                .handshake(rtt(32))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .data_down(200_000)
                .close()
                .keep_all()
                .flow("198.51.100.33:443")
                .at(1_500)
                .handshake(rtt(44))
                .hello("mmg.whatsapp.net")
                .answer()
                .request(500)
                .keep(96)
                .download(600_000, &Path::clear().shaped(600_000, 30_000, 37_500))
                .close()
        },
    ),
    story(
        "other-server-reset",
        "pcap",
        "forged RSTs at a server that no messenger owns and nothing names: under the usual scope that is no finding",
        CLEAR_WHATSAPP,
        other_is_reset,
    ),
    story(
        "other-server-reset-all",
        "pcap",
        "the same, asked for all services",
        r#"scope = "all"

[[finding]]
service = "control"
kind = "rst_injection"
mechanism = "forged_rst"
flows = 2

[[service]]
name = "whatsapp"
verdict = "clear"
"#,
        other_is_reset,
    ),
    story(
        "vlan-mirror",
        "pcap",
        "a mirror port hands every frame over twice, the second time behind a router; the RSTs are forged all the same",
        r#"
[[finding]]
service = "whatsapp"
kind = "rst_injection"
mechanism = "forged_rst"
flows = 2
"#,
        |trace| {
            let mut trace = controls(trace).mirrored();
            for at in [700, 2_500] {
                trace = trace
                    .flow(WHATSAPP)
                    .at(at)
                    .handshake(rtt(48))
                    .hello("web.whatsapp.com")
                    .forge(&rst().hop_limit(55).times(2))
                    .answered_too_late();
            }
            trace
        },
    ),
    story(
        "vlan",
        "pcap",
        "forged RSTs in a capture with VLAN tags",
        r#"
[[finding]]
service = "whatsapp"
kind = "rst_injection"
mechanism = "forged_rst"
flows = 2
"#,
        |trace| {
            let mut trace = controls(trace.vlan(7));
            for at in [700, 2_500] {
                trace = trace
                    .flow(WHATSAPP)
                    .at(at)
                    .handshake(rtt(48))
                    .hello("web.whatsapp.com")
                    .forge(&rst().hop_limit(58).times(2))
                    .answered_too_late();
            }
            trace
        },
    ),
    story(
        "innocent-server-close",
        "pcap",
        "the server ends each connection with a RST of its own after it has answered, as SO_LINGER 0 does",
        CLEAR_WHATSAPP,
        |trace| {
            let mut trace = controls(trace);
            for at in [700, 2_500] {
                trace = trace
                    .flow(WHATSAPP)
                    .at(at)
                    .handshake(rtt(48))
                    .hello("web.whatsapp.com")
                    .answer()
                    .request(300)
                    .data_down(5_000)
                    .wait(ms(400))
                    .server_resets();
            }
            trace
        },
    ),
    story(
        "innocent-capture-ends",
        "pcap",
        "the capture ends 30 ms after a hello, sooner than the answer could be there",
        r#"
[[service]]
name = "signal"
verdict = "not_assessable"
"#,
        |trace| {
            controls(trace)
                .flow(SIGNAL)
                .at(6_000)
                .handshake(rtt(48))
                .hello("chat.signal.org")
                .wait(ms(30))
                .capture_ends()
        },
    ),
    story(
        "innocent-loss",
        "pcap",
        "a radio link loses 2 % of everybody's packets, the messenger's and the control's alike",
        CLEAR_WHATSAPP,
        |trace| {
            let lossy = Path::clear().losing(20);
            controls(trace)
                .flow(NEWS)
                .at(1_000)
                .handshake(rtt(38))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .download(500_000, &lossy)
                .close()
                .keep_all()
                .flow("198.51.100.33:443")
                .at(1_500)
                .handshake(rtt(44))
                .hello("mmg.whatsapp.net")
                .answer()
                .request(500)
                .keep(96)
                .download(500_000, &lossy)
                .close()
        },
    ),
];

const CLEAR_WHATSAPP: &str = r#"
[[service]]
name = "whatsapp"
verdict = "clear"
"#;
