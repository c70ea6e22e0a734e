//! From a fit in scaled columns to estimates of the columns as they were asked, with their covariance.

use bocage_protocol::analysis::{ModelSpec, StandardErrors};
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{ModelLayout, Sums};
use nalgebra::{DMatrix, DVector};

use super::fit::Fitted;
use crate::analysis::association::points;

/// Estimates by name.
#[derive(Debug)]
pub(super) struct Estimates {
    pub names: Vec<String>,
    /// Whose intercepts stand before the columns: the first is the reference, from which the others are told.
    pub sites: Vec<SiteId>,
    pub beta: DVector<f64>,
    pub covariance: DMatrix<f64>,
    /// How an estimate over its standard error is distributed where there is nothing to find.
    pub reference: Reference,
    /// φ.
    pub dispersion: f64,
}

/// The distribution of a statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reference {
    /// The standard normal one.
    Normal,
    /// Student's, of so many degrees of freedom.
    T(f64),
}

impl Estimates {
    /// Whether it is known how sure they are: where the dispersion is not, nothing is.
    pub(super) fn have_errors(&self) -> bool {
        self.covariance.iter().all(|x| x.is_finite())
    }
}

impl Reference {
    /// The chance of a value at least as far from 0.
    pub(super) fn p(self, statistic: f64) -> Option<f64> {
        match self {
            Reference::Normal => points::normal_beyond(statistic),
            Reference::T(df) => points::t_beyond(statistic, df),
        }
    }

    /// The value that a share of `confidence` lies within, either way.
    pub(super) fn quantile(self, confidence: f64) -> Option<f64> {
        match self {
            Reference::Normal => Some(points::z(confidence)),
            Reference::T(df) => points::t(confidence, df),
        }
    }

    /// Of how many coefficients at once it says something: errors by site are of no more directions than there are sites but one.
    pub(super) fn allows(self, coefficients: usize) -> bool {
        match self {
            Reference::Normal => true,
            Reference::T(df) => coefficients as f64 <= df,
        }
    }

    /// The chance of Wald's statistic of `df` coefficients being at least as large: χ², or F of statistic / df.
    pub(super) fn p_of_several(self, wald: f64, df: f64) -> Option<f64> {
        match self {
            Reference::Normal => points::chi2_beyond(wald, df),
            Reference::T(residual) => points::f_beyond(wald / df, df, residual),
        }
    }
}

/// n, Σ weights, deviance and the like at the end of a fit, in the outcome's own unit.
pub(super) struct Summary {
    pub n: f64,
    pub parameters: f64,
    pub deviance: f64,
    pub pearson: f64,
}

impl Summary {
    pub(super) fn of(fitted: &Fitted, layout: &ModelLayout) -> Self {
        let square = layout.outcome_scale.half.powi(2);
        Self {
            n: fitted.merged.n as f64,
            parameters: fitted.beta.len() as f64,
            deviance: fitted.merged.scalars[Sums::DEVIANCE] * square,
            pearson: fitted.merged.scalars[Sums::PEARSON] * square,
        }
    }

    pub(super) fn residual_degrees(&self) -> f64 {
        self.n - self.parameters
    }
}

/// The estimates of a fit.
pub(super) fn estimates(spec: &ModelSpec, layout: &ModelLayout, fitted: &Fitted) -> Estimates {
    let summary = Summary::of(fitted, layout);
    let free = spec.response.family.is_dispersed();
    let residual = summary.residual_degrees();
    let dispersion = if free { summary.pearson / residual } else { 1.0 };
    // The scale of the outcome is in beta below; here everything is still scaled.
    let scaled = dispersion / layout.outcome_scale.half.powi(2);
    let sandwich = |meat: &DMatrix<f64>| &fitted.inverse * meat * &fitted.inverse;
    let (n, sites) = (summary.n, fitted.merged.scores.len() as f64);
    let covariance = match spec.standard_errors {
        StandardErrors::Model => &fitted.inverse * scaled,
        StandardErrors::Hc0 => sandwich(&fitted.merged.squares),
        StandardErrors::Hc1 => sandwich(&fitted.merged.squares) * (n / residual),
        StandardErrors::Site => {
            let zero = DMatrix::zeros(fitted.beta.len(), fitted.beta.len());
            let meat = fitted.merged.scores.iter().fold(zero, |all, score| all + score * score.transpose());
            sandwich(&meat) * (sites / (sites - 1.0))
        }
    };
    let reference = match spec.standard_errors {
        StandardErrors::Site => Reference::T(sites - 1.0),
        _ if free => Reference::T(residual),
        _ => Reference::Normal,
    };
    let (names, rows) = rows(spec, layout, fitted);
    let half = layout.outcome_scale.half;
    let mut beta = &rows * &fitted.beta * half;
    // What was taken off a gaussian outcome is the intercept's.
    if let Some(intercept) = intercept(spec) {
        beta[intercept] += layout.outcome_scale.centre;
    }
    let covariance = &rows * covariance * rows.transpose() * (half * half);
    let sites = fitted.merged.sites.iter().filter(|_| spec.by_site).map(|(site, _)| site.clone()).collect();
    Estimates { names, sites, beta, covariance, reference, dispersion }
}

/// The intercept's position among the estimates: that of the first site, where each has one.
fn intercept(spec: &ModelSpec) -> Option<usize> {
    if spec.by_site { Some(0) } else { spec.columns().position(|column| column.of.is_empty()) }
}

/// Names, and what each is of the scaled coefficients. With intercepts by site: that of the first, then how the others differ from it.
fn rows(spec: &ModelSpec, layout: &ModelLayout, fitted: &Fitted) -> (Vec<String>, DMatrix<f64>) {
    let columns = layout.columns.len();
    let size = fitted.beta.len();
    let transform = layout.transform.rows();
    let mut names = Vec::new();
    let mut rows = DMatrix::zeros(size, size);
    let sites = if spec.by_site { fitted.merged.sites.as_slice() } else { &[] };
    for (at, (site, _)) in sites.iter().enumerate() {
        if at == 0 {
            names.push("(intercept)".to_owned());
            transform[columns].iter().enumerate().for_each(|(j, t)| rows[(0, j)] = *t);
        } else {
            names.push(format!("site[{site}]"));
            rows[(at, columns)] = -1.0;
        }
        rows[(at, columns + at)] = 1.0;
    }
    for (i, column) in spec.columns().enumerate() {
        names.push(column.label.clone());
        transform[i].iter().enumerate().for_each(|(j, t)| rows[(sites.len() + i, j)] = *t);
    }
    (names, rows)
}
