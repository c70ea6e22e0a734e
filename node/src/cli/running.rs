//! Which settings the running custodian has: it writes their digests into the lock file that it holds, so that a command beside it can tell whether
//! the file has been changed since. A lock that nobody holds says nothing.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};

use crate::config::{CustodianConfig, Dataset, StateDir};

/// The longest text of a lock file that is looked at.
const TEXT_BYTES: u64 = 1 << 20;

fn line(dataset: &Dataset) -> String {
    format!("{} {} {}", dataset.name, dataset.spec.digest(), dataset.contract.hash())
}

/// Writes the settings into the lock that this process holds. A full disk does not keep it from serving: then nothing is declared.
pub(super) fn declare(lock: &File, config: &CustodianConfig) {
    let text: String = config.datasets.values().map(|dataset| line(dataset) + "\n").collect();
    if let Err(error) = rewrite(lock, &text) {
        tracing::warn!(%error, "commands cannot see which settings this node has");
        let _ = lock.set_len(0);
    }
}

fn rewrite(mut lock: &File, text: &str) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(text.as_bytes())
}

/// Whether a custodian runs on this state with other settings of this dataset, or without the dataset.
pub(super) fn differs(state: &StateDir, dataset: &Dataset) -> bool {
    let Ok(file) = File::open(state.custodian_lock()) else { return false };
    // Shared, so that two commands do not take each other for a node.
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return false;
    }
    let mut text = String::new();
    match file.take(TEXT_BYTES).read_to_string(&mut text) {
        Ok(_) => !text.is_empty() && !text.lines().any(|declared| declared == line(dataset)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fixture::Site;

    #[test]
    fn a_running_custodian_with_other_settings_is_told_from_one_with_the_same_and_from_none() {
        let site = Site::new();
        let before = Config::load(&site.origin()).unwrap();
        std::fs::create_dir_all(&before.state.0).unwrap();
        let lock = File::create(before.state.custodian_lock()).unwrap();
        declare(&lock, &before.custodian());
        site.edit_config("path = \"heart.csv\"", "path = \"heart.csv\", missing = [\"?\"]");
        let after = Config::load(&site.origin()).unwrap();
        assert!(!differs(&after.state, &after.datasets["heart"]), "none runs");
        lock.lock().unwrap();
        assert!(differs(&after.state, &after.datasets["heart"]));
        assert!(!differs(&before.state, &before.datasets["heart"]));
    }
}
