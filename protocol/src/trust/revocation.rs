//! Which permits an access body has taken back. A coordinator passes the list on: it can withhold a newer one, but neither forge
//! nor shorten one, and a site stops new studies when the newest list that it knows is too old.

use serde::{Deserialize, Serialize};

use super::document::{Document, Signed};
use super::keys::PublicKey;
use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{Digest, PermitId};
use crate::limits;

/// The number of this form of a list.
pub const REVOCATIONS_FORMAT: u16 = 1;

/// All permits that an access body has taken back and that would still be valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// [`REVOCATIONS_FORMAT`].
    pub format: u16,
    /// The access body's key, which signs.
    pub issuer: PublicKey,
    /// Grows by one with each list: the larger number is the newer list.
    pub number: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// Sorted by digest, each once.
    pub revoked: Vec<Revoked>,
}

/// A permit that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The digest of the signed permit.
    pub digest: Digest,
    /// Its name, for people.
    pub id: PermitId,
    /// When it was taken back.
    pub at: Timestamp,
}

/// A list as it is kept and as it travels.
pub type SignedRevocations = Signed<Revocations>;

impl Revocations {
    /// Whether the permit of this digest was taken back.
    pub fn revokes(&self, permit: &Digest) -> Option<&Revoked> {
        self.revoked.binary_search_by(|revoked| revoked.digest.cmp(permit)).ok().map(|at| &self.revoked[at])
    }
}

impl Document for Revocations {
    const DOMAIN: &'static str = "bocage/revocations/1";
    const LIMIT_BYTES: usize = limits::REVOCATIONS_BYTES;
    const NAME: &'static str = "list of revoked permits";
    const INVALID: ErrorCode = ErrorCode::RevocationsInvalid;

    fn signer(&self) -> &PublicKey {
        &self.issuer
    }

    fn check_shape(&self) -> Result<(), PublicError> {
        let rules: [(bool, &str); 3] = [
            (self.format == REVOCATIONS_FORMAT, "the list is of another format than 1"),
            ((1..=limits::EXACT_INT as u64).contains(&self.number), "the list's number is out of its bounds"),
            (
                self.revoked.windows(2).all(|pair| pair[0].digest < pair[1].digest),
                "the list is not sorted and distinct",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(PublicError::new(ErrorCode::RevocationsInvalid, *rule)),
            None => Ok(()),
        }
    }
}
