//! The list of opt-outs, read from a CSV file: a patient, a purpose (or all), and the day from which it counts. A list that is
//! wrong anywhere is no list: half of one would let a patient through.
//!
//! It must never repeat what stands in the file: errors name the file, a line and a rule.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bocage_protocol::contract::{Column, Kind, Subject};
use bocage_protocol::env::Timestamp;
use bocage_protocol::front::dates;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits::OPTOUT_LIST_BYTES;
use bocage_protocol::trust::Purpose;

use super::spec::OptOutSpec;
use crate::config::Dataset;
use crate::custodian::source::whole_number;

const DAY_MS: i64 = 86_400_000;
/// A day begins so much earlier somewhere on earth than in UTC: an opt-out counts from then.
const EARLIEST_ZONE_MS: i64 = 14 * 3_600_000;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read, or is too large.
    #[error("{path}: {reason}\n  hint: {hint}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// A line is wrong.
    #[error("{path}: line {line}: {reason}\n  hint: {hint}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: String,
    },
}

/// A patient's word on one purpose, or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// The patient, as the list names them.
    pub subject: String,
    /// What for; none: everything.
    pub purpose: Option<Purpose>,
    /// The day from which it counts, as days since 1970-01-01; none: it counts.
    pub from: Option<i32>,
}

impl OptOut {
    /// Whether it holds for this purpose at this time.
    pub fn holds(&self, purpose: Purpose, now: Timestamp) -> bool {
        self.purpose.is_none_or(|own| own == purpose) && self.from.is_none_or(|day| day <= today(now))
    }
}

/// The latest day that it is anywhere on earth.
pub fn today(now: Timestamp) -> i32 {
    i32::try_from(now.0.saturating_add(EARLIEST_ZONE_MS).div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

/// Whether every patient of these datasets is a whole number, so that no other id can be meant.
pub fn numbers_only<'a>(datasets: impl IntoIterator<Item = &'a Dataset>) -> bool {
    let mut named = datasets.into_iter().filter_map(|dataset| match dataset.contract.subject() {
        Subject::Column(column) => Some(dataset.contract.column(column.as_str())),
        Subject::Row => None,
    });
    let number = |column: Option<&Column>| column.is_some_and(|column| matches!(column.kind, Kind::Int { .. }));
    named.next().is_some_and(number) && named.all(number)
}

/// A whole list.
#[derive(Debug, Clone)]
pub struct List {
    /// What tells this state of the file from another.
    facts: Facts,
    /// The digest of its bytes.
    pub digest: Digest,
    /// In the file's order.
    pub optouts: Vec<OptOut>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts([i64; 7]);

impl From<&Metadata> for Facts {
    fn from(of: &Metadata) -> Self {
        let times = [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()];
        let [a, b, c, d] = times;
        Self([a, b, c, d, of.size().cast_signed(), of.dev().cast_signed(), of.ino().cast_signed()])
    }
}

impl List {
    /// Reads the file of `spec`. `numbers`: every patient of the site is a whole number.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(spec: &OptOutSpec, numbers: bool) -> Result<Self, ListError> {
        let path = &spec.path;
        let (bytes, facts) = whole(path)?;
        let digest = Digest::of("bocage/optout-list/1", &[&bytes]);
        let optouts =
            Reader { path, delimiter: spec.delimiter, hashed: spec.salt_file.is_some(), numbers }.all(&bytes)?;
        Ok(Self { facts, digest, optouts })
    }

    /// Whether the file is as it was when this list was read.
    pub fn is_current(&self, spec: &OptOutSpec) -> bool {
        fs::metadata(&spec.path).is_ok_and(|facts| Facts::from(&facts) == self.facts)
    }
}

fn whole(path: &Path) -> Result<(Vec<u8>, Facts), ListError> {
    let error = |reason: &str, hint| ListError::File { path: path.to_owned(), reason: reason.to_owned(), hint };
    let unreadable = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => error("there is no such file", "an empty list is a file with its header alone"),
        io::ErrorKind::PermissionDenied => error("permission denied", "the node's user must be allowed to read it"),
        _ => error(&format!("cannot be read: {e}"), "without the list no study is answered"),
    };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(error("not a file", "source.path names a CSV file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let facts = Facts::from(&file.metadata().map_err(unreadable)?);
    let mut bytes = Vec::new();
    (&file).take(OPTOUT_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > OPTOUT_LIST_BYTES {
        return Err(error(&format!("longer than {} MiB", OPTOUT_LIST_BYTES >> 20), "is this the list of opt-outs?"));
    }
    let same = |now: io::Result<Metadata>| now.is_ok_and(|now| Facts::from(&now) == facts);
    if !same(file.metadata()) || !same(fs::metadata(path)) {
        return Err(error("it was changed while it was read", "write a new list beside it and rename it into place"));
    }
    Ok((bytes, facts))
}

struct Reader<'a> {
    path: &'a Path,
    delimiter: u8,
    hashed: bool,
    numbers: bool,
}

/// Where the columns stand.
struct Columns {
    subject: usize,
    purpose: usize,
    date: usize,
    count: usize,
}

impl Reader<'_> {
    fn error(&self, line: usize, reason: impl Into<String>, hint: impl Into<String>) -> ListError {
        ListError::Line { path: self.path.to_owned(), line, reason: reason.into(), hint: hint.into() }
    }

    fn all(&self, bytes: &[u8]) -> Result<Vec<OptOut>, ListError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            self.error(line, "not UTF-8", "save the file as UTF-8")
        })?;
        let mut lines = text.split_inclusive('\n').zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let Some((header, first)) = lines.next() else {
            return Err(self.error(1, "the file is empty", "an empty list is a file with its header alone"));
        };
        let columns = self.columns(&self.fields(header, first)?, first)?;
        let mut optouts: Vec<OptOut> = Vec::new();
        let mut seen: HashMap<(String, Option<Purpose>), usize> = HashMap::new();
        for (line, number) in lines {
            let optout = self.optout(&self.fields(line, number)?, &columns, number)?;
            if let Some(earlier) = seen.insert((optout.subject.clone(), optout.purpose), number) {
                let reason = format!("the same patient and purpose as in line {earlier}");
                return Err(self.error(number, reason, "keep one of the two"));
            }
            optouts.push(optout);
        }
        Ok(optouts)
    }

    /// The fields of one line, trimmed.
    fn fields(&self, line: &str, number: usize) -> Result<Vec<String>, ListError> {
        if !line.ends_with('\n') {
            return Err(self.error(
                number,
                "the file ends within this line",
                "it may be cut off; end it with a line end",
            ));
        }
        if !line.matches('"').count().is_multiple_of(2) {
            return Err(self.error(number, "a quote that begins here never closes", "no id needs a line end"));
        }
        let mut reader =
            csv::ReaderBuilder::new().delimiter(self.delimiter).has_headers(false).from_reader(line.as_bytes());
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => Ok(record.iter().map(|field| field.trim().to_owned()).collect()),
            _ => Err(self.error(number, "not a line of CSV", "check source.delimiter")),
        }
    }

    fn columns(&self, header: &[String], line: usize) -> Result<Columns, ListError> {
        let at = |name: &str| match header.iter().filter(|field| *field == name).count() {
            1 => Ok(header.iter().position(|field| field == name).unwrap_or_default()),
            0 => Err(self.error(
                line,
                format!("the header has no column `{name}`"),
                "the first line is subject,purpose,date; check source.delimiter",
            )),
            _ => Err(self.error(line, format!("the header has `{name}` twice"), "name the columns apart")),
        };
        Ok(Columns { subject: at("subject")?, purpose: at("purpose")?, date: at("date")?, count: header.len() })
    }

    fn optout(&self, fields: &[String], columns: &Columns, line: usize) -> Result<OptOut, ListError> {
        if fields.len() != columns.count {
            let reason = format!("the header has {} columns, this line {}", columns.count, fields.len());
            return Err(self.error(line, reason, "leave purpose or date empty, but keep their places"));
        }
        let (subject, purpose, date) = (&fields[columns.subject], &fields[columns.purpose], &fields[columns.date]);
        if subject.is_empty() {
            return Err(self.error(line, "no patient is named", "name the patient, or remove the line"));
        }
        if self.numbers && !self.hashed && whole_number(subject).is_none() {
            let hint = "the patients of every dataset are whole numbers; correct the id, or remove the line";
            return Err(self.error(line, "the patient's id is not a whole number", hint));
        }
        let subject = if self.hashed { self.hash(subject, line)? } else { subject.clone() };
        let purpose = match purpose.as_str() {
            "" | "all" => None,
            name => {
                let known = Purpose::ALL.into_iter().find(|(known, _)| *known == name);
                let known = known.ok_or_else(|| {
                    let names: Vec<&str> = Purpose::ALL.iter().map(|(known, _)| *known).collect();
                    self.error(line, "unknown purpose", format!("all, or one of {}", names.join(", ")))
                })?;
                Some(known.1)
            }
        };
        let from = match date.as_str() {
            "" => None,
            day => {
                let parsed = dates::parse_date(day);
                Some(
                    parsed
                        .ok_or_else(|| self.error(line, "not a date", "write it as YYYY-MM-DD, or leave it empty"))?,
                )
            }
        };
        Ok(OptOut { subject, purpose, from })
    }

    fn hash(&self, subject: &str, line: usize) -> Result<String, ListError> {
        if subject.len() == 64 && subject.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(subject.to_ascii_lowercase());
        }
        Err(self.error(
            line,
            "not a SHA-256 in hexadecimal",
            "ids = \"sha256\" wants 64 hexadecimal digits; plain ids are ids = \"plain\"",
        ))
    }
}
