//! The store's file: how it is opened, its tables, and how an older form becomes the present one. A form that is newer than this code is refused,
//! never guessed at.
//!
//! One coordinator works on it at a time; another process may read it meanwhile, as a backup does.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, StoreFile, checkpoint, denied, enrolment, rounds};

/// The file's name in the state folder.
pub const FILE: &str = "coordinator.sqlite";

/// Held by the coordinator that works on the file.
pub const LOCK: &str = "coordinator.lock";

/// The oldest form that is brought up to date: that of the first release.
const OLDEST: i64 = 5;

/// What makes of each form the next one, the first of [`OLDEST`]. Every change that a statement can see is a step of its own behind the others;
/// a step that was released never changes. `tests/data/schemas` keeps a file of each form.
const MIGRATIONS: &[&str] = &[enrolment::TABLES, denied::TABLES, rounds::TABLE];

/// The number of the present form, in SQLite's `user_version`.
pub const FORMAT: i64 = OLDEST + MIGRATIONS.len() as i64;

/// How long a statement waits for another process that reads or checkpoints.
const BUSY: Duration = Duration::from_secs(5);

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
        let opens = |source| StoreError::Open { path: name.clone(), source };
        make_private(state_dir, &path).map_err(opens)?;
        let lock =
            lock(&state_dir.join(LOCK)).map_err(opens)?.ok_or_else(|| StoreError::InUse { path: name.clone() })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&path, flags)?;
        prepare(&mut db, &name)?;
        Ok(Self { db, _lock: lock })
    }
}

/// The lock, unless another process has it. It goes with the file, whatever ends the process.
fn lock(path: &Path) -> std::io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
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

/// Makes the tables, or brings those of an older form up to date.
fn prepare(db: &mut Connection, name: &str) -> Result<(), StoreError> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "foreign_keys", true)?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == 0 {
        let first = db.transaction()?;
        first.execute_batch(TABLES)?;
        first.execute_batch(checkpoint::TABLE)?;
        first.pragma_update(None, "user_version", OLDEST)?;
        first.commit()?;
    }
    migrate(db, name, MIGRATIONS)
}

/// Takes the steps that are missing, each whole or not at all.
fn migrate(db: &mut Connection, name: &str, steps: &[&str]) -> Result<(), StoreError> {
    let known = OLDEST + steps.len() as i64;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { path: name.to_owned(), found, known });
    }
    let Some(taken) = usize::try_from(found - OLDEST).ok() else {
        return Err(StoreError::Older { path: name.to_owned(), found, known });
    };
    for (step, number) in steps.iter().skip(taken).zip(found + 1..) {
        let one = db.transaction()?;
        one.execute_batch(step)?;
        one.pragma_update(None, "user_version", number)?;
        one.commit()?;
        tracing::info!(format = number, "the store was brought up to date");
    }
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
    fn a_format_of_before_the_first_release_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        StoreFile::open(dir.path()).unwrap().db.pragma_update(None, "user_version", OLDEST - 1).unwrap();
        assert!(matches!(StoreFile::open(dir.path()), Err(StoreError::Older { found, .. }) if found == OLDEST - 1));
    }

    #[test]
    fn a_store_of_every_earlier_form_is_taken_over_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let insert = "insert into revocations values ('issuer', 1, 'list')";
        let first = format!("{TABLES}{}{insert};", checkpoint::TABLE);
        let second = format!("{first}{}", enrolment::TABLES);
        let third = format!("{second}{}", denied::TABLES);
        for (format, before) in [(OLDEST, first), (OLDEST + 1, second), (OLDEST + 2, third)] {
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

    #[test]
    fn each_missing_step_is_taken_once_and_one_that_fails_leaves_the_form_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreFile::open(dir.path()).unwrap();
        let form = |db: &Connection| -> i64 { db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap() };
        store.db.pragma_update(None, "user_version", OLDEST).unwrap();
        let steps = ["create table one (a)", "create table two (a)"];
        migrate(&mut store.db, "x", &steps[..1]).unwrap();
        migrate(&mut store.db, "x", &steps).unwrap();
        migrate(&mut store.db, "x", &steps).unwrap();
        assert_eq!(form(&store.db), OLDEST + 2);
        let broken = [steps[0], steps[1], "create table three (a); create table one (a)"];
        assert!(migrate(&mut store.db, "x", &broken).is_err());
        assert_eq!(form(&store.db), OLDEST + 2);
        assert!(store.db.execute("insert into three values (1)", []).is_err(), "half a step was taken");
    }

    #[test]
    fn another_process_reads_the_file_while_the_coordinator_works_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let _store = StoreFile::open(dir.path()).unwrap();
        let copy = dir.path().join("copy");
        bocage_keep::database::copy(&dir.path().join(FILE), &copy).unwrap();
        let studies = "select count(*) from studies";
        assert_eq!(Connection::open(copy).unwrap().query_row(studies, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}
