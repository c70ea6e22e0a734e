//! The file of a source while it is read: one handle for every look, a bound on what one row may take, and whether the
//! file is still the same afterwards. It must never wait for a writer: what is no regular file is refused unopened.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use bocage_protocol::ids::Digest;
use bocage_protocol::limits::SOURCE_LINE_BYTES;

use super::SourceError;
use super::unpacking::{Packing, Unpacked};

/// What is looked at of a file's beginning and end.
const END_BYTES: u64 = 64 << 10;

/// An open source file.
#[derive(Clone)]
pub struct Intake {
    file: Arc<File>,
    facts: Facts,
    packing: Option<Packing>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    bytes: u64,
    changed: (i64, i64),
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Facts {
    fn from(of: &Metadata) -> Self {
        Self { bytes: of.len(), changed: (of.mtime(), of.mtime_nsec()), device: of.dev(), inode: of.ino() }
    }
}

impl Intake {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |e: io::Error| unreadable(path, &e);
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(SourceError::Header { path: path.to_owned(), reason: "not a file".into() });
        }
        let file = File::open(path).map_err(unreadable)?;
        let facts = Facts::from(&file.metadata().map_err(unreadable)?);
        Ok(Self { file: Arc::new(file), facts, packing: None })
    }

    /// The same file, read as what it holds where it is packed.
    pub fn unpacked(self, path: &Path) -> Result<Self, SourceError> {
        let mut first = Vec::new();
        self.raw(0).take(4).read_to_end(&mut first).map_err(|e| unreadable(path, &e))?;
        Ok(Self { packing: Packing::of(&first), ..self })
    }

    /// Whether it is packed: places in it are those of what it holds, and its size is its own.
    pub fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// The size that the file had when it was opened.
    pub fn bytes(&self) -> u64 {
        self.facts.bytes
    }

    /// Reads from a place on, whatever other readers do. Of a packed file what stands before is unpacked once more.
    pub fn from(&self, at: u64) -> Place {
        match self.packing {
            None => Place(Of::File(self.raw(at))),
            Some(packing) => Place(Of::Unpacked(Unpacked::new(packing, self.raw(0), at))),
        }
    }

    fn raw(&self, at: u64) -> Raw {
        Raw { file: Arc::clone(&self.file), at }
    }

    /// What tells this content from another: when it was changed, how large it is, its beginning and its end.
    pub fn identity(&self, path: &Path) -> Result<Digest, SourceError> {
        let Facts { bytes, changed, device, inode } = &self.facts;
        let facts = format!("{bytes} {changed:?} {device} {inode}");
        let mut ends = Vec::new();
        for at in [0, bytes.saturating_sub(END_BYTES)] {
            self.raw(at).take(END_BYTES).read_to_end(&mut ends).map_err(|e| unreadable(path, &e))?;
        }
        Ok(Digest::of("bocage/source-identity/1", &[facts.as_bytes(), &ends]))
    }

    /// Whether `path` still is the file that was opened, unchanged: a file that is written while it is read gives rows that
    /// never stood together.
    pub fn unchanged(&self, path: &Path) -> Result<(), SourceError> {
        let now = |facts: io::Result<Metadata>| facts.ok().map(|f| Facts::from(&f));
        let same = now(self.file.metadata()).as_ref() == Some(&self.facts)
            && now(fs::metadata(path)).as_ref() == Some(&self.facts);
        if same { Ok(()) } else { Err(SourceError::Changed { path: path.to_owned() }) }
    }
}

/// The text of a small file.
pub fn text(path: &Path, most: usize) -> Result<String, SourceError> {
    let refused = |reason: String| SourceError::Header { path: path.to_owned(), reason };
    let intake = Intake::open(path)?;
    let mut text = String::new();
    let read = intake.from(0).take(most as u64 + 1).read_to_string(&mut text);
    match read {
        Ok(read) if read > most => Err(refused(format!("larger than {most} bytes"))),
        Ok(_) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(refused("not UTF-8".to_owned())),
        Err(e) => Err(unreadable(path, &e)),
    }
}

/// A reader with a place of its own.
pub struct Place(Of);

enum Of {
    File(Raw),
    Unpacked(Unpacked),
}

impl Place {
    /// How many bytes of the file were read, where it is packed.
    pub fn packed_bytes(&self) -> Option<u64> {
        match &self.0 {
            Of::File(_) => None,
            Of::Unpacked(unpacked) => Some(unpacked.packed_bytes()),
        }
    }
}

impl Read for Place {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Of::File(file) => file.read(buffer),
            Of::Unpacked(unpacked) => unpacked.read(buffer),
        }
    }
}

/// The file as it is stored.
struct Raw {
    file: Arc<File>,
    at: u64,
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A reader that gives no more than [`SOURCE_LINE_BYTES`] between two calls of [`Bounded::next_row`]. What its reader has buffered
/// before counts for the row before, so that a row is refused for certain beyond the bound and one buffer.
pub struct Bounded<R> {
    inner: R,
    left: usize,
}

/// One row is larger than [`SOURCE_LINE_BYTES`].
#[derive(Debug, thiserror::Error)]
#[error("a row is too long")]
pub struct TooLong;

impl<R> Bounded<R> {
    /// Bounds `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, left: SOURCE_LINE_BYTES }
    }

    /// What it reads.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// A new row begins.
    pub fn next_row(&mut self) {
        self.left = SOURCE_LINE_BYTES;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(TooLong));
        }
        let most = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..most])?;
        // Blank lines belong to no row.
        if !buffer[..read].iter().all(|b| matches!(b, b'\n' | b'\r')) {
            self.left -= read;
        }
        Ok(read)
    }
}

/// Whether an error says that a row is too long.
pub fn too_long(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<TooLong>())
}

/// The system's word on a file.
pub fn unreadable(path: &Path, error: &io::Error) -> SourceError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { path },
        io::ErrorKind::PermissionDenied => SourceError::Forbidden { path },
        _ => SourceError::Unreadable { path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_an_end_is_given_up_after_a_bounded_number_of_bytes() {
        let mut bounded = Bounded::new(io::repeat(b'x'));
        for _ in 0..2 {
            let mut sink = Vec::new();
            let error = bounded.read_to_end(&mut sink).unwrap_err();
            assert!(too_long(&error));
            assert_eq!(sink.len(), SOURCE_LINE_BYTES);
            bounded.next_row();
        }
    }

    #[test]
    fn the_system_s_word_becomes_an_error_with_a_hint() {
        let says = |kind: io::ErrorKind| unreadable(Path::new("x.csv"), &kind.into()).to_string();
        assert!(says(io::ErrorKind::NotFound).starts_with("x.csv: there is no such file\n  hint: "));
        assert!(says(io::ErrorKind::PermissionDenied).contains("\n  hint: the node's user must be allowed to read"));
        assert_eq!(says(io::ErrorKind::TimedOut), "x.csv: cannot be read: timed out");
    }
}
