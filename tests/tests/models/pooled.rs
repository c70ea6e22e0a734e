//! Plain pooled fits to hold federated ones against; here those of generalised linear models: Newton's steps on raw columns with a dense solve. Textbook formulas and nothing of the product:
//! McCullagh, Nelder, *Generalized Linear Models* (1989), §2.5; a gaussian dispersion is RSS / (n − p).

pub mod hazards;
pub mod net;

/// What is fitted, row by row.
pub struct Rows {
    pub x: Vec<Vec<f64>>,
    pub y: Vec<f64>,
    pub offset: Vec<f64>,
    pub weight: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Family {
    Gaussian,
    Binomial,
    Poisson,
}

pub struct Pooled {
    pub estimates: Vec<f64>,
    pub errors: Vec<f64>,
}

impl Family {
    /// Mean, and its derivative in the linear predictor; of these families' canonical links that is the variance.
    fn mean(self, eta: f64) -> (f64, f64) {
        match self {
            Family::Gaussian => (eta, 1.0),
            Family::Binomial => {
                let p = 1.0 / (1.0 + (-eta).exp());
                (p, p * (1.0 - p))
            }
            Family::Poisson => (eta.exp(), eta.exp()),
        }
    }
}

/// The inverse of a matrix, by Gauss and Jordan with the largest pivot of each column. None where there is none.
fn inverse(mut a: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
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

/// The fit; none where it does not come to an end at moderate coefficients.
pub fn fit(family: Family, rows: &Rows) -> Option<Pooled> {
    let (n, p) = (rows.y.len(), rows.x.first()?.len());
    let mut beta = vec![0.0; p];
    for _ in 0..100 {
        let (mut score, mut information) = (vec![0.0; p], vec![vec![0.0; p]; p]);
        let mut squares = 0.0;
        for i in 0..n {
            let eta = rows.offset[i] + rows.x[i].iter().zip(&beta).map(|(x, b)| x * b).sum::<f64>();
            let (mean, slope) = family.mean(eta);
            let residual = rows.weight[i] * (rows.y[i] - mean);
            squares += residual * (rows.y[i] - mean);
            let x = &rows.x[i];
            for ((score, row), xj) in score.iter_mut().zip(&mut information).zip(x) {
                *score += residual * xj;
                row.iter_mut().zip(x).for_each(|(sum, xk)| *sum += rows.weight[i] * slope * xj * xk);
            }
        }
        let inverse = inverse(information)?;
        let step: Vec<f64> = inverse.iter().map(|row| row.iter().zip(&score).map(|(a, b)| a * b).sum()).collect();
        beta.iter_mut().zip(&step).for_each(|(b, s)| *b += s);
        if beta.iter().any(|b| !b.is_finite() || b.abs() > 1e6) {
            return None;
        }
        if step.iter().zip(&beta).all(|(s, b)| s.abs() <= 1e-11 * b.abs().max(1.0)) {
            let dispersion = if family == Family::Gaussian { squares / (n - p) as f64 } else { 1.0 };
            let errors = (0..p).map(|j| (dispersion * inverse[j][j]).sqrt()).collect();
            return Some(Pooled { estimates: beta, errors });
        }
    }
    None
}
