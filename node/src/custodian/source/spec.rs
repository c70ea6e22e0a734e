//! What `node.toml` says about a dataset: raw sections in, checked forms out. Of all files only views are read here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bocage_fhir::Damaged;
use bocage_protocol::contract::{OnFail, Rule};
use bocage_protocol::front::source_column;
use bocage_protocol::ids::{ColumnName, ContractId, Digest, RuleName};
use bocage_protocol::settings::{Problem, Problems, join, read};
use bocage_protocol::trust::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spelling::RawSpelling;
use super::{FhirSource, Names, PostgresSource, Spelling};

#[cfg(test)]
mod tests;

/// A dataset of this site: where it comes from and how it becomes what the contract says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetSpec {
    /// Its name at this site; also the name of its folder of snapshots.
    pub name: String,
    /// The contract that it is offered under.
    pub contract: ContractId,
    /// Where its rows come from.
    pub source: SourceSpec,
    /// For each contract column, the expression over source columns that yields it. Columns of the same name need no entry.
    pub map: BTreeMap<ColumnName, String>,
    /// Contract columns that this site does not collect: null in every row.
    pub absent: BTreeSet<ColumnName>,
    /// Other names for the source's columns.
    #[serde(flatten)]
    pub names: Names,
    /// How it writes dates and numbers.
    #[serde(flatten)]
    pub spelling: Spelling,
    /// The expression over source columns that is true in a row of a patient who opted out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optout: Option<String>,
    /// What happens where a rule of the contract fails, if the site is stricter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<RuleName, OnFail>,
    /// The configuration file, for messages.
    #[serde(skip)]
    pub declared_in: String,
}

/// Where rows come from. A closed list that later sources extend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceSpec {
    /// A delimited text file, or a folder of them.
    Csv(CsvSource),
    /// A Parquet file, or a folder of them.
    Parquet(ParquetSource),
    /// A table or query of PostgreSQL.
    Postgres(PostgresSource),
    /// A FHIR export.
    Fhir(FhirSource),
}

/// What an ingest needs to read a source of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote<'a> {
    /// The TCP port that it dials.
    pub port: u16,
    /// Files by which it and the server know each other.
    pub files: Vec<&'a Path>,
}

/// A delimited text file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CsvSource {
    /// The file, or the folder of the parts of a table.
    pub path: PathBuf,
    /// One ASCII character.
    pub delimiter: u8,
    /// Whether the first line holds the column names.
    pub header: bool,
    /// The column names, where the file has none or others are wanted.
    pub columns: Option<Vec<String>>,
    /// Values that mean "missing", compared after spaces are cut.
    pub missing: Vec<String>,
    /// Whether a quoted text may hold line ends. Without it such a row is refused: a stray quote would swallow the rows behind it.
    pub multi_line: bool,
}

/// A Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParquetSource {
    /// The file, or the folder of the parts of a table.
    pub path: PathBuf,
    /// The column names, where others than the file's are wanted: one for each column, nested ones too.
    pub columns: Option<Vec<String>>,
    /// Values that mean "missing" beside nulls, compared with a value's text after spaces are cut.
    pub missing: Vec<String>,
}

#[derive(Deserialize)]
struct RawDataset {
    contract: ContractId,
    source: Value,
    #[serde(default)]
    map: BTreeMap<String, String>,
    #[serde(default)]
    absent: Vec<ColumnName>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
    #[serde(default)]
    dates: BTreeMap<String, [String; 3]>,
    // Each by itself: of what is flattened no unknown key would be seen.
    #[serde(default)]
    date_formats: BTreeMap<String, String>,
    #[serde(default)]
    decimal_comma: Vec<String>,
    optout: Option<String>,
    #[serde(default)]
    rules: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawSource {
    #[serde(rename = "kind")]
    _kind: String,
    path: PathBuf,
    delimiter: Option<String>,
    header: Option<bool>,
    columns: Option<Vec<String>>,
    missing: Option<Vec<String>>,
    multi_line: Option<bool>,
    view: Option<String>,
    damaged: Option<String>,
}

const KEYS: &[&str] = &[
    "contract",
    "source",
    "map",
    "absent",
    "rename",
    "dates",
    "date_formats",
    "decimal_comma",
    "never",
    "never_discovered",
    "refresh",
    "optout",
    "optout_scope",
    "rules",
    "kind",
    "path",
    "delimiter",
    "header",
    "columns",
    "missing",
    "multi_line",
    "view",
    "damaged",
];

/// What means "missing" where `node.toml` does not say it.
const MISSING: [&str; 3] = ["", "NA", "NaN"];

/// With `false` nobody opts out by a row, so none can be lost, or come late.
fn flags(optout: Option<&str>) -> Option<&str> {
    optout.filter(|optout| optout.trim() != "false")
}

impl DatasetSpec {
    /// By which condition rows of the source say who opted out, if any can.
    pub fn flags(&self) -> Option<&str> {
        flags(self.optout.as_deref())
    }

    /// Reads the section `dataset.NAME` of `file`. Relative paths are taken from `base`.
    ///
    /// All problems are added to `problems`: where there are any, the result is good for finding more of them only. `None` where nothing
    /// more can be found.
    pub fn read(name: &str, section: &Value, file: &str, base: &Path, problems: &mut Problems) -> Option<Self> {
        let key = join("dataset", name);
        if !is_dataset_name(name) {
            let problem = Problem::new(file, &key, "not a name of a dataset");
            problems.push(problem.hint("1 to 63 of a-z, 0-9, _ and -, beginning with a letter"));
        }
        let raw: RawDataset = read(section, file, &key, KEYS, problems)?;
        let source = SourceSpec::read(&raw.source, file, &join(&key, "source"), base, problems)?;
        if source.leaves_files_out() && flags(raw.optout.as_deref()).is_some() {
            let place = join(&join(&key, "source"), "damaged");
            let reason = "with an `optout`, no damaged file may be left out: its rows may say who opted out";
            let hint = "damaged = \"stop\"; or name who opted out in a list (`[optouts]`) instead of `optout`";
            problems.push(Problem::new(file, place, reason).hint(hint));
        }
        let mut map = BTreeMap::new();
        for (column, text) in raw.map {
            match column.parse::<ColumnName>() {
                Ok(column) => drop(map.insert(column, text)),
                Err(e) => problems.push(Problem::new(file, join(&join(&key, "map"), &column), e.to_string())),
            }
        }
        for column in raw.absent.iter().filter(|c| map.contains_key(c)) {
            let problem = Problem::new(file, join(&key, "absent"), format!("`{column}` has an entry in `map` as well"));
            problems.push(problem);
        }
        let spelling = RawSpelling { date_formats: raw.date_formats, decimal_comma: raw.decimal_comma };
        let names = Names::read(raw.rename, raw.dates, file, &key, problems);
        let mut rules = BTreeMap::new();
        for (name, text) in &raw.rules {
            let place = join(&join(&key, "rules"), name);
            match (name.parse::<RuleName>(), OnFail::parse(text)) {
                (Ok(name), Some(on_fail)) => drop(rules.insert(name, on_fail)),
                (Err(e), _) => problems.push(Problem::new(file, place, e.to_string())),
                (_, None) => {
                    let problem = Problem::new(file, place, format!("unknown consequence `{text}`"));
                    problems.push(problem.hint("\"reject\", \"null\" or \"keep\""));
                }
            }
        }
        // What is wrong with its names was said; the rest of it can be looked at all the same.
        Some(Self {
            name: name.to_owned(),
            contract: raw.contract,
            source,
            map,
            absent: raw.absent.into_iter().collect(),
            names,
            spelling: Spelling::read(spelling, file, &key, problems),
            optout: raw.optout,
            rules,
            declared_in: file.to_owned(),
        })
    }

    /// What happens where a rule of the contract fails.
    pub fn on_fail(&self, rule: &Rule) -> OnFail {
        self.rules.get(&rule.name).copied().unwrap_or(rule.on_fail).max(rule.on_fail)
    }

    /// The digest of everything here that decides what a snapshot holds.
    pub fn digest(&self) -> Digest {
        Digest::of("bocage/dataset-settings/1", &[&canonical(self).unwrap_or_default()])
    }
}

impl SourceSpec {
    /// Reads a section `source`, which stands at `key` of `file`. Relative paths are taken from `base`.
    pub fn read(section: &Value, file: &str, key: &str, base: &Path, problems: &mut Problems) -> Option<Self> {
        if section.get("kind").and_then(Value::as_str) == Some("postgres") {
            let server = bocage_postgres::PostgresSource::read(section, file, key, base, problems)?;
            let missing = markers(server.missing.clone());
            return Some(SourceSpec::Postgres(PostgresSource::new(server, missing)));
        }
        let raw: Option<RawSource> = read(section, file, key, KEYS, problems);
        // Looked at apart, since without a path there is no `raw`.
        match (section.get("kind").and_then(Value::as_str), raw) {
            (Some("csv"), raw) => raw?.csv(file, key, base, problems).map(SourceSpec::Csv),
            (Some("parquet"), raw) => raw?.parquet(file, key, base, problems).map(SourceSpec::Parquet),
            (Some("fhir"), raw) => raw?.fhir(file, key, base, problems).map(SourceSpec::Fhir),
            (Some(other), _) => {
                let problem = Problem::new(file, join(key, "kind"), format!("unknown kind of source `{other}`"));
                problems.push(problem.hint("kind = \"csv\", \"parquet\", \"postgres\" or \"fhir\""));
                None
            }
            // Said already.
            (None, _) => None,
        }
    }

    /// The columns that it has, where the configuration alone says it.
    pub fn declared(&self) -> Option<Vec<ColumnName>> {
        match self {
            SourceSpec::Csv(CsvSource { columns, .. }) | SourceSpec::Parquet(ParquetSource { columns, .. }) => {
                Some(columns.as_ref()?.iter().filter_map(|name| source_column(name)).collect())
            }
            SourceSpec::Fhir(fhir) => fhir.columns().ok(),
            SourceSpec::Postgres(_) => None,
        }
    }

    /// The file or folder that the rows come from, or the server and database, for messages and manifests.
    pub fn path(&self) -> &Path {
        match self {
            SourceSpec::Csv(csv) => &csv.path,
            SourceSpec::Parquet(parquet) => &parquet.path,
            SourceSpec::Postgres(postgres) => postgres.place(),
            SourceSpec::Fhir(fhir) => &fhir.path,
        }
    }

    /// The file or folder that the rows come from, where it is one of this machine.
    pub fn file(&self) -> Option<&Path> {
        match self {
            SourceSpec::Csv(_) | SourceSpec::Parquet(_) | SourceSpec::Fhir(_) => Some(self.path()),
            SourceSpec::Postgres(_) => None,
        }
    }

    /// The same of one file of the folder that it names.
    pub(super) fn of_part(&self, file: &Path) -> Self {
        let mut part = self.clone();
        if let SourceSpec::Csv(CsvSource { path, .. }) | SourceSpec::Parquet(ParquetSource { path, .. }) = &mut part {
            file.clone_into(path);
        }
        part
    }

    /// Whether rows may be missing in a snapshot since their file is damaged.
    fn leaves_files_out(&self) -> bool {
        matches!(self, SourceSpec::Fhir(FhirSource { damaged: Damaged::Skip, .. }))
    }

    /// What reading it needs of the network, where it is no file of this machine.
    pub fn remote(&self) -> Option<Remote<'_>> {
        match self {
            SourceSpec::Csv(_) | SourceSpec::Parquet(_) | SourceSpec::Fhir(_) => None,
            SourceSpec::Postgres(postgres) => {
                Some(Remote { port: postgres.server.port, files: postgres.server.files() })
            }
        }
    }

    /// What a person who runs this should know of it, each a sentence.
    pub fn notices(&self) -> Vec<String> {
        match self {
            SourceSpec::Csv(_) | SourceSpec::Parquet(_) | SourceSpec::Fhir(_) => Vec::new(),
            SourceSpec::Postgres(postgres) => postgres.server.notices(),
        }
    }
}

impl RawSource {
    fn csv(self, file: &str, key: &str, base: &Path, problems: &mut Problems) -> Option<CsvSource> {
        let own = self.only("a CSV file", &["delimiter", "header", "multi_line", "columns"], (file, key), problems);
        let delimiter = match self.delimiter.as_deref().map(str::as_bytes) {
            None => Some(b','),
            Some(&[one]) if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Some(one),
            Some(_) => {
                let problem =
                    Problem::new(file, join(key, "delimiter"), "must be one character, not a quote or line end");
                problems.push(problem.hint("e.g. \",\", \";\" or \"\\t\""));
                None
            }
        };
        let header = self.header.unwrap_or(true);
        let nameless = !header && self.columns.is_none();
        if nameless {
            let problem = Problem::new(file, join(key, "columns"), "needed where the file has no header");
            problems.push(problem.hint("list the file's columns in order: columns = [\"age\", \"sex\"]"));
        }
        delimiter.filter(|_| own && !nameless).map(|delimiter| CsvSource {
            path: base.join(self.path),
            delimiter,
            header,
            columns: self.columns,
            missing: markers(self.missing),
            multi_line: self.multi_line.unwrap_or(false),
        })
    }

    fn parquet(self, file: &str, key: &str, base: &Path, problems: &mut Problems) -> Option<ParquetSource> {
        let own = self.only("a Parquet file", &["columns"], (file, key), problems);
        own.then(|| ParquetSource { path: base.join(self.path), columns: self.columns, missing: markers(self.missing) })
    }

    fn fhir(self, file: &str, key: &str, base: &Path, problems: &mut Problems) -> Option<FhirSource> {
        let own = self.only("a FHIR export", &["view", "damaged"], (file, key), problems);
        let damaged = match self.damaged.as_deref() {
            None | Some("stop") => Some(Damaged::Stop),
            Some("skip") => Some(Damaged::Skip),
            Some(other) => {
                let problem = Problem::new(file, join(key, "damaged"), format!("unknown consequence `{other}`"));
                problems.push(
                    problem.hint("\"stop\": no snapshot is taken; \"skip\": a damaged file is left out, and named"),
                );
                None
            }
        };
        let Some(view) = &self.view else {
            let problem = Problem::new(file, join(key, "view"), "needed: it makes rows of resources");
            problems.push(problem.hint("e.g. view = \"fhir-r4-core/condition\", or a file with a ViewDefinition"));
            return None;
        };
        // A FHIR export has nulls; a text such as NA may be a country.
        let missing = markers(Some(self.missing.unwrap_or_else(|| vec![String::new()])));
        let source = FhirSource::read(base.join(&self.path), (view, damaged?), missing, (file, key), base, problems);
        source.filter(|_| own)
    }

    /// Whether of the settings that not every kind has only those that are `known` to this one are given.
    fn only(&self, what: &str, known: &[&str], (file, key): (&str, &str), problems: &mut Problems) -> bool {
        let all = [
            ("delimiter", self.delimiter.is_some()),
            ("header", self.header.is_some()),
            ("multi_line", self.multi_line.is_some()),
            ("columns", self.columns.is_some()),
            ("view", self.view.is_some()),
            ("damaged", self.damaged.is_some()),
        ];
        let alien: Vec<&str> =
            all.iter().filter(|(name, given)| *given && !known.contains(name)).map(|(name, _)| *name).collect();
        for name in &alien {
            let problem = Problem::new(file, join(key, name), format!("{what} has no such setting"));
            let kind = if matches!(*name, "view" | "damaged") {
                "fhir\" if it is a FHIR export"
            } else {
                "csv\" if it is a CSV file"
            };
            problems.push(problem.hint(format!("leave it out, or say kind = \"{kind}")));
        }
        alien.is_empty()
    }
}

/// The markers of missing values as they are compared.
fn markers(configured: Option<Vec<String>>) -> Vec<String> {
    let markers = configured.unwrap_or_else(|| MISSING.map(str::to_owned).to_vec());
    markers.into_iter().map(|marker| marker.trim().to_owned()).collect()
}

/// Whether a text can name a dataset, and so a folder.
pub(crate) fn is_dataset_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}
