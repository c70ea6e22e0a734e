//! The payload: pieces of 64 KiB, each under ChaCha20-Poly1305 with its number as nonce. The last one says so, so that an end that was cut off is
//! noticed (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár 2015).

use std::io::{self, BufRead, Read, Write};

use ring::aead;
use zeroize::Zeroizing;

use super::FileKey;
use super::header::{cipher, derive};

/// What stands before the first piece.
pub(super) const NONCE_BYTES: usize = 16;
const PIECE_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;

struct Pieces {
    /// None where no cipher could be made, which no key can cause.
    key: Option<aead::LessSafeKey>,
    number: u64,
}

impl Pieces {
    fn new(key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        Self { key: derive(nonce, key.as_slice(), b"payload").and_then(|key| cipher(&key)), number: 0 }
    }

    /// 11 bytes of number, and whether it is the last.
    fn next(&mut self, last: bool) -> aead::Nonce {
        let mut nonce = [0; aead::NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number += 1;
        aead::Nonce::assume_unique_for_key(nonce)
    }
}

pub(super) struct Writer<W> {
    sink: W,
    pieces: Pieces,
    buffer: Zeroizing<Vec<u8>>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(sink: W, key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        // With the whole capacity reserved the bytes are never moved.
        let buffer = Zeroizing::new(Vec::with_capacity(PIECE_BYTES + TAG_BYTES));
        Self { sink, pieces: Pieces::new(key, nonce), buffer }
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.pieces.next(last);
        let key = self.pieces.key.as_ref().ok_or_else(failed)?;
        key.seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut *self.buffer).map_err(|_| failed())?;
        self.sink.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits: only what comes behind it says that it is not the last.
        if self.buffer.len() == PIECE_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let count = bytes.len().min(PIECE_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

fn failed() -> io::Error {
    io::Error::other("the cipher failed")
}

pub(super) struct Reader<R> {
    file: R,
    pieces: Pieces,
    buffer: Zeroizing<Vec<u8>>,
    /// How much of the buffer was read.
    read: usize,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(file: R, key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        let buffer = Zeroizing::new(Vec::with_capacity(PIECE_BYTES + TAG_BYTES));
        Self { file, pieces: Pieces::new(key, nonce), buffer, read: 0, ended: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let first = self.pieces.number == 0;
        self.buffer.clear();
        self.read = 0;
        (&mut self.file).take((PIECE_BYTES + TAG_BYTES) as u64).read_to_end(&mut self.buffer)?;
        let last = self.file.fill_buf()?.is_empty();
        let nonce = self.pieces.next(last);
        let key = self.pieces.key.as_ref().ok_or_else(failed)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it was changed or cut off");
        let bytes = key.open_in_place(nonce, aead::Aad::empty(), &mut self.buffer).map_err(|_| damaged())?.len();
        // Only a file of nothing has an empty piece.
        if bytes == 0 && !first {
            return Err(damaged());
        }
        self.buffer.truncate(bytes);
        self.ended = last;
        Ok(())
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.buffer.len() {
            if self.ended || into.is_empty() {
                return Ok(0);
            }
            self.fill()?;
        }
        let count = into.len().min(self.buffer.len() - self.read);
        into[..count].copy_from_slice(&self.buffer[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
