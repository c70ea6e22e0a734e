//! Other datasets of the node, as far as a dataset's rules look into them: an event before a birth and a reference that leads nowhere are found by two snapshots.
//!
//! An ingest looks into the snapshots that the others have now, so these are taken first ([`in_order`]); which they were stands in the manifest. A rule that
//! only counts is not looked at where there is nothing to look into, and the report says why; one that takes anything away then lets no snapshot be taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bocage_protocol::contract::{Check, Contract, OnFail};
use bocage_protocol::ids::{Digest, RuleName};

use super::data::usable;
use super::optout::IdForm;
use super::snapshot::{Manifest, SnapshotError};
use super::source::DatasetSpec;
use crate::config::{CustodianConfig, Dataset};

/// A dataset with its snapshot of now.
pub struct Other {
    /// Its contract.
    pub contract: Arc<Contract>,
    /// Its snapshot.
    pub manifest: Manifest,
}

/// Those that a dataset's rules look into, by the names of their contracts, or why there is none.
#[derive(Default)]
pub struct Others(BTreeMap<String, Result<Other, String>>);

/// The dataset of the node that rules of `contract` mean by this name: of several versions of a contract that of their own, where there is none the last.
fn meant<'a>(datasets: &'a BTreeMap<String, Dataset>, contract: &Contract, name: &str) -> Option<&'a Dataset> {
    let own = contract.id().version();
    let of_name = datasets.values().filter(|dataset| dataset.contract.id().name() == name);
    of_name.max_by_key(|dataset| {
        let version = dataset.contract.id().version();
        (version == own, version)
    })
}

/// The datasets that the rules of one look into.
pub fn looked_into<'a>(
    datasets: &'a BTreeMap<String, Dataset>,
    dataset: &'a Dataset,
) -> impl Iterator<Item = &'a Dataset> {
    dataset.contract.looks_into().filter_map(|name| meant(datasets, &dataset.contract, name))
}

/// All datasets, each after those that its rules look into.
pub fn in_order(datasets: &BTreeMap<String, Dataset>) -> Vec<&Dataset> {
    fn put<'a>(
        dataset: &'a Dataset,
        datasets: &'a BTreeMap<String, Dataset>,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a Dataset>,
    ) {
        if seen.insert(&dataset.name) {
            looked_into(datasets, dataset).for_each(|other| put(other, datasets, seen, order));
            order.push(dataset);
        }
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    datasets.values().for_each(|dataset| put(dataset, datasets, &mut seen, &mut order));
    order
}

/// Why a rule of a contract can never be looked at in a dataset of the node, if so.
pub fn never(check: &Check, contract: &Contract, datasets: &BTreeMap<String, Dataset>) -> Option<String> {
    let name = check.looks_into()?;
    let Some(other) = meant(datasets, contract, name) else {
        return Some(format!("this node has no dataset under a contract `{name}`"));
    };
    lacks(check, &other.contract)
}

fn lacks(check: &Check, other: &Contract) -> Option<String> {
    let what = if matches!(check, Check::Dangling { .. }) { "key" } else { "birth" };
    check.looks_for(other).is_none().then(|| format!("`{}` has no `{what}`", other.id()))
}

impl Others {
    /// No others.
    pub fn none() -> &'static Self {
        static NONE: Others = Others(BTreeMap::new());
        &NONE
    }

    /// Those of a dataset whose patients are known by `form`, as they are now.
    pub fn of(config: &CustodianConfig, dataset: &Dataset, form: Option<&IdForm>) -> Self {
        let other = |name: &str| match meant(&config.datasets, &dataset.contract, name) {
            None => Err(format!("this node has no dataset under a contract `{name}`")),
            Some(other) => {
                let why = |reason: String| {
                    let reason = reason.lines().next().unwrap_or_default();
                    format!("no snapshot of `{}` can be used: {reason}", other.name)
                };
                let manifest = usable(config, other).map_err(why)?;
                let same = |form: &IdForm| manifest.ids.is_some_and(|ids| ids.form == form.digest());
                if !form.is_some_and(same) {
                    return Err(why("it knows its patients by another release key or salt".to_owned()));
                }
                Ok(Other { contract: Arc::clone(&other.contract), manifest })
            }
        };
        Self(dataset.contract.looks_into().map(|name| (name.to_owned(), other(name))).collect())
    }

    /// The one under a contract of this name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, name: &str) -> Result<&Other, String> {
        match self.0.get(name) {
            Some(Ok(other)) => Ok(other),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("nobody said where `{name}` is")),
        }
    }

    /// The rules of a contract that are not looked at, each with the reason.
    ///
    /// # Errors
    /// One of them takes rows or values away.
    pub fn unheld(&self, spec: &DatasetSpec, contract: &Contract) -> Result<BTreeMap<RuleName, String>, SnapshotError> {
        let mut unheld = BTreeMap::new();
        for rule in contract.rules() {
            let Some(why) = self.hinders(&rule.check) else { continue };
            if spec.on_fail(rule) != OnFail::Keep {
                return Err(SnapshotError::Unheld { rule: rule.name.clone(), why });
            }
            unheld.insert(rule.name.clone(), why);
        }
        Ok(unheld)
    }

    fn hinders(&self, check: &Check) -> Option<String> {
        match self.get(check.looks_into()?) {
            Err(why) => Some(why),
            Ok(other) => lacks(check, &other.contract),
        }
    }

    /// The snapshots that there are.
    pub fn against(&self) -> BTreeMap<String, Digest> {
        let there = self.0.values().filter_map(|other| other.as_ref().ok());
        there.map(|Other { manifest, .. }| (manifest.dataset.clone(), manifest.content)).collect()
    }

    /// What they are, in words that are the same for the same snapshots.
    pub fn in_words(&self) -> String {
        let mut words: Vec<String> = self.against().iter().map(|(name, content)| format!("{name}:{content}")).collect();
        words.sort_unstable();
        words.join(",")
    }
}

#[cfg(test)]
mod tests;
