//! The network's certificate authority as far as it is at hand: the root's key is taken offline after the first day, and an intermediate that is there
//! needs no root.

use bocage_net::certificates::{Authority, Issued};
use bocage_net::identity::CertificateError;
use bocage_protocol::env::{Entropy, Timestamp};
use zeroize::Zeroizing;

use super::kept::Kept;
use super::spec::Network;
use super::{InitError, Tree};

/// Root and intermediate.
pub struct Ca {
    /// The root's certificate.
    pub root_pem: String,
    /// The intermediate's certificate.
    pub issuing_pem: String,
    /// The intermediate's key, if it is here.
    pub issuing_key: Option<Zeroizing<String>>,
    issuing: Option<Authority>,
}

impl Ca {
    /// The authority that is there, or a new one; what of it belongs into the folder is added to `tree`.
    ///
    /// # Errors
    /// Certificate and key that do not fit each other.
    pub fn of(
        network: &Network,
        kept: &Kept,
        now: Timestamp,
        entropy: &mut dyn Entropy,
        tree: &mut Tree,
    ) -> Result<Self, CertificateError> {
        let is_new = kept.text("ca/root.pem").is_none();
        let ca = match (kept.text("ca/root.pem"), kept.text("ca/intermediate.pem")) {
            (Some(root), Some(issuing)) => {
                // The coordinator's copy serves as well, while it is of the same one.
                let same = kept.text("coordinator/issuing/intermediate.pem") == Some(issuing);
                let copy = kept.text("coordinator/issuing/intermediate.key").filter(|_| same);
                let key = kept.text("ca/intermediate.key").or(copy);
                Self {
                    root_pem: root.to_owned(),
                    issuing_pem: issuing.to_owned(),
                    issuing_key: key.map(|key| Zeroizing::new(key.to_owned())),
                    issuing: key.map(|key| Authority::from_pem(issuing, key)).transpose()?,
                }
            }
            _ => {
                let root = Authority::new_root(&network.id, now, entropy)?;
                let issuing = root.issue_intermediate(&network.id, now, entropy)?;
                tree.secret("ca/root.key", root.key_pem());
                Self {
                    root_pem: root.certificate_pem().to_owned(),
                    issuing_pem: issuing.certificate_pem().to_owned(),
                    issuing_key: Some(issuing.key_pem()),
                    issuing: Some(issuing),
                }
            }
        };
        tree.file("ca/root.pem", ca.root_pem.as_str());
        tree.file("ca/intermediate.pem", ca.issuing_pem.as_str());
        if let (Some(key), true) = (&ca.issuing_key, is_new || kept.text("ca/intermediate.key").is_some()) {
            tree.secret("ca/intermediate.key", key.clone());
        }
        Ok(ca)
    }

    /// The certificate and key of this folder, or new ones.
    ///
    /// # Errors
    /// The intermediate's key is not here, or cannot issue.
    pub fn certified(
        &self,
        kept: &Kept,
        folder: &str,
        issue: impl FnOnce(&Authority) -> Result<Issued, CertificateError>,
    ) -> Result<(String, Zeroizing<String>), InitError> {
        match (kept.text(format!("{folder}/cert.pem")), kept.text(format!("{folder}/key.pem"))) {
            (Some(chain), Some(key)) => Ok((chain.to_owned(), Zeroizing::new(key.to_owned()))),
            _ => {
                let issued = issue(self.issuing.as_ref().ok_or(InitError::NoIssuer)?)?;
                Ok((issued.chain_pem, issued.key_pem))
            }
        }
    }
}
