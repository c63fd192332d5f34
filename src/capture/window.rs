use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

/// Bytes of one buffer. Of 256 KiB, 512 KiB, 1 MiB and 4 MiB, 1 MiB took least for 90-byte records in the page cache: 10.7 ns a record in all, of which
/// `read` takes 7 (with 1 MiB of second-level cache a core).
pub(super) const BUFFER: usize = 1 << 20;

/// Buffers that are kept for reuse; more than the pipeline's channels hold at once.
const POOL: usize = 64;

/// A moving view of a stream, over buffers that batches may share.
///
/// A buffer that somebody else holds is never written to; it goes to the pool and is reused once it is free.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    /// Whether to hand on what one read gave instead of filling the buffer: a pipe's writer may be slow.
    prompt: bool,
    buffer: Arc<Vec<u8>>,
    start: usize,
    end: usize,
    /// Where `start` lies in the stream.
    offset: u64,
    pool: Vec<Arc<Vec<u8>>>,
    ended: bool,
    error: Option<io::Error>,
}

impl Window {
    pub(super) fn new(reader: Box<dyn Read + Send>, prompt: bool) -> Self {
        Self {
            reader,
            prompt,
            buffer: Arc::default(),
            start: 0,
            end: 0,
            offset: 0,
            pool: Vec::new(),
            ended: false,
            error: None,
        }
    }

    /// The bytes that are here and not yet consumed.
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The buffer under [`Self::available`], and where in it that begins.
    pub(super) fn shared(&self) -> (&Arc<Vec<u8>>, usize) {
        (&self.buffer, self.start)
    }

    /// Where the next byte lies in the stream.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// What ended the stream, if it was not its end.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Whether something other than the end ended the stream.
    pub(super) const fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Moves on by `count` bytes, which must be available.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Makes at least `wanted` bytes available; false where the stream ends before. Memory grows with what was read, not with `wanted`.
    pub(super) fn ensure(&mut self, wanted: usize) -> bool {
        while self.end - self.start < wanted && !self.ended {
            self.refill(wanted);
        }
        self.end - self.start >= wanted
    }

    /// Moves on by `count` bytes without keeping them; false where the stream ends before.
    pub(super) fn skip(&mut self, mut count: u64) -> bool {
        loop {
            let step = count.min((self.end - self.start) as u64);
            self.consume(step as usize);
            count -= step;
            if count == 0 {
                return true;
            }
            if !self.ensure(1) {
                return false;
            }
        }
    }

    fn refill(&mut self, wanted: usize) {
        let carried = self.end - self.start;
        let fits = self.start + wanted <= self.buffer.len() && self.end < self.buffer.len();
        if !fits || Arc::get_mut(&mut self.buffer).is_none() {
            self.renew(wanted.min(2 * carried).max(BUFFER), carried);
        }
        let Some(bytes) = Arc::get_mut(&mut self.buffer) else {
            // not reached: the buffer is ours alone since `renew`
            self.ended = true;
            return;
        };
        while self.end < bytes.len() {
            match self.reader.read(&mut bytes[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return;
                }
                Ok(count) => {
                    self.end += count.min(bytes.len() - self.end);
                    if self.prompt {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.error = Some(error);
                    return;
                }
            }
        }
    }

    /// Puts the carried bytes at the front of a buffer of `size` bytes that nobody else holds.
    fn renew(&mut self, size: usize, carried: usize) {
        let kept = self.start..self.end;
        match Arc::get_mut(&mut self.buffer) {
            Some(bytes) if bytes.len() == size => bytes.copy_within(kept, 0),
            _ => {
                let mut fresh = self.fresh(size);
                if let Some(bytes) = Arc::get_mut(&mut fresh) {
                    bytes[..carried].copy_from_slice(&self.buffer[kept]);
                }
                let old = std::mem::replace(&mut self.buffer, fresh);
                if old.len() == BUFFER && self.pool.len() < POOL {
                    self.pool.push(old);
                }
            }
        }
        self.start = 0;
        self.end = carried;
    }

    fn fresh(&mut self, size: usize) -> Arc<Vec<u8>> {
        if size == BUFFER {
            let free = self
                .pool
                .iter_mut()
                .position(|buffer| Arc::get_mut(buffer).is_some());
            if let Some(place) = free {
                return self.pool.swap_remove(place);
            }
        }
        Arc::new(vec![0; size])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `left` bytes, 0, 1, 2, …, at most `step` a read.
    struct Count {
        next: usize,
        left: usize,
        step: usize,
    }

    impl Read for Count {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.step.min(self.left).min(buffer.len());
            for byte in &mut buffer[..count] {
                *byte = self.next as u8;
                self.next += 1;
            }
            self.left -= count;
            Ok(count)
        }
    }

    fn count(left: usize, step: usize, prompt: bool) -> Window {
        Window::new(
            Box::new(Count {
                next: 0,
                left,
                step,
            }),
            prompt,
        )
    }

    #[test]
    fn what_straddles_the_end_of_a_buffer_is_carried_over() {
        for prompt in [false, true] {
            let mut window = count(3 * BUFFER, 70_000, prompt);
            let mut at = 0_usize;
            let mut held = Vec::new();
            while window.ensure(997) {
                assert_eq!(window.available()[..997][996], (at + 996) as u8);
                assert_eq!(window.offset(), at as u64);
                held.push((Arc::clone(window.shared().0), window.shared().1, at));
                held.truncate(200);
                window.consume(997);
                at += 997;
            }
            for (buffer, start, at) in held {
                assert_eq!(buffer[start], at as u8, "a held buffer was written to");
            }
            assert_eq!(window.available().len(), 3 * BUFFER % 997);
        }
    }

    #[test]
    fn a_free_buffer_is_used_again() {
        let mut window = count(8 * BUFFER, BUFFER, false);
        let mut held = Vec::new();
        while window.ensure(1) {
            held = vec![Arc::clone(window.shared().0)];
            window.consume(BUFFER);
        }
        assert_eq!(held.len(), 1);
        assert!(window.pool.len() <= 2, "{} buffers", window.pool.len());
    }

    #[test]
    fn a_lying_length_allocates_no_more_than_twice_what_is_there() {
        let mut window = count(3 * BUFFER, 1 << 16, false);
        assert!(!window.ensure(1 << 30));
        assert_eq!(window.available().len(), 3 * BUFFER);
        assert!(window.buffer.len() <= 6 * BUFFER);
    }

    #[test]
    fn skipping_keeps_nothing_and_stops_at_the_end() {
        let mut window = count(5 * BUFFER, BUFFER, false);
        assert!(window.skip(4 * BUFFER as u64 + 3));
        assert!(window.ensure(1));
        assert_eq!(window.available()[0], 3);
        assert!(!window.skip(4 * BUFFER as u64));
        assert_eq!(window.offset(), 5 * BUFFER as u64);
    }
}
