//! Frames of zstd (RFC 8878), handed to the decoder block by block.

use std::io::{self, BufRead as _, Read};

use super::stream::Peek;

/// Bytes of a frame header at most (section 3.1.1): magic number, descriptor, window, dictionary, content size.
const HEADER: usize = 4 + 1 + 1 + 4 + 8;

/// An empty block, raw, that says it is the last (section 3.1.1.2).
const LAST: [u8; 3] = [1, 0, 0];

/// Bytes of the checksum behind the last block.
const CHECKSUM: usize = 4;

/// One frame. Where the bytes are cut short it is ended after its last whole block, so that the decoder, which keeps a window back until a frame
/// ends, gives what came before the cut.
pub(super) struct Frame {
    peek: Peek,
    stage: Stage,
    /// Bytes for the decoder, and how many of them it has.
    ready: Vec<u8>,
    given: usize,
    has_checksum: bool,
    cut: bool,
}

enum Stage {
    Header,
    Blocks,
    Checksum,
    Over,
}

impl Frame {
    pub(super) const fn new(peek: Peek) -> Self {
        Self {
            peek,
            stage: Stage::Header,
            ready: Vec::new(),
            given: 0,
            has_checksum: false,
            cut: false,
        }
    }

    /// What comes after the frame, and whether the frame was cut short.
    pub(super) fn into_rest(self) -> (Peek, bool) {
        (self.peek, self.cut)
    }

    /// Makes the next piece ready.
    fn go_on(&mut self) -> io::Result<()> {
        (self.given, self.stage) = (0, self.piece()?);
        Ok(())
    }

    fn piece(&mut self) -> io::Result<Stage> {
        self.ready.clear();
        match self.stage {
            Stage::Header => {
                let header = self.peek.peek(HEADER)?;
                let descriptor = header.get(4).copied().unwrap_or_default();
                self.has_checksum = descriptor & 0x04 != 0;
                self.take(header_length(descriptor))?;
                Ok(Stage::Blocks)
            }
            Stage::Blocks => {
                if let [a, b, c] = *self.peek.peek(LAST.len())? {
                    let block = u32::from_le_bytes([a, b, c, 0]);
                    // a run of one byte (type 1) states the length of the run
                    let content = if block >> 1 & 3 == 1 { 1 } else { block >> 3 };
                    if self.take(LAST.len() + content as usize)? {
                        return Ok(match (block & 1, self.has_checksum) {
                            (0, _) => Stage::Blocks,
                            (_, true) => Stage::Checksum,
                            (_, false) => Stage::Over,
                        });
                    }
                }
                self.cut = true;
                self.ready.clear();
                self.ready.extend(LAST);
                if self.has_checksum {
                    self.ready.extend([0; CHECKSUM]);
                }
                Ok(Stage::Over)
            }
            Stage::Checksum => {
                if !self.take(CHECKSUM)? {
                    self.cut = true;
                    self.ready.resize(CHECKSUM, 0);
                }
                Ok(Stage::Over)
            }
            Stage::Over => Ok(Stage::Over),
        }
    }

    /// Takes `count` bytes; whether there were as many.
    fn take(&mut self, count: usize) -> io::Result<bool> {
        let bytes = self.peek.peek(count)?;
        let whole = bytes.len() == count;
        self.ready.extend(bytes);
        let taken = self.ready.len();
        self.peek.consume(taken);
        Ok(whole)
    }
}

impl Read for Frame {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.go_on()?;
        }
        let left = self.ready.get(self.given..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Bytes of a frame header with this descriptor (section 3.1.1.1).
const fn header_length(descriptor: u8) -> usize {
    let single_segment = descriptor >> 5 & 1;
    let window = 1 - single_segment as usize;
    let dictionary = [0, 1, 2, 4][descriptor as usize & 3];
    let content_size = match descriptor >> 6 {
        0 => single_segment as usize,
        flag => 1 << flag,
    };
    4 + 1 + window + dictionary + content_size
}
