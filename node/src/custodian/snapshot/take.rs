//! Taking a snapshot: source, mapping, contract's rules, one file. Whatever fails, the snapshot before it stays in use.
//!
//! ```text
//! source ─batch▶ Conforming ─batch▶ Shuffle ─group▶ Numbering ─group▶ Columns ─▶ HASH.arrow
//! ```
//! Memory is bounded by [`Size`], not by rows: what is held between two steps is on the disk, in files without a name.

use std::io::{BufWriter, Write};
use std::path::Path;

use bocage_protocol::contract::{Contract, Subject};
use bocage_protocol::env::Timestamp;
use polars::prelude::DataFrame;

use super::columns::Columns;
use super::files::{Draft, make_folder, remove_drafts, write_whole};
use super::keep::Lock;
use super::manifest::{FORMAT, IdsFile, Manifest};
use super::open::{CURRENT, arrow_path, folder, ids_path, manifest_path};
use super::shuffle::{Room, Shuffle};
use super::spool::{Spool, Stream};
use super::subjects::Numbering;
use super::{Floor, SnapshotError, SystemDisk};
use crate::custodian::optout::{IdForm, SubjectIds, Token};
use crate::custodian::source::{BatchSize, Conforming, DatasetSpec, Mapping, Opened, Report};

/// How much of a source is in memory at a time. No size shows in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Of what is read at once.
    pub batch: BatchSize,
    /// Bytes of rows that fit, before they go to the disk.
    pub held_bytes: usize,
    /// Bytes of rows that are sorted at once.
    pub group_bytes: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self { batch: BatchSize::default(), held_bytes: 64 << 20, group_bytes: 32 << 20 }
    }
}

/// How far the taking of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// No other process is at it.
    Begun,
    /// The source is read.
    Reading {
        /// Rows so far.
        rows: u64,
        /// How much of the source that is, from 0 to 1, if it can be told.
        share: Option<f64>,
    },
    /// Rows are sorted by patient: so many of them are.
    Sorting {
        /// Rows so far.
        rows: u64,
    },
    /// The file is being written.
    Writing,
    /// It is written, and has no name yet.
    Written,
}

/// What a snapshot is taken with, beside the dataset.
#[derive(Clone, Copy)]
pub struct Taking<'a> {
    /// The folder of all snapshots.
    pub dir: &'a Path,
    /// What must stay free.
    pub floor: Floor<'a>,
    /// How patients are known again, where they are.
    pub form: Option<&'a IdForm>,
    /// Why, as the ledger writes it.
    pub why: &'a str,
    /// How much is in memory.
    pub size: Size,
    /// Told again and again how far it is; where it says no, nothing is taken.
    pub goes_on: &'a dyn Fn(Progress) -> bool,
}

impl<'a> Taking<'a> {
    /// Whatever room it leaves on the disk, and however long it takes.
    pub fn into(dir: &'a Path) -> Self {
        let floor = Floor { disk: &SystemDisk, bytes: 0 };
        Self { dir, floor, form: None, why: "refresh", size: Size::default(), goes_on: &|_| true }
    }

    /// Takes a snapshot of a dataset and makes it the current one.
    ///
    /// # Errors
    /// The source, its mapping, or the disk. The snapshot that was current before then still is.
    pub fn take(&self, spec: &DatasetSpec, contract: &Contract, now: Timestamp) -> Result<Manifest, SnapshotError> {
        let folder = folder(self.dir, &spec.name)?;
        let opened = Opened::open(&spec.source)?;
        let mapping = Mapping::bind(spec, contract, &opened.columns())?;
        make_folder(&folder)?;
        let _lock = Lock::take(&folder)?;
        remove_drafts(&folder);
        self.go_on(Progress::Begun)?;
        self.floor.leaves_room(&folder, 0)?;
        let conforming = Conforming::new(spec, contract, &mapping, now).naming_rows(self.form);
        let taken = self.rows(&folder, opened, &mapping, conforming, contract)?;
        self.publish(&folder, taken, spec, contract, now)
    }

    /// Reads the source: its rows, sorted and numbered.
    fn rows<'f>(
        &'f self,
        folder: &'f Path,
        opened: Opened,
        mapping: &Mapping,
        mut conforming: Conforming<'_>,
        contract: &Contract,
    ) -> Result<Taken<'f>, SnapshotError> {
        let mut numbering = Numbering::new(self.form, contract.one_row_per_subject());
        let mut kept = Kept { folder, floor: self.floor, columns: None, tokens: None };
        let room = Room { held_bytes: self.size.held_bytes, group_bytes: self.size.group_bytes };
        let mut shuffle = match contract.subject() {
            Subject::Column(_) => Some(Shuffle::new(folder, self.floor, room)),
            // Each row is a patient: all are in order as they come.
            Subject::Row => None,
        };
        let mut rows = 0;
        let findings = opened.read(mapping, self.size.batch)?.each(|texts, share| {
            rows += texts.height() as u64;
            let batch = conforming.batch(texts)?;
            match &mut shuffle {
                Some(shuffle) => shuffle.add(batch)?,
                None => kept.add(&mut numbering, &batch)?,
            }
            self.go_on(Progress::Reading { rows, share })
        })?;
        let source_bytes = findings.source_bytes;
        if let Some(shuffle) = shuffle {
            shuffle.finish(|group| {
                kept.add(&mut numbering, &group)?;
                self.go_on(Progress::Sorting { rows: kept.columns.as_ref().map_or(0, Columns::rows) })
            })?;
        }
        let report = conforming.finish(findings, numbering.repeated())?;
        Ok(Taken { kept, numbering, report, source_bytes })
    }

    /// Gives the files their names; the pointer moves last.
    fn publish(
        &self,
        folder: &Path,
        taken: Taken<'_>,
        spec: &DatasetSpec,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<Manifest, SnapshotError> {
        let Taken { kept: Kept { columns, tokens, .. }, numbering, report, source_bytes } = taken;
        let columns = columns.ok_or(SnapshotError::Fault { stage: "finding a column" })?;
        let token_bytes = tokens.as_ref().map_or(0, |(spool, stream)| spool.bytes(*stream));
        self.floor.leaves_room(folder, columns.file_bytes() + token_bytes)?;
        self.go_on(Progress::Writing)?;
        let rows = columns.rows();
        let mut draft = Draft::new(folder)?;
        let failed = |e: &std::io::Error| SnapshotError::io(folder, e);
        let mut out = BufWriter::with_capacity(1 << 20, self.floor.disk.writer(draft.file()));
        let written = columns.write(&mut out, &contract.hash(), failed);
        // What is still buffered after a failure has nowhere to go.
        drop(out.into_parts());
        written?;
        let content = draft.digest()?;
        let ids = match (self.form, tokens) {
            (Some(form), Some((spool, stream))) => {
                let ids = self.ids(folder, &numbering, spool, stream)?;
                let file = IdsFile { content: ids.digest()?, form: form.digest() };
                Some((ids, file))
            }
            _ => None,
        };
        let (ids, ids_file) = ids.unzip();
        let manifest = Manifest {
            format: FORMAT,
            dataset: spec.name.clone(),
            content,
            contract: contract.id().clone(),
            contract_hash: contract.hash(),
            settings: spec.digest(),
            source: spec.source.path().to_owned(),
            source_bytes,
            map: spec.map.clone(),
            absent: spec.absent.clone(),
            created_at: now,
            why: self.why.to_owned(),
            rows,
            subjects: numbering.subjects(),
            report,
            ids: ids_file,
        };
        self.go_on(Progress::Written)?;
        if let Some(ids) = ids {
            ids.publish(&ids_path(folder, &content))?;
        }
        draft.publish(&arrow_path(folder, &content))?;
        let path = manifest_path(folder, &content);
        let json =
            serde_json::to_vec_pretty(&manifest).map_err(|_| SnapshotError::Fault { stage: "writing the manifest" })?;
        write_whole(&path, &json)?;
        write_whole(&folder.join(CURRENT), format!("{content}\n").as_bytes())?;
        Ok(manifest)
    }

    /// The file by which patients are known again.
    fn ids(
        &self,
        folder: &Path,
        numbering: &Numbering<'_>,
        mut tokens: Spool<'_>,
        stream: Stream,
    ) -> Result<Draft, SnapshotError> {
        let mut draft = Draft::new(folder)?;
        let failed = |e: std::io::Error| SnapshotError::io(folder, &e);
        let mut out = BufWriter::new(self.floor.disk.writer(draft.file()));
        let flagged = numbering.flagged();
        out.write_all(&SubjectIds::header(numbering.subjects(), flagged.len() as u32)).map_err(failed)?;
        tokens.read(stream, |piece| out.write_all(piece).map_err(failed))?;
        flagged.iter().try_for_each(|number| out.write_all(&number.to_be_bytes())).map_err(failed)?;
        out.flush().map_err(failed)?;
        drop(out);
        Ok(draft)
    }

    fn go_on(&self, progress: Progress) -> Result<(), SnapshotError> {
        if (self.goes_on)(progress) { Ok(()) } else { Err(SnapshotError::Interrupted) }
    }
}

/// A source that was read.
struct Taken<'a> {
    kept: Kept<'a>,
    numbering: Numbering<'a>,
    report: Report,
    source_bytes: u64,
}

/// What stays of the rows.
struct Kept<'a> {
    folder: &'a Path,
    floor: Floor<'a>,
    columns: Option<Columns<'a>>,
    /// Tokens of the patients, by number.
    tokens: Option<(Spool<'a>, Stream)>,
}

impl<'a> Kept<'a> {
    fn spool(&self) -> Result<Spool<'a>, SnapshotError> {
        Spool::new(self.folder, self.floor)
    }

    /// Numbers the patients of some rows and keeps them.
    fn add(&mut self, numbering: &mut Numbering<'_>, rows: &DataFrame) -> Result<(), SnapshotError> {
        let rows = numbering.number(rows)?;
        if self.columns.is_none() {
            self.columns = Some(Columns::of(rows.schema(), self.spool()?));
        }
        if let Some(columns) = &mut self.columns {
            columns.append(&rows)?;
        }
        let bytes: Vec<u8> = numbering.take_tokens().into_iter().flat_map(Token::to_bytes).collect();
        if self.tokens.is_none() && !bytes.is_empty() {
            let mut spool = self.spool()?;
            let stream = spool.stream();
            self.tokens = Some((spool, stream));
        }
        match &mut self.tokens {
            Some((spool, stream)) => spool.append(*stream, &bytes),
            None => Ok(()),
        }
    }
}
