//! Puts a whole export in the place of the one before, by one rename: who opens the folder sees the old one or the new one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use bocage_net::secret::write_atomically;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::draft::{Draft, about, remove};
use crate::error::BulkError;

/// The longest `about/export.json`: a hundred kinds of resources are 4 KiB.
const ABOUT_BYTES: u64 = 1 << 20;

/// What an export says of itself, in its `about/export.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub(crate) id: String,
    /// The address that was asked.
    pub question: String,
    /// The server's time of the data.
    pub transaction_time: Option<String>,
    /// Files.
    pub files: u64,
    /// Their bytes, as they came.
    pub bytes: u64,
    /// Resources of each kind.
    pub resources: BTreeMap<String, u64>,
    /// Lines that say what was deleted since.
    pub deleted: u64,
    /// Lines that say what the server could not export.
    pub errors: u64,
}

impl About {
    /// Reads what the export in `folder` says of itself.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let path = about(folder);
        let small = fs::metadata(&path).is_ok_and(|file| file.len() <= ABOUT_BYTES);
        serde_json::from_slice(&fs::read(path).ok().filter(|_| small)?).ok()
    }
}

/// Says in the draft what it is: from then on it is whole.
pub(crate) fn seal(draft: &Draft, said: &About) -> Result<(), BulkError> {
    let path = about(&draft.path);
    let text = serde_json::to_vec_pretty(said).map_err(io::Error::from).map_err(BulkError::disk(&path))?;
    for folder in [draft.path.clone(), draft.path.join("about/deleted"), draft.path.join("about/error")] {
        sync(&folder)?;
    }
    let failed = |error: bocage_net::secret::SecretError| io::Error::other(error.to_string());
    write_atomically(&path, &text, 0o600).map_err(failed).map_err(BulkError::disk(&path))
}

/// Puts the draft in the folder's place, and removes what was there.
pub(crate) fn publish(draft: &Draft) -> Result<(), BulkError> {
    let Draft { folder, path, old, .. } = draft;
    if !folder.exists() {
        fs::rename(path, folder).map_err(BulkError::disk(folder))?;
        return sync(folder.parent().unwrap_or(Path::new(".")));
    }
    match renameat_with(CWD, path, CWD, folder, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        // Some network file systems cannot exchange. Then there is a moment without a folder, and a kill in it is put right by the next run.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::rename(folder, old).map_err(BulkError::disk(folder))?;
            fs::rename(path, folder).map_err(BulkError::disk(folder))?;
        }
        Err(errno) => return Err(BulkError::disk(folder)(errno.into())),
    }
    sync(folder.parent().unwrap_or(Path::new(".")))?;
    remove(path)?;
    remove(old)
}

fn sync(folder: &Path) -> Result<(), BulkError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BulkError::disk(folder))
}
