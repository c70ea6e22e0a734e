//! Who lacks a value of which the study says for whom there is one: a feature, a condition, a band. Of stored columns the record keeping says it, and no
//! researcher.

use bocage_protocol::ids::ColumnName;
use bocage_protocol::plan::{Expr, Feature, Measure, ModelLayout, Slot};

/// Patients who lack what a study has chosen, by what else they have.
#[derive(Clone)]
pub struct Lacking {
    /// Of the numbers, then of the keys, whether it is chosen.
    chosen: Vec<bool>,
    of: Vec<Of>,
}

/// Those who lack one input.
#[derive(Clone)]
struct Of {
    input: usize,
    /// The first column that reads it.
    column: usize,
    /// All of them; those who have each other input; who have all that is stored; who have all others.
    counts: Vec<u64>,
}

impl Lacking {
    /// Nobody yet.
    pub fn new(layout: &ModelLayout, features: &[Feature]) -> Self {
        let is_feature = |name: &&ColumnName| features.iter().any(|f| f.on.is_none() && f.name == **name);
        let numbers = layout.inputs.measures.iter();
        let numbers = numbers.map(|of| matches!(of, Measure::Condition(_)) || of.columns().iter().any(is_feature));
        let stored = |key: &Expr| matches!(key, Expr::Column(_) | Expr::Grouped { .. } | Expr::Periods(_));
        let keys = layout.inputs.keys.iter();
        let keys = keys.map(|(key, _)| !stored(key) || key.columns().iter().any(is_feature));
        let chosen: Vec<bool> = numbers.chain(keys).collect();
        let of = |input: usize| {
            let column = layout.columns.iter().position(|slots| slots.iter().any(|slot| reads(layout, slot) == input));
            Of { input, column: column.unwrap_or_default(), counts: vec![0; chosen.len() + 3] }
        };
        let of = (0..chosen.len()).filter(|input| chosen[*input]).map(of).collect();
        Self { chosen, of }
    }

    /// Adds the patients of a part, complete cases or not.
    pub fn add(&mut self, layout: &ModelLayout, rows: usize, numbers: &[Vec<f64>], levels: &[Vec<u32>]) {
        if self.of.is_empty() {
            return;
        }
        let mut has = vec![true; self.chosen.len()];
        for row in 0..rows {
            let of_numbers = numbers.iter().map(|column| column[row].is_finite());
            let of_keys = levels.iter().zip(&layout.inputs.keys);
            let of_keys = of_keys.map(|(column, (_, domain))| (column[row] as usize) < domain.labels.len());
            has.iter_mut().zip(of_numbers.chain(of_keys)).for_each(|(has, known)| *has = known);
            let lacks = has.iter().filter(|has| !**has).count();
            if lacks == 0 {
                continue;
            }
            let stored = has.iter().zip(&self.chosen).all(|(has, chosen)| *has || *chosen);
            for Of { counts, .. } in self.of.iter_mut().filter(|of| !has[of.input]) {
                let all = std::iter::once(true);
                let of = all.chain(has.iter().copied()).chain([stored, lacks == 1]);
                counts.iter_mut().zip(of).for_each(|(count, is)| *count += u64::from(is));
            }
        }
    }

    /// Adds those of other parts.
    pub fn absorb(&mut self, other: &Self) {
        for (own, other) in self.of.iter_mut().zip(&other.of) {
            own.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        }
    }

    /// For each column that reads what is chosen, how many lack it.
    pub fn told(&self) -> Vec<(usize, Vec<u64>)> {
        self.of.iter().map(|of| (of.column, of.counts.clone())).collect()
    }
}

/// Which input a factor reads, keys after numbers.
fn reads(layout: &ModelLayout, slot: &Slot) -> usize {
    match slot {
        Slot::Number { input, .. } | Slot::Spline { input, .. } => *input,
        Slot::Level { input, .. } => layout.inputs.measures.len() + input,
    }
}
