//! Long, slow and odd, and nothing wrong with it.

use super::*;

/// A line of so many bit/s down and up, shared by all, with queues of so many bytes.
fn line(s: &mut Scenario, down: (f64, f64), up: (f64, f64)) {
    s.way.box_to_client.link = Some(down);
    s.way.client_to_box.link = Some(up);
}

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    for (k, bytes, mbps) in [
        (1, 2_000_000, 8.0),
        (2, 4_000_000, 16.0),
        (3, 3_000_000, 12.0),
    ] {
        let mut kit = Kit::new("ng_quic_down", k, seed);
        let service = kit.messenger();
        let mut flow = kit.flow(service, Transport::Quic, 0.4);
        flow.steps = vec![
            step("echo", 300, 900),
            step("down", 300, bytes).within(25.0),
        ];
        if k == 3 {
            flow.steps.push(step("up", 600_000, 200).within(20.0));
        }
        kit.flows.push(flow);
        let mut page = kit.flow("vk.com", Transport::Tls13, 1.0);
        page.innocent = "control";
        page.steps = vec![step("down", 300, 400_000).within(25.0)];
        kit.flows.push(page);
        kit.controls(2, 5.0);
        let mut s = scenario(kit, "A QUIC download of megabytes over an ordinary line.")
            .innocent("quic_download");
        line(&mut s, (mbps * 1e6, 120_000.0), (mbps * 0.4e6, 60_000.0));
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_quic_chat", k, seed);
        for n in 0..2 {
            let service = kit.messenger();
            let mut flow = kit.flow(service, Transport::Quic, 0.4 + 0.4 * f64::from(n));
            flow.steps = kit.chat(16.0);
            flow.steps
                .push(step("echo", 200, 700).wait(3_000 + 1_000 * k as u64));
            kit.flows.push(flow);
        }
        kit.controls(2, 16.0);
        all.push(
            scenario(
                kit,
                "A chat over QUIC, a message now and then, for a while.",
            )
            .innocent("quic_chat"),
        );
    }
    for (k, think_ms) in [(1, 3_000), (2, 5_500), (3, 8_000)] {
        let mut kit = Kit::new("ng_think", k, seed);
        for n in 0..3 {
            let service = kit.messenger();
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.5 * f64::from(n));
            flow.steps = vec![
                step("echo", 400, 900),
                step("echo", 300, 5_000).think(think_ms).within(16.0),
                step("echo", 300, 700).think(think_ms / 2).within(16.0),
            ];
            if n == 2 {
                flow.slow_hello_ms = u64::from(think_ms);
                flow.steps.truncate(1);
            }
            flow.connect_timeout = Duration::from_secs(20);
            kit.flows.push(flow);
        }
        kit.controls(2, 9.0);
        all.push(
            scenario(
                kit,
                "A server that thinks for seconds before it answers, one already before its hello.",
            )
            .innocent("think_time"),
        );
    }
    for (k, kbps, lead) in [(1, 1_000, 24), (2, 2_500, 60), (3, 600, 12)] {
        let mut kit = Kit::new("ng_paced", k, seed);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.4 + 0.6 * f64::from(n));
            // So many kbit/s are so many eighths of a byte a millisecond.
            let (gap_ms, seconds) = (20, 7);
            let chunk = kbps * gap_ms / 8;
            flow.steps = vec![
                step("echo", 400, 900),
                step(
                    "stream",
                    200,
                    kbps * 125 * seconds + u32::from(lead) * 4_096,
                )
                .lead(lead)
                .pace_down(chunk, gap_ms)
                .within(20.0),
            ];
            kit.flows.push(flow);
        }
        let mut page = kit.flow("vk.com", Transport::Tls13, 1.0);
        page.innocent = "control";
        page.steps = vec![step("down", 300, 900_000).within(20.0)];
        kit.flows.push(page);
        kit.controls(2, 9.0);
        let mut s = scenario(
            kit,
            "The server sends some of it at once and paces the rest, as streaming servers do.",
        )
        .innocent("server_paced");
        s.rate_kbps = Some(f64::from(kbps));
        all.push(s);
    }
    for (k, kbps) in [(1, 192.0), (2, 320.0), (3, 512.0)] {
        let mut kit = Kit::new("ng_slow_line", k, seed);
        for n in 0..3 {
            let service = kit.messenger();
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.4 + 0.7 * f64::from(n));
            flow.steps = kit.chat(6.0);
            let size = (kbps * 150.0) as u32;
            flow.steps.insert(
                1,
                if n == 1 {
                    step("up", size / 2, 100)
                } else {
                    step("down", 200, size)
                },
            );
            kit.flows.push(flow);
        }
        kit.controls(2, 8.0);
        let mut s = scenario(kit, "A slow line: everything on it is slow.").innocent("slow_line");
        line(&mut s, (kbps * 1e3, 40_000.0), (kbps * 0.5e3, 24_000.0));
        s.rate_kbps = Some(kbps);
        for f in &mut s.flows {
            f.connect_timeout = Duration::from_secs(25);
            for step in &mut f.steps {
                step.timeout = Duration::from_secs(40);
            }
        }
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_nat_rebind_tcp", k, seed);
        let mut rebinds = Vec::new();
        for n in 0..2 {
            let service = kit.messenger();
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.steps = vec![
                step("echo", 300, 900),
                step("down", 200, 20_000),
                step("echo", 300, 900).wait(3_500).within(4.0),
            ];
            flow.innocent = "nat_rebinding_tcp";
            rebinds.push(Rebind {
                client: flow.client,
                at: Duration::from_secs_f64(3.6),
                port: kit.port(),
            });
            // The app opens a new session, which works.
            let mut next = kit.flow(service, transport, 7.0 + 0.4 * f64::from(n));
            (next.server, next.sni) = (flow.server, flow.sni.clone());
            next.innocent = "nat_rebinding_sibling";
            next.steps = kit.chat(2.0);
            kit.flows.extend([flow, next]);
        }
        kit.controls(2, 9.0);
        let mut s = scenario(
            kit,
            "A NAT gives a quiet TCP session another port; the server knows no such session and resets it.",
        )
        .innocent("nat_rebinding_tcp");
        s.rebinds = rebinds;
        all.push(s);
    }
}
