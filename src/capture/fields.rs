/// A 32-bit field.
#[inline]
pub(super) const fn word<const BIG_ENDIAN: bool>(bytes: [u8; 4]) -> u32 {
    if BIG_ENDIAN {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

/// A 16-bit field.
#[inline]
pub(super) const fn half<const BIG_ENDIAN: bool>(bytes: [u8; 2]) -> u16 {
    if BIG_ENDIAN {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    }
}

/// Fields that follow one another, all in one byte order.
pub(super) struct Fields<'a, const BIG_ENDIAN: bool>(pub(super) &'a [u8]);

impl<'a, const BIG_ENDIAN: bool> Fields<'a, BIG_ENDIAN> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    pub(super) fn half(&mut self) -> Option<u16> {
        self.take().map(half::<BIG_ENDIAN>)
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        self.take().map(word::<BIG_ENDIAN>)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.take().map(|bytes| {
            if BIG_ENDIAN {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            }
        })
    }

    /// The options of a pcapng block, or the records of a name resolution block: code, length, value, padding, until a code of 0 or what cannot be
    /// one.
    pub(super) fn options(mut self) -> impl Iterator<Item = (u16, &'a [u8])> {
        std::iter::from_fn(move || {
            let (code, length) = (self.half()?, usize::from(self.half()?));
            if code == 0 {
                return None;
            }
            let value = self.0.get(..length)?;
            let next = self.0.get(length.next_multiple_of(4)..);
            self.0 = next.unwrap_or_default();
            Some((code, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_code_0_or_where_one_does_not_fit() {
        let read = |bytes| {
            let options = Fields::<true>(bytes).options();
            options
                .map(|(code, value)| (code, value.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            read(b"\0\x02\0\x01a\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0"),
            [(2, 1), (3, 0)]
        );
        assert_eq!(read(b"\0\x02\0\x01a"), [(2, 1)]);
        assert_eq!(read(b"\0\x02\0\x09a\0\0\0"), []);
        assert_eq!(read(b"\0\x02\0"), []);
    }
}
