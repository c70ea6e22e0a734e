//! The files of an export, packed or not.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bocage_protocol::limits;
use flate2::bufread::MultiGzDecoder;
use memchr::memchr_iter;

use super::ReadError;

/// What is read at a time.
const BLOCK: usize = 256 << 10;

/// How a file holds its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One a line.
    Lines,
    /// One piece: a Bundle or a resource.
    Document,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// One file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// Its name, for reports.
    pub name: String,
    /// Its size as it is stored.
    pub bytes: u64,
    /// How it holds its resources.
    pub form: Form,
    packing: Packing,
    /// When it was changed, and which file it is.
    state: (i64, i64, u64),
}

/// The file at `path`, or the files of that folder, in order of their names. Folders within it are not entered.
pub fn find(path: &Path) -> Result<Vec<Input>, ReadError> {
    let metadata = fs::metadata(path).map_err(|e| failed(path, &e))?;
    let mut inputs = Vec::new();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(|e| failed(path, &e))? {
            let file = entry.map_err(|e| failed(path, &e))?.path();
            let metadata = fs::metadata(&file).map_err(|e| failed(&file, &e))?;
            inputs.extend(input(&file, &metadata));
        }
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
    } else {
        inputs.extend(input(path, &metadata));
    }
    if inputs.is_empty() { Err(ReadError::NoFiles { path: path.to_owned() }) } else { Ok(inputs) }
}

/// A file that is an export's by its name. What is no regular file is never opened: it could wait for a writer.
fn input(path: &Path, metadata: &Metadata) -> Option<Input> {
    let (form, packing) = kind(path.file_name()?.to_str()?)?;
    let state = (metadata.mtime(), metadata.mtime_nsec(), metadata.ino());
    let name = path.file_name()?.to_str()?.to_owned();
    metadata.is_file().then(|| Input { path: path.to_owned(), name, bytes: metadata.len(), form, packing, state })
}

/// How a file of this name is read.
fn kind(name: &str) -> Option<(Form, Packing)> {
    let lower = name.to_ascii_lowercase();
    let (bare, packing) = match lower.rsplit_once('.')? {
        (bare, "gz") => (bare, Packing::Gzip),
        (bare, "zst") => (bare, Packing::Zstd),
        _ => (lower.as_str(), Packing::None),
    };
    let form = match bare.rsplit_once('.')? {
        ("", _) => return None,
        (_, "ndjson" | "jsonl") => Form::Lines,
        (_, "json") => Form::Document,
        _ => return None,
    };
    Some((form, packing))
}

/// What the system says of a file.
pub fn failed(path: &Path, error: &io::Error) -> ReadError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => ReadError::Missing { path },
        io::ErrorKind::PermissionDenied => ReadError::Forbidden { path },
        // The system's own words hold no data; the decoders' could.
        _ => ReadError::Unreadable {
            path,
            reason: error
                .raw_os_error()
                .map_or_else(|| error.kind().to_string(), |code| io::Error::from_raw_os_error(code).to_string()),
        },
    }
}

/// How many bytes of a file were read.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// So many.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted<R> {
    inner: R,
    counter: Counter,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.counter.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A file being read, unpacked.
pub struct Opened {
    /// The file, for errors.
    pub path: PathBuf,
    packed: bool,
    reader: Box<dyn Read + Send>,
    counter: Counter,
}

impl Opened {
    /// Opens a file behind so many bytes, unpacked.
    pub fn open(input: &Input, behind: u64) -> Result<Self, ReadError> {
        let mut file = File::open(&input.path).map_err(|e| failed(&input.path, &e))?;
        let counter = Counter::default();
        let plain = input.packing == Packing::None;
        if plain {
            file.seek(SeekFrom::Start(behind)).map_err(|e| failed(&input.path, &e))?;
            counter.0.store(behind, Ordering::Relaxed);
        }
        let counted = Counted { inner: file, counter: counter.clone() };
        let reader: Box<dyn Read + Send> = match input.packing {
            Packing::None => Box::new(counted),
            // A file of nothing is an empty one, however it is named.
            _ if input.bytes == 0 => Box::new(io::empty()),
            Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BLOCK, counted))),
            Packing::Zstd => {
                let buffered = BufReader::with_capacity(BLOCK, counted);
                Box::new(zstd::stream::read::Decoder::with_buffer(buffered).map_err(|e| failed(&input.path, &e))?)
            }
        };
        let mut opened = Self { path: input.path.clone(), packed: !plain, reader, counter };
        if !plain {
            opened.pass(behind)?;
        }
        Ok(opened)
    }

    /// Passes over so many bytes, unpacked.
    pub fn pass(&mut self, bytes: u64) -> Result<(), ReadError> {
        let mut left = bytes;
        let mut block = vec![0; BLOCK];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            match self.read(&mut block[..most], 0)? {
                0 => return Err(ReadError::Changed { path: self.path.clone() }),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    /// Whether all of it can be unpacked. What is not packed says nothing of its own wholeness.
    pub fn sound(mut self) -> Result<(), ReadError> {
        let (mut block, mut line) = (vec![0; BLOCK], 0);
        while self.packed {
            match self.read(&mut block, line)? {
                0 => break,
                read => line += memchr_iter(b'\n', &block[..read]).count() as u64,
            }
        }
        Ok(())
    }

    /// Reads some bytes; none at the end. `line` is the last that was read, for errors.
    pub fn read(&mut self, buffer: &mut [u8], line: u64) -> Result<usize, ReadError> {
        loop {
            match self.reader.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // An error of the system has its number; the others are the decoder's.
                Err(e) if self.packed && e.raw_os_error().is_none() => {
                    return Err(ReadError::Damaged { path: self.path.clone(), line });
                }
                read => return read.map_err(|e| failed(&self.path, &e)),
            }
        }
    }

    /// How much was read so far.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// Reads all of it.
    pub fn whole(mut self) -> Result<(Vec<u8>, Counter), ReadError> {
        let mut bytes = Vec::new();
        let mut block = vec![0; BLOCK];
        loop {
            let read = self.read(&mut block, 0)?;
            if read == 0 {
                return Ok((bytes, self.counter));
            }
            if bytes.len() + read > limits::FHIR_BUNDLE_BYTES {
                return Err(too_large(&self.path));
            }
            bytes.extend_from_slice(&block[..read]);
        }
    }
}

/// The file is no Bundle that fits into memory.
pub fn too_large(path: &Path) -> ReadError {
    let (limit, entries) = (limits::FHIR_BUNDLE_BYTES, limits::FHIR_BUNDLE_ENTRIES);
    ReadError::TooLarge { path: path.to_owned(), limit, entries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_how_it_is_read() {
        assert_eq!(kind("Patient.ndjson"), Some((Form::Lines, Packing::None)));
        assert_eq!(kind("Patient.000.NDJSON.gz"), Some((Form::Lines, Packing::Gzip)));
        assert_eq!(kind("x.jsonl.zst"), Some((Form::Lines, Packing::Zstd)));
        assert_eq!(kind("bundle.json"), Some((Form::Document, Packing::None)));
        for other in ["Patient.csv", "README", ".ndjson", "x.gz", "x.ndjson.bak"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }
}
