//! A site's own TLS key, and the request by which it is certified (PKCS#10, RFC 2986): the key never travels, and the request's own signature
//! proves that whoever asks holds it.
//!
//! Of a request nothing counts but the key and that proof. Whatever names, purposes and extensions it asks for, the issuer gives those of a
//! site's certificate ([`super::Authority::certify_site`]) and takes the site from what it knows already.

use std::fmt;

use bocage_protocol::env::Entropy;
use rcgen::{CertificateParams, KeyPair};
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use super::{SPKI_PREFIX, key_pair, making, new_key};
use crate::identity::CertificateError;

/// Between a request's signed part and the 64 bytes of its signature: Ed25519 (RFC 8410, section 3), and a bit string's head.
const SIGNED_WITH: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00];

/// The key of a site's TLS sessions, without a certificate yet. Its `Debug` shows nothing.
pub struct SiteKey(Zeroizing<KeyPair>);

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(…)")
    }
}

impl SiteKey {
    /// A fresh Ed25519 key.
    ///
    /// # Errors
    /// [`CertificateError::KeyUnusable`] where the library refuses its own form.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, CertificateError> {
        new_key(entropy).map(Self)
    }

    /// Reads what [`SiteKey::to_pem`] wrote.
    ///
    /// # Errors
    /// [`CertificateError::KeyUnusable`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::KeyUnusable)?;
        key_pair(&der).map(Self)
    }

    /// PKCS#8 in PEM form, for a file of mode 0600.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(&self.0.public_key_raw()[..32]);
        public
    }

    /// A certificate request in DER, which asks for nothing but that the key be certified.
    ///
    /// # Errors
    /// [`CertificateError::Making`] where the library fails.
    pub fn request(&self) -> Result<Vec<u8>, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&*self.0).map_err(making)?.der().to_vec())
    }
}

/// The Ed25519 key that a certificate request asks to be certified, if its signature shows that the asker holds it.
///
/// # Errors
/// [`CertificateError::BadRequest`].
pub fn requested_key(der: &[u8]) -> Result<[u8; 32], CertificateError> {
    let bad = |rule| CertificateError::BadRequest { rule };
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| bad("its bytes are not PKCS#10"))?;
    if !rest.is_empty() {
        return Err(bad("there is something behind its end"));
    }
    let info = &request.certification_request_info;
    // The whole field, so that a key of another kind that ends in 32 good bytes is none.
    let key = info.subject_pki.raw.strip_prefix(&SPKI_PREFIX[..]).and_then(|key| <[u8; 32]>::try_from(key).ok());
    let key = key.ok_or(bad("its key is not an Ed25519 key"))?;
    let signature = &request.signature_value.data;
    if !der.ends_with(&[&SIGNED_WITH[..], signature].concat()) {
        return Err(bad("it is not signed with Ed25519"));
    }
    let signed = UnparsedPublicKey::new(&ED25519, &key).verify(info.raw, signature);
    signed.map_err(|_| bad("its signature is not that of its key"))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};

    use super::*;
    use crate::env::SystemEntropy;

    fn key() -> SiteKey {
        SiteKey::generate(&mut SystemEntropy).unwrap()
    }

    #[test]
    fn a_request_proves_possession_of_the_key_that_it_names() {
        let key = key();
        let der = key.request().unwrap();
        assert_eq!(requested_key(&der).unwrap(), key.public());
        assert_eq!(SiteKey::from_pem(&key.to_pem()).unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn whatever_else_a_request_asks_for_only_its_key_is_taken() {
        let key = key();
        let mut params = CertificateParams::new(vec!["other.site.bocage".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0])];
        let der = params.serialize_request(&*key.0).unwrap().der().to_vec();
        assert_eq!(requested_key(&der).unwrap(), key.public());
    }

    #[test]
    fn any_changed_byte_another_kind_of_key_and_garbage_are_refused() {
        let der = key().request().unwrap();
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] ^= 1;
            assert!(requested_key(&changed).is_err(), "byte {at}");
        }
        let ecdsa = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let other = CertificateParams::default().serialize_request(&ecdsa).unwrap();
        for bad in
            [other.der(), &der[..der.len() - 1], &[der.clone(), vec![0]].concat(), b"", &[0x30, 0x80], &[0xff; 64]]
        {
            assert!(matches!(requested_key(bad), Err(CertificateError::BadRequest { .. })));
        }
    }
}
