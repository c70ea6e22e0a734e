//! Which snapshot a study is computed on, and taking those that are missing. The only place of the custodian that opens a source.
//!
//! It must never say in an answer why a snapshot cannot be used: that is the site's own affair and goes to its log.

use std::sync::Arc;

use bocage_net::secret::SecretError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Catalogue, Offer, Particular, Particulars, Reply};

use super::Custodian;
use super::ledger::bodies::SnapshotTaken;
use super::ledger::{Entry, Kind, Ledger, LedgerError};
use super::optout::{self, IdForm};
use super::server::refused;
use super::snapshot::{self, Floor, Manifest, Snapshot, SnapshotError, SystemDisk, Taking, stale_reason};
use crate::config::{CustodianConfig, Dataset};

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

/// Takes a snapshot, with a `form` where its patients are known again, makes it the one that later studies are computed on, and records it. Safe beside a running custodian.
///
/// # Errors
/// See [`RefreshError`].
pub fn refresh(
    config: &CustodianConfig,
    ledger: &Ledger,
    dataset: &Dataset,
    form: Option<&IdForm>,
    why: &str,
    now: Timestamp,
) -> Result<Manifest, RefreshError> {
    let dir = config.state.snapshots();
    let floor = Floor { disk: &SystemDisk, bytes: u64::from(config.snapshots.min_free_mib) << 20 };
    let taking = Taking { floor, form, ..Taking::into(&dir) };
    let manifest = taking.take(&dataset.spec, &dataset.contract, now)?;
    let body = SnapshotTaken {
        dataset: dataset.name.clone(),
        contract: manifest.contract.clone(),
        content: manifest.content,
        why: why.to_owned(),
    };
    ledger.append(now, &[Entry::of_site(Kind::Snapshot, &body)])?;
    retire(config, ledger, &dataset.name, now);
    Ok(manifest)
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

/// Whether a snapshot is older than an epoch. One that seems to come from the future is not.
fn outlived(manifest: &Manifest, epoch_days: u32, now: Timestamp) -> bool {
    epoch_days > 0 && now.since_ms(manifest.created_at) >= i64::from(epoch_days) * 86_400_000
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
        None if manifest.ids.is_none() && optout::identified(config, dataset) => {
            Err("it was taken without the patients' tokens, by which they are known again".to_owned())
        }
        None => Ok(manifest),
        Some(reason) => Err(reason.to_string()),
    }
}

impl Custodian {
    /// Takes a snapshot of every dataset that has no usable one, or one older than an epoch. A dataset whose source fails is
    /// offered without, or with the one before.
    pub fn take_due_snapshots(&self) {
        for dataset in self.config.datasets.values() {
            let (why, reason) = match usable(&self.config, dataset) {
                Ok(manifest) if outlived(&manifest, self.config.snapshots.epoch_days, self.clock.now()) => {
                    ("epoch", "it is older than snapshots.epoch_days".to_owned())
                }
                Ok(manifest) if self.knows_its_patients(dataset, &manifest) => continue,
                Ok(_) => ("start", "the release key or the salt of opt-outs was changed since it was taken".to_owned()),
                Err(reason) => ("start", reason),
            };
            let reason = reason.lines().next().unwrap_or_default();
            tracing::info!(dataset = dataset.name, reason, "taking a snapshot");
            let form = match self.token_form(dataset) {
                Ok(form) => form,
                Err(error) => {
                    tracing::error!(dataset = dataset.name, %error, "no snapshot could be taken");
                    continue;
                }
            };
            match refresh(&self.config, &self.ledger, dataset, form.as_ref(), why, self.clock.now()) {
                Ok(manifest) => {
                    tracing::info!(
                        dataset = dataset.name,
                        snapshot = manifest.content.short(),
                        "the snapshot is in use"
                    );
                }
                Err(error) => tracing::error!(dataset = dataset.name, %error, "no snapshot could be taken"),
            }
        }
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

    /// Whether snapshots are taken by the calendar.
    pub(super) fn has_epochs(&self) -> bool {
        self.config.snapshots.epoch_days > 0
    }

    /// The frame that says what this site offers.
    pub fn catalogue(&self) -> Vec<u8> {
        let offer = |dataset: &Dataset| Offer {
            contract: dataset.contract.id().clone(),
            hash: dataset.contract.hash(),
            snapshot_at: usable(&self.config, dataset).ok().map(|m| m.created_at),
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
            None => usable(&self.config, dataset)
                .and_then(|m| self.snapshots.get(&dataset.name, &m.content).map_err(|e| e.to_string())),
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
mod tests {
    use super::*;
    use crate::config::environment::read_release_key;
    use crate::custodian::Switches;
    use crate::custodian::snapshot::held;
    use crate::fixture::{NOW, Site, Still};

    const DAY_SECS: i64 = 86_400;

    fn at(site: &Site, now: Timestamp) -> Custodian {
        let config = site.config();
        std::fs::create_dir_all(&config.state.0).unwrap();
        let ledger = Ledger::open(&config.state.ledger()).unwrap();
        let key = read_release_key(&config.release_key_file).unwrap();
        Custodian::new(config, ledger, key, Arc::new(Still(now)), Arc::new(|_| {}), Switches::default())
    }

    /// Other rows in the source, so that a new snapshot is another one.
    fn grow(site: &Site, by: usize) {
        let mut text = std::fs::read_to_string(site.path("heart.csv")).unwrap();
        text.push_str(&"40,1,200\n".repeat(by));
        std::fs::write(site.path("heart.csv"), text).unwrap();
    }

    fn current(custodian: &Custodian) -> Digest {
        usable(&custodian.config, &custodian.config.datasets["heart"]).unwrap().content
    }

    #[test]
    fn a_running_node_takes_a_new_snapshot_when_an_epoch_is_over_and_not_before() {
        let site = Site::new();
        site.write_config("[snapshots]\nepoch_days = 30");
        let custodian = at(&site, NOW);
        custodian.take_due_snapshots();
        let first = current(&custodian);
        grow(&site, 1);
        for early in [NOW, NOW.plus_secs(30 * DAY_SECS - 1), NOW.plus_secs(-40 * DAY_SECS)] {
            at(&site, early).take_due_snapshots();
            assert_eq!(current(&custodian), first);
        }
        let over = NOW.plus_secs(30 * DAY_SECS);
        at(&site, over).take_due_snapshots();
        assert_ne!(current(&custodian), first);
        assert!(at(&site, over).has_epochs());
        // When the next one fails, the one before stays in use.
        let second = current(&custodian);
        std::fs::write(site.path("heart.csv"), "").unwrap();
        at(&site, over.plus_secs(31 * DAY_SECS)).take_due_snapshots();
        assert_eq!(current(&custodian), second);
    }

    #[test]
    fn without_epochs_a_snapshot_stays_for_ever() {
        let site = Site::new();
        let custodian = at(&site, NOW);
        custodian.take_due_snapshots();
        let first = current(&custodian);
        grow(&site, 1);
        at(&site, NOW.plus_secs(4000 * DAY_SECS)).take_due_snapshots();
        assert_eq!(current(&custodian), first);
        assert!(!custodian.has_epochs());
    }

    #[test]
    fn a_snapshot_stays_until_the_study_that_was_begun_on_it_expires() {
        let site = Site::new();
        site.write_config("[snapshots]\nkeep = 1\nmin_free_mib = 0");
        let custodian = at(&site, NOW);
        custodian.take_due_snapshots();
        let pinned = current(&custodian);
        let study = site.study();
        custodian.round(&site.request(&study));
        let (config, dataset) = (&custodian.config, &custodian.config.datasets["heart"]);
        let holds = |content: &Digest| {
            let held = held(&config.state.snapshots(), "heart").unwrap();
            held.iter().any(|h| h.manifest.content == *content)
        };
        let late = study.expires_at.plus_secs(301);
        assert_eq!(custodian.ledger.pinned(NOW).unwrap().get(&pinned).map(|pin| pin.studies), Some(1));
        assert!(custodian.ledger.pinned(late).unwrap().is_empty());
        for i in 1..=3 {
            grow(&site, i);
            refresh(config, &custodian.ledger, dataset, None, "refresh", NOW.plus_secs(i as i64)).unwrap();
        }
        assert!(holds(&pinned));
        assert_eq!(held(&config.state.snapshots(), "heart").unwrap().len(), 3, "current, one before, the pinned one");
        grow(&site, 9);
        refresh(config, &custodian.ledger, dataset, None, "refresh", late).unwrap();
        assert!(!holds(&pinned));
    }

    #[test]
    fn too_little_room_is_said_and_nothing_is_taken() {
        let site = Site::new();
        site.write_config("[snapshots]\nmin_free_mib = 4294967295");
        let custodian = at(&site, NOW);
        let dataset = &custodian.config.datasets["heart"];
        let error =
            refresh(&custodian.config, &custodian.ledger, dataset, None, "refresh", NOW).unwrap_err().to_string();
        assert!(error.contains("and 4294967295 MiB must stay free\n  hint: make room"), "{error}");
        assert!(usable(&custodian.config, dataset).is_err());
    }
}
