//! Records that are on their way to the disk while something is computed: written, so that no end of this process loses them, and not yet known to outlast an end of
//! the machine. Whatever they stand for must not leave before [`Syncing::wait`].

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::LedgerError;

/// The disk at work on what was written last.
#[must_use = "what was written is not yet on the disk"]
pub struct Syncing {
    path: PathBuf,
    disk: JoinHandle<io::Result<()>>,
}

impl Syncing {
    /// Begins with what stands in the journal of the ledger at `path`. A checkpoint that moves it into the ledger meanwhile has synced it before.
    pub(super) fn begin(path: &Path) -> Self {
        let mut journal = path.as_os_str().to_owned();
        journal.push("-wal");
        let journal = PathBuf::from(journal);
        let disk = thread::spawn({
            let journal = journal.clone();
            move || File::open(journal)?.sync_data()
        });
        Self { path: journal, disk }
    }

    /// Returns when it is on the disk.
    ///
    /// # Errors
    /// Where nobody knows whether it is.
    pub fn wait(self) -> Result<(), LedgerError> {
        let synced = self.disk.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs it panicked")));
        synced.map_err(|source| LedgerError::File { path: self.path, source })
    }
}

/// Runs `write` with commits that do not wait for the disk.
pub(super) fn without_waiting<T>(
    connection: &mut Connection,
    write: impl FnOnce(&mut Connection) -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    set(connection, "NORMAL").map_err(LedgerError::Write)?;
    let waits = WaitsAgain(connection);
    let written = write(waits.0);
    drop(waits);
    set(connection, "FULL").map_err(LedgerError::Write)?;
    written
}

fn set(connection: &Connection, level: &str) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", level)
}

/// Later commits wait for the disk, whatever becomes of this one.
struct WaitsAgain<'a>(&'a mut Connection);

impl Drop for WaitsAgain<'_> {
    fn drop(&mut self) {
        if let Err(error) = set(self.0, "FULL") {
            tracing::error!(%error, "the ledger does not wait for the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::env::Timestamp;

    use super::super::bodies::AttemptState;
    use super::super::tests::attempt;
    use super::super::{Ledger, LedgerError};

    #[test]
    fn what_is_written_without_waiting_is_read_by_others_at_once_and_later_commits_wait_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        let level = || ledger.lock().query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)).unwrap();
        let entries = [attempt(1, AttemptState::Started)];
        let (seqs, syncing) = ledger.append_if(Timestamp(1), &entries, |_| Ok(())).unwrap().unwrap();
        assert_eq!((seqs, level()), (vec![1], 2));
        assert_eq!(Ledger::open_read_only(&path).unwrap().verify().unwrap().unwrap().records, 1);
        syncing.wait().unwrap();
        ledger.make_unwritable(true);
        assert!(ledger.append_if(Timestamp(1), &entries, |_| Ok(())).is_err());
        assert_eq!(level(), 2);
    }

    #[test]
    fn a_journal_that_cannot_be_synced_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        ledger.append(Timestamp(1), &[attempt(1, AttemptState::Started)]).unwrap();
        std::fs::rename(dir.path().join("ledger.sqlite-wal"), dir.path().join("elsewhere")).unwrap();
        let (_, syncing) =
            ledger.append_if(Timestamp(1), &[attempt(1, AttemptState::Died)], |_| Ok(())).unwrap().unwrap();
        assert!(matches!(syncing.wait(), Err(LedgerError::File { path, .. }) if path.ends_with("ledger.sqlite-wal")));
    }
}
