//! Reads an export, a batch of rows at a time: memory is bounded by a line, a Bundle and a batch, whatever the input.
//!
//! ```text
//! folder ─ files ─▶ lines ─────▶ pieces ─ workers ─▶ resource ─ view ─▶ Batch
//!                 ─▶ Bundle ─▶ entries ─┘                          └▶ Report
//! ```
//! One thread finds where resources end, several make rows of them; rows and report are put together in the order of the files.

mod bundle;
mod error;
mod files;
mod lines;
mod look_up;
mod pieces;
mod report;
mod resources;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bocage_protocol::limits;
use foldhash::quality::FixedState;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use self::bundle::Document;
use self::files::{Form, Input, Opened};
use self::lines::Lines;
use self::look_up::LookUp;
use self::pieces::{Made, Piece};
use self::resources::Id;
use self::workers::Workers;
use crate::view::{Batch, View};

pub use error::ReadError;
pub use report::{DamagedFile, Finding, Place, Places, Report, What};

/// What a piece holds of a file of lines.
const BLOCK_BYTES: usize = 1 << 20;
/// What a piece holds of a Bundle.
const ENTRIES: usize = 500;

/// What came of opening the next file.
enum Begun {
    Nothing,
    File,
    Given,
}

/// How far reading has come, in bytes of the files as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// How an export is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Threads that make rows: with one, the asker's.
    pub threads: usize,
    /// What becomes of a damaged file.
    pub damaged: Damaged,
}

/// What becomes of a file that is damaged, cut off or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damaged {
    /// Nothing is read of the whole export.
    #[default]
    Stop,
    /// Nothing is read of this file, and the report names it. Packed files are looked through once before they are read.
    Skip,
}

/// A place between two resources of an export, up to which it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct At {
    /// How many files were read to their ends.
    files: usize,
    /// How much of the next, unpacked.
    bytes: u64,
    /// How many of its lines.
    lines: u64,
}

/// Reads the rows of one view out of an export.
pub struct Reader {
    path: PathBuf,
    view: Arc<View>,
    how: How,
    look_up: Option<LookUp>,
    inputs: Vec<Input>,
    total: u64,
    /// How many of the inputs were begun.
    begun: usize,
    current: Option<Current>,
    /// Each piece with the place behind it, where there is one.
    workers: Workers<Option<At>>,
    /// The place behind the rows that were handed out, where there is one.
    at: Option<At>,
    report: Report,
    /// Hashes of the ids that were there.
    ids: HashSet<u64, FixedState>,
    /// Those that are new since somebody asked.
    new_ids: Vec<u64>,
}

/// The file at hand.
enum Current {
    Lines(Lines, Arc<str>),
    Document { document: Arc<Document>, next: usize, name: Arc<str>, counted: files::Counter },
}

impl Reader {
    /// Finds the files of an export: one file, or all of a folder. It is read by the asker's thread alone, and damaged files stop it.
    ///
    /// # Errors
    /// There is nothing that could be read.
    pub fn open(path: &Path, view: View) -> Result<Self, ReadError> {
        Self::open_as(path, view, How { threads: 1, damaged: Damaged::Stop })
    }

    /// The same, read in this way. Neither threads nor the sizes of batches show in rows or report.
    ///
    /// # Errors
    /// There is nothing that could be read.
    pub fn open_as(path: &Path, view: View, how: How) -> Result<Self, ReadError> {
        Self::reading(path, Arc::new(view), how)
    }

    fn reading(path: &Path, view: Arc<View>, how: How) -> Result<Self, ReadError> {
        let inputs = files::find(path)?;
        Ok(Self {
            path: path.to_owned(),
            how,
            look_up: None,
            total: inputs.iter().map(|input| input.bytes).sum(),
            inputs,
            begun: 0,
            current: None,
            workers: Workers::new(Arc::clone(&view), how.threads),
            view,
            at: Some(At::default()),
            report: Report::default(),
            ids: HashSet::with_hasher(FixedState::with_seed(0)),
            new_ids: Vec::new(),
        })
    }

    /// The same rows, with what they only refer to filled in from the rows of another view of the export: its first column has the keys, and all its columns
    /// are this view's too. Where they are not, nothing is.
    #[must_use]
    pub fn looking_up(self, other: View) -> Self {
        Self { look_up: LookUp::of(&self.view, other), ..self }
    }

    /// The next rows; nothing at the end. A batch ends with the piece that reaches so many rows or bytes: it may be larger by the rows of one.
    ///
    /// # Errors
    /// A file cannot be read to its end. What is wrong with single resources stands in the report.
    pub fn next_batch(&mut self, rows: usize, bytes: usize) -> Result<Option<Batch>, ReadError> {
        let mut batch = Batch::new(self.view.columns().len());
        while batch.rows() < rows && batch.bytes() < bytes {
            while self.workers.has_room() && self.give()? {}
            let Some((made, file, behind)) = self.workers.take() else { break };
            self.at = behind.flatten();
            self.report.append(made.report);
            made.ids.iter().for_each(|id| self.watch(&file, id));
            batch.append(made.batch);
        }
        if let Some(look_up) = &mut self.look_up {
            let found = look_up.fill(&mut batch, &self.path, self.how)?;
            self.report.looked_up += found.rows;
            self.report.not_found += found.nowhere;
        }
        Ok((batch.rows() > 0).then_some(batch))
    }

    /// Gives the next piece out; whether there is one.
    fn give(&mut self) -> Result<bool, ReadError> {
        loop {
            let here = At { files: self.begun.saturating_sub(1), ..At::default() };
            match &mut self.current {
                None => match self.begin()? {
                    Begun::Nothing => return Ok(false),
                    Begun::File => {}
                    Begun::Given => return Ok(true),
                },
                Some(Current::Lines(lines, name)) => match lines.block(BLOCK_BYTES)? {
                    Some(block) => {
                        let (bytes, lines) = lines.done();
                        self.workers.give(Piece::Lines(block), name, Some(At { bytes, lines, ..here }));
                        return Ok(true);
                    }
                    None => self.current = None,
                },
                Some(Current::Document { document, next, name, .. }) => {
                    let all = document.entries.len();
                    let entries = *next..all.min(*next + ENTRIES);
                    *next = entries.end;
                    // Within a Bundle there is no place to begin anew: what it calls its resources belongs to all of it.
                    let behind = (entries.end == all).then_some(At { files: self.begun, ..At::default() });
                    self.workers.give(Piece::Entries(Arc::clone(document), entries), name, behind);
                    if behind.is_some() {
                        self.current = None;
                    }
                    return Ok(true);
                }
            }
        }
    }

    /// Opens the next file.
    fn begin(&mut self) -> Result<Begun, ReadError> {
        let Some(input) = self.inputs.get(self.begun).cloned() else { return Ok(Begun::Nothing) };
        let name: Arc<str> = input.name.as_str().into();
        self.begun += 1;
        match self.current(&input, &name, At::default()) {
            Ok(current) => {
                self.current = Some(current);
                Ok(Begun::File)
            }
            Err(error) if self.how.damaged == Damaged::Skip => {
                let mut made = Made::default();
                made.report.damaged(&name, error.reason());
                self.workers.put(made, &name, Some(At { files: self.begun, ..At::default() }));
                Ok(Begun::Given)
            }
            Err(error) => Err(error),
        }
    }

    /// A file from a place in it on.
    fn current(&mut self, input: &Input, name: &Arc<str>, from: At) -> Result<Current, ReadError> {
        if self.how.damaged == Damaged::Skip && input.form == Form::Lines && from == At::default() {
            Opened::open(input, 0)?.sound()?;
        }
        let opened = Opened::open(input, from.bytes)?;
        Ok(match input.form {
            Form::Lines => Current::Lines(Lines::behind(opened, from.bytes, from.lines), Arc::clone(name)),
            Form::Document => {
                let (bytes, counted) = opened.whole()?;
                let mut faults = Made::default();
                let document = resources::document(bytes, &input.path, &mut faults.report)?;
                // They belong before its first entry, and to no place of their own.
                self.workers.put(faults, name, None);
                Current::Document { document: Arc::new(document), next: 0, name: Arc::clone(name), counted }
            }
        })
    }

    /// Notices an id that was there before.
    fn watch(&mut self, file: &str, id: &Id) {
        if self.ids.contains(&id.hash) {
            let place = Place { file: file.to_owned(), line: id.line, entry: id.entry };
            self.report.add(What::Twice, None, place);
        } else if self.ids.len() < limits::FHIR_WATCHED_IDS {
            self.ids.insert(id.hash);
            self.new_ids.push(id.hash);
        }
    }

    /// The place behind the rows that were handed out, if reading could begin there, and hashes of the ids that came since the last call.
    pub fn place(&mut self) -> (Option<At>, Vec<u64>) {
        (self.at, std::mem::take(&mut self.new_ids))
    }

    /// Goes on at a place, as the reader would that was there: with its report, and the ids that it had met. To be called before the first batch.
    ///
    /// Whether it has such a place; if not, it is good for nothing more.
    ///
    /// # Errors
    /// The file at that place cannot be read.
    pub fn go_on(&mut self, at: At, report: Report, ids: impl IntoIterator<Item = u64>) -> Result<bool, ReadError> {
        let input = self.inputs.get(at.files).cloned();
        let is_within = at.bytes > 0;
        // Within a file of lines, or before a file, or behind the last.
        let is_place = match &input {
            Some(input) => !is_within || (input.form == Form::Lines),
            None => !is_within && at.files == self.inputs.len(),
        };
        if !is_place {
            return Ok(false);
        }
        (self.report, self.at, self.begun) = (report, Some(at), at.files);
        self.ids.extend(ids);
        if let Some(input) = input.filter(|_| is_within) {
            self.begun += 1;
            self.current = Some(self.current(&input, &input.name.as_str().into(), at)?);
        }
        Ok(true)
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let current = match &self.current {
            Some(Current::Lines(lines, _)) => Some(lines.counted()),
            Some(Current::Document { counted, .. }) => Some(counted.bytes()),
            None => None,
        };
        let over = self.begun - usize::from(current.is_some());
        let before: u64 = self.inputs[..over].iter().map(|input| input.bytes).sum();
        Progress { done: (before + current.unwrap_or_default()).min(self.total), total: self.total }
    }

    /// Whether the files still are those that were found, unchanged: an export that is written while it is read gives rows that never
    /// stood together.
    ///
    /// # Errors
    /// They are not.
    pub fn unchanged(&self) -> Result<(), ReadError> {
        let same = files::find(&self.path).is_ok_and(|now| now == self.inputs);
        if same { Ok(()) } else { Err(ReadError::Changed { path: self.path.clone() }) }
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The view whose rows it reads.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.inputs.iter().map(|input| input.path.as_path())
    }
}
