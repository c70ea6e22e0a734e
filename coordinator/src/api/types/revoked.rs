//! What is said about certificates that are taken back.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/sites/{site}/revocation` and `…/revocation/lift`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// One certificate's serial number; without it all of the site's are meant.
    #[serde(default)]
    pub serial: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `GET /v1/revoked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedList {
    /// In the order of sites.
    pub revoked: Vec<RevokedInfo>,
}

/// A site, or one certificate of it, that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedInfo {
    /// The site.
    pub site: SiteId,
    /// The certificate; none: all of the site's.
    pub serial: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Whether the site has enrolled anew since: only what was certified before is refused.
    pub enrolled_anew: bool,
}
