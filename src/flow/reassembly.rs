use crate::types::Seq;

/// Puts the first bytes of one direction in order.
///
/// Overlaps: the copy that came first stands, as an endpoint that already took the bytes would have it (RFC 9293, section 3.10.7.4). Bounded: at most
/// [`Reassembler::LIMIT`] bytes are delivered, and as many wait.
#[derive(Debug, Default)]
pub struct Reassembler {
    next: Seq,
    delivered: u32,
    waiting: Vec<(Seq, Vec<u8>, bool)>,
    waiting_bytes: usize,
    closed: bool,
}

/// What a segment brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// More may come.
    Open,
    /// Nothing more can come in order: the limit was reached, or bytes are missing for good.
    Closed,
}

impl Reassembler {
    /// Most bytes of a direction that are put in order.
    pub const LIMIT: u32 = 64 * 1024;
    /// Most segments that wait for an earlier one.
    const MAX_WAITING: usize = 128;

    /// A stream whose first byte has the number `first`.
    #[must_use]
    pub fn new(first: Seq) -> Self {
        Self {
            next: first,
            ..Self::default()
        }
    }

    /// Takes a segment; gives the bytes that are now in order to `deliver`, possibly in several slices.
    ///
    /// `whole` is false where the capture cut the payload: what follows it can then never be in order.
    pub fn push(
        &mut self,
        seq: Seq,
        payload: &[u8],
        whole: bool,
        mut deliver: impl FnMut(&[u8]),
    ) -> Reach {
        if self.closed {
            return Reach::Closed;
        }
        if seq.after(self.next) {
            // a segment from far outside any window is no part of this stream
            if seq.since(self.next).unsigned_abs() <= 2 * Self::LIMIT {
                self.stash(seq, payload, whole);
            }
            return self.state();
        }
        self.take(seq, payload, whole, &mut deliver);
        while !self.closed {
            let next = self.next;
            let Some(position) = self.waiting.iter().position(|(seq, ..)| !seq.after(next)) else {
                break;
            };
            let (seq, bytes, whole) = self.waiting.swap_remove(position);
            self.waiting_bytes -= bytes.len();
            self.take(seq, &bytes, whole, &mut deliver);
        }
        self.state()
    }

    /// Bytes delivered so far.
    #[must_use]
    pub const fn delivered(&self) -> u32 {
        self.delivered
    }

    const fn state(&self) -> Reach {
        if self.closed {
            Reach::Closed
        } else {
            Reach::Open
        }
    }

    /// Delivers what is new in a segment that begins at or before the next byte.
    fn take(&mut self, seq: Seq, payload: &[u8], whole: bool, deliver: &mut impl FnMut(&[u8])) {
        let old = self.next.since(seq).unsigned_abs() as usize;
        let room = (Self::LIMIT - self.delivered) as usize;
        if let Some(fresh) = payload.get(old..) {
            let fresh = fresh.get(..room).unwrap_or(fresh);
            if !fresh.is_empty() {
                deliver(fresh);
                self.next = self.next.plus(fresh.len() as u32);
                self.delivered += fresh.len() as u32;
            }
        }
        let reaches = old <= payload.len();
        if self.delivered >= Self::LIMIT || !whole && reaches {
            self.closed = true;
            self.waiting = Vec::new();
        }
    }

    fn stash(&mut self, seq: Seq, payload: &[u8], whole: bool) {
        if self
            .waiting
            .iter()
            .any(|(known, bytes, _)| *known == seq && bytes.len() >= payload.len())
        {
            return;
        }
        if self.waiting.len() >= Self::MAX_WAITING
            || self.waiting_bytes + payload.len() > Self::LIMIT as usize
        {
            self.closed = true;
            self.waiting = Vec::new();
            return;
        }
        self.waiting_bytes += payload.len();
        self.waiting.push((seq, payload.to_vec(), whole));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut reassembler = Reassembler::new(Seq(100));
        let mut out = Vec::new();
        for (seq, bytes) in segments {
            reassembler.push(Seq(*seq), bytes, true, |fresh| out.extend_from_slice(fresh));
        }
        out
    }

    #[test]
    fn the_first_copy_of_a_byte_stands() {
        assert_eq!(
            run(&[(100, b"abc"), (101, b"XYZ"), (100, b"QQQQQ")]),
            b"abcZQ"
        );
    }

    #[test]
    fn a_late_first_segment_releases_those_that_waited() {
        assert_eq!(
            run(&[(103, b"def"), (100, b"abc"), (106, b"g")]),
            b"abcdefg"
        );
    }

    #[test]
    fn nothing_is_in_order_behind_a_cut_payload() {
        let mut reassembler = Reassembler::new(Seq(0));
        let mut out = Vec::new();
        assert_eq!(
            reassembler.push(Seq(0), b"ab", false, |fresh| out.extend_from_slice(fresh)),
            Reach::Closed
        );
        assert_eq!(
            reassembler.push(Seq(2), b"cd", true, |fresh| out.extend_from_slice(fresh)),
            Reach::Closed
        );
        assert_eq!(out, b"ab");
    }

    proptest! {
        #[test]
        fn any_cutting_order_and_repetition_gives_the_same_bytes(
            stream in proptest::collection::vec(any::<u8>(), 1..2000),
            start in any::<u32>(),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), 1_usize..300), 1..60),
            seed in any::<u64>(),
        ) {
            let mut segments: Vec<(usize, usize)> = (0..stream.len()).step_by(97).map(|at| (at, (at + 97).min(stream.len()))).collect();
            for (at, length) in cuts {
                let at = at.index(stream.len());
                segments.push((at, (at + length).min(stream.len())));
            }
            let mut state = seed;
            for i in (1..segments.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                segments.swap(i, (state >> 33) as usize % (i + 1));
            }
            let mut reassembler = Reassembler::new(Seq(start));
            let mut out = Vec::new();
            for (from, to) in segments {
                reassembler.push(Seq(start).plus(from as u32), &stream[from..to], true, |fresh| out.extend_from_slice(fresh));
            }
            prop_assert_eq!(out, stream);
        }

        #[test]
        fn anything_ends_within_its_bounds(segments in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 0..2000), any::<bool>()), 0..200)) {
            let mut reassembler = Reassembler::new(Seq(7));
            let mut bytes = 0;
            for (seq, payload, whole) in &segments {
                reassembler.push(Seq(*seq), payload, *whole, |fresh| bytes += fresh.len());
                prop_assert!(reassembler.waiting_bytes <= Reassembler::LIMIT as usize);
            }
            prop_assert!(bytes <= Reassembler::LIMIT as usize);
        }
    }
}
