//! Stopping everything: while a pause lasts nothing leaves the site, also nothing that is being computed when it begins.
//!
//! A pause stands in the ledger. Beginning one, and a person's no, exclude what may leave being recorded ([`Custodian::unless_stopped`]), so
//! that after the command has returned nothing leaves any more.

use std::sync::PoisonError;

use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::StudyId;

use super::seal::Secret;
use super::shown::Paused;
use crate::config::CustodianConfig;
use crate::custodian::Custodian;
use crate::custodian::controls::Control;
use crate::custodian::ledger::bodies::desk::{Pause, Person, Resume};
use crate::custodian::ledger::{Entry, Kind, Ledger, LedgerError};

/// How a person has stopped what was about to leave, and what the researcher is told.
pub(in crate::custodian) enum Stopped {
    /// It may be asked again.
    Paused(PublicError),
    /// It is refused, for good.
    Denied(PublicError),
}

/// A pause that lasts.
struct Lasting {
    seq: i64,
    hash: String,
    /// Since when.
    at: String,
    /// What was said.
    pause: Pause,
}

/// The pause that lasts, if one does. Its end counts if the site itself wrote it.
///
/// # Errors
/// Where the ledger cannot be read.
fn lasting(ledger: &Ledger, secret: Secret<'_>) -> Result<Option<Lasting>, LedgerError> {
    let mut lasting: Option<Lasting> = None;
    ledger.pauses(|record| match record.kind() {
        // Another word about a pause that lasts: its beginning stays.
        Some(Kind::Pause) => {
            if let Some(pause) = record.body() {
                let (seq, hash) = (record.seq, record.hash.clone());
                let at = lasting.take().map_or_else(|| record.at.to_string(), |lasting| lasting.at);
                lasting = Some(Lasting { seq, hash, at, pause });
            }
        }
        Some(Kind::Resume) => {
            let resume = record.body::<Resume>();
            let ends = |of: &Lasting| resume.as_ref().is_some_and(|r| r.ends == of.seq && secret.ends(&of.hash, r));
            lasting = lasting.take().filter(|lasting| !ends(lasting));
        }
        _ => {}
    })?;
    Ok(lasting)
}

/// The pause that lasts, if one does, as people see it.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn paused(ledger: &Ledger, secret: Secret<'_>) -> Result<Option<Paused>, LedgerError> {
    let shown = |Lasting { at, pause, .. }: Lasting| Paused { at, by: pause.by, reason: pause.reason };
    Ok(lasting(ledger, secret)?.map(shown))
}

/// What the researcher is told.
fn told(config: &CustodianConfig, pause: &Pause) -> PublicError {
    let why = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    PublicError::new(ErrorCode::Paused, format!("{} has paused all answers{why}", config.site))
        .hint("nothing to do: it is asked again, until open_until")
}

impl Custodian {
    fn lasting(&self) -> Result<Option<Lasting>, LedgerError> {
        lasting(&self.ledger, Secret(&self.release_key))
    }

    /// What the researcher is told while everything stands still.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub(crate) fn paused(&self) -> Result<Option<PublicError>, LedgerError> {
        if !self.switches.controls.enforces(Control::Pause) {
            return Ok(None);
        }
        Ok(self.lasting()?.map(|lasting| told(&self.config, &lasting.pause)))
    }

    /// What the researcher is told while nothing is answered, for whichever reason.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub(in crate::custodian) fn stands_still(&self) -> Result<Option<PublicError>, LedgerError> {
        match self.restored()? {
            Some(error) => Ok(Some(error)),
            None => self.paused(),
        }
    }

    /// Records something of a study that may leave then, unless a person has stopped it.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(in crate::custodian) fn unless_stopped(
        &self,
        study: &StudyId,
        entries: &[Entry],
    ) -> Result<Option<Stopped>, LedgerError> {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = self.stands_still()? {
            return Ok(Some(Stopped::Paused(error)));
        }
        if let Some(error) = self.denied(study)? {
            return Ok(Some(Stopped::Denied(error)));
        }
        self.ledger.append(self.clock.now(), entries)?;
        Ok(None)
    }

    /// Begins a pause; one that lasts already goes on, for a new reason if one is given. Answers whether anything changed.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(super) fn pause(&self, by: Person, reason: Option<String>) -> Result<bool, LedgerError> {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lasting()?.is_some_and(|lasting| reason.is_none() || lasting.pause.reason == reason) {
            return Ok(false);
        }
        tracing::warn!(%by, "all answers are paused");
        self.ledger.append(self.clock.now(), &[Entry::of_site(Kind::Pause, &Pause { by, reason })])?;
        Ok(true)
    }

    /// Ends the pause; answers whether there was one.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(super) fn resume(&self, by: Person) -> Result<bool, LedgerError> {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lasting) = self.lasting()? else { return Ok(false) };
        tracing::warn!(%by, "answers go on");
        let unsealed = Resume { by, ends: lasting.seq, seal: None };
        let seal = Secret(&self.release_key).seal_end(&lasting.hash, &unsealed);
        let resume = Resume { seal: Some(seal), ..unsealed };
        self.ledger.append(self.clock.now(), &[Entry::of_site(Kind::Resume, &resume)])?;
        Ok(true)
    }
}
