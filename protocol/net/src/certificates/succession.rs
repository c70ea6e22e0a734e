//! A root that succeeds another, and the certificate by which the old root vouches for it.
//!
//! ```text
//! old root ─ signs ─▶ cross: name and key of the new root      (path length 1)
//! new root (signed itself, same key)
//! └─ new intermediate ─▶ leaves
//! ```
//! Who trusts the old root alone follows a leaf of the new one through the cross certificate; who is told of the new root believes it because of that.

use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::ids::NetworkId;

use super::{Authority, ROOT_DAYS, authority_of, making, new_key, params};
use crate::identity::{CertificateError, hex};

impl Authority {
    /// Makes the root that succeeds this one, and the cross certificate as PEM. Its name is another one, so that no two roots can be mixed up.
    ///
    /// # Errors
    /// [`CertificateError::WrongLevel`] when this is no root, [`CertificateError::IssuerExpired`] when its time is over.
    pub fn succeeding_root(
        &self,
        network: &NetworkId,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, String), CertificateError> {
        if !self.is_root() {
            return Err(CertificateError::WrongLevel);
        }
        let mut mark = [0; 4];
        entropy.fill(&mut mark);
        let name = format!("{network} root {}", hex(&mark));
        let key = new_key(entropy)?;
        let mut own = params(&name, now, ROOT_DAYS, entropy)?;
        authority_of(&mut own, 1);
        let root = own.self_signed(&*key).map_err(making)?;
        let mut cross = params(&name, now, ROOT_DAYS, entropy)?;
        authority_of(&mut cross, 1);
        let cross = self.sign(cross, &*key, now)?;
        Ok((Self::assemble(root.der().clone(), root.pem(), String::new(), key)?, cross.pem()))
    }

    /// Hands `cross_pem` along behind this intermediate's certificate in every chain, so that peers that trust an older root follow it.
    #[must_use]
    pub fn vouched_by(self, cross_pem: &str) -> Self {
        Self { beyond: cross_pem.to_owned(), ..self }
    }

    /// The network of a root, as its name says it.
    pub fn network(&self) -> Option<NetworkId> {
        self.facts.common_name.as_deref()?.split(' ').next()?.parse().ok()
    }

    /// The intermediate's certificate and what is handed along behind it: its file.
    pub fn links_pem(&self) -> String {
        format!("{}{}", self.certificate_pem, self.beyond)
    }

    /// The id of the authority's key, as its leaves name it ([`crate::identity::Leaf::issuer`]).
    pub fn key_id(&self) -> Option<&str> {
        self.facts.key_id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::SiteKey;
    use crate::env::SystemEntropy;
    use crate::identity::{Identity, Leaf, certificates};
    use crate::tls::certified_site;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn who_trusts_the_old_root_alone_follows_a_leaf_of_the_new_one_through_the_cross_certificate() {
        let (network, mut entropy) = ("north".parse().unwrap(), SystemEntropy);
        let old = Authority::new_root(&network, NOW, &mut entropy).unwrap();
        let (new, cross) = old.succeeding_root(&network, NOW, &mut entropy).unwrap();
        let issuing = new.issue_intermediate(&network, NOW, &mut entropy).unwrap();
        let (alone, key) = (issuing.links_pem(), issuing.key_pem());
        let vouched = Authority::from_pem(&issuing.vouched_by(&cross).links_pem(), &key).unwrap();
        let alone = Authority::from_pem(&alone, &key).unwrap();
        let site = "aa".parse().unwrap();
        let leaf = |by: &Authority| {
            by.certify_site(
                &site,
                &SiteKey::generate(&mut SystemEntropy).unwrap().public(),
                NOW,
                30,
                &mut SystemEntropy,
            )
            .unwrap()
        };
        let (with, without) = (leaf(&vouched), leaf(&alone));
        assert_eq!((with.matches("BEGIN").count(), without.matches("BEGIN").count()), (3, 2));
        for (chain, root, holds) in
            [(&with, &old, true), (&with, &new, true), (&without, &new, true), (&without, &old, false)]
        {
            assert_eq!(certified_site(chain, root.certificate_pem(), NOW).is_ok(), holds);
        }
        let coordinator = vouched.issue_coordinator(&[], NOW, 30, &mut entropy).unwrap();
        let identity = Identity::from_pem(&coordinator.chain_pem, &coordinator.key_pem, old.certificate_pem()).unwrap();
        assert_eq!(identity.leaf().issuer, vouched.key_id().map(str::to_owned));
        let leaf = Leaf::of(&certificates(&with).unwrap()[0]).unwrap();
        assert_eq!(leaf.issuer, vouched.key_id().map(str::to_owned));
        assert!(matches!(issuing_cannot(&vouched), CertificateError::WrongLevel));
    }

    fn issuing_cannot(issuing: &Authority) -> CertificateError {
        issuing.succeeding_root(&"north".parse().unwrap(), NOW, &mut SystemEntropy).unwrap_err()
    }
}
