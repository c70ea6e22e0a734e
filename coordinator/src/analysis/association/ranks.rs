//! Ranks of values that are known by their bands alone: what holds of the bands, and between what the answer about the values lies.

use super::{Test, points};

/// A number about the bands, and the least and the most that it can be about the values in them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::analysis) struct Within {
    pub value: f64,
    pub least: f64,
    pub most: f64,
}

/// Two groups by their ranks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::analysis) struct MannWhitney {
    /// Pairs in which the compared group has the larger value, equal ones by half (Mann and Whitney 1947).
    pub u: Within,
    /// U over all pairs: the chance that a patient of the compared group has the larger value, equal ones by half.
    pub superiority: Within,
    /// U standardised, with its variance under ties (Lehmann 1975, eq. 1.35), without a correction for continuity.
    pub z: Within,
    pub p: Within,
}

/// Compares counts in the same ordered bands. None where a group is empty or all are in one band.
///
/// Pairs within a band may fall either way, which gives the ends of U. A finer division has fewer ties, so the variance about the values is no
/// smaller than that about the bands, and no larger than that without ties: with these, the ends of z and p hold whatever the values are.
pub(in crate::analysis) fn mann_whitney(one: &[u64], zero: &[u64]) -> Option<MannWhitney> {
    let (n_1, n_0): (f64, f64) = (one.iter().sum::<u64>() as f64, zero.iter().sum::<u64>() as f64);
    let (pairs, n) = (n_1 * n_0, n_1 + n_0);
    let (mut below, mut least, mut tied) = (0.0, 0.0, 0.0);
    for (one, zero) in one.iter().zip(zero).map(|(one, zero)| (*one as f64, *zero as f64)) {
        least += one * below;
        tied += one * zero;
        below += zero;
    }
    let cubes: f64 = one.iter().zip(zero).map(|(a, b)| (*a + *b) as f64).map(|t| t * t * t - t).sum();
    let variance = pairs / 12.0 * ((n + 1.0) - cubes / (n * (n - 1.0)));
    let untied = pairs / 12.0 * (n + 1.0);
    if pairs == 0.0 || variance.is_nan() || variance <= 0.0 {
        return None;
    }
    let u = Within { value: least + tied / 2.0, least, most: least + tied };
    let mean = pairs / 2.0;
    let z = |u: f64, variance: f64| (u - mean) / variance.sqrt();
    // Away from the middle the smaller variance gives the further end.
    let end = |u: f64, low: bool| z(u, if (u < mean) == low { variance } else { untied });
    let z = Within { value: z(u.value, variance), least: end(u.least, true), most: end(u.most, false) };
    let nearest = if z.least <= 0.0 && z.most >= 0.0 { 0.0 } else { z.least.abs().min(z.most.abs()) };
    let p = Within {
        value: points::normal_beyond(z.value)?,
        least: points::normal_beyond(z.least.abs().max(z.most.abs()))?,
        most: points::normal_beyond(nearest)?,
    };
    let superiority = Within { value: u.value / pairs, least: u.least / pairs, most: u.most / pairs };
    Some(MannWhitney { u, superiority, z, p })
}

/// Whether any of several groups has larger values: Kruskal and Wallis' H (1952) with its correction for ties, χ² of one degree less than groups. Of
/// the bands: values within one count as equal. None where a group is empty or all are in one band.
pub(in crate::analysis) fn kruskal_wallis(groups: &[Vec<u64>]) -> Option<Test> {
    let width = groups.first()?.len();
    let totals: Vec<f64> = (0..width).map(|band| groups.iter().map(|group| group[band]).sum::<u64>() as f64).collect();
    let n: f64 = totals.iter().sum();
    let mut before = 0.0;
    let middle = |total: &f64| {
        before += total;
        // The rank that all of a band have, less the middle one.
        before - total / 2.0 - n / 2.0
    };
    let ranks: Vec<f64> = totals.iter().map(middle).collect();
    let of_group = |group: &Vec<u64>| {
        let own: f64 = group.iter().sum::<u64>() as f64;
        let sum: f64 = group.iter().zip(&ranks).map(|(count, rank)| *count as f64 * rank).sum();
        sum * sum / own
    };
    let between: f64 = groups.iter().map(of_group).sum();
    let spread: f64 = totals.iter().zip(&ranks).map(|(total, rank)| total * rank * rank).sum();
    let h = (n - 1.0) * between / spread;
    if h.is_finite() { Test::chi2(h, groups.len() as f64 - 1.0) } else { None }
}

/// Spearman's ρ (1904) of two ordered keys: Pearson's r of mid-ranks. None where one of them does not vary.
///
/// Its ends: within a band of one key, the other key's band settles the order of the values, and within a cell nothing does; so Σ RS is largest
/// where both orders agree everywhere, and smallest where they disagree. The spread of ranks grows with fewer ties, from that of the bands to
/// that without ties. Ends follow from both.
pub(in crate::analysis) fn spearman(counts: &[Vec<u64>]) -> Option<Within> {
    let rows: Vec<f64> = counts.iter().map(|row| row.iter().sum::<u64>() as f64).collect();
    let columns: Vec<f64> =
        (0..counts.first()?.len()).map(|j| counts.iter().map(|row| row[j]).sum::<u64>() as f64).collect();
    let n: f64 = rows.iter().sum();
    let untied = (n * n * n - n) / 12.0;
    let ties = |totals: &[f64]| untied - totals.iter().map(|t| (t * t * t - t) / 12.0).sum::<f64>();
    let spread = (ties(&rows) * ties(&columns)).sqrt();
    if n < 2.0 || spread.is_nan() || spread <= 0.0 {
        return None;
    }
    let centred = |totals: &[f64]| {
        let mut before = 0.0;
        let middle = |total: &f64| {
            before += total;
            before - total / 2.0 - n / 2.0
        };
        totals.iter().map(middle).collect::<Vec<f64>>()
    };
    let (of_row, of_column) = (centred(&rows), centred(&columns));
    let cells =
        || counts.iter().enumerate().flat_map(|(i, row)| row.iter().enumerate().map(move |(j, n)| (i, j, *n as f64)));
    let value = cells().map(|(i, j, n)| n * of_row[i] * of_column[j]).sum::<f64>() / spread;
    let end = |agree: bool| {
        let along_row = places(counts, &of_row, &rows, agree);
        let along_column = transposed(&places(&transposed(counts), &of_column, &columns, agree));
        let products: f64 = cells().map(|(i, j, m)| m * along_row[i][j] * along_column[i][j]).sum();
        // Within a cell of m patients both run over m neighbouring ranks.
        let within: f64 = cells().map(|(_, _, m)| (m * m * m - m) / 12.0).sum();
        if agree { products + within } else { products - within }
    };
    let (low, high) = (end(false), end(true));
    let least = if low < 0.0 { low / spread } else { low / untied };
    let most = if high > 0.0 { high / spread } else { high / untied };
    Some(Within { value: value.clamp(-1.0, 1.0), least: least.clamp(-1.0, 1.0), most: most.clamp(-1.0, 1.0) })
}

/// The mean centred rank of each cell's patients, where the cells of a band follow each other in the other key's order, or against it.
fn places(bands: &[Vec<u64>], centres: &[f64], totals: &[f64], agree: bool) -> Vec<Vec<f64>> {
    let of_band = |(cells, (centre, total)): (&Vec<u64>, (&f64, &f64))| {
        let mut before = 0.0;
        let place = |cell: &u64| {
            before += *cell as f64;
            let first = before - *cell as f64 / 2.0;
            centre - total / 2.0 + if agree { first } else { total - first }
        };
        cells.iter().map(place).collect()
    };
    bands.iter().zip(centres.iter().zip(totals)).map(of_band).collect()
}

fn transposed<T: Copy>(rows: &[Vec<T>]) -> Vec<Vec<T>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{assert_near, assert_test, counts, number};
    use super::*;

    #[test]
    fn cholesterol_in_bands_has_the_ranks_of_scipy() {
        let table = counts("heart.chol_bands_by_sex");
        let found = mann_whitney(&table[1], &table[0]).unwrap();
        assert_near(found.u.value, number("heart.mann_whitney_u"));
        assert_near(found.p.value, number("heart.mann_whitney_p"));
        for (within, whole) in
            [(found.u, "heart.mann_whitney_ungrouped_u"), (found.p, "heart.mann_whitney_ungrouped_p")]
        {
            let truth = number(whole);
            assert!(within.least <= truth && truth <= within.most, "{truth} is not in {within:?}");
        }
    }

    #[test]
    fn cholesterol_in_bands_by_age_has_the_h_of_scipy() {
        assert_test(kruskal_wallis(&counts("heart.chol_bands_by_age")), "heart.kruskal_wallis");
        // Of two groups it is the square of Mann and Whitney's z.
        let two = counts("heart.chol_bands_by_sex");
        let z = mann_whitney(&two[1], &two[0]).unwrap().z.value;
        assert_near(kruskal_wallis(&two).unwrap().statistic, z * z);
    }

    #[test]
    fn age_and_cholesterol_in_bands_have_the_rank_correlation_of_scipy() {
        let found = spearman(&counts("heart.age_by_chol_bands")).unwrap();
        assert_near(found.value, number("heart.spearman"));
        let truth = number("heart.spearman_ungrouped");
        assert!(found.least <= truth && truth <= found.most, "{truth} is not in {found:?}");
    }

    #[test]
    fn what_is_in_one_band_has_no_ranks() {
        assert_eq!(mann_whitney(&[5, 0], &[7, 0]), None);
        assert_eq!(mann_whitney(&[0, 0], &[7, 1]), None);
        assert_eq!(kruskal_wallis(&[vec![5, 0], vec![7, 0], vec![1, 0]]), None);
        assert_eq!(kruskal_wallis(&[vec![5, 2], vec![7, 1], vec![0, 0]]), None);
        assert_eq!(kruskal_wallis(&[]), None);
        assert_eq!(spearman(&[vec![5, 5], vec![0, 0]]), None);
        assert_eq!(spearman(&[vec![0, 0], vec![0, 0]]), None);
    }

    fn bands(values: &[(u8, u8)], width: u8) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; 12]; 12];
        values.iter().for_each(|(x, y)| counts[usize::from(x / width)][usize::from(y / width)] += 1);
        counts
    }

    proptest! {
        #[test]
        fn every_finer_division_lies_between_the_ends(values in prop::collection::vec((0_u8..12, 0_u8..12), 2..40), width in 2_u8..6) {
            if let (Some(coarse), Some(fine)) = (spearman(&bands(&values, width)), spearman(&bands(&values, 1))) {
                prop_assert!(coarse.least <= fine.value + 1e-12 && fine.value <= coarse.most + 1e-12, "{coarse:?} {fine:?}");
            }
            let group = |one: bool, width: u8| {
                let mut counts = vec![0_u64; 12];
                values.iter().filter(|(_, y)| (*y < 6) == one).for_each(|(x, _)| counts[usize::from(x / width)] += 1);
                counts
            };
            let of = |width| mann_whitney(&group(true, width), &group(false, width));
            if let (Some(coarse), Some(fine)) = (of(width), of(1)) {
                for (ends, value) in [(coarse.u, fine.u.value), (coarse.z, fine.z.value), (coarse.p, fine.p.value)] {
                    prop_assert!(ends.least <= value + 1e-12 && value <= ends.most + 1e-12, "{coarse:?} {fine:?}");
                }
            }
        }
    }
}
