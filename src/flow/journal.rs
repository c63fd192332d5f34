use super::record::Record;

/// No record.
pub(super) const NONE: u32 = u32::MAX;

/// Records in a chunk: about 800 KiB, so that asking the system for memory is seldom (measured: chunks of 100 KiB cost an eighth of the whole run,
/// since every growth of a thread's heap is a call that holds up the others). What is not written is not resident.
const CHUNK: usize = 1 << SHIFT;

/// The chunk's size as a power of two.
const SHIFT: u32 = 14;

/// Garbage that is always tolerated, in records.
const SLACK: usize = 4 * CHUNK;

/// The packets of all flows of a table, in the order in which they came; each knows the one before it of its flow.
///
/// Writing goes on at one place whatever flow a packet is of, so that it never misses the cache; only who measures a flow pays for gathering
/// its records. A chunk that holds no living record any more is used again.
#[derive(Debug, Default)]
pub(super) struct Journal {
    chunks: Vec<Chunk>,
    /// Chunks without a living record.
    free: Vec<u32>,
    /// The chunk that is written.
    open: u32,
    /// Living records.
    live: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    records: Vec<Record>,
    /// For each record, where the one before it is.
    before: Vec<u32>,
    live: u32,
}

impl Journal {
    /// Adds a flow's next record after the one at `before`; gives its place.
    #[inline]
    pub(super) fn push(&mut self, record: Record, before: u32) -> u32 {
        if (self.chunks.get(self.open as usize)).is_none_or(|chunk| chunk.records.len() == CHUNK) {
            self.turn();
        }
        let Some(chunk) = self.chunks.get_mut(self.open as usize) else {
            return NONE;
        };
        let place = self.open << SHIFT | chunk.records.len() as u32;
        chunk.records.push(record);
        chunk.before.push(before);
        chunk.live += 1;
        self.live += 1;
        place
    }

    /// Opens the next chunk.
    #[cold]
    fn turn(&mut self) {
        // the full one may have died before it was full
        if let Some(chunk) = self.chunks.get_mut(self.open as usize)
            && chunk.live == 0
        {
            chunk.clear();
            return;
        }
        self.open = self.free.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk {
                records: Vec::with_capacity(CHUNK),
                before: Vec::with_capacity(CHUNK),
                live: 0,
            });
            self.chunks.len() as u32 - 1
        });
    }

    /// The places of a flow's records from the one at `last` back, as many as there is room for.
    pub(super) fn places<'a, const ROOM: usize>(
        &self,
        last: u32,
        room: &'a mut [u32; ROOM],
    ) -> &'a [u32] {
        let [found] = self.places_of([last], std::array::from_mut(room));
        room.get(..found).unwrap_or_default()
    }

    /// The same for many flows at once, so that the waits for memory overlap; gives how many places each has.
    pub(super) fn places_of<const FLOWS: usize, const ROOM: usize>(
        &self,
        mut at: [u32; FLOWS],
        rooms: &mut [[u32; ROOM]; FLOWS],
    ) -> [usize; FLOWS] {
        let mut found = [0; FLOWS];
        for round in 0..ROOM {
            let mut more = false;
            for ((at, room), found) in at.iter_mut().zip(rooms.iter_mut()).zip(&mut found) {
                if let Some(before) = self.before(*at)
                    && let Some(place) = room.get_mut(round)
                {
                    *place = *at;
                    *at = before;
                    *found += 1;
                    more = true;
                }
            }
            if !more {
                break;
            }
        }
        found
    }

    /// Something of both ends of a record, for whoever will read it soon.
    pub(super) fn touch(&self, place: u32) -> u32 {
        self.get(place)
            .map_or(NONE, |record| record.seq.0 ^ u32::from(record.digest))
    }

    pub(super) fn get(&self, place: u32) -> Option<&Record> {
        self.chunks
            .get((place >> SHIFT) as usize)?
            .records
            .get(place as usize % CHUNK)
    }

    fn before(&self, place: u32) -> Option<u32> {
        self.chunks
            .get((place >> SHIFT) as usize)?
            .before
            .get(place as usize % CHUNK)
            .copied()
    }

    /// Forgets a flow's records from the one at `last` back.
    pub(super) fn forget(&mut self, last: u32) {
        let mut at = last;
        while let Some(before) = self.before(at) {
            let number = at >> SHIFT;
            if let Some(chunk) = self.chunks.get_mut(number as usize) {
                chunk.live -= 1;
                self.live -= 1;
                if chunk.live == 0 && number != self.open {
                    chunk.clear();
                    self.free.push(number);
                }
            }
            at = before;
        }
    }

    /// Whether dead records take more room than the living ones of `flows` flows: then it pays to write the living ones anew.
    pub(super) fn is_sparse(&self, flows: usize) -> bool {
        let held = (self.chunks.len() - self.free.len()) * CHUNK;
        held > 2 * self.live + flows + SLACK
    }
}

impl Chunk {
    fn clear(&mut self) {
        self.records.clear();
        self.before.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Timestamp;

    fn record(time: i64) -> Record {
        let mut record = Record::default();
        record.time = Timestamp(time);
        record
    }

    fn times(journal: &Journal, last: u32) -> Vec<i64> {
        let mut room = [NONE; 64];
        let places = journal.places(last, &mut room).iter();
        places
            .filter_map(|place| journal.get(*place))
            .map(|record| record.time.0)
            .collect()
    }

    #[test]
    fn records_of_two_flows_come_back_newest_first() {
        let mut journal = Journal::default();
        let (mut even, mut odd) = (NONE, NONE);
        for time in 0..10 {
            let last = if time % 2 == 0 { &mut even } else { &mut odd };
            *last = journal.push(record(time), *last);
        }
        assert_eq!(times(&journal, even), [8, 6, 4, 2, 0]);
        assert_eq!(times(&journal, odd), [9, 7, 5, 3, 1]);
        assert_eq!(times(&journal, NONE), [0_i64; 0]);
    }

    #[test]
    fn chunks_of_the_dead_are_used_again() {
        let mut journal = Journal::default();
        for _ in 0..100 {
            let mut last = NONE;
            for time in 0..CHUNK as i64 / 2 {
                last = journal.push(record(time), last);
            }
            assert_eq!(times(&journal, last).len(), 64);
            journal.forget(last);
        }
        assert_eq!(journal.live, 0);
        assert!(journal.chunks.len() <= 2, "{}", journal.chunks.len());
    }

    #[test]
    fn a_few_living_records_among_many_dead_ones_make_it_sparse() {
        let mut journal = Journal::default();
        let mut living = NONE;
        for time in 0..40 * CHUNK as i64 {
            if time % CHUNK as i64 == 0 {
                living = journal.push(record(time), living);
            } else {
                let dead = journal.push(record(time), NONE);
                journal.forget(dead);
            }
        }
        assert!(journal.is_sparse(1));
        assert_eq!(times(&journal, living).len(), 40);
    }
}
