//! Opening the ledger's file. A new one gets its name when it is whole, so that a file of that name is always a ledger, or one that was ruined: that is
//! said, with what mends it, and nothing of it is changed. What a database is worth that looks sound here, `verify` says.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::{LedgerError, Ruin};
use super::{Ledger, books, desk, retention};

/// `boca`: what kind of SQLite file this is.
const APPLICATION_ID: i64 = 0x626f_6361;
/// The number of this form of the file: of its chain. What only helps searching is made where it is missing, whatever the number.
pub const FORMAT: i64 = 1;
/// How long to wait for another process that is writing (`bocage-node datasets refresh`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// More than a round has: each is read by SQLite once, not once a round.
const STATEMENTS: usize = 32;

/// What a database of SQLite begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const SCHEMA: &str = "
CREATE TABLE record (
  seq       INTEGER PRIMARY KEY,
  at_ms     INTEGER NOT NULL,
  kind      TEXT NOT NULL,
  study     TEXT,
  round     INTEGER,
  body      TEXT NOT NULL,
  payload   BLOB,
  prev_hash TEXT NOT NULL,
  hash      TEXT NOT NULL
) STRICT;
CREATE INDEX record_study ON record (study, seq) WHERE study IS NOT NULL;
CREATE INDEX record_attempt ON record (seq) WHERE kind = 'attempt';
CREATE TRIGGER record_no_delete BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
";

/// Where the last release with the answer to a question is. An aid for searching, no part of the chain: what it leads to is
/// judged by itself. Ledgers that were begun without it get it when they are opened.
const ANSWERS: &str = "
CREATE TABLE IF NOT EXISTS answer (question TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_optouts ON record (seq) WHERE kind = 'optouts';
";

impl Ledger {
    /// Opens the ledger for writing; creates it if there is none.
    ///
    /// # Errors
    /// Where the file cannot be made or is no ledger.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        if !look(path)? {
            create(path)?;
        }
        // Whoever opens a database for writing puts its journal back into it, even into one that is damaged: look before.
        if let Err(ruined @ (LedgerError::Ruined { .. } | LedgerError::Newer { .. })) = Self::open_read_only(path) {
            return Err(ruined);
        }
        // SQLite gives its journal files the mode of the database, so the mode must be right before it opens it.
        let at = |source| LedgerError::File { path: path.to_owned(), source };
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(at)?;
        let open = |source| unopened(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(open)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
        compile_once(&connection).map_err(open)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(open)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        complete(&mut connection, path)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), books: Mutex::default() })
    }

    /// Opens an existing ledger for reading, while a node may be writing it.
    ///
    /// # Errors
    /// Where there is none or it cannot be read.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        if !look(path)? {
            return Err(LedgerError::File { path: path.to_owned(), source: io::ErrorKind::NotFound.into() });
        }
        let open = |source| unopened(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(open)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
        compile_once(&connection).map_err(open)?;
        is_ours(form(&connection).map_err(open)?, path)?;
        // The first read of a page finds a file that is shorter than it says.
        connection.query_row("SELECT max(seq) FROM record", [], |_| Ok(())).map_err(open)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), books: Mutex::default() })
    }
}

/// Where a partial index might serve, SQLite compiles a statement anew whenever another value is bound to it. Ours need none of that: their plans
/// follow from their text.
fn compile_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// Whether there is a file that may be a database. Reads its beginning only.
fn look(path: &Path) -> Result<bool, LedgerError> {
    let ruined = |ruin| Err(LedgerError::Ruined { path: path.to_owned(), ruin });
    let failed = |source| LedgerError::File { path: path.to_owned(), source };
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if !about.is_file() {
        return ruined(Ruin::NoFile);
    }
    let mut beginning = Vec::with_capacity(MAGIC.len());
    let file = File::open(path).map_err(failed)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut beginning).map_err(failed)?;
    match beginning.as_slice() {
        [] => ruined(Ruin::Empty),
        beginning if beginning != MAGIC => ruined(Ruin::NotSqlite),
        _ => Ok(true),
    }
}

/// Makes a new ledger beside the place of its own, and puts it there when it is whole. One that came there meanwhile stays.
fn create(path: &Path) -> Result<(), LedgerError> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let at = |source| LedgerError::File { path: path.to_owned(), source };
    let new = with(".new");
    let remove = || {
        for end in [".new", ".new-wal", ".new-shm", ".new-journal"] {
            // What a process left that was killed over it; mostly nothing.
            let _ = fs::remove_file(with(end));
        }
    };
    remove();
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(at)?;
    let make = || -> rusqlite::Result<()> {
        // Without a journal that outlives the commit: what closing puts into the file may find no room, and says nothing.
        let mut connection = Connection::open(&new)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)
    };
    let made = make().map_err(|source| unopened(path, source)).and_then(|()| match fs::hard_link(&new, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at(error)),
        _ => Ok(()),
    });
    remove();
    made
}

/// Makes what a ledger lacks that an earlier version began; what only helps searching.
fn complete(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let open = |source| unopened(path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(open)?;
    is_ours(form(&transaction).map_err(open)?, path)?;
    transaction.execute_batch(ANSWERS).map_err(open)?;
    retention::prepare(&transaction).map_err(open)?;
    transaction.execute_batch(books::INDEX).map_err(open)?;
    transaction.execute_batch(desk::INDEX).map_err(open)?;
    transaction.commit().map_err(open)
}

/// A file of ours, in a form that this version reads.
fn is_ours((application, format): (i64, i64), path: &Path) -> Result<(), LedgerError> {
    match (application, format) {
        (APPLICATION_ID, FORMAT) => Ok(()),
        (APPLICATION_ID, found) if found > FORMAT => Err(LedgerError::Newer { path: path.to_owned(), found }),
        _ => Err(LedgerError::Ruined { path: path.to_owned(), ruin: Ruin::Other }),
    }
}

fn form(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, pragma("user_version")?))
}

fn unopened(path: &Path, source: rusqlite::Error) -> LedgerError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => LedgerError::Ruined { path, ruin: Ruin::Damaged },
        _ => LedgerError::Open { path, source },
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::env::Timestamp;

    use super::super::bodies::AttemptState;
    use super::super::tests::attempt;
    use super::*;

    #[test]
    fn the_ledger_is_a_private_file_and_keeps_its_records_when_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.append(Timestamp(1), &[attempt(1, AttemptState::Started)]).unwrap(), [1]);
        for file in std::fs::read_dir(dir.path()).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.append(Timestamp(2), &[attempt(1, AttemptState::Died)]).unwrap(), [2]);
        assert_eq!(ledger.verify().unwrap().unwrap().records, 2);
    }

    /// Two hundred records, so that the file has many pages.
    fn some(path: &Path) -> Vec<u8> {
        let ledger = Ledger::open(path).unwrap();
        for n in 0..200 {
            ledger.append(Timestamp(n), &[attempt(1, AttemptState::Started).payload(vec![7; 500])]).unwrap();
        }
        drop(ledger);
        fs::read(path).unwrap()
    }

    #[test]
    fn a_ruined_file_is_named_with_what_is_wrong_and_how_it_is_mended_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let sound = some(&path);
        let noise: Vec<u8> =
            (0..sound.len() as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let with_noise_from = |at: usize| [&sound[..at], &noise[at..]].concat();
        let other = dir.path().join("other.sqlite");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let newer = dir.path().join("newer.sqlite");
        fs::write(&newer, &sound).unwrap();
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", FORMAT + 7).unwrap();
        let restore = "bocage node restore";
        for (ruin, bytes, what, fix) in [
            ("cut off within the first page", sound[..1000].to_vec(), "is damaged", restore),
            ("cut off later", sound[..sound.len() / 2].to_vec(), "is damaged", restore),
            ("cut off altogether", Vec::new(), "is empty", restore),
            ("random bytes", noise.clone(), "is no database of SQLite", restore),
            ("random bytes but for the header", with_noise_from(16), "is damaged", restore),
            ("random bytes behind the first page's head", with_noise_from(200), "is damaged", restore),
            ("a text", b"patient,age\n".to_vec(), "is no database of SQLite", restore),
            ("another database", fs::read(&other).unwrap(), "is a database, and no ledger", restore),
            (
                "of a newer version",
                fs::read(&newer).unwrap(),
                "has format 8, this version reads 1",
                "run the version that wrote it",
            ),
        ] {
            fs::write(&path, &bytes).unwrap();
            for error in [Ledger::open(&path).err(), Ledger::open_read_only(&path).err()] {
                let error = error.unwrap_or_else(|| panic!("{ruin}: it is opened"));
                let said = error.to_string();
                assert!(said.contains(path.to_str().unwrap()) && said.contains(what), "{ruin}: {said}");
                assert!(error.hint().contains(fix), "{ruin}: {}", error.hint());
                assert_eq!(fs::read(&path).unwrap(), bytes, "{ruin}: the file is another one now");
            }
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        for error in [Ledger::open(&path).err(), Ledger::open_read_only(&path).err()] {
            assert!(error.unwrap().to_string().contains("is no file"));
        }
        assert!(path.is_dir());
    }

    #[test]
    fn a_journal_is_not_put_back_into_a_file_that_is_ruined() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("ledger.sqlite"), dir.path().join("copy.sqlite"));
        let ledger = Ledger::open(&path).unwrap();
        ledger.append(Timestamp(1), &[attempt(1, AttemptState::Started)]).unwrap();
        // As a killed process leaves it: the record is in the journal alone.
        let wal = fs::read(path.with_extension("sqlite-wal")).unwrap();
        assert!(!wal.is_empty());
        let mut torn = fs::read(&path).unwrap();
        torn[100..].fill(0xa5);
        for bytes in [torn, Vec::new()] {
            fs::write(&copy, &bytes).unwrap();
            fs::write(copy.with_extension("sqlite-wal"), &wal[..wal.len() / 2]).unwrap();
            assert!(Ledger::open(&copy).is_err());
            assert_eq!(fs::read(&copy).unwrap(), bytes);
            assert_eq!(fs::read(copy.with_extension("sqlite-wal")).unwrap(), &wal[..wal.len() / 2]);
        }
    }

    #[test]
    fn a_process_that_was_killed_over_a_new_ledger_leaves_nothing_that_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        fs::write(dir.path().join("ledger.sqlite.new"), "half").unwrap();
        fs::write(dir.path().join("ledger.sqlite.new-wal"), "half").unwrap();
        assert!(matches!(Ledger::open_read_only(&path), Err(LedgerError::File { .. })), "there is none");
        drop(Ledger::open(&path).unwrap());
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["ledger.sqlite"]);
    }

    #[test]
    fn who_may_not_open_it_is_told_whose_it_is_to_open() {
        let denied = LedgerError::File { path: "l".into(), source: io::ErrorKind::PermissionDenied.into() };
        assert!(denied.hint().contains("the node's own user"), "{}", denied.hint());
    }
}
