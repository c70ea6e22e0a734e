//! `network.toml`: what a network is to be, read once and checked as a whole. Nothing is written here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bocage_net::settings::unreadable;
use bocage_protocol::contract::{self, Contract, PACKS};
use bocage_protocol::front::toml_problem;
use bocage_protocol::ids::{NetworkId, SiteId};
use bocage_protocol::limits;
use bocage_protocol::marks::steers;
use bocage_protocol::settings::{Problem, Problems, join, nearest, read};
use serde::Deserialize;
use serde_json::Value;

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
    /// The smallest number of sites that a study may ask for.
    pub min_sites: u32,
    /// Who may ask.
    pub researcher: Researcher,
    /// The name of who issues permits.
    pub access_body: String,
    /// The hospitals, in the order of the file.
    pub sites: Vec<Site>,
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
    access_body: RawAccessBody,
    #[serde(default)]
    site: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(default)]
struct RawCoordinator {
    quic: String,
    tcp: Option<String>,
    api: SocketAddr,
}

impl Default for RawCoordinator {
    fn default() -> Self {
        Self { quic: "127.0.0.1:4433".to_owned(), tcp: None, api: SocketAddr::from(([127, 0, 0, 1], 8443)) }
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

#[derive(Deserialize, Default)]
struct RawAccessBody {
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawSite {
    id: SiteId,
    name: Option<String>,
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
    "site",
    "id",
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
    /// All problems at once. `file` names the text in them.
    pub fn parse(text: &str, file: &str, base: &Path) -> Result<Self, Problems> {
        let value: Value = toml::from_str(text).map_err(|e| toml_problem(text, file, &e))?;
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
        check(&raw, file, &mut problems);
        let RawResearcher { name, organisation, mode, allow_without_permit } = raw.researcher;
        let organisation = organisation.unwrap_or_else(|| raw.network.to_string());
        let access_body = raw.access_body.name.unwrap_or_else(|| format!("Access body of {}", raw.network));
        label(&organisation, file, "researcher.organisation", &mut problems);
        label(&access_body, file, "access_body.name", &mut problems);
        problems.into_result(Self {
            id: raw.network,
            contracts,
            quic: raw.coordinator.quic,
            tcp: raw.coordinator.tcp,
            api: raw.coordinator.api,
            min_sites: raw.publication.min_sites,
            researcher: Researcher { name, organisation, mode, allow_without_permit },
            access_body,
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
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
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
        if site.enrol && !site.dataset.is_empty() {
            let problem = Problem::new(file, join(&key, "dataset"), "a site that enrols says itself what it offers");
            problems.push(problem.hint("its people write it into the node.toml that `bocage-node enrol` makes"));
        }
        sites.push(Site { id: site.id, name, enrol: site.enrol, datasets: site.dataset });
    }
    sites
}

/// The contracts of files and of packs; `packs` is none where that key could not be read.
fn contracts(
    paths: &[PathBuf],
    packs: Option<&[String]>,
    base: &Path,
    file: &str,
    problems: &mut Problems,
) -> Vec<ContractFile> {
    if paths.is_empty() && packs.is_some_and(<[String]>::is_empty) {
        let problem = Problem::new(file, "contracts", "a network needs at least one contract");
        problems.push(problem.hint("contracts = [\"heart.toml\"], relative to this file, or packs = [\"omop-5.4\"]"));
    }
    let mut texts: Vec<(String, String, String)> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let key = format!("contracts[{index}]");
        match read_text(&base.join(path), file, &key, limits::CONTRACT_TEXT_BYTES) {
            Ok(text) => texts.push((key, path.display().to_string(), text)),
            Err(others) => problems.extend(others),
        }
    }
    for (index, name) in packs.unwrap_or_default().iter().enumerate() {
        let key = format!("packs[{index}]");
        match contract::pack(name) {
            Some(pack) => {
                texts.extend(pack.contracts.iter().map(|text| (key.clone(), name.clone(), (*text).to_owned())))
            }
            None => problems.push(unknown_pack(name, file, &key)),
        }
    }
    let mut found: Vec<ContractFile> = Vec::new();
    for (key, name, text) in texts {
        match contract::parse(&text, &name) {
            Ok(contract) if found.iter().any(|f| f.contract.id() == contract.id()) => {
                problems.push(Problem::new(file, key, format!("`{}` is given twice", contract.id())));
            }
            Ok(contract) => found.push(ContractFile { name: format!("{}.toml", contract.id()), text, contract }),
            Err(others) => problems.extend(others),
        }
    }
    found
}

/// That there is no such pack, and which there are.
pub(super) fn unknown_pack(name: &str, file: &str, key: &str) -> Problem {
    let names = || PACKS.iter().map(|pack| pack.name);
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Problem::new(file, key, format!("there is no pack `{name}`")).hint(hint)
}

fn read_text(path: &Path, file: &str, key: &str, limit_bytes: usize) -> Result<String, Problems> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let named = if key.is_empty() { String::new() } else { format!(" {}", path.display()) };
        let problem = Problem::new(file, key, format!("cannot read{named}: {}", unreadable(e.kind())));
        match (key.is_empty(), e.kind()) {
            (false, _) => problem.hint("paths are relative to this file"),
            (true, std::io::ErrorKind::NotFound) => {
                problem.hint("name the file that says what the network is to be; README.md has one")
            }
            (true, _) => problem,
        }
    })?;
    if text.len() > limit_bytes {
        return Err(Problem::new(file, key, format!("larger than {limit_bytes} bytes")).into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        network = "heart-demo"
        contracts = ["heart.toml"]
        [coordinator]
        quic = "127.0.0.1:4433"
        api = "127.0.0.1:8443"
        [publication]
        min_sites = 1
        [researcher]
        name = "A researcher"
        mode = "exact"
        [[site]]
        id = "cleveland"
        name = "Cleveland Clinic Foundation"
        [site.dataset.heart]
        contract = "heart@1"
        [site.dataset.heart.map]
        disease = "num > 0"
    "#;

    fn templates() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
    }

    #[test]
    fn a_network_is_read_with_its_contracts_and_dataset_blocks() {
        let network = Network::parse(GOOD, "network.toml", &templates()).unwrap();
        assert_eq!(network.contracts[0].name, "heart@1.toml");
        assert_eq!(network.sites[0].datasets["heart"]["map"]["disease"].as_str(), Some("num > 0"));
    }

    #[test]
    fn a_pack_s_contracts_come_beside_the_network_s_own() {
        let with = GOOD.replace("[\"heart.toml\"]", "[\"heart.toml\"]\npacks = [\"omop-5.4\"]");
        let network = Network::parse(&with, "network.toml", &templates()).unwrap();
        let names: Vec<&str> = network.contracts.iter().map(|contract| contract.name.as_str()).collect();
        assert_eq!(names[..2], ["heart@1.toml", "omop-person@540.toml"]);
        let alone = GOOD.replace("contracts = [\"heart.toml\"]", "packs = [\"omop-5.3\"]");
        assert_eq!(Network::parse(&alone, "network.toml", &templates()).unwrap().contracts.len(), 15);
        let wrong = GOOD.replace("contracts = [\"heart.toml\"]", "packs = [\"omop-5.5\", \"omop-5.3\", \"omop-5.3\"]");
        let text = Network::parse(&wrong, "network.toml", &templates()).unwrap_err().to_string();
        assert!(text.contains("packs[0]: there is no pack `omop-5.5`\n  hint: did you mean `omop-5."), "{text}");
        assert!(text.contains("packs[2]: `omop-person@530` is given twice"), "{text}");
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let bad = GOOD
            .replace("heart.toml", "hart.toml")
            .replace("min_sites = 1", "min_sites = 4\nmin_site = 2")
            .replace("4433", "0")
            .replace("[site.dataset.heart]", "enrol = true\n[site.dataset.heart]")
            .replace("id = \"cleveland\"", "id = \"Cleveland\"");
        let text = Network::parse(&bad, "network.toml", &templates()).unwrap_err().to_string();
        for wanted in [
            "publication.min_site: unknown key\n  hint: did you mean `min_sites`?",
            "contracts[0]: cannot read",
            "coordinator.quic: not an address",
            "coordinator.tcp: missing, and a site enrols over TCP",
            "publication.min_sites: must be 1 to 1",
            "site[0].id: not a valid site id",
        ] {
            assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
        }
    }
}
