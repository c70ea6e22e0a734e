//! Finding the keys of a table in the data: the values of a column that occur among k or more subjects.
//!
//! ```text
//! rows ─part by part─▶ value ▶ rows, subjects   (one table a thread, then added up)  ─▶ the most frequent, in the column's order
//! ```
//!
//! Rows come sorted by subject, so that counting a value's subjects needs only the last one, as in `pass`. Values are not copied: a text stays
//! where the snapshot is mapped.
//!
//! **Memory is bounded**, though a column of texts may have a value for each row. Values are ordered by a fixed hash; a round takes the range of
//! hashes whose values fit ([`HELD`]), lowering its end while it counts, and the next round goes on from there. Every value is counted whole in
//! one round, so neither rounds nor threads show in the result. Only a column with more values than fit has a second round, and before it the
//! rows of each of [`BUCKETS`] hashes are counted: what has fewer than k rows has fewer than k subjects, so a column of identifiers is done
//! after that round. It must never say a value in an error.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bocage_protocol::plan::{DiscoveredKey, KeyValue};
use bocage_protocol::tally::Size;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use polars::prelude::UInt32Chunked;

use super::keys::{KeyColumn, hash};
use super::parts::{PartCount, Partition};
use super::pass::{Count, PassError};

/// Values that all threads hold together: a little less than seven eighths of a power of two, at which a hash table grows. 50 MB, and half as
/// much again while what two threads hold is put together.
const HELD: usize = (7 << 17) - 256;
/// Hashes whose rows are counted, in 16 MB.
const BUCKETS: usize = 1 << 22;

/// The keys that are counted, and what is known of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys<'a> {
    /// In the column's own order, missing values first, each with its subjects and rows.
    pub kept: Vec<(Option<KeyValue<'a>>, Size)>,
    /// The most subjects that any key has for which there was no room.
    pub beyond: Option<i128>,
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
    /// Values that all threads may hold together.
    pub held: usize,
}

impl<'a> Search<'a> {
    /// A search that holds as much as a node may.
    pub fn new(key: &'a DiscoveredKey, column: KeyColumn<'a>, k: u32, most: usize) -> Self {
        Self { key, column, k: k.max(1), most, held: HELD }
    }

    /// Finds the keys with the most subjects. `keep` says which rows of a part count; none: all.
    ///
    /// # Errors
    /// `keep` fails, or the rows are not sorted by subject.
    pub fn run<E, F>(self, partition: Partition, subjects: &UInt32Chunked, keep: F) -> Result<Keys<'a>, E>
    where
        E: From<PassError> + Send,
        F: Fn(Range<usize>) -> Result<Option<Vec<bool>>, E> + Sync,
    {
        let each = |part: Range<usize>, take: &mut dyn FnMut(Option<KeyValue<'a>>, u32)| -> Result<(), E> {
            let kept = keep(part.clone())?;
            let rows = subjects.slice(part.start as i64, part.len());
            let rows = rows.cont_slice().map_err(|_| PassError::Shape)?;
            let counts = |i: usize| kept.as_ref().is_none_or(|kept| kept.get(i) == Some(&true));
            Ok(self.column.each(part, |i, value| {
                if counts(i) {
                    take(value, rows[i]);
                }
            })?)
        };
        let mut best = Keys { kept: Vec::new(), beyond: None };
        let (mut from, mut sketch) = (0, None);
        loop {
            let round = Round { from, upto: AtomicU64::new(u64::MAX), sketch: sketch.as_ref(), k: self.k };
            let held = (self.held / partition.threads.max(1)).max(1);
            let count = |part: Range<usize>, found: &mut Found<'a, '_>| {
                found.begin_part(subjects, &part)?;
                each(part, &mut |value, subject| found.add(value, subject))
            };
            let found = partition.count(subjects, || Found::new(&round, held), count)?;
            let upto = round.upto.load(Ordering::Acquire);
            best.take(found, upto, self);
            let Some(next) = upto.checked_add(1) else { break };
            from = next;
            if sketch.is_none() {
                let rows = Sketch::new();
                let count =
                    |part, _: &mut Uncounted| each(part, &mut |value, _| rows.add(value.map_or(0, |v| hash(&v))));
                partition.count(subjects, || Uncounted, count)?;
                sketch = Some(rows);
            }
        }
        best.kept.sort_unstable_by_key(|(key, _)| *key);
        Ok(best)
    }
}

impl<'a> Keys<'a> {
    /// Takes in what a round found, and keeps the most frequent; of equally frequent ones the first in the column's order.
    fn take(&mut self, found: Found<'a, '_>, upto: u64, search: Search<'a>) {
        let frequent = |count: &Count| count.subjects >= search.k;
        let named = |value: KeyValue<'a>| search.key.text(value).is_some();
        let missing = (found.round.from == 0 && frequent(&found.missing)).then(|| (None, found.missing.size()));
        self.kept.extend(missing);
        let values = found.values.into_iter().filter(|v| v.hash <= upto && frequent(&v.count) && named(v.value));
        self.kept.extend(values.map(|v| (Some(v.value), v.count.size())));
        self.kept.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.subjects.cmp(&of_a.subjects).then(a.cmp(b)));
        self.beyond = self.beyond.max(self.kept.get(search.most).map(|(_, size)| size.subjects));
        self.kept.truncate(search.most);
    }
}

/// What the threads of a round share.
struct Round<'s> {
    /// The first hash that counts.
    from: u64,
    /// The last one. It only falls.
    upto: AtomicU64,
    sketch: Option<&'s Sketch>,
    k: u32,
}

/// What one thread has found in a round.
struct Found<'a, 's> {
    round: &'s Round<'s>,
    /// So many values may be held.
    most: usize,
    /// The last hash that counts, as far as this thread knows.
    upto: u64,
    values: HashTable<Value<'a>>,
    missing: Count,
    span: Option<(u32, u32)>,
}

/// A value that occurs.
#[derive(Clone, Copy)]
struct Value<'a> {
    hash: u64,
    value: KeyValue<'a>,
    count: Count,
}

impl<'a, 's> Found<'a, 's> {
    fn new(round: &'s Round<'s>, most: usize) -> Self {
        Self { round, most, upto: u64::MAX, values: HashTable::new(), missing: Count::NONE, span: None }
    }

    fn begin_part(&mut self, subjects: &UInt32Chunked, part: &Range<usize>) -> Result<(), PassError> {
        let rows = subjects.slice(part.start as i64, part.len());
        let rows = rows.cont_slice().map_err(|_| PassError::Shape)?;
        if !rows.is_sorted() {
            return Err(PassError::Unsorted);
        }
        self.span = rows.first().copied().zip(rows.last().copied());
        self.lower(self.round.upto.load(Ordering::Acquire));
        Ok(())
    }

    #[inline]
    fn add(&mut self, value: Option<KeyValue<'a>>, subject: u32) {
        let Some(value) = value else { return self.missing.add(subject) };
        let hash = hash(&value);
        let counts = (self.round.from..=self.upto).contains(&hash);
        if !counts || self.round.sketch.is_some_and(|rows| rows.of(hash) < self.round.k) {
            return;
        }
        match self.values.entry(hash, |v| v.value == value, |v| v.hash) {
            Entry::Occupied(mut known) => known.get_mut().count.add(subject),
            Entry::Vacant(new) => {
                let mut count = Count::NONE;
                count.add(subject);
                new.insert(Value { hash, value, count });
                if self.values.len() > self.most {
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
            self.values.retain(|v| v.hash <= upto);
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
        self.missing.absorb(other.missing);
        for new in other.values {
            match self.values.entry(new.hash, |v| v.value == new.value, |v| v.hash) {
                Entry::Occupied(mut known) => known.get_mut().count.absorb(new.count),
                Entry::Vacant(place) => {
                    place.insert(new);
                }
            }
        }
        Ok(())
    }
}

/// How many rows have a hash of one bucket: no fewer than any value in it has.
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
