//! Lines of a file, borrowed from one buffer that grows to the longest line and no further than a resource may be long.

use bocage_protocol::limits;
use memchr::memchr;

use super::ReadError;
use super::files::Opened;

/// What the buffer holds at first.
const BLOCK: usize = 256 << 10;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// It is longer than a resource may be, and was passed over.
    TooLong,
}

/// Reads one line after another.
pub struct Lines {
    opened: Opened,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    number: u64,
    /// What was read of the file, unpacked.
    read: u64,
    over: bool,
}

/// Lines of one file, one behind the other, in memory of their own.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`, or that it was too long.
    ends: Vec<Option<usize>>,
    /// The number of the line before the first.
    behind: u64,
    /// How many were taken.
    taken: usize,
    start: usize,
}

impl Block {
    /// The next line that was not taken yet, and its number.
    pub fn next(&mut self) -> Option<(Line<'_>, u64)> {
        let end = *self.ends.get(self.taken)?;
        self.taken += 1;
        let number = self.behind + self.taken as u64;
        let Some(end) = end else { return Some((Line::TooLong, number)) };
        let start = std::mem::replace(&mut self.start, end);
        Some((Line::Bytes(&self.bytes[start..end]), number))
    }

    /// Whether all were taken.
    pub fn is_over(&self) -> bool {
        self.taken == self.ends.len()
    }
}

impl Lines {
    /// The lines of a file behind so many bytes, unpacked, and so many lines.
    pub fn behind(opened: Opened, bytes: u64, lines: u64) -> Self {
        Self { opened, buffer: vec![0; BLOCK], start: 0, end: 0, number: lines, read: bytes, over: false }
    }

    /// How many bytes of the file, unpacked, and lines were handed on.
    pub fn done(&self) -> (u64, u64) {
        (self.read - (self.end - self.start) as u64, self.number)
    }

    /// The next lines, about as many as fit into so many bytes; nothing at the end.
    pub fn block(&mut self, bytes: usize) -> Result<Option<Block>, ReadError> {
        let mut block = Block { behind: self.number, ..Block::default() };
        // An empty line takes memory too.
        while block.bytes.len() < bytes && block.ends.len() < bytes / 16 {
            match self.next()? {
                None => break,
                Some((Line::TooLong, _)) => block.ends.push(None),
                Some((Line::Bytes(line), _)) => {
                    block.bytes.extend_from_slice(line);
                    block.ends.push(Some(block.bytes.len()));
                }
            }
        }
        Ok((!block.ends.is_empty()).then_some(block))
    }

    /// How much of the file was read.
    pub fn counted(&self) -> u64 {
        self.opened.counter().bytes()
    }

    /// The next line and its number, from 1; nothing at the end.
    fn next(&mut self) -> Result<Option<(Line<'_>, u64)>, ReadError> {
        let mut too_long = false;
        // How much of what stands in the buffer has no line end.
        let mut plain = 0;
        let (line, next) = loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.start + plain..self.end]) {
                let end = self.start + plain + at;
                break (self.start..end, end + 1);
            }
            if self.over {
                if self.start == self.end && !too_long {
                    return Ok(None);
                }
                break (self.start..self.end, self.end);
            }
            plain = self.end - self.start;
            if plain > limits::FHIR_LINE_BYTES {
                // Its end is looked for, and what was read of it is forgotten.
                too_long = true;
                (self.start, plain) = (self.end, 0);
            }
            self.fill()?;
        };
        self.start = next;
        self.number += 1;
        let too_long = too_long || line.len() > limits::FHIR_LINE_BYTES;
        let line = if too_long { Line::TooLong } else { Line::Bytes(&self.buffer[line]) };
        Ok(Some((line, self.number)))
    }

    /// Reads more behind what the buffer holds.
    fn fill(&mut self) -> Result<(), ReadError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        let read = self.opened.read(&mut self.buffer[self.end..], self.number)?;
        self.end += read;
        self.read += read as u64;
        self.over = read == 0;
        Ok(())
    }
}
