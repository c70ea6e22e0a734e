//! The columns of a table or query, and how each becomes exact text on the server.

use tokio_postgres::Column;
use tokio_postgres::types::{Kind, Type};

use super::settings::Relation;

use crate::settings::quoted;

/// The longest text of one value, in characters: as long as a row of a file may be.
pub(crate) const VALUE_CHARS: usize = bocage_protocol::limits::SOURCE_LINE_BYTES;

/// A column as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgColumn {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub form: Form,
}

/// What a column's values are, as far as it matters to who reads their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Exact as text: numbers that are no floats, dates (`YYYY-MM-DD`), datetimes (with `Z` where the type has a zone), `true` and `false`, texts, and whatever
    /// else has one spelling.
    Exact,
    /// `real` or `double precision`: the shortest text that reads back as the same number.
    Float,
    /// Several values in one, or bytes: no single text.
    Nested,
}

/// How the server makes a text of a column's value.
pub(crate) fn describe(column: &Column) -> (PgColumn, Cast) {
    let (form, cast) = match (column.type_().kind(), column.type_()) {
        (Kind::Array(_) | Kind::Composite(_) | Kind::Range(_) | Kind::Multirange(_) | Kind::Pseudo, _) => {
            (Form::Nested, Cast::Text)
        }
        (_, of) => match *of {
            Type::BYTEA | Type::INT2_VECTOR | Type::OID_VECTOR => (Form::Nested, Cast::Text),
            Type::FLOAT4 | Type::FLOAT8 => (Form::Float, Cast::Text),
            Type::TIMESTAMPTZ => (Form::Exact, Cast::Utc),
            // How money is written is a setting of the server.
            Type::MONEY => (Form::Exact, Cast::Numeric),
            Type::BOOL
            | Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::OID
            | Type::DATE
            | Type::TIMESTAMP
            | Type::TIME
            | Type::TIMETZ
            | Type::INTERVAL
            | Type::UUID => (Form::Exact, Cast::Text),
            _ => (Form::Exact, Cast::Long),
        },
    };
    (PgColumn { name: column.name().to_owned(), form }, cast)
}

/// The expression that gives a value's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// As it is.
    Text,
    /// As it is, cut one character beyond what a value may have: the whole of a giant never crosses the wire.
    Long,
    /// In UTC, whatever the server's zone is.
    Utc,
    /// Without currency.
    Numeric,
}

impl Cast {
    fn sql(self, column: &str) -> String {
        match self {
            Cast::Text => format!("r.{column}::pg_catalog.text"),
            Cast::Long => format!("pg_catalog.left(r.{column}::pg_catalog.text, {})", VALUE_CHARS + 1),
            Cast::Utc => {
                format!("pg_catalog.replace(pg_catalog.timezone('UTC', r.{column})::pg_catalog.text, ' ', 'T') || 'Z'")
            }
            Cast::Numeric => format!("r.{column}::pg_catalog.numeric::pg_catalog.text"),
        }
    }
}

/// The statement that reads some columns, all of them as texts.
pub(crate) fn select<'a>(relation: &Relation, wanted: impl Iterator<Item = &'a (PgColumn, Cast)>) -> String {
    let columns: Vec<String> = wanted.map(|(column, cast)| cast.sql(&quoted(&column.name))).collect();
    // Rows are wanted even where no column is.
    let columns = if columns.is_empty() { "null::pg_catalog.text".to_owned() } else { columns.join(", ") };
    format!("select {columns} from {} as r", relation.sql())
}
