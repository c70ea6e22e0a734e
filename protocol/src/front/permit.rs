//! A permit as text (TOML): what an access body writes down before it signs, made a typed [`Permit`].

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

use super::{Sort, dates, toml_problem, with_lines};
use crate::contract::Contract;
use crate::env::Timestamp;
use crate::ids::{ColumnName, ContractId, SiteId};
use crate::limits;
use crate::marks::steers;
use crate::settings::{Problem, Problems, join, nearest, read};
use crate::trust::{Holder, PERMIT_FORMAT, Permit, PermitMode, PublicKey, Purpose, Scope, canonical};

const KEYS: &[&str] = &[
    "id",
    "title",
    "network",
    "purposes",
    "sites",
    "min_sites",
    "threshold",
    "mode",
    "max_cells",
    "valid_from",
    "valid_to",
    "holder",
    "name",
    "organisation",
    "key",
    "dataset",
    "columns",
];

/// A day's last second, from its first.
const END_OF_DAY_SECS: i64 = 86_399;

/// The top of the text. Names are read as texts, so that all that are wrong are told.
#[derive(Deserialize)]
struct RawPermit {
    id: String,
    title: String,
    network: String,
    purposes: Vec<String>,
    sites: Option<Vec<String>>,
    min_sites: u32,
    threshold: u32,
    mode: String,
    max_cells: u64,
    valid_from: Value,
    valid_to: Value,
    #[serde(default = "nothing")]
    holder: Value,
    #[serde(default)]
    dataset: Vec<Value>,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

#[derive(Deserialize)]
struct RawHolder {
    name: String,
    organisation: String,
    key: String,
}

#[derive(Deserialize)]
struct RawDataset {
    id: String,
    columns: Option<Vec<String>>,
}

/// What a text needs to become a permit.
pub struct PermitContext<'a> {
    /// Who will sign it.
    pub issuer: PublicKey,
    /// The contracts that its datasets and columns are looked up in; none to leave that out.
    pub contracts: Option<&'a [Contract]>,
    /// Fresh random bytes.
    pub nonce: [u8; 16],
}

/// Reads a permit's text.
///
/// # Errors
/// All problems at once, each with its line. `file` names the text in them.
pub fn permit(text: &str, file: &str, context: &PermitContext<'_>) -> Result<Permit, Problems> {
    read_permit(text, file, context).map_err(|problems| with_lines(text, file, problems))
}

fn read_permit(text: &str, file: &str, context: &PermitContext<'_>) -> Result<Permit, Problems> {
    if text.len() > limits::CONFIG_TEXT_BYTES {
        return Err(Problem::new(file, "", format!("larger than {} bytes", limits::CONFIG_TEXT_BYTES)).into());
    }
    let value = toml::from_str::<Value>(text).map_err(|e| toml_problem(text, file, &e))?;
    if let Some(problem) = Sort::Permit.taken_for(&value, file) {
        return Err(problem.into());
    }
    let mut reader = Reader { file, contracts: context.contracts, problems: Problems::default() };
    let Some(raw) = read::<RawPermit>(&value, file, "", KEYS, &mut reader.problems) else {
        // The sections stand for themselves: what is wrong with them is said too.
        value.get("holder").and_then(|holder| reader.holder(holder));
        reader.datasets(value.get("dataset").and_then(Value::as_array).map_or(&[], Vec::as_slice));
        return Err(reader.problems);
    };
    let permit = reader.permit(&raw, context);
    let mut problems = reader.problems;
    let Some(permit) = permit.filter(|_| problems.is_empty()) else { return Err(problems) };
    if canonical(&permit).is_ok_and(|bytes| bytes.len() > limits::PERMIT_BYTES) {
        let problem = Problem::new(file, "", format!("the permit is larger than {} bytes", limits::PERMIT_BYTES));
        problems
            .push(problem.hint("leave `columns` out where all of a dataset's are meant, and `sites` where all are"));
    }
    problems.into_result(permit)
}

struct Reader<'a> {
    file: &'a str,
    contracts: Option<&'a [Contract]>,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn problem(&mut self, key: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(self.file, key, message).hint(hint));
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, text: &str, key: &str) -> Option<T> {
        text.parse().map_err(|e: T::Err| self.problems.push(Problem::new(self.file, key, e.to_string()))).ok()
    }

    fn permit(&mut self, raw: &RawPermit, context: &PermitContext<'_>) -> Option<Permit> {
        let (id, network) = (self.parsed(&raw.id, "id"), self.parsed(&raw.network, "network"));
        self.line("title", &raw.title);
        let holder = self.holder(&raw.holder);
        let purposes = self.purposes(&raw.purposes);
        let datasets = self.datasets(&raw.dataset);
        let sites = raw.sites.as_ref().map(|sites| self.sites(sites));
        self.numbers(raw, sites.as_ref().map(Vec::len));
        let mode = self.mode(&raw.mode);
        let from = self.time("valid_from", &raw.valid_from, 0);
        let to = self.time("valid_to", &raw.valid_to, END_OF_DAY_SECS);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            self.problem("valid_to", "the permit ends before it begins", "a day counts from 00:00 to 24:00 UTC");
        }
        Some(Permit {
            format: PERMIT_FORMAT,
            network: network?,
            id: id?,
            title: raw.title.clone(),
            issuer: context.issuer,
            holder: holder?,
            purposes,
            datasets,
            sites,
            min_sites: raw.min_sites,
            threshold: raw.threshold,
            mode: mode?,
            max_cells: raw.max_cells,
            valid_from: from?,
            valid_to: to?,
            nonce: hex::encode(context.nonce),
        })
    }

    fn line(&mut self, key: &str, text: &str) {
        if text.trim().is_empty() || text.len() > limits::LABEL_BYTES || text.contains(steers) {
            let rule = format!("one line of 1 to {} bytes, without control characters", limits::LABEL_BYTES);
            self.problem(key, "not a line of text", rule);
        }
    }

    fn holder(&mut self, value: &Value) -> Option<Holder> {
        let raw = read::<RawHolder>(value, self.file, "holder", KEYS, &mut self.problems)?;
        self.line("holder.name", &raw.name);
        self.line("holder.organisation", &raw.organisation);
        let key = raw.key.parse().map_err(|e: crate::trust::KeyProblem| {
            self.problem("holder.key", e.to_string(), "`bocage keys show` prints a holder's public key");
        });
        Some(Holder { name: raw.name, organisation: raw.organisation, key: key.ok()? })
    }

    fn purposes(&mut self, texts: &[String]) -> Vec<Purpose> {
        let names = Purpose::ALL.map(|(name, _)| name).join(", ");
        let mut purposes: Vec<Purpose> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let key = format!("purposes[{i}]");
            match Purpose::ALL.iter().find(|(name, _)| name == text).map(|(_, purpose)| *purpose) {
                None => self.problem(key, format!("unknown purpose `{text}`"), format!("one of {names}")),
                Some(purpose) if purposes.contains(&purpose) => self.problem(key, "named twice", "once is enough"),
                Some(purpose) => purposes.push(purpose),
            }
        }
        if texts.is_empty() {
            self.problem("purposes", "a permit is for at least one purpose", format!("any of {names}"));
        }
        purposes.sort_by_key(|purpose| purpose.as_str());
        purposes
    }

    fn sites(&mut self, texts: &[String]) -> Vec<SiteId> {
        let mut sites: Vec<SiteId> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let Some(site) = self.parsed(text, &format!("sites[{i}]")) else { continue };
            if sites.contains(&site) {
                self.problem(format!("sites[{i}]"), "named twice", "once is enough");
            }
            sites.push(site);
        }
        if texts.is_empty() || texts.len() > limits::SITES {
            let rule = format!("a permit names 1 to {} sites, or has no `sites` at all", limits::SITES);
            self.problem("sites", rule, "without `sites` it covers every site of the network");
        }
        sites.sort();
        sites
    }

    fn numbers(&mut self, raw: &RawPermit, sites: Option<usize>) {
        // That there are none is said already.
        let sites = sites.filter(|sites| *sites > 0);
        if raw.min_sites == 0 || sites.is_some_and(|sites| raw.min_sites as usize > sites) {
            let hint = "so many sites at least stand behind a published cell; 3 is usual";
            let most = sites.map_or_else(String::new, |sites| format!(" and at most {sites}, the number of sites"));
            self.problem("min_sites", format!("must be at least 1{most}"), hint);
        }
        if raw.threshold == 0 {
            self.problem("threshold", "must be at least 1", "no count below it leaves a site; 11 is usual");
        }
        if !(1..=limits::EXACT_INT as u64).contains(&raw.max_cells) {
            let hint = "how many cells may leave each site over the permit's whole life";
            self.problem("max_cells", format!("must be 1 to {}", limits::EXACT_INT), hint);
        }
    }

    fn mode(&mut self, text: &str) -> Option<PermitMode> {
        let found = PermitMode::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode);
        if found.is_none() {
            self.problem("mode", format!("unknown mode `{text}`"), "mode = \"exact\" or mode = \"round\"");
        }
        found
    }

    /// A day or a moment. TOML has dates of its own; quoted or not, both are read.
    fn time(&mut self, key: &str, value: &Value, of_day_secs: i64) -> Option<Timestamp> {
        let text = match value {
            Value::String(text) => Some(text.as_str()),
            Value::Object(map) if map.len() == 1 => map.values().next().and_then(Value::as_str),
            _ => None,
        };
        let day =
            |text| dates::parse_date(text).map(|day| Timestamp(i64::from(day) * 86_400_000).plus_secs(of_day_secs));
        let time = text.and_then(|text| day(text).or_else(|| dates::parse_datetime(text).map(Timestamp)));
        if time.is_none() {
            self.problem(key, "not a date", "write 2026-12-31, or 2026-12-31T12:00:00Z");
        }
        time
    }

    fn datasets(&mut self, values: &[Value]) -> Vec<Scope> {
        let mut scopes: Vec<Scope> = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let key = format!("dataset[{i}]");
            let Some(scope) = self.dataset(value, &key) else { continue };
            if scopes.iter().any(|other| other.dataset == scope.dataset) {
                self.problem(join(&key, "id"), format!("`{}` is named twice", scope.dataset), "join the two");
            }
            scopes.push(scope);
        }
        if values.is_empty() || values.len() > limits::DATASETS {
            let rule = format!("a permit is about 1 to {} datasets", limits::DATASETS);
            self.problem("dataset", rule, "add a [[dataset]] with id = \"NAME@VERSION\"");
        }
        scopes.sort_by(|a, b| a.dataset.cmp(&b.dataset));
        scopes
    }

    fn dataset(&mut self, value: &Value, key: &str) -> Option<Scope> {
        let raw = read::<RawDataset>(value, self.file, key, KEYS, &mut self.problems)?;
        let dataset: Option<ContractId> = self.parsed(&raw.id, &join(key, "id"));
        let contract = dataset.as_ref().and_then(|id| self.contract(id, &join(key, "id")));
        let columns = raw.columns.map(|texts| self.columns(&texts, contract, key));
        Some(Scope { dataset: dataset?, columns })
    }

    /// The contract of a dataset. That there is none is a problem only where contracts were given.
    fn contract(&mut self, id: &ContractId, key: &str) -> Option<&'a Contract> {
        let contracts = self.contracts?;
        let found = contracts.iter().find(|contract| contract.id() == id);
        if found.is_none() {
            let known: Vec<String> = contracts.iter().map(|contract| contract.id().to_string()).collect();
            let near = nearest(&id.to_string(), known.iter().map(String::as_str));
            let hint =
                near.map_or_else(|| format!("there are {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
            self.problem(key, format!("there is no contract `{id}`"), hint);
        }
        found
    }

    fn columns(&mut self, texts: &[String], contract: Option<&Contract>, key: &str) -> Vec<ColumnName> {
        let mut columns: Vec<ColumnName> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let key = format!("{key}.columns[{i}]");
            let Some(column) = self.parsed::<ColumnName>(text, &key) else { continue };
            if columns.contains(&column) {
                self.problem(&*key, "named twice", "once is enough");
            }
            if let Some(contract) = contract {
                self.column(contract, &column, &key);
            }
            columns.push(column);
        }
        if texts.is_empty() || texts.len() > limits::COLUMNS {
            let rule = format!("1 to {} columns, or no `columns` at all", limits::COLUMNS);
            self.problem(join(key, "columns"), rule, "without `columns` the permit covers all of the dataset's");
        }
        columns.sort();
        columns
    }

    fn column(&mut self, contract: &Contract, column: &ColumnName, key: &str) {
        if contract.is_subject(column.as_str()) {
            self.problem(key, format!("`{column}` names the patient, and no study can read it"), "leave it out");
        } else if contract.names_a_row(column.as_str()) {
            self.problem(key, format!("`{column}` names a row, and no study can read it"), "leave it out");
        } else if contract.column(column.as_str()).is_none() {
            let near = nearest(column.as_str(), contract.columns().iter().map(|c| c.name.as_str()));
            let hint = near.map_or_else(
                || "`bocage datasets` and the contract's file list the columns".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.problem(key, format!("{} has no column `{column}`", contract.id()), hint);
        }
    }
}
