//! Silence: what is dropped, at which stage, for how long.

use super::*;

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    let drop = |up, down, after, trigger| Act::Drop {
        up,
        down,
        after,
        trigger,
        residual: None,
    };
    let mut add = |family: &str,
                   k: usize,
                   about: &'static str,
                   source: &'static str,
                   mechanism: &'static str,
                   direction: &'static str,
                   when: When,
                   named: bool,
                   act: Act| {
        let mut kit = Kit::new(family, k, seed);
        let service = kit.messenger();
        sessions(&mut kit, service, named, 3, 1.7, 11.0);
        kit.controls(3, 15.0);
        all.push(
            scenario(kit, about)
                .guilty("blackhole", mechanism, direction, when, act)
                .from(source),
        );
    };
    for (k, named) in [(1, true), (2, false), (3, false)] {
        add(
            "bh_syn_drop",
            k,
            "All SYNs to the messenger's addresses vanish; others work.",
            "OONI Telegram",
            "syn_drop_ip",
            "up",
            When::Syn,
            named,
            drop(true, true, 0, true),
        );
    }
    for k in 1..=3 {
        add(
            "bh_synack_drop",
            k,
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
            "bh_hello_up",
            k,
            "The hello and all behind it is dropped on the way up; the server repeats its SYN-ACK or waits.",
            "net4people 516",
            "drop_after_hello_up",
            "up",
            When::Hello,
            named,
            drop(true, false, 0, true),
        );
        add(
            "bh_hello_both",
            k,
            "TSPU SNI-IV: hello dropped, then both ways.",
            "IMC22",
            "drop_after_hello_both",
            "both",
            When::Hello,
            named,
            drop(true, true, 0, true),
        );
        add(
            "bh_hello_down",
            k,
            "The hello passes, nothing comes back.",
            "B-CHD",
            "drop_after_hello_down",
            "down",
            When::Hello,
            named,
            drop(false, true, 0, true),
        );
    }
    for k in 1..=3 {
        add(
            "bh_behind_hello",
            k,
            "The hello passes, all behind it is dropped both ways.",
            "net4people 417",
            "drop_behind_hello_both",
            "both",
            When::Hello,
            true,
            drop(true, true, 0, false),
        );
        add(
            "bh_transport",
            k,
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
            "bh_delayed",
            k,
            "TSPU SNI-II: a handful of packets pass after the hello, then both ways are dead.",
            "IMC22",
            "delayed_drop",
            "both",
            When::Hello,
            true,
            drop(true, true, after, false),
        );
    }
    for k in 1..=3 {
        add(
            "bh_appdata",
            k,
            "The handshake passes, the first application data does not.",
            "mtg 547",
            "drop_first_appdata",
            if k == 2 { "both" } else { "up" },
            When::BehindHello(130),
            true,
            drop(true, k == 2, 0, true),
        );
    }

    for (k, refusal) in [
        (1, Refusal::Prohibited),
        (2, Refusal::HostProhibited),
        (3, Refusal::Prohibited),
    ] {
        let mut kit = Kit::new("bh_icmp", k, seed);
        let service = kit.messenger();
        if k == 3 {
            for n in 0..3 {
                let mut flow = kit.flow(service, Transport::Quic, 0.5 + 1.5 * f64::from(n));
                flow.steps = vec![step("down", 200, 40_000)];
                flow.connect_timeout = Duration::from_secs(6);
                kit.target(flow);
            }
        } else {
            sessions(&mut kit, service, k == 1, 3, 1.7, 8.0);
        }
        kit.controls(3, 12.0);
        all.push(
            scenario(
                kit,
                "A filter on the way forbids the messenger's addresses, and says so by ICMP.",
            )
            .guilty(
                "blackhole",
                "icmp_prohibited",
                "up",
                When::Syn,
                Act::Refuse(refusal),
            )
            .from("RFC 1812, section 5.2.7.1; B-ICMP"),
        );
    }

    // Freezes: a download that stops.
    let freeze = |family: &str,
                  k: usize,
                  about: &'static str,
                  source: &'static str,
                  mechanism: &'static str,
                  direction: &'static str,
                  when: When,
                  act: Act,
                  named: bool| {
        let mut kit = Kit::new(family, k, seed);
        let service = kit.messenger();
        sessions(&mut kit, service, named, 3, 1.1, 13.0);
        for f in &mut kit.flows {
            f.steps = vec![
                step("echo", 1_200, 900).within(13.0),
                step("down", 160, kit.r.gen_range(70_000..140_000)).within(13.0),
            ];
        }
        kit.controls(3, 15.0);
        scenario(kit, about)
            .guilty("blackhole", mechanism, direction, when, act)
            .from(source)
    };
    for (k, n) in [(1, 16_000), (2, 18_500), (3, 20_400)] {
        all.push(freeze(
            "bh_freeze16k",
            k,
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
            "bh_budget",
            k,
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
        let mut kit = Kit::new("bh_list_update", k, seed);
        let service = kit.messenger();
        let transport = kit.native(service);
        let mut first = kit.flow(service, transport, 0.4);
        let (server, name_of) = (first.server, first.sni.clone());
        for n in 0..3 + k as u32 {
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
    for k in 1..=3 {
        let mut kit = Kit::new("bh_midstream", k, seed);
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
            "Sessions talk for seconds, then are dropped both ways for good.",
        );
        (s.family, s.mechanism, s.direction, s.source) =
            ("blackhole", "midstream_residual", Some("both"), "IMC22");
        s.rules.push(Rule::new(
            s.target_addresses(),
            When::At(Duration::from_secs_f64(4.0 + k as f64)),
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
    for k in 1..=3 {
        let mut kit = Kit::new("bh_residual_syn", k, seed);
        let service = kit.messenger();
        sessions(&mut kit, service, true, 4, 3.2, 9.0);
        let server = kit.flows[0].server;
        for f in &mut kit.flows {
            f.server = server;
        }
        kit.controls(3, 19.0);
        all.push(scenario(kit, "The first hello is dropped, and then for a minute every SYN to that address and port.").guilty("blackhole", "residual_syn_drop", "both", When::Hello,
            Act::Drop { up: true, down: true, after: 0, trigger: true, residual: Some(Duration::from_secs(60)) }).from("SIGCOMM23; IMC22"));
    }
    for k in 1..=3 {
        let mut kit = Kit::new("bh_limit", k, seed);
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
