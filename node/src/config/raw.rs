//! Where settings come from, and how `node.toml` is spelt: one raw type for each section, read separately so that every problem is
//! reported at once. Nothing here knows what a setting means.

use std::path::{Path, PathBuf};

use bocage_daemon::log;
use bocage_protocol::settings::{Problem, Problems, read, read_partly};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// `BOCAGE_NODE__POLICY__THRESHOLD` sets `policy.threshold`.
pub const ENV_PREFIX: &str = "BOCAGE_NODE";

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `node.toml`.
    pub file: PathBuf,
    /// `--set key=value`, in order.
    pub overrides: Vec<(String, String)>,
}

impl Origin {
    /// The file, as messages name it.
    pub fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// What relative paths are relative to.
    pub fn base(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// [`Origin::base`] as it is spelt from everywhere: the digest of a dataset's settings holds its path, and must not say from where the
    /// command was given. Not for the state directory: a socket's path may not be long.
    pub(super) fn data_base(&self) -> PathBuf {
        let base = self.base();
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        base.canonicalize().unwrap_or_else(|_| base.to_owned())
    }
}

/// Every key of the file, so that a misspelt one can be told which it may have meant.
const KEYS: &[&str] = &[
    "network",
    "site",
    "state_dir",
    "run_dir",
    "agent_user",
    "require_sandbox",
    "require_whole_sandbox",
    "coordinator",
    "tls",
    "release",
    "contracts",
    "policy",
    "log",
    "trust",
    "dataset",
    "address",
    "tcp",
    "transport",
    "quic_again_secs",
    "proxy",
    "user",
    "password_file",
    "name",
    "ca_file",
    "cert_file",
    "key_file",
    "dir",
    "threshold",
    "query_secs",
    "snapshots",
    "keep",
    "min_free_mib",
    "epoch_days",
    "level",
    "format",
    "target",
    "stop_secs",
    "kind",
    "key",
    "mode",
    "datasets",
    "allow_without_permit",
    "ledger",
    "keep_payloads_days",
    "organisation",
    "contact",
    "dpo",
    "transfers",
    "steward",
    "message",
    "group",
    "notify_command",
    "notify_url",
    "notify_ca_file",
    "revocations_days",
    "decide",
    "rule",
    "access_body",
    "researcher",
    "purpose",
    "model_threshold",
    "max_cells",
    "quiet",
    "concurrent",
    "per_day",
    "two_persons",
    "models",
    "per_site_results",
    "never",
    "never_discovered",
    "refresh",
    "optout_scope",
    "optouts",
    "fhir_server",
    "url",
    "types",
    "since",
    "folder",
    "client_id",
    "key_id",
    "scope",
    "insecure",
];

/// The top of the file.
#[derive(Deserialize, Default)]
pub(super) struct RawTop {
    pub(super) network: Option<String>,
    pub(super) site: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) run_dir: Option<PathBuf>,
    pub(super) agent_user: Option<Value>,
    pub(super) stop_secs: Option<u32>,
    pub(super) require_sandbox: Option<bool>,
    pub(super) require_whole_sandbox: Option<bool>,
    #[serde(default)]
    pub(super) coordinator: Value,
    #[serde(default)]
    pub(super) tls: Value,
    #[serde(default)]
    pub(super) release: Value,
    #[serde(default)]
    pub(super) contracts: Value,
    #[serde(default)]
    pub(super) policy: Value,
    #[serde(default)]
    pub(super) snapshots: Value,
    #[serde(default)]
    pub(super) ledger: Value,
    #[serde(default)]
    pub(super) organisation: Value,
    #[serde(default)]
    pub(super) steward: Value,
    #[serde(default)]
    pub(super) log: Value,
    #[serde(default)]
    pub(super) trust: Vec<Value>,
    #[serde(default)]
    pub(super) dataset: Map<String, Value>,
    #[serde(default)]
    pub(super) optouts: Value,
    #[serde(default)]
    pub(super) fhir_server: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct RawTls {
    pub(super) ca_file: PathBuf,
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
}

#[derive(Deserialize)]
pub(super) struct RawRelease {
    pub(super) key_file: PathBuf,
}

#[derive(Deserialize)]
pub(super) struct RawContracts {
    pub(super) dir: Option<PathBuf>,
}

/// `[policy]` without its [`RawSettings`].
#[derive(Deserialize)]
pub(super) struct RawPolicy {
    pub(super) query_secs: Option<u32>,
    pub(super) decide: Option<String>,
    #[serde(default)]
    pub(super) rule: Vec<Value>,
}

/// A rule without its [`RawSettings`].
#[derive(Deserialize)]
pub(super) struct RawRule {
    pub(super) access_body: Option<String>,
    pub(super) researcher: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) dataset: Option<String>,
    pub(super) decide: Option<String>,
}

/// What `[policy]` and its rules have in common.
#[derive(Deserialize, Default)]
pub(super) struct RawSettings {
    pub(super) threshold: Option<u32>,
    pub(super) model_threshold: Option<u32>,
    pub(super) max_cells: Option<u64>,
    pub(super) quiet: Option<Vec<String>>,
    pub(super) concurrent: Option<u32>,
    pub(super) per_day: Option<u32>,
    pub(super) two_persons: Option<bool>,
    pub(super) mode: Option<String>,
    pub(super) models: Option<String>,
    pub(super) per_site_results: Option<bool>,
}

impl RawSettings {
    /// Its keys.
    pub(super) const KEYS: &[&str] = &[
        "threshold",
        "model_threshold",
        "max_cells",
        "quiet",
        "concurrent",
        "per_day",
        "two_persons",
        "mode",
        "models",
        "per_site_results",
    ];
}

/// What a dataset never offers.
#[derive(Deserialize)]
pub(super) struct RawNever {
    #[serde(default)]
    pub(super) never: Vec<String>,
    #[serde(default)]
    pub(super) never_discovered: Vec<String>,
}

/// When a dataset's snapshot is taken.
#[derive(Deserialize)]
pub(super) struct RawRefresh {
    pub(super) refresh: Option<String>,
}

/// Where it counts who opted out by a dataset's source.
#[derive(Deserialize)]
pub(super) struct RawOptOutScope {
    pub(super) optout_scope: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RawSnapshots {
    pub(super) keep: Option<u32>,
    pub(super) min_free_mib: Option<u32>,
    pub(super) epoch_days: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct RawLedger {
    pub(super) keep_payloads_days: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct RawOrganisation {
    pub(super) name: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) dpo: Option<String>,
    pub(super) transfers: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RawSteward {
    pub(super) message: Option<String>,
    pub(super) group: Option<Value>,
    #[serde(default)]
    pub(super) notify_command: Vec<String>,
    pub(super) notify_url: Option<String>,
    pub(super) notify_ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
pub(super) struct RawLog {
    pub(super) level: Option<String>,
    #[serde(default)]
    pub(super) format: log::Form,
    #[serde(default)]
    pub(super) target: log::Target,
}

#[derive(Deserialize)]
pub(super) struct RawTrust {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) mode: Option<String>,
    pub(super) datasets: Option<Vec<String>>,
    #[serde(default)]
    pub(super) allow_without_permit: bool,
    pub(super) revocations_days: Option<u32>,
}

/// Reads the top of the file: whatever of it can be read.
pub(super) fn top(value: &Value, file: &str, problems: &mut Problems) -> RawTop {
    read_partly(value, file, "", KEYS, problems).unwrap_or_default()
}

/// Reads a section; one that is absent is an empty one, so that its missing keys are named.
pub(super) fn section<T: DeserializeOwned>(value: &Value, file: &str, key: &str, problems: &mut Problems) -> Option<T> {
    let empty = Value::Object(Map::new());
    let value = if value.is_null() { &empty } else { value };
    if value.is_object() {
        return read(value, file, key, KEYS, problems);
    }
    problems.push(Problem::new(file, key, "must be a section").hint(format!("write it as [{key}]")));
    None
}
