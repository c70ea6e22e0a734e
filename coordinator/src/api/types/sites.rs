//! What is said of the roster: who is there, under which certificate, and what each site offers.

use bocage_protocol::contract::ColumnTraits;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ColumnName, ContractId, Digest, SiteId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/sites`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteList {
    /// In the order of their ids.
    pub sites: Vec<SiteInfo>,
}

/// A site of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteInfo {
    /// Its id.
    pub id: SiteId,
    /// Its name for people.
    pub name: String,
    /// Whether it has a release key; without one it has yet to enrol. (Older coordinators do not say it.)
    #[serde(default = "enrolled")]
    pub enrolled: bool,
    /// Whether it has a session now.
    pub online: bool,
    /// Since when it has had one without a break. (Older coordinators do not say it.)
    #[serde(default)]
    pub connected_since: Option<Timestamp>,
    /// When it was last heard of, since this coordinator started.
    pub last_seen: Option<Timestamp>,
    /// Its clock minus ours when it last connected, in milliseconds.
    pub skew_ms: Option<i64>,
    /// How far that may be off to either side, by what the network takes: half of the shortest exchange. (Older coordinators do not say it.)
    #[serde(default)]
    pub skew_within_ms: Option<u64>,
    /// Its software version.
    pub software: Option<String>,
    /// What it offered when it last connected.
    pub datasets: Vec<OfferInfo>,
    /// How what its ledger said of itself contradicts what it said before; `GET /v1/checkpoints/{site}` has both.
    #[serde(default)]
    pub ledger_warning: Option<String>,
    /// Whether the network's operator has taken its certificates back. (Older coordinators do not say it.)
    #[serde(default)]
    pub revoked: bool,
    /// The certificate that it has shown last, since this coordinator started.
    #[serde(default)]
    pub certificate: Option<CertificateInfo>,
}

/// A site's certificate, and where it stands in an exchange of the authorities above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateInfo {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Its end.
    pub until: Timestamp,
    /// Whether the authority that is in force has issued it; none where the coordinator issues none.
    pub current: Option<bool>,
    /// Whether the site has said that it trusts all the roots in force.
    pub roots: bool,
}

fn enrolled() -> bool {
    true
}

/// A dataset that a site offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferInfo {
    /// The contract that it follows.
    pub contract: ContractId,
    /// The contract's hash at that site.
    pub hash: Digest,
    /// When its snapshot was taken, if there is one.
    pub snapshot_at: Option<Timestamp>,
    /// Whether the site says that it answers about it under a permit only.
    #[serde(default)]
    pub needs_permit: bool,
    /// The columns that it declares not to collect. (Older nodes do not say it.)
    #[serde(default)]
    pub absent: Option<Vec<ColumnName>>,
    /// The columns of its contract, where the coordinator does not hold that.
    #[serde(default)]
    pub columns: Option<Vec<ColumnTraits>>,
}
