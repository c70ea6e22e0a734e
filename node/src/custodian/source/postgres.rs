//! A table or query of PostgreSQL as text columns: what `bocage-postgres` reads, with the markers of missing values and within the bounds of a batch.

use std::path::{Path, PathBuf};

use bocage_postgres::{Form, Interrupt, Opened as Session, PgError, Rows, Texts};
use bocage_protocol::front::source_column;
use bocage_protocol::ids::ColumnName;
use polars::prelude::{Column, DataFrame, IntoColumn, StringChunkedBuilder};
use serde::Serialize;

use super::mapping::Exact;
use super::reading::{BatchSize, Batches, Findings, Reading, VIEW_BYTES};
use super::value::trimmed;
use super::{BadLines, SourceError};

const NO_TEXT: &str = "it has floats, and the mapping makes texts or ids of them: different ones could become equal\n  hint: make it a whole \
                       number or a text in a query";

/// A table or query of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostgresSource {
    /// Server and table.
    #[serde(flatten)]
    pub server: bocage_postgres::PostgresSource,
    /// Values that mean "missing" beside nulls, compared with a value's text after spaces are cut.
    #[serde(rename = "markers")]
    pub missing: Vec<String>,
    /// The server and database, for messages and manifests: where others have a file.
    #[serde(skip)]
    place: PathBuf,
}

impl PostgresSource {
    pub(super) fn new(server: bocage_postgres::PostgresSource, missing: Vec<String>) -> Self {
        Self { place: server.place().into(), missing, server }
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }
}

/// A source whose columns are known. Its transaction stands: rows are those of this moment.
pub struct OpenedPostgres {
    session: Session,
    /// One a column of the server; `None` where its name has no letter or digit.
    fields: Vec<Option<(ColumnName, Form)>>,
    missing: Vec<String>,
    place: PathBuf,
}

impl OpenedPostgres {
    /// Connects and settles the names of the columns.
    pub(super) fn open(source: &PostgresSource) -> Result<Self, SourceError> {
        let place = source.place.clone();
        let refused = |reason: String| SourceError::Header { path: place.clone(), reason };
        let session = Session::connect(&source.server, Interrupt::default())?;
        let found = session.columns().len();
        let names: Vec<String> = match &source.server.columns {
            Some(names) if names.len() != found => {
                return Err(refused(format!(
                    "there are {found} columns, `columns` in node.toml names {}",
                    names.len()
                )));
            }
            Some(names) => names.clone(),
            None => session.columns().map(|column| column.name.clone()).collect(),
        };
        let fields: Vec<Option<(ColumnName, Form)>> = names
            .iter()
            .zip(session.columns())
            .map(|(name, column)| Some((source_column(name)?, column.form)))
            .collect();
        for (i, (name, _)) in fields.iter().enumerate().filter_map(|(i, field)| Some((i, field.as_ref()?))) {
            if let Some(before) =
                fields[..i].iter().position(|other| other.as_ref().is_some_and(|(other, _)| other == name))
            {
                let reason = format!(
                    "columns {} and {} are both `{name}`\n  hint: name them apart with `columns`",
                    before + 1,
                    i + 1
                );
                return Err(refused(reason));
            }
        }
        Ok(Self { session, fields, missing: source.missing.clone(), place })
    }

    pub(super) fn columns(&self) -> Vec<ColumnName> {
        self.fields.iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// Holds columns to what a mapping makes of their values: floats have no text that is theirs alone.
    pub(super) fn keep_apart(&self, exact: &[(ColumnName, Exact)]) -> Result<(), SourceError> {
        let floats =
            |name: &ColumnName| self.fields.iter().flatten().any(|(n, form)| n == name && *form == Form::Float);
        match exact.iter().find(|(name, _)| floats(name)) {
            Some((name, _)) => Err(SourceError::Column {
                path: self.place.clone(),
                column: name.clone(),
                at: String::new(),
                reason: NO_TEXT,
            }),
            None => Ok(()),
        }
    }

    /// Whether the role may read these columns, and whether they are of a kind that has texts.
    pub(super) fn readable(self, wanted: &[ColumnName]) -> Result<(), SourceError> {
        self.begin(wanted).map(drop)
    }

    pub(super) fn read(self, wanted: &[ColumnName], size: BatchSize) -> Result<Reading, SourceError> {
        let place = self.place.clone();
        Ok(Reading::new(place, self.begin(wanted)?.within(size)))
    }

    fn begin(self, wanted: &[ColumnName]) -> Result<PostgresReading, SourceError> {
        let Self { session, fields, missing, place } = self;
        let found = wanted.iter().filter_map(|name| {
            let position = fields.iter().position(|field| field.as_ref().is_some_and(|(n, _)| n == name))?;
            Some((position, (name.clone(), fields[position].as_ref().is_some_and(|(_, form)| *form == Form::Float))))
        });
        let (positions, columns): (Vec<usize>, Vec<(ColumnName, bool)>) = found.unzip();
        let rows = session.rows(&positions)?;
        Ok(PostgresReading { rows, columns, missing, place, size: BatchSize::default(), bytes: 0, batch: None })
    }
}

/// Rows on their way.
struct PostgresReading {
    rows: Rows,
    /// Names of the wanted columns, and whether they are floats.
    columns: Vec<(ColumnName, bool)>,
    missing: Vec<String>,
    place: PathBuf,
    size: BatchSize,
    /// Bytes of the texts so far.
    bytes: u64,
    /// What the server gave, and how many rows of it were handed on.
    batch: Option<(bocage_postgres::Batch, usize)>,
}

impl PostgresReading {
    fn within(self, size: BatchSize) -> Self {
        Self { size, ..self }
    }

    /// Adds one row, and says how many bytes its texts have.
    fn take(&self, columns: &[Texts], row: usize, builders: &mut [StringChunkedBuilder]) -> usize {
        let mut bytes = 0;
        for ((texts, (_, float)), builder) in columns.iter().zip(&self.columns).zip(builders) {
            let text = texts.get(row).map(trimmed).filter(|text| !self.missing.iter().any(|marker| marker == text));
            bytes += text.map_or(0, str::len);
            match text {
                Some(text) if *float => builder.append_value(plain(text)),
                text => builder.append_option(text),
            }
        }
        bytes
    }
}

impl Batches for PostgresReading {
    fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
        let mut builders: Vec<StringChunkedBuilder> =
            self.columns.iter().map(|(name, _)| StringChunkedBuilder::new(name.as_str().into(), 0)).collect();
        let (mut rows, mut bytes, views) = (0, 0, VIEW_BYTES * self.columns.len());
        while rows < self.size.rows && bytes + rows * views < self.size.bytes {
            let (batch, at) = match self.batch.take() {
                Some(begun) => begun,
                None => match self.rows.next_batch()? {
                    Some(batch) => (batch, 0),
                    None => break,
                },
            };
            let mut at = at;
            while at < batch.rows && rows < self.size.rows && bytes + rows * views < self.size.bytes {
                bytes += self.take(&batch.columns, at, &mut builders);
                (at, rows) = (at + 1, rows + 1);
            }
            self.batch = Some((batch, at)).filter(|(batch, at)| *at < batch.rows);
        }
        if rows == 0 {
            return Ok(None);
        }
        self.bytes += bytes as u64;
        let columns: Vec<Column> = builders.into_iter().map(|b| b.finish().into_column()).collect();
        let no_table =
            |_| SourceError::Header { path: self.place.clone(), reason: "the columns do not form a table".into() };
        DataFrame::new(rows, columns).map(Some).map_err(no_table)
    }

    fn finish(self: Box<Self>) -> Result<Findings, SourceError> {
        if self.rows.rows() == 0 {
            return Err(SourceError::Empty { path: self.place, reason: "the table or query has no rows".into() });
        }
        Ok(Findings { bad_lines: BadLines::default(), source_bytes: self.bytes })
    }

    fn share(&self) -> Option<f64> {
        None
    }
}

/// A float's text as other sources write it: without an exponent where it is a whole number for certain.
fn plain(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let mut out = String::new();
            super::parquet::double(&mut out, number);
            out
        }
        _ => text.to_owned(),
    }
}

impl From<PgError> for SourceError {
    fn from(error: PgError) -> Self {
        SourceError::Postgres(Box::new(error))
    }
}
