/// Values that keep their place, in chunks: growing moves nothing, so that a table of millions is never copied.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
}

/// The chunk's size as a power of two.
const SHIFT: u32 = 12;

impl<T> FromIterator<T> for Slab<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut slab = Self::new();
        for value in values {
            slab.push(value);
        }
        slab
    }
}

impl<T> Slab<T> {
    /// Values in a chunk: enough that the list of chunks stays in cache, and that asking the system for memory is seldom. What is not written is not
    /// resident.
    pub(crate) const CHUNK: usize = 1 << SHIFT;

    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks
            .last()
            .map_or(0, |last| (self.chunks.len() - 1) * Self::CHUNK + last.len())
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.chunks
            .get((index >> SHIFT) as usize)?
            .get(index as usize % Self::CHUNK)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.chunks
            .get_mut((index >> SHIFT) as usize)?
            .get_mut(index as usize % Self::CHUNK)
    }

    /// Adds a value; gives its place.
    pub(crate) fn push(&mut self, value: T) -> u32 {
        let index = self.len() as u32;
        if (index as usize).is_multiple_of(Self::CHUNK) {
            self.chunks.push(Vec::with_capacity(Self::CHUNK));
        }
        if let Some(last) = self.chunks.last_mut() {
            last.push(value);
        }
        index
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }

    /// The chunks in order, none of them empty.
    pub(crate) fn into_chunks(self) -> impl Iterator<Item = Vec<T>> {
        self.chunks.into_iter()
    }

    /// The values in order; a chunk's memory is given back when its last value is taken.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.chunks.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_places_over_many_chunks() {
        let mut slab = Slab::new();
        assert_eq!(slab.len(), 0);
        for value in 0..5_000_u32 {
            assert_eq!(slab.push(value), value);
        }
        assert_eq!(slab.len(), 5_000);
        assert_eq!(slab.get(0), Some(&0));
        assert_eq!(slab.get(4_999), Some(&4_999));
        assert_eq!(slab.get(5_000), None);
        if let Some(place) = slab.get_mut(1_024) {
            *place = 7;
        }
        assert_eq!(slab.get(1_024), Some(&7));
        assert_eq!(slab.into_values().count(), 5_000);
    }
}
