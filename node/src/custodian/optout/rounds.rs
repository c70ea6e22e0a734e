//! A round and the opt-outs: what it is offered, and whether what left before may leave again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::plan::ValidPlan;

use super::{Asking, Chosen, MovedPart, OptOutError, changed, concerns, moved};
use crate::config::{Dataset, Policy};
use crate::custodian::Custodian;
use crate::custodian::authority::Authorised;
use crate::custodian::gathered::Gathered;
use crate::custodian::ledger::{Begun, GroupsLeftOut, History};
use crate::custodian::snapshot::Snapshot;

impl Custodian {
    /// What of a dataset's snapshot is offered now: if the study began here, the same patients as then. State and ledger know it afterwards.
    pub(in crate::custodian) fn offered(
        &self,
        authorised: &Authorised<'_>,
        dataset: &Dataset,
        snapshot: &Arc<Snapshot>,
        begun: Option<Begun>,
        now: Timestamp,
    ) -> Result<Arc<Chosen>, PublicError> {
        let k = largest_k(&self.config.policy).max(authorised.threshold);
        let (purpose, said) = (authorised.study.purpose, self.said_for(dataset)?);
        let asking = Asking { dataset, said: &said, purpose, k, now, begun: begun.is_some() };
        let nameless = snapshot.manifest().ids.is_none() && concerns(&self.config, dataset);
        if begun.is_some() && nameless && !self.optouts.ignored {
            return Err(changed());
        }
        let told = |error: OptOutError| {
            if matches!(error, OptOutError::Changed) {
                return changed();
            }
            let reason = error.to_string();
            tracing::error!(dataset = dataset.name, reason, "nobody can be asked about");
            PublicError::from(&error)
        };
        let chosen = self.optouts.offered(asking, snapshot, &self.ledger, &self.release_key).map_err(told)?;
        if begun.is_some_and(|begun| begun.left_out != chosen.offered.left_out()) {
            return Err(changed());
        }
        self.optouts.keep(&chosen, asking, &self.ledger, &self.release_key).map_err(told)?;
        Ok(chosen)
    }

    /// Whether what left before may leave again: nobody has opted out since.
    pub(in crate::custodian) fn unchanged(
        &self,
        authorised: &Authorised<'_>,
        history: &History,
        round: u16,
        now: Timestamp,
    ) -> Result<(), PublicError> {
        let unchanged = |dataset: &Dataset, begun: Option<Begun>| {
            // Without opt-outs what left can be handed out when the snapshot is long gone.
            if self.optouts.ignored || !concerns(&self.config, dataset) {
                return Ok(());
            }
            let snapshot = self.snapshot_for(dataset, begun.map(|begun| begun.snapshot))?;
            self.offered(authorised, dataset, &snapshot, begun, now).map(drop)
        };
        unchanged(authorised.dataset, history.begun(round))?;
        let mut related = authorised.related.iter();
        related.try_for_each(|dataset| unchanged(dataset, history.begun_on(dataset.contract.id(), round)))
    }

    /// Who has moved since these cells were answered before, whoever asked: patients who are left out of a table that the plan reads now and were
    /// not then, or the other way round. To be called when the round is reserved.
    pub(in crate::custodian) fn moved(
        &self,
        gathered: &Gathered<'_>,
        plan: &ValidPlan,
        cells: &Digest,
    ) -> Result<Vec<MovedPart>, PublicError> {
        let said = |dataset: &Dataset, error: OptOutError| {
            let reason = error.to_string();
            tracing::error!(dataset = dataset.name, reason, "nobody can tell who has moved");
            PublicError::from(&error)
        };
        let mut tables = gathered.tables(plan);
        tables.retain(|table| !table.chosen.here.is_empty());
        let now: Vec<Option<Digest>> = tables.iter().map(|table| table.chosen.groups_out()).collect();
        let earlier = self.ledger.books(|books| books.left_out_of(cells)).map_err(|e| PublicError::from(&e))?;
        let of_tables = |out: &GroupsLeftOut| tables.iter().map(|table| out.from(table.related())).collect();
        let earlier: BTreeSet<Vec<Option<Digest>>> = earlier.iter().map(of_tables).collect();
        if earlier.iter().all(|out| *out == now) {
            return Ok(Vec::new());
        }
        let mut groups = Vec::with_capacity(tables.len());
        for (at, table) in tables.iter().enumerate() {
            let sets: Vec<Option<Digest>> = earlier.iter().map(|out| out[at]).collect();
            let earlier = self.optouts.groups_out(table.dataset, &sets, &self.ledger, &self.release_key);
            let earlier = earlier.map_err(|error| said(table.dataset, error))?;
            groups.push(moved::Groups { table: table.related(), here: &table.chosen.here, earlier, link: table.link });
        }
        let parts = moved::parts(&groups);
        if parts.iter().map(MovedPart::runs).sum::<usize>() > limits::MOVED_PARTS {
            return Err(said(gathered.dataset(), OptOutError::Settling));
        }
        Ok(parts)
    }
}

/// The largest k that the site's policy has for any study: groups are made for all.
pub(super) fn largest_k(policy: &Policy) -> u32 {
    let rules = policy.rules.iter().map(|rule| &rule.settings);
    let raised = rules.chain([&policy.general]).filter_map(|settings| settings.threshold);
    raised.fold(policy.threshold, u32::max)
}
