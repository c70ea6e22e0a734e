//! The groups of patients who are left out together, kept beside the snapshots, and what was left out last. The file is whole or not
//! there, and it holds tokens, no ids.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bocage_net::secret::write_atomically;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::Purpose;
use serde::{Deserialize, Serialize};

use super::moved::GroupsOut;
use super::sets::{Group, Set};

const FORMAT: u32 = 3;

/// A set that answers were given without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The content of the snapshot.
    pub snapshot: Digest,
    /// What the answers were for.
    pub purpose: Purpose,
    /// The digest of the patients.
    pub set: Digest,
    /// Who was left out.
    pub patients: Set,
}

/// What a site keeps of a dataset's opt-outs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How many groups were ever made: the ledger knows the number, and an older file has a smaller one.
    pub made: u64,
    /// The groups that still matter, the latest last.
    pub groups: Vec<Group>,
    /// The last set of each purpose.
    pub last: Vec<Used>,
    /// Every combination of groups that was left out of an answer.
    pub out: Vec<GroupsOut>,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    /// How the tokens were made.
    form: Digest,
    /// Of `kept`.
    digest: Digest,
    kept: Kept,
}

/// Why the groups are not known.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not what was written.
    #[error("{path}: damaged\n  hint: restore it from a backup; without it a study could tell who opted out since")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The ledger knows of it.
    #[error(
        "{path}: it is gone, and the ledger says that it was there\n  hint: restore it from a backup; without it a study could tell who opted out since"
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The ledger knows of later ones.
    #[error(
        "{path}: it is older than the ledger says\n  hint: restore the newest one from a backup; without it a study could tell who opted out since"
    )]
    Older {
        /// The file.
        path: PathBuf,
    },
    /// The patients were known by another key or salt then.
    #[error(
        "{path}: it was written under another release key or salt, and cannot be matched\n  hint: bring the former key and salt back, or give the dataset another name in node.toml: studies could then tell who had opted out before"
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("{path}: {reason}\n  hint: the node's user must be able to write it")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// The digest of patients' tokens.
pub fn set_digest(patients: &Set) -> Digest {
    let bytes: Vec<u8> = patients.iter().flat_map(|token| token.to_bytes()).collect();
    Digest::of("bocage/optout-set/1", &[&bytes])
}

fn digest(kept: &Kept) -> Option<Digest> {
    serde_json::to_vec(kept).ok().map(|bytes| Digest::of("bocage/optout-kept/1", &[&bytes]))
}

/// What the file of a dataset holds; none if there is no file.
///
/// # Errors
/// The file is damaged, cannot be read, or speaks of patients in another form.
pub fn load(path: &Path, form: &Digest) -> Result<Option<Kept>, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::Io { path: path.to_owned(), reason: e.to_string() }),
    };
    let damaged = || StateError::Damaged { path: path.to_owned() };
    let read: File = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    if read.format != FORMAT || digest(&read.kept) != Some(read.digest) {
        return Err(damaged());
    }
    // What names nobody can be said in any form.
    if read.form != *form && !read.kept.groups.is_empty() {
        return Err(StateError::Form { path: path.to_owned() });
    }
    Ok(Some(read.kept))
}

/// Writes the file, in place of the one before.
///
/// # Errors
/// It cannot be written.
pub fn store(path: &Path, form: &Digest, kept: Kept) -> Result<(), StateError> {
    let io = |reason: String| StateError::Io { path: path.to_owned(), reason };
    if let Some(folder) = path.parent() {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| io(e.to_string()))?;
    }
    let digest = digest(&kept).ok_or_else(|| io("it cannot be written as JSON".to_owned()))?;
    let bytes =
        serde_json::to_vec(&File { format: FORMAT, form: *form, digest, kept }).map_err(|e| io(e.to_string()))?;
    write_atomically(path, &bytes, 0o600).map_err(|e| io(e.to_string()))
}
