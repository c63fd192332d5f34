use std::fs::File;
use std::io::{self, BufRead, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{Context, SHA256};

use super::CaptureError;

/// Bytes that a decompressor is given at a time.
const CHUNK: usize = 1 << 16;

/// Memory that an xz dictionary may take: `xz -9` takes 65 MiB, and more is only had by asking for it.
const XZ_MEMORY: u64 = 256 << 20;

/// The bytes of a capture as they are stored, with what is to be known of them.
pub(super) struct Stream {
    /// The path as given.
    pub(super) path: String,
    /// Whether a slow writer may be behind it.
    pub(super) prompt: bool,
    stored: Stored,
    compression: Option<Compression>,
}

impl Stream {
    /// Opens the file at `path`, or standard input for `-`, and gives its bytes, decompressed where they are compressed. `read` is where the bytes
    /// read are added up.
    pub(super) fn open(
        path: &Path,
        hash: bool,
        read: &Arc<AtomicU64>,
    ) -> Result<(Self, Box<dyn Read + Send>), CaptureError> {
        let name = path.display().to_string();
        if name == "-" {
            return Self::over(name, Box::new(io::stdin()), true, hash, read);
        }
        let opened =
            File::open(path).and_then(|file| file.metadata().map(|facts| (file, facts.is_file())));
        match opened {
            Ok((file, is_file)) => Self::over(name, Box::new(file), !is_file, hash, read),
            Err(source) => Err(CaptureError::Io { path: name, source }),
        }
    }

    /// The same over any reader.
    pub(super) fn over(
        path: String,
        reader: Box<dyn Read + Send>,
        prompt: bool,
        hash: bool,
        read: &Arc<AtomicU64>,
    ) -> Result<(Self, Box<dyn Read + Send>), CaptureError> {
        let stored = Stored {
            bottom: Arc::new(Mutex::new(Bottom {
                reader,
                hash: hash.then(|| Context::new(&SHA256)),
            })),
            read: Arc::clone(read),
        };
        let mut peek = Peek::new(stored.clone());
        let compression = match Compression::of(&mut peek) {
            Ok(compression) => compression,
            Err(source) => return Err(CaptureError::Io { path, source }),
        };
        let reader: Box<dyn Read + Send> = match compression {
            None => Box::new(Cursor::new(peek.available().to_vec()).chain(stored.clone())),
            Some(compression) => Box::new(Members {
                compression,
                state: State::Between(peek),
            }),
        };
        let stream = Self {
            path,
            prompt,
            stored,
            compression,
        };
        Ok((stream, reader))
    }

    /// What the bytes were compressed with.
    pub(super) fn compression(&self) -> Option<&'static str> {
        self.compression.map(Compression::name)
    }

    /// Reads what nobody has read and gives the SHA-256 of all stored bytes, where it was asked for and everything could be read.
    pub(super) fn finish_hash(&mut self) -> Option<String> {
        let mut rest = vec![0; CHUNK];
        {
            let bottom = self.stored.bottom.lock();
            bottom
                .unwrap_or_else(PoisonError::into_inner)
                .hash
                .as_ref()?;
        }
        loop {
            match self.stored.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        let mut bottom = self
            .stored
            .bottom
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let digest = bottom.hash.take()?.finish();
        Some(
            digest
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }
}

struct Bottom {
    reader: Box<dyn Read + Send>,
    hash: Option<Context>,
}

/// The stored bytes: counted and hashed on the way. Shared, so that what a decompressor leaves can still be hashed; one lock a chunk costs nothing.
#[derive(Clone)]
struct Stored {
    bottom: Arc<Mutex<Bottom>>,
    read: Arc<AtomicU64>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bottom = self.bottom.lock().unwrap_or_else(PoisonError::into_inner);
        let count = bottom.reader.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        if let (Some(hash), Some(bytes)) = (bottom.hash.as_mut(), buffer.get(..count)) {
            hash.update(bytes);
        }
        Ok(count)
    }
}

/// A buffered reader that can look ahead across its buffer's end.
struct Peek {
    reader: Stored,
    buffer: Vec<u8>,
    start: usize,
    /// Whether somebody asked for bytes past the end.
    starved: bool,
}

impl Peek {
    const fn new(reader: Stored) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            starved: false,
        }
    }

    fn available(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next `count` bytes, fewer only at the end. They stay to be read.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.available().len() < count {
            self.buffer.drain(..self.start);
            self.start = 0;
            let kept = self.buffer.len();
            self.buffer.resize(kept + CHUNK, 0);
            let read = loop {
                match self.reader.read(&mut self.buffer[kept..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.buffer.truncate(kept + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                break;
            }
        }
        let available = self.available();
        Ok(available.get(..count).unwrap_or(available))
    }
}

impl BufRead for Peek {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.peek(1)?.is_empty() {
            self.starved = true;
        }
        Ok(self.available())
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
    }
}

impl Read for Peek {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Compression {
    Gzip,
    Zstd,
    Lz4,
    Xz,
}

/// What stands where a member may begin.
enum Next {
    Member(Compression),
    /// A skippable frame of zstd or lz4, with the bytes that it takes.
    Skippable(u64),
    Other,
}

impl Compression {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
        }
    }

    /// What the first bytes say, past skippable frames in front.
    fn of(peek: &mut Peek) -> io::Result<Option<Self>> {
        loop {
            match Next::of(peek)? {
                Next::Member(compression) => return Ok(Some(compression)),
                Next::Skippable(count) => skip(peek, count)?,
                Next::Other => return Ok(None),
            }
        }
    }
}

impl Next {
    fn of(peek: &mut Peek) -> io::Result<Self> {
        Ok(match *peek.peek(8)? {
            // RFC 1952, section 2.3.1
            [0x1f, 0x8b, ..] => Self::Member(Compression::Gzip),
            // RFC 8878, section 3.1.1
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Member(Compression::Zstd),
            // LZ4 frame format 1.6.4, "Magic Number" and "Legacy frame"
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => {
                Self::Member(Compression::Lz4)
            }
            // the .xz file format 1.2.1, section 2.1.1.1
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Member(Compression::Xz),
            // RFC 8878, section 3.1.2; LZ4 has the same
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d] => {
                Self::Skippable(8 + u64::from(u32::from_le_bytes([a, b, c, d])))
            }
            _ => Self::Other,
        })
    }
}

/// Moves on by `count` bytes; a stream that ends before is cut short.
fn skip(peek: &mut Peek, count: u64) -> io::Result<()> {
    if io::copy(&mut peek.take(count), &mut io::sink())? < count {
        return Err(cut_short());
    }
    Ok(())
}

fn cut_short() -> io::Error {
    io::Error::new(
        ErrorKind::UnexpectedEof,
        "the compressed data are cut short",
    )
}

/// Members of one compression, one behind the other.
struct Members {
    compression: Compression,
    state: State,
}

enum State {
    Between(Peek),
    Gzip(Box<flate2::bufread::GzDecoder<Peek>>),
    Zstd(Box<ruzstd::decoding::StreamingDecoder<Peek, ruzstd::decoding::FrameDecoder>>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<Peek>>),
    Xz(Box<liblzma::bufread::XzDecoder<Peek>>),
    Ended,
}

impl State {
    /// What comes after a member: `None` at the end.
    fn next(compression: Compression, mut peek: Peek) -> io::Result<Self> {
        loop {
            match peek.peek(1)? {
                [] => return Ok(Self::Ended),
                // xz pads between streams (section 2.2), and tapes and some writers pad gzip
                [0, ..] if matches!(compression, Compression::Gzip | Compression::Xz) => {
                    peek.consume(1);
                    continue;
                }
                _ => {}
            }
            match Next::of(&mut peek)? {
                Next::Member(next) if next == compression => break,
                Next::Skippable(count) => skip(&mut peek, count)?,
                _ => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        format!(
                            "what follows the {} data is not more of it",
                            compression.name()
                        ),
                    ));
                }
            }
        }
        Ok(match compression {
            Compression::Gzip => Self::Gzip(Box::new(flate2::bufread::GzDecoder::new(peek))),
            Compression::Lz4 => Self::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(peek))),
            Compression::Zstd => Self::Zstd(Box::new(
                ruzstd::decoding::StreamingDecoder::new(peek).map_err(io::Error::other)?,
            )),
            Compression::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                Self::Xz(Box::new(liblzma::bufread::XzDecoder::new_stream(
                    peek, stream,
                )))
            }
        })
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = match &mut self.state {
                State::Between(_) => 0,
                State::Gzip(member) => member.read(buffer)?,
                State::Zstd(member) => member.read(buffer)?,
                State::Lz4(member) => member.read(buffer)?,
                State::Xz(member) => member.read(buffer)?,
                State::Ended => return Ok(0),
            };
            if count > 0 {
                return Ok(count);
            }
            let peek = match std::mem::replace(&mut self.state, State::Ended) {
                State::Between(peek) => peek,
                State::Gzip(member) => member.into_inner(),
                State::Xz(member) => member.into_inner(),
                State::Lz4(member) => {
                    let peek = member.into_inner();
                    // lz4_flex 0.14 takes the end of its input for the end of a frame, unless a block has begun.
                    if peek.starved {
                        return Err(cut_short());
                    }
                    peek
                }
                State::Zstd(member) => {
                    let (peek, decoder) = member.into_parts();
                    // ruzstd 0.9 computes the checksum and leaves the comparison to the caller.
                    let stated = decoder.get_checksum_from_data();
                    if stated.is_some() && stated != decoder.get_calculated_checksum() {
                        return Err(io::Error::new(
                            ErrorKind::InvalidData,
                            "the zstd checksum does not match",
                        ));
                    }
                    peek
                }
                State::Ended => return Ok(0),
            };
            self.state = State::next(self.compression, peek)?;
        }
    }
}
