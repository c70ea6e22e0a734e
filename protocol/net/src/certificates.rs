//! A network's certificate authority: an offline root, a one-year issuing intermediate, leaves of thirty days.
//!
//! ```text
//! root (10 years, path length 1)
//! └─ issuing intermediate (1 year, path length 0), at the coordinator
//!    ├─ site leaf         SAN SITE.site.bocage            clientAuth   30 days
//!    └─ coordinator leaf  SAN coordinator.bocage, others  serverAuth   30 days
//! ```
//! Ed25519 throughout. The time is an argument, and so is the randomness of keys and serial numbers. Every certificate
//! begins [`CLOCK_TOLERANCE_SECS`] early, so that a slow clock does not refuse a fresh one.

use std::fmt;

use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::ids::{NetworkId, SiteId};
use bocage_protocol::limits::CLOCK_TOLERANCE_SECS;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::identity::{CertificateError, Facts, certificate_pem as certificate_pem_of, certificates};

mod request;
mod succession;

pub use request::{SiteKey, requested_key};

/// The name in every coordinator's certificate that nodes expect, whatever host they dial.
pub const COORDINATOR_NAME: &str = "coordinator.bocage";
/// What follows the site id in a site certificate's name.
pub const SITE_SUFFIX: &str = ".site.bocage";
/// The organisation in all names that networks' authorities give.
pub(crate) const ORGANISATION: &str = "Bocage";
/// Life of a root.
pub const ROOT_DAYS: u32 = 3650;
/// Life of an issuing intermediate.
pub const INTERMEDIATE_DAYS: u32 = 365;
/// Usual life of a leaf. Short, because renewal is the revocation that always works.
pub const LEAF_DAYS: u32 = 30;

/// PKCS#8 (RFC 8410, section 7) before the 32 bytes of an Ed25519 seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// SubjectPublicKeyInfo (RFC 8410, section 4) before the 32 bytes of an Ed25519 public key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A leaf with its key, as they go into two files.
pub struct Issued {
    /// The leaf and, behind it, the intermediate; the root is not part of it.
    pub chain_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// A certificate authority with its private key: a root or an issuing intermediate.
///
/// A root only issues intermediates, an intermediate only leaves.
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    /// What is handed along behind it in chains: see [`Authority::vouched_by`].
    beyond: String,
    key: Zeroizing<KeyPair>,
    facts: Facts,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a network's root: its certificate is the one thing that every party trusts, its key belongs offline.
    pub fn new_root(network: &NetworkId, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Self, CertificateError> {
        let key = new_key(entropy)?;
        let mut params = params(&format!("{network} root"), now, ROOT_DAYS, entropy)?;
        authority_of(&mut params, 1);
        let certificate = params.self_signed(&*key).map_err(making)?;
        Self::assemble(certificate.der().clone(), certificate.pem(), String::new(), key)
    }

    /// Makes an issuing intermediate below this root.
    ///
    /// # Errors
    /// [`CertificateError::WrongLevel`] when this is no root, [`CertificateError::IssuerExpired`] when its time is
    /// over.
    pub fn issue_intermediate(
        &self,
        network: &NetworkId,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, CertificateError> {
        if !self.is_root() {
            return Err(CertificateError::WrongLevel);
        }
        let key = new_key(entropy)?;
        let mut params = params(&format!("{network} issuing"), now, INTERMEDIATE_DAYS, entropy)?;
        authority_of(&mut params, 0);
        let certificate = self.sign(params, &*key, now)?;
        Self::assemble(certificate.der().clone(), certificate.pem(), String::new(), key)
    }

    /// Makes a key and a client certificate for a site.
    ///
    /// # Errors
    /// [`CertificateError::WrongLevel`] when this is no intermediate, [`CertificateError::IssuerExpired`] when its time
    /// is over.
    pub fn issue_site(
        &self,
        site: &SiteId,
        now: Timestamp,
        days: u32,
        entropy: &mut dyn Entropy,
    ) -> Result<Issued, CertificateError> {
        let key = new_key(entropy)?;
        let chain_pem = self.leaf(site_params(site, now, days, entropy)?, &*key, now)?;
        Ok(Issued { chain_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// Certifies a site's own Ed25519 key, for enrolment and renewal: the private key stays where it was made. The
    /// caller has proof that the site holds it: [`requested_key`]. Returns the chain as PEM.
    ///
    /// # Errors
    /// As [`Authority::issue_site`].
    pub fn certify_site(
        &self,
        site: &SiteId,
        public_key: &[u8; 32],
        now: Timestamp,
        days: u32,
        entropy: &mut dyn Entropy,
    ) -> Result<String, CertificateError> {
        let spki = SubjectPublicKeyInfo::from_der(&[&SPKI_PREFIX[..], public_key].concat()).map_err(making)?;
        self.leaf(site_params(site, now, days, entropy)?, &spki, now)
    }

    /// Makes a key and a server certificate for the coordinator: [`COORDINATOR_NAME`] and any `other_names`, which
    /// are host names or addresses.
    ///
    /// # Errors
    /// As [`Authority::issue_site`]; [`CertificateError::BadName`] when another name is no name, or is a site's.
    pub fn issue_coordinator(
        &self,
        other_names: &[String],
        now: Timestamp,
        days: u32,
        entropy: &mut dyn Entropy,
    ) -> Result<Issued, CertificateError> {
        let bad_name = |name: &String| CertificateError::BadName { name: name.clone() };
        if let Some(name) = other_names.iter().find(|name| name.to_ascii_lowercase().ends_with(SITE_SUFFIX)) {
            return Err(bad_name(name));
        }
        let mut params = params(COORDINATOR_NAME, now, days, entropy)?;
        params.subject_alt_names = names(&[COORDINATOR_NAME.to_owned()])?;
        for name in other_names {
            params.subject_alt_names.extend(names(std::slice::from_ref(name)).map_err(|_| bad_name(name))?);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = new_key(entropy)?;
        Ok(Issued { chain_pem: self.leaf(params, &*key, now)?, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// An authority from its two files. Of several certificates in `certificate_pem` the first is its own; what vouches for its root, and no root, is
    /// handed along behind it.
    ///
    /// # Errors
    /// When either is not what it should be, or the key is not the certificate's.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CertificateError> {
        let mut all = certificates(certificate_pem)?.into_iter();
        let certificate = all.next().ok_or(CertificateError::NotPem)?;
        let crosses = all.filter(|other| Facts::of(other).is_ok_and(|of| of.authority && !of.self_issued));
        let beyond = crosses.map(|cross| certificate_pem_of(&cross)).collect();
        let only_first = certificate_pem_of(&certificate);
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| CertificateError::KeyUnusable)
            .and_then(|der| key_pair(&der))?;
        Self::assemble(certificate, only_first, beyond, key)
    }

    fn assemble(
        certificate: CertificateDer<'static>,
        certificate_pem: String,
        beyond: String,
        key: Zeroizing<KeyPair>,
    ) -> Result<Self, CertificateError> {
        let facts = Facts::of(&certificate)?;
        if !facts.authority {
            return Err(CertificateError::NotAnAuthority);
        }
        if facts.public_key != key.public_key_raw() {
            return Err(CertificateError::KeyMismatch);
        }
        Ok(Self { certificate, certificate_pem, beyond, key, facts })
    }

    /// The authority's own certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's private key as PKCS#8 PEM.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// When the authority's certificate expires.
    pub fn valid_until(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Whether this is a root (it signed itself) rather than an intermediate.
    pub fn is_root(&self) -> bool {
        self.facts.self_issued
    }

    fn leaf(
        &self,
        params: CertificateParams,
        public_key: &impl PublicKeyData,
        now: Timestamp,
    ) -> Result<String, CertificateError> {
        if self.is_root() {
            return Err(CertificateError::WrongLevel);
        }
        Ok(self.sign(params, public_key, now)?.pem() + &self.links_pem())
    }

    /// Signs, with an end no later than the authority's own: what outlives its issuer only fails later and less
    /// clearly.
    fn sign(
        &self,
        mut params: CertificateParams,
        public_key: &impl PublicKeyData,
        now: Timestamp,
    ) -> Result<rcgen::Certificate, CertificateError> {
        if now >= self.facts.not_after {
            return Err(CertificateError::IssuerExpired { since: self.facts.not_after });
        }
        params.not_after = params.not_after.min(date(self.facts.not_after)?);
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key).map_err(making)?;
        params.signed_by(public_key, &issuer).map_err(making)
    }
}

/// A fresh Ed25519 key from `entropy`.
fn new_key(entropy: &mut dyn Entropy) -> Result<Zeroizing<KeyPair>, CertificateError> {
    let mut der = Zeroizing::new([0; PKCS8_PREFIX.len() + 32]);
    der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
    entropy.fill(&mut der[PKCS8_PREFIX.len()..]);
    key_pair(&PrivatePkcs8KeyDer::from(&der[..]))
}

fn key_pair(der: &PrivatePkcs8KeyDer<'_>) -> Result<Zeroizing<KeyPair>, CertificateError> {
    KeyPair::from_pkcs8_der_and_sign_algo(der, &rcgen::PKCS_ED25519)
        .map(Zeroizing::new)
        .map_err(|_| CertificateError::KeyUnusable)
}

/// What all certificates have in common.
pub(crate) fn params(
    common_name: &str,
    now: Timestamp,
    days: u32,
    entropy: &mut dyn Entropy,
) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, ORGANISATION);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(now.plus_secs(-CLOCK_TOLERANCE_SECS))?;
    params.not_after = date(now.plus_secs(i64::from(days) * 24 * 3600))?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Positive and of full length whatever is drawn (RFC 5280, 4.1.2.2).
    let mut serial = [0; 16];
    entropy.fill(&mut serial);
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn authority_of(params: &mut CertificateParams, path_length: u8) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

fn site_params(
    site: &SiteId,
    now: Timestamp,
    days: u32,
    entropy: &mut dyn Entropy,
) -> Result<CertificateParams, CertificateError> {
    let name = format!("{site}{SITE_SUFFIX}");
    let mut params = params(&name, now, days, entropy)?;
    params.subject_alt_names = names(&[name])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn names(texts: &[String]) -> Result<Vec<rcgen::SanType>, CertificateError> {
    for text in texts {
        rustls::pki_types::ServerName::try_from(text.as_str())
            .map_err(|_| CertificateError::BadName { name: text.clone() })?;
    }
    Ok(CertificateParams::new(texts.to_vec()).map_err(making)?.subject_alt_names)
}

fn date(time: Timestamp) -> Result<OffsetDateTime, CertificateError> {
    OffsetDateTime::from_unix_timestamp(time.0.div_euclid(1000)).map_err(|_| CertificateError::DateOutOfRange)
}

fn making(error: rcgen::Error) -> CertificateError {
    CertificateError::Making { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEntropy;
    use crate::identity::{Identity, site_of};

    const DAY_MS: i64 = 24 * 3600 * 1000;
    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn network() -> NetworkId {
        "north".parse().unwrap()
    }

    fn authorities() -> (Authority, Authority) {
        let root = Authority::new_root(&network(), NOW, &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&network(), NOW, &mut SystemEntropy).unwrap();
        (root, issuing)
    }

    fn identity(root: &Authority, issued: &Issued) -> Identity {
        Identity::from_pem(&issued.chain_pem, &issued.key_pem, root.certificate_pem()).unwrap()
    }

    #[test]
    fn a_site_leaf_names_its_site_and_lives_as_long_as_asked() {
        let (root, issuing) = authorities();
        let site: SiteId = "long-beach".parse().unwrap();
        let issued = issuing.issue_site(&site, NOW, LEAF_DAYS, &mut SystemEntropy).unwrap();
        let identity = identity(&root, &issued);
        assert_eq!(identity.site().unwrap(), site);
        assert_eq!(identity.valid_from(), NOW.plus_secs(-CLOCK_TOLERANCE_SECS));
        assert_eq!(identity.valid_until().since_ms(NOW), 30 * DAY_MS);
        assert_eq!(issued.chain_pem.matches("BEGIN").count(), 2);
    }

    #[test]
    fn a_coordinator_leaf_is_no_site() {
        let (root, issuing) = authorities();
        let others = ["192.0.2.7".to_owned(), "bocage.example.org".to_owned()];
        let issued = issuing.issue_coordinator(&others, NOW, LEAF_DAYS, &mut SystemEntropy).unwrap();
        assert!(matches!(identity(&root, &issued).site(), Err(CertificateError::NotASite)));
        for bad in ["x.site.bocage", "X.SITE.Bocage", "no name", ""] {
            let refused = issuing.issue_coordinator(&[bad.to_owned()], NOW, 1, &mut SystemEntropy);
            assert!(matches!(refused, Err(CertificateError::BadName { .. })), "{bad}");
        }
    }

    #[test]
    fn levels_are_kept_apart() {
        let (root, issuing) = authorities();
        let site: SiteId = "aa".parse().unwrap();
        assert!(matches!(root.issue_site(&site, NOW, 1, &mut SystemEntropy), Err(CertificateError::WrongLevel)));
        let below = issuing.issue_intermediate(&network(), NOW, &mut SystemEntropy);
        assert!(matches!(below, Err(CertificateError::WrongLevel)));
        let issued = issuing.issue_site(&site, NOW, 1, &mut SystemEntropy).unwrap();
        let usurper = Authority::from_pem(&issued.chain_pem, &issued.key_pem);
        assert!(matches!(usurper, Err(CertificateError::NotAnAuthority)));
    }

    #[test]
    fn no_leaf_outlives_its_issuer() {
        let (root, issuing) = authorities();
        let late = Timestamp(NOW.0 + 360 * DAY_MS);
        let site: SiteId = "aa".parse().unwrap();
        let issued = issuing.issue_site(&site, late, LEAF_DAYS, &mut SystemEntropy).unwrap();
        assert_eq!(identity(&root, &issued).valid_until(), issuing.valid_until());
        let later = Timestamp(NOW.0 + 366 * DAY_MS);
        let refused = issuing.issue_site(&site, later, LEAF_DAYS, &mut SystemEntropy);
        assert!(matches!(refused, Err(CertificateError::IssuerExpired { .. })));
    }

    #[test]
    fn an_authority_reads_back_from_its_files() {
        let (root, issuing) = authorities();
        let both = format!("{}{}", issuing.certificate_pem(), root.certificate_pem());
        let loaded = Authority::from_pem(&both, &issuing.key_pem()).unwrap();
        assert!(!loaded.is_root() && root.is_root());
        assert_eq!(loaded.certificate_pem().trim(), issuing.certificate_pem().trim());
        let issued = loaded.issue_site(&"aa".parse().unwrap(), NOW, 1, &mut SystemEntropy).unwrap();
        assert_eq!(issued.chain_pem.matches("BEGIN").count(), 2);
        let mixed = Authority::from_pem(issuing.certificate_pem(), &root.key_pem());
        assert!(matches!(mixed, Err(CertificateError::KeyMismatch)));
        assert!(matches!(Authority::from_pem("nothing", "nothing"), Err(CertificateError::NotPem)));
    }

    #[test]
    fn a_site_keeps_its_own_key_when_it_is_certified() {
        let (root, issuing) = authorities();
        let site: SiteId = "aa".parse().unwrap();
        let first = issuing.issue_site(&site, NOW, 1, &mut SystemEntropy).unwrap();
        let public: [u8; 32] = identity(&root, &first).public_key().try_into().unwrap();
        let chain = issuing.certify_site(&site, &public, NOW, 30, &mut SystemEntropy).unwrap();
        let renewed = Identity::from_pem(&chain, &first.key_pem, root.certificate_pem()).unwrap();
        assert_eq!(renewed.valid_until().since_ms(NOW), 30 * DAY_MS);
    }

    /// A leaf with these names and purposes, as a careless or hostile issuer might make it.
    fn odd_leaf(dns: &[&str], purposes: &[ExtendedKeyUsagePurpose]) -> CertificateDer<'static> {
        let key = new_key(&mut SystemEntropy).unwrap();
        let mut params = params("odd", NOW, 1, &mut SystemEntropy).unwrap();
        params.subject_alt_names =
            dns.iter().map(|name| rcgen::SanType::DnsName((*name).try_into().unwrap())).collect();
        params.extended_key_usages = purposes.to_vec();
        params.self_signed(&*key).unwrap().der().clone()
    }

    #[test]
    fn a_leaf_names_exactly_one_site_or_none_at_all() {
        let client = [ExtendedKeyUsagePurpose::ClientAuth];
        assert_eq!(site_of(&odd_leaf(&["other.example", "aa.site.bocage"], &client)).unwrap().as_str(), "aa");
        for names in [
            &["aa.site.bocage", "bb.site.bocage"][..],
            &["aa.site.bocage", "aa.site.bocage"],
            &["AA.site.bocage"],
            &["aa.SITE.bocage", "bb.site.bocage"],
            &["a.b.site.bocage"],
            &[".site.bocage"],
            &["*.site.bocage"],
            &["coordinator.bocage"],
            &[],
        ] {
            assert!(matches!(site_of(&odd_leaf(names, &client)), Err(CertificateError::NotASite)), "{names:?}");
        }
    }

    #[test]
    fn a_site_leaf_is_for_clients_alone() {
        for purposes in [
            &[][..],
            &[ExtendedKeyUsagePurpose::ServerAuth],
            &[ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            &[ExtendedKeyUsagePurpose::Any],
        ] {
            let leaf = odd_leaf(&["aa.site.bocage"], purposes);
            assert!(matches!(site_of(&leaf), Err(CertificateError::NotASite)), "{purposes:?}");
        }
    }

    #[test]
    fn no_key_shows_in_debug_output() {
        let (_, issuing) = authorities();
        let issued = issuing.issue_site(&"aa".parse().unwrap(), NOW, 1, &mut SystemEntropy).unwrap();
        assert!(!format!("{issued:?} {issuing:?}").contains("PRIVATE"));
    }
}
