//! A folder of files as one source: the parts of one table, as Spark and others write them, in the order of their names. Every file is a part, but for those
//! whose names begin with `_` or `.`; all have the same columns. One is open at a time.

use std::fs;
use std::path::{Path, PathBuf};

use bocage_protocol::ids::{ColumnName, Digest};
use polars::prelude::DataFrame;
use serde::Deserialize as _;
use serde_json::Value;

use super::intake::unreadable;
use super::reading::{BatchSize, Batches, Bookmark, Findings, Reading};
use super::report::{BadLines, Found};
use super::{Mapping, NO_ROWS, Opened, SourceError, SourceSpec};

/// How many lines of one kind are named.
const PLACES: usize = 20;

/// A folder whose parts were looked at.
pub struct OpenedParts {
    folder: PathBuf,
    /// Of one part: its path is another's.
    spec: SourceSpec,
    files: Vec<PathBuf>,
    bytes: Vec<u64>,
    /// The first of them.
    pub(super) first: Opened,
    identity: Digest,
}

impl OpenedParts {
    /// Looks at each part's columns.
    pub(super) fn open(spec: &SourceSpec) -> Result<Self, SourceError> {
        let folder = spec.path().to_owned();
        let (files, bytes) = find(&folder)?.into_iter().unzip::<_, _, Vec<PathBuf>, Vec<u64>>();
        let Some(first) = files.first() else {
            let reason = "the folder has no file\n  hint: the parts of a table lie in it; names that begin with _ or . are passed over";
            return Err(refused(&folder, reason.to_owned()));
        };
        let first = Opened::open(&spec.of_part(first))?;
        let mut identities = Vec::new();
        for file in &files {
            identities.extend(part(spec, &first, file)?.1.as_bytes());
        }
        let identity = Digest::of("bocage/parts-identity/1", &[&identities]);
        Ok(Self { folder, spec: spec.clone(), files, bytes, first, identity })
    }

    /// What tells these parts from others: names, and the identity of each.
    pub(super) fn identity(&self) -> Digest {
        self.identity
    }

    pub(super) fn columns(&self) -> Vec<ColumnName> {
        self.first.columns()
    }

    pub(super) fn read(self, mapping: &Mapping, size: BatchSize) -> Reading {
        let path = self.folder.clone();
        let (mapping, bad_lines) = (mapping.clone(), BadLines::default());
        Reading::new(path, PartsReading { opened: self, mapping, size, begun: 0, current: None, rows: 0, bad_lines })
    }
}

/// The parts of a folder, and their sizes, in order of their names.
fn find(folder: &Path) -> Result<Vec<(PathBuf, u64)>, SourceError> {
    let failed = |e: std::io::Error| unreadable(folder, &e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let hidden = file.file_name().is_none_or(|name| matches!(name.as_encoded_bytes(), [b'_' | b'.', ..]));
        if hidden {
            continue;
        }
        let facts = fs::metadata(&file).map_err(|e| unreadable(&file, &e))?;
        if facts.is_dir() {
            let reason = "a folder among the parts, which is not entered\n  hint: write the table without partitions by a column, or say one folder a dataset";
            return Err(refused(&file, reason.to_owned()));
        }
        files.push((file, facts.len()));
    }
    files.sort();
    Ok(files)
}

/// A part of the same columns as the first one, and its identity.
fn part(spec: &SourceSpec, first: &Opened, file: &Path) -> Result<(Opened, Digest), SourceError> {
    let opened = Opened::open(&spec.of_part(file))?;
    let (own, wanted) = (opened.shape(), first.shape());
    if let Some((at, _)) = (1..).zip(own.iter().zip(&wanted)).find(|(_, (own, wanted))| own != wanted) {
        let reason = format!(
            "its column {at} is another than that of the folder's first part\n  hint: all parts of a table have the same columns, in the same order"
        );
        return Err(refused(file, reason));
    }
    if own.len() != wanted.len() {
        let reason = format!(
            "it has {} columns, the folder's first part {}\n  hint: all parts of a table have the same columns, in the same order",
            own.len(),
            wanted.len()
        );
        return Err(refused(file, reason));
    }
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    let identity = opened.identity()?.map(|digest| *digest.as_bytes()).unwrap_or_default();
    Ok((opened, Digest::of("bocage/part-identity/1", &[name, &identity])))
}

fn refused(path: &Path, reason: String) -> SourceError {
    SourceError::Header { path: path.to_owned(), reason }
}

/// A folder while its parts are read.
struct PartsReading {
    opened: OpenedParts,
    mapping: Mapping,
    size: BatchSize,
    /// How many parts were begun.
    begun: usize,
    /// The last of these.
    current: Option<Reading>,
    rows: u64,
    bad_lines: BadLines,
}

impl PartsReading {
    /// The next part, from its first row; none where all were begun.
    fn begin(&mut self) -> Result<Option<Reading>, SourceError> {
        let Some(file) = self.opened.files.get(self.begun) else { return Ok(None) };
        let (opened, _) = part(&self.opened.spec, &self.opened.first, file)?;
        self.begun += 1;
        opened.batches(&self.mapping, self.size).map(Some)
    }

    /// Takes what was found in a part that was read. One without a row is one.
    fn ended(&mut self, part: Reading) -> Result<(), SourceError> {
        let found = match part.finish() {
            Ok(found) => found.bad_lines,
            Err(SourceError::Empty { reason, .. }) if reason == NO_ROWS => return Ok(()),
            Err(error) => return Err(error),
        };
        let file = self.opened.files.get(self.begun - 1).and_then(|file| file.file_name()).unwrap_or_default();
        let file = file.to_string_lossy();
        let lines = [
            ("a line with another number of fields: left out", found.wrong_field_count),
            ("no UTF-8: left out", found.not_utf8),
            ("zero bytes: left out", found.zero_bytes),
        ];
        for (what, lines) in lines.into_iter().filter(|(_, lines)| lines.count > 0) {
            let places = lines.first.iter().map(|line| format!("{file}:{line}"));
            add(&mut self.bad_lines.found, what, true, lines.count, places);
        }
        if found.unended {
            let what = "a last line without a line end: if the file was cut off there, its last value is not whole";
            add(&mut self.bad_lines.found, what, false, 1, [file.into_owned()].into_iter());
        }
        Ok(())
    }
}

fn add(all: &mut Vec<Found>, what: &str, left_out: bool, count: u64, places: impl Iterator<Item = String>) {
    let at = all.iter().position(|found| found.what == what).unwrap_or_else(|| {
        all.push(Found { what: what.to_owned(), count: 0, left_out, first: Vec::new() });
        all.len() - 1
    });
    all[at].count += count;
    let room = PLACES - all[at].first.len();
    all[at].first.extend(places.take(room));
}

impl Batches for PartsReading {
    fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
        loop {
            if self.current.is_none() {
                self.current = self.begin()?;
            }
            let Some(current) = &mut self.current else { return Ok(None) };
            if let Some(batch) = current.next()? {
                self.rows += batch.height() as u64;
                return Ok(Some(batch));
            }
            if let Some(over) = self.current.take() {
                self.ended(over)?;
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<Findings, SourceError> {
        let OpenedParts { folder, spec, identity, bytes, .. } = self.opened;
        // Also a part that comes on top, or that is another since it was read.
        if !OpenedParts::open(&spec).is_ok_and(|now| now.identity == identity) {
            return Err(SourceError::Changed { path: folder });
        }
        if self.rows == 0 {
            return Err(SourceError::Empty { path: folder, reason: "no part has a row".to_owned() });
        }
        Ok(Findings { bad_lines: self.bad_lines, source_bytes: bytes.iter().sum() })
    }

    fn share(&self) -> Option<f64> {
        let bytes = &self.opened.bytes;
        let all: u64 = bytes.iter().sum();
        let over = self.begun - usize::from(self.current.is_some());
        let within = self.current.as_ref().and_then(Reading::share).zip(bytes.get(over));
        let done =
            bytes[..over].iter().sum::<u64>() as f64 + within.map_or(0.0, |(share, bytes)| share * *bytes as f64);
        (all > 0).then(|| (done / all as f64).min(1.0))
    }

    fn bookmark(&mut self) -> Bookmark {
        // Between two parts there is no current one: the next part's beginning is no place yet.
        let Some(within) = self.current.as_mut().and_then(|current| current.bookmark().at) else {
            return Bookmark::default();
        };
        let at = serde_json::to_value((self.begun, within, self.rows, &self.bad_lines)).ok();
        Bookmark { at, beside: Vec::new() }
    }

    fn go_on(&mut self, at: &Value, _: &[u8]) -> Result<bool, SourceError> {
        let Ok((begun, within, rows, bad_lines)) = <(usize, Value, u64, BadLines)>::deserialize(at) else {
            return Ok(false);
        };
        self.begun = begun.saturating_sub(1);
        let Some(mut part) = self.begin()? else { return Ok(false) };
        part.go_on(&within, &[])?;
        (self.current, self.rows, self.bad_lines) = (Some(part), rows, bad_lines);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::reading::whole;
    use super::*;
    use bocage_protocol::settings::Problems;

    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/omop");

    fn spec(kind: &str, folder: &Path) -> SourceSpec {
        let section = json!({"kind": kind, "path": "."});
        SourceSpec::read(&section, "node.toml", "source", folder, &mut Problems::default()).unwrap()
    }

    fn read(spec: &SourceSpec) -> Result<(DataFrame, Findings), SourceError> {
        let opened = Opened::open(spec)?;
        let mapping = Mapping::plain(&opened.columns());
        whole(opened.read(&mapping, BatchSize { rows: 700, bytes: usize::MAX })?)
    }

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        dir
    }

    #[test]
    fn parquet_parts_are_one_table_in_the_order_of_their_names_and_what_is_none_of_them_is_passed_over() {
        let dir = written(&[("_SUCCESS", ""), (".part-0.parquet.crc", "crc"), ("_metadata", "no Parquet")]);
        let copy = |from: &str, to: &str| fs::copy(format!("{DATA}/{from}"), dir.path().join(to)).unwrap();
        copy("person.parquet", "part-1.parquet");
        let (once, found) = read(&spec("parquet", dir.path())).unwrap();
        let bytes = fs::metadata(format!("{DATA}/person.parquet")).unwrap().len();
        assert_eq!((once.height() > 10, found.source_bytes), (true, bytes));
        copy("person.parquet", "part-0.parquet");
        let (twice, found) = read(&spec("parquet", dir.path())).unwrap();
        assert!(twice.equals_missing(&once.vstack(&once).unwrap()));
        assert_eq!(found.source_bytes, 2 * bytes);
        copy("death.parquet", "part-9.parquet");
        let says = read(&spec("parquet", dir.path())).unwrap_err().to_string();
        assert!(says.contains("part-9.parquet: its column "), "{says}");
        assert!(says.contains("\n  hint: all parts of a table have the same columns"), "{says}");
    }

    #[test]
    fn of_csv_parts_bad_lines_are_named_with_their_files_and_a_part_without_rows_is_one() {
        let files = [("a.csv", "x,y\n1,2\n3\n"), ("b.csv", "x,y\n"), ("c.csv", "x,y\n5,6\n7,8,9\n7\n4,5")];
        let dir = written(&files);
        let (rows, found) = read(&spec("csv", dir.path())).unwrap();
        assert_eq!(rows.height(), 3);
        let told: Vec<String> = found
            .bad_lines
            .found
            .iter()
            .map(|f| format!("{} × {} ({})", f.count, f.what, f.first.join(", ")))
            .collect();
        let unended =
            "1 × a last line without a line end: if the file was cut off there, its last value is not whole (c.csv)";
        assert_eq!(told, ["3 × a line with another number of fields: left out (a.csv:3, c.csv:3, c.csv:4)", unended]);
    }

    #[test]
    fn what_is_no_part_of_the_table_or_no_part_at_all_is_refused_with_its_name() {
        let says = |files: &[(&str, &str)]| read(&spec("csv", written(files).path())).unwrap_err().to_string();
        let named = |said: String, file: &str, wanted: &str| {
            assert!(said.contains(&format!("/{file}: {wanted}")), "{said}");
            assert!(said.contains("\n  hint: "), "{said}");
        };
        named(says(&[("a.csv", "x,y\n1,2\n"), ("b.csv", "y,x\n1,2\n")]), "b.csv", "its column 1 is another");
        named(
            says(&[("a.csv", "x,y\n1,2\n"), ("b.csv", "x\n1\n")]),
            "b.csv",
            "it has 1 columns, the folder's first part 2",
        );
        named(
            says(&[("a.csv", "x,y\n1,2\n"), ("b.csv", "x,y\n1;2\n")]),
            "b.csv",
            "no usable row: 1 lines do not have 2",
        );
        let empty = says(&[("a.csv", "x,y\n"), ("_SUCCESS", "")]);
        assert!(empty.ends_with("no usable row: no part has a row"), "{empty}");
        let dir = written(&[("a.csv", "x,y\n1,2\n")]);
        fs::create_dir(dir.path().join("year=2020")).unwrap();
        named(read(&spec("csv", dir.path())).unwrap_err().to_string(), "year=2020", "a folder among the parts");
    }

    #[test]
    fn a_part_that_comes_or_changes_while_the_others_are_read_refuses_the_folder() {
        for (name, text) in [("c.csv", "x,y\n9,9\n"), ("a.csv", "x,y\n1,3\n")] {
            let dir = written(&[("a.csv", "x,y\n1,2\n"), ("b.csv", "x,y\n3,4\n")]);
            let opened = Opened::open(&spec("csv", dir.path())).unwrap();
            let mapping = Mapping::plain(&opened.columns());
            let mut reading = opened.read(&mapping, BatchSize { rows: 1, bytes: usize::MAX }).unwrap();
            while reading.next().unwrap().is_some() {}
            fs::write(dir.path().join(name), text).unwrap();
            assert!(matches!(reading.finish(), Err(SourceError::Changed { .. })), "{name}");
        }
    }
}
