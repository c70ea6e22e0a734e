//! Stopping everything: while a pause lasts nothing leaves the site, also nothing that is being computed when it begins.
//!
//! A pause stands in the ledger. Beginning one, and a person's no, exclude what may leave being recorded ([`Custodian::unless_stopped`]), so
//! that after the command has returned nothing leaves any more.

use std::sync::PoisonError;

use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::StudyId;

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

/// The pause that lasts, if one does, and the number of its record.
///
/// # Errors
/// Where the ledger cannot be read.
fn lasting(ledger: &Ledger) -> Result<Option<(i64, String, Pause)>, LedgerError> {
    let mut lasting: Option<(i64, String, Pause)> = None;
    ledger.pauses(|record| match record.kind() {
        // Another word about a pause that lasts: its beginning stays.
        Some(Kind::Pause) => {
            if let Some(pause) = record.body() {
                let since = lasting.take().map_or_else(|| record.at.to_string(), |(_, since, _)| since);
                lasting = Some((record.seq, since, pause));
            }
        }
        Some(Kind::Resume) => {
            let ends = record.body::<Resume>().map(|resume| resume.ends);
            lasting = lasting.take().filter(|(seq, _, _)| ends != Some(*seq));
        }
        _ => {}
    })?;
    Ok(lasting)
}

/// The pause that lasts, if one does, as people see it.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn paused(ledger: &Ledger) -> Result<Option<Paused>, LedgerError> {
    Ok(lasting(ledger)?.map(|(_, at, pause)| Paused { at, by: pause.by, reason: pause.reason }))
}

/// What the researcher is told.
fn told(config: &CustodianConfig, pause: &Pause) -> PublicError {
    let why = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    PublicError::new(ErrorCode::Paused, format!("{} has paused all answers{why}", config.site))
        .hint("nothing to do: it is asked again, until open_until")
}

impl Custodian {
    /// What the researcher is told while everything stands still.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub(in crate::custodian) fn paused(&self) -> Result<Option<PublicError>, LedgerError> {
        if !self.switches.controls.enforces(Control::Pause) {
            return Ok(None);
        }
        Ok(lasting(&self.ledger)?.map(|(_, _, pause)| told(&self.config, &pause)))
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
        if let Some(error) = self.paused()? {
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
        if lasting(&self.ledger)?.is_some_and(|(_, _, lasts)| reason.is_none() || lasts.reason == reason) {
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
        let Some((ends, _, _)) = lasting(&self.ledger)? else { return Ok(false) };
        tracing::warn!(%by, "answers go on");
        self.ledger.append(self.clock.now(), &[Entry::of_site(Kind::Resume, &Resume { by, ends })])?;
        Ok(true)
    }
}
