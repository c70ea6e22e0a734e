//! What columns are like by themselves: their moments, and at centroids who lies about them.

use bocage_protocol::plan::{Centroids, ModelLayout};

use super::clusters::{Answered, Patients, at_centroids};
use super::design::{Cases, Design};
use super::each_part;
use super::gram::{BLOCK, Gram};
use super::sums::dot;
use crate::custodian::gate::{CountedDescribed, CountedModel, Weights};

/// Σz and the lower triangle of Σ z zᵀ, with what the gate must know.
pub fn moments(design: &Design, layout: &ModelLayout) -> CountedModel {
    let width = layout.columns.len();
    let parts = each_part(&design.parts, |_, cases| moments_of(cases, width));
    let sums = added(parts, width + width * (width + 1) / 2);
    let squares = squares(design, &sums[..width]);
    counted(design, sums, CountedDescribed { squares, clusters: None })
}

/// Σz², with who lies about centroids. `answered` is what was answered about the same patients before, where that is known.
pub fn clusters(
    design: &Design,
    layout: &ModelLayout,
    centroids: &Centroids,
    k: u32,
    answered: Option<&mut Answered>,
) -> CountedModel {
    let width = layout.columns.len();
    let parts = each_part(&design.parts, |_, cases| {
        let column = |j: usize| cases.column(j);
        (0..width).flat_map(|j| [column(j).iter().sum(), dot(column(j), column(j))]).collect()
    });
    let both = added(parts, 2 * width);
    let (sums, front): (Vec<f64>, Vec<f64>) = both.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
    let squares = squares(design, &sums);
    let found = at_centroids(&Patients::of(&design.parts, width), centroids, k, answered);
    counted(design, front, CountedDescribed { squares, clusters: Some(found) })
}

fn counted(design: &Design, sums: Vec<f64>, described: CountedDescribed) -> CountedModel {
    let facts = design.facts.clone();
    CountedModel {
        predictions: facts.shares(),
        n: facts.n,
        sides: facts.sides,
        ones: facts.ones,
        both: facts.both,
        spreads: facts.spreads,
        sums,
        weights: Weights::default(),
        risk: None,
        described: Some(described),
        folds: Vec::new(),
    }
}

/// Parts are added in their order.
fn added(parts: Vec<Vec<f64>>, values: usize) -> Vec<f64> {
    let mut all = vec![0.0; values];
    for part in parts {
        all.iter_mut().zip(part).for_each(|(all, own)| *all += own);
    }
    all
}

fn moments_of(cases: &Cases, width: usize) -> Vec<f64> {
    let mut gram = Gram::new(width);
    for begin in (0..cases.rows).step_by(BLOCK) {
        gram.add(cases, begin, &[1.0; BLOCK][..BLOCK.min(cases.rows - begin)]);
    }
    (0..width).map(|j| cases.column(j).iter().sum()).chain(gram.lower()).collect()
}

/// Of each column Σ (z − mean)² and the largest one.
fn squares(design: &Design, sums: &[f64]) -> Vec<(f64, f64)> {
    let n: usize = design.parts.iter().map(|cases| cases.rows).sum();
    let parts = each_part(&design.parts, |_, cases| {
        let of_column = |(j, sum): (usize, &f64)| {
            let mean = sum / n as f64;
            let squares = cases.column(j).iter().map(|z| (z - mean) * (z - mean));
            squares.fold((0.0, 0.0), |(all, most): (f64, f64), square| (all + square, most.max(square)))
        };
        sums.iter().enumerate().map(of_column).collect::<Vec<(f64, f64)>>()
    });
    let mut all = vec![(0.0, 0.0f64); sums.len()];
    for part in parts {
        all.iter_mut().zip(part).for_each(|(all, own)| *all = (all.0 + own.0, all.1.max(own.1)));
    }
    all
}
