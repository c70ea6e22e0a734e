//! `network.toml`: what a network is to be, read once and checked as a whole. Nothing is written here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bocage_protocol::contract::Contract;
use bocage_protocol::front::{Sort, toml_problem, with_lines};
use bocage_protocol::ids::{NetworkId, SiteId};
use bocage_protocol::limits;
use bocage_protocol::marks::steers;
use bocage_protocol::settings::{Problem, Problems, join, read};
use bocage_protocol::trust::PublicKey;
use serde::Deserialize;
use serde_json::Value;

use self::contracts::{contracts, read_text};
use self::places::{RawPlaces, RawUsers};

mod contracts;
mod places;

pub(super) use self::contracts::unknown_pack;
pub use self::places::{Host, Place, Places, Proxy, User, Users};

/// A network as asked for. It exists only if every check passed.
#[derive(Debug)]
pub struct Network {
    /// Its name.
    pub id: NetworkId,
    /// The contracts of its datasets.
    pub contracts: Vec<ContractFile>,
    /// Where nodes reach the coordinator: `HOST:PORT`.
    pub quic: String,
    /// The same over TCP, for hospitals whose firewall drops UDP.
    pub tcp: Option<String>,
    /// Where people and tools reach the coordinator.
    pub api: SocketAddr,
    /// Where the coordinator's metrics are read, on its own machine.
    pub status: Option<SocketAddr>,
    /// The smallest number of sites that a study may ask for.
    pub min_sites: u32,
    /// Who may ask.
    pub researcher: Researcher,
    /// Who issues permits: one at least.
    pub access_bodies: Vec<Body>,
    /// What stands in the `[policy]` of each site's `node.toml`, until the site tightens it.
    pub policy: toml::Table,
    /// Where files are on the machines that run daemons as units or containers; none: beside each other, as in a lab.
    pub places: Option<Places>,
    /// Under which users.
    pub users: Users,
    /// The hospitals, in the order of the file.
    pub sites: Vec<Site>,
}

/// Who issues permits.
#[derive(Debug)]
pub struct Body {
    /// For people.
    pub name: String,
    /// Its public key; none: `network init` makes the pair.
    pub key: Option<PublicKey>,
}

/// A contract with the text that it was read from, which is copied unchanged.
#[derive(Debug)]
pub struct ContractFile {
    /// The name of its copies: `heart@1.toml`.
    pub name: String,
    /// The text.
    pub text: String,
    /// What it means.
    pub contract: Contract,
}

/// Who may ask, and how the sites answer.
#[derive(Debug)]
pub struct Researcher {
    /// For people.
    pub name: String,
    /// Where they work.
    pub organisation: String,
    /// How the sites answer.
    pub mode: Mode,
    /// Whether sites and coordinator trust the key by name too, so that it may ask without a permit.
    pub allow_without_permit: bool,
}

/// How sites answer a researcher's key. A closed list that other modes extend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Exact numbers, behind thresholds.
    Exact,
    /// Counts rounded to multiples of five.
    Round,
}

impl Mode {
    /// The mode as configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Exact => "exact",
            Mode::Round => "round",
        }
    }
}

/// A hospital.
#[derive(Debug)]
pub struct Site {
    /// Its name in the network.
    pub id: SiteId,
    /// For people.
    pub name: String,
    /// How the operator reaches it.
    pub contact: Option<String>,
    /// The proxy between its node and the coordinator.
    pub proxy: Option<Proxy>,
    /// Whether it makes its own keys, by an invitation: nothing is made for it here.
    pub enrol: bool,
    /// `[dataset.NAME]` blocks for its `node.toml`, as they stand in `network.toml`.
    pub datasets: BTreeMap<String, toml::Table>,
}

#[derive(Deserialize)]
struct RawNetwork {
    network: NetworkId,
    #[serde(default)]
    contracts: Vec<PathBuf>,
    #[serde(default)]
    packs: Vec<String>,
    #[serde(default)]
    coordinator: RawCoordinator,
    #[serde(default)]
    publication: RawPublication,
    researcher: RawResearcher,
    #[serde(default)]
    access_body: Value,
    #[serde(default)]
    defaults: RawDefaults,
    paths: Option<RawPlaces>,
    #[serde(default)]
    users: RawUsers,
    #[serde(default)]
    site: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(default)]
struct RawCoordinator {
    quic: String,
    tcp: Option<String>,
    api: SocketAddr,
    status: Option<SocketAddr>,
}

impl Default for RawCoordinator {
    fn default() -> Self {
        Self {
            quic: "127.0.0.1:4433".to_owned(),
            tcp: None,
            status: None,
            api: SocketAddr::from(([127, 0, 0, 1], 8443)),
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct RawPublication {
    min_sites: u32,
}

impl Default for RawPublication {
    fn default() -> Self {
        Self { min_sites: 3 }
    }
}

#[derive(Deserialize)]
struct RawResearcher {
    name: String,
    organisation: Option<String>,
    mode: Mode,
    #[serde(default)]
    allow_without_permit: bool,
}

#[derive(Deserialize)]
struct RawAccessBody {
    name: Option<String>,
    key: Option<PublicKey>,
}

#[derive(Deserialize, Default)]
struct RawDefaults {
    #[serde(default)]
    policy: toml::Table,
}

#[derive(Deserialize)]
struct RawSite {
    id: SiteId,
    name: Option<String>,
    contact: Option<String>,
    proxy: Option<String>,
    #[serde(default)]
    enrol: bool,
    #[serde(default)]
    dataset: BTreeMap<String, toml::Table>,
}

const KEYS: &[&str] = &[
    "network",
    "contracts",
    "packs",
    "coordinator",
    "quic",
    "tcp",
    "api",
    "publication",
    "min_sites",
    "researcher",
    "name",
    "organisation",
    "mode",
    "allow_without_permit",
    "access_body",
    "key",
    "defaults",
    "policy",
    "paths",
    "programs",
    "config",
    "state",
    "run",
    "users",
    "custodian",
    "agent",
    "site",
    "id",
    "contact",
    "proxy",
    "status",
    "enrol",
    "dataset",
];

impl Network {
    /// Reads `network.toml` and the contracts that it names.
    ///
    /// # Errors
    /// All problems at once.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let text = read_text(path, &file, "", limits::CONFIG_TEXT_BYTES)?;
        Self::parse(&text, &file, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a network's text; contracts are looked for in `base`.
    ///
    /// # Errors
    /// All problems at once, each with its line. `file` names the text in them.
    pub fn parse(text: &str, file: &str, base: &Path) -> Result<Self, Problems> {
        Self::typed(text, file, base).map_err(|problems| with_lines(text, file, problems))
    }

    fn typed(text: &str, file: &str, base: &Path) -> Result<Self, Problems> {
        let value: Value = toml::from_str(text).map_err(|e| toml_problem(text, file, &e))?;
        if let Some(problem) = Sort::Network.taken_for(&value, file) {
            return Err(problem.into());
        }
        let mut problems = Problems::default();
        let raw = read::<RawNetwork>(&value, file, "", KEYS, &mut problems);
        let Some(raw) = raw else {
            // The lists stand for themselves: what is wrong with them is said too.
            let list = |key: &str| value.get(key).and_then(Value::as_array).cloned();
            if let Some(paths) = list("contracts") {
                let paths: Vec<PathBuf> = paths.iter().filter_map(Value::as_str).map(PathBuf::from).collect();
                contracts(&paths, None, base, file, &mut problems);
            }
            sites(&list("site").unwrap_or_default(), file, &mut problems);
            if let Some(name) = value.pointer("/researcher/name").and_then(Value::as_str) {
                label(name, file, "researcher.name", &mut problems);
            }
            return Err(problems);
        };
        let contracts = contracts(&raw.contracts, Some(&raw.packs), base, file, &mut problems);
        let sites = sites(&raw.site, file, &mut problems);
        for (at, _) in
            sites.iter().enumerate().filter(|(_, site)| site.proxy.is_some() && raw.coordinator.tcp.is_none())
        {
            let problem =
                Problem::new(file, format!("site[{at}].proxy"), "leads to a TCP address, and the coordinator has none");
            problems.push(problem.hint("[coordinator] tcp = \"coordinator.example.org:443\""));
        }
        check(&raw, file, &mut problems);
        let RawResearcher { name, organisation, mode, allow_without_permit } = raw.researcher;
        let organisation = organisation.unwrap_or_else(|| raw.network.to_string());
        label(&organisation, file, "researcher.organisation", &mut problems);
        let access_bodies = bodies(&raw.access_body, &raw.network, file, &mut problems);
        let places = raw.paths.and_then(|paths| paths.checked(file, &mut problems));
        let users = raw.users.checked(file, &mut problems);
        problems.into_result(Self {
            id: raw.network,
            contracts,
            quic: raw.coordinator.quic,
            tcp: raw.coordinator.tcp,
            status: raw.coordinator.status,
            api: raw.coordinator.api,
            min_sites: raw.publication.min_sites,
            researcher: Researcher { name, organisation, mode, allow_without_permit },
            access_bodies,
            policy: raw.defaults.policy,
            places,
            users: users.unwrap_or_default(),
            sites,
        })
    }
}

fn check(raw: &RawNetwork, file: &str, problems: &mut Problems) {
    dialled(&raw.coordinator.quic, 4433, file, "coordinator.quic", problems);
    let enrols = raw.site.iter().any(|site| site.get("enrol").and_then(Value::as_bool).unwrap_or_default());
    if enrols && raw.coordinator.tcp.is_none() {
        let problem = Problem::new(file, "coordinator.tcp", "missing, and a site enrols over TCP");
        problems.push(problem.hint("for example tcp = \"coordinator.example.org:443\""));
    }
    if let Some(tcp) = &raw.coordinator.tcp {
        dialled(tcp, 443, file, "coordinator.tcp", problems);
    }
    if raw.coordinator.status.is_some_and(|status| status.port() == 0 || !status.ip().is_loopback()) {
        let problem = Problem::new(file, "coordinator.status", "must be a loopback address with a port");
        problems.push(problem.hint("127.0.0.1:9464; what is read there is for this machine's own Prometheus"));
    }
    if raw.coordinator.api.port() == 0 {
        let problem = Problem::new(file, "coordinator.api", "must have a port");
        problems.push(problem.hint("127.0.0.1:8443, or 0.0.0.0:8443 with TLS by the coordinator's certificate"));
    }
    if raw.site.is_empty() || raw.site.len() > limits::SITES {
        let problem = Problem::new(file, "site", format!("a network has 1 to {} sites", limits::SITES));
        problems.push(problem.hint("add a [[site]] with an id and a name"));
    } else if raw.publication.min_sites == 0 || raw.publication.min_sites as usize > raw.site.len() {
        let rule = format!("must be 1 to {}, the number of sites", raw.site.len());
        let problem = Problem::new(file, "publication.min_sites", rule);
        problems.push(problem.hint("a combined cell is published only if so many sites contribute to it"));
    }
    label(&raw.researcher.name, file, "researcher.name", problems);
}

/// An address that nodes dial.
fn dialled(address: &str, usual: u16, file: &str, key: &str, problems: &mut Problems) {
    if Host::of(address).is_none() {
        let problem = Problem::new(file, key, "not an address that nodes can reach");
        problems.push(problem.hint(format!("HOST:PORT, for example \"coordinator.example.org:{usual}\"")));
    }
    if address.parse().is_ok_and(|address: SocketAddr| address.ip().is_unspecified()) {
        let problem = Problem::new(file, key, "no node can dial this address");
        problems.push(problem.hint("write the name or address by which the sites know the coordinator"));
    }
}

fn label(text: &str, file: &str, key: &str, problems: &mut Problems) {
    if text.trim().is_empty() || text.len() > limits::LABEL_BYTES {
        problems.push(Problem::new(file, key, format!("must have 1 to {} bytes", limits::LABEL_BYTES)));
    } else if text.contains(steers) {
        problems.push(Problem::new(file, key, "must be one line without control characters"));
    }
}

/// Who issues permits: one or several, of which `network init` makes the keys of one at most.
fn bodies(raw: &Value, network: &NetworkId, file: &str, problems: &mut Problems) -> Vec<Body> {
    let unsaid = Value::Object(serde_json::Map::new());
    let list: Vec<(String, &Value)> = match raw {
        Value::Null => vec![("access_body".to_owned(), &unsaid)],
        Value::Array(list) => list.iter().enumerate().map(|(i, value)| (format!("access_body[{i}]"), value)).collect(),
        one => vec![("access_body".to_owned(), one)],
    };
    if list.is_empty() || list.len() > limits::ACCESS_BODIES {
        let rule = format!("a network has 1 to {} access bodies", limits::ACCESS_BODIES);
        problems.push(Problem::new(file, "access_body", rule));
    }
    let mut bodies: Vec<Body> = Vec::new();
    for (key, value) in list {
        let Some(body) = read::<RawAccessBody>(value, file, &key, KEYS, problems) else { continue };
        let name = body.name.unwrap_or_else(|| format!("Access body of {network}"));
        label(&name, file, &join(&key, "name"), problems);
        if bodies.iter().any(|other| other.key == body.key) {
            let problem = match body.key {
                Some(_) => Problem::new(file, join(&key, "key"), "another access body has the same key"),
                None => Problem::new(file, &key, "another access body has no key either, and one pair is made at most")
                    .hint("let it make its own with `bocage keys new`, and write the public one here: key = \"ed25519:…\""),
            };
            problems.push(problem);
        }
        bodies.push(Body { name, key: body.key });
    }
    bodies
}

fn sites(raw: &[Value], file: &str, problems: &mut Problems) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for (index, value) in raw.iter().enumerate() {
        let key = format!("site[{index}]");
        let Some(site) = read::<RawSite>(value, file, &key, KEYS, problems) else { continue };
        if sites.iter().any(|s| s.id == site.id) {
            problems.push(Problem::new(file, join(&key, "id"), format!("`{}` is declared twice", site.id)));
        }
        let name = site.name.unwrap_or_else(|| site.id.to_string());
        label(&name, file, &join(&key, "name"), problems);
        if let Some(contact) = &site.contact {
            label(contact, file, &join(&key, "contact"), problems);
        }
        let proxy =
            site.proxy.as_ref().and_then(|url| {
                let proxy = Proxy::of(url);
                if proxy.is_none() {
                    let problem = Problem::new(file, join(&key, "proxy"), "not the address of a proxy");
                    problems.push(problem.hint(
                        "http://HOST:PORT or https://HOST:PORT; who may use it is said at the site, in node.toml",
                    ));
                }
                proxy
            });
        if site.enrol && !site.dataset.is_empty() {
            let problem = Problem::new(file, join(&key, "dataset"), "a site that enrols says itself what it offers");
            problems.push(problem.hint("its people write it into the node.toml that `bocage node enrol` makes"));
        }
        let RawSite { id, contact, enrol, dataset: datasets, .. } = site;
        sites.push(Site { id, name, contact, proxy, enrol, datasets });
    }
    sites
}

#[cfg(test)]
mod tests;
