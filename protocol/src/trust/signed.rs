//! Bytes with a signature over exactly these bytes. They are parsed only after the signature was verified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canonical::{canonical, from_canonical};
use super::checkpoint::{Checkpoint, SignedCheckpoint, Standing};
use super::keys::{PublicKey, SecretKey, Signature};
use super::permit::SignedPermit;
use super::sites::{Named, Place};
use super::study::Study;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{Digest, SiteId, StudyId};
use crate::limits;
use crate::release::Release;
use crate::wire::codec;

const STUDY_DOMAIN: &str = "bocage/study/1";
const RELEASE_DOMAIN: &str = "bocage/release/1";

/// A study as it travels: canonical JSON as text, the researcher's signature over it, and who is in its tree of sites.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedStudy {
    /// The canonical JSON.
    pub study: String,
    /// Over the bytes of `study`.
    pub signature: Signature,
    /// Its sites, or the place of the one that it is sent to.
    pub sites: Named,
    /// The permit that it relies on, where it relies on one.
    #[serde(default)]
    pub permit: Option<SignedPermit>,
}

impl SignedStudy {
    /// Signs a study of which all sites are known. `key` must be the one that the study names.
    ///
    /// # Errors
    /// `malformed`, `study_invalid` where the sites are not known.
    pub fn sign(study: &Study, key: &SecretKey) -> Result<Self, PublicError> {
        let unknown = || PublicError::new(ErrorCode::StudyInvalid, "the study's sites are not known here");
        let sites = Named::All(study.sites.names().ok_or_else(unknown)?.to_vec());
        let bytes = canonical(study)?;
        let signature = key.sign(STUDY_DOMAIN, &bytes);
        let study =
            String::from_utf8(bytes).map_err(|_| PublicError::new(ErrorCode::Malformed, "the study is not UTF-8"))?;
        Ok(Self { study, signature, sites, permit: None })
    }

    /// The same with the permit that the study relies on.
    #[must_use]
    pub fn with_permit(self, permit: Option<SignedPermit>) -> Self {
        Self { permit, ..self }
    }

    /// The study's id.
    pub fn id(&self) -> StudyId {
        Digest::of(STUDY_DOMAIN, &[self.study.as_bytes()])
    }

    /// The study, if its bytes are canonical and signed by the key that it names.
    ///
    /// Whether that key is trusted is the caller's question.
    ///
    /// # Errors
    /// `too_large`, `malformed`, `not_canonical`, `signature_invalid`, `study_invalid`.
    pub fn verify(&self) -> Result<Study, PublicError> {
        let mut study: Study = from_canonical(self.study.as_bytes(), limits::STUDY_BYTES)?;
        if !study.researcher.verifies(STUDY_DOMAIN, self.study.as_bytes(), &self.signature) {
            return Err(PublicError::new(
                ErrorCode::SignatureInvalid,
                "the signature does not fit the study: it was altered, or signed with another key",
            ));
        }
        study.check_shape()?;
        study.sites.learn(&self.sites)?;
        Ok(study)
    }

    /// Whether `study`, which is this one verified, names a site.
    pub fn names(&self, study: &Study, site: &SiteId) -> bool {
        study.sites.name(site, &self.sites)
    }

    /// The same for one site alone: `place` is its own.
    pub fn at(&self, place: Place) -> Self {
        Self {
            study: self.study.clone(),
            signature: self.signature,
            sites: Named::One(place),
            permit: self.permit.clone(),
        }
    }
}

/// A release as it travels: encoded bytes, and the checkpoint of the site's ledger that names them. The checkpoint's signature covers both, and
/// holds without the release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedRelease {
    /// An encoded [`Release`].
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// What only the site could make and only who has the release knows: without it the checkpoint's digest says nothing of `body`.
    pub salt: Digest,
    /// Signed by the site's release key.
    pub ledger: SignedCheckpoint,
}

impl SignedRelease {
    /// Encodes and signs what the gate let out, of a site whose ledger stands there.
    ///
    /// # Errors
    /// `too_large` where it does not fit one frame, `malformed` where a number is beyond what JSON holds exactly.
    pub fn sign(release: &Release, ledger: Standing, key: &SecretKey) -> Result<Self, PublicError> {
        let body = codec::encode(release)
            .map_err(|_| PublicError::new(ErrorCode::TooLarge, "the release does not fit one frame"))?;
        Self::of_bytes(body, release.site.clone(), ledger, key)
    }

    /// The same of bytes that are encoded already.
    pub fn of_bytes(body: Vec<u8>, site: SiteId, ledger: Standing, key: &SecretKey) -> Result<Self, PublicError> {
        let Standing { records, head, at } = ledger;
        let salt = Digest::from_bytes(*key.derive(&format!("salt of the release after {head}")));
        let release = digest(&salt, &body);
        let ledger = SignedCheckpoint::sign(Checkpoint { site, records, head, at, release }, key)?;
        Ok(Self { body, salt, ledger })
    }

    /// What may be told of this release to those who must not see it: it names these bytes and no others, and says nothing of them. Who guesses
    /// them has not the salt.
    pub fn receipt(&self) -> Digest {
        self.ledger.checkpoint.release
    }

    /// The release, if the site's release key signed a checkpoint that names it.
    ///
    /// # Errors
    /// `release_invalid`.
    pub fn verify(&self, key: &PublicKey) -> Result<Release, PublicError> {
        let invalid = |message| PublicError::new(ErrorCode::ReleaseInvalid, message);
        if !self.is_named() || self.ledger.verify(key).is_err() {
            return Err(invalid("the release is not signed by the site's release key"));
        }
        codec::decode(&self.body, limits::FRAME_BYTES).map_err(|_| invalid("the signed bytes are not a release"))
    }

    /// Whether the checkpoint is that of these bytes. Whose it is, [`SignedRelease::verify`] says.
    pub fn is_named(&self) -> bool {
        digest(&self.salt, &self.body) == self.ledger.checkpoint.release
    }
}

fn digest(salt: &Digest, body: &[u8]) -> Digest {
    Digest::of(RELEASE_DOMAIN, &[salt.as_bytes(), body])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Fixed, Timestamp};

    fn release(round: u16) -> Release {
        let snapshot = Digest::from_bytes([1; 32]);
        let site = "hungary".parse().unwrap();
        Release { study: snapshot, site, round, snapshot, snapshot_at: Timestamp(1), parts: vec![] }
    }

    fn signed(round: u16, records: u64, key: &SecretKey) -> SignedRelease {
        let ledger = Standing { records, head: Digest::from_bytes([records as u8; 32]), at: Timestamp(2) };
        SignedRelease::sign(&release(round), ledger, key).unwrap()
    }

    #[test]
    fn a_release_holds_with_its_own_checkpoint_and_salt_only_and_the_checkpoint_holds_alone() {
        let key = SecretKey::generate(&mut Fixed(7));
        let (one, two) = (signed(0, 5, &key), signed(1, 6, &key));
        assert_eq!(one.verify(&key.public()).unwrap(), release(0));
        assert_eq!(one.ledger.verify(&key.public()).unwrap().records, 5);
        let forged = [
            SignedRelease { body: two.body.clone(), ..one.clone() },
            SignedRelease { salt: two.salt, ..one.clone() },
            SignedRelease { ledger: two.ledger.clone(), ..one.clone() },
            signed(0, 5, &SecretKey::generate(&mut Fixed(8))),
        ];
        for forged in forged {
            assert_eq!(forged.verify(&key.public()).unwrap_err().code, ErrorCode::ReleaseInvalid);
        }
    }

    #[test]
    fn who_guesses_a_release_cannot_tell_by_the_checkpoint_whether_the_guess_is_right() {
        let (site, other) = (SecretKey::generate(&mut Fixed(7)), SecretKey::generate(&mut Fixed(8)));
        let (own, guessed) = (signed(0, 5, &site), signed(0, 5, &other));
        assert_eq!(own.body, guessed.body);
        assert_ne!(own.ledger.checkpoint.release, guessed.ledger.checkpoint.release);
        assert_ne!(own.salt, signed(0, 6, &site).salt);
        assert_ne!(own.receipt(), guessed.receipt());
    }
}
