//! The ledger: a durable, hash-chained record of every request, decision, spend and release of this site, in one SQLite file.
//!
//! Records are appended and never changed. [`Ledger::append`] returns only when the records are on the disk: what it has not
//! acknowledged must not leave the site. It keeps no patient's value beyond what a release says.

pub mod account;
pub mod bodies;
mod books;
mod checkpoint;
mod compared;
mod desk;
mod error;
mod history;
mod opening;
mod pins;
mod record;
mod retention;
pub mod show;
mod syncing;
mod verify;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::{Digest, StudyId};
use bocage_protocol::trust::{Purpose, canonical};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

pub use books::{Books, GroupsLeftOut, Lists};
pub use checkpoint::Differs;
pub use error::{LedgerError, Ruin};
pub use history::{Begun, DEATHS, History, RoundHistory};
pub use opening::FORMAT;
pub use pins::Pin;
pub use record::{Entry, Kind, Record, first_prev_hash};
pub use retention::Dropped;
pub use syncing::Syncing;
pub use verify::{Broken, Verified};

use bodies::{OptOutsChanged, SnapshotTaken};
use record::COLUMNS;

/// The open ledger. Calls from several threads wait for each other.
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Read from the chain when it is first asked. Whoever needs both takes the connection first.
    books: Mutex<Option<Books>>,
}

impl Ledger {
    /// From now on only what is in the ledger at this moment is read, whatever a node writes meanwhile.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn hold(&self) -> Result<(), LedgerError> {
        // The first read is what fixes the moment.
        self.lock().execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(LedgerError::Read)
    }

    /// Appends records in one transaction and returns their numbers once they are on the disk.
    ///
    /// # Errors
    /// Where they could not be made durable: then none of them is in the ledger.
    pub fn append(&self, now: Timestamp, entries: &[Entry]) -> Result<Vec<i64>, LedgerError> {
        self.write(&mut self.lock(), now, entries)
    }

    /// Appends records, if what there is adds up to what allows it: nothing is recorded between the question and the answer. They count at once and outlast this
    /// process; they are on the disk when the [`Syncing`] says so.
    ///
    /// # Errors
    /// The outer error is a ledger that cannot be used; the inner one is `may`'s.
    pub fn append_if(
        &self,
        now: Timestamp,
        entries: &[Entry],
        may: impl FnOnce(&Books) -> Result<(), PublicError>,
    ) -> Result<Result<(Vec<i64>, Syncing), PublicError>, LedgerError> {
        let mut connection = self.lock();
        if let Err(error) = self.look(&connection, may)? {
            return Ok(Err(error));
        }
        let seqs = syncing::without_waiting(&mut connection, |connection| self.write(connection, now, entries))?;
        Ok(Ok((seqs, Syncing::begin(&self.path))))
    }

    /// Asks what the records add up to.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn books<T>(&self, ask: impl FnOnce(&Books) -> T) -> Result<T, LedgerError> {
        self.look(&self.lock(), ask)
    }

    fn look<T>(&self, connection: &Connection, ask: impl FnOnce(&Books) -> T) -> Result<T, LedgerError> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let books = match &mut *books {
            Some(books) => books,
            none => none.insert(Books::read(connection).map_err(LedgerError::Read)?),
        };
        Ok(ask(books))
    }

    fn write(&self, connection: &mut Connection, now: Timestamp, entries: &[Entry]) -> Result<Vec<i64>, LedgerError> {
        let bodies: Vec<String> = entries.iter().map(body_text).collect::<Result<_, _>>()?;
        let mut write = || -> rusqlite::Result<Vec<i64>> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (mut seq, mut prev_hash) = last(&transaction)?.unwrap_or_else(|| (0, first_prev_hash()));
            let mut seqs = Vec::with_capacity(entries.len());
            for (entry, body) in entries.iter().zip(&bodies) {
                seq += 1;
                prev_hash = insert(&transaction, seq, now, entry, body.clone(), prev_hash)?;
                seqs.push(seq);
            }
            transaction.commit()?;
            Ok(seqs)
        };
        let seqs = write().map_err(LedgerError::Write)?;
        if let Some(books) = &mut *self.books.lock().unwrap_or_else(PoisonError::into_inner) {
            for (entry, body) in entries.iter().zip(&bodies) {
                let study = entry.study.map(|study| study.to_string());
                books.add(entry.kind, study.as_deref(), now, body, entry.payload.as_deref());
            }
        }
        Ok(seqs)
    }

    /// All that the ledger knows about a study's rounds.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn history(&self, study: &StudyId) -> Result<History, LedgerError> {
        // Payloads are megabytes: they are read one by one, when they are handed out.
        let columns = COLUMNS.replace("payload", "NULL");
        let sql = format!("SELECT {columns} FROM record WHERE study = ?1 ORDER BY seq");
        let mut history = History::default();
        self.each(&sql, params![study.to_string()], |record| history.add(&record))?;
        Ok(history)
    }

    /// The exact bytes of a record.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn payload(&self, seq: i64) -> Result<Option<Vec<u8>>, LedgerError> {
        self.lock()
            .query_row("SELECT payload FROM record WHERE seq = ?1", [seq], |row| row.get(0))
            .map_err(LedgerError::Read)
    }

    /// The last release that was recorded as the answer to this question. Whether it is one, its reader judges.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn answer(&self, question: &Digest) -> Result<Option<Record>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM record WHERE seq = (SELECT seq FROM answer WHERE question = ?1)");
        let connection = self.lock();
        let found = connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([question.to_string()], Record::read).optional());
        found.map_err(LedgerError::Read)
    }

    /// The last record of who is left out of a dataset for a purpose.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn optouts(&self, dataset: &str, purpose: Purpose) -> Result<Option<OptOutsChanged>, LedgerError> {
        let mut last = None;
        let sql = format!("SELECT {COLUMNS} FROM record WHERE kind = 'optouts' ORDER BY seq");
        self.each(&sql, [], |record| {
            let body = record.body::<OptOutsChanged>();
            last = body.filter(|body| body.dataset == dataset && body.purpose == purpose).or(last.take());
        })?;
        Ok(last)
    }

    /// The last record of a dataset's snapshot, and when it was written.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn snapshot(&self, dataset: &str) -> Result<Option<(Timestamp, SnapshotTaken)>, LedgerError> {
        let mut last = None;
        let sql = format!("SELECT {COLUMNS} FROM record WHERE kind = 'snapshot' ORDER BY seq");
        self.each(&sql, [], |record| {
            let body = record.body::<SnapshotTaken>().filter(|body| body.dataset == dataset);
            last = body.map(|body| (record.at, body)).or(last.take());
        })?;
        Ok(last)
    }

    /// Whether anything may have been computed for a study.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn has_reservation(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM record WHERE kind = 'reservation')";
        self.lock().query_row(sql, [], |row| row.get(0)).map_err(LedgerError::Read)
    }

    /// The attempt that was running when the ledger was last written, if there is one: its number, study and round.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn in_flight(&self) -> Result<Option<(i64, StudyId, u16)>, LedgerError> {
        let sql = "SELECT seq, study, round FROM record WHERE kind = 'attempt' ORDER BY seq DESC LIMIT 1";
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, u16>(2)?));
        let last = self.lock().query_row(sql, [], read).optional().map_err(LedgerError::Read)?;
        let Some((seq, study, round)) = last else { return Ok(None) };
        let Ok(study) = study.parse::<StudyId>() else { return Ok(None) };
        let history = self.history(&study)?;
        let running = history.round(round).and_then(|r| r.running) == Some(seq);
        Ok(running.then_some((seq, study, round)))
    }

    /// Calls `each` with the records of a study, or with all, in their order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn records(&self, study: Option<&StudyId>, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        match study {
            Some(study) => {
                let sql = format!("SELECT {COLUMNS} FROM record WHERE study = ?1 ORDER BY seq");
                self.each(&sql, params![study.to_string()], each)
            }
            None => self.each(&format!("SELECT {COLUMNS} FROM record ORDER BY seq"), [], each),
        }
    }

    /// [`Ledger::records`] of all without the bytes of releases, which may be megabytes each.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn outlines(&self, each: impl FnMut(Record)) -> Result<(), LedgerError> {
        let columns = COLUMNS.replace("payload", "CASE kind WHEN 'release' THEN NULL ELSE payload END");
        self.each(&format!("SELECT {columns} FROM record ORDER BY seq"), [], each)
    }

    fn each(&self, sql: &str, params: impl rusqlite::Params, mut each: impl FnMut(Record)) -> Result<(), LedgerError> {
        let connection = self.lock();
        let run = || -> rusqlite::Result<()> {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            while let Some(row) = rows.next()? {
                each(Record::read(row)?);
            }
            Ok(())
        };
        run().map_err(LedgerError::Read)
    }

    /// Whether writing fails from now on, as on a disk that became read-only.
    #[cfg(test)]
    pub(crate) fn make_unwritable(&self, so: bool) {
        self.lock().pragma_update(None, "query_only", so).unwrap();
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere rolls its transaction back; the connection itself stays usable.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last record's number and hash.
fn last(connection: &Connection) -> rusqlite::Result<Option<(i64, String)>> {
    let mut statement = connection.prepare_cached("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1")?;
    statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn body_text(entry: &Entry) -> Result<String, LedgerError> {
    let bytes = canonical(&entry.body).map_err(|_| LedgerError::Body)?;
    String::from_utf8(bytes).map_err(|_| LedgerError::Body)
}

fn insert(
    transaction: &Transaction<'_>,
    seq: i64,
    now: Timestamp,
    entry: &Entry,
    body: String,
    prev_hash: String,
) -> rusqlite::Result<String> {
    let mut record = Record {
        seq,
        at: now,
        kind: entry.kind.as_str().to_owned(),
        study: entry.study.map(|s| s.to_string()),
        round: entry.round.map(i64::from),
        body,
        payload: entry.payload.clone(),
        prev_hash,
        hash: String::new(),
    };
    record.hash = record.expected_hash().to_string();
    let sql = format!("INSERT INTO record ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    let Record { seq, at, kind, study, round, body, payload, prev_hash, hash } = record;
    transaction
        .prepare_cached(&sql)?
        .execute(params![seq, at.0, kind, study, round, body, payload, prev_hash, hash])?;
    for question in &entry.answers {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO answer (question, seq) VALUES (?1, ?2)")?
            .execute(params![question.to_string(), seq])?;
    }
    Ok(hash)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::bodies::{Attempt, AttemptState};
    use super::*;
    use bocage_protocol::error::ErrorCode;

    pub(crate) fn study(n: u8) -> StudyId {
        Digest::from_bytes([n; 32])
    }

    pub(crate) fn attempt(n: u8, state: AttemptState) -> Entry {
        Entry::new(Kind::Attempt, study(n), 0, &Attempt { state })
    }

    #[test]
    fn records_can_neither_be_changed_nor_deleted_through_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger.append(Timestamp(1), &[attempt(1, AttemptState::Started)]).unwrap();
        assert!(ledger.lock().execute("UPDATE record SET at_ms = 5", []).is_err());
        assert!(ledger.lock().execute("DELETE FROM record", []).is_err());
    }

    #[test]
    fn two_writers_extend_one_chain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let (a, b) = (Ledger::open(&path).unwrap(), Ledger::open(&path).unwrap());
        for n in 0..3 {
            a.append(Timestamp(n), &[attempt(1, AttemptState::Started)]).unwrap();
            b.append(Timestamp(n), &[attempt(2, AttemptState::Started), attempt(2, AttemptState::Died)]).unwrap();
        }
        assert_eq!(Ledger::open_read_only(&path).unwrap().verify().unwrap().unwrap().records, 9);
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_no_half_written_record() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        ledger.append(Timestamp(1), &[attempt(1, AttemptState::Started)]).unwrap();
        ledger.lock().pragma_update(None, "max_page_count", 1).unwrap();
        let large = attempt(1, AttemptState::Died).payload(vec![0; 1 << 20]);
        let error = ledger.append(Timestamp(2), &[attempt(1, AttemptState::Died), large]).unwrap_err();
        assert!(matches!(error, LedgerError::Write(_)), "{error}");
        assert_eq!(PublicError::from(&error).code, ErrorCode::LedgerUnavailable);
        assert_eq!(ledger.verify().unwrap().unwrap().records, 1);
    }

    #[test]
    fn an_attempt_is_in_flight_until_something_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        assert_eq!(ledger.in_flight().unwrap(), None);
        ledger.append(Timestamp(1), &[attempt(1, AttemptState::Started)]).unwrap();
        assert_eq!(ledger.in_flight().unwrap(), Some((1, study(1), 0)));
        ledger.append(Timestamp(2), &[Entry::new(Kind::Release, study(1), 0, &()).payload(vec![7])]).unwrap();
        assert_eq!(ledger.in_flight().unwrap(), None);
        assert_eq!(ledger.payload(2).unwrap(), Some(vec![7]));
        ledger.append(Timestamp(3), &[attempt(2, AttemptState::Started), attempt(2, AttemptState::Stopped)]).unwrap();
        assert_eq!(ledger.in_flight().unwrap(), None);
    }
}
