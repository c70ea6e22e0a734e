//! The columns of a snapshot while they grow, and the Arrow file that they become: one record batch, as the engine wants it, although its rows
//! come piece by piece and no column is ever whole in memory.
//!
//! Each of a column's buffers is a stream of a [`Spool`]. Arrow's metadata is made by the same crate that reads it ([`super::mapped`]); where a row is missing
//! a value its bytes are zero, so that equal rows are equal bytes, whatever pieces they came in.

use std::io::{self, Write};

use bocage_protocol::ids::Digest;
use polars::prelude::{CompatLevel, DataType, PlSmallStr, Schema, SchemaExt as _, Series};
use polars_arrow::array::StaticArray as _;
use polars_arrow::io::ipc::format::ipc as arrow;
use polars_arrow::io::ipc::format::ipc::planus::Builder;
use polars_arrow::io::ipc::write::schema::serialize_schema;
use polars_arrow::io::ipc::write::{default_ipc_fields, schema_to_bytes};

use super::SnapshotError;
use super::mapped::CONTRACT_KEY;
use super::spool::{Spool, Stream};
use super::subjects::Numbered;
use crate::custodian::source::SUBJECT;

const MAGIC: &[u8] = b"ARROW1";
/// Where buffers begin: a multiple of it.
const ALIGNED: u64 = 64;
/// Texts up to here stand in their view.
const INLINE_BYTES: usize = 12;
/// A buffer of longer texts ends before it is larger: views count in 31 bits.
const TEXT_BYTES: u64 = 1 << 30;

/// The columns of a snapshot, as far as they are known.
pub(super) struct Columns<'a> {
    spool: Spool<'a>,
    schema: Schema,
    columns: Vec<Column>,
    rows: u64,
}

struct Column {
    /// One bit a row: whether it has a value.
    present: Bits,
    values: Values,
    nulls: u64,
}

enum Values {
    Fixed(Stream),
    Truths(Bits),
    Texts { views: Stream, long: Vec<Stream>, last_bytes: u64 },
}

/// A stream of bits.
struct Bits {
    stream: Stream,
    last: u8,
    in_last: u32,
}

impl Bits {
    fn new(spool: &mut Spool<'_>) -> Self {
        Self { stream: spool.stream(), last: 0, in_last: 0 }
    }

    /// As many set bits as there are rows.
    fn append_set(&mut self, spool: &mut Spool<'_>, mut rows: usize) -> Result<(), SnapshotError> {
        let first = rows.min((8 - self.in_last as usize) % 8);
        self.append(spool, std::iter::repeat_n(true, first))?;
        rows -= first;
        spool.append(self.stream, &vec![0xff; rows / 8])?;
        self.append(spool, std::iter::repeat_n(true, rows % 8))
    }

    fn append(&mut self, spool: &mut Spool<'_>, bits: impl Iterator<Item = bool>) -> Result<(), SnapshotError> {
        let mut bytes = Vec::with_capacity(bits.size_hint().0 / 8 + 1);
        for bit in bits {
            self.last |= u8::from(bit) << self.in_last;
            self.in_last += 1;
            if self.in_last == 8 {
                bytes.push(self.last);
                (self.last, self.in_last) = (0, 0);
            }
        }
        spool.append(self.stream, &bytes)
    }

    fn end(&mut self, spool: &mut Spool<'_>) -> Result<(), SnapshotError> {
        if self.in_last > 0 {
            spool.append(self.stream, &[self.last])?;
        }
        Ok(())
    }
}

impl<'a> Columns<'a> {
    /// Columns without a row: the patient's number, then those of a frame, with their names and types.
    pub(super) fn of(rows: &Schema, mut spool: Spool<'a>) -> Self {
        let numbers = std::iter::once((PlSmallStr::from(SUBJECT), DataType::UInt32));
        let schema: Schema = numbers.chain(rows.iter().map(|(name, dtype)| (name.clone(), dtype.clone()))).collect();
        let columns = schema.iter_values().map(|dtype| Column::new(dtype, &mut spool)).collect();
        Self { spool, schema, columns, rows: 0 }
    }

    /// Adds rows below the others.
    pub(super) fn append(&mut self, numbered: &Numbered) -> Result<(), SnapshotError> {
        let Numbered { rows, order, numbers } = numbered;
        let Some((subjects, columns)) = self.columns.split_first_mut() else { return Err(other_type()) };
        subjects.append_numbers(&mut self.spool, numbers)?;
        for (column, values) in columns.iter_mut().zip(rows.columns()) {
            column.append(&mut self.spool, &values.as_materialized_series().rechunk(), order)?;
        }
        self.rows += order.len() as u64;
        Ok(())
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// About how large the file becomes.
    pub(super) fn file_bytes(&self) -> u64 {
        let bytes = |column: &Column| column.buffers().iter().map(|stream| self.spool.bytes(*stream)).sum::<u64>();
        self.columns.iter().map(bytes).sum()
    }

    /// Writes the file, which names the contract that its codes are positions of. `failed` says what a write that failed means.
    pub(super) fn write(
        mut self,
        out: &mut dyn Write,
        contract: &Digest,
        failed: impl Fn(&io::Error) -> SnapshotError,
    ) -> Result<(), SnapshotError> {
        let mut buffers: Vec<Option<Stream>> = Vec::new();
        for column in &mut self.columns {
            column.end(&mut self.spool)?;
            // Where all rows have a value, nothing says so for each.
            let present = (column.nulls > 0).then_some(column.present.stream);
            buffers.extend(std::iter::once(present).chain(column.buffers().into_iter().skip(1).map(Some)));
        }
        let lengths: Vec<u64> =
            buffers.iter().map(|buffer| buffer.map_or(0, |stream| self.spool.bytes(stream))).collect();
        let fields = self.schema.to_arrow(CompatLevel::newest());
        let ipc_fields = default_ipc_fields(fields.iter_values());
        let mut out = Out { inner: out, at: 0 };
        let failed = |e: io::Error| failed(&e);
        out.put(MAGIC).and_then(|()| out.put(&[0, 0])).map_err(failed)?;
        out.message(&schema_to_bytes(&fields, &ipc_fields, None)).map_err(failed)?;
        let (offset, body_length) = (out.at, lengths.iter().map(|bytes| bytes.next_multiple_of(ALIGNED)).sum::<u64>());
        out.message(&self.batch(&lengths, body_length)).map_err(failed)?;
        let meta_data_length = (out.at - offset) as i32;
        for (stream, bytes) in
            buffers.iter().zip(&lengths).filter_map(|(stream, bytes)| Some((stream.as_ref()?, bytes)))
        {
            self.spool.read(*stream, |piece| out.put(piece).map_err(failed))?;
            out.pad(bytes.next_multiple_of(ALIGNED) - bytes).map_err(failed)?;
        }
        out.message(&[]).map_err(failed)?;
        let named = [(CONTRACT_KEY.into(), contract.to_string().into())].into_iter().collect();
        let footer = arrow::Footer {
            version: arrow::MetadataVersion::V5,
            schema: Some(Box::new(serialize_schema(&fields, &ipc_fields, Some(&named)))),
            dictionaries: Some(Vec::new()),
            record_batches: Some(vec![arrow::Block {
                offset: offset as i64,
                meta_data_length,
                body_length: body_length as i64,
            }]),
            custom_metadata: None,
        };
        let footer = Builder::new().finish(&footer, None).to_vec();
        out.put(&footer).and_then(|()| out.put(&(footer.len() as i32).to_le_bytes())).map_err(failed)?;
        out.put(MAGIC).and_then(|()| out.inner.flush()).map_err(failed)
    }

    /// What says where each buffer of the batch is.
    fn batch(&self, lengths: &[u64], body_length: u64) -> Vec<u8> {
        let mut at = 0;
        let buffer = |length: &u64| {
            let buffer = arrow::Buffer { offset: at, length: *length as i64 };
            at += length.next_multiple_of(ALIGNED) as i64;
            buffer
        };
        let buffers = lengths.iter().map(buffer).collect();
        let length = self.rows as i64;
        let nodes = self.columns.iter().map(|column| arrow::FieldNode { length, null_count: column.nulls as i64 });
        let long: Vec<i64> = self
            .columns
            .iter()
            .filter_map(|column| match &column.values {
                Values::Texts { long, .. } => Some(long.len() as i64),
                _ => None,
            })
            .collect();
        let batch = arrow::RecordBatch {
            length,
            nodes: Some(nodes.collect()),
            buffers: Some(buffers),
            compression: None,
            variadic_buffer_counts: (!long.is_empty()).then_some(long),
        };
        let message = arrow::Message {
            version: arrow::MetadataVersion::V5,
            header: Some(arrow::MessageHeader::RecordBatch(Box::new(batch))),
            body_length: body_length as i64,
            custom_metadata: None,
        };
        Builder::new().finish(&message, None).to_vec()
    }
}

impl Column {
    fn new(dtype: &DataType, spool: &mut Spool<'_>) -> Self {
        let present = Bits::new(spool);
        let values = match dtype {
            DataType::Boolean => Values::Truths(Bits::new(spool)),
            DataType::String => Values::Texts { views: spool.stream(), long: Vec::new(), last_bytes: 0 },
            _ => Values::Fixed(spool.stream()),
        };
        Self { present, values, nulls: 0 }
    }

    /// Its buffers in Arrow's order.
    fn buffers(&self) -> Vec<Stream> {
        let present = self.present.stream;
        match &self.values {
            Values::Fixed(stream) => vec![present, *stream],
            Values::Truths(bits) => vec![present, bits.stream],
            Values::Texts { views, long, .. } => [present, *views].into_iter().chain(long.iter().copied()).collect(),
        }
    }

    /// Appends numbers, of which none is missing.
    fn append_numbers(&mut self, spool: &mut Spool<'_>, numbers: &[u32]) -> Result<(), SnapshotError> {
        let Values::Fixed(stream) = &self.values else { return Err(other_type()) };
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        spool.append(*stream, &bytes)?;
        self.present.append_set(spool, numbers.len())
    }

    /// Appends the values of some rows, in this order.
    fn append(&mut self, spool: &mut Spool<'_>, values: &Series, order: &[u32]) -> Result<(), SnapshotError> {
        let rows = order.iter().map(|row| *row as usize);
        if values.null_count() == 0 {
            self.present.append_set(spool, order.len())?;
        } else {
            let missing = values.is_null();
            let missing = missing.downcast_as_array();
            self.nulls += rows.clone().filter(|row| missing.value(*row)).count() as u64;
            self.present.append(spool, rows.clone().map(|row| !missing.value(row)))?;
        }
        match &mut self.values {
            Values::Truths(bits) => {
                let truths = values.bool().map_err(|_| other_type())?.downcast_as_array();
                bits.append(spool, rows.map(|row| truths.get(row) == Some(true)))
            }
            Values::Texts { views, long, last_bytes } => {
                let texts = values.str().map_err(|_| other_type())?.downcast_as_array();
                append_texts(spool, *views, long, last_bytes, rows.map(|row| texts.get(row)))
            }
            Values::Fixed(stream) => spool.append(*stream, &fixed(values, order).ok_or_else(other_type)?),
        }
    }

    fn end(&mut self, spool: &mut Spool<'_>) -> Result<(), SnapshotError> {
        self.present.end(spool)?;
        if let Values::Truths(bits) = &mut self.values { bits.end(spool) } else { Ok(()) }
    }
}

/// The bytes of some rows' numbers.
fn fixed(values: &Series, order: &[u32]) -> Option<Vec<u8>> {
    macro_rules! bytes {
        ($of:ident) => {{
            let array = values.$of().ok()?.downcast_as_array();
            let mut bytes = vec![0; order.len() * size_of::<$of>()];
            let each = bytes.chunks_exact_mut(size_of::<$of>()).zip(order);
            match array.validity() {
                None => {
                    let values = array.values().as_slice();
                    each.for_each(|(to, row)| to.copy_from_slice(&values[*row as usize].to_le_bytes()));
                }
                Some(_) => each.for_each(|(to, row)| {
                    to.copy_from_slice(&array.get(*row as usize).unwrap_or_default().to_le_bytes());
                }),
            }
            bytes
        }};
    }
    Some(match values.dtype() {
        DataType::Int64 => bytes!(i64),
        DataType::Int32 => bytes!(i32),
        DataType::Float64 => bytes!(f64),
        DataType::UInt32 => bytes!(u32),
        DataType::UInt16 => bytes!(u16),
        DataType::UInt8 => bytes!(u8),
        _ => return None,
    })
}

/// Appends a view of each text, and the texts that do not fit one.
fn append_texts<'t>(
    spool: &mut Spool<'_>,
    views: Stream,
    long: &mut Vec<Stream>,
    last_bytes: &mut u64,
    texts: impl Iterator<Item = Option<&'t str>>,
) -> Result<(), SnapshotError> {
    let (mut made, mut pending): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for text in texts {
        let text = text.unwrap_or_default().as_bytes();
        let mut view = [0; 16];
        view[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
        if text.len() <= INLINE_BYTES {
            view[4..4 + text.len()].copy_from_slice(text);
        } else {
            if long.is_empty() || *last_bytes + text.len() as u64 > TEXT_BYTES {
                if let Some(last) = long.last() {
                    spool.append(*last, &std::mem::take(&mut pending))?;
                }
                long.push(spool.stream());
                *last_bytes = 0;
            }
            view[4..8].copy_from_slice(&text[..4]);
            view[8..12].copy_from_slice(&(long.len() as u32 - 1).to_le_bytes());
            view[12..].copy_from_slice(&(*last_bytes as u32).to_le_bytes());
            *last_bytes += text.len() as u64;
            pending.extend_from_slice(text);
        }
        made.extend_from_slice(&view);
    }
    spool.append(views, &made)?;
    match long.last() {
        Some(last) => spool.append(*last, &pending),
        None => Ok(()),
    }
}

fn other_type() -> SnapshotError {
    SnapshotError::Fault { stage: "a column has a type that no snapshot has" }
}

/// Where the file is written, and how far.
struct Out<'a> {
    inner: &'a mut dyn Write,
    at: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        self.put(&[0; ALIGNED as usize][..bytes as usize])
    }

    /// A message as Arrow frames it, or, where it is empty, the mark behind the last one. What follows it is aligned.
    fn message(&mut self, message: &[u8]) -> io::Result<()> {
        let ends = self.at + 8 + message.len() as u64;
        let padding = if message.is_empty() { 0 } else { ends.next_multiple_of(ALIGNED) - ends };
        self.put(&[0xff; 4])?;
        self.put(&(message.len() as i32 + padding as i32).to_le_bytes())?;
        self.put(message)?;
        self.pad(padding)
    }
}

#[cfg(test)]
mod tests {
    use polars::df;
    use polars::prelude::{DataFrame, IntoLazy as _};
    use proptest::prelude::*;

    use super::*;
    use crate::custodian::snapshot::sound::laid_out;
    use crate::custodian::snapshot::{Floor, SystemDisk, mapped};

    type Row = (u32, Option<i64>, Option<bool>, Option<String>);

    fn frame(rows: &[Row]) -> DataFrame {
        df!(
            SUBJECT => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            "n" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            "x" => rows.iter().map(|row| row.1.map(|n| n as f64 / 7.0)).collect::<Vec<_>>(),
            "day" => rows.iter().map(|row| row.1.map(|n| n as i32)).collect::<Vec<_>>(),
            "truth" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
            "text" => rows.iter().map(|row| row.3.as_deref()).collect::<Vec<_>>(),
        )
        .unwrap()
        .lazy()
        .with_columns([polars::prelude::col("n").cast(DataType::UInt16).alias("code")])
        .collect_with_engine(polars::prelude::Engine::InMemory)
        .unwrap()
        .unwrap_single()
    }

    /// The file of rows that come in pieces.
    fn file(pieces: &[DataFrame]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path(), Floor { disk: &SystemDisk, bytes: 0 }).unwrap();
        let mut columns = Columns::of(pieces[0].drop(SUBJECT).unwrap().schema(), spool);
        for piece in pieces {
            let numbers = piece.column(SUBJECT).unwrap().u32().unwrap().into_no_null_iter().collect();
            // As they were before they were sorted.
            let (order, rows) = ((0..piece.height() as u32).rev().collect(), piece.drop(SUBJECT).unwrap().reverse());
            columns.append(&Numbered { rows, order, numbers }).unwrap();
        }
        let mut bytes = Vec::new();
        columns.write(&mut bytes, &Digest::of("contract", &[]), |_| unreachable!()).unwrap();
        bytes
    }

    fn mapped(bytes: &[u8]) -> Result<DataFrame, &'static str> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.arrow");
        std::fs::write(&path, bytes).unwrap();
        mapped::map(std::fs::File::open(&path).unwrap(), &path, &Digest::of("contract", &[]))
    }

    #[test]
    fn a_file_that_says_what_is_not_so_is_refused_wherever_it_says_it() {
        let text = |i: u32| Some(format!("{i}: a text that fits no view"));
        let rows: Vec<Row> = (0..9).map(|i| (i / 2, (i > 2).then_some(7), Some(true), text(i))).collect();
        let sound = file(&[frame(&rows)]);
        mapped(&sound).unwrap();
        let find = |what: &[u8]| sound.windows(what.len()).position(|window| window == what).unwrap();
        let with = |at: usize, bytes: &[u8]| {
            let mut file = sound.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            mapped(&file).map(drop)
        };
        let outside = Err("a text lies outside of its column, or is none");
        assert_eq!(with(find(b"3: a text") + 5, &[0xff]), outside, "no UTF-8");
        let subjects = find(b"\x03\0\0\0\x03\0\0\0\x04\0\0\0");
        assert_eq!(with(subjects, &[9]), Err("not the rows of one patient after another"));
        // What says where the buffers are, and how many rows there are. (Where a view leads, Polars' own debug build asserts.)
        let footer = u32::from_le_bytes(sound[sound.len() - 10..sound.len() - 6].try_into().unwrap()) as usize;
        let dir = tempfile::tempdir().unwrap();
        let refused = (8..sound.len() - 10 - footer).filter(|at| {
            let mut file = sound.clone();
            file[*at] ^= 0x15;
            std::fs::write(dir.path().join("rows"), file).unwrap();
            laid_out(&std::fs::File::open(dir.path().join("rows")).unwrap()).is_err()
        });
        assert!(refused.count() > 100);
    }

    proptest! {
        #[test]
        fn rows_are_mapped_as_they_were_and_no_piece_shows_in_the_file(
            mut rows in proptest::collection::vec(
                (any::<u32>(), proptest::option::of(0..60_000i64), any::<Option<bool>>(), proptest::option::of(".{0,30}")),
                1..80,
            ),
            cut in 0..80usize,
        ) {
            rows.sort_by_key(|row| row.0);
            let whole = frame(&rows);
            let cut = cut.min(whole.height());
            let pieces = [whole.slice(0, cut), whole.slice(cut as i64, whole.height() - cut)];
            let bytes = file(std::slice::from_ref(&whole));
            prop_assert_eq!(&bytes, &file(&pieces));
            let mapped = mapped(&bytes).unwrap();
            prop_assert!(mapped.equals_missing(&whole));
            prop_assert_eq!(mapped.schema(), whole.schema());
        }
    }
}
