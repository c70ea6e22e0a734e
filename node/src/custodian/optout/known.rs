//! How much of a list fits a snapshot: an id that matches nobody opts nobody out, and the site should hear of it. Counts, no ids.

use std::collections::HashSet;

use bocage_protocol::trust::SecretKey;

use super::choose::groups_of;
use super::ids::{IdForm, SubjectIds, Token};
use super::list::List;
use super::{OptOutError, sets, state};
use crate::config::{CustodianConfig, Dataset};
use crate::custodian::snapshot::{self, Manifest};

/// What a site can be told of its own list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// How many patients are on the list.
    pub listed: usize,
    /// How many of them are in the snapshot.
    pub found: usize,
    /// How many others are left out with them when all groups are.
    pub drawn: usize,
    /// How many that may be.
    pub most_drawn: usize,
}

/// Of the list and the snapshot in use.
///
/// # Errors
/// One of them cannot be read, or the snapshot is of another form.
pub fn known(
    config: &CustodianConfig,
    dataset: &Dataset,
    manifest: &Manifest,
    key: &SecretKey,
) -> Result<Option<Known>, OptOutError> {
    let Some(spec) = &config.optouts else { return Ok(None) };
    let form = IdForm::of(Some(spec), key)?;
    if manifest.ids.is_none_or(|ids| ids.form != form.digest()) {
        return Err(OptOutError::Form { dataset: dataset.name.clone() });
    }
    let list = List::read(spec, super::numbers_only(config.datasets.values()))?;
    let subjects = snapshot::subject_ids(&config.state.snapshots(), manifest)?;
    let (listed, found) = count(&list, dataset, &form, &subjects);
    let path = config.state.optouts().join(format!("{}.json", dataset.name));
    let kept = state::load(&path, &form.digest())?.unwrap_or_default();
    let drawn = groups_of(&kept, manifest).map(|group| group.drawn).sum();
    let most_drawn = sets::most_drawn(subjects.tokens.len(), super::rounds::largest_k(&config.policy) as usize);
    Ok(Some(Known { listed, found, drawn, most_drawn }))
}

/// Warns of patients on the list who are not in the snapshot.
pub(super) fn said(list: Option<&List>, dataset: &Dataset, form: &IdForm, subjects: &SubjectIds) {
    let Some(list) = list else { return };
    let (listed, found) = count(list, dataset, form, subjects);
    if found < listed {
        tracing::warn!(
            dataset = dataset.name,
            listed,
            found,
            "patients on the list of opt-outs are not in the snapshot: are their ids written as in the source?"
        );
    }
}

fn count(list: &List, dataset: &Dataset, form: &IdForm, subjects: &SubjectIds) -> (usize, usize) {
    let listed: HashSet<&str> = list.optouts.iter().map(|optout| optout.subject.as_str()).collect();
    let tokens: HashSet<Token> = listed.iter().filter_map(|id| form.of_listed(id, &dataset.contract)).collect();
    (listed.len(), subjects.numbers(&tokens).len())
}
