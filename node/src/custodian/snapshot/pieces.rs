//! Rows as bytes, for what is put aside: a record of fixed width a row, and behind all records the texts, column by column. A row is written in one place,
//! whatever part it goes to, and its columns are read again one after the other.
//!
//! ```text
//! rows, 4 bytes │ record │ record │ … │ texts of the first column that has some │ …
//! record: a bit a column, set where there is no value │ values, one behind the other; of a text its length
//! ```

use std::ops::Range;

use polars::prelude::{
    BooleanChunked, Column, DataFrame, DataType, Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn as _,
    PlSmallStr, Schema, Series, StringChunkedBuilder, UInt8Chunked, UInt16Chunked, UInt32Chunked, UInt64Chunked,
};
use polars_arrow::array::BooleanArray;
use polars_arrow::bitmap::{Bitmap, BitmapBuilder};
use polars_arrow::datatypes::ArrowDataType;

/// What stands before the records.
const COUNT_BYTES: usize = 4;
/// Rows that are laid side by side before they go to their parts: few enough to stay in a core's cache.
const BLOCK: usize = 2048;

/// How rows of some columns lie in a piece.
pub(super) struct Layout {
    fields: Vec<Field>,
    /// Of a record.
    width: usize,
    texts: usize,
}

struct Field {
    name: PlSmallStr,
    dtype: DataType,
    /// Where its value stands in a record.
    at: usize,
}

/// A piece while it grows.
#[derive(Default)]
pub(super) struct Piece {
    records: Vec<u8>,
    texts: Vec<Vec<u8>>,
    rows: u32,
}

impl Layout {
    /// For rows of these columns; none where a column has a type that no snapshot has.
    pub(super) fn of(schema: &Schema) -> Option<Self> {
        let mut at = schema.len().div_ceil(8);
        let mut fields = Vec::with_capacity(schema.len());
        for (name, dtype) in schema.iter() {
            fields.push(Field { name: name.clone(), dtype: dtype.clone(), at });
            at += match dtype {
                DataType::Int64 | DataType::UInt64 | DataType::Float64 => 8,
                DataType::Int32 | DataType::UInt32 | DataType::String => 4,
                DataType::UInt16 => 2,
                DataType::UInt8 | DataType::Boolean => 1,
                _ => return None,
            };
        }
        let texts = fields.iter().filter(|field| field.dtype == DataType::String).count();
        Some(Self { fields, width: at, texts })
    }

    /// Adds each row to the piece of its part, and says how many bytes that are; none where the columns are others.
    pub(super) fn scatter(&self, rows: &DataFrame, parts: &[u32], pieces: &mut [Piece]) -> Option<usize> {
        let series: Vec<Series> = rows.columns().iter().map(|c| c.as_materialized_series().rechunk()).collect();
        if !series.iter().map(|values| values.dtype()).eq(self.fields.iter().map(|field| &field.dtype)) {
            return None;
        }
        let mut records = Vec::new();
        for from in (0..rows.height()).step_by(BLOCK) {
            let block = from..rows.height().min(from + BLOCK);
            records.clear();
            records.resize(block.len() * self.width, 0);
            for (i, (field, values)) in self.fields.iter().zip(&series).enumerate() {
                self.lay(values, &block, (i, field.at), &mut records)?;
            }
            for (record, part) in records.chunks_exact(self.width).zip(parts.get(block)?) {
                pieces.get_mut(*part as usize)?.add(record);
            }
        }
        let mut bytes = rows.height() * self.width;
        for (place, texts) in series.iter().filter_map(|values| values.str().ok()).enumerate() {
            for (text, part) in texts.downcast_as_array().iter().zip(parts) {
                let Some(text) = text else { continue };
                let own = &mut pieces.get_mut(*part as usize)?.texts;
                own.resize_with(self.texts, Vec::new);
                own[place].extend_from_slice(text.as_bytes());
                bytes += text.len();
            }
        }
        Some(bytes)
    }

    /// Writes a column's values of some rows into their records.
    fn lay(&self, values: &Series, block: &Range<usize>, (i, at): (usize, usize), records: &mut [u8]) -> Option<()> {
        let each = records.chunks_exact_mut(self.width);
        macro_rules! numbers {
            ($of:ident, $bytes:literal) => {{
                let array = values.$of().ok()?.downcast_as_array();
                let values = array.values().get(block.clone())?;
                each.zip(values).for_each(|(r, v)| r[at..at + $bytes].copy_from_slice(&v.to_le_bytes()));
            }};
        }
        match values.dtype() {
            DataType::Int64 => numbers!(i64, 8),
            DataType::UInt64 => numbers!(u64, 8),
            DataType::Float64 => numbers!(f64, 8),
            DataType::Int32 => numbers!(i32, 4),
            DataType::UInt32 => numbers!(u32, 4),
            DataType::UInt16 => numbers!(u16, 2),
            DataType::UInt8 => numbers!(u8, 1),
            DataType::Boolean => {
                let truths = values.bool().ok()?.downcast_as_array();
                each.zip(block.clone()).for_each(|(r, row)| r[at] = u8::from(truths.value(row)));
            }
            _ => {
                let texts = values.str().ok()?.downcast_as_array();
                each.zip(block.clone()).for_each(|(r, row)| {
                    let bytes = texts.get(row).map_or(0, str::len) as u32;
                    r[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
                });
            }
        }
        if values.null_count() > 0 {
            let missing = values.is_null();
            let missing = missing.downcast_as_array();
            for (record, row) in records.chunks_exact_mut(self.width).zip(block.clone()) {
                record[i / 8] |= u8::from(missing.value(row)) << (i % 8);
            }
        }
        Some(())
    }
}

impl Piece {
    fn add(&mut self, record: &[u8]) {
        if self.rows == 0 {
            self.records.resize(COUNT_BYTES, 0);
        }
        self.rows += 1;
        self.records.extend_from_slice(record);
    }

    /// The piece as bytes, none where it has no row; it has none afterwards.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let Piece { mut records, texts, rows } = std::mem::take(self);
        records.get_mut(..COUNT_BYTES)?.copy_from_slice(&rows.to_le_bytes());
        texts.iter().for_each(|texts| records.extend_from_slice(texts));
        Some(records)
    }
}

/// Rows of several pieces, brought together.
pub(super) struct Gathered<'a> {
    layout: &'a Layout,
    rows: usize,
    columns: Vec<(Growing, BitmapBuilder)>,
}

/// A column's values.
enum Growing {
    Int64(Vec<i64>),
    UInt64(Vec<u64>),
    Float64(Vec<f64>),
    Int32(Vec<i32>),
    UInt32(Vec<u32>),
    UInt16(Vec<u16>),
    UInt8(Vec<u8>),
    Truths(BitmapBuilder),
    Texts(StringChunkedBuilder),
}

impl Growing {
    fn new(field: &Field) -> Self {
        match field.dtype {
            DataType::Int64 => Growing::Int64(Vec::new()),
            DataType::UInt64 => Growing::UInt64(Vec::new()),
            DataType::Float64 => Growing::Float64(Vec::new()),
            DataType::Int32 => Growing::Int32(Vec::new()),
            DataType::UInt32 => Growing::UInt32(Vec::new()),
            DataType::UInt16 => Growing::UInt16(Vec::new()),
            DataType::UInt8 => Growing::UInt8(Vec::new()),
            DataType::Boolean => Growing::Truths(BitmapBuilder::new()),
            _ => Growing::Texts(StringChunkedBuilder::new(field.name.clone(), 0)),
        }
    }

    fn finish(self, name: PlSmallStr, present: BitmapBuilder) -> Column {
        let present = present.into_opt_validity();
        match self {
            Growing::Int64(v) => Int64Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::UInt64(v) => UInt64Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::Float64(v) => Float64Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::Int32(v) => Int32Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::UInt32(v) => UInt32Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::UInt16(v) => UInt16Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::UInt8(v) => UInt8Chunked::from_vec_validity(name, v, present).into_column(),
            Growing::Truths(truths) => {
                let truths: Bitmap = truths.freeze();
                BooleanChunked::with_chunk(name, BooleanArray::new(ArrowDataType::Boolean, truths, present))
                    .into_column()
            }
            Growing::Texts(texts) => texts.finish().into_column(),
        }
    }
}

impl<'a> Gathered<'a> {
    /// Without a row.
    pub(super) fn new(layout: &'a Layout) -> Self {
        let columns = layout.fields.iter().map(|field| (Growing::new(field), BitmapBuilder::new()));
        Self { layout, rows: 0, columns: columns.collect() }
    }

    /// Adds a piece's rows behind the others; none where it is no piece of this layout.
    pub(super) fn add(&mut self, piece: &[u8]) -> Option<()> {
        let (count, rest) = piece.split_first_chunk()?;
        let rows = u32::from_le_bytes(*count) as usize;
        let width = self.layout.width;
        let (records, mut texts) = rest.split_at_checked(rows.checked_mul(width)?)?;
        let each = || records.chunks_exact(width);
        let mut absent = vec![0; self.layout.fields.len().div_ceil(8)];
        each().for_each(|record| absent.iter_mut().zip(record).for_each(|(all, own)| *all |= *own));
        for (i, (field, (values, present))) in self.layout.fields.iter().zip(&mut self.columns).enumerate() {
            let (at, bit) = (field.at, 1 << (i % 8));
            macro_rules! numbers {
                ($to:expr, $of:ty) => {{
                    let number =
                        |r: &[u8]| r[at..].first_chunk().map_or(Default::default(), |b| <$of>::from_le_bytes(*b));
                    $to.extend(each().map(number));
                }};
            }
            match values {
                Growing::Int64(to) => numbers!(to, i64),
                Growing::UInt64(to) => numbers!(to, u64),
                Growing::Float64(to) => numbers!(to, f64),
                Growing::Int32(to) => numbers!(to, i32),
                Growing::UInt32(to) => numbers!(to, u32),
                Growing::UInt16(to) => numbers!(to, u16),
                Growing::UInt8(to) => numbers!(to, u8),
                Growing::Truths(to) => each().for_each(|r| to.push(r[at] != 0)),
                Growing::Texts(to) => {
                    let bytes = |r: &[u8]| r[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b)) as usize;
                    let (own, behind) = texts.split_at_checked(each().map(bytes).sum())?;
                    texts = behind;
                    let mut own = std::str::from_utf8(own).ok()?;
                    for record in each() {
                        let (text, rest) = own.split_at_checked(bytes(record))?;
                        own = rest;
                        to.append_option((record[i / 8] & bit == 0).then_some(text));
                    }
                }
            }
            if absent[i / 8] & bit == 0 {
                present.extend_constant(rows, true);
            } else {
                each().for_each(|r| present.push(r[i / 8] & bit == 0));
            }
        }
        self.rows += rows;
        texts.is_empty().then_some(())
    }

    /// The rows, none where there is none; there is none afterwards.
    pub(super) fn take(&mut self) -> Option<DataFrame> {
        let Self { layout, rows, columns } = std::mem::replace(self, Gathered::new(self.layout));
        let finished =
            layout.fields.iter().zip(columns).map(|(field, (values, p))| values.finish(field.name.clone(), p));
        let columns: Vec<Column> = finished.collect();
        (rows > 0).then(|| DataFrame::new(rows, columns).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use polars::df;
    use proptest::prelude::*;

    use super::*;

    type Row = (u32, Option<i64>, Option<bool>, Option<String>, Option<String>);

    fn frame(rows: &[Row]) -> DataFrame {
        let numbers = |of: fn(i64) -> i64| rows.iter().map(|row| row.1.map(of)).collect::<Vec<_>>();
        df!(
            "part" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            "wide" => numbers(|n| n),
            "x" => rows.iter().map(|row| row.1.map(|n| n as f64 / 7.0)).collect::<Vec<_>>(),
            "day" => rows.iter().map(|row| row.1.map(|n| n as i32)).collect::<Vec<_>>(),
            "place" => rows.iter().map(|row| u64::from(row.0)).collect::<Vec<_>>(),
            "code" => rows.iter().map(|row| row.1.map(|n| n as u16)).collect::<Vec<_>>(),
            "mark" => rows.iter().map(|row| row.0 as u8).collect::<Vec<_>>(),
            "truth" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
            "text" => rows.iter().map(|row| row.3.as_deref()).collect::<Vec<_>>(),
            "id" => rows.iter().map(|row| row.4.as_deref()).collect::<Vec<_>>(),
        )
        .unwrap()
    }

    proptest! {
        #[test]
        fn the_rows_of_each_part_are_read_as_they_were_whatever_batches_and_pieces_they_came_in(
            rows in proptest::collection::vec(
                (0..3u32, proptest::option::of(any::<i64>()), any::<Option<bool>>(), proptest::option::of(".{0,20}"), proptest::option::of("[a-z]{0,3}")),
                1..60,
            ),
            cut in 0..60usize,
            flush in any::<bool>(),
        ) {
            let cut = cut.min(rows.len());
            let layout = Layout::of(frame(&rows).schema()).unwrap();
            let mut pieces: Vec<Piece> = (0..3).map(|_| Piece::default()).collect();
            let mut written: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 3];
            for batch in [&rows[..cut], &rows[cut..]] {
                let parts: Vec<u32> = batch.iter().map(|row| row.0).collect();
                layout.scatter(&frame(batch), &parts, &mut pieces).unwrap();
                if flush {
                    pieces.iter_mut().zip(&mut written).for_each(|(piece, all)| all.extend(piece.take()));
                }
            }
            pieces.iter_mut().zip(&mut written).for_each(|(piece, all)| all.extend(piece.take()));
            let mut gathered = Gathered::new(&layout);
            for (part, pieces) in written.iter().enumerate() {
                let own: Vec<Row> = rows.iter().filter(|row| row.0 == part as u32).cloned().collect();
                pieces.iter().for_each(|piece| gathered.add(piece).unwrap());
                match gathered.take() {
                    Some(read) => prop_assert!(read.equals_missing(&frame(&own))),
                    None => prop_assert!(own.is_empty()),
                }
            }
        }

        #[test]
        fn what_is_no_piece_is_refused_and_never_a_panic(
            bytes in proptest::collection::vec(0..4u8, 0..90),
            rows in proptest::collection::vec(proptest::option::of("é{0,2}"), 1..4),
            at in any::<prop::sample::Index>(),
        ) {
            let texts = df!("text" => rows.iter().map(|text| text.as_deref()).collect::<Vec<_>>()).unwrap();
            let layout = Layout::of(texts.schema()).unwrap();
            let _ = Gathered::new(&layout).add(&bytes);
            let mut pieces = [Piece::default()];
            layout.scatter(&texts, &vec![0; rows.len()], &mut pieces).unwrap();
            let piece = pieces[0].take().unwrap();
            prop_assert!(Gathered::new(&layout).add(&piece[..at.index(piece.len())]).is_none());
            let other = df!("text" => [1i64]).unwrap();
            prop_assert!(layout.scatter(&other, &[0], &mut pieces).is_none());
        }
    }
}
