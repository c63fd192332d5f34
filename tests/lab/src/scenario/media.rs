//! Calls and QUIC, silenced or slowed.

use super::*;

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    let drop = |up, down, after, trigger| Act::Drop {
        up,
        down,
        after,
        trigger,
        residual: None,
    };
    for (k, service) in ["whatsapp", "telegram", "signal"].iter().enumerate() {
        let mut kit = Kit::new("bh_stun", k + 1, seed);
        calls(&mut kit, service, 4, 8.0);
        kit.controls(3, 15.0);
        let (act, direction) = if k == 2 {
            (drop(false, true, 0, true), "down")
        } else {
            (drop(true, true, 0, true), "both")
        };
        all.push(
            scenario(kit, "Relay requests go unanswered.")
                .guilty("blackhole", "stun_drop", direction, When::Syn, act)
                .from("zapret-openwrt 377; August 2025 reports"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("bh_dtls", k, seed);
        let service = ["telegram", "signal", "whatsapp"][k - 1];
        calls(&mut kit, service, 2, 9.0);
        kit.flows[0].dtls_ms = Some(0);
        let relay = kit.flows[0].server.ip();
        signalling(&mut kit, service, 15.0);
        kit.controls(2, 15.0);
        let mut s = scenario(
            kit,
            "A call's DTLS hello is recognised and dropped; its STUN is answered.",
        )
        .guilty("blackhole", "dtls_drop", "both", When::Syn, Act::DropDtls)
        .from("net4people 603; weron 5");
        s.rules[0].who = Who::Address(vec![relay]);
        all.push(s);
    }
    // The relay, the signalling and the client's other flows live on: what is dropped is the media alone, from some second of the call on.
    for (k, seconds) in [(1, 4.0), (2, 6.5), (3, 9.0)] {
        let mut kit = Kit::new("bh_media_ceased", k, seed);
        let service = ["signal", "whatsapp", "telegram"][k - 1];
        calls(&mut kit, service, 2, seconds + 14.0);
        // One client in three falls silent when it has heard nothing for some seconds.
        kit.flows[0].patience_s = (k == 2).then_some(8.0);
        let relay = kit.flows[0].server.ip();
        signalling(&mut kit, service, seconds + 16.0);
        control_call(&mut kit, seconds + 12.0);
        kit.controls(2, seconds + 16.0);
        let mut s = scenario(kit, "The media of a call is dropped both ways from some second on; its STUN is answered, its signalling goes on.")
            .guilty(
                "blackhole",
                "media_ceased",
                "both",
                When::At(Duration::from_secs_f64(seconds)),
                Act::DropMedia,
            )
            .from("August 2025 reports; dpich");
        s.rules[0].who = Who::Address(vec![relay]);
        all.push(s);
    }
    for (k, (mechanism, down_only)) in [
        ("media_drop_both", false),
        ("media_drop_down", true),
        ("media_drop_both", false),
    ]
    .iter()
    .enumerate()
    {
        let mut kit = Kit::new("bh_media", k + 1, seed);
        let service = ["whatsapp", "telegram", "signal"][k];
        calls(&mut kit, service, 3, 11.0);
        kit.controls(2, 12.0);
        let mut s = scenario(kit, "The relay answers, then the media is dropped.").guilty(
            "blackhole",
            mechanism,
            if *down_only { "down" } else { "both" },
            When::Media,
            drop(!down_only, true, [0, 0, 25][k], k != 2),
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
        let mut kit = Kit::new("bh_quic", k, seed);
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
                "QUIC Initials to the service are dropped; TCP to it works.",
            )
            .guilty("blackhole", "quic_initial_drop", "both", When::Hello, act)
            .from("net4people 108, 654"),
        );
    }
    // Calls that are slowed rather than silenced.
    for (k, p) in [(1, 0.12), (2, 0.25), (3, 0.5)] {
        let mut kit = Kit::new("sh_media_loss", k, seed);
        calls(&mut kit, ["whatsapp", "telegram", "signal"][k - 1], 2, 14.0);
        control_call(&mut kit, 13.0);
        kit.controls(2, 14.0);
        let mut s = scenario(kit, "A share of the call's media is dropped.")
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
        let mut kit = Kit::new("sh_media_police", k, seed);
        calls(&mut kit, ["whatsapp", "telegram"][k - 1], 2, 14.0);
        control_call(&mut kit, 13.0);
        kit.controls(2, 14.0);
        let mut s = scenario(kit, "A token bucket on the call's media.").guilty(
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
    // More points: another share, another rate, the uplink only, a call by IPv6.
    for (k, up, down) in [(4, 0.2, 0.0), (5, 0.0, 0.3)] {
        let mut kit = Kit::new("sh_media_loss", k, seed);
        calls(&mut kit, ["whatsapp", "telegram"][k - 4], 2, 14.0);
        control_call(&mut kit, 13.0);
        kit.controls(2, 14.0);
        let direction = if k == 4 { "up" } else { "down" };
        let mut s = scenario(kit, "A share of the call's media is dropped, one way.")
            .guilty(
                "shaping",
                "random_drop_media",
                direction,
                When::Media,
                Act::Lose { up, down },
            )
            .from("EcoManual 17.3");
        s.drop_p = Some(up.max(down));
        all.push(s);
    }
    for (k, rate) in [(3, 12_000.0), (4, 30_000.0)] {
        let mut kit = Kit::new("sh_media_police", k, seed);
        calls(&mut kit, ["signal", "whatsapp"][k - 3], 2, 14.0);
        control_call(&mut kit, 13.0);
        kit.controls(2, 14.0);
        let (way, direction) = if k == 3 {
            (Way::Down, "down")
        } else {
            (Way::Up, "up")
        };
        let mut s = scenario(kit, "A token bucket on the call's media.").guilty(
            "shaping",
            "policer_media",
            direction,
            When::Media,
            Act::Police {
                way,
                rate_bps: rate,
                burst: 5_000.0,
                shared: false,
            },
        );
        (s.rate_kbps, s.burst) = (Some(rate / 1000.0), Some(5_000.0));
        all.push(s);
    }
    for k in 4..=7 {
        let mut kit = Kit::new("bh_media", k, seed);
        calls(
            &mut kit,
            ["telegram", "whatsapp", "whatsapp", "signal"][k - 4],
            2,
            10.0,
        );
        control_call(&mut kit, 11.0);
        kit.controls(2, 12.0);
        let down_only = k >= 6;
        let mut s = scenario(
            kit,
            "The call's media is dropped, after some packets or at once.",
        )
        .guilty(
            "blackhole",
            if down_only {
                "media_drop_down"
            } else {
                "media_drop_both"
            },
            if down_only { "down" } else { "both" },
            When::Media,
            drop(!down_only, true, [60, 4, 0, 120][k - 4], k == 6),
        );
        s.source = "dpich; August 2025 reports";
        s.rules[0].who = Who::Address(
            s.flows
                .iter()
                .filter(|f| f.target && f.media_s > 0.0)
                .map(|f| f.server.ip())
                .collect(),
        );
        all.push(s);
    }
}
