//! What a stage costs by itself, a packet: `cargo bench --bench stages`.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot set up has nothing to measure"
)]

#[allow(dead_code, reason = "each bench uses its part")]
mod support;

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

use dpiscope::application::StreamRecogniser;
use dpiscope::capture::{Batch, LinkType, Options, Run};
use dpiscope::decode::{Decoded, Peel, decode, peel};
use dpiscope::flow::{Datagram, Finished, FlowRef, FlowTable, Sink};
use dpiscope::service::{Catalogue, Clue};
use dpiscope::types::{Endpoint, FlowKey, Frame, Protocol, Side, Timestamp};
use support::{Conversation, Dice, client_hello};

fn main() {
    divan::main();
}

const ETHERNET: LinkType = LinkType(1);

/// Packets that a bench takes at once: about what a worker gets from one buffer of 1 MiB.
const PACKETS: u32 = 8192;

/// Small packets, each of one of `flows` connections.
fn packets(flows: u32) -> Vec<Vec<u8>> {
    let mut dice = Dice(7);
    let mut all: Vec<_> = (0..flows).map(Conversation::new).collect();
    (0..PACKETS)
        .map(|_| {
            let chosen = dice.below(flows) as usize;
            all[chosen].next(&mut dice)
        })
        .collect()
}

/// Walking the records of a capture in memory.
#[divan::bench]
fn capture(bencher: Bencher) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for packet in packets(1000) {
        let length = packet.len() as u32;
        for word in [1, 1, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    bencher
        .counter(ItemsCount::new(PACKETS))
        .with_inputs(|| {
            let bytes = Box::new(std::io::Cursor::new(file.clone()));
            (
                Run::read("bench", bytes, &Options::default()).unwrap(),
                Batch::default(),
            )
        })
        .bench_values(|(mut run, mut batch)| {
            let mut count = 0;
            while run.next(&mut batch) {
                count += batch.packets.len();
            }
            assert_eq!(count, PACKETS as usize);
        });
}

/// From the link layer to the innermost IP packet and its flow's hash, as the reader does.
#[divan::bench]
fn peel_packet(bencher: Bencher) {
    let packets = packets(1000);
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for packet in &packets {
            black_box(peel(ETHERNET, packet, packet.len() as u32));
        }
    });
}

/// The IP packet taken apart, as a worker does.
#[divan::bench]
fn decode_packet(bencher: Bencher) {
    let packets = packets(1000);
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for packet in &packets {
            black_box(decode(&packet[14..], packet.len() as u32 - 14)).ok();
        }
    });
}

/// Takes final flows and forgets them.
struct Forget;

impl Sink<()> for Forget {
    fn wants_packets(&self, _key: &FlowKey, _rider: Option<&()>) -> bool {
        false
    }

    fn wants_course(&self, _key: &FlowKey, _rider: Option<&()>) -> bool {
        false
    }

    fn take(&mut self, flow: Finished<()>) {
        black_box(flow.last);
    }
}

/// A packet's flow found or made, and the packet logged with it.
#[divan::bench(args = [100, 10_000, 1_000_000])]
fn flow_update(bencher: Bencher, flows: u32) {
    let packets = packets(flows);
    let decoded: Vec<(u64, Decoded<'_>)> = packets
        .iter()
        .map(|packet| {
            let Peel::Flow(peeled) = peel(ETHERNET, packet, packet.len() as u32) else {
                panic!("it is a plain TCP packet");
            };
            let inner = decode(&packet[14..], packet.len() as u32 - 14);
            (peeled.hash, inner.unwrap().unwrap())
        })
        .collect();
    // every flow is there already: the update is measured, not the growth of the table
    let mut table = FlowTable::<()>::new(4_000_000);
    let mut number = 0;
    let mut pass = |table: &mut FlowTable<()>| {
        for (hash, packet) in &decoded {
            number += 1;
            let (time, frame) = (Timestamp(number as i64 * 1000), Frame::new(0, number));
            black_box(table.packet(
                *hash,
                FlowRef::default(),
                time,
                frame,
                [0; 2],
                packet,
                Datagram::default(),
                &mut Forget,
            ));
        }
    };
    pass(&mut table);
    bencher
        .counter(ItemsCount::new(PACKETS))
        .bench_local(|| pass(&mut table));
}

/// A flow's first bytes recognised: a hello in one piece.
#[divan::bench]
fn recognise_hello(bencher: Bencher) {
    let hello = client_hello("web.whatsapp.com");
    bencher
        .counter(BytesCount::new(hello.len()))
        .bench_local(|| {
            let mut recogniser = StreamRecogniser::new(&FlowKey::default());
            recogniser.bytes(Side::A, black_box(&hello), Frame::new(0, 1), Timestamp(0));
            let found = recogniser.finish();
            assert!(found.sni.is_some());
            found
        });
}

/// A name looked up in the catalogue.
#[divan::bench]
fn classify_name(bencher: Bencher) {
    let catalogue = Catalogue::builtin();
    let recognised = {
        let mut recogniser = StreamRecogniser::new(&FlowKey::default());
        recogniser.bytes(
            Side::A,
            &client_hello("web.whatsapp.com"),
            Frame::new(0, 1),
            Timestamp(0),
        );
        recogniser.finish()
    };
    bencher.bench_local(|| {
        black_box(catalogue.classify(black_box(&Clue {
            sni: recognised.sni.as_deref(),
            ..Clue::of_server(Endpoint::default(), Protocol::Tcp)
        })))
    });
}
