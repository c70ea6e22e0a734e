//! Single resources to rows, whatever they stood in, and what was wrong with them.

use std::cell::Cell;
use std::hash::BuildHasher as _;
use std::path::Path;

use foldhash::quality::FixedState;

use super::bundle::{Broken, Document, Entry};
use super::report::{Place, Report, What};
use super::{ReadError, files};
use crate::json::{Row, Value, read_row};
use crate::names::Names;
use crate::reference::References;
use crate::view::{Batch, Resource, View};

/// A view at work on a piece of a file.
pub struct Resources<'v> {
    view: &'v View,
    file: &'v str,
    pub(super) report: Report,
    /// The resources' ids.
    pub(super) ids: Vec<Id>,
    nobody: References,
}

/// That a resource has an id.
#[derive(Debug, Clone, Copy)]
pub struct Id {
    /// A hash of it.
    pub hash: u64,
    /// Where the resource stands.
    pub line: u64,
    /// As [`Place::entry`].
    pub entry: Option<u64>,
}

/// A file that is one piece, and what is wrong with what it is made of.
pub fn document(bytes: Vec<u8>, path: &Path, report: &mut Report) -> Result<Document, ReadError> {
    let broken = |reason: String| ReadError::Broken { path: path.to_owned(), reason };
    let text = String::from_utf8(bytes).map_err(|_| broken("no UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let mut faults = Vec::new();
    let document = Document::new(text, 1, &mut faults).map_err(|e| match e {
        Broken::TooMany => files::too_large(path),
        Broken::Malformed(malformed) => broken(malformed.to_string()),
    })?;
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for (what, line, entry) in faults {
        report.add(what, None, Place { file: file.clone(), line, entry });
    }
    Ok(document)
}

/// How a row or an entry turned out.
enum Seen {
    Done,
    Bundle,
}

impl<'v> Resources<'v> {
    /// Of the file of this name.
    pub(super) fn new(view: &'v View, file: &'v str) -> Self {
        Self { view, file, report: Report::default(), ids: Vec::new(), nobody: References::default() }
    }

    pub(super) fn found(&mut self, what: What, line: u64, entry: Option<u64>) {
        self.note(what, None, line, entry);
    }

    fn note(&mut self, what: What, column: Option<usize>, line: u64, entry: Option<u64>) {
        let column = column.and_then(|column| self.view.columns().get(column)).map(|column| column.name.as_str());
        self.report.add(what, column, Place { file: self.file.to_owned(), line, entry });
    }

    /// One line of NDJSON: a resource or, rarely, a Bundle.
    pub(super) fn line(&mut self, bytes: &[u8], number: u64, batch: &mut Batch) {
        let bytes = if number == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.found(What::NotUtf8, number, None);
        };
        if text.trim_ascii().is_empty() {
            return;
        }
        let nobody = std::mem::take(&mut self.nobody);
        let seen = self.resource(text, None, &nobody, number, None, batch);
        self.nobody = nobody;
        if matches!(seen, Seen::Bundle) {
            self.bundle_line(text, number, batch);
        }
    }

    fn bundle_line(&mut self, text: &str, number: u64, batch: &mut Batch) {
        let mut faults = Vec::new();
        let document = match Document::new(text.to_owned(), number, &mut faults) {
            Ok(document) => document,
            Err(Broken::TooMany) => return self.found(What::TooLong, number, None),
            Err(Broken::Malformed(malformed)) => return self.found(What::Malformed(malformed), number, None),
        };
        for (what, line, entry) in faults {
            self.found(what, line, entry);
        }
        for entry in &document.entries {
            self.entry(&document, entry, batch);
        }
    }

    /// One resource of a document.
    pub(super) fn entry(&mut self, document: &Document, entry: &Entry, batch: &mut Batch) {
        let text = &document.text[entry.at.clone()];
        // A Bundle within a Bundle is somebody's attachment.
        let seen = self.resource(text, entry.key.as_deref(), &document.references, entry.value, entry.number, batch);
        self.report.others += u64::from(matches!(seen, Seen::Bundle));
    }

    fn resource(
        &mut self,
        text: &str,
        key: Option<&str>,
        references: &References,
        line: u64,
        entry: Option<u64>,
        batch: &mut Batch,
    ) -> Seen {
        let value = match read_row(text, self.view.resource(), self.view.names()) {
            Ok(Row::Wanted(value)) => value,
            Ok(Row::Other(kind)) if kind == "Bundle" => return Seen::Bundle,
            Ok(Row::Other(_)) => {
                self.report.others += 1;
                return Seen::Done;
            }
            Ok(Row::Typeless) => {
                self.found(What::Typeless, line, entry);
                return Seen::Done;
            }
            Err(malformed) => {
                self.found(What::Malformed(malformed), line, entry);
                return Seen::Done;
            }
        };
        self.report.resources += 1;
        self.watch(&value, line, entry);
        let unresolved = Cell::new(0);
        let before = batch.rows();
        let made = self.view.rows(&Resource { value: &value, key, references, unresolved: &unresolved }, batch);
        self.report.unresolved += unresolved.get();
        self.report.rows += (batch.rows() - before) as u64;
        if let Err(failed) = made {
            self.report.left_out += 1;
            self.note(What::Unfit(failed.trouble), failed.column, line, entry);
        }
        Seen::Done
    }

    /// Notes an id.
    fn watch(&mut self, value: &Value<'_>, line: u64, entry: Option<u64>) {
        if let Some(id) = value.get(Names::ID).and_then(Value::text) {
            self.ids.push(Id { hash: FixedState::with_seed(0).hash_one(id), line, entry });
        }
    }
}
