//! The steward's desk: where a study waits until a person of the site has said yes or no, and where everything can be stopped.
//!
//! ```text
//! round ─▶ paused? ─ yes ─▶ Pending(paused)                                  [nothing is recorded]
//!             │ no
//!          refused by a person? ─ yes ─▶ Refused(approval_refused)           [final]
//!             │ no
//!          the policy says auto, or it left before ─ yes ─▶ it is answered
//!             │ no: ask
//!          as many approvals as the policy wants, under this policy, not over? ─ yes ─▶ it is answered
//!             │ no
//!          more cells than the cap has left? ─ yes ─▶ Refused(cap_reached)
//!             │ no
//!          Pending(approval_pending)                                         [recorded once, however often it is asked]
//! ```
//! What was said stands in the ledger and nowhere else, so that it survives every restart. An approval is bound to the study's hash, to the policy
//! under which it was given and to an end. The desk must never read the site's data, and never take a coordinator's word for a person's.

mod case;
mod pause;
pub mod people;
mod restored;
mod said;
mod seal;
pub mod shown;
pub mod socket;
mod view;
pub mod wire;

use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{ContractId, StudyId};
use bocage_protocol::limits;

use super::authority::{Authorised, Standing, may_fit};
use super::controls::Control;
use super::data::usable;
use super::in_words::asks;
use super::ledger::bodies::desk::{Pending, Terms};
use super::ledger::{Entry, Kind, LedgerError, bodies};
use super::{Custodian, Progress};
use crate::config::CustodianConfig;
pub(super) use pause::Stopped;
pub use pause::paused;
pub use restored::waits_to_be_accepted;
pub use said::Unsaid;
pub use seal::Secret;
pub use view::Desk;

/// What people say about a round that is sound.
pub(super) enum Said {
    /// It is answered.
    Runs,
    /// The researcher waits.
    Waits(PublicError),
    /// It is not answered, for good.
    Refused(PublicError),
}

impl Custodian {
    pub(super) fn desk(&self) -> Desk<'_> {
        Desk {
            ledger: &self.ledger,
            secret: Secret(&self.release_key),
            policy: self.policy,
            own: rustix::process::geteuid().as_raw(),
            now: self.clock.now(),
            controls: self.switches.controls,
        }
    }

    /// What the researcher is told where a person has refused the study.
    pub(super) fn denied(&self, study: &StudyId) -> Result<Option<PublicError>, LedgerError> {
        Ok(self.desk().case(study)?.denial.map(|(_, denial)| denied(&self.config, &denial.reason)))
    }

    /// What people say about a sound round of a study. `released` says that it left before: then nobody need be asked again.
    ///
    /// A study that waits is recorded at its first round under the policy, and at no other.
    pub(super) fn said(
        &self,
        study: &StudyId,
        request: &bocage_protocol::trust::SignedStudy,
        authorised: &Authorised<'_>,
        about: &bodies::About,
        released: bool,
    ) -> Result<Said, LedgerError> {
        let desk = self.desk();
        let case = desk.case(study)?;
        if let Some((_, denial)) = &case.denial {
            return Ok(Said::Refused(denied(&self.config, &denial.reason)));
        }
        let Standing::Ask { why } = &authorised.standing else { return Ok(Said::Runs) };
        // How many must agree the policy says, not the record.
        let controls = self.switches.controls;
        let two = authorised.policy.two_persons && controls.enforces(Control::TwoPersons);
        let persons = if two { 2 } else { 1 };
        let approved = || case.approved(&desk.policy, persons, desk.now).is_some();
        if released || !controls.enforces(Control::Approval) || approved() {
            return Ok(Said::Runs);
        }
        // Nobody is asked for what cannot leave, and whoever waits for it is told.
        if let Err(error) = self.fits(authorised)? {
            return Ok(Said::Refused(error));
        }
        if !case.knows(&desk.policy) {
            let (waiting, own) = desk.waiting(&about.key)?;
            if own >= limits::PENDING_STUDIES_OF_ONE || waiting >= limits::PENDING_STUDIES {
                tracing::warn!(%study, key = %about.key, own, "too many studies wait for the steward: this one is not recorded");
                return Ok(Said::Waits(too_many(&self.config, own)));
            }
            let body = match self.waiting(authorised, about.clone(), why, persons, &desk) {
                Ok(body) => body,
                Err(error) => return Ok(Said::Refused(error)),
            };
            let envelope = serde_json::to_vec(request).unwrap_or_default();
            let entry = Entry::of_study(Kind::Pending, *study, &body).payload(envelope);
            self.ledger.append(desk.now, &[entry])?;
            tracing::info!(%study, why, "the study waits for the steward");
            (self.progress)(Progress::Pending { study: *study, title: about.title.clone() });
        }
        Ok(Said::Waits(waits(&self.config, why)))
    }

    /// Whether what is left of the cap allows these plans.
    fn fits(&self, authorised: &Authorised<'_>) -> Result<Result<(), PublicError>, LedgerError> {
        let account = authorised.requester.account(&authorised.study);
        let cap = authorised.policy.cap.as_ref();
        let controls = self.switches.controls;
        self.ledger.books(|books| may_fit(controls, cap, &account, &authorised.plans, books))
    }

    /// What a person decides about: the whole study, whatever part of it a coordinator asks first.
    fn waiting(
        &self,
        authorised: &Authorised<'_>,
        about: bodies::About,
        why: &str,
        persons: u32,
        desk: &Desk<'_>,
    ) -> Result<Pending, PublicError> {
        // The rows are for the estimate of time alone: a study can be decided about before there is a snapshot.
        let rows = |id: &ContractId| {
            let dataset = authorised.datasets().all().find(|dataset| dataset.contract.id() == id)?;
            usable(&self.config, dataset).ok().map(|manifest| manifest.rows)
        };
        Ok(Pending {
            study: about,
            why: why.to_owned(),
            policy: desk.policy,
            persons,
            until: authorised.study.expires_at,
            asks: asks(authorised, &rows)?,
            terms: Some(Terms {
                threshold: authorised.threshold,
                threshold_by: authorised.policy.threshold_by.clone(),
                mode: Some((authorised.mode.as_str().to_owned(), authorised.mode_by.clone())),
                cap: authorised.policy.cap.as_ref().map(|cap| (cap.most, cap.by.clone())),
            }),
        })
    }
}

fn waits(config: &CustodianConfig, why: &str) -> PublicError {
    let message = match &config.steward.message {
        Some(message) => format!("the steward of {} has not decided yet ({why}); {message}", config.site),
        None => format!("the steward of {} has not decided yet ({why})", config.site),
    };
    PublicError::new(ErrorCode::ApprovalPending, message)
        .hint("nothing to do: the study stays open until open_until and is answered after the steward's yes")
}

fn too_many(config: &CustodianConfig, own: usize) -> PublicError {
    if own >= limits::PENDING_STUDIES_OF_ONE {
        let message = format!("{own} studies that you signed wait for the steward of {} already", config.site);
        return PublicError::new(ErrorCode::PolicyLater, message)
            .hint("it is asked again by itself; cancel studies that you do not need");
    }
    let message = format!("too many studies wait for the steward of {}", config.site);
    PublicError::new(ErrorCode::PolicyLater, message).hint("it is asked again by itself")
}

fn denied(config: &CustodianConfig, reason: &str) -> PublicError {
    PublicError::new(ErrorCode::ApprovalRefused, format!("the steward of {} refused the study: {reason}", config.site))
        .hint("talk to the site's steward before you sign another study")
}
