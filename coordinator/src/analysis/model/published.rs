//! What is published of a fit: estimates, tests of terms, how well it fits, covariance, and the patients of each site.

use bocage_protocol::analysis::{ModelSpec, Term};
use bocage_protocol::plan::{Family, Measure, ModelLayout, Sums};
use nalgebra::DMatrix;
use statrs::function::gamma::ln_gamma;

use super::errors::{Estimates, Summary, estimates};
use super::fit::{Fitted, Merged};
use super::nested::Nesting;
use super::{COLUMNS, Setting, contrasts};
use crate::api::types::{AnalysisResult, Block, Hidden, HiddenReason, NamedBlock, Value};

pub(super) fn result(
    setting: &Setting,
    spec: &ModelSpec,
    layout: &ModelLayout,
    fitted: &Fitted,
    nesting: Option<&Nesting>,
    first: Option<[f64; Sums::SCALARS]>,
    mut notes: Vec<String>,
) -> AnalysisResult {
    let found = estimates(spec, layout, fitted);
    let family = spec.response.family;
    notes.insert(0, format!("{} regression with {} link: {}", family.name(), family.link(), spec.formula));
    let ratio = exponential(family, &spec.response.of);
    if spec.response.weight.is_some() && log_likelihood(spec, layout, fitted).is_none() {
        notes.push("no likelihood: a weight may be 0, and how many are is not told".to_owned());
    }
    if fitted.merged.scalars[Sums::PEARSON].is_nan() {
        notes.push("no Pearson chi-squared: at a site one patient has too much of it".to_owned());
    }
    notes.extend(without_errors(&found));
    if let Some(nesting) = nesting {
        let n = fitted.merged.n;
        notes.push(format!("each likelihood-ratio test compares two fits of the same {n} patients of the same sites"));
        notes.extend(nesting.notes.iter().cloned());
    }
    notes.extend(without_r_squared(spec, first.is_some()));
    let mut of_terms = terms(&spec.terms, &found);
    of_terms.rows.extend(of_sites(&found));
    let tests = nesting.map(|nesting| named("likelihood-ratio tests", nesting.block(spec)));
    notes.extend(contrasts::without_sites(&spec.contrasts, &found));
    let contrasts = contrasts::estimated(ratio, spec.confidence, &spec.contrasts, &found);
    let contrasts = contrasts.map(|block| named("contrasts", block));
    let tested = contrasts::tested(&spec.contrasts, &found);
    for block in [Some(&of_terms), tested.as_ref()].into_iter().flatten() {
        notes.extend(contrasts::untested(block, &found));
    }
    let tested = tested.map(|block| named("tests of contrasts", block));
    let mut result = setting.result(coefficients(ratio, spec.confidence, &found), notes);
    result.also = vec![named("fit", goodness(spec, layout, fitted, &found, first)), named("tests of terms", of_terms)];
    result.also.extend([tests, contrasts, tested].into_iter().flatten());
    result.also.push(named("covariance of the estimates", covariance(&found)));
    result.also.push(named("patients with all that the model reads", sites(&fitted.merged)));
    result
}

/// That nothing says how sure the estimates are, since the dispersion is not known.
fn without_errors(found: &Estimates) -> Option<String> {
    let missing = !found.dispersion.is_finite() && !found.have_errors();
    missing.then(|| {
        "no standard errors, intervals and tests: they need the dispersion, which is Pearson's chi-squared by the residual degrees of freedom; \
         standard_errors = \"hc0\" does without"
            .to_owned()
    })
}

pub(in crate::analysis) fn named(title: &str, block: Block) -> NamedBlock {
    NamedBlock { title: title.to_owned(), block }
}

/// A number, or nothing where there is none.
pub(in crate::analysis) fn number(x: Option<f64>) -> Value {
    x.filter(|x| x.is_finite()).map_or(Value::Null, Value::Number)
}

pub(in crate::analysis) fn headed(columns: &[&str]) -> Block {
    Block { columns: columns.iter().map(|column| (*column).to_owned()).collect(), ..Block::default() }
}

/// What e to the power of a coefficient is, where it is something.
pub(super) fn exponential(family: Family, outcome: &Measure) -> Option<&'static str> {
    use bocage_protocol::plan::Link;
    match (family, outcome) {
        (Family::Binomial(Link::Logit), _) => Some("odds ratio"),
        (Family::Poisson, Measure::Condition(_)) => Some("risk ratio"),
        (Family::Poisson | Family::NegativeBinomial, _) => Some("rate ratio"),
        (Family::Gamma, _) => Some("mean ratio"),
        (Family::Gaussian | Family::Binomial(_), _) => None,
    }
}

/// Estimates with their intervals, and e to their power where that is something.
pub(super) fn coefficients(ratio: Option<&str>, confidence: f64, found: &Estimates) -> Block {
    let mut block = headed(&COLUMNS);
    if let Some(ratio) = ratio {
        block.columns.extend([ratio.to_owned(), "ratio from".to_owned(), "ratio to".to_owned()]);
    }
    let within = found.reference.quantile(confidence);
    for (i, name) in found.names.iter().enumerate() {
        let (estimate, error) = (found.beta[i], found.covariance[(i, i)].sqrt());
        let statistic = estimate / error;
        let ends = within.map(|within| [estimate - within * error, estimate + within * error]);
        let mut row = vec![Value::Text(name.clone())];
        row.extend([Some(estimate), Some(error), Some(statistic), found.reference.p(statistic)].map(number));
        row.extend([0, 1].map(|end| number(ends.map(|ends| ends[end]))));
        if ratio.is_some() {
            row.push(number(Some(estimate.exp())));
            row.extend([0, 1].map(|end| number(ends.map(|ends| ends[end].exp()))));
        }
        block.rows.push(row);
    }
    block
}

/// Wald's test of each term with all of its columns.
pub(super) fn terms(terms: &[Term], found: &Estimates) -> Block {
    let mut block = headed(&["term", "statistic", "degrees of freedom", "p"]);
    let at = |label: &str| found.names.iter().position(|name| name == label);
    for term in terms.iter().filter(|term| term.columns.iter().any(|column| !column.of.is_empty())) {
        let places: Vec<usize> = term.columns.iter().filter_map(|column| at(&column.label)).collect();
        block.rows.push(test(&term.label, &places, found));
    }
    block
}

/// That of all sites having one intercept, where each has its own.
fn of_sites(found: &Estimates) -> Option<Vec<Value>> {
    (found.sites.len() > 1).then(|| test("site", &(1..found.sites.len()).collect::<Vec<_>>(), found))
}

/// Of the coefficients at these places.
fn test(label: &str, places: &[usize], found: &Estimates) -> Vec<Value> {
    let rows = DMatrix::from_fn(places.len(), found.names.len(), |i, j| f64::from(u8::from(places[i] == j)));
    contrasts::tested_together(label, &rows, found)
}

pub(super) fn covariance(found: &Estimates) -> Block {
    let names: Vec<&str> = found.names.iter().map(String::as_str).collect();
    let mut block = headed(&[&["term"], names.as_slice()].concat());
    for (i, name) in found.names.iter().enumerate() {
        let row = (0..found.names.len()).map(|j| number(Some(found.covariance[(i, j)])));
        block.rows.push([Value::Text(name.clone())].into_iter().chain(row).collect());
    }
    block
}

pub(super) fn sites(merged: &Merged) -> Block {
    let mut block = headed(&["site", "patients"]);
    block.rows = merged.sites.iter().map(|(site, n)| vec![Value::Text(site.to_string()), Value::Count(*n)]).collect();
    block
}

/// Of whom a fit would have been, after so many rounds: patients, events, sites, and the patients of each.
pub(super) fn counted(merged: &Merged, events: Option<f64>, rounds: u32) -> Vec<NamedBlock> {
    let mut block = headed(&["quantity", "value"]);
    block.rows = counts(merged, events);
    block.rows.push(vec![Value::Text("rounds".to_owned()), Value::Count(u64::from(rounds))]);
    vec![named("fit", block), named("patients with all that the model reads", sites(merged))]
}

fn counts(merged: &Merged, events: Option<f64>) -> Vec<Vec<Value>> {
    let row = |name: &str, count: u64| vec![Value::Text(name.to_owned()), Value::Count(count)];
    let events = events.map(|events| row("events", events.round() as u64));
    let (patients, sites) = (row("patients", merged.n), row("sites", merged.sites.len() as u64));
    [Some(patients), events, Some(sites)].into_iter().flatten().collect()
}

fn goodness(
    spec: &ModelSpec,
    layout: &ModelLayout,
    fitted: &Fitted,
    found: &Estimates,
    first: Option<[f64; Sums::SCALARS]>,
) -> Block {
    let summary = Summary::of(fitted, layout);
    let log_likelihood = log_likelihood(spec, layout, fitted);
    // As R counts them: the dispersion is one where it is estimated with the likelihood.
    let family = spec.response.family;
    let counted = summary.parameters + f64::from(u8::from(family.is_dispersed() || fitted.theta.is_some()));
    let null = null_log_likelihood(spec, fitted, first);
    let mut block = headed(&["quantity", "value"]);
    block.rows = counts(&fitted.merged, spec.counts_events().then_some(fitted.merged.scalars[Sums::OUTCOME]));
    let mut add = |name: &str, value: Value| block.rows.push(vec![Value::Text(name.to_owned()), value]);
    add("parameters", Value::Count(fitted.beta.len() as u64));
    add("residual degrees of freedom", number(Some(summary.residual_degrees())));
    add("deviance", number(Some(summary.deviance)));
    add("Pearson chi-squared", number(Some(summary.pearson)));
    add("dispersion", number(Some(found.dispersion)));
    add("log-likelihood", number(log_likelihood));
    add("AIC", number(log_likelihood.map(|l| 2.0 * counted - 2.0 * l)));
    add("BIC", number(log_likelihood.map(|l| counted * summary.n.ln() - 2.0 * l)));
    if spec.response.family == Family::Gaussian {
        add("R-squared", number(first.and_then(|first| r_squared(spec, fitted, first))));
    } else {
        add("pseudo R-squared (McFadden)", number(log_likelihood.zip(null).map(|(l, null)| 1.0 - l / null)));
    }
    if let Some(theta) = fitted.theta {
        add("theta", number(Some(theta)));
    }
    add("rounds", Value::Count(u64::from(fitted.steps)));
    if !summary.pearson.is_finite() {
        hide(&mut block, "Pearson chi-squared", HiddenReason::FewerThanK);
        if !found.dispersion.is_finite() {
            hide(&mut block, "dispersion", HiddenReason::FewerThanK);
        }
    }
    block
}

/// Says why the numbers of this row, which exist, are not there.
pub(super) fn hide(block: &mut Block, name: &str, reason: HiddenReason) {
    let is_named = |row: &Vec<Value>| matches!(row.first(), Some(Value::Text(text)) if text == name);
    let Some(row) = block.rows.iter().position(is_named) else { return };
    let blank = |(column, value): (usize, &Value)| {
        (*value == Value::Null).then_some(Hidden { row, column, interval: None, reason })
    };
    let hidden: Vec<Hidden> = block.rows[row].iter().enumerate().filter_map(blank).collect();
    block.hidden.extend(hidden);
}

/// Of all patients, with a dispersion where that is estimated: RSS / n (gaussian), deviance / n (gamma, as R's `logLik` has it, where n is Σ weights).
pub(super) fn log_likelihood(spec: &ModelSpec, layout: &ModelLayout, fitted: &Fitted) -> Option<f64> {
    let (scalars, n) = (&fitted.merged.scalars, fitted.merged.n as f64);
    let summed = scalars[Sums::LOG_DENSITY];
    let deviance = (scalars[Sums::DEVIANCE] - fitted.left) * layout.outcome_scale.half.powi(2);
    match spec.response.family {
        Family::Binomial(_) | Family::Poisson | Family::NegativeBinomial => Some(summed + fitted.left / 2.0),
        // Who has no weight is no patient of the likelihood, and how many such there are is not told.
        Family::Gaussian if layout.weight.is_some_and(|weight| layout.inputs.ranges[weight].0 <= 0.0) => None,
        // What is summed is ln w / 2.
        Family::Gaussian => Some(summed - n / 2.0 * ((2.0 * std::f64::consts::PI * deviance / n).ln() + 1.0)),
        Family::Gamma => {
            let n = scalars[Sums::WEIGHT];
            let shape = n / deviance;
            let of_means = shape * (deviance / 2.0 + n);
            Some(n * shape * shape.ln() - of_means - summed - n * ln_gamma(shape))
        }
    }
}

/// Why it is not said what share of the outcome the model explains; nothing where it is.
fn without_r_squared(spec: &ModelSpec, same_as_first: bool) -> Option<String> {
    let family = spec.response.family;
    let why = match family {
        _ if spec.response.offset.is_some() => "with an offset a mean alone would be a fit of its own",
        Family::Gaussian if !has_intercept(spec) => "without an intercept the model holds no mean alone",
        Family::Gamma | Family::NegativeBinomial => "in this family a mean alone would be a fit of its own",
        Family::Gaussian | Family::Poisson if !same_as_first => {
            "other sites or patients are in the fit than at its begin"
        }
        Family::Gaussian | Family::Poisson | Family::Binomial(_) => return None,
    };
    let which = if family == Family::Gaussian { "R-squared" } else { "pseudo R-squared" };
    Some(format!("no {which}: {why}"))
}

fn has_intercept(spec: &ModelSpec) -> bool {
    spec.by_site || spec.columns().any(|column| column.of.is_empty())
}

/// That of a mean alone for all sites, where sums at the start give it.
fn null_log_likelihood(spec: &ModelSpec, fitted: &Fitted, first: Option<[f64; Sums::SCALARS]>) -> Option<f64> {
    if spec.response.offset.is_some() {
        return None;
    }
    let [n, sum] = [Sums::WEIGHT, Sums::OUTCOME].map(|at| fitted.merged.scalars[at]);
    let mean = sum / n;
    match spec.response.family {
        Family::Binomial(_) => Some(sum * mean.ln() + (n - sum) * (1.0 - mean).ln()),
        // At the start every mean is 1, so that the log-densities are −1 − ln y!.
        Family::Poisson => Some(sum * mean.ln() - n * mean + first?[Sums::LOG_DENSITY] + n),
        _ => None,
    }
}

/// 1 − RSS / TSS, about the mean.
fn r_squared(spec: &ModelSpec, fitted: &Fitted, first: [f64; Sums::SCALARS]) -> Option<f64> {
    if spec.response.offset.is_some() || !has_intercept(spec) {
        return None;
    }
    let [weight, sum] = [Sums::WEIGHT, Sums::OUTCOME].map(|at| first[at]);
    let total = first[Sums::DEVIANCE] - sum * sum / weight;
    Some(1.0 - fitted.merged.scalars[Sums::DEVIANCE] / total)
}

#[cfg(test)]
mod tests {
    use nalgebra::DVector;

    use super::super::errors::Reference;
    use super::*;

    #[test]
    fn without_a_dispersion_the_notes_blame_nothing_else() {
        let of = |dispersion: f64, covariance| Estimates {
            names: vec!["age".into(), "sex".into()],
            sites: vec![],
            beta: DVector::from_element(2, 1.0),
            covariance: DMatrix::from_element(2, 2, covariance),
            reference: Reference::T(100.0),
            dispersion,
        };
        let row = vec![Value::Text("age".into()), Value::Null, Value::Count(2), Value::Null];
        let block = Block { rows: vec![row], ..headed(&["term", "statistic", "degrees of freedom", "p"]) };
        let notes = |found: &Estimates| {
            without_errors(found).into_iter().chain(contrasts::untested(&block, found)).collect::<Vec<_>>()
        };
        let unknown = notes(&of(f64::NAN, f64::NAN));
        assert!(unknown.len() == 1 && unknown[0].starts_with("no standard errors, intervals and tests: they need the"));
        let singular = notes(&of(1.0, 1.0));
        assert!(singular.len() == 1 && singular[0].contains("is made of the others"), "{singular:?}");
        assert_eq!(notes(&of(f64::NAN, 1.0)).len(), 1, "hc0 does without a dispersion");
    }
}
