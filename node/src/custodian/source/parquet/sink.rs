//! A text column while it is filled: markers of missing values become null, texts that no text column can hold spoil their row,
//! and the whole stays within what a file of its size may unfold to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::DataType;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::limits::SOURCE_LINE_BYTES;
use memchr::memchr;
use polars::prelude::{Column, IntoColumn as _, StringChunkedBuilder};

use super::super::BadLines;
use super::super::value::trimmed;
use super::schema::{Form, Leaf};
use super::{Fault, ROW_COUNT, TOO_LARGE, text};

/// Values that are decoded at once: what a decoder holds beside one page.
pub(super) const STEP: usize = 1024;

const TOO_LONG: &str =
    "the text is longer than 1 MiB\n  hint: leave the column out of the mapping, or write shorter texts";
const NO_TEXT: &str =
    "the bytes are no text in UTF-8\n  hint: write the column as text, or leave it out of the mapping";
const NO_ID: &str = "the number names a patient, and is so large that a float of its size stands for its neighbours too\n  hint: write ids as \
                     integers or as text";
const NO_NUMBER: &str = "the number has no digits, or more than 38\n  hint: the file is damaged; export it again";

/// Takes `rows` values from a decoder, which must have so many: `take` gets some that there are, and for each of their rows whether it has one (else 0).
pub(super) fn decode<T: DataType>(
    from: &mut ColumnReaderImpl<T>,
    leaf: Leaf,
    rows: u64,
    mut take: impl FnMut(&[T::T], &[i16]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (mut values, mut levels) = (Vec::with_capacity(STEP), Vec::with_capacity(STEP));
    let mut left = rows;
    while left > 0 {
        values.clear();
        levels.clear();
        let most = left.min(STEP as u64) as usize;
        let (read, present, _) = from.read_records(most, Some(&mut levels), None, &mut values)?;
        if read == 0 {
            return Err(Fault::Broken(ROW_COUNT));
        }
        left = left.checked_sub(read as u64).ok_or(Fault::Broken(ROW_COUNT))?;
        if leaf.optional {
            take(&values[..present], &levels[..read])?;
        } else {
            take(&values[..read], &[1; STEP][..read])?;
        }
    }
    Ok(())
}

/// What the columns of a batch share.
pub(super) struct Shared {
    /// Rows that are none.
    pub(super) bad: RefCell<BadRows>,
    /// What long texts of the file may still take.
    pub(super) room: Cell<u64>,
    /// What the texts of this batch take.
    pub(super) bytes: Cell<usize>,
}

impl Shared {
    pub(super) fn new(room: u64) -> Self {
        Self { bad: RefCell::default(), room: Cell::new(room), bytes: Cell::new(0) }
    }
}

/// A text column of a batch while it is filled, row by row.
pub(super) struct Sink<'a> {
    builder: StringChunkedBuilder,
    missing: &'a [String],
    shared: &'a Shared,
    buffer: String,
    /// The number of the row before, in the file.
    row: u64,
}

impl<'a> Sink<'a> {
    /// For rows behind the one of this number.
    pub(super) fn new(name: &ColumnName, behind: u64, missing: &'a [String], shared: &'a Shared) -> Self {
        let builder = StringChunkedBuilder::new(name.as_str().into(), 0);
        Self { builder, missing, shared, buffer: String::new(), row: behind }
    }

    /// Takes `rows` values from a decoder, which must have so many. `put` puts one value.
    pub(super) fn fill<T: DataType>(
        &mut self,
        from: &mut ColumnReaderImpl<T>,
        leaf: Leaf,
        rows: u64,
        put: impl Fn(&T::T, &mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        decode(from, leaf, rows, |values, present| {
            if values.len() == present.len() {
                return values.iter().try_for_each(|value| put(value, self));
            }
            let mut values = values.iter();
            for level in present {
                match *level {
                    0 => self.null(),
                    _ => put(values.next().ok_or(Fault::Broken(ROW_COUNT))?, self)?,
                }
            }
            Ok(())
        })
    }

    /// Puts a number, written into the buffer.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut String)) -> Result<(), Fault> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        write(&mut buffer);
        let put = self.put(&buffer);
        self.buffer = buffer;
        put
    }

    /// Puts a float, which must stand for no other number where it names a patient.
    pub(super) fn float(
        &mut self,
        leaf: Leaf,
        stands_alone: bool,
        write: impl FnOnce(&mut String),
    ) -> Result<(), Fault> {
        if leaf.names && !stands_alone { Err(Fault::Value(self.row + 1, NO_ID)) } else { self.write(write) }
    }

    /// Puts what stands in a column of bytes.
    pub(super) fn bytes(&mut self, form: Form, bytes: &[u8]) -> Result<(), Fault> {
        let here = self.row + 1;
        match form {
            Form::Decimal(scale) => {
                let unscaled = text::unscaled(bytes).ok_or(Fault::Value(here, NO_NUMBER))?;
                self.write(|out| text::decimal(out, unscaled, scale))
            }
            Form::Uuid => self.write(|out| text::uuid(out, bytes)),
            Form::Half => {
                let bytes = bytes.try_into().map_err(|_| Fault::Value(here, NO_NUMBER))?;
                self.write(|out| text::half(out, bytes))
            }
            _ if bytes.len() > SOURCE_LINE_BYTES => Err(Fault::Value(here, TOO_LONG)),
            _ => match std::str::from_utf8(bytes) {
                Ok(_) if memchr(0, bytes).is_some() => self.spoil(Bad::ZeroBytes),
                Ok(text) => self.put(trimmed(text)),
                Err(_) if form == Form::Bytes => Err(Fault::Value(here, NO_TEXT)),
                Err(_) => self.spoil(Bad::NotUtf8),
            },
        }
    }

    /// Puts a text that was trimmed.
    pub(super) fn put(&mut self, text: &str) -> Result<(), Fault> {
        self.row += 1;
        if self.missing.iter().any(|marker| marker == text) {
            self.builder.append_null();
            return Ok(());
        }
        let Shared { room, bytes, .. } = self.shared;
        room.set(room.get().checked_sub(text.len() as u64).ok_or(Fault::Broken(TOO_LARGE))?);
        bytes.set(bytes.get() + text.len());
        self.builder.append_value(text);
        Ok(())
    }

    pub(super) fn null(&mut self) {
        self.row += 1;
        self.builder.append_null();
    }

    fn spoil(&mut self, why: Bad) -> Result<(), Fault> {
        self.null();
        self.shared.bad.borrow_mut().0.entry(self.row).or_insert(why);
        Ok(())
    }

    /// The column.
    pub(super) fn finish(self) -> Column {
        self.builder.finish().into_column()
    }
}

/// Why a row is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    NotUtf8,
    ZeroBytes,
}

/// Rows of a batch that are none, by number in the file, each with the first reason.
#[derive(Debug, Default)]
pub(super) struct BadRows(BTreeMap<u64, Bad>);

impl BadRows {
    pub(super) fn rows(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn contains(&self, row: u64) -> bool {
        self.0.contains_key(&row)
    }

    /// Adds them to what the report says. Calls must ascend.
    pub(super) fn note(&self, lines: &mut BadLines) {
        for (row, why) in &self.0 {
            match why {
                Bad::NotUtf8 => lines.not_utf8.note(*row),
                Bad::ZeroBytes => lines.zero_bytes.note(*row),
            }
        }
    }
}
