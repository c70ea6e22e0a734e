//! Files that are whole or not there: written beside their place with mode 0600, synced, renamed, the folder synced.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

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
