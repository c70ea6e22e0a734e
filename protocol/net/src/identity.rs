//! Who one is on the network: a certificate chain, its private key and the root one trusts; and reading a peer's name
//! from its certificate.
//!
//! A renewal leaves all three in one text, so that one rename exchanges them and none is ever without the others:
//! [`Identity::to_pem`]. [`Identity::from_pem`] reads it wherever a key is expected.

mod leaf;

use std::fmt;
use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::wire::renewal::root_digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};
use zeroize::Zeroizing;

pub use leaf::Leaf;

use crate::certificates::{COORDINATOR_NAME, Issued, ORGANISATION, SITE_SUFFIX, SiteKey};
use crate::rollover::Adopted;
use crate::transport::printable;

/// Certificates of one chain, or roots of one network, in one file.
const CERTIFICATES: usize = 16;

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
    /// Of the roots that were told of, none is or may be trusted.
    #[error("no root that is trusted would be left")]
    NoRootLeft,
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
    pub(crate) serial: String,
    pub(crate) issuer: Option<String>,
    pub(crate) key_id: Option<String>,
    pub(crate) common_name: Option<String>,
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
            serial: hex(certificate.raw_serial()),
            issuer: issuer_key(&certificate),
            key_id: own_key(&certificate),
            common_name: certificate
                .subject()
                .iter_common_name()
                .next()
                .and_then(|cn| cn.as_str().ok())
                .map(str::to_owned),
        })
    }
}

/// The id of the key that signed, as the certificate itself says it.
fn issuer_key(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(of) => of.key_identifier.as_ref().map(|id| hex(id.0)),
        _ => None,
    })
}

fn own_key(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(hex(id.0)),
        _ => None,
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
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

fn other_names(leaf: &CertificateDer<'_>) -> Option<Vec<String>> {
    let certificate = parse(leaf).ok()?;
    let names = certificate.subject_alternative_name().ok()??.value.general_names.iter();
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name != COORDINATOR_NAME).then(|| (*name).to_owned()),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    };
    Some(names.filter_map(text).collect())
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

/// A certificate chain, its key, and the roots that peers are verified against. Clones share the key.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<Zeroizing<PrivatePkcs8KeyDer<'static>>>,
    roots: Vec<CertificateDer<'static>>,
    crosses: Vec<CertificateDer<'static>>,
    facts: Facts,
}

impl Identity {
    /// An identity from the texts of its three files: the chain with the leaf first, the leaf's key, the network's root
    /// (several while a root is being replaced, with the certificates by which one vouches for the next).
    ///
    /// The key's text may have a chain and roots of its own, as a renewal leaves them: they count, unless the chain's
    /// text has a later certificate of the same key.
    ///
    /// # Errors
    /// When a part is missing or unreadable, or the key is not the leaf's. Expiry is no error here: peers judge that.
    pub fn from_pem(chain_pem: &str, key_pem: &str, roots_pem: &str) -> Result<Self, CertificateError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| CertificateError::KeyUnusable)?;
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)
            .map_err(|_| CertificateError::KeyUnusable)?;
        let public = Zeroizing::new(pair).public_key_raw().to_vec();
        let belongs = |chain: Vec<CertificateDer<'static>>| -> Result<_, CertificateError> {
            let facts = Facts::of(chain.first().ok_or(CertificateError::NotPem)?)?;
            if facts.public_key == public { Ok((chain, facts)) } else { Err(CertificateError::KeyMismatch) }
        };
        let (renewed, renewed_roots) = renewed_parts(key_pem)?;
        let given = certificates(chain_pem).and_then(belongs);
        let (chain, facts) = match (belongs(renewed), given) {
            (Ok(renewed), Ok(given)) if given.1.not_before > renewed.1.not_before => given,
            (Ok(renewed), _) => renewed,
            (Err(_), given) => given?,
        };
        let roots = if renewed_roots.is_empty() { certificates(roots_pem)? } else { renewed_roots };
        for root in &roots {
            if !Facts::of(root)?.authority {
                return Err(CertificateError::NotAnAuthority);
            }
        }
        let (roots, crosses): (Vec<_>, Vec<_>) = roots.into_iter().partition(is_root);
        if roots.is_empty() {
            return Err(CertificateError::NotAnAuthority);
        }
        Ok(Self { chain, key: Arc::new(key), roots, crosses, facts })
    }

    /// A renewed identity: a key, the chain that certifies it, in DER, and the roots of `self`.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn renewed(&self, key: &SiteKey, chain: &[Vec<u8>]) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        Self::from_pem(&all_pem(&chain), &key.to_pem(), &all_pem(&self.roots))
    }

    /// A certificate that was issued with its key, with the roots of `self`.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn reissued(&self, issued: &Issued) -> Result<Self, CertificateError> {
        let mut identity = Self::from_pem(&issued.chain_pem, &issued.key_pem, &all_pem(&self.roots))?;
        identity.crosses.clone_from(&self.crosses);
        Ok(identity)
    }

    /// The same, trusting other roots.
    #[must_use]
    pub fn trusting(&self, adopted: &Adopted) -> Self {
        Self { roots: adopted.roots.clone(), crosses: Vec::new(), ..self.clone() }
    }

    /// Whether this is a sound identity of `site` now: its chain leads to a root that it trusts itself.
    ///
    /// # Errors
    /// What is wrong.
    pub fn proves(&self, site: &SiteId, now: Timestamp) -> Result<(), CertificateError> {
        let named = crate::tls::certified_site(&all_pem(&self.chain), &all_pem(&self.roots), now)?;
        if named == *site { Ok(()) } else { Err(CertificateError::NotASite) }
    }

    /// Key, chain and roots as [`Identity::from_pem`] reads them from a key's file: one text, so that one rename exchanges all.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(pem::encode_config(
            &pem::Pem::new("PRIVATE KEY", self.key.secret_pkcs8_der()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        ));
        for certificate in self.chain.iter().chain(&self.roots) {
            text.push_str(&certificate_pem(certificate));
        }
        text
    }

    /// The names of the roots, as a node says which ones it trusts.
    pub fn root_digests(&self) -> Vec<Digest> {
        self.roots.iter().map(|root| root_digest(root)).collect()
    }

    /// The names and addresses of a coordinator's leaf, without the one that every coordinator has.
    pub fn other_names(&self) -> Vec<String> {
        other_names(&self.chain[0]).unwrap_or_default()
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

    /// The leaf, as a peer sees it.
    pub fn leaf(&self) -> Leaf {
        Leaf::from_facts(&self.facts)
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

    /// The roots in DER, and behind them the certificates by which one vouches for the next: what others are told.
    pub fn told_roots(&self) -> Vec<Vec<u8>> {
        self.roots.iter().chain(&self.crosses).map(|certificate| certificate.to_vec()).collect()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("facts", &self.facts).finish_non_exhaustive()
    }
}

fn is_root(certificate: &CertificateDer<'_>) -> bool {
    Facts::of(certificate).is_ok_and(|facts| facts.self_issued)
}

/// What a renewal has left in a key's text: a chain, and behind it the roots, which begin with one that issued itself.
fn renewed_parts(
    key_pem: &str,
) -> Result<(Vec<CertificateDer<'static>>, Vec<CertificateDer<'static>>), CertificateError> {
    if !key_pem.contains("BEGIN CERTIFICATE") {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut chain = certificates(key_pem)?;
    let roots = chain.split_off(chain.iter().position(is_root).unwrap_or(chain.len()));
    Ok((chain, roots))
}

/// The certificates of a PEM text, in DER.
///
/// # Errors
/// Where it has none, too many, or something that is none.
pub fn chain_der(pem: &str) -> Result<Vec<Vec<u8>>, CertificateError> {
    Ok(certificates(pem)?.iter().map(|certificate| certificate.to_vec()).collect())
}

/// A certificate in PEM form.
pub(crate) fn certificate_pem(der: &CertificateDer<'_>) -> String {
    pem::encode_config(
        &pem::Pem::new("CERTIFICATE", der.to_vec()),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

fn all_pem(list: &[CertificateDer<'_>]) -> String {
    list.iter().map(certificate_pem).collect()
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
mod tests;
