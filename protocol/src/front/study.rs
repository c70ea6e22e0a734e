//! A study as text (TOML), bound to a contract: the typed [`Study`] that is signed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sqlparser::ast::Expr as Sql;

use super::expression::{Binder, parse};
use super::{dates, toml_problem};
use crate::analysis::{AnalysisSpec, Key, RoundState, Show, Shown, Spec, TableSpec, plan_for};
use crate::contract::Contract;
use crate::env::Timestamp;
use crate::ids::{AnalysisName, ColumnName, ContractId, NetworkId, PermitId, SiteId};
use crate::limits;
use crate::plan::{Columns, DateUnit, Expr, Function, Measure, Operation, TypeProblem, ValidPlan};
use crate::settings::{Problem, Problems, join, nearest, read};
use crate::trust::{PublicKey, Purpose, STUDY_FORMAT, Study};

const KEYS: &[&str] = &[
    "title",
    "purpose",
    "permit",
    "dataset",
    "where",
    "sites",
    "min_sites",
    "answer_within",
    "open_until",
    "derive",
    "analysis",
    "name",
    "table",
    "by",
    "show",
    "roll_up",
];

#[derive(Deserialize)]
struct RawStudy {
    title: String,
    purpose: String,
    permit: Option<PermitId>,
    dataset: ContractId,
    #[serde(rename = "where")]
    filter: Option<String>,
    sites: Option<Vec<SiteId>>,
    min_sites: Option<u32>,
    answer_within: Option<String>,
    open_until: Option<String>,
    #[serde(default)]
    derive: BTreeMap<ColumnName, String>,
    #[serde(default)]
    analysis: Vec<Value>,
}

#[derive(Deserialize)]
struct RawAnalysis {
    name: AnalysisName,
    table: RawTable,
}

#[derive(Deserialize)]
struct RawTable {
    #[serde(default)]
    by: Vec<String>,
    show: Vec<String>,
    roll_up: Option<bool>,
}

/// A study's text, read but not bound to a contract yet.
pub struct StudyText {
    file: String,
    raw: RawStudy,
    /// Keys that are unknown: said together with what binding finds.
    unknown: Problems,
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
        let value = toml::from_str::<Value>(text).map_err(|e| toml_problem(text, file, &e))?;
        let mut problems = Problems::default();
        match read::<RawStudy>(&value, file, "", KEYS, &mut problems) {
            Some(raw) => Ok(Self { file: file.to_owned(), raw, unknown: problems }),
            None => Err(problems),
        }
    }

    /// The dataset that the study asks about.
    pub fn dataset(&self) -> &ContractId {
        &self.raw.dataset
    }

    /// Binds every name and expression.
    ///
    /// # Errors
    /// All problems at once.
    pub fn bind(&self, contract: &Contract, context: &BindContext<'_>) -> Result<Study, Problems> {
        let mut binding =
            Binding { file: &self.file, contract, derive: &self.raw.derive, problems: self.unknown.clone() };
        let raw = &self.raw;
        binding.title(&raw.title);
        let purpose = binding.purpose(&raw.purpose);
        binding.derived();
        let filter = raw.filter.as_ref().and_then(|text| binding.condition("where", text));
        let analyses = binding.analyses(&raw.analysis);
        let sites = binding.sites(raw.sites.as_deref(), context);
        let min_sites = binding.min_sites(raw.min_sites, context.min_sites_floor, sites.len());
        let answer_within = binding.duration("answer_within", raw.answer_within.as_deref(), 600, 7 * 86_400);
        let open_until =
            binding.duration("open_until", raw.open_until.as_deref(), 14 * 86_400, limits::STUDY_LIFE_SECS);
        let mut problems = binding.problems;
        let Some((purpose, analyses)) = purpose.zip(analyses).filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        let study = Study {
            format: STUDY_FORMAT,
            network: context.network.clone(),
            title: raw.title.clone(),
            purpose,
            permit: raw.permit.clone(),
            researcher: context.researcher,
            dataset: raw.dataset.clone(),
            contract: contract.hash(),
            sites,
            min_sites,
            filter,
            analyses,
            answer_within_secs: answer_within as u32,
            issued_at: context.now,
            expires_at: context.now.plus_secs(open_until),
            nonce: hex::encode(context.nonce),
        };
        check_plans(&self.file, &study, contract, &mut problems);
        if let Err(error) = study.check_shape() {
            problems.push(Problem::new(&self.file, "", error.message));
        }
        problems.into_result(study)
    }
}

struct Binding<'a> {
    file: &'a str,
    contract: &'a Contract,
    derive: &'a BTreeMap<ColumnName, String>,
    problems: Problems,
}

impl Binding<'_> {
    fn refuse<T>(&mut self, key: &str, problem: TypeProblem) -> Option<T> {
        self.problems.push(problem.at(self.file, key));
        None
    }

    fn title(&mut self, title: &str) {
        if title.trim().is_empty() || title.len() > limits::LABEL_BYTES {
            self.refuse::<()>("title", TypeProblem::new(format!("a title has 1 to {} bytes", limits::LABEL_BYTES)));
        }
    }

    fn purpose(&mut self, text: &str) -> Option<Purpose> {
        let found = Purpose::ALL.iter().find(|(name, _)| *name == text).map(|(_, purpose)| *purpose);
        found.or_else(|| {
            let names: Vec<&str> = Purpose::ALL.iter().map(|(name, _)| *name).collect();
            let problem = TypeProblem::new(format!("unknown purpose `{text}`"));
            self.refuse("purpose", problem.hint(format!("one of {}", names.join(", "))))
        })
    }

    fn derived(&mut self) {
        for (name, definition) in self.derive {
            let key = format!("derive.{name}");
            if self.contract.column(name.as_str()).is_some() {
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
        let mut binder = Binder::new(Columns::Contract(self.contract), self.derive);
        let bound = bind(&mut binder, &sql);
        let failed = !binder.problems.is_empty();
        for problem in binder.problems {
            self.refuse::<()>(key, problem);
        }
        bound.filter(|_| !failed)
    }

    fn analyses(&mut self, raw: &[Value]) -> Option<Vec<AnalysisSpec>> {
        if raw.is_empty() || raw.len() > limits::ANALYSES {
            let problem = TypeProblem::new(format!("a study has 1 to {} analyses", limits::ANALYSES));
            return self.refuse("analysis", problem.hint("begin one with [[analysis]]"));
        }
        let all: Vec<Option<AnalysisSpec>> = raw.iter().enumerate().map(|(i, value)| self.analysis(i, value)).collect();
        let mut seen = std::collections::HashSet::new();
        for (i, analysis) in all.iter().enumerate() {
            if let Some(analysis) = analysis.as_ref().filter(|a| !seen.insert(a.name.clone())) {
                let problem = TypeProblem::new(format!("`{}` is the name of an earlier analysis", analysis.name));
                self.refuse::<()>(&format!("analysis[{i}].name"), problem);
            }
        }
        all.into_iter().collect()
    }

    fn analysis(&mut self, index: usize, value: &Value) -> Option<AnalysisSpec> {
        let key = format!("analysis[{index}]");
        let before = self.problems.0.len();
        let raw: RawAnalysis = read(value, self.file, &key, KEYS, &mut self.problems)?;
        let key = place(index, &raw.name);
        if raw.table.show.is_empty() || raw.table.show.len() > limits::TABLE_SHOW {
            let problem = TypeProblem::new(format!("a table shows 1 to {} columns", limits::TABLE_SHOW));
            self.refuse::<()>(&join(&key, "table.show"), problem.hint("e.g. show = [\"count\"]"));
        }
        let by: Vec<Option<Key>> = raw
            .table
            .by
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let (expr, _) = self.with_binder(&join(&key, &format!("table.by[{i}]")), text, |b, sql| b.bind(sql))?;
                Some(Key { label: label(text), key: expr })
            })
            .collect();
        let show: Vec<Option<Shown>> = raw
            .table
            .show
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let show = self.show(&join(&key, &format!("table.show[{i}]")), text)?;
                Some(Shown { label: label(text), show })
            })
            .collect();
        let (by, show) = (by.into_iter().collect::<Option<_>>(), show.into_iter().collect::<Option<_>>());
        let table = TableSpec { by: by?, show: show?, roll_up: raw.table.roll_up.unwrap_or(true) };
        (self.problems.0.len() == before).then_some(AnalysisSpec { name: raw.name, spec: Spec::Table(table) })
    }

    fn show(&mut self, key: &str, text: &str) -> Option<Show> {
        match text.trim() {
            "count" => return Some(Show::Count),
            "rows" => return Some(Show::Rows),
            _ => {}
        }
        self.with_binder(key, text, |binder, sql| {
            let Some((name, argument)) = call_of_one(sql) else {
                return binder.refuse(TypeProblem::new(format!("`{sql}` cannot be shown")).hint(SHOWN));
            };
            match name.as_str() {
                "share" => binder.condition(argument).map(Measure::Condition).map(Show::Share),
                "sum" => measure(binder, argument).map(Show::Sum),
                "mean" => measure(binder, argument).map(Show::Mean),
                "sd" => measure(binder, argument).map(Show::Sd),
                "count" => binder
                    .refuse(TypeProblem::new("`count` takes no argument").hint("write \"count\": it counts patients")),
                other => {
                    let near = nearest(other, ["share", "sum", "mean", "sd"]);
                    let hint = near.map_or(SHOWN.to_owned(), |near| format!("did you mean `{near}`?"));
                    binder.refuse(TypeProblem::new(format!("`{other}` cannot be shown")).hint(hint))
                }
            }
        })
    }

    fn sites(&mut self, named: Option<&[SiteId]>, context: &BindContext<'_>) -> Vec<SiteId> {
        let mut sites = named.unwrap_or(context.offering).to_vec();
        for (i, site) in named.unwrap_or_default().iter().enumerate().filter(|(_, s)| !context.roster.contains(s)) {
            let problem = TypeProblem::new(format!("there is no site `{site}` in this network"));
            let near = nearest(site.as_str(), context.roster.iter().map(SiteId::as_str));
            let hint = near.map_or("`bocage sites` lists them".to_owned(), |n| format!("did you mean `{n}`?"));
            self.refuse::<()>(&format!("sites[{i}]"), problem.hint(hint));
        }
        sites.sort();
        let all = sites.len();
        sites.dedup();
        if sites.len() < all {
            self.refuse::<()>("sites", TypeProblem::new("a site is named twice"));
        }
        if sites.is_empty() {
            let problem = TypeProblem::new(format!("no site offers `{}`", self.contract.id()));
            self.refuse::<()>("dataset", problem.hint("`bocage datasets` lists who offers what"));
        }
        sites
    }

    fn min_sites(&mut self, asked: Option<u32>, floor: u32, sites: usize) -> u32 {
        let min_sites = asked.unwrap_or(floor);
        if min_sites < floor {
            let problem = TypeProblem::new(format!("this network publishes a cell only if {floor} sites contribute"));
            self.refuse::<()>("min_sites", problem.hint(format!("ask for {floor} or more, or leave the key out")));
        }
        if sites > 0 && (sites as u64) < u64::from(min_sites) {
            let problem = TypeProblem::new(format!("{sites} sites are asked, but a cell needs {min_sites}"));
            self.refuse::<()>("min_sites", problem.hint("nothing could be published"));
        }
        min_sites
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

const SHOWN: &str = "a table shows count, rows, sum(x), mean(x), sd(x) and share(condition)";

/// The node's own check, with its places translated to those of the text.
fn check_plans(file: &str, study: &Study, contract: &Contract, problems: &mut Problems) {
    for (i, analysis) in study.analyses.iter().enumerate() {
        let key = place(i, &analysis.name);
        let plan = match plan_for(&analysis.spec, study.query(), 0, &RoundState::First) {
            Ok(plan) => plan,
            Err(error) => {
                problems.push(Problem::new(file, key, error.message));
                continue;
            }
        };
        let Err(found) = ValidPlan::check(plan, contract) else { continue };
        for problem in found.0 {
            let key = text_place(&key, &problem.key, &analysis.spec);
            let problem = Problem { file: file.to_owned(), key, ..problem };
            if !problems.0.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

fn text_place(analysis: &str, plan_place: &str, spec: &Spec) -> String {
    let Spec::Table(table) = spec;
    let measure = plan_place.strip_prefix("measures[").and_then(|i| i.trim_end_matches(']').parse::<usize>().ok());
    match (plan_place, measure) {
        ("filter", _) => "where".to_owned(),
        ("query", _) => "dataset".to_owned(),
        (_, Some(index)) => {
            let measure = table.measures().get(index).copied().cloned();
            let at = table.show.iter().position(|s| s.show.measure() == measure.as_ref()).unwrap_or(0);
            format!("{analysis}.table.show[{at}]")
        }
        (place, None) => format!("{analysis}.table.{place}"),
    }
}

fn place(index: usize, name: &AnalysisName) -> String {
    format!("analysis[{index}] ({name})")
}

fn label(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn call_of_one(sql: &Sql) -> Option<(String, &Sql)> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let Sql::Function(function) = sql else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => {
            Some((function.name.to_string().to_lowercase(), argument))
        }
        _ => None,
    }
}

fn measure(binder: &mut Binder<'_>, argument: &Sql) -> Option<Measure> {
    let (expr, _) = binder.bind(argument)?;
    let column = |expr: &Expr| match expr {
        Expr::Column(name) => Some(name.clone()),
        _ => None,
    };
    let found = match &expr {
        Expr::Column(name) => Some(Measure::Column(name.clone())),
        Expr::Apply { function: Function::Ln, of } => column(of).map(Measure::Ln),
        Expr::Apply { function: Function::Sqrt, of } => column(of).map(Measure::Sqrt),
        Expr::Between { unit: DateUnit::Days, from, to } => {
            column(from).zip(column(to)).map(|(from, to)| Measure::Days { from, to })
        }
        Expr::Arithmetic { op: Operation::Multiply, left, right } => {
            column(left).zip(column(right)).map(|(left, right)| Measure::Product(left, right))
        }
        _ => None,
    };
    found.or_else(|| {
        binder.refuse(
            TypeProblem::new(format!("`{argument}` cannot be summed")).hint(
                "only a column, ln(column), sqrt(column), days_between(from, to) or a product of two columns can",
            ),
        )
    })
}
