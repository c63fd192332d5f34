use std::fs::File;
use std::io::{self, BufRead, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{Context, SHA256};

use super::{CaptureError, zstd};

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
    stop: Arc<AtomicBool>,
}

impl Stream {
    /// Opens the file at `path`, or standard input for `-`, and gives its bytes, decompressed where they are compressed. `read` is where the bytes
    /// read are added up; once `stop` is set, nothing more is waited for.
    pub(super) fn open(
        path: &Path,
        hash: bool,
        read: &Arc<AtomicU64>,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Self, Box<dyn Read + Send>), CaptureError> {
        let name = path.display().to_string();
        let (reader, prompt) = match stored(path, stop) {
            Ok(opened) => opened,
            Err(source) => return Err(CaptureError::Io { path: name, source }),
        };
        let (stream, reader) = Self::over(name, reader, prompt, hash, read)?;
        let stop = Arc::clone(stop);
        Ok((Self { stop, ..stream }, reader))
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
            stop: Arc::default(),
        };
        Ok((stream, reader))
    }

    /// What the bytes were compressed with.
    pub(super) fn compression(&self) -> Option<&'static str> {
        self.compression.map(Compression::name)
    }

    /// Whether a slow writer was no longer waited for, since the run was told to stop: then an end in the middle of a record says nothing of the capture.
    pub(super) fn is_stopped(&self) -> bool {
        self.prompt && self.stop.load(Ordering::Relaxed)
    }

    /// Reads what nobody has read and gives the SHA-256 of all stored bytes, where it was asked for and everything could be read.
    pub(super) fn finish_hash(&mut self) -> Option<String> {
        if self.is_stopped() {
            return None;
        }
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
        Some(hex(digest.as_ref(), ""))
    }
}

/// What is stored at `path`, or standard input for `-`, and whether a slow writer may be behind it.
fn stored(path: &Path, stop: &Arc<AtomicBool>) -> io::Result<(Box<dyn Read + Send>, bool)> {
    if path == Path::new("-") {
        return Ok((standard_input(stop)?, true));
    }
    let file = File::open(path)?;
    Ok(if file.metadata()?.is_file() {
        (Box::new(file), false)
    } else {
        (patient(file, stop), true)
    })
}

/// Standard input through a descriptor of its own: std's has a buffer, and nobody can be asked whether that holds something.
#[cfg(target_os = "linux")]
fn standard_input(stop: &Arc<AtomicBool>) -> io::Result<Box<dyn Read + Send>> {
    use std::os::fd::AsFd as _;
    let own = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(patient(File::from(own), stop))
}

#[cfg(not(target_os = "linux"))]
fn standard_input(_stop: &Arc<AtomicBool>) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(io::stdin()))
}

/// A pipe or terminal whose writer may be slow: it is asked first, so that a run that is told to stop does not wait for it.
#[cfg(target_os = "linux")]
fn patient(reader: File, stop: &Arc<AtomicBool>) -> Box<dyn Read + Send> {
    let stop = Arc::clone(stop);
    Box::new(Patient { reader, stop })
}

/// Elsewhere whoever stops the run waits for the writer.
#[cfg(not(target_os = "linux"))]
fn patient(reader: File, _stop: &Arc<AtomicBool>) -> Box<dyn Read + Send> {
    Box::new(reader)
}

#[cfg(target_os = "linux")]
struct Patient {
    reader: File,
    stop: Arc<AtomicBool>,
}

#[cfg(target_os = "linux")]
impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        /// How long nobody looks at `stop`: 0.1 s, which a person does not notice.
        const LOOK: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let mut asked = [PollFd::new(&self.reader, PollFlags::IN)];
            if poll(&mut asked, Some(&LOOK))? > 0 {
                return self.reader.read(buffer);
            }
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8], between: &str) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(between)
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
pub(super) struct Peek {
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
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
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

/// What an LZ4 legacy frame begins with.
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

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
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Member(Compression::Lz4),
            [a, b, c, d, ..] if [a, b, c, d] == LZ4_LEGACY => Self::Member(Compression::Lz4),
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
    Zstd(Box<ruzstd::decoding::StreamingDecoder<zstd::Frame, ruzstd::decoding::FrameDecoder>>),
    Lz4 {
        member: Box<lz4_flex::frame::FrameDecoder<Peek>>,
        /// A legacy frame ends where the file does; others have an end mark.
        legacy: bool,
    },
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
            Compression::Lz4 => Self::Lz4 {
                legacy: peek.peek(4)?.starts_with(&LZ4_LEGACY),
                member: Box::new(lz4_flex::frame::FrameDecoder::new(peek)),
            },
            Compression::Zstd => Self::Zstd(Box::new(
                ruzstd::decoding::StreamingDecoder::new(zstd::Frame::new(peek))
                    .map_err(io::Error::other)?,
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
            let read = match &mut self.state {
                State::Between(_) => Ok(0),
                State::Gzip(member) => member.read(buffer),
                State::Zstd(member) => member.read(buffer),
                State::Lz4 { member, .. } => member.read(buffer),
                State::Xz(member) => member.read(buffer),
                State::Ended => return Ok(0),
            };
            let count = read.map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => cut_short(),
                _ => error,
            })?;
            if count > 0 {
                return Ok(count);
            }
            let peek = match std::mem::replace(&mut self.state, State::Ended) {
                State::Between(peek) => peek,
                State::Gzip(member) => member.into_inner(),
                State::Xz(member) => member.into_inner(),
                State::Lz4 { member, legacy } => {
                    let peek = member.into_inner();
                    // lz4_flex 0.14 takes the end of its input for the end of a frame, unless a block has begun.
                    if peek.starved && !legacy {
                        return Err(cut_short());
                    }
                    peek
                }
                State::Zstd(member) => {
                    let (frame, decoder) = member.into_parts();
                    let (peek, cut) = frame.into_rest();
                    if cut {
                        return Err(cut_short());
                    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(bytes, level)
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    type Compress = fn(&[u8]) -> Vec<u8>;
    const ALL: [(&str, Compress); 4] = [("gzip", gzip), ("zstd", zstd), ("lz4", lz4), ("xz", xz)];

    /// What comes out of `stored`, and whether it came to a proper end.
    fn read(stored: &[u8], hash: bool) -> (Stream, Vec<u8>, io::Result<usize>) {
        let reader = Box::new(Cursor::new(stored.to_vec()));
        let (stream, mut reader) =
            Stream::over("x".to_owned(), reader, false, hash, &Arc::default()).unwrap();
        let mut bytes = Vec::new();
        let end = reader.read_to_end(&mut bytes);
        (stream, bytes, end)
    }

    fn noise(length: usize) -> Vec<u8> {
        let steps = std::iter::successors(Some(1_u32), |x| {
            Some(x.wrapping_mul(1_664_525).wrapping_add(1))
        });
        steps.take(length).map(|x| (x >> 24) as u8).collect()
    }

    #[test]
    fn each_compression_is_told_by_its_magic() {
        let plain = noise(300_000);
        for (name, compress) in ALL {
            let (stream, bytes, end) = read(&compress(&plain), false);
            end.unwrap();
            assert_eq!(stream.compression(), Some(name));
            assert!(bytes == plain, "{name}");
        }
        let (stream, bytes, _) = read(&plain, false);
        assert_eq!(stream.compression(), None);
        assert!(bytes == plain);
    }

    #[test]
    fn members_one_behind_the_other_are_one_stream() {
        let (a, b) = (noise(100_000), vec![7; 50_000]);
        for (name, compress) in ALL {
            let mut stored = compress(&a);
            match name {
                "zstd" | "lz4" => stored.extend(b"\x5a\x2a\x4d\x18\x03\0\0\0abc"),
                _ => stored.extend([0; 8]),
            }
            stored.extend(compress(&b));
            let (_, bytes, end) = read(&stored, false);
            end.unwrap();
            assert!(bytes == [a.clone(), b.clone()].concat(), "{name}");
        }
    }

    #[test]
    fn a_cut_gives_what_came_before_and_an_error() {
        let plain = noise(2_000_000);
        for (name, compress) in ALL {
            let stored = compress(&plain);
            for cut in [20, stored.len() / 2, stored.len() - 1] {
                let (_, bytes, end) = read(&stored[..cut], false);
                let error = end.expect_err(name);
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{name}: {error}");
                assert!(plain.starts_with(&bytes), "{name} cut to {cut}");
                // all of this lz4 is one block, which is whole or useless
                let least = if cut == 20 || name == "lz4" {
                    0
                } else {
                    plain.len() / 4
                };
                assert!(bytes.len() >= least, "{name}: {} of {cut}", bytes.len());
            }
        }
    }

    #[test]
    fn what_follows_and_is_not_compressed_is_an_error_after_the_data() {
        let plain = noise(1_000);
        for (name, compress) in ALL {
            let mut stored = compress(&plain);
            stored.extend(b"and more");
            let (_, bytes, end) = read(&stored, false);
            assert!(end.is_err(), "{name}");
            assert!(bytes == plain, "{name}");
        }
    }

    #[test]
    fn a_legacy_lz4_frame_ends_with_its_file() {
        let plain = noise(100_000);
        let block = lz4_flex::block::compress(&plain);
        let mut stored = LZ4_LEGACY.to_vec();
        stored.extend((block.len() as u32).to_le_bytes());
        stored.extend(block);
        let (_, bytes, end) = read(&stored, false);
        end.unwrap();
        assert!(bytes == plain);
        stored.pop();
        assert!(read(&stored, false).2.is_err());
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let plain = noise(10_000);
        for (name, compress) in ALL {
            let mut stored = compress(&plain);
            let place = match name {
                "gzip" => stored.len() - 6,
                "xz" => stored.len() / 2,
                _ => stored.len() - 2,
            };
            if name == "lz4" {
                // the encoder's default is no checksum
                continue;
            }
            stored[place] ^= 1;
            assert!(read(&stored, false).2.is_err(), "{name}");
        }
    }

    #[test]
    fn the_hash_is_of_all_stored_bytes_whether_read_or_not() {
        let mut stored = gzip(&noise(100_000));
        stored.extend(noise(300_000));
        let expected = ring::digest::digest(&SHA256, &stored);
        let expected = hex(expected.as_ref(), "");
        let (mut stream, _, end) = read(&stored, true);
        assert!(end.is_err());
        assert_eq!(stream.finish_hash(), Some(expected));
        assert_eq!(read(&stored, false).0.finish_hash(), None);
    }
}
