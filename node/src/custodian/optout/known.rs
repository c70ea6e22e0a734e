//! How many have opted out of a snapshot, and how much of a list fits it: an id that matches nobody opts nobody out, and the site should hear of it.
//! Counts, no ids, and for the hospital's own terminal alone.

use std::collections::HashSet;
use std::fmt;

use bocage_protocol::trust::SecretKey;

use super::OptOutError;
use super::choose::groups_of;
use super::columns::{names_patients, speaks_for_all, tokens};
use super::ids::{IdForm, SubjectIds};
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
    /// How many of the snapshot's patients opted out by a column of a source, where there is one.
    pub by_column: Option<usize>,
    /// How many of them opted out by list or column.
    pub opted_out: usize,
    /// Who is left out with them.
    pub room: Room,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listed, by_column, room: Room { drawn, most, .. }, .. } = self;
        let listed = listed
            .map(|OfList { patients, found }| format!("{found} of {patients} listed patients are in the snapshot"));
        let by_column = by_column.map(|n| format!("{n} of the snapshot's patients opted out by a column"));
        let said: Vec<String> = listed.into_iter().chain(by_column).collect();
        if said.is_empty() {
            return f.write_str("neither a list nor a column says who opted out");
        }
        write!(f, "{}; {drawn} others, {most} at most, leave with them", said.join(", "))
    }
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
    let list = config.optouts.as_ref().map(|spec| List::read(spec, super::numbers_only(config.datasets.values())));
    let list = list.transpose()?.map(|list| (patients(&list), here(&list, dataset, &form, &subjects)));
    let by_column = by_column(config, dataset, &form, &subjects)?;
    let out: HashSet<u32> =
        list.iter().flat_map(|(_, found)| found).chain(by_column.iter().flatten()).copied().collect();
    let path = config.state.optouts().join(format!("{}.json", dataset.name));
    let kept = state::load(&path, &form.digest())?.unwrap_or_default();
    let k = super::rounds::largest_k(&config.policy) as usize;
    Ok(Some(Known {
        listed: list.map(|(patients, found)| OfList { patients, found: found.len() }),
        by_column: by_column.map(|numbers| numbers.len()),
        opted_out: out.len(),
        room: room(&kept, manifest, subjects.tokens.len(), k),
    }))
}

/// The patients of a snapshot who opted out by its own source, or by one that speaks for all; none where there is no such column.
fn by_column(
    config: &CustodianConfig,
    dataset: &Dataset,
    form: &IdForm,
    subjects: &SubjectIds,
) -> Result<Option<HashSet<u32>>, OptOutError> {
    let others = |of: &&Dataset| of.name != dataset.name && speaks_for_all(of) && names_patients(dataset);
    let said = |speaker: &Dataset| {
        usable(config, speaker).map_err(|reason| OptOutError::Column { dataset: speaker.name.clone(), reason })
    };
    let said: Vec<Manifest> = config.datasets.values().filter(others).map(said).collect::<Result<_, _>>()?;
    let spoken = tokens(&config.state.snapshots(), &said, form)?.into_iter().collect();
    let numbers = subjects.numbers(&spoken).into_values().chain(subjects.flagged.iter().copied()).collect();
    Ok((dataset.spec.flags().is_some() || !said.is_empty()).then_some(numbers))
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
    let (patients, found) = (patients(list), here(list, dataset, form, subjects).len());
    if found < patients {
        tracing::warn!(
            dataset = dataset.name,
            listed = patients,
            found,
            "patients on the list of opt-outs are not in the snapshot: are their ids written as in the source?"
        );
    }
}

/// How many patients are on a list.
fn patients(list: &List) -> usize {
    list.optouts.iter().map(|optout| optout.subject.as_str()).collect::<HashSet<_>>().len()
}

/// Those of a list who are in a snapshot.
fn here(list: &List, dataset: &Dataset, form: &IdForm, subjects: &SubjectIds) -> HashSet<u32> {
    let listed = list.optouts.iter().filter_map(|optout| form.of_listed(&optout.subject, &dataset.contract));
    subjects.numbers(&listed.collect()).into_values().collect()
}
