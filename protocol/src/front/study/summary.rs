//! `summary = { columns }`: every column at a glance. It is written as one analysis and becomes a few for each column, which the study's
//! signature then covers one by one: a node meets tables and quantiles only, each with a plan of its own.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{AnalysisSpec, Key, QuantilesSpec, Show, Shown, Spec, SummaryPart, TableSpec, Whole};
use crate::contract::{Column, Kind};
use crate::ids::{AnalysisName, ColumnName};
use crate::limits;
use crate::plan::{Columns, Expr, Measure, TypeProblem};
use crate::settings::join;

/// The quantiles of every number.
const AT: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// A column of more codes is not listed code by code.
const MOST_LEVELS: usize = 100;

#[derive(Deserialize)]
pub(super) struct RawSummary {
    columns: Option<Vec<ColumnName>>,
}

impl Binding<'_> {
    pub(super) fn summary(&mut self, key: &str, name: &AnalysisName, raw: &RawSummary) -> Option<Vec<AnalysisSpec>> {
        let key = join(key, "summary.columns");
        let columns: Vec<ColumnName> = match &raw.columns {
            Some(named) => named.iter().map(|name| self.relations.column(name)).collect(),
            None => self.relations.columns().cloned().collect(),
        };
        if columns.is_empty() {
            let problem = TypeProblem::new("a summary is of one column or more");
            return self.refuse(&key, problem.hint("leave `columns` out to summarise them all"));
        }
        let mut parts = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].contains(column) {
                self.refuse::<()>(&format!("{key}[{i}]"), TypeProblem::new(format!("`{column}` is named twice")));
                continue;
            }
            match self.parts_of(name, column) {
                Ok(of_column) => parts.extend(of_column),
                Err(problem) => {
                    self.refuse::<()>(&format!("{key}[{i}]"), problem);
                }
            }
        }
        Some(parts)
    }

    fn parts_of(&self, of: &AnalysisName, column: &ColumnName) -> Result<Vec<AnalysisSpec>, TypeProblem> {
        Columns::Contract(self.contract()).type_of(column)?;
        let found = self.contract().column(column.as_str());
        let specs = found.map_or_else(Vec::new, |found| questions(found, self.contract().one_row_per_subject()));
        let part = |column: &ColumnName| SummaryPart { of: of.clone(), column: column.clone(), whole: Whole::Summary };
        let named = |(suffix, spec): (&str, Spec)| {
            let long = format!("{of}_{column}{suffix}");
            let name: AnalysisName = long.parse().map_err(|_| {
                TypeProblem::new(format!("a part of the summary would be named `{long}`, which is too long"))
                    .hint("give the analysis a shorter name")
            })?;
            Ok(AnalysisSpec { name, spec, part: Some(part(column)) })
        };
        specs.into_iter().map(named).collect()
    }
}

/// What is asked of a column, with what is added to the name of each question.
fn questions(column: &Column, one_row_per_subject: bool) -> Vec<(&'static str, Spec)> {
    let own = || Expr::Column(column.name.clone());
    let table = |by: Vec<Key>, show: Vec<Shown>| ("", Spec::Table(TableSpec { by, show, roll_up: true }));
    // Where a patient can have several rows, what has a value is a row: one unit for all columns.
    let count = || match one_row_per_subject {
        true => Shown { label: "count".to_owned(), show: Show::Count },
        false => Shown { label: "rows".to_owned(), show: Show::Rows },
    };
    let missing = || Shown {
        label: format!("share({} is null)", column.name),
        show: Show::Share(Measure::Condition(Expr::IsNull(Box::new(own())))),
    };
    let levels = || table(vec![Key { label: column.name.to_string(), key: own() }], vec![count()]);
    match &column.kind {
        Kind::Int { lo, hi } if hi - lo + 1 < limits::MEASURE_LEVELS => vec![levels()],
        Kind::Code { codes, .. } if codes.len() <= MOST_LEVELS => vec![levels()],
        Kind::Bool => vec![levels()],
        Kind::Int { .. } | Kind::Float { .. } => {
            let of = || Measure::Column(column.name.clone());
            let mean = Shown { label: format!("mean({})", column.name), show: Show::Mean(of()) };
            let sd = Shown { label: format!("sd({})", column.name), show: Show::Sd(of()) };
            let quantiles = QuantilesSpec { of: column.name.clone(), at: AT.to_vec() };
            let quantiles = one_row_per_subject.then_some(("_quantiles", Spec::Quantiles(quantiles)));
            // The patients that quantiles leave out are counted there.
            let missing = (!one_row_per_subject && !column.required).then(missing);
            [table(vec![], [count(), mean, sd].into_iter().chain(missing).collect())]
                .into_iter()
                .chain(quantiles)
                .collect()
        }
        Kind::Code { .. } | Kind::Date { .. } | Kind::Datetime { .. } | Kind::Text => {
            // A required column has no missing value, and a share of none would always be hidden.
            vec![table(vec![], [count()].into_iter().chain((!column.required).then(missing)).collect())]
        }
    }
}
