//! Which snapshots stay: the one in use, those that open studies are pinned to, and some before it. It removes files of the
//! snapshots' own folder only, never the source's.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bocage_protocol::ids::Digest;
use rustix::fs::{FlockOperation, flock};

use super::open::{CURRENT, arrow_path, current, folder, ids_path, manifest, manifest_path};
use super::{Manifest, SnapshotError, files, unfinished};
use crate::ingest::attempt;

/// A snapshot on the disk.
#[derive(Debug, Clone)]
pub struct Held {
    /// What it says about itself.
    pub manifest: Manifest,
    /// Size of its rows.
    pub bytes: u64,
    /// Whether later studies are computed on it.
    pub current: bool,
}

/// The lock on a dataset's folder of snapshots: one process takes or removes at a time.
pub(super) struct Lock {
    _folder: File,
}

/// For so long a lock is waited for: whoever only looks has it for less.
const LOOKS: Duration = Duration::from_secs(1);

impl Lock {
    /// Takes the lock, or says that another process has it and keeps it.
    pub(super) fn take(folder: &Path) -> Result<Self, SnapshotError> {
        let begun = Instant::now();
        loop {
            match Self::at_once(folder, FlockOperation::NonBlockingLockExclusive) {
                // The kernel knows no time-out for it, and nobody tells when it is free.
                Err(SnapshotError::Busy { .. }) if begun.elapsed() < LOOKS => std::thread::park_timeout(LOOKS / 50),
                done => return done,
            }
        }
    }

    pub(super) fn at_once(folder: &Path, kind: FlockOperation) -> Result<Self, SnapshotError> {
        let handle = File::open(folder).map_err(|e| SnapshotError::io(folder, &e))?;
        match flock(&handle, kind) {
            Ok(()) => Ok(Self { _folder: handle }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(SnapshotError::Busy { path: folder.to_owned() }),
            Err(error) => Err(SnapshotError::io(folder, &error.into())),
        }
    }
}

/// Whether some process takes or removes snapshots of a dataset now.
pub fn is_being_taken(dir: &Path, dataset: &str) -> bool {
    let shared = FlockOperation::NonBlockingLockShared;
    folder(dir, dataset).is_ok_and(|folder| matches!(Lock::at_once(&folder, shared), Err(SnapshotError::Busy { .. })))
}

/// A dataset's snapshots, the newest first. Those whose manifest cannot be read are not among them.
///
/// # Errors
/// The folder cannot be read. A folder that is not there holds none.
pub fn held(dir: &Path, dataset: &str) -> Result<Vec<Held>, SnapshotError> {
    let place = folder(dir, dataset)?;
    let in_use = current(dir, dataset).ok();
    let mut held: Vec<Held> = contents(&place)?
        .into_iter()
        .filter_map(|content| {
            let manifest = manifest(dir, dataset, &content).ok()?;
            let bytes = fs::metadata(arrow_path(&place, &content)).ok()?.len();
            Some(Held { manifest, bytes, current: in_use == Some(content) })
        })
        .collect();
    held.sort_by_key(|h| std::cmp::Reverse((h.current, h.manifest.created_at)));
    Ok(held)
}

/// Removes what need not stay: all but the snapshot in use, the `keep` newest beside it, and those in `pinned`. Returns how
/// many were removed. Whoever has one of them open can read it to the end.
///
/// # Errors
/// The folder cannot be read, or another process is at work in it.
pub fn retire(dir: &Path, dataset: &str, keep: usize, pinned: &BTreeSet<Digest>) -> Result<usize, SnapshotError> {
    let place = folder(dir, dataset)?;
    // Whoever answers questions does not wait: it is asked for again.
    let _lock = Lock::at_once(&place, FlockOperation::NonBlockingLockExclusive)?;
    let held = held(dir, dataset)?;
    let others = held.iter().filter(|h| !h.current).take(keep);
    let stays: HashSet<Digest> = held
        .iter()
        .filter(|h| h.current)
        .chain(others)
        .map(|h| h.manifest.content)
        .chain(pinned.iter().copied())
        .collect();
    let goes: Vec<Digest> = contents(&place)?.into_iter().filter(|content| !stays.contains(content)).collect();
    for content in &goes {
        remove(&place, content)?;
    }
    Ok(goes.len())
}

/// Removes every snapshot of a dataset. The source's own files stay as they are.
///
/// # Errors
/// A file cannot be removed, or another process is at work in the folder.
pub fn drop_all(dir: &Path, dataset: &str) -> Result<usize, SnapshotError> {
    let place = folder(dir, dataset)?;
    let _lock = Lock::take(&place)?;
    // First nothing is in use, then nothing is there.
    gone(&place.join(CURRENT))?;
    gone(&attempt::path(dir, dataset))?;
    files::remove_drafts(&place);
    unfinished::remove(&place);
    let contents = contents(&place)?;
    for content in &contents {
        remove(&place, content)?;
    }
    Ok(contents.len())
}

fn remove(place: &Path, content: &Digest) -> Result<(), SnapshotError> {
    gone(&manifest_path(place, content))?;
    gone(&ids_path(place, content))?;
    gone(&arrow_path(place, content))
}

fn gone(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(SnapshotError::io(path, &e)),
        _ => Ok(()),
    }
}

/// The hashes that the files of a folder are named by, with or without a manifest.
fn contents(place: &Path) -> Result<BTreeSet<Digest>, SnapshotError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(e) => return Err(SnapshotError::io(place, &e)),
    };
    let content = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        [".arrow", ".json", ".ids"].iter().find_map(|suffix| name.strip_suffix(suffix))?.parse().ok()
    };
    Ok(entries.flatten().filter_map(content).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_only_looks_disturbs_nobody_who_takes_and_is_disturbed_by_none_that_looks() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("heart")).unwrap();
        let place = folder(dir.path(), "heart").unwrap();
        let look = Lock::at_once(&place, FlockOperation::NonBlockingLockShared).unwrap();
        assert!(!is_being_taken(dir.path(), "heart"), "others look");
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| Lock::take(&place));
            drop(look);
            assert!(taken.join().unwrap().is_ok_and(|_| true));
        });
        let taken = Lock::take(&place).unwrap();
        assert!(is_being_taken(dir.path(), "heart"));
        assert!(matches!(Lock::take(&place), Err(SnapshotError::Busy { .. })));
        drop(taken);
        assert!(!is_being_taken(dir.path(), "heart"));
    }
}
