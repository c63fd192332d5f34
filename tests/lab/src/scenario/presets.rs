//! Published systems that need more than one rule, or a start of their own.

use super::*;

/// The presets that need more than one rule.
pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    for k in 1..=3 {
        let mut kit = Kit::new("sh_twitter2021", k, seed);
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
        // So small a bucket holds back a far sender more than its rate does.
        s.set_rtt([40.0, 60.0, 90.0][k - 1]);
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("bh_freeze_up", k, seed);
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
            scenario(kit, "A budget of packets, met by an upload.")
                .guilty(
                    "blackhole",
                    "packet_budget",
                    "both",
                    When::Packets(24 + k as u32),
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
    for k in 1..=3 {
        let mut kit = Kit::new("rst_residual", k, seed);
        let service = kit.messenger();
        sessions(&mut kit, service, true, 4, 1.3, 6.0);
        kit.controls(3, 6.0);
        let f = |n| Forgery {
            hop_limit: HopLimit::Own(n),
            ip_id: IpId::Random,
            ..Forgery::default()
        };
        let s = scenario(kit, "A reset to both ends for the name in the hello, one more 5 ms later with the next sequence number.")
            .guilty("rst_injection", "rst_both", "both", When::Hello, Act::Forge { to_client: Some(Forgery { offsets: vec![0, 1], ..f(61) }), to_server: Some(f(63)), drop_trigger: false, drop_after: false })
            .from("SIGCOMM23");
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("bh_iran", k, seed);
        for n in 0..3 {
            let service = ["telegram", "whatsapp"][(n + k) % 2];
            let mut flow = kit.flow(
                service,
                if service == "telegram" {
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
        all.push(scenario(kit, "Iran's protocol filter: a first payload that is no DNS, HTTP or TLS passes, everything behind it is dropped.")
            .guilty("blackhole", "drop_behind_hello_both", "both", When::Hello, Act::Drop { up: true, down: true, after: 0, trigger: false, residual: None }).from("FOCI 2020 summary"));
    }
}
