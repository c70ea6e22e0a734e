//! What a coordinator published, signed by it: whoever alters a number or a receipt of the result afterwards has no signature that fits.

use serde::{Deserialize, Serialize};

use super::{Document, Entry, PublicKey, SecretKey, Signed};
use crate::error::{ErrorCode, PublicError};
use crate::ids::StudyId;
use crate::limits;

/// The coordinator's signature over the result, in a report's folder.
pub const PUBLICATION: &str = "result.sig.json";

/// The number of this form of a publication.
pub const PUBLICATION_FORMAT: u16 = 1;

/// That a coordinator published these bytes as the result of this study. Its canonical JSON is what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// [`PUBLICATION_FORMAT`].
    pub format: u16,
    /// The study.
    pub study: StudyId,
    /// The bytes that were published.
    pub result: Entry,
    /// The coordinator's key, which signs.
    pub publisher: PublicKey,
}

/// A publication as it stands in its file.
pub type SignedPublication = Signed<Publication>;

impl Publication {
    /// Signs the result of a study.
    ///
    /// # Errors
    /// `malformed` where the result is longer than a number of JSON can say.
    pub fn sign(study: StudyId, result: &[u8], key: &SecretKey) -> Result<SignedPublication, PublicError> {
        let publisher = key.public();
        Signed::sign(&Self { format: PUBLICATION_FORMAT, study, result: Entry::of(result), publisher }, key)
    }
}

impl Document for Publication {
    const DOMAIN: &'static str = "bocage/result/1";
    const LIMIT_BYTES: usize = limits::PUBLICATION_BYTES;
    const NAME: &'static str = "publication";
    const INVALID: ErrorCode = ErrorCode::SignatureInvalid;

    fn signer(&self) -> &PublicKey {
        &self.publisher
    }

    fn check_shape(&self) -> Result<(), PublicError> {
        match self.format {
            PUBLICATION_FORMAT => Ok(()),
            _ => Err(PublicError::new(Self::INVALID, "the publication is of another format than 1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fixed;

    fn signed() -> SignedPublication {
        Publication::sign("ab".repeat(32).parse().unwrap(), b"{}", &SecretKey::generate(&mut Fixed(7))).unwrap()
    }

    #[test]
    fn a_publication_names_its_study_its_bytes_and_its_key_and_holds_with_nothing_else() {
        let publication = signed().verify().unwrap();
        assert_eq!(publication.result, Entry::of(b"{}"));
        assert_eq!(SignedPublication::from_text(&signed().to_text()).unwrap(), signed());
        for (was, is) in [("abab", "abac"), ("\"bytes\":2", "\"bytes\":3"), ("\"sha256\":\"4", "\"sha256\":\"5")] {
            let mut altered = signed();
            altered.document = altered.document.replacen(was, is, 1);
            assert_ne!(altered, signed(), "{was}");
            assert_eq!(altered.verify().unwrap_err().code, ErrorCode::SignatureInvalid, "{was}");
        }
        let other = SecretKey::generate(&mut Fixed(8));
        assert!(Signed::sign(&publication, &other).is_err(), "it names its signer");
        let later = Publication { format: 2, ..publication };
        assert!(Signed::sign(&later, &SecretKey::generate(&mut Fixed(7))).is_err());
    }

    #[test]
    fn bytes_signed_for_another_purpose_are_no_publication() {
        let key = SecretKey::generate(&mut Fixed(7));
        let signature = key.sign("bocage/report/1", signed().document.as_bytes());
        let mut other = signed();
        other.signature = signature;
        assert_eq!(other.verify().unwrap_err().code, ErrorCode::SignatureInvalid);
    }
}
