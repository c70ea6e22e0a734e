//! How long exact bytes stay: the payloads of old studies are dropped, their hashes are kept, and the chain still verifies.
//!
//! It must never drop anything of a study that may still ask, and nothing but payloads of requests, studies that waited, and releases: who asked, what was
//! decided and how much left stays for ever.

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::record::payload_hash;
use super::{Ledger, LedgerError};

/// Where the hashes of dropped payloads stand.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS dropped (
  seq          INTEGER PRIMARY KEY,
  payload_hash TEXT NOT NULL,
  at_ms        INTEGER NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS dropped_no_update BEFORE UPDATE ON dropped BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS dropped_no_delete BEFORE DELETE ON dropped BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
";

/// The one change that a record allows: its payload gives way to its hash, which must stand beside it before.
const NO_UPDATE: &str = "
DROP TRIGGER IF EXISTS record_no_update;
CREATE TRIGGER record_no_update BEFORE UPDATE ON record
WHEN NOT (
  OLD.payload IS NOT NULL AND NEW.payload IS NULL
  AND EXISTS (SELECT 1 FROM dropped WHERE dropped.seq = OLD.seq)
  AND NEW.seq IS OLD.seq AND NEW.at_ms IS OLD.at_ms AND NEW.kind IS OLD.kind AND NEW.study IS OLD.study
  AND NEW.round IS OLD.round AND NEW.body IS OLD.body AND NEW.prev_hash IS OLD.prev_hash AND NEW.hash IS OLD.hash
)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
";

/// Prepares a ledger for dropping. Those that were begun without it get it when they are opened.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'record_no_update' AND sql LIKE '%dropped%')";
    match connection.query_row(sql, [], |row| row.get(0))? {
        true => Ok(()),
        false => connection.execute_batch(NO_UPDATE),
    }
}

/// What is left of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Its hash: whoever kept the bytes elsewhere can prove that they are these.
    pub hash: Digest,
    /// When it was dropped.
    pub at: Timestamp,
}

impl Ledger {
    /// Drops the payloads of every study of which the last was written before `keep_days` ago and which has expired. Says how many.
    ///
    /// # Errors
    /// Where the ledger cannot be read or written.
    pub fn drop_payloads(&self, keep_days: u32, now: Timestamp) -> Result<u64, LedgerError> {
        if keep_days == 0 {
            return Ok(0);
        }
        let before = now.plus_secs(-86_400 * i64::from(keep_days));
        let mut count = 0;
        for (study, first) in self.with_old_payloads(before)? {
            // A study whose text cannot be read counts as open for as long as one may be.
            let longest = first.plus_secs(limits::STUDY_LIFE_SECS + 2 * limits::CLOCK_TOLERANCE_SECS);
            let last = self.expiry(&study)?.unwrap_or(longest);
            if now > last.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
                count += self.drop_payloads_of(&study, now)?;
            }
        }
        if count > 0 {
            // The write-ahead log still holds the bytes; while somebody reads, it is emptied by a later run.
            let emptied = self.lock().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            emptied.map_err(LedgerError::Write)?;
        }
        Ok(count)
    }

    /// Studies that have payloads, all of them older than `before`, with the time of the first.
    fn with_old_payloads(&self, before: Timestamp) -> Result<Vec<(String, Timestamp)>, LedgerError> {
        let connection = self.lock();
        let read = || {
            let sql = "SELECT study, min(at_ms) FROM record WHERE study IS NOT NULL AND payload IS NOT NULL
                 AND kind IN ('request', 'pending', 'release') GROUP BY study HAVING max(at_ms) < ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![before.0], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(LedgerError::Read)
    }

    fn drop_payloads_of(&self, study: &str, now: Timestamp) -> Result<u64, LedgerError> {
        let mut connection = self.lock();
        let mut write = || {
            // What is taken out is overwritten, not left in free pages.
            connection.pragma_update(None, "secure_delete", true)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let which = "study = ?1 AND payload IS NOT NULL AND kind IN ('request', 'pending', 'release')";
            let hashes: Vec<(i64, Digest)> = {
                let mut statement =
                    transaction.prepare_cached(&format!("SELECT seq, payload FROM record WHERE {which}"))?;
                let hash = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, payload_hash(&row.get::<_, Vec<u8>>(1)?)));
                statement.query_map(params![study], hash)?.collect::<rusqlite::Result<_>>()?
            };
            for (seq, hash) in &hashes {
                let sql = "INSERT INTO dropped (seq, payload_hash, at_ms) VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![seq, hash.to_string(), now.0])?;
            }
            transaction.execute(&format!("UPDATE record SET payload = NULL WHERE {which}"), params![study])?;
            transaction.commit()?;
            Ok(hashes.len() as u64)
        };
        write().map_err(LedgerError::Write)
    }

    /// What is left of a record's payload, where it was dropped.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn dropped(&self, seq: i64) -> Result<Option<Dropped>, LedgerError> {
        let connection = self.lock();
        if !has_table(&connection).map_err(LedgerError::Read)? {
            return Ok(None);
        }
        let sql = "SELECT payload_hash, at_ms FROM dropped WHERE seq = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
        let found = connection.query_row(sql, params![seq], read).optional().map_err(LedgerError::Read)?;
        let dropped = |(hash, at): (String, i64)| {
            let hash = hash.parse().map_err(|_| LedgerError::Damaged { seq })?;
            Ok(Dropped { hash, at: Timestamp(at) })
        };
        found.map(dropped).transpose()
    }
}

impl Ledger {
    /// When the payloads were dropped that were, by their records.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn dropped_at(&self) -> Result<BTreeMap<i64, Timestamp>, LedgerError> {
        let connection = self.lock();
        let read = || {
            if !has_table(&connection)? {
                return Ok(BTreeMap::new());
            }
            let mut statement = connection.prepare_cached("SELECT seq, at_ms FROM dropped")?;
            statement.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?.collect()
        };
        read().map_err(LedgerError::Read)
    }
}

/// Every dropped payload's hash, by its record. An unreadable one is left out: the record then does not fit its own hash.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Digest>> {
    if !has_table(connection)? {
        return Ok(BTreeMap::new());
    }
    let mut statement = connection.prepare("SELECT seq, payload_hash FROM dropped")?;
    let mut rows = statement.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        if let (Ok(seq), Ok(hash)) = (row.get(0), row.get::<_, String>(1))
            && let Ok(hash) = hash.parse()
        {
            found.insert(seq, hash);
        }
    }
    Ok(found)
}

/// A ledger that is only read may be older than the table.
fn has_table(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'dropped')";
    connection.query_row(sql, [], |row| row.get(0))
}

#[cfg(test)]
mod tests;
