//! The access body of a new network: its key, a permit for the researcher over every dataset, and its first list of revoked permits.

use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{PublicKey, Revocations, SecretKey, SignedPermit, SignedRevocations};

use super::render::THRESHOLD;
use super::spec::Network;
use crate::access_body::{self, Request};

const FILE: &str = "access-body/permit.toml";

/// See the module.
pub struct AccessBody {
    /// Signs permits and lists.
    pub key: SecretKey,
    /// The permit as people write it.
    pub text: String,
    /// The same, signed.
    pub permit: SignedPermit,
    /// Nothing is taken back yet.
    pub list: SignedRevocations,
}

impl AccessBody {
    /// Makes everything anew.
    ///
    /// # Errors
    /// The network's datasets do not fit a permit.
    pub fn new(
        network: &Network,
        researcher: &PublicKey,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Problems> {
        let key = SecretKey::generate(entropy);
        let request = Request {
            id: format!("{}/1", network.id),
            title: format!("The first permit of the network {}", network.id),
            network: network.id.to_string(),
            min_sites: network.min_sites,
            threshold: THRESHOLD,
            holder: network.researcher.name.clone(),
            organisation: network.researcher.organisation.clone(),
            key: researcher.to_string(),
            datasets: Request::datasets_of(network.contracts.iter().map(|file| &file.contract)),
        };
        let text = request.text(now);
        let contracts: Vec<_> = network.contracts.iter().map(|file| file.contract.clone()).collect();
        let permit = access_body::sign(&text, FILE, &key, Some(&contracts), entropy)?;
        let list = SignedRevocations::sign(&Revocations::first(key.public(), now), &key)
            .map_err(|error| Problem::new("access-body/revocations.list", "", error.message))?;
        Ok(Self { key, text, permit, list })
    }
}
