//! Where starts are: drawn from the released mean and covariance alone, never from rows, and the same for the same seed.
//!
//! Points are drawn from the normal distribution with these moments, and of them centroids as k-means++ does: each with a chance that is proportional
//! to its squared distance from those chosen before (Arthur, Vassilvitskii 2007).

use bocage_protocol::analysis::KmeansSpec;
use bocage_protocol::plan::Centroids;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::analysis::moments::Moments;

/// So many points are drawn for each centroid.
const POINTS: usize = 50;

/// Starts with their centroids, in steps; none where moments are not finite.
pub(super) fn drawn(moments: &Moments, weights: &[f64], spec: &KmeansSpec) -> Option<Vec<Vec<Vec<i32>>>> {
    let covariance = moments.scaled_covariance()?;
    let mean = moments.scaled_mean();
    if !covariance.iter().chain(mean.iter()).all(|x| x.is_finite()) {
        return None;
    }
    let root = root(covariance);
    let normal = Normal::standard();
    let clusters = spec.clusters as usize;
    let start = |number: u32| {
        let mut chance = Chance::new(spec.seed, number);
        let points: Vec<DVector<f64>> = (0..POINTS * clusters)
            .map(|_| {
                let independent = DVector::from_fn(mean.len(), |_, _| normal.inverse_cdf(chance.share()));
                mean + &root * independent
            })
            .collect();
        let chosen = spread(&points, weights, clusters, &mut chance);
        chosen.into_iter().map(|point| point.iter().map(|z| Centroids::step(*z)).collect()).collect()
    };
    Some((0..spec.starts).map(start).collect())
}

/// The symmetric square root of a covariance, which may be singular.
fn root(covariance: DMatrix<f64>) -> DMatrix<f64> {
    let found = SymmetricEigen::new(covariance);
    let roots = found.eigenvalues.map(|variance| variance.max(0.0).sqrt());
    &found.eigenvectors * DMatrix::from_diagonal(&roots) * found.eigenvectors.transpose()
}

fn spread<'a>(
    points: &'a [DVector<f64>],
    weights: &[f64],
    clusters: usize,
    chance: &mut Chance,
) -> Vec<&'a DVector<f64>> {
    let distance = |a: &DVector<f64>, b: &DVector<f64>| -> f64 {
        a.iter().zip(b.iter()).zip(weights).map(|((a, b), weight)| weight * (a - b) * (a - b)).sum()
    };
    let at = |share: f64| ((share * points.len() as f64) as usize).min(points.len() - 1);
    let mut chosen = vec![&points[at(chance.share())]];
    let mut nearest: Vec<f64> = points.iter().map(|point| distance(point, chosen[0])).collect();
    while chosen.len() < clusters {
        let mut left = chance.share() * nearest.iter().sum::<f64>();
        let next = nearest.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        // Where all points are one, any is as far as any other.
        let next = &points[next.unwrap_or_else(|| at(chance.share()))];
        nearest.iter_mut().zip(points).for_each(|(least, point)| *least = least.min(distance(point, next)));
        chosen.push(next);
    }
    chosen
}

/// Numbers that follow from a seed, everywhere the same: SplitMix64 (Steele, Lea, Flood 2014). For what is public; nothing secret comes of it.
struct Chance(u64);

impl Chance {
    fn new(seed: u32, start: u32) -> Self {
        Self(u64::from(seed) << 32 | u64::from(start))
    }

    /// Above 0 and below 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_shares_that_follow_from_seed_and_start() {
        let of = |seed, start| {
            let mut chance = Chance::new(seed, start);
            (0..1000).map(|_| chance.share()).collect::<Vec<f64>>()
        };
        assert_eq!(of(1, 0), of(1, 0));
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
        let mean = of(1, 0).iter().sum::<f64>() / 1000.0;
        assert!(of(1, 0).iter().all(|share| 0.0 < *share && *share < 1.0) && (mean - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn splitmix_is_the_published_one() {
        // The first output of SplitMix64 for seed 0 is 0xe220a8397b1dcdaf.
        let first = ((0xe220_a839_7b1d_cdaf_u64 >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
        assert_eq!(Chance(0).share(), first);
    }

    #[test]
    fn of_points_that_are_all_one_any_is_chosen() {
        let points = vec![DVector::from_vec(vec![0.5]); 10];
        assert_eq!(spread(&points, &[1.0], 3, &mut Chance::new(1, 0)).len(), 3);
    }
}
