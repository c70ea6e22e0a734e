//! Lloyd's algorithm on pooled rows, plainly: what the federated one is held against, from the same starts.

use bocage_protocol::plan::Centroids;

/// Where a start ends.
pub struct Ended {
    /// Σ of the weighted squared distances from the means.
    pub within: f64,
    /// The largest first: patients, means.
    pub clusters: Vec<(usize, Vec<f64>)>,
}

/// From a start, on scaled rows. Centroids move in the public steps.
pub fn lloyd(rows: &[Vec<f64>], weights: &[f64], start: &[Vec<i32>], most: usize) -> Ended {
    let mut steps = start.to_vec();
    for _ in 0..most {
        let groups = assigned(rows, weights, &steps);
        let moved: Vec<Vec<i32>> = groups
            .iter()
            .zip(&steps)
            .map(|(group, at)| match mean(group) {
                Some(mean) => mean.iter().map(|z| Centroids::step(*z)).collect(),
                None => at.clone(),
            })
            .collect();
        if moved == steps {
            break;
        }
        steps = moved;
    }
    let groups = assigned(rows, weights, &steps);
    let at = |steps: &Vec<i32>| steps.iter().map(|step| f64::from(*step) * Centroids::QUANTUM).collect::<Vec<f64>>();
    let means: Vec<Vec<f64>> =
        groups.iter().zip(&steps).map(|(g, steps)| mean(g).unwrap_or_else(|| at(steps))).collect();
    let within = groups.iter().zip(&means).flat_map(|(g, m)| g.iter().map(|row| distance(row, m, weights))).sum();
    let mut clusters: Vec<(usize, Vec<f64>)> = groups.iter().map(Vec::len).zip(means).collect();
    clusters.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    Ended { within, clusters }
}

fn distance(row: &[f64], at: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(at).zip(weights).map(|((z, c), weight)| weight * ((z - c) * (z - c))).sum()
}

fn assigned<'a>(rows: &'a [Vec<f64>], weights: &[f64], steps: &[Vec<i32>]) -> Vec<Vec<&'a Vec<f64>>> {
    let centroids: Vec<Vec<f64>> =
        steps.iter().map(|steps| steps.iter().map(|step| f64::from(*step) * Centroids::QUANTUM).collect()).collect();
    let mut groups = vec![Vec::new(); centroids.len()];
    for row in rows {
        let mut nearest = (f64::INFINITY, 0);
        for (at, centroid) in centroids.iter().enumerate() {
            let here = distance(row, centroid, weights);
            if here < nearest.0 {
                nearest = (here, at);
            }
        }
        groups[nearest.1].push(row);
    }
    groups
}

fn mean(group: &[&Vec<f64>]) -> Option<Vec<f64>> {
    let width = group.first()?.len();
    Some((0..width).map(|j| group.iter().map(|row| row[j]).sum::<f64>() / group.len() as f64).collect())
}
