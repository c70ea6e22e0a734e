//! Stopping everything: while a pause lasts nothing leaves the site, also nothing that is being computed when it begins.
//!
//! A pause stands in the ledger. Beginning one, and a person's no, exclude what may leave being recorded ([`Custodian::unless_stopped`]), so
//! that after the command has returned nothing leaves any more.

use std::sync::PoisonError;

use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::StudyId;

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
pub(super) fn lasting(ledger: &Ledger) -> Result<Option<(i64, String, Pause)>, LedgerError> {
    let mut lasting: Option<(i64, String, Pause)> = None;
    ledger.pauses(|record| match record.kind() {
        Some(Kind::Pause) if lasting.is_none() => {
            lasting = record.body().map(|pause| (record.seq, record.at.to_string(), pause));
        }
        Some(Kind::Resume) => {
            let ends = record.body::<Resume>().map(|resume| resume.ends);
            lasting = lasting.take().filter(|(seq, _, _)| ends != Some(*seq));
        }
        _ => {}
    })?;
    Ok(lasting)
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

    /// Begins a pause; one that lasts already goes on. Answers whether this one began.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(super) fn pause(&self, by: Person, reason: Option<String>) -> Result<bool, LedgerError> {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        if lasting(&self.ledger)?.is_some() {
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
