//! Groups by ordered levels: tests of ranks, of pairs with what they leave open about the values within the levels.

use super::{ALL, CompareDriver, TESTS};
use crate::analysis::association::ranks::{MannWhitney, Within, kruskal_wallis, mann_whitney};
use crate::analysis::estimates::Statistics;
use crate::api::types::{AnalysisResult, HiddenReason, NamedBlock};

impl CompareDriver {
    /// `counts` are those of each group, by level.
    pub(super) fn ranks(&self, result: &mut AnalysisResult, counts: &[Vec<Option<u64>>]) {
        let exact: Vec<Option<Vec<u64>>> = counts.iter().map(|row| row.iter().copied().collect()).collect();
        if exact.iter().any(Option::is_none) {
            result.notes.push("not every comparison is given: each needs the counts of its groups exactly".into());
        }
        let mut block = Statistics::new(["group", "mann_whitney", "value", "least", "most"]);
        for (at, group) in self.others() {
            let pair = exact[at].as_ref().zip(exact[self.reference()].as_ref());
            let reason = if pair.is_some() { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact };
            let found = pair.and_then(|(one, zero)| mann_whitney(one, zero));
            for (name, of) in [
                ("u", (|m| m.u) as fn(MannWhitney) -> Within),
                ("superiority", |m| m.superiority),
                ("z", |m| m.z),
                ("p", |m| m.p),
            ] {
                let of = found.map(of);
                block.row(&[&group, name], &[of.map(|w| w.value), of.map(|w| w.least), of.map(|w| w.most)], reason);
            }
        }
        result.notes.push(
            "value is of the levels, values within one taken as equal; whatever the values are, theirs lies from least to most"
                .into(),
        );
        result.also.push(self.against(block.block()));
        if exact.len() > 2 {
            let all: Option<Vec<Vec<u64>>> = exact.into_iter().collect();
            let reason = if all.is_some() { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact };
            let mut tests = Statistics::tests();
            tests.test("kruskal_wallis", ALL, all.and_then(|all| kruskal_wallis(&all)), reason);
            result.also.push(NamedBlock { title: TESTS.into(), block: tests.block() });
        }
    }
}
