//! Taking a snapshot: source, mapping, contract's rules, one file. Whatever fails, the snapshot before it stays in use.
//!
//! ```text
//! source ─batch▶ Conforming ─batch▶ Shuffle ─group▶ Numbering ─group▶ Columns ─▶ HASH.arrow
//! ```
//! Keys by which rules find rows that repeat others go aside with the rows, and are compared before these are sorted (`keys`).
//! Each step has a thread of its own, and works while those before and behind it do; order is kept throughout.
//! Memory is bounded by [`Size`], not by rows: what is held between two steps is on the disk. Whoever is killed on the way leaves the rows that it had put
//! aside, and the next one goes on from there ([`unfinished`]).

use std::io::{BufWriter, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use bocage_protocol::contract::{Contract, Subject};
use bocage_protocol::env::Timestamp;
use polars::prelude::DataFrame;

use super::columns::Columns;
use super::elsewhere::Elsewhere;
use super::files::{Draft, Hashed, Syncing, make_folder, remove_drafts, write_whole};
use super::keep::Lock;
use super::manifest::{FORMAT, IdsFile, Manifest};
use super::open::{CURRENT, arrow_path, current, folder, ids_path, manifest, manifest_path};
use super::shuffle::{Room, Shuffle};
use super::spool::{Spool, Stream};
use super::subjects::{Numbered, Numbering};
use super::unfinished::{self, Begun, Beside, Mark, Unfinished};
use super::{Floor, SnapshotError, SystemDisk};
use crate::custodian::optout::{IdForm, SubjectIds, Token};
use crate::custodian::others::Others;
use crate::custodian::source::{
    BatchSize, Conforming, DatasetSpec, Findings, Mapping, Opened, Read, Report, TakenAway, fallen,
};

/// After so many bytes the file is on its way to the disk.
const SYNC_BYTES: u64 = 32 << 20;

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
        Self { batch: BatchSize::default(), held_bytes: 64 << 20, group_bytes: 16 << 20 }
    }
}

/// How far the taking of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// No other process is at it.
    Begun,
    /// It goes on where an ingest before was interrupted.
    GoesOn {
        /// Rows that need not be read again.
        rows: u64,
    },
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
    /// What rules that look into other datasets find there.
    pub others: &'a Others,
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
        Self {
            dir,
            floor,
            form: None,
            others: Others::none(),
            why: "refresh",
            size: Size::default(),
            goes_on: &|_| true,
        }
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
        let identity = opened.identity()?;
        let unfinished = identity.map(|identity| {
            Unfinished::new(&folder, (spec, contract), &identity, self.form, self.size, self.others, now)
        });
        let unheld = self.others.unheld(spec, contract)?;
        self.go_on(Progress::Begun)?;
        let conforming = Conforming::new(spec, contract, &mapping, now, &unheld).naming_rows(self.form);
        let taken = self
            .floor
            .leaves_room(&folder, 0)
            .and_then(|()| self.rows(&folder, opened, &mapping, conforming, contract, unfinished))
            .and_then(|mut taken| {
                if let Ok(before) = current(self.dir, &spec.name).and_then(|of| manifest(self.dir, &spec.name, &of)) {
                    taken.report.fallen = fallen(&before.report, &taken.report);
                }
                self.publish(&folder, taken, spec, contract, now)
            });
        // Whoever failed for a reason would fail for it again; who was interrupted leaves what it has to the next.
        if !matches!(taken, Err(SnapshotError::Interrupted)) {
            unfinished::remove(&folder);
        }
        taken
    }

    /// Reads the source: its rows, sorted and numbered.
    fn rows<'f>(
        &'f self,
        folder: &'f Path,
        opened: Opened,
        mapping: &Mapping,
        mut conforming: Conforming<'_>,
        contract: &Contract,
        unfinished: Option<Unfinished>,
    ) -> Result<Taken<'f>, SnapshotError> {
        let mut numbering = Numbering::new(self.form, contract.one_row_per_subject());
        let mut kept = Kept { folder, floor: self.floor, columns: None, tokens: None };
        let room = Room { held_bytes: self.size.held_bytes, group_bytes: self.size.group_bytes };
        let mut shuffle = Shuffle::new(folder, self.floor, room, &conforming.schema(), conforming.late().len())?;
        if matches!(contract.subject(), Subject::Row) {
            // Each row is a patient: all are in order as they come.
            shuffle = shuffle.in_order();
        }
        if let Some(unfinished) = unfinished {
            shuffle = shuffle.lasting(unfinished);
        }
        let begun = shuffle.take_up();
        if begun.is_none() {
            unfinished::remove(folder);
        }
        let findings = self.read(opened, mapping, &mut conforming, &mut shuffle, begun)?;
        let source_bytes = findings.source_bytes;
        let mut theirs = Elsewhere::gather(self.dir, (folder, self.floor), &conforming.late(), self.others)?;
        shuffle.each_key(|rule, part, keys| {
            conforming.compare(rule, keys, theirs.part(rule, part)?);
            Ok(())
        })?;
        drop(theirs);
        self.sort(shuffle, conforming.taken(), &mut numbering, &mut kept)?;
        let report = conforming.finish(findings, numbering.repeated())?;
        Ok(Taken { kept, numbering, report, source_bytes })
    }

    /// Reads the source, or what an ingest before has left of it.
    fn read(
        &self,
        opened: Opened,
        mapping: &Mapping,
        conforming: &mut Conforming<'_>,
        shuffle: &mut Shuffle<'_>,
        begun: Option<Begun>,
    ) -> Result<Findings, SnapshotError> {
        let mut place = None;
        if let Some(Begun { mark, of_source }) = begun {
            let rows = mark.conformed.source_rows();
            conforming.go_on(mark.conformed);
            self.go_on(Progress::GoesOn { rows })?;
            if let Some(findings) = mark.findings {
                return Ok(findings);
            }
            place = mark.at.map(|at| (at, of_source));
        }
        let mut reading = opened.read(mapping, self.size.batch)?;
        if let Some((at, of_source)) = place {
            reading.go_on(&at, &of_source)?;
        }
        let mut beside = Beside::default();
        let conform = &mut *conforming;
        let (give, taken) = sync_channel(1);
        let findings = thread::scope(|scope| {
            let reads = scope.spawn(move || {
                reading.each(|Read { rows: texts, share, bookmark }| {
                    let rows = conform.batch(texts)?;
                    let step = (rows, share, bookmark, conform.take_keys(), conform.so_far());
                    // Whoever takes no more has a reason of its own.
                    give.send(step).map_err(|_| SnapshotError::Interrupted)
                })
            });
            let took = taken.into_iter().try_for_each(|(batch, share, mut bookmark, keys, conformed)| {
                let rows = conformed.source_rows();
                beside.add(&mut bookmark);
                if shuffle.add(batch, &keys)?
                    && let Some(at) = bookmark.at
                {
                    shuffle.mark(&mut beside, |parts| Mark {
                        parts,
                        conformed,
                        at: Some(at),
                        findings: None,
                        gone_on: 0,
                    })?;
                }
                self.go_on(Progress::Reading { rows, share })
            });
            let read = reads.join().unwrap_or_else(|panic| resume_unwind(panic));
            took.and(read)
        })?;
        shuffle.end()?;
        let (conformed, found) = (conforming.so_far(), Some(findings.clone()));
        shuffle.mark(&mut beside, |parts| Mark { parts, conformed, at: None, findings: found, gone_on: 0 })?;
        Ok(findings)
    }

    /// Numbers the patients of all rows that no rule takes away, and keeps these: a group is gathered while the one before is sorted and the one before that is written.
    fn sort(
        &self,
        shuffle: Shuffle<'_>,
        taken: &TakenAway,
        numbering: &mut Numbering<'_>,
        kept: &mut Kept<'_>,
    ) -> Result<(), SnapshotError> {
        thread::scope(|scope| {
            let (give, groups) = sync_channel::<DataFrame>(1);
            let gathers = scope.spawn(move || {
                let given = shuffle.finish(|group| {
                    let fault = SnapshotError::Fault { stage: "leaving out what rules take away" };
                    give.send(taken.out_of(group).ok_or(fault)?).map_err(|_| SnapshotError::Interrupted)
                });
                given.map(drop)
            });
            let (give, numbered) = sync_channel::<(Numbered, Vec<Token>)>(1);
            let numbers = scope.spawn(move || {
                groups.into_iter().try_for_each(|group| {
                    let rows = numbering.number(&group)?;
                    give.send((rows, numbering.take_tokens())).map_err(|_| SnapshotError::Interrupted)
                })
            });
            let kept = numbered.into_iter().try_for_each(|(rows, tokens)| {
                kept.add(&rows, tokens)?;
                self.go_on(Progress::Sorting { rows: kept.columns.as_ref().map_or(0, Columns::rows) })
            });
            let [gathered, numbered] =
                [gathers, numbers].map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            // The first that failed stopped the others.
            kept.and(numbered).and(gathered)
        })
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
        let syncing = Syncing::new(draft.file(), 0, SYNC_BYTES).map_err(|e| failed(&e))?;
        let mut out = BufWriter::with_capacity(1 << 20, Hashed::new(self.floor.disk.writer(draft.file()), syncing));
        let written = columns.write(&mut out, &contract.hash(), failed);
        // What is still buffered after a failure has nowhere to go.
        let (hashed, _) = out.into_parts();
        written?;
        let content = hashed.digest().map_err(|e| failed(&e))?;
        let ids = match (self.form, tokens) {
            (Some(form), Some((spool, stream))) => {
                let ids = self.ids(folder, &numbering, spool, stream)?;
                let file = IdsFile { content: ids.digest()?, form: form.digest(), strangers: true };
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
            against: self.others.against(),
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
        let (flagged, strangers) = (numbering.flagged(), numbering.strangers());
        let header = SubjectIds::header(numbering.subjects(), flagged.len() as u32, strangers.len() as u32);
        out.write_all(&header).map_err(failed)?;
        tokens.read(stream, |piece| out.write_all(piece).map_err(failed))?;
        flagged.iter().try_for_each(|number| out.write_all(&number.to_be_bytes())).map_err(failed)?;
        strangers.iter().try_for_each(|token| out.write_all(&token.to_bytes())).map_err(failed)?;
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

    /// Keeps rows, and the tokens of the patients whose first rows these are.
    fn add(&mut self, numbered: &Numbered, tokens: Vec<Token>) -> Result<(), SnapshotError> {
        if self.columns.is_none() {
            self.columns = Some(Columns::of(numbered.rows.schema(), self.spool()?));
        }
        if let Some(columns) = &mut self.columns {
            columns.append(numbered)?;
        }
        let bytes: Vec<u8> = tokens.into_iter().flat_map(Token::to_bytes).collect();
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
