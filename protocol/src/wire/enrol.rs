//! Enrolment: what a hospital's machine says to be taken in, and what it is told. One request, one answer, each one frame on a TLS stream of
//! which the coordinator alone has shown a certificate.
//!
//! Both keys stay where they were made. The request shows that its sender was invited (the token), holds the TLS key (the certificate request's
//! own signature) and the release key (the proof). When this changes: the protocol that both sides name in the TLS handshake, `bocage-enrol/1`, has the version.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::error::PublicError;
use crate::ids::{Digest, NetworkId, SiteId};
use crate::trust::{InvitationToken, PublicKey, SecretKey, Signature};

const PROOF_DOMAIN: &str = "bocage/enrol/1";

/// What a site asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The network of the invitation.
    pub network: NetworkId,
    /// The site of the invitation.
    pub site: SiteId,
    /// Shows that one was invited.
    pub token: InvitationToken,
    /// A certificate request (PKCS#10, DER), of which the key counts and the proof that its owner sent it.
    #[serde(with = "serde_bytes")]
    pub certificate_request: Vec<u8>,
    /// What will sign the site's releases.
    pub release_key: PublicKey,
    /// [`proof`], by the release key.
    pub proof: Signature,
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EnrolAnswer {
    /// It is in.
    Enrolled(Enrolled),
    /// It is not.
    Refused(PublicError),
}

/// What an enrolled site gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its certificate and the intermediate's, in PEM.
    pub chain: String,
    /// The coordinator's clock.
    pub now: Timestamp,
}

/// What the release key signs: that its owner takes this invitation, with this TLS key.
fn statement(network: &NetworkId, site: &SiteId, token: &Digest, tls_key: &[u8; 32]) -> Digest {
    Digest::of(PROOF_DOMAIN, &[network.as_str().as_bytes(), site.as_str().as_bytes(), token.as_bytes(), tls_key])
}

/// Shows that one holds `release_key`, for this invitation and this TLS key alone.
pub fn proof(
    release_key: &SecretKey,
    network: &NetworkId,
    site: &SiteId,
    token: &Digest,
    tls_key: &[u8; 32],
) -> Signature {
    release_key.sign(PROOF_DOMAIN, statement(network, site, token, tls_key).as_bytes())
}

impl EnrolRequest {
    /// Whether the proof is the release key's, for the TLS key of the certificate request.
    pub fn is_proven(&self, tls_key: &[u8; 32]) -> bool {
        let statement = statement(&self.network, &self.site, &self.token.hash(), tls_key);
        self.release_key.verifies(PROOF_DOMAIN, statement.as_bytes(), &self.proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fixed;
    use crate::wire::codec;

    #[test]
    fn a_proof_holds_for_its_network_site_token_and_tls_key_alone() {
        let key = SecretKey::generate(&mut Fixed(1));
        let token = InvitationToken::generate(&mut Fixed(2));
        let (network, site, tls) = ("north".parse().unwrap(), "aa".parse().unwrap(), [7; 32]);
        let proof = proof(&key, &network, &site, &token.hash(), &tls);
        let good =
            EnrolRequest { network, site, token, certificate_request: vec![1, 2], release_key: key.public(), proof };
        assert!(good.is_proven(&tls) && !good.is_proven(&[8; 32]));
        let read: EnrolRequest = codec::decode(&codec::encode(&good).unwrap(), 4096).unwrap();
        assert_eq!(read, good);
        let others: [fn(&mut EnrolRequest); 4] = [
            |r| r.network = "south".parse().unwrap(),
            |r| r.site = "bb".parse().unwrap(),
            |r| r.token = InvitationToken::generate(&mut Fixed(3)),
            |r| r.release_key = SecretKey::generate(&mut Fixed(4)).public(),
        ];
        for change in others {
            let mut other = good.clone();
            change(&mut other);
            assert!(!other.is_proven(&tls), "{other:?}");
        }
    }
}
