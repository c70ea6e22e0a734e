//! What the records of the steward's desk say: who asked, who answered, and why.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{AnalysisName, Digest};
use serde::{Deserialize, Serialize};

use super::About;

/// Of a study that waits for the steward. The signed study itself is the payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Who asks, for what.
    pub study: About,
    /// By which rule of the policy the steward decides.
    pub why: String,
    /// The policy under which that is so.
    pub policy: Digest,
    /// How many people must say yes.
    pub persons: u32,
    /// Until when the study may be answered: its own end.
    pub until: Timestamp,
    /// What it asks.
    pub asks: Vec<Asks>,
    /// Under which terms it would be answered; absent in older ledgers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
}

/// Under which terms a study would be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// k: no count below it leaves.
    pub threshold: u32,
    /// Who says so: the policy's default, a rule, or the permit.
    pub threshold_by: String,
    /// How exact the values are that would leave, and who says so; absent in older ledgers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<(String, String)>,
    /// How many cells may leave on the requester's account, and who says so; none where there is no cap.
    pub cap: Option<(u64, String)>,
}

/// One analysis, as the steward reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    /// Its name.
    pub analysis: AnalysisName,
    /// Groups, at most.
    pub cells: u64,
    /// Numbers that leave, at most.
    pub numbers: u64,
    /// What it reads, keeps, groups and computes, in sentences.
    pub explained: String,
}

/// Who spoke, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user's number.
    pub uid: u32,
    /// The user's name on this machine; empty where it is not known.
    pub user: String,
}

/// Of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who said yes.
    pub by: Person,
    /// The policy under which: under any other it does not hold.
    pub policy: Digest,
    /// Until when it holds.
    pub until: Timestamp,
    /// What the person wrote beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Made with the site's own secret: whoever can merely write the ledger's file makes none.
    pub seal: Digest,
}

/// Of a steward's refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Who said no.
    pub by: Person,
    /// Why: the researcher reads it.
    pub reason: String,
}

/// Of a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who stopped everything.
    pub by: Person,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Of the end of a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Who ended it.
    pub by: Person,
    /// The record of the pause that it ends: it ends no other.
    pub ends: i64,
    /// Made with the site's own secret, as an approval's: without it a pause goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Digest>,
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.user.as_str() {
            "" => write!(f, "user {}", self.uid),
            user => write!(f, "{user} (user {})", self.uid),
        }
    }
}
