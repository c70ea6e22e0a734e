//! Finding the keys of a table in the data: the values of a column that k or more subjects of one cell of the dense rest share.
//!
//! ```text
//! rows ─part by part─▶ (value, cell) ▶ subjects   (one table a thread, then added up)
//!                           └─ those of k or more ─▶ the values that have the most in them, in the column's order
//! ```
//!
//! Which keys are kept, and the bound on the others, follow from **cells that the threshold shows** alone: a key's subjects in smaller cells
//! neither let it in nor move it up, so that neither the choice nor the bound says anything of what is hidden.
//!
//! Rows come sorted by subject, so that counting a pair's subjects needs only the last one, as in `pass`. Values are not copied: a text stays
//! where the snapshot is mapped.
//!
//! **Memory is bounded**, though a column of texts may have a value for each row. Values are ordered by a fixed hash; a round takes the range of
//! hashes whose pairs fit ([`HELD`]), lowering its end while it counts, and the next round goes on from there. Every value is counted whole, in
//! all its cells, in one round, so neither rounds nor threads show in the result. Only a column with more pairs than fit has a second round, and
//! before it the rows of each of [`BUCKETS`] hashes of pairs are counted: what has fewer than k rows has fewer than k subjects, so a column of
//! identifiers is done after that round. It must never say a value in an error.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bocage_protocol::plan::{DiscoveredKey, KeyValue};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::keys::{KeyColumn, UNCOUNTED, hash};
use super::parts::{PartCount, Partition};
use super::pass::{NOBODY, PassError};
use crate::custodian::snapshot::{Part, Rows};

/// Pairs that all threads hold together: a little less than seven eighths of a power of two, at which a hash table grows. 50 MB, and half as
/// much again while what two threads hold is put together.
const HELD: usize = (7 << 17) - 256;
/// Hashes whose rows are counted, in 16 MB.
const BUCKETS: usize = 1 << 22;

/// The keys that are counted, and what is known of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys<'a> {
    /// In the column's own order, missing values first.
    pub kept: Vec<Candidate<'a>>,
    /// The most subjects that a cell has of any candidate for which there was no room.
    pub beyond: Option<u32>,
}

/// A key with a cell of k or more subjects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<'a> {
    /// None: missing values.
    pub value: Option<KeyValue<'a>>,
    /// The subjects of its cells of k or more, added up.
    pub shown: u64,
    /// Those of the largest.
    pub largest: u32,
}

/// What to look for.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The column, and what of it may be said.
    pub key: &'a DiscoveredKey,
    /// Its values.
    pub column: KeyColumn<'a>,
    /// The gate's threshold.
    pub k: u32,
    /// So many keys are kept.
    pub most: usize,
    /// Cells of the dense rest.
    pub cells: usize,
    /// Pairs that all threads may hold together.
    pub held: usize,
}

impl<'a> Search<'a> {
    /// A search that holds as much as a node may.
    pub fn new(key: &'a DiscoveredKey, column: KeyColumn<'a>, k: u32, most: usize, cells: usize) -> Self {
        Self { key, column, k: k.max(1), most, cells, held: HELD }
    }

    /// Finds the keys with the most subjects in cells of k or more. `place` says in which cell of the dense rest each row of a part is, or
    /// [`UNCOUNTED`]; none: all in the first.
    ///
    /// # Errors
    /// `place` fails or names a cell that there is not, or the rows are not sorted by subject.
    pub fn run<E, F>(self, partition: Partition, rows: Rows<'_>, place: F) -> Result<Keys<'a>, E>
    where
        E: From<PassError> + Send,
        F: Fn(&Part) -> Result<Option<Vec<u32>>, E> + Sync,
    {
        let each = |part: &Part, take: &mut dyn FnMut(Option<KeyValue<'a>>, u32, u32)| -> Result<(), E> {
            let cells = place(part)?;
            let outside = |cell: &u32| *cell != UNCOUNTED && *cell as usize >= self.cells;
            if cells.as_ref().is_some_and(|cells| cells.len() != part.len() || cells.iter().any(outside)) {
                return Err(PassError::OutsideTable.into());
            }
            let subjects = rows.subjects(part);
            Ok(self.column.each(part, |i, value| {
                let cell = cells.as_ref().map_or(0, |cells| cells[i]);
                if cell != UNCOUNTED {
                    take(value, cell, subjects[i]);
                }
            })?)
        };
        let mut best = Keys { kept: Vec::new(), beyond: None };
        let (mut from, mut sketch) = (0, None);
        loop {
            let round = Round { from, upto: AtomicU64::new(u64::MAX), sketch: sketch.as_ref(), k: self.k };
            let held = (self.held / partition.threads.max(1)).max(1);
            let count = |part: &Part, found: &mut Found<'a, '_>| {
                found.begin_part(&rows.subjects(part))?;
                each(part, &mut |value, cell, subject| found.add(value, cell, subject))
            };
            let found = partition.count(rows, || Found::new(&round, held, self.cells), count)?;
            let upto = round.upto.load(Ordering::Acquire);
            best.take(found, upto, self);
            let Some(next) = upto.checked_add(1) else { break };
            from = next;
            if sketch.is_none() {
                let sketched = Sketch::new();
                let count = |part: &Part, _: &mut Uncounted| {
                    each(part, &mut |value, cell, _| {
                        if let Some(value) = value {
                            sketched.add(of_pair(hash(&value), cell));
                        }
                    })
                };
                partition.count(rows, || Uncounted, count)?;
                sketch = Some(sketched);
            }
        }
        best.kept.sort_unstable_by_key(|key| key.value);
        Ok(best)
    }
}

impl<'a> Keys<'a> {
    /// Takes in what a round found, and keeps the most frequent; of equally frequent ones the first in the column's order.
    fn take(&mut self, found: Found<'a, '_>, upto: u64, search: Search<'a>) {
        let first_round = found.round.from == 0;
        let missing = found.missing.into_iter().filter(|_| first_round).map(|count| (None, count.subjects));
        let values = found.pairs.into_iter().filter(|pair| pair.hash <= upto);
        let pairs = missing.chain(values.map(|pair| (Some(pair.value), pair.count.subjects)));
        let shown = pairs.filter(|(_, subjects)| *subjects >= search.k);
        let named = |value: Option<KeyValue<'a>>| value.is_none_or(|value| search.key.text(value).is_some());
        let mut shown: Vec<_> = shown.filter(|(value, _)| named(*value)).collect();
        shown.sort_unstable_by_key(|(value, _)| *value);
        self.kept.extend(shown.chunk_by(|(a, _), (b, _)| a == b).map(|cells| Candidate {
            value: cells[0].0,
            shown: cells.iter().map(|(_, subjects)| u64::from(*subjects)).sum(),
            largest: cells.iter().map(|(_, subjects)| *subjects).max().unwrap_or_default(),
        }));
        self.kept.sort_unstable_by(|a, b| b.shown.cmp(&a.shown).then(a.value.cmp(&b.value)));
        let left_out = self.kept.drain(search.most.min(self.kept.len())..);
        self.beyond = left_out.map(|key| Some(key.largest)).fold(self.beyond, Option::max);
    }
}

/// A fixed hash of a value, of which this is the hash, in a cell.
fn of_pair(hash: u64, cell: u32) -> u64 {
    // The odd constant moves both ends of the hash, by which tables and the sketch find their places. The first cell's is the value's own.
    hash.wrapping_add(u64::from(cell).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What the threads of a round share.
struct Round<'s> {
    /// The first hash of a value that counts.
    from: u64,
    /// The last one. It only falls.
    upto: AtomicU64,
    sketch: Option<&'s Sketch>,
    k: u32,
}

/// What one thread has found in a round.
struct Found<'a, 's> {
    round: &'s Round<'s>,
    /// So many pairs may be held.
    most: usize,
    /// The last hash that counts, as far as this thread knows.
    upto: u64,
    pairs: HashTable<Pair<'a>>,
    /// Missing values, cell by cell.
    missing: Vec<Subjects>,
    span: Option<(u32, u32)>,
}

/// A value that occurs in a cell. 48 bytes.
#[derive(Clone, Copy)]
struct Pair<'a> {
    /// The value's.
    hash: u64,
    value: KeyValue<'a>,
    cell: u32,
    count: Subjects,
}

/// Subjects, and the last one seen.
#[derive(Clone, Copy)]
struct Subjects {
    subjects: u32,
    last: u32,
}

impl Subjects {
    /// Of nobody.
    const NONE: Self = Self { subjects: 0, last: NOBODY };

    /// Adds a row. A subject's rows come together.
    #[inline(always)]
    fn add(&mut self, subject: u32) {
        self.subjects += u32::from(self.last != subject);
        self.last = subject;
    }

    /// Adds the count of other subjects.
    fn absorb(&mut self, other: Self) {
        self.subjects += other.subjects;
    }
}

impl Pair<'_> {
    fn of_pair(&self) -> u64 {
        of_pair(self.hash, self.cell)
    }

    fn is(&self, value: &KeyValue<'_>, cell: u32) -> bool {
        self.cell == cell && self.value == *value
    }
}

impl<'a, 's> Found<'a, 's> {
    fn new(round: &'s Round<'s>, most: usize, cells: usize) -> Self {
        let missing = vec![Subjects::NONE; cells];
        Self { round, most, upto: u64::MAX, pairs: HashTable::new(), missing, span: None }
    }

    fn begin_part(&mut self, subjects: &[u32]) -> Result<(), PassError> {
        if !subjects.is_sorted() {
            return Err(PassError::Unsorted);
        }
        self.span = subjects.first().copied().zip(subjects.last().copied());
        self.lower(self.round.upto.load(Ordering::Acquire));
        Ok(())
    }

    #[inline]
    fn add(&mut self, value: Option<KeyValue<'a>>, cell: u32, subject: u32) {
        let Some(value) = value else { return self.missing[cell as usize].add(subject) };
        let hash = hash(&value);
        if !(self.round.from..=self.upto).contains(&hash) {
            return;
        }
        let pair = of_pair(hash, cell);
        if self.round.sketch.is_some_and(|rows| rows.of(pair) < self.round.k) {
            return;
        }
        match self.pairs.entry(pair, |known| known.is(&value, cell), Pair::of_pair) {
            Entry::Occupied(mut known) => known.get_mut().count.add(subject),
            Entry::Vacant(new) => {
                let mut count = Subjects::NONE;
                count.add(subject);
                new.insert(Pair { hash, value, cell, count });
                if self.pairs.len() > self.most {
                    self.narrow();
                }
            }
        }
    }

    /// Leaves the upper half of the range to a later round, for all threads.
    #[cold]
    fn narrow(&mut self) {
        let middle = self.round.from + (self.upto - self.round.from) / 2;
        self.round.upto.fetch_min(middle, Ordering::AcqRel);
        self.lower(middle);
    }

    fn lower(&mut self, upto: u64) {
        if upto < self.upto {
            self.upto = upto;
            self.pairs.retain(|pair| pair.hash <= upto);
        }
    }
}

impl PartCount for Found<'_, '_> {
    fn end_part(&mut self) -> Option<(u32, u32)> {
        self.span.take()
    }

    fn absorb(&mut self, mut other: Self) -> Result<(), PassError> {
        let upto = self.round.upto.load(Ordering::Acquire);
        self.lower(upto);
        other.lower(upto);
        self.missing.iter_mut().zip(other.missing).for_each(|(own, other)| own.absorb(other));
        for new in other.pairs {
            match self.pairs.entry(new.of_pair(), |known| known.is(&new.value, new.cell), Pair::of_pair) {
                Entry::Occupied(mut known) => known.get_mut().count.absorb(new.count),
                Entry::Vacant(place) => {
                    place.insert(new);
                }
            }
        }
        Ok(())
    }
}

/// How many rows have a pair's hash in one bucket: no fewer than any pair in it has.
struct Sketch(Vec<AtomicU32>);

impl Sketch {
    fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }

    fn bucket(&self, hash: u64) -> &AtomicU32 {
        &self.0[(hash >> (u64::BITS - BUCKETS.ilog2())) as usize]
    }

    fn add(&self, hash: u64) {
        // Rows of one bucket beyond 32 bits would wrap to few: it stays at the top instead.
        let _ = self.bucket(hash).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |rows| rows.checked_add(1));
    }

    fn of(&self, hash: u64) -> u32 {
        self.bucket(hash).load(Ordering::Relaxed)
    }
}

/// A thread that keeps nothing of its own.
struct Uncounted;

impl PartCount for Uncounted {
    fn end_part(&mut self) -> Option<(u32, u32)> {
        None
    }

    fn absorb(&mut self, _: Self) -> Result<(), PassError> {
        Ok(())
    }
}
