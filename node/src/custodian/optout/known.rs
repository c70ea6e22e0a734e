//! How much of a list fits a snapshot: an id that matches nobody opts nobody out, and the site should hear of it. Counts, no ids.

use std::collections::HashSet;

use bocage_protocol::trust::SecretKey;

use super::OptOutError;
use super::choose::groups_of;
use super::ids::{IdForm, SubjectIds, Token};
use super::list::List;
use super::sets::{self, Room};
use super::state::{self, Kept};
use crate::config::{CustodianConfig, Dataset};
use crate::custodian::data::usable;
use crate::custodian::snapshot::{self, Manifest};

/// What a site can be told of opt-outs in a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Of the list, where there is one.
    pub listed: Option<OfList>,
    /// Who is left out with them.
    pub room: Room,
}

/// What a site can be told of its own list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfList {
    /// How many patients are on it.
    pub patients: usize,
    /// How many of them are in the snapshot.
    pub found: usize,
}

/// Of list, column and the snapshot in use; nothing where nobody can opt out.
///
/// # Errors
/// One of them cannot be read, or the snapshot is of another form.
pub fn known(
    config: &CustodianConfig,
    dataset: &Dataset,
    manifest: &Manifest,
    key: &SecretKey,
) -> Result<Option<Known>, OptOutError> {
    if !super::concerns(config, dataset) {
        return Ok(None);
    }
    let form = IdForm::of(config.optouts.as_ref(), key)?;
    if manifest.ids.is_none_or(|ids| ids.form != form.digest()) {
        return Err(OptOutError::Form { dataset: dataset.name.clone() });
    }
    let subjects = snapshot::subject_ids(&config.state.snapshots(), manifest)?;
    let listed = match &config.optouts {
        Some(spec) => {
            let list = List::read(spec, super::numbers_only(config.datasets.values()))?;
            Some(count(&list, dataset, &form, &subjects))
        }
        None => None,
    };
    let path = config.state.optouts().join(format!("{}.json", dataset.name));
    let kept = state::load(&path, &form.digest())?.unwrap_or_default();
    let k = super::rounds::largest_k(&config.policy) as usize;
    Ok(Some(Known { listed, room: room(&kept, manifest, subjects.tokens.len(), k) }))
}

/// How many are left out with those who opted out of a snapshot of so many patients, and how many may be.
pub(super) fn room(kept: &Kept, manifest: &Manifest, patients: usize, k: usize) -> Room {
    let drawn = groups_of(kept, manifest).map(|group| group.drawn).sum();
    Room { drawn, most: sets::most_drawn(patients, k), k }
}

/// Of each dataset that may soon have to be silent: what is wrong, and what to do.
pub fn nearly_used_up(config: &CustodianConfig, key: &SecretKey) -> Vec<(String, String)> {
    let told = |dataset: &Dataset| {
        let manifest = usable(config, dataset).ok()?;
        let room = known(config, dataset, &manifest, key).ok()??.room;
        let Room { drawn, most, k } = room;
        let what = format!(
            "{}: {drawn} of the {most} patients are drawn who may be left out with those who opted out; with {} more opt-outs that come alone it answers nothing (optouts_settling)",
            dataset.name,
            room.groups() + 1
        );
        let hint = format!(
            "enter opt-outs {k} or more at a time, none of whom was left out before: they leave by themselves and draw nobody"
        );
        room.is_nearly_used_up().then_some((what, hint))
    };
    config.datasets.values().filter_map(told).collect()
}

/// Warns of patients on the list who are not in the snapshot.
pub(super) fn said(list: Option<&List>, dataset: &Dataset, form: &IdForm, subjects: &SubjectIds) {
    let Some(list) = list else { return };
    let OfList { patients, found } = count(list, dataset, form, subjects);
    if found < patients {
        tracing::warn!(
            dataset = dataset.name,
            listed = patients,
            found,
            "patients on the list of opt-outs are not in the snapshot: are their ids written as in the source?"
        );
    }
}

fn count(list: &List, dataset: &Dataset, form: &IdForm, subjects: &SubjectIds) -> OfList {
    let listed: HashSet<&str> = list.optouts.iter().map(|optout| optout.subject.as_str()).collect();
    let tokens: HashSet<Token> = listed.iter().filter_map(|id| form.of_listed(id, &dataset.contract)).collect();
    OfList { patients: listed.len(), found: subjects.numbers(&tokens).len() }
}
