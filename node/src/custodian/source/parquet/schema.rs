//! What a Parquet file's columns are called, and how the values of each become text.

use std::collections::HashMap;
use std::path::Path;

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type};
use ::parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use bocage_protocol::front::source_column;
use bocage_protocol::ids::ColumnName;

use super::super::SourceError;
use super::held::Held;

/// Decimals of more digits do not fit 128 bits.
const DIGITS: i32 = 38;

const NESTED: &str =
    "it is nested, and only plain values are read\n  hint: write what is needed of it as a column of its own";
const BINARY: &str = "its bytes are no text\n  hint: write it as text or numbers, or leave it out of the mapping";
const WIDE_DECIMAL: &str = "its decimals have more than 38 digits\n  hint: write it with fewer digits, or as text";

/// A named column of a file.
pub(super) struct Field {
    pub(super) name: ColumnName,
    /// Where its values are, or why it has none that could be read.
    pub(super) leaf: Result<Leaf, &'static str>,
}

/// A column of plain values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    /// Its number in every row group.
    pub(super) index: usize,
    /// Whether values may be missing.
    pub(super) optional: bool,
    pub(super) form: Form,
    /// Whether its values are floats of any size.
    pub(super) float: bool,
    /// Whether its numbers name patients.
    pub(super) names: bool,
    /// As what its values are stored.
    pub(super) physical: Type,
    /// As what its values are handed on.
    pub(super) held: Held,
}

/// How a value becomes text, beyond what its physical type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it stands: truth values, numbers, INT96 times.
    Plain,
    /// A whole number that is never negative, whose top bit is a digit.
    Unsigned,
    /// A whole number and the number of its digits behind the point.
    Decimal(usize),
    /// Days since 1970-01-01.
    Date,
    /// Time since midnight, in this part of a second.
    Time(Unit),
    /// Time since 1970-01-01T00:00:00, in UTC if `utc`, else as a clock on the wall showed it.
    Timestamp { unit: Unit, utc: bool },
    /// Text in UTF-8. One that is not spoils its row.
    Text,
    /// Bytes that nobody declared to be text. One value that is not refuses the column.
    Bytes,
    /// 16 bytes, written in hexadecimal digits.
    Uuid,
    /// A float of 16 bits.
    Half,
}

/// A part of a second, by the number of digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis = 3,
    Micros = 6,
    Nanos = 9,
}

impl From<&TimeUnit> for Unit {
    fn from(unit: &TimeUnit) -> Self {
        match unit {
            TimeUnit::MILLIS => Unit::Millis,
            TimeUnit::MICROS => Unit::Micros,
            TimeUnit::NANOS => Unit::Nanos,
        }
    }
}

/// The columns of a file, under the names of the configuration where it has any.
pub(super) fn fields(
    path: &Path,
    schema: &SchemaDescriptor,
    configured: Option<&[String]>,
) -> Result<Vec<Field>, SourceError> {
    let refused = |reason: String| SourceError::Header { path: path.to_owned(), reason };
    let roots = schema.root_schema().get_fields();
    let names: Vec<&str> = match configured {
        None => roots.iter().map(|root| root.name()).collect(),
        Some(names) if names.len() == roots.len() => names.iter().map(String::as_str).collect(),
        Some(names) => {
            return Err(refused(format!(
                "the file has {} columns, `columns` in node.toml names {}",
                roots.len(),
                names.len()
            )));
        }
    };
    let mut leaf_of: Vec<Result<Leaf, &'static str>> = vec![Err(NESTED); roots.len()];
    for (index, column) in schema.columns().iter().enumerate() {
        let root = schema.get_column_root_idx(index);
        if roots[root].is_primitive() && column.max_rep_level() == 0 {
            let optional = column.self_type().get_basic_info().repetition() == Repetition::OPTIONAL;
            leaf_of[root] = form(column).map(|form| {
                let physical = column.physical_type();
                let float = form == Form::Half || matches!(physical, Type::FLOAT | Type::DOUBLE);
                Leaf { index, optional, form, float, names: false, physical, held: Held::Text }
            });
        }
    }
    let mut seen: HashMap<ColumnName, usize> = HashMap::new();
    let mut fields = Vec::new();
    for (i, (name, leaf)) in names.iter().zip(leaf_of).enumerate() {
        let Some(name) = source_column(name) else { continue };
        if let Some(before) = seen.insert(name.clone(), i) {
            return Err(refused(format!(
                "columns {} and {} have the same name, `{name}`\n  hint: name them apart with `columns`; capitals and punctuation do \
                 not tell names apart",
                before + 1,
                i + 1
            )));
        }
        fields.push(Field { name, leaf });
    }
    match (fields.is_empty(), roots.is_empty()) {
        (true, true) => Err(refused("the file has no columns".to_owned())),
        (true, false) => Err(refused("no column has a usable name\n  hint: name them with `columns`".to_owned())),
        _ => Ok(fields),
    }
}

fn form(column: &ColumnDescriptor) -> Result<Form, &'static str> {
    let declared = match column.logical_type_ref() {
        Some(logical) => of_logical(logical)?,
        None => of_converted(column)?,
    };
    let fits = match (declared, column.physical_type()) {
        (Form::Plain, Type::BYTE_ARRAY) => return Ok(Form::Bytes),
        (Form::Plain, Type::FIXED_LEN_BYTE_ARRAY) => return Err(BINARY),
        (Form::Plain, _) => true,
        (Form::Unsigned, physical) => matches!(physical, Type::INT32 | Type::INT64),
        (Form::Decimal(_), physical) => {
            matches!(physical, Type::INT32 | Type::INT64 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY)
        }
        (Form::Date | Form::Time(Unit::Millis), physical) => physical == Type::INT32,
        (Form::Time(_) | Form::Timestamp { .. }, physical) => physical == Type::INT64,
        (Form::Text | Form::Bytes, physical) => physical == Type::BYTE_ARRAY,
        (Form::Uuid, physical) => physical == Type::FIXED_LEN_BYTE_ARRAY && column.type_length() == 16,
        (Form::Half, physical) => physical == Type::FIXED_LEN_BYTE_ARRAY && column.type_length() == 2,
    };
    if fits { Ok(declared) } else { Err(BINARY) }
}

fn of_logical(logical: &LogicalType) -> Result<Form, &'static str> {
    Ok(match logical {
        LogicalType::String | LogicalType::Enum | LogicalType::Json => Form::Text,
        LogicalType::Decimal(of) => decimal(of.scale, of.precision)?,
        LogicalType::Date => Form::Date,
        LogicalType::Time(of) => Form::Time(Unit::from(&of.unit)),
        LogicalType::Timestamp(of) => Form::Timestamp { unit: Unit::from(&of.unit), utc: of.is_adjusted_to_u_t_c },
        LogicalType::Integer(of) if of.is_signed => Form::Plain,
        LogicalType::Integer(_) => Form::Unsigned,
        LogicalType::Unknown => Form::Plain,
        LogicalType::Uuid => Form::Uuid,
        LogicalType::Float16 => Form::Half,
        LogicalType::List | LogicalType::Map | LogicalType::Variant(_) => return Err(NESTED),
        _ => return Err(BINARY),
    })
}

/// What files say that are older than logical types.
fn of_converted(column: &ColumnDescriptor) -> Result<Form, &'static str> {
    Ok(match column.converted_type() {
        ConvertedType::NONE
        | ConvertedType::INT_8
        | ConvertedType::INT_16
        | ConvertedType::INT_32
        | ConvertedType::INT_64 => Form::Plain,
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            Form::Unsigned
        }
        ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON => Form::Text,
        ConvertedType::DECIMAL => decimal(column.type_scale(), column.type_precision())?,
        ConvertedType::DATE => Form::Date,
        ConvertedType::TIME_MILLIS => Form::Time(Unit::Millis),
        ConvertedType::TIME_MICROS => Form::Time(Unit::Micros),
        ConvertedType::TIMESTAMP_MILLIS => Form::Timestamp { unit: Unit::Millis, utc: true },
        ConvertedType::TIMESTAMP_MICROS => Form::Timestamp { unit: Unit::Micros, utc: true },
        ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE | ConvertedType::LIST => return Err(NESTED),
        ConvertedType::BSON | ConvertedType::INTERVAL => return Err(BINARY),
    })
}

fn decimal(scale: i32, precision: i32) -> Result<Form, &'static str> {
    match usize::try_from(scale) {
        Ok(scale) if precision <= DIGITS && scale <= DIGITS as usize => Ok(Form::Decimal(scale)),
        _ => Err(WIDE_DECIMAL),
    }
}
