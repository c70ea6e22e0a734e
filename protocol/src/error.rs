//! What crosses the wire and the API when something goes wrong: a stable code, a sentence, a hint. Never a patient's value.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// A stable code for a failure. The texts are part of the protocol: they are never renamed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant),+
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),+];

            /// The code as text, e.g. `signature_invalid`.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text),+ }
            }
        }
    };
}

codes! {
    /// The bytes are not a message of this protocol.
    Malformed = "malformed",
    /// A bound of [`crate::limits`] is exceeded.
    TooLarge = "too_large",
    /// No protocol version is spoken by both sides.
    VersionUnsupported = "version_unsupported",
    /// The certificate names another site than the message, or none.
    SiteMismatch = "site_mismatch",
    /// The site is not in the coordinator's roster.
    SiteUnknown = "site_unknown",
    /// The site is not connected at the moment; it is asked when it comes.
    SiteOffline = "site_offline",
    /// The request lacks a valid token.
    Unauthorised = "unauthorised",
    /// There is no such thing.
    NotFound = "not_found",
    /// The thing exists already in another form, or is in a state that does not allow this.
    Conflict = "conflict",
    /// The study's bytes are not in canonical form.
    NotCanonical = "not_canonical",
    /// The signature does not fit the bytes.
    SignatureInvalid = "signature_invalid",
    /// The signer's key is not among those that the site trusts.
    SignerUnknown = "signer_unknown",
    /// The study is for another network.
    NetworkMismatch = "network_mismatch",
    /// The study does not name this site.
    SiteNotNamed = "site_not_named",
    /// The study was issued in the future.
    StudyNotYetValid = "study_not_yet_valid",
    /// The study has expired.
    StudyExpired = "study_expired",
    /// The study breaks a rule of the study language or of a contract.
    StudyInvalid = "study_invalid",
    /// The site has no dataset under this contract.
    DatasetNotOffered = "dataset_not_offered",
    /// The site holds this contract with another hash.
    ContractMismatch = "contract_mismatch",
    /// The site's policy does not allow this.
    PolicyRefused = "policy_refused",
    /// The site does not answer in this mode for this signer.
    ModeNotAllowed = "mode_not_allowed",
    /// The site answers only studies that rely on a permit.
    PermitRequired = "permit_required",
    /// The permit is not a sound one: altered, of another form, or not signed by the key that it names.
    PermitInvalid = "permit_invalid",
    /// The site does not trust the access body that signed the permit.
    PermitIssuerUnknown = "permit_issuer_unknown",
    /// The study relies on another permit than the one that came with it.
    PermitMismatch = "permit_mismatch",
    /// The permit becomes valid later.
    PermitNotYetValid = "permit_not_yet_valid",
    /// The permit is not valid any more.
    PermitExpired = "permit_expired",
    /// The access body has taken the permit back.
    PermitRevoked = "permit_revoked",
    /// The study was signed by somebody else than the permit's holder.
    PermitHolder = "permit_holder",
    /// The permit does not allow the study's purpose.
    PermitPurpose = "permit_purpose",
    /// The permit does not cover a dataset or column that the study touches.
    PermitScope = "permit_scope",
    /// The permit does not cover the site, or wants more sites than the study asks.
    PermitSites = "permit_sites",
    /// The list of revoked permits is not a sound one.
    RevocationsInvalid = "revocations_invalid",
    /// The newest list of revoked permits that the site knows is too old, or it knows none.
    RevocationsStale = "revocations_stale",
    /// So many cells as the permit or the site's policy allows have left, or would.
    CapReached = "cap_reached",
    /// The site's steward has not decided yet.
    ApprovalPending = "approval_pending",
    /// The site's steward has refused the study.
    ApprovalRefused = "approval_refused",
    /// The site has paused all answers.
    Paused = "paused",
    /// The site's limit of studies at a time or a day is reached, or it is a quiet hour there.
    PolicyLater = "policy_later",
    /// The round's number or state is out of its bounds.
    RoundInvalid = "round_invalid",
    /// The dataset has no usable snapshot.
    SnapshotUnavailable = "snapshot_unavailable",
    /// The query exceeded the site's time limit.
    QueryTooHeavy = "query_too_heavy",
    /// The site is at its limit of waiting requests.
    Busy = "busy",
    /// The site's ledger cannot be written.
    LedgerUnavailable = "ledger_unavailable",
    /// The release does not come from the site it names, or not for this round.
    ReleaseInvalid = "release_invalid",
    /// The site did not answer before the study's deadline.
    DeadlinePassed = "deadline_passed",
    /// The study was cancelled.
    Cancelled = "cancelled",
    /// Something failed that is not the requester's doing; the site's own log has the cause.
    Internal = "internal",
    /// The site no longer keeps the bytes that it released in this round.
    ReleaseDropped = "release_dropped",
    /// The site cannot tell which patients opted out: it answers nothing.
    OptoutsUnavailable = "optouts_unavailable",
    /// The site's opt-outs changed since the study began there: it must be run again.
    OptoutsChanged = "optouts_changed",
    /// An opt-out cannot be hidden among enough patients yet: the site waits for more of them.
    OptoutsSettling = "optouts_settling",
    /// A model's sums at the site would tell too small a group of patients apart.
    TooFewForModel = "too_few_for_model",
    /// The coordinator cannot certify sites: it enrols and renews nobody.
    NotIssuing = "not_issuing",
    /// No such invitation of this site was made.
    InvitationUnknown = "invitation_unknown",
    /// The invitation's time is over.
    InvitationExpired = "invitation_expired",
    /// The invitation was used with other keys.
    InvitationUsed = "invitation_used",
    /// The invitation was taken back.
    InvitationWithdrawn = "invitation_withdrawn",
    /// The site, or this release key, is known otherwise already.
    ReleaseKeyKnown = "release_key_known",
    /// A request to enrol does not prove its keys.
    EnrolmentInvalid = "enrolment_invalid",
    /// The network's operator has taken the site's certificates back.
    SiteRevoked = "site_revoked",
    /// The token's user has no role that may do this, or the token is not for this.
    Forbidden = "forbidden",
    /// More requests than one token or one address may make.
    TooManyRequests = "too_many_requests",
    /// The site's ledger is an older copy of itself: until its steward has said what was lost, nothing is answered; and what was signed before is
    /// not answered at all where it may have been answered already.
    LedgerRestored = "ledger_restored",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that may leave a process.
///
/// `message` and `hint` are made from fixed text, contract words and configuration, never from data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message} ({code})")]
pub struct PublicError {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

impl PublicError {
    /// An error without a hint. The message is cut to [`crate::limits::ERROR_TEXT_BYTES`].
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: cut(message.into()), hint: None }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(cut(hint.into()));
        self
    }
}

fn cut(mut text: String) -> String {
    let mut end = crate::limits::ERROR_TEXT_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let error = PublicError::new(ErrorCode::Internal, "é".repeat(10_000));
        assert!(error.message.len() <= crate::limits::ERROR_TEXT_BYTES);
    }

    #[test]
    fn codes_are_distinct_and_serialise_as_their_text() {
        let mut texts: Vec<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }
}
