//! What must outlive the process: one SQLite file in the state folder.
//!
//! It keeps what came from outside, exactly as received (signed studies, signed releases), and what was decided (a site's final refusal, the
//! deadline, a cancellation, the published result). Everything else follows from these by replay; there is no table of events and none of
//! derived state, so nothing can contradict anything.
//!
//! **A study is answered once.** Whatever comes after its deadline was decided, after it was published or cancelled, is not recorded:
//! each write checks that within its own transaction.

mod checkpoint;
mod denied;
mod enrolment;
mod recorder;
mod revocations;
mod rounds;
mod schema;
mod study;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, SiteId, StudyId};
use bocage_protocol::trust::{Named, SignedRelease, SignedStudy};
use rusqlite::Connection;
use tokio::sync::Mutex;

pub use self::checkpoint::Witnessed;
pub use self::denied::{Revoked, begins, denied};
pub use self::enrolment::{Enrolment, KeptInvitation};
use self::recorder::Waiting;
pub use self::revocations::Kept;
pub use self::schema::{FILE, FORMAT, LOCK};

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be made.
    #[error("cannot open {path}: {source}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another coordinator has the file open.
    #[error("{path} is in use: another coordinator runs on this state folder")]
    InUse {
        /// Which file.
        path: String,
    },
    /// The file was written by a newer version.
    #[error("{path} has format {found}, this version reads {known}: it was written by a newer coordinator")]
    Newer {
        /// Which file.
        path: String,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file was written by a version before the first release.
    #[error(
        "{path} has format {found}, this version reads {known}: it was written by an older coordinator\n  hint: move it away, and hand open studies in again"
    )]
    Older {
        /// Which file.
        path: String,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite failed: disk full, file damaged.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A record that this version did not write.
    #[error("the store holds a record that cannot be read: {0}")]
    Damaged(&'static str),
    /// The thread that worked on the store panicked.
    #[error("the store was left after a failure")]
    Closed,
}

impl From<StoreError> for PublicError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "store");
        PublicError::new(ErrorCode::Internal, "the coordinator cannot read or write its state")
            .hint("its log has the cause; a full disk is the most likely one")
    }
}

/// A study as received, and what was decided about it.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRecord {
    /// Its id.
    pub id: StudyId,
    /// The exact bytes and the signature.
    pub signed: SignedStudy,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it is published with whatever has come: the end of the time to answer its newest round.
    pub answer_by: Timestamp,
    /// When the deadline was declared passed. From then on no answer counts.
    pub decided_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Releases, in the order of site and round. Their bytes are read apart: [`StoreFile::releases`].
    pub releases: Vec<ReleaseRecord>,
    /// Final refusals, in the order of the sites.
    pub refusals: Vec<(SiteId, PublicError)>,
    /// What sites said while they let a round wait, in the order of site, round and time.
    pub waits: Vec<WaitRecord>,
}

/// That a site let a round wait, or does so no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitRecord {
    /// The site.
    pub site: SiteId,
    /// The round.
    pub round: u16,
    /// When it was heard.
    pub at: Timestamp,
    /// What the site said; none where it was silent instead.
    pub reason: Option<PublicError>,
}

/// That a release was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// Who released.
    pub site: SiteId,
    /// In which round.
    pub round: u16,
    /// Bytes of the reply on the wire.
    pub reply_bytes: u64,
    /// From the request to the last byte of the reply, in microseconds.
    pub round_trip_us: u64,
    /// The public name of the snapshot that it was computed over.
    pub snapshot: Digest,
    /// When that was taken.
    pub snapshot_at: Timestamp,
}

/// A release that was verified, on its way to the disk.
#[derive(Debug, Clone)]
pub struct Received {
    /// Of which study.
    pub study: StudyId,
    /// By whom, when and how.
    pub record: ReleaseRecord,
    /// As it came.
    pub signed: SignedRelease,
    /// What it says of the site's ledger.
    pub ledger: Witnessed,
}

impl StudyRecord {
    /// The sites that it asks. A study is accepted with their list only.
    pub fn sites(&self) -> &[SiteId] {
        match &self.signed.sites {
            Named::All(names) => names,
            Named::One(_) => &[],
        }
    }

    /// Whether answers still count.
    pub fn is_open(&self) -> bool {
        self.decided_at.is_none() && !self.is_closed()
    }

    /// Whether nothing is left to do.
    pub fn is_closed(&self) -> bool {
        self.cancelled_at.is_some() || self.published_at.is_some()
    }

    /// The sites that let a round of this study wait: what each said last, and since when it waits. One that has answered the round or refused the
    /// study meanwhile is none of them.
    pub fn waiting(&self, round: u16) -> BTreeMap<&SiteId, (Timestamp, &PublicError)> {
        let mut waiting: BTreeMap<&SiteId, (Timestamp, &PublicError)> = BTreeMap::new();
        for wait in self.waits.iter().filter(|wait| wait.round == round) {
            match &wait.reason {
                Some(reason) => {
                    waiting.entry(&wait.site).and_modify(|(_, last)| *last = reason).or_insert((wait.at, reason));
                }
                None => {
                    waiting.remove(&wait.site);
                }
            }
        }
        for release in self.releases.iter().filter(|release| release.round == round) {
            waiting.remove(&release.site);
        }
        for (site, _) in &self.refusals {
            waiting.remove(site);
        }
        waiting
    }

    /// How many lasting facts there are about the study. Grows with each, survives a restart.
    pub fn version(&self) -> u64 {
        let decisions = [self.decided_at, self.cancelled_at, self.published_at].iter().flatten().count();
        (1 + self.releases.len() + self.refusals.len() + self.waits.len() + decisions) as u64
    }
}

/// How many studies there are, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StudyCounts {
    /// Neither published nor cancelled.
    pub open: u64,
    /// With a result.
    pub published: u64,
    /// Taken back by their researchers.
    pub cancelled: u64,
}

/// What came of an attempt to record something about a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is recorded.
    Yes,
    /// The study no longer takes it, or it was recorded before; what stands is unchanged.
    TooLate,
}

/// The file. Synchronous; [`Store`] is its handle for async code.
#[derive(Debug)]
pub struct StoreFile {
    db: Connection,
    /// Behind the connection: given back when that is closed.
    _lock: std::fs::File,
}

/// A handle to the store for async code: each call runs on a blocking thread, one at a time. Who waits holds no thread.
#[derive(Debug, Clone)]
pub struct Store {
    /// None once it is closed.
    file: Arc<Mutex<Option<StoreFile>>>,
    waiting: Arc<Waiting>,
}

impl Store {
    /// Opens the store in `state_dir`, making both if they are not there (folder 0700, file 0600).
    ///
    /// # Errors
    /// Another coordinator uses it; no permission; a newer format.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { file: Arc::new(Mutex::new(Some(StoreFile::open(state_dir)?))), waiting: Arc::default() })
    }

    /// Runs `work` on the store.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut file = Arc::clone(&self.file).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(file.as_mut().ok_or(StoreError::Closed)?));
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Closes the file once the work that is under way has ended, whoever waits for it or not. Then another coordinator may open it.
    pub async fn close(&self) {
        drop(self.file.lock().await.take());
    }
}
