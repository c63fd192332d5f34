//! The CRYPTO stream of a client's Initials: the hello, in whatever order and pieces it comes.

use super::header::varint;

/// The furthest byte of a hello that is kept: twice the longest record, four times the longest hello met (with two post-quantum key shares).
const MAX_OFFSET: usize = 32 * 1024;

/// Holes kept at a time. Chrome cuts a hello into about twenty pieces and shuffles them.
const MAX_PIECES: usize = 64;

/// A stream that fills up.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// Filled ranges: sorted, apart from each other.
    filled: Vec<(usize, usize)>,
}

impl Stream {
    /// Takes a piece; bytes that are there already stay as they came.
    pub(super) fn insert(&mut self, offset: u64, piece: &[u8]) {
        let Ok(start) = usize::try_from(offset) else {
            return;
        };
        let end = start.saturating_add(piece.len());
        if piece.is_empty() || end > MAX_OFFSET {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        // the parts of [start, end) that lie between filled ranges
        let mut from = start;
        let holes = self.filled.iter().copied().chain([(end, usize::MAX)]);
        for (filled_from, filled_to) in holes {
            let to = filled_from.min(end);
            if from < to
                && let Some(target) = self.bytes.get_mut(from..to)
                && let Some(source) = piece.get(from - start..to - start)
            {
                target.copy_from_slice(source);
            }
            from = from.max(filled_to.min(end));
        }
        self.mark(start, end);
    }

    /// Notes that [start, end) is there.
    fn mark(&mut self, start: usize, end: usize) {
        let (mut start, mut end) = (start, end);
        self.filled.retain(|&(from, to)| {
            let touches = from <= end && start <= to;
            if touches {
                start = start.min(from);
                end = end.max(to);
            }
            !touches
        });
        let place = self.filled.partition_point(|&(from, _)| from < start);
        self.filled.insert(place, (start, end));
        self.filled.truncate(MAX_PIECES);
    }

    /// What is there from the beginning on without a hole.
    pub(super) fn prefix(&self) -> &[u8] {
        match self.filled.first() {
            Some(&(0, end)) => self.bytes.get(..end).unwrap_or(&[]),
            _ => &[],
        }
    }
}

/// Gives every CRYPTO frame among the frames of an Initial to `each` (RFC 9000, sections 12.4 and 19). Ends at the first frame that does not belong there.
pub(super) fn frames(payload: &[u8], google: bool, mut each: impl FnMut(u64, &[u8])) -> Option<()> {
    let mut rest = payload;
    while let Some((&kind, after)) = rest.split_first() {
        rest = match (kind, google) {
            // PADDING, PING
            (0, _) | (1, false) | (7, true) => after,
            (2 | 3, false) => ack(after, kind == 3)?,
            (6, false) | (8, true) => {
                let (offset, after) = varint(after)?;
                let (length, after) = varint(after)?;
                let (piece, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
                each(offset, piece);
                after
            }
            _ => return None,
        };
    }
    Some(())
}

/// Steps over an ACK frame (RFC 9000, section 19.3).
fn ack(bytes: &[u8], counts: bool) -> Option<&[u8]> {
    let (_largest, rest) = varint(bytes)?;
    let (_delay, rest) = varint(rest)?;
    let (ranges, mut rest) = varint(rest)?;
    let numbers = ranges
        .checked_mul(2)?
        .checked_add(if counts { 4 } else { 1 })?;
    for _ in 0..numbers {
        (_, rest) = varint(rest)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_in_front_does_not_hide_the_hello() {
        let payload = [2, 5, 0, 1, 2, 1, 1, 1, 0, 6, 4, 2, 0xaa, 0xbb, 0, 0];
        let mut got = Vec::new();
        let all = frames(&payload, false, |offset, piece| {
            got.push((offset, piece.to_vec()));
        });
        assert_eq!((all, got), (Some(()), vec![(4, vec![0xaa, 0xbb])]));
        assert_eq!(frames(&[2, 5, 0, 0xff, 0xff], false, |_, _| ()), None);
    }

    #[test]
    fn what_came_first_stays() {
        let mut stream = Stream::default();
        stream.insert(2, b"cd");
        stream.insert(0, b"abXXe");
        assert_eq!(stream.prefix(), b"abcde");
    }

    #[test]
    fn a_far_piece_is_not_kept() {
        let mut stream = Stream::default();
        stream.insert(1 << 40, b"x");
        stream.insert(u64::MAX, b"x");
        assert!(stream.bytes.is_empty() && stream.filled.is_empty());
    }

    proptest! {
        #[test]
        fn any_order_of_any_pieces_gives_the_stream(
            pieces in proptest::collection::vec((0_usize..300, 1_usize..60), 0..60),
        ) {
            let whole: Vec<u8> = (0..360).map(|i| (i % 251) as u8).collect();
            let mut stream = Stream::default();
            let mut there = [false; 360];
            for (start, length) in pieces {
                stream.insert(start as u64, &whole[start..start + length]);
                there[start..start + length].fill(true);
            }
            let expected = there.iter().position(|there| !there).unwrap_or(360);
            prop_assert_eq!(stream.prefix(), &whole[..expected]);
        }
    }
}
