//! What columns are like by themselves: their moments, and at centroids who lies about them.

use bocage_protocol::plan::{Centroids, ModelLayout};

use super::clusters::{Answered, Patients, at_centroids};
use super::design::{Cases, Design};
use super::each_part;
use super::gram::{BLOCK, Gram};
use super::lacking::Lacking;
use super::sums::dot;
use crate::custodian::gate::{CountedClusters, CountedDescribed, CountedModel, Weights};

/// Columns that are summed side by side: no addition waits for the one before.
const LANES: usize = 4;

/// What is known of each column of a design, whatever is asked of them: kept with it.
pub struct Columns {
    /// Σz.
    sums: Vec<f64>,
    /// Σz².
    dots: Vec<f64>,
    /// Σ (z − mean)² and the largest one.
    squares: Vec<(f64, f64)>,
}

/// Σz and the lower triangle of Σ z zᵀ, with what the gate must know.
pub fn moments(design: &Design, layout: &ModelLayout) -> CountedModel {
    let width = layout.columns.len();
    let columns = design.columns.get_or_init(|| Columns::of(design, width));
    let parts = each_part(&design.parts, |_, cases| products_of(cases, width));
    let sums = columns.sums.iter().copied().chain(added(parts, width * (width + 1) / 2)).collect();
    counted(design, sums, (columns.squares.clone(), None))
}

/// Σz², with who lies about centroids. `answered` is what was answered about the same patients before.
pub fn clusters(
    design: &Design,
    layout: &ModelLayout,
    centroids: &Centroids,
    k: u32,
    answered: &mut Answered,
) -> CountedModel {
    let width = layout.columns.len();
    let Columns { dots, squares, .. } = design.columns.get_or_init(|| Columns::of(design, width));
    let found = at_centroids(&Patients::of(&design.parts, width), centroids, k, answered);
    counted(design, dots.clone(), (squares.clone(), Some(found)))
}

fn counted(
    design: &Design,
    sums: Vec<f64>,
    (squares, clusters): (Vec<(f64, f64)>, Option<CountedClusters>),
) -> CountedModel {
    let facts = design.facts.clone();
    let lacking = design.lacking.as_ref().map(Lacking::told).unwrap_or_default();
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
        described: Some(CountedDescribed { squares, clusters, lacking }),
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

fn products_of(cases: &Cases, width: usize) -> Vec<f64> {
    let mut gram = Gram::new(width);
    for begin in (0..cases.rows).step_by(BLOCK) {
        gram.add(cases, begin, &[1.0; BLOCK][..BLOCK.min(cases.rows - begin)]);
    }
    gram.lower().collect()
}

impl Columns {
    fn of(design: &Design, width: usize) -> Self {
        let parts = each_part(&design.parts, |_, cases| {
            let sums = side_by_side(cases, width, 0.0, &vec![(); width], |sum, z, ()| sum + z);
            let dots = (0..width).map(|j| dot(cases.column(j), cases.column(j)));
            sums.into_iter().chain(dots).collect()
        });
        let mut sums = added(parts, 2 * width);
        let dots = sums.split_off(width);
        let n: usize = design.parts.iter().map(|cases| cases.rows).sum();
        let means: Vec<f64> = sums.iter().map(|sum| sum / n as f64).collect();
        let parts = each_part(&design.parts, |_, cases| {
            side_by_side(cases, width, (0.0, 0.0), &means, |(all, most): (f64, f64), z, mean| {
                let square = (z - mean) * (z - mean);
                (all + square, most.max(square))
            })
        });
        let mut squares = vec![(0.0, 0.0f64); width];
        for part in parts {
            squares.iter_mut().zip(part).for_each(|(all, own)| *all = (all.0 + own.0, all.1.max(own.1)));
        }
        Self { sums, dots, squares }
    }
}

/// Of each column what `add` makes of its numbers, in the order of the rows, and of what is `known` of the column.
fn side_by_side<A: Copy, K: Copy>(
    cases: &Cases,
    width: usize,
    nothing: A,
    known: &[K],
    add: impl Fn(A, f64, K) -> A,
) -> Vec<A> {
    let mut all = Vec::with_capacity(width);
    for first in (0..width).step_by(LANES) {
        // Past the last column stands the last one again, and is dropped.
        let column = |lane: usize| (first + lane).min(width - 1);
        let [a, b, c, d] = std::array::from_fn(|lane| cases.column(column(lane)));
        let known: [K; LANES] = std::array::from_fn(|lane| known[column(lane)]);
        let mut found = [nothing; LANES];
        for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
            found[0] = add(found[0], *a, known[0]);
            found[1] = add(found[1], *b, known[1]);
            found[2] = add(found[2], *c, known[2]);
            found[3] = add(found[3], *d, known[3]);
        }
        all.extend_from_slice(&found[..LANES.min(width - first)]);
    }
    all
}
