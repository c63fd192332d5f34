use std::io::Read;
use std::sync::Arc;

use super::filter::Filter;
use super::format::{Format, Stop};
use super::stream::{Stream, hex};
use super::window::Window;
use super::{CaptureError, CaptureFile, CaptureInterface, Packet};
use crate::types::Timestamp;

/// Packets that one batch holds at most: what a worker can keep in its cache, and enough that handing over costs nothing.
pub(super) const BATCH: usize = 4096;

/// Bytes that are looked at to tell the format and the record layout.
const LOOKED_AT: usize = 1 << 16;

/// Bytes of a file that is not a capture, as the error shows them.
const SHOWN: usize = 8;

/// One capture file while it is read.
pub(super) struct Source {
    window: Window,
    stream: Stream,
    format: Option<Format>,
    filter: Option<Filter>,
    facts: CaptureFile,
    /// Packets that the filter was asked about.
    offered: u64,
    done: bool,
}

impl Source {
    /// Reads as much as tells what it is. `capture` is the file's place in the run.
    pub(super) fn open(
        stream: Stream,
        reader: Box<dyn Read + Send>,
        filter: Option<Filter>,
        capture: u16,
    ) -> Result<Self, CaptureError> {
        let path = stream.path.clone();
        let mut window = Window::new(reader, stream.prompt);
        let whole = !window.ensure(LOOKED_AT);
        let bytes = window.available();
        if !Format::recognises(bytes) {
            if let Some(source) = window.take_error() {
                return Err(CaptureError::Io { path, source });
            }
            let bytes = window.available();
            if bytes.is_empty() {
                return Err(CaptureError::Empty { path });
            }
            let starts = hex(bytes.get(..SHOWN).unwrap_or(bytes), " ");
            return Err(CaptureError::NotACapture { path, starts });
        }
        let format = Format::new(bytes, whole, capture);
        let mut source = Self {
            facts: CaptureFile {
                path,
                ..CaptureFile::default()
            },
            window,
            stream,
            format: None,
            filter,
            offered: 0,
            done: false,
        };
        if let Some((mut format, header)) = format {
            // pcapng declares its link types on the way
            if let (Format::Pcap(pcap), Some(filter)) = (&format, source.filter.as_mut()) {
                filter.prepare(pcap.link())?;
            }
            source.window.consume(header);
            source.facts.warnings = format.take_warnings();
            source.format = Some(format);
        } else {
            "pcap".clone_into(&mut source.facts.format);
            source.stop_short("cut short: the file ends inside its header");
        }
        Ok(source)
    }

    /// The interface at `place` of those that the file describes.
    pub(super) fn interface(&self, place: u16) -> Option<CaptureInterface> {
        let interfaces = self.format.as_ref()?.interfaces();
        interfaces.get(usize::from(place)).cloned()
    }

    /// Reads on without a filter.
    pub(super) fn forget_filter(&mut self) {
        self.filter = None;
    }

    /// Replaces `packets` by the next ones and gives the buffer that holds them; `None` at the end.
    pub(super) fn fill(&mut self, packets: &mut Vec<Packet>) -> Option<Arc<Vec<u8>>> {
        packets.clear();
        while !self.done {
            let Some(format) = self.format.as_mut() else {
                self.done = true;
                break;
            };
            let walked = {
                let (_, start) = self.window.shared();
                format.walk(self.window.available(), start, packets, BATCH)
            };
            self.window.consume(walked.used);
            match walked.stop {
                Stop::Full => {}
                // Packets that are described keep to one buffer, so they go first; what stopped the walk is met again.
                Stop::Needs(_) if !packets.is_empty() => {}
                Stop::Needs(wanted) => {
                    if !self.window.ensure(wanted) {
                        self.ended();
                    }
                }
                Stop::Skip(count) => {
                    // the buffer may go while its bytes are skipped
                    let buffer = Arc::clone(self.window.shared().0);
                    if !self.window.skip(count) {
                        self.cut("a block");
                    }
                    if self.admit(&buffer, packets) {
                        return Some(buffer);
                    }
                }
                Stop::Damage(reason) => {
                    let offset = self.window.offset();
                    self.stop_short(&format!("damaged at byte {offset}: {reason}"));
                }
            }
            let buffer = Arc::clone(self.window.shared().0);
            if self.admit(&buffer, packets) {
                return Some(buffer);
            }
        }
        None
    }

    /// Drops what the filter rejects and adds the rest to the sums; whether there is any.
    fn admit(&mut self, buffer: &Arc<Vec<u8>>, packets: &mut Vec<Packet>) -> bool {
        if packets.is_empty() {
            return false;
        }
        if let Some(filter) = self.filter.as_mut() {
            self.offered += packets.len() as u64;
            packets.retain(|packet| {
                let start = packet.start as usize;
                let bytes = buffer.get(start..start + packet.captured as usize);
                filter.accepts(packet, bytes.unwrap_or_default())
            });
        }
        // packets without a time in front of any that has one are no evidence of 1970
        let untimed = self.format.as_ref().is_some_and(Format::is_untimed);
        let (mut first, mut last) = (Timestamp(i64::MAX), Timestamp(i64::MIN));
        let mut wire = 0;
        for packet in packets.iter() {
            wire += u64::from(packet.wire);
            if !untimed || packet.time != Timestamp::default() {
                first = first.min(packet.time);
                last = last.max(packet.time);
            }
        }
        let facts = &mut self.facts;
        facts.packets += packets.len() as u64;
        facts.bytes += wire;
        if first <= last {
            facts.first = Some(facts.first.map_or(first, |earlier| earlier.min(first)));
            facts.last = Some(facts.last.map_or(last, |later| later.max(last)));
        }
        !packets.is_empty()
    }

    /// The bytes are at their end, with or without a piece of a record left over.
    fn ended(&mut self) {
        let whole = self.window.available().is_empty() || self.stream.is_stopped();
        if whole && !self.window.has_error() {
            self.done = true;
        } else {
            self.cut("a record");
        }
    }

    /// The bytes ended where more were promised.
    fn cut(&mut self, inside: &str) {
        let offset = self.window.offset();
        let left = self.window.available().len() as u64;
        let reason = match self.window.take_error() {
            Some(error) => format!("reading failed past byte {}: {error}", offset + left),
            None => format!(
                "cut short: the file ends at byte {} inside {inside}",
                offset + left
            ),
        };
        self.stop_short(&reason);
    }

    fn stop_short(&mut self, reason: &str) {
        let of_what = if self.stream.compression().is_some() {
            " (bytes counted after decompression)"
        } else {
            ""
        };
        self.facts
            .warnings
            .push(format!("{reason}{of_what}; what came before it was read"));
        self.facts.truncated = true;
        self.done = true;
    }

    pub(super) fn finish(mut self) -> CaptureFile {
        if let Some(format) = self.format.as_mut() {
            self.facts.format = format.name().to_owned();
            self.facts.dropped = format.dropped();
            self.facts.interfaces = format.interfaces().into_owned();
            self.facts.host_names = format.take_host_names();
            self.facts.warnings.extend(format.take_warnings());
            self.facts.link_types = format
                .links()
                .iter()
                .map(|link| link.name().into_owned())
                .collect();
        }
        if let Some(filter) = self.filter.as_mut() {
            if self.facts.packets == 0 && self.offered > 0 && filter.warnings.is_empty() {
                filter.warnings.push(format!(
                    "the filter '{}' passed none of {} packets (those in VLANs are met only by `vlan and ...`)",
                    filter.text(),
                    self.offered
                ));
            }
            self.facts.warnings.append(&mut filter.warnings);
        }
        if let Some(compression) = self.stream.compression() {
            self.facts.format.push('+');
            self.facts.format.push_str(compression);
        }
        self.facts.sha256 = self.stream.finish_hash();
        self.facts
    }
}
