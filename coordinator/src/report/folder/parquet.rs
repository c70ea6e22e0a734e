//! Columns as a Parquet file. It writes and never reads: the files of hospitals are the node's business.

use std::sync::Arc;

use bocage_protocol::ids::StudyId;
use parquet::basic::{ConvertedType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

/// Why it cannot be written.
pub(super) type Failed = ParquetError;

/// The values of a column; each may be null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Column {
    Texts(Vec<Option<String>>),
    Counts(Vec<Option<u64>>),
    Numbers(Vec<Option<f64>>),
}

/// One row group, not compressed: the tables of a report are small, and everything reads that.
pub(super) fn write(columns: Vec<(String, Column)>, study: &StudyId, table: &str) -> Result<Vec<u8>, Failed> {
    let fields = columns.iter().map(|(name, column)| column.field(name)).collect::<Result<Vec<TypePtr>, _>>()?;
    let schema = Type::group_type_builder("table").with_fields(fields).build()?;
    let says = [("bocage.study", study.to_string()), ("bocage.table", table.to_owned())];
    let says = says.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    let properties = WriterProperties::builder()
        .set_created_by(format!("bocage {}", super::VERSION))
        .set_key_value_metadata(Some(says))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, column) in &columns {
        let Some(mut out) = group.next_column()? else { break };
        column.write(&mut out)?;
        out.close()?;
    }
    group.close()?;
    writer.into_inner()
}

impl Column {
    fn field(&self, name: &str) -> Result<TypePtr, Failed> {
        let (physical, means) = match self {
            Column::Texts(_) => (PhysicalType::BYTE_ARRAY, ConvertedType::UTF8),
            Column::Counts(_) => (PhysicalType::INT64, ConvertedType::UINT_64),
            Column::Numbers(_) => (PhysicalType::DOUBLE, ConvertedType::NONE),
        };
        let builder = Type::primitive_type_builder(name, physical);
        let field = builder.with_repetition(Repetition::OPTIONAL).with_converted_type(means).build()?;
        Ok(Arc::new(field))
    }

    fn write(&self, out: &mut SerializedColumnWriter<'_>) -> Result<(), Failed> {
        match self {
            Column::Texts(values) => {
                let there: Vec<ByteArray> =
                    values.iter().flatten().map(|text| ByteArray::from(text.as_str())).collect();
                out.typed::<ByteArrayType>().write_batch(&there, Some(&levels(values)), None)?;
            }
            Column::Counts(values) => {
                // The format keeps unsigned numbers in the bits of signed ones.
                let there: Vec<i64> = values.iter().flatten().map(|n| n.cast_signed()).collect();
                out.typed::<Int64Type>().write_batch(&there, Some(&levels(values)), None)?;
            }
            Column::Numbers(values) => {
                let there: Vec<f64> = values.iter().flatten().copied().collect();
                out.typed::<DoubleType>().write_batch(&there, Some(&levels(values)), None)?;
            }
        }
        Ok(())
    }
}

/// 1 where there is a value.
fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
    values.iter().map(|value| i16::from(value.is_some())).collect()
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::*;

    #[test]
    fn a_file_has_every_value_and_null_where_there_is_none() {
        let columns = vec![
            ("sex".to_owned(), Column::Texts(vec![Some("männlich".into()), None])),
            ("count".to_owned(), Column::Counts(vec![None, Some(303)])),
            ("mean(chol)".to_owned(), Column::Numbers(vec![Some(1.0 / 3.0), None])),
        ];
        let bytes = write(columns, &"a".repeat(64).parse().unwrap(), "by_sex").unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        let wanted = [
            "{sex: \"männlich\", count: null, mean(chol): 0.3333333333333333}",
            "{sex: null, count: 303, mean(chol): null}",
        ];
        assert_eq!(rows, wanted);
    }

    #[test]
    fn a_table_without_rows_is_a_file() {
        let bytes =
            write(vec![("n".to_owned(), Column::Counts(vec![]))], &"a".repeat(64).parse().unwrap(), "t").unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}
