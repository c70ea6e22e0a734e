//! A study as text (TOML), bound to a contract: the typed [`Study`] that is signed.

mod accuracy;
mod analysis;
mod attrition;
mod cohort;
mod compare;
mod correlation;
mod cox;
mod cross_validation;
mod crosstab;
mod discovered;
mod elastic_net;
mod evaluate;
mod fitted;
mod formula;
mod groups;
mod histogram;
mod keys;
mod kmeans;
mod meant;
mod model;
mod pattern;
mod pca;
mod quantiles;
mod rates;
mod standardised;
mod summary;
mod survival;
mod table;
mod table_one;
#[cfg(test)]
mod tests;
mod unused;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use sqlparser::ast::Expr as Sql;

use self::analysis::check_plans;
use self::cohort::{RawCohort, no_dataset};
pub(super) use self::discovered::{DISCOVERED, misplaced};
pub(super) use self::keys::KEYS;
use self::versions::Versionless;
use super::codes::{self, Files};
use super::expression::{Binder, Scope};
use super::relation::{Given, Relations};
use super::sql::parse;
use super::{Sort, dates, toml_problem};
use crate::analysis::{AttritionStep, RoundState, plan_for};
use crate::contract::Contract;
use crate::env::Timestamp;
use crate::ids::{ColumnName, ContractId, NetworkId, PermitId, SiteId, TableName};
use crate::limits;
use crate::marks::one_line;
use crate::plan::{Calls, Contracts, Expr, Query, TypeProblem};
use crate::settings::{self, Problem, Problems, nearest, read_as_meant};
use crate::trust::{PermitRef, PublicKey, Purpose, STUDY_FORMAT, SignedPermit, Sites, Study};

#[derive(Deserialize)]
struct RawStudy {
    title: Option<String>,
    purpose: Option<String>,
    permit: Option<PermitId>,
    dataset: Option<ContractId>,
    #[serde(default)]
    tables: BTreeMap<TableName, ContractId>,
    #[serde(default)]
    codes: BTreeMap<ColumnName, Value>,
    cohort: Option<RawCohort>,
    #[serde(default)]
    models: BTreeMap<ColumnName, Value>,
    #[serde(default)]
    features: BTreeMap<ColumnName, String>,
    #[serde(rename = "where")]
    filter: Option<String>,
    sites: Option<Vec<String>>,
    min_sites: Option<u32>,
    answer_within: Option<String>,
    open_until: Option<String>,
    snapshot_not_before: Option<String>,
    #[serde(default)]
    derive: BTreeMap<ColumnName, String>,
    #[serde(default)]
    analysis: Vec<Value>,
}

impl RawStudy {
    /// Adds what every study says and this one does not, unless it was there and could not be read.
    fn missing(&self, file: &str, problems: &mut Problems) {
        for (field, said) in [("title", self.title.is_some()), ("purpose", self.purpose.is_some())] {
            if !said && problems.0.iter().all(|problem| problem.key != field) {
                let problem = Problem::new(file, "", format!("missing field `{field}`"));
                problems.push(problem.hint(format!("add a line {field} = …")));
            }
        }
    }
}

/// A study's text, read but not bound to a contract yet.
pub struct StudyText {
    file: String,
    raw: RawStudy,
    dataset: ContractId,
    files: Files,
    /// Unknown keys and values of a wrong type: said together with what binding finds.
    unread: Problems,
    /// Datasets that are named without their versions.
    versionless: Vec<Versionless>,
}

/// What a text needs to become a study.
pub struct BindContext<'a> {
    /// The network that it is for.
    pub network: NetworkId,
    /// Who will sign it.
    pub researcher: PublicKey,
    /// The sites that offer the dataset: those asked where the text names none.
    pub offering: &'a [SiteId],
    /// All sites of the network: those that a text may name, whether they are connected at the moment or not.
    pub roster: &'a [SiteId],
    /// The network's own least number of sites.
    pub min_sites_floor: u32,
    /// The time now.
    pub now: Timestamp,
    /// Fresh random bytes.
    pub nonce: [u8; 16],
    /// The permit that it relies on, where there is one.
    pub permit: Option<&'a SignedPermit>,
}

impl StudyText {
    /// Reads a study's text.
    ///
    /// # Errors
    /// Syntax, values of the wrong type, and then unknown keys too. `file` names the text in them.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        if text.len() > limits::STUDY_TEXT_BYTES {
            return Err(Problem::new(file, "", format!("larger than {} bytes", limits::STUDY_TEXT_BYTES)).into());
        }
        let mut value = toml::from_str::<Value>(text).map_err(|e| toml_problem(text, file, &e))?;
        if let Some(problem) = Sort::Study.taken_for(&value, file) {
            return Err(problem.into());
        }
        let versionless = versions::completed(&mut value);
        let mut problems = Problems::default();
        let read = read_as_meant::<RawStudy>(&value, file, "", KEYS, &mut problems);
        meant::of_the_study(&mut problems.0, settings::keys_of::<RawStudy>());
        for problem in problems.0.iter_mut().filter(|problem| problem.key == "cohort.where") {
            problem.hint = Some("write include = [\"CONDITION\"], or `where` above [cohort]".to_owned());
        }
        let base = read.as_ref().and_then(|raw| raw.base(file, &mut problems));
        let names_one = value.pointer("/cohort/from").or(value.get("dataset")).is_some();
        match (read, base) {
            (Some(raw), Some(dataset)) => {
                Ok(Self { file: file.to_owned(), raw, dataset, files: Files::new(), unread: problems, versionless })
            }
            (raw, _) => {
                // What could not be read is not missing.
                if !names_one || problems.is_empty() {
                    problems.push(no_dataset().at(file, ""));
                }
                if let Some(raw) = raw {
                    raw.missing(file, &mut problems);
                }
                Err(problems)
            }
        }
    }

    /// What is wrong with the text by itself, whatever it is bound to.
    pub fn problems(&self) -> Problems {
        let mut problems = self.unread.clone();
        self.raw.missing(&self.file, &mut problems);
        problems.0.extend(self.versionless.iter().map(|named| named.problem(&self.file)));
        problems
    }

    /// The files that its code lists, standard populations and fitted models name, as it names them: beside the text's own file. Whoever reads the text reads them, and gives them
    /// to [`StudyText::with_files`].
    pub fn files(&self) -> Vec<String> {
        let mut files = codes::named_files(&self.raw.codes);
        files.extend(self.raw.analysis.iter().flat_map(standardised::named_files));
        let files = files.into_iter().map(str::to_owned);
        files.chain(fitted::named_files(&self.raw.models)).collect()
    }

    /// The same text, with what its files hold.
    #[must_use]
    pub fn with_files(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// The tables that it looks into, by the names that it gives them.
    pub fn tables(&self) -> &BTreeMap<TableName, ContractId> {
        &self.raw.tables
    }

    /// The sites that it names, where it names any.
    pub fn sites(&self) -> Vec<SiteId> {
        self.raw.sites.iter().flatten().filter_map(|site| site.parse().ok()).collect()
    }

    /// Whether it says who is asked.
    pub fn names_sites(&self) -> bool {
        self.raw.sites.is_some()
    }

    /// The first moment of the day from which on snapshots are wanted, where it names one.
    pub fn snapshot_not_before(&self) -> Option<Timestamp> {
        let day = dates::parse_date(self.raw.snapshot_not_before.as_ref()?)?;
        Some(Timestamp(i64::from(day) * 86_400_000))
    }

    /// How many sites a cell needs, where it says it.
    pub fn min_sites(&self) -> Option<u32> {
        self.raw.min_sites
    }

    /// The dataset that the study asks about.
    pub fn dataset(&self) -> &ContractId {
        &self.dataset
    }

    /// Binds every name and expression to the contract of its dataset, and to those of its tables where it has any.
    ///
    /// # Errors
    /// All problems at once.
    pub fn bind<'a>(&self, contracts: impl Into<Contracts<'a>>, context: &BindContext<'_>) -> Result<Study, Problems> {
        let raw = &self.raw;
        let mut problems = self.problems();
        let contracts = &self.tables_among(&contracts.into(), &mut problems);
        let lists = codes::lists(&raw.codes, &self.files, &self.file, &mut problems);
        let signed = lists.iter().filter_map(|(name, list)| Some(list.as_ref()?.signed(name))).collect();
        let today = i32::try_from(context.now.0.div_euclid(86_400_000)).ok();
        let relations = Relations::new(contracts, self.base_name(), Given { lists, today });
        let (file, files, derive) = (&self.file, &self.files, &raw.derive);
        let researcher = context.researcher;
        let mut binding = Binding { file, files, relations, derive, researcher, steps: None, problems };
        let title = raw.title.as_deref().map(|title| binding.title(title));
        let purpose = raw.purpose.as_deref().and_then(|purpose| binding.purpose(purpose));
        let models = binding.features(raw);
        binding.derived();
        binding.steps = binding.cohort(raw);
        let filter = binding.steps.as_deref().and_then(cohort::all_of);
        let analyses = binding.analyses(&raw.analysis);
        let sites = binding.sites(raw.sites.as_deref(), context);
        binding.errors_by_site(&analyses, sites.len());
        binding.contrasts_of_sites(&analyses, &sites);
        // A site that is not there was meant to be one.
        let named = raw.sites.as_ref().map(|named| named.iter().map(|site| site.trim()).collect::<BTreeSet<_>>().len());
        let min_sites = binding.min_sites(raw.min_sites, context, named.unwrap_or(sites.len()));
        let answer_within = binding.duration("answer_within", raw.answer_within.as_deref(), 600, 7 * 86_400);
        let open_until =
            binding.duration("open_until", raw.open_until.as_deref(), 14 * 86_400, limits::STUDY_LIFE_SECS);
        binding.day("snapshot_not_before", raw.snapshot_not_before.as_deref());
        let permit = binding.permit(raw.permit.as_ref(), context.permit);
        let Binding { relations, mut problems, .. } = binding;
        let query = Query { dataset: self.dataset.clone(), ..contracts.base.rows(filter.clone()) };
        let plans = analyses.iter().filter_map(|a| plan_for(&a.spec.spec, query.clone(), 0, &RoundState::First).ok());
        let statistics: Vec<_> = plans.map(|plan| plan.statistic).collect();
        let read = statistics.iter().flat_map(|statistic| statistic.columns());
        let (features, related) = relations.used(filter.iter().flat_map(|filter| filter.columns()).chain(read));
        let query = Query { features, related, ..query };
        check_plans(&self.file, &query, &analyses, contracts, &mut problems);
        told(&mut problems, &relations.calls());
        let (Some(title), Some(purpose), true) = (title, purpose, problems.is_empty()) else { return Err(problems) };
        let study = Study {
            format: STUDY_FORMAT,
            network: context.network.clone(),
            title,
            purpose,
            permit,
            researcher: context.researcher,
            dataset: query.dataset,
            contract: query.contract,
            related: query.related,
            features: query.features,
            codes: signed,
            models,
            sites: Sites::of(sites),
            min_sites,
            filter,
            analyses: analyses.iter().map(|bound| bound.spec.clone()).collect(),
            answer_within_secs: answer_within as u32,
            issued_at: context.now,
            expires_at: context.now.plus_secs(open_until),
            nonce: hex::encode(context.nonce),
        };
        if let Err(error) = study.check_shape() {
            problems.push(Problem::new(&self.file, "", error.message));
        }
        analysis::check_order(&self.file, &study, &analyses, &mut problems);
        problems.into_result(study)
    }
}

/// Problems by the names that people know, each once.
fn told(problems: &mut Problems, calls: &Calls) {
    let mut all: Vec<Problem> = Vec::new();
    for problem in std::mem::take(&mut problems.0) {
        let (key, message) = (calls.say(&problem.key), calls.tell(&problem.message));
        let problem = Problem { key, message, hint: problem.hint.map(|hint| calls.tell(&hint)), ..problem };
        if !all.contains(&problem) {
            all.push(problem);
        }
    }
    problems.0 = all;
}

struct Binding<'a> {
    file: &'a str,
    /// What the files hold that the text names.
    files: &'a Files,
    relations: Relations,
    /// The cohort's conditions; nothing where one of them is wrong.
    steps: Option<Vec<AttritionStep>>,
    derive: &'a BTreeMap<ColumnName, String>,
    /// Who will sign it.
    researcher: PublicKey,
    problems: Problems,
}

impl Binding<'_> {
    /// The base's contract, with every feature so far.
    fn contract(&self) -> &Contract {
        self.relations.extended()
    }

    fn refuse<T>(&mut self, key: &str, problem: TypeProblem) -> Option<T> {
        self.problems.push(problem.at(self.file, key));
        None
    }

    fn title(&mut self, title: &str) -> String {
        if title.contains(crate::marks::steers) {
            let problem = TypeProblem::new(
                "a title is one line without control characters, invisible ones or marks of reading direction",
            );
            self.refuse::<()>("title", problem);
        }
        if title.trim().is_empty() || title.len() > limits::LABEL_BYTES {
            self.refuse::<()>("title", TypeProblem::new(format!("a title has 1 to {} bytes", limits::LABEL_BYTES)));
        }
        title.to_owned()
    }

    fn purpose(&mut self, text: &str) -> Option<Purpose> {
        let found = Purpose::ALL.iter().find(|(name, _)| *name == text).map(|(_, purpose)| *purpose);
        found.or_else(|| {
            let names: Vec<&str> = Purpose::ALL.iter().map(|(name, _)| *name).collect();
            let problem = TypeProblem::new(format!("unknown purpose `{text}`"));
            self.refuse("purpose", problem.hint(format!("one of {}", names.join(", "))))
        })
    }

    /// The permit that came with the text; the text may name it, and must then mean the same.
    fn permit(&mut self, named: Option<&PermitId>, given: Option<&SignedPermit>) -> Option<PermitRef> {
        let reference = match given.map(SignedPermit::reference).transpose() {
            Ok(reference) => reference,
            Err(error) => return self.refuse("permit", TypeProblem::new(error.message)),
        };
        match (named, reference) {
            (Some(named), None) => {
                let problem = TypeProblem::new(format!("the study relies on permit {named}, and none was given"));
                self.refuse("permit", problem.hint("name its file with --permit"))
            }
            (Some(named), Some(given)) if *named != given.id => {
                let problem = TypeProblem::new(format!("the study relies on permit {named}, given is {}", given.id));
                self.refuse("permit", problem.hint("name the right file with --permit"))
            }
            (_, reference) => reference,
        }
    }

    fn derived(&mut self) {
        for (name, definition) in self.derive {
            let key = format!("derive.{name}");
            if self.relations.base().column(name.as_str()).is_some() {
                self.refuse::<()>(&key, TypeProblem::new("the contract has a column of this name"));
            }
            self.with_binder(&key, definition, |binder, sql| binder.bind(sql));
        }
    }

    fn condition(&mut self, key: &str, text: &str) -> Option<Expr> {
        self.with_binder(key, text, |binder, sql| binder.condition(sql))
    }

    fn with_binder<T>(
        &mut self,
        key: &str,
        text: &str,
        bind: impl FnOnce(&mut Binder<'_>, &Sql) -> Option<T>,
    ) -> Option<T> {
        let sql = match parse(text) {
            Ok(sql) => sql,
            Err(problem) => return self.refuse(key, problem),
        };
        let mut binder = Binder::new(Scope::Study(&mut self.relations), self.derive);
        let bound = bind(&mut binder, &sql);
        let failed = !binder.problems.is_empty();
        for problem in binder.problems {
            self.refuse::<()>(key, problem);
        }
        bound.filter(|_| !failed)
    }

    fn sites(&mut self, named: Option<&[String]>, context: &BindContext<'_>) -> Vec<SiteId> {
        let known = |text: &String| context.roster.iter().find(|site| site.as_str() == text.trim());
        let mut sites = match named {
            Some(named) => named.iter().filter_map(known).cloned().collect(),
            None => context.offering.to_vec(),
        };
        for (i, site) in named.unwrap_or_default().iter().enumerate().filter(|(_, site)| known(site).is_none()) {
            let problem = TypeProblem::new(format!("there is no site `{}` in this network", one_line(site)));
            let others = context.roster.iter().filter(|other| !sites.contains(other));
            let near = nearest(site, others.map(SiteId::as_str));
            let hint = near.map_or("`bocage sites` lists them".to_owned(), |n| format!("did you mean `{n}`?"));
            self.refuse::<()>(&format!("sites[{i}]"), problem.hint(hint));
        }
        if named.is_some_and(<[String]>::is_empty) {
            let problem = TypeProblem::new("nobody is asked");
            self.refuse::<()>("sites", problem.hint("leave the key out, and all are that offer the data"));
        }
        sites.sort();
        let all = sites.len();
        sites.dedup();
        if sites.len() < all {
            self.refuse::<()>("sites", TypeProblem::new("a site is named twice"));
        }
        if sites.is_empty() && named.is_none() {
            let id = self.contract().id();
            let and =
                if self.relations.tables().count() > 1 { ", and all other tables of the study with it" } else { "" };
            let problem = TypeProblem::new(format!("no site offers `{id}`{and}"));
            self.refuse::<()>("dataset", problem.hint("`bocage datasets` lists who offers what"));
        }
        sites
    }

    fn min_sites(&mut self, asked: Option<u32>, context: &BindContext<'_>, sites: usize) -> u32 {
        let floor = context.min_sites_floor;
        let min_sites = asked.unwrap_or(floor);
        let permit = context.permit.and_then(|signed| signed.verify().ok()).filter(|permit| permit.min_sites == floor);
        let who = permit.map_or_else(|| "the network".to_owned(), |permit| format!("permit {}", permit.id));
        if min_sites < floor {
            let problem =
                TypeProblem::new(format!("a cell is published only if {floor} sites contribute: {who} wants it"));
            self.refuse::<()>("min_sites", problem.hint(format!("ask for {floor} or more, or leave the key out")));
        }
        if sites > 0 && (sites as u64) < u64::from(min_sites) {
            // What the text does not say is not its key's fault.
            let (key, whose) = match asked {
                Some(_) => ("min_sites", String::new()),
                None => ("sites", format!(": {who} wants it")),
            };
            let problem = TypeProblem::new(format!("{sites} sites are asked, but a cell needs {min_sites}{whose}"));
            let all = context.roster.len();
            let hint = if (all as u64) < u64::from(context.min_sites_floor) {
                format!(
                    "nothing could be published: the network has {all}; in a lab its operator sets min_sites = {all} under [publication] of \
                     coordinator.toml, and a permit's min_sites no higher"
                )
            } else {
                "nothing could be published; ask more sites".to_owned()
            };
            self.refuse::<()>(key, problem.hint(hint));
        }
        min_sites
    }

    fn day(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| dates::parse_date(text).is_none()) {
            let why = dates::no_such_day(text).map_or_else(String::new, |why| format!(": {why}"));
            let problem = TypeProblem::new(format!("`{text}` is not a day{why}"));
            self.refuse::<()>(key, problem.hint("write it as YYYY-MM-DD, e.g. \"2026-01-01\""));
        }
    }

    fn duration(&mut self, key: &str, text: Option<&str>, default_secs: i64, most_secs: i64) -> i64 {
        let Some(text) = text else { return default_secs };
        match dates::parse_duration_secs(text).filter(|secs| (1..=most_secs).contains(secs)) {
            Some(secs) => secs,
            None => {
                let problem = TypeProblem::new(format!("`{text}` is not a time of 1 s to {} h", most_secs / 3600));
                self.refuse::<()>(key, problem.hint("write a number with s, m, h or d, e.g. \"10m\""));
                default_secs
            }
        }
    }
}
