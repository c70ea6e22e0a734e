//! The choice of who is left out of a snapshot for a purpose, and the making of groups where somebody opted out who is in none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bocage_protocol::contract::Subject;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::Purpose;

use super::columns::Columns;
use super::ids::{IdForm, Token};
use super::known::room;
use super::list::List;
use super::moved::Here;
use super::sets::{self, Group, Purposes, Rule, Set, Settling};
use super::state::{self, Kept, StateError};
use super::{Asking, Chosen, OptOutError, OptOuts, Seen};
use crate::config::Dataset;
use crate::custodian::ledger::Ledger;
use crate::custodian::snapshot::{self, LeftOut, Manifest, Offered, Snapshot};

/// So many draws are made for each subject, and for so many subjects at most, before there is nobody left to draw.
const DRAWS: u64 = 64;
const DRAWN_FROM: u64 = 1 << 14;

/// The nos that reach a dataset from without.
pub(super) struct Said<'a> {
    /// The site's list.
    pub list: Option<&'a List>,
    /// What the sources say.
    pub columns: &'a Columns,
}

fn bit(purpose: Purpose) -> Purposes {
    Purpose::ALL.iter().position(|(_, known)| *known == purpose).map_or(0, |at| 1 << at)
}

/// Who is on the list now, and for which purposes.
pub(super) fn listed(
    list: Option<&List>,
    dataset: &Dataset,
    form: &IdForm,
    now: Timestamp,
) -> BTreeMap<Token, Purposes> {
    let mut listed = BTreeMap::new();
    for optout in list.into_iter().flat_map(|list| &list.optouts) {
        let purposes: Purposes = Purpose::ALL
            .iter()
            .filter(|(_, purpose)| optout.holds(*purpose, now))
            .map(|(_, purpose)| bit(*purpose))
            .sum();
        if let Some(token) = form.of_listed(&optout.subject, &dataset.contract).filter(|_| purposes != 0) {
            *listed.entry(token).or_default() |= purposes;
        }
    }
    listed
}

/// The groups that are about this snapshot.
pub(super) fn groups_of<'a>(kept: &'a Kept, manifest: &Manifest) -> impl Iterator<Item = &'a Group> {
    let content = manifest.content;
    kept.groups.iter().filter(move |group| group.snapshot.is_none_or(|snapshot| snapshot == content))
}

impl OptOuts {
    pub(super) fn choose(
        &self,
        asking: Asking<'_>,
        snapshot: &Arc<Snapshot>,
        ledger: &Ledger,
        form: &IdForm,
        said: &Said<'_>,
        seen: Seen,
    ) -> Result<Chosen, OptOutError> {
        let Asking { dataset, purpose, k, now, begun, .. } = asking;
        let k = k as usize;
        let manifest = snapshot.manifest();
        let subjects = snapshot::subject_ids(&self.snapshots, manifest)?;
        if manifest.ids.is_none_or(|ids| ids.form != form.digest()) {
            return Err(OptOutError::Form { dataset: dataset.name.clone() });
        }
        let mut kept = self.kept(dataset, ledger, form)?;
        let mut opted = listed(said.list, dataset, form, now);
        let of_all: Purposes = Purpose::ALL.iter().map(|(_, purpose)| bit(*purpose)).sum();
        opted.extend(said.columns.tokens.iter().map(|token| (*token, of_all)));
        let grouped: HashSet<Token> = groups_of(&kept, manifest).flat_map(|group| &group.patients).copied().collect();
        let mut numbers = subjects.numbers(&grouped.iter().chain(opted.keys()).copied().collect());
        opted.retain(|token, _| numbers.contains_key(token));
        for number in &subjects.flagged {
            if let Some(token) = subjects.tokens.get(*number as usize) {
                opted.insert(*token, of_all);
                numbers.insert(*token, *number);
            }
        }
        let out: Set =
            opted.iter().filter(|(_, purposes)| *purposes & bit(purpose) != 0).map(|(token, _)| *token).collect();
        let new: BTreeMap<Token, Purposes> =
            opted.iter().filter(|(token, _)| !grouped.contains(*token)).map(|(token, of)| (*token, *of)).collect();
        if !self.stepless && out.iter().any(|token| new.contains_key(token)) {
            // For a study that began, a group could be too small in its older snapshot.
            if begun {
                return Err(OptOutError::Changed);
            }
            let taken: HashSet<Token> = grouped.iter().chain(opted.keys()).copied().collect();
            let all = subjects.tokens.len() as u32;
            let newly = state::set_digest(&new.keys().copied().collect());
            let seed = Digest::of("bocage/optout-seed/2", &[manifest.content.as_bytes(), newly.as_bytes()]);
            let mut drawn = HashMap::new();
            let mut turns = 0..DRAWS * u64::from(all).min(DRAWN_FROM);
            let draw = || loop {
                let number = form.draw(&seed, turns.next()?, all);
                let token = *subjects.tokens.get(number as usize)?;
                if !taken.contains(&token) {
                    drawn.insert(token, number);
                    return Some(token);
                }
            };
            let before = room(&kept, manifest, subjects.tokens.len(), k);
            let rule = Rule {
                k,
                room: before.most.saturating_sub(before.drawn),
                first: kept.groups.is_empty() && !ledger.has_reservation()?,
            };
            let made = sets::gather(&new, rule, draw).map_err(|Settling| OptOutError::Settling)?;
            numbers.extend(drawn);
            self.add(&mut kept, made, dataset, manifest, form)?;
            let room = room(&kept, manifest, subjects.tokens.len(), k);
            if room.is_nearly_used_up() {
                let (drawn, most, more) = (room.drawn, room.most, room.groups());
                tracing::warn!(
                    dataset = dataset.name,
                    drawn,
                    most,
                    more,
                    "few more opt-outs that come alone can be hidden: then nothing is answered until enough have come together"
                );
            }
        }
        let patients = if self.stepless {
            out.clone()
        } else {
            let groups = groups_of(&kept, manifest).map(|group| &group.patients);
            sets::left_out(groups, &out, |token| numbers.contains_key(token), k)
        };
        // With the control off, sets are not of groups.
        let number = |token: &Token| numbers.get(token).copied();
        let groups = groups_of(&kept, manifest).filter(|_| !self.stepless);
        let here = groups.filter_map(|group| Here::of(group, number, &patients)).collect();
        let numbers: Vec<u32> = patients.iter().filter_map(number).collect();
        super::known::said(said.list, dataset, form, &subjects);
        tracing::info!(
            dataset = dataset.name,
            opted_out = out.len(),
            left_out = numbers.len(),
            "looked up who opted out"
        );
        let ids = manifest.ids.map(|ids| ids.content).unwrap_or(manifest.content);
        let set = Digest::of("bocage/left-out/1", &[ids.as_bytes(), state::set_digest(&patients).as_bytes()]);
        let offered = Offered::new(Arc::clone(snapshot), Some(LeftOut { numbers: &numbers, set }));
        let (offered, durable) = (Arc::new(offered), AtomicBool::new(false));
        Ok(Chosen { offered, patients, here, made: kept.made, concerned: true, durable, seen })
    }

    /// Makes new groups durable.
    fn add(
        &self,
        kept: &mut Kept,
        made: Vec<(Set, usize)>,
        dataset: &Dataset,
        manifest: &Manifest,
        form: &IdForm,
    ) -> Result<(), OptOutError> {
        let snapshot = matches!(dataset.contract.subject(), Subject::Row).then_some(manifest.content);
        let there: HashSet<Digest> =
            snapshot::held(&self.snapshots, &dataset.name)?.into_iter().map(|held| held.manifest.content).collect();
        kept.groups.retain(|group| group.snapshot.is_none_or(|snapshot| there.contains(&snapshot)));
        kept.made += made.len() as u64;
        kept.groups.extend(made.into_iter().map(|(patients, drawn)| Group { snapshot, patients, drawn }));
        Ok(state::store(&self.path(dataset), &form.digest(), kept.clone())?)
    }

    /// What is kept, and is as late as the ledger says.
    pub(super) fn kept(&self, dataset: &Dataset, ledger: &Ledger, form: &IdForm) -> Result<Kept, OptOutError> {
        let path = self.path(dataset);
        // The file is written before the record is.
        let mut known = None;
        for (_, purpose) in Purpose::ALL {
            known = known.max(ledger.optouts(&dataset.name, purpose)?.map(|body| body.groups));
        }
        match (state::load(&path, &form.digest())?, known) {
            (None, Some(_)) => Err(StateError::Gone { path }.into()),
            (Some(kept), Some(groups)) if kept.made < groups => Err(StateError::Older { path }.into()),
            (kept, _) => Ok(kept.unwrap_or_default()),
        }
    }
}
