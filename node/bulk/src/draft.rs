//! Where an export grows: a draft beside its folder, and a small state file, so that a killed run goes on. Both are the owner's alone. A folder that is
//! no export of ours is never touched.
//!
//! ```text
//! records/            the export in use         about/export.json says what it is
//! .records.draft/     the one that grows        Patient.00001.ndjson  whole     Patient.00002.part  on its way, with .part.json beside it
//! .records.state      whose export it is        .records.lock         one process at a time
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bocage_net::secret::write_atomically;
use bocage_protocol::env::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::BulkError;
use crate::manifest::{Kind, Link};

/// The state file is a few hundred bytes; what is larger is not ours.
const STATE_BYTES: u64 = 64 << 10;

/// What a killed run leaves for the next one. It holds no token; the server's status address may be a secret, so the file is the owner's alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Drawn for each export.
    pub(crate) id: String,
    /// What was asked.
    pub(crate) question: String,
    /// Where the server tells how far it is.
    pub(crate) status: String,
    /// When it was asked.
    pub(crate) asked: Timestamp,
    /// A digest of the list of files, once there is one.
    pub(crate) shape: Option<String>,
}

/// A folder, its draft, and the lock on both.
pub(crate) struct Draft {
    pub(crate) folder: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) old: PathBuf,
    state: PathBuf,
    _lock: File,
}

impl Draft {
    pub(crate) fn open(folder: &Path) -> Result<Self, BulkError> {
        let not_ours = || BulkError::NotOurs { path: folder.to_owned() };
        let name = folder.file_name().and_then(|name| name.to_str()).ok_or_else(not_ours)?;
        let beside = |ending: &str| folder.with_file_name(format!(".{name}.{ending}"));
        make_folder(folder.parent().unwrap_or(Path::new(".")))?;
        let path = beside("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(BulkError::disk(&path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BulkError::InUse { path: folder.to_owned() },
            TryLockError::Error(source) => BulkError::Disk { path: path.clone(), source },
        })?;
        let draft = Self {
            folder: folder.to_owned(),
            path: beside("draft"),
            old: beside("old"),
            state: beside("state"),
            _lock: lock,
        };
        draft.recover()?;
        if is_ours(&draft.folder)? { Ok(draft) } else { Err(not_ours()) }
    }

    /// Puts the earlier export back where a kill came between two renames.
    fn recover(&self) -> Result<(), BulkError> {
        if !self.folder.exists() && self.old.exists() {
            fs::rename(&self.old, &self.folder).map_err(BulkError::disk(&self.folder))?;
        }
        remove(&self.old)
    }

    /// What an earlier run left; nothing where it cannot be read, for then a new export is asked for.
    pub(crate) fn state(&self) -> Option<State> {
        let small = fs::metadata(&self.state).is_ok_and(|file| file.len() <= STATE_BYTES);
        serde_json::from_slice(&fs::read(&self.state).ok().filter(|_| small)?).ok()
    }

    pub(crate) fn keep(&self, state: &State) -> Result<(), BulkError> {
        let text = serde_json::to_vec(state).map_err(io::Error::from).map_err(BulkError::disk(&self.state))?;
        write_atomically(&self.state, &text, 0o600)
            .map_err(|error| BulkError::Disk { path: self.state.clone(), source: io::Error::other(error.to_string()) })
    }

    /// Forgets draft and state.
    pub(crate) fn clear(&self) -> Result<(), BulkError> {
        remove(&self.path)?;
        remove(&self.state)
    }

    /// Makes the draft's folders where they are not there.
    pub(crate) fn make(&self) -> Result<(), BulkError> {
        [Kind::Output, Kind::Deleted, Kind::Error]
            .iter()
            .try_for_each(|kind| make_folder(&self.path.join(kind.folder())))
    }

    /// Where a file is on its way.
    pub(crate) fn part(&self, link: &Link) -> PathBuf {
        self.file(link, "part")
    }

    /// Where a file is when it is whole.
    pub(crate) fn whole(&self, link: &Link, gzip: bool) -> PathBuf {
        self.file(link, if gzip { "ndjson.gz" } else { "ndjson" })
    }

    fn file(&self, link: &Link, ending: &str) -> PathBuf {
        self.path.join(link.kind.folder()).join(format!("{}.{ending}", link.name))
    }

    /// Sees that the disk can take so many bytes more.
    pub(crate) fn room(&self, bytes: u64, floor: u64) -> Result<(), BulkError> {
        let disk = rustix::fs::statvfs(&self.path).map_err(|errno| BulkError::disk(&self.path)(errno.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free.saturating_sub(bytes) >= floor && free >= bytes {
            return Ok(());
        }
        Err(BulkError::NoRoom {
            path: self.path.clone(),
            free_mib: free >> 20,
            floor_mib: floor.saturating_add(bytes) >> 20,
        })
    }
}

/// Whether an export may take the folder's place: it is an export, or empty, or not there.
pub(crate) fn is_ours(folder: &Path) -> Result<bool, BulkError> {
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(BulkError::Disk { path: folder.to_owned(), source }),
        Ok(found) if !found.is_dir() => Ok(false),
        Ok(_) if about(folder).exists() => Ok(true),
        Ok(_) => Ok(fs::read_dir(folder).map_err(BulkError::disk(folder))?.next().is_none()),
    }
}

/// What an export says of itself.
pub(crate) fn about(folder: &Path) -> PathBuf {
    folder.join("about/export.json")
}

fn make_folder(path: &Path) -> Result<(), BulkError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BulkError::disk(path))
}

/// Removes a file or a folder with everything in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), BulkError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BulkError::Disk { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// What is known of a file that is on its way: of which state of the server's file its bytes are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// `ETag` or `Last-Modified`, by which the server knows that its file is still the same.
    pub(crate) validator: Option<String>,
    /// Whether the bytes are gzip because we accept it.
    pub(crate) gzip: bool,
    /// How many there will be.
    pub(crate) bytes: Option<u64>,
}

/// A file on its way.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) head: Head,
    pub(crate) have: u64,
    file: File,
}

impl Part {
    /// Opens what is there; without its head it is worth nothing.
    pub(crate) fn open(path: PathBuf) -> Result<Self, BulkError> {
        let head = fs::read(head_of(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let file =
            OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(BulkError::disk(&path))?;
        let have = file.metadata().map_err(BulkError::disk(&path))?.len();
        let mut part = Self { path, head: Head::default(), have, file };
        match head {
            Some(head) => part.head = head,
            None => part.restart(Head::default())?,
        }
        Ok(part)
    }

    /// Begins anew, with what the server says of its file.
    pub(crate) fn restart(&mut self, head: Head) -> Result<(), BulkError> {
        let text = serde_json::to_vec(&head).map_err(io::Error::from).map_err(BulkError::disk(&self.path))?;
        self.file.set_len(0).map_err(BulkError::disk(&self.path))?;
        // The head is new before its first byte is: a kill in between leaves no bytes of one file under the head of another.
        let place = head_of(&self.path);
        write_atomically(&place, &text, 0o600)
            .map_err(|error| BulkError::Disk { path: place, source: io::Error::other(error.to_string()) })?;
        (self.head, self.have) = (head, 0);
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), BulkError> {
        self.file.write_all(bytes).map_err(BulkError::disk(&self.path))?;
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Gives the whole file its name, durably.
    pub(crate) fn finish(self, name: &Path) -> Result<(), BulkError> {
        self.file.sync_all().map_err(BulkError::disk(&self.path))?;
        fs::rename(&self.path, name).map_err(BulkError::disk(name))?;
        remove(&head_of(&self.path))
    }
}

fn head_of(part: &Path) -> PathBuf {
    part.with_extension("part.json")
}
