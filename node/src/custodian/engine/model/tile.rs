//! Sums of products of a few columns with a few others: each number is read once for several products, and each product goes into one of four running
//! sums, four at a time where the processor can (AVX2). Nothing is fused, so that every processor finds the same bits.

/// Columns on the left.
pub const HIGH: usize = 4;
/// Columns on the right.
pub const WIDE: usize = 2;
/// Running sums of each product.
const LANES: usize = 4;

type Columns<'a, const N: usize> = [&'a [f64]; N];
type Lanes = [[[f64; LANES]; WIDE]; HIGH];

/// Σ a b of each column of the left with each of the right, all of the same length.
pub fn products(left: Columns<HIGH>, right: Columns<WIDE>) -> [[f64; WIDE]; HIGH] {
    let rows = left[0].len();
    let whole = rows / LANES;
    let sums = lanes(whole, left.map(in_fours), right.map(in_fours));
    let mut found = [[0.0; WIDE]; HIGH];
    for (r, row) in found.iter_mut().enumerate() {
        for (c, sum) in row.iter_mut().enumerate() {
            let [p, q, s, t] = sums[r][c];
            let rest = left[r][whole * LANES..].iter().zip(&right[c][whole * LANES..]);
            *sum = ((p + s) + (q + t)) + rest.map(|(a, b)| a * b).sum::<f64>();
        }
    }
    found
}

fn in_fours(column: &[f64]) -> &[[f64; LANES]] {
    column.as_chunks().0
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn lanes(whole: usize, left: [&[[f64; LANES]]; HIGH], right: [&[[f64; LANES]]; WIDE]) -> Lanes {
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { avx2::lanes(whole, left, right) };
    }
    plain(whole, left, right)
}

#[cfg(not(target_arch = "x86_64"))]
fn lanes(whole: usize, left: [&[[f64; LANES]]; HIGH], right: [&[[f64; LANES]]; WIDE]) -> Lanes {
    plain(whole, left, right)
}

fn plain(whole: usize, left: [&[[f64; LANES]]; HIGH], right: [&[[f64; LANES]]; WIDE]) -> Lanes {
    let mut sums = Lanes::default();
    for at in 0..whole {
        for (row, left) in sums.iter_mut().zip(left) {
            for (sum, right) in row.iter_mut().zip(right) {
                (0..LANES).for_each(|lane| sum[lane] += left[at][lane] * right[at][lane]);
            }
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m256d, _mm256_add_pd, _mm256_mul_pd, _mm256_setr_pd, _mm256_setzero_pd};

    use super::{HIGH, LANES, Lanes, WIDE};

    /// As [`super::plain`]; the compiler by itself finds other groups than these. No closure that uses AVX2 would become a part of a function that is not
    /// known to: so there is none.
    #[target_feature(enable = "avx2")]
    pub fn lanes(whole: usize, left: [&[[f64; LANES]]; HIGH], right: [&[[f64; LANES]]; WIDE]) -> Lanes {
        let left = [&left[0][..whole], &left[1][..whole], &left[2][..whole], &left[3][..whole]];
        let right = [&right[0][..whole], &right[1][..whole]];
        let mut sums = [[_mm256_setzero_pd(); WIDE]; HIGH];
        for at in 0..whole {
            let mut numbers = [_mm256_setzero_pd(); WIDE];
            for (numbers, right) in numbers.iter_mut().zip(right) {
                *numbers = four(right[at]);
            }
            for (row, left) in sums.iter_mut().zip(left) {
                let left = four(left[at]);
                for (sum, right) in row.iter_mut().zip(numbers) {
                    *sum = _mm256_add_pd(*sum, _mm256_mul_pd(left, right));
                }
            }
        }
        let mut found = Lanes::default();
        for (found, sum) in found.iter_mut().flatten().zip(sums.into_iter().flatten()) {
            *found = apart(sum);
        }
        found
    }

    #[target_feature(enable = "avx2")]
    fn four([p, q, s, t]: [f64; LANES]) -> __m256d {
        _mm256_setr_pd(p, q, s, t)
    }

    #[target_feature(enable = "avx2")]
    fn apart(lanes: __m256d) -> [f64; LANES] {
        use std::arch::x86_64::{
            _mm_cvtsd_f64 as first, _mm_unpackhi_pd as high, _mm256_castpd256_pd128 as front,
            _mm256_extractf128_pd as half,
        };
        let (front, back) = (front(lanes), half::<1>(lanes));
        [first(front), first(high(front, front)), first(back), first(high(back, back))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_finds_the_same_bits() {
        let column =
            |seed: usize| (0..517).map(|i| ((i * 7919 + seed * 31) % 1009) as f64 / 77.0 - 4.0).collect::<Vec<_>>();
        let columns: Vec<_> = (0..HIGH + WIDE).map(column).collect();
        let left: [_; HIGH] = std::array::from_fn(|r| columns[r].as_chunks::<LANES>().0);
        let right: [_; WIDE] = std::array::from_fn(|c| columns[HIGH + c].as_chunks::<LANES>().0);
        let whole = 517 / LANES;
        assert_eq!(lanes(whole, left, right), plain(whole, left, right));
        let found = products(std::array::from_fn(|r| &columns[r][..]), std::array::from_fn(|c| &columns[HIGH + c][..]));
        for (r, row) in found.iter().enumerate() {
            for (c, found) in row.iter().enumerate() {
                let plain: f64 = columns[r].iter().zip(&columns[HIGH + c]).map(|(a, b)| a * b).sum();
                assert!((found - plain).abs() < 1e-9 * plain.abs().max(1.0), "{found} of {plain}");
            }
        }
    }
}
