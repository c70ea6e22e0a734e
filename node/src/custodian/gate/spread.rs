//! How many different values stand behind a sum, as far as the gate must know: enough of them or not.
//!
//! A sum hides a value only among others. n, Σx and Σx² of few different values solve for how often each occurs, and a sum to
//! which one patient alone contributes is that patient's value. A measure of a cell is *wide* if
//!
//! * at least [`VALUES`] different values occur among its subjects, and
//! * for each value at least k subjects have another one;
//!
//! else it is *narrow*, and hidden. A subject counts once, with the value of its first row that has one. A threshold of 1 means
//! no disclosure control, so everything is wide; only tests have it, for a node's configuration refuses less than 3.
//!
//! Both conditions can only become true as subjects are added, so what is wide stays so and needs nothing more. Until then at most
//! max(k, [`VALUES`] − 1) values are kept. It must never be of other subjects than the sums beside it.

/// So many different values must occur.
pub const VALUES: usize = 8;

/// Values that there is room for from the first on.
const KEPT: usize = 16;

/// The values of one measure among one cell's subjects.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Spread {
    /// Enough.
    Wide,
    /// Not yet.
    Narrow {
        /// Values in quanta, rising, each with its subjects. There are few, and most cells are wide soon, so a list is faster than a map.
        values: Vec<(i64, u32)>,
        /// All of them.
        subjects: u32,
        /// Those of the most frequent value.
        most: u32,
    },
}

impl Spread {
    /// Of no subjects, under a threshold of k.
    pub fn new(k: u32) -> Self {
        if k <= 1 { Spread::Wide } else { Spread::Narrow { values: Vec::new(), subjects: 0, most: 0 } }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let kept = match self {
            Spread::Wide => 0,
            Spread::Narrow { values, .. } => size_of_val(&values[..]),
        };
        size_of::<Self>() + kept
    }

    /// Whether the sums may be shown.
    pub fn is_wide(&self) -> bool {
        matches!(self, Spread::Wide)
    }

    /// Whether there is nobody of whom a sum would tell.
    pub fn is_of_nobody(&self) -> bool {
        matches!(self, Spread::Narrow { subjects: 0, .. })
    }

    /// Adds subjects that have the value `q`.
    pub fn add(&mut self, q: i64, subjects: u32, k: u32) {
        let Spread::Narrow { values, subjects: all, most } = self else { return };
        let at = values.binary_search_by_key(&q, |(value, _)| *value).unwrap_or_else(|at| {
            if values.is_empty() {
                // At once what most cells need: it is asked for each cell on each core.
                values.reserve_exact(KEPT.min(k as usize + 1));
            }
            values.insert(at, (q, 0));
            at
        });
        values[at].1 += subjects;
        *all += subjects;
        *most = (*most).max(values[at].1);
        if values.len() >= VALUES && *all - *most >= k {
            *self = Spread::Wide;
        }
    }

    /// Adds other subjects.
    pub fn absorb(&mut self, other: &Self, k: u32) {
        match other {
            Spread::Wide => *self = Spread::Wide,
            Spread::Narrow { values, .. } => values.iter().for_each(|(q, subjects)| self.add(*q, *subjects, k)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn of(values: &[i64], k: u32) -> Spread {
        let mut spread = Spread::new(k);
        values.iter().for_each(|q| spread.add(*q, 1, k));
        spread
    }

    #[test]
    fn eight_values_and_k_subjects_beside_each_are_wide() {
        let values = |others: usize, distinct: i64| -> Vec<i64> {
            (0..100).map(|_| 0).chain((0..others as i64).map(|i| 1 + i % (distinct - 1))).collect()
        };
        assert!(of(&values(11, 8), 11).is_wide());
        assert!(!of(&values(10, 8), 11).is_wide(), "ten subjects have another value than 0");
        assert!(!of(&values(1000, 7), 11).is_wide(), "seven values");
        assert!(of(&(0..12).collect::<Vec<_>>(), 11).is_wide());
        assert!(!of(&(0..11).collect::<Vec<_>>(), 11).is_wide(), "beside each value there are ten");
        assert!(!of(&(0..7).collect::<Vec<_>>(), 3).is_wide());
        assert!(of(&[], 1).is_wide());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn any_split_in_any_order_is_as_wide_and_keeps_the_same(
            values in prop::collection::vec((0usize..3, prop_oneof![Just(0i64), 0i64..12]), 0..60),
            k in 1u32..16,
        ) {
            let all: Vec<i64> = values.iter().map(|(_, q)| *q).collect();
            let mut counts = BTreeMap::<i64, u32>::new();
            all.iter().for_each(|q| *counts.entry(*q).or_default() += 1);
            let wide = k == 1 || (counts.len() >= 8 && counts.values().all(|n| all.len() as u32 - n >= k));
            let whole = of(&all, k);
            prop_assert_eq!(whole.is_wide(), wide);
            if let Spread::Narrow { values, .. } = &whole {
                prop_assert!(values.len() <= (k as usize).max(VALUES - 1), "bounded memory");
            }
            let mut merged = Spread::new(k);
            for part in [2, 0, 1] {
                let part: Vec<i64> = values.iter().filter(|(of, _)| *of == part).map(|(_, q)| *q).collect();
                merged.absorb(&of(&part, k), k);
            }
            prop_assert_eq!(merged, whole);
        }
    }
}
