//! The columns of rows that fit, as a snapshot holds them: values in their physical types, names of rows as tokens.

use bocage_protocol::contract::{Column as ContractColumn, Kind};
use bocage_protocol::ids::ColumnName;
use polars::prelude::{
    BooleanChunked, Column, DataType, Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn, NewChunkedArray,
    StringChunked, UInt8Chunked, UInt16Chunked, UInt32Chunked,
};

use super::physical_type;
use super::values::Values;
use crate::custodian::optout::IdForm;

/// Names of rows of a dataset, as a snapshot holds them.
pub(super) fn tokens(
    column: &ContractColumn,
    dataset: &str,
    values: &Values<'_>,
    order: &[usize],
    form: Option<&IdForm>,
) -> Column {
    let token = |row: &usize| match values {
        Values::Int(v) => v[*row].and_then(|key| Some(form?.of_row(dataset, &key.to_string()))),
        Values::Text(v) => v[*row].and_then(|key| Some(form?.of_row(dataset, key))),
        // A contract has no other names of rows.
        _ => None,
    };
    Int64Chunked::from_iter_options(column.name.as_str().into(), order.iter().map(token)).into_column()
}

/// Values as a snapshot holds them.
pub(super) fn physical(name: &ColumnName, kind: &Kind, values: &Values<'_>, order: &[usize]) -> Column {
    fn pick<'a, T>(values: &'a [Option<T>], order: &'a [usize]) -> impl Iterator<Item = Option<&'a T>> {
        order.iter().map(|row| values[*row].as_ref())
    }
    let name = name.as_str().into();
    match values {
        Values::Int(v) | Values::Datetime(v) => {
            Int64Chunked::from_iter_options(name, pick(v, order).map(Option::<&i64>::copied)).into_column()
        }
        Values::Float(v) => Float64Chunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Date(v) => Int32Chunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Bool(v) => BooleanChunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Text(v) => StringChunked::from_iter_options(name, pick(v, order).map(|x| x.copied())).into_column(),
        Values::Code(v) => {
            let positions = pick(v, order).map(|x| x.copied());
            match physical_type(kind) {
                DataType::UInt8 => {
                    UInt8Chunked::from_iter_options(name, positions.map(|p| p.map(|p| p as u8))).into_column()
                }
                DataType::UInt16 => {
                    UInt16Chunked::from_iter_options(name, positions.map(|p| p.map(|p| p as u16))).into_column()
                }
                _ => UInt32Chunked::from_iter_options(name, positions).into_column(),
            }
        }
    }
}
