//! A database's copy as it stood at one moment, made while others write it.

use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

/// Copies the database at `from` into the new file `to`, which is a file by itself: no journal belongs to it.
///
/// All pages are copied within one reading, so the copy is one state of the database; who writes waits for nothing.
///
/// # Errors
/// Where one of the two cannot be opened, or the copy is damaged.
pub fn copy(from: &Path, to: &Path) -> rusqlite::Result<()> {
    // Reading, too, needs the journal's index beside the file, which a read-only connection could not make where nobody has it open.
    let source =
        Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    source.busy_timeout(std::time::Duration::from_secs(10))?;
    let mut copy = Connection::open(to)?;
    // In one step; who holds the database for a moment, at a checkpoint of the journal, is waited for.
    Backup::new(&source, &mut copy)?.run_to_completion(i32::MAX, std::time::Duration::from_millis(20), None)?;
    copy.pragma_update(None, "journal_mode", "delete")?;
    let sound: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound == "ok" { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(11), Some(sound))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_made_while_another_connection_writes_is_whole_and_one_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.sqlite");
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        // Each transaction writes two rows: a state has as many of one as of the other.
        db.execute_batch("create table a (n integer, filler blob); create table b (n integer)").unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop = &stop;
            let write = scope.spawn(move || {
                let mut n = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    n += 1;
                    db.execute_batch(&format!(
                        "begin; insert into a values ({n}, zeroblob(5000)); insert into b values ({n}); commit"
                    ))
                    .unwrap();
                }
                n
            });
            for round in 0..10 {
                let to = dir.path().join(format!("copy-{round}"));
                copy(&path, &to).unwrap();
                let copied = Connection::open(&to).unwrap();
                let count =
                    |table| copied.query_row(&format!("select count(*) from {table}"), [], |r| r.get::<_, i64>(0));
                assert_eq!(count("a").unwrap(), count("b").unwrap());
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(write.join().unwrap() > 0);
        });
        assert!(copy(&dir.path().join("none"), &dir.path().join("x")).is_err());
    }
}
