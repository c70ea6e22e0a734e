//! What a plan is computed over: the rows of its own dataset, and the other tables of the site that its features look into.

use std::collections::BTreeMap;
use std::sync::Arc;

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::{ContractId, Digest};

use crate::custodian::engine::EngineError;
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
        Self { base, contract, related: BTreeMap::new() }
    }

    /// What answers over it depend on: every table's rows, who is left out of each, and who of one is who of another. It never leaves the site.
    pub fn identity(&self) -> Digest {
        let tokens = |offered: &Offered| offered.manifest().ids.map_or([0; 32], |ids| *ids.content.as_bytes());
        let mut parts = vec![*self.base.identity().as_bytes(), tokens(self.base)];
        if self.related.is_empty() {
            return *self.base.identity();
        }
        for joined in self.related.values() {
            parts.extend([
                *joined.offered.identity().as_bytes(),
                tokens(joined.offered),
                *joined.contract.hash().as_bytes(),
            ]);
        }
        Digest::of("bocage/ground/1", &parts.iter().map(|part| &part[..]).collect::<Vec<_>>())
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
    pub link: &'a Link,
    pub snapshot: Digest,
}

/// What features are made from.
pub(in crate::custodian::engine) struct Tables<'a> {
    pub base: Rows<'a>,
    pub contract: &'a Contract,
    /// How many subject numbers the base has.
    pub subjects: usize,
    pub snapshot: Digest,
    pub related: BTreeMap<&'a ContractId, Table<'a>>,
}

impl<'a> Tables<'a> {
    /// Those of a ground; none if a snapshot has no subject numbers.
    pub fn of(ground: &'a Ground<'_>) -> Option<Self> {
        let table = |(id, joined): (&'a ContractId, &'a Joined<'_>)| {
            let snapshot = joined.offered.manifest().content;
            let (rows, contract, link) = (joined.offered.rows()?, joined.contract, joined.link.as_ref());
            Some((id, Table { rows, contract, link, snapshot }))
        };
        let manifest = ground.base.manifest();
        Some(Self {
            base: ground.base.rows()?,
            contract: ground.contract,
            subjects: manifest.subjects as usize,
            snapshot: manifest.content,
            related: ground.related.iter().map(table).collect::<Option<_>>()?,
        })
    }
}
