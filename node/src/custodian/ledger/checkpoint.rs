//! Where the ledger stands, and whether it still has what it had at an earlier moment: a ledger that was cut off or exchanged for an older
//! copy has a chain that holds, and only somebody else's memory of it can tell.

use bocage_protocol::ids::Digest;
use bocage_protocol::trust::Checkpoint;
use rusqlite::{OptionalExtension as _, params};

use super::{Ledger, LedgerError, first_prev_hash};

/// Why the ledger is not the one that a checkpoint was taken of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Differs {
    /// It has fewer records.
    #[error(
        "the ledger has {has} records, but had {had} at {at}: records were cut off its end, or an older copy was put in its place",
        had = .checkpoint.records, at = .checkpoint.at
    )]
    Shorter {
        /// How many it has.
        has: u64,
        /// What it had.
        checkpoint: Checkpoint,
    },
    /// The record is another one.
    #[error(
        "record {} is not the one that stood there at {}: the ledger was rewritten, or an older copy was put in its place and went on",
        .0.records, .0.at
    )]
    Other(Checkpoint),
}

impl Ledger {
    /// How many records there are, and the hash of the last.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn head(&self) -> Result<(u64, Digest), LedgerError> {
        let sql = "SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1";
        let last = self
            .lock()
            .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .optional()
            .map_err(LedgerError::Read)?;
        let (seq, hash) = last.unwrap_or_else(|| (0, first_prev_hash()));
        let hash = hash.parse().map_err(|_| LedgerError::Damaged { seq })?;
        Ok((seq.unsigned_abs(), hash))
    }

    /// Whether the ledger, whose chain holds, has the record that a checkpoint names.
    ///
    /// # Errors
    /// The outer error is a ledger that cannot be read; the inner one says what differs.
    pub fn fits(&self, checkpoint: &Checkpoint) -> Result<Result<(), Differs>, LedgerError> {
        let (has, _) = self.head()?;
        let Some(seq) = i64::try_from(checkpoint.records).ok().filter(|_| checkpoint.records <= has) else {
            return Ok(Err(Differs::Shorter { has, checkpoint: checkpoint.clone() }));
        };
        let sql = "SELECT hash FROM record WHERE seq = ?1";
        let found: Option<String> =
            self.lock().query_row(sql, params![seq], |row| row.get(0)).optional().map_err(LedgerError::Read)?;
        let there = found.unwrap_or_else(first_prev_hash) == checkpoint.head.to_string();
        Ok(if there { Ok(()) } else { Err(Differs::Other(checkpoint.clone())) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::bodies::AttemptState;
    use super::super::tests::attempt;
    use super::*;
    use bocage_protocol::env::Timestamp;

    fn checkpoint(ledger: &Ledger) -> Checkpoint {
        let (records, head) = ledger.head().unwrap();
        Checkpoint { site: "hungary".parse().unwrap(), records, head, at: Timestamp(7) }
    }

    fn write(ledger: &Ledger, n: i64) {
        ledger.append(Timestamp(n), &[attempt(1, AttemptState::Started)]).unwrap();
    }

    #[test]
    fn a_ledger_fits_every_checkpoint_of_itself_however_far_it_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        let mut taken = vec![checkpoint(&ledger)];
        for n in 0..5 {
            write(&ledger, n);
            taken.push(checkpoint(&ledger));
        }
        assert_eq!(taken.last().unwrap().head.to_string(), ledger.verify().unwrap().unwrap().head);
        for checkpoint in taken {
            assert_eq!(ledger.fits(&checkpoint).unwrap(), Ok(()), "{checkpoint:?}");
        }
    }

    #[test]
    fn a_ledger_that_was_cut_or_exchanged_for_an_older_copy_holds_by_itself_and_differs_from_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("ledger.sqlite"), dir.path().join("copy.sqlite"));
        let ledger = Ledger::open(&path).unwrap();
        (0..3).for_each(|n| write(&ledger, n));
        let before = Ledger::open(&copy).unwrap();
        (0..3).for_each(|n| write(&before, n));
        assert_eq!(before.head().unwrap(), ledger.head().unwrap());
        (3..6).for_each(|n| write(&ledger, n));
        let taken = checkpoint(&ledger);
        assert!(before.verify().unwrap().is_ok());
        assert!(matches!(before.fits(&taken).unwrap(), Err(Differs::Shorter { has: 3, .. })));
        (10..13).for_each(|n| write(&before, n));
        assert!(before.verify().unwrap().is_ok());
        let differs = before.fits(&taken).unwrap().unwrap_err();
        assert!(differs.to_string().starts_with("record 6 is not the one"), "{differs}");
    }
}
