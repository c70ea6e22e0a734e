//! Opt-outs: patients whose data no study may use, for some purposes or for all. They come before every other rule, and a site that
//! does not know who opted out answers nothing.
//!
//! ```text
//! list (CSV) ────────────────────┐
//! optout = "…" (of each source) ─┴─▶ who opted out ─▶ sets: with whom they leave ─▶ Offered ─▶ engine
//!                                                         └─ groups, durable before they are computed on; a record in the ledger
//! ```
//! Nothing here may say who or how few opted out: a requester learns a code, the log has counts and lines, never an id.

mod choose;
mod columns;
mod ids;
mod known;
mod list;
mod moved;
mod rounds;
mod sets;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bocage_net::secret::SecretError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::{Purpose, SecretKey};

use super::controls::{Control, Controls};
use super::ledger::bodies::OptOutsChanged;
use super::ledger::{Entry, Kind, Ledger, LedgerError};
use super::snapshot::{Manifest, Offered, Snapshot, SnapshotError};
use crate::config::{CustodianConfig, Dataset};

pub use columns::{OptOutScope, names_patients, speaks_for_all};
pub use ids::{IdForm, IdKey, SubjectIds, Token, composed};
pub use known::{Known, OfList, known, nearly_used_up};
pub use list::{List, ListError, numbers_only};
pub use moved::{Lacking, MovedPart};
pub use sets::{Room, Set, Settling};
pub use spec::OptOutSpec;
pub use state::{StateError, Used};

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
    /// A source says who opted out of all datasets, and has no snapshot.
    #[error(
        "{dataset} says by its `optout` who opted out of all datasets, and its snapshot cannot be used: {reason}\n  hint: take one with `bocage node datasets refresh {dataset}`; or optout_scope = \"dataset\", if its opt-outs are about itself alone"
    )]
    Column {
        /// The dataset.
        dataset: String,
        /// Why.
        reason: String,
    },
    /// The sets before.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Too few patients have changed.
    #[error(
        "too few patients are left to leave out with those who opted out\n  hint: it ends when k patients who are not left out yet have opted out together (k: the largest threshold of the policy), or with a dataset of more patients"
    )]
    Settling,
    /// Others are to be left out than when the study began.
    #[error("patients have opted out since the study began")]
    Changed,
}

impl From<&OptOutError> for PublicError {
    fn from(error: &OptOutError) -> Self {
        match error {
            OptOutError::Settling => {
                PublicError::new(ErrorCode::OptoutsSettling, "the site waits until enough opt-outs have come together")
                    .hint("the site answers again by itself; its steward finds the cause in the node's log")
            }
            OptOutError::Ledger(error) => PublicError::from(error),
            OptOutError::Changed => changed(),
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
    /// The snapshots in use whose sources say who opted out of all datasets.
    pub said: &'a [Manifest],
    /// What for.
    pub purpose: Purpose,
    /// The least number of patients by which two answers may differ.
    pub k: u32,
    /// When.
    pub now: Timestamp,
    /// Whether the study began before, so that nobody else can be left out for it.
    pub begun: bool,
}

/// What is offered to a study, and who is left out.
pub struct Chosen {
    /// The rows.
    pub offered: Arc<Offered>,
    patients: Set,
    /// The groups that are about the snapshot.
    here: Vec<moved::Here>,
    /// How many groups there were.
    made: u64,
    /// Whether opt-outs are a matter of this dataset at all.
    concerned: bool,
    /// Whether state and ledger know the set.
    durable: AtomicBool,
    seen: Seen,
}

impl Chosen {
    /// The digest of the groups that are left out; none if none is.
    pub fn groups_out(&self) -> Option<Digest> {
        moved::out_now(&self.here).map(|out| out.digest)
    }
}

/// What a choice depends on.
#[derive(Clone, PartialEq, Eq, Default)]
struct Seen {
    snapshot: Option<Digest>,
    ids: Option<Digest>,
    list: Option<Digest>,
    columns: Vec<Digest>,
    today: i32,
    k: u32,
}

/// Whether the patients of a dataset are known again: so that they can opt out, or be found in the site's other datasets.
pub fn identified(config: &CustodianConfig, dataset: &Dataset) -> bool {
    concerns(config, dataset) || names_patients(dataset)
}

/// A node's opt-outs. Everything is looked at anew before each round, and kept as long as nothing changed.
pub struct OptOuts {
    spec: Option<OptOutSpec>,
    /// The source of a dataset says who opted out of all.
    spoken: bool,
    /// Every patient of the site is a whole number.
    numbers: bool,
    /// Where the groups are kept.
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
    columns: Arc<columns::Columns>,
    chosen: HashMap<(String, Purpose), Arc<Chosen>>,
}

/// Whether patients of a dataset can opt out by the configuration.
pub fn concerns(config: &CustodianConfig, dataset: &Dataset) -> bool {
    concerned(config.optouts.is_some(), columns::any(config), dataset)
}

/// The same, where there is a list or not, and a source that speaks for all or none.
fn concerned(list: bool, spoken: bool, dataset: &Dataset) -> bool {
    list || dataset.spec.optout.is_some() || (spoken && names_patients(dataset))
}

impl OptOuts {
    /// Those of a configuration.
    pub fn new(config: &CustodianConfig, controls: Controls) -> Self {
        Self {
            spec: config.optouts.clone(),
            spoken: columns::any(config),
            numbers: numbers_only(config.datasets.values()),
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
        concerned(self.spec.is_some(), self.spoken, dataset).then(|| self.site_form(key)).transpose()
    }

    /// How patients are known again in all datasets of the site.
    ///
    /// # Errors
    /// The salt cannot be read.
    pub fn site_form(&self, key: &SecretKey) -> Result<IdForm, SecretError> {
        IdForm::of(self.spec.as_ref(), key)
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
            return Ok(Arc::new(Chosen {
                offered,
                patients,
                here: Vec::new(),
                made: 0,
                concerned: false,
                durable,
                seen: Seen::default(),
            }));
        };
        let (list, columns) = (self.list()?, self.columns(asking.said, &form)?);
        let manifest = snapshot.manifest();
        let seen = Seen {
            snapshot: Some(manifest.content),
            ids: manifest.ids.map(|ids| ids.content),
            list: list.as_ref().map(|list| list.digest),
            columns: columns.of.clone(),
            today: list::today(now),
            k: asking.k,
        };
        let at = (dataset.name.clone(), purpose);
        let mut held = self.held();
        if let Some(chosen) = held.chosen.get(&at).filter(|chosen| chosen.seen == seen) {
            return Ok(Arc::clone(chosen));
        }
        // The lock is held: what is chosen here may make groups.
        let said = choose::Said { list: list.as_deref(), columns: &columns };
        let chosen = Arc::new(self.choose(asking, snapshot, ledger, &form, &said, seen)?);
        // An older snapshot is to be closed when nobody else has it open, and what was chosen before a group was made may lack it.
        let stands = |other: &Chosen| other.seen.snapshot == chosen.seen.snapshot && other.made == chosen.made;
        held.chosen.retain(|(name, _), other| *name != dataset.name || stands(other));
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
        let Some(form) = self.form(dataset, key)? else { return Ok(()) };
        let _one_writer = self.held();
        let snapshot = chosen.offered.manifest().content;
        let patients = chosen.patients.clone();
        let new = Used { snapshot, purpose, set: state::set_digest(&patients), patients };
        let mut kept = self.kept(dataset, ledger, &form)?;
        let last = kept.last.iter().find(|used| used.purpose == purpose);
        let changed = last.map(|last| sets::distance(&last.patients, &new.patients) as u64);
        let groups = moved::out_now(&chosen.here).filter(|out| !kept.out.contains(out));
        let renewed = last != Some(&new) && (last.is_some() || !new.patients.is_empty());
        if renewed || groups.is_some() {
            kept.last.retain(|used| used.purpose != purpose);
            kept.last.push(new.clone());
            kept.out.extend(groups);
            state::store(&self.path(dataset), &form.digest(), kept.clone())?;
        }
        let recorded = ledger.optouts(&dataset.name, purpose)?.map(|body| body.set);
        if recorded.unwrap_or_else(|| state::set_digest(&Set::new())) != new.set {
            let (dataset, set, groups) = (dataset.name.clone(), new.set, kept.made);
            let body = OptOutsChanged { dataset: dataset.clone(), purpose, snapshot, set, changed, groups };
            ledger.append(now, &[Entry::of_site(Kind::OptOuts, &body)])?;
            tracing::info!(dataset, "the patients who are left out have changed");
        }
        chosen.durable.store(true, Ordering::Release);
        Ok(())
    }

    /// The groups behind these digests of the ledger.
    fn groups_out(
        &self,
        dataset: &Dataset,
        sets: &[Option<Digest>],
        ledger: &Ledger,
        key: &SecretKey,
    ) -> Result<Vec<BTreeSet<Digest>>, OptOutError> {
        let Some(form) = self.form(dataset, key)? else { return Ok(Vec::new()) };
        let kept = self.kept(dataset, ledger, &form)?;
        let groups = |set: &Option<Digest>| match set {
            None => Ok(BTreeSet::new()),
            Some(set) => {
                let known = kept.out.iter().find(|out| out.digest == *set).map(|out| out.groups.clone());
                known.ok_or_else(|| StateError::Older { path: self.path(dataset) }.into())
            }
        };
        sets.iter().map(groups).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, dataset: &Dataset) -> PathBuf {
        self.dir.join(format!("{}.json", dataset.name))
    }

    /// The list, read again where its file is another than before.
    fn list(&self) -> Result<Option<Arc<List>>, ListError> {
        let Some(spec) = &self.spec else { return Ok(None) };
        let mut held = self.held();
        if let Some(list) = held.list.as_ref().filter(|list| list.is_current(spec)) {
            return Ok(Some(Arc::clone(list)));
        }
        // A list that became wrong must not leave the one before in use.
        held.list = None;
        let list = Arc::new(List::read(spec, self.numbers)?);
        held.list = Some(Arc::clone(&list));
        Ok(Some(list))
    }
}
