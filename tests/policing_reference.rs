//! The published policing detector (Flach et al., SIGCOMM 2016) beside ours, on the captures that its authors made.
//!
//! Written from its description, as a second opinion: it reads packets through `capture` and `decode` only and shares nothing with `detect`. Its rules are those of its
//! program where that differs from the paper (docs/detection.md, C2).

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dpiscope::capture::{Batch, Options, Run};
use dpiscope::decode::{self, Peel, Transport};
use dpiscope::detect::Mechanism;
use dpiscope::pipeline::{self, Scope, Settings};
use dpiscope::service::Catalogue;
use dpiscope::types::{Endpoint, Protocol};

/// Payload of a full segment beside time stamps on a path of 1,500 bytes: larger packets are cut into such.
const SEGMENT: u32 = 1448;

/// Why a stretch of a flow is not called policed, in the order in which it asks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Verdict {
    Policed,
    TooFewLosses,
    LateFirstLoss,
    NegativeFill,
    FullerOnLoss,
    LossOutOfRange,
    PassOutOfRange,
    InflatedRtt,
}

/// One transmission of one full segment.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Seconds since the capture began.
    time: f64,
    /// Bytes of the stream before it.
    offset: i64,
    bytes: u32,
    lost: bool,
    repeat: bool,
    /// Seconds until it was acknowledged.
    delay: Option<f64>,
}

/// What one end of a connection sent, and what it was waiting for.
#[derive(Debug, Default)]
struct Sender {
    base: Option<u32>,
    highest: i64,
    acknowledged: i64,
    sent: Vec<Sent>,
    /// Start of each piece of the stream to all its transmissions.
    pieces: BTreeMap<i64, Vec<usize>>,
    waiting: VecDeque<usize>,
    /// Where the answers to new requests begin, as places in `sent`.
    answers: Vec<usize>,
    asked: bool,
}

impl Sender {
    fn offset(&mut self, seq: u32) -> i64 {
        let base = *self.base.get_or_insert(seq);
        let near = base.wrapping_add(self.highest as u32);
        self.highest + i64::from(seq.wrapping_sub(near).cast_signed())
    }

    fn data(&mut self, time: f64, seq: u32, payload: u32) {
        if self.asked || self.answers.is_empty() {
            self.answers.push(self.sent.len());
            self.asked = false;
        }
        let mut start = self.offset(seq);
        let end = start + i64::from(payload);
        while start < end {
            let bytes = (end - start).min(i64::from(SEGMENT)) as u32;
            let place = self.sent.len();
            let earlier = self.pieces.entry(start).or_default();
            let repeat = !earlier.is_empty();
            for &before in earlier.iter() {
                self.sent[before].lost = true;
            }
            earlier.push(place);
            self.sent.push(Sent {
                time,
                offset: start,
                bytes,
                lost: false,
                repeat,
                delay: None,
            });
            if !repeat {
                self.waiting.push_back(place);
            }
            start += i64::from(bytes);
        }
        self.highest = self.highest.max(end);
    }

    fn acknowledgement(
        &mut self,
        time: f64,
        ack: u32,
        blocks: &[(u32, u32)],
        duplicate: Option<u32>,
    ) {
        if self.base.is_none() {
            return;
        }
        let ack = self.offset(ack);
        self.acknowledged = self.acknowledged.max(ack);
        // What lies behind a hole arrived when its block says so, not when the hole was filled.
        for &(from, to) in blocks {
            let (from, to) = (self.offset(from), self.offset(to));
            for &place in &self.waiting {
                let sent = &mut self.sent[place];
                if sent.offset >= from && sent.offset + i64::from(sent.bytes) <= to && !sent.lost {
                    sent.delay.get_or_insert(time - sent.time);
                }
            }
        }
        while let Some(&place) = self.waiting.front() {
            let sent = &mut self.sent[place];
            if sent.offset + i64::from(sent.bytes) > ack {
                break;
            }
            if sent.lost {
                sent.delay = None;
            } else {
                sent.delay.get_or_insert(time - sent.time);
            }
            self.waiting.pop_front();
        }
        // RFC 2883: it had come twice, so that the copy before the last was not lost.
        if let Some(seq) = duplicate {
            let start = self.offset(seq);
            if let Some(copies) = self.pieces.get(&start)
                && let Some(place) = copies.iter().rev().find(|place| self.sent[**place].lost)
            {
                self.sent[*place].lost = false;
            }
        }
    }

    /// The answers to one request each.
    fn stretches(&self) -> impl Iterator<Item = &[Sent]> {
        let ends = self
            .answers
            .iter()
            .skip(1)
            .copied()
            .chain([self.sent.len()]);
        self.answers
            .iter()
            .copied()
            .zip(ends)
            .map(|(from, to)| &self.sent[from..to])
    }
}

/// The value below which so many hundredths of the values lie.
fn percentile(values: &[f64], hundredths: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * hundredths / 100).copied().unwrap_or(0.0)
}

/// The published algorithm on one answer, leaving out `cutoff` losses at each end.
fn judge(sent: &[Sent], cutoff: usize) -> Verdict {
    const SAMPLES: usize = 15;
    const SLICES: u32 = 3;
    const LATE: i64 = 2_000_000;
    let lost: Vec<usize> = (0..sent.len()).filter(|place| sent[*place].lost).collect();
    let kept = lost
        .get(cutoff..lost.len().saturating_sub(cutoff))
        .unwrap_or(&[]);
    let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else {
        return Verdict::TooFewLosses;
    };
    let start = sent[0].offset;
    if sent[first].offset - start > LATE {
        return Verdict::LateFirstLoss;
    }
    let (from, to) = (sent[first].time, sent[last].time);
    let delays: Vec<f64> = (sent.iter().filter(|sent| !sent.repeat && !sent.lost))
        .filter_map(|sent| sent.delay)
        .collect();
    if to <= from || delays.is_empty() {
        return Verdict::TooFewLosses;
    }
    let passed: f64 = sent[first..last]
        .iter()
        .filter(|sent| !sent.lost)
        .map(|sent| f64::from(sent.bytes))
        .sum();
    let rate = passed / (to - from);
    let round = percentile(&delays, 50);
    let (loss_zone, pass_zone) = (2.0 * round * rate, 0.75 * round * rate);
    if (sent[first].offset - start) as f64 - rate * (from - sent[0].time) < -pass_zone {
        return Verdict::NegativeFill;
    }
    let (mut on_loss, mut on_pass, mut clean) = (Vec::new(), Vec::new(), Vec::new());
    let (mut used, mut slices, mut slice_end, mut inflated) = (0.0, 0, f64::MIN, 0);
    clean.extend(
        sent[..first]
            .iter()
            .filter(|sent| !sent.repeat && !sent.lost)
            .filter_map(|sent| sent.delay),
    );
    for packet in &sent[first..] {
        let fill = rate * (packet.time - from) - used;
        if packet.lost {
            on_loss.push(fill);
            if packet.time > slice_end {
                slices += 1;
                slice_end = packet.time + round;
            }
            if let Some(delay) = clean.len().checked_sub(2).map(|place| clean[place])
                && delay >= percentile(&clean, 50)
                && delay > 1.3 * percentile(&clean, 10)
                && delay >= 0.02
            {
                inflated += 1;
            }
        } else {
            on_pass.push(fill);
            used += f64::from(packet.bytes);
            if !packet.repeat {
                clean.extend(packet.delay);
            }
        }
    }
    if slices < SLICES || on_loss.len() < SAMPLES || on_pass.len() < SAMPLES {
        return Verdict::TooFewLosses;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let middle = percentile(&on_loss, 50);
    if mean(&on_loss) >= mean(&on_pass) || middle >= percentile(&on_pass, 50) {
        return Verdict::FullerOnLoss;
    }
    let share = |values: &[f64], outside: &dyn Fn(f64) -> bool| {
        values
            .iter()
            .filter(|fill| outside(**fill - middle))
            .count() as f64
            / values.len() as f64
    };
    if share(&on_loss, &|off| off.abs() > loss_zone) > 0.10 {
        return Verdict::LossOutOfRange;
    }
    if share(&on_pass, &|off| off < -pass_zone) > 0.03 {
        return Verdict::PassOutOfRange;
    }
    if f64::from(inflated) > 0.2 * on_loss.len() as f64 {
        return Verdict::InflatedRtt;
    }
    Verdict::Policed
}

/// What each end of each connection of a capture sent.
fn senders(path: &Path) -> Vec<Sender> {
    let (mut run, errors) = Run::open(&[path.to_owned()], &Options::default());
    assert!(errors.is_empty(), "{}", path.display());
    let mut senders: BTreeMap<(Endpoint, Endpoint), Sender> = BTreeMap::new();
    let mut batch = Batch::default();
    let mut begin = None;
    while run.next(&mut batch) {
        for packet in &batch.packets {
            let bytes = batch.bytes_of(packet);
            let Peel::Flow(peeled) = decode::peel(packet.link, bytes, packet.wire) else {
                continue;
            };
            let ip = peeled.ip as usize;
            let Ok(Some(decoded)) = decode::decode(&bytes[ip..], packet.wire - peeled.ip) else {
                continue;
            };
            let Transport::Tcp(segment) = decoded.transport else {
                continue;
            };
            if decoded.key.protocol != Protocol::Tcp || segment.flags & 0x02 != 0 {
                continue;
            }
            let time = packet.time.seconds_since(*begin.get_or_insert(packet.time));
            let (own, other) = (decoded.key.a, decoded.key.b);
            if segment.flags & 0x10 != 0 {
                let options = segment.options();
                let [first, second, ..] = options.sack;
                let below = options.sack_blocks > 0
                    && !first.0.after(segment.ack)
                    && first.0 != segment.ack;
                let within =
                    options.sack_blocks > 1 && !second.0.after(first.0) && !first.1.after(second.1);
                let duplicate = (below || within).then_some(first.0.0);
                let peer = senders.entry((other, own)).or_default();
                let blocks: Vec<(u32, u32)> =
                    (options.sack.iter().take(usize::from(options.sack_blocks)))
                        .map(|(from, to)| (from.0, to.0))
                        .collect();
                peer.acknowledgement(time, segment.ack.0, &blocks, duplicate);
                peer.asked |= decoded.payload_length > 0;
            }
            if decoded.payload_length > 0 {
                senders.entry((own, other)).or_default().data(
                    time,
                    segment.seq.0,
                    decoded.payload_length,
                );
            }
        }
    }
    senders.into_values().collect()
}

/// Answers judged, answers called policed, and the verdicts of the others.
fn published(path: &Path) -> (u32, u32, BTreeMap<Verdict, u32>) {
    let (mut judged, mut policed) = (0, 0);
    let mut others = BTreeMap::new();
    for sender in senders(path) {
        for stretch in sender.stretches().filter(|stretch| stretch.len() >= 100) {
            judged += 1;
            let verdict = judge(stretch, 0).min(judge(stretch, 2));
            if verdict == Verdict::Policed {
                policed += 1;
            } else {
                *others.entry(verdict).or_default() += 1;
            }
        }
    }
    (judged, policed, others)
}

fn ours(path: &Path) -> bool {
    let (run, _) = Run::open(&[path.to_owned()], &Options::default());
    let settings = Settings {
        threads: 1,
        scope: Scope::All,
        ..Settings::default()
    };
    let never = AtomicBool::new(false);
    let analysis = pipeline::analyze(
        run,
        &settings,
        Catalogue::builtin(),
        &never,
        &mut |_, _, _| {},
    );
    (analysis.assessment.findings.iter()).any(|finding| finding.mechanism == Mechanism::Policing)
}

/// A group of captures: how many, how many are called policing by us and by the reference, and the reference's answers.
#[derive(Clone, Debug, Default)]
struct Cell {
    captures: u32,
    ours: u32,
    theirs: u32,
    answers: u32,
    flagged: u32,
    others: BTreeMap<Verdict, u32>,
}

fn captures() -> Option<PathBuf> {
    let corpus = std::env::var_os("DPISCOPE_CORPUS");
    if corpus.is_none() {
        eprintln!("not run: needs DPISCOPE_CORPUS");
    }
    Some(Path::new(&corpus?).join("captures/policing"))
}

#[test]
fn we_find_at_least_the_policers_that_the_published_detector_finds() {
    let Some(folder) = captures() else { return };
    let text = fs::read_to_string(folder.join("MANIFEST.tsv")).expect("a table");
    let mut cells: BTreeMap<String, Cell> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[file, truth, rate, bucket, _, _, cross, ..] = &fields[..] else {
            panic!("a row of another form: {line}");
        };
        let path = folder.join(file);
        let found = ours(&path);
        let (answers, flagged, others) = published(&path);
        eprintln!("{file} {truth} {rate} {bucket} {cross}: {flagged} of {answers} {others:?}");
        let keys = if truth == "policing" {
            let bucket = if bucket.is_empty() { "default" } else { bucket };
            let flows = if cross == "1" {
                "two flows"
            } else {
                "one flow"
            };
            vec![
                format!("bucket {bucket}"),
                format!("rate {rate}"),
                flows.to_owned(),
            ]
        } else {
            vec![format!("not policing: {truth}")]
        };
        for key in keys {
            let cell = cells.entry(key).or_default();
            cell.captures += 1;
            cell.ours += u32::from(found);
            cell.theirs += u32::from(flagged > 0);
            cell.answers += answers;
            cell.flagged += flagged;
            for (verdict, count) in &others {
                *cell.others.entry(*verdict).or_default() += count;
            }
        }
    }
    for (key, cell) in &cells {
        eprintln!(
            "{key:26} {:2} captures, ours {:2}, published {:2} ({} of {} answers; others {:?})",
            cell.captures, cell.ours, cell.theirs, cell.flagged, cell.answers, cell.others
        );
    }
    for (key, cell) in &cells {
        if key.starts_with("not") {
            assert_eq!(cell.ours, 0, "{key}: a false alarm");
        } else {
            assert!(cell.ours >= cell.theirs, "{key}: {cell:?}");
        }
    }
    // The second opinion is one: where its authors say that it works, it does.
    let strong = &cells["bucket 1000000"];
    assert!(2 * strong.theirs >= strong.captures, "{strong:?}");
}

/// A sender of two packets every 20 ms, of which a bucket of 20 packets that refills at half the pace lets through what it can.
fn policed() -> Vec<Sent> {
    let mut tokens = 20.0 * f64::from(SEGMENT);
    (0..600)
        .map(|place| {
            if place % 2 == 0 {
                tokens = f64::min(tokens + f64::from(SEGMENT), 20.0 * f64::from(SEGMENT));
            }
            let passes = tokens >= f64::from(SEGMENT);
            tokens -= if passes { f64::from(SEGMENT) } else { 0.0 };
            Sent {
                time: f64::from(place / 2) * 0.02,
                offset: i64::from(place) * i64::from(SEGMENT),
                bytes: SEGMENT,
                lost: !passes,
                repeat: false,
                delay: passes.then_some(0.05),
            }
        })
        .collect()
}

#[test]
fn the_reference_calls_a_made_policer_policed() {
    assert_eq!(judge(&policed(), 0), Verdict::Policed);
}

#[test]
fn the_reference_does_not_call_scattered_loss_policed() {
    let mut sent = policed();
    for (place, packet) in sent.iter_mut().enumerate() {
        packet.lost = place * place * 31 % 37 == 1;
        packet.delay = (!packet.lost).then_some(0.05);
    }
    assert_ne!(judge(&sent, 0), Verdict::Policed);
}

#[test]
fn the_reference_wants_fifteen_losses() {
    let mut sent = policed();
    sent.truncate(60);
    assert_eq!(judge(&sent, 0), Verdict::TooFewLosses);
}
