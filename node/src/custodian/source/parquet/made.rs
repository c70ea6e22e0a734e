//! Parquet files for tests, made by the decoder's own other half.

use std::path::Path;

use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;
use polars::prelude::Column;

use super::super::ParquetSource;
use super::super::reading::{BatchSize, whole};
use super::OpenedParquet;

pub use ::parquet::basic::{Compression, Encoding};
pub use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};

/// The values of one column in one row group; `None` is null.
#[derive(Clone)]
pub enum Values {
    Bool(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Int96(Vec<Option<[u32; 3]>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Fixed(Vec<Option<Vec<u8>>>),
}

/// Texts as a column's values.
pub fn texts(texts: &[&str]) -> Values {
    Values::Bytes(texts.iter().map(|text| Some(text.as_bytes().to_vec())).collect())
}

/// A file of `columns`, a message type's fields, with these row groups.
pub fn file(columns: &str, properties: WriterPropertiesBuilder, groups: &[Vec<Values>]) -> Vec<u8> {
    let schema = parse_message_type(&format!("message rows {{ {columns} }}")).unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema.into(), properties.build().into()).unwrap();
    for group in groups {
        let mut columns = writer.next_row_group().unwrap();
        for values in group {
            let mut column = columns.next_column().unwrap().unwrap();
            match values.clone() {
                Values::Bool(v) => put::<BoolType>(&mut column, v),
                Values::Int32(v) => put::<Int32Type>(&mut column, v),
                Values::Int64(v) => put::<Int64Type>(&mut column, v),
                Values::Int96(v) => put::<Int96Type>(&mut column, v.into_iter().map(|x| x.map(int96)).collect()),
                Values::Float(v) => put::<FloatType>(&mut column, v),
                Values::Double(v) => put::<DoubleType>(&mut column, v),
                Values::Bytes(v) => {
                    put::<ByteArrayType>(&mut column, v.into_iter().map(|x| x.map(ByteArray::from)).collect())
                }
                Values::Fixed(v) => {
                    let values =
                        v.into_iter().map(|x| x.map(|x| FixedLenByteArray::from(ByteArray::from(x)))).collect();
                    put::<FixedLenByteArrayType>(&mut column, values);
                }
            }
            column.close().unwrap();
        }
        columns.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn int96([low, high, day]: [u32; 3]) -> Int96 {
    let mut value = Int96::new();
    value.set_data(low, high, day);
    value
}

fn put<T: DataType>(column: &mut SerializedColumnWriter<'_>, values: Vec<Option<T::T>>) {
    let writer = column.typed::<T>();
    let present = writer.get_descriptor().max_def_level();
    let levels: Vec<i16> = values.iter().map(|value| if value.is_some() { present } else { 0 }).collect();
    let repeated = vec![0; values.len()];
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    writer.write_batch(&values, Some(&levels), Some(&repeated)).unwrap();
}

/// All rows of a file as a CSV file of their texts, none of which has a delimiter in it.
pub fn whole_texts(path: &Path) -> String {
    let source = ParquetSource { path: path.to_owned(), columns: None, missing: vec![] };
    let opened = OpenedParquet::open(&source).unwrap();
    let names = opened.columns();
    let (rows, _) = whole(opened.read(&names, BatchSize::default()).unwrap()).unwrap();
    let mut csv = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",");
    for row in 0..rows.height() {
        let of = |column: &Column| column.str().unwrap().get(row).unwrap_or_default().to_owned();
        csv += &format!("\n{}", rows.columns().iter().map(of).collect::<Vec<_>>().join(","));
    }
    csv + "\n"
}
