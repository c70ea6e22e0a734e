//! The datasets of a study at this site: all of them must be offered, to this asker, with the content that the study names, and of each only the
//! columns that may be read. A column counts as read wherever it is: in a key, a measure, a filter, or in what a feature is made of.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::Contract;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{ColumnName, ContractId, Digest};
use bocage_protocol::plan::{Contracts, ValidPlan};
use bocage_protocol::trust::Study;

use super::{Asker, Shown, first_round};
use crate::config::{CustodianConfig, Dataset};
use crate::custodian::controls::{Control, Controls};

/// The datasets of a study at this site.
pub struct Datasets<'a> {
    /// The one whose rows are counted.
    pub base: &'a Dataset,
    /// The others that it looks into, each once.
    pub related: Vec<&'a Dataset>,
}

impl<'a> Datasets<'a> {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &'a Dataset> {
        std::iter::once(self.base).chain(self.related.iter().copied())
    }

    /// The contracts that a study's plans are checked against.
    pub(super) fn contracts(&self, study: &Study) -> Contracts<'a> {
        Contracts::of(&self.base.contract, &study.related, |id| self.contract(id))
    }

    /// Those of a plan, by the names that it has for its tables.
    pub fn contracts_of(&self, plan: &ValidPlan) -> Contracts<'a> {
        Contracts::of(&self.base.contract, plan.related(), |id| self.contract(id))
    }

    fn contract(&self, id: &ContractId) -> Option<&'a Contract> {
        self.all().map(|dataset| &*dataset.contract).find(|contract| contract.id() == id)
    }
}

/// Those of a study, if all are offered under the contracts that it names.
pub(super) fn offered<'a>(
    study: &Study,
    asker: &Asker<'_>,
    controls: Controls,
    config: &'a CustodianConfig,
) -> Result<Datasets<'a>, PublicError> {
    let find = |id: &ContractId, hash: &Digest| {
        let dataset = config.dataset(id).ok_or_else(|| {
            let message = format!("site {} has no dataset under contract {id}", config.site);
            PublicError::new(ErrorCode::DatasetNotOffered, message)
                .hint("`bocage datasets` shows what every site offers")
        })?;
        if dataset.contract.hash() != *hash {
            let message = format!("site {} holds contract {id} with another content", config.site);
            return Err(PublicError::new(ErrorCode::ContractMismatch, message)
                .hint("compare the contract file of the site with the network's"));
        }
        let barred = asker.datasets.is_some_and(|allowed| !allowed.contains(id));
        if barred && controls.enforces(Control::DatasetAllowed) {
            let right = asker.requester.right();
            let message = format!("site {} does not let anybody ask about {id} by the {right}", config.site);
            return Err(PublicError::new(ErrorCode::PolicyRefused, message)
                .hint("the site lists the datasets of researchers and access bodies in [[trust]] datasets"));
        }
        Ok(dataset)
    };
    let base = find(&study.dataset, &study.contract)?;
    let others: BTreeSet<(&ContractId, &Digest)> =
        study.related.values().map(|table| (&table.dataset, &table.contract)).collect();
    let mut related = Vec::new();
    for (id, hash) in others {
        let dataset = find(id, hash)?;
        if *id != study.dataset {
            related.push(dataset);
        }
    }
    Ok(Datasets { base, related })
}

/// Whether the columns that the study touches may be read: those of this round, and those of its first one.
pub(super) fn columns(
    study: &Study,
    (round, plans): (u16, &[(u16, ValidPlan)]),
    asker: &Asker<'_>,
    datasets: &Datasets<'_>,
    controls: Controls,
) -> Result<(), PublicError> {
    // A first round that asks everything has these plans already, and checking one takes its time.
    let all_of_first = round == 0 && plans.len() == study.analyses.len();
    let first = if all_of_first { Vec::new() } else { first_round(study, datasets)? };
    let all = || first.iter().chain(plans.iter().map(|(_, plan)| plan));
    let mut reads: BTreeMap<&ContractId, BTreeSet<ColumnName>> = BTreeMap::new();
    for (dataset, columns) in all().flat_map(ValidPlan::touches) {
        reads.entry(dataset).or_default().extend(columns.iter().cloned());
    }
    if let Some(Shown { permit, .. }) = &asker.permit {
        let within = |dataset: &Dataset| {
            let none = BTreeSet::new();
            permit.check_columns(dataset.contract.id(), reads.get(dataset.contract.id()).unwrap_or(&none))
        };
        controls.hold(Control::PermitScope, datasets.all().try_for_each(within))?;
    }
    let never = |columns: Vec<&str>, of: &Dataset, what: &str| match columns.as_slice() {
        [] => Ok(()),
        _ if !controls.enforces(Control::NeverOffered) => Ok(()),
        columns => {
            let message = format!("the site never {what} the columns {} of {}", columns.join(", "), of.contract.id());
            Err(PublicError::new(ErrorCode::PolicyRefused, message).hint("leave them out, or leave this site out"))
        }
    };
    for dataset in datasets.all() {
        let reads = reads.get(dataset.contract.id()).into_iter().flatten();
        let read = reads.filter(|column| dataset.never.read.contains(column));
        never(read.map(ColumnName::as_str).collect(), dataset, "offers")?;
    }
    let never_discovered = &datasets.base.never.discover;
    let discovered: BTreeSet<&ColumnName> = all().filter_map(|p| p.discovered()).map(|key| key.column()).collect();
    let named = discovered.into_iter().filter(|c| never_discovered.contains(c)).map(ColumnName::as_str).collect();
    never(named, datasets.base, "names the values of")
}
