//! Files that are whole or not there: written beside their place with mode 0600, synced, renamed, the folder synced.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bocage_protocol::ids::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::SnapshotError;

/// Makes a folder and its parents, for the owner alone.
pub fn make_folder(path: &Path) -> Result<(), SnapshotError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| SnapshotError::io(path, &e))
}

/// A file that has no name yet. It vanishes unless it is [`Draft::publish`]ed.
pub struct Draft(NamedTempFile);

impl Draft {
    /// A new one in `folder`.
    pub fn new(folder: &Path) -> Result<Self, SnapshotError> {
        // tempfile makes files with mode 0600.
        tempfile::Builder::new()
            .prefix(".draft-")
            .tempfile_in(folder)
            .map(Draft)
            .map_err(|e| SnapshotError::io(folder, &e))
    }

    /// Where to write.
    pub fn file(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// The digest of what was written so far.
    pub fn digest(&self) -> Result<Digest, SnapshotError> {
        let path = self.0.path();
        let file = File::open(path).map_err(|e| SnapshotError::io(path, &e))?;
        digest(file).map_err(|e| SnapshotError::io(path, &e))
    }

    /// Syncs the file and gives it its name, in place of an earlier file of that name.
    pub fn publish(self, path: &Path) -> Result<(), SnapshotError> {
        self.0.as_file().sync_all().map_err(|e| SnapshotError::io(path, &e))?;
        self.0.persist(path).map_err(|e| SnapshotError::io(path, &e.error))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| SnapshotError::io(folder, &e))
    }
}

/// Writes a small file as a whole.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut draft = Draft::new(path.parent().unwrap_or(Path::new(".")))?;
    draft.file().write_all(bytes).map_err(|e| SnapshotError::io(path, &e))?;
    draft.publish(path)
}

/// Brings a file to the disk while it is written, on a thread of its own, so that little is left to wait for in the end.
pub struct Syncing {
    file: File,
    every_bytes: u64,
    asked: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Syncing {
    /// Of a file of so many bytes that are there already, each time that so many more were written.
    pub fn new(file: &File, written: u64, every_bytes: u64) -> io::Result<Self> {
        Ok(Self { file: file.try_clone()?, every_bytes, asked: written, running: None })
    }

    /// So many bytes are written now.
    ///
    /// # Errors
    /// The disk has not taken what was written before.
    pub fn wrote(&mut self, written: u64) -> io::Result<()> {
        let busy = self.running.as_ref().is_some_and(|thread| !thread.is_finished());
        if busy || written - self.asked < self.every_bytes {
            return Ok(());
        }
        self.end()?;
        let file = self.file.try_clone()?;
        self.asked = written;
        self.running = Some(thread::spawn(move || file.sync_data()));
        Ok(())
    }

    /// Waits until nothing is under way. The system tells a failure once, so whoever syncs the file afterwards must know of it.
    ///
    /// # Errors
    /// As [`Syncing::wrote`].
    pub fn end(&mut self) -> io::Result<()> {
        self.running.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

/// Hashes what is written, on a thread of its own, and brings it to the disk.
pub struct Hashed<W> {
    inner: W,
    bytes: u64,
    syncing: Syncing,
    written: SyncSender<Vec<u8>>,
    hashes: JoinHandle<Digest>,
}

impl<W: Write> Hashed<W> {
    /// Before the first byte.
    pub fn new(inner: W, syncing: Syncing) -> Self {
        let (written, pieces) = sync_channel::<Vec<u8>>(4);
        let hashes = thread::spawn(move || {
            let mut hasher = Sha256::new();
            pieces.into_iter().for_each(|piece| hasher.update(&piece));
            Digest::from_bytes(hasher.finalize().into())
        });
        Self { inner, bytes: 0, syncing, written, hashes }
    }

    /// The SHA-256 of all that was written.
    ///
    /// # Errors
    /// The disk has not taken all of it.
    pub fn digest(mut self) -> io::Result<Digest> {
        drop(self.written);
        let digest = self.hashes.join().unwrap_or_else(|panic| resume_unwind(panic));
        self.syncing.end().map(|()| digest)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        self.syncing.wrote(self.bytes)?;
        // If nobody hashes any more, `digest` tells why.
        drop(self.written.send(bytes[..written].to_vec()));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The SHA-256 of a file's bytes.
pub fn digest(mut file: File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Removes drafts that a killed run left behind.
pub fn remove_drafts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(".draft-")) {
        // What cannot be removed only takes room.
        drop(fs::remove_file(entry.path()));
    }
}
