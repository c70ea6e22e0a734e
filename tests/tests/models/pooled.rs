//! Plain pooled fits to hold federated ones against; here those of generalised linear models: Fisher's steps on raw columns with a dense solve. Textbook
//! formulas and nothing of the product: McCullagh, Nelder, *Generalized Linear Models* (1989), §2.5; a dispersion is Pearson's χ² / (n − p).

pub mod family;
pub mod hazards;
pub mod net;

pub use family::Family;

type Matrix = Vec<Vec<f64>>;

/// What is fitted, row by row.
#[derive(Default)]
pub struct Rows {
    pub x: Matrix,
    pub y: Vec<f64>,
    pub offset: Vec<f64>,
    pub weight: Vec<f64>,
    /// Half of β′Pβ is held against a fit.
    pub penalty: Option<Matrix>,
}

pub struct Pooled {
    pub estimates: Vec<f64>,
    /// Of a negative binomial family.
    pub theta: Option<f64>,
    /// 1 where it is not estimated.
    dispersion: f64,
    /// Of the information.
    inverse: Matrix,
    /// Each row's.
    scores: Matrix,
}

impl Pooled {
    /// By the inverse of the information.
    pub fn errors(&self) -> Vec<f64> {
        (0..self.inverse.len()).map(|j| (self.dispersion * self.inverse[j][j]).sqrt()).collect()
    }

    /// By the squares of the scores, each row's by itself, or those of a cluster together: White 1980; Liang, Zeger 1986.
    pub fn sandwich(&self, cluster: impl Fn(usize) -> usize) -> Vec<f64> {
        let mut scores = Matrix::new();
        for (i, score) in self.scores.iter().enumerate() {
            let of = cluster(i);
            scores.resize(scores.len().max(of + 1), vec![0.0; score.len()]);
            scores[of].iter_mut().zip(score).for_each(|(all, own)| *all += own);
        }
        let own: Matrix = scores.iter().map(|score| times(&self.inverse, score)).collect();
        (0..self.inverse.len()).map(|j| own.iter().map(|own| own[j] * own[j]).sum::<f64>().sqrt()).collect()
    }
}

fn times(matrix: &Matrix, vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

/// Aᵀ B, of rows.
fn crossed(a: &Matrix, b: &Matrix) -> Matrix {
    let sum = |i: usize, j: usize| a.iter().zip(b).map(|(a, b)| a[i] * b[j]).sum();
    (0..a[0].len()).map(|i| (0..b[0].len()).map(|j| sum(i, j)).collect()).collect()
}

/// The penalty λ Σ β² of the slopes of scaled columns, as a matrix of the raw columns that span the same.
pub fn ridge(lambda: f64, scaled: &Matrix, raw: &Matrix, is_slope: impl Fn(usize) -> bool) -> Option<Matrix> {
    let by = across(scaled, raw)?;
    let p = by.len();
    let slopes: Matrix =
        (0..p).filter(|i| is_slope(*i)).map(|i| by[i].iter().map(|x| lambda.sqrt() * x).collect()).collect();
    Some(crossed(&slopes, &slopes))
}

/// Coefficients of scaled columns, as a matrix of those of the raw columns that span the same.
fn across(scaled: &Matrix, raw: &Matrix) -> Option<Matrix> {
    let (inverse, across) = (inverse(crossed(scaled, scaled))?, crossed(scaled, raw));
    let p = across.len();
    let by = |i: usize, j: usize| (0..p).map(|k| inverse[i][k] * across[k][j]).sum::<f64>();
    Some((0..p).map(|i| (0..p).map(|j| by(i, j)).collect()).collect())
}

/// What coefficients of raw columns are of scaled ones.
pub fn rescaled(estimates: &[f64], scaled: &Matrix, raw: &Matrix) -> Option<Vec<f64>> {
    Some(times(&across(scaled, raw)?, estimates))
}

/// The inverse of a matrix, by Gauss and Jordan with the largest pivot of each column. None where there is none.
fn inverse(mut a: Matrix) -> Option<Matrix> {
    let p = a.len();
    a.iter_mut().enumerate().for_each(|(i, row)| row.extend((0..p).map(|j| f64::from(u8::from(i == j)))));
    for column in 0..p {
        let pivot = (column..p).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
        a.swap(column, pivot);
        let by = a[column][column];
        if by.abs() < 1e-12 {
            return None;
        }
        a[column].iter_mut().for_each(|x| *x /= by);
        let whole = a[column].clone();
        for (_, row) in a.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let times = row[column];
            row.iter_mut().zip(&whole).for_each(|(x, of)| *x -= times * of);
        }
    }
    Some(a.into_iter().map(|row| row[p..].to_vec()).collect())
}

/// The fit; none where it does not come to an end within what the family's formulas reach.
pub fn fit(family: Family, rows: &Rows) -> Option<Pooled> {
    let (n, p) = (rows.y.len(), rows.x.first()?.len());
    let mut beta = vec![0.0; p];
    if family.is_logarithmic() {
        // Where all means are the mean; the first column is the intercept.
        let sum = |of: &[f64]| of.iter().zip(&rows.weight).map(|(x, weight)| x * weight).sum::<f64>();
        beta[0] = (sum(&rows.y) / sum(&vec![1.0; n])).ln();
    }
    let mut theta = 1.0;
    for _ in 0..400 {
        let (mut information, mut scores) = (vec![vec![0.0; p]; p], Matrix::with_capacity(n));
        let (mut pearson, mut of_theta) = (0.0, [0.0; 2]);
        for i in 0..n {
            let eta = rows.offset[i] + rows.x[i].iter().zip(&beta).map(|(x, b)| x * b).sum::<f64>();
            let (y, weight) = (rows.y[i], rows.weight[i]);
            let (mean, slope) = family.mean(eta)?;
            let variance = family.variance(mean, theta);
            let residual = weight * (y - mean) * slope / variance;
            pearson += weight * (y - mean) * (y - mean) / variance;
            let x = &rows.x[i];
            for (row, xj) in information.iter_mut().zip(x) {
                row.iter_mut().zip(x).for_each(|(sum, xk)| *sum += weight * slope * slope / variance * xj * xk);
            }
            scores.push(x.iter().map(|x| residual * x).collect());
            if family == Family::NegativeBinomial {
                let by = family::of_theta(y, mean, theta);
                of_theta.iter_mut().zip(by).for_each(|(sum, of)| *sum += weight * of);
            }
        }
        let mut score: Vec<f64> = (0..p).map(|j| scores.iter().map(|own| own[j]).sum()).collect();
        if let Some(penalty) = &rows.penalty {
            score.iter_mut().zip(times(penalty, &beta)).for_each(|(score, held)| *score -= held);
            information.iter_mut().flatten().zip(penalty.iter().flatten()).for_each(|(sum, held)| *sum += held);
        }
        let inverse = inverse(information)?;
        let step = times(&inverse, &score);
        beta.iter_mut().zip(&step).for_each(|(b, s)| *b += s);
        let [slope, curve] = of_theta;
        let next = if curve < 0.0 { theta - slope / curve } else { 2.0 * theta };
        let next = if family == Family::NegativeBinomial { next.clamp(theta / 3.0, 3.0 * theta) } else { theta };
        let still = (next - theta).abs() <= 1e-11 * theta;
        theta = next;
        if beta.iter().any(|b| !b.is_finite() || b.abs() > 1e6) || !(1e-3..1e3).contains(&theta) {
            return None;
        }
        if still && step.iter().zip(&beta).all(|(s, b)| s.abs() <= 1e-11 * b.abs().max(1.0)) {
            let dispersion = if family.is_dispersed() { pearson / (n - p) as f64 } else { 1.0 };
            let theta = (family == Family::NegativeBinomial).then_some(theta);
            return Some(Pooled { estimates: beta, theta, dispersion, inverse, scores });
        }
    }
    None
}
