//! The pages of one column of one row group, as the decoder gets them: each unfolded here, within bounds, and looked at before it is
//! decoded. The decoder makes room for as many bytes and values as a page says that it has.

use std::io::{self, BufReader, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::parquet::basic::{Compression, Encoding, Type};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::schema::types::ColumnDescPtr;
use bocage_protocol::limits::PARQUET_PAGE_BYTES;

use super::super::intake::{Intake, Place};
use super::header::{self, Header, Kind};
use super::{ROW_COUNT, TOO_LARGE, codec, delta};

const LARGE_PAGE: &str =
    "one of its pages is larger than 256 MiB\n  hint: write smaller row groups; or the file is damaged";
const PAGE: &str =
    "one of its pages holds more values than bytes for them\n  hint: the file is damaged; export it again";
const CHECKSUM: &str = "the checksum of one of its pages differs\n  hint: the file is damaged; export it again";
const OTHER_SIZE: &str =
    "one of its pages does not unfold to the size that it says\n  hint: the file is damaged; export it again";
const CODEC: &str =
    "its codec is not read\n  hint: write it with snappy, zstd, gzip, brotli or lz4, or without compression";
const ONE_BY_ONE: &str = "pages are read one by one";

/// Why the decoder is given no more.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub(super) struct Refused(pub(super) &'static str);

pub(super) fn refuse(reason: &'static str) -> ParquetError {
    ParquetError::External(Box::new(Refused(reason)))
}

/// What the pages of a file may still unfold to, all together: a file can name the same bytes again and again.
#[derive(Clone)]
pub(super) struct Room(Arc<AtomicU64>);

impl Room {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    fn spend(&self, bytes: u64) -> Result<()> {
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        spent.map(drop).map_err(|_| refuse(TOO_LARGE))
    }
}

/// The pages of one column of one row group.
pub(super) struct Pages {
    chunk: BufReader<io::Take<Place>>,
    codec: Compression,
    column: ColumnDescPtr,
    /// Values that may still come.
    values: u64,
    room: Room,
}

impl Pages {
    /// The pages of a flat column's chunk, which lies within the file.
    pub(super) fn new(intake: &Intake, chunk: &ColumnChunkMetaData, rows: u64, room: Room) -> Result<Self> {
        let (codec, (begin, bytes)) = (chunk.compression(), chunk.byte_range());
        if !codec::known(codec) {
            return Err(refuse(CODEC));
        }
        let place = BufReader::new(intake.from(begin).take(bytes));
        Ok(Self { chunk: place, codec, column: chunk.column_descr_ptr(), values: rows, room })
    }

    /// Bytes of the chunk that are still to be read.
    fn left(&self) -> u64 {
        self.chunk.get_ref().limit() + self.chunk.buffer().len() as u64
    }

    fn next_page(&mut self) -> Result<Option<Page>> {
        loop {
            let before = self.left();
            if before == 0 {
                return Ok(None);
            }
            let header = header::read(&mut self.chunk)?;
            let larger = header.unfolded.max(header.stored);
            if larger as usize > PARQUET_PAGE_BYTES {
                return Err(refuse(LARGE_PAGE));
            }
            if u64::from(header.stored) > self.left() {
                return Err(header::broken());
            }
            self.room.spend(before - self.left() + u64::from(larger))?;
            let mut stored = vec![0; header.stored as usize];
            self.chunk.read_exact(&mut stored)?;
            if let Some(page) = self.page(header, stored)? {
                self.check(&page)?;
                return Ok(Some(page));
            }
        }
    }

    /// A page, if its kind is one that is needed.
    fn page(&self, header: Header, stored: Vec<u8>) -> Result<Option<Page>> {
        if header.crc.is_some_and(|crc| crc != crc32fast::hash(&stored)) {
            return Err(refuse(CHECKSUM));
        }
        Ok(Some(match header.kind {
            Kind::Index => return Ok(None),
            Kind::Dictionary { values, encoding, sorted } => {
                let buf = self.unfolded(stored, 0, header.unfolded)?;
                Page::DictionaryPage { buf, num_values: values, encoding, is_sorted: sorted }
            }
            Kind::Data { values, encoding, definition, repetition } => Page::DataPage {
                buf: self.unfolded(stored, 0, header.unfolded)?,
                num_values: values,
                encoding,
                def_level_encoding: definition,
                rep_level_encoding: repetition,
                statistics: None,
            },
            Kind::DataV2 { values, nulls, rows, encoding, definition_bytes, repetition_bytes, compressed } => {
                let levels = u64::from(definition_bytes) + u64::from(repetition_bytes);
                let plain = if compressed { levels } else { u64::from(header.stored) };
                Page::DataPageV2 {
                    buf: self.unfolded(stored, plain, header.unfolded)?,
                    num_values: values,
                    encoding,
                    num_nulls: nulls,
                    num_rows: rows,
                    def_levels_byte_len: definition_bytes,
                    rep_levels_byte_len: repetition_bytes,
                    // It was, and is no more.
                    is_compressed: false,
                    statistics: None,
                }
            }
        }))
    }

    /// The bytes of a page, of which so many are not compressed.
    fn unfolded(&self, stored: Vec<u8>, plain: u64, size: u32) -> Result<bytes::Bytes> {
        let (size, plain) = (size as usize, usize::try_from(plain).unwrap_or(usize::MAX));
        if self.codec == Compression::UNCOMPRESSED || plain == stored.len() {
            return if stored.len() == size { Ok(stored.into()) } else { Err(refuse(OTHER_SIZE)) };
        }
        let (levels, values) = stored.split_at_checked(plain).ok_or_else(|| refuse(OTHER_SIZE))?;
        let mut page = vec![0; size];
        let (plain, rest) = page.split_at_mut_checked(plain).ok_or_else(|| refuse(OTHER_SIZE))?;
        plain.copy_from_slice(levels);
        // A page of nulls has no values, and writers differ on what is then stored of them.
        if !rest.is_empty() {
            codec::unfold(self.codec, values, rest).ok_or_else(|| refuse(OTHER_SIZE))?;
        }
        Ok(page.into())
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
        self.values = self.values.checked_sub(values).ok_or_else(|| refuse(ROW_COUNT))?;
        let levels = usize::try_from(levels).unwrap_or(usize::MAX);
        let sections = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => 0,
        };
        if delta::fits(buffer.get(levels..).unwrap_or_default(), sections, values) { Ok(()) } else { Err(refuse(PAGE)) }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.next_page()
    }

    // As the trait wants it of a reader without an index. No row is passed over here.
    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Err(refuse(ONE_BY_ONE))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        Err(refuse(ONE_BY_ONE))
    }

    /// In a flat column each value is a row.
    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(true)
    }
}
