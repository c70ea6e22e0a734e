//! Pairs of patients of whom one has the event while the other is at risk and goes on: whether the model gives the one the higher risk (Harrell et al.
//! 1982). Who is censored at the time of the event goes on; two events of one time are no pair.

use super::{AtRisk, Stratum};

/// Pairs in the order of their risks, against it, and of the same risk, of patients who come after these times, where some come late, and leave at those.
pub(super) fn pairs(risk: &AtRisk, (starts, times): (&[f64], &[f64]), stratum: &Stratum, eta: &[f64]) -> [u64; 3] {
    let rows = stratum.rows.clone();
    let mut ranks: Vec<f64> = eta[rows.clone()].to_vec();
    ranks.sort_by(f64::total_cmp);
    ranks.dedup();
    let rank = |row: usize| ranks.partition_point(|other| *other < eta[row]);
    let mut going_on = Counts(vec![0; ranks.len() + 1]);
    let (mut pairs, mut n, mut begin) = ([0; 3], 0u64, rows.start);
    let mut coming = stratum.coming.iter().peekable();
    while begin < rows.end {
        let time = times[begin];
        let end = begin + times[begin..rows.end].iter().take_while(|other| **other == time).count();
        let of = |event: bool| (begin..end).filter(move |row| risk.event[*row] == event);
        for row in of(false) {
            going_on.add(rank(row), 1);
            n += 1;
        }
        while let Some(row) = coming.next_if(|row| starts[**row] >= time) {
            going_on.add(rank(*row), -1);
            n -= 1;
        }
        for row in of(true) {
            let (below, at_most) = (going_on.below(rank(row)), going_on.below(rank(row) + 1));
            pairs[0] += below;
            pairs[1] += n - at_most;
            pairs[2] += at_most - below;
        }
        for row in of(true) {
            going_on.add(rank(row), 1);
            n += 1;
        }
        begin = end;
    }
    pairs
}

/// Counts by rank that can be added up quickly (Fenwick 1994).
struct Counts(Vec<i64>);

impl Counts {
    fn add(&mut self, rank: usize, count: i64) {
        let mut at = rank + 1;
        while at < self.0.len() {
            self.0[at] += count;
            at += at & at.wrapping_neg();
        }
    }

    /// How many have a lower rank.
    fn below(&self, rank: usize) -> u64 {
        let (mut at, mut sum) = (rank, 0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum.unsigned_abs()
    }
}
