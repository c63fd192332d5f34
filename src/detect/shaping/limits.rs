//! What the ends themselves limited: a sender with nothing to send, a receiver that does not read.

use crate::facts::{Event, EventKind, FlowFacts};
use crate::types::Direction;

/// Share of the time between the first and the last data packet in which everything was acknowledged and the sender said nothing for longer than two round
/// trips (docs/detection.md, C5). None where the capture is at the receiver: there everything is acknowledged at once.
pub(in crate::detect) fn idle_share(flow: &FlowFacts, direction: Direction) -> Option<f64> {
    let transfer = flow.detail.transfer.as_deref()?;
    let up = direction == Direction::Up;
    let rtt = &flow.detail.rtt;
    let (ahead, back) = match direction {
        Direction::Up => (rtt.to_server()?, rtt.to_client()?),
        Direction::Down => (rtt.to_client()?, rtt.to_server()?),
    };
    if ahead < back {
        return None;
    }
    let patience = (2 * (ahead + back)).max(50_000_000);
    let (mut sent, mut acked): (u32, u32) = (0, 0);
    let (mut first, mut last) = (None, 0);
    let mut idle = 0;
    for event in &transfer.events {
        let time = event.time.0;
        if event.up == up && event.payload > 0 {
            let gap = time - last;
            if first.is_some() && gap > patience && sent.wrapping_sub(acked).cast_signed() <= 0 {
                idle += gap;
            }
            first.get_or_insert(time);
            last = time;
            let end = event.offset.wrapping_add(event.payload);
            if end.wrapping_sub(sent).cast_signed() > 0 {
                sent = end;
            }
        } else if event.up != up && event.ack.wrapping_sub(acked).cast_signed() > 0 {
            acked = event.ack;
        }
    }
    let span = last - first?;
    (span > 0).then(|| idle as f64 / span as f64)
}

/// Share of the data packets that reached within one segment of the edge that the receiver advertised, or of the time in which its window was closed, whichever
/// is larger. None without both sides' SYNs, whose scale is needed (RFC 7323, section 2.2).
pub(in crate::detect) fn window_full_share(flow: &FlowFacts, direction: Direction) -> Option<f64> {
    let transfer = flow.detail.transfer.as_deref()?;
    let (sender, receiver) = (
        flow.detail.side(direction),
        flow.detail.side(direction.reverse()),
    );
    if sender.syns == 0 || receiver.syns == 0 {
        return None;
    }
    let scale = match (sender.window_scale, receiver.window_scale) {
        (Some(_), Some(scale)) => u32::from(scale.min(14)),
        _ => 0,
    };
    let segment = u32::from(receiver.mss.unwrap_or(1460));
    let up = direction == Direction::Up;
    let mut edge: Option<u32> = None;
    let (mut packets, mut full) = (0_u32, 0_u32);
    let is_data = |event: &Event| event.payload > 0 && event.kind != EventKind::Ack;
    for event in &transfer.events {
        if event.up == up && is_data(event) {
            let Some(edge) = edge else { continue };
            packets += 1;
            let end = event.offset.wrapping_add(event.payload);
            full += u32::from(edge.wrapping_sub(end).cast_signed() < segment.cast_signed());
        } else if event.up != up {
            let advertised = event.ack.wrapping_add(u32::from(event.window) << scale);
            if edge.is_none_or(|edge| advertised.wrapping_sub(edge).cast_signed() > 0) {
                edge = Some(advertised);
            }
        }
    }
    if packets < 10 {
        return None;
    }
    let span = flow.summary.last.since(flow.summary.first).max(1);
    let closed = receiver.zero_window_ns as f64 / span as f64;
    Some((f64::from(full) / f64::from(packets)).max(closed))
}
