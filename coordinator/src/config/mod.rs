//! `coordinator.toml`: what it may say, and what it means. Every problem is reported at once, with place and hint.
//!
//! Parse (TOML, environment, `--set`) → meaning ([`Config`]) → environment ([`Setup`]: the files it names). Secrets stand in files of their
//! own, never in the configuration, the environment or a flag.

mod api;
mod invitations;
mod issuing;
mod life;
mod setup;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bocage_daemon::log;
use bocage_daemon::status::Place;
use bocage_protocol::front::Sort;
use bocage_protocol::ids::{NetworkId, SiteId};
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems, read, read_partly};
use bocage_protocol::trust::PublicKey;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::api::RawApi;
use crate::people::Seed;

pub use api::ApiTls;
pub use invitations::InvitationSettings;
pub use issuing::IssuingFiles;
pub use setup::{KnownContract, Setup};
pub(crate) use setup::{own_identity, own_issuing, secret_problem, web_identity};

/// What stands before a setting's name in the environment: `BOCAGE_COORDINATOR__API__LISTEN`.
pub const ENV_PREFIX: &str = "BOCAGE_COORDINATOR";

/// A coordinator's configuration. All paths are usable as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The network that it serves.
    pub network: NetworkId,
    /// Where its state is.
    pub state_dir: PathBuf,
    /// Where nodes connect.
    pub quic_listen: SocketAddr,
    /// Where nodes connect over TCP, if they may.
    pub tcp_listen: Option<SocketAddr>,
    /// The network's CA, in PEM.
    pub ca_file: PathBuf,
    /// The coordinator's certificate, in PEM.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The authority that certifies sites, where it does.
    pub issuing: Option<IssuingFiles>,
    /// What hospitals are told that are invited, where any may be.
    pub invitations: Option<InvitationSettings>,
    /// Where HTTP clients connect.
    pub api_listen: SocketAddr,
    /// The certificate that they see. Without one the interface is plain HTTP, on loopback alone.
    pub api_tls: Option<ApiTls>,
    /// Who may use it from the start.
    pub users: Vec<Seed>,
    /// Where the contracts are: every `*.toml` in it is one.
    pub contracts_dir: PathBuf,
    /// No combined cell of fewer sites is published.
    pub min_sites: u32,
    /// What is logged, how and where.
    pub log: log::Settings,
    /// Where it shows how it is, if anywhere.
    pub status: Option<Place>,
    /// How long rounds that are under way may take to end when it is asked to stop.
    pub stop_secs: u32,
    /// The roster.
    pub sites: BTreeMap<SiteId, Site>,
    /// Whose studies are accepted without a permit. Nodes decide for themselves anyway.
    pub researchers: Vec<Researcher>,
    /// Whose permits are accepted, and whose lists of revoked permits are passed on.
    pub access_bodies: Vec<AccessBody>,
}

/// A site of the roster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Site {
    id: SiteId,
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// The key that signs its releases. None: it enrols.
    pub release_key: Option<PublicKey>,
}

/// Who issues permits.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AccessBody {
    /// For people.
    pub name: String,
    /// The key that signs permits and lists of revoked ones.
    pub key: PublicKey,
    /// A list of revoked permits that is read at the start; a newer one that was published over HTTP stays in force.
    pub revocations_file: Option<PathBuf>,
}

/// Somebody whose studies are accepted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Researcher {
    /// For people.
    pub name: String,
    /// The key that signs the studies.
    pub key: PublicKey,
}

#[derive(Deserialize)]
struct RawConfig {
    network: NetworkId,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    #[serde(default = "default_stop_secs")]
    stop_secs: u32,
    #[serde(default = "empty")]
    status: Value,
    #[serde(default = "empty")]
    quic: Value,
    tcp: Option<Value>,
    #[serde(default = "empty")]
    tls: Value,
    issuing: Option<Value>,
    invitations: Option<Value>,
    #[serde(default = "empty")]
    api: Value,
    #[serde(default = "empty")]
    contracts: Value,
    #[serde(default = "empty")]
    publication: Value,
    #[serde(default = "empty")]
    log: Value,
    #[serde(default)]
    site: Vec<Value>,
    #[serde(default)]
    researcher: Vec<Value>,
    #[serde(default)]
    access_body: Vec<Value>,
    #[serde(default)]
    user: Vec<Value>,
}

#[derive(Deserialize)]
struct RawQuic {
    listen: SocketAddr,
}

#[derive(Deserialize)]
struct RawTcp {
    listen: SocketAddr,
}

#[derive(Deserialize)]
struct RawTls {
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Deserialize)]
struct RawContracts {
    #[serde(default = "default_contracts_dir")]
    dir: PathBuf,
}

#[derive(Deserialize)]
struct RawPublication {
    #[serde(default = "default_min_sites")]
    min_sites: u32,
}

const KEYS: &[&str] = &[
    "network",
    "state_dir",
    "quic",
    "listen",
    "tls",
    "ca_file",
    "cert_file",
    "key_file",
    "issuing",
    "invitations",
    "tcp",
    "mode",
    "threshold",
    "policy",
    "api",
    "contracts",
    "dir",
    "publication",
    "min_sites",
    "log",
    "level",
    "format",
    "target",
    "status",
    "stop_secs",
    "site",
    "id",
    "name",
    "release_key",
    "researcher",
    "key",
    "access_body",
    "revocations_file",
    "user",
    "roles",
    "token",
    "days",
];

fn empty() -> Value {
    Value::Object(Map::new())
}

fn default_state_dir() -> PathBuf {
    "state".into()
}

fn default_contracts_dir() -> PathBuf {
    "contracts".into()
}

fn default_min_sites() -> u32 {
    3
}

fn default_stop_secs() -> u32 {
    life::STOP_SECS_DEFAULT
}

impl Config {
    /// Reads `file`, with the environment and then `overrides` (key and value) on top.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(file: &Path, overrides: &[(String, String)]) -> Result<Self, Problems> {
        let settings = bocage_net::settings::load(file, ENV_PREFIX, overrides)?;
        settings.are_of(Sort::Coordinator)?;
        Self::from_value(&settings.tree, &file.display().to_string(), file.parent().unwrap_or(Path::new("")))
            .map_err(|problems| settings.attributed(problems))
    }

    /// What a configuration means. `file` names it in problems; relative paths are relative to `base`.
    ///
    /// # Errors
    /// All problems at once.
    pub fn from_value(value: &Value, file: &str, base: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let Some(raw) = read_partly::<RawConfig>(value, file, "", KEYS, &mut problems) else { return Err(problems) };
        let quic = read::<RawQuic>(&raw.quic, file, "quic", KEYS, &mut problems);
        let tcp = raw.tcp.as_ref().and_then(|tcp| read::<RawTcp>(tcp, file, "tcp", KEYS, &mut problems));
        let tls = read::<RawTls>(&raw.tls, file, "tls", KEYS, &mut problems);
        let issuing = IssuingFiles::read(raw.issuing.as_ref(), file, base, &mut problems);
        let told = raw.invitations.as_ref();
        let invitations =
            tls.as_ref().and_then(|tls| InvitationSettings::read(told, file, &base.join(&tls.ca_file), &mut problems));
        let api = read::<RawApi>(&raw.api, file, "api", KEYS, &mut problems);
        let contracts = read::<RawContracts>(&raw.contracts, file, "contracts", KEYS, &mut problems);
        let publication = read::<RawPublication>(&raw.publication, file, "publication", KEYS, &mut problems);
        let log = life::log(&raw.log, file, &mut problems);
        let status = life::status(&raw.status, file, &mut problems);
        let stop_secs = life::stop_secs(raw.stop_secs, file, &mut problems);
        let sites = sites(&raw.site, raw.issuing.is_some(), file, &mut problems);
        let researchers = researchers(&raw.researcher, file, &mut problems);
        let access_bodies = access_bodies(&raw.access_body, file, base, &mut problems);
        let users = api::users(&raw.user, file, &mut problems);
        check(api.as_ref(), publication.as_ref(), file, &mut problems);
        let (Some(quic), Some(tls), Some(api), Some(contracts), Some(publication), Some(log)) =
            (quic, tls, api, contracts, publication, log)
        else {
            return Err(problems);
        };
        problems.into_result(Self {
            network: raw.network,
            state_dir: base.join(raw.state_dir),
            quic_listen: quic.listen,
            tcp_listen: tcp.map(|tcp| tcp.listen),
            ca_file: base.join(tls.ca_file),
            cert_file: base.join(tls.cert_file),
            key_file: base.join(tls.key_file),
            issuing,
            invitations,
            api_listen: api.listen,
            api_tls: api.tls(base),
            users,
            contracts_dir: base.join(contracts.dir),
            min_sites: publication.min_sites,
            log,
            status,
            stop_secs,
            sites,
            researchers,
            access_bodies,
        })
    }

    /// The name of the researcher with this key, if there is one.
    pub fn researcher(&self, key: &PublicKey) -> Option<&str> {
        self.researchers.iter().find(|r| r.key == *key).map(|r| r.name.as_str())
    }
}

/// What can be said of each section alone, whatever is wrong with the others.
fn check(api: Option<&RawApi>, publication: Option<&RawPublication>, file: &str, problems: &mut Problems) {
    if let Some(api) = api {
        api.check(file, problems);
    }
    if publication.is_some_and(|publication| publication.min_sites == 0) {
        problems.push(Problem::new(file, "publication.min_sites", "must be at least 1").hint("3 is the default"));
    }
}

/// The roster. `enrols`: whether a site may come without a key, which it shows when it enrols.
fn sites(raw: &[Value], enrols: bool, file: &str, problems: &mut Problems) -> BTreeMap<SiteId, Site> {
    let mut sites = BTreeMap::new();
    let mut keys = HashSet::new();
    if raw.is_empty() {
        problems.push(Problem::new(file, "site", "the roster is empty").hint("add a [[site]] with id and release_key"));
    }
    for (index, value) in raw.iter().enumerate() {
        let place = format!("site[{index}]");
        let Some(mut site) = read::<Site>(value, file, &place, KEYS, problems) else { continue };
        if site.release_key.is_none() && !enrols {
            let problem = Problem::new(file, format!("{place}.release_key"), "missing, and no site can enrol here");
            problems.push(problem.hint("give the site's key, or name the network's intermediate in [issuing]"));
        }
        if site.release_key.is_some_and(|key| !keys.insert(key.to_string())) {
            let message = "another site has the same release key";
            problems.push(Problem::new(file, format!("{place}.release_key"), message).hint("every site makes its own"));
        }
        if site.name.is_empty() {
            site.name = site.id.to_string();
        }
        let id = site.id.clone();
        if sites.insert(id.clone(), site).is_some() {
            problems.push(Problem::new(file, format!("{place}.id"), format!("site `{id}` is there twice")));
        }
    }
    sites
}

fn researchers(raw: &[Value], file: &str, problems: &mut Problems) -> Vec<Researcher> {
    let mut researchers: Vec<Researcher> = Vec::new();
    for (index, value) in raw.iter().enumerate() {
        let place = format!("researcher[{index}]");
        let Some(researcher) = read::<Researcher>(value, file, &place, KEYS, problems) else { continue };
        if researchers.iter().any(|r| r.key == researcher.key) {
            problems.push(Problem::new(file, format!("{place}.key"), "another researcher has the same key"));
        }
        researchers.push(researcher);
    }
    researchers
}

fn access_bodies(raw: &[Value], file: &str, base: &Path, problems: &mut Problems) -> Vec<AccessBody> {
    let mut bodies: Vec<AccessBody> = Vec::new();
    if raw.len() > limits::ACCESS_BODIES {
        let rule = format!("a coordinator knows {} access bodies at most", limits::ACCESS_BODIES);
        problems.push(Problem::new(file, "access_body", rule));
    }
    for (index, value) in raw.iter().enumerate() {
        let place = format!("access_body[{index}]");
        let Some(body) = read::<AccessBody>(value, file, &place, KEYS, problems) else { continue };
        if bodies.iter().any(|other| other.key == body.key) {
            problems.push(Problem::new(file, format!("{place}.key"), "another access body has the same key"));
        }
        let revocations_file = body.revocations_file.map(|path| base.join(path));
        bodies.push(AccessBody { revocations_file, ..body });
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::env::Entropy;
    use bocage_protocol::trust::SecretKey;

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn key(seed: u8) -> String {
        SecretKey::generate(&mut Fixed(seed)).public().to_string()
    }

    fn good() -> Value {
        serde_json::json!({
            "network": "heart-demo",
            "quic": { "listen": "127.0.0.1:4433" },
            "tls": { "ca_file": "ca.pem", "cert_file": "tls/cert.pem", "key_file": "/keys/tls.pem" },
            "api": {},
            "site": [
                { "id": "cleveland", "name": "Cleveland Clinic", "release_key": key(1) },
                { "id": "hungary", "release_key": key(2) },
            ],
            "researcher": [{ "name": "Ada", "key": key(3) }],
        })
    }

    fn config(value: &Value) -> Result<Config, Problems> {
        Config::from_value(value, "coordinator.toml", Path::new("/net"))
    }

    #[test]
    fn a_good_configuration_gets_its_defaults_and_paths_relative_to_the_file() {
        let config = config(&good()).unwrap();
        assert_eq!(config.state_dir, Path::new("/net/state"));
        assert_eq!(config.key_file, Path::new("/keys/tls.pem"));
        assert_eq!((config.min_sites, config.api_listen.port()), (3, 8443));
        assert_eq!(config.sites[&"hungary".parse().unwrap()].name, "hungary");
        assert_eq!(config.researcher(&key(3).parse().unwrap()), Some("Ada"));
        assert_eq!(config.researcher(&key(4).parse().unwrap()), None);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut bad = good();
        bad["api"]["listen"] = "0.0.0.0:8443".into();
        bad["publication"]["min_site"] = 4.into();
        bad["publication"]["min_sites"] = 0.into();
        bad["log"]["level"] = "bocage=loud".into();
        bad["status"] = serde_json::json!({ "listen": "0.0.0.0:9464" });
        bad["site"][1] = bad["site"][0].clone();
        bad["researcher"][0]["key"] = "ed25519:AAAA".into();
        bad["user"] = serde_json::json!([
            { "name": "ada", "roles": [], "days": 400 },
            { "name": "ada", "roles": ["king"], "token": "0123" },
            { "name": "ada", "roles": ["operator"] },
        ]);
        let text = config(&bad).unwrap_err().to_string();
        for wanted in [
            "api.listen: 0.0.0.0:8443 can be reached from other machines",
            "or listen on 127.0.0.1",
            "status.listen: 0.0.0.0:9464: other machines could reach it",
            "publication.min_site: unknown key\n  hint: did you mean `min_sites`?",
            "publication.min_sites: must be at least 1",
            "log.level: `loud` is not a log level",
            "site[1].id: site `cleveland` is there twice",
            "site[1].release_key: another site has the same release key",
            "researcher[0].key: not a public key",
            "user[0].roles: a user has at least one role\n  hint: researcher, steward",
            "user[0].days: a token lives for 1 to 366 days",
            "user[1].roles",
            "user[2].name: another user has the same name",
        ] {
            assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
        }
    }

    #[test]
    fn an_interface_that_others_reach_has_a_certificate_and_its_key() {
        let mut remote = good();
        remote["api"] = serde_json::json!({ "listen": "0.0.0.0:8443", "cert_file": "api.pem", "key_file": "api.key" });
        let tls = config(&remote).unwrap().api_tls.unwrap();
        assert_eq!(
            (tls.cert_file.as_path(), tls.key_file.as_path()),
            (Path::new("/net/api.pem"), Path::new("/net/api.key"))
        );
        remote["api"] = serde_json::json!({ "listen": "0.0.0.0:8443", "cert_file": "api.pem" });
        let text = config(&remote).unwrap_err().to_string();
        assert!(text.contains("api.key_file: is missing"), "{text}");
    }

    #[test]
    fn missing_sections_are_named() {
        let text = config(&serde_json::json!({ "network": "north" })).unwrap_err().to_string();
        for wanted in ["quic: missing field `listen`", "tls: missing field", "site: the roster"] {
            assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
        }
    }
}
