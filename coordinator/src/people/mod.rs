//! Who uses the HTTP interface: users with roles, their tokens, what they changed, and whose studies are whose.
//!
//! It stands in a file of its own beside the store, since two processes write it: the coordinator, and the operator's commands on the same
//! machine, which the coordinator heeds at the next request. No token is ever in it, only hashes of tokens.
//!
//! It says nothing about whether a study is honest: that is a matter of signatures, which every node checks itself.

mod audit;
mod file;
mod intent;
mod owners;
mod refused;
mod role;
mod seed;
mod throttle;
mod token;
mod tokens;
mod users;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;

pub use audit::{Act, Audited, Broken, Entry};
pub use file::FILE;
pub(crate) use refused::Tally;
pub use refused::{Refused, RefusedReason};
pub use role::{Caller, Right, Role, Scope};
pub use seed::Seed;
pub(crate) use throttle::Throttle;
pub use token::{Token, TokenHash};
pub use tokens::{NewToken, TokenInfo, Unknown};
pub use users::UserInfo;

/// Why something about people cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The file cannot be made.
    #[error("cannot open {path}: {source}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file was written by another version.
    #[error("{path} has format {found}, this version reads {known}")]
    Format {
        /// Which file.
        path: String,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite failed: disk full, file damaged.
    #[error("the file of users and tokens failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A record that this version did not write.
    #[error("the file of users and tokens holds a record that cannot be read: {0}")]
    Damaged(&'static str),
    /// The thread that worked on it panicked.
    #[error("the file of users and tokens was left after a failure")]
    Closed,
    /// There is no such user, token, or what else was named.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// It is there already.
    #[error("there is such a {0} already")]
    Exists(&'static str),
    /// A bound is reached.
    #[error("there are {most} {what} already, and no more may be")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        most: usize,
    },
    /// A request that cannot be granted, with the rule.
    #[error("{0}")]
    Rule(&'static str),
}

impl From<PeopleError> for PublicError {
    fn from(error: PeopleError) -> Self {
        let code = match &error {
            PeopleError::Missing(_) => ErrorCode::NotFound,
            PeopleError::Exists(_) | PeopleError::Full { .. } => ErrorCode::Conflict,
            PeopleError::Rule(_) => ErrorCode::Malformed,
            _ => {
                tracing::error!(%error, "users and tokens");
                return PublicError::new(ErrorCode::Internal, "the coordinator cannot read or write its state")
                    .hint("its log has the cause; a full disk is the most likely one");
            }
        };
        let public = PublicError::new(code, error.to_string());
        match error.hint() {
            Some(hint) => public.hint(hint),
            None => public,
        }
    }
}

impl PeopleError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            PeopleError::Exists("user") => Some(
                "`bocage coordinator users list` shows them; `users enable` takes one again that was disabled, and roles are given once, when a user is made",
            ),
            PeopleError::Missing("user") => Some("`bocage coordinator users list` shows them; `users add` makes one"),
            PeopleError::Missing("token") => Some("`bocage coordinator tokens list` shows them"),
            _ => None,
        }
    }
}

/// The file. Synchronous; [`People`] is its handle for async code.
#[derive(Debug)]
pub struct PeopleFile {
    db: rusqlite::Connection,
}

/// A handle for async code: each call runs on a blocking thread, one at a time.
#[derive(Debug, Clone)]
pub struct People {
    file: Arc<Mutex<PeopleFile>>,
}

impl People {
    /// Opens the file in `state_dir`, making both if they are not there, and takes up those whom the configuration names.
    /// For the coordinator itself.
    ///
    /// # Errors
    /// No permission; another format.
    pub fn open(state_dir: &Path, seeds: &[Seed], now: Timestamp) -> Result<Self, PeopleError> {
        let mut file = PeopleFile::open(state_dir)?;
        file.take_up(seeds, now)?;
        let cut_short = file.settle_intents()?;
        if cut_short > 0 {
            tracing::warn!(
                cut_short,
                "changes were under way when the coordinator ended: the audit has them, without a status"
            );
        }
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// Runs `work` on the file.
    ///
    /// # Errors
    /// What `work` says, or [`PeopleError::Closed`].
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PeopleFile) -> Result<T, PeopleError> + Send + 'static,
    ) -> Result<T, PeopleError> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || work(&mut lock(&file)));
        done.await.map_err(|_| PeopleError::Closed)?
    }
}

/// A transaction that a panic left open was rolled back: what stands in the file is sound.
fn lock(file: &Mutex<PeopleFile>) -> MutexGuard<'_, PeopleFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
