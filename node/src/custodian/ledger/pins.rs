//! Which snapshots must stay because a study that may still ask was begun on them. It only reads.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::trust::{SignedStudy, Study};
use rusqlite::{OptionalExtension as _, params};

use super::bodies::Reservation;
use super::{Ledger, LedgerError};

/// Studies that have not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// How many.
    pub studies: usize,
    /// When the last of them expires.
    pub last: Timestamp,
}

impl Pin {
    /// The studies of both.
    #[must_use]
    pub fn with(self, other: Pin) -> Pin {
        Pin { studies: self.studies + other.studies, last: self.last.max(other.last) }
    }
}

impl Ledger {
    /// Content hash of each snapshot that studies are pinned to which have not expired: only the coordinator knows whether one ended before.
    /// Where its text cannot be read, it counts as open for as long as a study may be.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn pinned(&self, now: Timestamp) -> Result<BTreeMap<Digest, Pin>, LedgerError> {
        let longest = limits::STUDY_LIFE_SECS + 2 * limits::CLOCK_TOLERANCE_SECS;
        let since = now.plus_secs(-longest);
        let mut pins = BTreeMap::new();
        for (study, (snapshots, reserved)) in self.reserved(since)? {
            let last = self.expiry(&study)?.unwrap_or_else(|| reserved.plus_secs(longest));
            if now <= last.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
                let one = Pin { studies: 1, last };
                for snapshot in snapshots {
                    pins.entry(snapshot).and_modify(|pin: &mut Pin| *pin = pin.with(one)).or_insert(one);
                }
            }
        }
        Ok(pins)
    }

    /// Every study with a reservation since then, its snapshots and the time of the first reservation.
    fn reserved(&self, since: Timestamp) -> Result<BTreeMap<String, (BTreeSet<Digest>, Timestamp)>, LedgerError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<BTreeMap<String, (BTreeSet<Digest>, Timestamp)>> {
            let sql = "SELECT study, body, at_ms FROM record WHERE kind = 'reservation' AND at_ms >= ?1 ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![since.0])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (study, body, at): (Option<String>, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let reservation = serde_json::from_str::<Reservation>(&body).ok();
                if let Some((study, reservation)) = study.zip(reservation) {
                    let related = reservation.related.iter().map(|related| related.snapshot);
                    let (snapshots, _) = found.entry(study).or_insert((BTreeSet::new(), Timestamp(at)));
                    snapshots.extend(related.chain([reservation.snapshot]));
                }
            }
            Ok(found)
        };
        read().map_err(LedgerError::Read)
    }

    /// When a study expires, if its text is in the ledger.
    pub(super) fn expiry(&self, study: &str) -> Result<Option<Timestamp>, LedgerError> {
        let sql = "SELECT payload FROM record WHERE study = ?1 AND kind IN ('request', 'pending') AND payload IS NOT NULL ORDER BY seq LIMIT 1";
        let payload: Option<Vec<u8>> =
            self.lock().query_row(sql, params![study], |row| row.get(0)).optional().map_err(LedgerError::Read)?;
        let signed = payload.and_then(|bytes| serde_json::from_slice::<SignedStudy>(&bytes).ok());
        Ok(signed.and_then(|signed| signed.verify().ok()).map(|study: Study| study.expires_at))
    }
}
