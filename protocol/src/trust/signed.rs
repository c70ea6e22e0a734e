//! Bytes with a signature over exactly these bytes. They are parsed only after the signature was verified.

use serde::{Deserialize, Serialize};

use super::canonical::{canonical, from_canonical};
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
const RECEIPT_DOMAIN: &str = "bocage/receipt/1";

/// A study as it travels: canonical JSON as text, the researcher's signature over it, and who is in its tree of sites.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A release as it travels: encoded bytes, and the site's release key's signature over them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedRelease {
    /// An encoded [`Release`].
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Over `body`.
    pub signature: Signature,
}

impl SignedRelease {
    /// Encodes and signs what the gate let out.
    pub fn sign(release: &Release, key: &SecretKey) -> Result<Self, PublicError> {
        let body = codec::encode(release)
            .map_err(|_| PublicError::new(ErrorCode::TooLarge, "the release does not fit one frame"))?;
        let signature = key.sign(RELEASE_DOMAIN, &body);
        Ok(Self { body, signature })
    }

    /// What may be told of this release to those who must not see it: it names these bytes and no others, and says nothing of them.
    ///
    /// The signature is part of it because released numbers can be guessed: who knows a total and has a digest of one site's part could try
    /// all parts. Nobody but the site can make the signature of a guess (Ed25519 derives it from the secret key), so a guess cannot be tried.
    pub fn receipt(&self) -> Digest {
        Digest::of(RECEIPT_DOMAIN, &[&self.body, String::from(self.signature).as_bytes()])
    }

    /// The release, if it is signed by the site's release key.
    ///
    /// # Errors
    /// `release_invalid`.
    pub fn verify(&self, key: &PublicKey) -> Result<Release, PublicError> {
        if !key.verifies(RELEASE_DOMAIN, &self.body, &self.signature) {
            return Err(PublicError::new(
                ErrorCode::ReleaseInvalid,
                "the release is not signed by the site's release key",
            ));
        }
        codec::decode(&self.body, limits::FRAME_BYTES)
            .map_err(|_| PublicError::new(ErrorCode::ReleaseInvalid, "the signed bytes are not a release"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_one_release_and_needs_its_signature() {
        let signature = |end: &str| Signature::try_from(format!("{}{end}==", "A".repeat(85))).expect("a signature");
        let release = |body: &[u8], end| SignedRelease { body: body.to_vec(), signature: signature(end) };
        let receipt = release(b"97 women", "A").receipt();
        assert_eq!(receipt.to_string(), VECTOR);
        assert_ne!(release(b"98 women", "A").receipt(), receipt);
        assert_ne!(release(b"97 women", "Q").receipt(), receipt, "who guesses the body does not have it yet");
    }

    /// A receipt must stay what it is: it stands in papers.
    const VECTOR: &str = "643cbe574d6e472b117784167615cd6bf9e1219c801edae62617ed11b55cd86a";
}
