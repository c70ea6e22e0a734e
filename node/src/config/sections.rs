//! From raw sections to meaning. Every section that can be understood is, whatever is wrong with the others: a person learns of all
//! problems at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bocage_daemon::log;
use bocage_protocol::contract::{Contract, Subject};
use bocage_protocol::ids::{ContractId, NetworkId, SiteId};
use bocage_protocol::limits;
use bocage_protocol::marks::steers;
use bocage_protocol::settings::{Problem, Problems, log_filter_problem, nearest};
use bocage_protocol::trust::PublicKey;
use serde_json::Value;

use super::raw::{
    self, Origin, RawContracts, RawLedger, RawLog, RawOrganisation, RawRelease, RawSnapshots, RawTls, RawTop, RawTrust,
    section,
};
use super::{
    AccessBody, Config, Coordinator, Dataset, LedgerRules, Organisation, Policy, QUERY_SECS_MAX, Refresh, Researcher,
    STOP_SECS_DEFAULT, SnapshotRules, StateDir, Steward, Tls, Trust, contracts, elsewhere,
};
use crate::custodian::optout::OptOutSpec;
use crate::custodian::source::DatasetSpec;

const LEVEL_DEFAULT: &str = "info";

/// What a `[[trust]]` entry is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TrustKind {
    Researcher,
    AccessBody,
}

/// What could be understood. [`Draft::finish`] makes a [`Config`] of it if that is everything.
pub(super) struct Draft {
    pub(super) file: String,
    network: Option<NetworkId>,
    pub(super) site: Option<SiteId>,
    pub(super) state: Option<StateDir>,
    agent_user: Option<u32>,
    require_sandbox: bool,
    require_whole_sandbox: bool,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) tls: Option<Tls>,
    pub(super) release_key_file: Option<PathBuf>,
    contracts: BTreeMap<ContractId, Arc<Contract>>,
    policy: Option<Policy>,
    snapshots: Option<SnapshotRules>,
    ledger: Option<LedgerRules>,
    organisation: Option<Organisation>,
    pub(super) steward: Option<Steward>,
    log: Option<log::Settings>,
    stop_secs: u32,
    trust: Trust,
    pub(super) datasets: BTreeMap<String, Dataset>,
    pub(super) optouts: Option<OptOutSpec>,
    pub(super) fhir_servers: BTreeMap<String, bocage_bulk::Server>,
    pub(super) problems: Problems,
}

/// Understands all sections of `value`, which comes from `origin`.
pub(super) fn draft(value: &Value, origin: &Origin) -> Draft {
    let (file, base, data_base) = (origin.name(), origin.base(), origin.data_base());
    let file = file.as_str();
    let mut reader = Reader { file, base, data_base: &data_base, known: Vec::new(), problems: Problems::default() };
    let top: RawTop = raw::top(value, file, &mut reader.problems);
    let contracts = reader.contracts(&top.contracts);
    reader.known = contracts.keys().map(ToString::to_string).collect();
    let trust = reader.trust(&top.trust);
    let snapshots = reader.snapshots(&top.snapshots);
    let epoch_days = snapshots.and_then(|rules| rules.epoch_days);
    let mut draft = Draft {
        file: file.to_owned(),
        network: reader.named(top.network.as_deref(), "network"),
        site: reader.named(top.site.as_deref(), "site"),
        state: Some(StateDir(
            base.join(top.state_dir.as_deref().unwrap_or(Path::new("state"))),
            top.run_dir.as_ref().map(|dir| base.join(dir)),
        )),
        agent_user: top.agent_user.as_ref().and_then(|user| reader.user(user, "agent_user")),
        require_sandbox: top.require_sandbox.unwrap_or(true),
        require_whole_sandbox: top.require_whole_sandbox.unwrap_or(false),
        coordinator: reader.coordinator(&top.coordinator),
        tls: reader.tls(&top.tls),
        release_key_file: reader.section::<RawRelease>(&top.release, "release").map(|r| base.join(r.key_file)),
        policy: reader.policy(&top.policy, &trust),
        snapshots,
        ledger: reader.ledger(&top.ledger),
        organisation: reader.organisation(&top.organisation),
        steward: reader.steward(&top.steward),
        log: reader.log(&top.log),
        stop_secs: reader.stop_secs(top.stop_secs),
        trust,
        datasets: reader.datasets(&top.dataset, &contracts, epoch_days),
        optouts: OptOutSpec::read(&top.optouts, file, &data_base, &mut reader.problems),
        fhir_servers: reader.fhir_servers(&top.fhir_server),
        contracts,
        problems: Problems::default(),
    };
    if draft.optouts.is_some() {
        draft.datasets.values().for_each(|dataset| reader.nameless(dataset));
    }
    draft.problems = reader.problems;
    draft.problems.extend(elsewhere::problems(&draft.datasets, file));
    draft
}

impl Draft {
    /// The configuration, if nothing is wrong.
    pub(super) fn finish(self) -> Result<Config, Problems> {
        let whole = || {
            Some(Config {
                file: self.file,
                network: self.network?,
                site: self.site?,
                state: self.state?,
                agent_user: self.agent_user,
                require_sandbox: self.require_sandbox,
                require_whole_sandbox: self.require_whole_sandbox,
                coordinator: self.coordinator?,
                tls: self.tls?,
                release_key_file: self.release_key_file?,
                contracts: self.contracts,
                policy: self.policy?,
                snapshots: self.snapshots?,
                ledger: self.ledger?,
                organisation: self.organisation?,
                steward: self.steward?,
                log: self.log?,
                stop_secs: self.stop_secs,
                trust: self.trust,
                datasets: self.datasets,
                optouts: self.optouts,
                fhir_servers: self.fhir_servers,
            })
        };
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        // Whatever is missing was reported when it was read.
        whole().ok_or_else(|| Problem::new("node.toml", "", "the configuration is incomplete").into())
    }
}

pub(super) struct Reader<'a> {
    file: &'a str,
    pub(super) base: &'a Path,
    data_base: &'a Path,
    /// The contracts that the site knows.
    known: Vec<String>,
    problems: Problems,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, key: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(self.file, key, message).hint(hint));
    }

    pub(super) fn section<T: serde::de::DeserializeOwned>(&mut self, value: &Value, key: &str) -> Option<T> {
        section(value, self.file, key, &mut self.problems)
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, text: &str, key: &str) -> Option<T> {
        text.parse().map_err(|e: T::Err| self.problems.push(Problem::new(self.file, key, e.to_string()))).ok()
    }

    /// A contract's id, which the site must know. (Without any contract it offers nothing, whatever is written of it.)
    pub(super) fn contract_id(&mut self, text: &str, key: &str) -> Option<ContractId> {
        let id: ContractId = self.parsed(text, key)?;
        if !self.known.is_empty() && !self.known.contains(&id.to_string()) {
            self.unknown_contract(&id, key);
        }
        Some(id)
    }

    fn unknown_contract(&mut self, wanted: &ContractId, key: &str) {
        let wanted = wanted.to_string();
        let hint = match nearest(&wanted, self.known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if self.known.is_empty() => {
                "put the network's contract files into the folder of [contracts] dir".to_owned()
            }
            None => format!("the site knows {}", self.known.join(", ")),
        };
        self.problem(key, format!("no contract {wanted} is known"), hint);
    }

    fn named<T: FromStr<Err: Display>>(&mut self, text: Option<&str>, key: &str) -> Option<T> {
        match text {
            Some(text) => self.parsed(text, key),
            None => {
                self.problem(key, "missing", format!("add a line {key} = \"…\" above the first section"));
                None
            }
        }
    }

    fn contracts(&mut self, value: &Value) -> BTreeMap<ContractId, Arc<Contract>> {
        let raw: Option<RawContracts> = self.section(value, "contracts");
        let Some(raw) = raw else { return BTreeMap::new() };
        let dir = self.base.join(raw.dir.as_deref().unwrap_or(Path::new("contracts")));
        contracts::read_dir(&dir, self.file, &mut self.problems)
    }

    fn tls(&mut self, value: &Value) -> Option<Tls> {
        let raw: RawTls = self.section(value, "tls")?;
        let base = self.base;
        Some(Tls {
            ca_file: base.join(raw.ca_file),
            cert_file: base.join(raw.cert_file),
            key_file: base.join(raw.key_file),
        })
    }

    fn snapshots(&mut self, value: &Value) -> Option<SnapshotRules> {
        let raw: RawSnapshots = self.section(value, "snapshots")?;
        let usual = SnapshotRules::default();
        let rules = SnapshotRules {
            keep: raw.keep.unwrap_or(usual.keep),
            min_free_mib: raw.min_free_mib.unwrap_or(usual.min_free_mib),
            epoch_days: raw.epoch_days,
        };
        if !(1..=SnapshotRules::KEEP_MAX).contains(&rules.keep) {
            let message = format!("must be from 1 to {}", SnapshotRules::KEEP_MAX);
            self.problem("snapshots.keep", message, "so many stay beside the one in use; 2 is usual");
        }
        if rules.epoch_days.is_some_and(|days| days > SnapshotRules::EPOCH_DAYS_MAX) {
            let message = format!("must be from 0 to {}", SnapshotRules::EPOCH_DAYS_MAX);
            self.problem(
                "snapshots.epoch_days",
                message,
                "the days after which a new one is taken; 0 means by hand only",
            );
        }
        Some(rules)
    }

    fn ledger(&mut self, value: &Value) -> Option<LedgerRules> {
        let raw: RawLedger = self.section(value, "ledger")?;
        let keep_payloads_days = raw.keep_payloads_days.unwrap_or_default();
        if keep_payloads_days > LedgerRules::KEEP_DAYS_MAX {
            let message = format!("must be from 0 to {}", LedgerRules::KEEP_DAYS_MAX);
            self.problem(
                "ledger.keep_payloads_days",
                message,
                "the days for which the exact bytes of what was asked and released stay; 0 means for ever",
            );
        }
        Some(LedgerRules { keep_payloads_days })
    }

    fn organisation(&mut self, value: &Value) -> Option<Organisation> {
        let raw: RawOrganisation = self.section(value, "organisation")?;
        let mut line = |text: Option<String>, key: &str| {
            let fits = |text: &String| !text.is_empty() && text.len() <= limits::LABEL_BYTES && !text.contains(steers);
            if text.as_ref().is_some_and(|text| !fits(text)) {
                self.problem(
                    format!("organisation.{key}"),
                    "empty, too long or not one line",
                    "it stands in the record of processing",
                );
            }
            text
        };
        Some(Organisation {
            name: line(raw.name, "name"),
            contact: line(raw.contact, "contact"),
            dpo: line(raw.dpo, "dpo"),
            transfers: line(raw.transfers, "transfers"),
        })
    }

    fn stop_secs(&mut self, secs: Option<u32>) -> u32 {
        let secs = secs.unwrap_or(STOP_SECS_DEFAULT);
        if secs > QUERY_SECS_MAX {
            let message = format!("must be from 0 to {QUERY_SECS_MAX}");
            self.problem("stop_secs", message, "the seconds that the round under way gets; 30 is usual");
        }
        secs
    }

    fn log(&mut self, value: &Value) -> Option<log::Settings> {
        let raw: RawLog = self.section(value, "log")?;
        let level = raw.level.unwrap_or_else(|| LEVEL_DEFAULT.to_owned());
        self.problems.0.extend(log_filter_problem(&level, self.file));
        Some(log::Settings { level, form: raw.format, target: raw.target })
    }

    fn trust(&mut self, values: &[Value]) -> Trust {
        let mut trust = Trust::default();
        let mut keys: Vec<PublicKey> = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let at = format!("trust[{i}]");
            let Some((kind, trusted, revocations_days)) = self.trusted(value, &at) else { continue };
            if keys.contains(&trusted.key) {
                let message = "the same key stands in an earlier [[trust]]";
                self.problem(format!("{at}.key"), message, "keep one of the two");
            }
            keys.push(trusted.key);
            match kind {
                TrustKind::Researcher => trust.researchers.push(trusted),
                TrustKind::AccessBody => {
                    let Researcher { name, key, mode, datasets } = trusted;
                    trust.access_bodies.push(AccessBody { name, key, mode, datasets, revocations_days });
                }
            }
        }
        trust
    }

    fn trusted(&mut self, value: &Value, key: &str) -> Option<(TrustKind, Researcher, u32)> {
        let raw: RawTrust = self.section(value, key)?;
        let kind = match raw.kind.as_str() {
            "access_body" => Some(TrustKind::AccessBody),
            "researcher" => Some(TrustKind::Researcher),
            _ => {
                let hint = "kind = \"access_body\" or kind = \"researcher\"";
                self.problem(format!("{key}.kind"), "unknown kind of trust", hint);
                None
            }
        };
        if kind == Some(TrustKind::Researcher) && !raw.allow_without_permit {
            self.problem(
                format!("{key}.allow_without_permit"),
                "a researcher who is trusted by name asks without a permit, and the site has not said that this is allowed",
                "trust the access body that issues permits (kind = \"access_body\"), or set allow_without_permit = true",
            );
        }
        if kind == Some(TrustKind::AccessBody) && raw.allow_without_permit {
            let hint = "it belongs to kind = \"researcher\"";
            self.problem(format!("{key}.allow_without_permit"), "an access body issues permits", hint);
        }
        let days = raw.revocations_days.unwrap_or(AccessBody::REVOCATIONS_DAYS_DEFAULT);
        if kind == Some(TrustKind::Researcher) && raw.revocations_days.is_some() {
            let hint = "it belongs to kind = \"access_body\"";
            self.problem(format!("{key}.revocations_days"), "a researcher without a permit has none to revoke", hint);
        } else if !(1..=AccessBody::REVOCATIONS_DAYS_MAX).contains(&days) {
            let message = format!("must be from 1 to {}", AccessBody::REVOCATIONS_DAYS_MAX);
            let hint = "new studies stop when the newest list of revoked permits is older; 30 is usual";
            self.problem(format!("{key}.revocations_days"), message, hint);
        }
        if raw.name.is_empty() || raw.name.len() > limits::LABEL_BYTES {
            self.problem(format!("{key}.name"), "empty or too long", "it is the name in the ledger");
        }
        let mode = match raw.mode.as_deref() {
            None => None,
            Some(text) => self.mode(text, &format!("{key}.mode")),
        };
        let datasets = raw.datasets.map(|texts| {
            let parse = |(i, text): (usize, &String)| self.contract_id(text, &format!("{key}.datasets[{i}]"));
            texts.iter().enumerate().filter_map(parse).collect()
        });
        let public: Option<PublicKey> = self.parsed(&raw.key, &format!("{key}.key"));
        Some((kind?, Researcher { name: raw.name, key: public?, mode, datasets }, days))
    }

    fn datasets(
        &mut self,
        values: &serde_json::Map<String, Value>,
        contracts: &BTreeMap<ContractId, Arc<Contract>>,
        epoch_days: Option<u32>,
    ) -> BTreeMap<String, Dataset> {
        if values.len() > limits::DATASETS {
            self.problem("dataset", format!("more than {} datasets", limits::DATASETS), "offer fewer from one node");
            return BTreeMap::new();
        }
        let mut datasets: BTreeMap<String, Dataset> = BTreeMap::new();
        for (name, value) in values {
            let key = format!("dataset.{name}");
            let Some(dataset) = self.dataset(name, &key, value, contracts, epoch_days) else { continue };
            if datasets.values().any(|other| other.contract.id() == dataset.contract.id()) {
                let message = format!("another dataset follows {} already", dataset.contract.id());
                self.problem(format!("{key}.contract"), message, "a node offers one dataset under a contract");
            }
            datasets.insert(name.clone(), dataset);
        }
        datasets
    }

    /// A list names patients; where a contract does not, the site has to say by itself who opted out.
    fn nameless(&mut self, dataset: &Dataset) {
        if matches!(dataset.contract.subject(), Subject::Row) && dataset.spec.optout.is_none() {
            let message =
                format!("{} names no patient, so the list of [optouts] cannot be matched", dataset.contract.id());
            let hint =
                "say by an expression which rows are of patients who opted out; optout = \"false\" says that none is";
            self.problem(format!("dataset.{}.optout", dataset.name), message, hint);
        }
    }

    fn dataset(
        &mut self,
        name: &str,
        key: &str,
        value: &Value,
        contracts: &BTreeMap<ContractId, Arc<Contract>>,
        epoch_days: Option<u32>,
    ) -> Option<Dataset> {
        let mut value = value.clone();
        let id = value.get("contract").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let contract = id.and_then(|id| contracts.get(&id)).map(AsRef::as_ref);
        let never = self.never(&mut value, key, contract);
        let own_secs = self.refresh(&mut value, key);
        let optout_scope = self.optout_scope(&mut value, key, contract);
        let spec = DatasetSpec::read(name, &value, self.file, self.data_base, &mut self.problems)?;
        let Some(contract) = contracts.get(&spec.contract) else {
            self.unknown_contract(&spec.contract, &format!("{key}.contract"));
            return None;
        };
        let refresh = Refresh::of(own_secs, epoch_days, spec.flags().is_some());
        Some(Dataset { name: name.to_owned(), contract: Arc::clone(contract), spec, never, refresh, optout_scope })
    }
}
