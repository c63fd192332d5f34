//! The captures of `fixtures/`, each as the story that it tells and what must be found in it.

use super::{Path, Trace, fin, ms, rst, rtt};

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
        "forged-rst-triple",
        "pcapng",
        "three RST/ACKs whose hop limits and windows climb, as the Great Firewall sends them, to a client on IPv6; nothing of the server behind them",
        r#"
[[finding]]
service = "signal"
kind = "rst_injection"
mechanism = "forged_rst"
host = "chat.signal.org"
flows = 2
"#,
        |trace| {
            let mut trace = trace.visit("www.example.org", "[2001:db8:80::5]:443", 0);
            for at in [900, 3_300] {
                trace = trace
                    .flow("[2001:db8:90::24]:443")
                    .at(at)
                    .handshake(rtt(180))
                    .large_hello("chat.signal.org")
                    .forge(
                        &rst()
                            .with_ack()
                            .hop_limit(92)
                            .climbing()
                            .times(3)
                            .after(ms(31)),
                    );
            }
            trace.visit("www.example.org", "[2001:db8:80::5]:443", 5_000)
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
        "forged-fin",
        "pcap",
        "a FIN/ACK with a hop limit of its own comes before the server can have answered, and the server talks on",
        r#"
[[finding]]
service = "signal"
kind = "rst_injection"
mechanism = "forged_fin"
host = "chat.signal.org"
flows = 2
"#,
        |trace| {
            let mut trace = controls(trace);
            for at in [800, 3_600] {
                trace = trace
                    .flow(SIGNAL)
                    .at(at)
                    .handshake(rtt(64))
                    .hello("chat.signal.org")
                    .forge(&fin().hop_limit(61))
                    .answered_too_late();
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
        "stalled-after-16k",
        "pcap",
        "three downloads freeze after 16 KB each; what the client says then is not acknowledged any more",
        r#"
[[finding]]
service = "whatsapp"
kind = "blackholing"
mechanism = "stalled_after_bytes"
flows = 3
"#,
        |trace| {
            let mut trace = controls(trace).companion("mail.example.com", MAIL, 22, ms(2_500));
            for at in [500, 18_000, 36_000] {
                trace = trace
                    .flow("198.51.100.33:443")
                    .at(at)
                    .handshake(rtt(42))
                    .hello("mmg.whatsapp.net")
                    .answer()
                    .request(500)
                    .keep(96)
                    .download(60_000, &Path::clear().stalling_after(13_100))
                    .keep_all()
                    .request(40)
                    .retried(5);
            }
            trace
                .flow(NEWS)
                .at(8_000)
                .handshake(rtt(32))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .data_down(60_000)
                .close()
        },
    ),
    story(
        "delayed-drop",
        "pcap",
        "the hello is answered, and with the client's next word the connection falls silent both ways, in each of three tries",
        r#"
[[finding]]
service = "signal"
kind = "blackholing"
mechanism = "delayed_drop"
flows = 3
"#,
        |trace| {
            let mut trace = controls(trace).companion("mail.example.com", MAIL, 22, ms(2_500));
            for at in [400, 18_000, 36_000] {
                trace = trace
                    .flow(SIGNAL)
                    .at(at)
                    .handshake(rtt(40))
                    .hello("chat.signal.org")
                    .answer()
                    .retried(6);
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
        "policing-at-the-server",
        "pcap",
        "the same from the server's side, which sees each packet that the policer drops: 800 kbit/s for WhatsApp's media",
        r#"
[[finding]]
service = "whatsapp"
kind = "bandwidth_shaping"
mechanism = "policing"
host = "mmg.whatsapp.net"
rate_bps = { min = 750_000, max = 850_000 }
"#,
        |trace| {
            trace
                .at_the_server()
                .flow(NEWS)
                .at(1_200)
                .handshake(rtt(48))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .data_down(200_000)
                .close()
                .keep_all()
                .flow("198.51.100.33:443")
                .at(100)
                .handshake(rtt(52))
                .hello("mmg.whatsapp.net")
                .answer()
                .request(500)
                .keep(96)
                .download(700_000, &Path::clear().policed(800_000, 50_000))
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
        "policing-up",
        "pcapng",
        "what the client sends to Signal is policed to 300 kbit/s, over IPv6; an upload to elsewhere is not",
        r#"
[[finding]]
service = "signal"
kind = "bandwidth_shaping"
mechanism = "policing"
host = "cdn2.signal.org"
rate_bps = { min = 280_000, max = 320_000 }
"#,
        |trace| {
            trace
                .flow("[2001:db8:80::18]:443")
                .at(200)
                .handshake(rtt(32))
                .hello("news.example.net")
                .answer()
                .keep(96)
                .upload(200_000, &Path::clear())
                .close()
                .keep_all()
                .flow("[2001:db8:90::31]:443")
                .at(900)
                .handshake(rtt(58))
                .hello("cdn2.signal.org")
                .answer()
                .keep(96)
                .upload(400_000, &Path::clear().policed(300_000, 40_000))
                .close()
        },
    ),
    story(
        "random-drop",
        "pcap",
        "12 % of WhatsApp's packets are dropped whatever the rate, and none of the others'",
        r#"
[[finding]]
service = "whatsapp"
kind = "bandwidth_shaping"
mechanism = "random_drop"
"#,
        |trace| {
            let lossy = Path::clear().losing(120);
            let mut trace = controls(trace)
                .flow(NEWS)
                .at(1_000)
                .handshake(rtt(38))
                .hello("news.example.net")
                .answer()
                .request(420)
                .keep(96)
                .data_down(500_000)
                .close()
                .keep_all();
            for at in [1_500, 9_000] {
                trace = trace
                    .flow("198.51.100.33:443")
                    .at(at)
                    .handshake(rtt(44))
                    .hello("mmg.whatsapp.net")
                    .answer()
                    .request(500)
                    .keep(96)
                    .download(400_000, &lossy)
                    .close()
                    .keep_all();
            }
            trace
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
        "innocent-client-abort",
        "pcap",
        "the client aborts a download it has enough of",
        CLEAR_WHATSAPP,
        |trace| {
            controls(trace)
                .flow(WHATSAPP)
                .at(900)
                .handshake(rtt(48))
                .hello("web.whatsapp.com")
                .answer()
                .request(300)
                .data_down(9_000)
                .client_resets()
        },
    ),
    story(
        "innocent-refused-port",
        "pcap",
        "nobody listens at two ports: the kernel's RST/ACK comes after one round trip",
        "",
        |trace| {
            controls(trace)
                .flow("149.154.167.51:5222")
                .at(900)
                .refused(rtt(44))
                .flow("149.154.167.51:80")
                .at(1_300)
                .refused(rtt(44))
                .flow(TELEGRAM)
                .at(1_500)
                .handshake(rtt(44))
                .opaque(105)
                .opaque_down(4_000, &Path::clear())
                .close()
        },
    ),
    story(
        "innocent-idle-reset",
        "pcap",
        "a load balancer forgets a connection that was silent for five minutes and resets it with its own hop limit",
        CLEAR_WHATSAPP,
        |trace| {
            let trace = controls(trace)
                .flow(WHATSAPP)
                .at(900)
                .handshake(rtt(48))
                .hello("web.whatsapp.com")
                .answer()
                .request(300)
                .data_down(5_000)
                .wait(ms(300_000))
                .request(60)
                .forge(&rst().hop_limit(60).after(ms(46)));
            trace.visit("news.example.net", NEWS, 302_000)
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
    story(
        "innocent-app-limited",
        "pcap",
        "a stream of 130 kbit/s, because its source has no more, beside a fast download",
        CLEAR_WHATSAPP,
        |trace| {
            controls(trace)
                .flow(NEWS)
                .at(1_000)
                .handshake(rtt(38))
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
                .download(320_000, &Path::clear().source_of(130_000))
                .close()
        },
    ),
    story(
        "innocent-dead-host",
        "pcap",
        "one address of Signal is dead while its neighbour serves the same name",
        r#"
[[service]]
name = "signal"
verdict = "clear"
"#,
        |trace| {
            controls(trace)
                .flow(SIGNAL)
                .at(300)
                .lookup("chat.signal.org")
                .unanswered_syns(2)
                .visit("chat.signal.org", "198.51.100.25:443", 4_200)
                .visit("chat.signal.org", "198.51.100.25:443", 9_000)
                .visit("www.example.org", WEB, 20_000)
        },
    ),
];

const CLEAR_WHATSAPP: &str = r#"
[[service]]
name = "whatsapp"
verdict = "clear"
"#;
