//! Policers, shapers and random loss aimed at one service.

use super::*;

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    let mut points: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |family: &str,
                   point: &str,
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
        let k = points.entry(family.to_string()).or_default();
        *k += 1;
        let mut kit = Kit::named(family, point, *k, seed);
        let service = match transport {
            Some(Transport::Obfuscated) => "telegram",
            Some(Transport::Noise) => "whatsapp",
            _ => kit.messenger(),
        };
        let transport = transport.unwrap_or_else(|| kit.tls());
        bulk(&mut kit, service, transport, up, bytes, seconds, flows);
        kit.controls(2, seconds);
        let direction = if up { "up" } else { "down" };
        let mut s = scenario(kit, about)
            .guilty("shaping", mechanism, direction, when, act.clone())
            .from(source);
        if transport == Transport::Quic {
            s.rules[0].who = s.target_addresses();
        }
        // A bucket smaller than what is in flight holds a sender back more than its rate does: then goodput does not sit at the rate.
        if let Act::Police {
            rate_bps, burst, ..
        } = act
        {
            let most = (4_000.0 * burst / rate_bps).min(130.0);
            if s.rtt_ms > most {
                s.set_rtt(most);
            }
            // And BBR, on so short a path, sends into a small bucket far more than it takes, and sits out its timeouts.
            if s.rtt_ms < 12.0 {
                s.set_rtt(15.0);
            }
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
            "sh_police_down",
            &format!("{kbps}k"),
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
        "sh_police_down",
        "two",
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
    for (k, kbps, burst, flows) in [
        (1, 400.0, 30_000.0, 2),
        (2, 700.0, 24_000.0, 3),
        (3, 1100.0, 60_000.0, 2),
    ] {
        add(
            "sh_police_shared",
            &k.to_string(),
            "One token bucket for several downloads of the service.",
            imc21,
            "policer_down",
            false,
            (kbps * 1_700.0) as u32 / flows as u32,
            14.0,
            flows,
            When::Hello,
            Act::Police {
                way: Way::Down,
                rate_bps: kbps * 1000.0,
                burst,
                shared: true,
            },
            None,
        );
    }
    for (kbps, burst, bytes, seconds) in [
        (128.0, 12_000.0, 220_000, 14.0),
        (256.0, 20_000.0, 400_000, 13.0),
        (800.0, 64_000.0, 900_000, 10.0),
    ] {
        add(
            "sh_police_up",
            &format!("{kbps}k"),
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
            "sh_police_quic",
            &format!("{kbps}k"),
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
            "sh_shape_down",
            &format!("{kbps}k"),
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
            "sh_shape_up",
            &format!("{kbps}k"),
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
            "sh_delayed_police",
            &format!("{kbps}k"),
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
            "sh_delayed_shape",
            &format!("{kbps}k"),
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
            "sh_lose_down",
            &format!("{:.0}", p * 100.0),
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
            "sh_lose_up",
            &format!("{:.0}", p * 100.0),
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
            "sh_lose_both",
            &format!("{:.0}", p * 100.0),
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
    for (k, kbps, burst, transport) in [
        (1, 160.0, 16_000.0, Transport::Obfuscated),
        (2, 400.0, 32_000.0, Transport::Noise),
        (3, 700.0, 14_000.0, Transport::Http),
    ] {
        add(
            "sh_police_native",
            &format!("{k}"),
            "A token bucket on a download that is no TLS.",
            imc21,
            "policer_down",
            false,
            (kbps * 1_500.0) as u32,
            13.0,
            1,
            When::Hello,
            police(Way::Down, kbps, burst),
            Some(transport),
        );
    }
    for (kbps, after, bytes) in [(400.0, 100_000, 700_000), (900.0, 300_000, 1_300_000)] {
        add(
            "sh_delayed_police",
            &format!("{kbps}k"),
            "Free at first; policed once so many bytes have passed.",
            "C2",
            "delayed_policer_down",
            false,
            bytes,
            13.0,
            1,
            When::Bytes(Way::Down, after),
            police(Way::Down, kbps, 24_000.0),
            None,
        );
        add(
            "sh_delayed_shape",
            &format!("{kbps}k"),
            "Free at first; shaped once so many bytes have passed.",
            "C2",
            "delayed_shaper_down",
            false,
            bytes,
            13.0,
            1,
            When::Bytes(Way::Down, after),
            shape(Way::Down, kbps, 60_000.0),
            None,
        );
    }
    for (kbps, burst) in [(120.0, 12_000.0), (1200.0, 80_000.0)] {
        add(
            "sh_police_quic",
            &format!("{kbps}k"),
            "A token bucket on a QUIC download.",
            imc21,
            "policer_down_quic",
            false,
            (kbps * 1_300.0) as u32,
            12.0,
            1,
            When::Hello,
            police(Way::Down, kbps, burst),
            Some(Transport::Quic),
        );
    }
    // The Telegram slowdown of 2026: by address, uplink packets of ordinary chats, nothing else.
    for (k, p) in [(1, 0.08), (2, 0.15), (3, 0.25)] {
        let mut kit = Kit::new("sh_telegram2026", k, seed);
        for n in 0..4 {
            let mut flow = kit.flow("telegram", Transport::Obfuscated, 0.4 + 0.4 * f64::from(n));
            flow.steps = kit.chat(14.0);
            flow.steps
                .insert(2, step("up", kit.r.gen_range(30_000..90_000), 100));
            for step in &mut flow.steps {
                step.timeout = Duration::from_secs(12);
            }
            kit.target(flow);
        }
        kit.controls(3, 16.0);
        let mut s = scenario(kit, "2026: a share of the client's packets to Telegram's addresses is dropped, chats and uploads alike.",
        )
        .guilty("shaping", "random_drop", "up", When::Syn, Act::Lose { up: p, down: 0.0 })
        .from("youtubeUnblock 361");
        s.drop_p = Some(p);
        all.push(s);
    }
}
