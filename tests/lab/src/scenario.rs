//! The scenarios: who talks to whom, what the path is like, what the box does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::censor::{
    Act, FORGED_FIN, FORGED_FIN_PUSH, Forgery, HopLimit, IpId, Rule, Way, When, Who,
};
use crate::packet::{ACK, RST};
use crate::path::{Rebind, Stretch, Way4};
use crate::plan::{After, Flow, Hello, Leave, Restart, Step, Transport, step};

/// How a written file differs from what passed.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    pub snaplen: Option<usize>,
    pub one_way: Option<Way>,
    pub starts_at_s: Option<f64>,
    pub ends_at_s: Option<f64>,
    pub drop_p: Option<f64>,
    pub duplicates: bool,
    /// Ends when the last client has said its first word.
    pub ends_at_hello: bool,
}

#[derive(Clone)]
pub struct Scenario {
    pub name: String,
    pub family: &'static str,
    pub mechanism: &'static str,
    pub about: &'static str,
    pub source: &'static str,
    pub seed: u64,
    pub flows: Vec<Flow>,
    pub rules: Vec<Rule>,
    pub way: Way4,
    pub rebinds: Vec<Rebind>,
    pub restarts: Vec<Restart>,
    pub client_hop_limit: u8,
    pub server_hop_limit: u8,
    pub mtu_probing: bool,
    pub mtu: u16,
    pub tail: Duration,
    pub damages: Vec<(&'static str, Damage)>,
    pub rtt_ms: f64,
    pub loss: f64,
    pub jitter_ms: f64,
    pub ipv6: bool,
    pub rate_kbps: Option<f64>,
    pub burst: Option<f64>,
    pub drop_p: Option<f64>,
    pub direction: Option<&'static str>,
    pub link: &'static str,
    /// The file's clock is finer than a microsecond.
    pub nano: bool,
}

struct Kit {
    r: StdRng,
    ipv6: bool,
    client: IpAddr,
    ports: Vec<u16>,
    flows: Vec<Flow>,
}

/// A service's names and addresses (docs/detection.md, D2 and D3).
fn service_names(service: &str) -> &'static [&'static str] {
    match service {
        "whatsapp" => &[
            "web.whatsapp.com",
            "mmg.whatsapp.net",
            "media-arn2-1.cdn.whatsapp.net",
            "g.whatsapp.net",
        ],
        "telegram" => &["web.telegram.org", "t.me", "telegram.me"],
        "signal" => &["chat.signal.org", "storage.signal.org", "cdn2.signal.org"],
        "facetime" => &["facetime.apple.com", "init.ess.apple.com"],
        "messenger" => &[
            "edge-mqtt.facebook.com",
            "b-graph.facebook.com",
            "edge-chat.messenger.com",
        ],
        "max" => &["api.oneme.ru", "web.max.ru"],
        _ => &[],
    }
}
fn service_networks(service: &str) -> &'static [[u8; 3]] {
    match service {
        "whatsapp" => &[[157, 240, 205], [31, 13, 84], [31, 13, 72]],
        "telegram" => &[[149, 154, 167], [91, 108, 4], [91, 108, 56]],
        "signal" => &[[13, 248, 212], [76, 223, 92]],
        "facetime" => &[[17, 57, 12], [17, 248, 214]],
        "messenger" => &[[157, 240, 253], [31, 13, 64]],
        "max" => &[[95, 163, 52]],
        "vk.com" => &[[87, 240, 132], [93, 186, 225]],
        "ya.ru" => &[[77, 88, 44], [5, 255, 255]],
        "wikipedia.org" => &[[185, 15, 59]],
        "ozon.ru" => &[[185, 73, 193]],
        "gosuslugi.ru" => &[[109, 207, 1], [213, 59, 254]],
        _ => &[[23, 192, 228]],
    }
}
fn service_network6(service: &str) -> &'static str {
    match service {
        "whatsapp" | "messenger" => "2a03:2880:f2ff:c5",
        "telegram" => "2001:67c:4e8:f002",
        "facetime" => "2620:149:a44:0",
        "vk.com" => "2a00:bdc0:3:103",
        "ya.ru" => "2a02:6b8:a:0",
        "wikipedia.org" => "2a02:ec80:300:ed1a",
        _ => "2600:1f18:24e6:b900",
    }
}
const CONTROLS: [(&str, &str); 5] = [
    ("vk.com", "vk.com"),
    ("ya.ru", "ya.ru"),
    ("wikipedia.org", "ru.wikipedia.org"),
    ("ozon.ru", "www.ozon.ru"),
    ("gosuslugi.ru", "gosuslugi.ru"),
];
const MESSENGERS: [&str; 5] = ["whatsapp", "telegram", "signal", "facetime", "messenger"];

impl Kit {
    fn new(seed: u64, ipv6: bool) -> Self {
        let mut r = StdRng::seed_from_u64(seed);
        let client = if ipv6 {
            IpAddr::V6(Ipv6Addr::new(
                0x2001,
                0xdb8,
                r.r#gen(),
                1,
                0,
                0,
                0,
                r.gen_range(16..0xfff0),
            ))
        } else if r.gen_bool(0.5) {
            IpAddr::V4(Ipv4Addr::new(
                192,
                168,
                r.gen_range(0..255),
                r.gen_range(2..250),
            ))
        } else {
            IpAddr::V4(Ipv4Addr::new(
                10,
                r.gen_range(0..255),
                r.gen_range(0..255),
                r.gen_range(2..250),
            ))
        };
        Self {
            r,
            ipv6,
            client,
            ports: Vec::new(),
            flows: Vec::new(),
        }
    }

    fn address(&mut self, service: &str) -> IpAddr {
        if self.ipv6 {
            let network = service_network6(service);
            let host: u16 = self.r.gen_range(0x100..0xfff0);
            return format!("{network}::{host:x}")
                .parse()
                .unwrap_or(IpAddr::V6(Ipv6Addr::LOCALHOST));
        }
        let network = service_networks(service)
            .choose(&mut self.r)
            .copied()
            .unwrap_or([23, 192, 228]);
        IpAddr::V4(Ipv4Addr::new(
            network[0],
            network[1],
            network[2],
            self.r.gen_range(2..250),
        ))
    }

    fn port(&mut self) -> u16 {
        loop {
            let port = self.r.gen_range(33_000..60_000);
            if !self.ports.contains(&port) {
                self.ports.push(port);
                return port;
            }
        }
    }

    fn flow(&mut self, service: &str, transport: Transport, start_s: f64) -> Flow {
        let messenger = MESSENGERS.contains(&service) || service == "max";
        let sni = match transport {
            Transport::Noise
            | Transport::Obfuscated
            | Transport::Abridged
            | Transport::Intermediate
            | Transport::Call => None,
            _ if messenger => service_names(service)
                .choose(&mut self.r)
                .map(|s| (*s).to_string()),
            _ => CONTROLS
                .iter()
                .find(|c| c.0 == service)
                .map(|c| c.1.to_string())
                .or(Some("example.org".into())),
        };
        let port = match transport {
            Transport::Http => 80,
            Transport::Call if service == "telegram" => 1400,
            Transport::Call => 3478,
            Transport::Noise | Transport::Obfuscated if self.r.gen_bool(0.3) => 5222,
            _ => 443,
        };
        let hello = match self.r.gen_range(0..10) {
            // A key share of that kind is TLS 1.3's.
            0..=2 if transport != Transport::Tls12 => Hello::PostQuantum,
            3 if !transport.is_udp() => Hello::Split(self.r.gen_range(1..120)),
            _ => Hello::Plain,
        };
        Flow {
            service: service.to_string(),
            messenger,
            sni,
            transport,
            server: SocketAddr::new(self.address(service), port),
            client: SocketAddr::new(self.client, self.port()),
            start: Duration::from_secs_f64(start_s),
            hello,
            congestion: if self.r.gen_bool(0.6) { "cubic" } else { "bbr" },
            steps: Vec::new(),
            leave: Leave::Fin,
            connect_timeout: Duration::from_secs(12),
            target: false,
            innocent: "clean",
            host_exists: true,
            listens: true,
            refuses_name: false,
            fast_open: false,
            receive_buffer: None,
            media_s: 0.0,
            accept: Vec::new(),
            connections: 1,
            keepalive_s: None,
            notes: "",
            gives_up: false,
            muted: false,
        }
    }

    fn messenger(&mut self) -> &'static str {
        MESSENGERS
            .choose(&mut self.r)
            .copied()
            .unwrap_or("whatsapp")
    }
    fn tls(&mut self) -> Transport {
        if self.r.gen_bool(0.25) {
            Transport::Tls12
        } else {
            Transport::Tls13
        }
    }
    /// A transport the service has of its own.
    fn native(&mut self, service: &str) -> Transport {
        match service {
            "whatsapp" if self.r.gen_bool(0.6) => Transport::Noise,
            "telegram" if self.r.gen_bool(0.7) => [
                Transport::Obfuscated,
                Transport::Obfuscated,
                Transport::Abridged,
                Transport::Intermediate,
            ]
            .choose(&mut self.r)
            .copied()
            .unwrap_or(Transport::Obfuscated),
            _ => self.tls(),
        }
    }

    /// An answered chat of so many seconds, a message now and then.
    fn chat(&mut self, seconds: f64) -> Vec<Step> {
        let mut steps = vec![step(
            "echo",
            self.r.gen_range(200..1_500),
            self.r.gen_range(300..3_000),
        )];
        let mut left = seconds;
        while left > 0.0 {
            let wait = self.r.gen_range(0.5..1.6);
            steps.push(
                step(
                    "echo",
                    self.r.gen_range(40..900),
                    self.r.gen_range(60..1_800),
                )
                .wait((wait * 1000.0) as u64),
            );
            left -= wait;
        }
        steps
    }

    /// Flows to other sites that work, all through the run.
    fn controls(&mut self, count: usize, seconds: f64) {
        let mut sites = CONTROLS;
        sites.shuffle(&mut self.r);
        for (k, (service, _)) in sites.iter().take(count).enumerate() {
            let transport = self.tls();
            let start = 0.2 + 0.4 * k as f64;
            let mut flow = self.flow(service, transport, start);
            flow.innocent = "control";
            flow.steps = self.chat(seconds - start);
            let size = self.r.gen_range(25_000..60_000);
            let at = 1 + self.r.gen_range(0..flow.steps.len());
            flow.steps.insert(at, step("down", 200, size));
            self.flows.push(flow);
        }
    }

    fn target(&mut self, mut flow: Flow) {
        flow.target = true;
        self.flows.push(flow);
    }
}

fn scenario(kit: Kit, name: &str, seed: u64, about: &'static str) -> Scenario {
    let mut r = kit.r;
    let rtt = *[12.0, 25.0, 40.0, 60.0, 90.0, 140.0]
        .choose(&mut r)
        .unwrap_or(&40.0);
    let jitter = *[0.0, 0.0, 0.4, 1.0, 3.0].choose(&mut r).unwrap_or(&0.0);
    let mut s = Scenario {
        name: name.into(),
        family: "none",
        mechanism: "clean",
        about,
        source: "",
        seed,
        flows: kit.flows,
        rules: Vec::new(),
        way: way(
            rtt,
            jitter,
            0.0,
            r.gen_range(0.15..0.5),
            r.gen_range(3..8),
            r.gen_range(4..11),
        ),
        rebinds: Vec::new(),
        restarts: Vec::new(),
        client_hop_limit: if r.gen_bool(0.7) { 64 } else { 128 },
        server_hop_limit: if r.gen_bool(0.8) { 64 } else { 128 },
        mtu_probing: false,
        mtu: *[1500, 1500, 1500, 1492, 1400]
            .choose(&mut r)
            .unwrap_or(&1500),
        tail: Duration::from_millis(900),
        damages: Vec::new(),
        rtt_ms: rtt,
        loss: 0.0,
        jitter_ms: jitter,
        ipv6: kit.ipv6,
        rate_kbps: None,
        burst: None,
        drop_p: None,
        direction: None,
        link: ["eth", "eth", "eth", "raw", "sll", "vlan"]
            .choose(&mut r)
            .copied()
            .unwrap_or("eth"),
        nano: r.gen_bool(0.2),
    };
    if r.gen_bool(0.2) {
        s.set_loss(*[0.002, 0.005].choose(&mut r).unwrap_or(&0.002));
    }
    s
}

/// A path of `rtt` milliseconds whose box stands at `share` of it.
fn way(rtt: f64, jitter: f64, loss: f64, share: f64, near: u8, far: u8) -> Way4 {
    let half = rtt / 2.0;
    let stretch = |part: f64, hops| Stretch {
        jitter_ms: jitter / 2.0,
        loss: loss / 2.0,
        ..Stretch::new(half * part, hops)
    };
    Way4 {
        client_to_box: stretch(share, near),
        box_to_server: stretch(1.0 - share, far),
        server_to_box: stretch(1.0 - share, far),
        box_to_client: stretch(share, near),
    }
}

impl Scenario {
    fn stretches(&mut self) -> [&mut Stretch; 4] {
        let w = &mut self.way;
        [
            &mut w.client_to_box,
            &mut w.box_to_server,
            &mut w.server_to_box,
            &mut w.box_to_client,
        ]
    }
    fn set_loss(&mut self, loss: f64) {
        self.loss = loss;
        for s in self.stretches() {
            s.loss = loss / 2.0;
        }
    }
    fn set_rtt(&mut self, rtt: f64) {
        let factor = rtt / self.rtt_ms;
        self.rtt_ms = rtt;
        for s in self.stretches() {
            s.delay_ms *= factor;
        }
    }
    /// The names (where the flow has one) or addresses of the flows the box is after.
    fn targets(&self) -> Who {
        let targets: Vec<&Flow> = self.flows.iter().filter(|f| f.target).collect();
        if !targets.is_empty()
            && targets
                .iter()
                .all(|f| f.sni.is_some() && !f.transport.is_udp())
        {
            Who::Name(targets.iter().filter_map(|f| f.sni.clone()).collect())
        } else {
            self.target_addresses()
        }
    }
    fn target_addresses(&self) -> Who {
        Who::Address(
            self.flows
                .iter()
                .filter(|f| f.target)
                .map(|f| f.server.ip())
                .collect(),
        )
    }
    fn guilty(
        mut self,
        family: &'static str,
        mechanism: &'static str,
        direction: &'static str,
        when: When,
        act: Act,
    ) -> Self {
        (self.family, self.mechanism, self.direction) = (family, mechanism, Some(direction));
        let who = match when {
            When::Syn | When::Packets(_) => self.target_addresses(),
            _ => self.targets(),
        };
        self.rules.push(Rule::new(who, when, act));
        self
    }
    fn innocent(mut self, mechanism: &'static str) -> Self {
        self.mechanism = mechanism;
        for f in &mut self.flows {
            if f.innocent == "clean" {
                f.innocent = mechanism;
            }
        }
        self
    }
    fn from(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
    fn damaged(mut self, name: &'static str, damage: Damage) -> Self {
        self.damages.push((name, damage));
        self
    }
}

fn hash(name: &str, seed: u64) -> u64 {
    // FNV-1a: the same on every machine and in every build.
    name.bytes().fold(
        0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3),
    )
}

/// The whole matrix for a seed.
pub fn matrix(seed: u64) -> Vec<Scenario> {
    let mut all = Vec::new();
    resets(seed, &mut all);
    holes(seed, &mut all);
    media(seed, &mut all);
    slow(seed, &mut all);
    presets(seed, &mut all);
    innocents(seed, &mut all);
    for s in &mut all {
        // A part of the captures is also written as somebody with a worse tap would have it.
        if s.damages.is_empty() {
            let duration = s
                .flows
                .iter()
                .map(|f| f.start.as_secs_f64())
                .fold(0.0, f64::max)
                + 3.0;
            let (name, damage) = match s.seed % 20 {
                0 => (
                    "snap96",
                    Damage {
                        snaplen: Some(96),
                        ..Damage::default()
                    },
                ),
                1 => (
                    "down",
                    Damage {
                        one_way: Some(Way::Down),
                        ..Damage::default()
                    },
                ),
                2 => (
                    "up",
                    Damage {
                        one_way: Some(Way::Up),
                        ..Damage::default()
                    },
                ),
                3 => (
                    "miss",
                    Damage {
                        drop_p: Some(0.01),
                        ..Damage::default()
                    },
                ),
                4 => (
                    "dup",
                    Damage {
                        duplicates: true,
                        ..Damage::default()
                    },
                ),
                5 => (
                    "mid",
                    Damage {
                        starts_at_s: Some(duration * 0.3),
                        ..Damage::default()
                    },
                ),
                6 => (
                    "cut",
                    Damage {
                        ends_at_s: Some(duration * 0.6),
                        ..Damage::default()
                    },
                ),
                _ => continue,
            };
            s.damages.push((name, damage));
        }
    }
    all
}

/// Two to four sessions that open, ask and are answered: what a reset or a hole meets.
fn sessions(kit: &mut Kit, service: &str, named: bool, count: usize, gap_s: f64, timeout_s: f64) {
    let transport = if named {
        kit.tls()
    } else {
        kit.native(service)
    };
    let mut first = kit.flow(service, transport, 0.6);
    let server = first.server;
    let name = first.sni.clone();
    for k in 0..count {
        let mut flow = if k == 0 {
            first.clone()
        } else {
            kit.flow(service, transport, 0.6 + gap_s * k as f64)
        };
        // An app tries the same host again; the third time another address of the service.
        if k < 2 {
            flow.server = server;
        } else {
            flow.server.set_port(server.port());
        }
        flow.sni.clone_from(&name);
        flow.hello = first.hello.clone();
        flow.steps = vec![
            step(
                "echo",
                kit.r.gen_range(300..1_500),
                kit.r.gen_range(400..3_000),
            )
            .within(timeout_s),
            step("down", 120, kit.r.gen_range(20_000..70_000)).within(timeout_s),
            step("echo", kit.r.gen_range(100..600), kit.r.gen_range(100..900))
                .wait(kit.r.gen_range(200..900))
                .within(timeout_s),
        ];
        flow.connect_timeout = Duration::from_secs_f64(timeout_s);
        kit.target(flow);
    }
    first.steps.clear();
}

fn resets(seed: u64, all: &mut Vec<Scenario>) {
    let mut add = |name: &str,
                   about: &'static str,
                   source: &'static str,
                   mechanism: &'static str,
                   direction: &'static str,
                   when: When,
                   named: bool,
                   act: Act| {
        let h = hash(name, seed);
        let mut kit = Kit::new(h, h % 6 == 0);
        let service = kit.messenger();
        sessions(&mut kit, service, named, 3, 1.2, 6.0);
        kit.controls(3, 5.0);
        all.push(
            scenario(kit, name, h, about)
                .guilty("rst_injection", mechanism, direction, when, act)
                .from(source),
        );
    };
    let to_client = |f: Forgery, drop_trigger, drop_after| Act::Forge {
        to_client: Some(f),
        to_server: None,
        drop_trigger,
        drop_after,
    };
    let both = |c: Forgery, s: Forgery, drop_trigger, drop_after| Act::Forge {
        to_client: Some(c),
        to_server: Some(s),
        drop_trigger,
        drop_after,
    };
    let own = Forgery::default;
    let copied = || Forgery {
        hop_limit: HopLimit::Like(0),
        ip_id: IpId::Next,
        window: u16::MAX,
        ..Forgery::default()
    };

    add(
        "rst_spoof_ttl64",
        "One forged RST/ACK to the client after the hello, with the box's own TTL and IP-ID 0.",
        "SIGCOMM23; NDSS09",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(own(), false, false),
    );
    add(
        "rst_spoof_ttl255",
        "A forged RST without ACK, TTL 255, random IP-ID, window copied.",
        "NDSS09",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                flags: RST,
                hop_limit: HopLimit::Own(255),
                ip_id: IpId::Random,
                window: u16::MAX,
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_spoof_copy",
        "TTL copied and one hop off, IP-ID next in the server's row; the hello passes, so the real answer follows.",
        "NDSS09",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                hop_limit: HopLimit::Like(1),
                ..copied()
            },
            false,
            false,
        ),
    );
    add(
        "rst_spoof_copy_all",
        "Everything copied, two segments; sooner than the path allows.",
        "NDSS09",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                offsets: vec![0, 0],
                ..copied()
            },
            false,
            false,
        ),
    );
    add(
        "rst_spoof_drop",
        "The hello is dropped and the client gets one RST of the box.",
        "EcoManual",
        "rst_drop_trigger",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                hop_limit: HopLimit::Own(60),
                ..own()
            },
            true,
            true,
        ),
    );
    add(
        "rst_spoof_clock",
        "A RST with a timestamp of a clock that is not the server's.",
        "net4people 442",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                alien_clock: true,
                ..copied()
            },
            false,
            false,
        ),
    );
    add(
        "rst_spoof_wrong_ack",
        "A RST/ACK whose acknowledgement is wrong.",
        "zapret",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                wrong_ack: true,
                hop_limit: HopLimit::Own(64),
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_spoof_late",
        "The forged RST comes 40 ms after the hello.",
        "SIGCOMM23",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                delay: Duration::from_millis(40),
                hop_limit: HopLimit::Own(128),
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_gfw_triple",
        "GFW: three RST/ACK at seq, +1460, +4380 to both ends, TTL climbing.",
        "net4people 285, quoting Clayton 2006",
        "gfw_triple",
        "both",
        When::Hello,
        true,
        both(
            Forgery {
                offsets: vec![0, 1460, 4380],
                hop_limit: HopLimit::Own(88),
                hop_limit_step: 1,
                ip_id: IpId::Random,
                ..own()
            },
            Forgery {
                offsets: vec![0, 1460, 4380],
                hop_limit: HopLimit::Own(90),
                hop_limit_step: 1,
                ip_id: IpId::Random,
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_gfw_2025",
        "GFW 20 August 2025: three RST/ACK for the SYN's answer, windows 3293, 3294, 3295.",
        "net4people 511",
        "gfw_triple",
        "to_client",
        When::Packets(2),
        false,
        to_client(
            Forgery {
                offsets: vec![0, 0, 0],
                window: 3293,
                window_step: 1,
                hop_limit: HopLimit::Own(100),
                hop_limit_step: 1,
                ip_id: IpId::Fixed(5000),
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_gfw_equal",
        "Three RST/ACK of equal numbers, TTL and window stepping.",
        "net4people 285",
        "gfw_triple",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                offsets: vec![0, 0, 0],
                window: 900,
                window_step: 7,
                hop_limit: HopLimit::Own(70),
                hop_limit_step: 1,
                ip_id: IpId::Random,
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_henan",
        "Henan: one RST/ACK with ten bytes of payload.",
        "net4people 442; Xray-core 2426",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                payload: vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 0],
                hop_limit: HopLimit::Own(64),
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_both",
        "One RST to each end, the hello passes.",
        "SIGCOMM23",
        "rst_both",
        "both",
        When::Hello,
        true,
        both(
            own(),
            Forgery {
                flags: RST,
                hop_limit: HopLimit::Own(64),
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_both_drop",
        "One RST to each end, the hello and all behind it dropped.",
        "EcoManual",
        "rst_both",
        "both",
        When::Hello,
        true,
        both(
            Forgery {
                hop_limit: HopLimit::Own(62),
                ..own()
            },
            Forgery {
                hop_limit: HopLimit::Own(62),
                ip_id: IpId::Random,
                ..own()
            },
            true,
            true,
        ),
    );
    add(
        "rst_both_mid",
        "Both ends reset in the middle of a download.",
        "SIGCOMM23",
        "rst_both",
        "both",
        When::Bytes(Way::Down, 24_000),
        false,
        both(
            Forgery {
                hop_limit: HopLimit::Own(64),
                offsets: vec![0, 1400, 2800],
                ..own()
            },
            Forgery {
                hop_limit: HopLimit::Own(64),
                ip_id: IpId::Random,
                ..own()
            },
            false,
            true,
        ),
    );
    add(
        "rst_to_server",
        "Only the server is reset; the client meets a server that has forgotten it.",
        "SIGCOMM23",
        "rst_to_server",
        "to_server",
        When::Hello,
        true,
        Act::Forge {
            to_client: None,
            to_server: Some(Forgery {
                flags: RST,
                hop_limit: HopLimit::Own(64),
                ..own()
            }),
            drop_trigger: false,
            drop_after: false,
        },
    );
    add(
        "rst_to_server_drop",
        "The server is reset, the hello dropped.",
        "SIGCOMM23",
        "rst_to_server",
        "to_server",
        When::Hello,
        true,
        Act::Forge {
            to_client: None,
            to_server: Some(Forgery {
                hop_limit: HopLimit::Own(250),
                ip_id: IpId::Random,
                ..own()
            }),
            drop_trigger: true,
            drop_after: true,
        },
    );
    add(
        "rst_tspu_rewrite_1",
        "TSPU SNI-I: what the server sends after the hello becomes bare RST/ACKs with its own TTL, IP-ID and numbers.",
        "EcoManual 4.8, 5.1.5; IMC22",
        "tspu_rewrite",
        "to_client",
        When::Hello,
        true,
        Act::Rewrite,
    );
    add(
        "rst_tspu_rewrite_2",
        "The same, other service and path.",
        "EcoManual 4.8, 5.1.5; IMC22",
        "tspu_rewrite",
        "to_client",
        When::Hello,
        true,
        Act::Rewrite,
    );
    add(
        "rst_tspu_rewrite_3",
        "The same for a protocol recognised by its first bytes.",
        "EcoManual 4.8, 5.1.5; IMC22",
        "tspu_rewrite",
        "to_client",
        When::Hello,
        false,
        Act::Rewrite,
    );
    add(
        "rst_fin_1",
        "A forged FIN/ACK after the hello.",
        "HoneyBadger",
        "fin_injection",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                flags: FORGED_FIN,
                hop_limit: HopLimit::Own(64),
                window: 512,
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_fin_2",
        "A forged FIN in the middle of a download, while the server goes on.",
        "HoneyBadger",
        "fin_injection",
        "to_client",
        When::Bytes(Way::Down, 20_000),
        false,
        to_client(
            Forgery {
                flags: FORGED_FIN_PUSH,
                hop_limit: HopLimit::Own(255),
                ip_id: IpId::Random,
                window: 512,
                ..own()
            },
            false,
            false,
        ),
    );
    add(
        "rst_fin_3",
        "A forged FIN, TTL nearly copied, what follows dropped.",
        "HoneyBadger",
        "fin_injection",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                flags: FORGED_FIN,
                hop_limit: HopLimit::Like(3),
                ip_id: IpId::Random,
                window: u16::MAX,
                ..own()
            },
            true,
            true,
        ),
    );
    add(
        "rst_syn_answer",
        "A RST/ACK in reply to the SYN, the SYN dropped: as a closed port looks.",
        "net4people 106",
        "rst_syn",
        "to_client",
        When::Syn,
        false,
        to_client(
            Forgery {
                flags: RST | ACK,
                hop_limit: HopLimit::Own(64),
                ..own()
            },
            true,
            true,
        ),
    );
    add(
        "rst_turkmen",
        "Turkmenistan: three RSTs for a name, hello dropped.",
        "net4people 80, 273",
        "rst_spoofed_server",
        "to_client",
        When::Hello,
        true,
        to_client(
            Forgery {
                flags: RST,
                hop_limit: HopLimit::Own(58),
                ip_id: IpId::Random,
                offsets: vec![0, 0, 0],
                ..own()
            },
            true,
            true,
        ),
    );
}

fn holes(seed: u64, all: &mut Vec<Scenario>) {
    let drop = |up, down, after, trigger| Act::Drop {
        up,
        down,
        after,
        trigger,
        residual: None,
    };
    let mut add = |name: &str,
                   about: &'static str,
                   source: &'static str,
                   mechanism: &'static str,
                   direction: &'static str,
                   when: When,
                   named: bool,
                   act: Act| {
        let h = hash(name, seed);
        let mut kit = Kit::new(h, h % 6 == 0);
        let service = kit.messenger();
        sessions(&mut kit, service, named, 3, 1.7, 11.0);
        kit.controls(3, 15.0);
        all.push(
            scenario(kit, name, h, about)
                .guilty("blackhole", mechanism, direction, when, act)
                .from(source),
        );
    };
    for (k, named) in [(1, true), (2, false), (3, false)] {
        add(
            &format!("bh_syn_drop_{k}"),
            "All SYNs to the messenger's addresses vanish; others work.",
            "OONI Telegram",
            "syn_drop_ip",
            "up",
            When::Syn,
            named,
            drop(true, true, 0, true),
        );
    }
    for k in 1..=2 {
        add(
            &format!("bh_synack_drop_{k}"),
            "The SYN passes, its answer does not.",
            "B-SYN",
            "synack_drop_ip",
            "down",
            When::Syn,
            k == 1,
            drop(false, true, 0, true),
        );
    }
    for (k, named) in [(1, true), (2, true), (3, false)] {
        add(
            &format!("bh_hello_up_{k}"),
            "The hello and all behind it is dropped on the way up; the server repeats its SYN-ACK or waits.",
            "net4people 516",
            "drop_after_hello_up",
            "up",
            When::Hello,
            named,
            drop(true, false, 0, true),
        );
        add(
            &format!("bh_hello_both_{k}"),
            "TSPU SNI-IV: hello dropped, then both ways.",
            "IMC22",
            "drop_after_hello_both",
            "both",
            When::Hello,
            named,
            drop(true, true, 0, true),
        );
        add(
            &format!("bh_hello_down_{k}"),
            "The hello passes, nothing comes back.",
            "B-CHD",
            "drop_after_hello_down",
            "down",
            When::Hello,
            named,
            drop(false, true, 0, true),
        );
    }
    for k in 1..=2 {
        add(
            &format!("bh_behind_hello_{k}"),
            "The hello passes, all behind it is dropped both ways.",
            "net4people 417",
            "drop_behind_hello_both",
            "both",
            When::Hello,
            true,
            drop(true, true, 0, false),
        );
        add(
            &format!("bh_transport_{k}"),
            "A messenger's own protocol is recognised by its first bytes and dropped.",
            "mtg 547",
            "messenger_transport_drop",
            "both",
            When::Hello,
            false,
            drop(true, true, 0, true),
        );
    }
    for (k, after) in [(1, 5), (2, 7), (3, 12)] {
        add(
            &format!("bh_delayed_{k}"),
            "TSPU SNI-II: a handful of packets pass after the hello, then both ways are dead.",
            "IMC22",
            "delayed_drop",
            "both",
            When::Hello,
            true,
            drop(true, true, after, false),
        );
    }
    for k in 1..=2 {
        add(
            &format!("bh_appdata_{k}"),
            "The handshake passes, the first application data does not.",
            "mtg 547",
            "drop_first_appdata",
            if k == 1 { "up" } else { "both" },
            When::BehindHello(130),
            true,
            drop(true, k == 2, 0, true),
        );
    }

    // Freezes: a download that stops.
    let freeze = |name: &str,
                  about: &'static str,
                  source: &'static str,
                  mechanism: &'static str,
                  direction: &'static str,
                  when: When,
                  act: Act,
                  named: bool| {
        let h = hash(name, seed);
        let mut kit = Kit::new(h, false);
        let service = kit.messenger();
        sessions(&mut kit, service, named, 3, 1.1, 13.0);
        for f in &mut kit.flows {
            f.steps = vec![
                step("echo", 1_200, 900).within(13.0),
                step("down", 160, kit.r.gen_range(70_000..140_000)).within(13.0),
            ];
        }
        kit.controls(3, 15.0);
        scenario(kit, name, h, about)
            .guilty("blackhole", mechanism, direction, when, act)
            .from(source)
    };
    for (k, n) in [(1, 16_000), (2, 18_500), (3, 20_400)] {
        all.push(freeze(
            &format!("bh_freeze16k_{k}"),
            "2025: after 16-20 KB down nothing more arrives.",
            "Cloudflare 2025-06-26; net4people 490",
            "freeze_16k",
            "down",
            When::Bytes(Way::Down, n),
            drop(false, true, 0, true),
            k != 3,
        ));
    }
    for (k, n) in [(1, 25), (2, 25), (3, 22)] {
        all.push(freeze(
            &format!("bh_budget_{k}"),
            "A budget of packets over both directions, then silence.",
            "dpich",
            "packet_budget",
            "both",
            When::Packets(n),
            drop(true, true, 0, true),
            k != 2,
        ));
    }

    // Living sessions: some die at once, others go on.
    for k in 1..=3 {
        let name = format!("bh_list_update_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, k == 2);
        let service = kit.messenger();
        let transport = kit.native(service);
        let mut first = kit.flow(service, transport, 0.4);
        let (server, name_of) = (first.server, first.sni.clone());
        for n in 0..3 + k {
            let mut flow = if n == 0 {
                first.clone()
            } else {
                kit.flow(service, transport, 0.4 + 0.3 * f64::from(n))
            };
            flow.server = server;
            flow.sni.clone_from(&name_of);
            flow.steps = kit.chat(16.0);
            for s in &mut flow.steps {
                s.timeout = Duration::from_secs(10);
            }
            kit.target(flow);
        }
        first.steps.clear();
        kit.controls(3, 17.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "An address list arrives: all living sessions to one server die together, without a trigger.",
        );
        (s.family, s.mechanism, s.direction, s.source) =
            ("blackhole", "list_update", Some("both"), "EcoManual 8");
        s.rules.push(Rule::new(
            s.target_addresses(),
            When::At(Duration::from_secs_f64(5.0)),
            drop(true, true, 0, true),
        ));
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("bh_midstream_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        let service = kit.messenger();
        let transport = kit.tls();
        for n in 0..3 {
            let mut flow = kit.flow(service, transport, 0.4 + 0.5 * f64::from(n));
            if n > 0 {
                let (server, sni) = (kit.flows[0].server, kit.flows[0].sni.clone());
                (flow.server, flow.sni) = (server, sni);
            }
            flow.steps = kit.chat(16.0);
            for s in &mut flow.steps {
                s.timeout = Duration::from_secs(9);
            }
            kit.target(flow);
        }
        kit.controls(3, 16.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "Sessions talk for seconds, then are dropped both ways for good.",
        );
        (s.family, s.mechanism, s.direction, s.source) =
            ("blackhole", "midstream_residual", Some("both"), "IMC22");
        s.rules.push(Rule::new(
            s.target_addresses(),
            When::At(Duration::from_secs_f64(4.0 + f64::from(k))),
            Act::Drop {
                up: true,
                down: true,
                after: 0,
                trigger: true,
                residual: Some(Duration::from_secs(60)),
            },
        ));
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("bh_residual_syn_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        let service = kit.messenger();
        sessions(&mut kit, service, true, 4, 3.2, 9.0);
        let server = kit.flows[0].server;
        for f in &mut kit.flows {
            f.server = server;
        }
        kit.controls(3, 19.0);
        all.push(scenario(kit, &name, h, "The first hello is dropped, and then for a minute every SYN to that address and port.").guilty("blackhole", "residual_syn_drop", "both", When::Hello,
            Act::Drop { up: true, down: true, after: 0, trigger: true, residual: Some(Duration::from_secs(60)) }).from("SIGCOMM23; IMC22"));
    }
    for k in 1..=2 {
        let name = format!("bh_limit_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        let service = kit.messenger();
        sessions(&mut kit, service, true, 6, 0.15, 10.0);
        let server = kit.flows[0].server;
        for f in &mut kit.flows {
            f.server = server;
            f.steps.extend([
                step("echo", 300, 400).wait(2_000),
                step("echo", 300, 400).wait(2_000),
                step("echo", 300, 400).wait(2_000),
            ]);
        }
        kit.controls(3, 13.0);
        all.push(
            scenario(
                kit,
                &name,
                h,
                "Of parallel hellos to one server a few are answered, the others stall.",
            )
            .guilty(
                "blackhole",
                "connection_limit",
                "both",
                When::Hello,
                Act::Limit { most: 1 + k },
            )
            .from("net4people 546; dpich"),
        );
    }
}

fn calls(kit: &mut Kit, service: &str, relays: usize, media_s: f64) {
    for n in 0..relays {
        let mut flow = kit.flow(service, Transport::Call, 0.5 + 0.05 * n as f64);
        if n == 0 {
            flow.media_s = media_s;
        }
        kit.target(flow);
    }
}

fn media(seed: u64, all: &mut Vec<Scenario>) {
    let drop = |up, down, after, trigger| Act::Drop {
        up,
        down,
        after,
        trigger,
        residual: None,
    };
    for (k, service) in ["whatsapp", "telegram", "signal"].iter().enumerate() {
        let name = format!("bh_stun_{}", k + 1);
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, k == 1);
        calls(&mut kit, service, 4, 8.0);
        kit.controls(3, 15.0);
        let (act, direction) = if k == 2 {
            (drop(false, true, 0, true), "down")
        } else {
            (drop(true, true, 0, true), "both")
        };
        all.push(
            scenario(kit, &name, h, "Relay requests go unanswered.")
                .guilty("blackhole", "stun_drop", direction, When::Syn, act)
                .from("zapret-openwrt 377; August 2025 reports"),
        );
    }
    for (k, (mechanism, down_only)) in [
        ("media_drop_both", false),
        ("media_drop_down", true),
        ("media_drop_both", false),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("bh_media_{}", k + 1);
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        let service = ["whatsapp", "telegram", "signal"][k];
        calls(&mut kit, service, 3, 11.0);
        kit.controls(2, 12.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "The relay answers, then the media is dropped.",
        )
        .guilty(
            "blackhole",
            mechanism,
            if *down_only { "down" } else { "both" },
            When::Media,
            drop(!down_only, true, [0, 0, 25][k], true),
        );
        s.source = "August 2025 reports";
        s.rules[0].who = Who::Address(
            s.flows
                .iter()
                .filter(|f| f.target && f.media_s > 0.0)
                .map(|f| f.server.ip())
                .collect(),
        );
        all.push(s);
    }
    for k in 1..=3 {
        let name = format!("bh_quic_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, k == 2);
        let service = if k == 1 { "messenger" } else { "whatsapp" };
        for n in 0..3 {
            let mut flow = kit.flow(service, Transport::Quic, 0.5 + 1.5 * f64::from(n));
            flow.steps = vec![step("down", 200, 40_000)];
            flow.connect_timeout = Duration::from_secs(9);
            kit.target(flow);
            // The client falls back to TCP, which works.
            let mut fallback = kit.flow(service, Transport::Tls13, 2.0 + 1.5 * f64::from(n));
            fallback.innocent = "quic_fallback";
            fallback.steps = vec![step("echo", 300, 800), step("down", 200, 30_000)];
            kit.flows.push(fallback);
        }
        let mut other = kit.flow("ya.ru", Transport::Quic, 0.3);
        other.innocent = "control";
        other.steps = vec![
            step("down", 200, 50_000),
            step("echo", 300, 900).wait(3_000),
            step("echo", 300, 900).wait(4_000),
        ];
        kit.flows.push(other);
        kit.controls(2, 14.0);
        let act = if k == 3 {
            drop(true, true, 2, false)
        } else {
            drop(true, true, 0, true)
        };
        all.push(
            scenario(
                kit,
                &name,
                h,
                "QUIC Initials to the service are dropped; TCP to it works.",
            )
            .guilty("blackhole", "quic_initial_drop", "both", When::Hello, act)
            .from("net4people 108, 654"),
        );
    }
    // Calls that are slowed rather than silenced.
    for (k, p) in [(1, 0.12), (2, 0.25), (3, 0.5)] {
        let name = format!("sh_media_loss_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        calls(&mut kit, ["whatsapp", "telegram", "signal"][k - 1], 2, 14.0);
        control_call(&mut kit, 13.0);
        kit.controls(2, 14.0);
        let mut s = scenario(kit, &name, h, "A share of the call's media is dropped.")
            .guilty(
                "shaping",
                "random_drop_media",
                "both",
                When::Media,
                Act::Lose { up: p, down: p },
            )
            .from("EcoManual 17.3");
        s.drop_p = Some(p);
        all.push(s);
    }
    for (k, rate) in [(1, 16_000.0), (2, 24_000.0)] {
        let name = format!("sh_media_police_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        calls(&mut kit, ["whatsapp", "telegram"][k - 1], 2, 14.0);
        control_call(&mut kit, 13.0);
        kit.controls(2, 14.0);
        let mut s = scenario(kit, &name, h, "A token bucket on the call's media.").guilty(
            "shaping",
            "policer_media",
            "down",
            When::Media,
            Act::Police {
                way: Way::Down,
                rate_bps: rate,
                burst: 8_000.0,
                shared: false,
            },
        );
        (s.rate_kbps, s.burst) = (Some(rate / 1000.0), Some(8_000.0));
        all.push(s);
    }
}

/// A call over another provider that works.
fn control_call(kit: &mut Kit, seconds: f64) {
    let mut flow = kit.flow("example.org", Transport::Call, 0.4);
    flow.innocent = "control";
    flow.media_s = seconds;
    kit.flows.push(flow);
}

/// A big transfer of the service and the same of another site at the same time.
fn bulk(
    kit: &mut Kit,
    service: &str,
    transport: Transport,
    up: bool,
    bytes: u32,
    seconds: f64,
    flows: usize,
) {
    for n in 0..flows {
        let mut flow = kit.flow(service, transport, 0.5 + 0.7 * n as f64);
        let big = if up {
            step("up", bytes, 200)
        } else {
            step("down", 300, bytes)
        };
        flow.steps = vec![step("echo", 600, 900).within(seconds), big.within(seconds)];
        kit.target(flow);
    }
    let mut other = kit.flow(["vk.com", "ya.ru"][usize::from(up)], Transport::Tls13, 0.8);
    other.innocent = "control";
    let size = if up { 250_000 } else { 350_000 };
    other.steps = vec![if up {
        step("up", size, 200)
    } else {
        step("down", 300, size)
    }];
    other.steps.extend(kit.chat(seconds * 0.7));
    kit.flows.push(other);
}

fn slow(seed: u64, all: &mut Vec<Scenario>) {
    let mut add = |name: &str,
                   about: &'static str,
                   source: &'static str,
                   mechanism: &'static str,
                   up: bool,
                   bytes: u32,
                   seconds: f64,
                   flows: usize,
                   when: When,
                   act: Act,
                   transport: Option<Transport>| {
        let h = hash(name, seed);
        let mut kit = Kit::new(h, h % 7 == 0 && transport.is_none());
        let service = kit.messenger();
        let transport = transport.unwrap_or_else(|| kit.tls());
        bulk(&mut kit, service, transport, up, bytes, seconds, flows);
        kit.controls(2, seconds);
        let direction = if up { "up" } else { "down" };
        let mut s = scenario(kit, name, h, about)
            .guilty("shaping", mechanism, direction, when, act.clone())
            .from(source);
        if transport == Transport::Quic {
            s.rules[0].who = s.target_addresses();
        }
        match act {
            Act::Police {
                rate_bps, burst, ..
            } => (s.rate_kbps, s.burst) = (Some(rate_bps / 1000.0), Some(burst)),
            Act::Shape { rate_bps, .. } => s.rate_kbps = Some(rate_bps / 1000.0),
            Act::Lose { up, down } => {
                s.drop_p = Some(up.max(down));
                s.direction = Some(if up > 0.0 && down > 0.0 {
                    "both"
                } else if up > 0.0 {
                    "up"
                } else {
                    "down"
                });
            }
            _ => {}
        }
        all.push(s);
    };
    let police = |way, kbps: f64, burst: f64| Act::Police {
        way,
        rate_bps: kbps * 1000.0,
        burst,
        shared: false,
    };
    let shape = |way, kbps: f64, queue: f64| Act::Shape {
        way,
        rate_bps: kbps * 1000.0,
        queue,
    };
    let imc21 = "IMC21: Twitter, 130-150 kbit/s";
    for (kbps, burst, bytes, seconds) in [
        (64.0, 8_000.0, 160_000, 16.0),
        (140.0, 10_000.0, 260_000, 15.0),
        (150.0, 30_000.0, 280_000, 15.0),
        (300.0, 24_000.0, 500_000, 14.0),
        (500.0, 50_000.0, 700_000, 12.0),
        (1000.0, 100_000.0, 1_200_000, 10.0),
        (3000.0, 60_000.0, 2_000_000, 8.0),
    ] {
        add(
            &format!("sh_police_down_{kbps}k"),
            "A token bucket on the messenger's downlink.",
            imc21,
            "policer_down",
            false,
            bytes,
            seconds,
            1,
            When::Hello,
            police(Way::Down, kbps, burst),
            None,
        );
    }
    add(
        "sh_police_down_two",
        "A token bucket for each of two downloads.",
        imc21,
        "policer_down",
        false,
        350_000,
        13.0,
        2,
        When::Hello,
        police(Way::Down, 200.0, 16_000.0),
        None,
    );
    add(
        "sh_police_shared",
        "One token bucket for two downloads of the service.",
        imc21,
        "policer_down",
        false,
        350_000,
        14.0,
        2,
        When::Hello,
        Act::Police {
            way: Way::Down,
            rate_bps: 400_000.0,
            burst: 30_000.0,
            shared: true,
        },
        None,
    );
    for (kbps, burst, bytes, seconds) in [
        (128.0, 12_000.0, 220_000, 14.0),
        (256.0, 20_000.0, 400_000, 13.0),
        (800.0, 64_000.0, 900_000, 10.0),
    ] {
        add(
            &format!("sh_police_up_{kbps}k"),
            "A token bucket on the messenger's uplink.",
            imc21,
            "policer_up",
            true,
            bytes,
            seconds,
            1,
            When::Hello,
            police(Way::Up, kbps, burst),
            None,
        );
    }
    for (kbps, burst) in [(200.0, 20_000.0), (600.0, 40_000.0)] {
        add(
            &format!("sh_police_quic_{kbps}k"),
            "A token bucket on a QUIC download.",
            imc21,
            "policer_down_quic",
            false,
            (kbps * 1_500.0) as u32,
            13.0,
            1,
            When::Hello,
            police(Way::Down, kbps, burst),
            Some(Transport::Quic),
        );
    }
    for (kbps, queue, bytes, seconds) in [
        (100.0, 30_000.0, 160_000, 14.0),
        (250.0, 40_000.0, 400_000, 13.0),
        (512.0, 64_000.0, 700_000, 12.0),
        (1500.0, 100_000.0, 1_400_000, 9.0),
    ] {
        add(
            &format!("sh_shape_down_{kbps}k"),
            "A queue on the messenger's downlink.",
            "C1",
            "shaper_down",
            false,
            bytes,
            seconds,
            1,
            When::Hello,
            shape(Way::Down, kbps, queue),
            None,
        );
    }
    for (kbps, queue, bytes, seconds) in [
        (96.0, 24_000.0, 150_000, 14.0),
        (300.0, 50_000.0, 420_000, 13.0),
        (700.0, 60_000.0, 800_000, 11.0),
    ] {
        add(
            &format!("sh_shape_up_{kbps}k"),
            "A queue on the messenger's uplink.",
            "C1",
            "shaper_up",
            true,
            bytes,
            seconds,
            1,
            When::Hello,
            shape(Way::Up, kbps, queue),
            None,
        );
    }
    for (kbps, after, bytes) in [(220.0, 160_000, 480_000), (150.0, 60_000, 300_000)] {
        add(
            &format!("sh_delayed_police_{kbps}k"),
            "Free at first; policed once so many bytes have passed.",
            "C2",
            "delayed_policer_down",
            false,
            bytes,
            14.0,
            1,
            When::Bytes(Way::Down, after),
            police(Way::Down, kbps, 16_000.0),
            None,
        );
        add(
            &format!("sh_delayed_shape_{kbps}k"),
            "Free at first; shaped once so many bytes have passed.",
            "C2",
            "delayed_shaper_down",
            false,
            bytes,
            14.0,
            1,
            When::Bytes(Way::Down, after),
            shape(Way::Down, kbps, 40_000.0),
            None,
        );
    }
    for (p, mechanism, bytes) in [
        (0.04, "random_drop_low", 700_000),
        (0.06, "random_drop_low", 600_000),
        (0.1, "random_drop", 400_000),
        (0.15, "random_drop", 250_000),
        (0.2, "random_drop", 180_000),
        (0.3, "random_drop", 120_000),
    ] {
        add(
            &format!("sh_lose_down_{:.0}", p * 100.0),
            "A share of the messenger's downlink packets is dropped at random.",
            "EcoManual 17.3",
            mechanism,
            false,
            bytes,
            14.0,
            2,
            When::Syn,
            Act::Lose { up: 0.0, down: p },
            None,
        );
    }
    for p in [0.1, 0.2, 0.3] {
        add(
            &format!("sh_lose_up_{:.0}", p * 100.0),
            "A share of the messenger's uplink packets is dropped at random.",
            "youtubeUnblock 361",
            "random_drop",
            true,
            (60_000.0 / p) as u32,
            14.0,
            2,
            When::Syn,
            Act::Lose { up: p, down: 0.0 },
            None,
        );
        add(
            &format!("sh_lose_both_{:.0}", p * 100.0),
            "A share of the messenger's packets is dropped at random, both ways.",
            "EcoManual 17.3",
            "random_drop",
            false,
            (40_000.0 / p) as u32,
            14.0,
            2,
            When::Syn,
            Act::Lose { up: p, down: p },
            None,
        );
    }
}

/// The presets that need more than one rule.
fn presets(seed: u64, all: &mut Vec<Scenario>) {
    for k in 1..=2 {
        let name = format!("sh_twitter2021_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        let service = kit.messenger();
        bulk(
            &mut kit,
            service,
            Transport::Tls13,
            k == 2,
            260_000,
            16.0,
            1,
        );
        kit.controls(2, 15.0);
        let police = |way| Act::Police {
            way,
            rate_bps: 140_000.0,
            burst: 12_000.0,
            shared: false,
        };
        let first = if k == 2 { Way::Up } else { Way::Down };
        let second = if k == 2 { Way::Down } else { Way::Up };
        let mut s = scenario(
            kit,
            &name,
            h,
            "2021: a token bucket of 140 kbit/s each way once the hello carries the name.",
        )
        .guilty(
            "shaping",
            if k == 2 { "policer_up" } else { "policer_down" },
            "both",
            When::Hello,
            police(first),
        )
        .from("IMC21");
        s.rules.push(Rule {
            act: police(second),
            ..s.rules[0].clone()
        });
        (s.rate_kbps, s.burst) = (Some(140.0), Some(12_000.0));
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("bh_freeze_up_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, false);
        let service = kit.messenger();
        sessions(&mut kit, service, true, 3, 1.1, 13.0);
        for f in &mut kit.flows {
            f.steps = vec![
                step("echo", 900, 900).within(13.0),
                step("up", kit.r.gen_range(70_000..140_000), 100).within(13.0),
            ];
        }
        kit.controls(3, 15.0);
        all.push(
            scenario(kit, &name, h, "A budget of packets, met by an upload.")
                .guilty(
                    "blackhole",
                    "packet_budget",
                    "both",
                    When::Packets(24 + k),
                    Act::Drop {
                        up: true,
                        down: true,
                        after: 0,
                        trigger: true,
                        residual: None,
                    },
                )
                .from("dpich"),
        );
    }
    for k in 1..=2 {
        let name = format!("rst_residual_{k}");
        let h = hash(&name, seed);
        let mut kit = Kit::new(h, k == 2);
        let service = kit.messenger();
        sessions(&mut kit, service, true, 4, 1.3, 6.0);
        kit.controls(3, 6.0);
        let f = |n| Forgery {
            hop_limit: HopLimit::Own(n),
            ip_id: IpId::Random,
            ..Forgery::default()
        };
        let s = scenario(kit, &name, h, "A reset to both ends for the name in the hello, one more 5 ms later with the next sequence number.")
            .guilty("rst_injection", "rst_both", "both", When::Hello, Act::Forge { to_client: Some(Forgery { offsets: vec![0, 1], ..f(61) }), to_server: Some(f(63)), drop_trigger: false, drop_after: false })
            .from("SIGCOMM23");
        all.push(s);
    }
    {
        let h = hash("bh_iran", seed);
        let mut kit = Kit::new(h, false);
        for (n, service) in ["telegram", "whatsapp", "telegram"].iter().enumerate() {
            let mut flow = kit.flow(
                service,
                if *service == "telegram" {
                    Transport::Obfuscated
                } else {
                    Transport::Noise
                },
                0.5 + 1.2 * n as f64,
            );
            flow.steps = vec![
                step("echo", 600, 900).within(12.0),
                step("down", 100, 20_000).within(12.0),
            ];
            flow.connect_timeout = Duration::from_secs(11);
            kit.target(flow);
        }
        kit.controls(3, 15.0);
        all.push(scenario(kit, "bh_iran", h, "Iran's protocol filter: a first payload that is no DNS, HTTP or TLS passes, everything behind it is dropped.")
            .guilty("blackhole", "drop_behind_hello_both", "both", When::Hello, Act::Drop { up: true, down: true, after: 0, trigger: false, residual: None }).from("FOCI 2020 summary"));
    }
}

fn innocents(seed: u64, all: &mut Vec<Scenario>) {
    fn mixed(kit: &mut Kit, count: usize, seconds: f64, bytes: u32) {
        let mut services = MESSENGERS;
        services.shuffle(&mut kit.r);
        for (k, service) in services.iter().take(count).enumerate() {
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.3 + 0.5 * k as f64);
            flow.steps = kit.chat(seconds);
            let at = kit.r.gen_range(1..flow.steps.len());
            flow.steps.insert(
                at,
                if k % 3 == 2 {
                    step("up", bytes, 200)
                } else {
                    step("down", 200, bytes)
                },
            );
            kit.flows.push(flow);
        }
    }
    let start = |name: &str, ipv6: bool| {
        let h = hash(name, seed);
        (Kit::new(h, ipv6), h)
    };

    for k in 1..=3 {
        let name = format!("ng_clean_{k}");
        let (mut kit, h) = start(&name, k == 2);
        mixed(&mut kit, 5, 5.0, 60_000);
        calls(&mut kit, "whatsapp", 3, 5.0);
        for f in &mut kit.flows {
            f.target = false;
        }
        let mut quic = kit.flow("messenger", Transport::Quic, 1.0);
        quic.steps = vec![step("down", 300, 90_000), step("up", 40_000, 100)];
        kit.flows.push(quic);
        let mut http = kit.flow("example.org", Transport::Http, 1.2);
        http.steps = vec![step("down", 0, 30_000), step("down", 0, 9_000)];
        kit.flows.push(http);
        kit.controls(2, 5.0);
        let s = scenario(
            kit,
            &name,
            h,
            "Ordinary use of several messengers, nothing wrong.",
        )
        .innocent("clean");
        let s = match k {
            1 => s
                .damaged(
                    "snap96",
                    Damage {
                        snaplen: Some(96),
                        ..Damage::default()
                    },
                )
                .damaged(
                    "dup",
                    Damage {
                        duplicates: true,
                        ..Damage::default()
                    },
                ),
            2 => s
                .damaged(
                    "down",
                    Damage {
                        one_way: Some(Way::Down),
                        ..Damage::default()
                    },
                )
                .damaged(
                    "miss",
                    Damage {
                        drop_p: Some(0.02),
                        ..Damage::default()
                    },
                ),
            _ => s
                .damaged(
                    "up",
                    Damage {
                        one_way: Some(Way::Up),
                        ..Damage::default()
                    },
                )
                .damaged(
                    "mid",
                    Damage {
                        starts_at_s: Some(2.5),
                        ..Damage::default()
                    },
                )
                .damaged(
                    "cut",
                    Damage {
                        ends_at_s: Some(1.6),
                        ..Damage::default()
                    },
                ),
        };
        all.push(s);
    }
    for (k, p) in [(1, 0.01), (2, 0.02), (3, 0.03)] {
        let name = format!("ng_loss_{k}");
        let (mut kit, h) = start(&name, false);
        mixed(&mut kit, 4, 6.0, 220_000);
        kit.controls(3, 7.0);
        let mut s =
            scenario(kit, &name, h, "Random loss of 1-3 % for everybody.").innocent("random_loss");
        s.set_loss(p);
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("ng_linger_{k}");
        let (mut kit, h) = start(&name, k == 2);
        mixed(&mut kit, 4, 1.0, 20_000);
        for f in &mut kit.flows {
            f.steps.push(step("echo", 300, 1_500).after(if k == 1 {
                After::Linger
            } else {
                After::LingerMidway
            }));
            f.leave = Leave::Fin;
        }
        if k == 2 {
            for f in &mut kit.flows {
                if let Some(last) = f.steps.last_mut() {
                    last.down = 60_000;
                }
            }
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                &name,
                h,
                "The server closes with SO_LINGER 0: a real reset.",
            )
            .innocent("server_linger_rst"),
        );
    }
    {
        let (mut kit, h) = start("ng_client_abort", false);
        mixed(&mut kit, 4, 1.0, 20_000);
        for (k, f) in kit.flows.iter_mut().enumerate() {
            if k % 2 == 0 {
                f.leave = Leave::Abort;
            } else {
                let mut last = step("down", 200, 200_000);
                last.abort_at = Some(40_000);
                f.steps.push(last);
            }
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                "ng_client_abort",
                h,
                "The client aborts, at the end or in the middle of a download.",
            )
            .innocent("client_abort"),
        );
    }
    for k in 1..=2 {
        let name = format!("ng_refused_{k}");
        let (mut kit, h) = start(&name, k == 2);
        let service = kit.messenger();
        for n in 0..3 {
            let mut flow = kit.flow(service, Transport::Tls13, 0.5 + f64::from(n));
            if n < 2 {
                flow.server.set_port(8443 + n as u16);
                flow.listens = false;
                flow.innocent = "refused_port";
            } else {
                flow.steps = kit.chat(3.0);
            }
            kit.flows.push(flow);
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                &name,
                h,
                "A port that nobody listens on answers with a reset.",
            )
            .innocent("refused_port_sibling"),
        );
    }
    for k in 1..=2 {
        let name = format!("ng_restart_{k}");
        let (mut kit, h) = start(&name, false);
        let service = kit.messenger();
        let transport = kit.tls();
        for n in 0..4 {
            let mut flow = kit.flow(
                service,
                transport,
                if n < 3 { 0.4 + 0.3 * f64::from(n) } else { 6.0 },
            );
            if n > 0 {
                let (server, sni) = (kit.flows[0].server, kit.flows[0].sni.clone());
                (flow.server, flow.sni) = (server, sni);
            }
            flow.steps = kit.chat(if n < 3 { 6.0 } else { 2.0 });
            if n == 1 {
                flow.steps
                    .insert(1, step("down", 200, 600_000).pace_down(4_000, 60));
            }
            kit.flows.push(flow);
        }
        let server = kit.flows[0].server;
        kit.controls(2, 8.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "The server restarts: it resets everybody and is back in a second.",
        )
        .innocent("server_restart");
        s.restarts.push(Restart {
            server,
            at: Duration::from_secs_f64(3.5),
            down: Duration::from_millis(900),
        });
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("ng_lb_idle_{k}");
        let (mut kit, h) = start(&name, k == 2);
        let service = kit.messenger();
        for n in 0..3 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.5 * f64::from(n));
            flow.steps = vec![
                step("echo", 300, 900),
                step("down", 200, 15_000),
                step("echo", 300, 900)
                    .wait(61_000 + 500 * n as u64)
                    .within(3.0),
            ];
            flow.innocent = "lb_idle_rst";
            kit.flows.push(flow);
        }
        let addresses = kit.flows.iter().map(|f| f.server.ip()).collect();
        kit.controls(2, 63.0);
        let mut s = scenario(kit, &name, h, "A load balancer forgets idle sessions after a minute and resets them, with its own TTL.").innocent("lb_idle_rst");
        let f = Forgery {
            flags: RST,
            hop_limit: HopLimit::Own(255),
            ip_id: if k == 1 { IpId::Zero } else { IpId::Random },
            ..Forgery::default()
        };
        let mut rule = Rule::new(
            Who::Address(addresses),
            When::Idle(Duration::from_secs(55)),
            Act::Forge {
                to_client: Some(f),
                to_server: None,
                drop_trigger: true,
                drop_after: true,
            },
        );
        (rule.hostile, rule.at_server) = (false, true);
        s.rules.push(rule);
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_nat_idle", false);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.5 * f64::from(n));
            flow.steps = vec![
                step("echo", 300, 900),
                step("echo", 300, 900).wait(50_000).within(8.0),
            ];
            flow.innocent = "nat_idle_drop";
            flow.accept = vec!["blackhole"];
            kit.flows.push(flow);
            // The app opens a new session, which works at once.
            let mut next = kit.flow(service, transport, 56.0 + f64::from(n));
            next.server = kit.flows[kit.flows.len() - 1].server;
            next.sni = kit.flows[kit.flows.len() - 1].sni.clone();
            next.innocent = "nat_idle_sibling";
            next.steps = kit.chat(2.0);
            kit.flows.push(next);
        }
        let addresses = kit.flows.iter().map(|f| f.server.ip()).collect();
        kit.controls(2, 58.0);
        let mut s = scenario(
            kit,
            "ng_nat_idle",
            h,
            "A NAT forgets a session idle for 45 s; its packets go nowhere, a new session works.",
        )
        .innocent("nat_idle_drop");
        let mut rule = Rule::new(
            Who::Address(addresses),
            When::Idle(Duration::from_secs(45)),
            Act::Drop {
                up: true,
                down: true,
                after: 0,
                trigger: true,
                residual: None,
            },
        );
        rule.hostile = false;
        s.rules.push(rule);
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("ng_dead_host_{k}");
        let (mut kit, h) = start(&name, k == 2);
        let service = kit.messenger();
        for n in 0..3 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            if n == 0 {
                flow.host_exists = false;
                flow.innocent = "dead_host";
                flow.accept = vec!["blackhole"];
                flow.connect_timeout = Duration::from_secs(9);
            } else {
                flow.steps = kit.chat(4.0);
            }
            kit.flows.push(flow);
        }
        kit.controls(2, 8.0);
        all.push(
            scenario(
                kit,
                &name,
                h,
                "One address of the service is dead, its neighbours live.",
            )
            .innocent("dead_host_sibling"),
        );
    }
    for (k, kbps) in [(1, 700.0), (2, 1500.0)] {
        let name = format!("ng_congestion_{k}");
        let (mut kit, h) = start(&name, false);
        mixed(&mut kit, 4, 6.0, 200_000);
        kit.controls(3, 7.0);
        let mut s =
            scenario(kit, &name, h, "A narrow link that all flows share.").innocent("congestion");
        s.way.box_to_client.link = Some((kbps * 1000.0, 24_000.0));
        s.way.client_to_box.link = Some((kbps * 600.0, 24_000.0));
        s.rate_kbps = Some(kbps);
        all.push(s);
    }
    for (k, kbps) in [(1, 800.0), (2, 2000.0)] {
        let name = format!("ng_bufferbloat_{k}");
        let (mut kit, h) = start(&name, false);
        mixed(&mut kit, 4, 6.0, 220_000);
        kit.controls(3, 7.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "A link with a queue of a second or more, shared by all.",
        )
        .innocent("bufferbloat");
        s.way.box_to_client.link = Some((kbps * 1000.0, 250_000.0));
        s.way.client_to_box.link = Some((kbps * 500.0, 150_000.0));
        s.rate_kbps = Some(kbps);
        all.push(s);
    }
    for (k, share, late) in [(1, 0.05, 8.0), (2, 0.15, 25.0)] {
        let name = format!("ng_reorder_{k}");
        let (mut kit, h) = start(&name, false);
        mixed(&mut kit, 4, 4.0, 150_000);
        kit.controls(2, 5.0);
        let mut s =
            scenario(kit, &name, h, "A share of the packets comes late.").innocent("reordering");
        s.way.box_to_client.reorder = (share, late);
        s.way.client_to_box.reorder = (share, late);
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("ng_slow_reader_{k}");
        let (mut kit, h) = start(&name, k == 2);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.receive_buffer = Some(8_192);
            let mut read = step("down", 200, 240_000).within(14.0);
            read.slow_read = Some((3_000, if k == 1 { 120 } else { 400 }));
            flow.steps = vec![read];
            kit.flows.push(flow);
        }
        kit.controls(2, 10.0);
        all.push(
            scenario(kit, &name, h, "The client reads slowly; the window closes.")
                .innocent("slow_reader"),
        );
    }
    for (k, chunk, gap) in [(1, 1_625, 100), (2, 6_400, 100), (3, 650, 40)] {
        let name = format!("ng_app_limited_{k}");
        let (mut kit, h) = start(&name, k == 3);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            let length = chunk * 1_000 / gap * 10;
            flow.steps = vec![if n == 0 {
                step("stream", 200, length)
                    .pace_down(chunk, gap)
                    .within(20.0)
            } else {
                step("send", length, 100).pace_up(chunk, gap).within(20.0)
            }];
            kit.flows.push(flow);
        }
        kit.controls(2, 9.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "The sender paces itself: a constant bit rate.",
        )
        .innocent("app_limited");
        s.rate_kbps = Some(f64::from(chunk) * 8.0 / f64::from(gap));
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_tls_alert", false);
        let service = kit.messenger();
        for n in 0..3 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.6 * f64::from(n));
            flow.refuses_name = true;
            flow.innocent = "tls_alert";
            kit.flows.push(flow);
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                "ng_tls_alert",
                h,
                "The server refuses the name with a TLS alert.",
            )
            .innocent("tls_alert"),
        );
    }
    {
        let (mut kit, h) = start("ng_half_close", false);
        for n in 0..3 {
            let service = kit.messenger();
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.6 * f64::from(n));
            let mut last = step("down", 300, 90_000).pace_down(9_000, 120);
            last.half_close = true;
            flow.steps = vec![step("echo", 300, 900), last];
            kit.flows.push(flow);
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                "ng_half_close",
                h,
                "The client closes its side and goes on reading.",
            )
            .innocent("half_close"),
        );
    }
    {
        let (mut kit, h) = start("ng_port_reuse", false);
        for n in 0..3 {
            let service = kit.messenger();
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.steps = vec![step("echo", 300, 900), step("down", 300, 12_000)];
            flow.leave = Leave::Abort;
            flow.connections = 2;
            flow.innocent = "port_reuse";
            kit.flows.push(flow);
        }
        kit.controls(2, 5.0);
        all.push(
            scenario(
                kit,
                "ng_port_reuse",
                h,
                "The client uses the same port twice; the first session was aborted.",
            )
            .innocent("port_reuse"),
        );
    }
    for k in 1..=2 {
        let name = format!("ng_pmtu_{k}");
        let (mut kit, h) = start(&name, false);
        for n in 0..3 {
            let service = kit.messenger();
            let mut flow = kit.flow(service, Transport::Tls13, 0.4 + 0.4 * f64::from(n));
            flow.hello = if n < 2 {
                Hello::PostQuantum
            } else {
                Hello::Plain
            };
            flow.steps = vec![step("echo", if n == 2 { 300 } else { 900 }, 900)];
            flow.connect_timeout = Duration::from_secs(20);
            flow.innocent = "pmtu_blackhole";
            kit.flows.push(flow);
        }
        kit.controls(2, 10.0);
        for f in &mut kit.flows {
            f.hello = if f.innocent == "control" {
                Hello::Plain
            } else {
                f.hello.clone()
            };
        }
        let mut s = scenario(kit, &name, h, "Uplink packets above 1400 bytes vanish without a word; a big hello meets it and the kernel recovers.").innocent("pmtu_blackhole");
        (s.mtu_probing, s.mtu) = (true, 1500);
        s.way.box_to_server.largest = Some(if k == 1 { 1_400 } else { 1_452 });
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("ng_handover_{k}");
        let (mut kit, h) = start(&name, false);
        mixed(&mut kit, 4, 9.0, 80_000);
        kit.controls(2, 10.0);
        let mut s = scenario(
            kit,
            &name,
            h,
            "Two seconds without radio for every flow, then all go on.",
        )
        .innocent("handover");
        let outage = Some((
            Duration::from_secs(3),
            Duration::from_secs_f64(2.0 + f64::from(k)),
            k == 1,
        ));
        (s.way.client_to_box.outage, s.way.box_to_client.outage) = (outage, outage);
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_fast_open", false);
        for n in 0..3 {
            let service = kit.messenger();
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.fast_open = true;
            flow.steps = kit.chat(2.0);
            kit.flows.push(flow);
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                "ng_fast_open",
                h,
                "TCP Fast Open: the hello travels in the SYN.",
            )
            .innocent("fast_open"),
        );
    }
    {
        let (mut kit, h) = start("ng_nat_rebind", false);
        let mut rebinds = Vec::new();
        for n in 0..2 {
            let mut flow = kit.flow(
                if n == 0 { "messenger" } else { "whatsapp" },
                Transport::Quic,
                0.4 + 0.4 * f64::from(n),
            );
            flow.steps = vec![
                step("down", 200, 60_000),
                step("echo", 300, 900).wait(2_500),
                step("down", 200, 60_000).wait(1_000),
            ];
            flow.innocent = "nat_rebinding";
            let port = kit.port();
            rebinds.push(Rebind {
                client: flow.client,
                at: Duration::from_secs_f64(2.5),
                port,
            });
            kit.flows.push(flow);
        }
        kit.controls(2, 6.0);
        let mut s = scenario(
            kit,
            "ng_nat_rebind",
            h,
            "A NAT gives a living QUIC flow another port.",
        )
        .innocent("nat_rebinding");
        s.rebinds = rebinds;
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_keepalive", false);
        for n in 0..3 {
            let service = kit.messenger();
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.keepalive_s = Some(5);
            flow.steps = vec![
                step("echo", 300, 900),
                step("push", 60, 8_000).pace_down(400, 800).within(25.0),
                step("echo", 120, 300).wait(14_000),
            ];
            flow.leave = if n == 0 { Leave::Stay } else { Leave::Fin };
            kit.flows.push(flow);
        }
        kit.controls(2, 30.0);
        all.push(
            scenario(
                kit,
                "ng_keepalive",
                h,
                "Long sessions with pushes and keep-alives.",
            )
            .innocent("long_idle"),
        );
    }
    {
        let (mut kit, h) = start("ng_small_page", false);
        for n in 0..4 {
            let service = kit.messenger();
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.3 * f64::from(n));
            flow.steps = vec![
                step("echo", 300, 900),
                step("down", 200, kit.r.gen_range(13_000..17_500)),
                step("echo", 60, 60).wait(9_000),
            ];
            flow.leave = if n % 2 == 0 { Leave::Stay } else { Leave::Fin };
            kit.flows.push(flow);
        }
        kit.controls(2, 10.0);
        all.push(
            scenario(
                kit,
                "ng_small_page",
                h,
                "Answers that end near 16 KB, then a quiet session.",
            )
            .innocent("small_page"),
        );
    }
    {
        let (mut kit, h) = start("ng_call", false);
        calls(&mut kit, "whatsapp", 4, 8.0);
        calls(&mut kit, "telegram", 2, 8.0);
        for f in &mut kit.flows {
            f.target = false;
        }
        kit.controls(2, 9.0);
        let mut s = scenario(
            kit,
            "ng_call",
            h,
            "Calls that work; several relays are asked and one is used.",
        )
        .innocent("call");
        s.set_loss(0.01);
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_far", false);
        mixed(&mut kit, 5, 5.0, 100_000);
        kit.controls(2, 6.0);
        let mut s = scenario(kit, "ng_far", h, "A path of 250 ms with jitter.").innocent("far");
        s.set_rtt(250.0);
        for stretch in s.stretches() {
            stretch.jitter_ms = 6.0;
        }
        s.jitter_ms = 12.0;
        all.push(s);
    }
    for k in 1..=2 {
        let name = format!("ng_ice_{k}");
        let (mut kit, h) = start(&name, false);
        calls(
            &mut kit,
            if k == 1 { "telegram" } else { "whatsapp" },
            2,
            8.0,
        );
        for f in &mut kit.flows {
            f.target = false;
        }
        // The peer's own addresses: nobody there to answer, the relay is used.
        for n in 0..3 {
            let mut pair = kit.flow("example.org", Transport::Call, 0.6 + 0.05 * f64::from(n));
            pair.server = SocketAddr::new(
                IpAddr::V4(Ipv4Addr::new(
                    [192, 100, 176][n as usize],
                    [168, 71, 59][n as usize],
                    7,
                    20 + n as u8,
                )),
                40_000 + 77 * n as u16,
            );
            (pair.host_exists, pair.innocent, pair.service) =
                (false, "ice_pair_dead", "peer".into());
            kit.flows.push(pair);
        }
        kit.controls(2, 9.0);
        all.push(scenario(kit, &name, h, "A call over a relay; the direct pairs to the peer stay unanswered, as usual behind NATs.").innocent("call"));
    }
    {
        let (mut kit, h) = start("ng_happy_eyeballs", false);
        for n in 0..3 {
            let service = kit.messenger();
            let mut winner = kit.flow(service, Transport::Tls13, 0.4 + 0.6 * f64::from(n));
            winner.steps = kit.chat(3.0);
            let mut loser = kit.flow(service, Transport::Tls13, 0.4 + 0.6 * f64::from(n) + 0.02);
            loser.sni.clone_from(&winner.sni);
            loser.hello = Hello::Plain;
            (loser.gives_up, loser.innocent) = (true, "happy_eyeballs");
            kit.flows.extend([winner, loser]);
        }
        kit.controls(2, 4.0);
        all.push(
            scenario(
                kit,
                "ng_happy_eyeballs",
                h,
                "Two attempts race; the loser is dropped right after its SYN-ACK.",
            )
            .innocent("clean"),
        );
    }
    {
        let (mut kit, h) = start("ng_server_fin", false);
        for _ in 0..4 {
            let service = kit.messenger();
            let transport = kit.native(service);
            let at = 0.4 + 0.4 * kit.flows.len() as f64;
            let mut flow = kit.flow(service, transport, at);
            flow.steps = vec![
                step("echo", 300, 900),
                step("down", 200, kit.r.gen_range(4_000..40_000)).after(After::Fin),
                step("echo", 200, 300).wait(1_500).within(2.0),
            ];
            kit.flows.push(flow);
        }
        kit.controls(2, 4.0);
        all.push(scenario(kit, "ng_server_fin", h, "The server closes after its answer; the client speaks once more and meets a closed socket.").innocent("server_fin"));
    }
    {
        let (mut kit, h) = start("ng_no_quic", false);
        let mut flow = kit.flow("ya.ru", Transport::Quic, 0.5);
        (flow.listens, flow.innocent) = (false, "quic_refused");
        flow.connect_timeout = Duration::from_secs(5);
        kit.flows.push(flow);
        for n in 0..2 {
            let mut flow = kit.flow("messenger", Transport::Quic, 0.6 + f64::from(n));
            flow.steps = vec![
                step("down", 200, 60_000),
                step("echo", 200, 500).wait(2_000),
            ];
            kit.flows.push(flow);
        }
        kit.controls(2, 5.0);
        all.push(
            scenario(
                kit,
                "ng_no_quic",
                h,
                "A site without HTTP/3: its host refuses the port with ICMP.",
            )
            .innocent("clean"),
        );
    }
    for k in 1..=2 {
        let name = format!("ng_bursty_{k}");
        let (mut kit, h) = start(&name, k == 2);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.steps = (0..6)
                .map(|_| step("segment", 250, if k == 1 { 48_000 } else { 90_000 }).wait(1_400))
                .collect();
            kit.flows.push(flow);
        }
        kit.controls(2, 9.0);
        all.push(
            scenario(
                kit,
                &name,
                h,
                "Segments on a timer, as video players fetch them.",
            )
            .innocent("bursty"),
        );
    }
    for (k, kbps) in [(1, 1_000.0), (2, 2_000.0)] {
        let name = format!("ng_plan_{k}");
        let (mut kit, h) = start(&name, false);
        mixed(&mut kit, 3, 7.0, 260_000);
        for (n, site) in ["vk.com", "ya.ru", "ozon.ru"].iter().enumerate() {
            let mut flow = kit.flow(site, Transport::Tls13, 0.5 + 0.3 * n as f64);
            flow.innocent = "plan_policer";
            flow.steps = vec![step("down", 300, 300_000).within(25.0)];
            kit.flows.push(flow);
        }
        let mut s = scenario(
            kit,
            &name,
            h,
            "The subscriber's plan: one token bucket for all.",
        )
        .innocent("plan_policer");
        let mut rule = Rule::new(
            Who::All,
            When::Syn,
            Act::Police {
                way: Way::Down,
                rate_bps: kbps * 1000.0,
                burst: 40_000.0,
                shared: true,
            },
        );
        rule.hostile = false;
        s.rules.push(rule);
        for f in &mut s.flows {
            for step in &mut f.steps {
                step.timeout = Duration::from_secs(25);
            }
        }
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_loss_burst", false);
        mixed(&mut kit, 4, 6.0, 120_000);
        kit.controls(2, 7.0);
        let mut s = scenario(kit, "ng_loss_burst", h, "Everything is lost for 700 ms.")
            .innocent("loss_burst");
        let outage = Some((
            Duration::from_secs_f64(2.4),
            Duration::from_millis(700),
            false,
        ));
        (s.way.client_to_box.outage, s.way.box_to_client.outage) = (outage, outage);
        all.push(s);
    }
    {
        let (mut kit, h) = start("ng_cut_hello", false);
        mixed(&mut kit, 5, 2.0, 20_000);
        kit.controls(2, 2.0);
        all.push(
            scenario(
                kit,
                "ng_cut_hello",
                h,
                "The capture ends right after the last hello.",
            )
            .innocent("clean")
            .damaged(
                "cut",
                Damage {
                    ends_at_hello: true,
                    ..Damage::default()
                },
            ),
        );
    }
    for k in 1..=2 {
        let name = format!("ng_one_way_call_{k}");
        let (mut kit, h) = start(&name, false);
        calls(&mut kit, if k == 1 { "whatsapp" } else { "signal" }, 2, 9.0);
        for f in &mut kit.flows {
            f.target = false;
            f.muted = true;
        }
        kit.controls(2, 9.0);
        all.push(
            scenario(
                kit,
                &name,
                h,
                "The far party is muted: a comfort packet now and then.",
            )
            .innocent("call_muted"),
        );
    }
}
