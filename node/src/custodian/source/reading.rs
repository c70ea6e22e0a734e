//! The rows of a source as they come, batch after batch: a source of any size takes the memory of one batch.
//!
//! ```text
//! Opened ──read(mapping)──▶ Reading ──next()──▶ batch, batch, …, none ──finish()──▶ Findings
//! ```
//! What only the whole source can tell (it ended within a row, it changed, it has no row) is said by [`Reading::finish`]: rows of a source that was not
//! finished are no rows.

use std::path::PathBuf;

use polars::prelude::DataFrame;

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
}

/// What was found beside the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// How much of the source was read, from 0 to 1, if that can be told.
    pub fn share(&self) -> Option<f64> {
        self.batches.share()
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
