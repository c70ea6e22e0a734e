//! `bocage network init`: from one typed file to a certificate authority, a coordinator, a folder for each site, an access body, an
//! operator, and a researcher with a permit.
//!
//! It makes every key itself, which suits a lab, a demo and a first network; a hospital that makes its own keys enrols instead. What it makes follows from
//! the file and from the keys that are there already (`kept`): the same again is the same bytes.

mod authority;
mod body;
mod command;
mod contract;
mod document;
mod kept;
mod pack;
mod people;
mod rehearsal;
mod render;
mod rotate;
mod spec;
mod steps;
mod targets;
mod tree;
mod update;
mod views;

use std::net::SocketAddr;
use std::path::Path;

use bocage_net::certificates::LEAF_DAYS;
use bocage_net::identity::CertificateError;
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::{PublicKey, SecretKey, SignedPermit};

use self::authority::Ca;
use self::body::AccessBody;
use self::kept::Kept;
use self::people::People;
use self::render::Trusted;
use self::update::Changes;

pub use command::{CheckArgs, DiffArgs, InitArgs, RenderArgs, StatusArgs};
pub use contract::ContractArgs;
pub use document::Document;
pub use pack::PackArgs;
pub use rotate::RotateArgs;
pub use spec::{Body, ContractFile, Mode, Network, Place, Places, Proxy, Researcher, Site, User, Users};
pub use steps::next_steps;
pub use targets::{Target, rendered};
pub use tree::{Tree, TreeError};

/// What a network is made of: a folder for each who gets one.
const FOLDERS: &[&str] = &["ca", "coordinator", "sites", "access-body", "researcher", "operator"];

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
    /// Something is to be certified, and what certifies is not here.
    #[error("a certificate is to be issued, and ca/intermediate.key is not in this folder")]
    NoIssuer,
    /// A network was made here, and the list of its keys is gone.
    #[error("a network was made in this folder, and its coordinator/coordinator.toml is not here any more")]
    NoRoster,
}

impl InitError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            InitError::Folder(TreeError::NotEmpty(_)) => Some("name a folder that does not exist: --out DIR"),
            InitError::NoIssuer => Some("bring it back for as long as this takes, or let the site enrol by invitation"),
            InitError::NoRoster => Some("bring it back: without it every site would get new keys"),
            InitError::Certificates(_) | InitError::Permit(_) | InitError::Folder(_) => None,
        }
    }
}

/// Makes all keys, certificates and configuration files of `network` in the new folder `out`.
///
/// # Errors
/// [`InitError`]; then `out` is as it was.
pub fn init(network: &Network, out: &Path, clock: &dyn Clock, entropy: &mut dyn Entropy) -> Result<(), InitError> {
    tree(network, &Kept::default(), clock.now(), entropy)?.write(out)?;
    Ok(())
}

/// What making `network` again in the folder of an earlier [`init`] would change, and the files that it would be then. Whatever key or certificate is there
/// stays.
///
/// # Errors
/// [`InitError`].
pub fn again(
    network: &Network,
    out: &Path,
    clock: &dyn Clock,
    entropy: &mut dyn Entropy,
) -> Result<(Tree, Changes), InitError> {
    let kept = Kept::read(out)?;
    if kept.text("ca/root.pem").is_some() && kept.text("coordinator/coordinator.toml").is_none() {
        return Err(InitError::NoRoster);
    }
    let tree = tree(network, &kept, clock.now(), entropy)?;
    let changes = tree.changes(out)?;
    Ok((tree, changes))
}

/// Everything that [`init`] writes beside what was `kept`.
fn tree(network: &Network, kept: &Kept, now: Timestamp, entropy: &mut dyn Entropy) -> Result<Tree, InitError> {
    let mut tree = Tree::below(FOLDERS);
    tree.file("ca/README.txt", render::CA_README);
    let ca = Ca::of(network, kept, now, entropy, &mut tree)?;

    let key = kept.text("researcher/researcher.key").and_then(|text| SecretKey::from_text(text).ok());
    let known = kept.named_key("researcher", &network.researcher.name).or_else(|| holder(kept));
    let (researcher, key) = match (key, known) {
        (None, Some(public)) => (public, None),
        (key, _) => {
            let key = key.unwrap_or_else(|| SecretKey::generate(entropy));
            (key.public(), Some(key))
        }
    };
    let made = network.access_bodies.iter().find(|body| body.key.is_none());
    let made = made.map(|body| AccessBody::of(&body.name, network, &researcher, kept, now, entropy)).transpose()?;
    let bodies = network.access_bodies.iter().map(|body| (body, body.key.or_else(|| Some(made.as_ref()?.public))));
    let access_bodies = bodies.filter_map(|(body, key)| Some((body.name.as_str(), key?))).collect();
    let trusted = Trusted { researcher, access_bodies };
    let signed = made.as_ref().and_then(|body| body.signed.as_ref());

    let people = People::of(kept, made.is_some(), entropy);
    let mut release_keys = Vec::new();
    for site in &network.sites {
        if site.enrol {
            release_keys.push(kept.release_key(&site.id));
            continue;
        }
        let at = |file: &str| format!("sites/{}/{file}", site.id);
        let release = kept.text(at("release.key")).and_then(|text| SecretKey::from_text(text).ok());
        if let (None, Some(key)) = (&release, kept.release_key(&site.id)) {
            // Its folder was brought to the site.
            release_keys.push(Some(key));
            continue;
        }
        let release = release.unwrap_or_else(|| SecretKey::generate(entropy));
        let (chain, key) =
            ca.certified(kept, &at("tls"), |issuing| issuing.issue_site(&site.id, now, LEAF_DAYS, entropy))?;
        tree.file(at("node.toml"), render::node(network, site, &trusted).text());
        tree.file(at("ca.pem"), roots(kept, &at("ca.pem"), &ca.root_pem));
        tree.file(at("tls/cert.pem"), chain);
        tree.secret(at("tls/key.pem"), key);
        tree.secret(at("release.key"), release.to_text());
        contracts(network, &at("contracts"), &mut tree);
        if !site.datasets.is_empty() {
            tree.folder(at("data"));
        }
        release_keys.push(Some(release.public()));
    }

    let names = render::api_names(network);
    let (chain, tls_key) =
        ca.certified(kept, "coordinator/tls", |issuing| issuing.issue_coordinator(&names, now, LEAF_DAYS, entropy))?;
    let list = signed.is_some() || kept.text("coordinator/revocations.list").is_some();
    let mut config = render::coordinator(network, &release_keys, &trusted, list);
    people.name(&mut config);
    tree.file("coordinator/coordinator.toml", config.text());
    tree.file("coordinator/ca.pem", roots(kept, "coordinator/ca.pem", &ca.root_pem));
    tree.file("coordinator/tls/cert.pem", chain);
    tree.secret("coordinator/tls/key.pem", tls_key);
    // A newer one that the coordinator has is not put back.
    if let Some(list) = kept.text("coordinator/revocations.list").or_else(|| Some(signed?.list.as_str())) {
        tree.file("coordinator/revocations.list", list);
    }
    // A newer one that the coordinator has is not put back either.
    let issuing = kept.text("coordinator/issuing/intermediate.pem").unwrap_or(&ca.issuing_pem);
    tree.file("coordinator/issuing/intermediate.pem", issuing);
    if let Some(key) = &ca.issuing_key {
        tree.secret("coordinator/issuing/intermediate.key", key.clone());
    }
    contracts(network, "coordinator/contracts", &mut tree);

    if let Some(AccessBody { key: Some(key), .. }) = &made {
        tree.file("access-body/README.txt", render::ACCESS_BODY_README);
        tree.file("access-body/profile.toml", render::body_profile(network).text());
        tree.secret("access-body/access-body.key", key.to_text());
        if let Some(signed) = signed {
            tree.file("access-body/permit.toml", signed.text.as_str());
            tree.file("access-body/researcher.permit", signed.permit.as_str());
            tree.file("access-body/revocations.list", signed.list.as_str());
        }
        contracts(network, "access-body/contracts", &mut tree);
    }

    // Where the coordinator knows its token and the key is not here, its folder was brought away.
    let away = kept.text("researcher/researcher.key").is_none() && kept.token_hash("researcher").is_some();
    if let Some(key) = key.filter(|_| !away) {
        let permit = kept.text("researcher/researcher.permit").or_else(|| Some(signed?.permit.as_str()));
        tree.file("researcher/profile.toml", render::profile(network, permit.is_some()).text());
        if let Some(permit) = permit {
            tree.file("researcher/researcher.permit", permit);
        }
        tree.secret("researcher/researcher.key", key.to_text());
    }
    people.folders(network, &ca.root_pem, &mut tree);
    Ok(tree)
}

/// The roots in a file. While one is being exchanged there are others beside it, which stay until `rotate root --finish`.
fn roots<'a>(kept: &'a Kept, file: &str, root_pem: &'a str) -> &'a str {
    kept.text(file).filter(|there| there.contains(root_pem.trim())).unwrap_or(root_pem)
}

/// For whom the first permit is, where the researcher took the key along.
fn holder(kept: &Kept) -> Option<PublicKey> {
    let permit = SignedPermit::from_text(kept.text("access-body/researcher.permit")?).ok()?;
    Some(permit.verify().ok()?.holder.key)
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

    use super::update::Edited;
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

    fn network(edit: impl FnOnce(String) -> String) -> Network {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        Network::parse(&edit(NETWORK.to_owned()), "network.toml", &templates).unwrap()
    }

    #[test]
    fn the_same_again_changes_no_byte() {
        let (_dir, out) = made();
        let (_, changes) = again(&network(|text| text), &out, &SystemClock, &mut SystemEntropy).unwrap();
        assert!(changes.0.is_empty(), "{}", changes.summary(Edited::Keep));
    }

    #[test]
    fn a_new_site_gets_a_folder_the_others_keep_their_keys_and_the_coordinator_knows_all() {
        let (_dir, out) = made();
        let more = network(|text| format!("{text}\n[[site]]\nid = \"zurich\"\nname = \"Zurich\"\n"));
        std::fs::remove_file(out.join("ca/root.key")).unwrap();
        let before = std::fs::read_to_string(out.join("sites/hungary/release.key")).unwrap();
        let (tree, changes) = again(&more, &out, &SystemClock, &mut SystemEntropy).unwrap();
        let touched: Vec<String> = changes.0.keys().map(|path| path.display().to_string()).collect();
        assert!(
            touched.iter().all(|path| path.starts_with("sites/zurich/") || path == "coordinator/coordinator.toml"),
            "{touched:?}"
        );
        tree.update(&out, &changes, Edited::Keep).unwrap();
        let config = bocage_coordinator::config::Config::load(&out.join("coordinator/coordinator.toml"), &[]).unwrap();
        assert_eq!(config.sites.len(), 5);
        assert_eq!(std::fs::read_to_string(out.join("sites/hungary/release.key")).unwrap(), before);
        let (_, changes) = again(&more, &out, &SystemClock, &mut SystemEntropy).unwrap();
        assert!(changes.0.is_empty(), "{}", changes.summary(Edited::Keep));
    }

    #[test]
    fn folders_that_were_brought_away_are_not_made_again_and_their_keys_stay_known() {
        let (_dir, out) = made();
        for folder in ["sites/hungary", "researcher", "access-body", "operator"] {
            std::fs::remove_dir_all(out.join(folder)).unwrap();
        }
        let (_, changes) = again(&network(|text| text), &out, &SystemClock, &mut SystemEntropy).unwrap();
        let touched: Vec<String> = changes.0.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(touched, Vec::<String>::new().as_slice(), "nothing is made again");
        std::fs::remove_file(out.join("coordinator/coordinator.toml")).unwrap();
        let lost = again(&network(|text| text), &out, &SystemClock, &mut SystemEntropy).err().unwrap();
        assert!(matches!(lost, InitError::NoRoster), "{lost}");
    }

    #[test]
    fn access_bodies_that_made_their_own_keys_are_trusted_by_these_and_get_no_folder() {
        let key = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let theirs = network(|text| {
            text.replace(
                "[access_body]\nname = \"Demo access body\"",
                &format!("[[access_body]]\nname = \"A\"\nkey = \"{key}\"\n"),
            )
        });
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("net");
        init(&theirs, &out, &SystemClock, &mut SystemEntropy).unwrap();
        assert!(!out.join("access-body").exists() && !out.join("researcher/researcher.permit").exists());
        let config = bocage_coordinator::config::Config::load(&out.join("coordinator/coordinator.toml"), &[]).unwrap();
        assert_eq!(config.access_bodies[0].key.to_string(), key);
        let (_, changes) = again(&theirs, &out, &SystemClock, &mut SystemEntropy).unwrap();
        assert!(changes.0.is_empty(), "{}", changes.summary(Edited::Keep));
    }
}
