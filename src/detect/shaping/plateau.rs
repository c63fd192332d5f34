//! A constant rate after a faster start, where packets have no numbers that the path can read: QUIC.
//!
//! Loss cannot be seen there, but a policer's work can: bytes arrive along a straight line for as long as the sender has more, after a first burst that was
//! faster; and the receiver's acknowledgements grow, since every gap adds a range to them (RFC 9000, section 19.3.1).

use crate::facts::{Event, FlowFacts};
use crate::types::{Direction, Protocol};

use super::ledger::is_media;

/// A straight stretch of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::detect) struct Plateau {
    /// Bytes of IP packets per second along it.
    pub(in crate::detect) rate: f64,
    /// Farthest distance of the transfer from the line, in packets.
    pub(in crate::detect) deviation: f64,
    /// Packets along it.
    pub(in crate::detect) packets: u32,
    /// Seconds along it.
    pub(in crate::detect) seconds: f64,
    /// Bytes before it.
    pub(in crate::detect) onset_bytes: u64,
    /// Bytes before it beyond what its rate would have carried by then.
    pub(in crate::detect) burst: f64,
    /// When it begins, in nanoseconds since the epoch.
    pub(in crate::detect) onset: i64,
    /// Fastest 100 ms before it, over its rate.
    pub(in crate::detect) fall: f64,
    /// By how many bytes the receiver's small packets grew: from the start of the transfer to the stretch as a median, or in their largest climb by small steps.
    pub(in crate::detect) growth: f64,
    /// How often the smallest bucket that lets everything through ran empty without having been full since it last did.
    pub(in crate::detect) empties: u32,
}

/// A packet: nanoseconds, bytes of IP.
type Arrival = (i64, u32);

/// Shortest straight stretch, in packets and seconds.
const SHORTEST: (usize, f64) = (40, 3.0);

/// Payload of packets that carry data, at least, and of those that only acknowledge, at most, in bytes. QUIC's acknowledgements with 64 ranges stay below 250.
const DATA: u32 = 600;
const ACKNOWLEDGEMENT: u32 = 300;

/// The straight stretch of one direction of a UDP flow; none where there is none.
pub(in crate::detect) fn plateau(flow: &FlowFacts, direction: Direction) -> Option<Plateau> {
    if flow.summary.key.protocol != Protocol::Udp || is_media(flow, direction) {
        return None;
    }
    let transfer = flow.detail.transfer.as_deref()?;
    let up = direction == Direction::Up;
    let chosen = |event: &&Event, own: bool| {
        if own {
            event.up == up && event.payload >= DATA
        } else {
            event.up != up && event.payload <= ACKNOWLEDGEMENT
        }
    };
    let data: Vec<Arrival> = transfer
        .events
        .iter()
        .filter(|event| chosen(event, true))
        .map(|event| (event.time.0, event.ip_length))
        .collect();
    let answers: Vec<Arrival> = transfer
        .events
        .iter()
        .filter(|event| chosen(event, false))
        .map(|event| (event.time.0, event.ip_length))
        .collect();
    let climb = largest_climb(&answers);
    let (_, usual) = *data.get(data.len() / 2)?;
    let is_receiver = is_at_receiver(&transfer.events, direction);
    let all: Vec<Arrival> = transfer
        .events
        .iter()
        .filter(|event| is_receiver && event.up == up && event.payload > 0)
        .map(|event| (event.time.0, event.ip_length))
        .collect();
    let Some(found) = straight(&data) else {
        // Behind the sender, only what came through lies on the line: the acknowledgements tell.
        if climb < GROWTH {
            return None;
        }
        let arrivals: Vec<Arrival> = answers.iter().map(|(time, _)| (*time, usual)).collect();
        let seen = if is_receiver {
            None
        } else {
            straight(&arrivals)
        };
        return (seen.or_else(|| unstraight(&all)))
            .map(|seen| Plateau {
                growth: climb,
                ..seen
            })
            .map(|seen| refined(seen, &all));
    };
    let grown = growth(&answers, found.onset);
    let found = Plateau {
        growth: grown.max(climb),
        ..found
    };
    // A receiver that sees gaps acknowledges every packet at once (RFC 9000, section 13.2.1). Where fewer acknowledgements come back than packets were sent, the
    // rest was lost behind the capture point, and the acknowledgements are the arrivals.
    let during = answers
        .iter()
        .filter(|(time, _)| *time >= found.onset)
        .count() as f64;
    if !is_receiver && grown >= GROWTH && during < 0.85 * f64::from(found.packets) {
        let arrivals: Vec<Arrival> = answers.iter().map(|(time, _)| (*time, usual)).collect();
        if let Some(seen) = straight(&arrivals) {
            return Some(Plateau {
                growth: found.growth,
                fall: found.fall.max(seen.fall),
                ..seen
            });
        }
    }
    Some(refined(found, &all))
}

/// Whether the receiver is nearer to the capture point than the sender, so that what is seen has passed the limit: which side took longer to answer the other's
/// first datagram.
fn is_at_receiver(events: &[Event], direction: Direction) -> bool {
    let mut turns: Vec<(bool, i64, i64)> = Vec::new();
    for event in events {
        let time = event.time.0;
        if let Some((up, _, last)) = turns.last_mut()
            && *up == event.up
        {
            *last = time;
        } else if turns.len() < 3 {
            turns.push((event.up, time, time));
        } else {
            break;
        }
    }
    let [(up, _, asked), (_, answered, told), (_, replied, _)] = *turns else {
        return false;
    };
    // The client speaks first: what follows its turn took the way to the server and back.
    let (to_server, to_client) = (answered - asked, replied - told);
    up && match direction {
        Direction::Up => to_server < to_client,
        Direction::Down => to_client < to_server,
    }
}

/// The smallest bucket that lets everything through.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tight {
    rate: f64,
    burst: f64,
    /// Packets that left it empty, but for one packet.
    near: u32,
    empties: u32,
}

impl Tight {
    /// What the search maximises: each time that it runs empty counts as a few packets that leave it so.
    const fn touches(&self) -> u32 {
        self.near + 5 * self.empties
    }
}

/// Fewest times that a bucket must run empty, without having been full in between, to be believed where nothing was even: two figures are fitted, so that
/// three are chance; chunks that come at intervals find it full each time.
pub(in crate::detect) const EMPTIES: u32 = 6;

/// The bucket of what passed, where that is no straight line: a sender that backs off after each loss never stays at the rate, but meets it again and again.
fn unstraight(all: &[Arrival]) -> Option<Plateau> {
    let tight = tight(all)?;
    let (first, last) = (all.first()?, all.last()?);
    let seconds = (last.0 - first.0) as f64 / 1e9;
    (tight.empties >= EMPTIES && seconds >= SHORTEST.1).then(|| Plateau {
        rate: tight.rate,
        seconds,
        onset_bytes: tight.burst as u64,
        onset: first.0,
        fall: fastest(all) / tight.rate,
        ..Plateau::default()
    })
}

/// With rate and burst of the bucket that everything passed, where the receiver missed packets.
fn refined(found: Plateau, all: &[Arrival]) -> Plateau {
    if found.growth < GROWTH {
        return found;
    }
    match tight(all) {
        Some(tight) if tight.rate > 0.5 * found.rate && tight.rate < 2.5 * found.rate => Plateau {
            rate: tight.rate,
            burst: tight.burst,
            empties: tight.empties,
            // A line so wide that it takes in the first burst begins with it.
            fall: found.fall.max(fastest(all) / tight.rate),
            ..found
        },
        _ => found,
    }
}

/// The token bucket whose end what passed met most often. All that passes a bucket (r, b) obeys A(s, t) <= b + r (t - s) for all s < t (docs/detection.md, C6),
/// with equality when it empties a bucket that was full at s. So each rate has one smallest bucket, and at the limiter's rate it runs empty whenever the
/// limiter's did; at a higher or lower one but once or twice. (On the lab's 16 QUIC transfers seen at the client the rate is within 1.1 % and the burst
/// within 15 %, also where the transfer averages two thirds of the rate.)
fn tight(arrivals: &[Arrival]) -> Option<Tight> {
    /// Rates that are tried: from and to as factors of the mean, and the step.
    const RATES: (f64, f64, f64) = (0.8, 4.0, 1.005);
    if arrivals.len() < SHORTEST.0 {
        return None;
    }
    let start = arrivals.first()?.0;
    let steps: Vec<(f64, f64)> = arrivals
        .iter()
        .map(|(time, bytes)| ((time - start) as f64 / 1e9, f64::from(*bytes)))
        .collect();
    let seconds = steps.last()?.0;
    let bytes: f64 = steps.iter().map(|(_, bytes)| bytes).sum();
    if seconds < SHORTEST.1 {
        return None;
    }
    let mean = bytes / seconds;
    let mut best: Option<Tight> = None;
    let mut rate = RATES.0 * mean;
    while rate < RATES.1 * mean {
        let found = smallest_bucket(&steps, rate);
        if best.is_none_or(|best| found.touches() > best.touches()) {
            best = Some(found);
        }
        rate *= RATES.2;
    }
    best
}

/// The smallest bucket of a rate that lets everything through, and how often it ran empty.
fn smallest_bucket(steps: &[(f64, f64)], rate: f64) -> Tight {
    /// How far from empty still counts, and how full it must have been for the next time to count apart, in packets.
    const EMPTY: (f64, f64) = (1.0, 3.0);
    let spent = || {
        let (mut spent, mut last) = (0.0, 0.0);
        steps.iter().map(move |(time, bytes)| {
            let left: f64 = spent - rate * (time - last);
            spent = left.max(0.0) + bytes;
            last = *time;
            (spent, *bytes, left <= 0.0)
        })
    };
    let burst = spent().map(|(spent, ..)| spent).fold(0.0, f64::max);
    let (mut near, mut empties) = (0_u32, 0);
    let (mut away, mut was_full) = (true, true);
    for (spent, bytes, full) in spent() {
        was_full |= full;
        if spent >= burst - EMPTY.0 * bytes {
            near += 1;
            empties += u32::from(away && !was_full);
            away = false;
            was_full = false;
        } else if spent < burst - EMPTY.1 * bytes {
            away = true;
        }
    }
    Tight {
        rate,
        burst,
        near,
        empties,
    }
}

/// Growth of acknowledgements in bytes from which on packets were lost: five more ranges.
pub(in crate::detect) const GROWTH: f64 = 10.0;

/// The largest growth of small packets by steps of one range at a time, in bytes. Two varints of one or two bytes are a range (RFC 9000, section 19.3.1); what
/// else changes the size of an acknowledgement, such as MAX_DATA beside it, comes and goes at once.
fn largest_climb(answers: &[Arrival]) -> f64 {
    /// Largest step that is one range.
    const STEP: u32 = 4;
    let (mut largest, mut foot) = (0, None);
    let mut last = 0;
    for (_, size) in answers {
        let start = *foot.get_or_insert(*size);
        if *size < last || *size - last > STEP && last > 0 {
            foot = Some(*size);
        } else {
            largest = largest.max(*size - start);
        }
        last = *size;
    }
    f64::from(largest)
}

fn growth(answers: &[Arrival], onset: i64) -> f64 {
    let median = |mut sizes: Vec<u32>| {
        sizes.sort_unstable();
        sizes.get(sizes.len() / 2).copied()
    };
    let least = answers.iter().map(|(_, size)| *size).min();
    let later = median(
        answers
            .iter()
            .filter(|(time, _)| *time >= onset)
            .map(|(_, size)| *size)
            .collect(),
    );
    match (least, later) {
        (Some(least), Some(later)) => f64::from(later) - f64::from(least),
        _ => 0.0,
    }
}

/// The longest final stretch that stays within a few packets of a line.
fn straight(arrivals: &[Arrival]) -> Option<Plateau> {
    /// Distances from the line that are allowed, as shares of what it carried: the strictest that gives a line.
    const STRAIGHT: [f64; 2] = [0.02, 0.03];
    STRAIGHT
        .into_iter()
        .find_map(|allowed| straight_within(arrivals, allowed))
}

fn straight_within(arrivals: &[Arrival], allowed: f64) -> Option<Plateau> {
    const TRIES: usize = 48;
    if arrivals.len() < SHORTEST.0 {
        return None;
    }
    // The tail of a transfer is slower: what was lost last is sent again.
    let end = arrivals.len() - arrivals.len() / 50 - 1;
    let mut sums = Vec::with_capacity(arrivals.len());
    let mut sum = 0_u64;
    for (_, bytes) in arrivals {
        sum += u64::from(*bytes);
        sums.push(sum);
    }
    let largest = f64::from(arrivals.iter().map(|(_, bytes)| *bytes).max()?);
    for attempt in 0..TRIES {
        let start = end * attempt * 7 / (TRIES * 10);
        let (first, last) = (*arrivals.get(start)?, *arrivals.get(end)?);
        let seconds = (last.0 - first.0) as f64 / 1e9;
        if end - start < SHORTEST.0 || seconds < SHORTEST.1 {
            return None;
        }
        let carried = (sums.get(end)? - sums.get(start)?) as f64;
        let rate = carried / seconds;
        let deviation = (start..=end)
            .filter_map(|place| {
                let (time, _) = arrivals.get(place)?;
                let due = rate * (time - first.0) as f64 / 1e9;
                let got = (sums.get(place)? - sums.get(start)?) as f64;
                Some((got - due).abs())
            })
            .fold(0.0, f64::max);
        if deviation <= (3.0 * largest).max(allowed * carried) {
            let onset_bytes = sums.get(start)? - u64::from(first.1);
            let before = arrivals.first().map_or(first.0, |(time, _)| *time);
            return Some(Plateau {
                rate,
                deviation: deviation / largest,
                packets: (end - start) as u32,
                seconds,
                onset_bytes,
                burst: (onset_bytes as f64 - rate * (first.0 - before) as f64 / 1e9).max(0.0),
                onset: first.0,
                fall: fastest(arrivals.get(..=start)?) / rate,
                growth: 0.0,
                empties: 0,
            });
        }
    }
    None
}

/// Bytes per second in the fastest tenth of a second.
fn fastest(arrivals: &[Arrival]) -> f64 {
    const WINDOW: i64 = 100_000_000;
    let mut most = 0_u64;
    let mut sum = 0_u64;
    let mut left = 0;
    for (time, bytes) in arrivals {
        sum += u64::from(*bytes);
        while let Some((then, gone)) = arrivals.get(left)
            && time - then > WINDOW
        {
            sum -= u64::from(*gone);
            left += 1;
        }
        most = most.max(sum);
    }
    most as f64 / (WINDOW as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: i64, count: i64, gap_ms: i64) -> impl Iterator<Item = Arrival> {
        (0..count).map(move |i| (from + i * gap_ms * 1_000_000, 1228))
    }

    #[test]
    fn a_burst_and_then_a_line_is_a_plateau() {
        let arrivals: Vec<Arrival> = line(0, 20, 1).chain(line(60_000_000, 120, 50)).collect();
        let plateau = straight(&arrivals).expect("a plateau");
        assert!(
            (plateau.rate * 8.0 - 196_480.0).abs() < 6_000.0,
            "{plateau:?}"
        );
        assert!(plateau.fall > 5.0);
        assert!((18_000.0..28_000.0).contains(&plateau.burst), "{plateau:?}");
    }

    #[test]
    fn a_transfer_that_swings_has_no_plateau() {
        let mut time = 0;
        let arrivals: Vec<Arrival> = (0..400)
            .map(|i| {
                time += if i / 100 % 2 == 0 {
                    5_000_000
                } else {
                    60_000_000
                };
                (time, 1228)
            })
            .collect();
        assert_eq!(straight(&arrivals[..300]), None);
    }

    #[test]
    fn a_short_transfer_is_not_judged() {
        let arrivals: Vec<Arrival> = line(0, 30, 50).collect();
        assert_eq!(straight(&arrivals), None);
    }

    fn sizes(sizes: &[u32]) -> Vec<Arrival> {
        (0..).zip(sizes).map(|(time, size)| (time, *size)).collect()
    }

    #[test]
    fn acknowledgements_that_gain_range_after_range_climb() {
        let seen = sizes(&[62, 64, 64, 66, 68, 70, 70, 72, 74, 62]);
        assert!(largest_climb(&seen) >= GROWTH);
    }

    #[test]
    fn a_flow_control_update_beside_an_acknowledgement_is_no_climb() {
        let seen = sizes(&[62, 62, 64, 73, 62, 62, 64, 64, 73, 62]);
        assert!(largest_climb(&seen) < GROWTH / 2.0);
    }
}
