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

/// A function of the basis of a natural cubic spline: d₍ₖ₎ − d₍K−1₎ with d₍ₖ₎(x) = ((x − ξₖ)₊³ − (x − ξ_K)₊³) / (ξ_K − ξₖ), of Hastie,
/// Tibshirani, Friedman, *The Elements of Statistical Learning* (2009), equation 5.4; divided by (ξ_K − ξ₁)², so that it has the number's unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Spline {
    knots: Vec<f64>,
    at: usize,
}

impl Spline {
    /// Function `at` ≥ 1 over these knots; none if there is none.
    pub fn new(knots: &[f64], at: u32) -> Option<Self> {
        let rising = knots.iter().all(|knot| knot.is_finite()) && knots.windows(2).all(|w| w[0] < w[1]);
        let at = at as usize;
        (rising && at >= 1 && at + 1 < knots.len()).then(|| Self { knots: knots.to_vec(), at })
    }

    /// Its value.
    pub fn value(&self, x: f64) -> f64 {
        let (first, last) = (self.knots[0], self.knots[self.knots.len() - 1]);
        let span = (last - first) * (last - first);
        (self.part(self.at - 1, x) - self.part(self.knots.len() - 2, x)) / span
    }

    /// The knots, those at the ends included.
    pub fn knots(&self) -> &[f64] {
        &self.knots
    }

    fn part(&self, k: usize, x: f64) -> f64 {
        let (knot, last) = (self.knots[k], self.knots[self.knots.len() - 1]);
        let cube = |d: f64| if d > 0.0 { d * d * d } else { 0.0 };
        (cube(x - knot) - cube(x - last)) / (last - knot)
    }

    /// The largest absolute value over a range: it never falls, and is 0 below its knot.
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
