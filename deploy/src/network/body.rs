//! The access body of a new network: its key, a permit for the researcher over every dataset, and its first list of revoked permits.

use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{PublicKey, Revocations, SecretKey, SignedRevocations};

use super::kept::Kept;
use super::spec::Network;
use crate::access_body::{self, Request};

const FILE: &str = "access-body/permit.toml";

/// See the module.
pub struct AccessBody {
    /// Signs permits and lists; none where the body took it to a machine of its own.
    pub key: Option<SecretKey>,
    /// Its public half.
    pub public: PublicKey,
    /// The first permit, and the list of those that were taken back: nothing, at first. They stay with the key.
    pub signed: Option<Signed>,
}

/// What an access body has signed.
pub struct Signed {
    /// The permit as people write it.
    pub text: String,
    /// The same, signed.
    pub permit: String,
    /// The list.
    pub list: String,
}

impl AccessBody {
    /// The body of this name as it was left, or a new one with a permit for the researcher.
    ///
    /// # Errors
    /// The network's datasets do not fit a permit.
    pub fn of(
        name: &str,
        network: &Network,
        researcher: &PublicKey,
        kept: &Kept,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Problems> {
        let at = |file: &str| kept.text(format!("access-body/{file}")).map(str::to_owned);
        let key = at("access-body.key").and_then(|text| SecretKey::from_text(&text).ok());
        match (key, kept.named_key("access_body", name)) {
            (None, Some(public)) => Ok(Self { key: None, public, signed: None }),
            (Some(key), _) => {
                let there = (at("permit.toml"), at("researcher.permit"), at("revocations.list"));
                let signed = match there {
                    (Some(text), Some(permit), Some(list)) => Some(Signed { text, permit, list }),
                    _ => None,
                };
                Ok(Self { public: key.public(), key: Some(key), signed })
            }
            (None, None) => {
                let key = SecretKey::generate(entropy);
                let signed = Signed::first(network, researcher, &key, now, entropy)?;
                Ok(Self { public: key.public(), key: Some(key), signed: Some(signed) })
            }
        }
    }
}

impl Signed {
    fn first(
        network: &Network,
        researcher: &PublicKey,
        key: &SecretKey,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, Problems> {
        let request = Request {
            id: format!("{}/1", network.id),
            title: format!("The first permit of the network {}", network.id),
            network: network.id.to_string(),
            min_sites: network.min_sites,
            threshold: network.least(),
            holder: network.researcher.name.clone(),
            organisation: network.researcher.organisation.clone(),
            key: researcher.to_string(),
            datasets: Request::datasets_of(network.contracts.iter().map(|file| &file.contract)),
        };
        let text = request.text(now);
        let contracts: Vec<_> = network.contracts.iter().map(|file| file.contract.clone()).collect();
        let permit = access_body::sign(&text, FILE, key, Some(&contracts), entropy)?;
        let list = SignedRevocations::sign(&Revocations::first(key.public(), now), key)
            .map_err(|error| Problem::new("access-body/revocations.list", "", error.message))?;
        Ok(Self { text, permit: permit.to_text(), list: list.to_text() })
    }
}
