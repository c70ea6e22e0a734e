//! Pearson's test of independence over a matrix of exact counts. Numbers in, numbers out: it must never see a hidden cell.

use statrs::function::gamma::checked_gamma_ur;

/// What a matrix of counts says of the independence of its rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Independence {
    /// χ² = Σ (O − E)² / E (Pearson 1900), without a correction for continuity.
    pub chi2: f64,
    /// (rows − 1)(columns − 1).
    pub df: u64,
    /// The chance of a χ² at least as large if rows and columns were independent: Q(df / 2, χ² / 2).
    pub p: f64,
    /// √(χ² / (n · (min(rows, columns) − 1))) (Cramér 1946, §21.9), from 0 to 1.
    pub cramers_v: f64,
    /// The share of cells whose expected count is below 5.
    pub small_expected: f64,
}

/// What each cell would hold on average if rows and columns were independent: row total × column total / n.
pub(super) fn expected(counts: &[Vec<u64>]) -> Vec<Vec<f64>> {
    let rows: Vec<f64> = counts.iter().map(|row| row.iter().sum::<u64>() as f64).collect();
    let columns: Vec<f64> = column_totals(counts).into_iter().map(|n| n as f64).collect();
    let n: f64 = rows.iter().sum();
    rows.iter().map(|row| columns.iter().map(|column| row * column / n).collect()).collect()
}

/// The test, or none where fewer than two rows or columns hold anything. Empty rows and columns do not count.
pub(super) fn test(counts: &[Vec<u64>]) -> Option<Independence> {
    let filled: Vec<usize> =
        column_totals(counts).iter().enumerate().filter(|(_, n)| **n > 0).map(|(column, _)| column).collect();
    let counts: Vec<Vec<u64>> = counts
        .iter()
        .filter(|row| row.iter().any(|n| *n > 0))
        .map(|row| filled.iter().map(|column| row[*column]).collect())
        .collect();
    let smaller = counts.len().min(filled.len());
    if smaller < 2 {
        return None;
    }
    let n = counts.iter().flatten().sum::<u64>() as f64;
    let expected = expected(&counts);
    let cells = || counts.iter().flatten().map(|n| *n as f64).zip(expected.iter().flatten().copied());
    let chi2: f64 = cells().map(|(observed, expected)| (observed - expected).powi(2) / expected).sum();
    let df = ((counts.len() - 1) * (filled.len() - 1)) as u64;
    let p = if chi2 > 0.0 { checked_gamma_ur(df as f64 / 2.0, chi2 / 2.0).ok()? } else { 1.0 };
    let small = cells().filter(|(_, expected)| *expected < 5.0).count();
    Some(Independence {
        chi2,
        df,
        p: p.clamp(0.0, 1.0),
        cramers_v: (chi2 / (n * (smaller - 1) as f64)).sqrt().min(1.0),
        small_expected: small as f64 / (counts.len() * filled.len()) as f64,
    })
}

fn column_totals(counts: &[Vec<u64>]) -> Vec<u64> {
    let width = counts.first().map_or(0, Vec::len);
    (0..width).map(|column| counts.iter().map(|row| row[column]).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6 * b.abs().max(1e-6)
    }

    #[test]
    fn a_matrix_of_the_textbook_gives_the_textbooks_numbers() {
        // Agresti 2007, table 2.5: gender and party identification; χ² = 30.07, df = 2.
        let test = test(&[vec![762, 327, 468], vec![484, 239, 477]]).unwrap();
        assert!(near(test.chi2, 30.070_149), "{}", test.chi2);
        assert_eq!(test.df, 2);
        assert!(near(test.p, (-test.chi2 / 2.0).exp()), "with two degrees of freedom p is exp(-x / 2): {}", test.p);
        assert!(near(test.cramers_v, (test.chi2 / 2757.0).sqrt()));
        assert_eq!(test.small_expected, 0.0);
    }

    #[test]
    fn expected_counts_have_the_totals_of_the_observed_ones() {
        let expected = expected(&[vec![762, 327, 468], vec![484, 239, 477]]);
        assert!(near(expected[0][0], 703.671_382), "{expected:?}");
        assert!(near(expected.iter().map(|row| row[2]).sum(), 945.0));
    }

    #[test]
    fn a_p_for_one_degree_of_freedom_is_the_two_sided_normal_one() {
        // 3.841459 is the 95 % point of χ² with one degree of freedom.
        assert!((checked_gamma_ur(0.5, 3.841_458_820_694_124 / 2.0).unwrap() - 0.05).abs() < 1e-10);
    }

    #[test]
    fn empty_rows_and_columns_do_not_count_and_one_row_is_no_test() {
        let full = test(&[vec![10, 20], vec![20, 10]]);
        assert_eq!(test(&[vec![10, 0, 20], vec![0, 0, 0], vec![20, 0, 10]]), full);
        assert_eq!(test(&[vec![10, 20], vec![0, 0]]), None);
        assert_eq!(test(&[]), None);
    }

    #[test]
    fn what_is_independent_has_no_evidence_and_what_is_one_to_one_has_all() {
        let none = test(&[vec![10, 20], vec![20, 40]]).unwrap();
        assert_eq!((none.chi2, none.p, none.cramers_v), (0.0, 1.0, 0.0));
        let all = test(&[vec![50, 0], vec![0, 50]]).unwrap();
        assert!(near(all.cramers_v, 1.0) && all.p < 1e-20);
    }
}
