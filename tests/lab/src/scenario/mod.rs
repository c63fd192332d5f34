//! The scenarios: who talks to whom, what the path is like, what the box does.

mod everyday;
mod holes;
mod innocents;
mod media;
mod presets;
mod resets;
mod slow;
mod taps;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::censor::{
    Act, FORGED_FIN, FORGED_FIN_PUSH, Forgery, HopLimit, IpId, Refusal, Rule, Way, When, Who,
};
use crate::packet::{ACK, RST};
use crate::path::{Rebind, Stretch, Way4};
use crate::plan::{After, Flow, Hello, Leave, Pause, Restart, Step, Transport, step};

/// How a written file differs from what passed.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    pub snaplen: Option<usize>,
    pub one_way: Option<Way>,
    pub starts_at_s: Option<f64>,
    pub ends_at_s: Option<f64>,
    pub drop_p: Option<f64>,
    pub duplicates: bool,
    /// The twin has passed one router more.
    pub aged: bool,
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

/// What one scenario is put together from. Families are told by the name: all but its last part, which is the point.
struct Kit {
    name: String,
    seed: u64,
    /// Which point of its family this is, counted on from a number of the family's own: paths, services and congestion control follow it, so
    /// that no two points of a family are alike.
    turn: usize,
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
/// Signal's own addresses (docs/detection.md, D3).
pub const SIGNALS_OWN: [Ipv4Addr; 2] = [
    Ipv4Addr::new(13, 248, 212, 111),
    Ipv4Addr::new(76, 223, 92, 165),
];
const CONTROLS: [(&str, &str); 5] = [
    ("vk.com", "vk.com"),
    ("ya.ru", "ya.ru"),
    ("wikipedia.org", "ru.wikipedia.org"),
    ("ozon.ru", "www.ozon.ru"),
    ("gosuslugi.ru", "gosuslugi.ru"),
];
const MESSENGERS: [&str; 5] = ["whatsapp", "telegram", "signal", "facetime", "messenger"];

impl Kit {
    /// Point `k` (from 1) of a family; one point in three speaks IPv6.
    fn new(family: &str, k: usize, seed: u64) -> Self {
        Self::named(family, &k.to_string(), k, seed)
    }
    /// The same with IPv4 only.
    fn four(family: &str, k: usize, seed: u64) -> Self {
        Self::with(family, &k.to_string(), k, seed, false)
    }
    /// Point `k` of a family, named for a parameter.
    fn named(family: &str, point: &str, k: usize, seed: u64) -> Self {
        Self::with(family, point, k, seed, true)
    }
    fn with(family: &str, point: &str, k: usize, seed: u64, six_too: bool) -> Self {
        let name = format!("{family}_{point}");
        let turn = (hash(family, seed) >> 40) as usize + k;
        let ipv6 = six_too && turn.is_multiple_of(3);
        let seed = hash(&name, seed);
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
            name,
            seed,
            turn,
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
        // Signal's own two addresses, which its app falls back to; all others of it are anybody's cloud.
        if service == "signal" && self.r.gen_bool(0.5) {
            let own = SIGNALS_OWN[self.r.gen_range(0..SIGNALS_OWN.len())];
            return IpAddr::V4(own);
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
            congestion: ["cubic", "bbr"][(self.turn + self.ports.len()) % 2],
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
            pause: None,
            patience_s: None,
            dtls_ms: None,
            slow_hello_ms: 0,
        }
    }

    /// The next messenger: another for every flow and every point.
    fn messenger(&mut self) -> &'static str {
        let n = self.turn + self.flows.len();
        MESSENGERS[n % MESSENGERS.len()]
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

/// Round trips, in milliseconds; the points of a family take every third.
const ROUND_TRIPS: [f64; 8] = [5.0, 12.0, 25.0, 40.0, 60.0, 90.0, 140.0, 250.0];

fn scenario(kit: Kit, about: &'static str) -> Scenario {
    let mut r = kit.r;
    let rtt = ROUND_TRIPS[kit.turn * 3 % ROUND_TRIPS.len()];
    let jitter = *[0.0, 0.0, 0.4, 1.0, 3.0].choose(&mut r).unwrap_or(&0.0);
    let mut s = Scenario {
        name: kit.name,
        family: "none",
        mechanism: "clean",
        about,
        source: "",
        seed: kit.seed,
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

/// The family a scenario belongs to: its name without the point.
pub fn family(name: &str) -> &str {
    name.rsplit_once('_').map_or(name, |(family, _)| family)
}

/// How many families there are, guilty and innocent, and how many points the smallest has.
pub fn families(all: &[Scenario]) -> (usize, usize, usize) {
    let mut count: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for s in all {
        *count
            .entry((family(&s.name), s.family != "none"))
            .or_default() += 1;
    }
    let guilty = count.keys().filter(|(_, guilty)| *guilty).count();
    (
        guilty,
        count.len() - guilty,
        count.values().copied().min().unwrap_or(0),
    )
}

/// The whole matrix for a seed.
pub fn matrix(seed: u64) -> Vec<Scenario> {
    let mut all = Vec::new();
    resets::all(seed, &mut all);
    holes::all(seed, &mut all);
    media::all(seed, &mut all);
    slow::all(seed, &mut all);
    presets::all(seed, &mut all);
    innocents::all(seed, &mut all);
    everyday::all(seed, &mut all);
    taps::all(seed, &mut all);
    // Some captures of every other family are also written as somebody with a worse tap would have them.
    for s in &mut all {
        if !s.damages.is_empty() {
            continue;
        }
        let last = s
            .flows
            .iter()
            .map(|f| f.start.as_secs_f64())
            .fold(0.0, f64::max);
        if let Some(damage) = taps::worse(s.seed % 20, last + 3.0) {
            s.damages.push(damage);
        }
    }
    all
}

/// The three points of a family that differ only in what every point differs in: path, service, IP version, congestion control.
fn three(when: When, named: bool, act: impl Fn(usize) -> Act) -> [(When, bool, Act); 3] {
    [1, 2, 3].map(|k| (when, named, act(k)))
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

fn calls(kit: &mut Kit, service: &str, relays: usize, media_s: f64) {
    for n in 0..relays {
        let mut flow = kit.flow(service, Transport::Call, 0.5 + 0.05 * n as f64);
        if n == 0 {
            flow.media_s = media_s;
        }
        kit.target(flow);
    }
}

/// The connection over which the messenger's app says how the call goes.
fn signalling(kit: &mut Kit, service: &str, seconds: f64) {
    let transport = kit.native(service);
    let mut flow = kit.flow(service, transport, 0.2);
    flow.innocent = "signalling";
    flow.steps = kit.chat(seconds);
    kit.flows.push(flow);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_at_least_25_families_of_either_kind_with_three_points_each() {
        for seed in [1, 5, 77] {
            let (guilty, innocent, fewest) = families(&matrix(seed));
            assert!(
                guilty >= 25 && innocent >= 25 && fewest >= 3,
                "seed {seed}: {guilty} guilty, {innocent} innocent, {fewest} points"
            );
        }
    }

    #[test]
    fn names_are_given_once_and_no_family_is_both_guilty_and_innocent() {
        let all = matrix(1);
        let names: BTreeSet<&str> = all.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        let families: BTreeSet<(&str, bool)> = all
            .iter()
            .map(|s| (family(&s.name), s.family != "none"))
            .collect();
        let distinct: BTreeSet<&str> = families.iter().map(|f| f.0).collect();
        assert_eq!(distinct.len(), families.len());
    }

    /// What a point is a point of: the path, the IP version, the services, the congestion control, the sizes, the rules.
    fn parameters(s: &Scenario) -> String {
        let flows: Vec<_> = s
            .flows
            .iter()
            .filter(|f| f.innocent != "control")
            .map(|f| {
                let sizes: Vec<_> = f.steps.iter().map(|s| (s.up, s.down)).collect();
                (&f.service, f.congestion, f.transport, sizes)
            })
            .collect();
        format!("{} {} {flows:?} {:?}", s.rtt_ms, s.ipv6, s.rules)
    }

    #[test]
    fn the_points_of_a_family_differ_in_round_trip_and_in_what_is_sent() {
        let all = matrix(5);
        let mut by_family: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
        for s in &all {
            by_family.entry(family(&s.name)).or_default().push(s);
        }
        for (family, points) in by_family {
            let distinct: BTreeSet<String> = points.iter().map(|s| parameters(s)).collect();
            assert_eq!(distinct.len(), points.len(), "{family}");
            let round_trips: BTreeSet<u64> = points.iter().map(|s| s.rtt_ms as u64).collect();
            assert!(
                round_trips.len() >= points.len().min(3),
                "{family}: {round_trips:?}"
            );
        }
    }

    #[test]
    fn both_ip_versions_and_both_congestion_controls_are_among_guilty_and_innocent() {
        for guilty in [true, false] {
            let of = |pick: &dyn Fn(&Scenario) -> bool| {
                matrix(1)
                    .iter()
                    .filter(|s| (s.family != "none") == guilty && pick(s))
                    .count()
            };
            assert!(of(&|s| s.ipv6) >= 25 && of(&|s| !s.ipv6) >= 25);
            for name in ["cubic", "bbr"] {
                let uses = |s: &Scenario| {
                    s.flows
                        .iter()
                        .any(|f| f.innocent != "control" && f.congestion == name)
                };
                assert!(of(&uses) >= 25, "{name}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_matrix_again() {
        let text = |seed| {
            matrix(seed)
                .iter()
                .map(|s| format!("{} {}", s.name, parameters(s)))
                .collect::<Vec<_>>()
        };
        assert_eq!(text(9), text(9));
        assert_ne!(text(9), text(10));
    }
}
