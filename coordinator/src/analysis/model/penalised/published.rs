//! What is published of an elastic net: the coefficients at the penalty that is chosen, the whole path, and what is lost on those who were left out.

use bocage_protocol::analysis::ElasticNetSpec;
use bocage_protocol::plan::{Family, LeftOut, Sums};
use nalgebra::DVector;

use super::super::published::{exponential, headed, named, number, sites};
use super::ElasticNetDriver;
use crate::api::types::{AnalysisResult, Block, Value};

/// The headings of an answer.
pub(in crate::analysis) const COLUMNS: [&str; 2] = ["term", "estimate"];

/// A share of the deviance that is no more than this is none.
const ROUNDING: f64 = 1e-12;

pub(super) fn result(of: &ElasticNetDriver, path: &[DVector<f64>]) -> AnalysisResult {
    let (model, lambdas) = (&of.spec.model, &of.path.lambdas);
    let family = model.response.family;
    let chosen = of.losses.choice(of.spec.choice).unwrap_or(lambdas.len() - 1);
    let by = match of.spec.left_out {
        None if lambdas.len() < of.asked_for() => "the least that the path came to".to_owned(),
        None => "the least that was asked".to_owned(),
        Some(LeftOut::Site) => "chosen by sites that were left out in turn".to_owned(),
        Some(LeftOut::Fold(count)) => format!("chosen by {count} folds of patients, drawn by each site's own key"),
    };
    let mut notes = vec![format!(
        "{} regression with {} link: {}, held by an elastic net of mix {} and lambda {}, {by}; coefficients that are held have no standard errors",
        family.name(),
        family.link(),
        model.formula,
        of.spec.mix,
        lambdas[chosen]
    )];
    notes.extend(of.notes.iter().cloned());
    notes.extend(without_explained(of));
    let terms: Vec<&str> = model.columns().map(|column| column.label.as_str()).collect();
    let ratio = exponential(family, &model.response.of);
    let mut block = headed(&COLUMNS);
    block.columns.extend(ratio.map(str::to_owned));
    for (term, beta) in terms.iter().zip(as_asked(of, &path[chosen])) {
        let mut row = vec![Value::Text((*term).to_owned()), number(Some(beta))];
        row.extend(ratio.map(|_| number(Some(beta.exp()))));
        block.rows.push(row);
    }
    let mut result = of.setting.result(block, notes);
    result.also = vec![named("fit", fit(of, chosen)), named("path", all(of, path, &terms))];
    if !of.losses.of.is_empty() {
        result.also.push(named("losses", losses(of)));
    }
    result.also.extend(of.first.as_ref().map(|first| named("patients with all that the model reads", sites(first))));
    result
}

/// Coefficients of the columns as they stand, in the outcome's own unit.
fn as_asked(of: &ElasticNetDriver, beta: &DVector<f64>) -> Vec<f64> {
    let mut asked = of.path.basis.as_asked(beta);
    asked[of.path.basis.intercept] += of.layout.outcome_scale.centre;
    asked.iter().copied().collect()
}

fn fit(of: &ElasticNetDriver, chosen: usize) -> Block {
    let mut block = headed(&["quantity", "value"]);
    let mut add = |name: &str, value: Value| block.rows.push(vec![Value::Text(name.to_owned()), value]);
    if let Some(first) = &of.first {
        add("patients", Value::Count(first.n));
        if of.spec.model.counts_events() {
            add("events", Value::Count(first.scalars[Sums::OUTCOME].round() as u64));
        }
    }
    add("mix", number(Some(of.spec.mix)));
    add("lambda", number(Some(of.path.lambdas[chosen])));
    if let Some((least, within)) = of.losses.chosen() {
        add("lambda of the least loss", number(Some(of.path.lambdas[least])));
        add("lambda within one standard error", number(Some(of.path.lambdas[within])));
    }
    add("rounds", Value::Count(u64::from(of.rounds)));
    block
}

fn all(of: &ElasticNetDriver, path: &[DVector<f64>], terms: &[&str]) -> Block {
    let mut block = headed(&[&["lambda", "columns left", "deviance explained"], terms].concat());
    for ((lambda, beta), deviance) in of.path.lambdas.iter().zip(path).zip(&of.deviances) {
        let left = beta.iter().enumerate().filter(|(j, beta)| *j != of.path.basis.intercept && **beta != 0.0).count();
        let mut row = vec![number(Some(*lambda)), Value::Count(left as u64), number(explained(of, *deviance))];
        row.extend(as_asked(of, beta).into_iter().map(|beta| number(Some(beta))));
        block.rows.push(row);
    }
    block
}

/// Why no share of the deviance is said to be gone; nothing where one is.
fn without_explained(of: &ElasticNetDriver) -> Option<String> {
    let first = of.first.as_ref()?;
    let (n, sum) = (first.scalars[Sums::WEIGHT], first.scalars[Sums::OUTCOME]);
    let why = match of.spec.model.response.family {
        Family::Gaussian if of.spec.model.response.offset.is_some() => {
            "with an offset a mean alone would be a fit of its own"
        }
        Family::Gaussian => return None,
        _ if sum <= 0.0 => "nobody has the event, and a mean alone leaves none",
        _ if sum >= n => "everybody has the event, and a mean alone leaves none",
        _ => return None,
    };
    Some(format!("no share of the deviance is explained: {why}"))
}

/// What share of the deviance of a mean alone is gone.
fn explained(of: &ElasticNetDriver, deviance: f64) -> Option<f64> {
    let first = of.first.as_ref()?;
    let (n, sum) = (first.scalars[Sums::WEIGHT], first.scalars[Sums::OUTCOME]);
    let null = match of.spec.model.response.family {
        Family::Gaussian if of.spec.model.response.offset.is_some() => return None,
        Family::Gaussian => (first.scalars[Sums::DEVIANCE] - sum * sum / n) * of.layout.outcome_scale.half.powi(2),
        _ => -2.0 * (sum * (sum / n).ln() + (n - sum) * (1.0 - sum / n).ln()),
    };
    // What is below 0 is so by rounding, where no column is left.
    Some(1.0 - deviance / null).map(|share| if share.abs() < ROUNDING { 0.0 } else { share })
}

fn losses(of: &ElasticNetDriver) -> Block {
    let what = match of.spec.model.response.family {
        Family::Gaussian => "mean squared error",
        _ => "mean deviance",
    };
    let mut block = headed(&["lambda", what, "standard error", "chosen"]);
    let chosen = of.losses.chosen();
    for (at, (lambda, (mean, error))) in of.path.lambdas.iter().zip(of.losses.means()).enumerate() {
        let is = match chosen {
            Some((least, within)) if at == least && at == within => "min, 1se",
            Some((least, _)) if at == least => "min",
            Some((_, within)) if at == within => "1se",
            _ => "",
        };
        let is = if is.is_empty() { Value::Null } else { Value::Text(is.to_owned()) };
        block.rows.push(vec![number(Some(*lambda)), number(Some(mean)), number(Some(error)), is]);
    }
    block
}

/// How many values an answer has at most.
pub(in crate::analysis) fn values(spec: &ElasticNetSpec, sites: usize) -> usize {
    let (terms, points) = (spec.model.columns().count(), spec.lambdas.len().max(usize::from(spec.points)));
    3 * terms + points * (terms + 7) + 20 + 2 * sites
}
