//! What a plan is computed over: the rows of its own dataset, and the other tables of the site that its features look into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bocage_protocol::contract::Contract;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ContractId, Digest};
use bocage_protocol::plan::ValidPlan;

use crate::custodian::engine::EngineError;
use crate::custodian::folds::Folds;
use crate::custodian::links::Link;
use crate::custodian::snapshot::{Offered, Rows};

/// What a plan is computed over: the rows that are counted, and the tables that its features look into.
pub struct Ground<'a> {
    /// What is offered of the plan's own dataset.
    pub base: &'a Offered,
    /// Its contract.
    pub contract: &'a Contract,
    /// The others, by their contracts. The base may be among them.
    pub related: BTreeMap<ContractId, Joined<'a>>,
    /// In which folds the base's patients are, where a plan asks.
    pub folds: Option<Arc<Folds>>,
}

/// A related table.
pub struct Joined<'a> {
    /// What is offered of it.
    pub offered: &'a Offered,
    /// Its contract.
    pub contract: &'a Contract,
    /// Who of it is who of the base.
    pub link: Arc<Link>,
}

impl<'a> Ground<'a> {
    /// A dataset by itself.
    pub fn alone(base: &'a Offered, contract: &'a Contract) -> Self {
        Self { base, contract, related: BTreeMap::new(), folds: None }
    }

    /// The same with its patients in these folds.
    #[must_use]
    pub fn in_folds(self, folds: Option<Arc<Folds>>) -> Self {
        Self { folds, ..self }
    }

    /// What answers over it depend on: every table's rows, who is left out of each, and who of one is who of another. It never leaves the site.
    pub fn identity(&self) -> Digest {
        self.identity_with(self.related.values())
    }

    /// What a plan's answer depends on: as [`Ground::identity`], of the tables that it looks into.
    pub fn identity_for(&self, plan: &ValidPlan) -> Digest {
        let names: BTreeSet<&ContractId> = plan.related().values().map(|table| &table.dataset).collect();
        self.identity_with(self.related.iter().filter(|(id, _)| names.contains(id)).map(|(_, joined)| joined))
    }

    fn identity_with<'j>(&self, related: impl Iterator<Item = &'j Joined<'j>>) -> Digest {
        let tokens = |offered: &Offered| offered.manifest().ids.map_or([0; 32], |ids| *ids.content.as_bytes());
        let mut parts = Vec::new();
        for joined in related {
            let table = [joined.offered.identity(), &joined.contract.hash()].map(|digest| *digest.as_bytes());
            parts.extend(table);
            parts.push(tokens(joined.offered));
        }
        if parts.is_empty() {
            return *self.base.identity();
        }
        parts.extend([*self.base.identity().as_bytes(), tokens(self.base)]);
        Digest::of("bocage/ground/1", &parts.iter().map(|part| &part[..]).collect::<Vec<_>>())
    }

    /// When the oldest of its snapshots was taken.
    pub fn taken_at(&self) -> Timestamp {
        let related = self.related.values().map(|joined| joined.offered);
        let taken = related.map(|offered| offered.manifest().created_at);
        taken.fold(self.base.manifest().created_at, Timestamp::min)
    }

    /// Whether every snapshot was taken under its contract.
    ///
    /// # Errors
    /// The first that was not.
    pub(in crate::custodian::engine) fn check(&self) -> Result<(), EngineError> {
        let tables = self.related.values().map(|joined| (joined.offered, joined.contract));
        let mut tables = std::iter::once((self.base, self.contract)).chain(tables);
        match tables.find(|(offered, contract)| offered.manifest().contract_hash != contract.hash()) {
            Some((_, contract)) => Err(EngineError::ContractMismatch { contract: contract.id().clone() }),
            None => Ok(()),
        }
    }
}

/// Rows of a table as features read them.
#[derive(Clone, Copy)]
pub(in crate::custodian::engine) struct Table<'a> {
    pub rows: Rows<'a>,
    pub contract: &'a Contract,
    /// Who of it is who of the base; none of the base itself.
    pub link: Option<&'a Link>,
    pub snapshot: Digest,
}

impl Table<'_> {
    /// The base's number of a patient of it; none where the base does not have them.
    pub fn patient(&self, subject: u32) -> Option<u32> {
        let number = self.link.map_or(subject, |link| link.base(subject));
        (number != Link::NOBODY).then_some(number)
    }
}

/// What features are made from.
pub(in crate::custodian::engine) struct Tables<'a> {
    pub base: Rows<'a>,
    pub contract: &'a Contract,
    /// How many subject numbers the base has.
    pub subjects: usize,
    pub snapshot: Digest,
    pub related: BTreeMap<&'a ContractId, Table<'a>>,
    /// In which folds the base's patients are, where a plan asks.
    pub folds: Option<Arc<Folds>>,
}

impl<'a> Tables<'a> {
    /// The base as features look at its rows.
    pub fn own(&self) -> Table<'a> {
        Table { rows: self.base, contract: self.contract, link: None, snapshot: self.snapshot }
    }

    /// Those of a ground; none if a snapshot has no subject numbers.
    pub fn of(ground: &'a Ground<'_>) -> Option<Self> {
        let table = |(id, joined): (&'a ContractId, &'a Joined<'_>)| {
            let snapshot = joined.offered.manifest().content;
            let (rows, contract, link) = (joined.offered.rows()?, joined.contract, Some(joined.link.as_ref()));
            Some((id, Table { rows, contract, link, snapshot }))
        };
        let manifest = ground.base.manifest();
        Some(Self {
            base: ground.base.rows()?,
            contract: ground.contract,
            subjects: manifest.subjects as usize,
            snapshot: manifest.content,
            related: ground.related.iter().map(table).collect::<Option<_>>()?,
            folds: ground.folds.clone(),
        })
    }
}
