use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::{Index, IndexMut, Range};

use serde::{Serialize, Serializer};

use super::flow::Summary;

/// Every flow's summary, by index: in the order of their first packets.
///
/// The summaries lie in chunks, wherever those who measured them left them; an order says which comes when. So a run of millions of flows is put in
/// order without being copied.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    /// Of [`Flows::CHUNK`] summaries at most.
    chunks: Vec<Vec<Summary>>,
    /// Where each lies: the chunk's number, times [`Flows::CHUNK`], and the place in it.
    order: Vec<u32>,
}

impl Flows {
    /// Most summaries in a chunk.
    pub const CHUNK: usize = 1 << Self::SHIFT;

    /// The chunk's size as a power of two.
    const SHIFT: u32 = 12;

    /// Puts parts, each in order and in chunks of at most [`Flows::CHUNK`], into one order.
    #[must_use]
    pub fn merged(parts: Vec<Vec<Vec<Summary>>>) -> Self {
        let mut flows = Self::default();
        let mut runs = Vec::new();
        for part in parts {
            let start = flows.chunks.len();
            flows.chunks.extend(part);
            runs.push(start..flows.chunks.len());
        }
        flows.order = order(&flows.chunks, runs);
        flows
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The flow with this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Summary> {
        self.at(*self.order.get(index)?)
    }

    /// All of them, by index.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Summary> + Clone {
        self.order.iter().filter_map(|place| self.at(*place))
    }

    /// All of them as they lie in memory: for who counts.
    pub fn in_any_order(&self) -> impl Iterator<Item = &Summary> + Clone {
        self.chunks.iter().flatten()
    }

    /// Those with these indexes, as far as there are.
    pub fn range(&self, indexes: Range<usize>) -> impl Iterator<Item = &Summary> {
        let places = self.order.get(indexes).unwrap_or_default();
        places.iter().filter_map(|place| self.at(*place))
    }

    /// Adds one that began after all others.
    pub fn push(&mut self, summary: Summary) {
        if (self.chunks.last()).is_none_or(|last| last.len() >= Self::CHUNK) {
            self.chunks.push(Vec::new());
        }
        let chunk = self.chunks.len() - 1;
        if let Some(last) = self.chunks.last_mut() {
            self.order.push(place(chunk, last.len()));
            last.push(summary);
        }
    }

    /// For each place of the chunks that were merged ([`Flows::CHUNK`] places each, in the order given), the index of the flow that lies there.
    #[must_use]
    pub fn indexes(&self) -> Vec<u32> {
        let mut indexes = vec![u32::MAX; self.chunks.len() * Self::CHUNK];
        for (index, place) in (0..).zip(&self.order) {
            if let Some(slot) = indexes.get_mut(*place as usize) {
                *slot = index;
            }
        }
        indexes
    }

    fn at(&self, place: u32) -> Option<&Summary> {
        self.chunks
            .get((place >> Self::SHIFT) as usize)?
            .get(place as usize % Self::CHUNK)
    }
}

const fn place(chunk: usize, at: usize) -> u32 {
    (chunk << Flows::SHIFT | at) as u32
}

/// The order of all flows of runs of chunks, each of which is in order.
fn order(chunks: &[Vec<Summary>], runs: Vec<Range<usize>>) -> Vec<u32> {
    let mut runs: Vec<_> = (runs.into_iter())
        .map(|run| {
            run.flat_map(|chunk| {
                let flows = chunks.get(chunk).map(Vec::as_slice).unwrap_or_default();
                (flows.iter().enumerate()).map(move |(at, flow)| (flow.rank(), place(chunk, at)))
            })
        })
        .collect();
    // the oldest flow of each run and the run's place; the oldest is the greatest, as a heap wants it
    let mut heads: BinaryHeap<_> = (runs.iter_mut().enumerate())
        .filter_map(|(run, flows)| Some(Reverse((flows.next()?, run))))
        .collect();
    let mut order = Vec::with_capacity(chunks.iter().map(Vec::len).sum());
    while let Some(mut head) = heads.peek_mut() {
        let Reverse(((_, place), run)) = *head;
        order.push(place);
        match runs.get_mut(run).and_then(Iterator::next) {
            Some(next) => head.0.0 = next,
            None => {
                PeekMut::pop(head);
            }
        }
    }
    order
}

impl Index<usize> for Flows {
    type Output = Summary;

    /// Panics where there is no such flow.
    fn index(&self, index: usize) -> &Summary {
        let place = self.order[index] as usize;
        &self.chunks[place / Self::CHUNK][place % Self::CHUNK]
    }
}

impl IndexMut<usize> for Flows {
    /// Panics where there is no such flow.
    fn index_mut(&mut self, index: usize) -> &mut Summary {
        let place = self.order[index] as usize;
        &mut self.chunks[place / Self::CHUNK][place % Self::CHUNK]
    }
}

impl FromIterator<Summary> for Flows {
    fn from_iter<I: IntoIterator<Item = Summary>>(summaries: I) -> Self {
        let mut flows = Self::default();
        for summary in summaries {
            flows.push(summary);
        }
        flows
    }
}

impl PartialEq for Flows {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Flows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::types::{Frame, Timestamp};

    use super::*;

    fn flow(first: i64) -> Summary {
        Summary {
            first: Timestamp(first),
            first_frame: Frame::new(0, first as u64),
            ..Summary::default()
        }
    }

    fn firsts(flows: &Flows) -> Vec<i64> {
        flows.iter().map(|flow| flow.first.0).collect()
    }

    #[test]
    fn flows_that_are_added_keep_their_indexes_over_many_chunks() {
        let count = 2 * Flows::CHUNK + 3;
        let mut flows: Flows = (0..count as i64).map(flow).collect();
        assert_eq!(flows.len(), count);
        assert_eq!(flows[Flows::CHUNK].first.0, Flows::CHUNK as i64);
        flows[7].first = Timestamp(-1);
        assert_eq!(flows.get(7).map(|flow| flow.first.0), Some(-1));
        assert_eq!(flows.get(count), None);
        let range = flows.range(5..8).map(|flow| flow.first.0);
        assert_eq!(range.collect::<Vec<_>>(), [5, 6, -1]);
        assert_eq!(flows.range(count..count + 1).count(), 0);
    }

    proptest! {
        #[test]
        fn parts_are_merged_by_first_packet_and_every_place_knows_its_index(
            parts in proptest::collection::vec(proptest::collection::vec(1_usize..5, 0..4), 0..5),
            seed in any::<u64>(),
        ) {
            // deal the numbers 0, 1, 2... to the parts in some order, so that each part is in order
            let mut sizes: Vec<usize> = parts.iter().map(|chunks| chunks.iter().sum()).collect();
            let mut dealt = vec![Vec::new(); parts.len()];
            let (mut state, mut next) = (seed, 0);
            while sizes.iter().any(|left| *left > 0) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let part = (state >> 33) as usize % parts.len();
                if sizes[part] > 0 {
                    sizes[part] -= 1;
                    dealt[part].push(flow(next));
                    next += 1;
                }
            }
            let mut chunked = Vec::new();
            for (chunks, flows) in parts.iter().zip(dealt) {
                let mut flows = flows.into_iter();
                chunked.push(chunks.iter().map(|size| flows.by_ref().take(*size).collect()).collect());
            }
            let flat: Vec<Vec<Summary>> = chunked.iter().flat_map(|part: &Vec<Vec<Summary>>| part.clone()).collect();
            let merged = Flows::merged(chunked);
            prop_assert_eq!(firsts(&merged), (0..next).collect::<Vec<_>>());
            let indexes = merged.indexes();
            for (chunk, flows) in flat.iter().enumerate() {
                for (at, flow) in flows.iter().enumerate() {
                    prop_assert_eq!(i64::from(indexes[chunk * Flows::CHUNK + at]), flow.first.0);
                }
            }
        }
    }
}
