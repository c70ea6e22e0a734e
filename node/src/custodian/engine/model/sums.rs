//! The sums of a step over a design: score, information, deviance. Blocks of rows stay in the nearest cache; parts go to all cores and are added in
//! their order.

use bocage_protocol::plan::{Family, Model, ModelLayout, Response, Sums};

use super::design::Cases;
use super::each_part;
use super::facts::Facts;
use super::gram::{BLOCK, Gram};
use super::leverage::Triangle;
use crate::custodian::gate::{CountedModel, LEVERAGE, Weights};

/// The sums of some cases at these coefficients, with what the gate must know. `own` is the site's own intercept, where it has one.
pub fn of(
    (cases, facts): (&[&Cases], Facts),
    (model, response): (&Model, &Response),
    beta: &[f64],
    layout: &ModelLayout,
    own: Option<f64>,
) -> CountedModel {
    let values = layout.block_values();
    let step = Step { model, response, beta, sums: layout.sums(), values, own };
    let parts = each_part(cases, |_, part| step.part(part));
    let mut whole = Added::new(values);
    for part in parts {
        whole.absorb(&part);
    }
    let Added { mut values, mut weights } = whole;
    if response.family == Family::Gaussian {
        values[Sums::LOG_DENSITY] = cases.iter().map(|cases| log_weights(cases)).sum();
    }
    weights.leverage(step.leverage(cases, &values, weights.largest()));
    CountedModel {
        predictions: facts.shares(),
        n: facts.n,
        sides: facts.sides,
        ones: facts.ones,
        both: facts.both,
        spreads: facts.spreads,
        sums: values,
        weights,
        risk: None,
        described: None,
        folds: Vec::new(),
    }
}

/// The part of a gaussian log-density that weights have: Σ ln w / 2. Who has no weight has no density.
fn log_weights(cases: &Cases) -> f64 {
    cases.weight.iter().filter(|weight| **weight > 0.0).map(|weight| weight.ln() / 2.0).sum()
}

/// What was added up.
struct Added {
    values: Vec<f64>,
    weights: Weights,
}

impl Added {
    fn new(values: usize) -> Self {
        Self { values: vec![0.0; values], weights: Weights::default() }
    }

    fn absorb(&mut self, other: &Self) {
        self.values.iter_mut().zip(&other.values).for_each(|(own, other)| *own += other);
        self.weights.absorb(&other.weights);
    }
}

struct Step<'a> {
    model: &'a Model,
    response: &'a Response,
    beta: &'a [f64],
    sums: Sums,
    values: usize,
    own: Option<f64>,
}

impl Step<'_> {
    fn part(&self, cases: &Cases) -> Added {
        let mut added = Added::new(self.values);
        let mut information = Gram::new(self.sums.width);
        let mut squares = self.model.at.robust.then(|| Gram::new(self.sums.width));
        let mut begin = 0;
        while begin < cases.rows {
            let end = (begin + BLOCK).min(cases.rows);
            self.block(cases, begin, end, &mut added, &mut information, squares.as_mut());
            begin = end;
        }
        added.values[self.sums.information()].iter_mut().zip(information.lower()).for_each(|(to, sum)| *to = sum);
        if let Some(squares) = squares {
            added.values[self.sums.squares()].iter_mut().zip(squares.lower()).for_each(|(to, sum)| *to = sum);
        }
        added
    }

    /// A row's linear predictors and weights, as in [`Step::block`], for one more look at all rows.
    fn weights(&self, cases: &Cases) -> Vec<f64> {
        let mut eta = if cases.offset.is_empty() { vec![0.0; cases.rows] } else { cases.offset.clone() };
        for (j, beta) in self.beta.iter().copied().chain(self.own).enumerate() {
            let column = &cases.x[j * cases.rows..(j + 1) * cases.rows];
            eta.iter_mut().zip(column).for_each(|(eta, x)| *eta += beta * x);
        }
        let theta = self.model.at.theta.unwrap_or(1.0);
        let weight = |(i, eta): (usize, f64)| {
            let count = cases.weight.get(i).copied().unwrap_or(1.0);
            count * self.response.family.row(cases.y[i], eta, theta).weight
        };
        eta.into_iter().enumerate().map(weight).collect()
    }

    /// The most that one patient has of what the information says, or 0 where it cannot be much. `most` is the largest weight.
    fn leverage(&self, parts: &[&Cases], values: &[f64], most: f64) -> f64 {
        let width = self.sums.width;
        let triangle = Triangle::of(&values[self.sums.information()], width);
        if !triangle.can_exceed(LEVERAGE, most) {
            return 0.0;
        }
        let of = |cases: &Cases| {
            let columns: Vec<&[f64]> = (0..width).map(|j| &cases.x[j * cases.rows..(j + 1) * cases.rows]).collect();
            triangle.largest(&columns, &self.weights(cases))
        };
        parts.iter().map(|cases| of(cases)).fold(0.0, f64::max)
    }

    fn block(
        &self,
        cases: &Cases,
        begin: usize,
        end: usize,
        added: &mut Added,
        information: &mut Gram,
        squares: Option<&mut Gram>,
    ) {
        let rows = end - begin;
        let column = |j: usize| &cases.x[j * cases.rows + begin..j * cases.rows + end];
        let mut eta = [0.0; BLOCK];
        let eta = &mut eta[..rows];
        if !cases.offset.is_empty() {
            eta.copy_from_slice(&cases.offset[begin..end]);
        }
        let beta = self.beta.iter().copied().chain(self.own);
        for (j, beta) in beta.enumerate().filter(|(_, beta)| *beta != 0.0) {
            eta.iter_mut().zip(column(j)).for_each(|(eta, x)| *eta += beta * x);
        }
        let (mut residuals, mut weights) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (residuals, weights) = (&mut residuals[..rows], &mut weights[..rows]);
        let theta = self.model.at.theta.unwrap_or(1.0);
        let values = &mut added.values;
        for i in 0..rows {
            let (y, count) = (cases.y[begin + i], cases.weight.get(begin + i).copied().unwrap_or(1.0));
            let row = self.response.family.row(y, eta[i], theta);
            (residuals[i], weights[i]) = (count * row.residual, count * row.weight);
            added.weights.add(residuals[i], weights[i]);
            added.weights.add_squares(count * row.pearson, count * row.deviance);
            values[Sums::WEIGHT] += count;
            values[Sums::OUTCOME] += count * y;
            values[Sums::LOG_DENSITY] += count * row.log_density;
            values[Sums::DEVIANCE] += count * row.deviance;
            values[Sums::PEARSON] += count * row.pearson;
            values[Sums::THETA[0]] += count * row.theta[0];
            values[Sums::THETA[1]] += count * row.theta[1];
        }
        for (j, at) in self.sums.score().enumerate() {
            values[at] += dot(column(j), residuals);
        }
        information.add(cases, begin, weights);
        if let Some(squares) = squares {
            for residual in residuals.iter_mut() {
                *residual *= *residual;
                added.weights.add_square(*residual);
            }
            squares.add(cases, begin, residuals);
        }
    }
}

/// Σ a b, in eight running sums: the compiler does several at once, and always in this order.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest
}
