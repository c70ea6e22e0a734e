//! The sums of a model's step as a person reads them: each with what it is of.

use bocage_protocol::analysis::Spec;
use bocage_protocol::plan::Sums;
use bocage_protocol::release::ModelRelease;

use super::{ShownCell, ShownCount, ShownMeasure};

const SCALARS: [&str; Sums::SCALARS] = [
    "weights",
    "outcome",
    "log-density",
    "deviance",
    "Pearson's chi-squared",
    "first derivative in theta",
    "second derivative in theta",
];

/// All sums, as measures of the one group that a model has.
pub(super) fn cell(release: &ModelRelease, spec: Option<&Spec>) -> ShownCell {
    let names = names(spec, release.sums.len());
    let measure = |(at, sum): (usize, &f64)| ShownMeasure {
        measure: names.get(at).cloned().unwrap_or_else(|| format!("sum {at}")),
        valid: None,
        holds_rows: None,
        sum: Some(*sum),
        sum_quanta: None,
        sum_sq_quanta: None,
    };
    ShownCell {
        cell: vec!["patients of whom all is known".to_owned()],
        count: Some(ShownCount { subjects: release.n, rows: release.n }),
        measures: release.sums.iter().enumerate().map(measure).collect(),
    }
}

fn names(spec: Option<&Spec>, values: usize) -> Vec<String> {
    let Some(Spec::Model(model)) = spec else { return Vec::new() };
    let mut columns: Vec<&str> = model.columns().map(|column| column.label.as_str()).collect();
    if model.by_site {
        columns.push("the site's intercept");
    }
    let pairs =
        || columns.iter().enumerate().flat_map(|(i, one)| columns[..=i].iter().map(move |other| (*one, *other)));
    let scalars = SCALARS.iter().map(|name| format!("sum of {name}"));
    let scores = columns.iter().map(|column| format!("score of {column}"));
    let information = pairs().map(|(one, other)| format!("information of {one} and {other}"));
    let squares = pairs().map(|(one, other)| format!("squared scores of {one} and {other}"));
    scalars.chain(scores).chain(information).chain(squares).take(values).collect()
}
