//! Where a statistic over sites lies that round their counts, and their sums with them. Numbers in, an interval that holds the truth out.
//!
//! A site's n' is within [`rounding::OFF`] of its n, and its S' is n' times its own mean to half a unit. So over all sites, with M = Σ S / Σ n and
//! M' = Σ S' / Σ n',
//!
//! ```text
//! M − M' = ( Σ (nᵢ − nᵢ')(mᵢ − M') + Σ nᵢ (mᵢ − mᵢ') ) / Σ n        since Σ nᵢ'(mᵢ' − M') = 0
//! ```
//!
//! over the sites that round, whose first sum is at most 2 Σ |mᵢ' − M'| and more where m' is off, and whose second is at most the sum of what their units
//! leave open. The variance is held in the same way by each site's mean of (q − M')². Ends are rounded outward, so that they give no sum over sites
//! to all its digits.
//!
//! Of too few sites that round such a sum would say how far a single one's mean is. Then what is published bounds it: n'(m' − M')² of one site is at most
//! all Σ (q − M')², and n' is [`LEAST`] at least.

use bocage_protocol::plan::Quantum;
use bocage_protocol::release::rounding;

/// No site that rounds shows fewer rows.
const LEAST: f64 = 10.0;

/// What one site that rounds shows of a measure in one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// Rows with a value.
    pub rows: u64,
    /// Σq.
    pub sum: i128,
    /// Σq².
    pub sum_sq: i128,
    /// What Σq is a multiple of.
    pub unit: i128,
}

/// The smallest and the largest that a statistic can be.
pub(super) type Ends = (f64, f64);

/// The sums of all sites, exact or not, and the parts of those that round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums<'a> {
    pub rows: u64,
    pub sum: i128,
    pub sum_sq: i128,
    pub parts: &'a [Part],
    /// Whether the parts are of so few sites that nothing of them may show.
    pub few: bool,
}

/// How far the number of rows can be from the true one.
pub(super) fn off(parts: &[Part]) -> u64 {
    rounding::OFF * parts.len() as u64
}

impl Sums<'_> {
    fn fewest(&self) -> f64 {
        self.rows.saturating_sub(off(self.parts)).max(1) as f64
    }

    fn most(&self) -> f64 {
        (self.rows + off(self.parts)) as f64
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.rows as f64
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        (self.sum_sq as f64 / self.rows as f64 - mean * mean).max(0.0)
    }

    /// [`Sums::beyond`] of few sites, where no part's mean is further from that of all than this.
    fn beyond_few(&self, far: f64, open: impl Fn(&Part) -> f64) -> f64 {
        let off = rounding::OFF as f64;
        let one = |part: &Part| off * far + open(part) * (LEAST + off) / LEAST;
        self.parts.iter().map(one).sum::<f64>() / self.fewest()
    }

    /// How far what lies about `all` over the sites can be off it, where each part has a mean and leaves its n times so much open.
    fn beyond(&self, all: f64, of: impl Fn(&Part) -> (f64, f64)) -> f64 {
        let one = |part: &Part| {
            let (mean, open) = of(part);
            let (n, off) = (part.rows as f64, rounding::OFF as f64);
            off * (mean - all).abs() + open * (n + off) / n
        };
        self.parts.iter().map(one).sum::<f64>() / self.fewest()
    }

    /// How far the mean can be off, in quanta.
    fn mean_beyond(&self) -> f64 {
        if self.few {
            let far = (self.rows as f64 * self.variance() / LEAST).sqrt();
            return self.beyond_few(far, |part| open(part.unit));
        }
        self.beyond(self.mean(), |part| (part.sum as f64 / part.rows as f64, open(part.unit)))
    }

    /// The mean.
    pub(super) fn mean_ends(&self, quantum: Quantum) -> Ends {
        let far = outward(quantum.step * self.mean_beyond());
        let mean = quantum.mean(self.rows, self.sum);
        (mean - far, mean + far)
    }

    /// The sum.
    pub(super) fn sum_ends(&self, quantum: Quantum) -> Ends {
        let (low, high) = self.mean_ends(quantum);
        let corners = [low, high].map(|mean| [mean * self.fewest(), mean * self.most()]);
        let all = corners.iter().flatten();
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)))
    }

    /// The sample standard deviation.
    pub(super) fn sd_ends(&self, quantum: Quantum) -> Ends {
        let mean = self.mean();
        let n = self.rows as f64;
        let variance = self.variance();
        let unsure = |part: &Part| open(part.unit * part.unit) + 2.0 * mean.abs() * open(part.unit);
        let far = if self.few {
            self.beyond_few(n * variance / LEAST, unsure)
        } else {
            self.beyond(variance, |part| {
                let n = part.rows as f64;
                let about = (part.sum_sq as f64 - 2.0 * mean * part.sum as f64) / n + mean * mean;
                (about, unsure(part))
            })
        };
        let shift = self.mean_beyond();
        let sample = |n: f64| if n > 1.0 { n / (n - 1.0) } else { f64::INFINITY };
        let low = (variance - far - shift * shift).max(0.0) * sample(self.most());
        let high = (variance + far) * sample(self.fewest());
        let middle = (variance * sample(n)).sqrt();
        let ends = [middle - low.sqrt(), high.sqrt() - middle].map(|far| outward(quantum.step * far));
        let sd = quantum.step * middle;
        ((sd - ends[0]).max(0.0), sd + ends[1])
    }
}

/// The share of rows for which a condition holds, of which `off` at most are not counted or too many, as of all rows.
pub(super) fn share_ends(holds: u64, rows: u64, off: u64) -> Ends {
    let low = holds.saturating_sub(off) as f64 / (rows + off) as f64;
    let high = (holds + off) as f64 / rows.saturating_sub(off).max(1) as f64;
    (low, high.min(1.0))
}

/// How far a sum can be from n' times the mean that it had: half a unit, and what is lost before.
fn open(unit: i128) -> f64 {
    unit as f64 / 2.0 + 1.5
}

/// The next larger number of two digits; what doubles lose on the way is less.
fn outward(x: f64) -> f64 {
    if x <= 0.0 || !x.is_finite() {
        return x.max(0.0);
    }
    let digit = 10f64.powf(x.log10().floor() - 1.0);
    (x * (1.0 + 1e-9) / digit).ceil() * digit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sites' values in quanta, each site's sums as it would release them.
    fn released(sites: &[Vec<i64>], unit: i128) -> (u64, i128, i128, Vec<Part>) {
        let part = |values: &Vec<i64>| {
            let (n, rows) = (values.len() as u64, rounding::nearest(values.len() as u64));
            let sum: i128 = values.iter().map(|q| i128::from(*q)).sum();
            let sum_sq = values.iter().map(|q| i128::from(q * q)).sum();
            let scaled = |of, unit| rounding::scaled(of, n, rows, unit, i128::MAX / 4);
            Part { rows, sum: scaled(sum, unit), sum_sq: scaled(sum_sq, unit * unit), unit }
        };
        let parts: Vec<Part> = sites.iter().map(part).collect();
        let of = |get: fn(&Part) -> i128| parts.iter().map(get).sum();
        (parts.iter().map(|part| part.rows).sum(), of(|part| part.sum), of(|part| part.sum_sq), parts)
    }

    proptest! {
        #[test]
        fn the_true_mean_sum_and_sd_lie_between_the_ends(
            sites in prop::collection::vec((8usize..60, -200i64..200, 1i64..80), 1..6),
            few in any::<bool>(),
            seed in 0u64..1000,
            unit in 2i128..9,
        ) {
            // Sites that differ in size, place and spread.
            let value = |i: usize, spread: i64| (i as u64 * 7919 + seed * 104_729) as i64 % spread;
            let sites: Vec<Vec<i64>> =
                sites.iter().map(|(n, place, spread)| (0..*n).map(|i| place + value(i, *spread)).collect()).collect();
            let quantum = Quantum { centre: 300.0, step: 1.0 };
            let (rows, sum, sum_sq, parts) = released(&sites, unit);
            let sums = Sums { rows, sum, sum_sq, parts: &parts, few };
            let all: Vec<f64> = sites.concat().iter().map(|q| 300.0 + *q as f64).collect();
            let n = all.len() as f64;
            let mean = all.iter().sum::<f64>() / n;
            let sd = (all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            for (truth, (low, high)) in
                [(mean, sums.mean_ends(quantum)), (n * mean, sums.sum_ends(quantum)), (sd, sums.sd_ends(quantum))]
            {
                prop_assert!(low <= truth && truth <= high, "{truth} not in [{low}, {high}]");
            }
        }

        #[test]
        fn the_true_share_lies_between_its_ends(sites in prop::collection::vec((6u64..80, 0u64..81), 1..6)) {
            let sites: Vec<(u64, u64)> = sites.iter().map(|(n, holds)| (*n, *holds.min(n))).collect();
            let sum = |of: fn(&(u64, u64)) -> u64| sites.iter().map(of).sum::<u64>();
            let truth = sum(|site| site.1) as f64 / sum(|site| site.0) as f64;
            let (holds, rows) = (sum(|site| rounding::nearest(site.1)), sum(|site| rounding::nearest(site.0)));
            let (low, high) = share_ends(holds, rows, rounding::OFF * sites.len() as u64);
            prop_assert!(low <= truth && truth <= high, "{truth} not in [{low}, {high}]");
        }
    }

    #[test]
    fn ends_are_rounded_outward_to_two_digits() {
        for (x, wanted) in [(0.0, 0.0), (0.01234, 0.013), (9.91, 10.0), (1200.0, 1300.0), (150.0, 160.0)] {
            assert!((outward(x) - wanted).abs() < 1e-9 * wanted.max(1.0), "{x}: {}", outward(x));
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_narrow_where_sites_are_alike() {
        let sites = vec![(0..100).collect::<Vec<i64>>(), (0..98).collect()];
        let (rows, sum, sum_sq, parts) = released(&sites, 2);
        let (low, high) =
            Sums { rows, sum, sum_sq, parts: &parts, few: false }.mean_ends(Quantum { centre: 0.0, step: 1.0 });
        assert!(high - low < 0.2, "[{low}, {high}]");
    }

    #[test]
    fn of_few_sites_the_ends_say_nothing_but_what_is_published_of_all() {
        let (rows, sum, sum_sq) = (300, 4_000, 900_000);
        let part = |rows, sum| Part { rows, sum, sum_sq: 300_000, unit: 2 };
        let ends = |part: Part| {
            Sums { rows, sum, sum_sq, parts: &[part], few: true }.mean_ends(Quantum { centre: 0.0, step: 1.0 })
        };
        assert_eq!(ends(part(100, 0)), ends(part(50, 3_000)));
        let open = |part: Part| {
            Sums { rows, sum, sum_sq, parts: &[part], few: false }.mean_ends(Quantum { centre: 0.0, step: 1.0 })
        };
        assert_ne!(open(part(100, 0)), open(part(50, 3_000)));
    }
}
