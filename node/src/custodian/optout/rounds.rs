//! A round and the opt-outs: what it is offered, and whether what left before may leave again.

use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;

use super::{Asking, Chosen, MovedPart, OptOutError, changed, concerns, moved};
use crate::config::Policy;
use crate::custodian::Custodian;
use crate::custodian::authority::Authorised;
use crate::custodian::ledger::History;
use crate::custodian::snapshot::Snapshot;

impl Custodian {
    /// What of the snapshot is offered now: if the study began here, the same patients as then. State and ledger know it afterwards.
    pub(in crate::custodian) fn offered(
        &self,
        authorised: &Authorised<'_>,
        snapshot: &Arc<Snapshot>,
        history: &History,
        now: Timestamp,
    ) -> Result<Arc<Chosen>, PublicError> {
        let asking = self.asking(authorised, history, now);
        let nameless = snapshot.manifest().ids.is_none() && concerns(&self.config, authorised.dataset);
        if history.snapshot.is_some() && nameless && !self.optouts.ignored {
            return Err(changed());
        }
        let said = |error: OptOutError| {
            if matches!(error, OptOutError::Changed) {
                return changed();
            }
            let reason = error.to_string();
            tracing::error!(dataset = authorised.dataset.name, reason, "nobody can be asked about");
            PublicError::from(&error)
        };
        let chosen = self.optouts.offered(asking, snapshot, &self.ledger, &self.release_key).map_err(said)?;
        if history.snapshot.is_some() && history.left_out != chosen.offered.left_out() {
            return Err(changed());
        }
        self.optouts.keep(&chosen, asking, &self.ledger, &self.release_key).map_err(said)?;
        Ok(chosen)
    }

    /// Whether what left before may leave again: nobody has opted out since.
    pub(in crate::custodian) fn unchanged(
        &self,
        authorised: &Authorised<'_>,
        history: &History,
        now: Timestamp,
    ) -> Result<(), PublicError> {
        // Without opt-outs what left can be handed out when the snapshot is long gone.
        if self.optouts.ignored || !concerns(&self.config, authorised.dataset) {
            return Ok(());
        }
        let snapshot = self.snapshot_for(authorised.dataset, history.snapshot)?;
        self.offered(authorised, &snapshot, history, now).map(drop)
    }

    /// Who has moved since these cells were answered before, whoever asked: patients who are left out now and were not then, or the other way
    /// round. To be called when the round is reserved.
    pub(in crate::custodian) fn moved(
        &self,
        authorised: &Authorised<'_>,
        chosen: &Chosen,
        cells: &Digest,
    ) -> Result<Vec<MovedPart>, PublicError> {
        let said = |error: OptOutError| {
            let reason = error.to_string();
            tracing::error!(dataset = authorised.dataset.name, reason, "nobody can tell who has moved");
            PublicError::from(&error)
        };
        let now = chosen.groups_out();
        let sets: Vec<Option<Digest>> =
            self.ledger.books(|books| books.left_out_of(cells)).map_err(|e| said(e.into()))?;
        if chosen.here.is_empty() || sets.iter().all(|set| *set == now) {
            return Ok(Vec::new());
        }
        let known =
            self.optouts.groups_out(authorised.dataset, &sets, &self.ledger, &self.release_key).map_err(said)?;
        let parts = moved::parts(&chosen.here, &known);
        if parts.len() > limits::MOVED_PARTS {
            return Err(said(OptOutError::Settling));
        }
        Ok(parts)
    }

    fn asking<'a>(&self, authorised: &Authorised<'a>, history: &History, now: Timestamp) -> Asking<'a> {
        let k = largest_k(&self.config.policy).max(authorised.threshold);
        let begun = history.snapshot.is_some();
        Asking { dataset: authorised.dataset, purpose: authorised.study.purpose, k, now, begun }
    }
}

/// The largest k that the site's policy has for any study: groups are made for all.
pub(super) fn largest_k(policy: &Policy) -> u32 {
    let rules = policy.rules.iter().map(|rule| &rule.settings);
    let raised = rules.chain([&policy.general]).filter_map(|settings| settings.threshold);
    raised.fold(policy.threshold, u32::max)
}
