//! Fisher's exact test of a fourfold table.

/// Tables of these margins that the test looks at, one by one. Of so many patients χ² says the same.
const MOST: u64 = 100_000;

/// The chance of a table of the same margins that is at most as likely as this one (Fisher 1935; both tails by their probability, as R's
/// `fisher.test`). None where there are too many such tables.
///
/// The tables' weights relative to the likeliest one follow from each other, so that no factorial is needed.
pub(in crate::analysis) fn exact([[a, b], [c, d]]: [[u64; 2]; 2]) -> Option<f64> {
    let (row, column, n) = (a + b, a + c, a + b + c + d);
    let (least, most) = ((row + column).saturating_sub(n), row.min(column));
    if most - least > MOST || n == 0 {
        return None;
    }
    let [row, column, rest] = [row as f64, column as f64, n as f64 - row as f64 - column as f64];
    // The weight of x + 1 over that of x.
    let up = |x: u64| (row - x as f64) * (column - x as f64) / ((x as f64 + 1.0) * (rest + x as f64 + 1.0));
    let mode = (((row + 1.0) * (column + 1.0) / (n as f64 + 2.0)) as u64).clamp(least, most);
    let of = |x: u64| match x >= mode {
        true => (mode..x).map(up).product::<f64>(),
        false => (x..mode).map(|x| 1.0 / up(x)).product(),
    };
    // What is as likely may differ in the last digits.
    let bound = of(a) * (1.0 + 1e-7);
    let (mut all, mut extreme) = (0.0, 0.0);
    let mut take = |weight: f64| {
        all += weight;
        if weight <= bound {
            extreme += weight;
        }
    };
    let mut weight = 1.0;
    take(weight);
    for x in mode..most {
        weight *= up(x);
        take(weight);
    }
    weight = 1.0;
    for x in (least..mode).rev() {
        weight /= up(x);
        take(weight);
    }
    Some((extreme / all).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::reference::{assert_near, number};
    use super::*;

    #[test]
    fn tables_have_the_chance_that_scipy_gives_them() {
        assert_near(exact([[27, 268], [52, 255]]).unwrap(), number("indo.fisher"));
        // Fisher's own: a lady tells four cups with milk first from four with tea first, and mistakes one of each.
        assert_near(exact([[3, 1], [1, 3]]).unwrap(), 34.0 / 70.0);
        assert_near(exact([[1000, 1200], [1500, 1650]]).unwrap(), number("points.fisher_large"));
    }

    #[test]
    fn a_table_without_a_choice_has_no_evidence() {
        assert_eq!(exact([[5, 0], [7, 0]]), Some(1.0));
        assert_eq!(exact([[0, 0], [0, 0]]), None);
    }
}
