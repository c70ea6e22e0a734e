//! Opt-outs: patients whose data no study may use, for some purposes or for all. They come before every other rule, and a site that
//! does not know who opted out answers nothing.
//!
//! ```text
//! list (CSV) ──────────────┐
//! optout = "…" (source) ───┴─▶ who opted out ─▶ sets: with whom they leave ─▶ Offered ─▶ engine
//!                                                   └─ durable before it is computed on; a record in the ledger
//! ```
//! Nothing here may say who or how few opted out: a requester learns a code, the log has counts and lines, never an id.

mod ids;
mod list;
mod rounds;
mod sets;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bocage_net::secret::SecretError;
use bocage_protocol::contract::Subject;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::{Purpose, SecretKey};

use super::controls::{Control, Controls};
use super::ledger::bodies::OptOutsChanged;
use super::ledger::{Entry, Kind, Ledger, LedgerError};
use super::snapshot::{self, LeftOut, Offered, Snapshot, SnapshotError};
use crate::config::{CustodianConfig, Dataset};

pub use ids::{IdForm, SubjectIds, Token};
pub use list::{List, ListError};
pub use sets::{Set, Settling};
pub use spec::OptOutSpec;
pub use state::{StateError, Used};

/// So many draws are made for each subject, and for so many subjects at most, before there is nobody left to draw.
const DRAWS: u64 = 64;
const DRAWN_FROM: u64 = 1 << 14;

/// Why it is not known whom to leave out. The texts are for the site's own log.
#[derive(Debug, thiserror::Error)]
pub enum OptOutError {
    /// The list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The salt of hashed ids.
    #[error(transparent)]
    Salt(#[from] SecretError),
    /// The snapshot does not say who its patients are.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The snapshot knows its patients by another key or salt.
    #[error(
        "the snapshot was taken under another release key or salt\n  hint: take a new one with `bocage node datasets refresh {dataset}`"
    )]
    Form {
        /// The dataset.
        dataset: String,
    },
    /// The sets before.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Too few patients have changed.
    #[error(
        "too few patients are left to leave out with those who opted out\n  hint: it ends when policy.threshold patients have opted out, or with a dataset of more patients"
    )]
    Settling,
}

impl From<&OptOutError> for PublicError {
    fn from(error: &OptOutError) -> Self {
        match error {
            OptOutError::Settling => {
                PublicError::new(ErrorCode::OptoutsSettling, "the site waits until enough opt-outs have come together")
                    .hint("the site answers again by itself; its steward finds the cause in the node's log")
            }
            OptOutError::Ledger(error) => PublicError::from(error),
            _ => PublicError::new(
                ErrorCode::OptoutsUnavailable,
                "the site cannot tell who opted out, so it answers nothing",
            )
            .hint("the site's operator runs `bocage node check`; the node's log has the cause"),
        }
    }
}

/// The refusal of a round whose study began when others were left out.
fn changed() -> PublicError {
    PublicError::new(ErrorCode::OptoutsChanged, "the site's opt-outs have changed since the study began there")
        .hint("run the study again: it then begins with the patients who may be asked about now")
}

/// What a study asks about, as far as opt-outs are concerned.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// What for.
    pub purpose: Purpose,
    /// The least number of patients by which two answers may differ.
    pub k: u32,
    /// When.
    pub now: Timestamp,
}

/// What is offered to a study, and who is left out.
pub struct Chosen {
    /// The rows.
    pub offered: Arc<Offered>,
    patients: Set,
    /// Whether opt-outs are a matter of this dataset at all.
    concerned: bool,
    /// Whether state and ledger know the set.
    durable: AtomicBool,
    seen: Seen,
}

/// What a choice depends on.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    snapshot: Option<Digest>,
    ids: Option<Digest>,
    list: Option<Digest>,
    today: i32,
}

/// A node's opt-outs. Everything is looked at anew before each round, and kept as long as nothing changed.
pub struct OptOuts {
    spec: Option<OptOutSpec>,
    /// Where the sets in use are kept.
    dir: PathBuf,
    snapshots: PathBuf,
    /// Everybody is offered.
    ignored: bool,
    /// Two sets may differ by few patients.
    stepless: bool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    list: Option<Arc<List>>,
    chosen: HashMap<(String, Purpose), Arc<Chosen>>,
}

/// Whether patients of a dataset can opt out by the configuration.
pub fn concerns(config: &CustodianConfig, dataset: &Dataset) -> bool {
    config.optouts.is_some() || dataset.spec.optout.is_some()
}

impl OptOuts {
    /// Those of a configuration.
    pub fn new(config: &CustodianConfig, controls: Controls) -> Self {
        Self {
            spec: config.optouts.clone(),
            dir: config.state.optouts(),
            snapshots: config.state.snapshots(),
            ignored: !controls.enforces(Control::OptOuts),
            stepless: !controls.enforces(Control::OptOutSteps),
            held: Mutex::default(),
        }
    }

    /// How patients are known again, where they can opt out.
    ///
    /// # Errors
    /// The salt cannot be read.
    pub fn form(&self, dataset: &Dataset, key: &SecretKey) -> Result<Option<IdForm>, SecretError> {
        let concerned = self.spec.is_some() || dataset.spec.optout.is_some();
        concerned.then(|| IdForm::of(self.spec.as_ref(), key)).transpose()
    }

    /// The rows of a snapshot that a study may see now.
    ///
    /// # Errors
    /// It cannot be told, or too few patients are there.
    pub fn offered(
        &self,
        asking: Asking<'_>,
        snapshot: &Arc<Snapshot>,
        ledger: &Ledger,
        key: &SecretKey,
    ) -> Result<Arc<Chosen>, OptOutError> {
        let Asking { dataset, purpose, now, .. } = asking;
        let form = if self.ignored { None } else { self.form(dataset, key)? };
        let Some(form) = form else {
            let offered = Arc::new(Offered::new(Arc::clone(snapshot), None));
            let (patients, durable) = (Set::new(), AtomicBool::new(true));
            return Ok(Arc::new(Chosen { offered, patients, concerned: false, durable, seen: Seen::default() }));
        };
        let list = self.list()?;
        let manifest = snapshot.manifest();
        let seen = Seen {
            snapshot: Some(manifest.content),
            ids: manifest.ids.map(|ids| ids.content),
            list: list.as_ref().map(|list| list.digest),
            today: list::today(now),
        };
        let at = (dataset.name.clone(), purpose);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chosen) = held.chosen.get(&at).filter(|chosen| chosen.seen == seen) {
            return Ok(Arc::clone(chosen));
        }
        let chosen = Arc::new(self.choose(asking, snapshot, ledger, &form, list.as_deref(), seen)?);
        // An older snapshot is to be closed when nobody else has it open.
        held.chosen.retain(|(name, _), other| *name != dataset.name || other.seen.snapshot == seen.snapshot);
        held.chosen.insert(at, Arc::clone(&chosen));
        Ok(chosen)
    }

    /// Makes it durable that answers are given without these patients. To be called before anything is computed.
    ///
    /// # Errors
    /// State or ledger cannot be written.
    pub fn keep(
        &self,
        chosen: &Chosen,
        asking: Asking<'_>,
        ledger: &Ledger,
        key: &SecretKey,
    ) -> Result<(), OptOutError> {
        let Asking { dataset, purpose, now, .. } = asking;
        if !chosen.concerned || chosen.durable.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(form) = self.form(dataset, key)?.map(|form| form.digest()) else { return Ok(()) };
        let path = self.path(dataset);
        let snapshot = chosen.offered.manifest().content;
        let used = |patients: Set| Used { snapshot, purpose, set: state::set_digest(&patients), patients };
        let new = used(chosen.patients.clone());
        let mut before = state::load(&path, &form)?.unwrap_or_default();
        let last = before.iter().rev().find(|used| used.purpose == purpose);
        let changed = last.map(|last| sets::distance(&last.patients, &new.patients) as u64);
        if last != Some(&new) && !(before.is_empty() && new.patients.is_empty()) {
            if before.is_empty() && ledger.has_reservation()? {
                before.push(used(Set::new()));
            }
            before.retain(|used| *used != new);
            before.push(new.clone());
            state::store(&path, &form, self.lasting(dataset, before)?)?;
        }
        let recorded = ledger.optouts(&dataset.name, purpose)?.map(|body| body.set);
        if recorded.unwrap_or_else(|| state::set_digest(&Set::new())) != new.set {
            let body = OptOutsChanged { dataset: dataset.name.clone(), purpose, snapshot, set: new.set, changed };
            ledger.append(now, &[Entry::of_site(Kind::OptOuts, &body)])?;
            tracing::info!(dataset = dataset.name, "the patients who are left out have changed");
        }
        chosen.durable.store(true, Ordering::Release);
        Ok(())
    }

    /// The sets that still matter: of snapshots that are there, and the last one of each purpose.
    fn lasting(&self, dataset: &Dataset, mut sets: Vec<Used>) -> Result<Vec<Used>, OptOutError> {
        let there: HashSet<Digest> =
            snapshot::held(&self.snapshots, &dataset.name)?.into_iter().map(|held| held.manifest.content).collect();
        let mut purposes = HashSet::new();
        sets.reverse();
        sets.retain(|used| purposes.insert(used.purpose) || there.contains(&used.snapshot));
        sets.reverse();
        Ok(sets)
    }

    fn path(&self, dataset: &Dataset) -> PathBuf {
        self.dir.join(format!("{}.json", dataset.name))
    }

    /// The list, read again where its file is another than before.
    fn list(&self) -> Result<Option<Arc<List>>, ListError> {
        let Some(spec) = &self.spec else { return Ok(None) };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = held.list.as_ref().filter(|list| list.is_current(spec)) {
            return Ok(Some(Arc::clone(list)));
        }
        // A list that became wrong must not leave the one before in use.
        held.list = None;
        let list = Arc::new(List::read(spec)?);
        held.list = Some(Arc::clone(&list));
        Ok(Some(list))
    }

    fn choose(
        &self,
        asking: Asking<'_>,
        snapshot: &Arc<Snapshot>,
        ledger: &Ledger,
        form: &IdForm,
        list: Option<&List>,
        seen: Seen,
    ) -> Result<Chosen, OptOutError> {
        let Asking { dataset, purpose, k, now } = asking;
        let manifest = snapshot.manifest();
        let subjects = snapshot::subject_ids(&self.snapshots, manifest)?;
        if manifest.ids.is_none_or(|ids| ids.form != form.digest()) {
            return Err(OptOutError::Form { dataset: dataset.name.clone() });
        }
        let listed = list.into_iter().flat_map(|list| &list.optouts).filter(|optout| optout.holds(purpose, now));
        let listed: HashSet<Token> =
            listed.filter_map(|optout| form.of_listed(&optout.subject, &dataset.contract)).collect();
        let used = self.used(dataset, ledger, form)?;
        // Where a row is a patient, its token is good for one snapshot only.
        let lasting = !matches!(dataset.contract.subject(), Subject::Row);
        let mut used: Vec<&Used> = used.iter().filter(|used| lasting || used.snapshot == manifest.content).collect();
        // The study's own last set stands last, so that it stays as long as it fits.
        used.sort_by_key(|used| used.snapshot == manifest.content && used.purpose == purpose);
        let used = used.into_iter();
        let used: Vec<&Set> = used.map(|used| &used.patients).collect();
        let wanted: HashSet<Token> = used.iter().copied().flatten().chain(&listed).copied().collect();
        let mut numbers = subjects.numbers(&wanted);
        let mut out: Set = listed.iter().filter(|token| numbers.contains_key(*token)).copied().collect();
        for number in &subjects.flagged {
            if let Some(token) = subjects.tokens.get(*number as usize) {
                out.insert(*token);
                numbers.insert(*token, *number);
            }
        }
        let here = |set: &Set| set.iter().filter(|token| numbers.contains_key(*token)).copied().collect::<Set>();
        let mut before: Vec<Set> = used.into_iter().map(here).collect();
        if before.is_empty() && ledger.has_reservation()? {
            before.push(Set::new());
        }
        if self.stepless {
            before.clear();
        }
        let all = subjects.tokens.len() as u32;
        let seed =
            Digest::of("bocage/optout-seed/1", &[manifest.content.as_bytes(), state::set_digest(&out).as_bytes()]);
        let mut drawn = HashMap::new();
        let mut turns = 0..DRAWS * u64::from(all).min(DRAWN_FROM);
        let draw = || {
            let number = form.draw(&seed, turns.next()?, all);
            let token = *subjects.tokens.get(number as usize)?;
            drawn.insert(token, number);
            Some(token)
        };
        let patients = sets::choose(&out, &before, k as usize, draw).map_err(|Settling| OptOutError::Settling)?;
        let number = |token: &Token| numbers.get(token).or_else(|| drawn.get(token)).copied();
        let numbers: Vec<u32> = patients.iter().filter_map(number).collect();
        tracing::info!(
            dataset = dataset.name,
            listed = listed.len(),
            opted_out = out.len(),
            left_out = numbers.len(),
            "looked up who opted out"
        );
        let ids = manifest.ids.map(|ids| ids.content).unwrap_or(manifest.content);
        let set = Digest::of("bocage/left-out/1", &[ids.as_bytes(), state::set_digest(&patients).as_bytes()]);
        let offered = Offered::new(Arc::clone(snapshot), Some(LeftOut { numbers: &numbers, set }));
        let (offered, durable) = (Arc::new(offered), AtomicBool::new(false));
        Ok(Chosen { offered, patients, concerned: true, durable, seen })
    }

    /// The sets before.
    fn used(&self, dataset: &Dataset, ledger: &Ledger, form: &IdForm) -> Result<Vec<Used>, OptOutError> {
        let path = self.path(dataset);
        if let Some(used) = state::load(&path, &form.digest())? {
            return Ok(used);
        }
        // The file is written before the record is.
        let known = Purpose::ALL.iter().map(|(_, purpose)| ledger.optouts(&dataset.name, *purpose));
        for known in known {
            if known?.is_some() {
                return Err(StateError::Gone { path }.into());
            }
        }
        Ok(Vec::new())
    }
}
