//! A study's tables and features while its text is bound: each distinct value that an expression makes of a patient's rows becomes a
//! feature, once, and is a column from then on.

use std::collections::{BTreeMap, BTreeSet};

use super::codes::Lists;
use super::expression::{Binder, Scope};
use super::sql::parse;
use crate::contract::Contract;
use crate::ids::{AnalysisName, ColumnName, TableName};
use crate::limits;
use crate::plan::{
    Calls, Contracts, Derived, Expr, Feature, Fit, Known, Measure, Product, Query, RelatedTable, TypeProblem,
    check_feature, is_numbered, summed_together,
};

/// What every expression of a study may name beside columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// The code lists.
    pub lists: Lists,
    /// The day on which the study is bound; none where there is no study.
    pub today: Option<i32>,
}

/// A name that stands for an expression, with its place in the text.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub key: String,
    pub text: String,
}

/// A fitted model of a study's text.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub fit: Fit,
    pub columns: Vec<Product>,
    /// None where an analysis of the same study finds them.
    pub beta: Vec<f64>,
    /// That analysis.
    pub from: Option<AnalysisName>,
    /// Its outcome, where that is a condition.
    pub outcome: Option<Expr>,
}

/// Tables, features and named values of a study.
pub(super) struct Relations {
    base: Contract,
    /// What the text calls the base.
    base_name: Option<TableName>,
    /// The contracts with the features so far.
    known: Known,
    features: Vec<Feature>,
    definitions: BTreeMap<ColumnName, Definition>,
    /// What the definitions were bound to; nothing where one could not be.
    resolved: BTreeMap<ColumnName, Option<Expr>>,
    open: Vec<ColumnName>,
    given: Given,
    /// Fitted models; nothing where one is wrong.
    models: BTreeMap<ColumnName, Option<Fitted>>,
    /// What is wrong with definitions, each with its place.
    pub problems: Vec<(String, TypeProblem)>,
}

impl Relations {
    pub fn new(contracts: &Contracts<'_>, base_name: Option<TableName>, given: Given) -> Self {
        Self {
            base: contracts.base.clone(),
            base_name,
            known: Known::of(contracts),
            features: Vec::new(),
            definitions: BTreeMap::new(),
            resolved: BTreeMap::new(),
            open: Vec::new(),
            given,
            models: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Names that expressions may use from now on.
    pub fn define(&mut self, definitions: BTreeMap<ColumnName, Definition>) {
        self.definitions = definitions;
    }

    /// A fitted model that expressions may name from now on; nothing where it is wrong, which was said.
    pub fn fit(&mut self, name: ColumnName, fitted: Option<Fitted>) {
        self.models.insert(name, fitted);
    }

    pub fn models(&self) -> &BTreeMap<ColumnName, Option<Fitted>> {
        &self.models
    }

    /// The base with all features so far.
    pub fn extended(&self) -> &Contract {
        &self.known.base
    }

    /// Whether a column or a value of the study is called so.
    pub fn knows(&self, name: &str) -> bool {
        self.extended().column(name).is_some() || self.definitions.keys().any(|known| known.as_str() == name)
    }

    /// What a summary of everything is about: the base's columns, and the values that the study names.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnName> {
        let own = self.features.iter().filter(|feature| feature.on.is_none()).map(|feature| &feature.name);
        let named = own.filter(|name| self.definitions.contains_key(*name));
        let columns = self.base.columns().iter().map(|column| &column.name);
        columns.filter(|name| self.base.can_be_read(name.as_str())).chain(named)
    }

    /// The column that a name means: its own, or that of a feature which is the same under another name.
    pub fn column(&self, name: &ColumnName) -> ColumnName {
        match self.resolved.get(name) {
            Some(Some(Expr::Column(column))) => column.clone(),
            _ => name.clone(),
        }
    }

    pub fn base(&self) -> &Contract {
        &self.base
    }

    pub fn given(&self) -> &Given {
        &self.given
    }

    pub fn definitions(&self) -> impl Iterator<Item = &ColumnName> {
        self.definitions.keys()
    }

    pub fn is_base(&self, table: &str) -> bool {
        self.base_name.as_ref().is_some_and(|name| name.as_str() == table)
    }

    /// The contract of a table with the features of its rows; the base's where there is no such table.
    pub fn of_rows(&self, table: &TableName) -> &Contract {
        self.known.at(Some(table)).unwrap_or(&self.known.base)
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<(&TableName, &Contract)> {
        self.known.tables.iter().find(|(table, _)| table.as_str() == name)
    }

    /// To which row of which table a name leads from a row of `own`: that of the column of this name which refers to rows, or that of the only
    /// column which refers to rows of the table of this name. Nothing where the name is neither.
    pub fn reference(&self, own: &Contract, name: &str) -> Result<Option<(ColumnName, TableName)>, TypeProblem> {
        let of_dataset = |dataset: &str| self.known.tables.iter().find(|(_, contract)| contract.id().name() == dataset);
        if let Some(column) = own.column(name)
            && let Some(dataset) = &column.references
        {
            return match of_dataset(dataset) {
                Some((table, _)) => Ok(Some((column.name.clone(), table.clone()))),
                None => Err(TypeProblem::new(format!("`{name}` refers to rows of {dataset}, and no table is that"))
                    .hint(format!("name it under [tables]: {name} = \"{dataset}@VERSION\""))),
            };
        }
        let Some((table, contract)) = self.table(name) else { return Ok(None) };
        let through: Vec<&str> = own.references_to(contract.id().name()).map(|column| column.name.as_str()).collect();
        match through.as_slice() {
            [] => Ok(None),
            [one] => Ok(one.parse().ok().map(|one| (one, table.clone()))),
            several => {
                Err(TypeProblem::new(format!("several columns refer to rows of `{table}`: {}", several.join(", ")))
                    .hint(format!("say which one: {}.COLUMN", several[0])))
            }
        }
    }

    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.known.tables.keys().map(TableName::as_str)
    }

    /// Whose births count: the base's, or those of the only other table that says when a patient was born and has one row of each.
    pub fn births(&self) -> Result<Option<TableName>, TypeProblem> {
        if self.base.birth().is_some() {
            return Ok(None);
        }
        let born =
            |(_, contract): &(&TableName, &Contract)| contract.birth().is_some() && contract.one_row_per_subject();
        let tables: Vec<&TableName> = self.known.tables.iter().filter(born).map(|(name, _)| name).collect();
        match tables.as_slice() {
            [one] => Ok(Some((*one).clone())),
            [] => Err(TypeProblem::new("no table says when a patient was born").hint(
                "a contract names the column (birth = \"…\"); the table has one row a patient, and stands under [tables]",
            )),
            several => {
                let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                Err(TypeProblem::new(format!("several tables say when a patient was born: {}", names.join(", ")))
                    .hint("name one of them under [tables]"))
            }
        }
    }

    /// What a defined name stands for: nothing where it is none, an inner nothing where its definition is wrong, which is said there.
    pub fn resolve(
        &mut self,
        name: &ColumnName,
        derived: &BTreeMap<ColumnName, String>,
        depth: usize,
    ) -> Option<Option<Expr>> {
        if let Some(known) = self.resolved.get(name) {
            return Some(known.clone());
        }
        let Definition { key, text } = self.definitions.get(name)?.clone();
        if self.open.contains(name) {
            self.problems.push((key, TypeProblem::new(format!("`{name}` is made of itself"))));
            return Some(None);
        }
        self.open.push(name.clone());
        let (bound, problems) = match parse(&text) {
            Ok(sql) => {
                let mut binder = Binder::new(Scope::Study(self), derived).at_depth(depth);
                let bound = binder.bind_named(&sql, name);
                (bound, binder.problems)
            }
            Err(problem) => (None, vec![problem]),
        };
        self.open.pop();
        let bound = bound.filter(|_| problems.is_empty()).map(|(expr, _)| expr);
        self.problems.extend(problems.into_iter().map(|problem| (key.clone(), problem)));
        self.resolved.insert(name.clone(), bound.clone());
        Some(bound)
    }

    /// The column that holds `of`: that of an earlier feature which is the same, or a new one, called `name` or by a number. It is one of the base,
    /// or of the rows of the table `on`.
    pub fn feature(
        &mut self,
        of: Derived,
        on: Option<TableName>,
        name: Option<ColumnName>,
        taken: &BTreeMap<ColumnName, String>,
    ) -> Result<ColumnName, Vec<TypeProblem>> {
        if let Some(same) = self.features.iter().find(|feature| feature.of == of && feature.on == on) {
            return Ok(same.name.clone());
        }
        if self.features.len() >= limits::FEATURES {
            let problem = TypeProblem::new(format!("the study has more than {} features", limits::FEATURES));
            return Err(vec![problem.hint("write a second study")]);
        }
        let free = |name: &ColumnName| {
            let mut all = self.known.tables.values().chain([&self.known.base]);
            let is_column = all.any(|contract| contract.column(name.as_str()).is_some());
            !is_column && !taken.contains_key(name) && !self.definitions.contains_key(name)
        };
        let mut numbered = (1..).filter_map(|n| format!("f{n}").parse().ok());
        let Some(name) = name.or_else(|| numbered.find(free)) else { return Err(vec![]) };
        let feature = Feature { name: name.clone(), on, of };
        let problems = check_feature(&feature, &self.known, &self.features);
        if !problems.is_empty() {
            return Err(problems);
        }
        self.known.add(&feature);
        self.features.push(feature);
        Ok(name)
    }

    /// What people read of features that have no name.
    pub fn calls(&self) -> Calls {
        Calls::of(&self.features, |name| (!is_numbered(name)).then(|| name.clone()))
    }

    /// Whether a table may sum these beside each other.
    pub fn summed_together(&self, measures: &[Measure]) -> bool {
        let (features, related) = self.used(measures.iter().flat_map(Measure::columns));
        let (base, tables) = (&self.known.base, self.known.tables.iter());
        let contracts = Contracts { base, related: tables.map(|(name, table)| (name.clone(), table)).collect() };
        summed_together(measures, &Query { features, related, ..base.rows(None) }, &contracts)
    }

    /// The features that `read` reads, and those that these read, with the tables that they look into.
    pub fn used<'b>(
        &self,
        read: impl Iterator<Item = &'b ColumnName>,
    ) -> (Vec<Feature>, BTreeMap<TableName, RelatedTable>) {
        let mut used: BTreeSet<(Option<&TableName>, &ColumnName)> = BTreeSet::new();
        let read: BTreeSet<&ColumnName> = read.collect();
        for feature in self.features.iter().rev() {
            let here = (feature.on.as_ref(), &feature.name);
            if used.contains(&here) || (feature.on.is_none() && read.contains(&feature.name)) {
                used.insert(here);
                used.extend(feature.reads());
            }
        }
        let is_used = |feature: &&Feature| used.contains(&(feature.on.as_ref(), &feature.name));
        let features: Vec<Feature> = self.features.iter().filter(is_used).cloned().collect();
        let names: BTreeSet<&TableName> = features.iter().flat_map(Feature::tables).collect();
        let related = self.known.tables.iter().filter(|(name, _)| names.contains(name)).map(|(name, contract)| {
            (name.clone(), RelatedTable { dataset: contract.id().clone(), contract: contract.hash() })
        });
        let related = related.collect();
        (features, related)
    }
}

#[cfg(test)]
pub(crate) mod tests;
