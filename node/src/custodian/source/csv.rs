//! CSV files as text columns. Bad lines are counted and named by number, never repeated. A file that cannot be whole is
//! refused: one that ends within a row, that changed while it was read, or that holds a row beyond every measure.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bocage_protocol::contract::Kind;
use bocage_protocol::front::source_column;
use bocage_protocol::ids::{ColumnName, Digest};
use bocage_protocol::limits::SOURCE_LINE_BYTES;
use csv::{ByteRecord, Reader, ReaderBuilder};
use memchr::{memchr2, memchr3};
use polars::prelude::{Column, DataFrame};
use serde::Deserialize as _;
use serde_json::Value;

use super::intake::{Bounded, Intake, Place, too_long, unreadable};
use super::reading::{BatchSize, Batches, Bookmark, Findings, Reading, VIEW_BYTES};
use super::unpacking::damaged;
use super::value::trimmed;
use super::{BadLines, CsvSource, NO_ROWS, SourceError};

mod column;
#[cfg(test)]
mod tests;

use column::{Filled, Held};

/// What is read from the disk at once.
const BUFFER_BYTES: usize = 1 << 18;
/// Which a file in UTF-8 may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// What other packed files begin with than those that are unpacked, and these where they are packed twice.
const PACKED: [(&[u8], &str); 3] = [
    (b"\x1F\x8B", "a gzip file within another"),
    (b"\x28\xB5\x2F\xFD", "a zstd file within another"),
    (b"PK\x03\x04", "a zip file or a spreadsheet"),
];
/// What a Parquet file begins with: its magic, and the first field of a page or of the footer. No text holds it.
const PARQUET: &[u8] = b"PAR1\x15";

const TOO_LONG: &str = "the row that begins here is longer than 1 MiB\n  hint: a quote that begins here may never close, or the file \
                        has no line ends";
const OPEN_QUOTE: &str =
    "a quote in the row that begins here never closes\n  hint: the file may be cut off, or the text holds a lone quote";
const SEVERAL_LINES: &str = "a quoted text in the row that begins here runs over several lines\n  hint: a lone quote swallows the rows \
                             behind it; if texts may hold line ends, say multi_line = true";
const DAMAGED: &str = "in the row that begins here the compressed data is damaged or ends too early\n  hint: the file was not copied or written as a \
                       whole: copy it again";
const CUT_OFF: &str = "the file ends within this row\n  hint: it may be cut off; export it again";

/// A CSV file whose header was read.
pub struct OpenedCsv {
    path: PathBuf,
    intake: Intake,
    /// Where the reader began: behind a byte order mark, or where an ingest before was interrupted.
    begin: u64,
    delimiter: u8,
    multi_line: bool,
    reader: Reader<Bounded<Place>>,
    /// One a field of a line; `None` where the name has no letter or digit.
    fields: Vec<Option<ColumnName>>,
    missing: Vec<String>,
    /// What columns only become of which no texts need be made.
    untouched: BTreeMap<ColumnName, Kind>,
    bad_lines: BadLines,
    lines: LineFinder,
    /// Where the row begins that was read last, and how many fields it has.
    last: (u64, usize),
}

/// Tells on which line of the file a byte stands: the reader's own count is off behind blank lines and `\r\n`.
///
/// It reads the file a second time, up to the last bad line that is named.
struct LineFinder {
    bytes: BufReader<Place>,
    line: u64,
    at: u64,
}

impl LineFinder {
    fn new(intake: &Intake, begin: u64) -> Self {
        Self { bytes: BufReader::new(intake.from(begin)), line: 1, at: begin }
    }

    /// The line of the first byte at or behind `byte` that is no line end. Calls must ascend.
    fn line_at(&mut self, byte: u64) -> std::io::Result<u64> {
        loop {
            let buffer = self.bytes.fill_buf()?;
            let line_end = buffer.first().is_some_and(|b| matches!(b, b'\n' | b'\r'));
            if buffer.is_empty() || (self.at >= byte && !line_end) {
                return Ok(self.line);
            }
            let until = if self.at >= byte {
                1
            } else {
                buffer.len().min(usize::try_from(byte - self.at).unwrap_or(usize::MAX))
            };
            self.line += buffer[..until].iter().filter(|b| **b == b'\n').count() as u64;
            self.at += until as u64;
            self.bytes.consume(until);
        }
    }
}

impl OpenedCsv {
    /// Opens the file and settles the names of its columns.
    pub(super) fn open(source: &CsvSource) -> Result<Self, SourceError> {
        let path = source.path.clone();
        let intake = Intake::open(&path)?.unpacked(&path)?;
        let begin = begin(&path, &intake)?;
        let mut opened = Self {
            reader: reader(&intake, begin, source.delimiter),
            lines: LineFinder::new(&intake, begin),
            fields: Vec::new(),
            missing: source.missing.clone(),
            untouched: BTreeMap::new(),
            bad_lines: BadLines::default(),
            delimiter: source.delimiter,
            multi_line: source.multi_line,
            last: (begin, 0),
            path,
            intake,
            begin,
        };
        let in_file = if source.header { Some(opened.header()?) } else { None };
        if source.columns.is_none() {
            other_delimiter(&opened.path, in_file.as_deref())?;
        }
        let names = names(&opened.path, in_file, source.columns.as_deref())?;
        opened.fields = normalised(&opened.path, &names)?;
        Ok(opened)
    }

    /// See [`Intake::identity`].
    pub(super) fn identity(&self) -> Result<Digest, SourceError> {
        self.intake.identity(&self.path)
    }

    /// Where the next row begins.
    fn at(&self) -> u64 {
        self.begin + self.reader.position().byte()
    }

    pub(super) fn columns(&self) -> Vec<ColumnName> {
        self.fields.iter().flatten().cloned().collect()
    }

    /// Makes no texts of numbers in columns that only become columns of these kinds.
    pub(super) fn hold(&mut self, untouched: &BTreeMap<ColumnName, Kind>) {
        self.untouched.clone_from(untouched);
    }

    pub(super) fn read(self, wanted: &[ColumnName], size: BatchSize) -> Reading {
        let position = |name: &ColumnName| self.fields.iter().position(|f| f.as_ref() == Some(name));
        let held = |name: &ColumnName| Held::of(self.untouched.get(name));
        let wanted = wanted.iter().filter_map(|name| Some((position(name)?, name.clone(), held(name)))).collect();
        let path = self.path.clone();
        Reading::new(path, CsvReading { opened: self, wanted, size, record: ByteRecord::new(), rows: 0 })
    }

    /// The next row as it stands in the file.
    fn record(&mut self, record: &mut ByteRecord) -> Result<bool, SourceError> {
        self.reader.get_mut().next_row();
        let read = self.reader.read_byte_record(record);
        let begins = self.begin + record.position().map_or(0, csv::Position::byte);
        match read {
            Ok(true) => {
                self.last = (begins, record.len());
                Ok(true)
            }
            Ok(false) => Ok(false),
            // The reader's own text could hold a field.
            Err(error) => Err(match error.kind() {
                csv::ErrorKind::Io(e) if too_long(e) => self.doubtful(begins, TOO_LONG),
                csv::ErrorKind::Io(e) if damaged(e) => self.doubtful(begins, DAMAGED),
                csv::ErrorKind::Io(e) => unreadable(&self.path, e),
                _ => SourceError::Unreadable { path: self.path.clone(), reason: "not a delimited file".into() },
            }),
        }
    }

    /// The next usable line. Bad ones are counted and passed over.
    fn next(&mut self, record: &mut ByteRecord) -> Result<bool, SourceError> {
        loop {
            if !self.record(record)? {
                return Ok(false);
            }
            // Most rows hold none of these, and one look tells.
            let odd = memchr3(b'\n', b'\r', 0, record.as_slice()).is_some();
            if odd && !self.multi_line && memchr2(b'\n', b'\r', record.as_slice()).is_some() {
                // Where the quote never closes, that is the better reason.
                self.whole(0)?;
                return Err(self.doubtful(self.last.0, SEVERAL_LINES));
            }
            let bad = if odd && record.as_slice().contains(&0) {
                &mut self.bad_lines.zero_bytes
            } else if record.len() != self.fields.len() {
                &mut self.bad_lines.wrong_field_count
            } else if std::str::from_utf8(record.as_slice()).is_err() {
                &mut self.bad_lines.not_utf8
            } else {
                return Ok(true);
            };
            bad.count += 1;
            if bad.wants_numbers() {
                bad.first.push(self.lines.line_at(self.last.0).map_err(|e| unreadable(&self.path, &e))?);
            }
        }
    }

    fn header(&mut self) -> Result<Vec<String>, SourceError> {
        let refused =
            |path: &Path, reason: &str| SourceError::Header { path: path.to_owned(), reason: reason.to_owned() };
        let mut record = ByteRecord::new();
        if !self.record(&mut record)? {
            return Err(SourceError::Empty { path: self.path.clone(), reason: "the file is empty".into() });
        }
        if !self.intake.is_packed() && self.at() >= self.intake.bytes() {
            self.whole(0)?;
        }
        if record.as_slice().contains(&0) {
            return Err(refused(&self.path, "the header holds zero bytes\n  hint: save the file as UTF-8"));
        }
        let text = |field: &[u8]| std::str::from_utf8(field).map(str::to_owned);
        let names = record.iter().map(text).collect::<Result<_, _>>();
        names.map_err(|_| refused(&self.path, "the header is not UTF-8\n  hint: save the file as UTF-8"))
    }

    /// Whether the row that was read last is one: all rows were read.
    fn whole(&mut self, rows: u64) -> Result<(), SourceError> {
        let (begins, fields) = self.last;
        let mut row = Vec::new();
        let place = self.intake.from(begins);
        place.take(2 * SOURCE_LINE_BYTES as u64).read_to_end(&mut row).map_err(|e| unreadable(&self.path, &e))?;
        if ends_within_quotes(&row, self.delimiter) {
            return Err(self.doubtful(begins, OPEN_QUOTE));
        }
        // Where no line fits, the delimiter is the likelier cause.
        let ended = row.last().is_none_or(|b| matches!(b, b'\n' | b'\r'));
        if rows > 0 && !ended && fields != self.fields.len() {
            return Err(self.doubtful(begins, CUT_OFF));
        }
        self.bad_lines.unended = !ended;
        Ok(())
    }

    fn doubtful(&mut self, byte: u64, reason: &'static str) -> SourceError {
        let path = self.path.clone();
        match self.lines.line_at(byte) {
            Ok(line) => SourceError::Line { path, line, reason },
            Err(error) => unreadable(&path, &error),
        }
    }

    fn empty(self) -> SourceError {
        let BadLines { wrong_field_count, not_utf8, zero_bytes, .. } = &self.bad_lines;
        let reason = match (wrong_field_count.count, not_utf8.count + zero_bytes.count) {
            (0, 0) => NO_ROWS.to_owned(),
            (0, _) => "no line is UTF-8\n  hint: save the file as UTF-8".to_owned(),
            (ragged, _) => format!(
                "{ragged} lines do not have {} fields\n  hint: check `delimiter`, `header` and `columns`",
                self.fields.len()
            ),
        };
        SourceError::Empty { path: self.path, reason }
    }
}

/// A CSV file while it is read.
struct CsvReading {
    opened: OpenedCsv,
    /// Which field of a line each wanted column is, and what it is held as.
    wanted: Vec<(usize, ColumnName, Held)>,
    size: BatchSize,
    record: ByteRecord,
    rows: u64,
}

impl Batches for CsvReading {
    fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
        let Self { opened, wanted, size, record, rows } = self;
        // A source of few rows has no room for many.
        let room = size.rows.min(opened.intake.bytes() as usize);
        let mut columns: Vec<Filled> = wanted.iter().map(|(_, name, held)| Filled::new(name, *held, room)).collect();
        let (mut height, mut bytes) = (0, 0);
        while height < size.rows && bytes < size.bytes && opened.next(record)? {
            height += 1;
            // `next` checked that the line is UTF-8 and has these fields.
            let line = std::str::from_utf8(record.as_slice()).unwrap_or_default();
            for ((position, ..), column) in wanted.iter().zip(&mut columns) {
                let field = record.range(*position).and_then(|range| line.get(range)).unwrap_or_default();
                let text = trimmed(field);
                column.put((!opened.missing.iter().any(|m| m == text)).then_some(text));
                bytes += VIEW_BYTES + text.len();
            }
        }
        if height == 0 {
            return Ok(None);
        }
        *rows += height as u64;
        let columns: Vec<Column> = columns.into_iter().map(Filled::finish).collect();
        let frame = DataFrame::new(height, columns);
        frame.map(Some).map_err(|_| SourceError::Header {
            path: opened.path.clone(),
            reason: "the columns do not form a table".into(),
        })
    }

    fn finish(self: Box<Self>) -> Result<Findings, SourceError> {
        let Self { mut opened, rows, .. } = *self;
        opened.intake.unchanged(&opened.path)?;
        opened.whole(rows)?;
        if rows == 0 {
            return Err(opened.empty());
        }
        Ok(Findings { bad_lines: opened.bad_lines, source_bytes: opened.intake.bytes() })
    }

    fn share(&self) -> Option<f64> {
        let bytes = self.opened.intake.bytes();
        let done = self.opened.reader.get_ref().inner().packed_bytes().unwrap_or_else(|| self.opened.at());
        (bytes > 0).then(|| (done as f64 / bytes as f64).min(1.0))
    }

    fn bookmark(&mut self) -> Bookmark {
        let at = (self.opened.at(), self.opened.last, self.rows, &self.opened.bad_lines);
        Bookmark { at: serde_json::to_value(at).ok(), beside: Vec::new() }
    }

    fn go_on(&mut self, at: &Value, _: &[u8]) -> Result<bool, SourceError> {
        let Ok((begin, last, rows, bad_lines)) = <(u64, (u64, usize), u64, BadLines)>::deserialize(at) else {
            return Ok(false);
        };
        let reader = reader(&self.opened.intake, begin, self.opened.delimiter);
        (self.opened.reader, self.opened.begin, self.opened.last) = (reader, begin, last);
        (self.rows, self.opened.bad_lines) = (rows, bad_lines);
        Ok(true)
    }
}

fn reader(intake: &Intake, begin: u64, delimiter: u8) -> Reader<Bounded<Place>> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).has_headers(false).flexible(true).buffer_capacity(BUFFER_BYTES);
    builder.from_reader(Bounded::new(intake.from(begin)))
}

/// Where the text begins: behind a byte order mark.
fn begin(path: &Path, intake: &Intake) -> Result<u64, SourceError> {
    let mut first = Vec::new();
    intake.from(0).take(PARQUET.len() as u64).read_to_end(&mut first).map_err(|e| unreadable(path, &e))?;
    if first.starts_with(b"\xFF\xFE") || first.starts_with(b"\xFE\xFF") {
        let reason = "the file is UTF-16\n  hint: save it as UTF-8".to_owned();
        return Err(SourceError::Header { path: path.to_owned(), reason });
    }
    if let Some((_, packing)) = PACKED.iter().find(|(magic, _)| first.starts_with(magic)) {
        let reason = format!("it is {packing}, not a text\n  hint: unpack it, or export it as plain CSV");
        return Err(SourceError::Header { path: path.to_owned(), reason });
    }
    if first == PARQUET {
        let reason = "it is a Parquet file\n  hint: say kind = \"parquet\"".to_owned();
        return Err(SourceError::Header { path: path.to_owned(), reason });
    }
    Ok(if first.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() as u64 } else { 0 })
}

/// Whether a text of rows ends inside a quoted field, by the reader's own rules.
fn ends_within_quotes(text: &[u8], delimiter: u8) -> bool {
    #[derive(Clone, Copy)]
    enum At {
        FieldStart,
        Plain,
        Quoted,
        QuoteInQuoted,
    }
    let end = text.iter().fold(At::FieldStart, |at, byte| match (at, *byte) {
        (At::FieldStart, b'"') | (At::QuoteInQuoted, b'"') => At::Quoted,
        (At::Quoted, b'"') => At::QuoteInQuoted,
        (At::Quoted, _) => At::Quoted,
        (_, b'\n' | b'\r') => At::FieldStart,
        (_, b) if b == delimiter => At::FieldStart,
        _ => At::Plain,
    });
    matches!(end, At::Quoted)
}

/// A header of one column with a usual delimiter in it was split by the wrong one.
fn other_delimiter(path: &Path, header: Option<&[String]>) -> Result<(), SourceError> {
    let Some([only]) = header else { return Ok(()) };
    let Some(found) = [';', ',', '\t', '|'].into_iter().find(|d| only.contains(*d)) else { return Ok(()) };
    let found = found.escape_default();
    let reason = format!("the header is one column, with `{found}` in it\n  hint: say delimiter = \"{found}\"");
    Err(SourceError::Header { path: path.to_owned(), reason })
}

fn names(path: &Path, in_file: Option<Vec<String>>, configured: Option<&[String]>) -> Result<Vec<String>, SourceError> {
    let (found, wanted) = match (in_file, configured) {
        (Some(found), None) => return Ok(found),
        (found, Some(wanted)) => (found, wanted.to_vec()),
        (None, None) => (None, vec![]),
    };
    match found {
        Some(found) if found.len() != wanted.len() => Err(SourceError::Header {
            path: path.to_owned(),
            reason: format!("the header has {} columns, `columns` in node.toml names {}", found.len(), wanted.len()),
        }),
        _ => Ok(wanted),
    }
}

fn normalised(path: &Path, names: &[String]) -> Result<Vec<Option<ColumnName>>, SourceError> {
    let fields: Vec<Option<ColumnName>> = names.iter().map(|name| source_column(name)).collect();
    let mut seen: HashMap<&ColumnName, usize> = HashMap::new();
    for (i, field) in fields.iter().enumerate().filter_map(|(i, f)| Some((i, f.as_ref()?))) {
        if let Some(before) = seen.insert(field, i) {
            // Without the name: where the header is missing, it is a patient's value.
            let reason = format!(
                "columns {} and {} have the same name\n  hint: name them apart with `columns`; if the file has no header, say \
                 `header = false`",
                before + 1,
                i + 1
            );
            return Err(SourceError::Header { path: path.to_owned(), reason });
        }
    }
    if seen.is_empty() {
        return Err(SourceError::Header { path: path.to_owned(), reason: "no column has a usable name".into() });
    }
    Ok(fields)
}
