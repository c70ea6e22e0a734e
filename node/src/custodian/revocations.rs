//! Learning which permits were taken back, from the lists that come with rounds. A coordinator passes them on; it is believed about nothing.

use std::sync::PoisonError;

use bocage_protocol::env::Timestamp;
use bocage_protocol::limits;
use bocage_protocol::wire::message::RoundRequest;

use super::Custodian;
use super::ledger::bodies::RevocationsTaken;
use super::ledger::{Books, Entry, Kind, LedgerError};

impl Custodian {
    /// Takes the list of revoked permits that came with a round, if an access body of this site signed it and it is newer than the
    /// one that is known. It is durable before anything is judged by it.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(super) fn learn(&self, request: &RoundRequest, now: Timestamp) -> Result<(), LedgerError> {
        let Some(signed) = &request.revocations else { return Ok(()) };
        // It comes with every round. Byte for byte the one that was verified last, it says nothing new.
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.as_ref() == Some(signed) {
            return Ok(());
        }
        let Ok(list) = signed.verify() else {
            tracing::warn!("the list of revoked permits that came with a round is not a sound one: not taken");
            return Ok(());
        };
        let Some(body) = self.config.trust.access_bodies.iter().find(|body| body.key == list.issuer) else {
            return Ok(());
        };
        // Taken, it would never be too old, and no later list would be missed.
        if list.issued_at > now.plus_secs(limits::CLOCK_TOLERANCE_SECS) {
            tracing::warn!(access_body = body.name, issued_at = %list.issued_at, "the list of revoked permits is of the future: not taken");
            return Ok(());
        }
        let newer = |books: &Books| books.lists().of(&list.issuer).is_none_or(|known| known.number < list.number);
        if self.ledger.books(newer)? {
            let body = RevocationsTaken {
                access_body: body.name.clone(),
                number: list.number,
                issued_at: list.issued_at,
                revoked: list.revoked.len() as u64,
            };
            let entry = Entry::of_site(Kind::Revocations, &body).payload(signed.to_text().into_bytes());
            self.ledger.append(now, &[entry])?;
        }
        *heard = Some(signed.clone());
        Ok(())
    }
}
