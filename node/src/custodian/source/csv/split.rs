//! A delimited text as rows of fields, by RFC 4180 and what files hold beyond it: rows end at `\n`, `\r` or both, lines without anything are no rows, and a quote
//! is one where a field begins. A row without a quote is not copied, and only looked at where its fields end.

use std::io::{self, Read};
use std::ops::Range;

use bocage_protocol::limits::SOURCE_LINE_BYTES;
use memchr::{memchr, memchr2, memchr3_iter};

/// What is read from the disk at once.
const READ_BYTES: u64 = 1 << 18;

/// Why there is no next row.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// It is larger than [`SOURCE_LINE_BYTES`].
    #[error("a row is too long")]
    TooLong,
    /// The system cannot read on.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A text while it is split.
pub(super) struct Rows<R> {
    from: R,
    read_bytes: u64,
    delimiter: u8,
    /// What was read and not dropped yet; behind `at` it is still to be split.
    buffer: Vec<u8>,
    at: usize,
    /// Where the buffer begins in the text.
    begin: u64,
    /// Whether nothing is to be read any more.
    ended: bool,
    /// The next quote of the buffer.
    quote: Option<usize>,
    row: Row,
}

/// The row that was split last.
#[derive(Default)]
struct Row {
    /// Where it stands in the buffer.
    place: Range<usize>,
    /// Whether there is a quote in it, so that `text` holds its fields.
    quoted: bool,
    /// Its fields, one behind the other.
    text: Vec<u8>,
    /// Where each field ends, in the text or at its place.
    ends: Vec<usize>,
}

impl<R: Read> Rows<R> {
    /// Of a text that `from` gives from its byte `begin` on, where a row begins.
    pub(super) fn new(from: R, begin: u64, delimiter: u8) -> Self {
        let (buffer, row, read_bytes) = (Vec::new(), Row::default(), READ_BYTES);
        Self { from, read_bytes, delimiter, buffer, at: 0, begin, ended: false, quote: None, row }
    }

    /// Goes on to the next row; false where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is too long.
    pub(super) fn next(&mut self) -> Result<bool, Stop> {
        loop {
            while let Some(b'\n' | b'\r') = self.buffer.get(self.at) {
                self.at += 1;
            }
            self.row.place = self.at..self.at;
            let split = self.at < self.buffer.len() && self.split();
            let bytes = if split { self.row.place.len() } else { self.buffer.len() - self.at };
            if bytes > SOURCE_LINE_BYTES {
                return Err(Stop::TooLong);
            }
            if split || self.ended {
                return Ok(split);
            }
            self.buffer.drain(..self.at);
            self.begin += self.at as u64;
            self.at = 0;
            self.ended = (&mut self.from).take(self.read_bytes).read_to_end(&mut self.buffer)? == 0;
            self.quote = memchr(b'"', &self.buffer);
        }
    }

    /// Splits the row at hand, if all of it was read.
    fn split(&mut self) -> bool {
        let rest = &self.buffer[self.at..];
        let quote = self.quote.map_or(usize::MAX, |quote| quote - self.at);
        self.row.ends.clear();
        let mut ends = memchr3_iter(self.delimiter, b'\n', b'\r', rest);
        let end = loop {
            match ends.next() {
                Some(end) if end > quote => return self.unquote(),
                Some(end) if rest[end] == self.delimiter => self.row.ends.push(end),
                Some(end) => break end,
                None if quote < rest.len() => return self.unquote(),
                None if self.ended => break rest.len(),
                None => return false,
            }
        };
        self.row.ends.push(end);
        self.row.quoted = false;
        self.pass(end);
        true
    }

    /// Splits a row that has a quote.
    fn unquote(&mut self) -> bool {
        #[derive(Clone, Copy)]
        enum At {
            FieldStart,
            Plain,
            Quoted,
            QuoteInQuoted,
        }
        let Row { text, ends, .. } = &mut self.row;
        text.clear();
        ends.clear();
        let (mut at, mut end) = (At::FieldStart, None);
        let rest = &self.buffer[self.at..];
        for (i, byte) in rest.iter().enumerate() {
            at = match (at, *byte) {
                (At::FieldStart, b'"') => At::Quoted,
                (At::Quoted, b'"') => At::QuoteInQuoted,
                (At::Quoted | At::QuoteInQuoted, byte) if matches!(at, At::Quoted) || byte == b'"' => {
                    text.push(byte);
                    At::Quoted
                }
                (_, b'\n' | b'\r') => {
                    end = Some(i);
                    break;
                }
                (_, byte) if byte == self.delimiter => {
                    ends.push(text.len());
                    At::FieldStart
                }
                (_, byte) => {
                    text.push(byte);
                    At::Plain
                }
            };
        }
        let Some(end) = end.or(self.ended.then_some(rest.len())) else { return false };
        ends.push(text.len());
        self.row.quoted = true;
        self.pass(end);
        self.quote = memchr(b'"', &self.buffer[self.at..]).map(|quote| self.at + quote);
        true
    }

    /// Goes behind a row that ends there.
    fn pass(&mut self, end: usize) {
        self.row.place = self.at..self.at + end;
        self.at = (self.row.place.end + 1).min(self.buffer.len());
    }

    /// Where the next row begins, or the lines without anything before it.
    pub(super) fn at(&self) -> u64 {
        self.begin + self.at as u64
    }

    /// Where the row begins that was split last, or is too long.
    pub(super) fn begins(&self) -> u64 {
        self.begin + self.row.place.start as u64
    }

    /// How many fields it has: one at least.
    pub(super) fn fields(&self) -> usize {
        self.row.ends.len()
    }

    /// Its fields, perhaps with what stands between them.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.row.quoted { &self.row.text } else { &self.buffer[self.row.place.clone()] }
    }

    /// Where one of its fields is in [`Rows::bytes`].
    pub(super) fn field(&self, i: usize) -> Option<Range<usize>> {
        let Row { ends, quoted, .. } = &self.row;
        let begins = i.checked_sub(1).map_or(0, |before| ends[before] + usize::from(!quoted));
        Some(begins..*ends.get(i)?)
    }

    /// Whether one of its fields runs over several lines.
    pub(super) fn has_line_end(&self) -> bool {
        self.row.quoted && memchr2(b'\n', b'\r', &self.row.text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All rows from a byte on, each behind the byte where it begins and the byte where the next may begin.
    fn rows(text: &[u8], from: usize, delimiter: u8, read_bytes: u64) -> Vec<(u64, u64, Vec<Vec<u8>>)> {
        let mut rows = Rows { read_bytes, ..Rows::new(&text[from..], from as u64, delimiter) };
        let mut all = Vec::new();
        while rows.next().unwrap() {
            let fields = (0..rows.fields()).map(|i| rows.bytes()[rows.field(i).unwrap()].to_vec()).collect();
            all.push((rows.begins(), rows.at(), fields));
        }
        assert!(!rows.next().unwrap() && rows.at() == text.len() as u64);
        all
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(b"ab,,;\"\"\n\n\r\0\xc3\xa9 ".to_vec());
        proptest::collection::vec(byte, 0..60)
    }

    proptest! {
        #[test]
        fn rows_are_those_that_the_crate_csv_finds_however_little_is_read_at_once(text in text(), read_bytes in 1..70u64, semicolon in any::<bool>()) {
            let delimiter = if semicolon { b';' } else { b',' };
            let mut reader = csv::ReaderBuilder::new();
            reader.delimiter(delimiter).has_headers(false).flexible(true);
            let wanted: Vec<Vec<Vec<u8>>> = reader
                .from_reader(&text[..])
                .byte_records()
                .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
                .collect();
            let found = rows(&text, 0, delimiter, read_bytes);
            prop_assert_eq!(found.iter().map(|row| row.2.clone()).collect::<Vec<_>>(), wanted);
            for (i, (begins, next, _)) in found.iter().enumerate() {
                prop_assert!(!matches!(text[*begins as usize], b'\n' | b'\r'));
                prop_assert_eq!(&rows(&text, *begins as usize, delimiter, READ_BYTES)[..], &found[i..]);
                prop_assert_eq!(&rows(&text, *next as usize, delimiter, READ_BYTES)[..], &found[i + 1..]);
            }
        }
    }

    #[test]
    fn a_row_without_an_end_is_given_up_after_a_bounded_number_of_bytes() {
        for first in [&b"x"[..], b"\"", b"\n\r\n"] {
            let mut rows = Rows::new(first.chain(io::repeat(b'x')), 0, b',');
            assert!(matches!(rows.next(), Err(Stop::TooLong)));
            assert!(rows.buffer.len() <= SOURCE_LINE_BYTES + 2 * READ_BYTES as usize);
        }
        let longest = [b"\n\n".to_vec(), vec![b'x'; SOURCE_LINE_BYTES], b"\n".to_vec()].concat();
        assert!(Rows::new(&longest[..], 0, b',').next().unwrap());
        let longer = [vec![b'x'; SOURCE_LINE_BYTES + 1], b"\n".to_vec()].concat();
        assert!(matches!(Rows::new(&longer[..], 0, b',').next(), Err(Stop::TooLong)));
    }
}
