//! Sealing: released parts and refusals become one signed release. The only caller of `SignedRelease::sign` in the node.

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::{Digest, SiteId, StudyId};
use bocage_protocol::release::{Outcome, Part, Release};
use bocage_protocol::trust::{SecretKey, SignedRelease, Standing};

use super::Released;

/// What a release is the answer to, and on which data. All of it is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// The study.
    pub study: StudyId,
    /// This site.
    pub site: SiteId,
    /// The round, from 0.
    pub round: u16,
    /// The snapshot's public name, never its content hash.
    pub snapshot: Digest,
    /// When the snapshot was taken.
    pub snapshot_at: Timestamp,
    /// Where the ledger stands.
    pub ledger: Standing,
}

/// The answer to one analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The analysis' position in the study.
    pub analysis: u16,
    /// The digest of the plan that was derived for it.
    pub plan: Digest,
    /// What the gate let out, or why there is nothing.
    pub outcome: Result<Released, PublicError>,
}

/// Encodes and signs answers under one heading with the site's release key.
///
/// The bytes go to the ledger before they go anywhere else.
///
/// # Errors
/// `too_large` where the answers do not fit one frame.
pub fn seal(heading: Heading, answers: Vec<Answer>, key: &SecretKey) -> Result<SignedRelease, PublicError> {
    let part = |answer: Answer| Part {
        analysis: answer.analysis,
        plan: answer.plan,
        outcome: match answer.outcome {
            Ok(Released(outcome)) => outcome,
            Err(error) => Outcome::Refused(error),
        },
    };
    let Heading { study, site, round, snapshot, snapshot_at, ledger } = heading;
    let parts = answers.into_iter().map(part).collect();
    let release = Release { study, site, round, snapshot, snapshot_at, parts };
    SignedRelease::sign(&release, ledger, key)
}

/// A part of an earlier release, so that it can leave again under another heading.
///
/// It stands for what the gate let out because the site's own key signed it, which nothing but [`seal`] makes it do. None where the
/// signature does not hold, the part answers another plan, or nothing was let out.
pub fn again(signed: &SignedRelease, part: usize, plan: &Digest, key: &SecretKey) -> Option<Released> {
    let release = signed.verify(&key.public()).ok()?;
    let part = release.parts.into_iter().nth(part).filter(|part| part.plan == *plan)?;
    match part.outcome {
        Outcome::Refused(_) => None,
        outcome => Some(Released(outcome)),
    }
}
