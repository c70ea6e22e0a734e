//! Parquet files as text columns: each value as the exact text that a CSV file would hold, so that one mapping and one set of
//! rules make contract types of both. Where the outcome is the same, a column stays what it is ([`held`]).
//!
//! ```text
//! footer ─▶ schema: how each column is read ─▶ reading: batches of the wanted columns, row group by row group:
//!           header ─▶ codec ─▶ pages (bounds) ─▶ crate parquet (decoding) ─▶ text (one value) ─▶ sink (one text column)
//!                               └▶ texts (of most columns of texts)    └▶ held (a column that stays what it is)
//! ```
//!
//! A damaged file is refused as a whole: of its rows nobody knows which are right. What the decoder says, or panics with, may hold
//! values and must never leave this module.

mod codec;
mod delta;
mod footer;
mod header;
mod held;
mod pages;
mod reading;
mod schema;
mod sink;
mod text;
mod texts;

#[cfg(test)]
mod damage;
#[cfg(test)]
pub(in crate::custodian) mod made;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetStatisticsPolicy};
use ::parquet::file::reader::FileReader as _;
use ::parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use bocage_protocol::contract::Kind;
use bocage_protocol::ids::{ColumnName, Digest};
use bocage_protocol::limits::{PARQUET_FOOTER_BYTES, UNFOLDED_BYTES, UNFOLDED_TIMES};

use self::footer::Footer;
use self::held::Held;
use self::pages::{Refused, Room};
use self::reading::ParquetReading;
use self::schema::{Field, Form, Leaf};
use super::intake::{Intake, unreadable};
use super::mapping::Exact;
use super::reading::{BatchSize, Reading, VIEW_BYTES};
use super::{MOST_ROWS, ParquetSource, SourceError};

pub(super) use text::double;

/// The first and the last bytes of a file.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";
/// Length and magic behind the footer.
const TAIL_BYTES: u64 = 8;

const DAMAGED: &str = "it cannot be decoded\n  hint: the file is damaged, cut off or encrypted; export it again";
const NO_TEXT: &str = "it has floats, and the mapping makes texts or ids of them: different ones could become equal\n  hint: write ids as \
                       integers or text";
const ROW_COUNT: &str =
    "it has another number of rows than the file says\n  hint: the file is damaged; export it again";
const TOO_LARGE: &str = "the file unfolds to more than a file of its size can hold\n  hint: it is damaged; or split its rows over several datasets";

/// Why a file, or a part of it, is refused.
#[derive(Debug)]
enum Fault {
    /// The system cannot read it.
    System(std::io::Error),
    /// It is not what it says.
    Broken(&'static str),
    /// A value in a row, counted from 1.
    Value(u64, &'static str),
}

impl From<ParquetError> for Fault {
    fn from(error: ParquetError) -> Self {
        let ParquetError::External(error) = error else { return Fault::Broken(DAMAGED) };
        let error = match error.downcast::<Refused>() {
            Ok(refused) => return Fault::Broken(refused.0),
            Err(error) => error,
        };
        match error.downcast::<std::io::Error>() {
            // Decompressors speak of bad bytes as of failed reads.
            Ok(error) if error.raw_os_error().is_some() => Fault::System(*error),
            _ => Fault::Broken(DAMAGED),
        }
    }
}

/// A Parquet file whose footer was read.
pub struct OpenedParquet {
    path: PathBuf,
    intake: Intake,
    reader: SerializedFileReader<Footer>,
    fields: Vec<Field>,
    missing: Vec<String>,
    rows: u64,
    room: Room,
}

impl OpenedParquet {
    /// See [`Intake::identity`].
    pub(super) fn identity(&self) -> Result<Digest, SourceError> {
        self.intake.identity(&self.path)
    }

    /// Opens the file, reads its footer and settles the names of its columns.
    pub(super) fn open(source: &ParquetSource) -> Result<Self, SourceError> {
        let path = source.path.clone();
        let refused = |reason: &str| SourceError::Header { path: path.clone(), reason: reason.to_owned() };
        let intake = Intake::open(&path)?;
        whole(&path, &intake)?;
        let footer = Footer(intake.clone());
        // Minima and maxima are values of patients, and nothing here needs them.
        let options = ReadOptionsBuilder::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .build();
        let opened = guarded(|| Ok(SerializedFileReader::new_with_options(footer, options)?)).and_then(|reader| {
            let rows = row_count(reader.metadata())?;
            Ok((reader, rows))
        });
        let (reader, rows) = opened.map_err(|fault| match fault {
            Fault::System(error) => unreadable(&path, &error),
            Fault::Broken(reason) | Fault::Value(_, reason) => {
                let says = |reason: &str| refused(&format!("the footer: {reason}"));
                if intake.unchanged(&path).is_err() {
                    SourceError::Changed { path: path.clone() }
                } else {
                    says(reason)
                }
            }
        })?;
        if rows > MOST_ROWS {
            return Err(SourceError::TooManyRows { path, limit: MOST_ROWS });
        }
        let fields =
            schema::fields(&path, reader.metadata().file_metadata().schema_descr(), source.columns.as_deref())?;
        let room = Room::new(most(intake.bytes()));
        Ok(Self { reader, fields, missing: source.missing.clone(), rows, path, intake, room })
    }

    pub(super) fn columns(&self) -> Vec<ColumnName> {
        self.fields.iter().map(|field| field.name.clone()).collect()
    }

    /// Its columns with the types of their values.
    pub(super) fn shape(&self) -> Vec<String> {
        let of = |field: &Field| match &field.leaf {
            Ok(leaf) => format!("{} {:?} {:?} {}", field.name, leaf.physical, leaf.form, leaf.float),
            Err(reason) => format!("{} {reason}", field.name),
        };
        self.fields.iter().map(of).collect()
    }

    /// Whether columns of these names can be read at all: nested and binary ones have no text.
    pub(super) fn readable(&self, wanted: &[ColumnName]) -> Result<(), SourceError> {
        self.leaves(wanted).map(drop)
    }

    /// Holds columns to what a mapping makes of their values. Floats have no text that is theirs alone; as numbers they name patients as
    /// far as they stand for one number each.
    pub(super) fn keep_apart(&mut self, exact: &[(ColumnName, Exact)]) -> Result<(), SourceError> {
        for (name, wanted) in exact {
            let found = self.fields.iter_mut().filter(|field| field.name == *name);
            for leaf in found.filter_map(|field| field.leaf.as_mut().ok()).filter(|leaf| leaf.float) {
                if *wanted == Exact::Text || leaf.form == Form::Half {
                    return Err(self.column(name, String::new(), NO_TEXT));
                }
                leaf.names = true;
            }
        }
        Ok(())
    }

    /// Makes no texts of columns that only become columns of these kinds, where they need none.
    pub(super) fn hold(&mut self, untouched: &BTreeMap<ColumnName, Kind>) {
        for field in &mut self.fields {
            if let (Ok(leaf), Some(kind)) = (&mut field.leaf, untouched.get(&field.name)) {
                leaf.held = Held::of(leaf, kind, &self.missing);
            }
        }
    }

    fn leaves<'a>(&self, wanted: &'a [ColumnName]) -> Result<Vec<(&'a ColumnName, Leaf)>, SourceError> {
        let found = wanted.iter().filter_map(|name| Some((name, self.fields.iter().find(|f| f.name == *name)?)));
        found
            .map(|(name, field)| Ok((name, field.leaf.map_err(|reason| self.column(name, String::new(), reason))?)))
            .collect()
    }

    pub(super) fn read(self, wanted: &[ColumnName], size: BatchSize) -> Result<Reading, SourceError> {
        Ok(Reading::new(self.path.clone(), ParquetReading::new(self, wanted, size)?))
    }

    fn fault(&self, name: &ColumnName, fault: Fault, at: String) -> SourceError {
        match fault {
            // A file that changes under the reader looks damaged.
            _ if self.intake.unchanged(&self.path).is_err() => SourceError::Changed { path: self.path.clone() },
            Fault::System(error) => unreadable(&self.path, &error),
            Fault::Broken(reason) => self.column(name, at, reason),
            Fault::Value(row, reason) => self.column(name, format!(", row {row}"), reason),
        }
    }

    fn column(&self, name: &ColumnName, at: String, reason: &'static str) -> SourceError {
        SourceError::Column { path: self.path.clone(), column: name.clone(), at, reason }
    }
}

/// Runs the decoder, which panics on some damaged files.
fn guarded<T>(read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(Fault::Broken(DAMAGED)))
}

/// Whether the file begins and ends as a Parquet file does, with a footer that fits into it.
fn whole(path: &Path, intake: &Intake) -> Result<(), SourceError> {
    let refused = |reason: &str| Err(SourceError::Header { path: path.to_owned(), reason: reason.to_owned() });
    let read = |at: u64, bytes: u64| -> Result<Vec<u8>, SourceError> {
        let mut found = Vec::new();
        intake.from(at).take(bytes).read_to_end(&mut found).map_err(|e| unreadable(path, &e))?;
        Ok(found)
    };
    let begins = read(0, 1 << 10)?;
    if begins.is_empty() {
        return Err(SourceError::Empty { path: path.to_owned(), reason: "the file is empty".into() });
    }
    let tail = read(intake.bytes().saturating_sub(TAIL_BYTES), TAIL_BYTES)?;
    if begins.starts_with(ENCRYPTED_MAGIC) || (begins.starts_with(MAGIC) && tail.ends_with(ENCRYPTED_MAGIC)) {
        return refused(
            "the file is encrypted\n  hint: write it without Parquet's encryption, onto a disk that is encrypted",
        );
    }
    if !begins.starts_with(MAGIC) {
        let text = !begins.iter().any(|b| *b < b' ' && !b.is_ascii_whitespace());
        return refused(if text {
            "it is no Parquet file\n  hint: if it is a CSV file, say kind = \"csv\""
        } else {
            "it is no Parquet file\n  hint: export it again as Parquet"
        });
    }
    let (length, magic) = tail.split_at(tail.len().min(4));
    if intake.bytes() < TAIL_BYTES + MAGIC.len() as u64 || magic != MAGIC {
        return refused("the file has no footer\n  hint: it may be cut off; export it again");
    }
    let length = u64::from(u32::from_le_bytes(length.try_into().unwrap_or_default()));
    if length > intake.bytes() - TAIL_BYTES - MAGIC.len() as u64 {
        return refused("the footer is said to be longer than the file\n  hint: the file is damaged; export it again");
    }
    if length > PARQUET_FOOTER_BYTES as u64 {
        return refused("the footer is longer than 16 MiB\n  hint: write fewer columns, or larger row groups");
    }
    Ok(())
}

/// The number of rows, if the footer says the same wherever it says it.
fn row_count(metadata: &ParquetMetaData) -> Result<u64, Fault> {
    let rows = metadata.row_groups().iter().try_fold(0u64, |sum, group| {
        let fits = group.num_columns() == metadata.file_metadata().schema_descr().num_columns();
        sum.checked_add(u64::try_from(group.num_rows()).ok()?).filter(|_| fits)
    });
    match rows {
        Some(rows) if i64::try_from(rows) == Ok(metadata.file_metadata().num_rows()) => Ok(rows),
        _ => Err(Fault::Broken(ROW_COUNT)),
    }
}

/// Whether what the footer says of a chunk of a flat column can be true.
fn sound(chunk: &ColumnChunkMetaData, rows: u64, file_bytes: u64) -> Result<(), Fault> {
    let begin = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let end =
        u64::try_from(begin).ok().zip(u64::try_from(chunk.compressed_size()).ok()).and_then(|(b, l)| b.checked_add(l));
    if chunk.file_path().is_some() {
        return Err(Fault::Broken("its values are in another file\n  hint: write all columns into one file"));
    }
    if end.is_none_or(|end| end > file_bytes.saturating_sub(TAIL_BYTES)) {
        return Err(Fault::Broken(
            "it is said to lie outside of the file\n  hint: the file is damaged or cut off; export it again",
        ));
    }
    if u64::try_from(chunk.num_values()) != Ok(rows) {
        return Err(Fault::Broken(ROW_COUNT));
    }
    Ok(())
}

/// What the long texts of a file may take, if its rows alone do not take more than it may unfold to.
fn room(file_bytes: u64, rows: u64, columns: usize) -> Option<u64> {
    // Rows take room where no column is wanted, too.
    most(file_bytes).checked_sub(rows.saturating_mul(columns.max(1) as u64).saturating_mul(VIEW_BYTES as u64))
}

/// What a file may unfold to.
fn most(file_bytes: u64) -> u64 {
    file_bytes.saturating_mul(UNFOLDED_TIMES).saturating_add(UNFOLDED_BYTES)
}
