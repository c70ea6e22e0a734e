//! Columns that are handed on as what they are, where nothing but a column of a contract is made of them: a whole number is then never written as a text and
//! read again. What becomes of each value, and what counts as missing, must be what would become of its text; where that is not plain, texts are made.

use ::parquet::basic::Type;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use bocage_protocol::contract::Kind;
use bocage_protocol::ids::ColumnName;
use polars::prelude::{BooleanChunked, Column, Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn as _};
use polars_arrow::array::BooleanArray;
use polars_arrow::bitmap::{Bitmap, BitmapBuilder};
use polars_arrow::datatypes::ArrowDataType;

use super::super::value::{self, NO_DAY, NO_MOMENT};
use super::schema::{Form, Leaf, Unit};
use super::sink::decode;
use super::{DAMAGED, Fault, ROW_COUNT, text};

/// The first and the last day whose year has four digits: the texts of others are no dates.
const CALENDAR: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;
const DAY_SECS: i64 = 86_400;
/// No text of a date or a moment is shorter, so a shorter marker is none of them.
const DATE_BYTES: usize = 10;
/// Stands for all numbers that are none, whose text is one.
const NAN: u64 = f64::NAN.to_bits();

/// What the values of a column are handed on as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Text,
    Whole,
    Double,
    Truth,
    /// Days since 1970-01-01.
    Day,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Moment,
}

impl Held {
    /// Of a column that only becomes one of this kind, where texts are missing that are one of these markers.
    pub(super) fn of(leaf: &Leaf, becomes: &Kind, missing: &[String]) -> Self {
        let dated = || missing.iter().any(|marker| marker.len() >= DATE_BYTES);
        match (leaf.physical, leaf.form, becomes) {
            // Its floats are looked at one by one.
            _ if leaf.names => Held::Text,
            (Type::INT32, Form::Plain | Form::Unsigned, Kind::Int { .. } | Kind::Float { .. } | Kind::Code { .. })
            | (Type::INT64, Form::Plain, Kind::Int { .. } | Kind::Float { .. } | Kind::Code { .. }) => Held::Whole,
            (Type::DOUBLE, Form::Plain, Kind::Int { .. } | Kind::Float { .. }) => Held::Double,
            (Type::BOOLEAN, Form::Plain, Kind::Bool) => Held::Truth,
            (Type::INT32, Form::Date, Kind::Date { .. }) if !dated() => Held::Day,
            (Type::INT64, Form::Timestamp { .. }, Kind::Date { .. }) if !dated() => Held::Day,
            (Type::INT64, Form::Timestamp { .. }, Kind::Datetime { .. }) if !dated() => Held::Moment,
            _ => Held::Text,
        }
    }
}

/// A column of a batch while it is filled.
pub(super) struct Plain {
    name: ColumnName,
    grown: Grown,
}

enum Grown {
    Whole(Values<i64>),
    Double(Values<f64>),
    Truth(Values<bool>),
    Day(Values<i32>),
    Moment(Values<i64>),
}

/// Values, one a row, and which rows have one.
struct Values<N> {
    values: Vec<N>,
    present: BitmapBuilder,
    /// Those that are missing, as their key.
    missing: Vec<u64>,
}

impl<N: Copy + Default> Values<N> {
    fn new(missing: impl Iterator<Item = u64>) -> Self {
        Self { values: Vec::new(), present: BitmapBuilder::new(), missing: missing.collect() }
    }

    /// Takes so many values from a decoder.
    fn fill<T: DataType>(
        &mut self,
        from: &mut ColumnReaderImpl<T>,
        leaf: Leaf,
        rows: u64,
        read: impl Fn(&T::T) -> N,
        key: impl Fn(N) -> u64,
    ) -> Result<(), Fault> {
        decode(from, leaf, rows, |found, present| {
            if found.len() == present.len() && self.missing.is_empty() {
                self.values.extend(found.iter().map(&read));
                self.present.extend_constant(found.len(), true);
                return Ok(());
            }
            let mut found = found.iter();
            for level in present {
                let value = match *level {
                    0 => None,
                    _ => Some(read(found.next().ok_or(Fault::Broken(ROW_COUNT))?)),
                };
                let value = value.filter(|value| !self.missing.contains(&key(*value)));
                self.values.push(value.unwrap_or_default());
                self.present.push(value.is_some());
            }
            Ok(())
        })
    }
}

impl Plain {
    /// Without a row; none where the column's values are texts.
    pub(super) fn new(name: &ColumnName, held: Held, missing: &[String]) -> Option<Self> {
        let markers = missing.iter();
        let grown = match held {
            Held::Text => return None,
            Held::Whole => Grown::Whole(Values::new(markers.filter_map(|marker| whole_marker(marker)))),
            Held::Double => Grown::Double(Values::new(markers.filter_map(|marker| double_marker(marker)))),
            Held::Truth => Grown::Truth(Values::new(markers.filter_map(|m| Some(u64::from(m.parse::<bool>().ok()?))))),
            Held::Day => Grown::Day(Values::new(std::iter::empty())),
            Held::Moment => Grown::Moment(Values::new(std::iter::empty())),
        };
        Some(Self { name: name.clone(), grown })
    }

    /// Reads so many values of the column.
    pub(super) fn fill(&mut self, column: &mut ColumnReader, leaf: Leaf, rows: u64) -> Result<(), Fault> {
        let form = leaf.form;
        match (&mut self.grown, column) {
            (Grown::Whole(to), ColumnReader::Int32ColumnReader(r)) => {
                let read = |v: &i32| if form == Form::Unsigned { i64::from(*v as u32) } else { i64::from(*v) };
                to.fill(r, leaf, rows, read, |i| i as u64)
            }
            (Grown::Whole(to), ColumnReader::Int64ColumnReader(r)) => to.fill(r, leaf, rows, |v| *v, |i| i as u64),
            (Grown::Double(to), ColumnReader::DoubleColumnReader(r)) => to.fill(r, leaf, rows, |v| *v, double_key),
            (Grown::Truth(to), ColumnReader::BoolColumnReader(r)) => to.fill(r, leaf, rows, |v| *v, u64::from),
            (Grown::Day(to), ColumnReader::Int32ColumnReader(r)) => {
                to.fill(r, leaf, rows, |v| day(i64::from(*v)), |_| 0)
            }
            (Grown::Day(to), ColumnReader::Int64ColumnReader(r)) => {
                let per_day = DAY_SECS * per_second(form);
                to.fill(r, leaf, rows, |v| day(v.div_euclid(per_day)), |_| 0)
            }
            (Grown::Moment(to), ColumnReader::Int64ColumnReader(r)) => {
                to.fill(r, leaf, rows, |v| moment(form, *v), |_| 0)
            }
            // What it is held as follows from what it is.
            _ => Err(Fault::Broken(DAMAGED)),
        }
    }

    /// The column.
    pub(super) fn finish(self) -> Column {
        let name = self.name.as_str().into();
        match self.grown {
            Grown::Whole(Values { values, present, .. }) | Grown::Moment(Values { values, present, .. }) => {
                Int64Chunked::from_vec_validity(name, values, present.into_opt_validity()).into_column()
            }
            Grown::Double(Values { values, present, .. }) => {
                Float64Chunked::from_vec_validity(name, values, present.into_opt_validity()).into_column()
            }
            Grown::Day(Values { values, present, .. }) => {
                Int32Chunked::from_vec_validity(name, values, present.into_opt_validity()).into_column()
            }
            Grown::Truth(Values { values, present, .. }) => {
                let truths = Bitmap::from_trusted_len_iter(values.into_iter());
                let array = BooleanArray::new(ArrowDataType::Boolean, truths, present.into_opt_validity());
                BooleanChunked::with_chunk(name, array).into_column()
            }
        }
    }
}

/// The whole number whose text a marker is.
fn whole_marker(marker: &str) -> Option<u64> {
    marker.parse::<i64>().ok().filter(|i| i.to_string() == marker).map(|i| i as u64)
}

/// The double whose text a marker is.
fn double_marker(marker: &str) -> Option<u64> {
    let mut written = String::new();
    let x = marker.parse::<f64>().ok()?;
    text::double(&mut written, x);
    (written == marker).then(|| double_key(x))
}

fn double_key(x: f64) -> u64 {
    if x.is_nan() { NAN } else { x.to_bits() }
}

fn day(days: i64) -> i32 {
    i32::try_from(days).ok().filter(|_| CALENDAR.contains(&days)).unwrap_or(NO_DAY)
}

fn per_second(form: Form) -> i64 {
    match form {
        Form::Timestamp { unit, .. } => 10i64.pow(unit as u32),
        _ => 1,
    }
}

fn moment(form: Form, value: i64) -> i64 {
    if !CALENDAR.contains(&value.div_euclid(DAY_SECS * per_second(form))) {
        let mut written = String::new();
        text::int64(&mut written, form, value);
        return value::datetime(&written).unwrap_or(NO_MOMENT);
    }
    // A part of a millisecond is left out, also of a time before 1970.
    value.div_euclid(per_second(form) / 10i64.pow(Unit::Millis as u32))
}
