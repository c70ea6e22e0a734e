//! The store's file: how it is opened and its tables. A format that is newer than this code is refused, never guessed at.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{StoreError, StoreFile, checkpoint, denied, enrolment};

/// The file's name in the state folder.
pub const FILE: &str = "coordinator.sqlite";

/// The number of this schema, in SQLite's `user_version`. Raise it with every change that a statement can see.
const FORMAT: i64 = 7;
/// The oldest that is taken over: what came after it are tables of their own.
const OLDEST: i64 = 5;
/// The first that has enrolments.
const ENROLMENT: i64 = 6;

// A table whose rows are large has a rowid: without one the rows stand in the tree that is searched, and SQLite reads each whole that it
// compares a key with.

const TABLES: &str = "
    create table studies (
        position integer primary key,
        id text not null unique,
        study text not null,
        signature text not null,
        sites text not null,
        permit text,
        accepted_at integer not null,
        answer_by integer not null,
        -- 1 once it is published or cancelled: the index keeps the open ones apart, however many are closed.
        closed integer not null default 0
    ) strict;
    create index open_studies on studies (position) where closed = 0;
    create table releases (
        study text not null references studies (id),
        site text not null,
        round integer not null,
        reply_bytes integer not null,
        round_trip_us integer not null,
        snapshot text not null,
        snapshot_at integer not null,
        -- As it came: encoded, with the checkpoint that names it. Last, so that the other columns are read without it.
        signed blob not null,
        primary key (study, site, round)
    ) strict;
    create table refusals (
        study text not null references studies (id),
        site text not null,
        reason text not null,
        primary key (study, site)
    ) strict, without rowid;
    create table deadlines (
        study text primary key references studies (id),
        decided_at integer not null
    ) strict, without rowid;
    create table cancellations (
        study text primary key references studies (id),
        cancelled_at integer not null
    ) strict, without rowid;
    create table results (
        study text primary key references studies (id),
        published_at integer not null,
        result text not null
    ) strict;
    -- What sites said while they let a round wait, and, without a reason, that one does not wait any more. The last of a site holds.
    create table waits (
        study text not null references studies (id),
        site text not null,
        round integer not null,
        number integer not null,
        at integer not null,
        reason text,
        primary key (study, site, round, number)
    ) strict, without rowid;
    create table revocations (
        issuer text primary key,
        number integer not null,
        list text not null
    ) strict, without rowid;
";

impl StoreFile {
    /// See [`super::Store::open`].
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join(FILE);
        let name = path.display().to_string();
        make_private(state_dir, &path).map_err(|source| StoreError::Open { path: name.clone(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags)?;
        match prepare(&db, &name) {
            Err(StoreError::Sqlite(rusqlite::Error::SqliteFailure(e, _)))
                if matches!(e.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) =>
            {
                Err(StoreError::InUse { path: name })
            }
            other => other.map(|()| Self { db }),
        }
    }
}

/// Makes folder and file readable to their owner alone before SQLite writes anything; its own side files take the file's mode.
fn make_private(state_dir: &Path, path: &Path) -> std::io::Result<()> {
    if !state_dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Locks the file for this process alone, so that no second coordinator works on the same state, and makes the tables.
fn prepare(db: &Connection, name: &str) -> Result<(), StoreError> {
    db.busy_timeout(std::time::Duration::ZERO)?;
    db.pragma_update(None, "locking_mode", "exclusive")?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.execute_batch("begin exclusive")?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        FORMAT => {}
        0 => {
            db.execute_batch(TABLES)?;
            db.execute_batch(checkpoint::TABLE)?;
            db.execute_batch(enrolment::TABLES)?;
            db.execute_batch(denied::TABLES)?;
            db.pragma_update(None, "user_version", FORMAT)?;
        }
        OLDEST | ENROLMENT => {
            if found < ENROLMENT {
                db.execute_batch(enrolment::TABLES)?;
            }
            db.execute_batch(denied::TABLES)?;
            db.pragma_update(None, "user_version", FORMAT)?;
        }
        older if older < OLDEST => return Err(StoreError::Older { path: name.to_owned(), found, known: FORMAT }),
        _ => return Err(StoreError::Newer { path: name.to_owned(), found, known: FORMAT }),
    }
    db.execute_batch("commit")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_and_survives_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        drop(StoreFile::open(&state).unwrap());
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(FILE))), (0o700, 0o600));
        StoreFile::open(&state).unwrap();
    }

    #[test]
    fn a_second_coordinator_on_the_same_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = StoreFile::open(dir.path()).unwrap();
        assert!(matches!(StoreFile::open(dir.path()), Err(StoreError::InUse { .. })));
        drop(first);
        StoreFile::open(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        StoreFile::open(dir.path()).unwrap().db.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(StoreFile::open(dir.path()), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn an_older_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        StoreFile::open(dir.path()).unwrap().db.pragma_update(None, "user_version", OLDEST - 1).unwrap();
        assert!(matches!(StoreFile::open(dir.path()), Err(StoreError::Older { found, .. }) if found == OLDEST - 1));
    }

    #[test]
    fn a_store_of_before_enrolment_is_taken_over_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let insert = "insert into revocations values ('issuer', 1, 'list')";
        let first = format!("{TABLES}{}{insert};", checkpoint::TABLE);
        let second = format!("{first}{}", enrolment::TABLES);
        for (format, before) in [(OLDEST, first), (ENROLMENT, second)] {
            let dir = dir.path().join(format.to_string());
            std::fs::create_dir(&dir).unwrap();
            let db = Connection::open(dir.join(FILE)).unwrap();
            db.execute_batch(&before).unwrap();
            db.pragma_update(None, "user_version", format).unwrap();
            drop(db);
            for _ in 0..2 {
                let mut store = StoreFile::open(&dir).unwrap();
                assert_eq!((store.enrolments().unwrap(), store.revoked().unwrap()), (vec![], vec![]));
                let held: i64 = store.db.query_row("select count(*) from revocations", [], |row| row.get(0)).unwrap();
                assert_eq!(held, 1);
            }
        }
    }
}
