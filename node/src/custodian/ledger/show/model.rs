//! The sums of a model's step as a person reads them: each with what it is of.

use bocage_protocol::analysis::{CoxSpec, ModelSpec, Spec};
use bocage_protocol::plan::{CoxSums, GridSums, LeftOut, Sums};
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
pub(super) fn cell(release: &ModelRelease, spec: Option<&Spec>, stands: Option<&[usize]>, round: u16) -> ShownCell {
    let names = names(spec, stands, release.sums.len(), round);
    let count = ShownCount { subjects: release.n, rows: release.n };
    let measure = |(at, sum): (usize, &f64)| ShownMeasure {
        measure: names.get(at).cloned().unwrap_or_else(|| format!("sum {at}")),
        valid: Some(count),
        holds_rows: None,
        sum: Some(*sum),
        sum_quanta: None,
        sum_sq_quanta: None,
    };
    ShownCell {
        cell: vec!["patients of whom all is known".to_owned()],
        count: Some(count),
        measures: release.sums.iter().enumerate().map(measure).collect(),
    }
}

fn names(spec: Option<&Spec>, stands: Option<&[usize]>, values: usize, round: u16) -> Vec<String> {
    match spec {
        Some(Spec::Model(model)) => step(model, values),
        Some(Spec::CrossValidation(spec)) => steps(&spec.model, Some(spec.left_out), values),
        Some(Spec::ElasticNet(spec)) => steps(&spec.model, spec.left_out, values),
        Some(Spec::Cox(cox)) if cox.hazard.grid.is_some() => along(cox, values),
        Some(Spec::Scored(_)) => {
            let scalars = SCALARS.iter().map(|name| format!("sum of {name}"));
            let own = ["residuals", "variances", "squared residuals"].map(|name| format!("sum of {name}"));
            scalars.chain(own).take(values).collect()
        }
        Some(Spec::Cox(cox)) => {
            let columns: Vec<&str> = cox.columns().map(|column| column.label.as_str()).collect();
            let scalars: [&str; CoxSums::SCALARS] = ["events", "logarithm of the partial likelihood"];
            let pairs = ["pairs in the order of their risks", "pairs against it", "pairs of the same risk"];
            let mut named: Vec<String> = scalars.map(str::to_owned).to_vec();
            named.extend(singly("score", &columns).chain(doubly("information", &columns)));
            named.extend(pairs.map(str::to_owned));
            if cox.hazard.robust {
                named.extend(doubly("squared scores", &columns));
            }
            named.extend(singly("score along time", &columns).chain(doubly("information along time", &columns)));
            named.extend(doubly("information along time squared", &columns));
            named.truncate(values);
            named
        }
        Some(Spec::Correlation(pair)) => moments(&in_order(stands, pair.labels().to_vec())).take(values).collect(),
        Some(Spec::Pca(pca)) => moments(&in_order(stands, pca.headings())).take(values).collect(),
        Some(Spec::Kmeans(kmeans)) if round == 0 => {
            moments(&in_order(stands, kmeans.headings())).take(values).collect()
        }
        Some(Spec::Kmeans(kmeans)) => {
            let (columns, clusters) = (in_order(stands, kmeans.headings()), kmeans.clusters as usize);
            if columns.is_empty() {
                return Vec::new();
            }
            let starts = values.saturating_sub(columns.len()) / (clusters * (1 + columns.len())).max(1);
            let clusters = (1..=starts).flat_map(|start| (1..=clusters).map(move |cluster| (start, cluster)));
            let of_clusters = clusters.flat_map(|(start, cluster)| {
                let of = format!("start {start}, cluster {cluster}");
                let sums = columns.iter().map(|column| format!("{of}: sum of {column}")).collect::<Vec<_>>();
                std::iter::once(format!("{of}: patients")).chain(sums)
            });
            singly("sum of squares", &columns).chain(of_clusters).collect()
        }
        _ => Vec::new(),
    }
}

/// Columns without an outcome, in the order of the plan, in which they are summed. Where that is not known nobody knows which sum is whose.
fn in_order<'a>(stands: Option<&[usize]>, columns: Vec<&'a str>) -> Vec<&'a str> {
    let Some(stands) = stands.filter(|stands| stands.len() == columns.len()) else { return Vec::new() };
    let mut at: Vec<(&usize, &str)> = stands.iter().zip(columns).collect();
    at.sort_by_key(|(at, _)| **at);
    at.into_iter().map(|(_, column)| column).collect()
}

/// Of one step of a fit.
fn step(model: &ModelSpec, values: usize) -> Vec<String> {
    let own = model.by_site.then_some("the site's intercept");
    let columns: Vec<&str> = model.columns().map(|column| column.label.as_str()).chain(own).collect();
    let scalars = SCALARS.iter().map(|name| format!("sum of {name}"));
    let named = scalars.chain(singly("score", &columns)).chain(doubly("information", &columns));
    named.chain(doubly("squared scores", &columns)).take(values).collect()
}

/// Of fits that leave some out. How many there are, and whether squares are among their sums, follows from how many numbers there are.
fn steps(model: &ModelSpec, left_out: Option<LeftOut>, values: usize) -> Vec<String> {
    let sums = Sums { width: model.columns().count() };
    let by_fold = matches!(left_out, Some(LeftOut::Fold(_)));
    let fits = |size: &usize| match left_out {
        Some(LeftOut::Fold(count)) => values == size * (1 + 2 * usize::from(count)),
        _ => values.is_multiple_of(*size),
    };
    let sizes = [sums.information().end, sums.squares().end];
    let Some(size) = sizes.into_iter().find(fits) else { return Vec::new() };
    let of = |block: usize| match (block.checked_sub(1), by_fold) {
        (None, _) => "of all".to_owned(),
        (Some(fit), false) => format!("of all at fit {}", fit + 1),
        (Some(at), true) if at.is_multiple_of(2) => format!("of all but fold {}", at / 2 + 1),
        (Some(at), true) => format!("of fold {}", at / 2 + 1),
    };
    (0..values / size)
        .flat_map(|block| step(model, size).into_iter().map(move |name| format!("{}: {name}", of(block))))
        .collect()
}

/// Of hazards with one baseline. The plan's strata and intervals are not known here: they follow from how many numbers there are.
fn along(cox: &CoxSpec, values: usize) -> Vec<String> {
    let ends = cox.hazard.grid.as_ref().map_or(0, |grid| grid.ends.len());
    if values == ends {
        return (1..=ends).map(|end| format!("whether end {end} of the grid can stay")).collect();
    }
    if cox.hazard.start.is_some() {
        // In how many intervals somebody can come does not follow from the number.
        return Vec::new();
    }
    let columns: Vec<&str> = cox.columns().map(|column| column.label.as_str()).collect();
    let own = GridSums {
        width: columns.len(),
        strata: 1,
        intervals: 1,
        enters: 0,
        closing: false,
        timed: cox.hazard.proportionality.is_some(),
    };
    let size = own.group(0, false).len();
    let fits =
        |sums: &GridSums| values.checked_sub(sums.events(0)).is_some_and(|rest| rest.is_multiple_of(1 + 2 * size));
    let Some(sums) = [own, GridSums { closing: true, ..own }].into_iter().find(fits) else { return Vec::new() };
    let slots = (values - sums.events(0)) / (1 + 2 * size);
    let mut named = vec!["linear predictors of those with the event".to_owned()];
    named.extend(singly("sum among those with the event", &columns));
    let pairs = ["pairs in the order of their risks", "pairs against it", "pairs of the same risk"];
    named.extend(pairs.iter().take(sums.pairs().len()).map(|name| (*name).to_owned()));
    named.extend(singly("sum along time", &columns).take(sums.timed_columns().len()));
    named.extend((1..=slots).map(|slot| format!("events in interval {slot}")));
    for slot in 1..=slots {
        for how in ["otherwise", "by the event"] {
            let of = format!("of who leaves in interval {slot} {how}, weighted");
            named.push(format!("patients {of}"));
            named.extend(singly(&format!("sum {of},"), &columns));
            named.extend(doubly(&format!("products {of},"), &columns));
        }
    }
    named
}

/// Sums and products of columns.
fn moments<'a>(columns: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    singly("sum", columns).chain(doubly("sum of products", columns))
}

fn singly<'a>(what: &'a str, columns: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    columns.iter().map(move |column| format!("{what} of {column}"))
}

/// Of each two, as a lower triangle has them.
fn doubly<'a>(what: &'a str, columns: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let pairs = columns.iter().enumerate().flat_map(|(i, one)| columns[..=i].iter().map(move |other| (*one, *other)));
    pairs.map(move |(one, other)| format!("{what} of {one} and {other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_that_left_is_shown_with_those_whom_it_is_of() {
        let release = ModelRelease { threshold: 11, n: 59, sums: vec![37.0, -1.5] };
        let shown = cell(&release, None, None, 0);
        assert_eq!(shown.measures.len(), 2);
        for (measure, sum) in shown.measures.iter().zip([37.0, -1.5]) {
            assert_eq!((measure.sum, measure.valid.unwrap().subjects), (Some(sum), 59));
        }
    }

    #[test]
    fn sums_of_fits_that_leave_some_out_say_whose_they_are() {
        let text = serde_json::json!({
            "formula": "y ~ x", "by_site": false, "standard_errors": "model", "confidence": 0.95, "ridge": 0.0,
            "response": { "of": { "column": "y" }, "family": "gaussian" },
            "terms": [
                { "label": "1", "columns": [{ "label": "(intercept)", "of": [] }] },
                { "label": "x", "columns": [{ "label": "x", "of": [{ "number": { "column": "x" } }] }] },
            ],
        });
        let model: ModelSpec = serde_json::from_value(text).unwrap();
        let size = Sums { width: 2 }.information().end;
        let folds = steps(&model, Some(LeftOut::Fold(2)), 5 * size);
        assert_eq!(folds.len(), 5 * size);
        assert_eq!(folds[0], "of all: sum of weights");
        assert_eq!(
            (folds[size].as_str(), folds[2 * size].as_str()),
            ("of all but fold 1: sum of weights", "of fold 1: sum of weights")
        );
        assert_eq!(folds[5 * size - 1], "of fold 2: information of x and x");
        assert_eq!(steps(&model, Some(LeftOut::Site), 3 * size)[2 * size], "of all at fit 2: sum of weights");
    }

    #[test]
    fn sums_of_a_clustering_are_those_of_moments_first_and_then_of_each_starts_clusters() {
        let column = |name: &str| bocage_protocol::analysis::Named { label: name.to_owned(), of: vec![] };
        let spec = Spec::Kmeans(bocage_protocol::analysis::KmeansSpec {
            columns: vec![column("age"), column("chol")],
            clusters: 2,
            starts: 2,
            iterations: 9,
            seed: 1,
            scale: bocage_protocol::analysis::Metric::Sd,
        });
        assert_eq!(names(Some(&spec), None, 5, 0), Vec::<String>::new(), "nobody knows which is whose");
        let turned = names(Some(&spec), Some(&[1, 0]), 5, 0);
        assert_eq!((turned[0].as_str(), turned[1].as_str()), ("sum of chol", "sum of age"));
        let moments = names(Some(&spec), Some(&[0, 1]), 5, 0);
        assert_eq!((moments[1].as_str(), moments[3].as_str()), ("sum of chol", "sum of products of chol and age"));
        let clusters = names(Some(&spec), Some(&[0, 1]), 2 + 2 * 2 * 3, 1);
        assert_eq!(clusters.len(), 14);
        assert_eq!(clusters[0], "sum of squares of age");
        assert_eq!(clusters[2], "start 1, cluster 1: patients");
        assert_eq!(clusters[13], "start 2, cluster 2: sum of chol");
    }
}
