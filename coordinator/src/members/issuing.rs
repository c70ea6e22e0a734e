//! The authority that certifies sites: the one-year intermediate of `[issuing]`, as it is in force. It can be exchanged while the coordinator
//! runs; a coordinator without one enrols and renews nobody, and says so.
//!
//! It certifies a key for a site that somebody else has made sure of: by an invitation's token, or by the session that the request came over.

use std::sync::{Arc, PoisonError, RwLock};

use bocage_net::certificates::{Authority, LEAF_DAYS};
use bocage_net::identity::CertificateError;
use bocage_protocol::PublicError;
use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;

/// Why a site was not certified.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// There is no authority.
    #[error("this coordinator certifies no sites: it has no [issuing]")]
    Off,
    /// The certificate could not be made.
    #[error("site {site} cannot be certified: {source}")]
    Certificate {
        /// Whose.
        site: SiteId,
        /// Why.
        source: CertificateError,
    },
}

impl From<IssueError> for PublicError {
    fn from(error: IssueError) -> Self {
        let hint = match &error {
            IssueError::Off => "its operator names the network's intermediate in [issuing] of coordinator.toml",
            IssueError::Certificate { source: CertificateError::IssuerExpired { .. }, .. } => {
                "the network's operator makes a new intermediate with the root's key"
            }
            IssueError::Certificate { .. } => "the coordinator's operator finds the cause in its log",
        };
        PublicError::new(ErrorCode::NotIssuing, error.to_string()).hint(hint)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Issuing(RwLock<Option<Arc<Authority>>>);

impl Issuing {
    /// With this authority, or with none.
    pub fn new(authority: Option<Authority>) -> Self {
        Self(RwLock::new(authority.map(Arc::new)))
    }

    /// The authority in force.
    pub fn authority(&self) -> Option<Arc<Authority>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this one certifies. What the one before certified stays valid.
    pub fn replace(&self, authority: Authority) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(authority));
    }

    /// Certifies a site's TLS key for [`LEAF_DAYS`]: the chain in PEM.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn certify(
        &self,
        site: &SiteId,
        tls_key: &[u8; 32],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<String, IssueError> {
        let authority = self.authority().ok_or(IssueError::Off)?;
        let chain = authority.certify_site(site, tls_key, now, LEAF_DAYS, entropy);
        chain.map_err(|source| IssueError::Certificate { site: site.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use bocage_net::certificates::SiteKey;
    use bocage_net::env::SystemEntropy;
    use bocage_net::tls::certified_site;

    use super::*;
    use crate::bench::{START, site};

    #[test]
    fn a_site_is_certified_by_whichever_authority_is_in_force() {
        let (network, mut entropy) = ("heart-demo".parse().unwrap(), SystemEntropy);
        let root = Authority::new_root(&network, START, &mut entropy).unwrap();
        let issuing = Issuing::default();
        let key = SiteKey::generate(&mut entropy).unwrap().public();
        let cleveland = site("cleveland");
        let off = PublicError::from(issuing.certify(&cleveland, &key, START, &mut entropy).unwrap_err());
        assert_eq!(off.code, ErrorCode::NotIssuing);
        issuing.replace(root.issue_intermediate(&network, START, &mut entropy).unwrap());
        let first = issuing.certify(&cleveland, &key, START, &mut entropy).unwrap();
        issuing.replace(root.issue_intermediate(&network, START, &mut entropy).unwrap());
        let second = issuing.certify(&cleveland, &key, START, &mut entropy).unwrap();
        let intermediate = |chain: &str| chain.split("-----END CERTIFICATE-----").nth(1).map(str::to_owned);
        assert_ne!(intermediate(&first), intermediate(&second));
        for chain in [&first, &second] {
            assert_eq!(certified_site(chain, root.certificate_pem(), START).unwrap(), cleveland);
            let late = START.plus_secs(31 * 86_400);
            assert!(certified_site(chain, root.certificate_pem(), late).unwrap_err().to_string().contains("xpired"));
        }
        let late = issuing.certify(&cleveland, &key, START.plus_secs(400 * 86_400), &mut entropy);
        assert!(PublicError::from(late.unwrap_err()).hint.unwrap().contains("new intermediate"));
    }
}
