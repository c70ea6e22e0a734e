//! Checks the ledger's chain from the first record to the last. It trusts nothing that the database says.

use bocage_protocol::env::Timestamp;
use rusqlite::types::ValueRef;

use super::record::{COLUMNS, Record, first_prev_hash, payload_hash};
use super::{Ledger, LedgerError, retention};

/// A ledger whose chain holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records it has.
    pub records: u64,
    /// Of how many records the payload was dropped, and its hash kept.
    pub dropped: u64,
    /// The hash of the last one. Kept elsewhere, it proves later that nothing was cut off the end.
    pub head: String,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's chain breaks at record {seq}: {why}")]
pub struct Broken {
    /// The first record that cannot be believed.
    pub seq: i64,
    /// Why.
    pub why: &'static str,
    /// When the last record before it was written.
    pub last_good: Option<Timestamp>,
}

impl Ledger {
    /// Whether the file is whole as a database, indices and all, which the chain says nothing of.
    ///
    /// # Errors
    /// Where it cannot be read at all.
    pub fn is_whole(&self) -> Result<bool, LedgerError> {
        let found: Result<String, _> = self.lock().query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        found.map(|found| found == "ok").map_err(LedgerError::Read)
    }

    /// Recomputes the chain.
    ///
    /// # Errors
    /// The outer error is a ledger that cannot be read at all; the inner one says where the chain breaks.
    pub fn verify(&self) -> Result<Result<Verified, Broken>, LedgerError> {
        let connection = self.lock();
        let hashes = retention::all(&connection).map_err(LedgerError::Read)?;
        let mut dropped = 0;
        let sql = format!("SELECT {COLUMNS} FROM record ORDER BY seq");
        let mut statement = connection.prepare(&sql).map_err(LedgerError::Read)?;
        let mut rows = statement.query([]).map_err(LedgerError::Read)?;
        let (mut records, mut head, mut last_good) = (0, first_prev_hash(), None);
        while let Some(row) = rows.next().map_err(LedgerError::Read)? {
            let seq = match row.get_ref(0).map_err(LedgerError::Read)? {
                ValueRef::Integer(seq) => seq,
                _ => records + 1,
            };
            let broken = |why| Ok(Err(Broken { seq, why, last_good }));
            let Ok(record) = Record::read(row) else { return broken("a column is unreadable") };
            if record.seq != records + 1 {
                return broken("records are missing before it, or its number was changed");
            }
            if record.prev_hash != head {
                return broken("it does not follow the record before it");
            }
            let payload = match &record.payload {
                Some(payload) => Some(payload_hash(payload)),
                None => hashes.get(&record.seq).copied(),
            };
            dropped += u64::from(record.payload.is_none() && payload.is_some());
            if record.hash != record.hash_with(payload.as_ref()).to_string() {
                return broken("its content does not fit its hash");
            }
            (records, head, last_good) = (record.seq, record.hash, Some(record.at));
        }
        Ok(Ok(Verified { records: records.unsigned_abs(), dropped, head }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::super::bodies::AttemptState;
    use super::super::tests::attempt;
    use super::*;
    use rusqlite::Connection;

    const RECORDS: i64 = 4;

    fn tampered(change: impl FnOnce(&Connection)) -> Result<Verified, Broken> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        for n in 0..RECORDS {
            let entry = attempt(1, AttemptState::Started).payload(vec![1, 2, 3]);
            ledger.append(Timestamp(1000 + n), &[entry]).unwrap();
        }
        assert_eq!(ledger.verify().unwrap().unwrap().records, 4);
        drop(ledger);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("DROP TRIGGER record_no_update; DROP TRIGGER record_no_delete").unwrap();
        change(&connection);
        Ledger::open(&path).unwrap().verify().unwrap()
    }

    #[test]
    fn a_page_that_was_overwritten_is_found_though_the_chain_may_hold() {
        const PAGE: u64 = 4096;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        let entries: Vec<_> = (0..200).map(|_| attempt(1, AttemptState::Started)).collect();
        ledger.append(Timestamp(1), &entries).unwrap();
        assert!(ledger.is_whole().unwrap());
        drop(ledger);
        let whole = std::fs::read(&path).unwrap();
        for page in 1..whole.len() as u64 / PAGE {
            std::fs::write(&path, &whole).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&[0xa5; PAGE as usize], page * PAGE).unwrap();
            let found = Ledger::open_read_only(&path).and_then(|ledger| ledger.is_whole());
            assert!(!matches!(found, Ok(true)), "page {page}");
        }
    }

    #[test]
    fn one_changed_byte_in_any_column_of_any_record_is_found() {
        let changes = [
            "at_ms = at_ms + 1",
            "kind = 'b' || substr(kind, 2)",
            "study = substr(study, 1, 63) || CASE substr(study, 64) WHEN '0' THEN '1' ELSE '0' END",
            "round = round + 1",
            "body = replace(body, 'started', 'starteD')",
            "payload = x'010204'",
            "payload = x''",
            "payload = NULL",
            "study = NULL",
            "round = NULL",
            "prev_hash = replace(prev_hash, substr(prev_hash, 9, 1), 'z')",
            "hash = substr(hash, 1, 63) || CASE substr(hash, 64) WHEN '0' THEN '1' ELSE '0' END",
            "body = CAST(x'ff' AS TEXT)",
        ];
        for seq in 1..=RECORDS {
            for change in changes {
                let broken = tampered(|c| {
                    assert_eq!(c.execute(&format!("UPDATE record SET {change} WHERE seq = {seq}"), []).unwrap(), 1);
                });
                assert_eq!(broken.unwrap_err().seq, seq, "{change}");
            }
        }
    }

    #[test]
    fn a_record_that_was_deleted_renumbered_or_exchanged_is_found() {
        for seq in 1..RECORDS {
            let broken = tampered(|c| assert_eq!(c.execute("DELETE FROM record WHERE seq = ?1", [seq]).unwrap(), 1));
            assert_eq!(broken.unwrap_err().seq, seq + 1);
        }
        let renumbered = tampered(|c| {
            c.execute("UPDATE record SET seq = 9 WHERE seq = 4", []).unwrap();
        });
        assert_eq!(renumbered.unwrap_err().seq, 9);
        let exchanged = tampered(|c| {
            c.execute_batch(
                "UPDATE record SET seq = 9 WHERE seq = 2; UPDATE record SET seq = 2 WHERE seq = 3;
                 UPDATE record SET seq = 3 WHERE seq = 9",
            )
            .unwrap();
        });
        assert_eq!(exchanged.unwrap_err().seq, 2);
    }

    #[test]
    fn a_record_whose_own_hash_was_made_anew_breaks_the_chain_at_the_next_one() {
        let broken = tampered(|c| {
            let sql = format!("SELECT {COLUMNS} FROM record WHERE seq = 2");
            let mut record = c.query_row(&sql, [], Record::read).unwrap();
            record.at = Timestamp(5);
            let hash = record.expected_hash().to_string();
            c.execute("UPDATE record SET at_ms = 5, hash = ?1 WHERE seq = 2", [hash]).unwrap();
        });
        assert_eq!(broken.unwrap_err().seq, 3);
    }
}
