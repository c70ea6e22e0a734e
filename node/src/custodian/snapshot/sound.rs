//! Whether a snapshot's file is sound: Polars maps it and believes it, and an ingest, whose source nobody vouches for, wrote it.
//!
//! Before it is mapped: one batch of the types that a snapshot has, with every buffer within the file and long enough. Behind that: what the buffers say of
//! each other. Both together read the file once more.

use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;

use polars::prelude::DataFrame;
use polars_arrow::array::Utf8ViewArray;
use polars_arrow::bitmap::utils::count_zeros;
use polars_arrow::datatypes::ArrowDataType;
use polars_arrow::io::ipc::format::ipc as arrow;
use polars_arrow::io::ipc::format::ipc::planus::ReadAsRoot as _;
use polars_arrow::io::ipc::read::read_file_metadata;

use crate::custodian::source::SUBJECT;

/// What stands before a message: a mark and its length.
const PREFIX: usize = 8;
/// What says where buffers are is a few bytes a buffer; beyond this it is none of ours.
const MESSAGE_BYTES: u64 = 64 << 20;
/// Where each buffer begins, at least: a multiple of it.
const ALIGNED: u64 = 16;

const NOT_OURS: &str = "not laid out as a snapshot is";

/// How a column lies in the file.
enum Form {
    Bits,
    Bytes(u64),
    Texts,
}

fn form(dtype: &ArrowDataType) -> Option<Form> {
    Some(match dtype {
        ArrowDataType::Boolean => Form::Bits,
        ArrowDataType::UInt8 => Form::Bytes(1),
        ArrowDataType::UInt16 => Form::Bytes(2),
        ArrowDataType::UInt32 | ArrowDataType::Int32 => Form::Bytes(4),
        ArrowDataType::Int64 | ArrowDataType::Float64 => Form::Bytes(8),
        ArrowDataType::Utf8View => Form::Texts,
        _ => return None,
    })
}

/// Holds a file that is to be mapped to its form. It stands at its beginning afterwards.
///
/// # Errors
/// What is wrong with it; no value of it.
pub(super) fn laid_out(file: &File) -> Result<(), &'static str> {
    let mut reader = file;
    let metadata = read_file_metadata(&mut reader).map_err(|_| NOT_OURS)?;
    reader.rewind().map_err(|_| NOT_OURS)?;
    let file_bytes = file.metadata().map_err(|_| NOT_OURS)?.len();
    let [block] = metadata.blocks[..] else { return Err(NOT_OURS) };
    if metadata.dictionaries.as_ref().is_some_and(|dictionaries| !dictionaries.is_empty()) {
        return Err(NOT_OURS);
    }
    let number = |number: i64| u64::try_from(number).map_err(|_| NOT_OURS);
    let (at, body_bytes) = (number(block.offset)?, number(block.body_length)?);
    let message_bytes = number(block.meta_data_length.into())?;
    let body = at.checked_add(message_bytes).ok_or(NOT_OURS)?;
    let ends = body.checked_add(body_bytes).ok_or(NOT_OURS)?;
    if message_bytes <= PREFIX as u64 || message_bytes > MESSAGE_BYTES || ends > file_bytes || body % ALIGNED != 0 {
        return Err(NOT_OURS);
    }
    let mut message = vec![0; usize::try_from(message_bytes).map_err(|_| NOT_OURS)?];
    file.read_exact_at(&mut message, at).map_err(|_| NOT_OURS)?;
    // The reader may take no other stretch of it for the message than this does.
    let stated = [message[4], message[5], message[6], message[7]];
    if message[..4] != [0xff; 4] || u32::from_le_bytes(stated) as usize != message.len() - PREFIX {
        return Err(NOT_OURS);
    }
    let forms = metadata.schema.iter_values().map(|field| form(&field.dtype)).collect::<Option<Vec<_>>>();
    match batch(&message[PREFIX..], &forms.ok_or(NOT_OURS)?, body_bytes) {
        Ok(true) => Ok(()),
        _ => Err(NOT_OURS),
    }
}

/// Whether each buffer of a batch is in its body and as long as its rows need.
fn batch(message: &[u8], forms: &[Form], body_bytes: u64) -> Result<bool, arrow::planus::Error> {
    let message = arrow::MessageRef::read_as_root(message)?;
    let Some(arrow::MessageHeaderRef::RecordBatch(batch)) = message.header()? else { return Ok(false) };
    let (Some(nodes), Some(buffers)) = (batch.nodes()?, batch.buffers()?) else { return Ok(false) };
    let Ok(rows) = u64::try_from(batch.length()?) else { return Ok(false) };
    let texts = batch.variadic_buffer_counts()?;
    let (mut nodes, mut buffers) = (nodes.iter(), buffers.iter());
    let mut texts = texts.iter().flat_map(|counts| counts.iter());
    let mut next = |least: Option<u64>| {
        let Some(buffer) = buffers.next() else { return false };
        let (Ok(at), Ok(bytes)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
            return false;
        };
        let within = at.checked_add(bytes).is_some_and(|end| end <= body_bytes);
        within && at % ALIGNED == 0 && least.is_some_and(|least| bytes >= least)
    };
    let bits = rows.div_ceil(8);
    for form in forms {
        let Some(node) = nodes.next() else { return Ok(false) };
        let Ok(nulls) = u64::try_from(node.null_count()) else { return Ok(false) };
        let present = if nulls == 0 { 0 } else { bits };
        let sound = u64::try_from(node.length()) == Ok(rows)
            && nulls <= rows
            && next(Some(present))
            && match form {
                Form::Bits => next(Some(bits)),
                Form::Bytes(each) => next(rows.checked_mul(*each)),
                Form::Texts => {
                    let long = texts.next().unwrap_or(-1);
                    next(rows.checked_mul(16)) && long >= 0 && (0..long).all(|_| next(Some(0)))
                }
            };
        if !sound {
            return Ok(false);
        }
    }
    Ok(nodes.next().is_none() && !next(Some(0)) && batch.compression()?.is_none())
}

/// Holds what was mapped to what Polars believes of it: texts lie within their buffers and are UTF-8, as many values are missing as the file says, and
/// each row has a patient, whose rows stand together.
///
/// # Errors
/// What is wrong with it; no value of it.
pub(super) fn whole(frame: &DataFrame) -> Result<(), &'static str> {
    for array in frame.columns().iter().flat_map(|column| column.as_materialized_series().chunks()) {
        if let Some(present) = array.validity() {
            let (bytes, from, length) = present.as_slice();
            if count_zeros(bytes, from, length) != present.unset_bits() {
                return Err("another number of values is missing than it says");
            }
        }
        if let Some(texts) = array.as_any().downcast_ref::<Utf8ViewArray>() {
            let (views, buffers) = (texts.views().clone(), texts.data_buffers().clone());
            Utf8ViewArray::try_new(ArrowDataType::Utf8View, views, buffers, None)
                .map_err(|_| "a text lies outside of its column, or is none")?;
        }
    }
    let subjects = frame.column(SUBJECT).ok().and_then(|column| column.u32().ok());
    let ordered =
        subjects.is_some_and(|s| s.null_count() == 0 && s.downcast_iter().all(|part| part.values().is_sorted()));
    if ordered { Ok(()) } else { Err("not the rows of one patient after another") }
}
