//! Forged resets and FINs.

use super::*;

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    let mut add = |family: &str,
                   about: &'static str,
                   source: &'static str,
                   mechanism: &'static str,
                   direction: &'static str,
                   points: &[(When, bool, Act)]| {
        for (n, (when, named, act)) in points.iter().enumerate() {
            let mut kit = Kit::new(family, n + 1, seed);
            let service = kit.messenger();
            sessions(&mut kit, service, *named, 3, 1.2, 6.0);
            kit.controls(3, 5.0);
            let mut s = scenario(kit, about)
                .guilty("rst_injection", mechanism, direction, *when, act.clone())
                .from(source);
            if family == "rst_spoof_late" {
                // Late, and still before the server's answer.
                s.set_rtt([60.0, 140.0, 250.0][n]);
            }
            all.push(s);
        }
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
        &three(When::Hello, true, |_| to_client(own(), false, false)),
    );
    add(
        "rst_spoof_ttl255",
        "A forged RST without ACK, TTL 255, random IP-ID, window copied.",
        "NDSS09",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |_| {
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
            )
        }),
    );
    add(
        "rst_spoof_copy",
        "TTL copied and a hop or two off, IP-ID next in the server's row; the hello passes, so the real answer follows.",
        "NDSS09",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |k| {
            to_client(
                Forgery {
                    hop_limit: HopLimit::Like([1, -1, 2][k - 1]),
                    ..copied()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_spoof_copy_all",
        "Everything copied, two to four segments; sooner than the path allows.",
        "NDSS09",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |k| {
            to_client(
                Forgery {
                    offsets: vec![0; 1 + k],
                    ..copied()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_spoof_drop",
        "The hello is dropped and the client gets one RST of the box.",
        "EcoManual",
        "rst_drop_trigger",
        "to_client",
        &three(When::Hello, true, |k| {
            to_client(
                Forgery {
                    hop_limit: HopLimit::Own([60, 64, 128][k - 1]),
                    ..own()
                },
                true,
                true,
            )
        }),
    );
    add(
        "rst_spoof_clock",
        "A RST with a timestamp of a clock that is not the server's.",
        "net4people 442",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |_| {
            to_client(
                Forgery {
                    alien_clock: true,
                    ..copied()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_spoof_wrong_ack",
        "A RST/ACK whose acknowledgement is wrong.",
        "zapret",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |_| {
            to_client(
                Forgery {
                    wrong_ack: true,
                    hop_limit: HopLimit::Own(64),
                    ..own()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_spoof_late",
        "The forged RST comes 20 to 60 ms after the hello.",
        "SIGCOMM23",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |k| {
            to_client(
                Forgery {
                    delay: Duration::from_millis(20 * k as u64),
                    hop_limit: HopLimit::Own(128),
                    ..own()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_gfw_triple",
        "GFW: three RST/ACK at seq, +1460, +4380 to both ends, TTL climbing.",
        "net4people 285, quoting Clayton 2006",
        "gfw_triple",
        "both",
        &three(When::Hello, true, |k| {
            both(
                Forgery {
                    offsets: vec![0, 1460, 4380],
                    hop_limit: HopLimit::Own([88, 60, 110][k - 1]),
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
            )
        }),
    );
    add(
        "rst_gfw_2025",
        "GFW 20 August 2025: three RST/ACK for the SYN's answer, windows 3293, 3294, 3295.",
        "net4people 511",
        "gfw_triple",
        "to_client",
        &three(When::Packets(2), false, |_| {
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
            )
        }),
    );
    add(
        "rst_gfw_equal",
        "Three RST/ACK of equal numbers, TTL and window stepping.",
        "net4people 285",
        "gfw_triple",
        "to_client",
        &three(When::Hello, true, |_| {
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
            )
        }),
    );
    add(
        "rst_henan",
        "Henan: one RST/ACK with ten bytes of payload.",
        "net4people 442; Xray-core 2426",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |_| {
            to_client(
                Forgery {
                    payload: vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 0],
                    hop_limit: HopLimit::Own(64),
                    ..own()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_both",
        "One RST to each end, the hello passes.",
        "SIGCOMM23",
        "rst_both",
        "both",
        &three(When::Hello, true, |_| {
            both(
                own(),
                Forgery {
                    flags: RST,
                    hop_limit: HopLimit::Own(64),
                    ..own()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_both_drop",
        "One RST to each end, the hello and all behind it dropped.",
        "EcoManual",
        "rst_both",
        "both",
        &three(When::Hello, true, |_| {
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
            )
        }),
    );
    add(
        "rst_both_mid",
        "Both ends reset in the middle of a download.",
        "SIGCOMM23",
        "rst_both",
        "both",
        &three(When::Bytes(Way::Down, 24_000), false, |k| {
            both(
                Forgery {
                    hop_limit: HopLimit::Own(64),
                    offsets: (0..k as u32).map(|n| n * 1400).collect(),
                    ..own()
                },
                Forgery {
                    hop_limit: HopLimit::Own(64),
                    ip_id: IpId::Random,
                    ..own()
                },
                false,
                true,
            )
        }),
    );
    add(
        "rst_to_server",
        "Only the server is reset; the client meets a server that has forgotten it.",
        "SIGCOMM23",
        "rst_to_server",
        "to_server",
        &three(When::Hello, true, |_| Act::Forge {
            to_client: None,
            to_server: Some(Forgery {
                flags: RST,
                hop_limit: HopLimit::Own(64),
                ..own()
            }),
            drop_trigger: false,
            drop_after: false,
        }),
    );
    add(
        "rst_to_server_drop",
        "The server is reset, the hello dropped.",
        "SIGCOMM23",
        "rst_to_server",
        "to_server",
        &three(When::Hello, true, |k| Act::Forge {
            to_client: None,
            to_server: Some(Forgery {
                hop_limit: HopLimit::Own([250, 64, 128][k - 1]),
                ip_id: IpId::Random,
                ..own()
            }),
            drop_trigger: true,
            drop_after: true,
        }),
    );
    add(
        "rst_tspu_rewrite",
        "TSPU SNI-I: what the server sends after the hello becomes bare RST/ACKs with its own TTL, IP-ID and numbers; the third time for a protocol recognised by its first bytes.",
        "EcoManual 4.8, 5.1.5; IMC22",
        "tspu_rewrite",
        "to_client",
        &[true, true, false].map(|named| (When::Hello, named, Act::Rewrite)),
    );
    add(
        "rst_fin",
        "A forged FIN/ACK after the hello.",
        "HoneyBadger",
        "fin_injection",
        "to_client",
        &three(When::Hello, true, |_| {
            to_client(
                Forgery {
                    flags: FORGED_FIN,
                    hop_limit: HopLimit::Own(64),
                    window: 512,
                    ..own()
                },
                false,
                false,
            )
        }),
    );
    add(
        "rst_fin_mid",
        "A forged FIN in the middle of a download, while the server goes on.",
        "HoneyBadger",
        "fin_injection",
        "to_client",
        &three(When::Bytes(Way::Down, 20_000), false, |_| {
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
            )
        }),
    );
    add(
        "rst_fin_drop",
        "A forged FIN, TTL nearly copied, what follows dropped.",
        "HoneyBadger",
        "fin_injection",
        "to_client",
        &three(When::Hello, true, |k| {
            to_client(
                Forgery {
                    flags: FORGED_FIN,
                    hop_limit: HopLimit::Like([3, -2, 6][k - 1]),
                    ip_id: IpId::Random,
                    window: u16::MAX,
                    ..own()
                },
                true,
                true,
            )
        }),
    );
    add(
        "rst_syn_answer",
        "A RST/ACK in reply to the SYN, the SYN dropped: as a closed port looks.",
        "net4people 106",
        "rst_syn",
        "to_client",
        &three(When::Syn, false, |k| {
            to_client(
                Forgery {
                    flags: RST | ACK,
                    hop_limit: HopLimit::Own([64, 255, 128][k - 1]),
                    ..own()
                },
                true,
                true,
            )
        }),
    );
    add(
        "rst_turkmen",
        "Turkmenistan: three to five RSTs for a name, hello dropped.",
        "net4people 80, 273",
        "rst_spoofed_server",
        "to_client",
        &three(When::Hello, true, |k| {
            to_client(
                Forgery {
                    flags: RST,
                    hop_limit: HopLimit::Own(58),
                    ip_id: IpId::Random,
                    offsets: vec![0; 2 + k],
                    ..own()
                },
                true,
                true,
            )
        }),
    );
}
