//! How design columns come to lie in [−1, 1], by public ranges alone, and the way back.
//!
//! A number is centred where the design has all that centring brings in: (x − c) d is x d − c d, so `d` must be a column as well. Else it is
//! only divided by its largest absolute value: the model must stay the one that was asked.

use super::{Factor, Product};

/// (x − centre) / half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// What is taken off.
    pub centre: f64,
    /// What is divided by, above 0.
    pub half: f64,
}

impl Scale {
    /// As it is.
    pub const NONE: Scale = Scale { centre: 0.0, half: 1.0 };

    /// Of a range, about its middle or about 0.
    pub(super) fn of((lo, hi): (f64, f64), centred: bool) -> Self {
        if centred {
            let centre = lo / 2.0 + hi / 2.0;
            Self { centre, half: hi / 2.0 - lo / 2.0 }
        } else {
            Self { centre: 0.0, half: lo.abs().max(hi.abs()) }
        }
    }

    /// The scaled number.
    #[inline]
    pub fn apply(&self, x: f64) -> f64 {
        (x - self.centre) / self.half
    }
}

/// A function of a basis of the natural cubic splines over knots (de Boor, *A Practical Guide to Splines* (2001), chapter IV): the one whose second
/// derivative is a hat over its inner knot and the two beside it. It is 0 below these, then bends, and rises with the number above them: functions of
/// neighbouring knots are told apart by few patients, so that coefficients stay as small as those of the number itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Spline {
    knots: Vec<f64>,
    at: usize,
}

impl Spline {
    /// Function `at` ≥ 1 over these knots, which bends at the inner knot of that position; none if there is none.
    pub fn new(knots: &[f64], at: u32) -> Option<Self> {
        let rising = knots.iter().all(|knot| knot.is_finite()) && knots.windows(2).all(|w| w[0] < w[1]);
        let at = at as usize;
        (rising && at >= 1 && at + 1 < knots.len()).then(|| Self { knots: knots.to_vec(), at })
    }

    /// Its value, in the number's unit.
    pub fn value(&self, x: f64) -> f64 {
        let [before, knot, after] = [self.at - 1, self.at, self.at + 1].map(|at| self.knots[at]);
        let half = (after - before) / 2.0;
        let bend = |d: f64, width: f64| d * d * d / (6.0 * width * half);
        if x <= before {
            0.0
        } else if x <= knot {
            bend(x - before, knot - before)
        } else {
            let rising = x - (before + knot + after) / 3.0;
            if x < after { rising + bend(after - x, after - knot) } else { rising }
        }
    }

    /// The knots, those at the ends included.
    pub fn knots(&self) -> &[f64] {
        &self.knots
    }

    /// The largest absolute value over a range: it never falls, and is 0 below its knots.
    pub(super) fn largest(&self, (lo, hi): (f64, f64)) -> f64 {
        self.value(lo).abs().max(self.value(hi).abs())
    }
}

/// How scaled columns are made of the columns as they were asked: z = r T.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    /// By rows: one a column, and a last one for what falls to the intercepts of sites.
    rows: Vec<Vec<f64>>,
}

impl Transform {
    /// Of scaled columns, whose factors are scaled so.
    pub(super) fn of(columns: &[Product], scales: &[Vec<Scale>]) -> Self {
        let mut rows = vec![vec![0.0; columns.len()]; columns.len() + 1];
        for (j, (product, scales)) in columns.iter().zip(scales).enumerate() {
            let half: f64 = scales.iter().map(|scale| scale.half).product();
            for (rest, without) in parts(product, |i| scales[i].centre != 0.0) {
                let taken: f64 = without.iter().map(|i| -scales[*i].centre).product();
                let at = position(columns, &rest).unwrap_or(columns.len());
                rows[at][j] += taken / half;
            }
        }
        Self { rows }
    }

    /// One row a column as it was asked, and a last one for the intercepts of sites.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }
}

/// Whether all that centring the numbers of a column brings in is there.
pub(super) fn can_centre(columns: &[Product], product: &Product, by_site: bool) -> bool {
    let numbers = |i: usize| matches!(product[i], Factor::Number(_));
    parts(product, numbers).iter().all(|(rest, _)| (rest.is_empty() && by_site) || position(columns, rest).is_some())
}

/// The products that are left when any of the factors that `may` be taken off are, each with those that were.
fn parts(product: &Product, may: impl Fn(usize) -> bool) -> Vec<(Product, Vec<usize>)> {
    let takeable: Vec<usize> = (0..product.len()).filter(|i| may(*i)).collect();
    let subset = |bits: u32| {
        let taken: Vec<usize> =
            takeable.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, i)| *i).collect();
        let rest = (0..product.len()).filter(|i| !taken.contains(i)).map(|i| product[i].clone()).collect();
        (rest, taken)
    };
    (0..1u32 << takeable.len()).map(subset).collect()
}

/// The column with these factors, in any order.
fn position(columns: &[Product], product: &Product) -> Option<usize> {
    columns.iter().position(|column| same(column, product))
}

/// Whether two products have the same factors.
pub(super) fn same(a: &Product, b: &Product) -> bool {
    let count = |of: &Product, factor: &Factor| of.iter().filter(|f| *f == factor).count();
    a.len() == b.len() && a.iter().all(|factor| count(a, factor) == count(b, factor))
}
