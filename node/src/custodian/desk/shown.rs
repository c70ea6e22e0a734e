//! What a person at the desk sees, as data: it crosses the admin socket and is printed. Made of studies, permits, policy and what has left;
//! never of the site's data.

use std::collections::BTreeMap;

use bocage_protocol::ids::{AnalysisName, ContractId};
use bocage_protocol::trust::{Permit, PublicKey};
use serde::{Deserialize, Serialize};

use crate::custodian::ledger::bodies::desk::{Asks, Person};

/// All that is at the desk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtTheDesk {
    /// The pause that lasts, if one does.
    pub paused: Option<Paused>,
    /// The studies, latest last.
    pub studies: Vec<Listed>,
}

/// A pause that lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    /// Since when.
    pub at: String,
    /// Who stopped everything.
    pub by: Person,
    /// Why.
    pub reason: Option<String>,
    /// Why the ledger does not have it, where it does not: then it lasts as long as the custodian's process, or until the ledger takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<Unwritten>,
}

/// Why something is not in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unwritten {
    /// Why.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

/// A study in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub study: String,
    /// Where it stands.
    pub state: State,
    /// More about that, in words; empty where there is nothing to add.
    pub detail: String,
    /// Its title.
    pub title: String,
    /// Who asks, as the site calls them.
    pub researcher: String,
    /// Why.
    pub purpose: String,
    /// About which dataset.
    pub dataset: ContractId,
    /// The other datasets that it looks into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<ContractId>,
    /// Since when it waits.
    pub since: String,
    /// Until when it may be answered.
    pub until: String,
    /// How many people must say yes.
    pub persons: u32,
}

/// Where a study stands at the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for a person.
    Pending,
    /// It may be answered.
    Approved,
    /// It was answered: what was asked of a person has left.
    Answered,
    /// A person said no: it is not answered, for good.
    Refused,
    /// The site's rules said no after it was put on the desk: it is not answered, for good.
    RefusedByRules,
    /// Its time is over.
    Ended,
}

impl State {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Answered => "answered",
            State::Refused => "refused",
            State::RefusedByRules => "refused by the site's rules",
            State::Ended => "ended",
        }
    }
}

/// A study with everything that a person needs to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dossier {
    /// As in the list.
    #[serde(flatten)]
    pub listed: Listed,
    /// The requester's key.
    pub key: PublicKey,
    /// By which rule of the policy a person decides.
    pub why: String,
    /// The policy in force.
    pub policy: String,
    /// k, and who says so.
    pub threshold: Option<(u32, String)>,
    /// How exact the values are that would leave, and who says so.
    #[serde(default)]
    pub mode: Option<(String, String)>,
    /// How many cells may leave on the requester's account.
    pub cap: Option<CapLeft>,
    /// What each analysis would do, and how much would leave.
    pub asks: Vec<Asks>,
    /// The permit that the study relies on.
    pub permit: Option<Permit>,
    /// The permit's digest.
    pub permit_digest: Option<String>,
    /// Who issued it, as the `[[trust]]` entry names them.
    pub access_body: Option<String>,
    /// What people said, in order.
    pub said: Vec<SaidBy>,
    /// What this requester has received from this site.
    pub received: Vec<Received>,
    /// The pause that lasts, if one does: whatever was said, nothing is answered until it ends.
    #[serde(default)]
    pub paused: Option<Paused>,
}

/// How many cells may leave on an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapLeft {
    /// In all.
    pub most: u64,
    /// Who says so.
    pub by: String,
    /// So many are left.
    pub left: u64,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidBy {
    /// When.
    pub at: String,
    /// Who.
    pub by: Person,
    /// Yes, or no.
    pub yes: bool,
    /// Until when a yes holds.
    pub until: Option<String>,
    /// A note, or the reason of a no.
    pub words: Option<String>,
    /// Why a yes does not hold any more.
    pub lapsed: Option<String>,
}

/// What left to this requester before, of one study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// When first.
    pub at: String,
    /// Of which study.
    pub study: String,
    /// Its title.
    pub title: String,
    /// About which dataset.
    pub dataset: ContractId,
    /// The other datasets that it looks into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<ContractId>,
    /// Analyses, with the cells that were shown in all their rounds.
    pub cells: Vec<(AnalysisName, u64)>,
    /// How many rounds of each were answered.
    #[serde(default)]
    pub rounds: BTreeMap<AnalysisName, u64>,
    /// By the analyses' names, what they read, keep and group, in sentences.
    pub explained: BTreeMap<AnalysisName, String>,
}

impl Received {
    /// One more round of an analysis.
    pub(super) fn add(&mut self, analysis: AnalysisName, shown: u64) {
        *self.rounds.entry(analysis.clone()).or_default() += 1;
        match self.cells.iter_mut().find(|(name, _)| *name == analysis) {
            Some((_, cells)) => *cells += shown,
            None => self.cells.push((analysis, shown)),
        }
    }
}
