//! Which permits an access body has taken back. A coordinator passes the list on: it can withhold a newer one, but neither forge
//! nor shorten one, and a site stops new studies when the newest list that it knows is too old.

use serde::{Deserialize, Serialize};

use super::document::{Document, Signed};
use super::keys::PublicKey;
use super::permit::Permit;
use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{Digest, PermitId};
use crate::limits;

/// The number of this form of a list.
pub const REVOCATIONS_FORMAT: u16 = 1;

/// How long an ended permit stays in the list: no clock that a site may have takes it for valid then.
const ENDED_SECS: i64 = 2 * limits::CLOCK_TOLERANCE_SECS;

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
    /// When it ends by itself: from then on it need not stand here.
    pub valid_to: Timestamp,
}

/// A list as it is kept and as it travels.
pub type SignedRevocations = Signed<Revocations>;

impl Revocations {
    /// The first list of an access body: nothing is taken back.
    pub fn first(issuer: PublicKey, now: Timestamp) -> Self {
        Self { format: REVOCATIONS_FORMAT, issuer, number: 1, issued_at: now, revoked: Vec::new() }
    }

    /// The next list: what has ended by itself for longer than clocks may differ is no longer in it.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Self {
        let stands = |revoked: &&Revoked| now <= revoked.valid_to.plus_secs(ENDED_SECS);
        let revoked = self.revoked.iter().filter(stands).cloned().collect();
        Self { number: self.number + 1, issued_at: now, revoked, ..self.clone() }
    }

    /// The same list with a permit more. One that is in it stays as it is.
    #[must_use]
    pub fn with(mut self, permit: &Permit, digest: Digest, at: Timestamp) -> Self {
        if let Err(place) = self.revoked.binary_search_by(|revoked| revoked.digest.cmp(&digest)) {
            self.revoked.insert(place, Revoked { digest, id: permit.id.clone(), at, valid_to: permit.valid_to });
        }
        self
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fixed;
    use crate::trust::{SecretKey, SignedRevocations};

    const NOW: Timestamp = Timestamp(1_760_000_000_000);

    fn permit(id: &str, valid_to: Timestamp) -> Permit {
        crate::trust::permit::tests::permit(&SecretKey::generate(&mut Fixed(1)), id, valid_to)
    }

    fn digest(seed: u8) -> Digest {
        Digest::from_bytes([seed; 32])
    }

    #[test]
    fn a_list_grows_by_number_stays_sorted_and_forgets_what_ended_by_itself() {
        let issuer = SecretKey::generate(&mut Fixed(1));
        let first = Revocations::first(issuer.public(), NOW);
        let (long, short) = (permit("long", NOW.plus_secs(10_000)), permit("short", NOW.plus_secs(10)));
        let second = first.next(NOW).with(&long, digest(9), NOW).with(&short, digest(3), NOW);
        let again = second.clone().with(&short, digest(3), NOW.plus_secs(5));
        assert_eq!(again, second);
        assert_eq!(second.number, 2);
        SignedRevocations::sign(&second, &issuer).unwrap().verify().unwrap();
        assert!(second.revokes(&digest(3)).is_some() && second.revokes(&digest(4)).is_none());
        let still = second.next(NOW.plus_secs(10 + ENDED_SECS));
        assert!(still.revokes(&digest(3)).is_some(), "a site's clock may be late");
        let third = second.next(NOW.plus_secs(11 + ENDED_SECS));
        assert_eq!((third.number, third.revoked.len()), (3, 1));
        assert!(third.revokes(&digest(9)).is_some());
    }

    #[test]
    fn a_list_that_another_key_signed_or_that_was_shortened_is_refused() {
        let (issuer, other) = (SecretKey::generate(&mut Fixed(1)), SecretKey::generate(&mut Fixed(2)));
        let list = Revocations::first(issuer.public(), NOW).with(&permit("a", NOW.plus_secs(10)), digest(3), NOW);
        assert!(SignedRevocations::sign(&list, &other).is_err());
        let signed = SignedRevocations::sign(&list, &issuer).unwrap();
        let mut empty = signed.clone();
        empty.document = SignedRevocations::sign(&Revocations { revoked: vec![], ..list }, &issuer).unwrap().document;
        assert_eq!(empty.verify().unwrap_err().code, ErrorCode::RevocationsInvalid);
        assert!(signed.verify().is_ok());
    }
}
