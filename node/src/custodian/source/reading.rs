//! The rows of a source as they come, batch after batch: a source of any size takes the memory of one batch.
//!
//! ```text
//! Opened ──read(mapping)──▶ Reading ──next()──▶ batch, batch, …, none ──finish()──▶ Findings
//!                                   ──each()──▶ the same, read ahead by a thread of its own
//! ```
//! What only the whole source can tell (it ended within a row, it changed, it has no row) is said by [`Reading::finish`]: rows of a source that was not
//! finished are no rows.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::names::Known;
use super::{BadLines, MOST_ROWS, SourceError};

/// What a value takes in a text column before its text is long.
pub(super) const VIEW_BYTES: usize = 16;

/// How large a batch may become. A batch ends with the row that reaches one of the bounds; where it ends must not show in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// Rows.
    pub rows: usize,
    /// Bytes of its text columns.
    pub bytes: usize,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { rows: 1 << 16, bytes: 16 << 20 }
    }
}

/// A kind of source, while it is read.
pub trait Batches: Send {
    /// The next rows: the wanted columns as text, trimmed, with null where a value is missing. None when there is no further row, however often it is
    /// asked. A batch may have no row; lines that are none are counted and left out.
    ///
    /// # Errors
    /// The source cannot be read, or what it holds makes the whole of it doubtful.
    fn next(&mut self) -> Result<Option<DataFrame>, SourceError>;

    /// Looks at the whole: to be asked when [`Batches::next`] has said that there is no further row.
    ///
    /// # Errors
    /// The source cannot be whole, was changed while it was read, or has no usable row.
    fn finish(self: Box<Self>) -> Result<Findings, SourceError>;

    /// How much of the source was read, from 0 to 1, if that can be told.
    fn share(&self) -> Option<f64>;

    /// The place behind the rows that were given.
    fn bookmark(&mut self) -> Bookmark {
        Bookmark::default()
    }

    /// Goes on at a bookmark of the same source, before the first batch: `at`, and all that was remembered up to it. Whether that place was found.
    ///
    /// # Errors
    /// The source cannot be read.
    fn go_on(&mut self, _at: &Value, _beside: &[u8]) -> Result<bool, SourceError> {
        Ok(false)
    }
}

/// A place between two batches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bookmark {
    /// Where it is, in the words of the kind of source; none where reading could not begin there.
    pub at: Option<Value>,
    /// What is to be remembered since the bookmark before, of what grows with the source.
    pub beside: Vec<u8>,
}

/// A batch, as [`Reading::each`] hands it on.
pub struct Read {
    /// Its rows.
    pub rows: DataFrame,
    /// How much of the source was read by then, from 0 to 1, if that can be told.
    pub share: Option<f64>,
    /// The place behind it.
    pub bookmark: Bookmark,
}

/// What was found beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Lines or rows that are none.
    pub bad_lines: BadLines,
    /// Size of the source.
    pub source_bytes: u64,
}

/// A source that is being read. It never gives more rows than a snapshot can number.
pub struct Reading {
    batches: Box<dyn Batches>,
    path: PathBuf,
    rows: u64,
    known: Option<Known>,
}

impl Reading {
    /// Of a source that `path` names in messages.
    pub(super) fn new(path: PathBuf, batches: impl Batches + 'static) -> Self {
        Self { batches: Box::new(batches), path, rows: 0, known: None }
    }

    /// The same rows, under the names that their mapping knows.
    pub(super) fn arranged(self, known: Known) -> Self {
        Self { known: Some(known), ..self }
    }

    /// The next rows. See [`Batches::next`].
    ///
    /// # Errors
    /// As there, or there are more rows than a snapshot may have.
    #[allow(clippy::should_implement_trait, reason = "an iterator could be left before `finish`")]
    pub fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
        let Some(batch) = self.batches.next()? else { return Ok(None) };
        self.rows += batch.height() as u64;
        if self.rows > MOST_ROWS {
            return Err(SourceError::TooManyRows { path: self.path.clone(), limit: MOST_ROWS });
        }
        let Some(known) = &self.known else { return Ok(Some(batch)) };
        let no_table =
            || SourceError::Header { path: self.path.clone(), reason: "the columns do not form a table".into() };
        known.arrange(batch).map(Some).ok_or_else(no_table)
    }

    /// What was found, if the source as a whole is sound. See [`Batches::finish`].
    ///
    /// # Errors
    /// As there.
    pub fn finish(self) -> Result<Findings, SourceError> {
        self.batches.finish()
    }

    /// How much of the source was read. See [`Batches::share`].
    pub(super) fn share(&self) -> Option<f64> {
        self.batches.share()
    }

    /// The place behind the rows that were given.
    pub(super) fn bookmark(&mut self) -> Bookmark {
        let Bookmark { at, beside } = self.batches.bookmark();
        Bookmark { at: at.map(|at| json!([self.rows, at])), beside }
    }

    /// Goes on at a bookmark, with all that was remembered up to it. To be called before the first batch.
    ///
    /// # Errors
    /// The source cannot be read, or has no such place.
    pub fn go_on(&mut self, at: &Value, beside: &[u8]) -> Result<(), SourceError> {
        let place = at.get(0).and_then(Value::as_u64).zip(at.get(1));
        if let Some((rows, at)) = place
            && self.batches.go_on(at, beside)?
        {
            self.rows = rows;
            return Ok(());
        }
        let reason = "where the ingest before was interrupted cannot be found again\n  hint: begin anew".to_owned();
        Err(SourceError::Header { path: self.path.clone(), reason })
    }

    /// Reads all rows in a thread of its own, while `take` works on those before. Beside what `take` has, one batch waits and one is being read. Gives what was
    /// found, as [`Reading::finish`].
    ///
    /// # Errors
    /// The first of [`Reading::next`], `take` and [`Reading::finish`]; behind it nothing is read any more.
    pub fn each<E: From<SourceError>>(mut self, mut take: impl FnMut(Read) -> Result<(), E>) -> Result<Findings, E> {
        let (give, taken) = sync_channel(1);
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                while let Some(rows) = self.next()? {
                    let read = Read { rows, share: self.batches.share(), bookmark: self.bookmark() };
                    // Where nobody takes any more, nothing is to be read.
                    if give.send(read).is_err() {
                        break;
                    }
                }
                Ok::<_, SourceError>(self)
            });
            let took = taken.into_iter().try_for_each(&mut take);
            let read = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
            took.and_then(|()| read.map_err(E::from))
        });
        Ok(read?.finish()?)
    }
}

/// All rows of a source in one frame.
#[cfg(test)]
pub(super) fn whole(mut reading: Reading) -> Result<(DataFrame, Findings), SourceError> {
    let mut all: Option<DataFrame> = None;
    while let Some(batch) = reading.next()? {
        match &mut all {
            None => all = Some(batch),
            Some(all) => drop(all.vstack_mut(&batch).unwrap()),
        }
    }
    let findings = reading.finish()?;
    let mut all = all.unwrap();
    all.rechunk_mut();
    Ok((all, findings))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use polars::df;

    use super::*;

    /// A source of so many rows, a batch each, that counts what was read of it.
    struct Counting(Arc<AtomicU64>, u64);

    impl Batches for Counting {
        fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
            let row = self.0.fetch_add(1, Ordering::SeqCst);
            Ok((row < self.1).then(|| df!("row" => [row]).unwrap()))
        }

        fn finish(self: Box<Self>) -> Result<Findings, SourceError> {
            Ok(Findings { bad_lines: BadLines::default(), source_bytes: self.1 })
        }

        fn share(&self) -> Option<f64> {
            Some(self.0.load(Ordering::SeqCst) as f64 / self.1 as f64)
        }
    }

    fn reading(rows: u64) -> (Arc<AtomicU64>, Reading) {
        let read = Arc::new(AtomicU64::new(0));
        (Arc::clone(&read), Reading::new(PathBuf::new(), Counting(read, rows)))
    }

    #[test]
    fn what_is_read_ahead_comes_in_order_and_whole_with_its_own_share() {
        let (_, reading) = reading(100);
        let mut rows = Vec::new();
        let found = reading.each(|Read { rows: batch, share, .. }| {
            let row = batch.column("row").unwrap().u64().unwrap().get(0).unwrap();
            assert_eq!(share, Some((row + 1) as f64 / 100.0));
            rows.push(row);
            Ok::<_, SourceError>(())
        });
        assert_eq!(found.unwrap().source_bytes, 100);
        assert!(rows.into_iter().eq(0..100));
    }

    #[test]
    fn behind_a_batch_that_is_refused_few_are_read_and_no_source_is_read_ahead_of_who_takes() {
        let (read, reading) = reading(u64::MAX);
        let mut taken = 0;
        let error = reading.each(|_| {
            taken += 1;
            // That one waits, and one is being read.
            assert!(read.load(Ordering::SeqCst) <= taken + 2);
            if taken < 5 { Ok(()) } else { Err(SourceError::Missing { path: "refused".into() }) }
        });
        assert!(matches!(error, Err(SourceError::Missing { .. })));
        assert!(read.load(Ordering::SeqCst) <= taken + 2);
    }
}
