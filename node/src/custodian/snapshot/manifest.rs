//! What a snapshot says about itself, kept beside its rows. It holds counts below every threshold: it must never leave the
//! hospital.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use bocage_protocol::contract::Contract;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ColumnName, ContractId, Digest};
use serde::{Deserialize, Serialize};

use crate::custodian::source::{DatasetSpec, Report};

/// The format that this version writes.
pub(super) const FORMAT: u32 = 1;

/// A snapshot's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this file's form.
    pub format: u32,
    /// The dataset.
    pub dataset: String,
    /// SHA-256 of the file that holds the rows. It never leaves the site.
    pub content: Digest,
    /// The contract.
    pub contract: ContractId,
    /// The contract's hash: codes are positions in its lists.
    pub contract_hash: Digest,
    /// The digest of the dataset's settings in `node.toml`.
    pub settings: Digest,
    /// Where the rows came from.
    pub source: PathBuf,
    /// Size of the source.
    pub source_bytes: u64,
    /// The mapping, as written.
    pub map: BTreeMap<ColumnName, String>,
    /// Columns that the site does not collect.
    pub absent: BTreeSet<ColumnName>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// Why: see [`crate::ingest::Why`].
    #[serde(default)]
    pub why: String,
    /// Rows.
    pub rows: u64,
    /// Patients.
    pub subjects: u32,
    /// What was found on the way.
    pub report: Report,
    /// The snapshots of other datasets, by name, that rules were held against.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub against: BTreeMap<String, Digest>,
    /// How its patients are known again, where they have ids or can opt out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<IdsFile>,
}

/// The file beside the rows by which patients are known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdsFile {
    /// SHA-256 of its bytes.
    pub content: Digest,
    /// The digest of key and salt.
    pub form: Digest,
    /// Whether it names those who opted out and have no row in the snapshot, too.
    #[serde(default)]
    pub strangers: bool,
}

/// Why a snapshot no longer is what the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The contract's content changed.
    Contract,
    /// The dataset's source or mapping changed.
    Settings,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stale::Contract => "it was taken under another version of the contract",
            Stale::Settings => "the dataset's source or mapping was changed since it was taken",
        })
    }
}

/// Why a snapshot must be taken again, if it must. A change of the source's rows is no reason: snapshots are frozen.
pub fn stale_reason(manifest: &Manifest, spec: &DatasetSpec, contract: &Contract) -> Option<Stale> {
    if manifest.contract != *contract.id() || manifest.contract_hash != contract.hash() {
        return Some(Stale::Contract);
    }
    (manifest.settings != spec.digest()).then_some(Stale::Settings)
}
