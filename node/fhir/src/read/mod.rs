//! Reads an export, a batch of rows at a time: memory is bounded by a line, a Bundle and a batch, whatever the input.
//!
//! ```text
//! folder ─ files ─▶ lines ─────▶ resource ─ view ─▶ Batch
//!                 ─▶ Bundle ─▶ entries ─┘        └▶ Report
//! ```

mod bundle;
mod files;
mod lines;
mod report;
mod resources;

use std::path::{Path, PathBuf};

use self::bundle::Document;
use self::files::{Form, Input, Opened};
use self::lines::{Line, Lines};
use self::resources::Resources;
use crate::view::{Batch, View};

pub use report::{Finding, Place, Places, Report, What};

/// Why an export cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("{path}: there is no such file or folder\n  hint: paths in node.toml are relative to node.toml")]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// It may not be read.
    #[error(
        "{path}: permission denied\n  hint: the node's user must be allowed to read the file and to enter its folders"
    )]
    Forbidden {
        /// The file or folder.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error(
        "{path}: cannot be read: {reason}\n  hint: look after the disk; to go on without the file, move it out of the folder"
    )]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A folder without any file that could be read.
    #[error(
        "{path}: no file of an export\n  hint: files end in .ndjson, .jsonl or .json, and perhaps in .gz or .zst behind it"
    )]
    NoFiles {
        /// The folder, or the one file.
        path: PathBuf,
    },
    /// Compressed data that ends too early or is damaged.
    #[error(
        "{path}: its compressed data is damaged or ends too early, behind line {line}\n  hint: the file was not copied as a whole: copy it again. What it holds beyond that line nobody can tell, so no dataset of the folder is taken with it; to go on without its rows, move it out of the folder"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The last line that could be read.
        line: u64,
    },
    /// It became another while it was read.
    #[error(
        "{path}: it was changed or replaced while it was read\n  hint: write a new export beside it, rename it into place, then take the snapshot again"
    )]
    Changed {
        /// The file or folder.
        path: PathBuf,
    },
    /// A Bundle, or another file of one piece, that is damaged.
    #[error(
        "{path}: {reason}\n  hint: a .json file holds a whole Bundle or resource; one with a resource a line ends in .ndjson; to go on without it, move it out of the folder"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A Bundle, or another file of one piece, that is too large.
    #[error(
        "{path}: unpacked it has more than {limit} bytes, or more than {entries} entries\n  hint: have it exported as NDJSON, or as several Bundles; a file with one resource a line ends in .ndjson"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound on bytes.
        limit: usize,
        /// The bound on entries.
        entries: usize,
    },
}

/// How far reading has come, in bytes of the files as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// Reads the rows of one view out of an export.
pub struct Reader {
    path: PathBuf,
    resources: Resources,
    inputs: Vec<Input>,
    /// How many of the inputs were begun.
    begun: usize,
    current: Option<Current>,
    done_before: u64,
    total: u64,
}

/// The file at hand.
enum Current {
    Lines(Lines),
    Document { document: Document, next: usize, counted: files::Counter },
}

impl Reader {
    /// Finds the files of an export: one file, or all of a folder.
    ///
    /// # Errors
    /// There is nothing that could be read.
    pub fn open(path: &Path, view: View) -> Result<Self, ReadError> {
        let inputs = files::find(path)?;
        let total = inputs.iter().map(|input| input.bytes).sum();
        let names = inputs.iter().map(|input| input.name.clone()).collect();
        let resources = Resources::new(view, names);
        Ok(Self { path: path.to_owned(), resources, inputs, begun: 0, current: None, done_before: 0, total })
    }

    /// The next rows; nothing at the end. A batch ends with the resource that reaches so many rows or bytes: it may be larger by what one
    /// resource gives.
    ///
    /// # Errors
    /// A file cannot be read to its end. What is wrong with single resources stands in the report.
    pub fn next_batch(&mut self, rows: usize, bytes: usize) -> Result<Option<Batch>, ReadError> {
        let mut batch = Batch::new(self.resources.view.columns().len());
        while batch.rows() < rows && batch.bytes() < bytes {
            if !self.step(&mut batch)? {
                break;
            }
        }
        Ok((batch.rows() > 0).then_some(batch))
    }

    /// Reads one resource or line; whether there may be more.
    fn step(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        match &mut self.current {
            None => return self.begin(),
            Some(Current::Lines(lines)) => match lines.next()? {
                Some((line, number)) => match line {
                    Line::TooLong => self.resources.found(What::TooLong, number, None),
                    Line::Bytes(bytes) => self.resources.line(bytes, number, batch),
                },
                None => self.current = None,
            },
            Some(Current::Document { document, next, .. }) => match document.entries.get(*next) {
                Some(entry) => {
                    *next += 1;
                    self.resources.entry(document, entry, batch);
                }
                None => self.current = None,
            },
        }
        Ok(true)
    }

    fn begin(&mut self) -> Result<bool, ReadError> {
        self.done_before = self.inputs[..self.begun].iter().map(|input| input.bytes).sum();
        let Some(input) = self.inputs.get(self.begun) else { return Ok(false) };
        self.resources.file = self.begun;
        self.begun += 1;
        let opened = Opened::open(input)?;
        self.current = Some(match input.form {
            Form::Lines => Current::Lines(Lines::new(opened)),
            Form::Document => {
                let (bytes, counted) = opened.whole()?;
                let document = self.resources.document(bytes, &input.path)?;
                Current::Document { document, next: 0, counted }
            }
        });
        Ok(true)
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let current = match &self.current {
            Some(Current::Lines(lines)) => lines.counted(),
            Some(Current::Document { counted, .. }) => counted.bytes(),
            None => 0,
        };
        let before = if self.current.is_some() {
            self.done_before
        } else {
            self.inputs[..self.begun].iter().map(|i| i.bytes).sum()
        };
        Progress { done: (before + current).min(self.total), total: self.total }
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
        &self.resources.report
    }

    /// The view whose rows it reads.
    pub fn view(&self) -> &View {
        &self.resources.view
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.inputs.iter().map(|input| input.path.as_path())
    }
}
