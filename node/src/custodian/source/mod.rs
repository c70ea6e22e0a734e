//! From a hospital's own tables to rows that fit a contract. Runs when a snapshot is taken, never for a study.
//!
//! ```text
//! node.toml ─▶ DatasetSpec ─┐
//! data file ─▶ Opened ──────┴─▶ Mapping ─▶ Reading ─batch▶ Conforming ─batch▶ rows that fit, and a report
//! ```
//!
//! It must never repeat a value of the data in an error: errors name files, columns and numbers of lines, rows and row groups. A path comes from
//! `node.toml` alone, never from the wire.

mod conform;
mod csv;
mod fallen;
mod fhir;
mod intake;
mod mapping;
mod names;
mod parquet;
mod parts;
mod postgres;
mod reading;
mod report;
mod spec;
mod spelling;
pub mod survey;
mod unpacking;
mod value;

use std::path::PathBuf;

use bocage_protocol::ids::{ColumnName, Digest};
use bocage_protocol::settings::Problems;

pub use conform::{Conformed, Conforming, ID, Key, MARK, Mark, PLACE, SUBJECT, Side, TakenAway, physical_type, seen};
pub use fallen::{FEW, Fallen, fallen};
pub use fhir::FhirSource;
pub use mapping::Mapping;
pub use names::Names;
pub use postgres::PostgresSource;
pub use reading::{BatchSize, Batches, Bookmark, Findings, Read, Reading};
pub use report::{BadLines, ColumnReport, DamagedFiles, Found, Lines, LookedUp, Reason, Rejected, Report, RuleReport};
pub use spec::{CsvSource, DatasetSpec, ParquetSource, Remote, SourceSpec};
pub use spelling::Spelling;

#[cfg(test)]
pub(in crate::custodian) use conform::place;
pub(crate) use spec::is_dataset_name;

pub(in crate::custodian) use value::{int as whole_number, parse_as};

#[cfg(test)]
pub(in crate::custodian) use parquet::made;

use self::csv::OpenedCsv;
use self::fhir::OpenedFhir;
use self::parquet::OpenedParquet;
use self::parts::OpenedParts;
use self::postgres::OpenedPostgres;

/// Why a file that is whole gives no row.
const NO_ROWS: &str = "the file has no rows";
/// Rows of one source: subject numbers are `u32`, with the largest kept free.
const MOST_ROWS: u64 = u32::MAX as u64 - 1;

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file is not there.
    #[error("{path}: there is no such file\n  hint: paths in node.toml are relative to node.toml")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file may not be read.
    #[error(
        "{path}: permission denied\n  hint: the node's user must be allowed to read the file and to enter its folders"
    )]
    Forbidden {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// One line makes the whole file doubtful.
    #[error("{path}: line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it, and a hint.
        reason: &'static str,
    },
    /// One column makes the whole file doubtful.
    #[error("{path}: column `{column}`{at}: {reason}")]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: ColumnName,
        /// In which row, or row group, as the end of a sentence.
        at: String,
        /// What is wrong with it, and a hint.
        reason: &'static str,
    },
    /// The file became another while it was read.
    #[error(
        "{path}: it was changed or replaced while it was read\n  hint: write new data beside it, rename it into place, then take the snapshot again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// There is not one usable row.
    #[error("{path}: no usable row: {reason}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file as a whole, its column names or those of the configuration do not work.
    #[error("{path}: {reason}")]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// More rows than a snapshot may have.
    #[error("{path}: more than {limit} rows")]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// The database.
    #[error(transparent)]
    Postgres(Box<bocage_postgres::PgError>),
    /// The FHIR export.
    #[error(transparent)]
    Fhir(Box<bocage_fhir::ReadError>),
    /// Source, mapping and contract do not fit together.
    #[error("{0}")]
    Mapping(Problems),
    /// A failure of ours; the cause may hold data and is not repeated.
    #[error("dataset `{dataset}`: the mapping could not be computed: {stage}")]
    Computation {
        /// The dataset.
        dataset: String,
        /// Where it stopped.
        stage: &'static str,
    },
}

/// A source whose columns are known and whose rows are not read yet.
pub enum Opened {
    /// A CSV file.
    Csv(Box<OpenedCsv>),
    /// A Parquet file.
    Parquet(Box<OpenedParquet>),
    /// A folder of CSV or Parquet files.
    Parts(Box<OpenedParts>),
    /// A table or query of PostgreSQL.
    Postgres(Box<OpenedPostgres>),
    /// A FHIR export.
    Fhir(Box<OpenedFhir>),
}

impl From<bocage_fhir::ReadError> for SourceError {
    fn from(error: bocage_fhir::ReadError) -> Self {
        SourceError::Fhir(Box::new(error))
    }
}

impl Opened {
    /// Opens a source and reads its column names.
    ///
    /// # Errors
    /// It is missing, unreadable, empty, or its column names are ambiguous.
    pub fn open(source: &SourceSpec) -> Result<Self, SourceError> {
        match source {
            SourceSpec::Csv(_) | SourceSpec::Parquet(_) if source.path().is_dir() => {
                OpenedParts::open(source).map(|opened| Opened::Parts(Box::new(opened)))
            }
            SourceSpec::Csv(csv) => OpenedCsv::open(csv).map(|opened| Opened::Csv(Box::new(opened))),
            SourceSpec::Parquet(parquet) => {
                OpenedParquet::open(parquet).map(|opened| Opened::Parquet(Box::new(opened)))
            }
            SourceSpec::Postgres(postgres) => {
                OpenedPostgres::open(postgres).map(|opened| Opened::Postgres(Box::new(opened)))
            }
            SourceSpec::Fhir(fhir) => OpenedFhir::open(fhir).map(|opened| Opened::Fhir(Box::new(opened))),
        }
    }

    /// The names of its columns, as a mapping knows them.
    pub fn columns(&self) -> Vec<ColumnName> {
        match self {
            Opened::Csv(csv) => csv.columns(),
            Opened::Parquet(parquet) => parquet.columns(),
            Opened::Parts(parts) => parts.columns(),
            Opened::Postgres(postgres) => postgres.columns(),
            Opened::Fhir(fhir) => fhir.columns(),
        }
    }

    /// What tells what it holds from what another holds; none where only reading all of it could tell.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn identity(&self) -> Result<Option<Digest>, SourceError> {
        match self {
            Opened::Csv(csv) => csv.identity().map(Some),
            Opened::Parquet(parquet) => parquet.identity().map(Some),
            Opened::Parts(parts) => Ok(Some(parts.identity())),
            Opened::Fhir(fhir) => fhir.identity().map(Some),
            Opened::Postgres(_) => Ok(None),
        }
    }

    /// Its columns with the types that their values have in it: the same of two files that can be parts of one table.
    fn shape(&self) -> Vec<String> {
        match self {
            Opened::Parquet(parquet) => parquet.shape(),
            _ => self.columns().iter().map(ToString::to_string).collect(),
        }
    }

    /// Why a column of this name has no text, if it has none.
    fn textless(&self, name: &ColumnName) -> Option<String> {
        match self {
            Opened::Csv(_) | Opened::Fhir(_) | Opened::Postgres(_) => None,
            Opened::Parts(parts) => parts.first.textless(name),
            Opened::Parquet(parquet) => match parquet.readable(std::slice::from_ref(name)) {
                Err(SourceError::Column { reason, .. }) => Some(reason.lines().next().unwrap_or_default().to_owned()),
                _ => None,
            },
        }
    }

    /// Whether the columns that a mapping reads are of a kind that it can use; their values are looked at by [`Opened::read`].
    ///
    /// # Errors
    /// One of them is nested or binary, or gives doubles where texts are wanted.
    pub fn readable(self, mapping: &Mapping) -> Result<(), SourceError> {
        match self {
            Opened::Csv(_) | Opened::Fhir(_) => Ok(()),
            Opened::Parts(parts) => parts.first.readable(mapping),
            Opened::Parquet(mut parquet) => {
                parquet.readable(&mapping.wanted())?;
                parquet.keep_apart(&mapping.exact)
            }
            Opened::Postgres(postgres) => {
                postgres.keep_apart(&mapping.exact)?;
                postgres.readable(&mapping.wanted())
            }
        }
    }

    /// Reads its rows, keeping the columns that a mapping reads.
    ///
    /// # Errors
    /// A column cannot hold what the mapping makes of it.
    pub fn read(self, mapping: &Mapping, size: BatchSize) -> Result<Reading, SourceError> {
        Ok(self.batches(mapping, size)?.arranged(mapping.known.clone()))
    }

    /// The same under the source's own names.
    fn batches(self, mapping: &Mapping, size: BatchSize) -> Result<Reading, SourceError> {
        let wanted = mapping.wanted();
        Ok(match self {
            Opened::Csv(mut csv) => {
                csv.hold(&mapping.untouched);
                csv.read(&wanted, size)
            }
            Opened::Fhir(fhir) => fhir.read(&wanted, size),
            Opened::Parts(parts) => parts.read(mapping, size),
            Opened::Parquet(mut parquet) => {
                parquet.keep_apart(&mapping.exact)?;
                parquet.hold(&mapping.untouched);
                parquet.read(&wanted, size)?
            }
            Opened::Postgres(postgres) => {
                postgres.keep_apart(&mapping.exact)?;
                postgres.read(&wanted, size)?
            }
        })
    }
}
