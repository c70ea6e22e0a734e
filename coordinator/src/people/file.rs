//! The file of people: how it is opened, and its tables.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{PeopleError, PeopleFile};

/// The file's name in the state folder.
pub const FILE: &str = "people.sqlite";

/// The number of this schema, in SQLite's `user_version`.
const FORMAT: i64 = 2;
/// How long one process waits for the other's write.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    create table users (
        name text primary key,
        roles text not null,
        made_at integer not null,
        disabled_at integer
    ) strict, without rowid;
    create table tokens (
        id text primary key,
        hash text not null,
        user text not null references users (name),
        scope text not null,
        made_at integer not null,
        expires_at integer not null,
        revoked_at integer,
        -- The day, not the moment: it tells a token that nobody needs any more, and no more than that.
        used_on integer
    ) strict, without rowid;
    create index tokens_of on tokens (user);
    -- Whoever has a study's signed text may hand it in; each of them may see it.
    create table owners (
        position integer primary key,
        user text not null references users (name),
        study text not null,
        unique (user, study)
    ) strict;
    create table audit (
        number integer primary key,
        entry text not null,
        hash text not null
    ) strict;
    -- A row for each reason and day: however many attempts there are, it does not grow.
    create table refused (
        day integer not null,
        reason text not null,
        count integer not null,
        primary key (day, reason)
    ) strict, without rowid;
";

/// Since form 2.
const INTENTS: &str = "
    create table intents (
        number integer primary key,
        at integer not null,
        act text not null
    ) strict;
";

impl PeopleFile {
    /// Opens the file in `state_dir`, making both if they are not there (folder 0700, file 0600).
    ///
    /// # Errors
    /// No permission; another format.
    pub fn open(state_dir: &Path) -> Result<Self, PeopleError> {
        let path = state_dir.join(FILE);
        let name = path.display().to_string();
        make_private(state_dir, &path).map_err(|source| PeopleError::Open { path: name.clone(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&path, flags)?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "foreign_keys", true)?;
        let making = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = making.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            FORMAT => {}
            0 | 1 => {
                if found == 0 {
                    making.execute_batch(TABLES)?;
                }
                making.execute_batch(INTENTS)?;
                making.pragma_update(None, "user_version", FORMAT)?;
            }
            _ => return Err(PeopleError::Format { path: name, found, known: FORMAT }),
        }
        making.commit()?;
        Ok(Self { db })
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

#[cfg(test)]
mod tests {
    use bocage_protocol::env::Timestamp;

    use super::*;

    #[test]
    fn a_file_of_the_first_form_is_taken_over_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = Connection::open(dir.path().join(FILE)).unwrap();
        db.execute_batch(TABLES).unwrap();
        db.execute_batch("insert into users values ('ada', 'researcher', 1, null); pragma user_version = 1").unwrap();
        drop(db);
        let mut file = PeopleFile::open(dir.path()).unwrap();
        assert_eq!(file.users(Timestamp(2)).unwrap().len(), 1);
        assert_eq!(file.settle_intents().unwrap(), 0);
        drop(file);
        assert!(PeopleFile::open(dir.path()).is_ok());
    }

    #[test]
    fn the_file_is_for_its_owner_alone_two_may_have_it_and_another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = PeopleFile::open(&state).unwrap();
        let second = PeopleFile::open(&state).unwrap();
        let mode = std::fs::metadata(state.join(FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        second.db.pragma_update(None, "user_version", 99).unwrap();
        drop((first, second));
        assert!(matches!(PeopleFile::open(&state), Err(PeopleError::Format { found: 99, .. })));
    }
}
