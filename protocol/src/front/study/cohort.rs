//! `[tables]`, `[cohort]` and `[features]`: which datasets a study looks into, who is in it, and what is known of each.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::super::relation::Definition;
use super::table::label;
use super::{Binding, RawStudy, StudyText};
use crate::analysis::AttritionStep;
use crate::contract::Contract;
use crate::ids::{ColumnName, ContractId, TableName};
use crate::plan::{Columns, Contracts, Expr, Literal, Type, TypeProblem, nullable, type_of, unknown_table};
use crate::settings::{Problem, Problems, nearest};
use crate::trust::Origin;

/// What a cohort's reference date is called.
const INDEX: &str = "index";

#[derive(Deserialize)]
pub(super) struct RawCohort {
    pub(super) from: Option<TableName>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    index: Option<String>,
}

impl RawCohort {
    /// All that it is made of.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &str> {
        self.include.iter().chain(&self.exclude).chain(&self.index).map(String::as_str)
    }
}

/// What is wrong where the text names neither dataset nor table.
pub(super) fn no_dataset() -> TypeProblem {
    TypeProblem::new("missing field `dataset`").hint("add a line dataset = …, or name a table: [cohort] from = …")
}

impl RawStudy {
    /// The dataset whose rows are counted: that which the text names, or that of the table which the cohort is from. A table that was meant stands in
    /// for one that there is not, so that all else is looked at too.
    pub(super) fn base(&self, file: &str, problems: &mut Problems) -> Option<ContractId> {
        let Some(from) = self.cohort.as_ref().and_then(|cohort| cohort.from.as_ref()) else {
            return self.dataset.clone();
        };
        let mut refuse = |problem: TypeProblem| problems.push(problem.at(file, "cohort.from"));
        match (self.tables.get(from), &self.dataset) {
            (None, dataset) => {
                let known = || self.tables.keys().map(TableName::as_str);
                refuse(unknown_table(from.as_str(), known()));
                let meant = nearest(from.as_str(), known()).and_then(|near| self.tables.get(&near.parse().ok()?));
                meant.or(dataset.as_ref()).cloned()
            }
            (Some(table), dataset) => {
                if let Some(dataset) = dataset.as_ref().filter(|dataset| *dataset != table) {
                    let problem = TypeProblem::new(format!("`{from}` is {table}, and the study's dataset {dataset}"));
                    refuse(problem.hint("leave `dataset` out"));
                }
                Some(table.clone())
            }
        }
    }
}

impl StudyText {
    /// The tables that came with a contract; what is wrong with others is noted.
    pub(super) fn tables_among<'a>(&self, contracts: &Contracts<'a>, problems: &mut Problems) -> Contracts<'a> {
        let mut related: BTreeMap<TableName, &'a Contract> = BTreeMap::new();
        let mut names: BTreeMap<&str, &TableName> = BTreeMap::new();
        for (name, dataset) in &self.raw.tables {
            let key = format!("tables.{name}");
            if let Some(other) = names.insert(dataset.name(), name) {
                let problem = Problem::new(&self.file, &*key, format!("`{name}` and `{other}` are one dataset"));
                problems.push(problem.hint("give it one name"));
                continue;
            }
            match contracts.related.get(name).filter(|contract| contract.id() == dataset) {
                Some(contract) => drop(related.insert(name.clone(), contract)),
                None if contracts.base.id() == dataset => drop(related.insert(name.clone(), contracts.base)),
                None => {
                    let problem =
                        Problem::new(&self.file, &*key, format!("the contract `{dataset}` is not known here"));
                    problems.push(problem.hint("`bocage datasets` lists those of the network"));
                }
            }
        }
        Contracts { base: contracts.base, related }
    }

    pub(super) fn base_name(&self) -> Option<TableName> {
        let is_base = |(_, dataset): &(&TableName, &ContractId)| **dataset == self.dataset;
        self.raw.tables.iter().find(is_base).map(|(name, _)| name.clone())
    }
}

impl Binding<'_> {
    /// Binds `[features]` and the index date, which may stand in any order, and `[models]`, which may read features and be read by them. Returned
    /// is where models of earlier studies are from.
    pub(super) fn features(&mut self, raw: &RawStudy) -> Vec<Origin> {
        let mut definitions: BTreeMap<ColumnName, Definition> = BTreeMap::new();
        let index = raw.cohort.as_ref().and_then(|cohort| cohort.index.clone());
        let all = raw.features.iter().map(|(name, text)| (name.clone(), format!("features.{name}"), text.clone()));
        let index = index.into_iter().filter_map(|text| Some((INDEX.parse().ok()?, "cohort.index".to_owned(), text)));
        for (name, key, text) in all.chain(index) {
            let taken = match () {
                () if self.relations.base().column(name.as_str()).is_some() => "the contract has a column of this name",
                () if self.derive.contains_key(&name) => "there is a derived value of this name",
                () if definitions.contains_key(&name) => "there is a feature of this name",
                () if name.as_str() == "today" => "`today` is the day on which the study is signed",
                () => "",
            };
            if taken.is_empty() {
                definitions.insert(name, Definition { key, text });
            } else {
                self.refuse::<()>(&key, TypeProblem::new(taken).hint("choose another name"));
            }
        }
        let names: Vec<ColumnName> = definitions.keys().cloned().collect();
        self.relations.define(definitions);
        let models = self.models(raw);
        for name in names {
            self.relations.resolve(&name, self.derive, 0);
        }
        for (key, problem) in std::mem::take(&mut self.relations.problems) {
            self.refuse::<()>(&key, problem);
        }
        models
    }

    /// The cohort's steps in order: `where`, what it includes, that its index date is known, what it excludes.
    pub(super) fn cohort(&mut self, raw: &RawStudy) -> Option<Vec<AttritionStep>> {
        let step = |text: &str, keep| AttritionStep { label: label(text), keep };
        let mut steps: Vec<Option<AttritionStep>> = Vec::new();
        if let Some(text) = &raw.filter {
            steps.push(self.condition("where", text).map(|keep| step(text, keep)));
        }
        let Some(cohort) = &raw.cohort else { return steps.into_iter().collect() };
        for (i, text) in cohort.include.iter().enumerate() {
            steps.push(self.condition(&format!("cohort.include[{i}]"), text).map(|keep| step(text, keep)));
        }
        if cohort.index.is_some()
            && let Some(index) = self.index()
        {
            let known = not(Expr::IsNull(Box::new(index.clone())));
            if nullable(&index, self.contract(), &HashSet::new()) {
                steps.push(Some(step("index is not null", known)));
            }
        }
        for (i, text) in cohort.exclude.iter().enumerate() {
            let key = format!("cohort.exclude[{i}]");
            let excluded = self.condition(&key, text).map(|condition| self.certain(condition));
            steps.push(excluded.map(|condition| step(&format!("not ({text})"), not(condition))));
        }
        steps.into_iter().collect()
    }

    /// The column of the index date; nothing where it is wrong, which is then said.
    fn index(&mut self) -> Option<Expr> {
        let name: ColumnName = INDEX.parse().ok()?;
        let index = self.relations.resolve(&name, self.derive, 0)??;
        match type_of(&index, Columns::Contract(self.contract())) {
            Ok(Type::Date | Type::Datetime) if matches!(index, Expr::Column(_)) => Some(index),
            Ok(found) => {
                let problem = TypeProblem::new(format!("expected a date of the patient, found {}", found.name()));
                self.refuse(
                    "cohort.index",
                    problem.hint("e.g. index = \"first(condition.date where code in @diabetes)\""),
                )
            }
            Err(problem) => self.refuse("cohort.index", problem),
        }
    }

    /// Whoever it is not known of is not excluded.
    fn certain(&self, condition: Expr) -> Expr {
        if nullable(&condition, self.contract(), &HashSet::new()) {
            Expr::Coalesce(vec![condition, Expr::Literal(Literal::Bool(false))])
        } else {
            condition
        }
    }
}

/// Everything that the steps keep.
pub(super) fn all_of(steps: &[AttritionStep]) -> Option<Expr> {
    match steps {
        [] => None,
        [one] => Some(one.keep.clone()),
        several => Some(Expr::And(several.iter().map(|step| step.keep.clone()).collect())),
    }
}

fn not(of: Expr) -> Expr {
    Expr::Not(Box::new(of))
}
