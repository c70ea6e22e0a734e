//! `bocage network init`: from one typed file to a certificate authority, a coordinator, a folder for each site, an access body, an
//! operator, and a researcher with a permit.
//!
//! It makes every key itself, which suits a lab, a demo and a first network; a hospital that makes its own keys enrols instead.

mod body;
mod contract;
mod document;
mod pack;
mod people;
mod render;
mod rotate;
mod spec;
mod tree;

use std::net::SocketAddr;
use std::path::Path;

use bocage_net::certificates::{Authority, LEAF_DAYS};
use bocage_net::identity::CertificateError;
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::SecretKey;

use self::body::AccessBody;
use self::people::People;
use self::render::Trusted;

pub use contract::ContractArgs;
pub use document::Document;
pub use pack::PackArgs;
pub use render::next_steps;
pub use rotate::RotateArgs;
pub use spec::{ContractFile, Mode, Network, Researcher, Site};
pub use tree::{Tree, TreeError};

/// Why a network could not be made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A certificate could not be made.
    #[error("cannot make the network's certificates: {0}")]
    Certificates(#[from] CertificateError),
    /// A permit for the researcher could not be made.
    #[error("cannot make the researcher's permit: {0}")]
    Permit(#[from] Problems),
    /// The folder could not be made.
    #[error(transparent)]
    Folder(#[from] TreeError),
}

impl InitError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            InitError::Folder(TreeError::NotEmpty(_)) => Some("name a folder that does not exist: --out DIR"),
            InitError::Certificates(_) | InitError::Permit(_) | InitError::Folder(_) => None,
        }
    }
}

/// Makes all keys, certificates and configuration files of `network` in the new folder `out`.
///
/// # Errors
/// [`InitError`]; then `out` is as it was.
pub fn init(network: &Network, out: &Path, clock: &dyn Clock, entropy: &mut dyn Entropy) -> Result<(), InitError> {
    tree(network, clock.now(), entropy)?.write(out)?;
    Ok(())
}

/// Everything that [`init`] writes.
fn tree(network: &Network, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Tree, InitError> {
    let mut tree = Tree::default();
    let root = Authority::new_root(&network.id, now, entropy)?;
    let issuing = root.issue_intermediate(&network.id, now, entropy)?;
    tree.file("ca/README.txt", render::CA_README);
    tree.file("ca/root.pem", root.certificate_pem());
    tree.secret("ca/root.key", root.key_pem());
    tree.file("ca/intermediate.pem", issuing.certificate_pem());
    tree.secret("ca/intermediate.key", issuing.key_pem());

    let researcher = SecretKey::generate(entropy);
    let body = AccessBody::new(network, &researcher.public(), now, entropy)?;
    let trusted = Trusted { researcher: researcher.public(), access_body: body.key.public() };
    let people = People::new(entropy);
    let mut release_keys = Vec::new();
    for site in &network.sites {
        if site.enrol {
            release_keys.push(None);
            continue;
        }
        let at = |file: &str| format!("sites/{}/{file}", site.id);
        let release = SecretKey::generate(entropy);
        let tls = issuing.issue_site(&site.id, now, LEAF_DAYS, entropy)?;
        tree.file(at("node.toml"), render::node(network, site, &trusted).text());
        tree.file(at("ca.pem"), root.certificate_pem());
        tree.file(at("tls/cert.pem"), tls.chain_pem);
        tree.secret(at("tls/key.pem"), tls.key_pem);
        tree.secret(at("release.key"), release.to_text());
        contracts(network, &at("contracts"), &mut tree);
        if !site.datasets.is_empty() {
            tree.folder(at("data"));
        }
        release_keys.push(Some(release.public()));
    }

    let tls = issuing.issue_coordinator(&render::api_names(network), now, LEAF_DAYS, entropy)?;
    let mut config = render::coordinator(network, &release_keys, &trusted);
    people.name(&mut config);
    tree.file("coordinator/coordinator.toml", config.text());
    tree.file("coordinator/ca.pem", root.certificate_pem());
    tree.file("coordinator/tls/cert.pem", tls.chain_pem);
    tree.secret("coordinator/tls/key.pem", tls.key_pem);
    tree.file("coordinator/revocations.list", body.list.to_text());
    tree.file("coordinator/issuing/intermediate.pem", issuing.certificate_pem());
    tree.secret("coordinator/issuing/intermediate.key", issuing.key_pem());
    contracts(network, "coordinator/contracts", &mut tree);

    tree.file("access-body/README.txt", render::ACCESS_BODY_README);
    tree.file("access-body/profile.toml", render::body_profile(network).text());
    tree.secret("access-body/access-body.key", body.key.to_text());
    tree.file("access-body/permit.toml", body.text);
    tree.file("access-body/researcher.permit", body.permit.to_text());
    tree.file("access-body/revocations.list", body.list.to_text());
    contracts(network, "access-body/contracts", &mut tree);

    tree.file("researcher/profile.toml", render::profile(network).text());
    tree.file("researcher/researcher.permit", body.permit.to_text());
    tree.secret("researcher/researcher.key", researcher.to_text());
    people.folders(network, root.certificate_pem(), &mut tree);
    Ok(tree)
}

fn contracts(network: &Network, folder: &str, tree: &mut Tree) {
    for contract in &network.contracts {
        tree.file(format!("{folder}/{}", contract.name), contract.text.as_str());
    }
}

/// Where the coordinator listens for those who dial `address`: there, or on every address of a machine that is known by name.
fn listen(address: &str) -> SocketAddr {
    address.parse().unwrap_or_else(|_| {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        SocketAddr::from(([0, 0, 0, 0], port.unwrap_or_default()))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use bocage_coordinator::client::{GivenPermit, Profile};
    use bocage_net::env::{SystemClock, SystemEntropy};

    use super::*;

    const NETWORK: &str = include_str!("../../templates/network.toml");

    pub(super) fn made() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let network = Network::parse(NETWORK, "network.toml", &templates).unwrap();
        let out = dir.path().join("net");
        init(&network, &out, &SystemClock, &mut SystemEntropy).unwrap();
        (dir, out)
    }

    #[test]
    fn the_coordinator_understands_its_folder() {
        let (_dir, out) = made();
        let file = out.join("coordinator/coordinator.toml");
        let config = bocage_coordinator::config::Config::load(&file, &[]).unwrap();
        let setup = bocage_coordinator::config::Setup::load(&config, SystemClock.now()).unwrap();
        assert_eq!(config.sites.len(), 4);
        assert_eq!(setup.contracts.len(), 1);
        assert!(setup.issuing.is_some_and(|issuing| !issuing.is_root()));
    }

    #[test]
    fn a_site_that_enrols_gets_nothing_made_and_stands_in_the_roster_without_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let text = NETWORK.replacen("[coordinator]", "[coordinator]\ntcp = \"127.0.0.1:4434\"", 1);
        let text = text + "[[site]]\nid = \"east\"\nenrol = true\n";
        let network = Network::parse(&text, "network.toml", &templates).unwrap();
        let out = dir.path().join("net");
        init(&network, &out, &SystemClock, &mut SystemEntropy).unwrap();
        assert!(!out.join("sites/east").exists());
        let config = bocage_coordinator::config::Config::load(&out.join("coordinator/coordinator.toml"), &[]).unwrap();
        let keyless: Vec<_> = config.sites.iter().filter(|(_, site)| site.release_key.is_none()).collect();
        assert_eq!((keyless.len(), keyless[0].0.as_str()), (1, "east"));
        let told = config.invitations.unwrap();
        assert_eq!((told.quic.as_str(), told.tcp.as_str(), told.threshold), ("127.0.0.1:4433", "127.0.0.1:4434", 11));
        assert!(next_steps(&network, &out).contains("bocage network invite east"));
    }

    #[test]
    fn the_researcher_has_a_profile_with_key_token_and_a_permit_of_the_body_that_coordinator_and_sites_trust() {
        let (_dir, out) = made();
        let profile = Profile::find(Some(&out.join("researcher/profile.toml"))).unwrap();
        let key = profile.key().unwrap().public();
        let permit = GivenPermit::read(profile.permit.as_ref().unwrap()).unwrap().permit;
        assert_eq!((permit.holder.key, permit.min_sites), (key, 3));
        let columns = permit.datasets[0].columns.as_ref().unwrap();
        assert!(columns.iter().any(|column| column.as_str() == "chol"));
        let config = bocage_coordinator::config::Config::load(&out.join("coordinator/coordinator.toml"), &[]).unwrap();
        assert_eq!(config.researcher(&key), None, "it asks under its permit alone");
        assert_eq!(config.access_bodies[0].key, permit.issuer);
        let setup = bocage_coordinator::config::Setup::load(&config, SystemClock.now()).unwrap();
        assert_eq!(setup.revocations[0].verify().unwrap().number, 1);
        let node: toml::Table =
            toml::from_str(&std::fs::read_to_string(out.join("sites/hungary/node.toml")).unwrap()).unwrap();
        let trust = node["trust"].as_array().unwrap();
        assert_eq!(trust.len(), 1);
        assert_eq!(trust[0]["kind"].as_str(), Some("access_body"));
        assert_eq!(trust[0]["key"].as_str(), Some(permit.issuer.to_string().as_str()));
        Profile::find(Some(&out.join("access-body/profile.toml"))).unwrap().key().unwrap();
    }

    #[test]
    fn researcher_access_body_and_operator_have_a_token_each_of_which_the_coordinator_knows_the_hash() {
        let (_dir, out) = made();
        let config = bocage_coordinator::config::Config::load(&out.join("coordinator/coordinator.toml"), &[]).unwrap();
        let mut hashes = Vec::new();
        for (folder, user) in ["researcher", "access-body", "operator"].into_iter().zip(&config.users) {
            let profile = Profile::find(Some(&out.join(folder).join("profile.toml"))).unwrap();
            let token = bocage_coordinator::people::Token::parse(profile.token().unwrap().trim()).unwrap();
            assert_eq!((user.name.as_str(), user.token), (folder, Some(token.hash())));
            assert!(!hashes.contains(&token.hash()));
            hashes.push(token.hash());
        }
        assert_eq!((hashes.len(), config.users.len()), (3, 3));
    }

    #[test]
    fn an_interface_that_others_reach_has_tls_and_its_people_verify_it() {
        let dir = tempfile::tempdir().unwrap();
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut network = Network::parse(NETWORK, "network.toml", &templates).unwrap();
        network.quic = "coordinator.example.org:4433".into();
        network.api = "0.0.0.0:8443".parse().unwrap();
        let out = dir.path().join("net");
        init(&network, &out, &SystemClock, &mut SystemEntropy).unwrap();
        let config = bocage_coordinator::config::Config::load(&out.join("coordinator/coordinator.toml"), &[]).unwrap();
        let setup = bocage_coordinator::config::Setup::load(&config, SystemClock.now()).unwrap();
        assert!(setup.api_tls.is_some());
        let profile = Profile::find(Some(&out.join("operator/profile.toml"))).unwrap();
        assert_eq!(profile.coordinator, "https://coordinator.example.org:8443");
        assert!(profile.ca_file.is_some_and(|file| file.is_file()));
    }

    #[test]
    fn every_site_has_its_own_keys_and_a_certificate_with_its_name() {
        let (_dir, out) = made();
        let mut release_keys = std::collections::HashSet::new();
        for site in ["cleveland", "hungary", "switzerland", "long-beach"] {
            let read = |file: &str| std::fs::read_to_string(out.join("sites").join(site).join(file)).unwrap();
            let identity =
                bocage_net::Identity::from_pem(&read("tls/cert.pem"), &read("tls/key.pem"), &read("ca.pem")).unwrap();
            assert_eq!(identity.site().unwrap().as_str(), site);
            assert!(release_keys.insert(read("release.key")));
            let node: toml::Table = toml::from_str(&read("node.toml")).unwrap();
            assert_eq!(node["dataset"]["heart"]["map"]["disease"].as_str(), Some("num > 0"));
            assert!(out.join("sites").join(site).join("data").is_dir());
        }
    }
}
