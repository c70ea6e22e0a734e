//! What the researcher's command line does: read the profile, bind a study's text, sign it, submit it, watch it, show the result.
//!
//! The researcher's secret key is read here and never leaves this process; no command sends a study's text, only what was signed.

mod args;
mod check;
mod doctor;
mod ending;
mod estimate;
#[cfg(test)]
pub(crate) mod fake;
mod follow;
mod http;
mod invitations;
mod keep;
mod outcome;
mod permit;
mod preflight;
mod profile;
mod progress;
mod remembered;
mod revoke;
mod study;
mod waiting;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bocage_net::settings::unreadable;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{AnalysisName, NetworkId, StudyId};
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::PublicKey;

pub use args::{CheckpointArgs, Client, DatasetsArgs, DoctorArgs, SitesArgs, StudyArgs, StudyCommand, exit};
pub use estimate::{Counted, Estimate, Measured};
pub use follow::{Followed, News, follow};
pub use http::Api;
pub use invitations::{InvitationsArgs, InviteArgs, UninviteArgs};
pub use keep::{Fetched, Place, compare, fetch, said, verify_folder};
pub use permit::GivenPermit;
pub(crate) use preflight::day;
pub use preflight::{Note, SiteLook};
pub use profile::{PROFILE_FILE, PROFILE_VARIABLE, Profile};
pub use revoke::{RevokeArgs, RevokedArgs};
pub use study::{Asked, AskedAnalysis, AskedPermit, Bound, bind, sign_and_submit};

/// What can go wrong between a researcher and a coordinator.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Files or settings that are not as they must be: each problem names its place.
    #[error("{0}")]
    Problems(#[from] Problems),
    /// A secret file cannot be used.
    #[error("{0}")]
    Secret(String),
    /// A file cannot be read.
    #[error("cannot read {path}: {}", unreadable(*.reason))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: std::io::ErrorKind,
    },
    /// The answer cannot be written to stdout.
    #[error("cannot write the answer: {reason}")]
    Write {
        /// Why not.
        reason: std::io::ErrorKind,
    },
    /// A report cannot be written.
    #[error("cannot write {path}: {}", unwritable(*.reason))]
    Keep {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: std::io::ErrorKind,
    },
    /// Nothing answers at the coordinator's address.
    #[error("the coordinator at {url} does not answer: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why not, as the transport says.
        reason: String,
    },
    /// The answer is not one of a Bocage coordinator.
    #[error("the answer of {url} is not one of a Bocage coordinator: {reason}")]
    Answer {
        /// Its address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The coordinator says no.
    #[error("{0}")]
    Refused(#[from] PublicError),
    /// The coordinator serves another network than the profile names.
    #[error("{url} serves the network `{theirs}`, the profile is for `{ours}`")]
    OtherNetwork {
        /// The coordinator's address.
        url: String,
        /// Its network.
        theirs: NetworkId,
        /// The profile's network.
        ours: NetworkId,
    },
    /// The coordinator signs what it publishes by another key than the profile names.
    #[error("{url} publishes {}, and the profile has `published_by` {ours}", by(.theirs.as_deref()))]
    OtherPublisher {
        /// The coordinator's address.
        url: String,
        /// Its key, if it has one.
        theirs: Option<Box<PublicKey>>,
        /// The profile's.
        ours: Box<PublicKey>,
    },
    /// No study, or several, have an id that begins so.
    #[error("{found} studies have an id that begins with `{prefix}`")]
    Prefix {
        /// What was given.
        prefix: String,
        /// How many fit.
        found: usize,
    },
    /// What was given is not a study id.
    #[error("`{0}` is not a study id: 4 to 64 of 0-9 and a-f")]
    NotAnId(String),
    /// The result is there, but nothing can stand in it.
    #[error("{}only {answered} of {asked} sites answered{}, and a cell needs {needed}\n{}", listed(.lacking), if .lacking.is_empty() { "" } else { " until it ended" }, .absent.join("\n"))]
    TooFewAnswered {
        /// The analyses that this is true of, if not of all.
        lacking: Vec<AnalysisName>,
        /// How many answered.
        answered: usize,
        /// How many were asked.
        asked: usize,
        /// How many a cell needs.
        needed: usize,
        /// The others with their reasons.
        absent: Vec<String>,
        /// What to do, as the reasons have it.
        hint: &'static str,
    },
    /// The study ended without a result.
    #[error("study {} was cancelled", .0.short())]
    Cancelled(StudyId),
}

fn listed(lacking: &[AnalysisName]) -> String {
    let names: Vec<String> = lacking.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("{}: ", names.join(", ")) }
}

fn by(publisher: Option<&PublicKey>) -> String {
    publisher.map_or_else(|| "without a signature".to_owned(), |key| format!("as {key}"))
}

/// Why something cannot be written, in words.
fn unwritable(reason: std::io::ErrorKind) -> String {
    match reason {
        std::io::ErrorKind::NotFound => "the folder that it would stand in does not exist".to_owned(),
        other => other.to_string(),
    }
}

/// The text of a file of at most so many bytes.
///
/// # Errors
/// It cannot be read, is not UTF-8 or is larger.
pub fn read_file(path: &Path, limit_bytes: usize) -> Result<String, ClientError> {
    let failed = |e: std::io::Error| ClientError::Read { path: path.to_owned(), reason: e.kind() };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limit_bytes as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > limit_bytes {
        let problem = Problem::new(&path.display().to_string(), "", format!("larger than {limit_bytes} bytes"));
        return Err(Problems::from(problem).into());
    }
    Ok(text)
}

impl ClientError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClientError::Unreachable { .. } => {
                Some("start it with `bocage coordinator serve --config coordinator.toml`, or correct `coordinator` in the profile".into())
            }
            ClientError::Answer { .. } => Some("see whether `coordinator` in the profile names the API's port, not the QUIC port".into()),
            ClientError::OtherNetwork { .. } => Some("use the profile of that network: --profile FILE".into()),
            ClientError::OtherPublisher { .. } => {
                Some("ask the coordinator's operator whether its key is another one now: then correct `published_by` in the profile; else somebody stands in its place".into())
            }
            ClientError::Prefix { .. } | ClientError::NotAnId(_) => Some("`bocage study list` shows all ids".into()),
            ClientError::Read { reason: std::io::ErrorKind::NotFound, .. } => {
                Some("the path is taken from the folder that the command is given in".into())
            }
            ClientError::Read { reason: std::io::ErrorKind::InvalidData, .. } => {
                Some("it is not UTF-8: save it as UTF-8, which editors call \"encoding\"; a spreadsheet or a Word file is no text".into())
            }
            ClientError::Keep { .. } => Some("nothing was changed there; name a folder in one that you may write to: --out DIR".into()),
            ClientError::TooFewAnswered { hint, .. } => Some((*hint).to_owned()),
            ClientError::Refused(error) if error.code == ErrorCode::Unauthorised => {
                Some("the file that `token_file` in the profile names must hold a token of yours: the coordinator's operator makes one (`bocage coordinator tokens create`)".into())
            }
            ClientError::Refused(error) => error.hint.clone(),
            ClientError::Problems(_)
            | ClientError::Secret(_)
            | ClientError::Read { .. }
            | ClientError::Write { .. }
            | ClientError::Cancelled(_) => None,
        }
    }
}
