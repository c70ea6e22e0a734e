//! What mode `round` does to numbers that the threshold lets out, so that sites and whoever combines their answers mean the same by it.
//!
//! **Counts** go to the nearest multiple of five, each by itself: a function of the count and of nothing else, so that asking again or in other
//! words tells nothing more. The threshold rises to the next number at which five neighbours have one rounded value ([`threshold`]): each
//! count that is shown stands for five possible ones.
//!
//! **Sums** keep their mean: a sum becomes mean × rounded count, rounded to a [`unit()`]. A mean to all its digits would give the count away, for
//! only one count makes a whole number of a mean of whole numbers.

use crate::plan::Quantum;

/// What counts are multiples of.
pub const BASE: u64 = 5;

/// How far a rounded count can be from the true one.
pub const OFF: u64 = BASE / 2;

/// How far a number can be that is the difference of two rounded counts, as the bins of a grid are.
pub const OFF_BETWEEN: u64 = 2 * OFF;

/// Into so many units a measure's range is parted.
const UNITS_A_RANGE: i128 = 64;

/// The nearest multiple of [`BASE`].
pub fn nearest(n: u64) -> u64 {
    n.saturating_add(OFF) / BASE * BASE
}

/// The threshold under which a site that rounds answers: the least from `k` on that is the least of those with its rounded value.
///
/// It is 8 at least: two rounded numbers with so many between them are never the same.
pub fn threshold(k: u32) -> u32 {
    let (base, off) = (BASE as u32, OFF as u32);
    // Whole classes begin at base − off, 2 base − off, …
    k.saturating_add(off).div_ceil(base).max(2).saturating_mul(base).saturating_sub(off)
}

/// What a sum is a multiple of, in quanta, for a measure whose range has this width. That of its squares is a multiple of the square.
///
/// At least two: for each count that has the rounded value there is then a sum of whole quanta that rounds to the same.
pub fn unit(range: f64, quantum: Quantum) -> i128 {
    let quanta = (range / quantum.step).ceil();
    // Ranges of no number have no measure; a cast that saturates does no harm.
    (quanta as i128).div_euclid(UNITS_A_RANGE).max(2)
}

/// A sum over `n` values as the sum over `rounded` values of the same mean, to the nearest multiple of `unit`, within ± `most`.
pub fn scaled(sum: i128, n: u64, rounded: u64, unit: i128, most: i128) -> i128 {
    let (n, rounded) = (i128::from(n.max(1)), i128::from(rounded));
    // Σq² of 10¹² rows has 104 bits, times a count 144: so whole and rest apart.
    let (whole, rest) = (sum.div_euclid(n), sum.rem_euclid(n));
    let exact = whole * rounded + (rest * rounded).div_euclid(n);
    let near = exact.saturating_add(unit / 2).div_euclid(unit).saturating_mul(unit);
    near.clamp(-most, most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_count_from_the_threshold_on_shares_its_rounded_value_with_four_others() {
        for k in 1..200 {
            let least = threshold(k);
            assert!(least >= k && least < k.max(4) + 5, "{k}: {least}");
            for n in u64::from(least)..u64::from(least) + 50 {
                let alike = (u64::from(least)..n + 5).filter(|other| nearest(*other) == nearest(n)).count();
                assert!(alike == 5 && nearest(n) >= u64::from(least) && nearest(n).abs_diff(n) <= OFF, "{k}: {n}");
            }
        }
        assert_eq!([threshold(3), threshold(11), threshold(13), threshold(14)], [8, 13, 13, 18]);
    }

    #[test]
    fn a_unit_is_a_part_of_the_range_and_never_one_quantum() {
        assert_eq!(unit(300.0, Quantum::of_float_range(0.0, 300.0)), 1 << 26);
        assert_eq!(unit(120.0, Quantum::of_int_range(0, 120)), 2);
        assert_eq!(unit(6400.0, Quantum::of_int_range(0, 6400)), 100);
    }

    proptest! {
        #[test]
        fn a_scaled_sum_has_the_mean_it_had_to_half_a_unit(
            n in 3u64..1_000_000_000, mean in -(1i128 << 32)..1i128 << 32, rest in 0i128..3, unit in 2i128..1 << 26,
        ) {
            let (sum, rounded) = (mean * i128::from(n) + rest, nearest(n));
            let most = i128::from(rounded) << 32;
            let of = scaled(sum, n, rounded, unit, most);
            prop_assert!(of % unit == 0 || of.abs() == most);
            let (kept, had) = (of as f64 / rounded as f64, sum as f64 / n as f64);
            prop_assert!((kept - had).abs() <= (unit as f64 / 2.0 + 1.5) / rounded as f64 + had.abs() * 1e-12);
        }

        #[test]
        fn each_count_of_a_rounded_value_has_sums_of_whole_quanta_that_round_alike(
            n in 3u64..60, sum in -2000i128..2000, unit in 2i128..9,
        ) {
            let rounded = nearest(n);
            let seen = scaled(sum, n, rounded, unit, 1 << 60);
            for other in rounded - OFF..=rounded + OFF {
                let near = sum * i128::from(other) / i128::from(n);
                let fits = |of: i128| scaled(of, other, rounded, unit, 1 << 60) == seen;
                prop_assert!((near - 10..near + 10).any(fits), "{other} values are ruled out");
            }
        }
    }
}
