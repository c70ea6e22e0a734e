//! Making a backup: members are read once and sealed on the way. The file appears under its name when it is whole, on the disk and read back.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{About, FILES, FORMAT, MANIFEST, Manifest, Member};
use crate::seal::{Recipient, Sealed, is_sealed};

/// The end of the name of a backup that is not whole.
const PARTIAL: &str = ".partial";

/// Why no backup was made. Nothing stands under its name then.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// There is something under that name.
    #[error("{}: exists already and is not overwritten\n  hint: give each backup a name of its own, such as one with the day in it", .file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The backup cannot be written.
    #[error("{}: cannot be written: {source}\n  hint: the folder must exist, and its disk must hold all that is kept", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that belongs into it cannot be read.
    #[error("{}: cannot be read: {source}\n  hint: run the command as the daemon's own user", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that belongs into it has no name that an archive can have.
    #[error("{}: its path is not UTF-8, or there are more than {FILES} files", .file.display())]
    Name {
        /// The file.
        file: PathBuf,
    },
    /// What was written is not what stands on the disk.
    #[error("{}: what was read back is not what was written\n  hint: the disk or the network share is damaged; the file was removed", .file.display())]
    ReadBack {
        /// The file.
        file: PathBuf,
    },
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The sealed file's size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its members.
    pub files: usize,
}

/// A backup that is being made.
pub struct Packing {
    to: PathBuf,
    tar: tar::Builder<Sealed<Hashing<BufWriter<NamedTempFile>>>>,
    manifest: Manifest,
}

impl Packing {
    /// Begins a backup that is to stand at `to`.
    ///
    /// # Errors
    /// There is something already, or its folder cannot be written.
    pub fn begin(to: &Path, recipients: &[Recipient], about: About) -> Result<Self, PackError> {
        if to.symlink_metadata().is_ok() {
            return Err(PackError::Exists { file: to.to_owned() });
        }
        let write = |source| PackError::Write { file: to.to_owned(), source };
        let name =
            to.file_name().and_then(|name| name.to_str()).ok_or_else(|| PackError::Name { file: to.to_owned() })?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        remove_leftovers(folder, name);
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(PARTIAL)
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)
            .map_err(write)?;
        let sealed = Sealed::begin(Hashing::new(BufWriter::new(file)), recipients).map_err(write)?;
        let manifest = Manifest { format: FORMAT, about, files: Vec::new() };
        Ok(Self { to: to.to_owned(), tar: tar::Builder::new(sealed), manifest })
    }

    /// Adds a file as `member`. A link is followed: what counts is the file behind it.
    ///
    /// # Errors
    /// One of the two files fails.
    pub fn add(&mut self, member: &str, file: &Path) -> Result<(), PackError> {
        if self.manifest.files.len() >= FILES {
            return Err(PackError::Name { file: file.to_owned() });
        }
        let read = |source| PackError::Read { file: file.to_owned(), source };
        // A pipe in a file's place would block us.
        let opened = fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(file).map_err(read)?;
        let metadata = opened.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(read(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
        }
        let bytes = metadata.len();
        // A file that grows meanwhile, such as a log, is kept as long as it was; one that shrinks fails.
        let mut reading = Hashing::new(BufReader::new(opened).take(bytes));
        self.tar.append_data(&mut header(bytes), member, &mut reading).map_err(|source| self.failed(source))?;
        let (count, sha256) = reading.done();
        if count != bytes {
            return Err(read(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read")));
        }
        self.manifest.files.push(Member { path: member.to_owned(), bytes, sha256 });
        Ok(())
    }

    fn failed(&self, source: io::Error) -> PackError {
        PackError::Write { file: self.to.clone(), source }
    }

    /// Writes the manifest, brings everything onto the disk, reads it back, and gives the file its name.
    ///
    /// # Errors
    /// The file cannot be written, or is not what was written.
    pub fn finish(self) -> Result<Packed, PackError> {
        let Self { to, mut tar, manifest } = self;
        let write = |source| PackError::Write { file: to.clone(), source };
        let text = serde_json::to_vec(&manifest).map_err(|error| write(error.into()))?;
        tar.append_data(&mut header(text.len() as u64), MANIFEST, &text[..]).map_err(write)?;
        let hashing = tar.into_inner().and_then(Sealed::finish).map_err(write)?;
        let (buffered, bytes, written) = hashing.into_parts();
        let file = buffered.into_inner().map_err(|error| write(error.into_error()))?;
        file.as_file().sync_all().map_err(write)?;
        let (read_bytes, sha256) = digest(file.path()).map_err(write)?;
        let whole = is_sealed(BufReader::new(file.reopen().map_err(write)?));
        if (read_bytes, &sha256) != (bytes, &written) || whole.is_err() {
            return Err(PackError::ReadBack { file: to });
        }
        let folder = file.path().parent().map(Path::to_owned);
        file.persist_noclobber(&to).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => PackError::Exists { file: to.clone() },
            _ => write(error.error),
        })?;
        if let Some(folder) = folder {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(write)?;
        }
        Ok(Packed { bytes, sha256, files: manifest.files.len() })
    }
}

/// `O_NONBLOCK`: of regular files it changes nothing.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

/// What backups to the same name left behind that were killed.
fn remove_leftovers(folder: &Path, name: &str) {
    let prefix = format!(".{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|n| n.starts_with(&prefix) && n.ends_with(PARTIAL)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A file's size and SHA-256.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut reading = Hashing::new(File::open(path)?);
    io::copy(&mut reading, &mut io::sink())?;
    Ok(reading.done())
}

/// Counts and hashes what passes.
pub(super) struct Hashing<T> {
    inner: T,
    count: u64,
    hash: Sha256,
}

impl<T> Hashing<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, count: 0, hash: Sha256::new() }
    }

    pub(super) fn done(self) -> (u64, String) {
        let (_, count, hash) = self.into_parts();
        (count, hash)
    }

    fn into_parts(self) -> (T, u64, String) {
        (self.inner, self.count, hex::encode(self.hash.finalize()))
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.count += bytes.len() as u64;
        self.hash.update(bytes);
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.pass(&bytes[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.pass(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
