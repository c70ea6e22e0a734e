//! Which snapshot a study is computed on, and taking those that are missing. The only place of the custodian that opens a source.
//!
//! It must never say in an answer why a snapshot cannot be used: that is the site's own affair and goes to its log.

use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Catalogue, Offer, Reply};

use super::Custodian;
use super::ledger::bodies::SnapshotTaken;
use super::ledger::{Entry, Kind, Ledger, LedgerError};
use super::server::refused;
use super::snapshot::{self, Manifest, Snapshot, SnapshotError, stale_reason};
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

/// Takes a snapshot, makes it the one that later studies are computed on, and records it. Safe beside a running custodian.
///
/// # Errors
/// See [`RefreshError`].
pub fn refresh(
    config: &CustodianConfig,
    ledger: &Ledger,
    dataset: &Dataset,
    why: &str,
    now: Timestamp,
) -> Result<Manifest, RefreshError> {
    let manifest = snapshot::take(&config.state.snapshots(), &dataset.spec, &dataset.contract, now)?;
    let body = SnapshotTaken {
        dataset: dataset.name.clone(),
        contract: manifest.contract.clone(),
        content: manifest.content,
        why: why.to_owned(),
    };
    ledger.append(now, &[Entry::of_site(Kind::Snapshot, &body)])?;
    Ok(manifest)
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
        None => Ok(manifest),
        Some(reason) => Err(reason.to_string()),
    }
}

impl Custodian {
    /// Takes a snapshot of every dataset that has no usable one. A dataset whose source fails is offered without.
    pub fn take_missing_snapshots(&self) {
        for dataset in self.config.datasets.values() {
            let Err(reason) = usable(&self.config, dataset) else { continue };
            let reason = reason.lines().next().unwrap_or_default();
            tracing::info!(dataset = dataset.name, reason, "taking a snapshot");
            match refresh(&self.config, &self.ledger, dataset, "start", self.clock.now()) {
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
        .hint("the site's operator runs `bocage-node datasets refresh`; the node's log has the cause")
}
