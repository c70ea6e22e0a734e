//! CSV files as text columns. Bad lines are counted and named by number, never fatal and never repeated.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use bocage_protocol::front::source_column;
use bocage_protocol::ids::ColumnName;
use csv::{ByteRecord, Reader, ReaderBuilder};
use polars::prelude::{Column, DataFrame, IntoColumn, StringChunkedBuilder};

use super::{BadLines, CsvSource, SourceError, SourceRows};

/// Subject numbers are `u32`, with the largest kept free.
const MOST_ROWS: u64 = u32::MAX as u64 - 1;

/// A CSV file whose header was read.
pub struct OpenedCsv {
    path: PathBuf,
    reader: Reader<BufReader<File>>,
    /// One a field of a line; `None` where the name has no letter or digit.
    fields: Vec<Option<ColumnName>>,
    missing: Vec<String>,
    source_bytes: u64,
    bad_lines: BadLines,
    lines: LineFinder,
}

/// Tells on which line of the file a byte stands: the reader's own count is off behind blank lines and `\r\n`.
///
/// It reads the file a second time, up to the last bad line that is named.
struct LineFinder {
    bytes: BufReader<File>,
    line: u64,
    at: u64,
}

impl LineFinder {
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
        let file = File::open(&path).map_err(|e| unreadable(&path, e.kind()))?;
        let facts = file.metadata().map_err(|e| unreadable(&path, e.kind()))?;
        if !facts.is_file() {
            return Err(SourceError::Header { path, reason: "not a file".into() });
        }
        let mut buffered = BufReader::new(file);
        skip_byte_order_mark(&mut buffered).map_err(|kind| unreadable(&path, kind))?;
        let mut again = BufReader::new(File::open(&path).map_err(|e| unreadable(&path, e.kind()))?);
        skip_byte_order_mark(&mut again).map_err(|kind| unreadable(&path, kind))?;
        let mut reader =
            ReaderBuilder::new().delimiter(source.delimiter).has_headers(false).flexible(true).from_reader(buffered);
        let in_file = if source.header { Some(header(&path, &mut reader)?) } else { None };
        let names = names(&path, in_file, source.columns.as_deref())?;
        let fields = normalised(&path, &names)?;
        let missing = source.missing.clone();
        let lines = LineFinder { bytes: again, line: 1, at: 0 };
        Ok(Self { path, reader, fields, missing, source_bytes: facts.len(), bad_lines: BadLines::default(), lines })
    }

    pub(super) fn columns(&self) -> Vec<ColumnName> {
        self.fields.iter().flatten().cloned().collect()
    }

    pub(super) fn read(mut self, wanted: &[ColumnName]) -> Result<SourceRows, SourceError> {
        let positions: Vec<(usize, &ColumnName)> = wanted
            .iter()
            .filter_map(|name| Some((self.fields.iter().position(|f| f.as_ref() == Some(name))?, name)))
            .collect();
        let mut builders: Vec<StringChunkedBuilder> =
            positions.iter().map(|(_, name)| StringChunkedBuilder::new(name.as_str().into(), 0)).collect();
        let (mut record, mut rows) = (ByteRecord::new(), 0u64);
        while self.next(&mut record)? {
            if rows == MOST_ROWS {
                return Err(SourceError::TooManyRows { path: self.path, limit: MOST_ROWS });
            }
            rows += 1;
            for ((position, _), builder) in positions.iter().zip(&mut builders) {
                // `next` checked that the line is UTF-8 and has this field.
                let text = std::str::from_utf8(&record[*position]).unwrap_or_default().trim();
                builder.append_option((!self.missing.iter().any(|m| m == text)).then_some(text));
            }
        }
        if rows == 0 {
            return Err(self.empty());
        }
        let columns: Vec<Column> = builders.into_iter().map(|b| b.finish().into_column()).collect();
        let frame = DataFrame::new(rows as usize, columns)
            .map_err(|_| SourceError::Header { path: self.path, reason: "the columns do not form a table".into() })?;
        Ok(SourceRows { frame, rows, bad_lines: self.bad_lines, source_bytes: self.source_bytes })
    }

    /// The next usable line. Bad ones are counted and passed over.
    fn next(&mut self, record: &mut ByteRecord) -> Result<bool, SourceError> {
        loop {
            if !self.reader.read_byte_record(record).map_err(|e| csv_error(&self.path, &e))? {
                return Ok(false);
            }
            let bad = if record.len() != self.fields.len() {
                &mut self.bad_lines.wrong_field_count
            } else if std::str::from_utf8(record.as_slice()).is_err() {
                &mut self.bad_lines.not_utf8
            } else {
                return Ok(true);
            };
            bad.count += 1;
            if bad.wants_numbers() {
                let byte = record.position().map_or(0, csv::Position::byte);
                bad.first.push(self.lines.line_at(byte).map_err(|e| unreadable(&self.path, e.kind()))?);
            }
        }
    }

    fn empty(self) -> SourceError {
        let BadLines { wrong_field_count, not_utf8 } = &self.bad_lines;
        let reason = match (wrong_field_count.count, not_utf8.count) {
            (0, 0) => "the file has no rows".to_owned(),
            (0, _) => "no line is UTF-8\n  hint: save the file as UTF-8".to_owned(),
            (ragged, _) => format!(
                "{ragged} lines do not have {} fields\n  hint: check `delimiter`, `header` and `columns`",
                self.fields.len()
            ),
        };
        SourceError::Empty { path: self.path, reason }
    }
}

fn unreadable(path: &Path, kind: ErrorKind) -> SourceError {
    match kind {
        ErrorKind::NotFound => SourceError::Missing { path: path.to_owned() },
        kind => SourceError::Unreadable { path: path.to_owned(), kind },
    }
}

/// A reading error without its text, which could hold a field.
fn csv_error(path: &Path, error: &csv::Error) -> SourceError {
    match error.kind() {
        csv::ErrorKind::Io(e) => unreadable(path, e.kind()),
        _ => unreadable(path, ErrorKind::InvalidData),
    }
}

fn skip_byte_order_mark(reader: &mut BufReader<File>) -> Result<(), ErrorKind> {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    let marked = reader.fill_buf().map_err(|e| e.kind())?.starts_with(MARK);
    if marked {
        reader.consume(MARK.len());
    }
    Ok(())
}

fn header(path: &Path, reader: &mut Reader<BufReader<File>>) -> Result<Vec<String>, SourceError> {
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|e| csv_error(path, &e))? {
        return Err(SourceError::Empty { path: path.to_owned(), reason: "the file is empty".into() });
    }
    record
        .iter()
        .map(|field| std::str::from_utf8(field).map(str::to_owned))
        .collect::<Result<_, _>>()
        .map_err(|_| SourceError::Header { path: path.to_owned(), reason: "the header is not UTF-8".into() })
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
            let reason = format!(
                "columns {} and {} have the same name `{field}`\n  hint: name them apart with `columns` in node.toml",
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn source(bytes: &[u8]) -> (tempfile::TempDir, CsvSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.csv");
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let missing = ["", "NA"].map(str::to_owned).to_vec();
        (dir, CsvSource { path, delimiter: b',', header: true, columns: None, missing })
    }

    fn texts(rows: &SourceRows, name: &str) -> Vec<Option<String>> {
        let column = rows.frame.column(name).unwrap();
        column.str().unwrap().iter().map(|v| v.map(str::to_owned)).collect()
    }

    fn name(text: &str) -> ColumnName {
        text.parse().unwrap()
    }

    #[test]
    fn wanted_columns_are_read_trimmed_and_missing_markers_are_null() {
        let (_dir, source) = source(b"\xEF\xBB\xBFAge, Sex at Birth,other\n 63 ,NA,x\n41,,y\n");
        let opened = OpenedCsv::open(&source).unwrap();
        assert_eq!(opened.columns(), ["age", "sex_at_birth", "other"].map(name));
        let rows = opened.read(&["sex_at_birth", "age"].map(name)).unwrap();
        assert_eq!(texts(&rows, "age"), [Some("63".to_owned()), Some("41".to_owned())]);
        assert_eq!(texts(&rows, "sex_at_birth"), [None, None]);
        assert_eq!(rows.frame.width(), 2);
    }

    #[test]
    fn bad_lines_are_counted_and_named_by_number() {
        let mut bytes = b"a,b\n1,2\n1,2,3\n\n1,\xFF\r\n5,6\n".to_vec();
        bytes.extend(b"7\n".repeat(30));
        let (_dir, source) = source(&bytes);
        let rows = OpenedCsv::open(&source).unwrap().read(&[name("a")]).unwrap();
        assert_eq!(rows.rows, 2);
        assert_eq!(rows.bad_lines.not_utf8.first, [5]);
        assert_eq!(rows.bad_lines.wrong_field_count.count, 31);
        assert_eq!(rows.bad_lines.wrong_field_count.first[..2], [3, 7]);
        assert_eq!(rows.bad_lines.wrong_field_count.first.len(), 20);
    }

    #[test]
    fn line_numbers_are_right_behind_quoted_line_ends_and_windows_ones() {
        let (_dir, source) = source(b"\xEF\xBB\xBFa,b\r\n\"x\ny\",2\r\n1\r\n\r\n2\r\n3,4\r\n5");
        let rows = OpenedCsv::open(&source).unwrap().read(&[name("a")]).unwrap();
        assert_eq!(rows.rows, 2);
        assert_eq!(rows.bad_lines.wrong_field_count.first, [4, 6, 8]);
    }

    #[test]
    fn a_missing_empty_or_ambiguous_file_is_a_clear_error() {
        let (dir, good) = source(b"a,b\n1,2\n");
        let gone = CsvSource { path: dir.path().join("gone.csv"), ..good.clone() };
        assert!(matches!(OpenedCsv::open(&gone), Err(SourceError::Missing { .. })));
        let folder = CsvSource { path: dir.path().to_owned(), ..good };
        assert!(OpenedCsv::open(&folder).is_err());
        let (_dir, empty) = source(b"");
        assert!(matches!(OpenedCsv::open(&empty), Err(SourceError::Empty { .. })));
        let (_dir, headed) = source(b"a,b\n");
        let error = OpenedCsv::open(&headed).unwrap().read(&[name("a")]).err().unwrap();
        assert!(error.to_string().ends_with("no usable line: the file has no rows"), "{error}");
        let (_dir, semicolons) = source(b"a;b,c\n1;2\n");
        let error = OpenedCsv::open(&semicolons).unwrap().read(&[]).err().unwrap();
        assert!(error.to_string().contains("check `delimiter`"), "{error}");
        let (_dir, twice) = source(b"Chol,chol \n1,2\n");
        let error = OpenedCsv::open(&twice).err().unwrap();
        assert!(error.to_string().contains("columns 1 and 2 have the same name `chol`"), "{error}");
    }

    #[test]
    fn names_from_the_configuration_replace_those_of_the_file() {
        let (_dir, mut source) = source(b"1,2\n3,4\n");
        source.columns = Some(vec!["x".into(), "y".into()]);
        source.header = false;
        assert_eq!(OpenedCsv::open(&source).unwrap().read(&[name("y")]).unwrap().rows, 2);
        source.header = true;
        assert_eq!(OpenedCsv::open(&source).unwrap().read(&[name("y")]).unwrap().rows, 1);
        source.columns = Some(vec!["x".into()]);
        assert!(OpenedCsv::open(&source).err().unwrap().to_string().contains("the header has 2 columns"));
    }
}
