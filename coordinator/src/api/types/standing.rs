//! How a site stands to a study, while that is open and at its end.

use std::fmt;

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, SiteId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a site stands to a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteReport {
    /// The site.
    pub id: SiteId,
    /// How it stands.
    pub status: SiteStatus,
    /// Why, where there is something to say.
    pub reason: Option<PublicError>,
    /// Bytes of its replies as received.
    pub bytes: Option<u64>,
    /// From the request to the last byte of the reply, summed over the rounds, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// The public name of the snapshot that it answered on last. In results only.
    pub snapshot: Option<Digest>,
    /// When that snapshot was taken. In results only.
    pub snapshot_at: Option<Timestamp>,
    /// The receipt of each release that the coordinator had when it published, round by round: the site can hold it against the release in its
    /// ledger, and nobody can learn anything of it. In results only. (Older coordinators do not say it.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Digest>,
    /// Since when the site waits for its steward; `reason` has what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_since: Option<Timestamp>,
    /// The first round that it did not answer any more, of a site that had answered all before it: the analyses that had ended by then count it,
    /// those that list it under `absent` do not. Rounds are counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_in: Option<u16>,
    /// The rounds that it computed over another snapshot, or without other patients, than the round before: opt-outs had changed. In results only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_in: Vec<u16>,
}

impl SiteReport {
    /// Whether anything of it can be in an answer.
    pub fn was_heard(&self) -> bool {
        self.status == SiteStatus::Answered || self.left_in.is_some()
    }
}

/// How a site stands to a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SiteStatus {
    /// It has answered every round so far.
    Answered,
    /// It has said no; that is final for this study.
    Refused,
    /// It is asked, or will be when it connects.
    Pending,
    /// It had not answered when the study ended.
    Missing,
}

impl fmt::Display for SiteStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SiteStatus::Answered => "answered",
            SiteStatus::Refused => "refused",
            SiteStatus::Pending => "pending",
            SiteStatus::Missing => "missing",
        })
    }
}
