//! What a study is computed over at this site: a snapshot of each of its datasets, without who is left out of it, and who of one is who of
//! another. If the study began here, all of it is what it was then.

use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;

use super::Custodian;
use super::authority::Authorised;
use super::data::unavailable;
use super::engine::{Ground, Joined};
use super::ledger::bodies::Related;
use super::ledger::{Begun, History};
use super::links::Link;
use super::optout::Chosen;
use crate::config::Dataset;

/// Everything that a study is computed over.
pub(super) struct Gathered<'a> {
    dataset: &'a Dataset,
    chosen: Arc<Chosen>,
    related: Vec<Looked<'a>>,
}

/// A dataset that a study looks into. Its own may be one.
struct Looked<'a> {
    dataset: &'a Dataset,
    chosen: Arc<Chosen>,
    link: Arc<Link>,
}

impl Custodian {
    /// What a study is computed over. Who is left out is durable afterwards.
    pub(super) fn gather<'a>(
        &self,
        authorised: &Authorised<'a>,
        history: &History,
        now: Timestamp,
    ) -> Result<Gathered<'a>, PublicError> {
        let choose = |dataset: &Dataset, begun: Option<Begun>| {
            let snapshot = self.snapshot_for(dataset, begun.map(|begun| begun.snapshot))?;
            self.offered(authorised, dataset, &snapshot, begun, now)
        };
        let dataset = authorised.dataset;
        let chosen = choose(dataset, history.begun())?;
        let mut related = Vec::new();
        let own = authorised.study.related.values().any(|table| table.dataset == *dataset.contract.id());
        for looked in own.then_some(dataset).into_iter().chain(authorised.related.iter().copied()) {
            let also = if std::ptr::eq(looked, dataset) {
                Arc::clone(&chosen)
            } else {
                choose(looked, history.begun_on(looked.contract.id()))?
            };
            let (base, other) = (chosen.offered.manifest(), also.offered.manifest());
            let link = self.links.get(self.snapshots.dir(), base, other).map_err(|error| {
                let reason = error.to_string();
                tracing::error!(dataset = looked.name, reason, "its patients cannot be found in another dataset");
                unavailable()
            })?;
            related.push(Looked { dataset: looked, chosen: also, link });
        }
        Ok(Gathered { dataset, chosen, related })
    }
}

impl Gathered<'_> {
    /// As the engine takes it.
    pub fn ground(&self) -> Ground<'_> {
        let related = self.related.iter().map(|Looked { dataset, chosen, link }| {
            let joined = Joined { offered: &chosen.offered, contract: &dataset.contract, link: Arc::clone(link) };
            (dataset.contract.id().clone(), joined)
        });
        Ground { base: &self.chosen.offered, contract: &self.dataset.contract, related: related.collect() }
    }

    /// The other datasets, as a reservation names them.
    pub fn reserved(&self) -> Vec<Related> {
        let others = self.related.iter().filter(|looked| !std::ptr::eq(looked.dataset, self.dataset));
        let reserved = |looked: &Looked<'_>| Related {
            dataset: looked.dataset.contract.id().clone(),
            snapshot: looked.chosen.offered.manifest().content,
            left_out: looked.chosen.offered.left_out(),
        };
        others.map(reserved).collect()
    }
}
