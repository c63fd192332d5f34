//! Taps that miss, cut, repeat or see one direction: what a capture that is not perfect does to innocent traffic.

use super::*;

fn snap(bytes: usize) -> (&'static str, Damage) {
    let name = match bytes {
        0..=80 => "snap80",
        81..=96 => "snap96",
        _ => "snap128",
    };
    (
        name,
        Damage {
            snaplen: Some(bytes),
            ..Damage::default()
        },
    )
}
fn one_way(way: Way) -> (&'static str, Damage) {
    (
        if way == Way::Up { "up" } else { "down" },
        Damage {
            one_way: Some(way),
            ..Damage::default()
        },
    )
}
fn misses(share: f64) -> (&'static str, Damage) {
    (
        "miss",
        Damage {
            drop_p: Some(share),
            ..Damage::default()
        },
    )
}
fn repeats(aged: bool) -> (&'static str, Damage) {
    (
        "dup",
        Damage {
            duplicates: true,
            aged,
            ..Damage::default()
        },
    )
}
fn begins_at(seconds: f64) -> (&'static str, Damage) {
    (
        "mid",
        Damage {
            starts_at_s: Some(seconds),
            ..Damage::default()
        },
    )
}
fn ends_at(seconds: f64) -> (&'static str, Damage) {
    (
        "cut",
        Damage {
            ends_at_s: Some(seconds),
            ..Damage::default()
        },
    )
}

/// The worse tap of one in three scenarios, by a number from 0 to 19 that is the scenario's own.
pub(super) fn worse(lot: u64, seconds: f64) -> Option<(&'static str, Damage)> {
    Some(match lot {
        0 => snap(96),
        1 => one_way(Way::Down),
        2 => one_way(Way::Up),
        3 => misses(0.01),
        4 => repeats(false),
        5 => begins_at(seconds * 0.3),
        6 => ends_at(seconds * 0.6),
        _ => return None,
    })
}

pub(super) fn all(seed: u64, all: &mut Vec<Scenario>) {
    let mut add = |family: &str, k: usize, about: &'static str, damage: (&'static str, Damage)| {
        let mut kit = Kit::new(family, k, seed);
        for n in 0..4 {
            let service = kit.messenger();
            let transport = kit.native(service);
            let mut flow = kit.flow(service, transport, 0.3 + 0.4 * f64::from(n));
            flow.steps = kit.chat(4.0);
            let size = kit.r.gen_range(60_000..180_000);
            flow.steps.insert(
                1,
                if n == 2 {
                    step("up", size, 200)
                } else {
                    step("down", 200, size)
                },
            );
            kit.flows.push(flow);
        }
        calls(&mut kit, ["whatsapp", "telegram", "signal"][k - 1], 2, 5.0);
        for f in &mut kit.flows {
            f.target = false;
        }
        kit.controls(2, 5.0);
        all.push(
            scenario(kit, about)
                .innocent("clean")
                .damaged(damage.0, damage.1),
        );
    };
    for k in 1..=3 {
        add(
            "ng_tap_dup",
            k,
            "A mirror port that shows frames twice, the third time before and behind a router.",
            repeats(k == 3),
        );
        add(
            "ng_tap_miss",
            k,
            "A tap that misses 0.5 to 3 % of the packets.",
            misses([0.005, 0.01, 0.03][k - 1]),
        );
        add(
            "ng_tap_up",
            k,
            "A tap that sees what the client sends and nothing else.",
            one_way(Way::Up),
        );
        add(
            "ng_tap_down",
            k,
            "A tap that sees what the client gets and nothing else.",
            one_way(Way::Down),
        );
        add(
            "ng_tap_mid",
            k,
            "A capture begun when everything was already running.",
            begins_at(1.0 + 0.8 * k as f64),
        );
        add(
            "ng_tap_cut",
            k,
            "A capture that ends in the middle of everything.",
            ends_at(1.0 + 0.8 * k as f64),
        );
        add(
            "ng_tap_snap",
            k,
            "Packets cut to 80, 96 or 128 bytes.",
            snap([80, 96, 128][k - 1]),
        );
    }
}
