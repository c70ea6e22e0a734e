//! The texts of a column, straight from its pages, where these hold them one behind the other or as places in a dictionary: as nearly all files do. The
//! decoder of the crate `parquet` counts references to a page for each of its values, which takes longer than all else that becomes of a short text; what is
//! written in other ways is left to it.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageReader as _};
use ::parquet::file::metadata::ColumnChunkMetaData;
use bytes::Bytes;

use super::pages::Pages;
use super::{DAMAGED, Fault, ROW_COUNT};

const BROKEN: Fault = Fault::Broken(DAMAGED);

/// A column of texts in one row group.
pub(super) struct TextPages {
    pages: Pages,
    /// Whether values may be missing.
    optional: bool,
    dictionary: Option<Dictionary>,
    page: Option<DataPage>,
}

struct Dictionary {
    bytes: Bytes,
    /// Where each text begins and ends; no page is larger than can be counted so.
    texts: Vec<(u32, u32)>,
}

struct DataPage {
    /// Values that are still to come, missing ones among them.
    left: u64,
    /// Whether each is there, where one may be missing.
    present: Option<Numbers>,
    values: Values,
}

enum Values {
    /// Each behind its length.
    Plain { bytes: Bytes, at: usize },
    /// Places in the dictionary.
    Places(Numbers),
}

/// Whether a chunk says that it has no page that could not be read here.
pub(super) fn reads(chunk: &ColumnChunkMetaData) -> bool {
    use Encoding::{PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY};
    chunk.encodings().all(|encoding| matches!(encoding, PLAIN | PLAIN_DICTIONARY | RLE | RLE_DICTIONARY))
}

impl TextPages {
    /// Before the first value.
    pub(super) fn new(pages: Pages, optional: bool) -> Self {
        Self { pages, optional, dictionary: None, page: None }
    }

    /// Gives so many values in order, which there must be.
    pub(super) fn each(
        &mut self,
        mut rows: u64,
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while rows > 0 {
            if !self.has_more()? {
                return Err(Fault::Broken(ROW_COUNT));
            }
            let Some(page) = &mut self.page else { return Err(BROKEN) };
            let step = rows.min(page.left);
            (rows, page.left) = (rows - step, page.left - step);
            for _ in 0..step {
                let present = match &mut page.present {
                    None => 1,
                    Some(levels) => levels.next().ok_or(BROKEN)?,
                };
                match present {
                    0 => take(None)?,
                    1 => take(Some(page.values.next(self.dictionary.as_ref()).ok_or(BROKEN)?))?,
                    _ => return Err(BROKEN),
                }
            }
        }
        Ok(())
    }

    /// Whether there is a further value.
    pub(super) fn has_more(&mut self) -> Result<bool, Fault> {
        while self.page.as_ref().is_none_or(|page| page.left == 0) {
            match self.pages.get_next_page()? {
                None => return Ok(false),
                Some(Page::DictionaryPage { buf, num_values, encoding, .. }) => {
                    let plain = matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY);
                    if self.dictionary.is_some() || !plain {
                        return Err(BROKEN);
                    }
                    self.dictionary = Some(Dictionary::read(buf, num_values).ok_or(BROKEN)?);
                }
                Some(page) => self.page = Some(DataPage::read(page, self.optional).ok_or(BROKEN)?),
            }
        }
        Ok(true)
    }
}

impl Dictionary {
    fn read(bytes: Bytes, count: u32) -> Option<Self> {
        let (mut texts, mut at) = (Vec::with_capacity(count as usize), 0);
        for _ in 0..count {
            texts.push(behind_length(&bytes, &mut at)?);
        }
        Some(Self { bytes, texts })
    }
}

impl DataPage {
    fn read(page: Page, optional: bool) -> Option<Self> {
        let left = u64::from(page.num_values());
        let (bytes, encoding, levels) = match page {
            Page::DataPage { buf, encoding, def_level_encoding, .. } if optional => {
                let bytes = u32::from_le_bytes(*buf.first_chunk()?) as usize;
                // Another way of old files.
                (buf, encoding, (def_level_encoding == Encoding::RLE).then_some(4..bytes.checked_add(4)?)?)
            }
            Page::DataPage { buf, encoding, .. } => (buf, encoding, 0..0),
            Page::DataPageV2 { buf, encoding, def_levels_byte_len, rep_levels_byte_len, .. } => {
                let begin = rep_levels_byte_len as usize;
                (buf, encoding, begin..begin.checked_add(def_levels_byte_len as usize)?)
            }
            Page::DictionaryPage { .. } => return None,
        };
        if levels.end > bytes.len() {
            return None;
        }
        let (values, levels) = (bytes.slice(levels.end..), bytes.slice(levels));
        let present = optional.then(|| Numbers::new(levels, 1));
        let values = match encoding {
            Encoding::PLAIN => Values::Plain { bytes: values, at: 0 },
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => {
                // Where all values are missing, nothing need stand there.
                let width = values.first().copied().unwrap_or(0);
                let places = if values.is_empty() { values } else { values.slice(1..) };
                Values::Places(Numbers::new(places, Some(u32::from(width)).filter(|width| *width <= 32)?))
            }
            _ => return None,
        };
        Some(Self { left, present, values })
    }
}

impl Values {
    fn next<'a>(&'a mut self, dictionary: Option<&'a Dictionary>) -> Option<&'a [u8]> {
        let (bytes, (begin, end)) = match self {
            Values::Plain { bytes, at } => {
                let text = behind_length(bytes, at)?;
                (&*bytes, text)
            }
            Values::Places(places) => {
                let Dictionary { bytes, texts } = dictionary?;
                (bytes, *texts.get(places.next()? as usize)?)
            }
        };
        bytes.get(begin as usize..end as usize)
    }
}

/// Where a text begins and ends that stands behind its length.
fn behind_length(bytes: &[u8], at: &mut usize) -> Option<(u32, u32)> {
    let length = u32::from_le_bytes(*bytes.get(*at..)?.first_chunk()?) as usize;
    let begin = *at + 4;
    let end = begin.checked_add(length).filter(|end| *end <= bytes.len())?;
    *at = end;
    Some((u32::try_from(begin).ok()?, u32::try_from(end).ok()?))
}

/// Small whole numbers as Parquet has them: runs of one number, and groups of eight in as few bits as the largest needs.
struct Numbers {
    bytes: Bytes,
    /// Where the next run begins.
    at: usize,
    /// Bits of a number.
    width: u32,
    /// How often the same number still comes.
    repeated: u64,
    same: u32,
    /// How many packed ones still come, and where.
    packed: u64,
    bit: usize,
}

impl Numbers {
    fn new(bytes: Bytes, width: u32) -> Self {
        Self { bytes, at: 0, width, repeated: 0, same: 0, packed: 0, bit: 0 }
    }

    #[inline]
    fn next(&mut self) -> Option<u32> {
        loop {
            if self.repeated > 0 {
                self.repeated -= 1;
                return Some(self.same);
            }
            if self.packed > 0 {
                self.packed -= 1;
                return self.unpack();
            }
            self.begin_run()?;
        }
    }

    fn begin_run(&mut self) -> Option<()> {
        let (mut head, mut shift) = (0u64, 0);
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            head |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
        let count = head >> 1;
        if head & 1 == 1 {
            self.packed = count * 8;
            self.bit = self.at * 8;
            // Some writers leave out what the last group has beyond the last number.
            self.at = self.at.checked_add(usize::try_from(count * u64::from(self.width)).ok()?)?;
        } else {
            let bytes = self.bytes.get(self.at..self.at + self.width.div_ceil(8) as usize)?;
            self.repeated = count;
            self.same = bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            self.at += bytes.len();
        }
        Some(())
    }

    #[inline]
    fn unpack(&mut self) -> Option<u32> {
        let rest = self.bytes.get(self.bit / 8..)?;
        let shift = self.bit % 8;
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None if shift + self.width as usize <= rest.len() * 8 => {
                rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
            }
            None => return None,
        };
        self.bit += self.width as usize;
        Some((word >> shift) as u32 & ((1u64 << self.width) - 1) as u32)
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::ids::ColumnName;
    use proptest::prelude::*;

    use super::super::super::ParquetSource;
    use super::super::made::{Values, WriterProperties, WriterVersion, file};
    use super::super::reading::Decoder;
    use super::super::{OpenedParquet, guarded};
    use super::*;

    #[test]
    fn numbers_stand_in_runs_and_in_groups_of_eight_of_few_bits() {
        // The example of Parquet's description: 0 to 7 in three bits each; before them three times 5.
        let bytes = Bytes::from_static(&[3 << 1, 5, 1 << 1 | 1, 0x88, 0xc6, 0xfa]);
        let mut numbers = Numbers::new(bytes, 3);
        let read: Vec<u32> = std::iter::from_fn(|| numbers.next()).collect();
        assert_eq!(read, [5, 5, 5, 0, 1, 2, 3, 4, 5, 6, 7]);
        // A group whose end is left out, and one number of more than a byte.
        let mut numbers = Numbers::new(Bytes::from_static(&[1 << 1 | 1, 0x88]), 3);
        assert_eq!([numbers.next(), numbers.next(), numbers.next()], [Some(0), Some(1), None]);
        let mut numbers = Numbers::new(Bytes::from_static(&[1 << 1, 0x34, 0x12]), 13);
        assert_eq!([numbers.next(), numbers.next()], [Some(0x1234), None]);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_page_no_number_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), width in 0..=32u32) {
            let mut numbers = Numbers::new(bytes.into(), width);
            let read = std::iter::from_fn(|| numbers.next()).take(1000);
            prop_assert!(read.count() <= 1000);
        }

        #[test]
        fn texts_are_read_as_they_were_written_from_pages_of_every_kind(
            rows in proptest::collection::vec(proptest::option::of("[a-z]{0,3}|.{0,20}"), 1..300),
            (dictionary, second, optional) in any::<(bool, bool, bool)>(),
            page_rows in 1..80usize,
        ) {
            let rows: Vec<Option<Vec<u8>>> = rows
                .into_iter()
                .map(|row| row.or((!optional).then(String::new)).map(String::into_bytes))
                .collect();
            let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
            let properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_dictionary_enabled(dictionary)
                .set_dictionary_page_size_limit(300)
                .set_data_page_row_count_limit(page_rows)
                .set_write_batch_size(page_rows);
            // Without a dictionary the second version has another encoding, which is not read here.
            let properties = if dictionary { properties } else { properties.set_encoding(Encoding::PLAIN) };
            let kept = if optional { "optional" } else { "required" };
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("rows.parquet");
            std::fs::write(&path, file(&format!("{kept} binary x (STRING);"), properties, &[vec![Values::Bytes(rows.clone())]])).unwrap();
            let opened = OpenedParquet::open(&ParquetSource { path, columns: None, missing: vec![] }).unwrap();
            let leaf = opened.leaves(std::slice::from_ref(&"x".parse::<ColumnName>().unwrap())).unwrap()[0].1;
            let read = guarded(|| {
                let mut read = Vec::new();
                match opened.decoder(0, rows.len() as u64, leaf)? {
                    Decoder::Texts(mut texts) => {
                        let half = rows.len() as u64 / 2;
                        for part in [half, rows.len() as u64 - half] {
                            texts.each(part, |text| {
                                read.push(text.map(<[u8]>::to_vec));
                                Ok(())
                            })?;
                        }
                        assert!(!texts.has_more()?);
                        assert!(texts.each(1, |_| Ok(())).is_err());
                    }
                    // What a dictionary has no room for is written in another way.
                    Decoder::Any(_) => assert!(dictionary && second),
                }
                Ok(read)
            });
            let read = read.unwrap();
            prop_assert!(read == rows || (read.is_empty() && dictionary && second));
        }
    }
}
