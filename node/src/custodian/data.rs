//! Which snapshot a study is computed on: those that are due are asked for, and those that were taken are adopted, which means that the ledger says
//! so before anything is computed on them.
//!
//! The custodian opens no source: an [`Ingest`] does, in a process of its own. It must never say in an answer why a snapshot cannot be used: that is the
//! site's own affair and goes to its log.

use std::sync::{Arc, PoisonError};

use bocage_net::secret::SecretError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Catalogue, Offer, Particular, Particulars, Reply};

use super::ledger::bodies::SnapshotTaken;
use super::ledger::{Entry, Kind, Ledger, LedgerError};
use super::optout::{self, IdForm};
use super::others::{Others, in_order};
use super::schedule::{Known, due};
use super::server::{busy, refused};
use super::snapshot::{self, Manifest, Size, Snapshot, SnapshotError, stale_reason};
use super::{Custodian, Progress};
use crate::config::{CustodianConfig, Dataset, Refresh};
use crate::ingest::attempt::{Unfinished, unfinished};
use crate::ingest::{Ingest, Why};

/// How long it may take until an ingest that was asked for begins: others may run before it.
const BEGIN_MS: i64 = 60_000;

/// Why a snapshot was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The source, its mapping or the disk.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It was taken, but the ledger does not know it.
    #[error("the snapshot was taken, but not recorded: {0}")]
    Ledger(#[from] LedgerError),
}

/// Takes a snapshot, with a `form` where its patients are known again, and adopts it, all in this process: for those who run a custodian without a supervisor.
///
/// # Errors
/// See [`RefreshError`].
pub fn refresh(
    config: &CustodianConfig,
    ledger: &Ledger,
    dataset: &Dataset,
    form: Option<&IdForm>,
    why: Why,
    now: Timestamp,
) -> Result<Manifest, RefreshError> {
    let (others, size) = (&Others::of(config, dataset, form), Size::default());
    let ingest = Ingest { state: &config.state, rules: config.snapshots, dataset, form, others, size };
    let manifest = ingest.run(why, now, &|_| true)?;
    record(config, ledger, &manifest, now)?;
    Ok(manifest)
}

/// Writes into the ledger that a snapshot is in use, and removes those that need not stay.
fn record(config: &CustodianConfig, ledger: &Ledger, manifest: &Manifest, now: Timestamp) -> Result<(), LedgerError> {
    let body = SnapshotTaken {
        dataset: manifest.dataset.clone(),
        contract: manifest.contract.clone(),
        content: manifest.content,
        why: manifest.why.clone(),
    };
    ledger.append(now, &[Entry::of_site(Kind::Snapshot, &body)])?;
    retire(config, ledger, &manifest.dataset, now);
    Ok(())
}

/// Removes the dataset's snapshots that need not stay. What cannot be removed only takes room.
fn retire(config: &CustodianConfig, ledger: &Ledger, dataset: &str, now: Timestamp) {
    let pinned = match ledger.pinned(now) {
        Ok(pinned) => pinned.into_keys().collect(),
        Err(error) => return tracing::warn!(dataset, %error, "old snapshots stay: the ledger cannot be read"),
    };
    match snapshot::retire(&config.state.snapshots(), dataset, config.snapshots.keep as usize, &pinned) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(dataset, removed, "removed old snapshots"),
        Err(error) => tracing::warn!(dataset, %error, "old snapshots could not be removed"),
    }
}

/// The manifest of a dataset's snapshot in use, if it is what the configuration asks for.
///
/// # Errors
/// A sentence for the site's own people.
pub fn usable(config: &CustodianConfig, dataset: &Dataset) -> Result<Manifest, String> {
    let dir = config.state.snapshots();
    let manifest = snapshot::current(&dir, &dataset.name)
        .and_then(|content| snapshot::manifest(&dir, &dataset.name, &content))
        .map_err(|e| e.to_string())?;
    match stale_reason(&manifest, &dataset.spec, &dataset.contract) {
        None if optout::speaks_for_all(dataset) && manifest.ids.is_some_and(|ids| !ids.strangers) => {
            Err("it was taken when opt-outs of a source counted in its own dataset alone".to_owned())
        }
        None if manifest.ids.is_none() && optout::identified(config, dataset) => {
            Err("it was taken without the patients' tokens, by which they are known again".to_owned())
        }
        None => Ok(manifest),
        Some(reason) => Err(reason.to_string()),
    }
}

impl Custodian {
    /// The datasets whose snapshot is due to be taken, and why; each behind those that its rules look into.
    fn due(&self, starting: bool) -> Vec<(&Dataset, Why)> {
        let now = self.clock.now();
        let due = |dataset: &'_ Dataset| {
            let usable = usable(&self.config, dataset);
            let known = usable.as_ref().is_ok_and(|manifest| self.knows_its_patients(dataset, manifest));
            let failed = match unfinished(self.snapshots.dir(), &dataset.name) {
                Some(Unfinished::Runs(_)) => return None,
                Some(Unfinished::Failed(attempt)) => Some(attempt),
                None => None,
            };
            let found = usable.as_ref().ok().filter(|_| known);
            let found = Known { usable: found, failed: failed.as_ref(), starting };
            let why = due(dataset, &found, now)?;
            let reason = match (&usable, why) {
                (Err(reason), _) => reason.lines().next().unwrap_or_default(),
                (_, Why::Epoch) => "it is older than snapshots.epoch_days",
                (_, Why::Schedule) if dataset.refresh == Refresh::OptOuts => {
                    "it is older than a day, and its source says who opted out"
                }
                (_, Why::Schedule) => "it is older than the dataset's refresh",
                _ => "the release key or the salt of opt-outs was changed since it was taken",
            };
            tracing::info!(dataset = dataset.name, reason, "taking a snapshot");
            Some(why)
        };
        in_order(&self.config.datasets).into_iter().filter_map(|dataset| Some((dataset, due(dataset)?))).collect()
    }

    /// Asks the supervisor for the snapshots that are due: of every dataset that has no usable one, or one that is too old.
    pub fn ask_for_due_snapshots(&self, starting: bool) {
        let now = self.clock.now();
        for (dataset, why) in self.due(starting) {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let before = asked.entry(dataset.name.clone()).or_insert(now);
            // An ingest that does not begin is not waited for again and again, but after one that failed it is.
            if self.failed_since(dataset, *before) {
                *before = now;
            }
            drop(asked);
            (self.progress)(Progress::Due { dataset: dataset.name.clone(), why });
        }
    }

    /// Whether an ingest of a dataset has failed that began at this time or later.
    fn failed_since(&self, dataset: &Dataset, since: Timestamp) -> bool {
        let attempt = unfinished(self.snapshots.dir(), &dataset.name);
        matches!(attempt, Some(Unfinished::Failed(attempt)) if attempt.began_at >= since)
    }

    /// Whether a snapshot of a dataset is on its way: an ingest runs, or was asked for and should begin soon.
    pub(super) fn is_awaited(&self, dataset: &Dataset) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&dataset.name).copied();
        let Some(asked) = asked else { return false };
        let soon = (0..BEGIN_MS).contains(&self.clock.now().since_ms(asked));
        let runs = matches!(unfinished(self.snapshots.dir(), &dataset.name), Some(Unfinished::Runs(_)));
        runs || (soon && !self.failed_since(dataset, asked))
    }

    /// Takes the snapshots that are due in this process, where there is no supervisor. A dataset whose source fails is offered without, or with the one
    /// before.
    pub fn take_due_snapshots(&self) {
        for (dataset, why) in self.due(true) {
            let taken = self.token_form(dataset).map_err(|error| error.to_string());
            let taken = taken.and_then(|form| {
                refresh(&self.config, &self.ledger, dataset, form.as_ref(), why, self.clock.now())
                    .map_err(|error| error.to_string())
            });
            if let Err(error) = taken {
                tracing::error!(dataset = dataset.name, error, "no snapshot could be taken");
            }
        }
    }

    /// Adopts the snapshots that were taken since the last look.
    pub fn adopt_new_snapshots(&self) {
        for dataset in self.config.datasets.values() {
            let moved = snapshot::moved_at(self.snapshots.dir(), &dataset.name);
            let known = self.adopted.lock().unwrap_or_else(PoisonError::into_inner).get(&dataset.name).copied();
            if moved.is_some()
                && moved != known
                && let Ok(manifest) = usable(&self.config, dataset)
                && let Err(error) = self.adopt(&manifest)
            {
                tracing::error!(dataset = dataset.name, %error, "a new snapshot could not be recorded");
            }
        }
    }

    /// Removes what ingests left that nobody goes on with.
    pub(super) fn sweep_snapshots(&self) {
        let known = |dataset: &str| self.config.datasets.contains_key(dataset);
        match snapshot::sweep(self.snapshots.dir(), &known, self.clock.now()) {
            Ok(swept) => swept
                .iter()
                .for_each(|dataset| tracing::info!(dataset, "removed the rows of an ingest that nobody went on with")),
            Err(error) => tracing::warn!(%error, "what ingests left could not be looked through"),
        }
    }

    /// Writes a snapshot into the ledger, unless it stands there.
    fn adopt(&self, manifest: &Manifest) -> Result<(), LedgerError> {
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(moved) = snapshot::moved_at(self.snapshots.dir(), &manifest.dataset) else { return Ok(()) };
        if adopted.get(&manifest.dataset) == Some(&moved) {
            return Ok(());
        }
        let last = self.ledger.snapshot(&manifest.dataset)?;
        if !last.is_some_and(|(at, taken)| taken.content == manifest.content && at >= manifest.created_at) {
            record(&self.config, &self.ledger, manifest, self.clock.now())?;
        }
        adopted.insert(manifest.dataset.clone(), moved);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&manifest.dataset);
        tracing::info!(dataset = manifest.dataset, snapshot = manifest.content.short(), "the snapshot is in use");
        Ok(())
    }

    /// Whether a snapshot's patients can be found in the list as it is written now, and in other datasets. Where that cannot be told, a new one
    /// would not help.
    fn knows_its_patients(&self, dataset: &Dataset, manifest: &Manifest) -> bool {
        let form = self.token_form(dataset);
        form.is_ok_and(|form| form.is_none_or(|form| manifest.ids.is_some_and(|ids| ids.form == form.digest())))
    }

    /// How the patients of a dataset are known again, where they are.
    fn token_form(&self, dataset: &Dataset) -> Result<Option<IdForm>, SecretError> {
        optout::identified(&self.config, dataset).then(|| self.optouts.site_form(&self.release_key)).transpose()
    }

    /// The frame that says what this site offers.
    pub fn catalogue(&self) -> Vec<u8> {
        let offer = |dataset: &Dataset| Offer {
            contract: dataset.contract.id().clone(),
            hash: dataset.contract.hash(),
            snapshot_at: usable(&self.config, dataset).ok().map(|m| m.created_at),
            needs_permit: !self.config.trust.researchers.iter().any(|researcher| {
                researcher.datasets.as_ref().is_none_or(|datasets| datasets.contains(dataset.contract.id()))
            }),
        };
        let datasets = self.config.datasets.values().map(offer).collect();
        codec::encode(&Reply::Catalogue(Catalogue { datasets })).unwrap_or_else(|e| refused(PublicError::from(e)))
    }

    /// The frame that says what is to be known of the datasets before one is asked about them, to a coordinator that holds the contracts `known`. Where
    /// there is no room for all columns, later datasets go without.
    pub fn particulars(&self, known: &[Digest]) -> Vec<u8> {
        let mut room = limits::PARTICULAR_COLUMNS;
        let mut takes = |columns: usize| {
            let fits = columns <= room;
            room -= if fits { columns } else { 0 };
            fits
        };
        let mut datasets = Vec::new();
        for Dataset { contract, spec, .. } in self.config.datasets.values() {
            if !takes(spec.absent.len()) {
                continue;
            }
            let unknown = !known.contains(&contract.hash()) && takes(contract.columns().len());
            datasets.push(Particular {
                contract: contract.id().clone(),
                absent: spec.absent.iter().cloned().collect(),
                columns: unknown.then(|| contract.traits()),
            });
        }
        let reply = Reply::Particulars(Particulars { datasets });
        codec::encode(&reply).unwrap_or_else(|e| refused(PublicError::from(e)))
    }

    /// The snapshot that a study's first round pinned, or the one in use now.
    pub(super) fn snapshot_for(&self, dataset: &Dataset, pinned: Option<Digest>) -> Result<Arc<Snapshot>, PublicError> {
        let opened = match pinned {
            Some(content) => self.snapshots.get(&dataset.name, &content).map_err(|e| e.to_string()),
            None => match usable(&self.config, dataset) {
                Err(_) if self.is_awaited(dataset) => return Err(busy()),
                usable => usable.and_then(|manifest| {
                    self.adopt(&manifest).map_err(|e| e.to_string())?;
                    self.snapshots.of(&manifest).map_err(|e| e.to_string())
                }),
            },
        };
        opened.map_err(|reason| {
            let reason = reason.lines().next().unwrap_or_default();
            tracing::error!(dataset = dataset.name, reason, "the snapshot cannot be used");
            unavailable()
        })
    }
}

/// The refusal of a round whose dataset has no usable snapshot.
pub(super) fn unavailable() -> PublicError {
    PublicError::new(ErrorCode::SnapshotUnavailable, "the site has no usable snapshot of the dataset")
        .hint("the site's operator runs `bocage node datasets refresh`, and restarts the node where node.toml was changed; its log has the cause")
}

#[cfg(test)]
mod tests;
