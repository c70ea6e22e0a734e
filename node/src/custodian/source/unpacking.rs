//! Packed text files, read as what they hold: by gzip or zstd, which their first bytes say and not their names. A window of what is unpacked is in memory, no more.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// What is read of a packed file at once.
const BLOCK: usize = 256 << 10;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// By gzip: one member, or several behind each other.
    Gzip,
    /// By zstd: one frame, or several.
    Zstd,
}

/// What is packed ends too early, or is no such thing.
#[derive(Debug, thiserror::Error)]
#[error(
    "its compressed data is damaged or ends too early\n  hint: the file was not copied or written as a whole: copy it again"
)]
pub struct Damaged;

/// Whether an error says that what is packed is damaged.
pub fn damaged(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<Damaged>())
}

impl Packing {
    /// Of a file that begins with these bytes; none where it is not packed so.
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x1F, 0x8B, ..] => Some(Packing::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Packing::Zstd),
            _ => None,
        }
    }
}

/// What a packed file holds, one byte after the other.
pub struct Unpacked {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
    /// So many are passed over before the first.
    behind: u64,
}

impl Unpacked {
    /// Of a file from its beginning, behind so many bytes as they are unpacked.
    pub fn new(packing: Packing, file: impl Read + Send + 'static, behind: u64) -> Self {
        let read = Arc::new(AtomicU64::new(0));
        let counted = BufReader::with_capacity(BLOCK, Counted { inner: file, read: Arc::clone(&read) });
        let inner: Box<dyn Read + Send> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(counted)),
            Packing::Zstd => match zstd::stream::read::Decoder::with_buffer(counted) {
                Ok(decoder) => Box::new(decoder),
                // It had no memory.
                Err(error) => Box::new(Failed(Some(error))),
            },
        };
        Self { inner, read, behind }
    }

    /// How many bytes of the packed file were read.
    pub fn packed_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // An error of the system has its number; the others are the decoder's, whose words are not repeated.
        let own = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ if error.raw_os_error().is_some() => error,
            _ => io::Error::other(Damaged),
        };
        if self.behind > 0 {
            // Where it ends before, nothing is behind.
            io::copy(&mut (&mut self.inner).take(self.behind), &mut io::sink()).map_err(own)?;
            self.behind = 0;
        }
        self.inner.read(buffer).map_err(own)
    }
}

/// What cannot be read at all: it says why once.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::OutOfMemory.into()))
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
