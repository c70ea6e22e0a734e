//! Opening snapshots: found by name, content verified, then mapped and kept.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bocage_protocol::ids::Digest;
use polars::prelude::DataFrame;
use sha2::{Digest as _, Sha256};

use super::files;
use super::manifest::{FORMAT, Manifest};
use super::{SnapshotError, mapped};
use crate::custodian::optout::SubjectIds;
use crate::custodian::source::is_dataset_name;

/// The file that names the snapshot in use.
pub(super) const CURRENT: &str = "current";
/// A manifest beyond this is none of ours.
const MANIFEST_BYTES: u64 = 64 << 20;

/// A snapshot: verified, mapped, never changing.
pub struct Snapshot {
    manifest: Manifest,
    frame: DataFrame,
}

impl Snapshot {
    /// Opens the snapshot of `dataset` that is in use.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn open_current(dir: &Path, dataset: &str) -> Result<Self, SnapshotError> {
        Self::open(dir, dataset, &current(dir, dataset)?)
    }

    /// Opens the snapshot of `dataset` with this content hash. The whole file is read once to verify it.
    ///
    /// # Errors
    /// It is not there, or its content is not what the hash says.
    pub fn open(dir: &Path, dataset: &str, content: &Digest) -> Result<Self, SnapshotError> {
        let manifest = manifest(dir, dataset, content)?;
        let path = arrow_path(&folder(dir, dataset)?, content);
        let mut file = File::open(&path).map_err(|e| absent(&path, &e, "the rows are missing"))?;
        let verified = file.try_clone().and_then(files::digest).map_err(|e| SnapshotError::io(&path, &e))?;
        file.rewind().map_err(|e| SnapshotError::io(&path, &e))?;
        if verified != *content {
            return Err(SnapshotError::Altered { path, expected: *content });
        }
        let frame = mapped::map(file, &path, &manifest.contract_hash)
            .map_err(|reason| SnapshotError::Damaged { path: path.clone(), reason })?;
        if frame.height() as u64 != manifest.rows {
            return Err(SnapshotError::Damaged { path, reason: "the rows are not as many as the manifest says" });
        }
        Ok(Self { manifest, frame })
    }

    /// What the snapshot says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the rows' file. It never leaves the site.
    pub fn content_hash(&self) -> &Digest {
        &self.manifest.content
    }

    /// How many rows have a value in a column, for tests.
    #[cfg(test)]
    pub(in crate::custodian) fn values(&self, column: &str) -> usize {
        self.frame.column(column).map_or(0, |column| column.len() - column.null_count())
    }

    /// The rows, before anybody is left out: what reads them for a study takes [`super::Offered`].
    pub(super) fn frame(&self) -> &DataFrame {
        &self.frame
    }
}

/// The content hash of the snapshot in use.
///
/// # Errors
/// There is none, or the pointer is damaged.
pub fn current(dir: &Path, dataset: &str) -> Result<Digest, SnapshotError> {
    let path = folder(dir, dataset)?.join(CURRENT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(SnapshotError::None { dataset: dataset.to_owned() }),
        Err(e) => return Err(SnapshotError::io(&path, &e)),
    };
    text.trim().parse().map_err(|_| SnapshotError::Damaged { path, reason: "not a content hash" })
}

/// When a snapshot was last put into use, to see whether another one was.
pub fn moved_at(dir: &Path, dataset: &str) -> Option<SystemTime> {
    fs::metadata(folder(dir, dataset).ok()?.join(CURRENT)).ok()?.modified().ok()
}

/// The manifest of a snapshot, without touching its rows.
///
/// # Errors
/// It is missing or damaged.
pub fn manifest(dir: &Path, dataset: &str, content: &Digest) -> Result<Manifest, SnapshotError> {
    let path = manifest_path(&folder(dir, dataset)?, content);
    let file = File::open(&path).map_err(|e| absent(&path, &e, "the manifest is missing"))?;
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES).read_to_end(&mut bytes).map_err(|e| SnapshotError::io(&path, &e))?;
    let damaged = |reason| SnapshotError::Damaged { path: path.clone(), reason };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|_| damaged("not a manifest"))?;
    if manifest.format != FORMAT {
        return Err(damaged("another version of Bocage wrote the manifest"));
    }
    if manifest.content != *content || manifest.dataset != dataset {
        return Err(damaged("the manifest is another snapshot's"));
    }
    Ok(manifest)
}

/// How the subjects of a snapshot are known again.
///
/// # Errors
/// They are not beside it, or damaged.
pub fn subject_ids(dir: &Path, manifest: &Manifest) -> Result<SubjectIds, SnapshotError> {
    let path = ids_path(&folder(dir, &manifest.dataset)?, &manifest.content);
    let damaged = |reason| SnapshotError::Damaged { path: path.clone(), reason };
    let file = manifest.ids.ok_or_else(|| damaged("it was taken without the patients' tokens"))?;
    let bytes = fs::read(&path).map_err(|e| absent(&path, &e, "the patients' tokens are missing"))?;
    if Digest::from_bytes(Sha256::digest(&bytes).into()) != file.content {
        return Err(SnapshotError::Altered { path, expected: file.content });
    }
    let ids = SubjectIds::from_bytes(&bytes).filter(|ids| ids.tokens.len() == manifest.subjects as usize);
    ids.ok_or_else(|| damaged("not the tokens of its patients"))
}

pub(super) fn absent(path: &Path, error: &std::io::Error, reason: &'static str) -> SnapshotError {
    match error.kind() {
        ErrorKind::NotFound => SnapshotError::Damaged { path: path.to_owned(), reason },
        _ => SnapshotError::io(path, error),
    }
}

pub(super) fn folder(dir: &Path, dataset: &str) -> Result<PathBuf, SnapshotError> {
    if is_dataset_name(dataset) { Ok(dir.join(dataset)) } else { Err(SnapshotError::Name) }
}

pub(super) fn arrow_path(folder: &Path, content: &Digest) -> PathBuf {
    folder.join(format!("{content}.arrow"))
}

pub(super) fn ids_path(folder: &Path, content: &Digest) -> PathBuf {
    folder.join(format!("{content}.ids"))
}

pub(super) fn manifest_path(folder: &Path, content: &Digest) -> PathBuf {
    folder.join(format!("{content}.json"))
}

/// The open snapshots of a node. One that is in use stays mapped; an older one stays for as long as somebody holds it.
pub struct Snapshots {
    dir: PathBuf,
    open: Mutex<HashMap<(String, Digest), Arc<Snapshot>>>,
}

impl Snapshots {
    /// Those under `dir`.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, open: Mutex::new(HashMap::new()) }
    }

    /// The folder of all snapshots.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The snapshot in use. Blocks while a new one is verified.
    ///
    /// # Errors
    /// As [`Snapshot::open_current`].
    pub fn current(&self, dataset: &str) -> Result<Arc<Snapshot>, SnapshotError> {
        self.get(dataset, &current(&self.dir, dataset)?)
    }

    /// The snapshot with this content hash, e.g. the one that a study was pinned to.
    ///
    /// # Errors
    /// As [`Snapshot::open`].
    pub fn get(&self, dataset: &str, content: &Digest) -> Result<Arc<Snapshot>, SnapshotError> {
        self.held(dataset, content, |held| {
            manifest(&self.dir, dataset, content).map_or(true, |m| m.ids == held.manifest.ids)
        })
    }

    /// The snapshot of a manifest that was read just now.
    ///
    /// # Errors
    /// As [`Snapshot::open`].
    pub fn of(&self, manifest: &Manifest) -> Result<Arc<Snapshot>, SnapshotError> {
        self.held(&manifest.dataset, &manifest.content, |held| manifest.ids == held.manifest.ids)
    }

    /// The snapshot with this content hash, opened unless one is held that is `known`: the same rows may have been taken again, of patients who
    /// are known by other tokens.
    fn held(
        &self,
        dataset: &str,
        content: &Digest,
        known: impl Fn(&Snapshot) -> bool,
    ) -> Result<Arc<Snapshot>, SnapshotError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (dataset.to_owned(), *content);
        if let Some(snapshot) = open.get(&key).filter(|held| known(held)) {
            return Ok(snapshot.clone());
        }
        let snapshot = Arc::new(Snapshot::open(&self.dir, dataset, content)?);
        open.retain(|(name, _), held| name != dataset || Arc::strong_count(held) > 1);
        open.insert(key, snapshot.clone());
        Ok(snapshot)
    }
}
