//! The node's configuration, parsed and meaningful: a [`Config`] that exists has no unknown key, no value out of its bounds and no contradiction. Whether the
//! files that it names are there is [`environment`]'s question. It never holds a secret: keys stand in files that it names.
//!
//! ```text
//! flags > BOCAGE_NODE__… > node.toml > defaults ──read──▶ RawConfig ──meaning──▶ Config ──environment──▶ Ready
//! ```

mod contracts;
mod coordinator;
mod elsewhere;
pub mod environment;
mod fhir_server;
pub mod policy;
pub mod quiet;
mod raw;
mod rules;
mod sections;
mod snapshots;
mod steward;
mod trust;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bocage_daemon::log;
use bocage_protocol::contract::Contract;
use bocage_protocol::env::Timestamp;
use bocage_protocol::front::Sort;
use bocage_protocol::ids::{ContractId, NetworkId, SiteId};
use bocage_protocol::settings::Problems;

use crate::custodian::optout::{OptOutScope, OptOutSpec};
use crate::custodian::source::DatasetSpec;

pub use coordinator::{Coordinator, ProxySettings, ToCoordinator, Transport};
pub use environment::Depth;
pub use policy::{Never, Policy};
pub use raw::{ENV_PREFIX, Origin};
pub use snapshots::{Refresh, SnapshotRules};
pub use steward::{Group, Steward};
pub use trust::{AccessBody, Mode, Researcher, Trust};

/// Smallest k that a policy may set. Below 3 two patients who know of each other could find each other's values.
pub const THRESHOLD_MIN: u32 = 3;
/// Largest k.
pub const THRESHOLD_MAX: u32 = 10_000;
/// k where the policy says nothing.
pub const THRESHOLD_DEFAULT: u32 = 11;
/// Seconds that a query may take where the policy says nothing.
pub const QUERY_SECS_DEFAULT: u32 = 60;
/// The longest time that a policy may allow: beyond it no study waits.
pub const QUERY_SECS_MAX: u32 = 3600;
/// Seconds for the round under way when the node stops, where the configuration says nothing: systemd waits 90.
pub const STOP_SECS_DEFAULT: u32 = 30;

/// A node's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `node.toml`, as the person named it.
    pub file: String,
    /// The network that the site belongs to.
    pub network: NetworkId,
    /// The site.
    pub site: SiteId,
    /// Where the node keeps its state.
    pub state: StateDir,
    /// The agent's user, where it is a unit of its own under another user than the custodian's.
    pub agent_user: Option<u32>,
    /// Whether the node stays down where its processes cannot be confined.
    pub require_sandbox: bool,
    /// Whether it must not run either where the kernel knows a part of landlock only.
    pub require_whole_sandbox: bool,
    /// Whom the agent dials.
    pub coordinator: Coordinator,
    /// The agent's certificate.
    pub tls: Tls,
    /// The custodian's signing key.
    pub release_key_file: PathBuf,
    /// The contracts that the site knows.
    pub contracts: BTreeMap<ContractId, Arc<Contract>>,
    /// What the site allows.
    pub policy: Policy,
    /// How long snapshots stay.
    pub snapshots: SnapshotRules,
    /// How long the ledger keeps exact bytes.
    pub ledger: LedgerRules,
    /// Who answers for the site's data.
    pub organisation: Organisation,
    /// Who decides, and who is told.
    pub steward: Steward,
    /// What is logged, how and where.
    pub log: log::Settings,
    /// How long the round under way may take to end when the node is asked to stop.
    pub stop_secs: u32,
    /// Who may ask.
    pub trust: Trust,
    /// What the site offers, by name.
    pub datasets: BTreeMap<String, Dataset>,
    /// Who opted out.
    pub optouts: Option<OptOutSpec>,
    /// The FHIR servers whose exports are fetched, by name.
    pub fhir_servers: BTreeMap<String, bocage_bulk::Server>,
}

/// The places within the state directory; the second is where sockets are, if that is another place ([`StateDir::shares_run`]).
#[derive(Debug, Clone)]
pub struct StateDir(pub PathBuf, pub Option<PathBuf>);

impl StateDir {
    /// The lock that one node holds on its state.
    pub fn lock(&self) -> PathBuf {
        self.0.join("node.lock")
    }

    /// The lock that one custodian holds on data and ledger.
    pub fn custodian_lock(&self) -> PathBuf {
        self.0.join("custodian.lock")
    }

    /// Where sockets are.
    pub fn run(&self) -> PathBuf {
        self.1.clone().unwrap_or_else(|| self.0.join("run"))
    }

    /// Whether the folder of the sockets is one that the machine provides, for users that it chose. Its mode is then not ours.
    pub fn shares_run(&self) -> bool {
        self.1.is_some()
    }

    /// The datasets that an ingest is asked for, where it is a unit of its own: a file each.
    pub fn due(&self) -> PathBuf {
        self.run().join("due")
    }

    /// The studies that the steward is to be told of, where the herald is a unit of its own: a file each.
    pub fn pending(&self) -> PathBuf {
        self.run().join("pending")
    }

    /// The attempt for which a custodian that is a unit of its own ended itself.
    pub fn overran(&self) -> PathBuf {
        self.0.join("overran")
    }

    /// The custodian's socket.
    pub fn socket(&self) -> PathBuf {
        self.run().join("custodian.sock")
    }

    /// Where one of the node's processes shows how it is.
    pub fn status_socket(&self, process: &str) -> PathBuf {
        self.run().join(format!("{process}-status.sock"))
    }

    /// The socket of local commands.
    pub fn admin_socket(&self) -> PathBuf {
        self.run().join("admin.sock")
    }

    /// What a local command must know.
    pub fn admin_token(&self) -> PathBuf {
        self.run().join("admin.token")
    }

    /// Where snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// Where it is kept who was left out of answers.
    pub fn optouts(&self) -> PathBuf {
        self.0.join("optouts")
    }

    /// The key of the tokens by which patients are known again.
    pub fn ids_key(&self) -> PathBuf {
        self.0.join("ids.key")
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.sqlite")
    }
}

/// The agent's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The network's CA.
    pub ca_file: PathBuf,
    /// The site's certificate chain.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// How long the ledger keeps exact bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerRules {
    /// Days for which payloads of studies that have expired stay; 0, the default: for ever. What left is proof and no patient's record, and what is dropped is gone.
    pub keep_payloads_days: u32,
}

impl LedgerRules {
    /// The largest `keep_payloads_days`: a hundred years.
    pub const KEEP_DAYS_MAX: u32 = 36_500;
}

/// Who answers for the site's data: what a record of processing (GDPR, article 30) names. Nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Organisation {
    /// The controller.
    pub name: Option<String>,
    /// How it is reached.
    pub contact: Option<String>,
    /// Its data protection officer.
    pub dpo: Option<String>,
    /// Transfers to third countries, in its own words.
    pub transfers: Option<String>,
}

/// A dataset that the site offers.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name in `node.toml`.
    pub name: String,
    /// Its contract.
    pub contract: Arc<Contract>,
    /// Where its data comes from.
    pub spec: DatasetSpec,
    /// What of it no study gets.
    pub never: Never,
    /// When a running node takes a new snapshot.
    pub refresh: Refresh,
    /// Where it counts who opted out by its source.
    pub optout_scope: OptOutScope,
}

impl Config {
    /// Reads and understands a configuration. Of the files that it names only the contracts are opened.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(origin: &Origin) -> Result<Self, Problems> {
        understood(origin, |_| {})
    }

    /// [`Config::load`], and a look at the files that the configuration names: what `bocage-node check` does.
    ///
    /// # Errors
    /// All problems of both at once.
    pub fn check(origin: &Origin, depth: Depth, now: Timestamp) -> Result<Self, Problems> {
        understood(origin, |draft| environment::look(draft, depth, now))
    }

    /// [`Config::load`], and what can be said of the datasets' rules without their sources.
    ///
    /// # Errors
    /// All problems of both at once.
    pub fn rehearse(origin: &Origin) -> Result<Self, Problems> {
        understood(origin, environment::foresee)
    }

    /// What the agent may know: no path to data, ledger or release key.
    pub fn agent(&self) -> AgentConfig {
        AgentConfig {
            network: self.network.clone(),
            site: self.site.clone(),
            coordinator: self.coordinator.clone(),
            tls: self.tls.clone(),
            socket: self.state.socket(),
        }
    }

    /// What the custodian may know: no network address, no TLS key.
    pub fn custodian(&self) -> CustodianConfig {
        CustodianConfig {
            network: self.network.clone(),
            site: self.site.clone(),
            state: self.state.clone(),
            agent_user: self.agent_user,
            release_key_file: self.release_key_file.clone(),
            policy: self.policy.clone(),
            snapshots: self.snapshots,
            ledger: self.ledger,
            steward: self.steward.clone(),
            trust: self.trust.clone(),
            datasets: self.datasets.clone(),
            optouts: self.optouts.clone(),
        }
    }
}

fn understood(origin: &Origin, look: impl FnOnce(&mut sections::Draft)) -> Result<Config, Problems> {
    let settings = bocage_net::settings::load(&origin.file, ENV_PREFIX, &origin.overrides)?;
    settings.are_of(Sort::Node)?;
    let mut draft = sections::draft(&settings.tree, origin);
    look(&mut draft);
    draft.finish().map_err(|problems| settings.attributed(problems))
}

/// The agent's view of the configuration.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The network.
    pub network: NetworkId,
    /// The site.
    pub site: SiteId,
    /// Whom to dial.
    pub coordinator: Coordinator,
    /// With which certificate.
    pub tls: Tls,
    /// The custodian's socket.
    pub socket: PathBuf,
}

/// The custodian's view of the configuration.
#[derive(Debug, Clone)]
pub struct CustodianConfig {
    /// The network.
    pub network: NetworkId,
    /// The site.
    pub site: SiteId,
    /// Where socket, snapshots and ledger are.
    pub state: StateDir,
    /// Who may ask, beside the custodian's own user.
    pub agent_user: Option<u32>,
    /// The signing key.
    pub release_key_file: PathBuf,
    /// What the site allows.
    pub policy: Policy,
    /// When snapshots are taken and how long they stay.
    pub snapshots: SnapshotRules,
    /// How long the ledger keeps exact bytes.
    pub ledger: LedgerRules,
    /// Who decides, and who is told.
    pub steward: Steward,
    /// Who may ask.
    pub trust: Trust,
    /// What the site offers, by name.
    pub datasets: BTreeMap<String, Dataset>,
    /// Who opted out.
    pub optouts: Option<OptOutSpec>,
}

impl CustodianConfig {
    /// The dataset that follows this contract. (The configuration is refused if two do.)
    pub fn dataset(&self, contract: &ContractId) -> Option<&Dataset> {
        self.datasets.values().find(|d| d.contract.id() == contract)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, Site};

    fn problems(site: &Site) -> String {
        Config::check(&site.origin(), Depth::Everything, NOW).unwrap_err().to_string()
    }

    #[test]
    fn a_sound_configuration_passes_every_check_and_paths_are_relative_to_its_file() {
        let site = Site::new();
        let config = Config::check(&site.origin(), Depth::Everything, NOW).unwrap();
        assert_eq!(config.state.socket(), site.path("state/run/custodian.sock"));
        assert_eq!((config.policy.threshold, config.policy.query_secs), (11, 60));
        assert_eq!(
            (config.trust.researchers[0].mode, config.trust.researchers[0].datasets.as_deref()),
            (Some(Mode::Exact), None)
        );
        assert_eq!(config.coordinator.name, "coordinator.bocage");
    }

    #[test]
    fn the_settings_of_a_dataset_have_one_digest_however_the_file_is_spelt() {
        let site = Site::new();
        let digest = |file: std::path::PathBuf| {
            let origin = Origin { file, overrides: Vec::new() };
            Config::load(&origin).unwrap().datasets["heart"].spec.digest()
        };
        std::os::unix::fs::symlink(".", site.path("here")).unwrap();
        let wanted = digest(site.path("node.toml"));
        assert_eq!(digest(site.path("./node.toml")), wanted);
        assert_eq!(digest(site.path("here/node.toml")), wanted);
    }

    #[test]
    fn all_problems_of_all_levels_are_reported_at_once_with_their_places() {
        let site = Site::new();
        site.write_config("[log]\nlevl = \"info\"\n[[trust]]\nkind = \"researcher\"\nname = \"B\"\nallow_without_permit = true\nkey = \"none\"");
        site.edit_config("threshold = 11", "threshold = 2\nquery_secs = 0");
        site.edit_config("127.0.0.1:4433", "127.0.0.1");
        site.edit_config("heart@1", "hart@1");
        site.edit_config("ca_file = \"ca.pem\"", "ca_file = \"absent.pem\"");
        std::fs::write(site.path("release.key"), "nonsense").unwrap();
        let text = problems(&site);
        for place in [
            "log.levl: unknown key",
            "trust[1].key: not a public key",
            "policy.threshold: must be from 3",
            "policy.query_secs: must be from 1",
            "coordinator.address: not HOST:PORT",
            "dataset.heart.contract: no contract hart@1 is known",
            "tls.ca_file: cannot read",
            "release.key_file: ",
        ] {
            assert!(text.contains(place), "{place} in\n{text}");
        }
        assert!(text.contains("did you mean `level`?") && text.contains("did you mean heart@1?"), "{text}");
    }

    #[test]
    fn what_is_missing_or_unknown_at_the_top_is_named() {
        let site = Site::new();
        site.edit_config("site = \"cleveland\"", "sight = \"cleveland\"");
        site.edit_config("[coordinator]\naddress", "[coordinatr]\naddress");
        let text = problems(&site);
        for place in
            ["line 2, sight: unknown key", "site: missing", "line 3, coordinatr: unknown key\n  hint: did you mean"]
        {
            assert!(text.contains(place), "{place} in\n{text}");
        }
    }

    #[test]
    fn a_certificate_of_another_site_or_time_and_an_open_key_are_found() {
        let site = Site::new();
        site.certify("hungary", NOW.plus_secs(-90 * 86_400));
        let text = problems(&site);
        assert!(text.contains("the certificate is for site hungary"), "{text}");
        assert!(text.contains("the certificate expired at"), "{text}");
        site.certify("cleveland", NOW.plus_secs(-90 * 86_400));
        assert!(Config::check(&site.origin(), Depth::ToStart, NOW).is_ok(), "its ledger can still be served");
        site.certify("cleveland", NOW.plus_secs(86_400));
        assert!(problems(&site).contains("the certificate is valid from"));
        site.certify("cleveland", NOW);
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
        std::fs::set_permissions(site.path("release.key"), mode).unwrap();
        assert!(problems(&site).contains("release.key_file: "));
    }

    #[test]
    fn a_mapping_that_does_not_fit_the_source_is_found() {
        let site = Site::new();
        site.write_config("map = { chol = \"nullif(cholesterol, 0)\" }");
        let text = problems(&site);
        assert!(text.contains("chol"), "{text}");
    }

    #[test]
    fn the_same_key_or_contract_twice_is_refused() {
        let site = Site::new();
        let key = site.researcher.public();
        site.write_config(&format!(
            "[[trust]]\nkind = \"researcher\"\nname = \"B\"\nallow_without_permit = true\nkey = \"{key}\"\n\
             [dataset.other]\ncontract = \"heart@1\"\nsource = {{ kind = \"csv\", path = \"heart.csv\" }}"
        ));
        let text = problems(&site);
        assert!(text.contains("trust[1].key: the same key"), "{text}");
        assert!(text.contains("another dataset follows heart@1 already"), "{text}");
    }

    /// Runs itself again with the variable set: a process must not change its own environment while other tests run.
    #[test]
    fn the_environment_wins_over_the_file_and_a_flag_over_both() {
        const VARIABLE: &str = "BOCAGE_NODE__POLICY__THRESHOLD";
        if std::env::var_os(VARIABLE).is_none() {
            let name = "config::tests::the_environment_wins_over_the_file_and_a_flag_over_both";
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", name]).env(VARIABLE, "25").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            return;
        }
        let site = Site::new();
        let mut origin = site.origin();
        assert_eq!(Config::load(&origin).unwrap().policy.threshold, 25);
        origin.overrides.push(("policy.threshold".to_owned(), "40".to_owned()));
        assert_eq!(Config::load(&origin).unwrap().policy.threshold, 40);
    }
}
