//! What ingests left that nobody goes on with: rows of a dataset that the node no longer has, and rows that waited for too long. They hold patients' ids as the
//! source has them, so they do not lie about. It must never remove a snapshot, nor what an ingest that runs is writing.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

use bocage_protocol::env::Timestamp;
use rustix::fs::FlockOperation;

use super::keep::Lock;
use super::{SnapshotError, files, unfinished};

/// For so long rows wait for an ingest that goes on behind them.
const WAIT_MS: i64 = 7 * 86_400_000;

/// Sweeps the folders of all datasets, and gives the names of those where rows were removed: of datasets that are not `known`, and rows of more than a week ago.
///
/// # Errors
/// The folder cannot be read. One that is not there holds nothing.
pub fn sweep(dir: &Path, known: &dyn Fn(&str) -> bool, now: Timestamp) -> Result<Vec<String>, SnapshotError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| SnapshotError::io(dir, &e))?,
    };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let swept = |entry: DirEntry| {
        let dataset = entry.file_name().into_string().ok()?;
        swept(&entry.path(), known(&dataset), now).then_some(dataset)
    };
    Ok(folders.filter_map(swept).collect())
}

/// Whether there were rows of a dataset that were to be removed, and now are.
fn swept(folder: &Path, is_known: bool, now: Timestamp) -> bool {
    // An ingest that runs holds the lock, and removes in the end what it leaves.
    let Ok(_lock) = Lock::at_once(folder, FlockOperation::NonBlockingLockExclusive) else { return false };
    files::remove_drafts(folder);
    let path = unfinished::path(folder);
    let Ok(facts) = fs::symlink_metadata(&path) else { return false };
    let written = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let waited = written.is_none_or(|at| now.since_ms(Timestamp(at.as_millis() as i64)) > WAIT_MS);
    (!is_known || waited) && fs::remove_file(&path).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    #[test]
    fn rows_of_unknown_datasets_and_old_ones_are_swept_and_neither_snapshots_nor_what_an_ingest_writes() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp(30 * 86_400_000);
        let put = |dataset: &str, written_ms: i64| {
            let folder = dir.path().join(dataset);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("current"), "a snapshot's").unwrap();
            fs::write(folder.join(".draft-x"), "a killed ingest's").unwrap();
            let file = File::create(unfinished::path(&folder)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_millis(written_ms as u64)).unwrap();
        };
        put("fresh", now.0 - WAIT_MS);
        put("old", now.0 - WAIT_MS - 1);
        put("gone", now.0);
        put("running", 0);
        fs::write(dir.path().join("a-file"), "none of ours").unwrap();
        let lock = Lock::take(&dir.path().join("running")).unwrap();
        let known = |dataset: &str| dataset != "gone";
        let sweep = || {
            let mut swept = sweep(dir.path(), &known, now).unwrap();
            swept.sort();
            swept
        };
        assert_eq!(sweep(), ["gone", "old"]);
        let left = |dataset: &str| {
            let entries = fs::read_dir(dir.path().join(dataset)).unwrap().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!((left("gone"), left("old")), (vec!["current".to_owned()], vec!["current".to_owned()]));
        assert_eq!(left("fresh"), ["current", "unfinished.rows"]);
        assert_eq!(left("running"), [".draft-x", "current", "unfinished.rows"]);
        drop(lock);
        assert_eq!(sweep(), ["running"]);
        assert!(super::sweep(&dir.path().join("none"), &known, now).unwrap().is_empty());
    }
}
