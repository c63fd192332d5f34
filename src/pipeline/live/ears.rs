//! Interfaces as the source of a live run.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{InterfaceStatus, Next, Source};
use crate::capture::{Batch, CaptureError, CaptureFile, Drops, Heard, Listener, Packet};
use crate::facts::Loss;
use crate::types::Timestamp;

/// How long nothing is done where no packet is waiting: a fraction of what the kernel holds back.
const WAIT: Duration = Duration::from_millis(10);

/// What the kernel needs beyond its stated time to hand a block over, in nanoseconds: a timer's tick and a busy core. A proposal.
const SLACK: i64 = 60_000_000;

/// Time between two attempts to open an interface again, in nanoseconds.
const RETRY: i64 = 1_000_000_000;

/// Packets of several interfaces that are held to be put in order; past it they go as they are.
const MOST_HELD: usize = 1 << 16;

/// Interfaces that are listened to, in one time order.
///
/// Packets of one interface keep their order. Those of several are held until all have come so far: a block of one may arrive before an older one of
/// the other.
pub struct Ears<'a> {
    listeners: Vec<Ear>,
    clock: &'a (dyn Fn() -> Timestamp + Sync),
    left: Option<u64>,
    losses: Vec<Loss>,
    news: Vec<String>,
}

/// One interface.
struct Ear {
    listener: Listener,
    heard: Batch,
    held: VecDeque<(Packet, Arc<Vec<u8>>)>,
    reached: Timestamp,
    /// When it was lost, and when to try again.
    lost: Option<(Timestamp, Timestamp)>,
    drops: Drops,
    asked: Timestamp,
    /// When it was taken down, if it is down.
    down: Option<Timestamp>,
    /// Whether it will never be opened again.
    gone: bool,
}

impl<'a> Ears<'a> {
    /// Listens with `listeners`, for `count` packets at most. `clock` is the one that stamps packets.
    pub fn new(
        listeners: Vec<Listener>,
        count: Option<u64>,
        clock: &'a (dyn Fn() -> Timestamp + Sync),
    ) -> Self {
        let now = clock();
        let ear = |listener| Ear {
            listener,
            heard: Batch::default(),
            held: VecDeque::new(),
            reached: now,
            lost: None,
            drops: Drops::default(),
            asked: now,
            down: None,
            gone: false,
        };
        Self {
            listeners: listeners.into_iter().map(ear).collect(),
            clock,
            left: count,
            losses: Vec::new(),
            news: Vec::new(),
        }
    }
}

impl Source for Ears<'_> {
    fn next(&mut self, batch: &mut Batch) -> Next {
        batch.packets.clear();
        let mut more = false;
        for ear in &mut self.listeners {
            let most = self.left.map_or(usize::MAX, |left| {
                usize::try_from(left).unwrap_or(usize::MAX)
            });
            let now = (self.clock)();
            more |= ear.hear(now, most, &mut self.losses, &mut self.news);
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(ear.heard.packets.len() as u64);
            }
        }
        let reached = (self.listeners.iter())
            .map(|ear| ear.reached)
            .min()
            .unwrap_or_default();
        let over = self.left == Some(0) || self.listeners.iter().all(|ear| ear.gone);
        match self.listeners.as_mut_slice() {
            [alone] => std::mem::swap(batch, &mut alone.heard),
            several => merge(several, reached, over, batch),
        }
        Next {
            reached,
            more,
            over,
        }
    }

    fn wait(&mut self) {
        // nothing is ever sent on it: it only measures the time
        let _ = crossbeam_channel::never::<()>().recv_timeout(WAIT);
    }

    fn files(&self) -> Vec<CaptureFile> {
        (self.listeners.iter())
            .map(|ear| ear.listener.facts().clone())
            .collect()
    }

    fn interfaces(&mut self) -> Vec<InterfaceStatus> {
        let now = (self.clock)();
        for ear in &mut self.listeners {
            ear.watch(now, &mut self.losses, &mut self.news);
        }
        (self.listeners.iter())
            .map(|ear| {
                let facts = ear.listener.facts();
                InterfaceStatus {
                    name: facts.path.clone(),
                    open: ear.listener.is_open() && ear.down.is_none(),
                    packets: facts.packets,
                    bytes: facts.bytes,
                    dropped_by_kernel: ear.drops.kernel,
                    dropped_by_interface: ear.drops.interface,
                }
            })
            .collect()
    }

    fn losses(&mut self) -> Vec<Loss> {
        let now = (self.clock)();
        for ear in &mut self.listeners {
            ear.count_losses(now, &mut self.losses);
        }
        std::mem::take(&mut self.losses)
    }

    fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }
}

impl Ear {
    /// Listens once. Whether more is waiting.
    fn hear(
        &mut self,
        now: Timestamp,
        most: usize,
        losses: &mut Vec<Loss>,
        news: &mut Vec<String>,
    ) -> bool {
        self.heard.packets.clear();
        if let Some((since, retry)) = self.lost {
            self.reached = now;
            if now >= retry {
                self.lost = Some((since, now.plus(RETRY)));
                match self.listener.reopen() {
                    Ok(()) => {
                        self.lost = None;
                        // what was said meanwhile was not heard
                        losses.push(Loss {
                            from: since,
                            to: now,
                            packets: 0,
                        });
                        news.push(format!("{}: back", self.listener.name()));
                    }
                    // whoever gave the privilege up does not get it back
                    Err(CaptureError::NotPermitted { .. }) => {
                        self.gone = true;
                        self.lost = Some((since, Timestamp(i64::MAX)));
                        self.listener.give_up(
                            "went away, and could not be opened again without the privilege that was given up at the start",
                        );
                        news.push(format!(
                            "{}: may not be opened again, since that privilege was given up at the start; start anew for it, or with --no-sandbox",
                            self.listener.name()
                        ));
                    }
                    Err(_) => {}
                }
            }
            return false;
        }
        match self.listener.hear(&mut self.heard, most) {
            Heard::Packets { more: true } => {
                // behind: as far as the last packet, and no farther
                let last = self.heard.packets.last().map(|packet| packet.time);
                self.reached = last.unwrap_or(now).min(now);
                true
            }
            Heard::Packets { more: false } | Heard::Quiet => {
                self.reached = now.plus(-self.listener.held_back() - SLACK);
                false
            }
            Heard::Lost(reason) => {
                self.lost = Some((now, now.plus(RETRY)));
                news.push(format!(
                    "{}: lost ({reason}); trying again every second",
                    self.listener.name()
                ));
                false
            }
        }
    }

    /// Says when it goes down and when it is up again. The kernel goes on where it stopped; what would have been said meanwhile was not heard.
    fn watch(&mut self, now: Timestamp, losses: &mut Vec<Loss>, news: &mut Vec<String>) {
        if self.lost.is_some() {
            self.down = None;
            return;
        }
        match (self.listener.is_up(), self.down) {
            (Some(false), None) => {
                self.down = Some(now);
                news.push(format!("{}: down; waiting for it", self.listener.name()));
            }
            (Some(true), Some(since)) => {
                self.down = None;
                losses.push(Loss {
                    from: since,
                    to: now,
                    packets: 0,
                });
                news.push(format!("{}: up again", self.listener.name()));
            }
            _ => {}
        }
    }

    fn count_losses(&mut self, now: Timestamp, losses: &mut Vec<Loss>) {
        let drops = self.listener.drops();
        if drops.kernel > self.drops.kernel {
            losses.push(Loss {
                from: self.asked,
                to: now,
                packets: drops.kernel - self.drops.kernel,
            });
        }
        self.drops = drops;
        self.asked = now;
    }
}

/// Puts packets of several interfaces that lie before `reached` into one order; all of them where the run is `over` or too many are held.
fn merge(ears: &mut [Ear], reached: Timestamp, over: bool, batch: &mut Batch) {
    for ear in ears.iter_mut() {
        let bytes = &ear.heard.bytes;
        let heard = ear.heard.packets.drain(..);
        ear.held
            .extend(heard.map(|packet| (packet, Arc::clone(bytes))));
        ear.heard.bytes = Arc::default();
    }
    let held: usize = ears.iter().map(|ear| ear.held.len()).sum();
    let all = over || held > MOST_HELD;
    let mut ready: Vec<(Packet, Arc<Vec<u8>>)> = Vec::new();
    for ear in ears {
        while let Some((packet, _)) = ear.held.front() {
            if !all && packet.time > reached {
                break;
            }
            ready.extend(ear.held.pop_front());
        }
    }
    // stable: packets of one interface keep their order where their times are equal
    ready.sort_by_key(|(packet, _)| packet.time);
    let mut gathered = Vec::new();
    for (mut packet, bytes) in ready {
        let start = packet.start as usize;
        let own = bytes
            .get(start..start + packet.captured as usize)
            .unwrap_or_default();
        packet.start = gathered.len() as u32;
        gathered.extend_from_slice(own);
        batch.packets.push(packet);
    }
    batch.bytes = Arc::new(gathered);
}
