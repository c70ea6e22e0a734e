//! Where the ledger stands, and whether it still has what it had at an earlier moment: a ledger that was cut off or exchanged for an older
//! copy has a chain that holds, and only somebody else's memory of it can tell.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::trust::{Checkpoint, SignedRelease};
use bocage_protocol::wire::codec;
use rusqlite::{OptionalExtension as _, params};

use super::{Ledger, LedgerError, first_prev_hash, last};

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
    /// The release with which the checkpoint left is not there.
    #[error(
        "the release that left after record {} at {} is not in the ledger: its own record was cut off the end",
        .0.records, .0.at
    )]
    Unrecorded(Checkpoint),
}

impl Ledger {
    /// How many records there are, and the hash of the last.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn head(&self) -> Result<(u64, Digest), LedgerError> {
        let (seq, hash) = last(&self.lock()).map_err(LedgerError::Read)?.unwrap_or_else(|| (0, first_prev_hash()));
        let hash = hash.parse().map_err(|_| LedgerError::Damaged { seq })?;
        Ok((seq.unsigned_abs(), hash))
    }

    /// When the last record was written.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_written(&self) -> Result<Option<Timestamp>, LedgerError> {
        let sql = "SELECT at_ms FROM record ORDER BY seq DESC LIMIT 1";
        self.lock().query_row(sql, [], |row| Ok(Timestamp(row.get(0)?))).optional().map_err(LedgerError::Read)
    }

    /// Whether the ledger, whose chain holds, has the record that a checkpoint names, and the release with which the checkpoint left: a
    /// checkpoint is taken just before that is recorded, and leaves with it alone. Of a release whose exact bytes were dropped it is
    /// enough that one was recorded.
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
        if found.unwrap_or_else(first_prev_hash) != checkpoint.head.to_string() {
            return Ok(Err(Differs::Other(checkpoint.clone())));
        }
        // Rounds are answered one at a time: the next release is this one.
        let sql = "SELECT seq, payload FROM record WHERE seq > ?1 AND kind = 'release' ORDER BY seq LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?));
        let next = self.lock().query_row(sql, params![seq], read).optional().map_err(LedgerError::Read)?;
        let recorded = match next {
            Some((_, Some(payload))) => left_with(&payload, checkpoint),
            Some((seq, None)) => self.dropped(seq)?.is_some(),
            None => false,
        };
        Ok(if recorded { Ok(()) } else { Err(Differs::Unrecorded(checkpoint.clone())) })
    }
}

/// Whether this checkpoint left with this release, which it names.
fn left_with(payload: &[u8], checkpoint: &Checkpoint) -> bool {
    let signed = codec::decode::<SignedRelease>(payload, limits::FRAME_BYTES);
    signed.is_ok_and(|signed| signed.ledger.checkpoint == *checkpoint && signed.is_named())
}

#[cfg(test)]
mod tests {
    use super::super::bodies::AttemptState;
    use super::super::tests::{attempt, study};
    use super::super::{Entry, Kind};
    use super::*;
    use crate::custodian::gate::{self, Heading};
    use bocage_net::env::SystemEntropy;
    use bocage_protocol::env::Timestamp;
    use bocage_protocol::trust::{SecretKey, Standing};

    fn standing(ledger: &Ledger) -> Standing {
        let (records, head) = ledger.head().unwrap();
        Standing { records, head, at: Timestamp(7) }
    }

    fn write(ledger: &Ledger, n: i64) {
        ledger.append(Timestamp(n), &[attempt(1, AttemptState::Started)]).unwrap();
    }

    /// Records a release and answers the checkpoint that leaves with it.
    fn release(ledger: &Ledger) -> Checkpoint {
        let heading = Heading {
            study: study(1),
            site: "hungary".parse().unwrap(),
            round: 0,
            snapshot: Digest::from_bytes([3; 32]),
            snapshot_at: Timestamp(1),
            ledger: standing(ledger),
        };
        let signed = gate::seal(heading, vec![], &SecretKey::generate(&mut SystemEntropy)).unwrap();
        let payload = codec::encode(&signed).unwrap();
        ledger.append(Timestamp(8), &[Entry::new(Kind::Release, study(1), 0, &()).payload(payload)]).unwrap();
        signed.ledger.checkpoint
    }

    fn cut_last(path: &std::path::Path) {
        let sql = rusqlite::Connection::open(path).unwrap();
        let cut = "DROP TRIGGER record_no_delete; DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)";
        sql.execute_batch(cut).unwrap();
    }

    #[test]
    fn a_ledger_fits_every_checkpoint_that_left_however_far_it_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        let mut taken = vec![release(&ledger)];
        for n in 0..5 {
            write(&ledger, n);
            taken.push(release(&ledger));
        }
        for checkpoint in taken {
            assert_eq!(ledger.fits(&checkpoint).unwrap(), Ok(()), "{checkpoint:?}");
        }
        assert_eq!(standing(&ledger).head.to_string(), ledger.verify().unwrap().unwrap().head);
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
        let taken = release(&ledger);
        assert!(before.verify().unwrap().is_ok());
        assert!(matches!(before.fits(&taken).unwrap(), Err(Differs::Shorter { has: 3, .. })));
        (10..13).for_each(|n| write(&before, n));
        assert!(before.verify().unwrap().is_ok());
        let differs = before.fits(&taken).unwrap().unwrap_err();
        assert!(differs.to_string().starts_with("record 6 is not the one"), "{differs}");
    }

    #[test]
    fn a_ledger_that_lost_only_the_record_of_the_last_release_differs_even_after_it_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        write(&ledger, 1);
        let taken = release(&ledger);
        cut_last(&path);
        assert!(ledger.verify().unwrap().is_ok());
        assert_eq!(ledger.fits(&taken).unwrap(), Err(Differs::Unrecorded(taken.clone())));
        write(&ledger, 2);
        release(&ledger);
        assert_eq!(ledger.fits(&taken).unwrap(), Err(Differs::Unrecorded(taken.clone())));
        // A release without bytes is none, unless they were dropped by the rule.
        let other = dir.path().join("other.sqlite");
        let ledger = Ledger::open(&other).unwrap();
        let Standing { records, head, at } = standing(&ledger);
        let (site, release) = ("hungary".parse().unwrap(), Digest::from_bytes([3; 32]));
        let taken = Checkpoint { site, records, head, at, release };
        ledger.append(Timestamp(8), &[Entry::new(Kind::Release, study(1), 0, &())]).unwrap();
        assert_eq!(ledger.fits(&taken).unwrap(), Err(Differs::Unrecorded(taken.clone())));
    }
}
