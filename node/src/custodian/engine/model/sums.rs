//! The sums of a step over a design: score, information, deviance. Blocks of rows stay in the nearest cache; parts go to all cores and are added in
//! their order.

use std::ops::Range;

use bocage_protocol::plan::{Family, Model, ModelLayout, Response, RowColumns, Sums};

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
        let mut rows = RowColumns::new(BLOCK);
        for begin in (0..cases.rows).step_by(BLOCK) {
            let end = (begin + BLOCK).min(cases.rows);
            self.block(cases, begin..end, &mut rows, &mut added);
            information.add(cases, begin, &rows.weight[..end - begin]);
            if let Some(squares) = &mut squares {
                let residuals = &mut rows.residual[..end - begin];
                residuals.iter_mut().for_each(|residual| *residual *= *residual);
                added.weights.add_squares(residuals);
                squares.add(cases, begin, residuals);
            }
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

    /// What a block of rows adds, but for the information; `rows` is what each adds.
    fn block(&self, cases: &Cases, block: Range<usize>, rows: &mut RowColumns, added: &mut Added) {
        let column = |j: usize| &cases.column(j)[block.clone()];
        let mut eta = [0.0; BLOCK];
        let eta = &mut eta[..block.len()];
        if !cases.offset.is_empty() {
            eta.copy_from_slice(&cases.offset[block.clone()]);
        }
        let beta = self.beta.iter().copied().chain(self.own);
        for (j, beta) in beta.enumerate().filter(|(_, beta)| *beta != 0.0) {
            eta.iter_mut().zip(column(j)).for_each(|(eta, x)| *eta += beta * x);
        }
        let (y, theta) = (&cases.y[block.clone()], self.model.at.theta.unwrap_or(1.0));
        self.response.family.rows(y, eta, theta, rows);
        let mut columns = rows.first(block.len());
        let values = &mut added.values;
        if cases.weight.is_empty() {
            values[Sums::WEIGHT] += y.len() as f64;
            values[Sums::OUTCOME] += sum(y);
        } else {
            let counts = &cases.weight[block.clone()];
            for column in &mut columns {
                column.iter_mut().zip(counts).for_each(|(x, count)| *x *= count);
            }
            values[Sums::WEIGHT] += sum(counts);
            values[Sums::OUTCOME] += dot(counts, y);
        }
        let [residual, weight, log_density, deviance, pearson, slope, curve] = columns;
        added.weights.add_all(residual, weight);
        added.weights.add_fit(pearson, deviance);
        let sums = [
            (Sums::LOG_DENSITY, log_density),
            (Sums::DEVIANCE, deviance),
            (Sums::PEARSON, pearson),
            (Sums::THETA[0], slope),
            (Sums::THETA[1], curve),
        ];
        sums.into_iter().for_each(|(at, column)| values[at] += sum(column));
        for (j, at) in self.sums.score().enumerate() {
            values[at] += dot(column(j), residual);
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

/// Σ a, in the same order.
fn sum(a: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (whole, rest) = a.as_chunks::<8>();
    for a in whole {
        (0..8).for_each(|i| sums[i] += a[i]);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest.iter().sum::<f64>()
}
