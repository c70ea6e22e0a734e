//! What is published of a Cox model: hazard ratios, tests, how well it orders patients, whether hazards are proportional.

use bocage_protocol::plan::{CoxSums, Ties};
use nalgebra::{DMatrix, DVector};

use super::super::contrasts;
use super::super::errors::{Estimates, Reference};
use super::super::fit::inverse;
use super::super::published::{coefficients, covariance, headed, hide, named, number, sites, terms};
use super::{CoxDriver, End, square};
use crate::api::types::{AnalysisResult, Block, HiddenReason, Value};

impl CoxDriver {
    /// The estimates of the columns as they were asked.
    pub(in crate::analysis::model) fn estimates(&self, end: &End) -> Estimates {
        let transform = self.transform();
        let scaled = match self.spec.hazard.robust {
            true => &end.inverse * &end.merged.squares * &end.inverse,
            false => end.inverse.clone(),
        };
        Estimates {
            sites: Vec::new(),
            names: self.spec.columns().map(|column| column.label.clone()).collect(),
            beta: &transform * &end.beta,
            covariance: &transform * scaled * transform.transpose(),
            reference: Reference::Normal,
            dispersion: 1.0,
        }
    }

    /// What errors of the model take for granted, where a patient can have several rows.
    pub(in crate::analysis::model) fn of_rows(&self) -> Option<String> {
        let taken = !self.setting.one_row_per_subject && !self.spec.hazard.robust;
        taken.then(|| {
            "a patient can have several rows: the errors take several events of one as independent; standard_errors = \"robust\" does not"
                .to_owned()
        })
    }

    pub(super) fn published(&self, end: &End, mut notes: Vec<String>) -> AnalysisResult {
        let (transform, found) = (self.transform(), self.estimates(end));
        let ties = match self.spec.hazard.ties {
            Ties::Efron => "Efron",
            Ties::Breslow => "Breslow",
        };
        let formula = &self.spec.formula;
        let baseline = match (&self.spec.hazard.grid, &end.along) {
            (Some(grid), Some(along)) => {
                let (all, stay) = (grid.ends.len(), along.grid().intervals);
                if stay < all {
                    notes.push(format!(
                        "times are rounded to {stay} of the {all} intervals, those that all sites keep: {}",
                        self.kept_by_site()
                    ));
                }
                "one baseline for all sites along a grid"
            }
            _ => "a baseline for each site",
        };
        notes.extend(self.of_rows());
        if self.null(end).is_none() {
            notes.push(
                "no likelihood-ratio and score test: other sites or patients are in the fit than at its begin"
                    .to_owned(),
            );
        }
        notes.insert(0, format!("Cox regression with {baseline}, ties after {ties}: {formula}"));
        let ratio = Some("hazard ratio");
        let mut result = self.setting.result(coefficients(ratio, self.spec.confidence, &found), notes);
        result.also = vec![
            named("fit", self.goodness(end)),
            named("tests of the model", self.tests(end, &found)),
            named("tests of terms", terms(&self.spec.terms, &found)),
        ];
        let asked = &self.spec.contrasts;
        let contrasts = contrasts::estimated(ratio, self.spec.confidence, asked, &found);
        let tested = contrasts::tested(asked, &found);
        result.notes.extend(tested.iter().flat_map(|block| contrasts::untested(block, &found)));
        result.also.extend(contrasts.map(|block| named("contrasts", block)));
        result.also.extend(tested.map(|block| named("tests of contrasts", block)));
        if self.spec.hazard.proportionality.is_some() {
            result.also.push(named("proportionality", self.proportionality(end, &transform)));
        }
        if let Some(along) = &end.along {
            result.also.push(named("baseline", self.baseline(end, along)));
            if !self.spec.patterns.is_empty() {
                result.also.push(named("survival", self.without_event(end, along)));
            }
        }
        result.also.push(named("covariance of the estimates", covariance(&found)));
        result.also.push(named("patients with all that the model reads", sites(&end.merged)));
        result
    }

    /// Columns as they were asked, of scaled ones. What centring took off is the baseline's.
    fn transform(&self) -> DMatrix<f64> {
        let (rows, width) = (self.layout.transform.rows(), self.layout.columns.len());
        DMatrix::from_fn(width, width, |i, j| rows[i][j])
    }

    /// The log-likelihood at coefficients of 0, where it is of the same sites.
    fn null(&self, end: &End) -> Option<f64> {
        let first = self.first.as_ref().filter(|first| first.sites == end.merged.sites)?;
        Some(first.log_likelihood)
    }

    fn goodness(&self, end: &End) -> Block {
        let log_likelihood = end.sums[CoxSums::LOG_LIKELIHOOD];
        let parameters = end.shape.width;
        let pairs = &end.sums[end.shape.pairs()];
        let all: f64 = pairs.iter().sum();
        let mut block = headed(&["quantity", "value"]);
        let mut add = |name: &str, value: Value| block.rows.push(vec![Value::Text(name.to_owned()), value]);
        add("patients", Value::Count(end.merged.n));
        add("events", Value::Count(end.sums[CoxSums::EVENTS].round() as u64));
        add("sites", Value::Count(end.merged.sites.len() as u64));
        add("parameters", Value::Count(parameters as u64));
        add("log-likelihood without terms", number(self.null(end)));
        add("log-likelihood", number(Some(log_likelihood)));
        add("AIC", number(Some(2.0 * parameters as f64 - 2.0 * log_likelihood)));
        // Harrell et al. (1982), over pairs of one site and stratum.
        add("concordance", number((all > 0.0).then(|| (pairs[0] + pairs[2] / 2.0) / all)));
        add("pairs of patients", Value::Count(all.round() as u64));
        add("rounds", Value::Count(u64::from(end.rounds)));
        if self.null(end).is_none() {
            hide(&mut block, "log-likelihood without terms", HiddenReason::NotAllExact);
        }
        block
    }

    /// Those of all coefficients being 0 (Therneau, Grambsch 2000, §3.4). Wald's is of the standard errors that were asked for, the others of the model.
    fn tests(&self, end: &End, found: &Estimates) -> Block {
        let df = end.shape.width;
        let ratio = self.null(end).map(|null| 2.0 * (end.sums[CoxSums::LOG_LIKELIHOOD] - null));
        let wald = inverse(&found.covariance).ok().map(|of| (found.beta.transpose() * of * &found.beta)[(0, 0)]);
        let score = self.null(end).and_then(|_| self.first.as_ref()?.score_test);
        let mut block = headed(&TESTS);
        for (name, statistic) in [("likelihood ratio", ratio), ("Wald", wald), ("score", score)] {
            block.rows.push(test(name, statistic, df));
        }
        if self.null(end).is_none() {
            ["likelihood ratio", "score"].iter().for_each(|name| hide(&mut block, name, HiddenReason::NotAllExact));
        }
        block
    }

    /// The score test of coefficients that change with time, β + θ g(t), at θ = 0 (Grambsch, Therneau 1994, in the form of R's survival 3): with the
    /// score u of θ and the information's blocks, u is held against V = I_θθ − I_θβ I_ββ⁻¹ I_βθ.
    fn proportionality(&self, end: &End, transform: &DMatrix<f64>) -> Block {
        let (shape, width) = (end.shape, end.shape.width);
        let mut block = headed(&TESTS);
        let both = square(&end.sums[shape.timed_information()], width);
        let timed = square(&end.sums[shape.twice_timed_information()], width);
        let left = &both * &end.inverse;
        let score = DVector::from_column_slice(&end.sums[shape.timed_score()]) - &left * &end.merged.score;
        let variance = timed - &left * &both;
        // Of the columns as they were asked.
        let of_asked = transform.clone().try_inverse().map(|back| {
            let score = back.transpose() * score;
            (score, back.transpose() * variance * &back)
        });
        let statistic = |places: &[usize]| {
            let (score, variance) = of_asked.as_ref()?;
            let score = DVector::from_fn(places.len(), |i, _| score[places[i]]);
            let variance = DMatrix::from_fn(places.len(), places.len(), |i, j| variance[(places[i], places[j])]);
            inverse(&variance).ok().map(|inverse| (score.transpose() * inverse * &score)[(0, 0)])
        };
        let mut begin = 0;
        for term in &self.spec.terms {
            let places: Vec<usize> = (begin..begin + term.columns.len()).collect();
            begin += term.columns.len();
            block.rows.push(test(&term.label, statistic(&places), places.len()));
        }
        let all: Vec<usize> = (0..width).collect();
        block.rows.push(test("all", statistic(&all), width));
        block
    }
}

const TESTS: [&str; 4] = ["test", "statistic", "degrees of freedom", "p"];

fn test(name: &str, statistic: Option<f64>, df: usize) -> Vec<Value> {
    let p = statistic.and_then(|statistic| Reference::Normal.p_of_several(statistic, df as f64));
    vec![Value::Text(name.to_owned()), number(statistic), Value::Count(df as u64), number(p)]
}
