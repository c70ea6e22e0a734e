//! A plain pooled elastic net: each coefficient of a standardised column by itself, again and again, to the least of a parabola that lies on or above the
//! objective (Böhning, Lindsay 1988; Friedman, Hastie, Tibshirani 2010, §2). Of a linear model the parabola is the objective itself.

use super::{Family, Rows};

/// The coefficients of the columns as they stand, at this λ and α. The first column is 1. Weights are not part of it.
pub fn fit(family: Family, rows: &Rows, lambda: f64, mix: f64) -> Vec<f64> {
    let (n, p) = (rows.y.len() as f64, rows.x[0].len());
    let (mean, sd) = moments(rows);
    let z: Vec<Vec<f64>> =
        rows.x.iter().map(|x| (0..p).map(|j| if j == 0 { 1.0 } else { (x[j] - mean[j]) / sd[j] }).collect()).collect();
    // Of standardised columns the curvature is 1, and no variance of an event is above a quarter.
    let curve = if family == Family::Gaussian { 1.0 } else { 0.25 };
    let mut eta = rows.offset.clone();
    let mut beta = vec![0.0; p];
    for _ in 0..100_000 {
        let mut largest: f64 = 0.0;
        for j in 0..p {
            let residual = |i: usize| rows.y[i] - family.mean(eta[i]).expect("a mean").0;
            let slope = (0..z.len()).map(|i| residual(i) * z[i][j]).sum::<f64>() / n;
            let alone = curve * beta[j] + slope;
            let next = match j {
                0 => alone / curve,
                _ => soft(alone, lambda * mix) / (curve + lambda * (1.0 - mix)),
            };
            let step = next - beta[j];
            beta[j] = next;
            eta.iter_mut().zip(&z).for_each(|(eta, z)| *eta += step * z[j]);
            largest = largest.max(step.abs());
        }
        if largest < 1e-12 {
            break;
        }
    }
    let slopes: Vec<f64> = (1..p).map(|j| beta[j] / sd[j]).collect();
    let intercept = beta[0] - slopes.iter().zip(&mean[1..]).map(|(b, mean)| b * mean).sum::<f64>();
    [vec![intercept], slopes].concat()
}

/// The least λ at which no column is left: the largest slope there, over α. Without an offset.
pub fn largest(rows: &Rows, mix: f64) -> f64 {
    let n = rows.y.len() as f64;
    let (mean, sd) = moments(rows);
    let of_y = rows.y.iter().sum::<f64>() / n;
    let slope =
        |j: usize| rows.x.iter().zip(&rows.y).map(|(x, y)| (x[j] - mean[j]) / sd[j] * (y - of_y)).sum::<f64>() / n;
    (1..mean.len()).map(|j| slope(j).abs() / mix).fold(0.0, f64::max)
}

/// Mean and standard deviation (1/n) of each column.
fn moments(rows: &Rows) -> (Vec<f64>, Vec<f64>) {
    let (n, p) = (rows.x.len() as f64, rows.x[0].len());
    let mean: Vec<f64> = (0..p).map(|j| rows.x.iter().map(|x| x[j]).sum::<f64>() / n).collect();
    let sd = (0..p).map(|j| (rows.x.iter().map(|x| (x[j] - mean[j]).powi(2)).sum::<f64>() / n).sqrt()).collect();
    (mean, sd)
}

/// Nearer to 0 by so much, and 0 within it.
fn soft(x: f64, by: f64) -> f64 {
    x.signum() * (x.abs() - by).max(0.0)
}
