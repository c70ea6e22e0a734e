//! What is published of a cross-validation: how well what came was expected by fits that did not know it, over all and for each fold; the curve; and
//! how the coefficients differ between fits.

use bocage_protocol::analysis::CrossValidationSpec;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Family, LeftOut, Sums};
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::super::fit::Merged;
use super::super::published::{headed, named, number};
use super::areas::Areas;
use super::calibration::Calibration;
use super::{COLUMNS, CrossValidationDriver};
use crate::api::types::{AnalysisResult, Block, Value};

/// The headings of what is said of each fold.
const FOLDS: [&str; 7] =
    ["left out", "patients", "events", "mean deviance", "Brier score", "mean squared error", "R-squared"];
/// Beside them where the curve of each is known.
const AREAS: [&str; 3] = ["area under the curve", "area least", "area most"];

pub(super) fn result(
    of: &CrossValidationDriver,
    calibration: Option<&Calibration>,
    curve: Option<AnalysisResult>,
    areas: Option<&Areas>,
) -> AnalysisResult {
    let model = &of.spec.model;
    let (family, fits) = (model.response.family, of.out.len());
    let left_out = match of.spec.left_out {
        LeftOut::Site => format!("each of {fits} sites left out in turn"),
        LeftOut::Fold(count) => format!("{count} folds of patients, drawn by each site's own key"),
    };
    let mut notes = vec![format!(
        "{} regression with {} link: {}, {left_out}; what is said of a patient is said by the fit without their fold",
        family.name(),
        family.link(),
        model.formula
    )];
    notes.extend(of.notes.iter().cloned());
    // What a curve hides stands by its rows, so that they come first.
    let mut block = curve.as_ref().map_or_else(|| headed(&COLUMNS), |curve| curve.block.clone());
    let mut add = |name: &str, values: [Option<f64>; 3]| {
        let mut row = vec![Value::Text(name.to_owned())];
        row.extend(values.map(number));
        row.resize(COLUMNS.len(), Value::Null);
        block.rows.push(row);
    };
    let whole = Scores::of(of, 0..fits);
    add("mean deviance", [Some(whole.deviance), None, None]);
    for (name, value) in [
        ("Brier score", whole.brier),
        ("log-likelihood", whole.log_likelihood),
        ("mean squared error", whole.squares),
        ("R-squared", whole.r_squared),
    ] {
        if value.is_some() {
            add(name, [value, None, None]);
        }
    }
    let z = of
        .spec
        .curve
        .as_ref()
        .map(|curve| Normal::standard().inverse_cdf(f64::midpoint(1.0, curve.confidence.share())));
    for (at, name) in ["calibration intercept", "calibration slope"].into_iter().enumerate() {
        if let Some((estimate, error)) = calibration.and_then(|found| found.end).map(|end| end[at]) {
            add(name, [Some(estimate), z.map(|z| estimate - z * error), z.map(|z| estimate + z * error)]);
        }
    }
    let mut also = vec![named("folds", folds(of, areas)), named("coefficients", coefficients(of))];
    if let Some(curve) = curve {
        also.extend(curve.also);
        notes.extend(
            curve.notes.into_iter().filter(|note| !of.notes.contains(note)).map(|note| format!("curve: {note}")),
        );
    }
    let mut result = of.setting.result(block, notes);
    result.also = also;
    result
}

/// How well what came of some was expected.
struct Scores {
    n: u64,
    events: Option<u64>,
    deviance: f64,
    brier: Option<f64>,
    log_likelihood: Option<f64>,
    squares: Option<f64>,
    r_squared: Option<f64>,
}

impl Scores {
    /// Of those who were left out of these fits, each by the fit that did not know them.
    fn of(driver: &CrossValidationDriver, fits: std::ops::Range<usize>) -> Self {
        let (spec, out) = (&driver.spec.model, &driver.out[fits.clone()]);
        let sum = |of: &dyn Fn(&Merged) -> f64| out.iter().map(of).sum::<f64>();
        let scalar = |at: usize| sum(&|merged| merged.scalars[at]);
        let n = sum(&|merged| merged.n as f64);
        let gaussian = spec.response.family == Family::Gaussian;
        let unit = driver.layout.outcome_scale.half.powi(2);
        let deviance = scalar(Sums::DEVIANCE) * if gaussian { unit } else { 1.0 };
        let intercept = spec.columns().position(|column| column.of.is_empty());
        let residuals = intercept.filter(|_| driver.has_brier()).map(|at| sum(&|merged| merged.squares[(at, at)]));
        // Of the sites that are there at the end.
        let first = || {
            let pairs = driver.first[fits.clone()].iter().zip(out);
            let is_in = |merged: &Merged, site: &SiteId| merged.sites.iter().any(|(known, _)| known == site);
            pairs.flat_map(move |(first, merged)| first.iter().filter(move |(site, _)| is_in(merged, site)))
        };
        let at_start = |at: usize| first().map(|(_, scalars)| scalars[at]).sum::<f64>();
        // Of other patients, as opt-outs make them, it is not how the outcome of these varies.
        let same = at_start(Sums::WEIGHT) == n && spec.response.offset.is_none();
        let varies = at_start(Sums::DEVIANCE) - at_start(Sums::OUTCOME).powi(2) / at_start(Sums::WEIGHT);
        let known = matches!(spec.response.family, Family::Binomial(_) | Family::Poisson);
        Self {
            n: n as u64,
            events: spec.counts_events().then(|| scalar(Sums::OUTCOME).round() as u64),
            deviance: deviance / n,
            brier: residuals.map(|sum| sum / n),
            log_likelihood: known.then(|| scalar(Sums::LOG_DENSITY)),
            squares: gaussian.then_some(deviance / n),
            r_squared: (gaussian && same).then(|| 1.0 - deviance / unit / varies),
        }
    }
}

fn folds(of: &CrossValidationDriver, areas: Option<&Areas>) -> Block {
    let mut block = headed(&FOLDS);
    block.columns.extend(areas.iter().flat_map(|_| AREAS).map(str::to_owned));
    for fit in 0..of.out.len() {
        let name = of.sites.get(fit).map_or_else(|| format!("fold {}", fit + 1), ToString::to_string);
        let mut row = vec![Value::Text(name)];
        let scores = Scores::of(of, fit..fit + 1);
        // A site that was there at the begin, and is not at the end.
        if scores.n == 0 {
            row.resize(block.columns.len(), Value::Null);
            block.rows.push(row);
            continue;
        }
        row.push(Value::Count(scores.n));
        row.push(scores.events.map_or(Value::Null, Value::Count));
        row.extend([Some(scores.deviance), scores.brier, scores.squares, scores.r_squared].map(number));
        let area = areas.and_then(|areas| areas.get(fit));
        row.extend(area.into_iter().flat_map(|area| &area.values).cloned());
        row.resize(block.columns.len(), Value::Null);
        block.rows.push(row);
        block.cover(fit, FOLDS.len()..block.columns.len(), area.and_then(|area| area.covered.as_ref()));
    }
    block
}

/// Of the fit on all, and of each without some.
fn coefficients(of: &CrossValidationDriver) -> Block {
    let without = (1..of.fits.len()).map(|fit| match of.sites.get(fit - 1) {
        Some(site) => format!("without {site}"),
        None => format!("without fold {fit}"),
    });
    let columns = ["term".to_owned(), "all".to_owned()].into_iter().chain(without).collect();
    let mut block = Block { columns, ..Block::default() };
    let scale = of.layout.outcome_scale;
    let beta: Vec<Vec<f64>> = of.fits.iter().map(|fit| of.as_asked(&fit.beta())).collect();
    for (at, column) in of.spec.model.columns().enumerate() {
        let centre = if column.of.is_empty() { scale.centre } else { 0.0 };
        let own = beta.iter().map(|beta| number(Some(beta[at] * scale.half + centre)));
        block.rows.push([Value::Text(column.label.clone())].into_iter().chain(own).collect());
    }
    block
}

/// How many values an answer has at most.
pub(in crate::analysis) fn values(spec: &CrossValidationSpec, sites: usize) -> usize {
    let fits = match spec.left_out {
        LeftOut::Site => sites.min(bocage_protocol::limits::FITS),
        LeftOut::Fold(count) => usize::from(count),
    };
    let curve = spec.curve.as_ref().map_or(0, |curve| 7 * curve.grid.len() + 10);
    10 * COLUMNS.len()
        + fits * (FOLDS.len() + AREAS.len())
        + spec.model.columns().count() * (fits + 2)
        + curve
        + 2 * sites
}
