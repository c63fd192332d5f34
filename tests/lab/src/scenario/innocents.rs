//! What looks like interference and is none.

use super::*;

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
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

    for k in 1..=3 {
        let mut kit = Kit::new("ng_clean", k, seed);
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
        let s =
            scenario(kit, "Ordinary use of several messengers, nothing wrong.").innocent("clean");
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
        let mut kit = Kit::new("ng_loss", k, seed);
        mixed(&mut kit, 4, 6.0, 220_000);
        kit.controls(3, 7.0);
        let mut s = scenario(kit, "Random loss of 1-3 % for everybody.").innocent("random_loss");
        s.set_loss(p);
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_linger", k, seed);
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
            scenario(kit, "The server closes with SO_LINGER 0: a real reset.")
                .innocent("server_linger_rst"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_client_abort", k, seed);
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
                "The client aborts, at the end or in the middle of a download.",
            )
            .innocent("client_abort"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_refused", k, seed);
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
            scenario(kit, "A port that nobody listens on answers with a reset.")
                .innocent("refused_port_sibling"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_restart", k, seed);
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
    for k in 1..=3 {
        let mut kit = Kit::new("ng_lb_idle", k, seed);
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
        let mut s = scenario(kit, "A load balancer forgets idle sessions after a minute and resets them, with its own TTL.").innocent("lb_idle_rst");
        let f = Forgery {
            flags: RST,
            hop_limit: HopLimit::Own([255, 64, 128][k - 1]),
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
    for k in 1..=3 {
        let mut kit = Kit::new("ng_nat_idle", k, seed);
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
    for k in 1..=3 {
        let mut kit = Kit::new("ng_dead_host", k, seed);
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
                "One address of the service is dead, its neighbours live.",
            )
            .innocent("dead_host_sibling"),
        );
    }
    for (k, kbps) in [(1, 700.0), (2, 1500.0), (3, 1000.0)] {
        let mut kit = Kit::new("ng_congestion", k, seed);
        mixed(&mut kit, 4, 6.0, 200_000);
        kit.controls(3, 7.0);
        let mut s = scenario(kit, "A narrow link that all flows share.").innocent("congestion");
        s.way.box_to_client.link = Some((kbps * 1000.0, 24_000.0));
        s.way.client_to_box.link = Some((kbps * 600.0, 24_000.0));
        s.rate_kbps = Some(kbps);
        all.push(s);
    }
    for (k, kbps, bytes) in [
        (1, 800.0, 220_000),
        (2, 2000.0, 600_000),
        (3, 1200.0, 360_000),
    ] {
        let mut kit = Kit::new("ng_bufferbloat", k, seed);
        mixed(&mut kit, 4, 6.0, bytes);
        kit.controls(3, 7.0);
        let mut s = scenario(
            kit,
            "A link with a queue of a second or more, shared by all.",
        )
        .innocent("bufferbloat");
        s.way.box_to_client.link = Some((kbps * 1000.0, 250_000.0));
        s.way.client_to_box.link = Some((kbps * 500.0, 150_000.0));
        s.rate_kbps = Some(kbps);
        all.push(s);
    }
    for (k, share, late) in [(1, 0.05, 8.0), (2, 0.15, 25.0), (3, 0.02, 60.0)] {
        let mut kit = Kit::new("ng_reorder", k, seed);
        mixed(&mut kit, 4, 4.0, 150_000);
        kit.controls(2, 5.0);
        let mut s = scenario(kit, "A share of the packets comes late.").innocent("reordering");
        s.way.box_to_client.reorder = (share, late);
        s.way.client_to_box.reorder = (share, late);
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_slow_reader", k, seed);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.receive_buffer = Some(8_192);
            let mut read = step("down", 200, [240_000, 90_000, 160_000][k - 1]).within(24.0);
            read.slow_read = Some((3_000, [120, 400, 200][k - 1]));
            flow.steps = vec![read];
            kit.flows.push(flow);
        }
        kit.controls(2, 10.0);
        all.push(
            scenario(kit, "The client reads slowly; the window closes.").innocent("slow_reader"),
        );
    }
    for (k, chunk, gap) in [(1, 1_625, 100), (2, 6_400, 100), (3, 650, 40)] {
        let mut kit = Kit::new("ng_app_limited", k, seed);
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
        let mut s =
            scenario(kit, "The sender paces itself: a constant bit rate.").innocent("app_limited");
        s.rate_kbps = Some(f64::from(chunk) * 8.0 / f64::from(gap));
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_tls_alert", k, seed);
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
            scenario(kit, "The server refuses the name with a TLS alert.").innocent("tls_alert"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_half_close", k, seed);
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
            scenario(kit, "The client closes its side and goes on reading.").innocent("half_close"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_port_reuse", k, seed);
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
                "The client uses the same port twice; the first session was aborted.",
            )
            .innocent("port_reuse"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_pmtu", k, seed);
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
        let mut s = scenario(kit, "Uplink packets above 1300 to 1452 bytes vanish without a word; a big hello meets it and the kernel recovers.").innocent("pmtu_blackhole");
        (s.mtu_probing, s.mtu) = (true, 1500);
        s.way.box_to_server.largest = Some([1_400, 1_452, 1_300][k - 1]);
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_handover", k, seed);
        mixed(&mut kit, 4, 9.0, 80_000);
        kit.controls(2, 10.0);
        let mut s = scenario(
            kit,
            "Two to four seconds without radio for every flow, then all go on.",
        )
        .innocent("handover");
        let outage = Some((
            Duration::from_secs(3),
            Duration::from_secs_f64(1.0 + k as f64),
            k != 2,
        ));
        (s.way.client_to_box.outage, s.way.box_to_client.outage) = (outage, outage);
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_fast_open", k, seed);
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
            scenario(kit, "TCP Fast Open: the hello travels in the SYN.").innocent("fast_open"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_nat_rebind", k, seed);
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
        let mut s =
            scenario(kit, "A NAT gives a living QUIC flow another port.").innocent("nat_rebinding");
        s.rebinds = rebinds;
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_keepalive", k, seed);
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
        all.push(scenario(kit, "Long sessions with pushes and keep-alives.").innocent("long_idle"));
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_small_page", k, seed);
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
            scenario(kit, "Answers that end near 16 KB, then a quiet session.")
                .innocent("small_page"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_call", k, seed);
        for (service, relays) in [("whatsapp", 4), ("telegram", 2), ("signal", 3)]
            .into_iter()
            .cycle()
            .skip(k)
            .take(2)
        {
            calls(&mut kit, service, relays, 8.0);
        }
        for f in &mut kit.flows {
            f.target = false;
        }
        kit.controls(2, 9.0);
        let mut s = scenario(
            kit,
            "Calls that work; several relays are asked and one is used.",
        )
        .innocent("call");
        s.set_loss([0.01, 0.0, 0.02][k - 1]);
        all.push(s);
    }
    for (k, refusal, what) in [
        (1, Refusal::Unreachable, "icmp_unreachable"),
        (2, Refusal::Expired, "icmp_expired"),
        (3, Refusal::TooBig(1_280), "icmp_too_big"),
    ] {
        let mut kit = Kit::new("ng_icmp", k, seed);
        let service = kit.messenger();
        for n in 0..3 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.7 * f64::from(n));
            flow.steps = vec![step("up", 30_000, 400), step("echo", 300, 900)];
            flow.connect_timeout = Duration::from_secs(9);
            flow.innocent = what;
            kit.flows.push(flow);
        }
        let addresses = kit.flows.iter().map(|f| f.server.ip()).collect();
        kit.controls(2, 11.0);
        let mut s = scenario(kit, "A router has no way to the host, forwards in circles, or finds packets too big, and says so by ICMP.")
            .innocent("icmp");
        let mut rule = Rule::new(Who::Address(addresses), When::Syn, Act::Refuse(refusal));
        rule.hostile = false;
        s.rules.push(rule);
        all.push(s);
    }
    for k in 1..=4 {
        let mut kit = Kit::new("ng_call_hold", k, seed);
        let service = ["whatsapp", "signal", "telegram", "whatsapp"][k - 1];
        calls(&mut kit, service, 2, 16.0);
        // The far party holds: it sends only reports. Both hold: nothing but STUN, for a while or to the end.
        let (to_s, both) = [(30.0, false), (11.0, true), (30.0, true), (12.0, false)][k - 1];
        for f in &mut kit.flows {
            f.target = false;
            f.pause = Some(Pause {
                from_s: 4.0,
                to_s,
                both,
                reports: !both,
            });
        }
        kit.flows[0].innocent = "call_hold";
        signalling(&mut kit, service, 17.0);
        kit.controls(2, 17.0);
        all.push(
            scenario(
                kit,
                "A call is put on hold: media pauses, STUN and signalling go on.",
            )
            .innocent("call"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_call_dtls", k, seed);
        let service = ["signal", "whatsapp", "telegram"][k - 1];
        calls(&mut kit, service, 2, 8.0);
        // The far party takes its time: its telephone rings.
        kit.flows[0].dtls_ms = Some([0, 1_000, 2_500][k - 1]);
        for f in &mut kit.flows {
            f.target = false;
        }
        signalling(&mut kit, service, 14.0);
        kit.controls(2, 14.0);
        all.push(scenario(kit, "A call that agrees on its keys by DTLS, at once or when the far party has answered.").innocent("call"));
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_call_end", k, seed);
        let service = ["telegram", "whatsapp", "signal"][k - 1];
        let seconds = [5.0, 7.0, 6.0][k - 1];
        calls(&mut kit, service, 2, seconds);
        for f in &mut kit.flows {
            f.target = false;
        }
        // The one who is hung up on learns it from the signalling, which takes its time; its media goes on until then.
        kit.flows[0].pause = Some(Pause {
            from_s: seconds - [0.0, 1.5, 3.0][k - 1],
            to_s: 60.0,
            both: false,
            reports: false,
        });
        signalling(&mut kit, service, seconds + 9.0);
        kit.controls(2, seconds + 9.0);
        all.push(
            scenario(
                kit,
                "A call ends: the far party stops, then the client; the signalling goes on.",
            )
            .innocent("call"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_call_switch", k, seed);
        let service = ["signal", "telegram", "whatsapp"][k - 1];
        calls(&mut kit, service, 2, 12.0);
        // The far party speaks over the second relay from the fifth second on; the client follows at once, or goes on at both for a while.
        kit.flows[0].pause = Some(Pause {
            from_s: 4.5,
            to_s: 60.0,
            both: k == 1,
            reports: false,
        });
        kit.flows[1].media_s = 10.0;
        kit.flows[1].start = Duration::from_secs_f64(5.0);
        for f in &mut kit.flows {
            f.target = false;
        }
        signalling(&mut kit, service, 16.0);
        kit.controls(2, 16.0);
        all.push(
            scenario(
                kit,
                "A call moves to another relay; the pair that it leaves is kept alive.",
            )
            .innocent("call"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_far", k, seed);
        mixed(&mut kit, 5, 5.0, 100_000);
        kit.controls(2, 6.0);
        let mut s = scenario(kit, "A path of 180 to 250 ms with jitter.").innocent("far");
        s.set_rtt([180.0, 250.0, 220.0][k - 1]);
        for stretch in s.stretches() {
            stretch.jitter_ms = 6.0;
        }
        s.jitter_ms = 12.0;
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::four("ng_ice", k, seed);
        calls(&mut kit, ["telegram", "whatsapp", "signal"][k - 1], 2, 8.0);
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
        all.push(scenario(kit, "A call over a relay; the direct pairs to the peer stay unanswered, as usual behind NATs.").innocent("call"));
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_happy_eyeballs", k, seed);
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
                "Two attempts race; the loser is dropped right after its SYN-ACK.",
            )
            .innocent("clean"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_server_fin", k, seed);
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
        all.push(scenario(kit, "The server closes after its answer; the client speaks once more and meets a closed socket.").innocent("server_fin"));
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_no_quic", k, seed);
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
                "A site without HTTP/3: its host refuses the port with ICMP.",
            )
            .innocent("clean"),
        );
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_bursty", k, seed);
        let service = kit.messenger();
        for n in 0..2 {
            let transport = kit.tls();
            let mut flow = kit.flow(service, transport, 0.4 + 0.4 * f64::from(n));
            flow.steps = (0..6)
                .map(|_| step("segment", 250, [48_000, 90_000, 150_000][k - 1]).wait(1_400))
                .collect();
            kit.flows.push(flow);
        }
        kit.controls(2, 9.0);
        all.push(
            scenario(kit, "Segments on a timer, as video players fetch them.").innocent("bursty"),
        );
    }
    for (k, kbps) in [(1, 1_000.0), (2, 2_000.0), (3, 1_400.0)] {
        let mut kit = Kit::new("ng_plan", k, seed);
        mixed(&mut kit, 3, 7.0, 260_000);
        for (n, site) in ["vk.com", "ya.ru", "ozon.ru"].iter().enumerate() {
            let mut flow = kit.flow(site, Transport::Tls13, 0.5 + 0.3 * n as f64);
            flow.innocent = "plan_policer";
            flow.steps = vec![step("down", 300, 300_000).within(25.0)];
            kit.flows.push(flow);
        }
        let mut s = scenario(kit, "The subscriber's plan: one token bucket for all.")
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
    for k in 1..=3 {
        let mut kit = Kit::new("ng_loss_burst", k, seed);
        mixed(&mut kit, 4, 6.0, 120_000);
        kit.controls(2, 7.0);
        let mut s = scenario(kit, "Everything is lost for 550 to 1050 ms.").innocent("loss_burst");
        let outage = Some((
            Duration::from_secs_f64(2.4),
            Duration::from_millis(300 + 250 * k as u64),
            false,
        ));
        (s.way.client_to_box.outage, s.way.box_to_client.outage) = (outage, outage);
        all.push(s);
    }
    for k in 1..=3 {
        let mut kit = Kit::new("ng_cut_hello", k, seed);
        mixed(&mut kit, 5, 2.0, 20_000);
        kit.controls(2, 2.0);
        all.push(
            scenario(kit, "The capture ends right after the last hello.")
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
    for k in 1..=3 {
        let mut kit = Kit::new("ng_one_way_call", k, seed);
        calls(&mut kit, ["whatsapp", "signal", "telegram"][k - 1], 2, 9.0);
        for f in &mut kit.flows {
            f.target = false;
            f.muted = true;
        }
        kit.controls(2, 9.0);
        all.push(
            scenario(
                kit,
                "The far party is muted: a comfort packet now and then.",
            )
            .innocent("call_muted"),
        );
    }
}
