//! `summary = { columns }`: every column at a glance. It is written as one analysis and becomes a few for each column, which the study's
//! signature then covers one by one: a node meets tables and quantiles only, each with a plan of its own.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{
    AnalysisSpec, DiscoveredSpec, Key, QuantilesSpec, Show, Shown, Spec, SummaryPart, TableSpec, Whole,
};
use crate::contract::{Column, Contract, Kind};
use crate::ids::{AnalysisName, ColumnName};
use crate::limits;
use crate::plan::{Columns, Expr, Measure, PeriodUnit, Periods, TypeProblem, check_discovered, check_key};
use crate::settings::join;

/// The quantiles of every number.
const AT: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Of a column of more codes, and of texts, the most frequent are listed.
const MOST_LEVELS: usize = 100;
/// So many of them.
const FREQUENT: u32 = 20;
/// Dates of a longer range are not counted by year.
const MOST_YEARS: i32 = 300;

#[derive(Deserialize)]
pub(super) struct RawSummary {
    columns: Option<Vec<ColumnName>>,
    /// Whether the most frequent values of texts and long code lists are named: that is asked by discovered keys, which sites can keep to themselves.
    #[serde(default)]
    frequent: bool,
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
            match self.parts_of(name, column, raw.frequent) {
                Ok(of_column) => parts.extend(of_column),
                Err(problem) => {
                    self.refuse::<()>(&format!("{key}[{i}]"), problem);
                }
            }
        }
        Some(parts)
    }

    fn parts_of(
        &self,
        of: &AnalysisName,
        column: &ColumnName,
        frequent: bool,
    ) -> Result<Vec<AnalysisSpec>, TypeProblem> {
        Columns::Contract(self.contract()).type_of(column)?;
        let found = self.contract().column(column.as_str());
        let specs = found.map_or_else(Vec::new, |found| questions(found, self.contract(), frequent));
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
fn questions(column: &Column, contract: &Contract, named: bool) -> Vec<(&'static str, Spec)> {
    let one_row_per_subject = contract.one_row_per_subject();
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
            let all = table(vec![], [count()].into_iter().chain((!column.required).then(missing)).collect());
            let by_year = by_year(column, contract).map(|key| ("_years", table(vec![key], vec![count()]).1));
            let frequent = named.then(|| frequent(column, contract, count())).flatten();
            [all].into_iter().chain(by_year).chain(frequent).collect()
        }
    }
}

/// The years of a date, where they are not too many.
fn by_year(column: &Column, contract: &Contract) -> Option<Key> {
    let periods = Periods::spanning(column.name.clone(), PeriodUnit::Year, None, contract).ok()?;
    let key = Expr::Periods(periods.clone());
    let few = periods.to - periods.from <= MOST_YEARS * 366 && check_key(&key, contract).is_ok();
    few.then(|| Key { label: column.name.to_string(), key })
}

/// The most frequent values, where they can be discovered.
fn frequent(column: &Column, contract: &Contract, count: Shown) -> Option<(&'static str, Spec)> {
    let of_values = matches!(column.kind, Kind::Code { .. } | Kind::Text);
    let table = TableSpec { by: vec![], show: vec![count], roll_up: false };
    let (label, key) = (column.name.to_string(), column.name.clone());
    (of_values && check_discovered(&key, contract).is_ok())
        .then_some(("_frequent", Spec::Discovered(DiscoveredSpec { label, key, table, top: FREQUENT })))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::bind_to;
    use crate::contract::parse;

    const CONTRACT: &str = r#"
        id = "visits@1"
        subject = "patient"
        [[column]]
        name = "patient"
        type = "text"
        [[column]]
        name = "ward"
        type = "text"
        [[column]]
        name = "seen"
        type = "date"
        range = ["2000-01-01", "2030-12-31"]
        required = true
        [[column]]
        name = "ever"
        type = "date"
        range = ["1000-01-01", "2030-12-31"]
    "#;

    #[test]
    fn a_text_has_its_most_frequent_values_if_that_is_asked_and_a_date_its_years_where_those_are_not_too_many() {
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'visits@1'\n\
                    [[analysis]]\nname = 's'\nsummary = { columns = ['ward', 'seen', 'ever'], frequent = true }";
        let contract = parse(CONTRACT, "c").unwrap();
        let study = bind_to(&contract, text).unwrap();
        let names: Vec<&str> = study.analyses.iter().map(|analysis| analysis.name.as_str()).collect();
        assert_eq!(names, ["s_ward", "s_ward_frequent", "s_seen", "s_seen_years", "s_ever"]);
        let study = bind_to(&contract, &text.replace(", frequent = true", "")).unwrap();
        let names: Vec<&str> = study.analyses.iter().map(|analysis| analysis.name.as_str()).collect();
        assert_eq!(names, ["s_ward", "s_seen", "s_seen_years", "s_ever"], "sites may keep values to themselves");
        let patient = text.replace("'ward', ", "'patient', ");
        assert!(bind_to(&contract, &patient).is_err(), "nobody reads who the patient is");
    }

    #[test]
    fn a_summary_of_more_columns_than_a_study_holds_says_how_many_it_does() {
        let column = |i: usize| format!("[[column]]\nname = 'x{i}'\ntype = 'float'\nrange = [0, 1]\n");
        let columns: String = (0..60).map(column).collect();
        let contract = parse(&format!("id = \"wide@1\"\nsubject = \"row\"\n{columns}"), "c").unwrap();
        let text = "title = 't'\npurpose = 'statistics'\ndataset = 'wide@1'\n\
                    [[analysis]]\nname = 's'\nsummary = {}\n[[analysis]]\nname = 'n'\ntable = { show = ['count'] }";
        let problems = bind_to(&contract, text).unwrap_err();
        let hint = "hint: name the first 49 columns in `s`, and the others in a second study";
        assert!(
            problems.contains("121 analyses with the parts of all summaries: at most 100") && problems.contains(hint),
            "{problems}"
        );
    }
}
