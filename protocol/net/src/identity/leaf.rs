//! What a certificate says of itself, beyond whose it is.

use bocage_protocol::env::Timestamp;
use rustls::pki_types::CertificateDer;

use super::{CertificateError, Facts};

/// A leaf's number, time and issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its serial number in hexadecimal, as `openssl x509 -serial` prints it but in small letters.
    pub serial: String,
    /// When it begins to be valid.
    pub from: Timestamp,
    /// When it expires.
    pub until: Timestamp,
    /// The id of the key that signed it, in hexadecimal.
    pub issuer: Option<String>,
}

impl Leaf {
    /// Reads a certificate. It proves nothing: the caller has verified the chain.
    ///
    /// # Errors
    /// Where the bytes are no certificate.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        Facts::of(der).map(|facts| Self::from_facts(&facts))
    }

    pub(super) fn from_facts(facts: &Facts) -> Self {
        let Facts { serial, issuer, not_before, not_after, .. } = facts.clone();
        Self { serial, from: not_before, until: not_after, issuer }
    }
}
