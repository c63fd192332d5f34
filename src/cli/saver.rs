//! `live -w`: the packets of flows with findings, saved while they come.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dpiscope::capture::{Batch, CaptureFile, CaptureInterface, LinkType, Packet, Recent};
use dpiscope::report::{GrowingEvidence, Input, Report, Written};
use dpiscope::types::Timestamp;

use super::Failure;
use super::evidence::Evidence;
use super::output::{cannot_write, empty};

/// How long a packet is held at most, in nanoseconds: as long as an ended flow is held to be judged.
const LONGEST: i64 = 15 * 60 * 1_000_000_000;

/// What is held of the packets that came last. The reader fills it, whoever saves empties it, and neither waits long for the other.
pub(crate) struct Kept(Mutex<Inside>);

struct Inside {
    recent: Recent,
    interfaces: BTreeMap<(u16, u16, LinkType), CaptureInterface>,
}

impl Kept {
    /// Holds so many MiB.
    pub(crate) fn new(mib: u32) -> Self {
        let most = usize::try_from(mib).unwrap_or(usize::MAX);
        Self(Mutex::new(Inside {
            // it may hold twice as much while judging is behind
            recent: Recent::new(most.saturating_mul(1 << 20) / 2, LONGEST),
            interfaces: BTreeMap::new(),
        }))
    }

    /// Takes a copy of packets; `describe` knows their interfaces.
    pub(crate) fn push(
        &self,
        batch: &Batch,
        describe: &dyn Fn(&Packet) -> Option<CaptureInterface>,
    ) {
        let mut inside = self.inside();
        let mut last = None;
        for packet in &batch.packets {
            let place = (packet.frame.capture(), packet.interface, packet.link);
            if last.replace(place) != Some(place)
                && !inside.interfaces.contains_key(&place)
                && inside.interfaces.len() < CaptureFile::MOST_INTERFACES
                && let Some(interface) = describe(packet)
            {
                inside.interfaces.insert(place, interface);
            }
        }
        inside.recent.push(batch);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is let go of and wanted.
pub(crate) struct Saver<'k> {
    kept: &'k Kept,
    path: PathBuf,
    file: GrowingEvidence<BufWriter<File>>,
}

impl<'k> Saver<'k> {
    /// Begins the file, which is open.
    pub(crate) fn begin(kept: &'k Kept, evidence: Evidence) -> Result<Self, Failure> {
        let (path, file) = evidence.into_parts();
        let application = concat!("dpiscope ", env!("CARGO_PKG_VERSION"));
        let file = empty(&file)
            .and_then(|()| GrowingEvidence::new(application, BufWriter::new(file)))
            .map_err(|error| cannot_write(&path, &error))?;
        Ok(Self { kept, path, file })
    }

    /// Whether packets are to be let go of at `now`.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.kept.inside().recent.is_due(now)
    }

    /// Lets go of packets: at `now` of those for which it is time, or of all where the run is `over`. `report` is what the run has found by now, made from `input`.
    pub(crate) fn save(
        &mut self,
        (report, input): (&Report, &Input<'_>),
        now: Timestamp,
        over: bool,
    ) -> Result<(), Failure> {
        self.file.want(report, input);
        self.let_go(now, over)
            .map_err(|error| cannot_write(&self.path, &error))
    }

    fn let_go(&mut self, now: Timestamp, over: bool) -> io::Result<()> {
        loop {
            // held while one batch is taken, never while it is written
            let mut inside = self.kept.inside();
            let batch = if over {
                inside.recent.pop()
            } else {
                inside.recent.take(now)
            };
            let Some(batch) = batch else { return Ok(()) };
            let interfaces = batch.packets.iter().filter_map(|packet| {
                let place = (packet.frame.capture(), packet.interface, packet.link);
                Some((place, inside.interfaces.get(&place)?.clone()))
            });
            let interfaces: BTreeMap<_, _> = interfaces.collect();
            drop(inside);
            self.file.batch(&batch, &|packet| {
                let place = (packet.frame.capture(), packet.interface, packet.link);
                interfaces.get(&place).cloned()
            })?;
        }
    }

    /// A finding is withdrawn; what is to be said of it, if packets of it are in the file.
    pub(crate) fn withdraw(&mut self, id: u64, now: Timestamp, why: &str) -> Option<String> {
        let packets = self.file.withdraw(id, now, why);
        (packets > 0).then(|| {
            format!(
                "{}: {packets} packets of finding {id}, which is withdrawn, stay in it",
                self.path.display()
            )
        })
    }

    /// Ends the file, and says what it holds and what it lacks.
    pub(crate) fn finish(self) -> Result<String, Failure> {
        let written = (self.file.finish()).map_err(|error| cannot_write(&self.path, &error))?;
        let overrun = self.kept.inside().recent.dropped();
        Ok(words(&self.path.display().to_string(), &written, overrun))
    }
}

fn words(path: &str, written: &Written, overrun: u64) -> String {
    let mut words = format!(
        "{path}: {} packets, {} of them with comments, of {} flows with findings and {} beside them; {} packets of flows with findings were gone before they were wanted",
        written.packets, written.cited, written.flows, written.beside, written.gone
    );
    if written.missing > 0 {
        let _ = write!(
            words,
            "; {} packets that findings cite are without their comment or missing",
            written.missing
        );
    }
    if overrun > 0 {
        let _ = write!(
            words,
            "; {overrun} packets of all were let go of unseen, since judging was behind"
        );
    }
    words
}
