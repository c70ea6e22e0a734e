//! The last attempt to take a snapshot, as long as it has not succeeded: a small file beside the dataset's snapshots. A run that was killed leaves it as it
//! began, so that nobody takes an old snapshot for a fresh one without knowing.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bocage_net::secret::{SecretError, write_atomically};
use bocage_protocol::env::Timestamp;
use serde::{Deserialize, Serialize};

use crate::custodian::snapshot;

/// Its name in the folder.
const FILE: &str = "attempt.json";

/// An attempt that has not succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub began_at: Timestamp,
    /// Why it failed; none while it runs, and of one that was cut off.
    pub error: Option<String>,
    /// How many in a row, up to this one, have failed over what may pass by itself: a server that was away. None of those that fail over anything else.
    #[serde(default)]
    pub failures: u32,
}

impl Attempt {
    /// How it ended, in half a line.
    pub(super) fn ended(&self) -> String {
        match self.error.as_deref().and_then(|error| error.lines().next()) {
            Some(error) => format!("failed ({error})"),
            None => "was cut off".to_owned(),
        }
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// It runs.
    Runs(Attempt),
    /// It failed, or was cut off.
    Failed(Attempt),
}

impl Unfinished {
    /// A sentence for the site's own people, which may have more lines.
    pub fn sentence(&self) -> String {
        match self {
            Unfinished::Runs(attempt) => format!("an ingest runs since {}", attempt.began_at),
            Unfinished::Failed(Attempt { began_at, error: Some(error), .. }) => {
                format!("the ingest of {began_at} failed: {error}")
            }
            Unfinished::Failed(Attempt { began_at, error: None, .. }) => {
                format!("the ingest of {began_at} was cut off: its process was killed, or the machine stopped")
            }
        }
    }
}

/// Where the attempt of a dataset is written.
pub fn path(snapshots: &Path, dataset: &str) -> PathBuf {
    snapshots.join(dataset).join(FILE)
}

/// The attempt that has not succeeded, if there is one. A file that cannot be read is none.
pub fn unfinished(snapshots: &Path, dataset: &str) -> Option<Unfinished> {
    // First the lock: an attempt that ends meanwhile is then found as it ended.
    let runs = snapshot::is_being_taken(snapshots, dataset);
    let attempt = read(&path(snapshots, dataset))?;
    Some(if runs && attempt.error.is_none() { Unfinished::Runs(attempt) } else { Unfinished::Failed(attempt) })
}

/// What stands in the file of an attempt.
pub(super) fn read(path: &Path) -> Option<Attempt> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// Writes an attempt down.
///
/// # Errors
/// Where the disk does not take it.
pub(super) fn write(path: &Path, attempt: &Attempt) -> Result<(), SecretError> {
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| SecretError::Io { file: folder.to_owned(), source })?;
    }
    let text = serde_json::to_vec(attempt).unwrap_or_default();
    write_atomically(path, &text, 0o600)
}

/// The attempt succeeded.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_attempt_that_failed_it_is_said_over_what_and_another_was_cut_off() {
        let ended = |error: Option<&str>| {
            Attempt { began_at: Timestamp(0), error: error.map(str::to_owned), failures: 0 }.ended()
        };
        assert_eq!(
            ended(Some("visits.csv: there is no such file\n  hint: a path")),
            "failed (visits.csv: there is no such file)"
        );
        assert_eq!(ended(None), "was cut off");
    }
}
