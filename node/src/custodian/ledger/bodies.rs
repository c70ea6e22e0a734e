//! What the records say, as a person reads them. Made of the study, the contract and the configuration; the values that left stand in a
//! release's payload, so that they cannot differ from what was sent.
//!
//! Fields may be added with a default; none is renamed, for ledgers live long.

pub mod desk;
pub mod restored;

use std::collections::BTreeMap;

use bocage_protocol::analysis::RoundState;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::{AnalysisName, ContractId, Digest};
use bocage_protocol::trust::{PermitRef, PublicKey, Purpose};
use bocage_protocol::wire::message::Step;
use serde::{Deserialize, Serialize};

/// Of a request. The study's own text, signed, is the payload of the first allowed request of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Facts of the study; absent where its signature or signer could not be trusted.
    pub study: Option<About>,
    /// What the round asks.
    pub steps: Vec<StepAsked>,
}

/// Who asks, for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The study's title.
    pub title: String,
    /// Why.
    pub purpose: Purpose,
    /// Who, as the `[[trust]]` entry or the permit names them.
    pub researcher: String,
    /// Where they work, as the permit says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The permit that they rely on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<PermitRef>,
    /// Who issued it, as the `[[trust]]` entry names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_body: Option<String>,
    /// With which key.
    pub key: PublicKey,
    /// About which dataset.
    pub dataset: ContractId,
    /// The other datasets that it looks into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<ContractId>,
    /// The questions' names.
    pub analyses: Vec<AnalysisName>,
}

impl About {
    /// Every dataset that is asked about, in words.
    pub fn datasets(&self) -> String {
        named(&self.dataset, &self.related)
    }
}

/// A dataset and those that are looked into from it, in words.
pub fn named(dataset: &ContractId, related: &[ContractId]) -> String {
    let related: Vec<String> = related.iter().map(ToString::to_string).collect();
    if related.is_empty() { dataset.to_string() } else { format!("{dataset} with {}", related.join(", ")) }
}

/// An analysis' part in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepAsked {
    /// The analysis' position in the study.
    pub analysis: u16,
    /// The round's numbers.
    pub state: RoundState,
}

impl StepAsked {
    /// The steps of a request.
    pub fn all(steps: &[Step]) -> Vec<Self> {
        steps.iter().map(|s| Self { analysis: s.analysis, state: s.state.clone() }).collect()
    }
}

/// Of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub decision: Verdict,
    /// By which rule of the configuration.
    pub by: String,
    /// The policy under which it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// k: no count below it leaves.
    pub threshold: u32,
    /// How exact the values are that leave.
    pub mode: String,
    /// By the analyses' names, what was decided about: what is read, kept and grouped, and what may leave. In all rounds of the study; it stands with the first decision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub explained: BTreeMap<AnalysisName, String>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Compute and release.
    Allow,
    /// Hand out again what left before: the same bytes.
    Repeat,
}

/// Of a snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// The dataset's name in the configuration.
    pub dataset: String,
    /// Its contract.
    pub contract: ContractId,
    /// The digest of its content.
    pub content: Digest,
    /// Why: `start` or `refresh`.
    pub why: String,
}

/// Of a change of the patients who are left out: those who opted out and, where they are few, others with them. It names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOutsChanged {
    /// The dataset's name in the configuration.
    pub dataset: String,
    /// For which purpose.
    pub purpose: Purpose,
    /// The snapshot.
    pub snapshot: Digest,
    /// The digest of their tokens.
    pub set: Digest,
    /// By how many patients it differs from the set before: k or more. None with the first set.
    pub changed: Option<u64>,
    /// How many groups of patients who leave together the site had made by then.
    #[serde(default)]
    pub groups: u64,
}

/// Of a reservation: what the round may spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    /// The snapshot that every round of this study is computed on.
    pub snapshot: Digest,
    /// The digest of who is left out of it; none if nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Digest>,
    /// The digest of the groups of patients who are left out, the same in every snapshot; none if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_out: Option<Digest>,
    /// What of the site's other datasets every round looks into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    /// What the round asks: a repeat must ask the same.
    pub steps: Vec<StepAsked>,
    /// What may leave.
    pub spend: Vec<Spend>,
    /// On whose account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// How many further rounds the study may have after this one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub further_rounds: u16,
}

fn is_none(rounds: &u16) -> bool {
    *rounds == 0
}

/// Another dataset that a study looks into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// The dataset.
    pub dataset: ContractId,
    /// The snapshot that every round of the study looks into.
    pub snapshot: Digest,
    /// The digest of who is left out of it; none if nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Digest>,
    /// The digest of the groups of patients who are left out, the same in every snapshot; none if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_out: Option<Digest>,
}

/// On whose account cells leave, and what rules count studies by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The permit's digest; the account is the researcher's own where there is none.
    pub permit: Option<Digest>,
    /// Who issued the permit.
    pub access_body: Option<PublicKey>,
    /// Who signed the study.
    pub researcher: PublicKey,
    /// Why.
    pub purpose: Purpose,
    /// About which dataset.
    pub dataset: ContractId,
    /// The other datasets that are looked into: what leaves counts at each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<ContractId>,
    /// When the study expires.
    pub expires_at: Timestamp,
}

impl Account {
    /// Every dataset that is asked about.
    pub fn datasets(&self) -> impl Iterator<Item = &ContractId> {
        std::iter::once(&self.dataset).chain(&self.related)
    }
}

/// Of a list of revoked permits. The payload has the list as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationsTaken {
    /// Whose, as the `[[trust]]` entry names them.
    pub access_body: String,
    /// The list's number.
    pub number: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// How many permits it names.
    pub revoked: u64,
}

/// What may leave of one analysis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// The analysis' position in the study.
    pub analysis: u16,
    /// The digest of the plan.
    pub plan: Digest,
    /// The table's cells.
    pub cells: u64,
    /// What its cells are, whatever is measured in them: answers that agree in it can be compared cell by cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compares: Option<Digest>,
    /// Of a model: which, at whatever step. Centroids of answers that agree in it lie among the same numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Digest>,
    /// What is paid for: plan, snapshot, and how the gate was set. Asked again on the same account, it costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Digest>,
    /// The release whose answer is given again, where the same was asked of the same data before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<i64>,
}

/// Of an attempt to compute a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What happened.
    pub state: AttemptState,
}

/// What happened to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// It began.
    Started,
    /// The node was stopped by its operator meanwhile: nothing is held against the study.
    Stopped,
    /// The process died meanwhile.
    Died,
    /// It took longer than the site allows.
    Overran,
}

/// Of a release: a summary. The payload has the exact bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// Bytes that leave.
    pub bytes: u64,
    /// One for each analysis.
    pub parts: Vec<ReleasedPart>,
}

/// What came of one analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleasedPart {
    /// The analysis' name.
    pub analysis: AnalysisName,
    /// Cells with a value.
    pub shown: u64,
    /// Cells without.
    pub hidden: u64,
    /// Why nothing left, where the gate withheld it all.
    pub refused: Option<PublicError>,
    /// What it is the answer to: plan, snapshot, and how the gate was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Digest>,
}

/// Of a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// What the requester was told.
    pub error: PublicError,
    /// Whether this ends the round for good.
    pub r#final: bool,
}
