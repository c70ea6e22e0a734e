//! Stopping everything: while a pause lasts nothing leaves the site, also nothing that is being computed when it begins.
//!
//! A pause stands in the ledger. Beginning one, and a person's no, exclude what may leave being recorded ([`Custodian::unless_stopped`]), so
//! that after the command has returned nothing leaves any more. One that the ledger does not take, as on a full disk, lasts in memory until it does:
//! whoever says stop is obeyed, and told that it is not written down.

use std::sync::{MutexGuard, PoisonError};

use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::StudyId;

use super::seal::Secret;
use super::shown::{Paused, Unwritten};
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
    let shown = |Lasting { at, pause, .. }: Lasting| Paused { at, by: pause.by, reason: pause.reason, unwritten: None };
    Ok(lasting(ledger, secret)?.map(shown))
}

/// What the researcher is told.
fn told(config: &CustodianConfig, reason: Option<&str>) -> PublicError {
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
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
        if let Some(paused) = &*self.unwritten() {
            return Ok(Some(told(&self.config, paused.reason.as_deref())));
        }
        Ok(self.lasting()?.map(|lasting| told(&self.config, lasting.pause.reason.as_deref())))
    }

    /// The pause that the ledger did not take, if there is one.
    pub(super) fn unwritten(&self) -> MutexGuard<'_, Option<Paused>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes such a pause down, if the ledger takes it by now.
    pub(in crate::custodian) fn write_down_pause(&self) {
        let mut unwritten = self.unwritten();
        let Some(Paused { by, reason, .. }) = unwritten.clone() else { return };
        if self.ledger.append(self.clock.now(), &[Entry::of_site(Kind::Pause, &Pause { by, reason })]).is_ok() {
            tracing::warn!("the pause is in the ledger now");
            *unwritten = None;
        }
    }

    /// What the researcher is told while nothing is answered, for whichever reason.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub(in crate::custodian) fn stands_still(&self) -> Result<Option<PublicError>, LedgerError> {
        self.write_down_pause();
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

    /// Begins a pause; one that lasts already goes on, for a new reason if one is given. Where the ledger does not take it, it lasts as long as this process.
    pub(super) fn pause(&self, by: Person, reason: Option<String>) {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unwritten = self.unwritten();
        // Where the ledger cannot be read, it does not take the pause either.
        let before = unwritten.take().or_else(|| paused(&self.ledger, Secret(&self.release_key)).ok().flatten());
        let stands = |before: &Paused| before.unwritten.is_none() && (reason.is_none() || before.reason == reason);
        if before.as_ref().is_some_and(stands) {
            return;
        }
        tracing::warn!(%by, "all answers are paused");
        let now = self.clock.now();
        let (at, given) = before.map_or_else(|| (now.to_string(), None), |before| (before.at, before.reason));
        let pause = Pause { by, reason: reason.or(given) };
        if let Err(error) = self.ledger.append(now, &[Entry::of_site(Kind::Pause, &pause)]) {
            tracing::error!(%error, "the pause is not in the ledger: until that takes it, it lasts as long as this process");
            let Pause { by, reason } = pause;
            let why = Unwritten { why: error.to_string(), hint: error.hint().to_owned() };
            *unwritten = Some(Paused { at, by, reason, unwritten: Some(why) });
        }
    }

    /// Ends the pause, if there is one.
    ///
    /// # Errors
    /// Where the ledger cannot be used.
    pub(super) fn resume(&self, by: Person) -> Result<(), LedgerError> {
        let _still = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unwritten = self.unwritten();
        let lasting = self.lasting()?;
        if lasting.is_some() || unwritten.is_some() {
            tracing::warn!(%by, "answers go on");
        }
        if let Some(lasting) = lasting {
            let unsealed = Resume { by, ends: lasting.seq, seal: None };
            let seal = Secret(&self.release_key).seal_end(&lasting.hash, &unsealed);
            let resume = Resume { seal: Some(seal), ..unsealed };
            self.ledger.append(self.clock.now(), &[Entry::of_site(Kind::Resume, &resume)])?;
        }
        *unwritten = None;
        Ok(())
    }
}
