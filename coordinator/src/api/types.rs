//! The JSON of the HTTP interface `/v1`: what the coordinator writes and the client reads. Plain data, no behaviour but its own spelling.
//!
//! Fields are only ever added. No type here may hold anything that a site released for itself alone: per site there is a status, no number.

mod invitations;
mod revoked;
mod sites;
mod standing;

use std::collections::BTreeSet;
use std::fmt;

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{AnalysisName, ContractId, Digest, NetworkId, PermitId, SiteId, StudyId, UserName};
use bocage_protocol::trust::{PublicKey, Purpose, SignedRevocations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::{Audited, Refused, Role, TokenInfo, UserInfo};
pub use invitations::{InvitationInfo, InvitationList, InvitationState, InvitationWanted, Withdrawn};
pub use revoked::{Revocation, RevokedInfo, RevokedList};
pub use sites::{CertificateInfo, OfferInfo, SiteInfo, SiteList};
pub use standing::{SiteReport, SiteStatus};

/// `GET /v1/network`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkInfo {
    /// The network's name.
    pub network: NetworkId,
    /// The coordinator's floor: no combined cell of fewer sites is published.
    pub min_sites: u32,
    /// The coordinator's software version.
    pub version: String,
    /// The keys of the researchers whose studies it takes. (Older coordinators do not say it.)
    #[serde(default)]
    pub researchers: Option<Vec<PublicKey>>,
    /// The keys of the access bodies whose permits it takes. (Older coordinators do not say it.)
    #[serde(default)]
    pub access_bodies: Option<Vec<PublicKey>>,
    /// The end of the certificate by which sites know the coordinator. (Older ones do not say it.)
    #[serde(default)]
    pub certificate_until: Option<Timestamp>,
    /// The end of the authority's certificate by which it certifies sites, if it does.
    #[serde(default)]
    pub authority_until: Option<Timestamp>,
    /// The key by which it signs what it publishes. (Older ones do not sign.)
    #[serde(default)]
    pub publisher: Option<PublicKey>,
}

/// `GET /v1/datasets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatasetList {
    /// In the order of their contracts.
    pub datasets: Vec<DatasetInfo>,
}

/// A contract that the coordinator knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatasetInfo {
    /// The contract; its text is at `GET /v1/contracts/{id}`.
    pub contract: ContractId,
    /// Its hash.
    pub hash: Digest,
    /// A line for people.
    pub title: String,
    /// The sites that last offered data under exactly this contract.
    pub sites: Vec<SiteId>,
}

/// `GET /v1/studies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyList {
    /// Latest first.
    pub studies: Vec<StudyStatus>,
}

/// Where a study stands: `GET /v1/studies/{id}`, and the answer to `POST /v1/studies` and to `POST …/cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyStatus {
    /// Its id.
    pub id: StudyId,
    /// Its title.
    pub title: String,
    /// Why the data is used.
    pub purpose: Purpose,
    /// The dataset's contract.
    pub dataset: ContractId,
    /// The researcher's name in the coordinator's configuration, else in the permit.
    pub researcher: String,
    /// The permit that it relies on.
    #[serde(default)]
    pub permit: Option<PermitInfo>,
    /// Whether it is still going on.
    pub state: StudyState,
    /// Grows with every change that lasts. `?seen=V&wait_secs=N` waits until it is not V any more.
    pub version: u64,
    /// When the coordinator accepted it.
    pub accepted_at: Timestamp,
    /// When it is published with whatever sites have answered, unless some wait for their steward.
    pub answer_by: Timestamp,
    /// While some do: when it is published all the same. (Older coordinators do not say it.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_until: Option<Timestamp>,
    /// One for each site that is asked, in the order of the study.
    pub sites: Vec<SiteReport>,
}

/// The permit that a study relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermitInfo {
    /// As its access body names it.
    pub id: PermitId,
    /// Of the signed permit.
    pub digest: Digest,
    /// The person who holds it.
    pub holder: String,
    /// Where they work.
    pub organisation: String,
    /// The access body's name in the coordinator's configuration, else its key.
    pub access_body: String,
}

/// `GET /v1/revocations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationsList {
    /// The newest list of every access body that has published one.
    pub lists: Vec<RevocationsInfo>,
}

/// A list of revoked permits; also the answer to `PUT /v1/revocations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationsInfo {
    /// The access body's name in the coordinator's configuration.
    pub access_body: String,
    /// Its key.
    pub issuer: PublicKey,
    /// The list's number.
    pub number: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// How many permits it has.
    pub revoked: usize,
    /// As it was signed.
    pub list: SignedRevocations,
}

/// Whether a study is still going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StudyState {
    /// Sites are asked.
    Open,
    /// The result is at `GET /v1/studies/{id}/result`. It never changes.
    Published,
    /// It ended without a result.
    Cancelled,
}

/// `GET /v1/studies/{id}/result`: what a study published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyResult {
    /// The study.
    pub study: StudyHead,
    /// One for each site that was asked, in the order of the study.
    pub sites: Vec<SiteReport>,
    /// In the order of the study.
    pub analyses: Vec<AnalysisResult>,
}

/// What a result says of its study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyHead {
    /// Its id.
    pub id: StudyId,
    /// Its title.
    pub title: String,
    /// Why the data is used.
    pub purpose: Purpose,
    /// The dataset's contract.
    pub dataset: ContractId,
    /// The contract's hash.
    pub contract: Digest,
    /// The network.
    pub network: NetworkId,
    /// Who signed it.
    pub researcher: PublicKey,
    /// The permit that it relied on.
    #[serde(default)]
    pub permit: Option<PermitInfo>,
    /// How many sites a cell needed: the larger of the study's and the coordinator's number.
    pub min_sites: u32,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When the coordinator accepted it.
    pub accepted_at: Timestamp,
    /// When it was published.
    pub published_at: Timestamp,
}

/// The combined answer to one analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisResult {
    /// Its name in the study.
    pub name: AnalysisName,
    /// Its kind, e.g. `table`.
    pub kind: String,
    /// The answer as asked.
    #[serde(flatten)]
    pub block: Block,
    /// What a reader must know, in words.
    pub notes: Vec<String>,
    /// The same at the coarsest grouping among the sites, where some site rolled up.
    pub rolled_up: Option<Block>,
    /// What else belongs to the answer, e.g. the test of a cross-tabulation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<NamedBlock>,
    /// The sites that do not stand behind it, or not behind every part of it: they did not answer, said no to it, or left before its last round.
    /// (Older coordinators do not say it.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<SiteId>,
}

/// A further block of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamedBlock {
    /// What it shows.
    pub title: String,
    /// It.
    #[serde(flatten)]
    pub block: Block,
}

/// Rows under columns, and what is not in them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// The headings: keys first, whose values are texts, then what was asked.
    pub columns: Vec<String>,
    /// One a cell, one value a column.
    pub rows: Vec<Vec<Value>>,
    /// One for each hidden value. A null without one stands for something that does not exist, e.g. the upper edge of the last bin.
    pub hidden: Vec<Hidden>,
    /// One for each published value of a measure. Somebody is left out unless `of` is `[n, n]`.
    pub coverage: Vec<Coverage>,
    /// One for each published value that is not exactly the pooled one: since sites round, or a quantile of a summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Within>,
}

/// Where a published value lies that follows from rounded counts or from bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Within {
    /// The position in `rows`.
    pub row: usize,
    /// The position in `columns`.
    pub column: usize,
    /// The value over the rows as they are is this or more.
    pub from: f64,
    /// And this or less.
    pub to: f64,
}

/// A value in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A statistic.
    Number(f64),
    /// A key's label.
    Text(String),
    /// Not published, as `hidden` says, or nothing to say.
    Null,
}

/// The smallest and the largest number that is possible; an open upper end is null. Written `[lo, hi]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interval(pub u64, pub Option<u64>);

impl Interval {
    /// Whether `n` is possible.
    pub fn contains(&self, n: u64) -> bool {
        self.0 <= n && self.1.is_none_or(|hi| n <= hi)
    }
}

/// Why a null is a null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hidden {
    /// The position in `rows`.
    pub row: usize,
    /// The position in `columns`.
    pub column: usize,
    /// Within which the number lies. Only counts have one.
    pub interval: Option<Interval>,
    /// Why it is hidden.
    pub reason: HiddenReason,
}

/// Why a value is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HiddenReason {
    /// At least one site shows fewer than k here, or answers at a coarser grouping only.
    FewerThanK,
    /// Fewer sites than the study and the network demand show it.
    TooFewSites,
    /// The statistic needs more values than there are.
    TooFewValues,
    /// The statistic needs every cell of its table exactly.
    NotAllExact,
    /// Sites round their counts.
    Rounded,
}

impl HiddenReason {
    /// All of them.
    pub const ALL: [HiddenReason; 5] = [
        HiddenReason::FewerThanK,
        HiddenReason::TooFewSites,
        HiddenReason::TooFewValues,
        HiddenReason::NotAllExact,
        HiddenReason::Rounded,
    ];
}

impl fmt::Display for HiddenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HiddenReason::FewerThanK => "a site shows fewer than k here, or a coarser grouping only",
            HiddenReason::TooFewSites => "too few sites show it",
            HiddenReason::TooFewValues => "too few values",
            HiddenReason::NotAllExact => "it needs every cell exactly",
            HiddenReason::Rounded => "sites round their counts",
        })
    }
}

/// How many rows stand behind a value, and of how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// The position in `rows`.
    pub row: usize,
    /// The position in `columns`.
    pub column: usize,
    /// Rows with a value, at the sites that show it.
    pub n: u64,
    /// Rows in the cell, at all sites that answered.
    pub of: Interval,
    /// How far each of these can be from the true number, where sites round; of a curve also where they hide who has no event.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub off: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// `GET /v1/users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserList {
    /// By name.
    pub users: Vec<UserInfo>,
}

/// `POST /v1/users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name.
    pub name: UserName,
    /// What they are.
    #[schemars(length(min = 1))]
    pub roles: BTreeSet<Role>,
}

/// `GET /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// By user.
    pub tokens: Vec<TokenInfo>,
}

/// The answer to `POST /v1/tokens`: nothing else ever shows the token. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct MadeToken {
    /// What its user is to show.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// `GET /v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditList {
    /// In the order of their numbers; `?after=N` has those behind N.
    pub entries: Vec<Audited>,
    /// What was refused, by day and reason.
    pub refused: Vec<Refused>,
}

/// An error as `application/problem+json` (RFC 9457) with our stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemJson {
    /// `urn:bocage:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in one sentence.
    pub detail: String,
    /// The stable code.
    pub code: ErrorCode,
    /// What to do about it.
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_and_a_hidden_value_is_null() {
        let block = Block {
            columns: vec!["sex".into(), "count".into(), "mean(chol)".into()],
            rows: vec![vec![Value::Text("female".into()), Value::Null, Value::Number(246.0)]],
            hidden: vec![Hidden {
                row: 0,
                column: 1,
                interval: Some(Interval(11, None)),
                reason: HiddenReason::FewerThanK,
            }],
            coverage: vec![],
            within: vec![],
        };
        let json = serde_json::to_string(&block).unwrap();
        assert!(json.contains(r#"[["female",null,246.0]]"#), "{json}");
        assert!(json.contains(r#""interval":[11,null],"reason":"fewer_than_k""#), "{json}");
        assert_eq!(serde_json::from_str::<Block>(&json).unwrap(), block);
    }

    #[test]
    fn a_count_stays_a_count() {
        assert_eq!(serde_json::from_str::<Value>("303").unwrap(), Value::Count(303));
        assert_eq!(serde_json::from_str::<Value>("303.0").unwrap(), Value::Number(303.0));
    }
}
