//! What is published of a clustering: the means of each cluster, how they differ from those of all, how well the clusters fit, and what became of each
//! start.

use bocage_protocol::analysis::{KmeansSpec, Metric};

use super::tries::{Found, Try};
use super::{Begun, columns};
use crate::analysis::Setting;
use crate::analysis::model::{headed, named, number};
use crate::analysis::pca::sites;
use crate::api::types::{AnalysisResult, Block, HiddenReason, Value};

pub(super) fn result(
    setting: &Setting,
    spec: &KmeansSpec,
    begun: &Begun,
    best: &Try,
    mut notes: Vec<String>,
) -> AnalysisResult {
    let none = || setting.result(Block { columns: columns(spec), ..Block::default() }, vec![]);
    let Some(found) = best.found() else { return none() };
    let order = order(found);
    notes.insert(0, said(spec, begun, found));
    if spec.scale == Metric::Sd && begun.sites != begun.moments.sites {
        notes.push("distances are in the standard deviations of the sites that answered the first round; all else is of those that answered the last".to_owned());
    }
    if !best.is_at_rest() {
        notes.push(format!("the centroids still moved after {} rounds: more iterations may help", begun.rounds));
    }
    let empty = found.sizes.iter().filter(|size| **size == 0).count();
    if empty > 0 {
        notes.push(format!("{empty} of {} clusters have nobody: ask for fewer", found.sizes.len()));
    }
    for site in &found.as_before {
        notes.push(format!(
            "{site} counts with an earlier answer: anew, so few patients would have changed their cluster that one could tell who"
        ));
    }
    let given_up = begun.tries.iter().filter(|of| of.found().is_none()).count();
    if given_up > 0 {
        notes.push(format!(
            "{given_up} of {} starts were given up: some site had too few patients about their centroids",
            begun.tries.len()
        ));
    }
    let shown: Vec<bool> = order.iter().map(|at| found.sites[*at] >= setting.min_sites).collect();
    let mut result = setting.result(clusters(spec, begun, found, (&order, &shown)), notes);
    result.also = vec![
        named("profiles", profiles(spec, found, (&order, &shown))),
        named("fit", fit(spec, begun, found, best)),
        named("columns", of_columns(spec, begun, found)),
        named("starts", starts(begun)),
        named("patients with all of the columns", sites(&begun.sites)),
    ];
    result
}

fn said(spec: &KmeansSpec, begun: &Begun, found: &Found) -> String {
    let unit = match spec.scale {
        Metric::Sd => "standard deviations",
        Metric::Range => "half the contract's ranges",
        Metric::None => "the columns' own units",
    };
    let n = found.patients();
    let starts = begun.tries.len();
    format!("{n} patients in {} clusters, distances in {unit}; the best of {starts} starts", spec.clusters)
}

/// The largest first; of equal ones as they stand.
fn order(found: &Found) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.sizes.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(found.sizes[*at]));
    order
}

fn name(rank: usize) -> Value {
    Value::Text(format!("{}", rank + 1))
}

/// Whether a cluster is shown, and why a hidden one is not.
const HIDDEN: HiddenReason = HiddenReason::TooFewSites;

fn clusters(spec: &KmeansSpec, begun: &Begun, found: &Found, (order, shown): (&[usize], &[bool])) -> Block {
    let mut block = Block { columns: columns(spec), ..Block::default() };
    let all = found.patients();
    for (rank, at) in order.iter().enumerate() {
        let size = found.sizes[*at];
        let mut row = vec![name(rank)];
        if !shown[rank] {
            for column in 1..block.columns.len() {
                row.push(block.value_or_hidden(rank, column, None, HIDDEN));
            }
            block.rows.push(row);
            continue;
        }
        row.extend([Value::Count(size), number(Some(size as f64 / all as f64))]);
        let scales = begun.moments.scales.iter().zip(&found.means[*at]);
        row.extend(scales.map(|(scale, z)| number(Some(scale.centre + scale.half * z))));
        block.rows.push(row);
    }
    block
}

/// In standard deviations of all patients, how far each cluster's mean lies from that of all.
fn profiles(spec: &KmeansSpec, found: &Found, (order, shown): (&[usize], &[bool])) -> Block {
    let mut block = headed(&["cluster", "column", "difference"]);
    let of_all: Vec<(f64, Option<f64>)> = (0..spec.columns.len()).map(|column| found.of_all(column)).collect();
    for (rank, at) in order.iter().enumerate() {
        for (column, named) in spec.columns.iter().enumerate() {
            let (mean, sd) = of_all[column];
            let in_sds = sd.map(|sd| (found.means[*at][column] - mean) / sd);
            let row = block.rows.len();
            let value = match shown[rank] {
                true => number(in_sds),
                false => block.value_or_hidden(row, 2, None, HIDDEN),
            };
            block.rows.push(vec![name(rank), Value::Text(named.label.clone()), value]);
        }
    }
    block
}

/// Sums of squares in the metric, and what follows from them.
fn fit(spec: &KmeansSpec, begun: &Begun, found: &Found, best: &Try) -> Block {
    let moments = &begun.moments;
    // Weights are relative to the largest: this is the metric's own unit again.
    let unit = match spec.scale {
        Metric::Sd => (0..spec.columns.len())
            .filter_map(|column| moments.scaled_sd(column))
            .map(|sd| sd.powi(-2))
            .fold(0.0, f64::max),
        Metric::Range => 1.0,
        Metric::None => moments.scales.iter().map(|scale| scale.half.powi(2)).fold(0.0, f64::max),
    };
    let n = found.patients();
    let inhabited = found.sizes.iter().filter(|size| **size > 0).count();
    let centre: Vec<f64> = (0..spec.columns.len()).map(|column| found.of_all(column).0).collect();
    let between: f64 = found
        .sizes
        .iter()
        .zip(&found.means)
        .map(|(size, means)| {
            let squares =
                means.iter().zip(&centre).zip(&begun.weights).map(|((z, c), weight)| weight * (z - c).powi(2));
            *size as f64 * squares.sum::<f64>()
        })
        .sum::<f64>()
        * unit;
    let within = found.within * unit;
    let (groups, rest) = (inhabited as f64 - 1.0, n as f64 - inhabited as f64);
    // Caliński, Harabasz (1974): between and within, each by its degrees of freedom.
    let index = (groups > 0.0 && rest > 0.0 && within > 0.0).then(|| (between / groups) / (within / rest));
    let mut block = headed(&["measure", "value"]);
    for (name, value) in [
        ("sum of squares within clusters", number(Some(within))),
        ("sum of squares between clusters", number(Some(between))),
        ("share that the clusters explain", number(Some(between / (between + within)))),
        ("Calinski-Harabasz index", number(index)),
        ("moves of the centroids", Value::Count(u64::from(found.moves))),
        ("at rest", Value::Text(if best.is_at_rest() { "yes" } else { "no" }.to_owned())),
    ] {
        block.rows.push(vec![Value::Text(name.to_owned()), value]);
    }
    block
}

fn of_columns(spec: &KmeansSpec, begun: &Begun, found: &Found) -> Block {
    let mut block = headed(&["column", "mean", "sd"]);
    for (at, column) in spec.columns.iter().enumerate() {
        let (scale, (mean, sd)) = (begun.moments.scales[at], found.of_all(at));
        let numbers = [scale.centre + scale.half * mean, scale.half * sd.unwrap_or(0.0)].map(|x| number(Some(x)));
        block.rows.push([Value::Text(column.label.clone())].into_iter().chain(numbers).collect());
    }
    block
}

/// What became of each start; how well it fits is relative to the best.
fn starts(begun: &Begun) -> Block {
    let mut block = headed(&["start", "within, of the best", "moves", "end"]);
    let least = begun.tries.iter().filter_map(|of| Some(of.found()?.within)).fold(f64::INFINITY, f64::min);
    for (at, of) in begun.tries.iter().enumerate() {
        let found = of.found();
        let relative = found.map(|found| if least > 0.0 { found.within / least } else { 1.0 });
        let end = match (found.is_some(), of.is_at_rest()) {
            (true, true) => "at rest",
            (true, false) => "on its way",
            (false, _) => "given up",
        };
        block.rows.push(vec![
            Value::Text(format!("{}", at + 1)),
            number(relative),
            found.map_or(Value::Null, |found| Value::Count(u64::from(found.moves))),
            Value::Text(end.to_owned()),
        ]);
    }
    block
}
