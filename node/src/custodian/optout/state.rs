//! The sets of patients that answers were given without, kept beside the snapshots: the next set is chosen with all of them in
//! mind. The file is whole or not there, and it holds tokens, no ids.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bocage_net::secret::write_atomically;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::Purpose;
use serde::{Deserialize, Serialize};

use super::sets::Set;

const FORMAT: u32 = 1;

/// A set that answers were given without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The content of the snapshot.
    pub snapshot: Digest,
    /// What the answers were for.
    pub purpose: Purpose,
    /// [`set_digest`] of the patients.
    pub set: Digest,
    /// Who was left out.
    pub patients: Set,
}

#[derive(Serialize, Deserialize)]
struct Form {
    format: u32,
    /// How the tokens were made.
    form: Digest,
    sets: Vec<Used>,
}

/// Why the sets before are not known.
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

/// The sets in the file of a dataset, the latest last; none if there is no file. Tokens of another form say nothing any more.
///
/// # Errors
/// The file is damaged or cannot be read.
pub fn load(path: &Path, form: &Digest) -> Result<Option<Vec<Used>>, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::Io { path: path.to_owned(), reason: e.to_string() }),
    };
    let damaged = || StateError::Damaged { path: path.to_owned() };
    let read: Form = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    if read.format != FORMAT || read.sets.iter().any(|used| set_digest(&used.patients) != used.set) {
        return Err(damaged());
    }
    Ok(Some(if read.form == *form { read.sets } else { Vec::new() }))
}

/// Writes the sets, in place of those before.
///
/// # Errors
/// They cannot be written.
pub fn store(path: &Path, form: &Digest, sets: Vec<Used>) -> Result<(), StateError> {
    let io = |reason: String| StateError::Io { path: path.to_owned(), reason };
    if let Some(folder) = path.parent() {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| io(e.to_string()))?;
    }
    let form = Form { format: FORMAT, form: *form, sets };
    let bytes = serde_json::to_vec(&form).map_err(|e| io(e.to_string()))?;
    write_atomically(path, &bytes, 0o600).map_err(|e| io(e.to_string()))
}
