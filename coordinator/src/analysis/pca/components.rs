//! Principal components of moments. Numbers in, numbers out.
//!
//! The directions are the eigenvectors of the covariance or correlation matrix, the variances along them its eigenvalues (Jolliffe, *Principal Component
//! Analysis* (2002), §1.1 and §2.3). An eigenvector has two signs: here its largest coordinate is positive, of equally large ones the first.

use bocage_protocol::analysis::PcaScale;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::analysis::moments::Moments;

/// Coordinates that differ by less are equally large, and variances that do are one.
const ALIKE: f64 = 1e-9;

/// The components, those along which patients differ most first.
#[derive(Debug, Clone)]
pub(super) struct Components {
    /// The variance along each.
    pub variances: Vec<f64>,
    /// One a column of the matrix, of length 1; by columns of the data.
    pub directions: DMatrix<f64>,
    /// The correlation of each column of the data with each component; none for a column that does not vary.
    pub correlations: DMatrix<f64>,
    /// Whether the columns are correlated enough for components to say anything; none where some are made of others.
    pub adequacy: Option<Adequacy>,
    /// Components whose variances are the same, so that any directions between theirs are as good.
    pub alike: Vec<usize>,
}

/// Whether there is anything to find.
#[derive(Debug, Clone)]
pub(super) struct Adequacy {
    /// Bartlett's test of sphericity (1951): χ², degrees of freedom, p.
    pub bartlett: (f64, u64, Option<f64>),
    /// Kaiser's, Meyer's and Olkin's measure (Kaiser 1974), of all columns and of each.
    pub kmo: (f64, Vec<f64>),
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Fewer than two patients.
    Patients,
    /// This column never varies.
    Constant(usize),
    /// No column varies.
    Nothing,
}

impl Failure {
    pub(super) fn words<'a>(&self, label: impl Fn(usize) -> &'a str) -> String {
        match self {
            Failure::Patients => "no components: fewer than two patients have all of the columns".to_owned(),
            Failure::Constant(at) => {
                let name = label(*at);
                format!("no components: `{name}` does not vary, and has no correlation: leave it out")
            }
            Failure::Nothing => "no components: no column varies".to_owned(),
        }
    }
}

/// The components of moments.
pub(super) fn components(moments: &Moments, scale: PcaScale) -> Result<Components, Failure> {
    let covariance = moments.scaled_covariance().ok_or(Failure::Patients)?;
    let width = covariance.nrows();
    let sds: Vec<Option<f64>> = (0..width).map(|column| moments.scaled_sd(column)).collect();
    let correlation = |i: usize, j: usize| match (sds[i], sds[j]) {
        (Some(_), Some(_)) if i == j => 1.0,
        (Some(a), Some(b)) => covariance[(i, j)] / (a * b),
        _ => 0.0,
    };
    let half = |column: usize| moments.scales[column].half;
    let matrix = match scale {
        PcaScale::Correlation => {
            if let Some(constant) = sds.iter().position(Option::is_none) {
                return Err(Failure::Constant(constant));
            }
            DMatrix::from_fn(width, width, correlation)
        }
        PcaScale::Covariance => {
            let varying =
                |i: usize, j: usize| if sds[i].is_some() && sds[j].is_some() { covariance[(i, j)] } else { 0.0 };
            DMatrix::from_fn(width, width, |i, j| varying(i, j) * half(i) * half(j))
        }
    };
    let largest = matrix.amax();
    if !(largest > 0.0 && largest.is_finite()) {
        return Err(Failure::Nothing);
    }
    // Of a matrix of ordinary size: neither 10⁻⁹ nor 10¹² may be squared away.
    let found = SymmetricEigen::new(&matrix / largest);
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|a, b| found.eigenvalues[*b].total_cmp(&found.eigenvalues[*a]));
    // What is below 0 is so by rounding.
    let variances: Vec<f64> = order.iter().map(|at| found.eigenvalues[*at].max(0.0) * largest).collect();
    let mut directions = DMatrix::zeros(width, width);
    for (component, at) in order.iter().enumerate() {
        directions.set_column(component, &signed(found.eigenvectors.column(*at).into_owned()));
    }
    let sd = |column: usize| match scale {
        PcaScale::Correlation => 1.0,
        PcaScale::Covariance => sds[column].map_or(f64::NAN, |sd| sd * half(column)),
    };
    let correlations =
        DMatrix::from_fn(width, width, |column, at| directions[(column, at)] * variances[at].sqrt() / sd(column));
    let alike = (1..width).filter(|at| variances[at - 1] - variances[*at] <= ALIKE * variances[0]).collect();
    let adequacy = adequacy(&DMatrix::from_fn(width, width, correlation), &sds, moments.n);
    Ok(Components { variances, directions, correlations, adequacy, alike })
}

/// The same direction with its largest coordinate above 0.
fn signed(direction: DVector<f64>) -> DVector<f64> {
    let most = direction.amax();
    let largest = direction.iter().find(|x| x.abs() >= most * (1.0 - ALIKE)).copied().unwrap_or(most);
    if largest < 0.0 { -direction } else { direction }
}

fn adequacy(correlation: &DMatrix<f64>, sds: &[Option<f64>], n: u64) -> Option<Adequacy> {
    let width = correlation.nrows();
    if width < 2 || sds.iter().any(Option::is_none) {
        return None;
    }
    let inverse = crate::analysis::model::inverse(correlation).ok()?;
    let decomposed = nalgebra::Cholesky::new(correlation.clone())?;
    let log_determinant: f64 = (0..width).map(|i| 2.0 * decomposed.l_dirty()[(i, i)].ln()).sum();
    let (columns, df) = (width as f64, (width * (width - 1) / 2) as u64);
    // Bartlett (1951), "The effect of standardization on a χ² approximation in factor analysis".
    let statistic = -(n as f64 - 1.0 - (2.0 * columns + 5.0) / 6.0) * log_determinant;
    let p = ChiSquared::new(df as f64).ok().filter(|_| statistic >= 0.0).map(|chi| chi.sf(statistic));
    // Squares of correlations beside squares of partial ones.
    let squares = |i: usize| {
        let others = (0..width).filter(move |j| *j != i);
        others.fold((0.0, 0.0), |(simple, partial): (f64, f64), j| {
            let of_rest = inverse[(i, j)] / (inverse[(i, i)] * inverse[(j, j)]).sqrt();
            (simple + correlation[(i, j)].powi(2), partial + of_rest.powi(2))
        })
    };
    let all: Vec<(f64, f64)> = (0..width).map(squares).collect();
    let measure = |(simple, partial): (f64, f64)| simple / (simple + partial);
    let whole = all.iter().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    Some(Adequacy { bartlett: (statistic, df, p), kmo: (measure(whole), all.into_iter().map(measure).collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_shows_its_largest_coordinate_as_positive_and_of_equal_ones_the_first() {
        assert_eq!(signed(DVector::from_vec(vec![0.6, -0.8])), DVector::from_vec(vec![-0.6, 0.8]));
        let even = std::f64::consts::FRAC_1_SQRT_2;
        let nearly = DVector::from_vec(vec![-even, even + 1e-13]);
        assert!(signed(nearly)[0] > 0.0, "which of two is the larger by rounding does not matter");
    }
}
