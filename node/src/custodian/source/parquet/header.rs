//! A page's header, in Thrift's compact protocol. Read strictly: a field that stands twice, or behind a later one, is refused, since
//! of two values one reader takes the first and another one the last. It takes no memory, however long it is.

use std::io::{self, Read};

use ::parquet::basic::Encoding;
use ::parquet::errors::{ParquetError, Result};

use super::delta::varint;
use super::pages::refuse;

/// Structs, lists and maps within each other that are passed over.
const DEPTH: u8 = 8;
/// One more than the highest number of a field that is read.
const FIELDS: usize = 9;

const HEADER: &str =
    "one of its pages has no header that can be read\n  hint: the file is damaged or encrypted; export it again";

/// What a page says of itself.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Bytes behind the header when they are unfolded …
    pub(super) unfolded: u32,
    /// … and as they are stored.
    pub(super) stored: u32,
    pub(super) crc: Option<u32>,
}

/// What stands behind a header.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// Nothing that is needed.
    Index,
    Dictionary {
        values: u32,
        encoding: Encoding,
        sorted: bool,
    },
    Data {
        values: u32,
        encoding: Encoding,
        definition: Encoding,
        repetition: Encoding,
    },
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: Encoding,
        definition_bytes: u32,
        repetition_bytes: u32,
        compressed: bool,
    },
}

pub(super) fn broken() -> ParquetError {
    refuse(HEADER)
}

/// Reads a header and nothing behind it.
pub(super) fn read(from: &mut impl Read) -> Result<Header> {
    let mut numbers = Numbers::default();
    Thrift(from).fields(Some(0), &mut numbers, DEPTH)?;
    numbers.header().ok_or_else(broken)
}

/// Whole numbers and truth values by the number of their field: those of the header itself in the first row, those of the struct that is
/// its field n in row n.
#[derive(Default)]
struct Numbers([[Option<i32>; FIELDS]; FIELDS]);

impl Numbers {
    fn header(&self) -> Option<Header> {
        let kind = match self.0[0][1]? {
            0 => Kind::Data {
                values: self.size(5, 1)?,
                encoding: self.encoding(5, 2)?,
                definition: self.encoding(5, 3)?,
                repetition: self.encoding(5, 4)?,
            },
            1 => Kind::Index,
            2 => Kind::Dictionary {
                values: self.size(7, 1)?,
                encoding: self.encoding(7, 2)?,
                sorted: self.0[7][3] == Some(1),
            },
            3 => Kind::DataV2 {
                values: self.size(8, 1)?,
                nulls: self.size(8, 2)?,
                rows: self.size(8, 3)?,
                encoding: self.encoding(8, 4)?,
                definition_bytes: self.size(8, 5)?,
                repetition_bytes: self.size(8, 6)?,
                compressed: self.0[8][7] != Some(0),
            },
            _ => return None,
        };
        let crc = self.0[0][4].map(|crc| crc as u32);
        Some(Header { kind, unfolded: self.size(0, 2)?, stored: self.size(0, 3)?, crc })
    }

    fn size(&self, of: usize, field: usize) -> Option<u32> {
        u32::try_from(self.0[of][field]?).ok()
    }

    #[expect(deprecated, reason = "old files name it for levels that they do not have")]
    fn encoding(&self, of: usize, field: usize) -> Option<Encoding> {
        Some(match self.0[of][field]? {
            0 => Encoding::PLAIN,
            2 => Encoding::PLAIN_DICTIONARY,
            3 => Encoding::RLE,
            4 => Encoding::BIT_PACKED,
            5 => Encoding::DELTA_BINARY_PACKED,
            6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            7 => Encoding::DELTA_BYTE_ARRAY,
            8 => Encoding::RLE_DICTIONARY,
            9 => Encoding::BYTE_STREAM_SPLIT,
            _ => return None,
        })
    }
}

/// The types of fields and elements.
mod of_type {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const I8: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
}

struct Thrift<'a, R>(&'a mut R);

impl<R: Read> Thrift<'_, R> {
    /// Reads a struct. Its numbers go into the row `row`; without one they are passed over.
    fn fields(&mut self, row: Option<usize>, numbers: &mut Numbers, depth: u8) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(broken)?;
        let mut last = 0;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Ok(());
            }
            let field = match i64::from(byte >> 4) {
                0 => self.number()?,
                more => last + more,
            };
            if field <= last || field > i64::from(i16::MAX) {
                return Err(broken());
            }
            last = field;
            let field = usize::try_from(field).ok().filter(|field| *field < FIELDS);
            let number = match byte & 0x0f {
                of_type::TRUE => 1,
                of_type::FALSE => 0,
                of_type::I32 => i32::try_from(self.number()?).map_err(|_| broken())?,
                of_type::STRUCT => {
                    self.fields(field.filter(|_| row == Some(0)), numbers, depth)?;
                    continue;
                }
                other => {
                    self.skip(other, depth)?;
                    continue;
                }
            };
            if let (Some(row), Some(field)) = (row, field) {
                numbers.0[row][field] = Some(number);
            }
        }
    }

    /// Passes over an element of a list, or a field of a type that no number is read from.
    fn skip(&mut self, of: u8, depth: u8) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(broken)?;
        match of {
            of_type::TRUE | of_type::FALSE | of_type::I8 => self.byte().map(drop),
            of_type::I16 | of_type::I32 | of_type::I64 => self.number().map(drop),
            of_type::DOUBLE => self.pass(8),
            of_type::BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            of_type::LIST | of_type::SET => {
                let byte = self.byte()?;
                let count = if byte >> 4 == 0x0f { self.varint()? } else { u64::from(byte >> 4) };
                (0..count).try_for_each(|_| self.skip(byte & 0x0f, depth))
            }
            of_type::MAP => {
                let count = self.varint()?;
                let types = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.skip(types >> 4, depth)?;
                    self.skip(types & 0x0f, depth)
                })
            }
            of_type::STRUCT => self.fields(None, &mut Numbers::default(), depth),
            _ => Err(broken()),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn varint(&mut self) -> Result<u64> {
        let mut bytes = [0; 10];
        for at in 0..bytes.len() {
            bytes[at] = self.byte()?;
            if bytes[at] < 0x80 {
                return varint(&bytes[..=at]).map(|(number, _)| number).ok_or_else(broken);
            }
        }
        Err(broken())
    }

    /// A number with its sign in the lowest bit (zigzag).
    fn number(&mut self) -> Result<i64> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn pass(&mut self, bytes: u64) -> Result<()> {
        let passed = io::copy(&mut self.0.by_ref().take(bytes), &mut io::sink())?;
        if passed == bytes { Ok(()) } else { Err(broken()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data page of four values: 16 bytes, compressed to 12.
    const DATA: [u8; 16] = [0x15, 0, 0x15, 32, 0x15, 24, 0x2c, 0x15, 8, 0x15, 0, 0x15, 6, 0x15, 6, 0];

    fn says(error: ParquetError) -> String {
        let ParquetError::External(error) = error else { return error.to_string() };
        error.downcast::<super::super::pages::Refused>().map_or_else(|e| e.to_string(), |r| r.0.to_owned())
    }

    fn of(fields: &[&[u8]]) -> Result<Header> {
        read(&mut fields.concat().as_slice())
    }

    #[test]
    fn a_header_is_read_to_its_end_and_no_further() {
        let bytes = [&DATA[..], &[0, 7, 7]].concat();
        let mut from = bytes.as_slice();
        let (rle, plain) = (Encoding::RLE, Encoding::PLAIN);
        let kind = Kind::Data { values: 4, encoding: plain, definition: rle, repetition: rle };
        assert_eq!(read(&mut from).unwrap(), Header { kind, unfolded: 16, stored: 12, crc: None });
        assert_eq!(from, [7, 7]);
    }

    #[test]
    fn a_field_that_stands_twice_or_out_of_order_is_refused() {
        assert!(of(&[&DATA, &[0]]).is_ok());
        // The size unfolded once more, behind the page's own struct: by its number, since it lies before.
        for bad in
            [&[0x05, 4, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0][..], &[0x05, 10, 2, 0], &[0x05, 0, 2, 0], &[0x05, 1, 2, 0]]
        {
            assert_eq!(says(of(&[&DATA, bad]).unwrap_err()), HEADER, "{bad:?}");
        }
        let twice_within = [&DATA[..9], &[0x05, 2, 8], &DATA[9..], &[0]];
        assert_eq!(says(of(&twice_within).unwrap_err()), HEADER);
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        // Field 9: a struct of a byte, two whole numbers, a truth value, two texts and a map of one list; field 200: a double.
        let texts = [0x19, 0x28, 1, 7, 2, 7, 7];
        let map = [0x1b, 1, 0x59, 2, 0x05];
        let unknown = [&[0x4c, 0x13, 1, 0x14, 2, 0x16, 3, 0x11][..], &texts, &map, &[0, 0x07, 0x90, 3], &[1; 8], &[0]];
        assert_eq!(of(&[&DATA, &unknown.concat()]).unwrap().unfolded, 16);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let deep = [&DATA[..], &[0x1c; 64]].concat();
        assert_eq!(says(read(&mut deep.as_slice()).unwrap_err()), HEADER);
        let long = [&DATA[..], &[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]].concat();
        assert_eq!(says(read(&mut long.as_slice()).unwrap_err()), HEADER);
        assert_eq!(says(of(&[&[0x15, 1, 0x15, 0x80], &[0x80; 12]]).unwrap_err()), HEADER);
        assert!(of(&[&DATA]).is_err());
    }

    #[test]
    fn a_negative_size_is_none() {
        let mut bytes = [&DATA[..], &[0]].concat();
        bytes[3] = 31;
        assert_eq!(says(read(&mut bytes.as_slice()).unwrap_err()), HEADER);
    }
}
