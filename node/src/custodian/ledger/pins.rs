//! Which snapshots must stay because a study that may still ask was begun on them. It only reads.

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::trust::{SignedStudy, Study};
use rusqlite::{OptionalExtension as _, params};

use super::bodies::Reservation;
use super::{Ledger, LedgerError};

impl Ledger {
    /// Content hash of each snapshot that open studies are pinned to, with how many they are. A study is open until it expires: only the
    /// coordinator knows whether it ended before. Where its text cannot be read, it counts as open for as long as a study may be.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn pinned(&self, now: Timestamp) -> Result<BTreeMap<Digest, usize>, LedgerError> {
        let longest = limits::STUDY_LIFE_SECS + 2 * limits::CLOCK_TOLERANCE_SECS;
        let since = now.plus_secs(-longest);
        let mut pins = BTreeMap::new();
        for (study, snapshot) in self.reserved(since)? {
            let expires = self.expiry(&study)?;
            if expires.is_none_or(|at| now <= at.plus_secs(limits::CLOCK_TOLERANCE_SECS)) {
                *pins.entry(snapshot).or_insert(0) += 1;
            }
        }
        Ok(pins)
    }

    /// Every study with a reservation since then, and its snapshot.
    fn reserved(&self, since: Timestamp) -> Result<BTreeMap<String, Digest>, LedgerError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<BTreeMap<String, Digest>> {
            let sql = "SELECT study, body FROM record WHERE kind = 'reservation' AND at_ms >= ?1 ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![since.0])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (study, body): (Option<String>, String) = (row.get(0)?, row.get(1)?);
                let reservation = serde_json::from_str::<Reservation>(&body).ok();
                if let Some((study, reservation)) = study.zip(reservation) {
                    found.entry(study).or_insert(reservation.snapshot);
                }
            }
            Ok(found)
        };
        read().map_err(LedgerError::Read)
    }

    fn expiry(&self, study: &str) -> Result<Option<Timestamp>, LedgerError> {
        let sql = "SELECT payload FROM record WHERE study = ?1 AND kind = 'request' AND payload IS NOT NULL ORDER BY seq LIMIT 1";
        let payload: Option<Vec<u8>> =
            self.lock().query_row(sql, params![study], |row| row.get(0)).optional().map_err(LedgerError::Read)?;
        let signed = payload.and_then(|bytes| serde_json::from_slice::<SignedStudy>(&bytes).ok());
        Ok(signed.and_then(|signed| signed.verify().ok()).map(|study: Study| study.expires_at))
    }
}
