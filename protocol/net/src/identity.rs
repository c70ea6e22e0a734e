//! Who one is on the network: a certificate chain, its private key and the root one trusts; and reading a peer's name
//! from its certificate.

use std::fmt;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::certificates::{ORGANISATION, SITE_SUFFIX};
use crate::transport::printable;

/// Certificates of one chain, or roots of one network, in one file.
const CERTIFICATES: usize = 8;

/// Why a certificate or key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate in the text.
    #[error("not a certificate in PEM form")]
    NotPem,
    /// More certificates than any chain of ours has.
    #[error("more than {CERTIFICATES} certificates in one file")]
    TooMany,
    /// The certificate's bytes are not X.509.
    #[error("not an X.509 certificate: {reason}")]
    Unreadable {
        /// What the parser said.
        reason: String,
    },
    /// The text holds no Ed25519 key.
    #[error("not an Ed25519 private key in PKCS#8 PEM form")]
    KeyUnusable,
    /// The text holds no key of a server.
    #[error("not a private key in PEM form")]
    WebKeyUnusable,
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A leaf was given where an authority was wanted.
    #[error("the certificate is not a certificate authority's")]
    NotAnAuthority,
    /// Roots issue intermediates and intermediates issue leaves, never otherwise.
    #[error("a root issues intermediates only, and an intermediate issues leaves only")]
    WrongLevel,
    /// The authority's own time is over.
    #[error("the issuing certificate expired at {since}")]
    IssuerExpired {
        /// Its end.
        since: Timestamp,
    },
    /// The certificate does not name exactly one site, or is not for clients alone.
    #[error("the certificate is not a site's")]
    NotASite,
    /// A certificate request that is none, or does not prove that the asker holds the key.
    #[error("not a usable certificate request: {rule}")]
    BadRequest {
        /// What is wrong.
        rule: &'static str,
    },
    /// A name that a coordinator's certificate cannot carry.
    #[error("`{name}` cannot be a name of the coordinator")]
    BadName {
        /// The name.
        name: String,
    },
    /// The dates do not fit into a certificate.
    #[error("the dates do not fit into a certificate")]
    DateOutOfRange,
    /// The certificate could not be made.
    #[error("the certificate cannot be made: {reason}")]
    Making {
        /// What the library said.
        reason: String,
    },
    /// TLS refuses the parts.
    #[error("TLS refuses the identity: {reason}")]
    Tls {
        /// What the library said.
        reason: String,
    },
}

/// What we read from a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) authority: bool,
    pub(crate) self_issued: bool,
    pub(crate) public_key: Vec<u8>,
}

impl Facts {
    pub(crate) fn of(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        Ok(Self {
            not_before: Timestamp(certificate.validity().not_before.timestamp().saturating_mul(1000)),
            not_after: Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1000)),
            authority: certificate.is_ca(),
            self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
        })
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der.as_ref()) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(CertificateError::Unreadable { reason: "bytes behind its end".into() }),
        Err(error) => Err(CertificateError::Unreadable { reason: error.to_string() }),
    }
}

/// The site that a leaf names. The caller has verified the leaf's chain: this reads a name and proves nothing.
///
/// # Errors
/// [`CertificateError::NotASite`] unless exactly one DNS name ends in `.site.bocage` with a site id before it, and the
/// leaf is for client authentication and not for servers.
pub fn site_of(leaf: &CertificateDer<'_>) -> Result<SiteId, CertificateError> {
    let certificate = parse(leaf)?;
    let purposes = certificate.extended_key_usage().ok().flatten().map(|extension| extension.value);
    if !purposes.is_some_and(|purposes| purposes.client_auth && !purposes.server_auth && !purposes.any) {
        return Err(CertificateError::NotASite);
    }
    let names = certificate.subject_alternative_name().ok().flatten().ok_or(CertificateError::NotASite)?;
    let mut sites = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => site_part(name),
        _ => None,
    });
    match (sites.next(), sites.next()) {
        (Some(site), None) => site.parse().map_err(|_| CertificateError::NotASite),
        _ => Err(CertificateError::NotASite),
    }
}

/// Who issued a certificate that no network of ours issued, as it may stand in a log. For telling who looks into TLS: proves nothing.
pub(crate) fn issuer_of(leaf: &CertificateDer<'_>) -> Option<String> {
    let certificate = parse(leaf).ok()?;
    let issuer = certificate.issuer();
    let ours = issuer.iter_organization().any(|name| name.as_str().is_ok_and(|name| name == ORGANISATION));
    (!ours).then(|| printable(issuer.to_string().as_bytes()))
}

/// What stands before `.site.bocage`. DNS names ignore case, so the suffix does too; the site id does not.
fn site_part(name: &str) -> Option<&str> {
    let (site, suffix) = name.split_at_checked(name.len().checked_sub(SITE_SUFFIX.len())?)?;
    suffix.eq_ignore_ascii_case(SITE_SUFFIX).then_some(site)
}

/// A certificate chain, its key, and the roots that peers are verified against.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Zeroizing<PrivatePkcs8KeyDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    facts: Facts,
}

impl Identity {
    /// An identity from the texts of its three files: the chain with the leaf first, the leaf's key, the network's root
    /// (several while a root is being replaced).
    ///
    /// # Errors
    /// When a part is missing or unreadable, or the key is not the leaf's. Expiry is no error here: peers judge that.
    pub fn from_pem(chain_pem: &str, key_pem: &str, roots_pem: &str) -> Result<Self, CertificateError> {
        let chain = certificates(chain_pem)?;
        let roots = certificates(roots_pem)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| CertificateError::KeyUnusable)?;
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)
            .map_err(|_| CertificateError::KeyUnusable)?;
        let facts = Facts::of(&chain[0])?;
        if facts.public_key != Zeroizing::new(pair).public_key_raw() {
            return Err(CertificateError::KeyMismatch);
        }
        for root in &roots {
            if !Facts::of(root)?.authority {
                return Err(CertificateError::NotAnAuthority);
            }
        }
        Ok(Self { chain, key, roots, facts })
    }

    /// The site that this identity is, when it is a site's.
    ///
    /// # Errors
    /// [`CertificateError::NotASite`] for the coordinator's.
    pub fn site(&self) -> Result<SiteId, CertificateError> {
        site_of(&self.chain[0])
    }

    /// When the leaf begins to be valid.
    pub fn valid_from(&self) -> Timestamp {
        self.facts.not_before
    }

    /// When the leaf expires.
    pub fn valid_until(&self) -> Timestamp {
        self.facts.not_after
    }

    /// The leaf's public key.
    pub fn public_key(&self) -> &[u8] {
        &self.facts.public_key
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    pub(crate) fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// The SHA-256 of the first certificate of a PEM text, in hexadecimal digits, for people to compare.
///
/// # Errors
/// When there is no certificate.
pub fn fingerprint(pem: &str) -> Result<String, CertificateError> {
    use std::fmt::Write as _;
    let first = &certificates(pem)?[0];
    let mut text = String::new();
    for byte in ring::digest::digest(&ring::digest::SHA256, first.as_ref()).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// One to [`CERTIFICATES`] certificates.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        if found.len() == CERTIFICATES {
            return Err(CertificateError::TooMany);
        }
        found.push(certificate.map_err(|_| CertificateError::NotPem)?);
    }
    if found.is_empty() { Err(CertificateError::NotPem) } else { Ok(found) }
}

/// Any number of certificates of others, such as a system's bundle.
pub(crate) fn bundle(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(CertificateError::NotPem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;
    use crate::env::SystemEntropy;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let network = "north".parse().unwrap();
        let root = Authority::new_root(&network, NOW, &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&network, NOW, &mut SystemEntropy).unwrap();
        let one = issuing.issue_site(&"aa".parse().unwrap(), NOW, 1, &mut SystemEntropy).unwrap();
        let two = issuing.issue_site(&"bb".parse().unwrap(), NOW, 1, &mut SystemEntropy).unwrap();
        let ca = root.certificate_pem();
        assert!(matches!(Identity::from_pem(&one.chain_pem, &two.key_pem, ca), Err(CertificateError::KeyMismatch)));
        assert!(matches!(Identity::from_pem("", &one.key_pem, ca), Err(CertificateError::NotPem)));
        assert!(matches!(Identity::from_pem(&one.chain_pem, ca, ca), Err(CertificateError::KeyUnusable)));
        let leaf_as_root = Identity::from_pem(&one.chain_pem, &one.key_pem, &one.chain_pem);
        assert!(matches!(leaf_as_root, Err(CertificateError::NotAnAuthority)));
        let many = ca.repeat(CERTIFICATES + 1);
        assert!(matches!(Identity::from_pem(&one.chain_pem, &one.key_pem, &many), Err(CertificateError::TooMany)));
        assert!(!format!("{:?}", Identity::from_pem(&one.chain_pem, &one.key_pem, ca).unwrap()).contains(" key: "));
    }

    #[test]
    fn bytes_that_are_no_certificate_name_no_site() {
        for bytes in [&b""[..], b"\x30", b"\x30\x80", &[0xff; 64]] {
            assert!(matches!(site_of(&CertificateDer::from(bytes)), Err(CertificateError::Unreadable { .. })));
        }
    }
}
