//! What the decoder reads, and what stands between it and a damaged file: it makes room for as many bytes and values as a page says
//! that it has, so a page's word is checked against the file before the decoder believes it.

use std::io::{self, BufRead as _, BufReader, Read as _};

use ::parquet::basic::{Encoding, Type};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use ::parquet::schema::types::ColumnDescPtr;
use bocage_protocol::limits::PARQUET_PAGE_BYTES;

use super::super::intake::{Intake, Place};
use super::{ROW_COUNT, TAIL_BYTES, delta};

/// What is read to see a page's header; the decoder asks for its bytes apart.
const HEADER_BYTES: usize = 1 << 10;

const LARGE_PAGE: &str =
    "one of its pages is larger than 256 MiB\n  hint: write smaller row groups; or the file is damaged";
const PAGE: &str =
    "one of its pages holds more values than bytes for them\n  hint: the file is damaged; export it again";
const HEADER: &str = "one of its pages has no header\n  hint: the file is damaged or encrypted; export it again";

/// Why the decoder is given no more.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub(super) struct Refused(pub(super) &'static str);

fn refuse(reason: &'static str) -> ParquetError {
    ParquetError::External(Box::new(Refused(reason)))
}

/// The bytes of a file, for the decoder.
pub(super) struct Pages(Intake);

impl Pages {
    pub(super) fn new(intake: Intake) -> Self {
        Self(intake)
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for Pages {
    type T = BufReader<Place>;

    /// The decoder reads the footer's end and the headers of pages this way.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut reader = BufReader::with_capacity(HEADER_BYTES, self.0.from(start));
        if start < self.len().saturating_sub(TAIL_BYTES) {
            let page = page_bytes(reader.fill_buf()?).ok_or_else(|| refuse(HEADER))?;
            if page > PARQUET_PAGE_BYTES as u64 {
                return Err(refuse(LARGE_PAGE));
            }
        }
        Ok(reader)
    }

    /// The decoder reads the footer and the bodies of pages this way.
    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        if length > PARQUET_PAGE_BYTES {
            return Err(refuse(LARGE_PAGE));
        }
        let mut found = Vec::with_capacity(length.min(usize::try_from(self.len()).unwrap_or(usize::MAX)));
        self.0.from(start).take(length as u64).read_to_end(&mut found)?;
        if found.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(found.into())
    }
}

/// How large the page behind a header is, compressed or not: its second and third number (Thrift's compact protocol writes fields in
/// order).
fn page_bytes(header: &[u8]) -> Option<u64> {
    const NEXT_I32: u8 = 0x15;
    let mut rest = header;
    let mut number = || -> Option<u64> {
        let (field, behind) = rest.split_first()?;
        let (value, behind) = (*field == NEXT_I32).then(|| delta::varint(behind))??;
        rest = behind;
        // Zigzag; a negative size is beyond every bound.
        Some(if value & 1 == 1 { u64::MAX } else { value >> 1 })
    };
    let (_kind, unfolded, stored) = (number()?, number()?, number()?);
    Some(unfolded.max(stored))
}

/// The pages of one column of one row group, each looked at before it is decoded.
pub(super) struct Checked {
    inner: Box<dyn PageReader>,
    column: ColumnDescPtr,
    /// Values that may still come.
    left: u64,
}

impl Checked {
    pub(super) fn new(inner: Box<dyn PageReader>, column: ColumnDescPtr, rows: u64) -> Self {
        Self { inner, column, left: rows }
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        let buffer = page.buffer();
        let levels = match page {
            Page::DictionaryPage { num_values, .. } => {
                let least = match self.column.physical_type() {
                    Type::BOOLEAN => return Err(refuse(PAGE)),
                    Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
                    Type::INT64 | Type::DOUBLE => 8,
                    Type::INT96 => 12,
                    Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(self.column.type_length()).unwrap_or(0).max(1),
                };
                let fits = u64::from(*num_values) * least <= buffer.len() as u64;
                return if fits { Ok(()) } else { Err(refuse(PAGE)) };
            }
            // Definition levels stand before the values, in front of them their length.
            Page::DataPage { .. } if self.column.max_def_level() > 0 => {
                let length = buffer.first_chunk().ok_or_else(|| refuse(PAGE))?;
                4 + u64::from(u32::from_le_bytes(*length))
            }
            Page::DataPage { .. } => 0,
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len)
            }
        };
        let values = u64::from(page.num_values());
        self.left = self.left.checked_sub(values).ok_or_else(|| refuse(ROW_COUNT))?;
        let levels = usize::try_from(levels).unwrap_or(usize::MAX);
        let sections = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => 0,
        };
        if delta::fits(buffer.get(levels..).unwrap_or_default(), sections, values) { Ok(()) } else { Err(refuse(PAGE)) }
    }
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        page.as_ref().map_or(Ok(()), |page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}
