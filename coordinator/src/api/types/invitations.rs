//! What is said about invitations. An invitation's token is in the answer to its making, and nowhere else.

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::PublicKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/invitations`; the answer is the invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationWanted {
    /// Who is invited: a site of the coordinator's configuration.
    pub site: SiteId,
    /// How long it is good.
    #[serde(default = "a_week")]
    pub days: u32,
    /// Whether the site may get another release key by it.
    #[serde(default)]
    pub replace: bool,
}

fn a_week() -> u32 {
    7
}

/// `GET /v1/invitations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationList {
    /// The newest thousand, latest first.
    pub invitations: Vec<InvitationInfo>,
}

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// It is good.
    Open,
    /// A site enrolled by it.
    Used,
    /// It was taken back, or a newer one took its place.
    Withdrawn,
    /// Nobody used it in time.
    Expired,
}

impl InvitationState {
    /// As the list spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            InvitationState::Open => "open",
            InvitationState::Used => "used",
            InvitationState::Withdrawn => "withdrawn",
            InvitationState::Expired => "expired",
        }
    }
}

/// An invitation without its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationInfo {
    /// Twelve digits of its token's hash, as the coordinator's log names it.
    pub id: String,
    /// Who is invited.
    pub site: SiteId,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Whether the site may get another release key by it.
    pub replace: bool,
    /// What became of it.
    pub state: InvitationState,
    /// When it was used or taken back.
    pub ended_at: Option<Timestamp>,
    /// The release key that the site showed.
    pub release_key: Option<PublicKey>,
}

/// The answer to `DELETE /v1/invitations/{site}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withdrawn {
    /// Whose open invitation was taken back.
    pub site: SiteId,
}
