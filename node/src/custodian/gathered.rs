//! What a study is computed over at this site: a snapshot of each of its datasets, without who is left out of it, and who of one is who of
//! another. If the study began here, all of it is what it was then.

use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::plan::ValidPlan;

use super::Custodian;
use super::authority::Authorised;
use super::controls::Control;
use super::data::unavailable;
use super::engine::{Ground, Joined};
use super::folds::{FoldKey, Folds};
use super::ledger::bodies::Related;
use super::ledger::{Begun, History};
use super::links::Link;
use super::optout::Chosen;
use super::snapshot::Manifest;
use crate::config::Dataset;

/// Everything that a study is computed over.
pub(super) struct Gathered<'a> {
    dataset: &'a Dataset,
    chosen: Arc<Chosen>,
    related: Vec<Looked<'a>>,
    /// In which folds the patients of the study's own dataset are, where a plan asks.
    folds: Option<Arc<Folds>>,
}

/// A dataset that a study looks into. Its own may be one.
struct Looked<'a> {
    dataset: &'a Dataset,
    chosen: Arc<Chosen>,
    link: Arc<Link>,
}

/// A table that a plan reads.
pub(super) struct Table<'a> {
    pub dataset: &'a Dataset,
    pub chosen: &'a Chosen,
    /// Who of it is who of the study's own dataset; none of that itself.
    pub link: Option<&'a Link>,
}

impl<'a> Table<'a> {
    /// Its name among those that are looked into; none of the study's own dataset.
    pub fn related(&self) -> Option<&'a ContractId> {
        let dataset = self.dataset;
        self.link.map(|_| dataset.contract.id())
    }
}

impl Custodian {
    /// What a round of a study is computed over. Who is left out is durable afterwards. Where opt-outs have changed since an earlier round, a later one
    /// begins anew, as another study would: on the snapshots of now, which differ from those before by k patients or none.
    pub(super) fn gather<'a>(
        &self,
        authorised: &Authorised<'a>,
        history: &History,
        round: u16,
        now: Timestamp,
    ) -> Result<Gathered<'a>, PublicError> {
        match self.gather_on(authorised, Some((history, round)), now) {
            Err(error) if error.code == ErrorCode::OptoutsChanged && history.may_begin_anew(round) => {
                tracing::info!(round, "opt-outs have changed: the study goes on with those who may be asked about now");
                self.gather_on(authorised, None, now)
            }
            gathered => gathered,
        }
    }

    fn gather_on<'a>(
        &self,
        authorised: &Authorised<'a>,
        begun: Option<(&History, u16)>,
        now: Timestamp,
    ) -> Result<Gathered<'a>, PublicError> {
        let choose = |dataset: &Dataset, begun: Option<Begun>| {
            let snapshot = self.snapshot_for(dataset, begun.map(|begun| begun.snapshot))?;
            self.offered(authorised, dataset, &snapshot, begun, now)
        };
        let dataset = authorised.dataset;
        let chosen = choose(dataset, begun.and_then(|(history, round)| history.begun(round)))?;
        let mut related = Vec::new();
        let own = authorised.study.related.values().any(|table| table.dataset == *dataset.contract.id());
        for looked in own.then_some(dataset).into_iter().chain(authorised.related.iter().copied()) {
            let also = if std::ptr::eq(looked, dataset) {
                Arc::clone(&chosen)
            } else {
                choose(looked, begun.and_then(|(history, round)| history.begun_on(looked.contract.id(), round)))?
            };
            let (base, other) = (chosen.offered.manifest(), also.offered.manifest());
            let link = self.links.get(self.snapshots.dir(), base, other).map_err(|error| {
                let reason = error.to_string();
                tracing::error!(dataset = looked.name, reason, "its patients cannot be found in another dataset");
                unavailable()
            })?;
            related.push(Looked { dataset: looked, chosen: also, link });
        }
        let asks = authorised.plans.iter().any(|(_, plan)| plan.has_folds());
        let folds = asks.then(|| self.folds_of(authorised, chosen.offered.manifest())).transpose()?;
        Ok(Gathered { dataset, chosen, related, folds })
    }

    /// The folds of a snapshot's patients: those of the site, whatever a study says.
    fn folds_of(&self, authorised: &Authorised<'_>, manifest: &Manifest) -> Result<Arc<Folds>, PublicError> {
        if !self.switches.controls.enforces(Control::FoldSecret) {
            let key = FoldKey::salted(authorised.study.nonce.as_bytes());
            return Ok(Arc::new(Folds::by_rows(&key, &[], manifest.subjects)));
        }
        let key = FoldKey::of(&self.release_key);
        self.folds.get(self.snapshots.dir(), manifest, &key).map_err(|error| {
            tracing::error!(dataset = manifest.dataset, %error, "its patients have no folds");
            unavailable()
        })
    }
}

impl Gathered<'_> {
    /// As the engine takes it.
    pub fn ground(&self) -> Ground<'_> {
        let related = self.related.iter().map(|Looked { dataset, chosen, link }| {
            let joined = Joined { offered: &chosen.offered, contract: &dataset.contract, link: Arc::clone(link) };
            (dataset.contract.id().clone(), joined)
        });
        let (base, related) = (&self.chosen.offered, related.collect());
        Ground { base, contract: &self.dataset.contract, related, folds: self.folds.clone() }
    }

    /// The study's own dataset.
    pub fn dataset(&self) -> &Dataset {
        self.dataset
    }

    /// The groups that are left out of the study's own dataset.
    pub fn groups_out(&self) -> Option<Digest> {
        self.chosen.groups_out()
    }

    /// The tables that a plan reads, its own first. Who is left out of that has no rows anywhere, so it is not named again.
    pub fn tables(&self, plan: &ValidPlan) -> Vec<Table<'_>> {
        let mut tables = vec![Table { dataset: self.dataset, chosen: &self.chosen, link: None }];
        for Looked { dataset, chosen, link } in &self.related {
            let read = plan.related().values().any(|table| table.dataset == *dataset.contract.id());
            if read && !std::ptr::eq(*dataset, self.dataset) {
                tables.push(Table { dataset, chosen, link: Some(link) });
            }
        }
        tables
    }

    /// The other datasets, as a reservation names them.
    pub fn reserved(&self) -> Vec<Related> {
        let others = self.related.iter().filter(|looked| !std::ptr::eq(looked.dataset, self.dataset));
        let reserved = |looked: &Looked<'_>| Related {
            dataset: looked.dataset.contract.id().clone(),
            snapshot: looked.chosen.offered.manifest().content,
            left_out: looked.chosen.offered.left_out(),
            groups_out: looked.chosen.groups_out(),
        };
        others.map(reserved).collect()
    }
}
