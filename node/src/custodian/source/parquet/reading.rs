//! The rows of a Parquet file: a few of all wanted columns at a time, row group by row group.

use ::parquet::basic::Type;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::DataType;
use ::parquet::file::reader::FileReader as _;
use bocage_protocol::ids::ColumnName;
use polars::prelude::{BooleanChunked, Column, DataFrame, NewChunkedArray as _};
use serde::Deserialize as _;
use serde_json::Value;

use super::super::reading::{BatchSize, Batches, Bookmark, Findings, VIEW_BYTES};
use super::super::{BadLines, NO_ROWS, SourceError};
use super::held::Plain;
use super::pages::Pages;
use super::schema::Leaf;
use super::sink::{STEP, Shared, Sink};
use super::texts::{self, TextPages};
use super::{DAMAGED, Fault, OpenedParquet, ROW_COUNT, TOO_LARGE, guarded, room, sound, text};

/// A Parquet file while it is read.
pub struct ParquetReading {
    opened: OpenedParquet,
    wanted: Vec<(ColumnName, Leaf)>,
    size: BatchSize,
    /// The row group that is being read.
    group: Option<Group>,
    next_group: usize,
    /// Rows of the file that were read.
    read: u64,
    /// What long texts may still take.
    pub(super) room: u64,
    kept: u64,
    bad_lines: BadLines,
}

/// A row group, and the decoders of its wanted columns.
struct Group {
    /// Where it stands, as the end of a sentence.
    at: String,
    left: u64,
    columns: Vec<Decoder>,
}

/// What decodes a column of a row group.
pub(super) enum Decoder {
    /// Texts that are taken from its pages.
    Texts(TextPages),
    /// All else.
    Any(ColumnReader),
}

impl ParquetReading {
    pub(super) fn new(opened: OpenedParquet, wanted: &[ColumnName], size: BatchSize) -> Result<Self, SourceError> {
        let wanted: Vec<(ColumnName, Leaf)> =
            opened.leaves(wanted)?.into_iter().map(|(name, leaf)| (name.clone(), leaf)).collect();
        let room = room(opened.intake.bytes(), opened.rows, wanted.len())
            .ok_or_else(|| SourceError::Header { path: opened.path.clone(), reason: TOO_LARGE.to_owned() })?;
        Ok(Self {
            opened,
            wanted,
            size,
            group: None,
            next_group: 0,
            read: 0,
            room,
            kept: 0,
            bad_lines: BadLines::default(),
        })
    }

    /// Goes on to the next row group that has rows; false where there is none.
    fn next_group(&mut self) -> Result<bool, SourceError> {
        while let Some(group) = self.opened.reader.metadata().row_groups().get(self.next_group) {
            // `row_count` looked at it.
            let rows = group.num_rows() as u64;
            self.next_group += 1;
            if rows == 0 {
                continue;
            }
            let (first, last) = (self.read + 1, self.read + rows);
            let at = format!(", row group {} (rows {first} to {last})", self.next_group);
            let mut columns = Vec::with_capacity(self.wanted.len());
            for (name, leaf) in &self.wanted {
                let decoder = guarded(|| self.opened.decoder(self.next_group - 1, rows, *leaf));
                columns.push(decoder.map_err(|fault| self.opened.fault(name, fault, at.clone()))?);
            }
            self.group = Some(Group { at, left: rows, columns });
            return Ok(true);
        }
        Ok(false)
    }
}

/// A column of a batch while it is filled.
enum Filled<'a> {
    Texts(Sink<'a>),
    Plain(Plain),
}

impl<'a> Filled<'a> {
    fn new(name: &ColumnName, leaf: Leaf, behind: u64, missing: &'a [String], shared: &'a Shared) -> Self {
        match Plain::new(name, leaf.held, missing) {
            Some(plain) => Filled::Plain(plain),
            None => Filled::Texts(Sink::new(name, behind, missing, shared)),
        }
    }

    fn fill(&mut self, column: &mut Decoder, leaf: Leaf, rows: u64) -> Result<(), Fault> {
        match (self, column) {
            (Filled::Texts(sink), column) => fill(column, leaf, rows, sink),
            (Filled::Plain(plain), Decoder::Any(column)) => plain.fill(column, leaf, rows),
            // Texts are held as nothing else.
            (Filled::Plain(_), Decoder::Texts(_)) => Err(Fault::Broken(DAMAGED)),
        }
    }

    fn finish(self) -> Column {
        match self {
            Filled::Texts(sink) => sink.finish(),
            Filled::Plain(plain) => plain.finish(),
        }
    }
}

impl ParquetReading {
    /// Decodes so many rows of the row group, and forgets them.
    fn pass(&mut self, rows: u64) -> Result<(), SourceError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        group.left -= rows;
        for ((name, leaf), column) in self.wanted.iter().zip(&mut group.columns) {
            let mut left = rows;
            while left > 0 {
                let shared = Shared::new(u64::MAX);
                let step = left.min(STEP as u64);
                let mut sink = Filled::new(name, *leaf, 0, &[], &shared);
                let passed = guarded(|| sink.fill(column, *leaf, step));
                passed.map_err(|fault| self.opened.fault(name, fault, group.at.clone()))?;
                left -= step;
            }
        }
        Ok(())
    }
}

impl Batches for ParquetReading {
    fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
        let (before, missing) = (self.read, self.opened.missing.clone());
        let shared = Shared::new(self.room);
        let mut sinks: Vec<Filled<'_>> =
            self.wanted.iter().map(|(name, leaf)| Filled::new(name, *leaf, before, &missing, &shared)).collect();
        let mut height = 0;
        let row_bytes = self.wanted.len() * VIEW_BYTES;
        while height < self.size.rows && shared.bytes.get() + height * row_bytes < self.size.bytes {
            if self.group.is_none() && !self.next_group()? {
                break;
            }
            let Some(group) = &mut self.group else { break };
            let step = group.left.min(STEP as u64).min((self.size.rows - height) as u64);
            group.left -= step;
            for (((name, leaf), column), sink) in self.wanted.iter().zip(&mut group.columns).zip(&mut sinks) {
                let ends = group.left == 0;
                let filled = guarded(|| sink.fill(column, *leaf, step).and_then(|()| over(column, ends)));
                filled.map_err(|fault| self.opened.fault(name, fault, group.at.clone()))?;
            }
            height += step as usize;
            self.read += step;
            if group.left == 0 {
                self.group = None;
            }
        }
        if height == 0 {
            return Ok(None);
        }
        let columns: Vec<Column> = sinks.into_iter().map(Filled::finish).collect();
        self.room = shared.room.get();
        let bad = shared.bad.into_inner();
        bad.note(&mut self.bad_lines);
        self.kept += height as u64 - bad.rows();
        let frame = DataFrame::new(height, columns).ok();
        let frame = match (frame, bad.rows()) {
            (Some(frame), 0) => Some(frame),
            (frame, _) => {
                let numbers = before + 1..=before + height as u64;
                let sound = BooleanChunked::from_iter_values("sound".into(), numbers.map(|row| !bad.contains(row)));
                frame.and_then(|f| f.filter(&sound).ok())
            }
        };
        frame.map(Some).ok_or_else(|| SourceError::Header {
            path: self.opened.path.clone(),
            reason: "the columns do not form a table".into(),
        })
    }

    fn finish(self: Box<Self>) -> Result<Findings, SourceError> {
        let OpenedParquet { path, intake, rows, .. } = self.opened;
        intake.unchanged(&path)?;
        if rows == 0 {
            return Err(SourceError::Empty { path, reason: NO_ROWS.into() });
        }
        if self.kept == 0 {
            let reason = "no row is UTF-8\n  hint: write texts as UTF-8".to_owned();
            return Err(SourceError::Empty { path, reason });
        }
        Ok(Findings { bad_lines: self.bad_lines, source_bytes: intake.bytes() })
    }

    fn share(&self) -> Option<f64> {
        (self.opened.rows > 0).then(|| self.read as f64 / self.opened.rows as f64)
    }

    fn bookmark(&mut self) -> Bookmark {
        let left = self.group.as_ref().map_or(0, |group| group.left);
        let at = (self.next_group, left, self.read, self.room, self.kept, &self.bad_lines);
        Bookmark { at: serde_json::to_value(at).ok(), beside: Vec::new() }
    }

    fn go_on(&mut self, at: &Value, _: &[u8]) -> Result<bool, SourceError> {
        type At = (usize, u64, u64, u64, u64, BadLines);
        let Ok((next_group, left, read, room, kept, bad_lines)) = At::deserialize(at) else { return Ok(false) };
        if next_group > self.opened.reader.metadata().row_groups().len() {
            return Ok(false);
        }
        (self.next_group, self.room, self.kept, self.bad_lines) = (next_group, room, kept, bad_lines);
        self.read = read;
        if left > 0 {
            let groups = self.opened.reader.metadata().row_groups();
            let Some(group) = next_group.checked_sub(1).and_then(|at| groups.get(at)) else { return Ok(false) };
            let Some(over) = (group.num_rows() as u64).checked_sub(left) else { return Ok(false) };
            let Some(before) = read.checked_sub(over) else { return Ok(false) };
            (self.next_group, self.read) = (next_group - 1, before);
            self.next_group()?;
            self.pass(over)?;
            self.read = read;
        }
        Ok(true)
    }
}

impl OpenedParquet {
    /// The decoder of one column of one row group.
    pub(super) fn decoder(&self, group: usize, rows: u64, leaf: Leaf) -> Result<Decoder, Fault> {
        let chunk = self.reader.metadata().row_group(group).column(leaf.index);
        sound(chunk, rows, self.intake.bytes())?;
        let pages = Pages::new(&self.intake, chunk, rows, self.room.clone())?;
        if leaf.physical == Type::BYTE_ARRAY && texts::reads(chunk) {
            return Ok(Decoder::Texts(TextPages::new(pages, leaf.optional)));
        }
        Ok(Decoder::Any(get_column_reader(chunk.column_descr_ptr(), Box::new(pages))))
    }
}

/// Reads so many values of one column.
pub(super) fn fill(column: &mut Decoder, leaf: Leaf, rows: u64, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let form = leaf.form;
    let column = match column {
        Decoder::Any(column) => column,
        Decoder::Texts(texts) => {
            return texts.each(rows, |text| match text {
                Some(text) => sink.bytes(form, text),
                None => {
                    sink.null();
                    Ok(())
                }
            });
        }
    };
    match column {
        ColumnReader::BoolColumnReader(r) => {
            sink.fill(r, leaf, rows, |v, sink| sink.put(if *v { "true" } else { "false" }))
        }
        ColumnReader::Int32ColumnReader(r) => {
            sink.fill(r, leaf, rows, |v, sink| sink.write(|t| text::int32(t, form, *v)))
        }
        ColumnReader::Int64ColumnReader(r) => {
            sink.fill(r, leaf, rows, |v, sink| sink.write(|t| text::int64(t, form, *v)))
        }
        ColumnReader::Int96ColumnReader(r) => sink.fill(r, leaf, rows, |v, sink| sink.write(|t| text::int96(t, v))),
        ColumnReader::FloatColumnReader(r) => {
            sink.fill(r, leaf, rows, |v, sink| sink.float(leaf, text::float_stands_alone(*v), |t| text::float(t, *v)))
        }
        ColumnReader::DoubleColumnReader(r) => {
            sink.fill(r, leaf, rows, |v, sink| sink.float(leaf, text::double_stands_alone(*v), |t| text::double(t, *v)))
        }
        ColumnReader::ByteArrayColumnReader(r) => sink.fill(r, leaf, rows, |v, sink| sink.bytes(form, v.data())),
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            sink.fill(r, leaf, rows, |v, sink| sink.bytes(form, v.data()))
        }
    }
}

/// Where all rows of a row group were read, whether its column has no more.
pub(super) fn over(column: &mut Decoder, ends: bool) -> Result<(), Fault> {
    fn more<T: DataType>(column: &mut ColumnReaderImpl<T>) -> Result<usize, Fault> {
        // A decoder that is given nowhere to put levels refuses columns that have them.
        let (read, _, _) = column.read_records(1, Some(&mut Vec::new()), None, &mut Vec::new())?;
        Ok(read)
    }
    if !ends {
        return Ok(());
    }
    let column = match column {
        Decoder::Any(column) => column,
        Decoder::Texts(texts) => return if texts.has_more()? { Err(Fault::Broken(ROW_COUNT)) } else { Ok(()) },
    };
    let more = match column {
        ColumnReader::BoolColumnReader(r) => more(r),
        ColumnReader::Int32ColumnReader(r) => more(r),
        ColumnReader::Int64ColumnReader(r) => more(r),
        ColumnReader::Int96ColumnReader(r) => more(r),
        ColumnReader::FloatColumnReader(r) => more(r),
        ColumnReader::DoubleColumnReader(r) => more(r),
        ColumnReader::ByteArrayColumnReader(r) => more(r),
        ColumnReader::FixedLenByteArrayColumnReader(r) => more(r),
    };
    if more? == 0 { Ok(()) } else { Err(Fault::Broken(ROW_COUNT)) }
}
