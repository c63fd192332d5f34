//! Transfers for tests: a window-based sender behind a box, seen from either end.

use crate::facts::{CaptureFacts, Event, EventKind, FlowFacts, Transfer};
use crate::types::{Address, Direction, Endpoint, Frame, Timestamp};

use super::case::Case;
use super::control::Controls;
use super::loss::Pool;

/// What the box does to the download.
#[derive(Clone, Copy)]
pub(super) enum Middlebox {
    /// Nothing.
    Open,
    /// A token bucket that drops: bytes per second, bytes.
    Police(f64, f64),
    /// A queue: bytes per second, bytes.
    Shape(f64, f64),
    /// Every packet is lost with this chance.
    Lose(f64),
}

/// Where the capture is taken.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum At {
    Client,
    Server,
}

const SEGMENT: u32 = 1448;
const WIRE: u32 = 1500;
const ROUND: i64 = 50_000_000;
const START: i64 = 1_000_000_000_000;

/// A download of `segments` full segments from a messenger's server.
#[expect(
    clippy::too_many_lines,
    reason = "one simulated transfer, read from top to bottom"
)]
pub(super) fn download(at: At, middlebox: Middlebox, segments: u32) -> FlowFacts {
    let mut events = Vec::new();
    let mut received = vec![false; segments as usize];
    let (mut sent_before, mut next, mut window) = (vec![false; segments as usize], 0_u32, 10_u32);
    let mut again: Vec<u32> = Vec::new();
    let (mut tokens, mut filled, mut free) = (
        match middlebox {
            Middlebox::Police(_, burst) => burst,
            _ => 0.0,
        },
        START,
        START,
    );
    let mut dice = 12_345_u64;
    let mut now = START;
    let (mut lost, mut highest, mut frame) = (0_u32, 0_u32, 0_u64);
    let mut slow_start = true;
    while received.iter().any(|got| !got) && frame < 20_000 {
        // The acknowledgements of what passed let new segments out before the loss of the others is known.
        let mut batch: Vec<u32> = (next..segments.min(next + (window / 2).max(1))).collect();
        next += batch.len() as u32;
        let room = (window as usize).saturating_sub(batch.len());
        batch.extend(again.drain(..again.len().min(room)));
        while (batch.len() as u32) < window && next < segments {
            batch.push(next);
            next += 1;
        }
        let mut longest = 0;
        let mut failed = false;
        for (place, segment) in batch.iter().enumerate() {
            let time = now + place as i64 * 300_000;
            let waited = match middlebox {
                Middlebox::Open => Some(0),
                Middlebox::Police(rate, burst) => {
                    tokens = (tokens + rate * (time - filled) as f64 / 1e9).min(burst);
                    filled = time;
                    (tokens >= f64::from(WIRE)).then(|| {
                        tokens -= f64::from(WIRE);
                        0
                    })
                }
                Middlebox::Shape(rate, queue) => {
                    let begin = free.max(time);
                    let backlog = (begin - time) as f64 / 1e9 * rate;
                    (backlog + f64::from(WIRE) <= queue).then(|| {
                        free = begin + (f64::from(WIRE) / rate * 1e9) as i64;
                        free - time
                    })
                }
                Middlebox::Lose(chance) => {
                    dice = dice
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    ((dice >> 33) as f64 / (1_u64 << 31) as f64 >= chance).then_some(0)
                }
            };
            frame += 1;
            let repeat = sent_before[*segment as usize];
            sent_before[*segment as usize] = true;
            let data = |time: i64, kind: EventKind| Event {
                time: Timestamp(time),
                frame: Frame::new(0, frame),
                offset: 1 + segment * SEGMENT,
                ack: 1,
                payload: SEGMENT,
                ip_length: WIRE,
                tsval: ((now + place as i64 * 300_000 - START) / 1_000_000 + 1) as u32,
                tsecr: 0,
                window: 500,
                up: false,
                dsack: false,
                kind,
            };
            if at == At::Server {
                events.push(data(
                    time,
                    if repeat {
                        EventKind::Retransmission
                    } else {
                        EventKind::New
                    },
                ));
            }
            if let Some(waited) = waited {
                longest = longest.max(waited);
                let arrival = time + ROUND / 2 + waited;
                let expected = received.iter().position(|got| !got).unwrap_or(0) as u32;
                received[*segment as usize] = true;
                if at == At::Client {
                    let kind = if *segment < highest {
                        EventKind::Fill
                    } else if *segment > expected {
                        EventKind::Ahead
                    } else {
                        EventKind::New
                    };
                    events.push(data(arrival, kind));
                }
                highest = highest.max(segment + 1);
                let acked = received
                    .iter()
                    .position(|got| !got)
                    .unwrap_or(segments as usize) as u32;
                let back = if at == At::Server { ROUND / 2 } else { 20_000 };
                events.push(Event {
                    time: Timestamp(arrival + back),
                    frame: Frame::new(0, frame),
                    offset: 1,
                    ack: 1 + acked * SEGMENT,
                    payload: 0,
                    ip_length: 52,
                    tsval: 1,
                    tsecr: 0,
                    window: 500,
                    up: true,
                    dsack: false,
                    kind: EventKind::Ack,
                });
            } else {
                lost += 1;
                failed = true;
                again.push(*segment);
            }
        }
        now += (ROUND + longest).max(batch.len() as i64 * 300_000);
        slow_start &= !failed;
        window = if failed {
            (window / 2).max(2)
        } else if slow_start {
            window * 2
        } else {
            window + 1
        }
        .min(400);
    }
    events.sort_by_key(|event| event.time);
    flow(at, events, segments, lost)
}

/// A stream that a server paces itself: one segment every `gap_ms`.
pub(super) fn paced(at: At, segments: u32, gap_ms: i64) -> FlowFacts {
    let mut events = Vec::new();
    for segment in 0..segments {
        let sent = START + i64::from(segment) * gap_ms * 1_000_000;
        let data = if at == At::Server {
            sent
        } else {
            sent + ROUND / 2
        };
        let acked = if at == At::Server {
            sent + ROUND
        } else {
            sent + ROUND / 2 + 20_000
        };
        events.push(Event {
            time: Timestamp(data),
            frame: Frame::new(0, u64::from(segment) + 1),
            offset: 1 + segment * SEGMENT,
            ack: 1,
            payload: SEGMENT,
            ip_length: WIRE,
            tsval: ((sent - START) / 1_000_000 + 1) as u32,
            window: 500,
            kind: EventKind::New,
            ..Event::default()
        });
        events.push(Event {
            time: Timestamp(acked),
            ack: 1 + (segment + 1) * SEGMENT,
            up: true,
            window: 500,
            ip_length: 52,
            ..Event::default()
        });
    }
    events.sort_by_key(|event| event.time);
    flow(at, events, segments, 0)
}

fn flow(at: At, events: Vec<Event>, segments: u32, lost: u32) -> FlowFacts {
    let mut flow = FlowFacts::default();
    let end = |last: u8, port| Endpoint {
        address: Address::v4([10, 0, 0, last]),
        port,
    };
    flow.summary.key.a = end(2, 50_000);
    flow.summary.key.b = end(200, 443);
    flow.summary.service = 1;
    flow.summary.first = events.first().map_or(Timestamp(START), |event| event.time);
    flow.summary.last = events.last().map_or(Timestamp(START), |event| event.time);
    flow.summary.rtt_server_ms = Some(25.0);
    flow.summary.rtt_client_ms = Some(25.0);
    flow.summary.up.packets = segments;
    flow.summary.down.packets = segments + lost;
    flow.summary.down.data_packets = segments + lost;
    flow.summary.down.retransmitted = lost;
    flow.summary.down.bytes = u64::from(segments) * u64::from(SEGMENT);
    flow.detail.from_start = true;
    for side in [&mut flow.detail.client, &mut flow.detail.server] {
        side.syns = 1;
        side.mss = Some(1460);
        side.timestamps = true;
        side.window_scale = Some(12);
    }
    let (near, far) = (Some(20_000), Some(ROUND));
    (flow.detail.rtt.min_server, flow.detail.rtt.min_client) = if at == At::Server {
        (near, far)
    } else {
        (far, near)
    };
    flow.detail.transfer = Some(Box::new(Transfer {
        events,
        ..Transfer::default()
    }));
    flow
}

/// A fast download of the same client from a server that is no messenger's.
pub(super) fn control(at: At, segments: u32) -> FlowFacts {
    as_control(download(at, Middlebox::Open, segments))
}

/// The flow as another service's of the same client.
pub(super) fn as_control(mut flow: FlowFacts) -> FlowFacts {
    flow.index = 1;
    flow.summary.service = 0;
    flow.summary.key.a.port = 50_001;
    flow.summary.key.b.address = Address::v4([10, 0, 0, 201]);
    flow
}

/// The case of one flow's downlink, alone in the world.
pub(super) fn alone(flow: &FlowFacts) -> Case<'_> {
    let ledger = super::ledger::Ledger::of(flow, Direction::Down).unwrap_or_default();
    Case::new(flow, vec![flow.index], Direction::Down, ledger)
}

/// The surroundings of some flows of one client.
pub(super) fn around(flows: &[FlowFacts]) -> CaptureFacts {
    CaptureFacts {
        flows: flows.iter().map(|flow| flow.summary.clone()).collect(),
        by_client: (0..flows.len() as u32).collect(),
        ..CaptureFacts::default()
    }
}

/// The case of the first flow's downlink beside the others.
pub(super) fn beside(flows: &[FlowFacts]) -> Case<'_> {
    let flow = &flows[0];
    let around = around(flows);
    let mut case = alone(flow);
    let span = (flow.summary.first.0, flow.summary.last.0);
    case.controls = Controls::of(
        flow,
        Direction::Down,
        span,
        case.queue.as_ref(),
        flows,
        &around,
    );
    case.pool = Pool::of(flow, Direction::Down, &around);
    case
}

/// The measured value; none where the rule was blind.
pub(super) fn value(reading: &crate::detect::Reading) -> Option<f64> {
    match reading {
        crate::detect::Reading::Measured { value, .. } => Some(*value),
        crate::detect::Reading::Blind(_) => None,
    }
}
