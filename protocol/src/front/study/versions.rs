//! Datasets that a text names without their versions: they are looked at under the version that was meant, so that all else that is wrong is said too.

use serde_json::Value;

use super::StudyText;
use crate::ids::ContractId;
use crate::settings::{Problem, nearest};

/// A dataset without its version.
#[derive(Debug, Clone)]
pub(super) struct Versionless {
    /// Where it stands.
    key: String,
    /// What stands there.
    name: String,
    /// Which one was meant, as far as the network is known.
    meant: Option<ContractId>,
}

impl Versionless {
    pub(super) fn problem(&self, file: &str) -> Problem {
        let problem = Problem::new(file, &*self.key, format!("`{}` says no version", self.name));
        problem.hint(match &self.meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write NAME@VERSION, e.g. \"{}@1\"; `bocage datasets` lists what there is", self.name),
        })
    }
}

/// Gives each of them a version for the time being.
pub(super) fn completed(text: &mut Value) -> Vec<Versionless> {
    let mut found = Vec::new();
    let mut complete = |key: String, value: &mut Value| {
        let Some(name) = value.as_str().filter(|text| !text.contains('@')).map(str::to_owned) else { return };
        let whole = format!("{name}@1");
        if whole.parse::<ContractId>().is_ok() {
            *value = Value::from(whole);
            found.push(Versionless { key, name, meant: None });
        }
    };
    if let Some(dataset) = text.get_mut("dataset") {
        complete("dataset".to_owned(), dataset);
    }
    for (name, table) in text.get_mut("tables").and_then(Value::as_object_mut).into_iter().flatten() {
        complete(format!("tables.{name}"), table);
    }
    found
}

impl StudyText {
    /// The same text, with what was meant in the place of what is named without a version. It is wrong all the same.
    #[must_use]
    pub fn among(mut self, known: &[ContractId]) -> Self {
        for named in &mut self.versionless {
            let newest = |name: &str| known.iter().filter(|id| id.name() == name).max_by_key(|id| id.version());
            let near = || nearest(&named.name, known.iter().map(ContractId::name)).and_then(newest);
            let Some(meant) = newest(&named.name).or_else(near) else { continue };
            let table = named.key.strip_prefix("tables.").and_then(|name| name.parse().ok());
            match table.and_then(|name| self.raw.tables.get_mut(&name)) {
                // The base may be one of the tables.
                Some(table) => {
                    let from = self.raw.cohort.as_ref().and_then(|cohort| cohort.from.as_ref());
                    if from.is_some_and(|from| named.key == format!("tables.{from}")) {
                        self.dataset = meant.clone();
                    }
                    *table = meant.clone();
                }
                None => self.dataset = meant.clone(),
            }
            named.meant = Some(meant.clone());
        }
        self
    }
}
