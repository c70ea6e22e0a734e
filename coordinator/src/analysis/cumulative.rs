//! How many values lie below each edge of a public grid, within bounds, summed over sites; and where a quantile must therefore lie.
//!
//! It knows edges by their numbers only, 0 to the number of grid cells: what they stand for is the driver's affair.
//!
//! **Definition.** The quantile of p is the smallest x with F(x) ≥ p, F(x) being the share of values at or below x (Hyndman and Fan 1996,
//! definition 1). With C(e) values below edge e and n in all, it is below e exactly if C(e) ≥ p·n.

use super::pool::plus;

/// What p is a multiple of: shares are compared in integers, so that no rounding moves a quantile.
const SCALE: i128 = 1_000_000_000;

/// Neighbouring grid cells that a site released as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bin {
    /// The edge below.
    pub from: usize,
    /// The edge above.
    pub to: usize,
    /// Values at or above the edge below, and below the edge above.
    pub count: u64,
}

/// The sums over sites.
#[derive(Debug, Clone)]
pub(super) struct Cumulative {
    /// At each edge, the fewest values that can lie below it at the sites that show bins.
    lower: Vec<u64>,
    /// And the most.
    upper: Vec<u64>,
    /// And how many do, if values are spread evenly within each bin.
    even: Vec<f64>,
    /// Values at the sites that show bins.
    shown: u64,
    /// How far these can be off, where sites round: who is below an edge, and in all.
    off: u64,
    /// The most values at the other sites; none: no bound.
    silent: Option<u64>,
}

/// Where a quantile lies, in edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// It is at or above this edge.
    pub from: usize,
    /// It is below this one (at the last edge: at or below).
    pub to: usize,
    /// The grid cell of the estimate, between edges `cell` and `cell` + 1.
    pub cell: usize,
    /// How far the estimate is into its cell, from 0 to 1.
    pub beyond: f64,
}

impl Cumulative {
    /// No site yet, over a grid of `cells` cells.
    pub(super) fn new(cells: usize) -> Self {
        let edges = cells + 1;
        Self { lower: vec![0; edges], upper: vec![0; edges], even: vec![0.0; edges], shown: 0, off: 0, silent: Some(0) }
    }

    /// Takes in a site's bins, which cover the grid without gaps, ascending. How many of its values lie below an edge can be `off` by so much.
    pub(super) fn add_bins(&mut self, bins: &[Bin], off: u64) {
        let mut below = 0;
        for bin in bins {
            let width = (bin.to - bin.from) as f64;
            for edge in bin.from + 1..=bin.to {
                let inside = edge < bin.to;
                self.lower[edge] += if inside { below } else { below + bin.count };
                self.upper[edge] += below + bin.count;
                self.even[edge] += below as f64 + bin.count as f64 * (edge - bin.from) as f64 / width;
            }
            below += bin.count;
        }
        self.shown += below;
        self.off += off;
    }

    /// Takes in a site of which nothing is known but that it has at most so many values, anywhere.
    pub(super) fn add_silent(&mut self, most: Option<u64>) {
        self.silent = plus(self.silent, most);
    }

    /// Values at the sites that show bins.
    pub(super) fn shown(&self) -> u64 {
        self.shown
    }

    /// How far these can be off.
    pub(super) fn off(&self) -> u64 {
        self.off
    }

    /// Where the quantile of `p` lies, 0 < p < 1, read to nine digits. None without a value.
    pub(super) fn quantile(&self, p: f64) -> Option<Place> {
        if self.shown == 0 {
            return None;
        }
        let (from, to) = self.bounds(((p * SCALE as f64).round() as i128).clamp(1, SCALE - 1));
        let (cell, beyond) = match self.estimate(p * self.shown as f64) {
            (cell, _) if cell < from => (from, 0.0),
            (cell, _) if cell >= to => (to - 1, 1.0),
            estimate => estimate,
        };
        Some(Place { from, to, cell, beyond })
    }

    /// Whatever the silent sites hold: all their values below the edge move the quantile most towards it, none of them most away.
    fn bounds(&self, p: i128) -> (usize, usize) {
        // Values without number can move it anywhere.
        let Some(silent) = self.silent.map(i128::from) else { return (0, self.lower.len() - 1) };
        let (shown, off) = (i128::from(self.shown), i128::from(self.off));
        let (fewest, most) = (p * (shown - off + silent), p * (shown + off + silent));
        let above = |upper: &u64| (i128::from(*upper) + off + silent) * SCALE < fewest;
        let below = |lower: &u64| (i128::from(*lower) - off) * SCALE >= most;
        let from = self.upper.partition_point(above).saturating_sub(1);
        let to = self.lower.partition_point(|lower| !below(lower)).min(self.lower.len() - 1);
        (from, to)
    }

    /// Where `wanted` values lie below, if they are spread evenly within each bin.
    fn estimate(&self, wanted: f64) -> (usize, f64) {
        let after = self.even.partition_point(|below| *below < wanted).clamp(1, self.even.len() - 1);
        let (low, high) = (self.even[after - 1], self.even[after]);
        let beyond = if high > low { ((wanted - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        (after - 1, beyond)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Grid cells merged from the left until `k` values are in each; what is left over joins the last bin.
    fn bins(values: &[usize], cells: usize, k: u64) -> Option<Vec<Bin>> {
        let mut bins: Vec<Bin> = vec![];
        let mut open = Bin { from: 0, to: 0, count: 0 };
        for cell in 0..cells {
            open.count += values.iter().filter(|value| **value == cell).count() as u64;
            open.to = cell + 1;
            if open.count >= k {
                bins.push(open);
                open = Bin { from: cell + 1, to: cell + 1, count: 0 };
            }
        }
        let last = bins.last_mut()?;
        last.to = cells;
        last.count += open.count;
        Some(bins)
    }

    fn add_up(sites: &[Vec<usize>], cells: usize, k: u64) -> Cumulative {
        let mut sum = Cumulative::new(cells);
        for site in sites {
            match bins(site, cells, k) {
                Some(bins) => sum.add_bins(&bins, 0),
                None => sum.add_silent(Some(k - 1)),
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn the_pooled_quantile_lies_in_the_interval_and_the_estimate_too(
            sites in prop::collection::vec(prop::collection::vec(0_usize..40, 0..80), 1..6),
            k in 1_u64..12,
            percent in 1_u32..100,
        ) {
            let sum = add_up(&sites, 40, k);
            let p = f64::from(percent) / 100.0;
            let mut pooled: Vec<usize> = sites.concat();
            pooled.sort_unstable();
            let Some(place) = sum.quantile(p) else {
                prop_assert_eq!(sum.shown(), 0);
                return Ok(());
            };
            let rank = (pooled.len() * percent as usize).div_ceil(100);
            let truth = pooled[rank - 1];
            prop_assert!(place.from <= truth && truth < place.to, "{} not in {:?}", truth, place);
            let estimate = place.cell as f64 + place.beyond;
            prop_assert!(place.from as f64 <= estimate && estimate <= place.to as f64, "{:?}", place);
        }
    }

    #[test]
    fn evenly_spread_values_give_an_interval_no_wider_than_three_bins_a_site() {
        let (cells, k, sites) = (2000, 11, 5);
        // A permutation of the grid for each site: 2 values in 5 cells.
        let values = |site: usize| (0..800).map(|i| (i * 5 / 2 + site * 3) % cells).collect::<Vec<_>>();
        let sum = add_up(&(0..sites).map(values).collect::<Vec<_>>(), cells, k);
        let density = (800 * sites) as f64 / cells as f64;
        for percent in [5, 25, 50, 75, 95] {
            let place = sum.quantile(f64::from(percent) / 100.0).unwrap();
            let width = (place.to - place.from) as f64;
            assert!(width <= 3.0 * (k as f64) * (sites as f64) / density, "{percent} %: {place:?}");
            let truth = f64::from(percent) / 100.0 * cells as f64;
            assert!((place.cell as f64 + place.beyond - truth).abs() < 20.0, "{percent} %: {place:?}");
        }
    }

    #[test]
    fn a_silent_site_widens_the_interval() {
        let mut sum = Cumulative::new(4);
        sum.add_bins(&[0, 1, 2, 3].map(|i| Bin { from: i, to: i + 1, count: 10 }), 0);
        assert_eq!(sum.quantile(0.5).unwrap(), Place { from: 1, to: 2, cell: 1, beyond: 1.0 });
        sum.add_silent(Some(5));
        assert_eq!((sum.quantile(0.5).unwrap().from, sum.quantile(0.5).unwrap().to), (1, 3));
        sum.add_silent(None);
        assert_eq!((sum.quantile(0.5).unwrap().from, sum.quantile(0.5).unwrap().to), (0, 4), "it may hold any number");
    }

    #[test]
    fn a_share_that_no_double_holds_exactly_is_not_rounded_over_a_rank() {
        // 0.07 · 100 is 7.000000000000001 in doubles; the quantile is the 7th value.
        let mut sum = Cumulative::new(100);
        sum.add_bins(&(0..100).map(|i| Bin { from: i, to: i + 1, count: 1 }).collect::<Vec<_>>(), 0);
        assert_eq!((sum.quantile(0.07).unwrap().from, sum.quantile(0.07).unwrap().to), (6, 7));
    }
}
