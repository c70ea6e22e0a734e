//! What an ingest that came to no end leaves to the next one: the rows that it had put aside, in one file of the dataset's folder, and how far it was.
//!
//! ```text
//! head │ pieces of parts … │ mark │ pieces … │ mark │ pieces …      each piece with a checksum; what stands behind the last mark does not count
//! ```
//! The next ingest goes on behind the last mark where the head says that it would do the same: same source, settings, contract, program, and the same snapshots that rules look into. Every piece that it takes
//! over is read and held to its checksum first. Otherwise it begins anew, and the file is removed, as it is at the end of each ingest that says itself how it ended:
//! there is never more than one for a dataset. No more than [`TRIES`] go on behind one mark: what ends them all there may be in the file.
//! It holds ids and values as the source has them, so it is for the owner alone, as the snapshots are, and one that nobody goes on with is swept away.

use std::fs;
use std::path::{Path, PathBuf};

use bocage_protocol::contract::{Check, Contract};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spool::{Spool, Stream};
use super::{Floor, Size, SnapshotError};
use crate::custodian::optout::IdForm;
use crate::custodian::others::Others;
use crate::custodian::source::{Bookmark, Conformed, DatasetSpec, Findings};

/// Its name in the folder.
const FILE: &str = "unfinished.rows";
/// Part of the head: another number for another form of the file.
const FORMAT: &str = "5";
const DAY_MS: i64 = 86_400_000;
/// How many ingests go on behind one mark, where none of them comes to the next.
const TRIES: u32 = 2;

/// What the ingest is that wrote the file.
pub(super) const HEAD: Stream = Stream(0);
/// Marks: how far it was.
pub(super) const MARKS: Stream = Stream(1);
/// What the source remembers.
const OF_SOURCE: Stream = Stream(2);
/// The streams of keys are behind these, and those of parts behind them.
pub(super) const KEYS: usize = 3;

/// How far an ingest was, with all rows up to there put aside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Into how many parts the rows are cut.
    pub(super) parts: usize,
    /// What was found in the rows.
    pub(super) conformed: Conformed,
    /// The place in the source.
    pub(super) at: Option<Value>,
    /// Where all of it was read, what was found in it.
    pub(super) findings: Option<Findings>,
    /// How many ingests went on behind it.
    pub(super) gone_on: u32,
}

impl Mark {
    fn write(&self, spool: &mut Spool<'_>) -> Result<(), SnapshotError> {
        let text = serde_json::to_vec(self).map_err(|_| SnapshotError::Fault { stage: "writing how far it is" })?;
        spool.append(MARKS, &text)?;
        spool.settle()
    }
}

/// How far an ingest was that somebody goes on with.
pub(super) struct Begun {
    pub(super) mark: Mark,
    /// What the source remembers.
    pub(super) of_source: Vec<u8>,
}

/// The file of one dataset.
pub(super) struct Unfinished {
    path: PathBuf,
    head: Digest,
}

impl Unfinished {
    /// Of an ingest that reads a source of this identity.
    pub(super) fn new(
        folder: &Path,
        (spec, contract): (&DatasetSpec, &Contract),
        source: &Digest,
        form: Option<&IdForm>,
        size: Size,
        others: &Others,
        now: Timestamp,
    ) -> Self {
        // What a rule calls the future begins on another day.
        let dated = contract.rules().iter().any(|rule| matches!(rule.check, Check::FutureDate { .. }));
        let day = if dated { now.0.div_euclid(DAY_MS).to_string() } else { String::new() };
        let form = form.map(|form| form.digest().to_string()).unwrap_or_default();
        // What was not noted for a rule before it had a dataset to look into is not known later.
        let others = others.in_words();
        let words = [FORMAT, env!("CARGO_PKG_VERSION"), &day, &form, &format!("{size:?}"), &others].join("/");
        let (settings, contract) = (spec.digest().to_string(), contract.hash().to_string());
        let parts = [words.as_bytes(), settings.as_bytes(), contract.as_bytes(), source.as_bytes()];
        Self { path: path(folder), head: Digest::of("bocage/unfinished-ingest/1", &parts) }
    }

    /// The file without a row.
    pub(super) fn create<'a>(&self, folder: &Path, floor: Floor<'a>) -> Result<Spool<'a>, SnapshotError> {
        let mut spool = Spool::lasting(&self.path, folder, floor)?;
        spool.append(HEAD, self.head.as_bytes())?;
        Ok(spool)
    }

    /// The file that an ingest before left, if it is whole, this one would do the same, and not too many have tried. That this one does stands in it then.
    pub(super) fn take_up<'a>(&self, folder: &Path, floor: Floor<'a>) -> Option<(Spool<'a>, Begun)> {
        let mut spool = Spool::take_up(&self.path, folder, floor, MARKS).ok()??;
        let (mut head, mut mark) = (Vec::new(), Vec::new());
        spool.last(HEAD, &mut head).ok()?;
        if head != self.head.as_bytes() {
            return None;
        }
        spool.last(MARKS, &mut mark).ok()?;
        let mut mark: Mark = serde_json::from_slice(&mark).ok()?;
        if mark.gone_on >= TRIES {
            return None;
        }
        mark.gone_on += 1;
        let mut of_source = Vec::new();
        let keep = |piece: &[u8]| {
            of_source.extend_from_slice(piece);
            Ok(())
        };
        spool.read(OF_SOURCE, keep).ok()?;
        mark.write(&mut spool).ok()?;
        Some((spool, Begun { mark, of_source }))
    }
}

/// What the source is to remember since the last mark.
#[derive(Default)]
pub(super) struct Beside(Vec<u8>);

impl Beside {
    /// Takes what a batch brought.
    pub(super) fn add(&mut self, bookmark: &mut Bookmark) {
        self.0.append(&mut bookmark.beside);
    }

    /// Writes it down, and how far the ingest is.
    pub(super) fn write(&mut self, spool: &mut Spool<'_>, mark: &Mark) -> Result<(), SnapshotError> {
        spool.append(OF_SOURCE, &std::mem::take(&mut self.0))?;
        mark.write(spool)
    }
}

/// Where it stands.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Removes the file. What cannot be removed is written over by the next ingest.
pub(super) fn remove(folder: &Path) {
    drop(fs::remove_file(path(folder)));
}
