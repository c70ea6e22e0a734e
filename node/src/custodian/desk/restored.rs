//! A ledger that is an older copy of itself: it does not know what left since, so nothing leaves until a person of the site has said that it may.
//!
//! ```text
//! `restore` put it back ────────────────┐
//! the coordinator's checkpoint, which   ├─▶ Restored, in the ledger ─▶ every round waits: ledger_restored
//! this site signed, does not fit it ────┘                                │
//!                      `ledger accept-restored`, sealed: Accepted ◀──────┘
//!                         ├ the checkpoint fits: nothing was lost
//!                         └ knowing what was lost: studies signed before are answered from the ledger alone
//! ```
//! Only checkpoints under the site's own signature count, so a coordinator can stop nobody by what it makes up.

use std::sync::PoisonError;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::{Checkpoint, KeptCheckpoints, SignedCheckpoint, Study};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::Reply;

use super::said::Unsaid;
use super::seal::Secret;
use crate::custodian::Custodian;
use crate::custodian::ledger::bodies::desk::Person;
use crate::custodian::ledger::bodies::restored::{Accepted, Restored};
use crate::custodian::ledger::{Entry, Kind, Ledger, LedgerError};
use crate::custodian::server::refused;

/// What the ledger says of itself.
#[derive(Default)]
struct Past {
    /// The record that waits for a person's word: its number, its hash, and what it says.
    waits: Option<(i64, String, Restored)>,
    /// When a person accepted it last knowing that records may be lost.
    lost: Option<Timestamp>,
}

fn past(ledger: &Ledger, secret: Secret<'_>) -> Result<Past, LedgerError> {
    let mut past = Past::default();
    ledger.restorations(|record| match record.kind() {
        Some(Kind::Restored) => {
            let body = record.body().unwrap_or(Restored { backup: None, known: None });
            past.waits = Some((record.seq, record.hash.clone(), body));
        }
        Some(Kind::Accepted) => {
            let Some(accepted) = record.body::<Accepted>() else { return };
            let ends =
                |(seq, hash, _): &(i64, String, Restored)| accepted.ends == *seq && secret.accepts(hash, &accepted);
            if past.waits.as_ref().is_some_and(ends) {
                past.waits = None;
                past.lost = past.lost.max(accepted.lost.then_some(accepted.at));
            }
        }
        _ => {}
    })?;
    Ok(past)
}

/// What the ledger says where it waits for a person to accept it.
///
/// # Errors
/// Where it cannot be read.
pub fn waits_to_be_accepted(ledger: &Ledger, secret: Secret<'_>) -> Result<Option<Restored>, LedgerError> {
    Ok(past(ledger, secret)?.waits.map(|(_, _, restored)| restored))
}

impl Custodian {
    fn past(&self) -> Result<Past, LedgerError> {
        past(&self.ledger, Secret(&self.release_key))
    }

    /// The code of our own where the coordinator has shown that it knows it, else one that it has always known.
    fn restored_code(&self, before: ErrorCode) -> ErrorCode {
        let told = self.witnesses.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if told { ErrorCode::LedgerRestored } else { before }
    }

    /// What the researcher is told while the ledger waits for a person's word.
    pub(in crate::custodian) fn restored(&self) -> Result<Option<PublicError>, LedgerError> {
        Ok(self.past()?.waits.map(|_| {
            let message = format!("the ledger of {} is an older copy, and its steward has not accepted it yet", self.config.site);
            PublicError::new(self.restored_code(ErrorCode::Paused), message)
                .hint("nothing to do: it is asked again, until open_until; the site's people run `bocage node ledger accept-restored`")
        }))
    }

    /// Why a study without an answer in the ledger is not answered: it may have been, in the time that is lost, and other bytes would be another answer.
    pub(in crate::custodian) fn signed_before_a_loss(&self, study: &Study) -> Result<Option<PublicError>, LedgerError> {
        let lost = self.past()?.lost.filter(|lost| study.issued_at <= *lost);
        Ok(lost.map(|lost| {
            let message = format!(
                "the study was signed before {lost}, when a part of {}'s ledger was lost: it may have been answered",
                self.config.site
            );
            PublicError::new(self.restored_code(ErrorCode::PolicyRefused), message)
                .hint("sign it again, as a new study")
        }))
    }

    /// Compares the ledger with what the coordinator remembers of it.
    pub(in crate::custodian) fn witness(&self, known: &[SignedCheckpoint]) -> Vec<u8> {
        *self.witnesses.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.to_vec());
        match self.compare(known) {
            Ok(()) => codec::encode(&Reply::Witnessed).unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "the ledger could not be compared with what the coordinator remembers");
                refused(PublicError::from(&error))
            }
        }
    }

    fn compare(&self, known: &[SignedCheckpoint]) -> Result<(), LedgerError> {
        // What is about to leave is recorded before this, or not at all.
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let past = self.past()?;
        if past.waits.is_some() {
            return Ok(());
        }
        for signed in known {
            let own = signed.verify(&self.release_key.public()).ok().filter(|c| c.site == self.config.site);
            let Some(checkpoint) = own else {
                tracing::warn!("a checkpoint that is not this site's own, or of an earlier release key, says nothing");
                continue;
            };
            if past.lost.is_some_and(|lost| checkpoint.at <= lost) {
                continue;
            }
            if let Err(differs) = self.ledger.fits(checkpoint)? {
                tracing::error!(%differs, "the coordinator remembers more of this ledger than it has: nothing is answered until `bocage node ledger accept-restored`");
                let body = Restored { backup: None, known: Some(checkpoint.clone()) };
                self.ledger.append(self.clock.now(), &[Entry::of_site(Kind::Restored, &body)])?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes a person's word that answers go on, with the ledger as it is.
    pub(super) fn accept_restored(
        &self,
        by: Person,
        kept: &[KeptCheckpoints],
        knowing: bool,
    ) -> Result<Accepted, Unsaid> {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let past = self.past()?;
        let Some((ends, hash, restored)) = past.waits else { return Err(Unsaid::NotRestored) };
        let mut compared: Option<Checkpoint> = None;
        // A file may be older than what the coordinator has said since.
        let told = self.witnesses.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        let own = |signed: &SignedCheckpoint| {
            signed.verify(&self.release_key.public()).ok().filter(|c| c.site == self.config.site).cloned()
        };
        let shown: Option<Vec<Checkpoint>> = kept.iter().flat_map(KeptCheckpoints::all).map(own).collect();
        let all = shown.ok_or(Unsaid::NotOurCheckpoint)?.into_iter().chain(told.iter().filter_map(own));
        for checkpoint in all {
            if past.lost.is_none_or(|lost| checkpoint.at > lost)
                && let Err(differs) = self.ledger.fits(&checkpoint)?
                && !knowing
            {
                return Err(Unsaid::Lost(differs.to_string()));
            }
            if compared.as_ref().is_none_or(|newest| newest.at < checkpoint.at) {
                compared = Some(checkpoint);
            }
        }
        // What showed that records are missing is no proof of the contrary.
        let lost = knowing
            || restored.known.as_ref().is_some_and(|known| self.ledger.fits(known).is_ok_and(|fits| fits.is_err()));
        if !knowing && (lost || compared.is_none()) {
            return Err(Unsaid::Lost(restored.to_string()));
        }
        let now = self.clock.now();
        // A clock that went back must not let the lost checkpoints count again.
        let at = compared.as_ref().map_or(now, |compared| compared.at.max(now));
        let unsealed = Accepted { by, ends, at, lost, compared, seal: Digest::from_bytes([0; 32]) };
        let accepted = Accepted { seal: Secret(&self.release_key).seal_accepted(&hash, &unsealed), ..unsealed };
        tracing::warn!(by = %accepted.by, lost, "a person accepted the ledger as it is: answers go on");
        self.ledger.append(now, &[Entry::of_site(Kind::Accepted, &accepted)])?;
        Ok(accepted)
    }
}
